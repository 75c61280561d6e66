//! What can go wrong in the catalogue and with rows.

use std::fmt;
use std::path::PathBuf;

use datanode_core::Timestamp;
use datanode_core::access::PeopleError;
use datanode_core::backfill::BackfillState;
use datanode_core::contract::{Contract, ContractError, ForeignKey, MetadataError, TableKind};
use datanode_core::coordinate::Coordinate;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::producer::ProducerError;
use datanode_core::quality::QualityError;
use datanode_core::revision::RevisionError;
use thiserror::Error;

use crate::{ReaderError, RowsError, Table};

/// Why the store refuses or fails.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No such thing in the catalogue.
    #[error("there is no {kind} `{reference}`")]
    NotFound {
        /// `table`, `component`, `node`, `run`, `source`.
        kind: &'static str,
        /// What was asked for.
        reference: String,
    },
    /// A reference that several things answer to.
    #[error("`{reference}` means several {kind}s: {}", .candidates.join(", "))]
    Ambiguous {
        /// `node`, `run`, `component`.
        kind: &'static str,
        /// What was asked for.
        reference: String,
        /// Unambiguous references.
        candidates: Vec<String>,
    },
    /// One release, two contents.
    #[error("component `{name}` {version} is already in the catalogue with other bytes ({digest})")]
    VersionTaken {
        /// Component.
        name: String,
        /// Release.
        version: String,
        /// Digest of the release in the catalogue.
        digest: String,
    },
    /// All releases are disabled.
    #[error("no release of component `{name}` is enabled")]
    ComponentDisabled {
        /// Component.
        name: String,
        /// Its highest release.
        version: String,
    },
    /// A release that nodes run.
    #[error("component `{name}` {version} is the release that these nodes run:\n  {}", .nodes.join("\n  "))]
    ComponentInUse {
        /// Component.
        name: String,
        /// Release.
        version: String,
        /// Whether it is enabled.
        enabled: bool,
        /// The nodes, each with its table.
        nodes: Vec<String>,
    },
    /// A release that recorded runs were computed by.
    #[error(
        "component `{name}` {version}: recorded runs were computed by these bytes ({runs} in all); without them they could be shown, but never be computed again"
    )]
    ComponentRecorded {
        /// Component.
        name: String,
        /// Release.
        version: String,
        /// Runs that called it.
        runs: u64,
    },
    /// Two tables cannot hold one identifier.
    #[error("the identifier `{identifier}` is held by {holder} with another contract:\n{difference}")]
    IdentifierTaken {
        /// The identifier.
        identifier: String,
        /// The table that holds it.
        holder: Box<Holder>,
        /// What differs, one line each.
        difference: String,
        /// An identifier that is free.
        proposal: String,
    },
    /// A contract that cannot be taken as it is.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// Metadata that cannot be changed so.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A foreign key that leads to a table that is not there.
    #[error(
        "contract `{contract}`, foreign key ({columns}): the table `{target}` that it refers to is not registered"
    )]
    TargetNotRegistered {
        /// Identifier of the table with the foreign key.
        contract: String,
        /// Its columns.
        columns: String,
        /// The table that it names.
        target: String,
    },
    /// A foreign key that its target does not fit.
    #[error("contract `{contract}`, foreign key ({columns}): {problem}")]
    ForeignKeyMismatch {
        /// Identifier of the table with the foreign key.
        contract: String,
        /// Its columns.
        columns: String,
        /// What does not fit.
        problem: String,
        /// Identifier of the table that it refers to.
        target: String,
    },
    /// An identifier that another table holds, where nothing says what that one is called from now on.
    #[error("the identifier `{identifier}` is held by {holder}")]
    IdentifierHeld {
        /// The identifier.
        identifier: String,
        /// The table that holds it.
        holder: Box<Holder>,
        /// The command that would do it.
        command: String,
    },
    /// A row that refers to a row that is not there.
    #[error("{0}")]
    ForeignKey(Box<BrokenKey>),
    /// A row that cannot go, because rows of another table refer to it.
    #[error(
        "table `{table}`: the row {key} would go, but rows of table `{referrer}` refer to it by ({columns}); nothing was changed"
    )]
    StillReferenced {
        /// Identifier of the table.
        table: String,
        /// The first such row.
        key: String,
        /// Identifier of the table that refers to it.
        referrer: String,
        /// By which columns.
        columns: String,
    },
    /// One key twice in a file.
    #[error("table `{table}`: the key {key} stands in {first} and again in {second}; nothing was stored")]
    KeyTwice {
        /// Identifier of the table.
        table: String,
        /// The key.
        key: String,
        /// Place of the first row.
        first: String,
        /// Place of the second one.
        second: String,
    },
    /// Rows from files for a table that nodes write.
    #[error("table `{table}` is time-indexed: its rows come from nodes")]
    RowsComeFromNodes {
        /// Identifier of the table.
        table: String,
    },
    /// Two tables cannot have one physical name.
    #[error("the physical name `{physical_name}` is used by table `{holder}`")]
    PhysicalNameTaken {
        /// The name.
        physical_name: String,
        /// Identifier of the table that uses it.
        holder: String,
    },
    /// A name that the database keeps for itself.
    #[error(
        "table `{table}`: the physical name `{physical_name}` cannot be used, SQLite keeps `{reserved}` for itself"
    )]
    PhysicalNameReserved {
        /// Identifier.
        table: String,
        /// The name.
        physical_name: String,
        /// The reserved name, or the beginning of all reserved ones.
        reserved: &'static str,
    },
    /// A type that this database cannot keep.
    #[error("table `{table}`, column `{column}`: {problem}")]
    UnsupportedType {
        /// Identifier.
        table: String,
        /// Column.
        column: String,
        /// Why.
        problem: String,
    },
    /// A source of this name leads elsewhere.
    #[error("source `{name}` exists and leads to {existing}")]
    SourceTaken {
        /// The source.
        name: String,
        /// Where it leads.
        existing: String,
    },
    /// A text of a user, team or token that is refused.
    #[error(transparent)]
    People(PeopleError),
    /// Users and teams are known by their names.
    #[error("there is a {kind} `{name}` already")]
    NameTaken {
        /// `user`, `team`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Somebody whose tokens are refused.
    #[error("user `{username}` is disabled")]
    UserDisabled {
        /// The user.
        username: String,
    },
    /// A token that is not accepted. Why not is for nobody to know who does not have a good one.
    #[error("this token is not accepted")]
    TokenRefused,
    /// A value that this database cannot keep, in rows that are right otherwise.
    #[error(
        "table `{table}`, row {row}{}: {problem}; nothing was stored",
        .column.as_ref().map(|column| format!(", column `{column}`")).unwrap_or_default()
    )]
    UnsupportedValue {
        /// Identifier.
        table: String,
        /// Key of the row.
        row: String,
        /// Column, where it is known.
        column: Option<String>,
        /// Why.
        problem: String,
    },
    /// One index tuple in two batches of a run.
    #[error("table `{table}`: index {key} was emitted in two batches of this run")]
    DuplicateKey {
        /// Identifier.
        table: String,
        /// The tuple.
        key: String,
    },
    /// Another commit changed the table after this run had read it.
    #[error(
        "rows of table `{table}` were changed or removed while this run was computed (epoch {current}, read at {read}); nothing was stored"
    )]
    TableMoved {
        /// Identifier.
        table: String,
        /// Epoch now.
        current: i64,
        /// Epoch that the run had read.
        read: i64,
    },
    /// Another run has appended to the same coordinate.
    #[error(
        "table `{table}`: another run has stored rows of {coordinate} until {stored} while this one was computed, whose rows of it begin at {first}; nothing was stored"
    )]
    ProgressMoved {
        /// Identifier.
        table: String,
        /// The first such coordinate.
        coordinate: String,
        /// Its latest time in the table now.
        stored: Timestamp,
        /// Its earliest time in this run.
        first: Timestamp,
    },
    /// Another run has the node.
    #[error(
        "node `{node}` is being written by run {run_id} of {holder}, whose lease holds until {expires_at}"
    )]
    LeaseHeld {
        /// Update hash of the node.
        node: String,
        /// Who holds the lease.
        holder: String,
        /// Its run.
        run_id: String,
        /// When it ends unless it is extended, by the clock of the database.
        expires_at: Timestamp,
        /// That run is a window of a backfill, which holds the node for its commit alone.
        gives_way: bool,
    },
    /// The lease of a run has passed to another.
    #[error(
        "run {run_id} no longer holds the lease on node `{node}` (its epoch is {epoch}, the latest {current}); nothing was stored"
    )]
    LeaseLost {
        /// Update hash of the node.
        node: String,
        /// The run that lost it.
        run_id: String,
        /// The epoch that it held.
        epoch: i64,
        /// The epoch now.
        current: i64,
    },
    /// The window of a run has passed to another.
    #[error("run {run_id} no longer holds window {window} of backfill {backfill}; nothing was stored")]
    WindowLost {
        /// The run that lost it.
        run_id: String,
        /// The window, counted from 1.
        window: u32,
        /// The backfill.
        backfill: String,
    },
    /// Nothing is left to be said of a backfill.
    #[error("backfill {uid} is {state}: it cannot be resumed, paused or cancelled any more")]
    BackfillOver {
        /// The backfill.
        uid: String,
        /// How it stands.
        state: BackfillState,
    },
    /// A table that is to go and that others need.
    #[error("table `{table}` cannot be removed:\n  {}", .users.join("\n  "))]
    TableInUse {
        /// Identifier.
        table: String,
        /// Who needs it, and what for.
        users: Vec<String>,
    },
    /// A table that is to go and that somebody has protected.
    #[error("table `{table}` is protected from deletion")]
    TableProtected {
        /// What clients call it.
        table: String,
    },
    /// Only time-indexed tables have a tail.
    #[error("table `{table}` is a reference table: it has no time, so it has no tail to delete")]
    NoTail {
        /// Identifier.
        table: String,
    },
    /// Revisions of a table, and tables that are not what their contract says.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// The login for SQL of users.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// Checks of the contract that compare with stored rows.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// Producers and their updates.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// Something is not any more what it was when somebody decided about it.
    #[error("{kind} `{name}` has been changed by somebody else meanwhile; nothing was done")]
    Changed {
        /// `table`, `node`, `source`.
        kind: &'static str,
        /// What it is called.
        name: String,
    },
    /// Others have what is needed, and go on for longer than anybody can be kept waiting.
    #[error(
        "the database is busy: {doing} was given up, for another writer has held what it needs for too long"
    )]
    Busy {
        /// What was being done.
        doing: &'static str,
    },
    /// Something in the database is not what this host wrote.
    #[error("the catalogue is damaged: {0}")]
    Damaged(String),
    /// The rows of a commit cannot be had.
    #[error("{0}")]
    Rows(RowsError),
    /// The database file cannot be opened or created.
    #[error("the database {} cannot be opened: {source}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// There is no way to the database server, or it does not let this role in.
    #[error("the database {server} cannot be reached: {source}")]
    Connect {
        /// Host, port and database; never a password.
        server: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The database server is older than what this host can use.
    #[error("the server of {server} is PostgreSQL {version}; this host needs {oldest} or newer")]
    ServerTooOld {
        /// Host, port and database; never a password.
        server: String,
        /// What the server says that it is.
        version: String,
        /// The oldest that will do.
        oldest: i32,
    },
    /// Something that only the other kind of database can do.
    #[error("PostgreSQL cannot do this here: {what}")]
    NotOnThisDatabase {
        /// What was asked for.
        what: &'static str,
        /// What to do instead.
        next_step: &'static str,
    },
    /// The catalogue was written by a newer host.
    #[error("the database cannot be brought to this host's version: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database failed.
    #[error("the database failed while {doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// The database failed on the fast path.
    #[error("the database failed while {doing}: {source}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
}

/// The table that holds an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its uid.
    pub uid: String,
    /// When it was registered.
    pub since: Timestamp,
    /// Its namespace.
    pub namespace: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} (registered {}, ", self.uid, self.since)?;
        match &self.namespace {
            Some(namespace) => write!(f, "in the namespace `{namespace}`)"),
            None => f.write_str("in no namespace)"),
        }
    }
}

/// A row whose foreign key leads to no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenKey {
    /// Identifier of the table with the foreign key.
    pub table: String,
    /// The row: its key, and its place where it came from a file.
    pub row: String,
    /// The columns that refer.
    pub columns: String,
    /// Their values.
    pub value: String,
    /// Identifier of the table that they refer to.
    pub target: String,
    /// Whether that one is loaded from files.
    pub loadable: bool,
}

impl fmt::Display for BrokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, row, columns, value, target, .. } = self;
        write!(
            f,
            "table `{table}`, {row}: ({columns}) = {value} is no row of table `{target}`; nothing was stored"
        )
    }
}

impl BrokenKey {
    /// Of a row of the contract's table: `values` are those of the foreign key.
    pub(crate) fn of(
        contract: &Contract,
        key: &ForeignKey,
        row: String,
        values: &Coordinate,
        target: &Table,
    ) -> StoreError {
        StoreError::ForeignKey(Box::new(Self {
            table: contract.identifier.clone(),
            row,
            columns: key.columns.join(", "),
            value: values.to_string(),
            target: target.contract.identifier.clone(),
            loadable: target.contract.kind == TableKind::Reference,
        }))
    }
}

impl Diagnostic for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { kind, .. } => match *kind {
                "table" => "store.table_not_found",
                "component" => "store.component_not_found",
                "node" => "store.node_not_found",
                "run" => "store.run_not_found",
                "secret" => "store.secret_not_found",
                "backfill" => "store.backfill_not_found",
                "user" => "access.user_not_found",
                "team" | "member" => "access.team_not_found",
                "token" => "access.token_not_found",
                "role" => "access.role_not_held",
                "scheduler" => "store.scheduler_not_found",
                _ => "store.source_not_found",
            },
            Self::Ambiguous { .. } => "store.ambiguous",
            Self::VersionTaken { .. } => "component.version_taken",
            Self::ComponentDisabled { .. } => "component.disabled",
            Self::ComponentInUse { .. } => "component.in_use",
            Self::ComponentRecorded { .. } => "component.recorded",
            Self::IdentifierTaken { .. } | Self::IdentifierHeld { .. } => "contract.identifier_taken",
            Self::Contract(error) => error.code(),
            Self::Metadata(error) => error.code(),
            Self::TargetNotRegistered { .. } => "contract.target_not_registered",
            Self::ForeignKeyMismatch { .. } => "contract.foreign_key",
            Self::ForeignKey(_) => "store.foreign_key",
            Self::StillReferenced { .. } => "store.still_referenced",
            Self::KeyTwice { .. } => "load.key_twice",
            Self::RowsComeFromNodes { .. } => "load.time_indexed",
            Self::PhysicalNameTaken { .. } => "contract.physical_name_taken",
            Self::PhysicalNameReserved { .. } => "contract.physical_name_reserved",
            Self::UnsupportedType { .. } => "contract.unsupported_type",
            Self::SourceTaken { .. } => "source.taken",
            Self::People(error) => error.code(),
            Self::NameTaken { .. } => "access.name_taken",
            Self::UserDisabled { .. } => "access.user_disabled",
            Self::TokenRefused => "access.token_refused",
            Self::UnsupportedValue { .. } => "frame.unsupported_value",
            Self::DuplicateKey { .. } => "frame.duplicate_key",
            Self::TableMoved { .. } | Self::ProgressMoved { .. } => "commit.table_moved",
            Self::LeaseHeld { .. } => "lease.held",
            Self::LeaseLost { .. } => "lease.lost",
            Self::WindowLost { .. } => "backfill.window_lost",
            Self::BackfillOver { .. } => "backfill.over",
            Self::TableInUse { .. } => "table.in_use",
            Self::TableProtected { .. } => "table.protected",
            Self::NoTail { .. } => "table.no_tail",
            Self::Revision(error) => error.code(),
            Self::Reader(error) => error.code(),
            Self::Quality(error) => error.code(),
            Self::Producer(error) => error.code(),
            Self::Changed { .. } => "store.changed",
            Self::Busy { .. } => "store.busy",
            Self::Damaged(_) => "store.damaged",
            Self::Rows(error) => error.code(),
            Self::Open { .. } => "store.open",
            Self::Connect { .. } => "store.connect",
            Self::ServerTooOld { .. } => "store.server_too_old",
            Self::NotOnThisDatabase { .. } => "store.not_on_this_database",
            Self::Migration(_) => "store.migration",
            Self::Database { .. } | Self::Sqlite { .. } => "store.database",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound { .. } | Self::Ambiguous { .. } => ErrorClass::Usage,
            Self::VersionTaken { .. }
            | Self::ComponentDisabled { .. }
            | Self::ComponentInUse { .. }
            | Self::ComponentRecorded { .. }
            | Self::IdentifierTaken { .. }
            | Self::IdentifierHeld { .. }
            | Self::TargetNotRegistered { .. }
            | Self::ForeignKeyMismatch { .. }
            | Self::StillReferenced { .. }
            | Self::RowsComeFromNodes { .. }
            | Self::NoTail { .. }
            | Self::TableInUse { .. }
            | Self::TableProtected { .. }
            | Self::BackfillOver { .. }
            | Self::ServerTooOld { .. }
            | Self::NotOnThisDatabase { .. }
            | Self::PhysicalNameTaken { .. }
            | Self::PhysicalNameReserved { .. }
            | Self::UnsupportedType { .. }
            | Self::NameTaken { .. }
            | Self::UserDisabled { .. }
            | Self::TokenRefused
            | Self::SourceTaken { .. } => ErrorClass::Refused,
            Self::UnsupportedValue { .. }
            | Self::DuplicateKey { .. }
            | Self::ForeignKey(_)
            | Self::KeyTwice { .. } => ErrorClass::Failed,
            Self::Contract(error) => error.class(),
            Self::Metadata(error) => error.class(),
            Self::People(error) => error.class(),
            Self::Rows(error) => error.class(),
            Self::Revision(error) => error.class(),
            Self::Reader(error) => error.class(),
            Self::Quality(error) => error.class(),
            Self::Producer(error) => error.class(),
            Self::TableMoved { .. }
            | Self::ProgressMoved { .. }
            | Self::LeaseHeld { .. }
            | Self::LeaseLost { .. }
            | Self::WindowLost { .. }
            | Self::Changed { .. }
            | Self::Busy { .. }
            | Self::Damaged(_)
            | Self::Open { .. }
            | Self::Connect { .. }
            | Self::Migration(_)
            | Self::Database { .. }
            | Self::Sqlite { .. } => ErrorClass::Infrastructure,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { kind, .. } => match *kind {
                "table" => "see what there is: datanode table list".to_owned(),
                "component" => "see what there is: datanode component list".to_owned(),
                "node" => "see what there is: datanode node list".to_owned(),
                "run" => "see what there is: datanode run list".to_owned(),
                "secret" => "see what there is: datanode secret list".to_owned(),
                "backfill" => "see what there is: datanode node backfill list".to_owned(),
                "user" => "see who there is: datanode user list".to_owned(),
                "team" => "see what there is: datanode team list".to_owned(),
                "member" => "see who is in it: datanode team show TEAM".to_owned(),
                "token" => "see what there is: datanode token list".to_owned(),
                "role" => "see who holds what: datanode role list".to_owned(),
                "scheduler" => "let the producer announce itself again: build_and_assign_to_update_nodes".to_owned(),
                _ => "see what there is: datanode source list".to_owned(),
            },
            Self::Ambiguous { kind, candidates, .. } => {
                let first = candidates.first().map_or("", String::as_str);
                let noun = if *kind == "backfill" { "node backfill" } else { kind };
                format!("write one of these references in full, such as: datanode {noun} show {first}")
            }
            Self::VersionTaken { .. } => "raise the component's version and build it again".to_owned(),
            Self::ComponentDisabled { name, version } => {
                format!("upload a higher version, or: datanode component enable {name}@{version}")
            }
            Self::ComponentInUse { name, version, enabled, nodes } => {
                if nodes.iter().any(|node| node.ends_with(", pinned")) {
                    "pin those nodes to another release: datanode node create … --pin SHA256".to_owned()
                } else if !enabled {
                    "upload another version first; disabled, this one is out of use until then".to_owned()
                } else {
                    format!(
                        "upload a higher version, or take this one out of use: datanode component disable {name}@{version}"
                    )
                }
            }
            Self::ComponentRecorded { name, version, .. } => {
                format!("keep it; or give those runs up: datanode component remove {name}@{version} --force")
            }
            Self::IdentifierTaken { identifier, proposal, .. } => format!(
                "see it in full: datanode table diff FILE\n\
                 for another dataset, choose an identifier of its own, such as `{proposal}`, and register it\n\
                 to change this table, write a revision: datanode table revision {identifier} --autogenerate FILE -m \"...\""
            ),
            Self::IdentifierHeld { command, .. } => command.clone(),
            Self::Contract(error) => return error.next_step(),
            Self::Metadata(error) => return error.next_step(),
            Self::TargetNotRegistered { target, .. } => {
                format!("register it first: datanode table register {target}.toml")
            }
            Self::ForeignKeyMismatch { target, .. } => {
                format!("see its key and types: datanode table show {target}")
            }
            Self::ForeignKey(broken) if broken.loadable => {
                format!("add the row there, then do this again: datanode table load {} FILE", broken.target)
            }
            Self::ForeignKey(broken) => {
                format!("run the node that writes it first: datanode node run {}", broken.target)
            }
            Self::StillReferenced { referrer, .. } => {
                format!("keep the row, or first remove the rows of `{referrer}` that refer to it")
            }
            Self::KeyTwice { .. } => "keep one of the two rows".to_owned(),
            Self::RowsComeFromNodes { table } => {
                format!("run the node that writes it; see which that is: datanode table show {table}")
            }
            Self::PhysicalNameTaken { .. } | Self::PhysicalNameReserved { .. } => {
                "set another `physical_name` in the contract".to_owned()
            }
            Self::UnsupportedType { .. } => {
                "give the column a type that the database has, such as string, and register the contract again"
                    .to_owned()
            }
            Self::People(error) => return error.next_step(),
            Self::NameTaken { kind, .. } => format!("see who there is: datanode {kind} list"),
            Self::UserDisabled { username } => format!("enable it first: datanode user enable {username}"),
            Self::TokenRefused => {
                "check that it was copied as a whole, that it has not expired and was not revoked: whoever may use this \
                 database sees so with `datanode token list`, and makes another with `datanode token create`"
                    .to_owned()
            }
            Self::SourceTaken { .. } => "choose another name, or say that this one is to change: --replace".to_owned(),
            Self::UnsupportedValue { .. } => "emit a value that the database can keep".to_owned(),
            Self::DuplicateKey { .. } => "emit each index tuple once per run".to_owned(),
            Self::Database { .. } | Self::Sqlite { .. } if self.is_corruption() => {
                "the file is not a whole database: put a copy of it back; running again cannot help"
                    .to_owned()
            }
            Self::LeaseHeld { .. } => {
                "wait for that run to end, or add --wait SECONDS; when its process is gone, the node is free at the time above"
                    .to_owned()
            }
            Self::WindowLost { backfill, .. } => {
                format!("see who works on it now: datanode node backfill show {backfill}")
            }
            Self::BackfillOver { uid, .. } => format!("see what it did: datanode node backfill show {uid}"),
            Self::LeaseLost { .. } => "see what the other run did: datanode run list".to_owned(),
            Self::TableInUse { .. } => {
                "keep it: what nodes write and read, and what was read by recorded runs, stays".to_owned()
            }
            Self::TableProtected { .. } => {
                "an admin may override it, or lift it first: PATCH with protect_from_deletion false".to_owned()
            }
            Self::NoTail { table } => {
                format!("load the rows that are to stay: datanode table load {table} FILE --replace")
            }
            Self::Changed { .. } => "look at what it is now, then do this again".to_owned(),
            Self::Busy { .. } => {
                "nothing was changed; try again when what is under way has ended: a revision of a table, or a commit of many \
                 rows"
                    .to_owned()
            }
            Self::TableMoved { .. }
            | Self::ProgressMoved { .. }
            | Self::Database { .. }
            | Self::Sqlite { .. } => {
                "run it again".to_owned()
            }
            Self::Connect { .. } => {
                "check DATANODE_DATABASE_URL or --database (postgres://ROLE@HOST:5432/DATABASE), that the server runs, and \
                 that the role may connect"
                    .to_owned()
            }
            Self::ServerTooOld { oldest, .. } => {
                format!("use a server of version {oldest} or newer, or the embedded database: leave DATANODE_DATABASE_URL empty")
            }
            Self::NotOnThisDatabase { next_step, .. } => (*next_step).to_owned(),
            Self::Open { .. } => {
                "check that the path is a datanode database in a local directory that can be written"
                    .to_owned()
            }
            Self::Migration(_) => {
                "use the datanode release that wrote this database, or a newer one".to_owned()
            }
            Self::Rows(error) => return error.next_step(),
            Self::Revision(error) => return error.next_step(),
            Self::Reader(error) => return error.next_step(),
            Self::Quality(error) => return error.next_step(),
            Self::Producer(error) => return error.next_step(),
            Self::Damaged(_) => {
                "restore the data directory from a backup; running again cannot help".to_owned()
            }
        })
    }
}

impl StoreError {
    /// Whether SQLite says that the file is damaged (`SQLITE_CORRUPT`, `SQLITE_NOTADB`).
    fn is_corruption(&self) -> bool {
        let text = self.to_string();
        text.contains("disk image is malformed") || text.contains("file is not a database")
    }
}
