//! What a rewritten component computes is what the engine computes when it makes each NaN canonical itself.

#![allow(clippy::unwrap_used)] // a panic here is a failed test

#[path = "same/program.rs"]
mod program;

use std::cell::Cell;

use datanode_rewrite::{Nan, component};
use program::Choices;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel, Store};

/// By whom NaN is made canonical, if by anybody.
fn engine(makes_canonical: bool, level: OptLevel) -> Engine {
    let mut config = Config::new();
    config.cranelift_nan_canonicalization(makes_canonical).cranelift_opt_level(level);
    config.consume_fuel(true).concurrency_support(false).wasm_relaxed_simd(false);
    Engine::new(&config).unwrap()
}

fn digest(engine: &Engine, bytes: &[u8]) -> u64 {
    let compiled = Component::new(engine, bytes).unwrap();
    let mut store = Store::new(engine, ());
    store.set_fuel(1 << 30).unwrap();
    let instance = Linker::new(engine).instantiate(&mut store, &compiled).unwrap();
    let run = instance.get_typed_func::<(), (u64,)>(&mut store, "run").unwrap();
    run.call(&mut store, ()).unwrap().0
}

fn of_choices(choices: &[u8]) -> (String, Vec<u8>) {
    let text = program::component(&mut Choices(choices.iter()));
    let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, bytes)
}

/// Of how many programs of this test it would have been noticed, had nothing been made canonical.
#[test]
fn programs_compute_the_same_and_would_not_if_nan_were_left() {
    let theirs = engine(true, OptLevel::Speed);
    let ours = [engine(false, OptLevel::Speed), engine(false, OptLevel::None)];
    let (programs, noticed) = (Cell::new(0), Cell::new(0));
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let choices = prop::collection::vec(any::<u8>(), 0..600);
    let outcome = runner.run(&choices, |choices| {
        let (text, bytes) = of_choices(&choices);
        let expected = digest(&theirs, &bytes);
        let rewritten = component(&bytes, Nan::Canonical).unwrap();
        for engine in &ours {
            let found = digest(engine, &rewritten.bytes);
            if found != expected {
                return Err(TestCaseError::fail(format!("{found:x} and not {expected:x}:\n{text}")));
            }
        }
        let left = component(&bytes, Nan::Left).unwrap();
        prop_assert_eq!(&left.bytes, &bytes, "nothing is changed where nothing is to be");
        programs.set(programs.get() + 1);
        let is_noticed = digest(&ours[0], &left.bytes) != expected;
        noticed.set(noticed.get() + u32::from(is_noticed));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (programs, noticed) = (programs.get(), noticed.get());
    assert!(noticed * 4 > programs, "of {programs} programs, {noticed} look at a NaN that they computed");
}

/// A component whose function `run` is that of the module, as it is given and as it is rewritten.
fn of_module(module: &str) -> [Vec<u8>; 2] {
    let text = format!(
        r#"(component
          (core module $m (memory 1) {module})
          (core instance $i (instantiate $m))
          (func (export "run") (result u64) (canon lift (core func $i "run"))))"#
    );
    let given = wat::parse_str(text).unwrap();
    let rewritten = component(&given, Nan::Canonical).unwrap().bytes;
    [given, rewritten]
}

/// Language runtimes keep pointers in the bits of NaN, and move them as numbers.
#[test]
fn bits_that_were_not_computed_are_kept() {
    let [_, rewritten] = of_module(
        r#"(data (i32.const 0) "\01\23\45\67\89\ab\fc\ff")
        (func $same (param f64) (result f64) (local f64)
          (local.set 1 (f64.add (local.get 0) (f64.const 1)))
          (if (f64.eq (local.get 1) (local.get 1)) (then (local.set 0 (local.get 1))))
          (local.get 0))
        (func (export "run") (result i64) (local f64)
          (local.set 0 (f64.load (i32.const 0)))
          (f64.store (i32.const 8) (call $same (local.get 0)))
          (i64.load (i32.const 8)))"#,
    );
    assert_eq!(digest(&engine(false, OptLevel::Speed), &rewritten), 0xfffc_ab89_6745_2301);
}

/// A payload that is none once the sum of two lanes is canonical, read as a lane of its own.
#[test]
fn lanes_are_read_in_another_layout() {
    let [given, rewritten] = of_module(
        r#"(data (i32.const 0) "\00\00\80\3f\00\00\f8\7f")
        (func (export "run") (result i64) (local v128)
          (local.set 0 (v128.load (i32.const 0)))
          (local.set 0 (f64x2.add (local.get 0) (v128.const f64x2 1 1)))
          (i64x2.extract_lane 0 (f32x4.add (local.get 0) (v128.const f32x4 1 1 1 1))))"#,
    );
    let expected = digest(&engine(true, OptLevel::Speed), &given);
    assert_eq!(expected, 0x7fc0_0000_3f80_0000);
    assert_eq!(digest(&engine(false, OptLevel::Speed), &rewritten), expected);
}
