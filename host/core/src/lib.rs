//! The rules of DataNodes, without I/O.
//!
//! **One idea:** everything that decides whether a dataset can be trusted (what a contract says, what enters an
//! `update_hash`, which rows a run may store) is a pure function in this crate, so that it can be tested without a
//! database, a sandbox or a clock, and so that the rest of the host only calls it.
//!
//! **May depend on:** Arrow, serde, JSON Schema, SHA-256, sqlparser, TOML, chrono (for the calendar), SemVer, UUIDs,
//! URLs and networks as texts.
//! **Never on:** wasmtime, sqlx, tokio, the clock, files.
//!
//! Invariants:
//!
//! * *No rule reads the clock.* "Now" is always an argument ([`window::decide`]).
//! * *Equal meaning, equal hash.* [`hash::update_hash`] sees only the canonical form of a validated config.
//! * *Nothing unchecked leaves.* A [`RecordBatch`](arrow_array::RecordBatch) that [`frame::OutputValidator`] returns
//!   has the contract's columns in the contract's order, is sorted by its index and holds no duplicate within itself.

pub mod access;
pub mod backfill;
pub mod binding;
pub mod cadence;
pub mod cell;
pub mod checklist;
pub mod component;
pub mod config;
pub mod content_digest;
pub mod contract;
pub mod coordinate;
pub mod data_type;
pub mod dependency;
pub mod diagnostic;
pub mod difference;
pub mod digest;
pub mod frame;
pub mod guest_failure;
pub mod hash;
pub mod journal;
pub mod ledger;
pub mod metadata_digest;
pub mod name;
pub mod namespace;
pub mod node_settings;
pub mod options;
pub mod producer;
pub mod progress;
pub mod provenance;
pub mod quality;
pub mod query;
pub mod query_text;
pub mod revision;
pub mod run;
mod schema;
pub mod search;
pub mod source;
pub mod sql;
pub mod statistics;
pub mod text_column;
pub mod timestamp;
pub mod window;

pub use diagnostic::{Diagnostic, ErrorClass};
pub use timestamp::Timestamp;
