//! PostgreSQL.
#![allow(dead_code)]
mod append;
mod broken_keys;
mod commit;
mod copy;
mod ddl;
mod foreign_keys;
mod groups;
mod keys;
mod lease;
mod literal;
mod load;
mod nodes;
mod overwrite;
mod progress;
mod ranges;
mod read;
mod refusal;
mod revision;
mod runs;
mod select;
mod snapshot;
mod stored;
mod tables;
mod tail_delete;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
mod write;
