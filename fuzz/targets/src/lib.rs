//! What is fuzzed: one function for each door through which bytes of strangers come.
//!
//! A target takes any bytes. It panics where a promise is broken: that nothing panics, and what is written at the target.
//! libFuzzer calls the targets with coverage (`fuzz/`, `cargo xtask fuzz`), an ordinary test with seeded mutations of the
//! corpus (`tests/smoke.rs`, by [`mutate`]).
// A broken promise is a panic here: that is what the drivers look for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

#[cfg(feature = "host")]
mod bundle;
mod config;
mod contract;
mod frame;
mod journal;
pub mod mutate;
mod rewrite;
mod sql;
#[cfg(feature = "host")]
mod symbols;
#[cfg(feature = "host")]
mod upload;

#[cfg(feature = "host")]
pub use bundle::bundle;
pub use config::config;
pub use contract::contract;
pub use frame::frame;
pub use journal::journal;
pub use rewrite::rewrite;
pub use sql::sql;
#[cfg(feature = "host")]
pub use symbols::symbols;
#[cfg(feature = "host")]
pub use upload::upload;

/// A target: its name, which is that of its corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this build.
pub const TARGETS: &[Target] = &[
    ("frame", frame),
    ("contract", contract),
    ("config", config),
    ("sql", sql),
    ("journal", journal),
    ("rewrite", rewrite),
    #[cfg(feature = "host")]
    ("upload", upload),
    #[cfg(feature = "host")]
    ("bundle", bundle),
    #[cfg(feature = "host")]
    ("symbols", symbols),
];

/// The contract that frames are checked against and statements are judged by: every type that there is.
fn table() -> datanode_core::contract::Contract {
    datanode_core::contract::Contract::from_toml(include_str!("table.toml")).unwrap()
}

/// Two parts of an input, divided by the first zero byte.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let middle = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    (&data[..middle], data.get(middle + 1..).unwrap_or_default())
}
