//! What is told of guests that no SDK has built: traps without debug information, arguments that are too large, more
//! guests than there is room for; and how those end that would not end by themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is the report

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use datanode_core::Timestamp;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::progress::Progress;
use datanode_core::window::Window;
use datanode_sandbox::engine::{Allocation, FUEL_SLICE};
use datanode_sandbox::{
    CallReport, Cell, HostCall, HostCallError, HostCalls, HostReply, Interrupt, Limits, Sandbox,
    SandboxError, UpdateContext,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const MIB: u64 = 1 << 20;
/// Pages of memory that every guest here has: three MiB.
const PAGES: u64 = 3 * MIB / (64 << 10);

/// A component of the contract whose module has these functions, and whose `update` does this. It is named nowhere.
fn component(functions: &str, update: &str) -> Vec<u8> {
    component_with("", functions, update)
}

/// The same, whose allocator does this before it answers.
fn component_with(realloc: &str, functions: &str, update: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "datanode:node/frames@0.1.0" "emit" (func (param i32 i32)))
            (import "datanode:node/log@0.1.0" "write" (func (param i32 i32 i32 i32 i32)))
            (import "datanode:node/options@0.1.0" "get" (func (param i32 i32 i32)))
            (memory (export "memory") {PAGES})
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc} i32.const 65536)
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
    report(sandbox, component, calls).result
}

fn report(sandbox: &Sandbox, component: &[u8], calls: Box<dyn HostCalls>) -> CallReport {
    let component =
        sandbox.prepare("by_hand", component, datanode_core::component::ComponentClass::Pure).unwrap();
    let context = UpdateContext {
        index: vec!["time_index".to_owned()],
        progress: Arc::new(Progress::default()),
        window: Window { start: None, end: Timestamp::from_micros(0).unwrap() },
        is_backfill: false,
    };
    sandbox.update(&component, "{}", &context, calls)
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

/// The globals of each instance lie in the host's memory: a few kilobytes of code would take all that there is.
#[test]
fn a_component_that_the_host_would_keep_too_much_for_is_refused() {
    const GLOBALS: usize = 10_000;
    let sandbox = Sandbox::new(Limits::default()).unwrap();
    if sandbox.allocation() != Allocation::Pooling {
        // A machine with little address space has no pool, and bounds nothing.
        return;
    }
    let refused = |instances: usize| {
        let globals = "(global i64 (i64.const 0))".repeat(GLOBALS);
        let instance = |number| format!("(core instance $i{number} (instantiate $module))");
        let instances: String = (0..instances).map(instance).collect();
        let text = format!(
            r#"(component
                (core module $module (func (export "f")) {globals})
                {instances}
                (func $f (canon lift (core func $i0 "f")))
                (instance $node
                    (export "config" (func $f))
                    (export "dependencies" (func $f))
                    (export "update" (func $f)))
                (export "datanode:node/node@0.1.0" (instance $node)))"#
        );
        let component = wat::parse_str(text).unwrap();
        sandbox.prepare("by_hand", &component, datanode_core::component::ComponentClass::Pure).err()
    };
    // 16 bytes for each global: a hundred times 160,000 are less than 16 MiB, and a hundred and twenty are more.
    let error = refused(100);
    assert!(error.is_none(), "{error:?}");
    let error = refused(120).unwrap();
    assert_eq!((error.code(), error.class()), ("sandbox.prepare", ErrorClass::Refused));
    assert!(error.to_string().contains("16777216 bytes"), "{error}");
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

/// Counts what it answers, and says when it is gone: its guest's store is gone with it.
struct Counts {
    calls: Arc<AtomicU64>,
    interrupt: Interrupt,
    gone: Option<Sender<()>>,
}

impl Counts {
    fn boxed(calls: &Arc<AtomicU64>) -> Box<Self> {
        Box::new(Self { calls: Arc::clone(calls), interrupt: Interrupt::default(), gone: None })
    }
}

impl HostCalls for Counts {
    fn call(&mut self, _: HostCall<'_>) -> Result<HostReply, HostCallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(HostReply::Option(None))
    }

    fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        if let Some(gone) = &self.gone {
            gone.send(()).unwrap();
        }
    }
}

/// Asks for an option in each turn.
fn asks_in_turns(turns: u64) -> Vec<u8> {
    let body = format!(
        "(local $left i32)
         (local.set $left (i32.const {turns}))
         (loop $again
            (call {OPTION} (i32.const 2048) (i32.const 1) (i32.const 256))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"
    );
    component("", &body)
}

/// The last host call before fuel ends is a fact that others find again: slices must leave no trace in it. One unit of fuel
/// more than a multiple of a slice is no other than one unit more within the first.
#[test]
fn where_fuel_ends_has_nothing_to_do_with_slices() {
    let used = |turns| {
        let sandbox = Sandbox::new(Limits::default()).unwrap();
        let report = report(&sandbox, &asks_in_turns(turns), Box::new(Answers));
        report.result.unwrap();
        report.fuel
    };
    let per_turn = used(1_001) - used(1_000);
    assert!((5..50).contains(&per_turn), "{per_turn}");
    let endless = asks_in_turns(1 << 31);
    for cell in Cell::all().into_iter().step_by(4).filter(|cell| cell.missing().is_none()) {
        let asked_with = |fuel| {
            let calls = Arc::default();
            let sandbox = Sandbox::in_cell(cell, Limits { fuel, ..Limits::default() }).unwrap();
            let report = report(&sandbox, &endless, Counts::boxed(&calls));
            assert_eq!(report.result.unwrap_err().code(), "sandbox.limit.fuel");
            assert_eq!(report.fuel, fuel, "all of it is used");
            calls.load(Ordering::Relaxed)
        };
        let first = FUEL_SLICE / 2;
        let turns = 3 * FUEL_SLICE / per_turn;
        for fuel in first..first + per_turn {
            let (in_one, in_four) = (asked_with(fuel), asked_with(fuel + turns * per_turn));
            assert_eq!(in_four, in_one + turns, "{}: fuel {fuel}", cell.name());
        }
    }
}

/// Work without an end: whatever a guest does, it comes back often enough.
const ENDLESS: [(&str, &str, &str); 6] = [
    ("a loop", "", "(loop (br 0))"),
    ("before it is called", "(func $start (loop (br 0))) (start $start)", ""),
    ("calls without a loop", "(func $again (return_call $again))", "(call $again)"),
    ("large copies", "", "(loop (memory.copy (i32.const 0) (i32.const 1048576) (i32.const 2000000)) (br 0))"),
    ("small copies", "", "(loop (memory.copy (i32.const 0) (i32.const 64) (i32.const 8)) (br 0))"),
    ("growing by nothing", "", "(loop (drop (memory.grow (i32.const 0))) (br 0))"),
];

/// Fuel that lasts for years, and a watcher that looks ten times a second.
fn unbounded() -> Limits {
    Limits { fuel: 1 << 60, host_call_ms: 800, ..Limits::default() }
}

#[test]
fn a_guest_that_must_end_does_wherever_it_computes_and_leaves_nothing_behind() {
    for cell in [Cell::all()[0], Cell::all()[11]] {
        let sandbox = Sandbox::in_cell(cell, unbounded()).unwrap();
        for (what, functions, body) in ENDLESS {
            let (gone, is_gone) = channel();
            let interrupt = Interrupt::default();
            let calls = Counts { calls: Arc::default(), interrupt: interrupt.clone(), gone: Some(gone) };
            let guest = component(functions, body);
            let begun = Instant::now();
            interrupt.interrupt();
            let error = update(&sandbox, &guest, Box::new(calls)).unwrap_err();
            let told = (error.code(), error.class());
            assert_eq!(told, ("sandbox.limit.call_time", ErrorClass::Infrastructure), "{what}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:?}", begun.elapsed());
            // Not left behind: its store was gone before its error was told.
            is_gone.try_recv().unwrap_or_else(|_| panic!("{what}, {}: it is still there", cell.name()));
        }
    }
}

/// More of them than there are slots, stacks and threads that are kept: each gives back what it had.
#[test]
fn guests_that_were_ended_give_their_place_to_others() {
    let sandbox = Sandbox::new(unbounded()).unwrap();
    let endless = component("", "(loop (br 0))");
    for _ in 0..4 {
        std::thread::scope(|scope| {
            for _ in 0..48 {
                scope.spawn(|| {
                    let interrupt = Interrupt::default();
                    interrupt.interrupt();
                    let calls = Counts { calls: Arc::default(), interrupt, gone: None };
                    let error = update(&sandbox, &endless, Box::new(calls)).unwrap_err();
                    assert_eq!(error.code(), "sandbox.limit.call_time", "{error}");
                });
            }
        });
    }
    update(&sandbox, &asks_in_turns(10), Box::new(Answers)).unwrap();
}

/// By the clock, without anybody who interrupts.
#[test]
fn a_guest_that_takes_too_long_ends_by_the_clock_and_others_go_on() {
    let sandbox = Sandbox::new(Limits { call_seconds: 1, ..unbounded() }).unwrap();
    let endless = component("", "(loop (br 0))");
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| update(&sandbox, &endless, Box::new(Answers)).unwrap_err());
        while !ended.is_finished() {
            update(&sandbox, &asks_in_turns(20_000), Box::new(Answers)).unwrap();
        }
        let error = ended.join().unwrap();
        assert_eq!(error.code(), "sandbox.limit.call_time");
        let reached = error.guest().unwrap().limit.clone().unwrap();
        assert_eq!((reached.setting.as_str(), reached.value), ("call_seconds", 1));
    });
}

/// Uses so many KiB of the stack.
fn deep(kibibytes: u32) -> u64 {
    let mut block = [1_u8; 1 << 10];
    black_box(&mut block);
    let below = if kibibytes > 1 { deep(kibibytes - 1) } else { 0 };
    black_box(&mut block);
    below + u64::from(block[0])
}

struct Deep;

impl HostCalls for Deep {
    fn call(&mut self, _: HostCall<'_>) -> Result<HostReply, HostCallError> {
        assert_eq!(deep(1 << 10), 1 << 10);
        Ok(HostReply::Option(Some("1".to_owned())))
    }
}

/// A guest that falls so deep, and asks for an option there. Its allocator falls for ever once it has asked, or never.
fn falls(depth: u32, allocator_falls: bool) -> Vec<u8> {
    let functions = format!(
        "(global $asked (mut i32) (i32.const 0))
         (func $fall (param $left i32)
            (if (local.get $left)
                (then (call $fall (i32.sub (local.get $left) (i32.const 1)))
                    ;; Not by a tail call.
                    (i32.store (i32.const 1024) (local.get $left)))
                (else
                    (global.set $asked (i32.const {}))
                    (call {OPTION} (i32.const 2048) (i32.const 1) (i32.const 256)))))",
        i32::from(allocator_falls)
    );
    let realloc = "(if (global.get $asked) (then (call $fall (i32.const -1))))";
    component_with(realloc, &functions, &format!("(call $fall (i32.const {depth}))"))
}

/// The stack of host calls begins where the guest's may end, and so does that of the guest's allocator, which is called from
/// there: however deep a guest is, either ends the guest at most, and never the process.
#[test]
fn host_calls_and_what_they_call_have_a_stack_however_deep_the_guest_is() {
    let limits = Limits { stack_bytes: 8 << 20, ..Limits::default() };
    let sandbox = Sandbox::new(limits).unwrap();
    let from = |depth, allocator_falls| update(&sandbox, &falls(depth, allocator_falls), Box::new(Deep));
    // As deep as it can be, within a tenth.
    let (mut depth, mut deepest) = (10_000, 0);
    let error = loop {
        match from(depth, false) {
            Ok(()) => (deepest, depth) = (depth, depth + depth / 10),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "sandbox.limit.stack", "{error}");
    assert!(deepest > 50_000, "{deepest}");
    let error = from(deepest, true).unwrap_err();
    assert_eq!(error.code(), "sandbox.limit.stack", "{error}");
    from(deepest, false).unwrap();
}

struct Panics;

impl HostCalls for Panics {
    fn call(&mut self, _: HostCall<'_>) -> Result<HostReply, HostCallError> {
        panic!("on purpose");
    }
}

#[test]
fn a_panic_of_a_host_call_reaches_who_asked_and_nobody_else() {
    let sandbox = Sandbox::new(Limits::default()).unwrap();
    let asks = asks_in_turns(3);
    for _ in 0..3 {
        let panic = catch_unwind(AssertUnwindSafe(|| update(&sandbox, &asks, Box::new(Panics)))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        update(&sandbox, &asks, Box::new(Answers)).unwrap();
    }
}
