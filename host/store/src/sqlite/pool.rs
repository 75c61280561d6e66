//! Connections that are lent: as many as were wanted at once so far.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::handle::Held;
use crate::StoreError;

/// Connections of one kind, opened when they are wanted.
#[derive(Debug)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: SqliteConnectOptions,
    /// How many there may be, and how many more may be lent.
    most: u32,
    left: Arc<Semaphore>,
    /// Those that are not lent, the last one given back on top: the least of them are kept busy.
    free: Mutex<Vec<Held>>,
    patience: Duration,
}

impl Shared {
    fn free(&self) -> MutexGuard<'_, Vec<Held>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// At most so many; whoever comes then waits, but not longer than `patience`.
    pub(super) fn new(options: SqliteConnectOptions, most: u32, patience: Duration) -> Self {
        let left = Arc::new(Semaphore::new(most as usize));
        Self(Arc::new(Shared { options, most, left, free: Mutex::default(), patience }))
    }

    /// One connection, given back when it is dropped.
    pub(super) async fn lend(&self, doing: &'static str) -> Result<Lent, StoreError> {
        let failed = |source| StoreError::Database { doing, source };
        let shared = Arc::clone(&self.0);
        let place = tokio::time::timeout(shared.patience, Arc::clone(&shared.left).acquire_owned())
            .await
            .map_err(|_| failed(sqlx::Error::PoolTimedOut))?
            .map_err(|_| failed(sqlx::Error::PoolClosed))?;
        let free = shared.free().pop();
        let held = match free {
            Some(held) => held,
            None => Held::take(shared.options.connect().await.map_err(failed)?).await.map_err(failed)?,
        };
        Ok(Lent { held: Some(held), shared, _place: place })
    }

    /// Close all, once they have been given back.
    pub(super) async fn close(&self) {
        // Fails when it is closed already.
        let all = self.0.left.acquire_many(self.0.most).await;
        self.0.left.close();
        let free = std::mem::take(&mut *self.0.free());
        for held in free {
            held.close().await;
        }
        drop(all);
    }
}

/// A connection that is lent. Whatever is open when it is given back is rolled back before anybody else's work.
#[derive(Debug)]
pub(super) struct Lent {
    /// Until it is dropped.
    held: Option<Held>,
    shared: Arc<Shared>,
    /// Given back last.
    _place: OwnedSemaphorePermit,
}

impl Deref for Lent {
    type Target = Held;

    fn deref(&self) -> &Held {
        self.held.as_ref().unwrap_or_else(|| unreachable!("it is held until it is dropped"))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.give_up();
            self.shared.free().push(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_given_back_is_lent_again_without_what_was_open() {
        let pool = Pool::new(SqliteConnectOptions::new().in_memory(true), 1, Duration::from_millis(20));
        let execute = |lent: &Lent, sql: &'static str| {
            lent.ask("executing", move |connection, _| {
                connection
                    .execute_batch(sql)
                    .map_err(|source| StoreError::Sqlite { doing: "executing", source })
            })
        };
        let first = pool.lend("lending").await.unwrap();
        execute(&first, "CREATE TABLE kept (x); BEGIN; CREATE TABLE given_up (x)").await.unwrap();
        let waited = pool.lend("lending").await.unwrap_err();
        assert!(matches!(waited, StoreError::Database { source: sqlx::Error::PoolTimedOut, .. }), "{waited}");
        drop(first);
        let second = pool.lend("lending").await.unwrap();
        execute(&second, "INSERT INTO kept VALUES (1); BEGIN").await.unwrap();
        assert!(execute(&second, "INSERT INTO given_up VALUES (1)").await.is_err());
        drop(second);
        pool.close().await;
        let closed = pool.lend("lending").await.unwrap_err();
        assert!(matches!(closed, StoreError::Database { source: sqlx::Error::PoolClosed, .. }), "{closed}");
    }
}
