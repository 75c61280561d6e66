//! The folders of revisions on this machine: read for a server, and written as it says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use datanode_core::revision::statement::MAX_SQL_BYTES;
use datanode_core::revision::{REVISION_FILE, RevisionError};

use crate::failure::Failure;
use crate::remote::Server;

/// `FOLDER/FILE` → its text.
pub(super) type Files = BTreeMap<String, String>;

/// The files of all revisions of a table.
pub(super) fn read_all(directory: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(problem(directory, &error).into()),
    };
    for entry in entries {
        let entry = entry.map_err(|error| problem(directory, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // As the host itself does: folders that are being written, and what an editor leaves behind, are none.
        if !name.starts_with('.') && entry.path().is_dir() {
            read_folder(&entry.path(), &name, &mut files)?;
        }
    }
    Ok(files)
}

/// The files of one revision.
pub(super) fn read_folder(folder: &Path, name: &str, files: &mut Files) -> anyhow::Result<()> {
    // What a folder is judged by first.
    for entry in fs::read_dir(folder).map_err(|error| problem(&folder.join(REVISION_FILE), &error))? {
        let path = entry.map_err(|error| problem(folder, &error))?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_of_revision = [".toml", ".sql"].iter().any(|end| file.ends_with(end));
        if file.starts_with('.') || !is_of_revision || !path.is_file() {
            continue;
        }
        let mut text = String::new();
        let most = MAX_SQL_BYTES as u64;
        let opened = fs::File::open(&path).map_err(|error| problem(&path, &error))?;
        opened.take(most + 1).read_to_string(&mut text).map_err(|error| problem(&path, &error))?;
        if text.len() as u64 > most {
            return Err(problem(&path, &format!("larger than {MAX_SQL_BYTES} bytes")).into());
        }
        files.insert(format!("{name}/{file}"), text);
    }
    Ok(())
}

/// Write what a server has written. A folder that is new appears whole, or not at all.
pub(super) fn write_all(server: &Server, directory: &Path, files: &Files) -> anyhow::Result<()> {
    let mut folders: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, text) in files {
        match path.split_once('/') {
            Some((folder, file)) if is_plain(folder) && is_plain(file) => {
                folders.entry(folder).or_default().push((file, text));
            }
            _ => return Err(server.odd("a file in an odd place").into()),
        }
    }
    for (name, files) in folders {
        let (folder, unfinished) = (directory.join(name), directory.join(format!(".{name}")));
        let is_new = !folder.exists();
        let place: &PathBuf = if is_new { &unfinished } else { &folder };
        let write = || -> std::io::Result<()> {
            if is_new && unfinished.exists() {
                // Left by a command that was killed.
                fs::remove_dir_all(&unfinished)?;
            }
            fs::create_dir_all(place)?;
            for (file, text) in &files {
                let (path, new) = (place.join(file), place.join(format!(".{file}.new")));
                fs::write(&new, text)?;
                fs::rename(&new, &path)?;
            }
            if is_new { fs::rename(&unfinished, &folder) } else { Ok(()) }
        };
        write().map_err(|error| problem(&folder, &error))?;
    }
    Ok(())
}

/// A name that stays where it is put.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// As the host itself says it.
fn problem(place: &Path, problem: &impl ToString) -> Failure {
    let (place, problem) = (place.display().to_string(), problem.to_string());
    Failure::of(&RevisionError::Folder { place, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_writes_nowhere_but_in_the_folders_of_revisions() {
        for name in ["0001_ab_cd", "up.sqlite.sql"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "C:"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
