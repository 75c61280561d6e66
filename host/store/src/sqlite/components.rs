//! Components of the catalogue.

use datanode_core::digest::Digest;
use rusqlite::{Connection, OptionalExtension, Row, params};
use semver::Version;

use super::nodes;
use super::stored::{class, count, damaged, failed, from_json, timestamp, to_integer, to_json};
use crate::catalogue::audit::Added;
use crate::catalogue::components::{self as rules, Addition};
use crate::{NewComponent, Registered, StoreError, StoredComponent};

const COLUMNS: &str = "digest, manifest, imports, size, enabled, uploaded_at, class, provenance";

/// A row of `_components` as SQLite has it.
struct Raw {
    digest: String,
    manifest: String,
    imports: String,
    size: i64,
    enabled: bool,
    uploaded_at: i64,
    class: String,
    provenance: Option<String>,
}

impl Raw {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            digest: row.get(0)?,
            manifest: row.get(1)?,
            imports: row.get(2)?,
            size: row.get(3)?,
            enabled: row.get(4)?,
            uploaded_at: row.get(5)?,
            class: row.get(6)?,
            provenance: row.get(7)?,
        })
    }

    fn component(self) -> Result<StoredComponent, StoreError> {
        let place = format!("component {}", self.digest);
        Ok(StoredComponent {
            manifest: from_json(&place, &self.manifest)?,
            imports: from_json(&place, &self.imports)?,
            class: class(&place, &self.class)?,
            digest: self.digest.parse().map_err(damaged::<String>(&place))?,
            size: count(&place, self.size)?,
            enabled: self.enabled,
            uploaded_at: timestamp(&place, self.uploaded_at)?,
            provenance: rules::provenance(&place, self.provenance.as_deref())?,
        })
    }
}

fn select(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<StoredComponent>, StoreError> {
    let failed = failed("reading components");
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM _components {condition}"))
        .map_err(&failed)?;
    let rows = statement.query_map(values, Raw::read).map_err(&failed)?;
    rows.map(|row| row.map_err(&failed)?.component()).collect()
}

/// All components, by name and version.
pub(super) fn all(connection: &Connection) -> Result<Vec<StoredComponent>, StoreError> {
    Ok(rules::sorted(select(connection, "", ())?))
}

/// All releases of a component.
fn releases(connection: &Connection, name: &str) -> Result<Vec<StoredComponent>, StoreError> {
    select(connection, "WHERE name = ?1", [name])
}

/// The given release, enabled or not, or the highest enabled one.
pub(super) fn by_name(
    connection: &Connection,
    name: &str,
    version: Option<&Version>,
) -> Result<StoredComponent, StoreError> {
    match version {
        Some(version) => release(connection, name, version)?.ok_or_else(|| rules::no_release(name, version)),
        None => rules::highest_enabled(name, releases(connection, name)?),
    }
}

fn release(
    connection: &Connection,
    name: &str,
    version: &Version,
) -> Result<Option<StoredComponent>, StoreError> {
    let found = select(connection, "WHERE name = ?1 AND version = ?2", params![name, version.to_string()])?;
    Ok(found.into_iter().next())
}

/// The component whose bytes have this digest.
pub(super) fn by_digest(connection: &Connection, digest: &Digest) -> Result<StoredComponent, StoreError> {
    let found = select(connection, "WHERE digest = ?1", [digest.to_string()])?;
    found.into_iter().next().ok_or_else(|| rules::not_found(digest.to_string()))
}

/// The bytes, checked.
pub(super) fn bytes(connection: &Connection, digest: &Digest) -> Result<Vec<u8>, StoreError> {
    let bytes: Option<Vec<u8>> = connection
        .query_row("SELECT bytes FROM _component_bytes WHERE digest = ?1", [digest.to_string()], |row| {
            row.get(0)
        })
        .optional()
        .map_err(failed("reading the bytes of a component"))?;
    rules::checked(bytes, digest)
}

/// Add a release; what that did.
pub(super) fn add(
    connection: &Connection,
    component: &NewComponent,
) -> Result<(Registered<StoredComponent>, Added), StoreError> {
    const DOING: &str = "storing a component";
    let (name, version) = (&component.manifest.name, &component.manifest.version);
    let same_bytes = select(connection, "WHERE digest = ?1", [component.digest.to_string()])?;
    let known = release(connection, name, version)?;
    let value = match rules::addition(component, known, same_bytes.first())? {
        Addition::Known(value) => return Ok((Registered { value, created: false }, Added::Nothing)),
        Addition::Signed(value) => {
            connection
                .execute(
                    "UPDATE _components SET provenance = ?2 WHERE digest = ?1",
                    params![value.digest.to_string(), to_json(DOING, &value.provenance)?],
                )
                .map_err(failed(DOING))?;
            return Ok((Registered { value, created: false }, Added::Signed));
        }
        Addition::New(value) => value,
    };
    connection
        .execute(
            "INSERT INTO _components (digest, name, version, manifest, imports, size, enabled, uploaded_at, class, provenance) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9)",
            params![
                value.digest.to_string(),
                name,
                version.to_string(),
                to_json(DOING, &value.manifest)?,
                to_json(DOING, &value.imports)?,
                to_integer(DOING, value.size)?,
                value.uploaded_at.micros(),
                value.class.as_str(),
                to_json(DOING, &value.provenance)?,
            ],
        )
        .map_err(failed(DOING))?;
    connection
        .execute(
            "INSERT INTO _component_bytes (digest, bytes) VALUES (?1, ?2)",
            params![value.digest.to_string(), component.bytes],
        )
        .map_err(failed(DOING))?;
    Ok((Registered { value, created: true }, Added::New))
}

/// The release of a version; without one, the only release.
fn named(
    connection: &Connection,
    name: &str,
    version: Option<&Version>,
) -> Result<StoredComponent, StoreError> {
    match version {
        Some(_) => by_name(connection, name, version),
        None => rules::only(name, releases(connection, name)?),
    }
}

/// Let a release be chosen for runs, or not any more; whether that is new.
pub(super) fn enable(
    connection: &Connection,
    name: &str,
    version: Option<&Version>,
    enabled: bool,
) -> Result<(StoredComponent, bool), StoreError> {
    let found = named(connection, name, version)?;
    connection
        .execute(
            "UPDATE _components SET enabled = ?2 WHERE digest = ?1",
            params![found.digest.to_string(), enabled],
        )
        .map_err(failed("changing a component"))?;
    let changed = found.enabled != enabled;
    Ok((StoredComponent { enabled, ..found }, changed))
}

/// Remove a release that nothing needs.
pub(super) fn remove(
    connection: &Connection,
    name: &str,
    version: Option<&Version>,
    recorded: bool,
) -> Result<StoredComponent, StoreError> {
    let failed = failed("removing a component");
    let found = named(connection, name, version)?;
    let digest = found.digest.to_string();
    let runs: i64 = connection
        .query_row(
            "SELECT count(*) FROM _runs WHERE status NOT IN ('skipped', 'blocked') \
             AND json_extract(record, '$.component_digest') = ?1",
            [&digest],
            |row| row.get(0),
        )
        .map_err(&failed)?;
    let runs = count("runs of a component", runs)?;
    rules::may_go(&found, &releases(connection, name)?, &nodes::all(connection)?, runs, recorded)?;
    for sql in ["DELETE FROM _component_bytes WHERE digest = ?1", "DELETE FROM _components WHERE digest = ?1"]
    {
        connection.execute(sql, [&digest]).map_err(&failed)?;
    }
    Ok(found)
}
