//! Revisions: the steps by which the storage of a table follows its contract.
//!
//! **One idea:** a revision is a folder that a person reads before it is applied: the contract before, the contract
//! after, and the SQL of each database that leads there and back. The revisions of a table form one chain, each naming
//! its parent, in the way of Alembic (<https://alembic.sqlalchemy.org/>).
//!
//! * [`RevisionFile`] is `revision.toml`; [`plan`] says what a change of contracts does to rows.
//! * [`chain`] orders revisions and finds the one that a person means.
//! * [`Dialect`] says whose SQL a file is; a database takes no notice of that of another.
//! * [`statement`] reads the SQL of a folder: its statements, each with its line, and what is left to be edited.

pub mod chain;
mod dialect;
mod error;
pub mod plan;
pub mod statement;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::contract::Contract;
use crate::digest::Digest;

pub use dialect::Dialect;
pub use error::RevisionError;

/// `revision.toml` inside the folder of a revision.
pub const REVISION_FILE: &str = "revision.toml";
/// The contract that the revision leads to.
pub const CONTRACT_FILE: &str = "contract.toml";
/// The contract that the revision begins at.
pub const BEFORE_FILE: &str = "contract.before.toml";
/// Digits of a revision id.
pub const ID_DIGITS: usize = 12;
/// The longest message of a revision, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1_000;
/// Characters of a slug.
const SLUG_CHARS: usize = 40;

/// `revision.toml`: what a revision is, and what its other files were when it was written or sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionFile {
    /// Its id.
    pub revision: String,
    /// The revision that it follows; None for the first of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Identifier of the table.
    pub table: String,
    /// Uid of the table in the catalogue that the revision was written with. Another catalogue has another.
    pub uid: String,
    /// What it is for.
    pub message: String,
    /// What it does, one line each.
    #[serde(default)]
    pub operations: Vec<String>,
    /// What is lost on the way there.
    #[serde(default)]
    pub loses: Vec<String>,
    /// What is lost on the way back.
    #[serde(default)]
    pub loses_on_downgrade: Vec<String>,
    /// SHA-256 of the other files.
    pub files: BTreeMap<String, Digest>,
}

impl RevisionFile {
    /// The digest of the revision as a database sees it: of this document, which holds those of the other files. How the
    /// file is laid out plays no part, nor does the SQL of another database: it may be written, and edited, when the
    /// revision is applied here already.
    pub fn digest(&self, dialect: Dialect) -> Digest {
        let mut seen = self.clone();
        seen.files.retain(|name, _| dialect.reads(name));
        // A struct of texts has one JSON form; it cannot fail.
        Digest::of(serde_json::to_string(&seen).unwrap_or_default().as_bytes())
    }
}

/// The id of a new revision. It follows from what the revision is, so that writing it again gives it again.
pub fn id(parent: Option<&str>, message: &str, after: &Contract) -> String {
    let document =
        json!({"parent": parent, "table": after.identifier, "message": message, "contract": after});
    Digest::of(document.to_string().as_bytes()).to_string()[..ID_DIGITS].to_owned()
}

/// Whether a text can be the id of a revision.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A message as a part of a file name: lower-case letters and digits of ASCII, words joined by `_`; never empty.
pub fn slug(message: &str) -> String {
    let mut slug = String::new();
    for character in message.chars().flat_map(char::to_lowercase) {
        if slug.len() >= SLUG_CHARS {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
    }
    let slug = slug.trim_end_matches('_');
    if slug.is_empty() { "revision".to_owned() } else { slug.to_owned() }
}

/// Name of the folder of a revision: its place in the chain (counted from 1), its id, what it is for.
pub fn folder_name(place: usize, id: &str, message: &str) -> String {
    format!("{place:04}_{id}_{}", slug(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folders_sort_as_the_chain_and_say_what_they_are_for() {
        assert_eq!(
            folder_name(3, "0123456789ab", "Add the source: 2nd try!"),
            "0003_0123456789ab_add_the_source_2nd_try"
        );
        assert_eq!(slug("…"), "revision");
        assert_eq!(slug("Größe ändern"), "gr_e_ndern");
    }

    #[test]
    fn an_id_follows_from_what_the_revision_is() {
        let contract = Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{ name = \"time_index\", type = \"timestamp_tz\" }]",
        )
        .unwrap();
        let first = id(None, "a", &contract);
        assert!(is_id(&first), "{first}");
        assert_eq!(first, id(None, "a", &contract));
        assert_ne!(first, id(Some(&first), "a", &contract));
        assert_ne!(first, id(None, "b", &contract));
    }

    #[test]
    fn the_sql_of_another_database_plays_no_part() {
        let file = |names: &[&str]| RevisionFile {
            revision: "0123456789ab".to_owned(),
            parent: None,
            table: "t".to_owned(),
            uid: "u".to_owned(),
            message: "a".to_owned(),
            operations: Vec::new(),
            loses: Vec::new(),
            loses_on_downgrade: Vec::new(),
            files: names.iter().map(|name| ((*name).to_owned(), Digest::of(name.as_bytes()))).collect(),
        };
        let embedded = file(&["contract.toml", "sqlite.up.sql"]);
        let both = file(&["contract.toml", "sqlite.up.sql", "postgres.up.sql"]);
        assert_eq!(embedded.digest(Dialect::Sqlite), both.digest(Dialect::Sqlite));
        assert_ne!(embedded.digest(Dialect::Postgres), both.digest(Dialect::Postgres));
        assert_ne!(both.digest(Dialect::Sqlite), both.digest(Dialect::Postgres));
    }

    proptest! {
        #[test]
        fn a_slug_is_always_a_file_name(message in any::<String>()) {
            let slug = slug(&message);
            prop_assert!(!slug.is_empty() && slug.len() <= SLUG_CHARS);
            prop_assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            prop_assert!(!slug.starts_with('_') && !slug.ends_with('_'));
        }
    }
}
