//! Transactions that copy rows in. They run in a task of their own, for a copy must not be dropped half way: the
//! connection would go back to its pool with answers of the server unread, and the next one to use it would take them
//! for its own. When the caller goes away, the task stops at the next place where it can, and rolls back.

use std::future::Future;
use std::pin::Pin;

use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;

use super::stored::failed;
use crate::StoreError;

/// Whoever waits for the outcome.
#[derive(Debug, Clone)]
pub(super) struct Caller(watch::Receiver<()>);

impl Caller {
    /// Ends when the caller has gone away.
    pub(super) async fn gone(&mut self) {
        while self.0.changed().await.is_ok() {}
    }

    /// An error when the caller has gone away; nobody hears of it.
    pub(super) fn check(&self, doing: &'static str) -> Result<(), StoreError> {
        self.0.has_changed().map(|_| ()).map_err(|_| given_up(doing))
    }
}

/// What work ends with whose caller has gone away.
pub(super) fn given_up(doing: &'static str) -> StoreError {
    StoreError::Database { doing, source: sqlx::Error::WorkerCrashed }
}

/// The future of some work in a transaction.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// Do work in a transaction and commit it. When the work fails or panics, or the caller goes away before the commit is
/// sent, it is rolled back.
pub(super) async fn write<T: Send + 'static>(
    pool: &PgPool,
    doing: &'static str,
    work: impl for<'c> FnOnce(&'c mut PgConnection, Caller) -> Work<'c, T> + Send + 'static,
) -> Result<T, StoreError> {
    let pool = pool.clone();
    // Dropped with this future.
    let (_here, caller) = watch::channel(());
    let caller = Caller(caller);
    let working = tokio::spawn(async move {
        let mut transaction = pool.begin().await.map_err(failed(doing))?;
        let result = work(&mut transaction, caller.clone()).await;
        match result.and_then(|value| caller.check(doing).map(|()| value)) {
            Ok(value) => transaction.commit().await.map(|()| value).map_err(failed(doing)),
            Err(error) => {
                // The first error tells more than a failing rollback; the pool closes a connection that is lost.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    });
    working.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The runtime is shutting down.
        Err(_) => given_up(doing),
    })?
}
