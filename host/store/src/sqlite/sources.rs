//! Sources and who may read them.

use std::collections::BTreeMap;
use std::time::Duration;

use datanode_core::Timestamp;
use rusqlite::{Connection, params};

use super::lease::{NOW, micros};
use super::stored::{failed, find, from_json, timestamp, to_json};
use crate::{Registered, Source, SourceKind, StoreError};

fn not_found(name: &str) -> StoreError {
    StoreError::NotFound { kind: "source", reference: name.to_owned() }
}

/// All sources, by name.
pub(super) fn all(connection: &Connection) -> Result<Vec<Source>, StoreError> {
    let failed = failed("reading sources");
    let mut grants: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut statement = connection
        .prepare("SELECT source, component FROM _source_grants ORDER BY source, component")
        .map_err(&failed)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
    for row in rows {
        let (source, component) = row.map_err(&failed)?;
        grants.entry(source).or_default().push(component);
    }
    let mut statement = connection
        .prepare("SELECT name, definition, created_at FROM _sources ORDER BY name")
        .map_err(&failed)?;
    let rows = statement
        .query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)))
        .map_err(&failed)?;
    rows.map(|row| {
        let (name, definition, created_at) = row.map_err(&failed)?;
        let place = format!("source {name}");
        Ok(Source {
            kind: from_json(&place, &definition)?,
            granted_to: grants.remove(&name).unwrap_or_default(),
            created_at: timestamp(&place, created_at)?,
            name,
        })
    })
    .collect()
}

/// A source by name. (There are a handful of them: no query of its own.)
pub(super) fn by_name(connection: &Connection, name: &str) -> Result<Source, StoreError> {
    all(connection)?.into_iter().find(|source| source.name == name).ok_or_else(|| not_found(name))
}

/// Add a source.
pub(super) fn add(
    connection: &Connection,
    name: &str,
    kind: SourceKind,
    now: Timestamp,
) -> Result<Registered<Source>, StoreError> {
    const DOING: &str = "storing a source";
    match by_name(connection, name) {
        Ok(known) if known.kind == kind => return Ok(Registered { value: known, created: false }),
        Ok(known) => {
            return Err(StoreError::SourceTaken { name: name.to_owned(), existing: known.kind.to_string() });
        }
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    connection
        .execute(
            "INSERT INTO _sources (name, definition, created_at) VALUES (?1, ?2, ?3)",
            params![name, to_json(DOING, &kind)?, now.micros()],
        )
        .map_err(failed(DOING))?;
    Ok(Registered {
        value: Source { name: name.to_owned(), kind, granted_to: Vec::new(), created_at: now },
        created: true,
    })
}

/// Let a source lead elsewhere, or by other rules; whether that is new. `seen` is what it must be.
pub(super) fn replace(
    connection: &Connection,
    name: &str,
    kind: SourceKind,
    seen: Option<&Source>,
) -> Result<(Source, bool), StoreError> {
    const DOING: &str = "changing a source";
    let known = by_name(connection, name)?;
    if seen.is_some_and(|seen| *seen != known) {
        return Err(StoreError::Changed { kind: "source", name: name.to_owned() });
    }
    connection
        .execute("UPDATE _sources SET definition = ?2 WHERE name = ?1", params![name, to_json(DOING, &kind)?])
        .map_err(failed(DOING))?;
    let changed = known.kind != kind;
    Ok((Source { kind, ..known }, changed))
}

/// Remove a source with its grants.
pub(super) fn remove(connection: &Connection, name: &str) -> Result<Source, StoreError> {
    let known = by_name(connection, name)?;
    for sql in [
        "DELETE FROM _source_grants WHERE source = ?1",
        "DELETE FROM _source_turns WHERE source = ?1",
        "DELETE FROM _sources WHERE name = ?1",
    ] {
        connection.execute(sql, [name]).map_err(failed("removing a source"))?;
    }
    Ok(known)
}

/// Let a component read a source; whether that is new.
pub(super) fn grant(
    connection: &Connection,
    source: &str,
    component: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    by_name(connection, source)?;
    connection
        .execute(
            "INSERT INTO _source_grants (source, component, granted_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![source, component, now.micros()],
        )
        .map(|granted| granted > 0)
        .map_err(failed("granting a source"))
}

/// Take a grant back. One that is not there is an error: a misspelt name must not look like a closed door.
pub(super) fn revoke(connection: &Connection, source: &str, component: &str) -> Result<(), StoreError> {
    by_name(connection, source)?;
    let removed = connection
        .execute(
            "DELETE FROM _source_grants WHERE source = ?1 AND component = ?2",
            params![source, component],
        )
        .map_err(failed("revoking a source"))?;
    if removed == 0 {
        return Err(StoreError::NotFound { kind: "grant", reference: format!("{source} to {component}") });
    }
    Ok(())
}

/// Take the next turn of a source that may be asked once in `step`: how long it is until then; None where that is longer than
/// the patience, and no turn is taken. One statement under the lock to write, so no two take one turn.
pub(super) fn take_turn(
    connection: &Connection,
    name: &str,
    step: Duration,
    patience: Duration,
) -> Result<Option<Duration>, StoreError> {
    let sql = format!(
        "INSERT INTO _source_turns (source, last_at) VALUES (?1, {NOW}) \
         ON CONFLICT (source) DO UPDATE SET last_at = max(last_at + ?2, {NOW}) WHERE last_at + ?2 - {NOW} <= ?3 \
         RETURNING last_at - {NOW}"
    );
    let values = params![name, micros(step), micros(patience)];
    let wait: Option<i64> =
        find(connection, &sql, values, |row| row.get(0)).map_err(failed("taking the turn of a source"))?;
    Ok(wait.map(|wait| Duration::from_micros(wait.try_into().unwrap_or(0))))
}
