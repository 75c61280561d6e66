//! Bundles of runs that came from another machine.

use std::io::Write as _;
use std::sync::OnceLock;

use datanode_core::Diagnostic as _;
use datanode_core::digest::Digest;
use datanode_runtime::replay_bundle;
use datanode_sandbox::{Limits, Sandbox};

/// The component of the runs of the corpus: the first eight bytes that every component has, and nothing behind them. So what is
/// fuzzed is everything before a guest is called, and no guest is.
const COMPONENT: &[u8] = include_bytes!("../component.wasm");
/// An input that begins so is the record of a run and its journal, divided by a zero byte; the bundle around them is made
/// here, with sums that are right. Any other is a bundle, whose sums hardly ever are.
const PIECES: &[u8] = b"pieces\n";

/// Replay a bundle.
///
/// Promises: it is refused with a code, whatever it says, or replayed if its component can be.
pub fn bundle(data: &[u8]) {
    let file = match data.strip_prefix(PIECES) {
        None => data.to_vec(),
        Some(pieces) => {
            let (record, journal) = crate::halves(pieces);
            around(record, journal)
        }
    };
    let mut place = tempfile::NamedTempFile::new().unwrap();
    place.write_all(&file).unwrap();
    if let Err(error) = replay_bundle(sandbox(), place.path()) {
        assert!(error.code().contains('.') && !error.to_string().is_empty());
    }
}

/// Small limits: what a journal makes of the guest must end soon.
fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(Limits::default()).unwrap())
}

fn around(record: &[u8], journal: &[u8]) -> Vec<u8> {
    let journal = zstd::encode_all(journal, 1).unwrap();
    let files: [(&str, &[u8]); 3] =
        [("run.json", record), ("component.wasm", COMPONENT), ("journal.zst", &journal)];
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
