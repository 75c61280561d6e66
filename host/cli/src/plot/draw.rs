//! Charts of text. Own lines instead of a crate: those at hand join values by single-precision points and have no
//! axis of time, while all that is needed here is one vertical stroke per bucket.
#![allow(clippy::cast_precision_loss)] // of numbers that are drawn, not kept

use datanode_core::Timestamp;

use super::series::{Bucket, Series};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyphs {
    /// Braille and block characters
    Unicode,
    /// Letters and punctuation
    Ascii,
}

impl Glyphs {
    /// From the locale, as POSIX ranks its variables. Where none is set, Unicode: the rest of the output is too.
    pub(super) fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let named =
            ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|name| !name.is_empty());
        let Some(name) = named else { return Self::Unicode };
        let name = name.to_ascii_lowercase();
        if name.contains("utf-8") || name.contains("utf8") { Self::Unicode } else { Self::Ascii }
    }

    /// Dots that one character has in each direction.
    fn dots(self) -> (usize, usize) {
        match self {
            Self::Unicode => (2, 4),
            Self::Ascii => (1, 1),
        }
    }

    /// Buckets that fill a chart of this many characters.
    pub(super) fn buckets(self, width: usize) -> usize {
        width * self.dots().0
    }
}

/// A grid of dots.
struct Canvas {
    glyphs: Glyphs,
    width: usize,
    height: usize,
    dots: Vec<bool>,
}

impl Canvas {
    /// `width` and `height` in characters.
    fn new(glyphs: Glyphs, width: usize, height: usize) -> Self {
        let (across, down) = glyphs.dots();
        let (width, height) = (width * across, height * down);
        Self { glyphs, width, height, dots: vec![false; width * height] }
    }

    /// A vertical stroke; 0 is the lowest row.
    fn stroke(&mut self, column: usize, low: usize, high: usize) {
        for row in low..=high.min(self.height - 1) {
            self.dots[(self.height - 1 - row) * self.width + column] = true;
        }
    }

    fn lines(&self) -> Vec<String> {
        /// Bits of the dots of a Braille character, row by row.
        const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let (across, down) = self.glyphs.dots();
        let rows = self.dots.chunks(self.width * down);
        let line = |rows: &[bool]| -> String {
            let cell = |column: usize| -> char {
                let dots = (0..down).flat_map(|y| (0..across).map(move |x| (y, x)));
                let set = dots.filter(|(y, x)| rows[y * self.width + column * across + x]);
                match self.glyphs {
                    Glyphs::Unicode => {
                        let bits = set.fold(0, |bits, (y, x)| bits | BITS[y][x]);
                        if bits == 0 { ' ' } else { char::from_u32(0x2800 + bits).unwrap_or(' ') }
                    }
                    Glyphs::Ascii => {
                        if set.count() == 0 {
                            ' '
                        } else {
                            '*'
                        }
                    }
                }
            };
            (0..self.width / across).map(cell).collect()
        };
        rows.map(line).collect()
    }
}

/// A chart with its axes, without its title. The series' buckets must fill the width.
pub(super) fn chart(series: &Series, glyphs: Glyphs, width: usize, height: usize) -> Vec<String> {
    let Some((low, high)) = series.range() else { return Vec::new() };
    let mut canvas = Canvas::new(glyphs, width, height);
    let top = canvas.height - 1;
    let row = |value: f64| scaled(value, low, high, top);
    let mut before: Option<(usize, usize)> = None;
    for (column, bucket) in series.joined().iter().enumerate().take(canvas.width) {
        before = bucket.map(|Bucket { min, max, .. }| {
            let (own_low, own_high) = (row(min), row(max));
            let (mut from, mut to) = (own_low, own_high);
            // Up or down to the neighbour, so that the line holds together.
            if let Some((other_low, other_high)) = before {
                if other_high + 1 < from {
                    from = other_high + 1;
                } else if to + 1 < other_low {
                    to = other_low - 1;
                }
            }
            canvas.stroke(column, from, to);
            (own_low, own_high)
        });
    }

    let (tick, side, corner, floor) = match glyphs {
        Glyphs::Unicode => ('┤', '│', '└', '─'),
        Glyphs::Ascii => ('+', '|', '+', '-'),
    };
    let (upper, lower) = labels(low, high);
    let margin = upper.chars().count().max(lower.chars().count());
    let lines = canvas.lines();
    let last = lines.len() - 1;
    let mut chart: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(place, line)| {
            let (label, axis) = match place {
                0 => (upper.as_str(), tick),
                _ if place == last => (lower.as_str(), tick),
                _ => ("", side),
            };
            format!("{label:>margin$} {axis}{line}").trim_end().to_owned()
        })
        .collect();
    chart.push(format!("{:margin$} {corner}{}", "", floor.to_string().repeat(width)));
    chart.push(format!("{:margin$}  {}", "", dates(series, width)).trim_end().to_owned());
    chart
}

/// First moment to the left, last to the right, and the middle where there is room.
fn dates(series: &Series, width: usize) -> String {
    let axis = series.axis;
    // Beyond ten days nobody reads the hour.
    let days = (axis.last().micros() - axis.first().micros()) / 86_400_000_000;
    let text = |moment: Timestamp| {
        if days >= 10 { moment.to_string().chars().take(10).collect() } else { moment.short() }
    };
    let (first, middle, last) = (text(axis.first()), text(axis.middle()), text(axis.last()));
    let room = width.saturating_sub(first.len() + last.len());
    if axis.first() == axis.last() {
        return first;
    }
    if room >= middle.len() + 8 {
        let left = (width / 2).saturating_sub(first.len() + middle.len() / 2);
        return format!(
            "{first}{:left$}{middle}{:>right$}",
            "",
            last,
            right = width - first.len() - left - middle.len()
        );
    }
    format!("{first}{:>right$}", format!(" {last}"), right = width.saturating_sub(first.len()))
}

/// A line of eight heights, scaled by the series' own lowest and highest value.
pub(super) fn sparkline(series: &Series, glyphs: Glyphs) -> String {
    let heights: &[char] = match glyphs {
        Glyphs::Unicode => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
        Glyphs::Ascii => &['_', '.', '-', '~', '=', '+', '*', '#'],
    };
    let Some((low, high)) = series.range() else { return String::new() };
    let height = |bucket: &Bucket| heights[scaled(bucket.mean, low, high, heights.len() - 1)];
    series.joined().iter().map(|bucket| bucket.as_ref().map_or(' ', height)).collect()
}

/// A place from 0 to `top`, the middle where all values are equal.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and `top`, which is small
fn scaled(value: f64, low: f64, high: f64, top: usize) -> usize {
    if low >= high {
        return top / 2;
    }
    // Halved first: the difference of two numbers may be infinite.
    let part = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    (part.clamp(0.0, 1.0) * top as f64).round() as usize
}

/// Both ends of an axis with as many digits as tell them apart well.
fn labels(low: f64, high: f64) -> (String, String) {
    let span = if low < high { high / 2.0 - low / 2.0 } else { high.abs() };
    let size = low.abs().max(high.abs());
    if size != 0.0 && !(1e-6..1e12).contains(&size) {
        return (format!("{high:.3e}"), format!("{low:.3e}"));
    }
    // Three digits of the difference.
    let digits = if span > 0.0 { (2.0 - span.log10().floor()).clamp(0.0, 12.0) } else { 0.0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 12
    let digits = digits as usize;
    (format!("{high:.digits$}"), format!("{low:.digits$}"))
}

/// A number of a list, in few characters.
pub(super) fn short(value: f64) -> String {
    labels(value, value).0
}

#[cfg(test)]
mod tests {
    use super::super::series::Axis;
    use super::*;
    use datanode_core::coordinate::Coordinate;

    const DAY: i64 = 86_400_000_000;

    fn series(values: &[f64], buckets: usize) -> Series {
        let at = |day: usize| Timestamp::from_micros(i64::try_from(day).unwrap() * DAY).unwrap();
        let axis = Axis::new(at(0), at(values.len() - 1), buckets);
        let mut series = Series::new(Coordinate::default(), axis);
        for (day, value) in values.iter().enumerate() {
            series.add(at(day).micros(), Some(*value));
        }
        series
    }

    fn wave() -> Vec<f64> {
        (0..400).map(|day| (f64::from(day) / 40.0).sin() * 1.5).collect()
    }

    #[test]
    fn a_chart_has_its_extremes_and_dates_on_its_axes() {
        let unicode = chart(&series(&wave(), Glyphs::Unicode.buckets(60)), Glyphs::Unicode, 60, 8);
        insta::assert_snapshot!("chart_unicode", unicode.join("\n"));
        let ascii = chart(&series(&wave(), Glyphs::Ascii.buckets(60)), Glyphs::Ascii, 60, 8);
        insta::assert_snapshot!("chart_ascii", ascii.join("\n"));
    }

    #[test]
    fn a_single_spike_among_many_rows_is_seen() {
        let mut values = vec![0.0; 10_000];
        values[5_432] = 100.0;
        let chart = chart(&series(&values, 40), Glyphs::Ascii, 40, 5);
        assert_eq!(chart[0].matches('*').count(), 1, "{}", chart.join("\n"));
    }

    #[test]
    fn odd_data_are_drawn_too() {
        for values in [
            &[1.0][..],
            &[2.0, 2.0, 2.0],
            &[f64::MIN, f64::MAX],
            &[0.0, 5e-324],
            &[-1e-9, 1e-9],
            &[1e300, 1.0],
        ] {
            for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
                let series = series(values, glyphs.buckets(10));
                let chart = chart(&series, glyphs, 10, 3);
                assert_eq!(chart.len(), 5, "{values:?}");
                assert_eq!(sparkline(&series, glyphs).chars().count(), glyphs.buckets(10));
            }
        }
    }

    #[test]
    fn sparklines_rise_with_their_values() {
        let rising: Vec<f64> = (0..8).map(f64::from).collect();
        assert_eq!(sparkline(&series(&rising, 8), Glyphs::Unicode), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&series(&rising, 8), Glyphs::Ascii), "_.-~=+*#");
    }

    #[test]
    fn the_locale_decides_what_is_drawn_with() {
        let of = |set: &[(&str, &str)]| {
            Glyphs::of_locale(|name| {
                set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), Glyphs::Unicode);
        assert_eq!(of(&[("LANG", "en_US.utf8"), ("LC_ALL", "C")]), Glyphs::Ascii);
        assert_eq!(of(&[("LC_ALL", ""), ("LC_CTYPE", "de_DE.ISO-8859-1")]), Glyphs::Ascii);
        assert_eq!(of(&[]), Glyphs::Unicode);
    }
}
