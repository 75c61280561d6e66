//! WASI for components of class *stubbed*: a fixed list of interfaces, answered by constants of the host.
//!
//! A language runtime that was built with WASI looks at a clock and draws random numbers whether its author asked for it
//! or not. Here it gets answers that follow from what it was called with, so that a run of it can be replayed like any
//! other:
//!
//! | interface | answer |
//! | --- | --- |
//! | `wasi:clocks/wall-clock` | the end of the window, for ever; 1970-01-01 outside of `update` |
//! | `wasi:clocks/monotonic-clock` | begins at 0 and moves by a microsecond each time that it is read; waiting is over at once, and moves it there |
//! | `wasi:random/*` | SHA-256 of a seed and a counter; the seed is made of the component's bytes, the config and the window |
//! | `wasi:cli/environment` | no variables, no arguments, no directory |
//! | `wasi:cli/stdout`, `stderr` | lines of the log, of level info and warn |
//! | `wasi:cli/stdin` | at its end |
//! | `wasi:cli/terminal-*` | none of the three is a terminal |
//! | `wasi:cli/exit` | ends the call with an error |
//! | `wasi:filesystem/*` | no directory is open, so there is nothing to call |
//! | `wasi:io/*` | streams of the above; everything is ready at once |
//!
//! Sockets and HTTP are on no list. By hand and not by wasmtime-wasi: its clocks and streams can be replaced, but it waits
//! in real time for what a guest polls, on a runtime of its own, and it links files and sockets that must then be proven
//! to be out of reach. What is not here cannot be reached.

mod cli;
mod clocks;
mod files;
mod io;
mod output;
mod random;

use datanode_core::digest::{Digest, Digester};
use datanode_core::window::Window;
use wasmtime::component::Linker;

use crate::linker::State;
use output::Lines;
use random::Generator;

/// Interfaces that may be answered by constants. Any version `0.2.x` of them.
pub const STUBBED_IMPORTS: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// The version that is linked; components that were built for another 0.2 are given this one.
const VERSION: &str = "0.2.12";

/// Whether an import is one of [`STUBBED_IMPORTS`].
pub(crate) fn is_stubbed(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    let patch = version.strip_prefix("0.2.");
    let is_number = |patch: &str| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit());
    STUBBED_IMPORTS.contains(&interface) && patch.is_some_and(is_number)
}

/// What WASI answers during one call of a guest.
#[derive(Debug)]
pub(crate) struct Stubs {
    /// Microseconds since 1970-01-01T00:00:00Z.
    now: i64,
    /// Nanoseconds since the call began.
    elapsed: u64,
    identity: Identity,
    /// Made when a number is drawn: hardly a call draws one.
    random: Option<Generator>,
    insecure: Option<Generator>,
    out: Lines,
    err: Lines,
}

impl Stubs {
    /// Of a call of `update`: `config` as the guest gets it.
    pub(crate) fn of_update(component: &Digest, config: &str, window: Window, is_backfill: bool) -> Self {
        let (argument, update) = (config.to_owned(), Some((window, is_backfill)));
        let identity = Identity { component: *component, function: "update", argument, update };
        Self::new(window.end.micros(), identity)
    }

    /// Of a call of another function.
    pub(crate) fn of(component: &Digest, function: &'static str, argument: &str) -> Self {
        let argument = argument.to_owned();
        Self::new(0, Identity { component: *component, function, argument, update: None })
    }

    fn new(now: i64, identity: Identity) -> Self {
        let (out, err) = (Lines::default(), Lines::default());
        Self { now, elapsed: 0, identity, random: None, insecure: None, out, err }
    }

    fn random(&mut self) -> &mut Generator {
        let Self { identity, random, .. } = self;
        random.get_or_insert_with(|| Generator::new(identity.seed("wasi:random")))
    }

    fn insecure(&mut self) -> &mut Generator {
        let Self { identity, insecure, .. } = self;
        insecure.get_or_insert_with(|| Generator::new(identity.seed("wasi:random/insecure")))
    }
}

/// What one call is told from others by.
#[derive(Debug)]
struct Identity {
    component: Digest,
    function: &'static str,
    argument: String,
    /// Of `update`: its window, and whether it fills the past.
    update: Option<(Window, bool)>,
}

impl Identity {
    /// What this call draws from, for one purpose.
    fn seed(&self, purpose: &str) -> Digest {
        let mut digest = Digester::default();
        // Each part with its length: no two identities make the same text.
        let mut add = |part: &str| digest.update(format!("{}:{part}\n", part.len()).as_bytes());
        add(purpose);
        add(self.function);
        add(&self.component.to_string());
        add(&self.argument);
        if let Some((window, is_backfill)) = self.update {
            add(&window.start.map_or(String::new(), |start| start.micros().to_string()));
            add(&window.end.micros().to_string());
            add(&is_backfill.to_string());
        }
        digest.finish()
    }
}

/// Link the whole list. What a component may import is decided by name before.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    io::link(linker)?;
    cli::link(linker)?;
    clocks::link(linker)?;
    files::link(linker)?;
    random::link(linker)
}

/// An interface by its name without version.
fn versioned(interface: &str) -> String {
    format!("{interface}@{VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_exact() {
        assert!(is_stubbed("wasi:io/streams@0.2.0"));
        assert!(is_stubbed("wasi:clocks/wall-clock@0.2.12"));
        for other in [
            "wasi:io/streams",
            "wasi:io/streams@0.3.0",
            "wasi:io/streams@0.2",
            "wasi:io/streams@0.2.",
            "wasi:io/streams@0.2.0-rc",
            "wasi:sockets/tcp@0.2.0",
            "wasi:sockets/instance-network@0.2.0",
            "wasi:http/types@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:io/streams2@0.2.0",
            "evil:io/streams@0.2.0",
        ] {
            assert!(!is_stubbed(other), "{other}");
        }
    }

    #[test]
    fn whatever_a_call_is_given_is_a_part_of_its_seed() {
        let time = |text: &str| text.parse().unwrap();
        let window = |start: Option<&str>, end: &str| Window { start: start.map(time), end: time(end) };
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let plain = window(None, "2026-01-01");
        let of_update = |component, config, window, backfill| {
            Stubs::of_update(component, config, window, backfill).random().bytes(32)
        };
        let drawn = [
            of_update(&one, "{}", plain, false),
            of_update(&two, "{}", plain, false),
            of_update(&one, "[]", plain, false),
            of_update(&one, "{}", window(Some("2025-01-01"), "2026-01-01"), false),
            of_update(&one, "{}", window(None, "2026-01-02"), false),
            of_update(&one, "{}", plain, true),
            Stubs::of_update(&one, "{}", plain, false).insecure().bytes(32),
            Stubs::of(&one, "config", "").random().bytes(32),
            Stubs::of(&one, "dependencies", "{}").random().bytes(32),
        ];
        let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
        assert_eq!(distinct.len(), drawn.len());
        assert_eq!(of_update(&one, "{}", plain, false), drawn[0]);
    }
}
