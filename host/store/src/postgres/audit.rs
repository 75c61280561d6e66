//! The audit log.

use datanode_core::access::Actor;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::stored::failed;
use crate::catalogue::audit::{self as rules, RawAudit};
use crate::{AuditEntry, AuditFilter, AuditPage, NewAudit, StoreError};

/// Write an entry, in the transaction of what it tells.
pub(super) async fn record(
    connection: &mut PgConnection,
    actor: &Actor,
    entry: &NewAudit,
) -> Result<(), StoreError> {
    let row = rules::row(actor, entry)?;
    sqlx::query(
        "INSERT INTO datanode.audit_log (at, actor, user_uid, token, action, subject_kind, subject_uid, subject, \
         detail, request_id) VALUES (datanode.now_micros(), $1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.actor)
    .bind(row.user_uid)
    .bind(row.token)
    .bind(&entry.action)
    .bind(&entry.subject_kind)
    .bind(&entry.subject_uid)
    .bind(&entry.subject)
    .bind(&row.detail)
    .bind(row.request_id)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed("writing the audit log"))
}

/// Entries, the newest first.
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &AuditFilter,
) -> Result<AuditPage, StoreError> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
        "SELECT id, at, actor, user_uid, token, action, subject_kind, subject_uid, subject, detail, request_id \
         FROM datanode.audit_log WHERE true",
    );
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(since.micros());
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND ").push_bind(actor).push(" IN (actor, user_uid, token)");
    }
    if let Some(action) = &filter.action {
        let (word, first, end) = rules::actions(action);
        query.push(" AND (action = ").push_bind(word).push(" OR (action >= ").push_bind(first);
        query.push(" AND action < ").push_bind(end).push("))");
    }
    if let Some(subject) = &filter.subject {
        query.push(" AND ").push_bind(subject).push(" IN (subject_uid, subject, subject_kind)");
    }
    if let Some(before) = filter.before {
        query.push(" AND id < ").push_bind(before);
    }
    query.push(" ORDER BY id DESC");
    if let Some(limit) = filter.limit {
        // One more than is asked for tells whether there is a next page.
        query.push(" LIMIT ").push_bind(i64::from(limit) + 1);
    }
    let rows: Vec<RawAudit> =
        query.build_query_as().fetch_all(connection).await.map_err(failed("reading the audit log"))?;
    let entries = rows.into_iter().map(rules::entry).collect::<Result<Vec<AuditEntry>, _>>()?;
    Ok(rules::page(entries, filter.limit))
}
