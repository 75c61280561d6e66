//! What comes out as bytes: the same where there is nothing to do, and an error where there is no component.

#![allow(clippy::unwrap_used)] // a panic here is a failed test

use datanode_rewrite::{Nan, RewriteError, VERSION, component};
use sha2::{Digest, Sha256};

/// A store of a sum, with debug information and a name.
const SUM: &str = r#"(component
  (core module $m
    (memory 1)
    (func $sum (export "sum") (param f64)
      (f64.store (i32.const 0) (f64.add (local.get 0) (f64.const 1))))
    (@custom ".debug_line" "places"))
  (component (core module (func (drop (f32.demote_f64 (f64.const 1))))))
  (core instance (instantiate $m)))"#;

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn what_computes_nothing_stays_byte_for_byte() {
    let text = r#"(component
      (core module $m (memory 1) (func (export "f") (param f64) (f64.store (i32.const 0) (local.get 0))))
      (core instance (instantiate $m)))"#;
    let bytes = wat::parse_str(text).unwrap();
    assert_eq!(component(&bytes, Nan::Canonical).unwrap().bytes, bytes);
}

#[test]
fn debug_information_is_left_away_and_names_are_kept() {
    let bytes = wat::parse_str(SUM).unwrap();
    let rewritten = component(&bytes, Nan::Canonical).unwrap();
    assert!(holds(&bytes, b".debug_line") && !holds(&rewritten.bytes, b".debug_line"));
    assert!(holds(&rewritten.bytes, b"sum"));
    assert!(rewritten.has_lines && !component(&rewritten.bytes, Nan::Canonical).unwrap().has_lines);
}

#[test]
fn each_instruction_leads_to_where_it_was() {
    const ADD: u8 = 0xa0;
    const STORE: [u8; 3] = [0x39, 0x03, 0x00];
    let before = wat::parse_str(SUM).unwrap();
    let rewritten = component(&before, Nan::Canonical).unwrap();
    let place = |bytes: &[u8]| bytes.windows(3).position(|window| window == STORE).unwrap();
    let (was, is) = (place(&before), place(&rewritten.bytes));
    assert!(is > was);
    // The function begins with its locals, of which it has got one; before them stands its size.
    let function = rewritten.bytes.windows(3).position(|window| window == [1, 1, 0x7c]).unwrap();
    assert_eq!(rewritten.spans.before(function, is), Some(was));
    // All that was inserted belongs to the addition.
    assert_eq!((before[was - 1], rewritten.spans.before(function, is - 1)), (ADD, Some(was - 1)));
    assert_eq!(rewritten.spans.before(function + 1, is), None, "no function begins there");
}

#[test]
fn what_is_cut_off_or_damaged_is_refused_or_stays_harmless() {
    let bytes = wat::parse_str(SUM).unwrap();
    let mut refused = 0;
    for at in 0..bytes.len() {
        refused += u32::from(component(&bytes[..at], Nan::Canonical).is_err());
        for flip in [0x01, 0x40, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let _ = component(&damaged, Nan::Canonical);
        }
    }
    // A cut between two sections leaves a smaller component.
    assert!(refused as usize > bytes.len() - 10, "{refused} of {}", bytes.len());
}

#[test]
fn components_are_not_opened_without_end() {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..200 {
        let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
        // The size, in a number of five bytes.
        let low = |at: usize| (bytes.len() >> (7 * at)).to_le_bytes()[0] & 0x7f;
        outer.extend((0..5).map(|at| low(at) | if at < 4 { 0x80 } else { 0 }));
        outer.extend(bytes);
        bytes = outer;
    }
    assert!(matches!(component(&bytes, Nan::Canonical), Err(RewriteError::Nested)));
}

#[test]
fn a_function_that_has_no_room_is_refused_by_its_bounds() {
    let of = |locals: usize, body: &str| {
        let locals = "i32 ".repeat(locals);
        let text = format!("(component (core module (memory 1) (func) (func (local {locals}) {body})))");
        component(&wat::parse_str(text).unwrap(), Nan::Canonical)
    };
    let sum = "(f64.store (i32.const 0) (f64.add (f64.const 1) (f64.const 2)))";
    assert!(of(49_999, sum).is_ok() && of(50_000, "").is_ok());
    let error = of(50_000, sum).unwrap_err();
    assert!(matches!(error, RewriteError::Function { function: 1, locals: 50_001, .. }), "{error}");
}

/// Fuel of runs and compiled code on disk are told apart by the version: what is written otherwise must have another.
#[test]
fn what_is_written_belongs_to_the_version() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/rewrite");
    let mut files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(component(&std::fs::read(file).unwrap(), Nan::Canonical).unwrap().bytes);
    }
    let digest = hash.finalize();
    let (begin, _) = digest.split_first_chunk().unwrap();
    assert_eq!((VERSION, u64::from_be_bytes(*begin)), (1, 0xe8da_63bd_68ed_d5f4));
}
