//! Compiled code on disk, so that a component is compiled once per host and not once per process.
//!
//! Compiled code runs with the rights of the host: whoever can write it owns the host. An entry is therefore loaded
//! only when its HMAC-SHA256 fits, made with a secret that this host drew when it made the cache. A foreign, damaged
//! or outdated entry is a miss: the component is compiled again and the entry replaced.
//!
//! An entry is `HMAC (32 bytes) ‖ component ‖ spans ‖ compiled code`, of which the two in the middle begin with their size (8
//! bytes, little-endian). They are there for debug information, which compiled code has not (`symbols.rs`), and empty where the component has none. The
//! HMAC covers the key, so that an entry cannot stand under another name: digest of the component, the engine's compatibility
//! hash (version and settings), the version of the rewriting, and the host's version.
//!
//! Limits are no part of the key: they leave no trace in compiled code, which counts fuel and asks before it grows,
//! whatever the numbers are that it is then held to.
//!
//! The directory may be deleted at any time, under running hosts too: it costs compilations, and nothing else. A host
//! whose secret has been deleted goes on with the one that it holds; what it writes then is a miss for the others.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use datanode_core::digest::Digest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine::ENGINE_VERSION;
use crate::symbols::Lines;

const SECRET_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
const SIZE_BYTES: usize = 8;

/// A component and what was compiled from it.
#[derive(Clone)]
pub(crate) struct Compiled {
    /// Its code.
    pub(crate) code: Component,
    /// What tells lines of its source.
    pub(crate) lines: Lines,
}

/// A directory of compiled code that belongs to one host.
#[derive(Clone)]
pub struct CodeCache {
    directory: PathBuf,
    secret: [u8; SECRET_BYTES],
}

impl std::fmt::Debug for CodeCache {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeCache").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl CodeCache {
    /// Open a cache directory, made with a fresh secret when it is missing. Only its owner may read it.
    pub fn open(directory: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join("secret");
        let secret = match read_secret(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
                // One that was cut off proves nothing any more: what it signed is compiled again.
                let _ = fs::remove_file(&path);
                let mut drawn = [0; SECRET_BYTES];
                getrandom::fill(&mut drawn).map_err(std::io::Error::other)?;
                let fresh = Temporary::in_directory(directory);
                private(&fresh.0)?.write_all(&drawn)?;
                // Of two processes that begin together one wins; both then read the winner's secret.
                let _ = fs::hard_link(&fresh.0, &path);
                read_secret(&path)?
            }
            other => other?,
        };
        Ok(Self { directory: directory.to_owned(), secret })
    }

    /// The compiled form of a component, if this host has it. Its imports were judged when the entry was made, and by
    /// the same rules: the host's version is a part of the key.
    pub(crate) fn find(&self, engine: &Engine, component: &Digest) -> Option<Compiled> {
        let key = key(engine, component);
        self.load(engine, &self.path(&key), &key)
    }

    /// Keep what was compiled from a component of this digest. A cache that cannot be written costs time, not
    /// correctness.
    pub(crate) fn keep(&self, engine: &Engine, component: &Digest, lines: &Lines, code: &[u8]) {
        let key = key(engine, component);
        let _ = self.store(&self.path(&key), &key, lines, code);
    }

    /// Remove what was compiled from a component for this engine. Entries of other engines and host versions stay: their
    /// names cannot be known.
    pub(crate) fn forget(&self, engine: &Engine, component: &Digest) {
        let _ = fs::remove_file(self.path(&key(engine, component)));
    }

    fn path(&self, key: &str) -> PathBuf {
        self.directory.join(format!("{}.cwasm", Digest::of(key.as_bytes())))
    }

    fn load(&self, engine: &Engine, path: &Path, key: &str) -> Option<Compiled> {
        let entry = fs::read(path).ok()?;
        let (mac, content) = entry.split_at_checked(MAC_BYTES)?;
        self.mac(key, [content])?.verify_slice(mac).ok()?;
        let (source, content) = sized(content)?;
        let (spans, code) = sized(content)?;
        // SAFETY: `deserialize` must only see what `Component::serialize` of a compatible engine wrote. The MAC proves
        // that this host wrote exactly these bytes under this key, and the key holds the engine's compatibility hash.
        #[allow(unsafe_code)]
        let code = unsafe { Component::deserialize(engine, code) }.ok()?;
        Some(Compiled { code, lines: Lines::of(source, spans) })
    }

    fn store(&self, path: &Path, key: &str, lines: &Lines, code: &[u8]) -> std::io::Result<()> {
        let Lines { source, spans } = lines;
        let size = |bytes: &[u8]| (bytes.len() as u64).to_le_bytes();
        let content = [&size(source)[..], source, &size(spans), spans, code];
        let Some(mac) = self.mac(key, content) else { return Ok(()) };
        let fresh = Temporary::in_directory(&self.directory);
        let mut file = private(&fresh.0)?;
        file.write_all(&mac.finalize().into_bytes())?;
        content.iter().try_for_each(|part| file.write_all(part))?;
        // Renamed into place, so that a reader sees the whole entry or none.
        fs::rename(&fresh.0, path)
    }

    fn mac<const PARTS: usize>(&self, key: &str, content: [&[u8]; PARTS]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        mac.update(&(key.len() as u64).to_le_bytes());
        mac.update(key.as_bytes());
        for part in content {
            mac.update(part);
        }
        Some(mac)
    }
}

/// What begins with its size, and what follows it.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<SIZE_BYTES>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*size)).ok()?)
}

fn key(engine: &Engine, component: &Digest) -> String {
    // Only compared within this host, so a hasher that another build of it does not share costs one compilation.
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{component} {:016x} {ENGINE_VERSION} {}", hasher.finish(), env!("CARGO_PKG_VERSION"))
}

fn read_secret(path: &Path) -> std::io::Result<[u8; SECRET_BYTES]> {
    let mut secret = [0; SECRET_BYTES];
    File::open(path)?.read_exact(&mut secret)?;
    Ok(secret)
}

/// A file that is gone when this is dropped, however far its making came: a full disk is not to be filled with pieces.
struct Temporary(PathBuf);

impl Temporary {
    /// A name that no other process uses, in the same directory so that a rename is atomic.
    fn in_directory(directory: &Path) -> Self {
        Self(directory.join(format!("{}.tmp", uuid::Uuid::new_v4())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is not there when it was renamed into place, or could not be made.
        let _ = fs::remove_file(&self.0);
    }
}

/// A new file that only its owner may read and write.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component() -> Vec<u8> {
        wat::parse_str("(component (core module (func (export \"f\") (result i32) i32.const 7)))").unwrap()
    }

    fn lines() -> Lines {
        Lines::of(&component(), b"spans")
    }

    fn entry(directory: &Path) -> PathBuf {
        let mut entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).unwrap()
    }

    #[test]
    fn what_this_host_wrote_is_loaded_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (engine, _) = crate::engine::engine(&crate::Limits::default()).unwrap();
        let cache = CodeCache::open(directory.path()).unwrap();
        let digest = Digest::of(&component());
        let code = engine.precompile_component(&component()).unwrap();
        assert!(cache.find(&engine, &digest).is_none(), "nothing yet");
        cache.keep(&engine, &digest, &lines(), &code);
        let path = entry(directory.path());
        let key = key(&engine, &digest);
        let written = fs::read(&path).unwrap();
        let loaded = CodeCache::open(directory.path()).unwrap().load(&engine, &path, &key).unwrap();
        assert_eq!((&loaded.lines.source[..], &loaded.lines.spans[..]), (&component()[..], &b"spans"[..]));

        for at in [0, MAC_BYTES, MAC_BYTES + SIZE_BYTES, MAC_BYTES + 100, written.len() - 1] {
            let mut damaged = written.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert!(cache.load(&engine, &path, &key).is_none(), "byte {at}");
        }
        fs::write(&path, &written[..20]).unwrap();
        assert!(cache.load(&engine, &path, &key).is_none(), "cut off");

        // Well formed, but written by another host: its secret differs.
        let elsewhere = tempfile::tempdir().unwrap();
        CodeCache::open(elsewhere.path()).unwrap().keep(&engine, &digest, &lines(), &code);
        fs::copy(entry(elsewhere.path()), &path).unwrap();
        assert!(cache.load(&engine, &path, &key).is_none(), "planted");

        // A genuine entry under the name of another component.
        fs::write(&path, &written).unwrap();
        assert!(cache.load(&engine, &path, "another key").is_none(), "swapped");

        // A secret that was cut off is drawn again.
        fs::write(directory.path().join("secret"), b"short").unwrap();
        let renewed = CodeCache::open(directory.path()).unwrap();
        assert!(renewed.load(&engine, &path, &key).is_none(), "signed with the lost secret");
        let cache = renewed;

        // And a miss repairs itself.
        fs::write(&path, b"rubbish").unwrap();
        cache.keep(&engine, &digest, &lines(), &code);
        assert!(cache.find(&engine, &digest).is_some());

        cache.forget(&engine, &digest);
        assert!(cache.find(&engine, &digest).is_none());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "the secret alone is left");
    }

    #[test]
    fn what_was_compiled_under_one_set_of_limits_is_found_under_any_other() {
        use crate::Limits;
        let directory = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(directory.path()).unwrap();
        let digest = Digest::of(&component());
        let engine = |limits: &Limits| {
            limits.check().unwrap();
            crate::engine::engine(limits).unwrap().0
        };
        let first = engine(&Limits::default());
        let code = first.precompile_component(&component()).unwrap();
        cache.keep(&first, &digest, &lines(), &code);
        // No field is left out.
        let other = Limits {
            fuel: 1,
            describe_fuel: 1,
            memory_bytes: 64 << 10,
            table_elements: 10_000_000,
            instances: 1,
            stack_bytes: 64 << 10,
            message_bytes: 1 << 10,
            emit_bytes: 1 << 10,
            emit_rows: 1,
            read_bytes: 1 << 10,
            open_handles: 1,
            host_calls: 1,
            opens: 1,
            host_call_ms: 1,
            call_seconds: 1,
            log_lines: 1,
            log_bytes: 1 << 10,
            config_bytes: 2,
            dependencies: 1,
        };
        let other = engine(&other);
        assert!(cache.find(&other, &digest).is_some());
        assert_eq!(other.precompile_component(&component()).unwrap(), code);
    }

    #[test]
    fn an_entry_that_cannot_be_written_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (engine, _) = crate::engine::engine(&crate::Limits::default()).unwrap();
        let cache = CodeCache::open(directory.path()).unwrap();
        let digest = Digest::of(b"a component");
        // A directory in its place: all is written, and the last step fails.
        let place = cache.path(&key(&engine, &digest));
        fs::create_dir_all(place.join("in the way")).unwrap();
        cache.keep(&engine, &digest, &lines(), b"code");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the secret and the directory");
    }

    #[test]
    fn a_cache_that_was_deleted_under_a_host_is_a_miss() {
        let directory = tempfile::tempdir().unwrap();
        let (engine, _) = crate::engine::engine(&crate::Limits::default()).unwrap();
        let place = directory.path().join("compiled");
        let cache = CodeCache::open(&place).unwrap();
        let digest = Digest::of(&component());
        let code = engine.precompile_component(&component()).unwrap();
        cache.keep(&engine, &digest, &lines(), &code);
        fs::remove_dir_all(&place).unwrap();
        assert!(cache.find(&engine, &digest).is_none());
        cache.keep(&engine, &digest, &lines(), &code);
        assert!(!place.exists(), "without its directory it keeps nothing");
        let renewed = CodeCache::open(&place).unwrap();
        cache.keep(&engine, &digest, &lines(), &code);
        assert!(renewed.find(&engine, &digest).is_none(), "signed with a secret that is gone");
        renewed.keep(&engine, &digest, &lines(), &code);
        assert!(renewed.find(&engine, &digest).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn the_secret_belongs_to_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        CodeCache::open(directory.path()).unwrap();
        let mode = fs::metadata(directory.path().join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
