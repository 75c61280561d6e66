//! The published vectors of `tests/vectors`, which SDKs and clients in other languages share.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::process::{Command, Stdio};

use datanode_core::Timestamp;
use datanode_core::config::{Config, ConfigError, ConfigSchema};
use datanode_core::diagnostic::Diagnostic;
use datanode_core::hash::{canonical_document, update_hash};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    component: String,
    config_schema: Value,
    config: String,
    tables: BTreeMap<String, String>,
    hash_namespace: String,
    default_offset_start: Option<Timestamp>,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Identity { canonical: String, sha256: String, update_hash: String },
    Refusal { error: String },
}

fn vectors() -> Vec<Vector> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/update_hash.json");
    let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    vectors.vectors
}

fn resolve(vector: &Vector) -> Result<Config, ConfigError> {
    let schema = ConfigSchema::parse(&vector.config_schema).unwrap();
    let schema = schema.with_default_offset_start(vector.default_offset_start);
    schema.resolve(&vector.config, usize::MAX, |table| vector.tables.get(table).cloned())
}

#[test]
fn every_vector_has_its_document_its_hash_or_its_refusal() {
    for vector in vectors() {
        match (&vector.expected, resolve(&vector)) {
            (Expected::Identity { canonical, sha256, update_hash: hash }, Ok(config)) => {
                let document = canonical_document(&vector.component, &config, &vector.hash_namespace);
                assert_eq!(document, *canonical, "{}", vector.name);
                assert_eq!(
                    update_hash(&vector.component, &config, &vector.hash_namespace),
                    *hash,
                    "{}",
                    vector.name
                );
                assert_eq!(hash.rsplit('_').next().unwrap(), &sha256[..32], "{}", vector.name);
            }
            (Expected::Refusal { error }, Err(refusal)) => {
                assert_eq!(refusal.code(), error, "{}", vector.name);
            }
            (_, outcome) => panic!("{}: {outcome:?}", vector.name),
        }
    }
}

/// Without any code of ours: the system's own tool on the published documents.
#[test]
fn sha256sum_agrees_with_every_vector() {
    for vector in vectors() {
        let Expected::Identity { canonical, sha256, .. } = &vector.expected else { continue };
        let mut tool = Command::new("sha256sum")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sha256sum, of coreutils");
        tool.stdin.take().unwrap().write_all(canonical.as_bytes()).unwrap();
        let said = String::from_utf8(tool.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(said.split_whitespace().next(), Some(sha256.as_str()), "{}", vector.name);
    }
}

/// One document, one hash, and the other way round: no two documents among the vectors share a hash.
#[test]
fn equal_documents_and_only_these_have_equal_hashes() {
    let mut hashes = HashMap::new();
    let mut documents = HashSet::new();
    for vector in vectors() {
        if let Expected::Identity { canonical, update_hash, .. } = vector.expected {
            documents.insert(canonical.clone());
            let first = hashes.entry(update_hash).or_insert_with(|| canonical.clone());
            assert_eq!(*first, canonical, "{}", vector.name);
        }
    }
    assert_eq!(hashes.len(), documents.len());
    assert!(documents.len() >= 40, "enough different documents to mean something: {}", documents.len());
}

/// The vectors of the helpers' answers, by a script without any code of an SDK.
#[test]
fn the_script_agrees_with_every_vector_of_update_statistics() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/check_update_statistics.py");
    let output = Command::new("python3").arg(script).output().expect("python3 runs the independent check");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let vectors: usize = said.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(vectors >= 60, "{said}");
}
