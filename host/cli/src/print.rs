//! Tables that align, or JSON.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

/// `println!` that ends the process quietly when the reader has gone away (`| head`), instead of panicking. Colours are
/// left out where the terminal or `NO_COLOR` says so.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::print::line(&format!($($text)*)) };
}

/// See [`say!`].
pub(crate) fn line(text: &str) {
    if writeln!(anstream::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Where results go: standard output, for people or for programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) json: bool,
}

/// A column of a table: its heading, and whether it holds numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heading {
    Text(&'static str),
    Number(&'static str),
}

impl Printer {
    /// A value as JSON, or what `people` prints.
    pub(crate) fn show<T: Serialize>(self, value: &T, people: impl FnOnce()) -> anyhow::Result<()> {
        if self.json {
            say!("{}", serde_json::to_string_pretty(value)?);
        } else {
            people();
        }
        Ok(())
    }
}

/// Print a table; nothing but a sentence when it has no rows.
pub(crate) fn table(headings: &[Heading], lines: Vec<Vec<String>>, when_empty: &str) {
    if lines.is_empty() {
        say!("{when_empty}");
        return;
    }
    let name = |heading: &Heading| match heading {
        Heading::Text(name) | Heading::Number(name) => name.to_uppercase(),
    };
    let names: Vec<String> = headings.iter().map(name).collect();
    let numeric: Vec<bool> = headings.iter().map(|heading| matches!(heading, Heading::Number(_))).collect();
    rows(&names, &numeric, lines);
}

/// Print rows under names, numbers to the right. Lines are never folded: they are for pipes too.
pub(crate) fn rows(names: &[String], numeric: &[bool], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(names.iter().map(|name| Cell::new(visible(name))));
    for row in rows {
        table.add_row(row.iter().map(|text| Cell::new(visible(text))));
    }
    for (column, is_number) in table.column_iter_mut().zip(numeric) {
        column.set_padding((0, 2));
        if *is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    say!("{}", table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
}

/// Text of strangers without control characters, so that it can neither break a table nor command the terminal, and
/// without those that turn the direction of writing, so that it reads as it is.
pub(crate) fn visible(text: &str) -> String {
    let turns = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for text of several lines.
pub(crate) fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// Print aligned `name  value` lines; values of several lines are indented.
pub(crate) fn facts(facts: &[(&str, String)]) {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let bold = Style::new().bold();
    for (name, value) in facts {
        let indent = format!("\n{}", " ".repeat(width + 2));
        say!("{bold}{name:<width$}{bold:#}  {}", visible_lines(value.trim_end()).replace('\n', &indent));
    }
}

/// A line that says that something was done.
pub(crate) fn done(message: &str) {
    let green = Style::new().fg_color(Some(AnsiColor::Green.into())).bold();
    say!("{green}✓{green:#} {message}");
}

/// A line on standard error that a person should read.
pub(crate) fn warning(message: &str) {
    let yellow = Style::new().fg_color(Some(AnsiColor::Yellow.into())).bold();
    anstream::eprintln!("{yellow}warning:{yellow:#} {}", visible_lines(message));
}

/// 1234567 → "1,234,567".
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first line of a text, cut to a width.
pub(crate) fn first_line(text: &str, width: usize) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let cut: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// Microseconds as "1.23 s" or "4 ms".
pub(crate) fn duration(micros: u64) -> String {
    if micros >= 1_000_000 {
        format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000)
    } else {
        format!("{} ms", micros.div_ceil(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_fit() {
        assert_eq!(count(0), "0");
        assert_eq!(count(221_702), "221,702");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(first_line("  one two three\nfour", 8), "one two…");
        assert_eq!(first_line("short", 8), "short");
        assert_eq!(duration(1_234_567), "1.23 s");
    }

    #[test]
    fn texts_of_strangers_cannot_command_the_terminal_or_turn_around() {
        assert_eq!(visible("a\x1b[31mb\nc\u{202e}d"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}d");
        assert_eq!(visible("Zürich 日本"), "Zürich 日本");
    }
}
