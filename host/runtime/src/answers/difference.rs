//! How a contract differs from the table that holds its identifier.

use datanode_core::contract::Contract;
use datanode_core::difference::{Change, Reach, farthest};
use serde::{Deserialize, Serialize};

use crate::{Host, RuntimeError};

/// What differs, and the ways on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DifferenceDocument {
    /// Uid of the table.
    pub uid: String,
    /// Its identifier.
    pub table: String,
    /// The farthest reach; none when nothing differs.
    pub reach: Option<Reach>,
    /// What leads from the table to the contract.
    pub changes: Vec<ChangeEntry>,
    /// Commands that apply the contract, with `FILE` for its file.
    pub next: Vec<String>,
}

/// One change, and how it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeEntry {
    /// How far it reaches.
    pub reach: Reach,
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// The same in words.
    pub text: String,
}

impl Host {
    /// What registering a contract would change. Nothing is changed.
    pub async fn contract_difference(&self, contract: &Contract) -> Result<DifferenceDocument, RuntimeError> {
        let difference = self.store.table_difference(contract).await?;
        let reach = farthest(&difference.changes);
        let table = difference.table.contract.identifier;
        let next = match reach {
            None => Vec::new(),
            Some(Reach::Metadata) => vec!["datanode table register FILE".to_owned()],
            Some(_) => vec![
                format!("datanode table revision {table} --autogenerate FILE -m \"...\""),
                "datanode table register FILE, with another identifier in it".to_owned(),
            ],
        };
        let changes = difference.changes.into_iter();
        let changes =
            changes.map(|change| ChangeEntry { reach: change.reach(), text: change.to_string(), change });
        Ok(DifferenceDocument { uid: difference.table.uid, table, reach, changes: changes.collect(), next })
    }
}
