//! One module per noun of the command line.

pub(crate) mod backfill;
pub(crate) mod backup;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod component;
mod contract_file;
pub(crate) mod delete_after;
pub(crate) mod graph;
pub(crate) mod hash;
pub(crate) mod init;
pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod node_run;
pub(crate) mod node_windows;
pub(crate) mod reference;
pub(crate) mod replay;
pub(crate) mod repoint;
pub(crate) mod revision;
pub(crate) mod run;
pub(crate) mod source;
pub(crate) mod stats;
pub(crate) mod table;
pub(crate) mod table_diff;
pub(crate) mod table_metadata;
pub(crate) mod table_read;
pub(crate) mod table_sql;
