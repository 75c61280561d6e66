//! Where the data are: `$DATANODE_HOME`, else `.datanode/` beside the nearest `datanode.toml`, else the platform's
//! data folder.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datanode_core::journal::JournalMode;
use datanode_core::node_settings::MAX_RETRIES;
use datanode_embedding::{DirectoryModel, Embedder};
use datanode_runtime::{
    Contents, DEFAULT_RETRIES, Host, JournalSettings, LeaseSettings, SecretKeys, SpillSettings, TrustedKeys,
};
use datanode_sandbox::{CodeCache, CompileLimits, Compiler, Limits, Sandbox, SandboxError};
use datanode_server::ServerSettings;
use datanode_store::postgres::PostgresStore;
use datanode_store::sqlite::SqliteStore;
use datanode_store::{Patience, Store};
use serde::Deserialize;

use crate::failure::{Failure, OrFail};
use crate::{COMPILE_COMMAND, usage};

/// Settings file of a project.
pub(crate) const SETTINGS: &str = "datanode.toml";
/// Data directory beside the settings file.
pub(crate) const DATA: &str = ".datanode";
/// Directory of the revisions of tables, beside the settings file.
const REVISIONS: &str = "revisions";
/// The embedded database inside the data directory.
const DATABASE: &str = "datanode.db";
/// Compiled components inside the data directory.
const CACHE: &str = "compiled";
/// Output of runs that are under way, inside the data directory.
const SPILL: &str = "spill";
/// What guests were given, by digest, inside the data directory.
const CONTENTS: &str = "contents";
/// Uploads that wait, inside the data directory.
const UPLOADS: &str = "uploads";
/// The key that seals secrets, inside the data directory.
const SECRET_KEY: &str = "secret.key";
/// The variable that gives it in the place of the file.
const SECRET_KEY_VARIABLE: &str = "DATANODE_SECRET_KEY";

/// `datanode.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    limits: Limits,
    compile: CompileLimits,
    runs: RunSettings,
    components: ComponentSettings,
    search: SearchSettings,
    database: DatabaseSettings,
    server: ServerSettings,
}

/// How long others wait for what the database is asked to do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DatabaseSettings {
    /// Seconds of one step of a revision: nobody reads its table meanwhile, and nobody else changes the catalogue.
    revision_seconds: Option<NonZeroU32>,
    /// On PostgreSQL: seconds for which a writer of the catalogue waits for those before it.
    wait_seconds: Option<NonZeroU32>,
}

impl DatabaseSettings {
    fn patience(&self) -> Patience {
        let seconds = |given: Option<NonZeroU32>, otherwise: Duration| {
            given.map_or(otherwise, |seconds| Duration::from_secs(seconds.get().into()))
        };
        let Patience { revision, catalogue } = Patience::default();
        Patience {
            revision: seconds(self.revision_seconds, revision),
            catalogue: seconds(self.wait_seconds, catalogue),
        }
    }
}

/// How tables are found.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SearchSettings {
    /// Directory of a static embedding model in the format of model2vec, in the place of the one that is built in.
    model: Option<PathBuf>,
}

/// Which components are taken.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ComponentSettings {
    /// Public keys whose signatures count, by a name for people.
    trusted_keys: BTreeMap<String, String>,
    /// Refuse components that none of them has signed.
    require_signature: bool,
}

/// How runs are done; none of it changes what they compute.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RunSettings {
    /// Bytes of output that a run keeps in memory until its commit.
    spill_after_bytes: u64,
    /// Seconds for which the lease of a run holds without a heartbeat.
    lease_seconds: Option<NonZeroU32>,
    /// How often a run is made again whose commit was refused because others had written its table.
    retries: u32,
    /// What the journals of runs keep of that which guests are given.
    journal: JournalMode,
    /// Days for which they are kept.
    journal_days: Option<NonZeroU32>,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            spill_after_bytes: SpillSettings::default().after_bytes,
            lease_seconds: None,
            retries: DEFAULT_RETRIES,
            journal: JournalMode::default(),
            journal_days: None,
        }
    }
}

/// Where a PostgreSQL database is, and the password to it: nothing shows it.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(String);

impl std::str::FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self(text.to_owned()));
        }
        // Not the text itself, which may hold a password.
        Err("it does not begin with postgres://; without it, the embedded database of the data directory is used"
            .to_owned())
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// A data directory and the settings that hold for it.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) data: PathBuf,
    settings: Option<PathBuf>,
    /// The database where it is not the embedded one.
    server: Option<DatabaseUrl>,
    /// The login there for SQL of users.
    reader: Option<DatabaseUrl>,
    /// Directory of the embedding model, where one is named beside the settings.
    embedding_model: Option<PathBuf>,
}

impl Home {
    /// The same, with its catalogue and tables in a database of a server.
    pub(crate) fn with_server(self, server: Option<DatabaseUrl>, reader: Option<DatabaseUrl>) -> Self {
        Self { server, reader, ..self }
    }

    /// The same, with an embedding model in the place of the one that the settings name.
    pub(crate) fn with_embedding_model(self, embedding_model: Option<PathBuf>) -> Self {
        Self { embedding_model, ..self }
    }

    /// What makes vectors for searches: the model that is named, the one of the settings (beside which a relative path is
    /// meant), or the one that is built in.
    fn embedder(&self, search: &SearchSettings) -> anyhow::Result<Arc<dyn Embedder>> {
        let beside = |path: &PathBuf| {
            let project = self.settings.as_deref().and_then(Path::parent);
            project.map_or_else(|| path.clone(), |project| project.join(path))
        };
        match self.embedding_model.clone().or_else(|| search.model.as_ref().map(beside)) {
            Some(directory) => Ok(Arc::new(DirectoryModel::new(&directory).or_fail()?)),
            None => Ok(datanode_embedding::built_in()),
        }
    }

    /// The embedded database is asked for something that only it can do.
    pub(crate) fn is_embedded(&self) -> bool {
        self.server.is_none()
    }

    /// The file of the embedded database.
    pub(crate) fn database(&self) -> PathBuf {
        self.data.join(DATABASE)
    }

    /// What there is beside the database that a copy of it alone lacks, and that nothing makes again.
    pub(crate) fn beside_database(&self) -> Vec<PathBuf> {
        let others = [self.revisions(), self.data.join(CONTENTS), self.data.join(SECRET_KEY)];
        self.settings.iter().cloned().chain(others).filter(|path| path.exists()).collect()
    }

    /// Where revisions of tables are: beside `datanode.toml`, so that they come under version control with it.
    pub(crate) fn revisions(&self) -> PathBuf {
        let project = self.settings.as_deref().and_then(Path::parent).unwrap_or(&self.data);
        project.join(REVISIONS)
    }
}

/// An opened home.
pub(crate) struct Session {
    pub(crate) host: Host,
    database: Database,
}

/// The database of a session, which is to be closed at its end.
enum Database {
    Embedded(Arc<SqliteStore>),
    Server(Arc<PostgresStore>),
}

impl Database {
    async fn open(home: &Home, patience: Patience) -> anyhow::Result<Self> {
        let Some(DatabaseUrl(url)) = &home.server else {
            let store = SqliteStore::open(&home.database()).await.or_fail()?;
            return Ok(Self::Embedded(Arc::new(store.with_patience(patience))));
        };
        let store = PostgresStore::open(url).await.or_fail()?.with_patience(patience);
        Ok(Self::Server(Arc::new(match &home.reader {
            Some(DatabaseUrl(url)) => store.with_reader(url).or_fail()?,
            None => store,
        })))
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Server(store) => store.clone(),
        }
    }
}

impl Session {
    /// Leave the database tidy: without this, a write-ahead log stays beside the embedded one until the next start, and
    /// a server waits for connections that are gone. Waits for snapshots under way, and so for a host call that was left
    /// behind with one: the caller decides how long.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        drop(self.host);
        match self.database {
            Database::Embedded(store) => match Arc::into_inner(store) {
                Some(store) => store.close().await.or_fail(),
                None => Ok(()),
            },
            Database::Server(store) => {
                if let Some(store) = Arc::into_inner(store) {
                    store.close().await;
                }
                Ok(())
            }
        }
    }
}

/// Find the home: the one given, else by the rule of this module.
pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<Home> {
    let beside = |data: &Path| {
        let settings = data.parent().map(|parent| parent.join(SETTINGS));
        settings.filter(|path| path.is_file())
    };
    if let Some(data) = given {
        let settings = Some(data.join(SETTINGS)).filter(|path| path.is_file()).or_else(|| beside(data));
        return Ok(Home {
            data: data.to_owned(),
            settings,
            server: None,
            reader: None,
            embedding_model: None,
        });
    }
    let here = std::env::current_dir()?;
    if let Some(project) = here.ancestors().find(|directory| directory.join(SETTINGS).is_file()) {
        return Ok(Home {
            data: project.join(DATA),
            settings: Some(project.join(SETTINGS)),
            server: None,
            reader: None,
            embedding_model: None,
        });
    }
    let folders = directories::ProjectDirs::from("", "", "datanode").ok_or_else(|| {
        usage("this machine names no data folder: set DATANODE_HOME, or run `datanode init` here")
    })?;
    let data = folders.data_dir().to_owned();
    let settings = Some(data.join(SETTINGS)).filter(|path| path.is_file());
    Ok(Home { data, settings, server: None, reader: None, embedding_model: None })
}

fn settings(home: &Home) -> anyhow::Result<Settings> {
    let Some(path) = &home.settings else { return Ok(Settings::default()) };
    let text = std::fs::read_to_string(path).map_err(|error| machine("the settings file", path, &error))?;
    Ok(toml::from_str(&text).map_err(|error| {
        Failure::usage(format!("{}:\n{error}", path.display()))
            .with_next_step("mend the file; every setting has a default and may be left out")
    })?)
}

/// A sandbox with the settings of a home, and its cache of compiled code where the home is there already.
pub(crate) fn sandbox(home: &Home) -> anyhow::Result<Sandbox> {
    let Settings { limits, compile, .. } = settings(home)?;
    let in_settings = |error: SandboxError| match &home.settings {
        Some(path) if matches!(error, SandboxError::Setting { .. }) => {
            Failure::of(&error).at(&path.display().to_string())
        }
        _ => Failure::of(&error),
    };
    let sandbox = Sandbox::new(limits).map_err(in_settings)?.with_compiler(compiler(compile)?);
    if !home.data.is_dir() {
        return Ok(sandbox);
    }
    let cache = CodeCache::open(&home.data.join(CACHE))
        .map_err(|error| machine("the cache of compiled code", &home.data.join(CACHE), &error))?;
    Ok(sandbox.with_cache(cache))
}

/// What is done where there is no data directory yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is made.
    Make,
    /// It is an error: a command that only reads, or that needs what others made, leaves nothing behind.
    Refuse,
}

/// Open the store of a home, and a host over it.
pub(crate) async fn open(home: &Home, missing: Missing) -> anyhow::Result<Session> {
    // First what a person may have to mend: then nothing is left behind.
    let Settings { runs, components, search, database, .. } = settings(home)?;
    let embedder = home.embedder(&search)?;
    let trusted = TrustedKeys::new(&components.trusted_keys, components.require_signature).or_fail()?;
    if missing == Missing::Refuse && home.is_embedded() && !home.database().is_file() {
        return Err(no_data(home).into());
    }
    std::fs::create_dir_all(&home.data).map_err(|error| machine("the data directory", &home.data, &error))?;
    let database = Database::open(home, database.patience()).await?;
    let spill = SpillSettings { directory: home.data.join(SPILL), after_bytes: runs.spill_after_bytes };
    let mut leases = LeaseSettings::default();
    if let Some(seconds) = runs.lease_seconds {
        leases.duration = Duration::from_secs(seconds.get().into());
    }
    let journals = JournalSettings {
        contents: Contents::new(home.data.join(CONTENTS)),
        mode: Some(runs.journal),
        keep: runs.journal_days.map(|days| Duration::from_hours(24) * days.get()),
    };
    let host = Host::new(database.store(), sandbox(home)?)
        .with_spill(spill)
        .with_leases(leases)
        .with_secret_keys(SecretKeys::new(
            home.data.join(SECRET_KEY),
            std::env::var(SECRET_KEY_VARIABLE).ok().filter(|key| !key.is_empty()),
        ))
        .with_trusted_keys(trusted)
        .with_embedder(embedder)
        .with_retries(runs.retries.min(MAX_RETRIES))
        .with_journals(journals);
    Ok(Session { host, database })
}

/// What bounds a server over this home.
pub(crate) fn server_settings(home: &Home) -> anyhow::Result<ServerSettings> {
    Ok(ServerSettings { upload_directory: home.data.join(UPLOADS), ..settings(home)?.server })
}

/// There is nothing that could be read.
pub(crate) fn no_data(home: &Home) -> Failure {
    Failure::usage(format!("there is no data directory {} yet", home.data.display()))
        .with_code("cli.no_data")
        .with_next_step("make one: datanode init; or name another with --home or DATANODE_HOME")
}

/// Compile in a process of this same program.
fn compiler(limits: CompileLimits) -> anyhow::Result<Compiler> {
    let program = std::env::current_exe()?;
    Ok(Compiler::Child { program, arguments: vec![COMPILE_COMMAND.to_owned()], limits })
}

/// A file or directory that cannot be used, and what to do.
pub(crate) fn machine(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::machine(format!("{what} {} cannot be opened: {error}", path.display()))
        .with_next_step("make it writable for this user, or name another with --home or DATANODE_HOME")
}
