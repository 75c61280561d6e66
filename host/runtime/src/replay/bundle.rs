//! Bundles: all that a replay needs in one tar file, for another machine.
//!
//! | entry | what it is |
//! | --- | --- |
//! | `run.json` | the run record |
//! | `component.wasm` | the component |
//! | `journal.zst` | the journal, compressed by Zstandard |
//! | `SHA256SUMS` | SHA-256 of these three |
//! | `contents/ab/cdef….zst` | what the guest was given, by SHA-256, compressed |
//!
//! A bundle may come from a stranger. Its entries are known by their names and bounded, everything that it holds is proven
//! by the digests in it, and its component is judged like an upload.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digest;
use datanode_core::journal::{MAX_CONFIG_BYTES, MAX_SETTINGS_BYTES, Reply};
use datanode_core::run::RunRecord;
use datanode_sandbox::{Cell, Interrupt, Sandbox};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::matrix::{self, MatrixRun};
use super::{Material, Replayed, replay};
use crate::journal::{self, Contents};
use crate::{AtomicFile, Host, RuntimeError};

const RECORD: &str = "run.json";
const COMPONENT: &str = "component.wasm";
const JOURNAL: &str = "journal.zst";
const SUMS: &str = "SHA256SUMS";
const CONTENTS: &str = "contents";

/// The most bytes of the entries that are read into memory.
const MAX_ENTRY: u64 = 256 << 20;
/// The most bytes of one content.
const MAX_CONTENT: u64 = 1 << 30;
/// The most entries.
const MAX_ENTRIES: usize = 1_000_000;

/// Why a bundle cannot be written or read.
#[derive(Debug, Error)]
pub enum BundleError {
    /// The file.
    #[error("the bundle {} cannot be {doing}: {problem}", .path.display())]
    Io {
        /// `written`, `read`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// It is no bundle.
    #[error("{} is no bundle of a run: {problem}", .path.display())]
    NotABundle {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The run cannot be bundled.
    #[error("run {run_id} cannot be replayed, here or elsewhere: {missing}")]
    Incomplete {
        /// The run.
        run_id: String,
        /// What is missing.
        missing: String,
    },
}

impl Diagnostic for BundleError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "bundle.file",
            Self::NotABundle { .. } => "bundle.damaged",
            Self::Incomplete { .. } => "bundle.incomplete",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Io { .. } => ErrorClass::Infrastructure,
            Self::NotABundle { .. } => ErrorClass::Usage,
            Self::Incomplete { .. } => ErrorClass::Refused,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::NotABundle { .. } => {
                Some("write one with: datanode run export RUN --output FILE".to_owned())
            }
            Self::Incomplete { run_id, .. } => Some(format!("see it: datanode run replay {run_id}")),
        }
    }
}

impl Host {
    /// Write all that a replay of a run needs into a tar file, which is there whole or not at all. Answers its bytes.
    pub async fn export_run(&self, reference: &str, path: &Path) -> Result<u64, RuntimeError> {
        let material = self.material(self.store.run(reference).await?).await?;
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || write(&material, &path))
            .await
            .map_err(|_| RuntimeError::Panicked("a bundle was being written"))?
            .map_err(RuntimeError::from)
    }
}

/// Execute the run of a bundle again: it needs no catalogue, and enters none. Blocks.
pub fn replay_bundle(sandbox: &Sandbox, path: &Path) -> Result<Replayed, RuntimeError> {
    let directory = directory(path)?;
    let material = read(path, directory.path(), MAX_ENTRIES)?;
    replay(sandbox, material)
}

/// The same in each of these cells of the determinism matrix; `done` is told of each. Blocks.
pub fn bundle_in_cells(
    sandbox: &Sandbox,
    path: &Path,
    cells: &[Cell],
    done: &mut dyn FnMut(),
) -> Result<MatrixRun, RuntimeError> {
    let directory = directory(path)?;
    let material = read(path, directory.path(), MAX_ENTRIES)?;
    matrix::run(sandbox, &material, cells, done)
}

/// For the contents of a bundle. Gone when it is dropped, after the replay.
fn directory(path: &Path) -> Result<tempfile::TempDir, BundleError> {
    tempfile::tempdir().map_err(|problem| BundleError::Io { doing: "read", path: path.to_owned(), problem })
}

fn write(material: &Material, path: &Path) -> Result<u64, BundleError> {
    let Material { record, document, component, contents, .. } = material;
    let incomplete = |missing: &str| BundleError::Incomplete {
        run_id: record.run_id.clone(),
        missing: missing.to_owned(),
    };
    let document = document.as_ref().ok_or_else(|| incomplete("it has no journal"))?;
    let component = component.as_ref().ok_or_else(|| incomplete("its component was removed"))?;
    let named = named_by(document).map_err(|problem| incomplete(&problem))?;
    let failed = |problem| BundleError::Io { doing: "written", path: path.to_owned(), problem };
    let mut tar = tar::Builder::new(AtomicFile::begin(path).map_err(failed)?);
    let record_text = serde_json::to_vec_pretty(record).map_err(|error| failed(error.into()))?;
    let mut bytes = 0;
    let sums = sums(&record_text, component, document).into_bytes();
    for (name, content) in
        [(RECORD, &record_text), (COMPONENT, component), (JOURNAL, document), (SUMS, &sums)]
    {
        bytes += append(&mut tar, name, content.len() as u64, content.as_slice()).map_err(failed)?;
    }
    for digest in &named {
        let Ok(file) = File::open(contents.path(digest)) else {
            return Err(incomplete(&format!("the content {digest} is not kept")));
        };
        let length = file.metadata().map_err(failed)?.len();
        bytes += append(&mut tar, &entry_name(digest), length, file).map_err(failed)?;
    }
    tar.into_inner().and_then(AtomicFile::finish).map_err(failed)?;
    Ok(bytes)
}

/// In the form of the program `sha256sum`.
fn sums(record: &[u8], component: &[u8], document: &[u8]) -> String {
    let files = [(RECORD, record), (COMPONENT, component), (JOURNAL, document)];
    files.map(|(name, content)| format!("{}  {name}\n", Digest::of(content))).concat()
}

/// No owner, no time: the same run gives the same bundle.
fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    length: u64,
    content: impl Read,
) -> io::Result<u64> {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, name, content)?;
    Ok(length)
}

fn entry_name(digest: &Digest) -> String {
    let name = digest.to_string();
    format!("{CONTENTS}/{}/{}.zst", &name[..2], &name[2..])
}

/// The contents that a journal names and does not hold itself.
fn named_by(document: &[u8]) -> Result<BTreeSet<Digest>, String> {
    let mut journal = journal::open(document.to_vec()).map_err(|error| error.to_string())?;
    let mut named = BTreeSet::new();
    while let Some(entry) = journal.next_entry().map_err(|error| error.to_string())? {
        if let Reply::Bytes(content) = entry.reply
            && content.inline.is_none()
        {
            named.insert(content.sha256);
        }
    }
    Ok(named)
}

fn read(path: &Path, directory: &Path, most_entries: usize) -> Result<Material, BundleError> {
    let failed = |problem| BundleError::Io { doing: "read", path: path.to_owned(), problem };
    let wrong = |problem: String| BundleError::NotABundle { path: path.to_owned(), problem };
    let damaged = |error: io::Error| wrong(error.to_string());
    let mut tar = tar::Archive::new(BufReader::new(File::open(path).map_err(failed)?));
    let contents = Contents::new(directory.join(CONTENTS));
    let (mut record, mut component, mut document, mut said) = (None, None, None, None);
    for (number, entry) in tar.entries().map_err(damaged)?.enumerate() {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        if number >= most_entries {
            return Err(wrong(format!("it has more than {most_entries} entries")));
        }
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(wrong(format!("the entry `{}` does not belong there", name.escape_debug())));
        }
        let mut whole = |most: u64| -> Result<Vec<u8>, BundleError> {
            if entry.size() > most {
                return Err(wrong(format!("the entry `{}` has {} bytes", name.escape_debug(), entry.size())));
            }
            let mut bytes = Vec::new();
            (&mut entry).take(most).read_to_end(&mut bytes).map_err(damaged)?;
            Ok(bytes)
        };
        match name.as_str() {
            RECORD => record = Some(whole(MAX_ENTRY)?),
            COMPONENT => component = Some(whole(MAX_ENTRY)?),
            JOURNAL => document = Some(whole(MAX_ENTRY)?),
            SUMS => said = Some(whole(MAX_ENTRY)?),
            other => {
                // The place is made of the digest, never of the name.
                let digest = digest_of(other).ok_or_else(|| {
                    wrong(format!("the entry `{}` does not belong there", other.escape_debug()))
                })?;
                let place = contents.path(&digest);
                std::fs::create_dir_all(place.parent().unwrap_or(directory)).map_err(failed)?;
                let mut file = File::create(place).map_err(failed)?;
                io::copy(&mut (&mut entry).take(MAX_CONTENT), &mut file).map_err(damaged)?;
            }
        }
    }
    let missing = |name: &str| wrong(format!("it has no `{name}`"));
    let record = record.ok_or_else(|| missing(RECORD))?;
    let document = document.ok_or_else(|| missing(JOURNAL))?;
    let component = component.ok_or_else(|| missing(COMPONENT))?;
    if said.ok_or_else(|| missing(SUMS))? != sums(&record, &component, &document).as_bytes() {
        return Err(wrong(format!("`{SUMS}` names other contents: it was damaged on its way")));
    }
    let record = record_of(&record).map_err(|problem| wrong(format!("`{RECORD}` {problem}")))?;
    let (document, component, interrupt) = (Some(document), Some(component), Interrupt::default());
    Ok(Material { record, document, component, contents, interrupt })
}

/// A record, whose values are as small as in a journal: of `[0,0]` each takes sixteen times the memory of its text.
fn record_of(text: &[u8]) -> Result<RunRecord, String> {
    /// Neither is there twice: that is an error.
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        config: &'a RawValue,
        #[serde(borrow)]
        options: &'a RawValue,
        #[serde(borrow)]
        limits: &'a RawValue,
    }
    let misread = |error: serde_json::Error| format!("is no run record: {error}");
    let Parts { config, options, limits } = serde_json::from_slice(text).map_err(misread)?;
    for (name, part, most) in [
        ("config", config, MAX_CONFIG_BYTES),
        ("options", options, MAX_SETTINGS_BYTES),
        ("limits", limits, MAX_SETTINGS_BYTES),
    ] {
        let bytes = compact(part.get());
        if bytes > most {
            return Err(format!("has a `{name}` of {bytes} bytes where {most} are allowed"));
        }
    }
    serde_json::from_slice(text).map_err(misread)
}

/// How many bytes a JSON text has without blanks between its values, as journals have it: a record in a bundle is indented.
fn compact(text: &str) -> usize {
    let (mut bytes, mut in_text, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        if in_text {
            (in_text, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_text = byte == b'"';
        }
        bytes += 1;
    }
    bytes
}

fn digest_of(name: &str) -> Option<Digest> {
    let name = name.strip_prefix(CONTENTS)?.strip_prefix('/')?.strip_suffix(".zst")?;
    let (folder, rest) = name.split_once('/')?;
    (folder.len() == 2).then(|| format!("{folder}{rest}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_between_values_do_not_count() {
        let value = serde_json::json!({ "a b": [1, " \" \\", { "c": [] }], "\\": "\\\" " });
        let written = value.to_string();
        assert_eq!(compact(&written), written.len());
        assert_eq!(compact(&serde_json::to_string_pretty(&value).unwrap()), written.len());
    }

    /// A million of them would be half a gigabyte: fewer are allowed here.
    #[test]
    fn a_bundle_of_too_many_entries_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bundle.tar");
        let mut tar = tar::Builder::new(File::create(&path).unwrap());
        for number in 0..10_u8 {
            let name = entry_name(&Digest::of(&[number]));
            append(&mut tar, &name, 1, [number].as_slice()).unwrap();
        }
        tar.finish().unwrap();
        let refused = |most: usize| {
            let error = read(&path, directory.path(), most).err().unwrap();
            assert_eq!(error.code(), "bundle.damaged");
            error.to_string()
        };
        assert!(refused(10).ends_with("it has no `run.json`"), "all of them are read");
        assert!(refused(9).ends_with("it has more than 9 entries"));
    }
}
