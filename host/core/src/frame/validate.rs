//! The rules for rows that may be stored.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch, UInt32Array, cast::AsArray};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::FrameError;
use super::columns::FrameColumns;
use crate::Timestamp;
use crate::contract::Contract;
use crate::coordinate::{Coordinate, CoordinateValue};
use crate::progress::{CoordinateProgress, Progress};
use crate::window::Window;

/// Coordinates that one run may touch: each is kept in memory until the commit.
pub const MAX_COORDINATES: usize = 2_000_000;

/// Checks and normalises the batches of one run as they arrive, with memory bounded by one batch and the number of
/// coordinates.
///
/// What it cannot see is one index tuple in two batches: there the table's unique index refuses the commit.
#[derive(Debug)]
pub struct OutputValidator {
    contract: Arc<Contract>,
    schema: SchemaRef,
    window: Window,
    known: Arc<Progress>,
    columns: FrameColumns,
    /// For each index column, its position in the contract.
    index: Vec<usize>,
    index_rows: RowConverter,
    dimension_rows: RowConverter,
    /// Row encoding of a coordinate → place in `tracks`.
    tracked: HashMap<Box<[u8]>, usize>,
    tracks: Vec<Track>,
    emitted: u64,
    dropped: u64,
    /// Whether rows that the table may have already are kept.
    covers: bool,
    /// The dropped rows of the last batch, where they are wanted.
    dropped_rows: Option<Vec<RecordBatch>>,
}

/// One coordinate met in this run.
#[derive(Debug)]
struct Track {
    coordinate: Coordinate,
    /// Rows at or before this time (µs) are stored already.
    stored_until: Option<i64>,
    added: Option<CoordinateProgress>,
}

/// What one run emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSummary {
    /// Rows emitted.
    pub emitted: u64,
    /// Of these, rows dropped because they lie before the window, or were stored already and the run does not cover it.
    pub dropped: u64,
    /// Coordinates that had rows inside the window, new ones or not.
    pub coordinates: u64,
    /// What the kept rows add to the table's progress.
    pub added: Progress,
}

impl OutputValidator {
    /// For a run over `window` into a table that holds `known`.
    pub fn new(contract: Arc<Contract>, window: Window, known: Arc<Progress>) -> Result<Self, ArrowError> {
        let place = |name: &String| contract.columns.iter().position(|column| column.name == *name);
        let index: Vec<usize> = contract.index.iter().filter_map(place).collect();
        let fields: Vec<SortField> =
            index.iter().map(|at| SortField::new(contract.columns[*at].data_type.arrow())).collect();
        let dimension_rows = RowConverter::new(fields.get(1..).unwrap_or_default().to_vec())?;
        Ok(Self {
            schema: contract.arrow_schema(),
            window,
            known,
            columns: FrameColumns::new(Arc::clone(&contract)),
            index,
            index_rows: RowConverter::new(fields)?,
            dimension_rows,
            tracked: HashMap::new(),
            tracks: Vec::new(),
            emitted: 0,
            dropped: 0,
            covers: false,
            dropped_rows: None,
            contract,
        })
    }

    /// Keep every row of the window, at or before the progress of its coordinate too: for a run that is to fill a window or
    /// to overwrite it.
    #[must_use]
    pub fn covering_window(self) -> Self {
        Self { covers: true, ..self }
    }

    /// Hand out dropped rows too, by [`OutputValidator::take_dropped`].
    #[must_use]
    pub fn keeping_dropped(self) -> Self {
        Self { dropped_rows: Some(Vec::new()), ..self }
    }

    /// The rows that were dropped since the last call, checked and sorted as the kept ones are. Nothing unless
    /// [`OutputValidator::keeping_dropped`] asked for them.
    pub fn take_dropped(&mut self) -> Vec<RecordBatch> {
        self.dropped_rows.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Check one batch of the frame whose schema was accepted. The answer has the contract's columns, is sorted by
    /// the index and free of duplicates; None when no row of it is new.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>, FrameError> {
        let first_row = self.emitted;
        let rows = batch.num_rows();
        self.emitted += rows as u64;
        if rows == 0 {
            return Ok(None);
        }
        let columns = self.columns.normalise(batch, first_row)?;

        let contract = Arc::clone(&self.contract);
        let internal = |error: ArrowError| FrameError::NotArrow {
            table: contract.identifier.clone(),
            message: 0,
            problem: error.to_string(),
        };
        let keys: Vec<ArrayRef> = self.index.iter().map(|at| Arc::clone(&columns[*at])).collect();
        let sorted_keys = self.index_rows.convert_columns(&keys).map_err(internal)?;
        let order = self.sort(&sorted_keys, &keys, first_row)?;

        let times = keys[0].as_primitive::<TimestampMicrosecondType>().clone();
        self.check_window(&times, first_row)?;
        let dimensions = if keys.len() > 1 {
            Some(self.dimension_rows.convert_columns(&keys[1..]).map_err(internal)?)
        } else {
            None
        };
        let kept = self.keep_new(&order, &times, &keys, dimensions.as_ref(), first_row)?;
        if kept.is_empty() && self.dropped_rows.is_none() {
            return Ok(None);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)?;
        if let Some(dropped) = &mut self.dropped_rows
            && kept.len() < rows
        {
            // What is kept is in the same order.
            let mut kept = kept.iter().peekable();
            let gone: UInt32Array =
                order.iter().filter(|row| kept.next_if(|next| next == row).is_none()).copied().collect();
            dropped.push(arrow_select::take::take_record_batch(&batch, &gone).map_err(internal)?);
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let in_place = kept.len() == rows && kept.iter().enumerate().all(|(at, row)| *row as usize == at);
        if in_place {
            return Ok(Some(batch));
        }
        arrow_select::take::take_record_batch(&batch, &UInt32Array::from(kept)).map(Some).map_err(internal)
    }

    /// Check the frame's schema: names and types as in the contract, in any order.
    pub fn schema(&mut self, frame: &Schema) -> Result<(), FrameError> {
        self.columns.schema(frame)
    }

    /// Everything emitted so far.
    pub fn finish(self) -> OutputSummary {
        let coordinates = self.tracks.len() as u64;
        let added =
            self.tracks.into_iter().filter_map(|track| Some((track.coordinate, track.added?))).collect();
        OutputSummary { emitted: self.emitted, dropped: self.dropped, coordinates, added }
    }

    /// Row numbers in index order. Refuses a tuple that occurs twice, naming the first row that repeats one.
    fn sort(&self, keys: &Rows, columns: &[ArrayRef], first_row: u64) -> Result<Vec<u32>, FrameError> {
        let rows = u32::try_from(keys.num_rows()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..rows).collect();
        let increasing = (1..keys.num_rows()).all(|row| keys.row(row - 1) < keys.row(row));
        if increasing {
            return Ok(order);
        }
        // Stable, so that of two equal tuples the one emitted first stays first.
        order.sort_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
        let repeated =
            order.windows(2).filter(|pair| keys.row(pair[0] as usize) == keys.row(pair[1] as usize));
        match repeated.map(|pair| pair[1]).min() {
            None => Ok(order),
            Some(row) => Err(FrameError::DuplicateKey {
                table: self.contract.identifier.clone(),
                place: format!("row {}", first_row + u64::from(row)),
                columns: self.contract.index.join(", "),
                key: self.key_text(columns, row as usize),
            }),
        }
    }

    fn key_text(&self, columns: &[ArrayRef], row: usize) -> String {
        let values = self.index.iter().zip(columns).filter_map(|(at, array)| {
            CoordinateValue::from_array(array, self.contract.columns[*at].data_type, row)
        });
        Coordinate(values.collect()).to_string()
    }

    fn check_window(
        &self,
        times: &PrimitiveArray<TimestampMicrosecondType>,
        first_row: u64,
    ) -> Result<(), FrameError> {
        let end = self.window.end.micros();
        match times.values().iter().enumerate().find(|(_, micros)| **micros > end) {
            None => Ok(()),
            Some((row, micros)) => Err(FrameError::AfterWindow {
                table: self.contract.identifier.clone(),
                row: first_row + row as u64,
                time: Timestamp::from_micros(*micros).unwrap_or(self.window.end),
                end: self.window.end,
            }),
        }
    }

    /// The rows, in the given order, that are after the progress of their coordinate and inside the window.
    fn keep_new(
        &mut self,
        order: &[u32],
        times: &PrimitiveArray<TimestampMicrosecondType>,
        keys: &[ArrayRef],
        dimensions: Option<&Rows>,
        first_row: u64,
    ) -> Result<Vec<u32>, FrameError> {
        let start = self.window.start.map_or(i64::MIN, Timestamp::micros);
        let mut kept = Vec::with_capacity(order.len());
        for row in order {
            let micros = times.value(*row as usize);
            if micros < start {
                self.dropped += 1;
                continue;
            }
            let track = self.track(*row as usize, keys, dimensions, first_row)?;
            if track.stored_until.is_some_and(|until| micros <= until) {
                self.dropped += 1;
                continue;
            }
            // Checked against the years 1 to 9999 by `normalise`.
            if let Ok(time) = Timestamp::from_micros(micros) {
                let added = track.added.get_or_insert(CoordinateProgress { min: time, max: time, rows: 0 });
                added.min = added.min.min(time);
                added.max = added.max.max(time);
                added.rows += 1;
            }
            kept.push(*row);
        }
        Ok(kept)
    }

    fn track(
        &mut self,
        row: usize,
        keys: &[ArrayRef],
        dimensions: Option<&Rows>,
        first_row: u64,
    ) -> Result<&mut Track, FrameError> {
        let encoded = dimensions.map(|rows| rows.row(row));
        let encoded: &[u8] = encoded.as_ref().map_or(&[], AsRef::as_ref);
        let place = if let Some(place) = self.tracked.get(encoded) {
            *place
        } else {
            if self.tracks.len() >= MAX_COORDINATES {
                return Err(FrameError::TooManyCoordinates {
                    table: self.contract.identifier.clone(),
                    row: first_row + row as u64,
                    limit: MAX_COORDINATES,
                });
            }
            let types = self.index[1..].iter().map(|at| self.contract.columns[*at].data_type);
            let values = keys[1..].iter().zip(types);
            let coordinate = Coordinate(
                values
                    .filter_map(|(array, data_type)| CoordinateValue::from_array(array, data_type, row))
                    .collect(),
            );
            let known = if self.covers { None } else { self.known.get(&coordinate) };
            let stored_until = known.map(|progress| progress.max.micros());
            self.tracks.push(Track { coordinate, stored_until, added: None });
            self.tracked.insert(encoded.into(), self.tracks.len() - 1);
            self.tracks.len() - 1
        };
        Ok(&mut self.tracks[place])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow_array::{
        Array as _, Float64Array, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::Diagnostic;

    fn contract() -> Arc<Contract> {
        let text = r#"
            identifier = "t"
            index = ["time_index", "id"]
            columns = [
                { name = "time_index", type = "timestamp_tz" },
                { name = "id", type = "string" },
                { name = "value", type = "float64", nullable = true },
            ]
        "#;
        Arc::new(Contract::from_toml(text).unwrap())
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn validator(start: Option<i64>, end: i64, known: &[(&str, i64)]) -> OutputValidator {
        let held = known.iter().map(|(id, max)| {
            let coordinate = Coordinate(vec![CoordinateValue::Text((*id).to_owned())]);
            (coordinate, CoordinateProgress { min: at(0), max: at(*max), rows: 1 })
        });
        let window = Window { start: start.map(at), end: at(end) };
        let mut validator = OutputValidator::new(contract(), window, Arc::new(held.collect())).unwrap();
        validator.schema(&batch(&[]).schema()).unwrap();
        validator
    }

    /// A batch whose columns are not in the contract's order.
    fn batch(rows: &[(i64, &str, f64)]) -> RecordBatch {
        let times =
            TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0)).with_timezone("+00:00");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("value", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2)))),
            ("id", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)))),
            ("time_index", Arc::new(times)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn keys(batch: &RecordBatch) -> Vec<(i64, String)> {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let ids = batch.column(1).as_string::<i32>();
        (0..batch.num_rows()).map(|row| (times.value(row), ids.value(row).to_owned())).collect()
    }

    #[test]
    fn rows_come_out_sorted_new_and_in_contract_order() {
        let mut validator = validator(Some(1), 10, &[("a", 5)]);
        let kept = validator
            .batch(&batch(&[(7, "b", 1.0), (6, "a", f64::NAN), (5, "a", 2.0), (0, "b", 3.0)]))
            .unwrap();
        let kept = kept.unwrap();
        assert_eq!(keys(&kept), [(6, "a".to_owned()), (7, "b".to_owned())]);
        assert!(kept.column(2).is_null(0), "NaN is stored as null");
        assert_eq!(kept.schema(), contract().arrow_schema());
        let summary = validator.finish();
        assert_eq!((summary.emitted, summary.dropped, summary.added.rows()), (4, 2, 2));
    }

    #[test]
    fn broken_rows_name_the_first_offender_counted_over_batches() {
        let mut after = validator(None, 10, &[]);
        after.batch(&batch(&[(1, "a", 0.0), (2, "a", 0.0)])).unwrap();
        let error = after.batch(&batch(&[(3, "a", 0.0), (11, "a", 0.0), (12, "a", 0.0)])).unwrap_err();
        assert!(matches!(error, FrameError::AfterWindow { row: 3, .. }), "{error}");

        let mut twice = validator(None, 10, &[]);
        let error =
            twice.batch(&batch(&[(2, "a", 0.0), (1, "b", 0.0), (1, "b", 1.0), (2, "a", 1.0)])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "table `t`, row 2: index (time_index, id) = (1970-01-01T00:00:00.000001Z, b) was emitted before in this run"
        );
    }

    #[test]
    fn times_of_other_units_become_microseconds_when_nothing_is_lost() {
        let frame = |nanos: i64| {
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("time_index", Arc::new(TimestampNanosecondArray::from(vec![nanos]).with_timezone("UTC"))),
                ("id", Arc::new(StringArray::from(vec!["a"]))),
                ("value", Arc::new(Float64Array::from(vec![f64::INFINITY]))),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let mut exact = validator(None, 10, &[]);
        exact.schema(&frame(0).schema()).unwrap();
        assert_eq!(keys(&exact.batch(&frame(3_000)).unwrap().unwrap()), [(3, "a".to_owned())]);
        assert_eq!(exact.batch(&frame(3_001)).unwrap_err().code(), "frame.time");
        // The last moment that nanoseconds reach, and microseconds beyond the year 9999.
        assert_eq!(exact.batch(&frame(i64::MAX)).unwrap_err().code(), "frame.time");
        let mut wide = validator(None, 10, &[]);
        assert_eq!(wide.batch(&batch(&[(i64::MAX, "a", 0.0)])).unwrap_err().code(), "frame.time");
        assert_eq!(wide.batch(&batch(&[(i64::MIN, "a", 0.0)])).unwrap_err().code(), "frame.time");
    }

    proptest! {
        /// Against the rules written as sets: what is kept is what is inside the window, and new unless the run covers it,
        /// whatever the order of rows and the cut into batches.
        #[test]
        fn kept_rows_are_the_new_ones_inside_the_window(
            rows in prop::collection::btree_set((0i64..40, "[abc]"), 0..60),
            order in any::<u64>(),
            cut in 1usize..20,
            start in prop::option::of(0i64..40),
            stored in 0i64..40,
            covers in any::<bool>(),
        ) {
            let mut shuffled: Vec<(i64, String)> = rows.iter().cloned().collect();
            shuffled.sort_by_key(|(time, id)| (time.wrapping_mul(31) ^ i64::from(id.as_bytes()[0])).wrapping_mul(order.cast_signed() | 1));
            let mut validator = validator(start, 40, &[("a", stored)]).keeping_dropped();
            if covers {
                validator = validator.covering_window();
            }
            let (mut kept, mut gone) = (BTreeSet::new(), BTreeSet::new());
            for piece in shuffled.chunks(cut) {
                let piece: Vec<(i64, &str, f64)> = piece.iter().map(|(time, id)| (*time, id.as_str(), 0.5)).collect();
                if let Some(batch) = validator.batch(&batch(&piece)).unwrap() {
                    let keys = keys(&batch);
                    prop_assert!(keys.is_sorted());
                    kept.extend(keys);
                }
                for batch in validator.take_dropped() {
                    let keys = keys(&batch);
                    prop_assert!(keys.is_sorted());
                    gone.extend(keys);
                }
            }
            let expected: BTreeSet<(i64, String)> = rows
                .iter()
                .filter(|(time, _)| start.is_none_or(|start| *time >= start))
                .filter(|(time, id)| covers || id != "a" || *time > stored)
                .cloned()
                .collect();
            let summary = validator.finish();
            prop_assert_eq!(summary.emitted, rows.len() as u64);
            prop_assert_eq!(summary.dropped, (rows.len() - expected.len()) as u64);
            prop_assert_eq!(summary.added.rows(), expected.len() as u64);
            for (coordinate, held) in summary.added.iter() {
                let times: Vec<i64> = expected.iter().filter(|(_, id)| coordinate.to_string() == format!("({id})")).map(|(time, _)| *time).collect();
                prop_assert_eq!(Some(&held.min.micros()), times.iter().min());
                prop_assert_eq!(Some(&held.max.micros()), times.iter().max());
            }
            prop_assert_eq!(&gone, &rows.iter().filter(|row| !expected.contains(row)).cloned().collect());
            prop_assert_eq!(kept, expected);
        }
    }
}
