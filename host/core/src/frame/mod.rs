//! Frames: Arrow IPC stream messages in and out of guests, and the rules for rows that may be stored.
//!
//! Bytes of a guest are hostile until [`FrameDecoder`] has read them and [`OutputValidator`] has checked them.

mod columns;
mod decode;
mod encode;
mod error;
mod validate;

pub use columns::FrameColumns;
pub use decode::{Decoded, FrameDecoder};
pub use encode::FrameEncoder;
pub use error::FrameError;
pub use validate::{MAX_COORDINATES, OutputSummary, OutputValidator};
