//! What clients of the compatible API say of tables beyond their contracts, and tables that go.

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::cadence::Cadence;
use datanode_core::contract::{Contract, MetadataEdit, TableKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{RegisteredTable, StoreError, Table};

/// The schema of a table of which nothing else is said.
pub const DEFAULT_SCHEMA: &str = "public";

/// What those clients say of a table. A table that was registered in another way has the default: nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Registration {
    /// What they call it, where that is no name by the rules of contracts; of one table alone. Its contract has an
    /// identifier by the rules beside it, and no identifier by the rules can ever be equal to one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Its namespace, where that is none by the rules of contracts. No role reaches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The schema that they say it is in, where that is not [`DEFAULT_SCHEMA`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Whether it may not be removed.
    pub protected: bool,
    /// The contract as they wrote it: shown to them again, and judged by nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<Value>,
}

/// A table as clients register it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRegistration {
    /// The contract. Where the registration has an identifier of its own, the contract's is a proposal: the table gets one
    /// that is free.
    pub contract: Contract,
    /// What they say beyond it.
    pub registration: Registration,
    /// The table that has the identifier, as it was when somebody judged whether it may be registered again; None: there was
    /// none. Refused where it is another by then ([`StoreError::Changed`]), but for what the same call has made of it.
    pub judged: Option<ListedTable>,
}

/// What is changed of a table at once: all of it in one transaction, or nothing. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableEdit {
    /// What clients say of it.
    pub registration: RegistrationEdit,
    /// What people read of it.
    pub metadata: MetadataEdit,
    /// Labels that go where they are there.
    pub lose_labels: Vec<String>,
    /// Another cadence, or none any more.
    pub cadence: Option<Option<Cadence>>,
    /// The table as whoever changes it has seen it: refused where it is another by then, its rows aside
    /// ([`StoreError::Changed`]).
    pub seen: Option<Table>,
}

/// What of a registration is to be changed; the default changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RegistrationEdit {
    /// What they call it: a name by the rules becomes the identifier of its contract.
    pub identifier: Option<String>,
    /// Whether it may not be removed.
    pub protected: Option<bool>,
}

/// A table, as far as lists and filters need it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedTable {
    /// UUID.
    pub uid: String,
    /// Identifier of its contract.
    pub identifier: String,
    /// Namespace of its contract.
    pub namespace: Option<String>,
    /// Name of the table in the database.
    pub physical_name: String,
    /// Its kind.
    pub kind: TableKind,
    /// Its labels.
    pub labels: Vec<String>,
    /// Uid of the user whose table it is.
    pub owner: Option<String>,
    /// What clients say of it; without the contract as they wrote it.
    pub registration: Registration,
}

impl ListedTable {
    /// What clients call it.
    pub fn published_identifier(&self) -> &str {
        self.registration.identifier.as_deref().unwrap_or(&self.identifier)
    }

    /// The namespace that they see.
    pub fn published_namespace(&self) -> Option<&str> {
        self.registration.namespace.as_deref().or(self.namespace.as_deref())
    }

    /// The schema that they see.
    pub fn schema(&self) -> &str {
        self.registration.schema.as_deref().unwrap_or(DEFAULT_SCHEMA)
    }
}

/// Which tables may be meant at most: what a filter says that an index of the catalogue can answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Listing {
    /// Any of them.
    #[default]
    All,
    /// Those whose contracts have an identifier behind this one, so many at most.
    After {
        /// The identifier; empty: before all.
        identifier: String,
        /// So many at most.
        limit: u32,
    },
    /// The one of this uid.
    Uid(String),
    /// Those of these uids.
    Uids(Vec<String>),
    /// The one that clients call so.
    Identifier(String),
    /// The one of this name in the database.
    PhysicalName(String),
}

/// A table with all that is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedTable {
    /// As the catalogue has it.
    pub table: Table,
    /// What clients say of it.
    pub registration: Registration,
    /// Earliest and latest time of all of its rows; None: it has none, or is a reference table.
    pub bounds: Option<(Timestamp, Timestamp)>,
    /// Of how many coordinates it has rows.
    pub coordinates: u64,
}

/// A table that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveTable {
    /// Its uid.
    pub table_uid: String,
    /// Whether the tables go with it whose foreign keys lead to it, and so on; else they keep it.
    pub with_referrers: bool,
    /// Whether tables go that are protected.
    pub protected: bool,
    /// Uids of those that may go with it; None: any. Refused where others would ([`StoreError::Changed`]).
    pub may_go: Option<Vec<String>>,
}

/// Registrations by clients of the compatible API. The rules of contracts hold for every table; what those clients may say
/// more freely stands beside them.
#[async_trait]
pub trait Registrations {
    /// Uid of the one data source that there is: of this catalogue, for ever.
    async fn data_source(&self) -> Result<String, StoreError>;

    /// Register tables in one transaction, in their order. One that is there is found by its identifier; then metadata that
    /// is given is applied, and labels are added to those that it has, for a client registers its tables at every start.
    async fn register_all(
        &self,
        tables: &[NewRegistration],
        now: Timestamp,
    ) -> Result<Vec<RegisteredTable>, StoreError>;

    /// Tables, by the identifier of their contracts.
    async fn listed_tables(&self, listing: &Listing) -> Result<Vec<ListedTable>, StoreError>;

    /// These tables, by uid, in the order that is given. One that is gone by now is left out.
    async fn described_tables(&self, uids: &[String]) -> Result<Vec<DescribedTable>, StoreError>;

    /// The tables that have a foreign key to one of these, by uid; by identifier.
    async fn referring_tables(&self, targets: &[String]) -> Result<Vec<Table>, StoreError>;

    /// Change what clients say of a table, by its uid, what people read of it, and its cadence.
    async fn change_table(&self, table_uid: &str, edit: &TableEdit) -> Result<RegisteredTable, StoreError>;

    /// Remove a table with its rows, its progress, its revisions and the roles on it, for good. Refused while a node writes
    /// or reads it, while a recorded run has read it, and while another table refers to it that stays. Answers the tables
    /// that went.
    async fn remove_table(&self, remove: &RemoveTable) -> Result<Vec<Table>, StoreError>;
}
