//! What a process holds that does one of these things: a process of its own each, by its own peak.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use datanode_store::WriteMode;
use datanode_tests::ServerDatabase;
use datanode_tests::memory::peak_of;

use super::ours::Ours;
use super::{BASE, Work, postgres, sqlite};

/// Rows of a window, and what they are called: those of the lines that are timed, and more, with which it is seen whether what
/// has grown until there grows on.
const SIZES: [(i64, &str); 4] =
    [(10_000, "10 k"), (100_000, "100 k"), (1_000_000, "1 M"), (4_000_000, "4 M")];

/// The first argument of such a process; the others are where the database is, what to do, and how many rows.
const CHILD: &str = "in-a-process-of-its-own";
/// Opens the database and does nothing.
const NOTHING: &str = "nothing";

/// Be such a process, where the arguments say so.
pub(crate) fn child() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [child, place, work, rows] = &arguments[..] else { return false };
    if child != CHILD {
        return false;
    }
    let ours = open(place);
    let rows = rows.parse().unwrap();
    match Work::ALL.into_iter().find(|known| known.name() == work) {
        // Rows come batch by batch, as those of a run come back from where they waited.
        Some(Work::Append) => ours.stream(WriteMode::Append, BASE, rows),
        Some(Work::Resend) => ours.stream(WriteMode::Overwrite, BASE, rows),
        Some(work) => {
            ours.work(work, BASE, rows);
        }
        None => assert_eq!(work, NOTHING),
    }
    true
}

fn open(place: &str) -> Ours {
    if place.starts_with("postgres") { postgres::open(place) } else { sqlite::open(Path::new(place)) }
}

/// The most bytes that the work held.
fn peak(place: &str, work: &str, rows: i64) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([CHILD, place, work, &rows.to_string()]);
    peak_of(command)
}

/// The table of the page. Linux only: what a process held is read from /proc.
pub(crate) fn table() -> String {
    if !cfg!(target_os = "linux") {
        return String::new();
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("host.sqlite").display().to_string();
    let database = ServerDatabase::new();
    let sizes = SIZES.map(|(_, size)| format!(" {size} rows |")).concat();
    let rule = " ---: |".repeat(SIZES.len());
    let mut table = format!(
        "\n## What a process holds\n\nThe most that a process held which opened a store, did one thing in it and ended; the rows of \
         append and re-send come batch by batch. The first line opens the store alone.\n\n\
         | what |{sizes}\n| --- |{rule}\n"
    );
    for (name, place) in [("SQLite", file), ("PostgreSQL", database.url())] {
        open(&place).append(0, BASE);
        let mut peaks: Vec<(&str, [u64; SIZES.len()])> = vec![(NOTHING, [0; SIZES.len()])];
        peaks.extend(Work::ALL.map(|work| (work.name(), [0; SIZES.len()])));
        for (at, (rows, _)) in SIZES.into_iter().enumerate() {
            for (work, peaks) in &mut peaks {
                peaks[at] = peak(&place, work, rows);
            }
        }
        for (work, peaks) in peaks {
            let cells = peaks.map(|bytes| format!(" {:.1} MB |", bytes as f64 / 1e6)).concat();
            eprintln!("  {name}, {work}:{cells}");
            writeln!(table, "| {name}, {work} |{cells}").unwrap();
        }
    }
    table
}
