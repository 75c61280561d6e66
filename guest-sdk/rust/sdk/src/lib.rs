//! Write a DataNode in Rust.
//!
//! **The one idea.** A DataNode is a *pure function of recorded inputs*: the host hands it a config, what its table
//! already holds, a window of time and Arrow frames of its dependencies; it hands Arrow back. It has no clock, no
//! network, no files and no randomness of its own, so the same inputs give the same bytes.
//! Implement [`DataNode`], name the type in [`export!`], and the crate is a component.
//!
//! Invariants that this crate keeps for you:
//!
//! * A run without rows emits nothing at all, not even a schema.
//! * Output goes out as Arrow IPC messages of at most about 2 MiB, the schema once, without compression or dictionaries.
//! * A batch that differs from the declared [`Output`] is an error of yours, naming the column, before the host sees it.
//! * An error is a value ([`NodeError`]); a panic is logged with its place before it becomes a trap.
//! * The component imports `datanode:node` and nothing else.
//!
//! Everything below works natively too: [`testing::Harness`] runs `update` against tables and files given by a test.
//!
//! ```
//! use datanode_sdk::prelude::*;
//!
//! /// What one node of this component computes.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
//! struct Config {
//!     /// The table of prices to read.
//!     #[schemars(example = &"equity_prices")]
//!     prices_table: TableRef,
//!     /// Every price is multiplied by this.
//!     #[serde(default = "one")]
//!     #[schemars(example = 1.5)]
//!     factor: f64,
//! }
//!
//! fn one() -> f64 {
//!     1.0
//! }
//!
//! struct ScaledPrices;
//!
//! impl DataNode for ScaledPrices {
//!     type Config = Config;
//!     const NAME: &str = "scaled_prices";
//!     const VERSION: &str = env!("CARGO_PKG_VERSION");
//!     const DESCRIPTION: &str = "Prices times a constant.";
//!
//!     fn output() -> Output {
//!         Output::new(["time_index", "asset"])
//!             .column("time_index", DataType::TimestampTz, "Moment of the price.")
//!             .column("asset", DataType::String, "Ticker.")
//!             .nullable("price", DataType::Float64, "Scaled price.")
//!     }
//!
//!     fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
//!         Ok(vec![Dependency::table("prices", &config.prices_table)])
//!     }
//!
//!     fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
//!         // Per asset from its latest stored time on; assets never seen before in full.
//!         let newer = context.statistics().dimension_range_map_ge(&["asset"], None)?;
//!         let query = Query::new().range_map(newer).until(context.window().end);
//!         for batch in context.read("prices", query)? {
//!             let batch = batch?;
//!             let (times, assets, prices) =
//!                 (batch.timestamps("time_index")?, batch.strings("asset")?, batch.floats("price")?);
//!             let missing: Vec<usize> = (0..batch.num_rows())
//!                 .filter(|row| context.is_missing(times.at(*row), &[assets.value(*row).into()]))
//!                 .collect();
//!             let frame = FrameBuilder::new()
//!                 .timestamps("time_index", missing.iter().map(|row| times.at(*row)))
//!                 .strings("asset", missing.iter().map(|row| assets.value(*row)))
//!                 .floats("price", missing.iter().map(|row| prices.value(*row) * config.factor))
//!                 .build()?;
//!             info!("scaled", rows = frame.num_rows());
//!             context.emit(&frame)?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! datanode_sdk::export!(ScaledPrices);
//! # fn main() {}
//! ```

// The generated bindings and the macros name this crate by its full path.
extern crate self as datanode_sdk;

#[rustfmt::skip]
#[doc(hidden)]
#[allow(clippy::all, clippy::pedantic, clippy::undocumented_unsafe_blocks, clippy::unwrap_used, missing_docs, unreachable_pub)]
#[allow(rustdoc::all, unsafe_op_in_unsafe_fn)]
pub mod bindings;
mod config;
mod context;
mod coordinate;
mod error;
#[doc(hidden)]
pub mod export;
pub mod frames;
pub mod host;
mod identities;
pub mod log;
mod node;
mod output;
pub mod prelude;
mod query;
pub mod sources;
mod statistics;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod time;

pub use config::{NoConfig, TableRef, config_schema};
pub use context::Context;
pub use coordinate::{Coordinate, CoordinateValue, coordinate_at};
pub use error::{HostError, NodeError, ResultExt};
pub use identities::Identities;
pub use node::{DataNode, Dependency, Source, Target};
pub use output::{Column, DataType, Output};
pub use query::{Bound, CoordinateRange, Query, RangeMap, TimeRange, Unlisted};
pub use statistics::{IndexTree, Progress, UpdateStatistics};
pub use time::{Timestamp, Window};

// What authors need beside: one version of each, so that they never name these crates' versions themselves.
pub use {arrow_array, arrow_schema, chrono, schemars, serde, serde_json};

#[doc(hidden)]
pub use wit_bindgen::rt as wit_bindgen_rt;

// The README's example is compiled and run as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
