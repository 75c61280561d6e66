//! Revisions.
use crate::{StoreError, Table};
use sqlx::PgConnection;
pub(super) async fn refuse_drift(_connection: &mut PgConnection, _table: &Table) -> Result<(), StoreError> {
    Ok(())
}
