//! A copy of a store, to try things out on.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Store, StoreError};

/// A copy for trials, as the original was at one moment: nothing that is done there comes back. It has components, tables
/// and sources; nobody holds a node there.
#[async_trait]
pub trait Scratch: Send + Sync + Debug {
    /// The copy.
    fn store(&self) -> Arc<dyn Store>;

    /// See to it that the rows of these tables are there, and of those that their foreign keys lead to. Tables that are
    /// of the copy alone are left as they are.
    async fn bring(&self, table_uids: &[String]) -> Result<(), StoreError>;
}

/// A copy that has all rows from its beginning.
#[derive(Debug)]
pub(crate) struct WholeCopy(pub(crate) Arc<dyn Store>);

#[async_trait]
impl Scratch for WholeCopy {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0)
    }

    async fn bring(&self, _table_uids: &[String]) -> Result<(), StoreError> {
        Ok(())
    }
}
