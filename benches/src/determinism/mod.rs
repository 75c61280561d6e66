//! What determinism costs: nodes in the sandbox, with and without each setting, beside the same nodes as native programs.

mod inputs;
mod native;
mod sandboxed;
mod worker;

use std::sync::Arc;

use crate::calls::built;
use crate::measure::by_turns;
use crate::report::{Goal, Line, Unit};
use inputs::Inputs;
use native::Native;
use sandboxed::{SETTINGS, Sandboxed};
pub(crate) use worker::child;

const ROUNDS: usize = 9;

/// Names of the nodes, and what they are measured on.
const NODES: [(&str, &str); 4] = [
    ("ecb_daily_fx_rates", "the bank's whole file"),
    ("fx_log_returns", "all rates"),
    ("fx_rolling_volatility", "all returns"),
    ("column_arithmetic", "10 M values"),
];

/// Goal of the issue.
const GOAL: Goal = Goal::RatioAtMost(1.5);
const WHY: &str = "the lines below take the settings away one by one. That without both is what WebAssembly costs without \
     them; where in it, they do not say. Fuel is counted in each turn of a loop, and NaN is made canonical after each \
     operation. Both stay: fuel is the one limit that ends a guest at the same place on every machine, and a NaN with \
     other bits would be another row. What was weighed against them: \
     [what determinism costs](../replay.md#what-determinism-costs-and-what-was-weighed).";

pub(crate) fn settings() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut emitted = Vec::new();
    for (name, on) in NODES {
        let inputs = Arc::new(Inputs::of(name, &emitted));
        let bytes = built(name);
        let mut native = Native::start(name, &inputs);
        for (number, settings) in SETTINGS.iter().enumerate() {
            let Some(sandboxed) = Sandboxed::new(settings, &bytes, Arc::clone(&inputs)) else { continue };
            if number == 0 {
                // What this node emits is what the next one reads; and both sides must have done the same work.
                emitted = sandboxed.emitted();
                let bytes: usize = emitted.iter().map(Vec::len).sum();
                assert_eq!(bytes as u64, native.emitted(), "{name}: native and sandboxed emit as much");
            }
            let pair = by_turns(ROUNDS, || sandboxed.update(), || native.update());
            let what = format!("{name} on {on}, {}", settings.name);
            let line = Line::new(what, "native Rust", Unit::Seconds, pair.fastest());
            lines.push(if number == 0 { line.goal(GOAL, WHY) } else { line });
        }
    }
    lines.push(worker::round_trip());
    lines
}
