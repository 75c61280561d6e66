//! What a producer says of the rows that it has sent, compared with those that arrived.
//!
//! Uploads do not say which update they belong to, nor whether all of them came: the statistics at the end are the one
//! thing that does. They are not stored, for progress follows from the rows.

use serde_json::Value;

use crate::Timestamp;
use crate::progress::Progress;

/// What is compared of the statistics of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claims {
    /// Earliest time; None: not said.
    pub min: Option<Timestamp>,
    /// Latest time; None: not said.
    pub max: Option<Timestamp>,
    /// Coordinates, of a table that has identity dimensions; None: not said.
    pub coordinates: Option<usize>,
}

impl Claims {
    /// From the document of an update: `{"multi_index_stats": {"_GLOBAL_": {"min", "max"}, "index_progress": {…}}}`.
    /// `dimensions` is how many identity dimensions the table has.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn parse(document: &Value, dimensions: usize) -> Result<Self, String> {
        let statistics = match document.get("multi_index_stats") {
            None | Some(Value::Null) => document,
            Some(statistics) => statistics,
        };
        if !statistics.is_object() {
            return Err("they are no object".to_owned());
        }
        let global = statistics.get("_GLOBAL_").or_else(|| statistics.get("global_index_progress"));
        let time = |name: &str| match global.and_then(|global| global.get(name)) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|error| format!("`{name}`: {error}")),
            Some(other) => {
                Err(format!("`{name}` is {}", other.to_string().chars().take(80).collect::<String>()))
            }
        };
        let coordinates = match statistics.get("index_progress") {
            Some(tree @ Value::Object(_)) if dimensions > 0 => Some(leaves(tree, dimensions)),
            _ => None,
        };
        Ok(Self { min: time("min")?, max: time("max")?, coordinates })
    }

    /// What differs from the rows that arrived, if anything does.
    pub fn differ_from(&self, arrived: &Progress) -> Option<String> {
        let shown = |time: Option<Timestamp>| time.map_or("none".to_owned(), Timestamp::short);
        let times = [("earliest", self.min, arrived.min_time()), ("latest", self.max, arrived.max_time())];
        for (what, said, found) in times {
            if said != found {
                return Some(format!(
                    "the {what} time is said to be {}, that of the rows is {}",
                    shown(said),
                    shown(found)
                ));
            }
        }
        match self.coordinates {
            Some(said) if said != arrived.len() => {
                Some(format!("they are said to be of {said} coordinates, and are of {}", arrived.len()))
            }
            _ => None,
        }
    }
}

/// Leaves of a tree of objects that is so deep. Deeper ones are leaves, whatever they are.
fn leaves(tree: &Value, depth: usize) -> usize {
    match tree {
        Value::Object(members) if depth > 0 => members.values().map(|member| leaves(member, depth - 1)).sum(),
        _ => 1,
    }
}
