//! What a guest may use.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use crate::engine::MOST_INSTANCES;
use crate::error::{LimitKind, SandboxError};

/// Limits of one call of a guest. Each is a setting: its name ends in its unit where it does not count things.
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
    /// Core instances of one component, and as many memories and tables: toolchains make fewer than twenty.
    pub instances: u64,
    /// Stack. Depth at overflow depends on the compiled code, so overflow is no recorded fact.
    pub stack_bytes: u64,
    /// One emitted message, and any other argument of a host call.
    pub message_bytes: u64,
    /// All emitted messages of one run.
    pub emit_bytes: u64,
    /// All emitted rows of one run.
    pub emit_rows: u64,
    /// All messages of frames and pieces of bodies that one run is given: what its journal keeps on disk.
    pub read_bytes: u64,
    /// Frame readers and response bodies open at once.
    pub open_handles: u32,
    /// Host calls of one run.
    pub host_calls: u64,
    /// Frames opened and sources fetched by one run: each leaves a line in the run's record.
    pub opens: u64,
    /// How long one host call may take, in milliseconds: the database or a source does not answer.
    pub host_call_ms: u64,
    /// How long one call of a guest may take, in seconds. Fuel decides; this is the kill switch.
    pub call_seconds: u64,
    /// Log lines kept of one run; more are counted.
    pub log_lines: u64,
    /// Bytes of log lines kept of one run; more are counted.
    pub log_bytes: u64,
    /// A config, and the config of a dependency, in bytes of JSON.
    pub config_bytes: u64,
    /// Dependencies of one node.
    pub dependencies: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 200_000_000_000,
            describe_fuel: 2_000_000_000,
            memory_bytes: 1 << 30,
            table_elements: 100_000,
            instances: 128,
            stack_bytes: 1 << 20,
            message_bytes: 64 << 20,
            emit_bytes: 16 << 30,
            emit_rows: 100_000_000,
            // As much as it may emit: twice that is what the disk must have room for.
            read_bytes: 16 << 30,
            open_handles: 32,
            host_calls: 10_000_000,
            opens: 10_000,
            host_call_ms: 60_000,
            call_seconds: 3_600,
            log_lines: 1_000,
            log_bytes: 1 << 20,
            config_bytes: 256 << 10,
            dependencies: 256,
        }
    }
}

/// One setting: its name, its value, and what it may be.
type Setting = (&'static str, u64, RangeInclusive<u64>);

impl Limits {
    /// Refuse a setting that no guest could live with, or that would bound nothing.
    pub fn check(&self) -> Result<(), SandboxError> {
        match self.settings().into_iter().find(|(_, value, range)| !range.contains(value)) {
            None => Ok(()),
            Some((setting, value, range)) => {
                Err(SandboxError::Setting { setting, value, min: *range.start(), max: *range.end() })
            }
        }
    }

    /// The first setting that allows more than another set of limits does: its name, its value, and theirs.
    pub fn beyond(&self, most: &Self) -> Option<(&'static str, u64, u64)> {
        let pairs = self.settings().into_iter().zip(most.settings());
        pairs
            .map(|((name, value, _), (_, most, _))| (name, value, most))
            .find(|(_, value, most)| value > most)
    }

    fn settings(&self) -> [Setting; 19] {
        // Integers of TOML end here.
        const MOST: u64 = i64::MAX as u64;
        [
            ("fuel", self.fuel, 1..=MOST),
            ("describe_fuel", self.describe_fuel, 1..=MOST),
            // From one page to sixteen full 32-bit memories.
            ("memory_bytes", self.memory_bytes, 64 << 10..=64 << 30),
            ("table_elements", self.table_elements, 1..=10_000_000),
            ("instances", self.instances, 1..=MOST_INSTANCES),
            // The most is reserved as address space for each call, and the host needs some of it itself.
            ("stack_bytes", self.stack_bytes, 64 << 10..=256 << 20),
            // A 32-bit guest cannot hand over more.
            ("message_bytes", self.message_bytes, 1 << 10..=2 << 30),
            ("emit_bytes", self.emit_bytes, 1 << 10..=MOST),
            ("emit_rows", self.emit_rows, 1..=MOST),
            ("read_bytes", self.read_bytes, 1 << 10..=MOST),
            ("open_handles", self.open_handles.into(), 1..=100_000),
            ("host_calls", self.host_calls, 1..=MOST),
            // Each is a line of the record.
            ("opens", self.opens, 1..=1_000_000),
            ("host_call_ms", self.host_call_ms, 1..=86_400_000),
            ("call_seconds", self.call_seconds, 1..=2_592_000),
            // Kept in the record.
            ("log_lines", self.log_lines, 1..=1_000_000),
            ("log_bytes", self.log_bytes, 1 << 10..=64 << 20),
            ("config_bytes", self.config_bytes, 2..=16 << 20),
            ("dependencies", self.dependencies, 1..=10_000),
        ]
    }
}

/// Watches the growth of one store, all its memories and tables together. Excess is a trap with a name, never a `-1`
/// that the guest could hide.
#[derive(Debug)]
pub(crate) struct Watch {
    memory_limit: u64,
    table_limit: u64,
    instances: usize,
    memory: u64,
    table_elements: u64,
}

impl Watch {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory_bytes,
            table_limit: limits.table_elements,
            instances: usize::try_from(limits.instances).unwrap_or(usize::MAX),
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
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }
}

/// Travels through wasmtime as the cause of a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit of {limit} reached")]
pub(crate) struct LimitReached {
    pub(crate) kind: LimitKind,
    pub(crate) limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use datanode_core::{Diagnostic, ErrorClass};

    #[test]
    fn the_defaults_are_allowed_and_nothing_else_is_by_accident() {
        Limits::default().check().unwrap();
        let document = serde_json::to_value(Limits::default()).unwrap();
        let settings = Limits::default().settings();
        assert_eq!(document.as_object().unwrap().len(), settings.len());
        for (name, value, range) in settings {
            assert_eq!(document[name], value);
            for absurd in [range.start() - 1, range.end() + 1] {
                let mut changed = document.clone();
                changed[name] = absurd.into();
                // What its type cannot hold is refused by the reader of the settings.
                let Ok(limits) = serde_json::from_value::<Limits>(changed) else { continue };
                let error = limits.check().unwrap_err();
                assert_eq!(error.code(), "sandbox.setting");
                assert!(error.to_string().contains(&format!("`{name}` = {absurd}")), "{error}");
            }
        }
    }

    #[test]
    fn the_reference_lists_each_setting_with_its_default() {
        let page = include_str!("../../../docs/reference/limits.md");
        for (name, value, _) in Limits::default().settings() {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("no row for `{name}`"));
            let shown: String = row.split('|').nth(2).unwrap().split('(').next().unwrap().to_owned();
            let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(digits, value.to_string(), "{row}");
        }
    }

    /// Exhaustive: a new kind finds its place here before it compiles.
    fn after(kind: LimitKind) -> Option<LimitKind> {
        Some(match kind {
            LimitKind::Fuel => LimitKind::DescribeFuel,
            LimitKind::DescribeFuel => LimitKind::Memory,
            LimitKind::Memory => LimitKind::TableElements,
            LimitKind::TableElements => LimitKind::Instances,
            LimitKind::Instances => LimitKind::Stack,
            LimitKind::Stack => LimitKind::MessageBytes,
            LimitKind::MessageBytes => LimitKind::EmitBytes,
            LimitKind::EmitBytes => LimitKind::EmitRows,
            LimitKind::EmitRows => LimitKind::ReadBytes,
            LimitKind::ReadBytes => LimitKind::OpenHandles,
            LimitKind::OpenHandles => LimitKind::HostCalls,
            LimitKind::HostCalls => LimitKind::Opens,
            LimitKind::Opens => LimitKind::HostCallTime,
            LimitKind::HostCallTime => LimitKind::CallTime,
            LimitKind::CallTime => return None,
        })
    }

    /// What the page says that exceeding a limit is, is what the error is: a fact that is recorded, or a fault of a machine.
    #[test]
    fn the_reference_says_which_limits_are_facts() {
        let page = include_str!("../../../docs/reference/limits.md");
        for kind in std::iter::successors(Some(LimitKind::Fuel), |kind| after(*kind)) {
            let (setting, code) = (kind.setting(), kind.code());
            let row = page.lines().find(|line| line.starts_with(&format!("| `{setting}` |")));
            let row = row.unwrap_or_else(|| panic!("no row for `{setting}`"));
            assert!(row.contains(&format!("| `{code}` |")), "{code}: {row}");
            let is_infrastructure = row.ends_with("| infrastructure |");
            assert_eq!(kind.class() == ErrorClass::Infrastructure, is_infrastructure, "{row}");
            assert!(Limits::default().settings().iter().any(|(name, _, _)| *name == setting), "{setting}");
        }
    }
}
