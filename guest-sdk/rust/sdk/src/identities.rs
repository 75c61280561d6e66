//! Numbers for coordinates.

use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch, StringArray};

use crate::coordinate::no_value;
use crate::frames::no_column;
use crate::{Coordinate, CoordinateValue, NodeError, coordinate_at};

/// Gives each identity that a node meets a number: 0, 1, 2 and so on, in the order in which they are first seen. What a node
/// remembers of each is then a `Vec`, and no row is looked up by its texts.
///
/// That is worth most in tables whose rows are sorted by time, as those of every read are: there the identity that comes
/// behind another is mostly the one that came behind it the last time, so one comparison finds it.
///
/// ```
/// use datanode_sdk::{Identities, frames::FrameBuilder};
/// let mut identities = Identities::new(["currency"]);
/// let batch = FrameBuilder::new().strings("currency", ["USD", "JPY", "USD"]).build().unwrap();
/// assert_eq!(identities.number(&batch).unwrap(), [0, 1, 0]);
/// let later = FrameBuilder::new().strings("currency", ["JPY", "ISK"]).build().unwrap();
/// assert_eq!(identities.number(&later).unwrap(), [1, 2]);
/// assert_eq!(identities.coordinates()[2], ["ISK".into()]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Identities {
    dimensions: Vec<String>,
    coordinates: Vec<Coordinate>,
    numbers: BTreeMap<Coordinate, usize>,
    /// Of each identity the one that came behind it the last time.
    behind: Vec<usize>,
    /// The identity of the row before.
    last: usize,
}

impl Identities {
    /// None yet; `dimensions` are the columns that make an identity, in the order of the index.
    pub fn new<S: Into<String>>(dimensions: impl IntoIterator<Item = S>) -> Self {
        Self { dimensions: dimensions.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The number of each row's identity; those that are new get the next ones. An error names a dimension that is no
    /// column of the batch, or the row in which one has no value.
    pub fn number(&mut self, batch: &RecordBatch) -> Result<Vec<usize>, NodeError> {
        let mut columns = Vec::with_capacity(self.dimensions.len());
        for name in &self.dimensions {
            let column = batch.column_by_name(name).ok_or_else(|| no_column(batch, name))?;
            // Without nulls each row has a value.
            if column.null_count() > 0
                && let Some(row) = (0..column.len()).find(|row| column.is_null(*row))
            {
                return Err(no_value(name, row));
            }
            columns.push(Column::new(column.as_ref()));
        }
        let mut numbers = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let expected = self.behind.get(self.last).copied().unwrap_or_default();
            let is_it = self.coordinates.get(expected).is_some_and(|coordinate| {
                columns.iter().zip(coordinate).all(|(column, value)| column.holds(row, value))
            });
            let number = if is_it { expected } else { self.look_up(batch, row)? };
            self.last = number;
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// All identities that were seen, by their numbers.
    pub fn coordinates(&self) -> &[Coordinate] {
        &self.coordinates
    }

    /// How many were seen.
    pub fn len(&self) -> usize {
        self.coordinates.len()
    }

    /// True before the first row.
    pub fn is_empty(&self) -> bool {
        self.coordinates.is_empty()
    }

    fn look_up(&mut self, batch: &RecordBatch, row: usize) -> Result<usize, NodeError> {
        let coordinate = coordinate_at(batch, &self.dimensions, row)?;
        let number = if let Some(number) = self.numbers.get(&coordinate) {
            *number
        } else {
            let number = self.coordinates.len();
            self.coordinates.push(coordinate.clone());
            self.numbers.insert(coordinate, number);
            self.behind.push(0);
            number
        };
        if let Some(behind) = self.behind.get_mut(self.last) {
            *behind = number;
        }
        Ok(number)
    }
}

/// A column without nulls.
enum Column<'a> {
    Text(&'a StringArray),
    Other(&'a dyn Array),
}

impl<'a> Column<'a> {
    fn new(column: &'a dyn Array) -> Self {
        column.as_any().downcast_ref().map_or(Self::Other(column), Self::Text)
    }

    fn holds(&self, row: usize, value: &CoordinateValue) -> bool {
        match (self, value) {
            (Self::Text(column), CoordinateValue::Text(text)) => {
                same(column.value(row).as_bytes(), text.as_bytes())
            }
            (Self::Text(_), _) => false,
            (Self::Other(column), value) => CoordinateValue::at(*column, row).as_ref() == Some(value),
        }
    }
}

/// Whether two texts are the same. Most are codes of a few bytes, and calling what compares memory would take longer than
/// comparing does.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        0 => true,
        1 => one[0] == other[0],
        2..=3 => ends(one, other, u16::from_le_bytes),
        4..=7 => ends(one, other, u32::from_le_bytes),
        8..=16 => ends(one, other, u64::from_le_bytes),
        _ => one == other,
    }
}

/// Whether the first and the last `N` bytes are the same, which may overlap.
#[inline]
fn ends<const N: usize, T: PartialEq>(one: &[u8], other: &[u8], number: fn([u8; N]) -> T) -> bool {
    let first = |bytes: &[u8]| bytes.first_chunk().copied().map(number);
    let last = |bytes: &[u8]| bytes.last_chunk().copied().map(number);
    first(one) == first(other) && last(one) == last(other)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frames::FrameBuilder;

    #[test]
    fn numbers_are_those_of_a_map() {
        // Two dimensions of two types, in an order that repeats, then breaks, with texts of all lengths that are compared
        // each in its own way.
        let texts: Vec<String> = (0..40).map(|length| "x".repeat(length / 2) + &length.to_string()).collect();
        let rows: Vec<usize> =
            (0..400).map(|row| if row % 37 == 0 { row * row % 40 } else { row % 40 }).collect();
        let batch = |rows: &[usize]| {
            FrameBuilder::new()
                .strings("text", rows.iter().map(|row| &texts[*row]))
                .integers("number", rows.iter().map(|row| i64::try_from(row % 3).unwrap()))
                .build()
                .unwrap()
        };
        let mut identities = Identities::new(["text", "number"]);
        let mut numbers = Vec::new();
        for part in rows.chunks(61) {
            numbers.extend(identities.number(&batch(part)).unwrap());
        }
        let whole = batch(&rows);
        let mut seen = BTreeMap::new();
        for (row, number) in numbers.into_iter().enumerate() {
            let coordinate = coordinate_at(&whole, &["text", "number"], row).unwrap();
            assert_eq!(identities.coordinates()[number], coordinate);
            let next = seen.len();
            assert_eq!(
                *seen.entry(coordinate).or_insert(next),
                number,
                "in the order in which they are seen"
            );
        }
        assert_eq!(identities.len(), seen.len());
    }

    #[test]
    fn texts_that_differ_anywhere_are_told_apart() {
        for length in 1..40 {
            let text: Vec<u8> = (0..length).collect();
            assert!(same(&text, &text.clone()));
            assert!(!same(&text, &text[1..]), "a shorter one");
            for place in 0..text.len() {
                let mut other = text.clone();
                other[place] ^= 0x80;
                assert!(!same(&text, &other), "of {length} bytes, that of {place}");
            }
        }
        assert!(same(b"", b""));
    }

    #[test]
    fn a_table_by_time_alone_has_one_identity() {
        let batch = FrameBuilder::new().floats("value", [1.0, 2.0]).build().unwrap();
        let mut identities = Identities::new::<String>([]);
        assert_eq!(identities.number(&batch).unwrap(), [0, 0]);
        assert_eq!(identities.coordinates(), [Coordinate::new()]);
    }

    #[test]
    fn what_cannot_be_numbered_is_said() {
        let texts = StringArray::from(vec![Some("a"), None]);
        let batch = FrameBuilder::new().column("text", Arc::new(texts)).build().unwrap();
        let error = |dimension: &str| Identities::new([dimension]).number(&batch).unwrap_err();
        assert_eq!(error("text").message, "no value of dimension `text`");
        assert_eq!(error("other").message, "no column `other`: there are text");
    }
}
