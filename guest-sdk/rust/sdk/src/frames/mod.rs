//! Frames: Arrow IPC *stream* messages, the schema once, then record batches.
//!
//! No custom allocator is needed to read them in place. The canonical ABI allocates a message as bytes without
//! alignment, but the allocator of `wasm32-unknown-unknown` aligns to 8 all the same, and IPC pads bodies and buffers
//! to 64 bytes from the message's start. So every column but `decimal` is used where it lies; Arrow copies the buffer
//! of a decimal column (which wants 16) when it must.

mod build;
mod columns;
mod read;
mod write;

pub use build::FrameBuilder;
pub(crate) use columns::no_column;
pub use columns::{BatchExt, TimestampsExt};
pub use read::Frames;
pub use write::FrameWriter;
