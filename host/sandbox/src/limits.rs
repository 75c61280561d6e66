//! What a guest may use.

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use crate::error::LimitKind;

/// Limits of one call of a guest. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel of `update`: about one unit per WebAssembly instruction.
    pub fuel: u64,
    /// Fuel of `config` and `dependencies`.
    pub describe_fuel: u64,
    /// Linear memory.
    pub memory_bytes: u64,
    /// Elements of a table of functions.
    pub table_elements: u64,
    /// One emitted message, and any other argument of a host call.
    pub message_bytes: u64,
    /// All emitted messages of one run.
    pub emit_bytes: u64,
    /// Frame readers and response bodies open at once.
    pub open_handles: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 200_000_000_000,
            describe_fuel: 2_000_000_000,
            memory_bytes: 1 << 30,
            table_elements: 100_000,
            message_bytes: 64 << 20,
            emit_bytes: 1 << 30,
            open_handles: 64,
        }
    }
}

/// Watches the growth of one store. Excess is a trap with a name, never a `-1` that the guest could hide.
#[derive(Debug)]
pub(crate) struct Watch {
    memory_limit: u64,
    table_limit: u64,
    pub(crate) peak_memory: u64,
}

impl Watch {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory_limit: limits.memory_bytes, table_limit: limits.table_elements, peak_memory: 0 }
    }
}

impl ResourceLimiter for Watch {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired as u64 > self.memory_limit {
            return Err(LimitReached { kind: LimitKind::Memory, limit: self.memory_limit }.into());
        }
        self.peak_memory = self.peak_memory.max(desired as u64);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired as u64 > self.table_limit {
            return Err(LimitReached { kind: LimitKind::TableElements, limit: self.table_limit }.into());
        }
        Ok(true)
    }
}

/// Travels through wasmtime as the cause of a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit of {limit} reached")]
pub(crate) struct LimitReached {
    pub(crate) kind: LimitKind,
    pub(crate) limit: u64,
}
