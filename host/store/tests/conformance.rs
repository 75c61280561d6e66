//! What every backend promises, held to both databases by the same bodies.
//!
//! One program: linked once, and its tests fill both processors whatever file they are of.

#![allow(clippy::unwrap_used)] // a panic here is the report

mod access;
mod altered_by_hand;
mod backfill;
mod backfill_model;
mod catalogue;
mod commit;
mod concurrency;
mod error_messages;
mod judged;
mod leases;
mod ledger;
mod overwrite;
mod pages;
mod producer;
mod quality;
mod read_only_sql;
mod reads;
mod references;
mod revisions;
mod round_trip;
mod search;
mod secrets;
mod support;
mod tail_delete;
