//! Secrets: their values, where those are, and the key that seals what is kept in the database.
//!
//! A value is only ever in three places: where the operator put it, in memory while a run needs it, and in a request to
//! the source that it is for.

mod error;
mod key;
mod value;

use std::collections::BTreeMap;

use datanode_core::name::check_name;
use datanode_store::{SecretPlace, Source, SourceKind, StoredSecret};
use serde::{Deserialize, Serialize};

pub use error::SecretError;
pub use key::SecretKeys;
pub use value::SecretValue;

use crate::{Host, RuntimeError, clock};

/// Where the value of a secret is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSecret {
    /// In the database, sealed.
    Value(SecretValue),
    /// In a variable of the environment.
    Env(String),
    /// In a file; absolute.
    File(String),
}

/// A secret, as it is listed: never with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSecret {
    /// Name.
    pub name: String,
    /// `env`, `file` or `sealed` (in the database).
    pub kind: String,
    /// The variable or file.
    pub place: Option<String>,
    /// Sources that use it.
    pub used_by: Vec<String>,
    /// When it was set last.
    pub set_at: datanode_core::Timestamp,
}

/// The values that one run may need, or why they cannot be had.
pub(crate) type Resolved = BTreeMap<String, Result<SecretValue, SecretError>>;

impl Host {
    /// Set a secret, or set it anew. The next run uses it.
    pub async fn set_secret(&self, name: &str, secret: NewSecret) -> Result<ListedSecret, RuntimeError> {
        check_name("secret name", name)?;
        let place = match secret {
            NewSecret::Value(value) => self.secret_keys.seal(name, &value)?,
            NewSecret::Env(variable) => SecretPlace::Env { variable },
            NewSecret::File(path) => SecretPlace::File { path },
        };
        let now = clock::now();
        self.store.set_secret(name, &place, now).await?;
        let stored = StoredSecret { name: name.to_owned(), place, set_at: now };
        Ok(listed(stored, &self.store.sources().await?))
    }

    /// All secrets, by name.
    pub async fn secrets(&self) -> Result<Vec<ListedSecret>, RuntimeError> {
        let sources = self.store.sources().await?;
        Ok(self.store.secrets().await?.into_iter().map(|stored| listed(stored, &sources)).collect())
    }

    /// Remove a secret that no source uses.
    pub async fn remove_secret(&self, name: &str) -> Result<(), RuntimeError> {
        let users = users(name, &self.store.sources().await?);
        if !users.is_empty() {
            return Err(SecretError::InUse { name: name.to_owned(), sources: users }.into());
        }
        Ok(self.store.remove_secret(name).await?)
    }

    /// The secrets that these sources use. What cannot be had is found out when it is needed.
    pub(crate) async fn resolve_secrets(&self, sources: &[&Source]) -> Result<Resolved, RuntimeError> {
        let names: Vec<&str> = sources.iter().flat_map(|source| used(source)).collect();
        if names.is_empty() {
            return Ok(Resolved::new());
        }
        let stored = self.store.secrets().await?;
        let value = |name: &str| match stored.iter().find(|secret| secret.name == name) {
            None => Err(SecretError::NotFound { name: name.to_owned() }),
            Some(secret) => self.secret_keys.open(secret),
        };
        Ok(names.into_iter().map(|name| (name.to_owned(), value(name))).collect())
    }
}

fn used(source: &Source) -> Vec<&str> {
    match &source.kind {
        SourceKind::File { .. } | SourceKind::OneFile { .. } => Vec::new(),
        SourceKind::Http(rules) => rules.secrets().collect(),
    }
}

fn users(name: &str, sources: &[Source]) -> Vec<String> {
    let users = sources.iter().filter(|source| used(source).contains(&name));
    users.map(|source| source.name.clone()).collect()
}

fn listed(stored: StoredSecret, sources: &[Source]) -> ListedSecret {
    let (kind, place) = match stored.place {
        SecretPlace::Env { variable } => ("env", Some(variable)),
        SecretPlace::File { path } => ("file", Some(path)),
        SecretPlace::Sealed { .. } => ("sealed", None),
    };
    ListedSecret {
        used_by: users(&stored.name, sources),
        kind: kind.to_owned(),
        place,
        set_at: stored.set_at,
        name: stored.name,
    }
}
