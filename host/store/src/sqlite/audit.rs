//! The audit log.

use datanode_core::access::Actor;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::lease::NOW;
use super::stored::{change, failed};
use crate::catalogue::audit::{self as rules, RawAudit};
use crate::{AuditEntry, AuditFilter, AuditPage, NewAudit, StoreError};

const READING: &str = "reading the audit log";

/// Write an entry, in the transaction of what it tells.
pub(super) fn record(connection: &Connection, actor: &Actor, entry: &NewAudit) -> Result<(), StoreError> {
    let row = rules::row(actor, entry)?;
    let sql = format!(
        "INSERT INTO _audit_log (at, actor, user_uid, token, action, subject_kind, subject_uid, subject, detail, \
         request_id) VALUES ({NOW}, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    );
    let values = params![
        row.actor,
        row.user_uid,
        row.token,
        entry.action,
        entry.subject_kind,
        entry.subject_uid,
        entry.subject,
        row.detail,
        row.request_id,
    ];
    change(connection, &sql, values).map(|_| ()).map_err(failed("writing the audit log"))
}

/// Entries, the newest first.
pub(super) fn list(connection: &Connection, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
    let failed = failed(READING);
    let mut conditions = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        values.len()
    };
    if let Some(since) = filter.since {
        conditions.push(format!("at >= ?{}", bind(Value::Integer(since.micros()))));
    }
    if let Some(actor) = &filter.actor {
        let at = bind(Value::Text(actor.clone()));
        conditions.push(format!("(actor = ?{at} OR user_uid = ?{at} OR token = ?{at})"));
    }
    if let Some(action) = &filter.action {
        let (word, first, end) = rules::actions(action);
        let word = bind(Value::Text(word));
        let first = bind(Value::Text(first));
        let end = bind(Value::Text(end));
        conditions.push(format!("(action = ?{word} OR (action >= ?{first} AND action < ?{end}))"));
    }
    if let Some(subject) = &filter.subject {
        let at = bind(Value::Text(subject.clone()));
        conditions.push(format!("(subject_uid = ?{at} OR subject = ?{at} OR subject_kind = ?{at})"));
    }
    if let Some(before) = filter.before {
        conditions.push(format!("id < ?{}", bind(Value::Integer(before))));
    }
    let wanted =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    // One more than is asked for tells whether there is a next page.
    let limit = filter.limit.map_or(-1, |limit| i64::from(limit) + 1);
    let limit = bind(Value::Integer(limit));
    let sql = format!(
        "SELECT id, at, actor, user_uid, token, action, subject_kind, subject_uid, subject, detail, request_id \
         FROM _audit_log {wanted} ORDER BY id DESC LIMIT ?{limit}"
    );
    let mut statement = connection.prepare(&sql).map_err(&failed)?;
    let rows = statement
        .query_map(params_from_iter(values), |row| -> rusqlite::Result<RawAudit> {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
                row.get(8)?,
                row.get(9)?,
                row.get(10)?,
            ))
        })
        .map_err(&failed)?;
    let entries = rows.map(|row| rules::entry(row.map_err(&failed)?));
    Ok(rules::page(entries.collect::<Result<Vec<AuditEntry>, _>>()?, filter.limit))
}
