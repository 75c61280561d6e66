//! A server under load: reads, searches and small runs by 1, 16 and 64 clients, on both databases, beside the same calls in
//! one process; over a catalogue of ten thousand tables.
//!
//! Requests that are one question and one answer are made by `oha`, so that nothing of ours judges itself. A run is begun by
//! one request and followed by a second one, which no such tool does: its clients are in `clients.rs`.

mod catalogue;
mod clients;
mod embedded;
mod page;
mod place;
mod served;
mod tool;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use datanode_tests::Project;

use self::page::Section;
use self::place::Place;
use self::tool::Tool;
use crate::machine;
use crate::measure::percentile;

/// How many clients there are at once.
const CLIENTS: [usize; 3] = [1, 16, 64];
/// Nodes: each client runs one of its own.
const NODES: usize = 64;
/// Tables on a page of the list.
const TABLES_OF_PAGE: u32 = 100;
/// Rows that a small run stores.
const ROWS_OF_RUN: u32 = 10;
/// Rows of one moment, which the smaller read asks for.
const FEW_ROWS: u32 = 1_000;
/// Rows of the table, which the larger read asks for.
const MANY_ROWS: u32 = 100_000;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    FewRows,
    ManyRows,
    List,
    Tables,
    Columns,
    Run,
}

impl Call {
    const ALL: [Self; 6] =
        [Self::FewRows, Self::ManyRows, Self::List, Self::Tables, Self::Columns, Self::Run];

    /// As the page calls it.
    fn name(self) -> &'static str {
        match self {
            Self::FewRows => "1,000 rows as Arrow",
            Self::ManyRows => "100,000 rows as Arrow",
            Self::List => "a page of 100 tables",
            Self::Tables => "search for tables",
            Self::Columns => "search for columns",
            Self::Run => "run of 10 rows",
        }
    }

    /// Rows of one answer, where it is about rows.
    fn rows(self) -> Option<u32> {
        match self {
            Self::FewRows => Some(FEW_ROWS),
            Self::ManyRows => Some(MANY_ROWS),
            Self::Run => Some(ROWS_OF_RUN),
            Self::List | Self::Tables | Self::Columns => None,
        }
    }
}

/// What many calls have shown.
#[derive(Debug, Clone)]
struct Figures {
    /// Good answers, each to its end.
    answers: u64,
    /// From the first call to the last answer.
    seconds: f64,
    /// Seconds of the call in the middle.
    p50: f64,
    /// Seconds of the slowest of a hundred.
    p99: f64,
    /// What else was answered, and how often.
    errors: BTreeMap<String, u64>,
}

impl Figures {
    fn of(times: &[f64], seconds: f64, errors: BTreeMap<String, u64>) -> Self {
        let at = |percent| if times.is_empty() { f64::NAN } else { percentile(times, percent) };
        Self { answers: times.len() as u64, seconds, p50: at(50), p99: at(99), errors }
    }

    fn rate(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// One caller in the process of the host.
    Process,
    /// So many over HTTP.
    Clients(usize),
}

/// One line of the page.
#[derive(Debug)]
struct Line {
    call: Call,
    by: By,
    figures: Figures,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Options {
    /// Tables of the catalogue beside those that have rows.
    tables: usize,
    /// How long each line is measured.
    seconds: u64,
}

impl Options {
    /// `[--tables N] [--seconds N]`: less of both shows that it works, and measures nothing.
    fn of(arguments: &[String]) -> Self {
        let number = |name: &str| -> Option<u32> {
            let at = arguments.iter().position(|argument| argument == name)?;
            Some(arguments.get(at + 1)?.parse().expect("a number"))
        };
        Self {
            tables: number("--tables").map_or(10_000, |tables| tables as usize),
            seconds: number("--seconds").map_or(10, u64::from),
        }
    }

    fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Measure, and print the page. It fails when anything was answered that is no success.
pub(crate) fn measure(arguments: &[String]) -> ExitCode {
    let options = Options::of(arguments);
    let machine = machine::describe();
    let tool = Tool::find();
    let sections = [("SQLite", Project::new()), ("PostgreSQL", Project::on_server())]
        .map(|(database, project)| section(database, project, options, &tool));
    print!("{}", page::page(&machine, options, &tool, &sections));
    let failed: u64 =
        sections.iter().flat_map(|section| &section.lines).map(|line| line.figures.failed()).sum();
    if failed > 0 {
        eprintln!("{failed} answers were errors");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn section(database: &'static str, project: Project, options: Options, tool: &Tool) -> Section {
    eprintln!("measuring: {database}");
    let place = Place::new(project, options.tables);
    let mut lines = Vec::new();
    let mut told = |line: Line| {
        eprintln!("  {}", page::short(&line));
        lines.push(line);
    };
    for call in Call::ALL {
        told(Line { call, by: By::Process, figures: embedded::measure(&place, call, options.duration()) });
    }
    let (made, bytes) = (place.made, embedded::bytes(&place));
    let served = place.serve(bytes);
    for call in Call::ALL {
        for clients in CLIENTS {
            let figures = served.measure(call, clients, options.seconds, tool);
            told(Line { call, by: By::Clients(clients), figures });
        }
    }
    // In the order in which they are read: one call after the other.
    lines.sort_by_key(|line| Call::ALL.iter().position(|call| *call == line.call));
    Section { database, made, first_search: served.first_search, held: served.held(), lines }
}
