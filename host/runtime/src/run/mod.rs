//! Running a tree of nodes.

mod calls;
mod execute;
mod inputs;
mod logs;
mod tree;

pub(crate) use calls::RunCalls;
pub use tree::{RunOptions, RunTree};
