//! The binary `COPY` format to Arrow. The bytes come from a server, which this side does not trust further than it
//! must: each length is checked before it is used, and what does not fit is an error that says what it is.

use datanode_core::data_type::DataType;

use super::{EPOCH_DAYS, EPOCH_MICROS, HEADER, TRAILER, numeric};
use crate::rows::ColumnBuilder;

/// No field of PostgreSQL is longer.
const MAX_FIELD: usize = 1 << 30;

/// Signature and flags.
const FIXED_HEADER: usize = 15;

/// Where in the stream the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Tuples,
    End,
}

/// Reads one copy, in pieces of any size.
pub(crate) struct Decoder {
    types: Vec<DataType>,
    columns: Vec<ColumnBuilder>,
    /// Rows for which columns make room, and with which a page is full.
    room: usize,
    page_rows: usize,
    /// Pages that are, with their rows.
    full: Vec<(Vec<ColumnBuilder>, usize)>,
    place: Place,
    /// The beginning of what is not whole yet.
    held: Vec<u8>,
    /// Of the page at hand.
    rows: usize,
    long_bytes: usize,
}

impl Decoder {
    /// For columns of these types, in pages of at most so many rows, which make room for `room` of them.
    pub(crate) fn new(types: Vec<DataType>, room: usize, page_rows: usize) -> Self {
        Self {
            columns: columns(&types, room),
            types,
            room,
            page_rows,
            full: Vec::new(),
            place: Place::Header,
            held: Vec::new(),
            rows: 0,
            long_bytes: 0,
        }
    }

    /// Take the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), String> {
        if self.held.is_empty() {
            let used = self.take(piece)?;
            self.held.extend_from_slice(&piece[used..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(piece);
            let used = self.take(&held)?;
            held.drain(..used);
            self.held = held;
        }
        Ok(())
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.full.iter().map(|(_, rows)| rows).sum::<usize>() + self.rows
    }

    /// Bytes of texts and blobs so far.
    pub(crate) fn long_bytes(&self) -> usize {
        self.long_bytes
    }

    /// The columns of all pages so far, with their rows, of a copy that is given up or came to its end. Without rows there
    /// is one page, which has none.
    pub(crate) fn into_pages(mut self) -> Vec<(Vec<ColumnBuilder>, usize)> {
        self.full.push((self.columns, self.rows));
        self.full
    }

    /// Whether the copy came to its end.
    pub(crate) fn check_end(&self) -> Result<(), String> {
        if self.place == Place::End { Ok(()) } else { Err("a copy ends before its end mark".to_owned()) }
    }

    /// Read what is whole; how many bytes it took.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let taken = match self.place {
                Place::Header => header(rest)?,
                Place::Tuples => self.tuple(rest)?,
                Place::End if rest.is_empty() => None,
                Place::End => return Err(format!("{} bytes follow the end mark of a copy", rest.len())),
            };
            let Some(taken) = taken else { return Ok(used) };
            if self.place == Place::Header {
                self.place = Place::Tuples;
            }
            used += taken;
        }
    }

    /// Read a tuple, or the end mark; None when it is not whole.
    fn tuple(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let Some(count) = bytes.first_chunk().map(|count| i16::from_be_bytes(*count)) else {
            return Ok(None);
        };
        if count == TRAILER {
            self.place = Place::End;
            return Ok(Some(2));
        }
        if usize::try_from(count) != Ok(self.columns.len()) {
            return Err(format!("a tuple has {count} columns where {} were asked for", self.columns.len()));
        }
        // Whole, or nothing of it is taken.
        let mut end = 2;
        for _ in 0..self.columns.len() {
            let Some((_, after)) = field(bytes, end)? else { return Ok(None) };
            end = after;
        }
        if self.rows == self.page_rows {
            let full = std::mem::replace(&mut self.columns, columns(&self.types, self.room));
            self.full.push((full, std::mem::take(&mut self.rows)));
        }
        let mut at = 2;
        for (builder, data_type) in self.columns.iter_mut().zip(&self.types) {
            let Some((value, after)) = field(bytes, at)? else { return Ok(None) };
            match value {
                Some(value) => self.long_bytes += put(builder, *data_type, value)?,
                None => builder.push_null(),
            }
            at = after;
        }
        self.rows += 1;
        Ok(Some(end))
    }
}

fn columns(types: &[DataType], room: usize) -> Vec<ColumnBuilder> {
    types.iter().map(|data_type| ColumnBuilder::new(*data_type, room)).collect()
}

/// How long the header is; None when it is not whole.
fn header(bytes: &[u8]) -> Result<Option<usize>, String> {
    let known = bytes.len().min(FIXED_HEADER);
    if bytes[..known] != HEADER[..known] {
        return Err("a copy begins with another signature or with unknown flags".to_owned());
    }
    let Some(extension) = bytes.get(FIXED_HEADER..).and_then(|rest| rest.first_chunk()) else {
        return Ok(None);
    };
    if *extension != [0; 4] {
        return Err("a copy has an extension in its header".to_owned());
    }
    Ok(Some(HEADER.len()))
}

/// The field at a place and where the next one begins; None when it is not whole.
#[allow(clippy::type_complexity)]
fn field(bytes: &[u8], at: usize) -> Result<Option<(Option<&[u8]>, usize)>, String> {
    let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    let start = at + 4;
    if length == -1 {
        return Ok(Some((None, start)));
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_FIELD);
    let end = start + length.ok_or("a field has an impossible length")?;
    Ok(bytes.get(start..end).map(|value| (Some(value), end)))
}

fn exact<const N: usize>(value: &[u8], data_type: DataType) -> Result<[u8; N], String> {
    value.try_into().map_err(|_| format!("a {data_type} has {} bytes instead of {N}", value.len()))
}

/// Add a value; how many bytes of text or blob it has.
fn put(builder: &mut ColumnBuilder, data_type: DataType, value: &[u8]) -> Result<usize, String> {
    match builder {
        ColumnBuilder::Float64(builder) => builder.append_value(f64::from_be_bytes(exact(value, data_type)?)),
        ColumnBuilder::Float32(builder) => builder.append_value(f32::from_be_bytes(exact(value, data_type)?)),
        ColumnBuilder::Int64(builder) => builder.append_value(i64::from_be_bytes(exact(value, data_type)?)),
        ColumnBuilder::Int32(builder) => builder.append_value(i32::from_be_bytes(exact(value, data_type)?)),
        ColumnBuilder::Int16(builder) => builder.append_value(i16::from_be_bytes(exact(value, data_type)?)),
        ColumnBuilder::Bool(builder) => match value {
            [0] => builder.append_value(false),
            [1] => builder.append_value(true),
            _ => return Err("a bool is neither true nor false".to_owned()),
        },
        ColumnBuilder::Date(builder) => {
            let days = i32::from_be_bytes(exact(value, data_type)?);
            // PostgreSQL's infinities are the ends of the integers.
            let infinite = days == i32::MAX || days == i32::MIN;
            let days = days.checked_add(EPOCH_DAYS).filter(|_| !infinite);
            builder.append_value(days.ok_or("a date is infinite or out of range")?);
        }
        ColumnBuilder::Timestamp(builder) => {
            let micros = i64::from_be_bytes(exact(value, data_type)?);
            let infinite = micros == i64::MAX || micros == i64::MIN;
            let micros = micros.checked_add(EPOCH_MICROS).filter(|_| !infinite);
            builder.append_value(micros.ok_or("a moment is infinite or out of range")?);
        }
        ColumnBuilder::Uuid(builder) => {
            builder.append_value(exact::<16>(value, data_type)?).map_err(|error| error.to_string())?;
        }
        ColumnBuilder::Decimal(builder, precision, scale) => {
            let value = numeric::decode(value, *scale)?;
            if value.unsigned_abs() >= 10_u128.pow(u32::from(*precision)) {
                return Err(format!("a {data_type} has more digits than that"));
            }
            builder.append_value(value);
        }
        ColumnBuilder::Text(builder) => {
            builder.append_value(std::str::from_utf8(value).map_err(|error| error.to_string())?);
            return Ok(value.len());
        }
        ColumnBuilder::Bytes(builder) => {
            builder.append_value(value);
            return Ok(value.len());
        }
    }
    Ok(0)
}
