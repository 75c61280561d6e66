//! The host behind HTTP.
//!
//! **One idea:** a request becomes a call of the host in the name of whoever sent it, and the answer is what the command
//! prints for the same thing. Which routes there are, and what each demands, is data ([`Route`]); one layer judges every
//! request by it before a handler is called, so that no handler can forget to.
//!
//! **May depend on:** every crate of the host but `cli` and `build`; axum, hyper, tokio, tracing, opentelemetry. **Never on:** wasmtime,
//! sqlx or rusqlite themselves, a terminal, `datanode.toml`: settings are given.
//!
//! Invariants:
//!
//! * *A route without a row in its table is refused*, and so is an answer of a handler that should have asked for a role
//!   and has not (`authorize`).
//! * *Every body, every wait and every list is bounded* ([`ServerSettings`]).
//! * *A caller's error is never a 5xx*, and a 5xx tells a caller nothing but the id of its request ([`Problem`]).
//! * *Rows are streamed*: memory follows the batch, and a read ends when its reader has gone.
//! * *Nothing that somebody proves themselves with is logged.*
//! * *Nothing blocks the threads that serve*: guests and the writers of formats have threads of their own.

mod accept;
mod api;
mod auth;
mod compat;
mod connection;
mod cursor;
mod described;
mod etag;
mod executions;
mod guard;
mod health;
mod idempotency;
mod input;
pub mod logs;
mod metrics;
mod openapi;
mod origin;
mod page;
pub mod pages;
mod problem;
mod request;
mod router;
mod routes;
mod rows;
mod serve;
mod settings;
mod state;
mod streams;
mod traces;
mod uploads;

pub use metrics::NAMES as METRICS;
pub use openapi::document as openapi;
pub use problem::Problem;
pub use router::router;
pub use routes::{Api, Body, Demand, Pace, Route, all as routes};
pub use serve::{Listening, ServerError, serve};
pub use settings::ServerSettings;
pub use state::AppState;
pub use traces::Traces;
