//! Roles, what they are held on, and what an action is about.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What somebody may do with something. Each may do all that the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Change, and run what writes it.
    Editor,
    /// Say who else may.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Admin];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no role: they are viewer, editor, admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == word);
        known.ok_or_else(|| UnknownRole(word.chars().take(80).collect()))
    }
}

/// What a role is held on. A role on the organisation reaches everything, one on a namespace its tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Subject {
    /// The organisation: all that is in the database.
    Organisation,
    /// The tables whose contract is of this namespace (exactly this one: namespaces do not contain each other).
    Namespace(String),
    /// The table of this uid.
    Table(String),
}

impl Subject {
    /// `organisation`, `namespace`, `table`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Namespace(_) => "namespace",
            Self::Table(_) => "table",
        }
    }

    /// The namespace, or the uid of the table; empty for the organisation.
    pub fn name(&self) -> &str {
        match self {
            Self::Organisation => "",
            Self::Namespace(name) | Self::Table(name) => name,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation => f.write_str("the organisation"),
            Self::Namespace(name) => write!(f, "namespace `{name}`"),
            Self::Table(uid) => write!(f, "table {uid}"),
        }
    }
}

/// What an action is about, as far as rights depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Nothing in particular: the whole of it.
    Organisation,
    /// A namespace in which a table is to be; None: a table of no namespace.
    Namespace(Option<&'a str>),
    /// A table.
    Table {
        /// Its uid.
        uid: &'a str,
        /// Its identifier, for messages.
        identifier: &'a str,
        /// The namespace of its contract.
        namespace: Option<&'a str>,
        /// Uid of the user whose table it is, where somebody's.
        owner: Option<&'a str>,
    },
}

impl<'a> Target<'a> {
    /// A table: uid, identifier, namespace of its contract, uid of its owner.
    pub fn table(
        uid: &'a str,
        identifier: &'a str,
        namespace: Option<&'a str>,
        owner: Option<&'a str>,
    ) -> Self {
        Self::Table { uid, identifier, namespace, owner }
    }

    /// Whether a role on `subject` reaches this.
    pub fn is_reached_by(&self, subject: &Subject) -> bool {
        match (subject, self) {
            (Subject::Organisation, _) => true,
            (Subject::Namespace(held), Self::Namespace(namespace) | Self::Table { namespace, .. }) => {
                *namespace == Some(held.as_str())
            }
            (Subject::Table(held), Self::Table { uid, .. }) => held == uid,
            _ => false,
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation => f.write_str("the organisation"),
            Self::Namespace(Some(name)) => write!(f, "namespace `{name}`"),
            Self::Namespace(None) => f.write_str("tables of no namespace"),
            Self::Table { identifier, .. } => write!(f, "table `{identifier}`"),
        }
    }
}
