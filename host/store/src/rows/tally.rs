//! Rows counted by their coordinate, one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use datanode_core::Timestamp;
use datanode_core::contract::{Contract, TIME_INDEX};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};
use uuid::Uuid;

use super::{Cells, Values};

/// The values of a coordinate, one behind the other: of values of the same types no two lists have the same bytes.
#[derive(Debug, Default)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// A number, a day, a moment, or a bool.
    #[inline]
    pub(crate) fn integer(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A text or the bytes of a uuid.
    #[inline]
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
    }
}

/// What was counted of one coordinate.
#[derive(Debug, Clone, Copy)]
struct Counted {
    rows: u64,
    min: i64,
    max: i64,
}

/// Counts rows by coordinate. Rows mostly come in one order of coordinates again and again, or one coordinate after the
/// other: what followed the last one before is compared first, and only a row that breaks the order is looked up.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of the row at hand.
    key: Key,
    keys: Vec<Arc<[u8]>>,
    counted: Vec<Counted>,
    /// Of each the one that followed it last.
    next: Vec<usize>,
    last: usize,
    places: HashMap<Arc<[u8]>, usize>,
}

impl Tally {
    /// Count a row at a time, in microseconds; `write` writes its coordinate. Whether all rows of the coordinate that came
    /// before lie on one side of it: then none of them is this row.
    #[inline]
    pub(crate) fn row<E>(
        &mut self,
        time: i64,
        write: impl FnOnce(&mut Key) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.key.0.clear();
        write(&mut self.key)?;
        let place = match self.next.get(self.last) {
            Some(&next) if *self.keys[next] == *self.key.0 => next,
            _ => self.look_up(),
        };
        self.last = place;
        let counted = &mut self.counted[place];
        let outside = counted.rows == 0 || time < counted.min || time > counted.max;
        counted.rows += 1;
        counted.min = counted.min.min(time);
        counted.max = counted.max.max(time);
        Ok(outside)
    }

    /// The place of the coordinate at hand, which is new or was not expected here.
    #[cold]
    fn look_up(&mut self) -> usize {
        let place = if let Some(place) = self.places.get(self.key.0.as_slice()) {
            *place
        } else {
            let (place, key) = (self.keys.len(), Arc::<[u8]>::from(self.key.0.as_slice()));
            self.places.insert(Arc::clone(&key), place);
            self.keys.push(key);
            self.counted.push(Counted { rows: 0, min: i64::MAX, max: i64::MIN });
            self.next.push(0);
            place
        };
        if let Some(next) = self.next.get_mut(self.last) {
            *next = place;
        }
        place
    }

    /// Rows of each coordinate, whose values have these types; None: one of them has no such values.
    pub(crate) fn counts(&self, types: &[DataType]) -> Option<Vec<(Coordinate, u64)>> {
        let counted = self.keys.iter().zip(&self.counted);
        counted.map(|(key, counted)| Some((coordinate(key, types)?, counted.rows))).collect()
    }

    /// The same with their times; None, too, where one is no time.
    pub(crate) fn progress(&self, types: &[DataType]) -> Option<Progress> {
        let counted = self.keys.iter().zip(&self.counted).map(|(key, counted)| {
            let time = |micros| Timestamp::from_micros(micros).ok();
            let Counted { rows, min, max } = *counted;
            Some((coordinate(key, types)?, CoordinateProgress { min: time(min)?, max: time(max)?, rows }))
        });
        counted.collect()
    }
}

/// What [`Key`] wrote.
fn coordinate(mut key: &[u8], types: &[DataType]) -> Option<Coordinate> {
    let values = types.iter().map(|data_type| {
        let number = i64::from_le_bytes(*key.split_off(..8)?.first_chunk()?);
        Some(match data_type {
            DataType::String | DataType::Uuid => {
                let bytes = key.split_off(..usize::try_from(number).ok()?)?;
                if *data_type == DataType::Uuid {
                    CoordinateValue::Uuid(Uuid::from_slice(bytes).ok()?)
                } else {
                    CoordinateValue::Text(str::from_utf8(bytes).ok()?.to_owned())
                }
            }
            DataType::Int64 | DataType::Int32 | DataType::Int16 => CoordinateValue::Int(number),
            DataType::Bool => CoordinateValue::Bool(match number {
                0 => false,
                1 => true,
                _ => return None,
            }),
            DataType::Date => CoordinateValue::Date(i32::try_from(number).ok()?),
            DataType::TimestampTz => CoordinateValue::Timestamp(Timestamp::from_micros(number).ok()?),
            _ => return None,
        })
    });
    let coordinate = Coordinate(values.collect::<Option<_>>()?);
    key.is_empty().then_some(coordinate)
}

/// Counts rows of batches.
#[derive(Debug)]
pub(crate) struct BatchTally {
    tally: Tally,
    /// Where the time is, and the identity dimensions.
    time: Option<usize>,
    dimensions: Vec<usize>,
    differ: bool,
}

impl BatchTally {
    /// For batches that have the contract's columns in the contract's order.
    pub(crate) fn new(contract: &Contract) -> Self {
        let place = |name: &str| contract.columns.iter().position(|column| column.name == name);
        let dimensions: Option<Vec<usize>> = contract.dimensions().iter().map(|name| place(name)).collect();
        let time = place(TIME_INDEX).filter(|_| dimensions.is_some());
        Self {
            tally: Tally::default(),
            time,
            dimensions: dimensions.unwrap_or_default(),
            differ: time.is_some(),
        }
    }

    /// Count rows of a batch. None: the table has no time, or something else than values of a key in the place of one.
    pub(crate) fn rows(&mut self, cells: &Cells<'_>, rows: impl Iterator<Item = usize>) -> Option<()> {
        let Values::Timestamp(times) = &cells.columns.get(self.time?)?.values else { return None };
        let dimensions: Option<Vec<&Values<'_>>> =
            self.dimensions.iter().map(|at| cells.columns.get(*at).map(|column| &column.values)).collect();
        let dimensions = dimensions?;
        for row in rows {
            let write =
                |key: &mut Key| dimensions.iter().try_for_each(|values| write(key, values, row).ok_or(()));
            self.differ &= self.tally.row(times[row], write).ok()?;
        }
        Some(())
    }

    /// True: no two rows have the same key. False: that cannot be told; some were neither behind nor before all that came
    /// of their coordinate until then.
    pub(crate) fn all_differ(&self) -> bool {
        self.differ
    }

    /// What was counted, coordinate by coordinate.
    pub(crate) fn progress(&self, contract: &Contract) -> Option<Progress> {
        self.tally.progress(&contract.dimension_types())
    }
}

fn write(key: &mut Key, values: &Values<'_>, row: usize) -> Option<()> {
    match values {
        Values::Text(values) => key.bytes(values.value(row).as_bytes()),
        Values::Uuid(values) => key.bytes(values.value(row)),
        Values::Int64(values) | Values::Timestamp(values) => key.integer(values[row]),
        Values::Int32(values) | Values::Date(values) => key.integer(values[row].into()),
        Values::Int16(values) => key.integer(values[row].into()),
        Values::Bool(values) => key.integer(values.value(row).into()),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic here is the report

    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    type Row = (i64, String, i64);

    fn count(rows: &[Row]) -> (Tally, bool) {
        let mut tally = Tally::default();
        let mut differ = true;
        for (time, name, id) in rows {
            let write = |key: &mut Key| {
                key.bytes(name.as_bytes());
                key.integer(*id);
                Ok::<_, ()>(())
            };
            differ &= tally.row(*time, write).unwrap();
        }
        (tally, differ)
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        prop::collection::vec((0..6_i64, "[ab]{0,2}", 0..2_i64), 0..40)
    }

    const TYPES: [DataType; 2] = [DataType::String, DataType::Int64];

    proptest! {
        #[test]
        fn rows_are_counted_whatever_their_order(rows in rows()) {
            let (tally, differ) = count(&rows);
            let mut counts: BTreeMap<Coordinate, u64> = BTreeMap::new();
            let mut progress = Progress::default();
            for (time, name, id) in &rows {
                let at = Coordinate(vec![CoordinateValue::Text(name.clone()), CoordinateValue::Int(*id)]);
                let time = Timestamp::from_micros(*time).unwrap();
                *counts.entry(at.clone()).or_default() += 1;
                progress.extend(at, CoordinateProgress { min: time, max: time, rows: 1 });
            }
            prop_assert_eq!(tally.counts(&TYPES).unwrap().into_iter().collect::<BTreeMap<_, _>>(), counts);
            prop_assert_eq!(tally.progress(&TYPES).unwrap(), progress);
            let distinct = rows.iter().collect::<BTreeSet<_>>().len() == rows.len();
            prop_assert!(distinct || !differ, "two rows are the same and were said to differ");
        }

        #[test]
        fn rows_in_the_order_of_time_or_of_coordinates_are_told_apart(rows in rows()) {
            let by_time: BTreeSet<Row> = rows.into_iter().collect();
            let by_time: Vec<Row> = by_time.into_iter().collect();
            let mut by_coordinate = by_time.clone();
            by_coordinate.sort_by(|left, right| (&left.1, left.2, left.0).cmp(&(&right.1, right.2, right.0)));
            let back: Vec<Row> = by_time.iter().rev().cloned().collect();
            for rows in [by_time, by_coordinate, back] {
                prop_assert!(count(&rows).1);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_values_of_the_types_are_no_coordinate() {
        let mut key = Key::default();
        key.bytes(b"a");
        key.integer(7);
        let all = [CoordinateValue::Text("a".to_owned()), CoordinateValue::Int(7)];
        assert_eq!(coordinate(&key.0, &TYPES), Some(Coordinate(all.to_vec())));
        for types in [
            &[DataType::String][..],
            &[DataType::String, DataType::Bool],
            &[DataType::Uuid, DataType::Int64],
            &[DataType::Int64, DataType::Int64],
            &[DataType::String, DataType::Int64, DataType::Int64],
            &[DataType::Float64, DataType::Int64],
        ] {
            assert_eq!(coordinate(&key.0, types), None, "{types:?}");
        }
        let mut broken = Key::default();
        broken.bytes(b"\xff");
        assert_eq!(coordinate(&broken.0, &[DataType::String]), None);
    }
}
