//! Tables, rows and runs for tests.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is the report
#![allow(unreachable_pub)] // the whole is one program

mod statements;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datanode_core::Timestamp;
use datanode_core::component::ComponentClass;
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::digest::Digest;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::query::ReadQuery;
use datanode_core::run::{Coverage, Durations, RunRecord, RunStatus, StatisticsSummary};
use datanode_core::window::Window;
use datanode_store::{
    ClaimLease, CommitRun, Lease, NewNode, Node, Patience, PostgresStore, Snapshot, SqliteStore, Store,
    StoreError, Table, WriteMode,
};
use proptest::test_runner::{Config, TestRunner};
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

pub use statements::Statements;

/// A store in a directory, or in a database of a server, that goes away with it.
pub struct Place {
    pub store: Arc<dyn Store>,
    database: Arc<Database>,
}

/// What a store is in. Nothing, until one is opened.
pub enum Database {
    Directory(TempDir),
    /// Its name, and the login under which SQL of users runs there.
    Server {
        name: String,
        role: OnceLock<(String, String)>,
    },
}

impl Database {
    fn directory() -> Self {
        Self::Directory(tempfile::tempdir().unwrap())
    }

    fn server() -> Self {
        let name = format!("datanode_test_{}", uuid::Uuid::new_v4().simple());
        on_server("postgres", format!("CREATE DATABASE {name}"), false);
        Self::Server { name, role: OnceLock::new() }
    }

    /// A store in it. Several stand for several processes: nothing but the database connects them.
    pub async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        self.open_with(Patience::default()).await
    }

    /// The same, with less patience, or with more.
    pub async fn open_with(&self, patience: Patience) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Directory(directory) => {
                let store = SqliteStore::open(&directory.path().join("data.sqlite")).await?;
                Arc::new(store.with_patience(patience))
            }
            Self::Server { name, .. } => {
                Arc::new(PostgresStore::open(&server(name)).await?.with_patience(patience))
            }
        })
    }
}

/// Another process that changes the catalogue, until this is dropped.
pub struct Holding {
    end: Option<mpsc::Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

impl Drop for Holding {
    fn drop(&mut self) {
        drop(self.end.take());
        self.holder.take().unwrap().join().unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::Server { name, role } = self {
            on_server("postgres", format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), false);
            if let Some((role, _)) = role.get() {
                on_server("postgres", format!("DROP ROLE {role}"), false);
            }
        }
    }
}

impl Place {
    pub async fn sqlite() -> Self {
        Self::of(Database::directory()).await
    }

    pub async fn postgres() -> Self {
        Self::of(Database::server()).await
    }

    async fn of(database: Database) -> Self {
        Self { store: database.open().await.unwrap(), database: Arc::new(database) }
    }

    pub fn is_on_server(&self) -> bool {
        matches!(*self.database, Database::Server { .. })
    }

    /// Its database, for further stores in it.
    pub fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }

    /// A database of the same kind, in which no store was opened yet.
    pub fn unopened(&self) -> Database {
        if self.is_on_server() { Database::server() } else { Database::directory() }
    }

    /// The same, where SQL of users runs: on a server, under a login of its own.
    pub async fn with_reader(mut self) -> Self {
        if let Database::Server { name, role } = &*self.database {
            let (login, password) = (format!("{name}_reader"), uuid::Uuid::new_v4().simple().to_string());
            on_server(name, format!("CREATE ROLE {login} LOGIN PASSWORD '{password}'"), false);
            role.set((login, password)).unwrap();
            let (url, reader) = self.urls();
            let store = PostgresStore::open(&url).await.unwrap().with_reader(&reader).unwrap();
            self.store = Arc::new(store);
        }
        self
    }

    /// The URLs of the database on a server: of the host, and of [`with_reader`](Self::with_reader)'s login.
    pub fn urls(&self) -> (String, String) {
        let Database::Server { name, role } = &*self.database else { panic!("only a server has logins") };
        let (login, password) = role.get().unwrap();
        let url = server(name);
        let (scheme, rest) = url.split_once("://").unwrap();
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let reader = format!("{scheme}://{login}:{password}@{host}");
        (url, reader)
    }

    /// Change something on the server, with its words.
    pub fn on_server(&self, sql: &str) {
        let Database::Server { name, .. } = &*self.database else { panic!("there is no server") };
        on_server(name, sql.to_owned(), false);
    }

    /// The login of [`with_reader`](Self::with_reader) on a server.
    pub fn reader(&self) -> Option<&str> {
        match &*self.database {
            Database::Directory(_) => None,
            Database::Server { role, .. } => role.get().map(|(login, _)| login.as_str()),
        }
    }

    /// What the database is called in the data of tests.
    pub fn kind(&self) -> &'static str {
        match &*self.database {
            Database::Directory(_) => "sqlite",
            Database::Server { .. } => "postgres",
        }
    }

    /// Every table with its definition and all of its rows, catalogue and all.
    pub fn contents(&self) -> BTreeMap<String, Vec<String>> {
        match &*self.database {
            Database::Directory(_) => {
                let raw = self.raw();
                let mut names = raw
                    .prepare("SELECT name, coalesce(sql, '') FROM sqlite_master WHERE type = 'table'")
                    .unwrap();
                let names = names.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                let names: Vec<(String, String)> = names.collect::<Result<_, _>>().unwrap();
                let all = |(name, sql): (String, String)| {
                    let mut statement = raw.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
                    let width = statement.column_count();
                    let row = |row: &rusqlite::Row<'_>| {
                        let cells = (0..width).map(|at| row.get_ref(at).map(|cell| format!("{cell:?}")));
                        Ok(cells.collect::<Result<Vec<_>, _>>()?.join(", "))
                    };
                    let mut rows: Vec<String> =
                        statement.query_map((), row).unwrap().collect::<Result<_, _>>().unwrap();
                    rows.sort_unstable();
                    (format!("{name}: {sql}"), rows)
                };
                names.into_iter().map(all).collect()
            }
            Database::Server { name, .. } => {
                // Every relation of this database, as text; one without rows is there, too.
                let relations = |kinds: &str| {
                    let sql = format!(
                        "SELECT format(CASE c.relkind WHEN 'S' THEN '(SELECT last_value, is_called FROM %I.%I)' \
                     ELSE '%I.%I' END, n.nspname, c.relname) FROM pg_class c \
                         JOIN pg_namespace n ON n.oid = c.relnamespace \
                         WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' \
                         AND c.relkind IN ({kinds})"
                    );
                    texts_on_server(name, sql)
                };
                let rows = |what: &'static str, relation: String| {
                    let all = format!("SELECT {what}::text FROM {relation} t ORDER BY 1");
                    let rows = texts_on_server(name, all);
                    (relation, rows)
                };
                let tables = relations("'r', 'p', 'v', 'm', 'f'").into_iter().map(|table| rows("t", table));
                // Of a sequence the row is no value.
                let sequences =
                    relations("'S'").into_iter().map(|name| rows("(last_value, is_called)", name));
                tables.chain(sequences).collect()
            }
        }
    }

    /// Let another process change the catalogue for a while.
    pub fn hold(&self) -> Holding {
        let (end, ended) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let holder = match &*self.database {
            Database::Directory(_) => {
                let raw = self.raw();
                std::thread::spawn(move || {
                    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
                    begun.send(()).unwrap();
                    // An error is what ends it.
                    let _ = ended.recv();
                    raw.execute_batch("ROLLBACK").unwrap();
                })
            }
            Database::Server { name, .. } => {
                let name = name.clone();
                let holding = async move |mut connection: sqlx::PgConnection| {
                    // `datanode`, in ASCII: the lock of those who write the catalogue.
                    let lock = format!("SELECT pg_advisory_lock({})", 0x6461_7461_6e6f_6465_i64);
                    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.unwrap();
                    begun.send(()).unwrap();
                    let _ = ended.recv();
                    connection.close().await.unwrap();
                };
                std::thread::spawn(move || with_server(&name, holding))
            }
        };
        has_begun.recv().unwrap();
        Holding { end: Some(end), holder: Some(holder) }
    }

    pub fn is_embedded(&self) -> bool {
        matches!(*self.database, Database::Directory(_))
    }

    pub fn path(&self) -> PathBuf {
        match &*self.database {
            Database::Directory(directory) => directory.path().join("data.sqlite"),
            Database::Server { .. } => panic!("a database of a server has no path"),
        }
    }

    /// Another connection, for looking at the file and for breaking it.
    pub fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// The one integer that a query answers. It is written for SQLite: tables of the catalogue begin with `_`.
    pub fn number(&self, sql: &str) -> i64 {
        match &*self.database {
            Database::Directory(_) => self.raw().query_row(sql, (), |row| row.get(0)).unwrap(),
            Database::Server { name, .. } => on_server(name, for_server(sql), true).unwrap(),
        }
    }

    /// The texts of the one column that a query answers; written for SQLite, as above.
    pub fn texts(&self, sql: &str) -> Vec<Option<String>> {
        match &*self.database {
            Database::Directory(_) => {
                let raw = self.raw();
                let mut statement = raw.prepare(sql).unwrap();
                statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
            }
            Database::Server { name, .. } => {
                let (url, sql) = (server(name), for_server(sql));
                on_thread(async move {
                    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
                    sqlx::raw_sql("SET search_path = datanode_tables")
                        .execute(&mut connection)
                        .await
                        .unwrap();
                    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap()
                })
            }
        }
    }

    /// Whether it is a database of a server.
    pub fn is_server(&self) -> bool {
        matches!(*self.database, Database::Server { .. })
    }

    /// A moment in SQL.
    pub fn moment(&self, micros: i64) -> String {
        match &*self.database {
            Database::Directory(_) => micros.to_string(),
            Database::Server { .. } => format!("timestamptz 'epoch' + {micros} * interval '1 microsecond'"),
        }
    }

    /// Now, in microseconds, by the clock of the database.
    pub fn now(&self) -> i64 {
        self.number(match &*self.database {
            Database::Directory(_) => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000",
            Database::Server { .. } => "SELECT datanode.now_micros()",
        })
    }

    /// An empty one of the same kind.
    pub async fn another(&self) -> Self {
        Self::of(self.unopened()).await
    }

    /// Whatever a writer locks is free.
    pub async fn is_unlocked(&self) {
        match &*self.database {
            Database::Directory(_) => self.raw().execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap(),
            Database::Server { name, .. } => {
                // Until the server has noticed that a transaction was given up, it waits.
                let sql = "BEGIN; SET LOCAL lock_timeout = '20s'; LOCK TABLE datanode.tables, datanode.runs, \
                           datanode.leases IN ACCESS EXCLUSIVE MODE; ROLLBACK";
                let name = name.clone();
                // Not on this thread, on which connections are given back meanwhile.
                tokio::task::spawn_blocking(move || on_server(&name, sql.to_owned(), false)).await.unwrap();
            }
        }
    }

    /// Change something behind the store's back; written for SQLite, as above.
    pub fn execute(&self, sql: &str) {
        match &*self.database {
            Database::Directory(_) => self.raw().execute_batch(sql).unwrap(),
            Database::Server { name, .. } => {
                on_server(name, for_server(sql), false);
            }
        }
    }
}

impl Place {
    /// The same as [`execute`](Self::execute), where the database may refuse; why it does.
    pub fn try_execute(&self, sql: &str) -> Result<(), String> {
        match &*self.database {
            Database::Directory(_) => self.raw().execute_batch(sql).map_err(|error| error.to_string()),
            Database::Server { name, .. } => {
                let sql = for_server(sql);
                with_server(name, async move |mut connection| {
                    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
                    done.map(|_| ()).map_err(|error| error.to_string())
                })
            }
        }
    }
}

/// Tables of the catalogue, and a sum that is an integer.
fn for_server(sql: &str) -> String {
    sql.replace(" _", " datanode.").replace("sum(row_count)", "sum(row_count)::bigint")
}

/// URL of a database of the server that tests use.
pub fn server(database: &str) -> String {
    let url = std::env::var("DATANODE_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    let (server, _) = url.rsplit_once('/').expect("a URL ends with the name of a database");
    format!("{server}/{database}")
}

/// A statement on the server.
fn on_server(database: &str, sql: String, answers: bool) -> Option<i64> {
    with_server(database, async move |mut connection| {
        if answers {
            return Some(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap());
        }
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        None
    })
}

/// The texts that a query answers.
fn texts_on_server(database: &str, sql: String) -> Vec<String> {
    with_server(database, async move |mut connection| {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap()
    })
}

/// Work with a connection, in a thread and runtime of its own: that of the test may be busy, or gone.
fn with_server<T: Send + 'static>(
    database: &str,
    work: impl AsyncFnOnce(sqlx::PgConnection) -> T + Send + 'static,
) -> T {
    let url = server(database);
    let working = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = sqlx::PgConnection::connect(&url)
                .await
                .expect("these tests need a PostgreSQL server; `cargo xtask test` starts one");
            sqlx::raw_sql("SET search_path = datanode_tables").execute(&mut connection).await.unwrap();
            work(connection).await
        })
    };
    std::thread::spawn(working).join().unwrap()
}

fn on_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(work)).join().unwrap()
}

/// Makes two tests of each function that takes an [`Place`]: one on each database.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::support::Place::sqlite().await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::support::Place::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;

/// Makes two tests of each function that takes a runtime and a [`Place`], for what brings its cases to a store by itself:
/// one on each database.
macro_rules! properties_on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod properties_on_sqlite {
            $(#[test]
            fn $name() {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let place = runtime.block_on(crate::support::Place::sqlite());
                super::$name(&runtime, &place);
            })*
        }

        mod properties_on_postgres {
            $(#[test]
            fn $name() {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let place = runtime.block_on(crate::support::Place::postgres());
                super::$name(&runtime, &place);
            })*
        }
    };
}
pub(crate) use properties_on_both_databases;

/// Runs a property on a real file. Shrinking is bounded, for each step of it commits to the disk.
pub fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { failure_persistence: None, max_shrink_iters: 300, ..Config::with_cases(cases) })
}

pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

pub fn text(value: &str) -> CoordinateValue {
    CoordinateValue::Text(value.to_owned())
}

/// `time_index`, the given dimensions and a nullable `value`.
pub fn contract(identifier: &str, dimensions: &[(&str, DataType)]) -> Contract {
    let mut index = vec!["\"time_index\"".to_owned()];
    let mut columns = "[[columns]]\nname = \"time_index\"\ntype = \"timestamp_tz\"\n".to_owned();
    for (name, data_type) in dimensions {
        index.push(format!("\"{name}\""));
        writeln!(columns, "[[columns]]\nname = \"{name}\"\ntype = \"{data_type}\"").unwrap();
    }
    columns += "[[columns]]\nname = \"value\"\ntype = \"int64\"\nnullable = true\n";
    Contract::from_toml(&format!("identifier = \"{identifier}\"\nindex = [{}]\n{columns}", index.join(", ")))
        .unwrap()
}

/// Rows of such a table, as a database would hold them.
pub type Model = BTreeMap<(i64, Coordinate), Option<i64>>;

fn array(data_type: DataType, values: &[&CoordinateValue]) -> ArrayRef {
    use CoordinateValue as V;
    macro_rules! collect {
        ($array:ty, $pattern:pat => $value:expr) => {
            Arc::new(
                values
                    .iter()
                    .map(|value| match value {
                        $pattern => Some($value),
                        _ => panic!("{value:?}"),
                    })
                    .collect::<$array>(),
            )
        };
    }
    match data_type {
        DataType::String => collect!(StringArray, V::Text(text) => text.as_str()),
        DataType::Int64 => collect!(Int64Array, V::Int(value) => *value),
        DataType::Int32 => collect!(Int32Array, V::Int(value) => i32::try_from(*value).unwrap()),
        DataType::Int16 => collect!(Int16Array, V::Int(value) => i16::try_from(*value).unwrap()),
        DataType::Bool => collect!(BooleanArray, V::Bool(value) => *value),
        DataType::Date => collect!(Date32Array, V::Date(value) => *value),
        DataType::TimestampTz => {
            let micros = values.iter().map(|value| match value {
                V::Timestamp(time) => time.micros(),
                _ => panic!(),
            });
            Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
        }
        DataType::Uuid => {
            let bytes = values.iter().map(|value| match value {
                V::Uuid(uuid) => *uuid.as_bytes(),
                _ => panic!(),
            });
            Arc::new(FixedSizeBinaryArray::try_from_iter(bytes).unwrap())
        }
        other => panic!("{other} is no dimension"),
    }
}

pub fn batch<'r>(
    contract: &Contract,
    rows: impl IntoIterator<Item = (&'r (i64, Coordinate), &'r Option<i64>)>,
) -> RecordBatch {
    let rows: Vec<_> = rows.into_iter().collect();
    let times = rows.iter().map(|((time, _), _)| *time);
    let mut arrays: Vec<ArrayRef> =
        vec![Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))];
    for (at, data_type) in contract.dimension_types().into_iter().enumerate() {
        arrays.push(array(
            data_type,
            &rows.iter().map(|((_, coordinate), _)| &coordinate.0[at]).collect::<Vec<_>>(),
        ));
    }
    arrays.push(Arc::new(rows.iter().map(|(_, value)| **value).collect::<Int64Array>()));
    RecordBatch::try_new(contract.arrow_schema(), arrays).unwrap()
}

/// The rows of a batch, in its order.
pub fn rows(contract: &Contract, batch: &RecordBatch) -> Vec<((i64, Coordinate), Option<i64>)> {
    let times = batch.column_by_name("time_index").unwrap().as_primitive::<TimestampMicrosecondType>();
    let values = batch.column_by_name("value").unwrap().as_primitive::<Int64Type>();
    (0..batch.num_rows())
        .map(|row| {
            let coordinate =
                contract.dimensions().iter().zip(contract.dimension_types()).map(|(name, data_type)| {
                    CoordinateValue::from_array(batch.column_by_name(name).unwrap(), data_type, row).unwrap()
                });
            let value = values.iter().nth(row).unwrap();
            ((times.value(row), Coordinate(coordinate.collect())), value)
        })
        .collect()
}

pub fn progress<'r>(rows: impl IntoIterator<Item = &'r (i64, Coordinate)>) -> Progress {
    rows.into_iter()
        .map(|(time, coordinate)| {
            (coordinate.clone(), CoordinateProgress { min: at(*time), max: at(*time), rows: 1 })
        })
        .collect()
}

pub async fn table(store: &dyn Store, contract: &Contract) -> Table {
    store.register_table(contract, at(0)).await.unwrap().value
}

pub fn new_node(table: &Table, update_hash: &str) -> NewNode {
    NewNode {
        update_hash: update_hash.to_owned(),
        component: "c".to_owned(),
        pinned_digest: None,
        config: serde_json::json!({ "a": 1 }),
        hashed_document: "{}".to_owned(),
        hash_namespace: String::new(),
        table_uid: table.uid.clone(),
        dependencies: Vec::new(),
        created_at: at(1),
    }
}

pub async fn node(store: &dyn Store, table: &Table) -> Node {
    store.ensure_node(new_node(table, "c_0123456789abcdef")).await.unwrap().value
}

pub fn run(node: &Node, run_id: &str) -> RunRecord {
    RunRecord {
        run_id: run_id.to_owned(),
        node_uid: node.uid.clone(),
        update_hash: node.update_hash.clone(),
        table_uid: node.table_uid.clone(),
        table: node.table.clone(),
        kind: "update".to_owned(),
        status: RunStatus::Ok,
        started_at: at(10),
        finished_at: at(20),
        window: Window { start: None, end: at(100) },
        retry_of: None,
        lookback: None,
        late_rows: None,
        producer: None,
        backfill: None,
        component: node.component.clone(),
        component_version: "1.0.0".parse().unwrap(),
        component_digest: Digest::of(b"c"),
        component_class: ComponentClass::Pure,
        config: node.config.clone(),
        hash_namespace: String::new(),
        options: BTreeMap::new(),
        statistics: StatisticsSummary::default(),
        inputs: Vec::new(),
        fetches: Vec::new(),
        rows_emitted: 0,
        rows_dropped: 0,
        rows_inserted: 0,
        rows_updated: 0,
        rows_unchanged: 0,
        coverage: Coverage::default(),
        bytes_emitted: 0,
        output_digest: None,
        fuel: 0,
        peak_memory: 0,
        durations: Durations::default(),
        limits: serde_json::Value::Null,
        host: BTreeMap::new(),
        error: None,
        warnings: Vec::new(),
        violations: Vec::new(),
        logs: Vec::new(),
        logs_dropped: 0,
        journal: None,
    }
}

/// The node is claimed for the run, for no time at all: others may claim it at once, and until they do the run may commit.
pub async fn claim(store: &dyn Store, node_uid: &str, run_id: &str) -> Lease {
    let claim = ClaimLease {
        node_uid: node_uid.to_owned(),
        holder: "a test".to_owned(),
        run_id: run_id.to_owned(),
        duration: Duration::ZERO,
    };
    store.claim_lease(&claim).await.unwrap()
}

/// What a run commits, under a lease of its own.
pub async fn commit(
    store: &dyn Store,
    table: &Table,
    record: RunRecord,
    batches: Vec<RecordBatch>,
    added: Progress,
) -> CommitRun {
    CommitRun {
        lease: claim(store, &record.node_uid, &record.run_id).await,
        table: table.clone(),
        record,
        journal: None,
        mode: WriteMode::Append,
        rows: Box::new(batches.into_iter().map(Ok)),
        added,
        on_rows: Box::new(|_| {}),
    }
}

/// Commit rows as one run; the table as it is afterwards.
pub async fn fill(store: &dyn Store, table: &Table, run_id: &str, model: &Model) -> Table {
    let node = node(store, table).await;
    let batches = if model.is_empty() { Vec::new() } else { vec![batch(&table.contract, model)] };
    let commit = commit(store, table, run(&node, run_id), batches, progress(model.keys())).await;
    assert_eq!(store.commit_run(commit).await.unwrap().record.rows_inserted, model.len() as u64);
    store.table(&table.uid).await.unwrap()
}

/// All batches of a read, page by page.
pub async fn pages(
    snapshot: &mut Box<dyn Snapshot>,
    table: &Table,
    query: &ReadQuery,
    max_rows: usize,
) -> Vec<RecordBatch> {
    query.check(&table.contract).unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    let read = snapshot.read(table, query);
    while let Some(page) = read.page(after.as_ref(), max_rows).await.unwrap() {
        assert!((1..=max_rows).contains(&page.batch.num_rows()));
        after = Some(page.last);
        found.push(page.batch);
    }
    found
}

/// All rows of a read.
pub async fn read(
    snapshot: &mut Box<dyn Snapshot>,
    table: &Table,
    query: &ReadQuery,
    max_rows: usize,
) -> Vec<((i64, Coordinate), Option<i64>)> {
    let pages = pages(snapshot, table, query, max_rows).await;
    pages.iter().flat_map(|batch| rows(&table.contract, batch)).collect()
}
