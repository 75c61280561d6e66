//! What is measured: a project with many tables, one with rows, and nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datanode_core::journal::JournalMode;
use datanode_core::run::RunStatus;
use datanode_runtime::{Contents, Host, JournalSettings, RunOptions};
use datanode_sandbox::{CodeCache, Limits, Sandbox};
use datanode_store::{PostgresStore, SqliteStore, Store};
use datanode_tests::{Project, Server};
use serde_json::Value;

use super::served::Served;
use super::{MANY_ROWS, NODES, ROWS_OF_RUN, TABLES_OF_PAGE, catalogue};
use crate::rows::BATCH;
use crate::runs;

/// The table with rows, and how those are called that nodes write.
pub(super) const ROWS: &str = "load_rows";

/// Bounds that 64 clients reach. Nothing else is set.
const SETTINGS: &str = "[server]\nrow_streams = 128\nrow_streams_of_one = 128\n";

/// How long making it has taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// Tables of the catalogue.
    pub(super) tables: usize,
    /// To register them.
    pub(super) registered: Duration,
    /// To make the texts and vectors of all of them, for the first search that there ever was.
    pub(super) embedded: Duration,
}

/// A project, and a host over it in this process.
pub(super) struct Place {
    pub(super) project: Project,
    pub(super) inner: runs::Place,
    /// Uids: each client has its own.
    pub(super) nodes: Vec<String>,
    /// Uid of the table with rows.
    pub(super) rows: String,
    pub(super) questions: Vec<String>,
    /// What each page of the list begins behind.
    pub(super) pages: Vec<String>,
    pub(super) made: Made,
}

impl Place {
    /// A project with so many tables in its catalogue.
    pub(super) fn new(project: Project, tables: usize) -> Self {
        let project = project.set(SETTINGS);
        let inner = open(&project);
        let begun = Instant::now();
        for contract in catalogue::contracts(tables) {
            inner.runtime.block_on(inner.host.register_table(&contract)).unwrap();
        }
        let registered = begun.elapsed();
        eprintln!("  {tables} tables registered in {:.1} s", registered.as_secs_f64());
        inner.upload("many_rows");
        let filler = inner.node(ROWS, MANY_ROWS.into(), BATCH);
        run(&inner, &filler);
        let nodes = (0..NODES).map(|number| {
            inner.node(&format!("load_run_{number:02}"), ROWS_OF_RUN.into(), ROWS_OF_RUN.into())
        });
        let nodes: Vec<String> = nodes.collect();
        if project.is_on_server() {
            // Or the server does it by itself, in the middle of what is measured.
            project.server().execute("VACUUM ANALYZE");
        }
        let begun = Instant::now();
        let known = inner.runtime.block_on(inner.host.refresh_search()).unwrap();
        let embedded = begun.elapsed();
        assert_eq!(known.tables, tables + 1 + NODES);
        let rows = inner.runtime.block_on(inner.host.store().table(ROWS)).unwrap().uid;
        let all = inner.runtime.block_on(inner.host.store().tables()).unwrap();
        let last_of_each = all.chunks_exact(TABLES_OF_PAGE as usize).filter_map(<[_]>::last);
        let pages = last_of_each.map(|table| table.contract.identifier.clone());
        let pages = std::iter::once(String::new()).chain(pages).collect();
        let made = Made { tables: known.tables, registered, embedded };
        Self { project, inner, nodes, rows, questions: catalogue::questions(), pages, made }
    }

    /// The same behind HTTP, and no host in this process any more. An answer with few and with many rows has so many bytes.
    pub(super) fn serve(self, bytes: [u64; 2]) -> Served {
        let Self { project, inner, nodes, questions, made, .. } = self;
        drop(inner);
        project.run(&["user", "create", "bench", "--role", "admin"]);
        let create = ["token", "create", "--user", "bench", "--right", "read,run", "--per-minute", "1000000"];
        let created: Value = project.json(&create);
        let token = created["token"].as_str().unwrap().to_owned();
        let server = Server::start(&project, &["--log-level", "warn"]).with_token(&token);
        Served::new(project, server, token, nodes, questions, bytes, made.tables)
    }
}

/// As `datanode` opens a project: with journals of runs.
fn open(project: &Project) -> runs::Place {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store: Arc<dyn Store> = if project.is_on_server() {
        Arc::new(runtime.block_on(PostgresStore::open(&project.server().url())).unwrap())
    } else {
        Arc::new(runtime.block_on(SqliteStore::open(&project.database())).unwrap())
    };
    let cache = CodeCache::open(&directory.path().join("compiled")).unwrap();
    let sandbox = Sandbox::new(Limits::default()).unwrap().with_cache(cache);
    let contents = Contents::new(project.path().join(".datanode/contents"));
    let journals = JournalSettings { contents, mode: Some(JournalMode::default()), keep: None };
    let host = Host::new(store, sandbox).with_journals(journals);
    runs::Place { runtime, host, directory }
}

/// Run a node, whose rows must be stored.
pub(super) fn run(place: &runs::Place, node: &str) {
    let tree = place.runtime.block_on(place.host.run_node(node, "", &RunOptions::default())).unwrap();
    let record = tree.runs.last().unwrap();
    assert_eq!(record.status, RunStatus::Ok, "{:?}", record.error);
}
