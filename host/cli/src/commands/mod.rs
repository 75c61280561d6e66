//! One module per noun of the command line.

pub(crate) mod build;
pub(crate) mod completions;
pub(crate) mod component;
pub(crate) mod graph;
pub(crate) mod init;
pub(crate) mod node;
pub(crate) mod reference;
pub(crate) mod run;
pub(crate) mod source;
pub(crate) mod table;
