//! Moments: UTC, microseconds.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A moment in UTC with microsecond precision, between the years 1 and 9999, so that its ISO 8601 text always has
/// the same width and sorts like the moment itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// Why a text or number is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimestampError {
    /// Neither RFC 3339 nor a plain date.
    #[error(
        "`{0}` is not a moment: write RFC 3339 with an offset, such as 2020-12-31T00:00:00Z, or a date, such as 2020-12-31"
    )]
    Syntax(String),
    /// Outside the years 1 to 9999.
    #[error("{0} µs since 1970 lies outside the years 1 to 9999")]
    OutOfRange(i64),
}

const MIN_MICROS: i64 = -62_135_596_800_000_000;
const MAX_MICROS: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z.
    pub fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        if !(MIN_MICROS..=MAX_MICROS).contains(&micros) {
            return Err(TimestampError::OutOfRange(micros));
        }
        DateTime::from_timestamp_micros(micros).map(Self).ok_or(TimestampError::OutOfRange(micros))
    }

    /// The nearest moment of the years 1 to 9999.
    pub fn nearest_micros(micros: i64) -> Self {
        // Both ends are in chrono's range, and so is all between them: the default is never taken.
        Self(DateTime::from_timestamp_micros(micros.clamp(MIN_MICROS, MAX_MICROS)).unwrap_or_default())
    }

    /// From a `chrono` moment, cut to microseconds.
    pub fn from_datetime(moment: DateTime<Utc>) -> Result<Self, TimestampError> {
        Self::from_micros(moment.timestamp_micros())
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// As a `chrono` moment.
    pub fn datetime(self) -> DateTime<Utc> {
        self.0
    }

    /// A short text for people: only the date at midnight, without a fraction where it is zero.
    pub fn short(self) -> String {
        let micros = self.micros();
        if micros.rem_euclid(86_400_000_000) == 0 {
            self.0.format("%Y-%m-%d").to_string()
        } else if micros.rem_euclid(1_000_000) == 0 {
            self.0.format("%Y-%m-%dT%H:%M:%SZ").to_string()
        } else {
            self.to_string()
        }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with six digits of fraction and `Z`, always: `2020-12-31T00:00:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// RFC 3339 with any offset, or a plain date (its midnight in UTC).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || TimestampError::Syntax(text.chars().take(80).collect());
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Self::from_datetime(moment.with_timezone(&Utc));
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| syntax())?;
        let midnight = date.and_hms_opt(0, 0, 0).ok_or_else(syntax)?;
        Self::from_datetime(midnight.and_utc())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_the_years_one_to_9999() {
        assert_eq!(Timestamp::from_micros(MIN_MICROS).unwrap().to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::from_micros(MAX_MICROS).unwrap().to_string(), "9999-12-31T23:59:59.999999Z");
        assert!(Timestamp::from_micros(MIN_MICROS - 1).is_err());
        assert_eq!(Timestamp::nearest_micros(i64::MIN).micros(), MIN_MICROS);
        assert_eq!(Timestamp::nearest_micros(i64::MAX).micros(), MAX_MICROS);
        assert!(Timestamp::from_micros(MAX_MICROS + 1).is_err());
    }

    #[test]
    fn offsets_become_utc_and_dates_midnight() {
        let parse = |text: &str| text.parse::<Timestamp>().unwrap().to_string();
        assert_eq!(parse("2020-12-31T01:30:00+01:30"), "2020-12-31T00:00:00.000000Z");
        assert_eq!(parse("2020-12-31"), "2020-12-31T00:00:00.000000Z");
        assert!("2020-12-31T00:00:00".parse::<Timestamp>().is_err(), "a naive time is not a moment");
    }

    proptest! {
        #[test]
        fn text_and_number_agree_and_sort_alike(a in MIN_MICROS..=MAX_MICROS, b in MIN_MICROS..=MAX_MICROS) {
            let (x, y) = (Timestamp::from_micros(a).unwrap(), Timestamp::from_micros(b).unwrap());
            prop_assert_eq!(x.to_string().parse::<Timestamp>().unwrap(), x);
            prop_assert_eq!(a.cmp(&b), x.to_string().cmp(&y.to_string()));
        }
    }
}
