//! The page of the reference.

use std::fmt::Write;
use std::time::Duration;

use super::place::Made;
use super::tool::Tool;
use super::{By, Call, Line, Options};
use crate::report::BUILD;

/// Seconds that a search and a page of the list may take at most, of a hundred the slowest, in the process of the host.
const GOAL: f64 = 0.050;

/// What each line measures; a reader must be able to contradict it.
const DEFINITIONS: &str = include_str!("definitions.md");

/// What was measured on one database.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) database: &'static str,
    pub(super) made: Made,
    /// The first search of the server's process.
    pub(super) first_search: Duration,
    /// The most bytes that the server's process has held.
    pub(super) held: Option<u64>,
    pub(super) lines: Vec<Line>,
}

fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds.is_nan() => "—".to_owned(),
        seconds if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 0.1 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

/// A rate, with thousands apart.
fn rate(value: f64) -> String {
    match value {
        value if value < 1.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => apart(&format!("{value:.0}")),
    }
}

/// A whole number with its thousands apart.
fn apart(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn who(by: By) -> String {
    match by {
        By::Process => "in-process".to_owned(),
        By::Clients(1) => "1 client".to_owned(),
        By::Clients(many) => format!("{many} clients"),
    }
}

fn errors(line: &Line) -> String {
    let all = &line.figures.errors;
    if all.is_empty() {
        return "0".to_owned();
    }
    let each: Vec<String> = all.iter().map(|(what, count)| format!("{count} × {what}")).collect();
    format!("**{}**", each.join(", "))
}

/// The line as it is told while measuring.
pub(super) fn short(line: &Line) -> String {
    let Line { call, by, figures } = line;
    format!(
        "{}, {}: {} in {:.1} s, {}/s, p50 {}, p99 {}, errors {}",
        call.name(),
        who(*by),
        figures.answers,
        figures.seconds,
        rate(figures.rate()),
        time(figures.p50),
        time(figures.p99),
        errors(line)
    )
}

/// All of it.
pub(super) fn page(machine: &str, options: Options, tool: &Tool, sections: &[Section]) -> String {
    let mut page = format!(
        "# Load\n\n<!-- Written by `cargo xtask bench --load`: change benches/src/load/, not this file. -->\n\nWhat one \
         server answers to 1, 16 and 64 clients at once, beside the same calls in the process of the host, over a catalogue \
         of {} tables. Figures of one page compare; figures of two machines do not. The clients run on the same machine, and \
         take a part of its processors.\n\nMeasured: {machine}; {BUILD}; {}, {} s of each line.\n",
        apart(&options.tables.to_string()),
        tool.version,
        options.seconds
    );
    page += &goals(sections);
    for section in sections {
        page += &table(section);
    }
    page + "\n" + DEFINITIONS
}

fn goals(sections: &[Section]) -> String {
    let mut text =
        "\n## Goals\n\n| goal | database | found | verdict |\n| --- | --- | ---: | --- |\n".to_owned();
    for call in [Call::Tables, Call::Columns, Call::List] {
        for section in sections {
            let line = section.lines.iter().find(|line| line.call == call && line.by == By::Process);
            let found = line.map_or(f64::NAN, |line| line.figures.p99);
            let verdict =
                if found <= GOAL { "met".to_owned() } else { format!("**missed, {:.1} ×**", found / GOAL) };
            let (name, database) = (call.name(), section.database);
            writeln!(
                text,
                "| {name}, p99 in-process ≤ {} | {database} | {} | {verdict} |",
                time(GOAL),
                time(found)
            )
            .unwrap();
        }
    }
    for section in sections {
        let failed: u64 = section.lines.iter().map(|line| line.figures.failed()).sum();
        let verdict = if failed == 0 { "met" } else { "**missed**" };
        writeln!(text, "| no answer is an error | {} | {failed} | {verdict} |", section.database).unwrap();
    }
    text
}

fn table(section: &Section) -> String {
    let mut text = format!(
        "\n## {}\n\n| call | by | answers | answers/s | rows/s | p50 | p99 | errors |\n| --- | --- | ---: | ---: | ---: | \
         ---: | ---: | ---: |\n",
        section.database
    );
    for line in &section.lines {
        let Line { call, by, figures } = line;
        let rows = call.rows().map_or_else(String::new, |rows| rate(figures.rate() * f64::from(rows)));
        writeln!(
            text,
            "| {} | {} | {} | {} | {rows} | {} | {} | {} |",
            call.name(),
            who(*by),
            apart(&figures.answers.to_string()),
            rate(figures.rate()),
            time(figures.p50),
            time(figures.p99),
            errors(line)
        )
        .unwrap();
    }
    let Made { tables, registered, embedded } = section.made;
    let held = section
        .held
        .map_or_else(String::new, |bytes| format!(" The server's process held {} MiB at most.", bytes >> 20));
    writeln!(
        text,
        "\nThe tables were registered in {}. The first search that there was, which makes texts and vectors of {tables} \
         tables, had them after {}; the first one of the server, which reads them, took {}.{held}",
        time(registered.as_secs_f64()),
        time(embedded.as_secs_f64()),
        time(section.first_search.as_secs_f64())
    )
    .unwrap();
    text
}
