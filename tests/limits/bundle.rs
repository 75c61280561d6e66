//! A small bundle of a stranger, and what reading it costs.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use datanode_core::digest::Digest;
use datanode_tests::memory::held_by;
use datanode_tests::{Project, root};
use serde_json::Value;

/// The files of a golden bundle, by name; its journal as text.
fn golden() -> Vec<(String, Vec<u8>)> {
    let mut tar = tar::Archive::new(File::open(root().join("tests/golden/c_nan_bits.tar")).unwrap());
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if name == "journal.zst" {
            bytes = zstd::decode_all(bytes.as_slice()).unwrap();
        }
        (name, bytes)
    });
    entries.collect()
}

/// Write a bundle with right sums, in which one file is another one.
fn bundle_with(path: &Path, altered: &str, alter: impl Fn(&str) -> String) {
    let (mut tar, mut sums) = (tar::Builder::new(File::create(path).unwrap()), String::new());
    for (name, mut content) in golden() {
        if name == altered {
            content = alter(std::str::from_utf8(&content).unwrap()).into_bytes();
        }
        if name == "journal.zst" {
            content = zstd::encode_all(content.as_slice(), 3).unwrap();
        }
        if name == "SHA256SUMS" {
            content = std::mem::take(&mut sums).into_bytes();
        } else {
            sums += &format!("{}  {name}\n", Digest::of(&content));
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap();
}

/// A command to its end, and the most bytes that it held on the way; 0 where nothing tells.
fn watched(project: &Project, arguments: &[&str]) -> (Output, u64) {
    let mut command = project.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut held = 0;
    while child.try_wait().unwrap().is_none() {
        held = held.max(held_by(child.id()).unwrap_or(0));
        thread::sleep(Duration::from_millis(2));
    }
    (child.wait_with_output().unwrap(), held)
}

/// As values, `[0,0,…]` takes sixteen times as much memory as its text, and its text some ten thousand times as much as what
/// it is compressed to.
#[test]
fn a_small_bundle_costs_no_gigabytes() {
    const CONFIG: &str = r#""config":{"payload":7}"#;
    /// Less than the smallest of them would take as values.
    const MOST: u64 = 500 << 20;
    let project = Project::new();
    let path = project.path().join("bundle.tar");
    let zeros = |text: usize| format!("[{}0]", "0,".repeat(text / 2));
    let replay = ["run", "replay", path.to_str().unwrap(), "--json"];
    for (text, said) in [
        (40 << 20, "has a `config` of 41943043 bytes where 16777216 are allowed"),
        (128 << 20, "line 1 of the journal is longer than "),
    ] {
        bundle_with(&path, "journal.zst", |journal| {
            assert_eq!(journal.matches(CONFIG).count(), 1);
            journal.replace(CONFIG, &format!("\"config\":{}", zeros(text)))
        });
        let bytes = fs::metadata(&path).unwrap().len();
        assert!(bytes < 300 << 10, "{bytes} bytes");
        let (output, held) = watched(&project, &replay);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &answer[0]["what"]), (Some(1), &"the journal".into()), "{answer}");
        assert!(answer[0]["replayed"].as_str().unwrap().contains(said), "{answer}");
        assert!(held < MOST, "{held} bytes were held");
    }
    bundle_with(&path, "run.json", |record| {
        let mut record: Value = serde_json::from_str(record).unwrap();
        record["config"] = "here".into();
        record.to_string().replace("\"here\"", &zeros(40 << 20))
    });
    let (output, held) = watched(&project, &replay[..3]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.starts_with("error[bundle.damaged]"), "{said}");
    assert!(said.contains("`run.json` has a `config` of 41943043 bytes where 16777216"), "{said}");
    assert!(held < MOST, "{held} bytes were held");
}
