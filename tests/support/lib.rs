//! What the tests that cross crates share: a scratch project driven through the `datanode` command, as a user would.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::missing_panics_doc)]

mod http;
pub mod memory;
mod next;
pub mod proxy;
mod server;
mod told;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use http::{Answer, Request, Server};
pub use next::proposals;
pub use server::ServerDatabase;

/// The variable by which the command is told of a database on a server.
const DATABASE_URL: &str = "DATANODE_DATABASE_URL";

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn cargo(arguments: &[&str]) {
    let status = Command::new("cargo").args(arguments).current_dir(root()).stdout(Stdio::null()).status();
    assert!(status.expect("cargo starts").success(), "cargo {arguments:?} failed");
}

/// The `datanode` command, built now unless `DATANODE_BIN` names one.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("DATANODE_BIN") {
            return program.into();
        }
        cargo(&["build", "--workspace", "--all-targets"]);
        target().join("debug/datanode")
    })
}

/// A guest component by name, built now unless `DATANODE_COMPONENTS` names their directory.
pub fn component(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        if let Some(directory) = std::env::var_os("DATANODE_COMPONENTS") {
            return directory.into();
        }
        cargo(&["xtask", "guests"]);
        target().join("components")
    });
    directory.join(format!("{name}.wasm"))
}

/// How many rounds a test makes that shows the more the longer it lasts: so many, or with `cargo xtask test --long` that
/// many.
pub fn rounds(normal: u32, long: u32) -> u32 {
    if std::env::var_os(LONG).is_some() { long } else { normal }
}

/// The variable by which `cargo xtask test --long` asks for many rounds.
const LONG: &str = "DATANODE_TEST_LONG";

/// Do something with each of some things, so many of them at a time: for work that mostly waits. In a long test it is told
/// now and then how many are done.
pub fn at_once<T: Sync>(most: usize, things: &[T], work: impl Fn(&T) + Sync) {
    let (next, done, begin) = (AtomicUsize::new(0), AtomicUsize::new(0), Instant::now());
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let is_long = std::env::var_os(LONG).is_some();
    std::thread::scope(|scope| {
        for _ in 0..most {
            scope.spawn(|| {
                while let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(thing);
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if is_long && done.is_multiple_of(TOLD) {
                        println!("{test}: {done} of {} in {} s", things.len(), begin.elapsed().as_secs());
                    }
                }
            });
        }
    });
}

/// After how many things it is told how many are done.
const TOLD: usize = 20;

/// How long a writer of SQLite is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes two tests of each function that takes an empty [`Project`]: one on each database.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test]
            fn $name() {
                super::$name($crate::Project::new());
            })*
        }

        mod on_postgres {
            $(#[test]
            fn $name() {
                super::$name($crate::Project::on_server());
            })*
        }
    };
}

/// Tables of the catalogue as they are called on a server.
fn for_server(sql: &str) -> String {
    sql.replace(" _", " datanode.")
}

/// A project of its own, gone when dropped.
#[derive(Debug)]
pub struct Project {
    directory: TempDir,
    server: Option<ServerDatabase>,
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

impl Project {
    /// An initialised, empty project.
    pub fn new() -> Self {
        Self::begun(None)
    }

    /// An initialised, empty project whose catalogue and tables are in a database of its own on a PostgreSQL server.
    pub fn on_server() -> Self {
        Self::begun(Some(ServerDatabase::new()))
    }

    fn begun(server: Option<ServerDatabase>) -> Self {
        let project = Self { directory: TempDir::new().expect("a scratch directory"), server };
        project.run(&["init", project.path().to_str().expect("UTF-8")]);
        project
    }

    /// A project whose `datanode.toml` is this text.
    pub fn with_settings(settings: &str) -> Self {
        Self::new().set(settings)
    }

    /// The same with this text as its `datanode.toml`.
    #[must_use]
    pub fn set(self, settings: &str) -> Self {
        std::fs::write(self.path().join("datanode.toml"), settings).expect("settings are written");
        self
    }

    /// Whether its database is on a server.
    pub fn is_on_server(&self) -> bool {
        self.server.is_some()
    }

    /// Its database on a server.
    pub fn server(&self) -> &ServerDatabase {
        self.server.as_ref().expect("a project that was made on a server")
    }

    /// Wait until its server, if it has one, has noticed that a process is gone, and has ended what it left open.
    pub fn settle(&self) {
        if let Some(server) = &self.server {
            server.settle();
        }
    }

    /// The one integer that a query answers, asked behind the program's back. It is written for SQLite: tables of the
    /// catalogue begin with `_`.
    pub fn number(&self, sql: &str) -> i64 {
        if let Some(server) = &self.server {
            return server.number(&for_server(sql));
        }
        let database = rusqlite::Connection::open(self.database()).expect("a database");
        database.query_row(sql, (), |row| row.get(0)).expect("an integer")
    }

    /// The texts of the one column that a query answers, behind the program's back; written for SQLite, as above.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        if let Some(server) = &self.server {
            return server.rows::<(String,)>(&for_server(sql)).into_iter().map(|(text,)| text).collect();
        }
        let database = rusqlite::Connection::open(self.database()).expect("a database");
        let mut statement = database.prepare(sql).expect("a query");
        let texts = statement.query_map((), |row| row.get(0)).expect("rows");
        texts.map(|text| text.expect("a text")).collect()
    }

    /// Change something behind the program's back; written for SQLite, as above.
    pub fn execute(&self, sql: &str) {
        if let Some(server) = &self.server {
            return server.execute(&for_server(sql));
        }
        let database = rusqlite::Connection::open(self.database()).expect("a database");
        database
            .busy_timeout(PATIENCE)
            .and_then(|()| database.execute_batch(sql))
            .expect("a statement that works");
    }

    /// Do something while another process changes the catalogue: whoever wants to change it, too, reads what is there and
    /// waits.
    pub fn while_writing<T>(&self, work: impl FnOnce() -> T) -> T {
        if let Some(server) = &self.server {
            return server.while_writing(work);
        }
        let database = rusqlite::Connection::open(self.database()).expect("a database");
        database
            .busy_timeout(PATIENCE)
            .and_then(|()| database.execute_batch("BEGIN IMMEDIATE"))
            .expect("the lock to write");
        let answer = work();
        database.execute_batch("ROLLBACK").expect("an end");
        answer
    }

    /// As if the time of all leases were over, whose runs were killed.
    pub fn expire_leases(&self) {
        self.execute("UPDATE _leases SET expires_at = 0 WHERE expires_at > 0");
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.path().join(".datanode/datanode.db")
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A copy that may be broken without harm.
    #[must_use]
    pub fn copy(&self) -> Self {
        let server = self.server.as_ref().map(ServerDatabase::copy);
        let copy = Self { directory: TempDir::new().expect("a scratch directory"), server };
        copy_all(self.path(), copy.path());
        copy
    }

    /// A copy of a project on a server, whose database is filled by `restore`, which is told where it is.
    #[must_use]
    pub fn restored(&self, restore: impl FnOnce(&str)) -> Self {
        let server = ServerDatabase::new();
        restore(&server.url());
        let copy = Self { directory: TempDir::new().expect("a scratch directory"), server: Some(server) };
        copy_all(self.path(), copy.path());
        copy
    }

    /// The command with these arguments, to be started by the caller.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("DATANODE_HOME")
            .env_remove("DATANODE_HASH_NAMESPACE")
            .env_remove(DATABASE_URL)
            .env_remove("DATANODE_READER_URL")
            .env_remove("DATANODE_EMBEDDING_MODEL")
            .env_remove("DATANODE_URL")
            .env_remove("DATANODE_TOKEN")
            .env_remove("DATANODE_TOKEN_FILE")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .env("NO_COLOR", "1");
        if let Some(server) = &self.server {
            command.env(DATABASE_URL, server.url());
        }
        command
    }

    /// Run a command to its end, whatever it is.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("datanode starts")
    }

    /// Run a command that must succeed; answers its standard output.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "datanode {arguments:?}: {}\n{errors}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Run a command that must succeed with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["--json"]].concat())).expect("JSON")
    }

    /// Run a command that must fail; answers its exit code and what it said.
    pub fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.output(arguments);
        assert!(!output.status.success(), "datanode {arguments:?} succeeded");
        (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).expect("UTF-8"))
    }

    /// Upload a guest component by name.
    pub fn upload(&self, name: &str) {
        self.run(&["component", "upload", component(name).to_str().expect("UTF-8")]);
    }

    /// The file of a component like a built one under another version: a release that differs in nothing else. `name` is
    /// what the component calls itself.
    pub fn released_as(&self, built: &str, name: &str, old: &str, new: &str) -> String {
        assert_eq!(old.len(), new.len(), "bytes are replaced in place");
        let mut bytes = std::fs::read(component(built)).expect("a component");
        // The compiler lays the two texts of a node side by side.
        let both = format!("{name}{old}");
        let places: Vec<usize> =
            (0..bytes.len()).filter(|at| bytes[*at..].starts_with(both.as_bytes())).collect();
        assert_eq!(places.len(), 1, "`{both}` stands there once");
        let at = places[0] + name.len();
        bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
        let file = self.path().join(format!("{name}-{new}.wasm"));
        std::fs::write(&file, bytes).expect("a file");
        file.to_str().expect("UTF-8").to_owned()
    }

    /// The example: components, tables, source and nodes, before the first run.
    pub fn with_fx() -> Self {
        Self::new().and_fx()
    }

    /// The same in a project that is there.
    #[must_use]
    pub fn and_fx(self) -> Self {
        let project = self;
        let example = root().join("examples/fx");
        let path = |name: &str| example.join(name).to_str().expect("UTF-8").to_owned();
        project.upload("ecb_daily_fx_rates");
        project.upload("fx_log_returns");
        let contracts = [path("contracts/fx_ecb_daily_rates.toml"), path("contracts/fx_log_returns.toml")];
        project.run(&["table", "register", &contracts[0], &contracts[1]]);
        project.run(&["source", "add", "ecb", "--path", &path("data"), "--grant", "ecb_daily_fx_rates"]);
        project.run(&["node", "create", "fx_log_returns", "--table", "fx_log_returns"]);
        project
    }

    /// The example with the volatility of the returns: one more component, table and node.
    pub fn with_fx_volatility() -> Self {
        Self::new().and_fx_volatility()
    }

    /// The same in a project that is there.
    #[must_use]
    pub fn and_fx_volatility(self) -> Self {
        let project = self.and_fx();
        project.upload("fx_rolling_volatility");
        let contract = root().join("examples/fx/contracts/fx_rolling_volatility.toml");
        project.run(&["table", "register", contract.to_str().expect("UTF-8")]);
        project.run(&["node", "create", "fx_rolling_volatility", "--table", "fx_rolling_volatility"]);
        project
    }
}

/// Copy a directory with everything in it, but for what cargo builds.
pub fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_name() == "target" {
            continue;
        }
        if entry.file_type().expect("a type").is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
