//! Moments and windows. There is no `now`: the end of the window is the only notion of it.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};

use crate::NodeError;

/// A moment: microseconds since 1970-01-01T00:00:00Z, always UTC.
///
/// ```
/// use datanode_sdk::{Timestamp, chrono::TimeDelta};
/// let day: Timestamp = "2020-12-31".parse().unwrap();
/// assert_eq!((day + TimeDelta::days(1)).to_string(), "2021-01-01T00:00:00Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z.
    #[inline]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Midnight at the beginning of a day, in UTC.
    pub fn midnight(day: NaiveDate) -> Self {
        Self(day.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[inline]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// As a `chrono` moment, when it lies within the years that `chrono` knows.
    pub fn datetime(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with `Z`, and a fraction only where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.datetime() {
            Some(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = NodeError;

    /// RFC 3339 with any offset, or a plain date (its midnight in UTC).
    fn from_str(text: &str) -> Result<Self, NodeError> {
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(moment.timestamp_micros()));
        }
        NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Self::midnight).map_err(|_| {
            NodeError::new("time.parse", format!("`{text}` is neither RFC 3339 with an offset nor a date"))
        })
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment.timestamp_micros())
    }
}

/// Stops at the ends of the range, as all arithmetic here: an overflow would be a trap.
impl Add<TimeDelta> for Timestamp {
    type Output = Self;

    #[inline]
    fn add(self, delta: TimeDelta) -> Self {
        let limit = if delta < TimeDelta::zero() { i64::MIN } else { i64::MAX };
        Self(self.0.saturating_add(delta.num_microseconds().unwrap_or(limit)))
    }
}

impl Sub<TimeDelta> for Timestamp {
    type Output = Self;

    #[inline]
    fn sub(self, delta: TimeDelta) -> Self {
        self + -delta
    }
}

impl Sub for Timestamp {
    type Output = TimeDelta;

    #[inline]
    fn sub(self, earlier: Self) -> TimeDelta {
        TimeDelta::microseconds(self.0.saturating_sub(earlier.0))
    }
}

/// What one run may cover. The host chooses and records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// No row before this moment is stored. None: unbounded.
    pub start: Option<Timestamp>,
    /// The last moment a row may have (inclusive). A row after it fails the run.
    pub end: Timestamp,
}

impl Window {
    /// Whether a row of this moment may be stored.
    #[inline]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= time) && time <= self.end
    }
}

impl fmt::Display for Window {
    /// `[start, end]`, `..` for an open start.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Some(start) => write!(f, "[{start}, {}]", self.end),
            None => write!(f, "[.., {}]", self.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(at("2020-12-31T01:30:00+01:30"), at("2020-12-31"));
        assert_eq!(at("2020-12-31T00:00:00.000001Z").to_string(), "2020-12-31T00:00:00.000001Z");
        assert!("2020-12-31T00:00:00".parse::<Timestamp>().is_err(), "a naive time is not a moment");
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let last = Timestamp::from_micros(i64::MAX);
        assert_eq!(last + TimeDelta::MAX, last);
        assert_eq!(Timestamp::from_micros(i64::MIN) - TimeDelta::MAX, Timestamp::from_micros(i64::MIN));
        assert_eq!(Timestamp::from_micros(5) - Timestamp::from_micros(3), TimeDelta::microseconds(2));
    }

    #[test]
    fn windows_are_inclusive_at_both_ends() {
        let at = Timestamp::from_micros;
        let window = Window { start: Some(at(1)), end: at(3) };
        let inside: Vec<bool> = (0..5).map(|micros| window.contains(at(micros))).collect();
        assert_eq!(inside, [false, true, true, true, false]);
        assert!(Window { start: None, end: at(3) }.contains(at(i64::MIN)));
    }
}
