//! PostgreSQL's binary `COPY` format, to and from Arrow.
//!
//! A stream is a signature, flags and an extension; then tuples, each the number of its columns and, for each column,
//! a length (-1: null) and the value as its type's `send` function writes it; then -1 in the place of a number of
//! columns. All numbers are big-endian.

mod decode;
mod encode;
pub(super) mod numeric;
#[cfg(test)]
mod tests;

pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;

/// What every binary copy begins with: the signature, no flags, no extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// In the place of a number of columns: the end.
const TRAILER: i16 = -1;

/// 2000-01-01, from which PostgreSQL counts, in days since 1970-01-01.
pub(super) const EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The days that PostgreSQL has, 4714-11-24 BC to 5874897-12-31, in days since 1970-01-01.
pub(super) const DAYS: std::ops::RangeInclusive<i32> = -2_440_588..=2_145_031_948;
