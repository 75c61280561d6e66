//! Revisions as folders: `<directory>/<identifier>/<NNNN>_<id>_<slug>/`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use datanode_core::contract::Contract;
use datanode_core::digest::Digest;
use datanode_core::revision::chain::{self, Link};
use datanode_core::revision::statement::MAX_SQL_BYTES;
use datanode_core::revision::{
    self, BEFORE_FILE, CONTRACT_FILE, Dialect, MAX_MESSAGE_BYTES, REVISION_FILE, RevisionError, RevisionFile,
};
use datanode_store::Script;

/// The most revisions of a table.
const MAX_REVISIONS: usize = 10_000;

/// A revision as it lies in its folder. The files are read when they are needed.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) file: RevisionFile,
}

/// What a revision is made of, with every file what `revision.toml` says that it is.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) before: Contract,
    pub(super) after: Contract,
    pub(super) up: String,
    pub(super) down: String,
}

fn problem(place: &Path, problem: &impl ToString) -> RevisionError {
    RevisionError::Folder { place: place.display().to_string(), problem: problem.to_string() }
}

/// A file of at most as many bytes as SQL may have.
fn read(path: &Path) -> Result<String, RevisionError> {
    let file = fs::File::open(path).map_err(|error| problem(path, &error))?;
    let mut text = String::new();
    let limit = u64::try_from(MAX_SQL_BYTES).unwrap_or(u64::MAX);
    file.take(limit + 1).read_to_string(&mut text).map_err(|error| problem(path, &error))?;
    if text.len() > MAX_SQL_BYTES {
        return Err(problem(path, &format!("larger than {MAX_SQL_BYTES} bytes")));
    }
    Ok(text)
}

fn contract(path: &Path) -> Result<Contract, RevisionError> {
    Contract::from_toml(&read(path)?).map_err(|error| problem(path, &error))
}

impl Folder {
    /// Read `revision.toml` of a folder.
    pub(super) fn open(path: &Path) -> Result<Self, RevisionError> {
        let place = path.join(REVISION_FILE);
        let file: RevisionFile =
            toml::from_str(&read(&place)?).map_err(|error| problem(&place, &error.to_string().trim_end()))?;
        let refs = std::iter::once(&file.revision).chain(&file.parent);
        if let Some(bad) = refs.into_iter().find(|id| !revision::is_id(id)) {
            return Err(problem(&place, &format!("`{bad}` is no revision id")));
        }
        if file.message.len() > MAX_MESSAGE_BYTES {
            return Err(problem(&place, &format!("the message is longer than {MAX_MESSAGE_BYTES} bytes")));
        }
        for name in [CONTRACT_FILE, BEFORE_FILE] {
            if !file.files.contains_key(name) {
                return Err(problem(&place, &format!("`files` does not name {name}")));
            }
        }
        if let Some(name) = file.files.keys().find(|name| !is_file_name(name)) {
            return Err(problem(&place, &format!("`files` names {name:?}, which is no file of a revision")));
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// A file of it, for messages.
    pub(super) fn place(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Whether it has the SQL of a database.
    pub(super) fn has_sql(&self, dialect: Dialect) -> bool {
        [dialect.up_file(), dialect.down_file()].iter().all(|name| self.file.files.contains_key(*name))
    }

    /// All files that matter to a database, each what it was when the revision was sealed.
    pub(super) fn sealed(&self, dialect: Dialect) -> Result<Sealed, RevisionError> {
        for (name, digest) in self.file.files.iter().filter(|(name, _)| dialect.reads(name)) {
            if Digest::of(read(&self.path.join(name))?.as_bytes()) != *digest {
                return Err(RevisionError::Unsealed {
                    table: self.file.table.clone(),
                    revision: self.file.revision.clone(),
                    file: self.place(name),
                });
            }
        }
        let (before, after) = self.contracts()?;
        if !self.has_sql(dialect) {
            return Err(RevisionError::NoSql {
                table: self.file.table.clone(),
                revision: self.file.revision.clone(),
                dialect,
                file: self.place(dialect.up_file()),
            });
        }
        Ok(Sealed { before, after, up: self.sql(dialect.up_file())?, down: self.sql(dialect.down_file())? })
    }

    /// The contract before and the one after, as they are.
    pub(super) fn contracts(&self) -> Result<(Contract, Contract), RevisionError> {
        let [before, after] = [BEFORE_FILE, CONTRACT_FILE].map(|name| contract(&self.path.join(name)));
        let (before, after) = (before?, after?);
        let table = &self.file.table;
        if let Some(other) = [&before, &after].into_iter().find(|contract| contract.identifier != *table) {
            return Err(RevisionError::OtherTable {
                table: table.clone(),
                found: other.identifier.clone(),
            });
        }
        Ok((before, after))
    }

    fn sql(&self, name: &str) -> Result<String, RevisionError> {
        read(&self.path.join(name))
    }

    /// Names and texts of all files of SQL, as they are: those of the database in use come first.
    pub(super) fn all_sql(&self, here: Dialect) -> Result<Vec<(&'static str, String)>, RevisionError> {
        let others = Dialect::ALL.into_iter().filter(|other| *other != here);
        let names = std::iter::once(here).chain(others).flat_map(|one| [one.up_file(), one.down_file()]);
        let held = names.filter(|name| self.file.files.contains_key(*name));
        held.map(|name| Ok((name, self.sql(name)?))).collect()
    }

    /// Add the SQL of a database, which the revision does not have, and seal it.
    pub(super) fn add(&mut self, script: &Script) -> Result<(), RevisionError> {
        for (name, text) in files(script) {
            let place = self.path.join(&name);
            if place.exists() {
                return Err(problem(&place, &"it is there already, and revision.toml does not name it"));
            }
            fs::write(&place, &text).map_err(|error| problem(&place, &error))?;
            self.file.files.insert(name, Digest::of(text.as_bytes()));
        }
        self.write_document()
    }

    /// Write `revision.toml` with the digests of the files as they are, whole or not at all.
    pub(super) fn seal(&mut self) -> Result<(), RevisionError> {
        for (name, digest) in &mut self.file.files {
            *digest = Digest::of(read(&self.path.join(name))?.as_bytes());
        }
        self.write_document()
    }

    fn write_document(&self) -> Result<(), RevisionError> {
        let text = document(&self.file, &self.path)?;
        let (place, new) = (self.path.join(REVISION_FILE), self.path.join(".revision.toml.new"));
        fs::write(&new, text).and_then(|()| fs::rename(&new, &place)).map_err(|error| problem(&place, &error))
    }
}

fn is_file_name(name: &str) -> bool {
    [".toml", ".sql"].iter().any(|end| name.ends_with(end))
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._".contains(&b))
}

fn document(file: &RevisionFile, path: &Path) -> Result<String, RevisionError> {
    toml::to_string_pretty(file).map_err(|error| problem(path, &error))
}

/// The revisions of a table, in their order; none where there is no folder.
pub(super) fn chain(directory: &Path, table: &str) -> Result<Vec<Folder>, RevisionError> {
    let directory = directory.join(table);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(problem(&directory, &error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| problem(&directory, &error))?;
        // Folders that are being written, and what an editor or a file manager leaves behind.
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.path().is_dir() {
            paths.push(entry.path());
        }
        if paths.len() > MAX_REVISIONS {
            return Err(problem(&directory, &format!("more than {MAX_REVISIONS} revisions")));
        }
    }
    paths.sort();
    let folders = paths.iter().map(|path| Folder::open(path)).collect::<Result<Vec<_>, _>>()?;
    if let Some(other) = folders.iter().find(|folder| folder.file.table != table) {
        return Err(RevisionError::OtherTable { table: table.to_owned(), found: other.file.table.clone() });
    }
    let links: Vec<Link> = folders
        .iter()
        .map(|folder| Link {
            revision: folder.file.revision.clone(),
            parent: folder.file.parent.clone(),
            place: folder.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        })
        .collect();
    let order = chain::order(&links).map_err(|problems| RevisionError::Chain {
        table: table.to_owned(),
        directory: directory.display().to_string(),
        problems,
    })?;
    Ok(order.into_iter().map(|at| folders[at].clone()).collect())
}

/// The files of a script, by name.
fn files(script: &Script) -> [(String, String); 2] {
    let Script { dialect, up, down } = script;
    [(dialect.up_file().to_owned(), up.clone()), (dialect.down_file().to_owned(), down.clone())]
}

/// A revision that is to be written.
pub(super) struct NewFolder<'n> {
    pub(super) file: RevisionFile,
    pub(super) before: &'n Contract,
    pub(super) after: &'n Contract,
    pub(super) sql: &'n [Script],
}

/// Write a revision. It appears whole, under its name, or not at all.
pub(super) fn write(directory: &Path, place: usize, new: NewFolder<'_>) -> Result<Folder, RevisionError> {
    let NewFolder { mut file, before, after, sql } = new;
    let directory = directory.join(&file.table);
    let name = revision::folder_name(place, &file.revision, &file.message);
    let (path, unfinished) = (directory.join(&name), directory.join(format!(".{name}")));
    let toml = |contract: &Contract| toml::to_string_pretty(contract).map_err(|error| problem(&path, &error));
    let mut files: BTreeMap<String, String> = sql.iter().flat_map(files).collect();
    files.insert(BEFORE_FILE.to_owned(), toml(before)?);
    files.insert(CONTRACT_FILE.to_owned(), toml(after)?);
    file.files = files.iter().map(|(name, text)| (name.clone(), Digest::of(text.as_bytes()))).collect();
    files.insert(REVISION_FILE.to_owned(), document(&file, &path)?);
    if path.exists() {
        return Err(problem(&path, &"it is there already"));
    }
    let write_all = || -> std::io::Result<()> {
        // Left by a command that was killed.
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        files.iter().try_for_each(|(name, text)| fs::write(unfinished.join(name), text))?;
        fs::rename(&unfinished, &path)
    };
    write_all().map_err(|error| problem(&path, &error))?;
    Ok(Folder { path, file })
}
