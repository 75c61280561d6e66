//! Each target over its corpus and some thousand mutations of it, the same ones each time: what CI runs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use datanode_fuzz_targets::mutate::{Seed, near};
use datanode_fuzz_targets::{TARGETS, Target};

/// Inputs of each target; of those that call a guest, fewer.
const ROUNDS: u64 = 4_000;
const ROUNDS_OF_GUESTS: u64 = 150;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn smoke(name: &str) {
    let (_, target): &Target = TARGETS.iter().find(|target| target.0 == name).expect("a target");
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "no corpus of {name}");
    for input in &corpus {
        target(input);
    }
    let rounds = if name == "bundle" { ROUNDS_OF_GUESTS } else { ROUNDS };
    for round in 0..rounds {
        let input = near(&corpus, &mut Seed::new(round));
        let answered = std::panic::catch_unwind(|| target(&input));
        assert!(answered.is_ok(), "{name}, round {round}: {:?}", String::from_utf8_lossy(&input));
    }
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            smoke(stringify!($name));
        })*

        #[test]
        fn no_target_is_left_out() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.0).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets!(frame, contract, config, sql, journal, rewrite, upload, bundle, symbols);
