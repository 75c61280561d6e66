//! What can go wrong in the catalogue and with rows.

use std::path::PathBuf;

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use thiserror::Error;

use crate::RowsError;

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
    #[error("the identifier `{identifier}` is held by table {holder} with another contract:\n{difference}")]
    IdentifierTaken {
        /// The identifier.
        identifier: String,
        /// Uid of the table that holds it.
        holder: String,
        /// What differs, one line each.
        difference: String,
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
        "table `{table}` was changed by another run while this one was computed (epoch {current}, read at {read}); nothing was stored"
    )]
    TableMoved {
        /// Identifier.
        table: String,
        /// Epoch now.
        current: i64,
        /// Epoch that the run had read.
        read: i64,
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

impl Diagnostic for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { kind, .. } => match *kind {
                "table" => "store.table_not_found",
                "component" => "store.component_not_found",
                "node" => "store.node_not_found",
                "run" => "store.run_not_found",
                _ => "store.source_not_found",
            },
            Self::Ambiguous { .. } => "store.ambiguous",
            Self::VersionTaken { .. } => "component.version_taken",
            Self::ComponentDisabled { .. } => "component.disabled",
            Self::ComponentInUse { .. } => "component.in_use",
            Self::ComponentRecorded { .. } => "component.recorded",
            Self::IdentifierTaken { .. } => "contract.identifier_taken",
            Self::PhysicalNameTaken { .. } => "contract.physical_name_taken",
            Self::PhysicalNameReserved { .. } => "contract.physical_name_reserved",
            Self::UnsupportedType { .. } => "contract.unsupported_type",
            Self::SourceTaken { .. } => "source.taken",
            Self::DuplicateKey { .. } => "frame.duplicate_key",
            Self::TableMoved { .. } => "commit.table_moved",
            Self::Damaged(_) => "store.damaged",
            Self::Rows(error) => error.code(),
            Self::Open { .. } => "store.open",
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
            | Self::PhysicalNameTaken { .. }
            | Self::PhysicalNameReserved { .. }
            | Self::UnsupportedType { .. }
            | Self::SourceTaken { .. } => ErrorClass::Refused,
            Self::DuplicateKey { .. } => ErrorClass::Failed,
            Self::Rows(error) => error.class(),
            Self::TableMoved { .. }
            | Self::Damaged(_)
            | Self::Open { .. }
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
                _ => "see what there is: datanode source list".to_owned(),
            },
            Self::Ambiguous { .. } => "write one of these references in full".to_owned(),
            Self::VersionTaken { .. } => "raise the component's version and build it again".to_owned(),
            Self::ComponentDisabled { name, version } => {
                format!("upload a higher version, or: datanode component enable {name}@{version}")
            }
            Self::ComponentInUse { name, version, nodes } => {
                if nodes.iter().any(|node| node.ends_with(", pinned")) {
                    "pin those nodes to another release: datanode node create … --pin SHA256".to_owned()
                } else {
                    format!(
                        "upload a higher version, or take this one out of use: datanode component disable {name}@{version}"
                    )
                }
            }
            Self::ComponentRecorded { name, version, .. } => {
                format!("keep it; or give those runs up: datanode component remove {name}@{version} --force")
            }
            Self::IdentifierTaken { identifier, .. } => {
                format!("choose another identifier, such as {identifier}_<project>")
            }
            Self::PhysicalNameTaken { .. } | Self::PhysicalNameReserved { .. } => {
                "set another `physical_name` in the contract".to_owned()
            }
            Self::SourceTaken { .. } => "choose another name".to_owned(),
            Self::DuplicateKey { .. } => "emit each index tuple once per run".to_owned(),
            Self::Database { .. } | Self::Sqlite { .. } if self.is_corruption() => {
                "the file is not a whole database: put a copy of it back; running again cannot help"
                    .to_owned()
            }
            Self::TableMoved { .. } | Self::Database { .. } | Self::Sqlite { .. } => {
                "run it again".to_owned()
            }
            Self::Open { .. } => {
                "check that the path is a datanode database in a local directory that can be written"
                    .to_owned()
            }
            Self::Migration(_) => {
                "use the datanode release that wrote this database, or a newer one".to_owned()
            }
            Self::Rows(error) => return error.next_step(),
            Self::UnsupportedType { .. } | Self::Damaged(_) => return None,
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
