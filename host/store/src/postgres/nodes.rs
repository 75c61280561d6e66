//! Nodes.

use sqlx::PgConnection;

use super::stored::failed;
use crate::StoreError;

/// The update hash of a node, by uid.
pub(super) async fn update_hash(connection: &mut PgConnection, uid: &str) -> Result<String, StoreError> {
    let hash: Option<String> = sqlx::query_scalar("SELECT update_hash FROM datanode.nodes WHERE uid = $1")
        .bind(uid)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a node"))?;
    hash.ok_or_else(|| StoreError::NotFound { kind: "node", reference: uid.to_owned() })
}
