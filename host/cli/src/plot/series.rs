//! Rows of one coordinate summed up into buckets of equal time: a chart of any number of rows in bounded memory.
#![allow(clippy::cast_precision_loss)] // of numbers that are drawn, not kept

use datanode_core::Timestamp;
use datanode_core::coordinate::Coordinate;
use serde_json::{Value, json};

/// A range of time, both ends inclusive, cut into equal buckets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    start: i64,
    end: i64,
    pub(super) buckets: usize,
}

impl Axis {
    /// `start` must not lie after `end`; there is at least one bucket.
    pub(super) fn new(start: Timestamp, end: Timestamp, buckets: usize) -> Self {
        Self { start: start.micros(), end: end.micros(), buckets: buckets.max(1) }
    }

    fn span(self) -> i128 {
        i128::from(self.end) - i128::from(self.start) + 1
    }

    /// The bucket of a moment; None outside the range.
    fn bucket(self, micros: i64) -> Option<usize> {
        let place = (i128::from(micros) - i128::from(self.start)) * self.buckets as i128;
        let bucket = usize::try_from(place.div_euclid(self.span())).ok()?;
        (bucket < self.buckets).then_some(bucket)
    }

    /// The first moment of a bucket.
    fn moment(self, bucket: usize) -> Timestamp {
        // Rounded up: a moment belongs to the bucket that it does not come before.
        let offset = (bucket as i128 * self.span() + self.buckets as i128 - 1) / self.buckets as i128;
        Timestamp::nearest_micros(i64::try_from(i128::from(self.start) + offset).unwrap_or(self.end))
    }

    /// The moment in the middle.
    pub(super) fn middle(self) -> Timestamp {
        self.moment(self.buckets / 2)
    }

    pub(super) fn first(self) -> Timestamp {
        Timestamp::nearest_micros(self.start)
    }

    pub(super) fn last(self) -> Timestamp {
        Timestamp::nearest_micros(self.end)
    }
}

/// What the rows of one bucket have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    pub(super) rows: u64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
}

/// One coordinate's column over time.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) coordinate: Coordinate,
    pub(super) axis: Axis,
    /// Rows with a finite number.
    pub(super) rows: u64,
    /// Rows without one: null, or not finite.
    pub(super) gaps: u64,
    pub(super) last: Option<f64>,
    buckets: Vec<Option<Bucket>>,
}

impl Series {
    pub(super) fn new(coordinate: Coordinate, axis: Axis) -> Self {
        Self { coordinate, axis, rows: 0, gaps: 0, last: None, buckets: vec![None; axis.buckets] }
    }

    /// Take a row in; rows come in the order of time.
    pub(super) fn add(&mut self, micros: i64, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            self.gaps += 1;
            return;
        };
        let Some(place) = self.axis.bucket(micros) else { return };
        self.rows += 1;
        self.last = Some(value);
        let bucket =
            self.buckets[place].get_or_insert(Bucket { rows: 0, min: value, max: value, mean: value });
        bucket.rows += 1;
        bucket.min = bucket.min.min(value);
        bucket.max = bucket.max.max(value);
        // A running mean: a sum of many large values could leave the range of numbers. The division first, likewise.
        let share = 1.0 / bucket.rows as f64;
        bucket.mean += value * share - bucket.mean * share;
    }

    /// Lowest and highest value of all rows.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        self.buckets
            .iter()
            .flatten()
            .map(|bucket| (bucket.min, bucket.max))
            .reduce(|(low, high), (min, max)| (low.min(min), high.max(max)))
    }

    /// The buckets with what lies between two neighbouring rows drawn straight through. A hole that is much longer
    /// than the rows are apart on the whole stays a hole: there the data are missing.
    pub(super) fn joined(&self) -> Vec<Option<Bucket>> {
        let used = self.buckets.iter().flatten().count();
        let longest = if used < 2 { 0 } else { 4 * self.buckets.len().div_ceil(used) };
        let mut joined = self.buckets.clone();
        let mut before: Option<(usize, f64)> = None;
        for (place, bucket) in self.buckets.iter().enumerate() {
            let Some(bucket) = bucket else { continue };
            if let Some((from, mean)) = before.filter(|(from, _)| place - from <= longest) {
                let steps = (place - from) as f64;
                for (step, hole) in joined[from + 1..place].iter_mut().enumerate() {
                    let value = mean + (bucket.mean - mean) * ((step + 1) as f64 / steps);
                    *hole = Some(Bucket { rows: 0, min: value, max: value, mean: value });
                }
            }
            before = Some((place, bucket.mean));
        }
        joined
    }

    /// As `--json` prints it. Buckets without rows are left out.
    pub(super) fn document(&self) -> Value {
        let coordinate: Value = serde_json::from_str(&self.coordinate.to_json()).unwrap_or_default();
        let buckets = self.buckets.iter().enumerate().filter_map(|(place, bucket)| {
            let bucket = bucket.as_ref()?;
            Some(json!({
                "start": self.axis.moment(place), "rows": bucket.rows,
                "min": bucket.min, "max": bucket.max, "mean": bucket.mean,
            }))
        });
        let (min, max) = self.range().unzip();
        json!({
            "coordinate": coordinate, "rows": self.rows, "gaps": self.gaps, "min": min, "max": max,
            "last": self.last, "buckets": buckets.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(start: i64, end: i64, buckets: usize) -> Axis {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        Axis::new(at(start), at(end), buckets)
    }

    #[test]
    fn every_moment_of_the_range_has_one_bucket_and_the_buckets_are_in_order() {
        for (start, end, buckets) in [(0, 0, 1), (0, 0, 7), (-5, 5, 3), (10, 1_000, 7), (0, 3, 10)] {
            let axis = axis(start, end, buckets);
            let places: Vec<usize> = (start..=end).map(|micros| axis.bucket(micros).unwrap()).collect();
            assert!(places.is_sorted(), "{places:?}");
            assert!(places.iter().all(|place| *place < buckets), "{places:?}");
            for (micros, place) in (start..=end).zip(&places) {
                assert!(axis.moment(*place).micros() <= micros, "{micros} comes before its bucket");
            }
            assert_eq!((axis.bucket(start - 1), axis.bucket(end + 1)), (None, None));
        }
    }

    #[test]
    fn buckets_keep_lowest_highest_and_mean() {
        let mut series = Series::new(Coordinate::default(), axis(0, 9, 2));
        for (micros, value) in [(0, 1.0), (1, 2.0), (4, -6.0), (9, 10.0)] {
            series.add(micros, Some(value));
        }
        series.add(5, None);
        series.add(6, Some(f64::NAN));
        assert_eq!(
            series.buckets,
            [
                Some(Bucket { rows: 3, min: -6.0, max: 2.0, mean: -1.0 }),
                Some(Bucket { rows: 1, min: 10.0, max: 10.0, mean: 10.0 })
            ]
        );
        assert_eq!(
            (series.rows, series.gaps, series.last, series.range()),
            (4, 2, Some(10.0), Some((-6.0, 10.0)))
        );
    }

    #[test]
    fn rows_far_apart_are_joined_and_missing_data_are_not() {
        let mut sparse = Series::new(Coordinate::default(), axis(0, 99, 10));
        sparse.add(0, Some(0.0));
        sparse.add(99, Some(9.0));
        let means: Vec<f64> = sparse.joined().iter().map(|bucket| bucket.unwrap().mean).collect();
        assert_eq!(means, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);

        let mut holed = Series::new(Coordinate::default(), axis(0, 99, 100));
        for micros in (0..40).chain(60..100) {
            holed.add(micros, Some(1.0));
        }
        assert_eq!(holed.joined().iter().filter(|bucket| bucket.is_none()).count(), 20);
    }
}
