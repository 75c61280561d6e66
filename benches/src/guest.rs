//! Guests that cost next to nothing, so that what is measured is the host: core modules by hand, made into components
//! of the contract.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where the guest keeps what it emits and what it is given: both always at the same place, which is warm.
const BUFFER: u32 = 65_536;

/// A component whose `update` does this.
fn component(update: &str, buffer_bytes: usize) -> Vec<u8> {
    let pages = (BUFFER as usize + buffer_bytes).div_ceil(1 << 16);
    // The last: where `update` finds its answer, whose zeros say that all went well.
    let text = format!(
        r#"(module
            (import "datanode:node/frames@0.1.0" "open" (func $open (param i32 i32)))
            (import "datanode:node/frames@0.1.0" "[method]frame-reader.next" (func $next (param i32 i32)))
            (import "datanode:node/frames@0.1.0" "emit" (func $emit (param i32 i32)))
            (import "datanode:node/options@0.1.0" "get" (func $get (param i32 i32 i32)))
            (memory (export "memory") {pages})
            (data (i32.const 2048) "d")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const {BUFFER})
            (func (export "datanode:node/node@0.1.0#config") (result i32) unreachable)
            (func (export "datanode:node/node@0.1.0#dependencies") (param i32 i32) (result i32) unreachable)
            (func (export "datanode:node/node@0.1.0#update")
                (param i32 i32 i32 i32 i32 i64 i32 i64 i32 i32 i32 i64 i64 i32) (result i32)
                (local $left i32)
                {update}
                i32.const 16))"#
    );
    let mut module = wat::parse_str(text).unwrap();
    let mut contract = Resolve::default();
    let wit = datanode_tests::root().join("wit/v0");
    let (package, _) = contract.push_path(wit).unwrap();
    let world = contract.select_world(&[package], Some("data-node")).unwrap();
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

/// Does nothing.
pub(crate) fn idle() -> Vec<u8> {
    component("", 1024)
}

/// Asks so many times for an option of one letter.
pub(crate) fn asks(times: u32) -> Vec<u8> {
    repeat(times, "(call $get (i32.const 2048) (i32.const 1) (i32.const 256))", 1024)
}

/// Emits a message of so many bytes so many times.
pub(crate) fn emits(times: u32, bytes: usize) -> Vec<u8> {
    repeat(times, &format!("(call $emit (i32.const {BUFFER}) (i32.const {bytes}))"), bytes)
}

/// Opens the dependency `d` and takes its messages, each of at most so many bytes.
pub(crate) fn reads(bytes: usize) -> Vec<u8> {
    let update = r"
        (i32.store (i32.const 1024) (i32.const 2048))
        (i32.store (i32.const 1028) (i32.const 1))
        (call $open (i32.const 1024) (i32.const 512))
        (loop $again
            (call $next (i32.load (i32.const 516)) (i32.const 256))
            (br_if $again (i32.load8_u (i32.const 256))))";
    component(update, bytes)
}

fn repeat(times: u32, what: &str, buffer_bytes: usize) -> Vec<u8> {
    let update = format!(
        "(local.set $left (i32.const {times}))
         (loop $again
            {what}
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"
    );
    component(&update, buffer_bytes)
}
