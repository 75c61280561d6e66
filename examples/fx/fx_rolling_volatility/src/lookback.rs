//! Rows back, from a read that knows only times.
//!
//! A range map asks for spans of time, a window for a number of rows. Between the two stand weekends, holidays and
//! interruptions of years. So the first read asks for a span that holds enough rows of a series without interruption;
//! where it held fewer, the next one asks for as much again before it, twice as far each time, until there are enough
//! or the series has begun. No row is read twice.

use std::collections::VecDeque;

use datanode_sdk::chrono::TimeDelta;
use datanode_sdk::prelude::*;
use datanode_sdk::{Bound, CoordinateRange, TimeRange};

use crate::RETURNS;
use crate::latest::Latest;

/// Beyond this many days back a read has no start at all: the search ends.
const FARTHEST_DAYS: i64 = 36_525;

/// The last few returns of some currencies, each before a moment of its own.
pub(crate) struct Lookback {
    /// How many of each.
    count: usize,
    wanted: Vec<Wanted>,
}

/// What is still searched for.
struct Wanted {
    /// The currency's number.
    number: usize,
    coordinate: Coordinate,
    /// Returns before this moment are old.
    begin: Timestamp,
    /// Those from this moment on have been read.
    read_from: Timestamp,
}

impl Lookback {
    /// `count` returns of each currency.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, wanted: Vec::new() }
    }

    /// Search for those of this currency, before this moment.
    pub(crate) fn want(&mut self, number: usize, coordinate: &[CoordinateValue], begin: Timestamp) {
        let coordinate = coordinate.to_vec();
        self.wanted.push(Wanted { number, coordinate, begin, read_from: begin });
    }

    /// Read them to the front of the currencies' windows, oldest first. Answers how many rows were read.
    pub(crate) fn read(
        mut self,
        context: &Context,
        identities: &mut Identities,
        windows: &mut [Latest],
    ) -> Result<usize, NodeError> {
        let mut read = 0;
        let mut days = calendar_days(self.count);
        while !self.wanted.is_empty() {
            let span = (days <= FARTHEST_DAYS).then(|| TimeDelta::days(days));
            // Of each currency what this read finds, oldest first.
            let mut older = vec![VecDeque::new(); windows.len()];
            for batch in context.read(RETURNS, self.query(span))? {
                let batch = batch?;
                read += batch.num_rows();
                let (numbers, returns) = (identities.number(&batch)?, batch.floats("log_return")?);
                for row in (0..batch.num_rows()).filter(|row| returns.is_valid(*row)) {
                    let found = &mut older[numbers[row]];
                    found.push_back(returns.value(row));
                    if windows[numbers[row]].values().len() + found.len() > self.count {
                        found.pop_front();
                    }
                }
            }
            for (window, found) in windows.iter_mut().zip(older) {
                if !found.is_empty() {
                    window.extend_front(found.into());
                }
            }
            let Some(span) = span else { break };
            let count = self.count;
            self.wanted.retain_mut(|wanted| {
                wanted.read_from = wanted.begin - span;
                windows[wanted.number].values().len() < count
            });
            days *= 2;
        }
        Ok(read)
    }

    /// Per currency what lies within the span before its moment and was not read yet; without a span, all of it.
    fn query(&self, span: Option<TimeDelta>) -> Query {
        let range = |wanted: &Wanted| TimeRange {
            start: span.map(|span| Bound { time: wanted.begin - span, inclusive: true }),
            end: Some(Bound { time: wanted.read_from, inclusive: false }),
        };
        let entries = self
            .wanted
            .iter()
            .map(|wanted| CoordinateRange { coordinate: wanted.coordinate.clone(), range: range(wanted) })
            .collect();
        let map = RangeMap { entries, ..RangeMap::default() }.only_listed();
        Query::new().columns(["log_return"]).range_map(map)
    }
}

/// Days that hold this many returns of a series without interruption: five of seven, and a week for holidays.
fn calendar_days(returns: usize) -> i64 {
    let returns = i64::try_from(returns).unwrap_or(i64::MAX);
    returns.saturating_mul(7) / 5 + 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_span_holds_enough_working_days() {
        // Whatever day it begins on: whole weeks have five working days each, the rest of a span at least its
        // length less two, and the Easter holidays of the European Central Bank take two more.
        for returns in 1..1_000 {
            let days = calendar_days(returns);
            let working_days = days / 7 * 5 + (days % 7 - 2).max(0);
            assert!(working_days - 2 >= i64::try_from(returns).unwrap(), "{returns} returns in {days} days");
        }
    }
}
