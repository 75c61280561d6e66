//! What the host needs of a database to move tables from one contract to another.

use std::fmt::Debug;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::digest::Digest;
use datanode_core::revision::Dialect;
use serde::Serialize;

use crate::{StoreError, Table};

/// The SQL of a revision as it is written for one kind of database: a beginning that a person may edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The kind of database.
    pub dialect: Dialect,
    /// There.
    pub up: String,
    /// And back.
    pub down: String,
}

/// The SQL of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scripts {
    /// For each kind of database; that of this one comes first.
    pub written: Vec<Script>,
    /// Databases that cannot keep one of the contracts, and why.
    pub left_out: Vec<(Dialect, String)>,
}

impl Scripts {
    /// The script for a database; None where it was left out.
    pub fn of(&self, dialect: Dialect) -> Option<&Script> {
        self.written.iter().find(|script| script.dialect == dialect)
    }
}

/// SQL, and the file that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlText {
    /// For messages.
    pub file: String,
    /// The text.
    pub text: String,
}

/// A revision that a table has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AppliedRevision {
    /// Its id.
    pub revision: String,
    /// The one before.
    pub parent: Option<String>,
    /// What it is for.
    pub message: String,
    /// Digest of its folder.
    pub digest: Digest,
    /// The contract before, as the catalogue held it.
    pub base: Contract,
    /// The contract after.
    pub contract: Contract,
    /// The way back, as it was applied.
    pub down: String,
    /// Rows before.
    pub rows_before: u64,
    /// Rows after.
    pub rows_after: u64,
    /// When.
    pub applied_at: Timestamp,
}

/// A revision as it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplyRevision {
    /// Uid of the table.
    pub table_uid: String,
    /// Its id.
    pub revision: String,
    /// The revision that the table must stand at; None: at none.
    pub parent: Option<String>,
    /// What it is for.
    pub message: String,
    /// Digest of its folder.
    pub digest: Digest,
    /// The contract that it begins at.
    pub before: Contract,
    /// The contract that it leads to.
    pub after: Contract,
    /// The SQL.
    pub up: SqlText,
    /// The way back, kept for later.
    pub down: String,
    /// False when a person has already done by hand what the SQL does: then the table must be there.
    pub run: bool,
    /// When.
    pub now: Timestamp,
}

/// The last applied revision, as it is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertRevision {
    /// Uid of the table.
    pub table_uid: String,
    /// The revision that the table must stand at.
    pub revision: String,
}

/// A contract for a table that a person has changed by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct BindContract {
    /// Uid of the table.
    pub table_uid: String,
    /// The contract.
    pub contract: Contract,
}

/// A table that has another contract now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MovedTable {
    /// As the catalogue has it now.
    pub table: Table,
    /// The revision that it stands at.
    pub revision: Option<String>,
    /// Rows before.
    pub rows_before: u64,
    /// Rows after.
    pub rows_after: u64,
}

/// Moving tables from one contract to another. Each move is one transaction: the table is compared with its contract,
/// the SQL runs, the table is compared with the contract after, progress is counted again, and the catalogue is bound;
/// or nothing of it happens.
#[async_trait]
pub trait Revisions {
    /// The contract as the catalogue would hold it in the place of the one that the table has: with field ids, and with
    /// foreign keys that name tables by uid.
    async fn resolve_contract(&self, table_uid: &str, contract: Contract) -> Result<Contract, StoreError>;

    /// Whose SQL is applied here.
    fn dialect(&self) -> Dialect;

    /// SQL that moves a table from its contract to another, and back, for each kind of database that can keep both. The
    /// contract must be a resolved one.
    async fn write_scripts(&self, table_uid: &str, after: Contract) -> Result<Scripts, StoreError>;

    /// The revisions that a table has, in their order.
    async fn applied_revisions(&self, table_uid: &str) -> Result<Vec<AppliedRevision>, StoreError>;

    /// Where the table in the database differs from its contract, one sentence each.
    async fn table_drift(&self, table_uid: &str) -> Result<Vec<String>, StoreError>;

    /// Apply a revision.
    async fn apply_revision(&self, apply: ApplyRevision) -> Result<MovedTable, StoreError>;

    /// Take the last applied revision back, by the SQL that was kept when it was applied.
    async fn revert_revision(&self, revert: RevertRevision) -> Result<MovedTable, StoreError>;

    /// Bind a contract to a table that already is what it says.
    async fn bind_contract(&self, bind: BindContract) -> Result<MovedTable, StoreError>;
}
