//! How long others can be kept waiting.

use std::time::Duration;

/// What bounds work that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// One step of a revision, from when it has its table: its SQL, which somebody has written, and what is looked at before
    /// and after it. Meanwhile nobody reads the table, and nobody else changes the catalogue.
    pub revision: Duration,
    /// On a server: how long a writer of the catalogue waits for those before it, and then for a row or table that it needs.
    /// (The embedded database has one writer for everything, whose commits may take minutes: there it is a quarter of an hour.)
    pub catalogue: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { revision: Duration::from_mins(10), catalogue: Duration::from_secs(30) }
    }
}
