//! One call of a guest on a thread of its own, watched by the thread that asked for it.
//!
//! Two things need the second thread. A guest that computes for too long must end, though nothing that it does asks
//! anybody: the watcher gives it a sign, and the guest's thread looks for the sign whenever the guest comes back, which
//! it does after each slice of its fuel ([`in_slices`]). Fuel is counted anyway, so this costs nothing; and where the
//! guest comes back has no bearing on where its fuel ends. And a *host call* that does not come back
//! (a hung file system, a database that waits) can be stopped by nobody: there is no safe way to end a thread inside of
//! a system call. So it is **left behind**: the watcher stops waiting,
//! answers with the error, and never looks at that thread again. Whatever the blocked call holds (the guest's store,
//! the answers to its host calls) stays alive with its thread until the call comes back; then the guest's very next
//! step, the end of a slice or a host call, finds the sign that it has ended, and the thread drops everything and ends.
//! Nothing that it still does can be seen: its result has no receiver, and a run only commits what was handed back.
//!
//! The watcher decides nothing about data: both limits are errors of class infrastructure. It samples, so that a host
//! call costs the guest two uncontended locks and no look at a clock; a deadline may be noticed late by an eighth.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use datanode_core::run::LogLine;

use crate::calls::{Interrupt, LogLevel};
use crate::engine::{HOST_STACK, stack_bytes};
use crate::error::LimitKind;
use crate::limits::{LimitReached, Limits};
use crate::log_tail::LogTail;
use crate::threads::Threads;

/// Threads for guests. What is done there beside the guest, which has a stack of the engine's, needs as much as a host call.
pub(crate) fn threads() -> Threads {
    Threads::new(stack_bytes(HOST_STACK))
}

/// How often the watcher looks once a guest must end.
const KILL_INTERVAL: Duration = Duration::from_millis(50);

/// How often the watcher looks whether the guest was interrupted.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What watcher and guest share.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// The guest must end at its next step.
    ended: AtomicBool,
    /// Its result is not wanted any more.
    interrupt: Interrupt,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Host calls begun.
    calls: u64,
    /// The one that is going on.
    inside: Option<&'static str>,
    log: LogTail,
}

impl Watched {
    /// A guest that the interrupt ends too.
    pub(crate) fn until(interrupt: Interrupt) -> Self {
        Self { interrupt, ..Self::default() }
    }

    /// A host call begins, unless the guest must end.
    pub(crate) fn enter(&self, function: &'static str) -> bool {
        let mut progress = self.progress();
        progress.calls += 1;
        progress.inside = Some(function);
        !self.has_ended()
    }

    /// The host call has answered.
    pub(crate) fn leave(&self) {
        self.progress().inside = None;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn log(&self, level: LogLevel, message: &str, fields: &[(String, String)]) {
        self.progress().log.push(level, message, fields);
    }

    pub(crate) fn log_tail(&self) -> Vec<LogLine> {
        self.progress().log.lines()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lead a guest to its end, one slice of its fuel after the other. None when it must end before: where it was is lost
/// with it.
pub(crate) fn in_slices<T>(watched: &Watched, guest: impl Future<Output = T>) -> Option<T> {
    let mut guest = pin!(guest);
    // Nothing that a guest asks for is waited for by this: whenever it comes back, it can go on at once.
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(outcome) = guest.as_mut().poll(&mut context) {
            return Some(outcome);
        }
        if watched.has_ended() {
            return None;
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The thread was left behind, in this host call if it was in one.
    LeftBehind(LimitReached, Option<&'static str>),
    /// The machine has no thread to give.
    NoThread(std::io::Error),
}

/// Run `call` on a thread of its own and wait for it, as long as the limits allow.
pub(crate) fn run<T: Send + 'static>(
    threads: &Threads,
    limits: &Limits,
    watched: &Arc<Watched>,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    let (sender, receiver) = sync_channel(1);
    // Fails when it was left behind: then nobody wants the answer.
    let tell = move |answer| drop(sender.send(answer));
    threads.run(call, tell).map_err(Lost::NoThread)?;

    let per_host_call = Duration::from_millis(limits.host_call_ms);
    let per_call = Duration::from_secs(limits.call_seconds);
    let begun = Instant::now();
    let mut seen = (0, begun);
    loop {
        let left = per_call.saturating_sub(begun.elapsed());
        let pause = if left.is_zero() { KILL_INTERVAL } else { left.min(LOOK_INTERVAL) };
        match receiver.recv_timeout(pause.min(per_host_call / 8).max(Duration::from_millis(1))) {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("a guest's thread sends its answer before anything else")
            }
        }

        let (calls, inside) = {
            let progress = watched.progress();
            (progress.calls, progress.inside)
        };
        let now = Instant::now();
        if calls != seen.0 || inside.is_none() {
            seen = (calls, now);
        }
        let overdue = now.duration_since(seen.1) >= per_host_call;
        let too_long = now.duration_since(begun) >= per_call;
        if overdue || too_long || watched.interrupt.is_interrupted() {
            watched.ended.store(true, Ordering::Release);
        }
        if overdue {
            let limit = LimitReached { kind: LimitKind::HostCallTime, limit: limits.host_call_ms };
            return Err(Lost::LeftBehind(limit, inside));
        }
        // It is neither in guest code nor in a host call: it may be reading hostile debug information, say.
        if now.duration_since(begun) >= per_call + per_host_call {
            let limit = LimitReached { kind: LimitKind::CallTime, limit: limits.call_seconds };
            return Err(Lost::LeftBehind(limit, inside));
        }
    }
}
