//! Running a tree of nodes.

mod calls;
mod execute;
mod inputs;
mod logs;
mod spill;
mod tree;

pub(crate) use calls::RunCalls;
pub use spill::SpillSettings;
pub use tree::{RunOptions, RunTree};
