//! The statistics of an update as they come: read once, piece by piece, of which nothing is kept but what is compared.
//!
//! They name each coordinate several times, and may be a hundred times as large as what is kept of them. So no tree of them
//! is ever made, and what one piece of the text may cost is bounded before the parser sees it.

use std::io::{self, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Claims;
use super::rows::MAX_JSON_DEPTH;
use crate::Timestamp;
use crate::frame::MAX_COORDINATES;

/// Bytes of one text or number.
const MAX_TOKEN_BYTES: usize = 64 << 10;
/// Bytes that are looked at at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Read what is compared; see [`Claims::read`].
pub(super) fn read(text: impl Read, dimensions: usize) -> Result<Claims, String> {
    let text = BufReader::with_capacity(PIECE_BYTES, Bounded::new(text));
    let mut parser = serde_json::Deserializer::from_reader(text);
    let mut document = Document::new(dimensions);
    let shape = Fields(&mut document).deserialize(&mut parser).and_then(|shape| parser.end().map(|()| shape));
    let shape = shape.map_err(|error| error.to_string())?;
    let statistics = match (shape, document.inner) {
        (Shape::Object, None | Some(Shape::Null)) => document.flat,
        (Shape::Object, Some(Shape::Object)) => document.nested,
        _ => return Err("they are no object".to_owned()),
    };
    let Times { min, max } = statistics.global.or(statistics.other_global).unwrap_or_default();
    let time = |name: &str, said: Option<Result<Timestamp, String>>| {
        said.transpose().map_err(|problem| format!("`{name}`: {problem}"))
    };
    Ok(Claims { min: time("min", min)?, max: time("max", max)?, coordinates: statistics.coordinates })
}

/// What a value is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Null,
    Object,
    Other,
}

/// Hears of the parts of a value.
trait Hears {
    /// A member of the object that it is; its value must be read.
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, members: &mut A) -> Result<(), A::Error>;

    /// The text that it is.
    fn text(&mut self, _: &str) {}
}

/// A value whose parts somebody hears of.
struct Fields<'f, H>(&'f mut H);

impl<'de, H: Hears> DeserializeSeed<'de> for Fields<'_, H> {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, H: Hears> Visitor<'de> for Fields<'_, H> {
    type Value = Shape;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("statistics")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            self.0.member(&name, &mut members)?;
        }
        Ok(Shape::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shape::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Shape, E> {
        self.0.text(text);
        Ok(Shape::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }
}

/// The document: statistics, or those in its envelope.
struct Document {
    flat: Statistics,
    /// What is in the envelope; None: there is none.
    inner: Option<Shape>,
    nested: Statistics,
}

impl Document {
    fn new(dimensions: usize) -> Self {
        Self { flat: Statistics::new(dimensions), inner: None, nested: Statistics::new(dimensions) }
    }
}

impl Hears for Document {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, members: &mut A) -> Result<(), A::Error> {
        if name != "multi_index_stats" {
            return self.flat.member(name, members);
        }
        self.inner = Some(members.next_value_seed(Fields(&mut self.nested))?);
        Ok(())
    }
}

struct Statistics {
    dimensions: usize,
    global: Option<Times>,
    /// The same by its other name.
    other_global: Option<Times>,
    coordinates: Option<usize>,
}

impl Statistics {
    fn new(dimensions: usize) -> Self {
        Self { dimensions, global: None, other_global: None, coordinates: None }
    }
}

impl Hears for Statistics {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, members: &mut A) -> Result<(), A::Error> {
        match name {
            "_GLOBAL_" => members.next_value_seed(Fields(self.global.insert(Times::default()))).map(|_| ()),
            "global_index_progress" => {
                members.next_value_seed(Fields(self.other_global.insert(Times::default()))).map(|_| ())
            }
            "index_progress" if self.dimensions > 0 => {
                let mut count = 0;
                let mut leaves = Leaves { depth: self.dimensions, count: &mut count };
                let shape = members.next_value_seed(Fields(&mut leaves))?;
                self.coordinates = (shape == Shape::Object).then_some(count);
                Ok(())
            }
            _ => passed_over(members),
        }
    }
}

fn passed_over<'de, A: MapAccess<'de>>(members: &mut A) -> Result<(), A::Error> {
    members.next_value::<IgnoredAny>().map(|_| ())
}

/// Earliest and latest time: what is said of them, or what is wrong with it.
#[derive(Default)]
struct Times {
    min: Option<Result<Timestamp, String>>,
    max: Option<Result<Timestamp, String>>,
}

impl Hears for Times {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, members: &mut A) -> Result<(), A::Error> {
        let time = match name {
            "min" => &mut self.min,
            "max" => &mut self.max,
            _ => return passed_over(members),
        };
        let mut moment = Moment(None);
        let shape = members.next_value_seed(Fields(&mut moment))?;
        let no_text = || Err("a moment is expected: a text such as \"2026-11-20T00:00:00Z\"".to_owned());
        *time = (shape != Shape::Null).then(|| moment.0.unwrap_or_else(no_text));
        Ok(())
    }
}

/// A text that is a moment.
struct Moment(Option<Result<Timestamp, String>>);

impl Hears for Moment {
    fn member<'de, A: MapAccess<'de>>(&mut self, _: &str, members: &mut A) -> Result<(), A::Error> {
        passed_over(members)
    }

    fn text(&mut self, text: &str) {
        self.0 = Some(text.parse::<Timestamp>().map_err(|error| error.to_string()));
    }
}

/// Leaves of a tree of objects that is so deep. Deeper ones are leaves, whatever they are.
struct Leaves<'c> {
    depth: usize,
    count: &'c mut usize,
}

impl Hears for Leaves<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, _: &str, members: &mut A) -> Result<(), A::Error> {
        if self.depth == 0 {
            return passed_over(members);
        }
        let mut below = Leaves { depth: self.depth - 1, count: &mut *self.count };
        let shape = members.next_value_seed(Fields(&mut below))?;
        let is_leaf = shape != Shape::Object || below.depth == 0;
        *self.count += usize::from(is_leaf);
        if *self.count > MAX_COORDINATES {
            return Err(A::Error::custom(format!("they are of more than {MAX_COORDINATES} coordinates")));
        }
        Ok(())
    }
}

/// Text of which no piece may take much: the parser holds one text or number at a time, and a byte per level.
struct Bounded<R> {
    text: R,
    depth: usize,
    token: usize,
    in_text: bool,
    escaped: bool,
}

impl<R> Bounded<R> {
    fn new(text: R) -> Self {
        Self { text, depth: 0, token: 0, in_text: false, escaped: false }
    }

    fn see(&mut self, byte: u8) -> io::Result<()> {
        self.token += 1;
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => (self.in_text, self.token) = (!self.in_text, 0),
            _ if self.in_text => {}
            b'{' | b'[' => (self.depth, self.token) = (self.depth + 1, 0),
            b'}' | b']' => (self.depth, self.token) = (self.depth.saturating_sub(1), 0),
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => self.token = 0,
            _ => {}
        }
        if self.token > MAX_TOKEN_BYTES {
            return Err(io::Error::other(format!("a text or number has more than {MAX_TOKEN_BYTES} bytes")));
        }
        if self.depth > MAX_JSON_DEPTH {
            return Err(io::Error::other(format!("they are deeper than {MAX_JSON_DEPTH} levels")));
        }
        Ok(())
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.text.read(buffer)?;
        for byte in buffer.iter().take(read) {
            self.see(*byte)?;
        }
        Ok(read)
    }
}
