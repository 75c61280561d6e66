//! What a producer says of the rows that it has sent, compared with those that arrived.
//!
//! Uploads do not say which update they belong to, nor whether all of them came: the statistics at the end are the one
//! thing that does. They are not stored, for progress follows from the rows.

use std::io::Read;

use super::statistics;
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
    /// From the document of an update, JSON: `{"multi_index_stats": {"_GLOBAL_": {"min", "max"}, "index_progress": {…}}}`.
    /// `dimensions` is how many identity dimensions the table has. It is read piece by piece, and costs no more than one of
    /// them, however many coordinates it names: up to [`MAX_COORDINATES`](crate::frame::MAX_COORDINATES).
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn read(document: impl Read, dimensions: usize) -> Result<Self, String> {
        statistics::read(document, dimensions)
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
