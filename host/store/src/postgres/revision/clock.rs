//! The time that one step of a revision has. Somebody has written its SQL, and as long as it runs nobody reads the table and
//! nobody else changes the catalogue: the server ends a statement when the time is over.

use std::time::Duration;

use datanode_core::revision::RevisionError;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::Instant;

use crate::StoreError;
use crate::postgres::stored::{failed, is_canceled};

const DOING: &str = "beginning a statement of a revision";

/// When a step must have ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    until: Instant,
    limit: Duration,
}

impl Clock {
    /// From now on, for so long.
    pub(super) fn begin(limit: Duration) -> Self {
        Self { until: Instant::now() + limit, limit }
    }

    /// The setting by which the server gives each further statement the time that is left.
    pub(super) fn setting(&self) -> String {
        let left = self.until.saturating_duration_since(Instant::now()).as_millis();
        // One more than is left, so that time is over here, too, when the server says so; and a server takes 0 for no limit.
        let millis = i32::try_from(left).unwrap_or(i32::MAX).saturating_add(1);
        format!("SET LOCAL statement_timeout = {millis}")
    }

    /// Give further statements the time that is left; refused where none is.
    pub(super) async fn set(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.is_over() {
            return Err(self.too_long(DOING.to_owned()).into());
        }
        let set = AssertSqlSafe(self.setting());
        sqlx::raw_sql(set).execute(connection).await.map(|_| ()).map_err(failed(DOING))
    }

    /// Whether a statement failed because its time was over. (Somebody else may have ended it, too.)
    pub(super) fn has_ended(&self, error: &sqlx::Error) -> bool {
        is_canceled(error) && self.is_over()
    }

    /// What was done when the time was over.
    pub(super) fn too_long(&self, what: String) -> RevisionError {
        RevisionError::TooLong { what, seconds: self.limit.as_secs() }
    }

    /// The outcome of a step: what the host itself asked may have taken too long.
    pub(super) fn judge<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.map_err(|error| match error {
            StoreError::Database { doing, source } if self.has_ended(&source) => {
                self.too_long(doing.to_owned()).into()
            }
            other => other,
        })
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}
