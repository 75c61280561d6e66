//! Ways to execute a guest that must not matter: the cells of the determinism matrix.
//!
//! A node may be compiled with or without optimisation, for one level of this processor or another, with memory of a pool
//! or by itself, or be interpreted instruction by instruction. The settings of `engine.rs` are the claim that all of them
//! give the same bytes; `datanode check --determinism` is the proof, for a component, on what it really did.

use std::fmt;

use datanode_rewrite::Nan;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engine::Allocation;

/// How hard the compiler tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optimisation {
    /// Not at all: each instruction is translated by itself. Beside what the rewriting of a component does about NaN, the
    /// engine makes it canonical behind each instruction.
    None,
    /// As nodes are compiled.
    Speed,
}

/// What executes the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// This processor, by the instructions of the fixed level that nodes are compiled for.
    Baseline,
    /// This processor, by newer instructions: x86-64-v3 (AVX2, BMI, FMA), or the atomic instructions of `lse` on `AArch64`.
    Newer,
    /// Pulley, the engine's interpreter.
    Interpreter,
}

/// x86-64-v2, which every server processor since about 2009 has; elsewhere what the architecture begins with.
#[cfg(target_arch = "x86_64")]
const BASELINE: &[&str] = &["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];
#[cfg(not(target_arch = "x86_64"))]
const BASELINE: &[&str] = &[];

/// x86-64-v3, as far as the compiler has names for it.
#[cfg(target_arch = "x86_64")]
const NEWER: &[&str] = &[
    "has_sse3",
    "has_ssse3",
    "has_sse41",
    "has_sse42",
    "has_popcnt",
    "has_avx",
    "has_avx2",
    "has_bmi1",
    "has_bmi2",
    "has_lzcnt",
    "has_fma",
];
#[cfg(target_arch = "aarch64")]
const NEWER: &[&str] = &["has_lse"];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NEWER: &[&str] = &[];

impl Processor {
    /// Flags of Cranelift.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Baseline => BASELINE,
            Self::Newer => NEWER,
            Self::Interpreter => &[],
        }
    }

    /// Whether this machine has what it takes. [`Processor::Newer`] is nowhere that it would be the same as the baseline.
    fn is_here(self) -> bool {
        match self {
            Self::Baseline | Self::Interpreter => true,
            #[cfg(target_arch = "x86_64")]
            Self::Newer => {
                use std::arch::is_x86_feature_detected as has;
                has!("avx") && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("fma")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Newer => std::arch::is_aarch64_feature_detected!("lse"),
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            Self::Newer => false,
        }
    }
}

/// One way to execute guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// How it is compiled.
    pub optimisation: Optimisation,
    /// Where memory comes from.
    pub allocation: Allocation,
    /// What executes it.
    pub processor: Processor,
    /// Leave NaN bits as the processor makes them. No setting leads here: see [`Cell::leaving_nan`].
    leaves_nan: bool,
}

impl Cell {
    /// How nodes run.
    pub const fn production(allocation: Allocation) -> Self {
        Self {
            optimisation: Optimisation::Speed,
            allocation,
            processor: Processor::Baseline,
            leaves_nan: false,
        }
    }

    /// All cells, that in which nodes run first.
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for processor in [Processor::Baseline, Processor::Newer, Processor::Interpreter] {
            for optimisation in [Optimisation::Speed, Optimisation::None] {
                for allocation in [Allocation::Pooling, Allocation::Compact] {
                    cells.push(Self { optimisation, allocation, processor, leaves_nan: false });
                }
            }
        }
        cells
    }

    /// Why this machine has no such cell, as far as can be told before an engine is made.
    pub fn missing(self) -> Option<&'static str> {
        (!self.processor.is_here()).then_some("this processor has no newer level")
    }

    /// The name by which a compiling process is told, as in `speed-pooling-baseline`.
    pub fn name(self) -> String {
        let nan = if self.leaves_nan { "-nan" } else { "" };
        format!("{}-{}-{}{nan}", self.optimisation, self.allocation.as_str(), self.processor)
    }

    /// The cell of this name, if it is one of [`Cell::all`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|cell| cell.name() == name)
    }

    /// The same with a fault that the matrix must find: NaN bits are what the processor, the interpreter or the order of
    /// operands makes of them. For tests; neither a command nor a setting makes such a cell, and no compiling process
    /// knows its name.
    #[doc(hidden)]
    #[must_use]
    pub fn leaving_nan(self) -> Self {
        Self { leaves_nan: true, ..self }
    }

    pub(crate) fn leaves_nan(self) -> bool {
        self.leaves_nan
    }

    /// How components are rewritten before they are compiled.
    pub(crate) fn nan(self) -> Nan {
        if self.leaves_nan { Nan::Left } else { Nan::Canonical }
    }
}

impl fmt::Display for Optimisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Speed => "speed",
        })
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Baseline => "baseline",
            Self::Newer => "newer",
            Self::Interpreter => "interpreter",
        })
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom(format!("`{name}` is no cell")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_cells_and_never_to_the_fault() {
        let cells = Cell::all();
        assert_eq!(cells.len(), 12);
        assert_eq!(cells[0], Cell::production(Allocation::Pooling));
        for cell in cells {
            assert_eq!(Cell::from_name(&cell.name()), Some(cell));
            assert_eq!(Cell::from_name(&cell.leaving_nan().name()), None);
        }
    }

    #[test]
    fn each_cell_that_this_machine_has_makes_code_of_its_own() {
        use std::collections::HashMap;
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut seen = HashMap::new();
        for cell in Cell::all().into_iter().filter(|cell| cell.missing().is_none()) {
            let engine = crate::engine::compiling_engine(cell).unwrap();
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            if let Some(other) = seen.insert(hasher.finish(), cell.name()) {
                panic!("{} is compiled as {other} is", cell.name());
            }
        }
    }
}
