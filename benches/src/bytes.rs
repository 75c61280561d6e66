//! Bytes into a guest and out of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use datanode_core::component::ComponentClass;
use datanode_sandbox::{HostCall, HostCallError, HostCalls, HostReply};

use crate::calls::{Nothing, sandbox, update};
use crate::measure::{by_turns, each};
use crate::raw::{Emit, Raw, host_engine};
use crate::report::{Goal, Line, Unit};
use crate::{guest, measure};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Moved in each round, at least.
const MOVED: usize = 256 * MIB;
const ROUNDS: usize = 15;

/// Hands out one chunk again and again, and keeps the time from the second `next` to the end: the first chunk finds
/// memory of the guest that nobody has touched, and the floor's is warm.
struct Chunks {
    chunk: Bytes,
    left: usize,
    begun: Option<Instant>,
    is_warm: bool,
    spent: Arc<Mutex<Duration>>,
}

impl HostCalls for Chunks {
    fn call(&mut self, call: HostCall<'_>) -> Result<HostReply, HostCallError> {
        Ok(match call {
            HostCall::Open { .. } => HostReply::Opened(0),
            HostCall::Next { .. } if !self.is_warm => {
                self.is_warm = true;
                HostReply::Bytes(self.chunk.clone())
            }
            HostCall::Next { .. } => {
                let begun = *self.begun.get_or_insert_with(Instant::now);
                if self.left == 0 {
                    *self.spent.lock().unwrap() = begun.elapsed();
                    return Ok(HostReply::End);
                }
                self.left -= 1;
                HostReply::Bytes(self.chunk.clone())
            }
            _ => HostReply::Done,
        })
    }
}

pub(crate) fn taken_in() -> Vec<Line> {
    let sandbox = sandbox();
    let mut lines = Vec::new();
    for (what, size) in [("64 KiB", 64 * KIB), ("1 MiB", MIB), ("4 MiB", 4 * MIB), ("16 MiB", 16 * MIB)] {
        let component = sandbox.prepare("bench", &guest::reads(size), ComponentClass::Pure).unwrap();
        let chunk = Bytes::from((0..size).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<_>>());
        let times = MOVED / size;
        let ours = || {
            let spent = Arc::new(Mutex::new(Duration::ZERO));
            let (chunk, left) = (chunk.clone(), times);
            let chunks = Chunks { chunk, left, begun: None, is_warm: false, spent: Arc::clone(&spent) };
            update(&sandbox, &component, Box::new(chunks));
            *spent.lock().unwrap()
        };
        let mut copy = vec![0_u8; size];
        let floor = || {
            measure::time(|| {
                for _ in 0..times {
                    copy.copy_from_slice(std::hint::black_box(&chunk));
                    std::hint::black_box(&mut copy);
                }
            })
        };
        let (ours, floor) = by_turns(ROUNDS, ours, floor).fastest();
        let rate = |seconds: f64| (times * size) as f64 / seconds;
        let line = Line::new(
            format!("bytes in, chunks of {what}"),
            "memcpy",
            Unit::BytesPerSecond,
            (rate(ours), rate(floor)),
        );
        lines.push(if size == MIB {
            line.goal(
                Goal::RatioAtLeast(0.8),
                "what a call and the guest's `cabi_realloc` cost beside one copy.",
            )
        } else {
            line
        });
    }
    lines
}

pub(crate) fn given_out() -> Vec<Line> {
    const TIMES: u32 = 10_000;
    let sandbox = sandbox();
    let emitting = |size: usize| {
        let component = sandbox.prepare("bench", &guest::emits(TIMES, size), ComponentClass::Pure).unwrap();
        let sandbox = &sandbox;
        move || each(1, || update(sandbox, &component, Box::new(Nothing))) / TIMES
    };
    let mut lines = Vec::new();
    for (what, size) in [("1 MiB", MIB), ("16 MiB", 16 * MIB)] {
        let pair = by_turns(ROUNDS, emitting(size), emitting(KIB));
        let line = Line::new(
            format!("bytes out, `emit` of {what}"),
            "`emit` of 1 KiB: a copy would grow with the size",
            Unit::Seconds,
            pair.fastest(),
        );
        lines.push(line.goal(Goal::RatioAtMost(1.5), "something on the way out grows with the message."));
    }
    for (what, size) in [("1 KiB", KIB), ("1 MiB", MIB), ("16 MiB", 16 * MIB)] {
        let times = u32::try_from((MOVED / size).min(TIMES as usize)).unwrap();
        let raw = Raw::new(host_engine(), &guest::emits(times, size), Emit::Lifted);
        let lifted = || each(1, || raw.update()) / times;
        lines.push(Line::new(
            format!("bytes out, `emit` of {what}"),
            "wasmtime, lifting the list into a `Vec<u8>`",
            Unit::Seconds,
            by_turns(ROUNDS, emitting(size), lifted).fastest(),
        ));
    }
    lines
}
