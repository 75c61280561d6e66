//! Fresh instances, and the calls between host and guest.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use datanode_core::Timestamp;
use datanode_core::component::ComponentClass;
use datanode_core::progress::Progress;
use datanode_core::window::Window;
use datanode_sandbox::{
    Component, HostCall, HostCallError, HostCalls, HostReply, Limits, Sandbox, UpdateContext,
};

use crate::guest;
use crate::measure::{by_turns, each};
use crate::raw::{Emit, Raw, host_engine, on_demand_engine};
use crate::report::{Goal, Line, Unit};

/// Answers that cost nothing.
pub(crate) struct Nothing;

impl HostCalls for Nothing {
    fn call(&mut self, call: HostCall<'_>) -> Result<HostReply, HostCallError> {
        Ok(match call {
            HostCall::Option { .. } => HostReply::Option(None),
            HostCall::Emit { message } => {
                std::hint::black_box(message);
                HostReply::Emitted { rows: 0 }
            }
            _ => HostReply::Done,
        })
    }
}

/// A sandbox whose limits no line reaches.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(Limits { emit_bytes: 1 << 60, read_bytes: 1 << 60, ..Limits::default() }).unwrap()
}

/// Call `update` as a run does.
pub(crate) fn update(sandbox: &Sandbox, component: &Component, calls: Box<dyn HostCalls>) {
    let context = UpdateContext {
        index: vec!["time_index".to_owned()],
        progress: Arc::new(Progress::default()),
        window: Window { start: None, end: Timestamp::from_micros(0).unwrap() },
        is_backfill: false,
    };
    sandbox.update(component, "{}", &context, calls).result.unwrap();
}

/// A component of this repository, built before.
pub(crate) fn built(name: &str) -> Vec<u8> {
    fs::read(datanode_tests::component(name)).unwrap()
}

const ROUNDS: usize = 21;
/// Host calls in a row, of which one is told.
const ASKED: u32 = 100_000;

/// How long one host call takes, each time that it is asked.
pub(crate) fn host_call() -> impl Fn() -> Duration {
    let sandbox = sandbox();
    let asks = sandbox.prepare("bench", &guest::asks(ASKED), ComponentClass::Pure).unwrap();
    move || each(1, || update(&sandbox, &asks, Box::new(Nothing))) / ASKED
}

pub(crate) fn instantiate() -> Vec<Line> {
    const TIMES: u32 = 200;
    let sandbox = sandbox();
    let mut lines = Vec::new();
    for (what, bytes) in [("smallest guest", guest::idle()), ("guest of the Rust SDK", built("many_rows"))] {
        let component = sandbox.prepare("bench", &bytes, ComponentClass::Pure).unwrap();
        let ours = || each(TIMES, || sandbox.instantiate(&component, Box::new(Nothing)).unwrap());
        let same = Raw::new(host_engine(), &bytes, Emit::InPlace);
        let pair = by_turns(ROUNDS, ours, || each(TIMES, || same.instantiate())).fastest();
        lines.push(
            Line::new(format!("instantiate, {what}"), "wasmtime, same pool", Unit::Seconds, pair).goal(
                Goal::RatioAtMost(1.3),
                "a store of the host carries its limits, the counters of host calls and a limiter, which an empty \
                 store does not.",
            ),
        );
        let anew = Raw::new(on_demand_engine(), &bytes, Emit::InPlace);
        let pair = by_turns(ROUNDS, ours, || each(TIMES, || anew.instantiate())).fastest();
        let floor_is = "wasmtime, allocated on demand";
        lines.push(Line::new(format!("instantiate, {what}"), floor_is, Unit::Seconds, pair));
    }
    lines
}

pub(crate) fn call() -> Vec<Line> {
    const TIMES: u32 = 200;
    let sandbox = sandbox();
    let idle = guest::idle();
    let (component, raw) = (
        sandbox.prepare("bench", &idle, ComponentClass::Pure).unwrap(),
        Raw::new(host_engine(), &idle, Emit::InPlace),
    );
    let pair = by_turns(
        ROUNDS,
        || each(TIMES, || update(&sandbox, &component, Box::new(Nothing))),
        || each(TIMES, || raw.update()),
    );
    let into = Line::new(
        "call of `update`, instance included",
        "wasmtime, same pool",
        Unit::Seconds,
        pair.fastest(),
    );

    let raw = Raw::new(host_engine(), &guest::asks(ASKED), Emit::InPlace);
    let pair = by_turns(ROUNDS, host_call(), || each(1, || raw.update()) / ASKED);
    let out = Line::new(
        "host call (`options.get`), guest to host and back",
        "wasmtime, function that does nothing",
        Unit::Seconds,
        pair.fastest(),
    );
    vec![into, out]
}
