//! Rows in and out of both databases, through the store and without it: append, re-send, range read, tail delete.
//!
//! Each round brings a window of rows, sends it again, reads it and deletes it, on the store's table and on a plain one
//! of the same schema; so every round finds what the one before it found, and a window is always the end of a table that
//! has [`BASE`] rows already.

mod memory;
mod ours;
mod postgres;
mod shape;
mod sqlite;

use std::time::Duration;

pub(crate) use self::memory::{child, table as memory};
use self::ours::Ours;
use crate::measure::Pair;
use crate::report::{Goal, Line, Unit};

/// Rows that are there before a window comes.
const BASE: i64 = 100_000;

/// Rows of a window, what they are called, and how many rounds are measured.
const SIZES: [(i64, &str, usize); 3] = [(10_000, "10 k", 15), (100_000, "100 k", 7), (1_000_000, "1 M", 3)];

/// What is done with a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Append,
    Resend,
    Read,
    Delete,
}

impl Work {
    /// In the order in which a round does them.
    const ALL: [Self; 4] = [Self::Append, Self::Resend, Self::Read, Self::Delete];

    fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Resend => "re-send",
            Self::Read => "range read",
            Self::Delete => "tail delete",
        }
    }

    fn goal(self) -> Goal {
        Goal::RatioAtLeast(if self == Self::Read { 0.95 } else { 0.9 })
    }
}

/// The same work without the host.
trait Floor {
    /// What the database is called.
    fn database(&self) -> &'static str;

    /// What the work is without the host.
    fn is(&self, work: Work) -> &'static str;

    /// Where a goal is missed: why.
    fn why(&self, work: Work) -> &'static str;

    /// Before a size is measured: the window that begins at this row and has so many.
    fn prepare(&mut self, ours: &Ours, first: i64, rows: i64);

    /// Leave neither of the two tables anything to clean up.
    fn settle(&mut self);

    /// Do it.
    fn work(&mut self, work: Work) -> Duration;
}

/// All lines of SQLite.
pub(crate) fn on_sqlite() -> Vec<Line> {
    let (ours, mut floor) = sqlite::place();
    lines(&ours, &mut floor)
}

/// All lines of PostgreSQL.
pub(crate) fn on_postgres() -> Vec<Line> {
    let (ours, mut floor) = postgres::place();
    lines(&ours, &mut floor)
}

fn lines(ours: &Ours, floor: &mut dyn Floor) -> Vec<Line> {
    let mut lines = Vec::new();
    for (rows, size, rounds) in SIZES {
        floor.prepare(ours, BASE, rows);
        let mut pairs = Work::ALL.map(|_| Pair::default());
        // The first round warms caches, and counts for nothing.
        for round in 0..=rounds {
            for (work, pair) in Work::ALL.into_iter().zip(&mut pairs) {
                floor.settle();
                let (mine, plain) = if round % 2 == 0 {
                    let mine = ours.work(work, BASE, rows);
                    (mine, floor.work(work))
                } else {
                    let plain = floor.work(work);
                    (ours.work(work, BASE, rows), plain)
                };
                if round > 0 {
                    pair.ours.push(mine.as_secs_f64());
                    pair.floor.push(plain.as_secs_f64());
                }
            }
        }
        for (work, pair) in Work::ALL.into_iter().zip(&pairs) {
            let (mine, plain) = pair.median();
            let rate = (rows as f64 / mine, rows as f64 / plain);
            let what = format!("{}, {} of {size} rows", floor.database(), work.name());
            let line = Line::new(what, floor.is(work), Unit::RowsPerSecond, rate);
            let line = line.goal(work.goal(), floor.why(work));
            eprintln!("  {}", line.short());
            lines.push(line);
        }
    }
    lines
}
