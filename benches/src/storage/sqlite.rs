//! SQLite without the host: prepared statements on a database of the same settings, a table of the same schema.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datanode_store::SqliteStore;
use rusqlite::{Connection, Statement};
use tempfile::TempDir;

use super::ours::Ours;
use super::shape::{FACTORS, SERIES, TABLE, VALUES, VENUE, micros, name};
use super::{BASE, Floor, Work};
use crate::measure::time;

/// Rows per statement; more are not faster.
const PER_STATEMENT: i64 = 16;

pub(super) struct Plain {
    connection: Connection,
    names: Vec<String>,
    first: i64,
    rows: i64,
    /// Goes when this goes.
    _directory: TempDir,
}

/// A store in a file, and a plain table in another.
pub(super) fn place() -> (Ours, Plain) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("host.sqlite");
    let ours = open(&file);
    let schema: String = Connection::open(&file)
        .unwrap()
        .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [TABLE], |row| row.get(0))
        .unwrap();
    let connection = Connection::open(directory.path().join("plain.sqlite")).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    connection.execute_batch(&schema.replacen(&format!("\"{TABLE}\""), "t", 1)).unwrap();
    let names = (0..SERIES).map(name).collect();
    let mut plain = Plain { connection, names, first: 0, rows: BASE, _directory: directory };
    plain.insert("");
    ours.append(0, BASE);
    (ours, plain)
}

pub(super) fn open(file: &Path) -> Ours {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = runtime.block_on(SqliteStore::open(file)).unwrap();
    Ours::new(runtime, Arc::new(store))
}

impl Plain {
    /// The rows of the window in one transaction; `conflict` is what happens to those that are there.
    fn insert(&mut self, conflict: &str) -> Duration {
        let Self { connection, names, first, rows, .. } = self;
        time(|| {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            let whole = *rows - *rows % PER_STATEMENT;
            let end = *first + *rows;
            for (range, at_once) in [(*first..*first + whole, PER_STATEMENT), (*first + whole..end, 1)] {
                let row = "(?, ?, ?, ?, ?, ?, ?, ?)";
                let values = vec![row; usize::try_from(at_once).unwrap()].join(", ");
                let sql = format!("INSERT INTO t VALUES {values}{conflict}");
                let mut statement = connection.prepare(&sql).unwrap();
                let parameters = statement.parameter_count();
                let mut place = 1;
                for row in range {
                    bind(&mut statement, place, row, names);
                    place += 8;
                    if place > parameters {
                        statement.raw_execute().unwrap();
                        place = 1;
                    }
                }
            }
            connection.execute_batch("COMMIT").unwrap();
        })
    }

    fn read(&self) -> Duration {
        let mut found = 0;
        let took = time(|| {
            let sql = "SELECT * FROM t WHERE time_index >= ?1 ORDER BY time_index, name";
            let mut statement = self.connection.prepare(sql).unwrap();
            let mut rows = statement.query([micros(self.first)]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for column in 0..8 {
                    std::hint::black_box(row.get_ref(column).unwrap());
                }
                found += 1;
            }
        });
        assert_eq!(found, self.rows);
        took
    }

    fn delete(&self) -> Duration {
        let mut gone = 0;
        let took = time(|| {
            self.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            gone = self
                .connection
                .execute("DELETE FROM t WHERE time_index >= ?1", [micros(self.first)])
                .unwrap();
            self.connection.execute_batch("COMMIT").unwrap();
        });
        assert_eq!(i64::try_from(gone).unwrap(), self.rows);
        took
    }
}

fn bind(statement: &mut Statement<'_>, place: usize, row: i64, names: &[String]) {
    statement.raw_bind_parameter(place, micros(row)).unwrap();
    let name = &names[usize::try_from(row % SERIES).unwrap()];
    statement.raw_bind_parameter(place + 1, name.as_str()).unwrap();
    for (column, factor) in (2..).zip(FACTORS) {
        statement.raw_bind_parameter(place + column, row as f64 * factor).unwrap();
    }
    statement.raw_bind_parameter(place + 6, row).unwrap();
    statement.raw_bind_parameter(place + 7, VENUE).unwrap();
}

impl Floor for Plain {
    fn database(&self) -> &'static str {
        "SQLite"
    }

    fn is(&self, work: Work) -> &'static str {
        match work {
            Work::Append => "prepared `INSERT`s, one commit",
            Work::Resend => "prepared `INSERT … ON CONFLICT DO UPDATE` of what differs, one commit",
            Work::Read => "a prepared `SELECT`, each cell looked at",
            Work::Delete => "one `DELETE`",
        }
    }

    fn why(&self, work: Work) -> &'static str {
        match work {
            Work::Append => {
                "rows are read from Arrow arrays cell by cell, each with its null check; and a commit checks its lease, \
                 extends the progress of a hundred coordinates and writes a run record, which weighs the more the \
                 smaller the window is."
            }
            Work::Resend => {
                "as for append; and what is there is read beside what is sent, or what is sent waits in a table of its own \
                 where it is much, for the progress must know which rows were new."
            }
            Work::Read => {
                "cells become Arrow arrays, which the floor does not make; and a read goes page by page, each of which \
                 goes to the thread of its snapshot, which begins where the last one ended."
            }
            Work::Delete => {
                "each row is counted by its coordinate while it is deleted, or those that stay are counted before, where \
                 these are fewer; and the latest row that is left of each of a hundred coordinates is looked up and \
                 stored, for the progress must be right."
            }
        }
    }

    fn prepare(&mut self, _ours: &Ours, first: i64, rows: i64) {
        (self.first, self.rows) = (first, rows);
    }

    fn settle(&mut self) {}

    fn work(&mut self, work: Work) -> Duration {
        match work {
            Work::Append => self.insert(""),
            Work::Resend => {
                let list = |form: fn(&str) -> String, by| VALUES.map(form).join(by);
                let set = list(|name| format!("{name} = excluded.{name}"), ", ");
                let differs = list(|name| format!("{name} IS NOT excluded.{name}"), " OR ");
                self.insert(&format!(" ON CONFLICT (time_index, name) DO UPDATE SET {set} WHERE {differs}"))
            }
            Work::Read => self.read(),
            Work::Delete => self.delete(),
        }
    }
}
