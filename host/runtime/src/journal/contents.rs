//! Contents by digest: files that are written once and never changed.
//!
//! A file's name is the SHA-256 of what is in it, uncompressed. It is written beside its place, synced, and renamed: what
//! has its name is whole. What several runs were given is there once.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digest;
use thiserror::Error;

/// Zstandard at its quickest: contents are numbers, written while a guest waits for nothing else.
const LEVEL: i32 = 1;
/// The most bytes that one content has: what one message or body piece may have, and room.
const MAX_BYTES: u64 = 1 << 30;
/// Beside the contents: when they were last looked through because of their age.
const SWEPT: &str = "swept";
/// So long after the longest call of a guest a file without a run is left alone: its run may be about to commit.
const GRACE: Duration = Duration::from_hours(24);

/// Contents cannot be kept.
#[derive(Debug, Error)]
pub enum ContentError {
    /// The file system.
    #[error("contents of journals cannot be {doing} {}: {problem}", .path.display())]
    Io {
        /// `kept in`, `removed from`, `looked through in`.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What it says.
        problem: io::Error,
    },
    /// The system has no thread for a journal.
    #[error("the system has no thread for the journal of a run: {0}")]
    Thread(io::Error),
}

impl Diagnostic for ContentError {
    fn code(&self) -> &'static str {
        "journal.contents"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }

    fn next_step(&self) -> Option<String> {
        Some(
            "see that the disk is sound and has room, then run it again; `journal = \"digest\"` under [runs] in \
             datanode.toml keeps digests only"
                .to_owned(),
        )
    }
}

/// Why a content cannot be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// It is not there.
    Missing,
    /// It is there, and is another one.
    Damaged(String),
}

/// A directory of contents.
#[derive(Debug, Clone)]
pub struct Contents {
    directory: PathBuf,
}

impl Contents {
    /// Contents of this directory, which is made when it is needed.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The file of a content. Two levels, for file systems that slow down with many files in one directory.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.directory.join(&name[..2]).join(format!("{}.zst", &name[2..]))
    }

    /// Keep a content. One that is there already stays, and counts as new for [`Contents::sweep`].
    pub(crate) fn keep(&self, digest: &Digest, bytes: &[u8]) -> Result<(), ContentError> {
        let path = self.path(digest);
        self.write(&path, bytes).map_err(|problem| ContentError::Io { doing: "kept in", path, problem })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Ok(file) = std::fs::File::options().write(true).open(path) {
            return file.set_modified(SystemTime::now());
        }
        let parent = path.parent().unwrap_or(&self.directory);
        make_private(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(&zstd::bulk::compress(bytes, LEVEL)?)?;
        file.as_file().sync_data()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// A content, proven by its digest.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Vec<u8>, NotFound> {
        let file = match std::fs::File::open(self.path(digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NotFound::Missing),
            Err(error) => return Err(NotFound::Damaged(format!("cannot be read: {error}"))),
        };
        let mut bytes = Vec::new();
        zstd::Decoder::new(file)
            .and_then(|decoder| decoder.take(MAX_BYTES).read_to_end(&mut bytes))
            .map_err(|error| NotFound::Damaged(format!("cannot be read: {error}")))?;
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => Err(NotFound::Damaged(format!("has the digest {found}"))),
        }
    }

    /// Whether it is so long since the contents were last looked through because of their age.
    pub(crate) fn is_sweep_due(&self, now: SystemTime, interval: Duration) -> Result<bool, ContentError> {
        let path = self.directory.join(SWEPT);
        match std::fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            // What is to come was written by a clock that was wrong.
            Ok(last) => Ok(now.duration_since(last).map_or(true, |since| since >= interval)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(problem) => Err(ContentError::Io { doing: "looked through in", path, problem }),
        }
    }

    /// They have been looked through.
    pub(crate) fn note_sweep(&self, now: SystemTime) -> Result<(), ContentError> {
        let path = self.directory.join(SWEPT);
        let note = || {
            make_private(&self.directory)?;
            std::fs::File::options().write(true).create(true).truncate(false).open(&path)?.set_modified(now)
        };
        note().map_err(|problem| ContentError::Io { doing: "looked through in", path: path.clone(), problem })
    }

    /// Remove what no journal names, but for what is younger than the longest call of a guest and a day: what a call was
    /// given first is named by no journal before the call has ended. Answers files and bytes that went, or, where nothing
    /// is to be removed yet, that would go.
    pub fn sweep(
        &self,
        named: &HashSet<Digest>,
        longest_call: Duration,
        only_look: bool,
    ) -> Result<(u64, u64), ContentError> {
        let spared = longest_call.saturating_add(GRACE);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |problem| ContentError::Io { doing: "removed from", path, problem }
        };
        let Ok(folders) = std::fs::read_dir(&self.directory) else { return Ok((0, 0)) };
        let (mut files, mut bytes) = (0, 0);
        let now = SystemTime::now();
        for folder in folders {
            let folder = folder.map_err(failed(&self.directory))?.path();
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries {
                let entry = entry.map_err(failed(&folder))?;
                let path = entry.path();
                let Some(digest) = digest_of(&path) else { continue };
                let Ok(metadata) = entry.metadata() else { continue };
                let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
                if named.contains(&digest) || age.is_none_or(|age| age < spared) {
                    continue;
                }
                if !only_look {
                    match std::fs::remove_file(&path) {
                        // Somebody else has removed it meanwhile, and counts it.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        removed => removed.map_err(failed(&path))?,
                    }
                }
                files += 1;
                bytes += metadata.len();
            }
        }
        Ok((files, bytes))
    }
}

/// A directory, which others on this machine have no business with: it is of what runs have read.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

/// The content that a file has by its name.
fn digest_of(path: &Path) -> Option<Digest> {
    let folder = path.parent()?.file_name()?.to_str()?;
    let rest = path.file_name()?.to_str()?.strip_suffix(".zst")?;
    format!("{folder}{rest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn contents() -> (tempfile::TempDir, Contents) {
        let directory = tempfile::tempdir().unwrap();
        let contents = Contents::new(directory.path().join("contents"));
        (directory, contents)
    }

    #[test]
    fn a_content_is_kept_once_and_proven() {
        let (_directory, contents) = contents();
        let (bytes, digest) = (b"a frame".repeat(1_000), Digest::of(&b"a frame".repeat(1_000)));
        assert_eq!(contents.find(&digest), Err(NotFound::Missing));
        contents.keep(&digest, &bytes).unwrap();
        contents.keep(&digest, &bytes).unwrap();
        assert_eq!(contents.find(&digest).unwrap(), bytes);
        let path = contents.path(&digest);
        assert!(std::fs::metadata(&path).unwrap().len() < 1_000);
        // Any byte, and another content under this name.
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(contents.find(&digest), Err(NotFound::Damaged(_))), "byte {at}");
        }
        std::fs::write(&path, zstd::bulk::compress(b"another", LEVEL).unwrap()).unwrap();
        assert!(matches!(contents.find(&digest), Err(NotFound::Damaged(why)) if why.contains("digest")));
    }

    #[test]
    fn contents_are_looked_through_once_in_an_interval() {
        let (_directory, contents) = contents();
        let (now, day) = (SystemTime::now(), Duration::from_hours(24));
        let is_due = |at| contents.is_sweep_due(at, day).unwrap();
        // Nothing was kept yet, and whoever asks has not done it.
        assert!(is_due(now) && is_due(now));
        contents.note_sweep(now).unwrap();
        assert!(!is_due(now) && !is_due(now + day / 2) && is_due(now + day));
        contents.note_sweep(now + day).unwrap();
        assert!(!is_due(now + day), "it is noted anew");
        assert!(is_due(now), "the clock of this machine was set back");
        assert_eq!(contents.sweep(&HashSet::new(), HOUR, true).unwrap(), (0, 0), "the mark is no content");
    }

    #[test]
    fn two_who_remove_at_once_do_not_hinder_each_other() {
        let (_directory, contents) = contents();
        let long_ago = SystemTime::now() - 2 * GRACE;
        let files = 500_u32;
        for number in 0..files {
            let path = contents.path(&Digest::of(number.to_string().as_bytes()));
            make_private(path.parent().unwrap()).unwrap();
            std::fs::File::create(path).unwrap().set_modified(long_ago).unwrap();
        }
        let removed: u64 = std::thread::scope(|scope| {
            let sweep = || contents.sweep(&HashSet::new(), HOUR, false).unwrap().0;
            let sweeps = [(); 2].map(|()| scope.spawn(sweep));
            sweeps.into_iter().map(|sweep| sweep.join().unwrap()).sum()
        });
        assert_eq!(removed, u64::from(files), "each file went once");
    }

    #[test]
    fn what_no_journal_names_goes_after_a_day() {
        let (_directory, contents) = contents();
        let named: Vec<Digest> = [b"old", b"new", b"run"]
            .iter()
            .map(|bytes| {
                contents.keep(&Digest::of(*bytes), *bytes).unwrap();
                Digest::of(*bytes)
            })
            .collect();
        let long_ago = SystemTime::now() - 2 * GRACE;
        for digest in [&named[0], &named[2]] {
            let file = std::fs::File::options().write(true).open(contents.path(digest)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        let kept = HashSet::from([named[2]]);
        assert_eq!(contents.sweep(&kept, HOUR, true).unwrap().0, 1);
        assert!(contents.find(&named[0]).is_ok(), "only looked at");
        assert_eq!(contents.sweep(&kept, HOUR, false).unwrap().0, 1);
        assert_eq!(contents.find(&named[0]), Err(NotFound::Missing));
        assert!(contents.find(&named[1]).is_ok() && contents.find(&named[2]).is_ok());
        // One that is wanted again counts as new.
        let file = std::fs::File::options().write(true).open(contents.path(&named[1])).unwrap();
        file.set_modified(long_ago).unwrap();
        contents.keep(&named[1], b"new").unwrap();
        assert_eq!(contents.sweep(&HashSet::new(), HOUR, true).unwrap().0, 1);
    }

    /// What a call was given on its first day is there when its run commits on the last.
    #[test]
    fn what_the_longest_call_may_still_need_stays() {
        let (_directory, contents) = contents();
        let digest = Digest::of(b"first");
        contents.keep(&digest, b"first").unwrap();
        let month = Duration::from_hours(30 * 24);
        let file = std::fs::File::options().write(true).open(contents.path(&digest)).unwrap();
        file.set_modified(SystemTime::now() - month).unwrap();
        assert_eq!(contents.sweep(&HashSet::new(), month, false).unwrap(), (0, 0));
        assert!(contents.find(&digest).is_ok());
        file.set_modified(SystemTime::now() - month - GRACE).unwrap();
        assert_eq!(contents.sweep(&HashSet::new(), month, false).unwrap().0, 1);
    }
}
