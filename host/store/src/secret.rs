//! Secrets: what an operator keeps from everybody, under names that sources use.

use async_trait::async_trait;
use datanode_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Where the value of a secret is. Never the value itself: what is kept in the database is sealed by a key that is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SecretPlace {
    /// A variable of the environment of whoever runs a node.
    Env {
        /// Its name.
        variable: String,
    },
    /// A file of the machine that runs a node.
    File {
        /// Absolute path.
        path: String,
    },
    /// The database.
    Sealed {
        /// Tells the key that it is sealed by from others, and says nothing else about it.
        key: String,
        /// The nonce, in base64.
        nonce: String,
        /// The sealed value, in base64.
        sealed: String,
    },
}

/// A secret of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Name.
    pub name: String,
    /// Where its value is.
    pub place: SecretPlace,
    /// When it was set last.
    pub set_at: Timestamp,
}

/// The secrets of the catalogue.
#[async_trait]
pub trait Secrets {
    /// Set a secret, or set it anew.
    async fn set_secret(&self, name: &str, place: &SecretPlace, now: Timestamp) -> Result<(), StoreError>;

    /// All secrets, by name.
    async fn secrets(&self) -> Result<Vec<StoredSecret>, StoreError>;

    /// Remove a secret. One that is not there is refused.
    async fn remove_secret(&self, name: &str) -> Result<(), StoreError>;
}
