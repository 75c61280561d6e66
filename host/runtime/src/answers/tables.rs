//! Tables: what they are, what they hold, and what refers to them.

use std::fmt;

use datanode_core::Timestamp;
use datanode_core::coordinate::Coordinate;
use datanode_core::digest::Digest;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_store::{Extent, NodeFilter, ProgressDifference, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Host, RuntimeError};

/// A table, and how much it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedTable {
    /// The table.
    #[serde(flatten)]
    pub table: Table,
    /// Rows.
    pub rows: u64,
    /// Coordinates with rows.
    pub coordinates: u64,
    /// Earliest time.
    pub min_time: Option<Timestamp>,
    /// Latest time.
    pub max_time: Option<Timestamp>,
}

impl ListedTable {
    fn new(table: Table, extent: Extent) -> Self {
        let Extent { rows, coordinates, min_time, max_time } = extent;
        Self { table, rows, coordinates, min_time, max_time }
    }
}

/// What a table holds of one coordinate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldCoordinate {
    /// One value per identity dimension: numbers and truth values as such, all others as text.
    pub coordinate: Vec<Value>,
    /// Earliest time.
    pub min: Timestamp,
    /// Latest time.
    pub max: Timestamp,
    /// Rows.
    pub rows: u64,
}

impl HeldCoordinate {
    /// All that a table holds, in the order of its coordinates.
    pub fn all(progress: &Progress) -> Vec<Self> {
        let one = |(coordinate, held): (&Coordinate, &CoordinateProgress)| Self {
            coordinate: values(coordinate),
            min: held.min,
            max: held.max,
            rows: held.rows,
        };
        progress.iter().map(one).collect()
    }
}

/// As the coordinate itself is shown.
impl fmt::Display for HeldCoordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.coordinate, f)
    }
}

fn show(coordinate: &[Value], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("(")?;
    for (position, value) in coordinate.iter().enumerate() {
        if position > 0 {
            f.write_str(", ")?;
        }
        match value {
            Value::String(text) => f.write_str(text)?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str(")")
}

/// The values of a coordinate, in the order of its dimensions.
pub(super) fn values(coordinate: &Coordinate) -> Vec<Value> {
    serde_json::from_str(&coordinate.to_json()).unwrap_or_default()
}

/// A table that refers to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferredBy {
    /// Uid of the table that refers.
    pub uid: String,
    /// Its identifier.
    pub table: String,
    /// The columns of its foreign key.
    pub columns: Vec<String>,
}

/// Everything that is shown of one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableDetail {
    /// The table, and how much it holds.
    #[serde(flatten)]
    pub listed: ListedTable,
    /// The same, coordinate by coordinate.
    pub progress: Vec<HeldCoordinate>,
    /// Tables that refer to it.
    pub referred_to_by: Vec<ReferredBy>,
    /// Identities of the nodes that write it.
    pub nodes: Vec<String>,
}

/// The progress of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableStatistics {
    /// Uid of the table.
    pub uid: String,
    /// Its identifier.
    pub table: String,
    /// Rows.
    pub rows: u64,
    /// Coordinates with rows.
    pub coordinates: u64,
    /// Earliest time.
    pub min_time: Option<Timestamp>,
    /// Latest time.
    pub max_time: Option<Timestamp>,
    /// The same, coordinate by coordinate.
    pub progress: Vec<HeldCoordinate>,
}

/// A coordinate whose kept progress is not what the rows say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoordinateDifference {
    /// One value per identity dimension.
    pub coordinate: Vec<Value>,
    /// What the catalogue says.
    pub kept: Option<CoordinateProgress>,
    /// What the rows say.
    pub counted: Option<CoordinateProgress>,
}

/// As the coordinate itself is shown.
impl fmt::Display for CoordinateDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.coordinate, f)
    }
}

/// A table whose rows were counted anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifiedTable {
    /// Uid of the table.
    pub uid: String,
    /// Its identifier.
    pub table: String,
    /// Where the progress that is kept is wrong; empty: it is right.
    pub differences: Vec<CoordinateDifference>,
}

/// The digest of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDigest {
    /// Uid of the table.
    pub uid: String,
    /// Its identifier.
    pub table: String,
    /// Rows that were digested.
    pub rows: u64,
    /// SHA-256 over the rows in the order of the key.
    pub digest: Digest,
}

impl Host {
    /// All tables, by identifier, as one snapshot of the database has them.
    pub async fn listed_tables(&self) -> Result<Vec<ListedTable>, RuntimeError> {
        self.listed(self.store.tables().await?).await
    }

    /// The same of some of them.
    pub async fn listed(&self, tables: Vec<Table>) -> Result<Vec<ListedTable>, RuntimeError> {
        let extents = self.store.snapshot().await?.extents(&tables).await?;
        Ok(tables.into_iter().zip(extents).map(|(table, extent)| ListedTable::new(table, extent)).collect())
    }

    /// Everything that is shown of one table.
    pub async fn table_detail(&self, reference: &str) -> Result<TableDetail, RuntimeError> {
        let table = self.store.table(reference).await?;
        let mut snapshot = self.store.snapshot().await?;
        let progress = snapshot.progress(&table).await?;
        let rows = snapshot.row_count(&table).await?;
        drop(snapshot);
        let referrers = self.store.referrers(&table.uid).await?.into_iter();
        let referred_to_by = referrers.map(|referrer| ReferredBy {
            uid: referrer.table_uid,
            table: referrer.table,
            columns: referrer.foreign_key.columns,
        });
        let nodes = self.store.some_nodes(&NodeFilter::writing(&table.uid)).await?.into_iter();
        Ok(TableDetail {
            progress: HeldCoordinate::all(&progress),
            referred_to_by: referred_to_by.collect(),
            nodes: nodes.map(|node| node.update_hash).collect(),
            listed: ListedTable::new(table, Extent::of(&progress, rows)),
        })
    }

    /// The progress of a table; nothing is counted.
    pub async fn table_statistics(&self, reference: &str) -> Result<TableStatistics, RuntimeError> {
        let table = self.store.table(reference).await?;
        let progress = self.store.snapshot().await?.progress(&table).await?;
        Ok(TableStatistics {
            uid: table.uid,
            table: table.contract.identifier,
            rows: progress.rows(),
            coordinates: progress.len() as u64,
            min_time: progress.min_time(),
            max_time: progress.max_time(),
            progress: HeldCoordinate::all(&progress),
        })
    }

    /// Count the rows of a table anew, and compare with the progress that is kept.
    pub async fn verified_table(&self, reference: &str) -> Result<VerifiedTable, RuntimeError> {
        let table = self.store.table(reference).await?;
        let differences = self.store.verify_progress(&table.uid).await?.into_iter();
        let one = |ProgressDifference { coordinate, kept, counted }| CoordinateDifference {
            coordinate: values(&coordinate),
            kept,
            counted,
        };
        Ok(VerifiedTable {
            uid: table.uid,
            table: table.contract.identifier,
            differences: differences.map(one).collect(),
        })
    }

    /// The digest of a table's rows; `progress` is told how many have been digested.
    pub async fn table_digest(
        &self,
        reference: &str,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<TableDigest, RuntimeError> {
        let table = self.store.table(reference).await?;
        let (digest, rows) = self.digest_table(&table.uid, progress).await?;
        Ok(TableDigest { uid: table.uid, table: table.contract.identifier, rows, digest })
    }
}
