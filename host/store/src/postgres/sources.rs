//! Sources and who may read them.

use std::collections::BTreeMap;
use std::time::Duration;

use datanode_core::Timestamp;
use sqlx::PgConnection;

use super::lease::micros;
use super::stored::{failed, from_json, timestamp, to_json};
use crate::{Registered, Source, SourceKind, StoreError};

/// All sources, by name.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<Source>, StoreError> {
    let failed = failed("reading sources");
    let mut grants: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT source, component FROM datanode.source_grants ORDER BY source, component")
            .fetch_all(&mut *connection)
            .await
            .map_err(&failed)?;
    for (source, component) in rows {
        grants.entry(source).or_default().push(component);
    }
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT name, definition, created_at FROM datanode.sources ORDER BY name")
            .fetch_all(connection)
            .await
            .map_err(&failed)?;
    let source = |(name, definition, created_at): (String, String, i64)| {
        let place = format!("source {name}");
        Ok(Source {
            kind: from_json(&place, &definition)?,
            granted_to: grants.remove(&name).unwrap_or_default(),
            created_at: timestamp(&place, created_at)?,
            name,
        })
    };
    rows.into_iter().map(source).collect()
}

/// A source by name. (There are a handful of them: no query of its own.)
pub(super) async fn by_name(connection: &mut PgConnection, name: &str) -> Result<Source, StoreError> {
    let found = all(connection).await?.into_iter().find(|source| source.name == name);
    found.ok_or_else(|| StoreError::NotFound { kind: "source", reference: name.to_owned() })
}

/// Add a source.
pub(super) async fn add(
    connection: &mut PgConnection,
    name: &str,
    kind: SourceKind,
    now: Timestamp,
) -> Result<Registered<Source>, StoreError> {
    const DOING: &str = "storing a source";
    match by_name(connection, name).await {
        Ok(known) if known.kind == kind => return Ok(Registered { value: known, created: false }),
        Ok(known) => {
            return Err(StoreError::SourceTaken { name: name.to_owned(), existing: known.kind.to_string() });
        }
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    sqlx::query("INSERT INTO datanode.sources (name, definition, created_at) VALUES ($1, $2, $3)")
        .bind(name)
        .bind(to_json(DOING, &kind)?)
        .bind(now.micros())
        .execute(connection)
        .await
        .map_err(failed(DOING))?;
    let value = Source { name: name.to_owned(), kind, granted_to: Vec::new(), created_at: now };
    Ok(Registered { value, created: true })
}

/// Let a source lead elsewhere, or by other rules; whether that is new. `seen` is what it must be.
pub(super) async fn replace(
    connection: &mut PgConnection,
    name: &str,
    kind: SourceKind,
    seen: Option<&Source>,
) -> Result<(Source, bool), StoreError> {
    const DOING: &str = "changing a source";
    let known = by_name(connection, name).await?;
    if seen.is_some_and(|seen| *seen != known) {
        return Err(StoreError::Changed { kind: "source", name: name.to_owned() });
    }
    sqlx::query("UPDATE datanode.sources SET definition = $2 WHERE name = $1")
        .bind(name)
        .bind(to_json(DOING, &kind)?)
        .execute(connection)
        .await
        .map_err(failed(DOING))?;
    let changed = known.kind != kind;
    Ok((Source { kind, ..known }, changed))
}

/// Remove a source with its grants.
pub(super) async fn remove(connection: &mut PgConnection, name: &str) -> Result<Source, StoreError> {
    let known = by_name(connection, name).await?;
    for sql in [
        "DELETE FROM datanode.source_grants WHERE source = $1",
        "DELETE FROM datanode.source_turns WHERE source = $1",
        "DELETE FROM datanode.sources WHERE name = $1",
    ] {
        sqlx::query(sql).bind(name).execute(&mut *connection).await.map_err(failed("removing a source"))?;
    }
    Ok(known)
}

/// Let a component read a source; whether that is new.
pub(super) async fn grant(
    connection: &mut PgConnection,
    source: &str,
    component: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    by_name(connection, source).await?;
    sqlx::query(
        "INSERT INTO datanode.source_grants (source, component, granted_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(source)
    .bind(component)
    .bind(now.micros())
    .execute(connection)
    .await
    .map(|granted| granted.rows_affected() > 0)
    .map_err(failed("granting a source"))
}

/// Take a grant back. One that is not there is an error: a misspelt name must not look like a closed door.
pub(super) async fn revoke(
    connection: &mut PgConnection,
    source: &str,
    component: &str,
) -> Result<(), StoreError> {
    by_name(connection, source).await?;
    let removed = sqlx::query("DELETE FROM datanode.source_grants WHERE source = $1 AND component = $2")
        .bind(source)
        .bind(component)
        .execute(connection)
        .await
        .map_err(failed("revoking a source"))?;
    if removed.rows_affected() == 0 {
        return Err(StoreError::NotFound { kind: "grant", reference: format!("{source} to {component}") });
    }
    Ok(())
}

/// Take the next turn of a source that may be asked once in `step`: how long it is until then; None where that is longer than
/// the patience, and no turn is taken. One statement, which waits for another one of the same source.
pub(super) async fn take_turn(
    connection: &mut PgConnection,
    name: &str,
    step: Duration,
    patience: Duration,
) -> Result<Option<Duration>, StoreError> {
    let wait: Option<i64> = sqlx::query_scalar(
        "INSERT INTO datanode.source_turns AS t (source, last_at) VALUES ($1, datanode.now_micros()) \
         ON CONFLICT (source) DO UPDATE SET last_at = greatest(t.last_at + $2, datanode.now_micros()) \
         WHERE t.last_at + $2 - datanode.now_micros() <= $3 RETURNING last_at - datanode.now_micros()",
    )
    .bind(name)
    .bind(micros(step))
    .bind(micros(patience))
    .fetch_optional(connection)
    .await
    .map_err(failed("taking the turn of a source"))?;
    Ok(wait.map(|wait| Duration::from_micros(wait.try_into().unwrap_or(0))))
}
