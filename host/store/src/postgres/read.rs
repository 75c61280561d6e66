//! Pages of a read: one `COPY` for one of them, or for several (`ahead`), decoded as it comes.
//!
//! It is a query of its own, which begins after the key where the last one ended: reads of one snapshot may take turns on
//! one connection, on which nothing is open between them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgDatabaseError;
use sqlx::{PgConnection, PgPool};

use super::ahead::Fetched;
use super::copy::Decoder;
use super::select::Select;
use super::stored::failed;
use crate::rows::{MAX_PAGE_BYTES, ROWS_AT_ONCE, page as page_of};
use crate::{IndexKey, StoreError};

const DOING: &str = "reading rows";

/// What PostgreSQL answers a statement that was cancelled.
const QUERY_CANCELED: &str = "57014";

/// How long a cancellation may take; without it the rest of a page is read and thrown away.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);
/// How soon it is looked again whether the statement is executed by now.
const AGAIN: Duration = Duration::from_millis(2);

/// Stops the statement of another connection.
#[derive(Debug)]
pub(super) struct Canceller {
    /// Never the pool of the connection itself: that one may be used up.
    pub(super) pool: PgPool,
    /// The server process of the connection.
    pub(super) process: i32,
}

impl Canceller {
    /// Stop the copy of the other connection, unless it is `done` before. Not before the server executes it: a statement
    /// that is cancelled while it is still planned leaves its connection out of step with the server (sqlx then does not
    /// read to the end of the answer).
    pub(super) async fn cancel(&self, done: &AtomicBool) {
        let cancelling = async {
            while !done.load(Ordering::Relaxed) && !self.cancel_running().await {
                tokio::time::sleep(AGAIN).await;
            }
        };
        // It only shortens what would end by itself.
        let _ = tokio::time::timeout(CANCEL_PATIENCE, cancelling).await;
    }

    /// Stop the copy of the other connection if it is executed right now; whether it was, or nothing can be done.
    async fn cancel_running(&self) -> bool {
        let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_progress_copy WHERE pid = $1";
        let cancelled = sqlx::query(cancel).bind(self.process).fetch_optional(&self.pool).await;
        cancelled.map_or(true, |running| running.is_some())
    }
}

/// How a query for pages ended.
pub(super) enum PageEnd {
    /// With its rows.
    Read(Fetched),
    /// Before the limit, for its values are long: a query is asked for these many rows from now on. The transaction must go
    /// back to its savepoint.
    Long(Fetched, usize),
    /// With an error; the transaction must go back to its savepoint.
    Failed(StoreError),
    /// With an error that leaves answers of the server unread: the connection is of no more use.
    Lost(StoreError),
}

/// Run a query for the next rows, in pages.
pub(super) async fn pages(
    connection: &mut PgConnection,
    canceller: &Canceller,
    select: &Select,
    after: Option<&IndexKey>,
    asked: usize,
    page_rows: usize,
) -> PageEnd {
    let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", select.page(after, asked));
    let mut stream = match connection.copy_out_raw(&copy).await {
        Ok(stream) => stream,
        Err(error) => return PageEnd::Lost(failed(DOING)(error)),
    };
    let mut decoder = Decoder::new(select.types(), page_rows.min(asked).min(ROWS_AT_ONCE), page_rows);
    let mut damage = None;
    let mut stopped = false;
    while let Some(piece) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        match piece {
            Ok(_) if stopped => {}
            Ok(piece) => {
                damage = decoder.push(&piece).err();
                if damage.is_some() || decoder.long_bytes() >= MAX_PAGE_BYTES {
                    // What is still under way is read, for the connection is needed, and thrown away.
                    stopped = true;
                    canceller.cancel_running().await;
                }
            }
            Err(error) if stopped && is_canceled(&error) => break,
            Err(error) => return PageEnd::Failed(failed(DOING)(error)),
        }
    }
    drop(stream);
    let contract = &select.contract;
    let damaged = |problem| StoreError::Damaged(format!("table `{}`: {problem}", contract.identifier));
    let ended = if stopped { Ok(()) } else { decoder.check_end() };
    if let Err(problem) = damage.map_or(ended, Err) {
        return PageEnd::Failed(damaged(problem));
    }
    let (rows, long_bytes) = (decoder.rows(), decoder.long_bytes());
    let pages = decoder.into_pages().into_iter();
    let pages = pages.filter_map(|(built, rows)| page_of(contract, &select.columns, built, rows).transpose());
    match pages.collect() {
        Ok(pages) if stopped => PageEnd::Long(Fetched { pages, asked, long_bytes, ended: false }, rows),
        Ok(pages) => PageEnd::Read(Fetched { pages, asked, long_bytes, ended: rows < asked }),
        Err(error) => PageEnd::Failed(error),
    }
}

fn is_canceled(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|error| error.code() == QUERY_CANCELED)
}
