//! PostgreSQL without the host: copies of bytes that were encoded before, into a table of the same schema and index.

use std::sync::Arc;
use std::time::Duration;

use datanode_store::PostgresStore;
use datanode_tests::ServerDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;

use super::ours::Ours;
use super::shape::{TABLE, VALUES, micros};
use super::{BASE, Floor, Work};
use crate::measure::time;

/// Pieces in which a copy is sent.
const CHUNK: usize = 1 << 20;

pub(super) struct Raw {
    runtime: Runtime,
    connection: PgConnection,
    first: i64,
    rows: i64,
    /// The rows of the window as a binary copy.
    copy: Vec<u8>,
    /// Goes when this goes.
    _database: ServerDatabase,
}

/// A store in a database of its own, and a plain table beside it.
pub(super) fn place() -> (Ours, Raw) {
    let database = ServerDatabase::new();
    let ours = open(&database.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = runtime.block_on(PgConnection::connect(&database.url())).unwrap();
    let mut raw = Raw { runtime, connection, first: 0, rows: BASE, copy: Vec::new(), _database: database };
    assert_eq!(raw.answer("SHOW fsync"), "on", "what is measured on a server without fsync says nothing");
    raw.execute(&format!("CREATE TABLE raw (LIKE datanode_tables.{TABLE} INCLUDING ALL)"));
    ours.append(0, BASE);
    raw.prepare(&ours, 0, BASE);
    raw.append();
    (ours, raw)
}

pub(super) fn open(url: &str) -> Ours {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = runtime.block_on(PostgresStore::open(url)).unwrap();
    Ours::new(runtime, Arc::new(store))
}

/// The moment of a row, in SQL.
fn moment(row: i64) -> String {
    format!("(timestamptz 'epoch' + {} * interval '1 microsecond')", micros(row))
}

impl Raw {
    fn execute(&mut self, sql: &str) -> u64 {
        let executing = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection);
        self.runtime.block_on(executing).unwrap().rows_affected()
    }

    fn answer(&mut self, sql: &str) -> String {
        let asking = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection);
        self.runtime.block_on(asking).unwrap()
    }

    /// Send the window into a table; how many rows it has.
    fn send(&mut self, table: &str) {
        let sql = format!("COPY {table} FROM STDIN (FORMAT binary)");
        let Self { connection, copy, .. } = self;
        let sent = self.runtime.block_on(async {
            let mut copying = connection.copy_in_raw(&sql).await.unwrap();
            for chunk in copy.chunks(CHUNK) {
                copying.send(chunk).await.unwrap();
            }
            copying.finish().await.unwrap()
        });
        assert_eq!(sent, self.rows.unsigned_abs());
    }

    /// The rows of a table from the window on, as a binary copy: how many bytes, and they themselves if they are kept.
    fn copy_out(&mut self, table: &str, keep: bool) -> (usize, Vec<u8>) {
        let sql = format!(
            "COPY (SELECT * FROM {table} WHERE time_index >= {} ORDER BY time_index, name) TO STDOUT (FORMAT binary)",
            moment(self.first)
        );
        let connection = &mut self.connection;
        self.runtime.block_on(async {
            let mut stream = connection.copy_out_raw(&sql).await.unwrap();
            let (mut bytes, mut kept) = (0, Vec::new());
            while let Some(piece) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
                let piece = piece.unwrap();
                bytes += piece.len();
                if keep {
                    kept.extend_from_slice(&piece);
                }
            }
            (bytes, kept)
        })
    }

    fn append(&mut self) {
        self.execute("BEGIN");
        self.send("raw");
        self.execute("COMMIT");
    }

    fn resend(&mut self) {
        let list = |form: fn(&str) -> String| VALUES.map(form).join(", ");
        let set = list(|name| format!("{name} = excluded.{name}"));
        let (held, given) = (list(|name| format!("raw.{name}")), list(|name| format!("excluded.{name}")));
        self.execute("BEGIN; CREATE TEMPORARY TABLE waiting (LIKE raw) ON COMMIT DROP");
        self.send("waiting");
        self.execute(&format!(
            "INSERT INTO raw SELECT * FROM waiting ON CONFLICT (time_index, name) DO UPDATE SET {set} \
             WHERE ({held}) IS DISTINCT FROM ({given})"
        ));
        self.execute("COMMIT");
    }
}

impl Floor for Raw {
    fn database(&self) -> &'static str {
        "PostgreSQL"
    }

    fn is(&self, work: Work) -> &'static str {
        match work {
            Work::Append => "a raw `COPY` into the same index",
            Work::Resend => {
                "a raw `COPY` into a temporary table, `INSERT … ON CONFLICT DO UPDATE` of what differs"
            }
            Work::Read => "`COPY TO`, its bytes thrown away",
            Work::Delete => "one `DELETE`",
        }
    }

    fn why(&self, work: Work) -> &'static str {
        match work {
            Work::Append => {
                "the server is asked some twenty times in a commit (lease, epoch, shape of the table, progress of a \
                 hundred coordinates, record), which weighs the more the smaller the window is; the copy itself is \
                 encoded while the one before it is on its way."
            }
            Work::Resend => {
                "as for append; the rows are looked at for two with one key, and the statement that stores them says which \
                 were new, for the progress must be right."
            }
            Work::Read => {
                "the bytes become Arrow arrays on the processors that the server also needs; and some pages at a time are \
                 a query of their own that begins where the last one ended, about a millisecond."
            }
            Work::Delete => {
                "the rows of each coordinate that go are counted before, or those that stay, where these are fewer, which \
                 reads an index once more (to have the statement return them, to be counted here or there, takes longer); \
                 and the server is asked some twelve times (lock, progress, windows, epoch, audit log), which weighs the \
                 more the smaller the tail is."
            }
        }
    }

    fn prepare(&mut self, ours: &Ours, first: i64, rows: i64) {
        (self.first, self.rows) = (first, rows);
        let table = format!("datanode_tables.{TABLE}");
        if first > 0 {
            ours.append(first, rows);
        }
        self.copy = self.copy_out(&table, true).1;
        if first > 0 {
            ours.work(Work::Delete, first, rows);
        }
    }

    fn settle(&mut self) {
        self.execute(&format!("VACUUM ANALYZE datanode_tables.{TABLE}"));
        self.execute("VACUUM ANALYZE raw");
        // Only some roles may; without it, checkpoints come when they come.
        let checkpoint = sqlx::raw_sql("CHECKPOINT").execute(&mut self.connection);
        let _ = self.runtime.block_on(checkpoint);
    }

    fn work(&mut self, work: Work) -> Duration {
        match work {
            Work::Append => time(|| self.append()),
            Work::Resend => time(|| self.resend()),
            Work::Read => {
                // As the host's own reads: in the order of the index, without compiling anything.
                self.execute("SET enable_sort = off; SET jit = off");
                let least = self.copy.len();
                time(|| assert!(self.copy_out("raw", false).0 >= least))
            }
            Work::Delete => {
                let sql = format!("DELETE FROM raw WHERE time_index >= {}", moment(self.first));
                let rows = self.rows.unsigned_abs();
                time(|| assert_eq!(self.execute(&sql), rows))
            }
        }
    }
}
