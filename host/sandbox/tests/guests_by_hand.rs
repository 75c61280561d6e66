//! What is told of guests that no SDK has built: traps without debug information, arguments that are too large, and more
//! guests than there is room for.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is the report

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use datanode_core::Timestamp;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::progress::Progress;
use datanode_core::window::Window;
use datanode_sandbox::engine::Allocation;
use datanode_sandbox::{
    HostCall, HostCallError, HostCalls, HostReply, Limits, Sandbox, SandboxError, UpdateContext,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const MIB: u64 = 1 << 20;
/// Pages of memory that every guest here has: three MiB.
const PAGES: u64 = 3 * MIB / (64 << 10);

/// A component of the contract whose module has these functions, and whose `update` does this. It is named nowhere.
fn component(functions: &str, update: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "datanode:node/frames@0.1.0" "emit" (func (param i32 i32)))
            (import "datanode:node/log@0.1.0" "write" (func (param i32 i32 i32 i32 i32)))
            (import "datanode:node/options@0.1.0" "get" (func (param i32 i32 i32)))
            (memory (export "memory") {PAGES})
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
            (func (export "datanode:node/node@0.1.0#config") (result i32) unreachable)
            (func (export "datanode:node/node@0.1.0#dependencies") (param i32 i32) (result i32) unreachable)
            (func (export "datanode:node/node@0.1.0#update")
                (param i32 i32 i32 i32 i32 i64 i32 i64 i32 i32 i32 i64 i64 i32) (result i32)
                {update}
                i32.const 16)
            {functions})"#
    );
    let mut module = wat::parse_str(text).unwrap();
    let mut contract = Resolve::default();
    let (package, _) =
        contract.push_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/v0")).unwrap();
    let world = contract.select_world(&[package], Some("data-node")).unwrap();
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

/// The imports, by the order in which the module has them.
const EMIT: u32 = 0;
const LOG: u32 = 1;
const OPTION: u32 = 2;
/// The first of the functions that a test adds.
const ADDED: u32 = 7;

/// Answers whatever it is asked.
struct Answers;

impl HostCalls for Answers {
    fn call(&mut self, call: HostCall<'_>) -> Result<HostReply, HostCallError> {
        Ok(match call {
            HostCall::Option { .. } => HostReply::Option(None),
            HostCall::Emit { .. } => HostReply::Emitted { rows: 0 },
            _ => HostReply::Done,
        })
    }
}

fn update(sandbox: &Sandbox, component: &[u8], calls: Box<dyn HostCalls>) -> Result<(), SandboxError> {
    let component =
        sandbox.prepare("by_hand", component, datanode_core::component::ComponentClass::Pure).unwrap();
    let context = UpdateContext {
        index: vec!["time_index".to_owned()],
        progress: Arc::new(Progress::default()),
        window: Window { start: None, end: Timestamp::from_micros(0).unwrap() },
        is_backfill: false,
    };
    sandbox.update(&component, "{}", &context, calls).result
}

/// What ends a guest under these limits.
fn ends(limits: Limits, component: &[u8]) -> SandboxError {
    update(&Sandbox::new(limits).unwrap(), component, Box::new(Answers)).unwrap_err()
}

/// Names, and no debug information: the function is told, and how to see its lines.
#[test]
fn a_trap_in_a_function_with_a_name_is_placed_there() {
    let divide = "(func $my_node_divide (result i32) (i32.div_s (i32.const 1) (i32.const 0)))";
    let error = ends(Limits::default(), &component(divide, "(drop (call $my_node_divide))"));
    assert_eq!((error.code(), error.class()), ("sandbox.trap", ErrorClass::Failed));
    let failure = error.guest().unwrap();
    let place = failure.place.as_ref().unwrap();
    assert_eq!((place.function.as_str(), place.location.as_ref()), ("my_node_divide", None));
    assert_eq!(failure.stack[0].function, "my_node_divide");
    assert!(error.to_string().contains("my_node_divide"), "{error}");
    assert!(error.next_step().unwrap().contains("line-tables-only"));
}

/// No names: the stack has numbers, which are nobody's place.
#[test]
fn a_trap_in_a_function_without_a_name_is_told_by_its_number() {
    let divide = "(func (result i32) (i32.div_s (i32.const 1) (i32.const 0)))";
    let error = ends(Limits::default(), &component(divide, &format!("(drop (call {ADDED}))")));
    assert_eq!(error.code(), "sandbox.trap");
    let failure = error.guest().unwrap();
    assert_eq!(failure.place, None);
    assert_eq!(failure.stack[0].function, format!("function {ADDED}"));
    assert!(error.next_step().unwrap().contains("line-tables-only"));
}

/// Whichever of the two checks comes first (the engine's, of all lists that cross over, or the host's own, of messages):
/// the limit that is named is the same.
#[test]
fn an_argument_beyond_the_limit_of_a_message_is_that_limit_whatever_is_called() {
    let limits = Limits { message_bytes: MIB, ..Limits::default() };
    for (what, bytes, ends_in_it) in [
        (EMIT, MIB + 1, true),
        (LOG, MIB + 1, true),
        (OPTION, MIB + 1, true),
        (EMIT, 2 * MIB, true),
        (LOG, 2 * MIB, true),
        (OPTION, 2 * MIB, true),
        (EMIT, MIB / 2, false),
        (LOG, MIB / 2, false),
        (OPTION, MIB / 2, false),
    ] {
        let text = format!("(i32.const 131072) (i32.const {bytes})");
        let call = match what {
            EMIT => format!("(call {EMIT} {text})"),
            LOG => format!("(call {LOG} (i32.const 1) {text} (i32.const 0) (i32.const 0))"),
            _ => format!("(call {OPTION} {text} (i32.const 256))"),
        };
        let sandbox = Sandbox::new(limits.clone()).unwrap();
        let answer = update(&sandbox, &component("", &call), Box::new(Answers));
        match answer {
            Ok(()) => assert!(!ends_in_it, "import {what} took {bytes} bytes"),
            Err(error) => {
                assert!(ends_in_it, "import {what}, {bytes} bytes: {error}");
                assert_eq!(
                    error.code(),
                    "sandbox.limit.message_bytes",
                    "import {what}, {bytes} bytes: {error}"
                );
                let reached = error.guest().unwrap().limit.clone().unwrap();
                assert_eq!((reached.setting.as_str(), reached.value), ("message_bytes", MIB));
            }
        }
    }
}

/// Says that it has begun, and waits until it may go on.
struct Waits {
    begun: Sender<()>,
    may_end: Arc<Mutex<Receiver<()>>>,
}

impl HostCalls for Waits {
    fn call(&mut self, _: HostCall<'_>) -> Result<HostReply, HostCallError> {
        self.begun.send(()).unwrap();
        // Ends when the other half is dropped.
        let _ = self.may_end.lock().unwrap().recv();
        Ok(HostReply::Option(None))
    }
}

#[test]
fn one_guest_more_than_there_is_room_for_is_told_to_come_again() {
    const ROOM: usize = 64;
    let sandbox = Sandbox::new(Limits::default()).unwrap();
    if sandbox.allocation() != Allocation::Pooling {
        // A machine with little address space has no pool, and bounds nothing.
        return;
    }
    let asks = component("", &format!("(call {OPTION} (i32.const 2048) (i32.const 1) (i32.const 256))"));
    let ((begun, has_begun), (go_on, may_end)) = (channel(), channel());
    let may_end = Arc::new(Mutex::new(may_end));
    let running: Vec<_> = (0..ROOM)
        .map(|_| {
            let (sandbox, asks) = (sandbox.clone(), asks.clone());
            let calls = Waits { begun: begun.clone(), may_end: Arc::clone(&may_end) };
            std::thread::spawn(move || update(&sandbox, &asks, Box::new(calls)))
        })
        .collect();
    for _ in 0..ROOM {
        has_begun.recv().unwrap();
    }
    let refused = update(&sandbox, &asks, Box::new(Answers)).unwrap_err();
    assert_eq!((refused.code(), refused.class()), ("sandbox.busy", ErrorClass::Infrastructure), "{refused}");
    assert!(refused.next_step().is_some());
    drop(go_on);
    for guest in running {
        guest.join().unwrap().unwrap();
    }
    update(&sandbox, &asks, Box::new(Answers)).unwrap();
}
