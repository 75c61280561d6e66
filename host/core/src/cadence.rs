//! Cadence: how often a table gains a row, such as `1d` or `15m`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// The unit of a cadence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// The largest count: it keeps every product in `length` far from overflow.
const MAX_COUNT: u32 = 100_000;

/// A count and a unit: `^[1-9][0-9]*(s|m|h|d|w|mo|q|y)$`. Metadata of a table, never hashed.
///
/// ```
/// use datanode_core::{cadence::Cadence, Timestamp};
/// let daily: Cadence = "1d".parse().unwrap();
/// let now: Timestamp = "2026-11-22T17:30:00Z".parse().unwrap();
/// assert_eq!(daily.latest_complete(now).unwrap().to_string(), "2026-11-21T00:00:00.000000Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cadence {
    count: u32,
    unit: Unit,
}

impl Cadence {
    /// The default window end: for a day or more the start of the current period minus one period, so that only
    /// complete periods are covered; for a shorter cadence `now` rounded down to it. None when it leaves the years
    /// 1 to 9999.
    ///
    /// Periods are counted from 1970-01-01 (seconds to days), from Monday 1970-01-05 (weeks) and from January of
    /// year 0 (months, quarters, years).
    pub fn latest_complete(self, now: Timestamp) -> Option<Timestamp> {
        let start = self.period_start(now)?;
        match self.unit {
            Unit::Second | Unit::Minute | Unit::Hour => Some(start),
            _ => self.shift(start, false),
        }
    }

    /// The moment one period later, None when it leaves the years 1 to 9999.
    pub fn next(self, moment: Timestamp) -> Option<Timestamp> {
        self.shift(moment, true)
    }

    /// The moment one period earlier, None when it leaves the years 1 to 9999.
    pub fn previous(self, moment: Timestamp) -> Option<Timestamp> {
        self.shift(moment, false)
    }

    /// The moment so many periods later, counted from it, so that months of different lengths add up. None when it leaves
    /// the years 1 to 9999.
    pub fn after(self, moment: Timestamp, periods: u32) -> Option<Timestamp> {
        match self.length() {
            Length::Micros { micros, .. } => {
                let later = moment.micros().checked_add(micros.checked_mul(i64::from(periods))?)?;
                Timestamp::from_micros(later).ok()
            }
            Length::Months(months) => {
                let months = Months::new(months.checked_mul(periods)?);
                Timestamp::from_datetime(moment.datetime().checked_add_months(months)?).ok()
            }
        }
    }

    /// So many periods as one. None for more than 100,000 of its unit.
    pub fn times(self, periods: u32) -> Option<Self> {
        let count = self.count.checked_mul(periods).filter(|count| (1..=MAX_COUNT).contains(count))?;
        Some(Self { count, ..self })
    }

    fn period_start(self, now: Timestamp) -> Option<Timestamp> {
        match self.length() {
            Length::Micros { micros, origin } => {
                let since = now.micros().checked_sub(origin)?;
                Timestamp::from_micros(now.micros() - since.rem_euclid(micros)).ok()
            }
            Length::Months(months) => {
                let date = now.datetime().date_naive();
                let index = i64::from(date.year()) * 12 + i64::from(date.month0());
                let start = index - index.rem_euclid(i64::from(months));
                let year = i32::try_from(start.div_euclid(12)).ok()?;
                let month = u32::try_from(start.rem_euclid(12)).ok()? + 1;
                midnight(NaiveDate::from_ymd_opt(year, month, 1)?)
            }
        }
    }

    fn shift(self, moment: Timestamp, forward: bool) -> Option<Timestamp> {
        let at: DateTime<Utc> = moment.datetime();
        let shifted = match self.length() {
            Length::Micros { micros, .. } => {
                let micros = if forward { micros } else { -micros };
                return Timestamp::from_micros(moment.micros().checked_add(micros)?).ok();
            }
            Length::Months(months) if forward => at.checked_add_months(Months::new(months))?,
            Length::Months(months) => at.checked_sub_months(Months::new(months))?,
        };
        Timestamp::from_datetime(shifted).ok()
    }

    fn length(self) -> Length {
        const SECOND: i64 = 1_000_000;
        const DAY: i64 = 86_400 * SECOND;
        let micros = |unit: i64, origin| Length::Micros { micros: i64::from(self.count) * unit, origin };
        match self.unit {
            Unit::Second => micros(SECOND, 0),
            Unit::Minute => micros(60 * SECOND, 0),
            Unit::Hour => micros(3_600 * SECOND, 0),
            Unit::Day => micros(DAY, 0),
            // 1970-01-01 was a Thursday: the first Monday is four days later.
            Unit::Week => micros(7 * DAY, 4 * DAY),
            Unit::Month => Length::Months(self.count),
            Unit::Quarter => Length::Months(self.count * 3),
            Unit::Year => Length::Months(self.count * 12),
        }
    }
}

enum Length {
    Micros { micros: i64, origin: i64 },
    Months(u32),
}

fn midnight(date: NaiveDate) -> Option<Timestamp> {
    Timestamp::from_datetime(date.and_hms_opt(0, 0, 0)?.and_utc()).ok()
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => "s",
            Unit::Minute => "m",
            Unit::Hour => "h",
            Unit::Day => "d",
            Unit::Week => "w",
            Unit::Month => "mo",
            Unit::Quarter => "q",
            Unit::Year => "y",
        };
        write!(f, "{}{unit}", self.count)
    }
}

impl FromStr for Cadence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text: String = text.chars().take(40).collect();
            format!(
                "`{text}` is not a cadence: write a count of 1 to 100000 and one of s, m, h, d, w, mo, q, y, such as 1d or 15m"
            )
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            "d" => Unit::Day,
            "w" => Unit::Week,
            "mo" => Unit::Month,
            "q" => Unit::Quarter,
            "y" => Unit::Year,
            _ => return Err(wrong()),
        };
        match count.parse() {
            Ok(count @ 1..=MAX_COUNT) if !text.starts_with('0') => Ok(Self { count, unit }),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Cadence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cadence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_end_covers_complete_periods_only() {
        let end = |cadence: &str, now: &str| {
            let cadence: Cadence = cadence.parse().unwrap();
            cadence.latest_complete(now.parse().unwrap()).unwrap().short()
        };
        // Sunday 22 November 2026.
        assert_eq!(end("1d", "2026-11-22T17:30:00Z"), "2026-11-21");
        assert_eq!(end("1w", "2026-11-22T17:30:00Z"), "2026-11-09", "the week began on Monday 16");
        assert_eq!(end("1w", "2026-11-23T00:00:00Z"), "2026-11-16");
        assert_eq!(end("1mo", "2026-11-22T17:30:00Z"), "2026-10-01");
        assert_eq!(end("1q", "2026-11-22T17:30:00Z"), "2026-07-01");
        assert_eq!(end("1y", "2026-11-22T17:30:00Z"), "2025-01-01");
        assert_eq!(end("15m", "2026-11-22T17:44:59Z"), "2026-11-22T17:30:00Z");
        assert_eq!(end("1h", "1969-12-31T23:30:00Z"), "1969-12-31T23:00:00Z");
    }

    #[test]
    fn text_follows_the_pattern() {
        for good in ["1s", "15m", "4h", "1d", "2w", "1mo", "1q", "10y"] {
            assert_eq!(good.parse::<Cadence>().unwrap().to_string(), good);
        }
        for bad in ["", "d", "0d", "01d", "1D", "1 d", "-1d", "1dd", "100001d", "99999999999d"] {
            assert!(bad.parse::<Cadence>().is_err(), "{bad}");
        }
    }
}
