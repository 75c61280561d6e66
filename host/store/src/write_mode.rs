//! What a commit does with rows that may be there already.

/// What a commit does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteMode {
    /// All of them are new, and those of each coordinate lie behind everything that is there of it: others are refused.
    #[default]
    Append,
    /// They may lie anywhere in time. Those that are not there are inserted, those that are there take the new values
    /// where these differ.
    Overwrite,
    /// They may lie anywhere in time. Those that are not there are inserted, those that are there stay as they are.
    FillGaps,
}

/// What became of the rows of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Written {
    /// Were not there.
    pub(crate) inserted: u64,
    /// Were there, with other values.
    pub(crate) updated: u64,
    /// Were there, and are as they were.
    pub(crate) unchanged: u64,
}

impl Written {
    /// All of them are new.
    pub(crate) fn new(inserted: u64) -> Self {
        Self { inserted, ..Self::default() }
    }

    /// All of them.
    pub(crate) fn rows(self) -> u64 {
        self.inserted + self.updated + self.unchanged
    }
}
