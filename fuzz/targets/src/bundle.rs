//! Bundles of runs that came from another machine.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use datanode_core::Diagnostic as _;
use datanode_core::digest::Digest;
use datanode_runtime::{Replayed, RuntimeError, replay_bundle};
use datanode_sandbox::{CodeCache, Limits, Sandbox};

/// A recorded run of a small component in C, as a bundle: what is replayed here is what is kept for ever.
const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/c_nan_bits.tar");
/// An input that begins so is the record of a run and its journal, divided by a zero byte; the bundle around them is made
/// here, with the golden component, and with sums that are right. Any other is a bundle, whose sums hardly ever are.
const PIECES: &[u8] = b"pieces\n";

/// Replay a bundle.
///
/// Promises: it is refused with a code, whatever it says, or replayed if its component can be.
pub fn bundle(data: &[u8]) {
    if let Err(error) = replayed(data) {
        assert!(error.code().contains('.') && !error.to_string().is_empty());
    }
}

fn replayed(data: &[u8]) -> Result<Replayed, Box<RuntimeError>> {
    let file = match data.strip_prefix(PIECES) {
        None => data.to_vec(),
        Some(pieces) => {
            let (record, journal) = crate::halves(pieces);
            around(record, journal)
        }
    };
    let mut place = tempfile::NamedTempFile::new().unwrap();
    place.write_all(&file).unwrap();
    replay_bundle(sandbox(), place.path()).map_err(Box::new)
}

/// Compiled once, on this machine: not for each input.
fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let cache = CodeCache::open(&std::env::temp_dir().join("datanode-fuzz-code")).unwrap();
        Sandbox::new(Limits::default()).unwrap().with_cache(cache)
    })
}

/// A file of the golden bundle.
fn golden(name: &str) -> Vec<u8> {
    let mut tar = tar::Archive::new(GOLDEN);
    let mut entries = tar.entries().unwrap().map(Result::unwrap);
    let mut entry = entries.find(|entry| *entry.path().unwrap() == *Path::new(name)).unwrap();
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).unwrap();
    bytes
}

fn component() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| golden("component.wasm"))
}

fn around(record: &[u8], journal: &[u8]) -> Vec<u8> {
    let journal = zstd::encode_all(journal, 1).unwrap();
    let files: [(&str, &[u8]); 3] =
        [("run.json", record), ("component.wasm", component()), ("journal.zst", &journal)];
    let sums = files.map(|(name, content)| format!("{}  {name}\n", Digest::of(content))).concat();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files.into_iter().chain([("SHA256SUMS", sums.as_bytes())]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    }
    tar.into_inner().unwrap()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use datanode_runtime::Verdict;

    use super::*;

    /// What the targets are given first calls a guest, which goes its whole way.
    #[test]
    fn the_corpus_holds_the_golden_run() {
        let pieces =
            [PIECES, &golden("run.json"), b"\0", &zstd::decode_all(&golden("journal.zst")[..]).unwrap()]
                .concat();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/bundle/c_nan_bits");
        if std::env::var_os("DATANODE_WRITE_CORPUS").is_some() {
            fs::write(&file, &pieces).unwrap();
        }
        let kept = fs::read(&file).unwrap_or_default();
        assert!(kept == pieces, "write {} anew: DATANODE_WRITE_CORPUS=1 cargo test …", file.display());
        let replayed = replayed(&kept).unwrap();
        assert!(matches!(replayed.verdict, Verdict::Identical), "{:?}", replayed.verdict);
        assert!(replayed.calls > 0);
    }
}
