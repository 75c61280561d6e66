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
    /// Linear memory, all memories of the component together.
    pub memory_bytes: u64,
    /// Elements of all tables of functions together.
    pub table_elements: u64,
    /// One emitted message, and any other argument of a host call.
    pub message_bytes: u64,
    /// All emitted messages of one run.
    pub emit_bytes: u64,
    /// Frame readers and response bodies open at once.
    pub open_handles: u32,
    /// Host calls of one run.
    pub host_calls: u64,
    /// Frames opened and sources fetched by one run: each leaves a line in the run's record.
    pub opens: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 200_000_000_000,
            describe_fuel: 2_000_000_000,
            memory_bytes: 1 << 30,
            table_elements: 100_000,
            message_bytes: 64 << 20,
            emit_bytes: 16 << 30,
            open_handles: 32,
            host_calls: 10_000_000,
            opens: 10_000,
        }
    }
}

/// Core instances, and as many memories and tables, of one component: toolchains make fewer than twenty.
const MAX_INSTANCES: usize = 128;

/// Watches the growth of one store, all its memories and tables together. Excess is a trap with a name, never a `-1`
/// that the guest could hide.
#[derive(Debug)]
pub(crate) struct Watch {
    memory_limit: u64,
    table_limit: u64,
    memory: u64,
    table_elements: u64,
}

impl Watch {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory_bytes,
            table_limit: limits.table_elements,
            memory: 0,
            table_elements: 0,
        }
    }

    /// Memories never shrink, so what they have at the end is what they had at most.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory
    }
}

impl ResourceLimiter for Watch {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let memory = self.memory + desired.saturating_sub(current) as u64;
        if memory > self.memory_limit {
            return Err(LimitReached { kind: LimitKind::Memory, limit: self.memory_limit }.into());
        }
        self.memory = memory;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.table_elements + desired.saturating_sub(current) as u64;
        if elements > self.table_limit {
            return Err(LimitReached { kind: LimitKind::TableElements, limit: self.table_limit }.into());
        }
        self.table_elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_INSTANCES
    }
}

/// Travels through wasmtime as the cause of a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit of {limit} reached")]
pub(crate) struct LimitReached {
    pub(crate) kind: LimitKind,
    pub(crate) limit: u64,
}
