//! How many requests a token is good for in a minute.
//!
//! A bucket per token: it holds as many requests as there are in a minute, each takes one out, and it fills evenly. It is
//! kept as the one moment at which it would be full again (the generic cell rate algorithm): no remainders, no timers.

use std::collections::HashMap;

use thiserror::Error;

use crate::Timestamp;
use crate::diagnostic::{Diagnostic, ErrorClass};

/// The most requests in a minute that a token can be set to.
pub const MAX_PER_MINUTE: u32 = 1_000_000;
const MINUTE_US: i64 = 60_000_000;
/// From how many buckets on those that are full again are forgotten.
const FORGET_FROM: usize = 1_024;

/// A token has asked too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this token is good for {per_minute} requests in a minute, and they are used up")]
pub struct TooFast {
    /// What it is good for.
    pub per_minute: u32,
    /// How long until the next request is answered, in microseconds.
    pub wait_us: i64,
}

impl TooFast {
    /// The same in whole seconds, for `Retry-After`: never too early, and at least one.
    pub fn retry_after_seconds(&self) -> u64 {
        u64::try_from(self.wait_us).unwrap_or_default().div_ceil(1_000_000).max(1)
    }
}

impl Diagnostic for TooFast {
    fn code(&self) -> &'static str {
        "access.too_many_requests"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }

    fn next_step(&self) -> Option<String> {
        Some(format!(
            "try again in {} s, or use a token with a higher `--per-minute`",
            self.retry_after_seconds()
        ))
    }
}

/// The buckets of all tokens. The caller brings the time, and keeps it from being used by two at once.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    /// Token id → when its bucket is full again, in microseconds.
    full_at: HashMap<String, i64>,
    /// How many there may be before those that are full are forgotten.
    forget_from: usize,
}

impl Buckets {
    /// Take one request out of the bucket of a token. `per_minute` is at least 1; 0 counts as 1.
    ///
    /// # Errors
    ///
    /// [`TooFast`] when it is empty; nothing is taken out then. A clock that goes back takes away a minute at most.
    pub fn take(&mut self, token: &str, per_minute: u32, now: Timestamp) -> Result<(), TooFast> {
        let now_us = now.micros();
        self.forget(now_us);
        let per_minute = per_minute.clamp(1, MAX_PER_MINUTE);
        // What one request costs. Rounded down, so that never fewer are answered than the token is good for.
        let cost = MINUTE_US / i64::from(per_minute);
        let capacity = cost * i64::from(per_minute);
        let kept = self.full_at.get(token).copied().unwrap_or(now_us);
        // A bucket is never emptier than empty, however far the clock has gone back.
        let full_at = kept.clamp(now_us, now_us + capacity);
        let after = full_at + cost;
        let wait_us = after - now_us - capacity;
        let is_empty = wait_us > 0;
        self.full_at.insert(token.to_owned(), if is_empty { full_at } else { after });
        if is_empty { Err(TooFast { per_minute, wait_us }) } else { Ok(()) }
    }

    /// How many tokens have a bucket that is not known to be full.
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    /// Memory is bounded by the tokens that were used within a minute.
    fn forget(&mut self, now_us: i64) {
        if self.full_at.len() < self.forget_from.max(FORGET_FROM) {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now_us);
        self.forget_from = self.full_at.len() * 2;
    }
}
