//! What determinism costs: nodes in the sandbox, with and without each setting, beside the same nodes as native programs.

mod inputs;
mod native;
mod sandboxed;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use crate::calls::built;
use crate::measure::fastest_of_each;
use crate::report::{Goal, Line, Unit};
use inputs::Inputs;
use native::Native;
use sandboxed::{SETTINGS, Sandboxed};
pub(crate) use worker::child;

/// The machine's other work comes and goes within seconds: all settings of a node are measured in each round.
const ROUNDS: usize = 21;

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
     them; where in it, they do not say. Fuel is counted in each turn of a loop. It stays, for it is the one limit that ends a \
     guest at the same place on every machine. What was weighed against it: \
     [what determinism costs](../replay.md#what-determinism-costs-and-what-was-weighed).";

pub(crate) fn settings() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut emitted = Vec::new();
    for (name, on) in NODES {
        let inputs = Arc::new(Inputs::of(name, &emitted));
        let bytes = built(name);
        let mut native = Native::start(name, &inputs);
        let ours: Vec<(&str, Sandboxed)> = SETTINGS
            .iter()
            .filter_map(|settings| {
                Some((settings.name, Sandboxed::new(settings, &bytes, Arc::clone(&inputs))?))
            })
            .collect();
        // What this node emits is what the next one reads; and both sides must have done the same work.
        emitted = ours[0].1.emitted();
        let bytes: usize = emitted.iter().map(Vec::len).sum();
        assert_eq!(bytes as u64, native.emitted(), "{name}: native and sandboxed emit as much");
        let mut updates: Vec<Box<dyn FnMut() -> Duration + '_>> = vec![Box::new(|| native.update())];
        for (_, sandboxed) in &ours {
            updates.push(Box::new(|| sandboxed.update()));
        }
        let fastest = fastest_of_each(ROUNDS, &mut updates);
        for ((settings, _), seconds) in ours.iter().zip(&fastest[1..]) {
            let what = format!("{name} on {on}, {settings}");
            let line = Line::new(what, "native Rust", Unit::Seconds, (*seconds, fastest[0]));
            lines.push(if *settings == SETTINGS[0].name { line.goal(GOAL, WHY) } else { line });
        }
    }
    lines.push(worker::round_trip());
    lines
}
