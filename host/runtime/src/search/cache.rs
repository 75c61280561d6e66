//! The catalogue as this process has read it last, ready to be searched.

use std::sync::{PoisonError, RwLock};

use datanode_core::search::{ColumnRank, Index, Knobs, Page, PageRequest, Rank, Writer};
use datanode_store::SearchedTable;
use tokio::sync::Mutex;

/// One per host and its copies; all of them see the same.
#[derive(Debug, Default)]
pub(crate) struct SearchCache {
    read: RwLock<Read>,
    /// Held by whoever brings it up to date: the others wait for that one, and have nothing to do then.
    pub(super) updating: Mutex<()>,
}

#[derive(Debug, Default)]
struct Read {
    /// Up to which revision; None: nothing yet.
    revision: Option<i64>,
    index: Index<SearchedTable>,
}

/// A table with what was made of it, on its way into the index.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) table: SearchedTable,
    pub(super) writers: Vec<Writer>,
    pub(super) vector: Vec<f32>,
}

impl SearchCache {
    pub(super) fn revision(&self) -> Option<i64> {
        self.read.read().unwrap_or_else(PoisonError::into_inner).revision
    }

    /// Take over what has changed up to a revision. Of `all`, what is not among them is forgotten.
    pub(super) fn apply(&self, revision: i64, all: bool, changed: Vec<Prepared>, gone: &[String]) {
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if all {
            read.index = Index::default();
        }
        for uid in gone {
            read.index.remove(uid);
        }
        for Prepared { table, writers, vector } in changed {
            read.index.put(table, &writers, Some(vector));
        }
        read.revision = Some(revision);
    }

    pub(super) fn len(&self) -> usize {
        self.read.read().unwrap_or_else(PoisonError::into_inner).index.len()
    }

    /// A table as it was read last.
    pub(super) fn get(&self, uid: &str) -> Option<SearchedTable> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        read.index.get(uid).cloned()
    }

    pub(super) fn tables(
        &self,
        query: &str,
        vector: Option<&[f32]>,
        knobs: &Knobs,
        page: PageRequest,
        accept: impl Fn(&SearchedTable) -> bool,
    ) -> Page<(SearchedTable, Rank)> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        read.index.tables(query, vector, knobs, page, accept)
    }

    pub(super) fn columns(
        &self,
        query: &str,
        page: PageRequest,
        accept: impl Fn(&SearchedTable) -> bool,
    ) -> Page<(SearchedTable, ColumnRank)> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        read.index.columns(query, page, accept)
    }
}
