//! Hostile components, one file each in `components/`: what a sandbox must stop, by which limit or rule.
//!
//! All aim at the table of `contract.toml`: index `time_index, id`, and a column `value`. This library holds what they
//! share; the lies go below the SDK, to the raw import.

use datanode_sdk::bindings::datanode::node::frames;
use datanode_sdk::frames::FrameWriter;
use datanode_sdk::prelude::*;

/// Make the file a component of this name. Its output is not declared, so that the SDK does not catch what the host
/// must.
#[macro_export]
macro_rules! node {
    ($name:literal, $update:expr) => {
        struct Hostile;

        impl ::datanode_sdk::DataNode for Hostile {
            type Config = ::datanode_sdk::NoConfig;
            const NAME: &str = $name;
            const VERSION: &str = env!("CARGO_PKG_VERSION");
            const DESCRIPTION: &str = "A test of the sandbox, hostile on purpose.";

            fn output() -> ::datanode_sdk::Output {
                ::datanode_sdk::Output::depends_on_config()
            }

            fn update(
                _: &::datanode_sdk::NoConfig,
                context: &mut ::datanode_sdk::Context,
            ) -> Result<(), ::datanode_sdk::NodeError> {
                let update: fn(&mut ::datanode_sdk::Context) -> Result<(), ::datanode_sdk::NodeError> =
                    $update;
                update(context)
            }
        }

        ::datanode_sdk::export!(Hostile);
    };
}

/// A moment in January 2020, by its day.
pub fn january(day: i64) -> Timestamp {
    Timestamp::from_micros(1_577_836_800_000_000 + (day - 1) * 86_400_000_000)
}

/// The index columns of these rows, to which a component adds what it likes.
pub fn keys(rows: &[(Timestamp, &str)]) -> FrameBuilder {
    FrameBuilder::new()
        .timestamps("time_index", rows.iter().map(|(time, _)| *time))
        .strings("id", rows.iter().map(|(_, id)| id))
}

/// Good rows with these keys.
pub fn good(rows: &[(Timestamp, &str)]) -> Result<RecordBatch, NodeError> {
    keys(rows).floats("value", std::iter::repeat_n(1.5, rows.len())).build()
}

/// The messages of a frame, the schema first.
pub fn messages(batch: &RecordBatch) -> Result<Vec<Vec<u8>>, NodeError> {
    let mut messages = Vec::new();
    FrameWriter::new(batch.schema())?.write(batch, &mut |message| messages.push(message.to_vec()))?;
    Ok(messages)
}

/// The import itself: any bytes.
pub fn emit_raw(message: &[u8]) {
    frames::emit(message);
}
