//! Components of the catalogue.

use datanode_core::digest::Digest;
use rusqlite::{Connection, OptionalExtension, Row, params};
use semver::Version;

use super::nodes;
use super::stored::{count, damaged, failed, from_json, timestamp, to_integer, to_json};
use crate::{NewComponent, Registered, StoreError, StoredComponent};

const COLUMNS: &str = "digest, manifest, imports, size, enabled, uploaded_at";

/// A row of `_components` as SQLite has it.
struct Raw {
    digest: String,
    manifest: String,
    imports: String,
    size: i64,
    enabled: bool,
    uploaded_at: i64,
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
        })
    }

    fn component(self) -> Result<StoredComponent, StoreError> {
        let place = format!("component {}", self.digest);
        Ok(StoredComponent {
            manifest: from_json(&place, &self.manifest)?,
            imports: from_json(&place, &self.imports)?,
            digest: self.digest.parse().map_err(damaged::<String>(&place))?,
            size: count(&place, self.size)?,
            enabled: self.enabled,
            uploaded_at: timestamp(&place, self.uploaded_at)?,
        })
    }
}

fn select(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<StoredComponent>, StoreError> {
    let failed = failed("reading components");
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM _components {condition}")).map_err(&failed)?;
    let rows = statement.query_map(values, Raw::read).map_err(&failed)?;
    rows.map(|row| row.map_err(&failed)?.component()).collect()
}

fn not_found(reference: String) -> StoreError {
    StoreError::NotFound { kind: "component", reference }
}

/// All components, by name and version.
pub(super) fn all(connection: &Connection) -> Result<Vec<StoredComponent>, StoreError> {
    let mut components = select(connection, "", ())?;
    components.sort_by(|a, b| {
        (&a.manifest.name, &a.manifest.version).cmp(&(&b.manifest.name, &b.manifest.version))
    });
    Ok(components)
}

/// The given release, enabled or not, or the highest enabled one.
pub(super) fn by_name(
    connection: &Connection,
    name: &str,
    version: Option<&Version>,
) -> Result<StoredComponent, StoreError> {
    if let Some(version) = version {
        return release(connection, name, version)?.ok_or_else(|| not_found(format!("{name} {version}")));
    }
    let mut releases = select(connection, "WHERE name = ?1", [name])?;
    releases.sort_by(|a, b| b.manifest.version.cmp(&a.manifest.version));
    let highest = releases.first().map(|highest| highest.manifest.version.to_string());
    releases.into_iter().find(|release| release.enabled).ok_or_else(|| match highest {
        Some(version) => StoreError::ComponentDisabled { name: name.to_owned(), version },
        None => not_found(name.to_owned()),
    })
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
    found.into_iter().next().ok_or_else(|| not_found(digest.to_string()))
}

/// The bytes, checked: compiled code is trusted because these bytes were.
pub(super) fn bytes(connection: &Connection, digest: &Digest) -> Result<Vec<u8>, StoreError> {
    let bytes: Option<Vec<u8>> = connection
        .query_row("SELECT bytes FROM _component_bytes WHERE digest = ?1", [digest.to_string()], |row| {
            row.get(0)
        })
        .optional()
        .map_err(failed("reading the bytes of a component"))?;
    let bytes = bytes.ok_or_else(|| not_found(digest.to_string()))?;
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(StoreError::Damaged(format!("the bytes of component {digest} have the digest {found}")));
    }
    Ok(bytes)
}

/// Add a release.
pub(super) fn add(
    connection: &Connection,
    component: &NewComponent,
) -> Result<Registered<StoredComponent>, StoreError> {
    const DOING: &str = "storing a component";
    let found = Digest::of(&component.bytes);
    if found != component.digest {
        let problem = format!(
            "a component was handed over as {} but its bytes have the digest {found}",
            component.digest
        );
        return Err(StoreError::Damaged(problem));
    }
    let (name, version) = (&component.manifest.name, &component.manifest.version);
    if let Some(known) = release(connection, name, version)? {
        if known.digest == component.digest {
            return Ok(Registered { value: known, created: false });
        }
        return Err(StoreError::VersionTaken {
            name: name.clone(),
            version: version.to_string(),
            digest: known.digest.to_string(),
        });
    }
    if let Some(known) = select(connection, "WHERE digest = ?1", [component.digest.to_string()])?.first() {
        // Name and version are part of the bytes, so this cannot be while hosts read them as they were written.
        return Err(StoreError::Damaged(format!(
            "component {} is in the catalogue as {} {} and now calls itself {name} {version}",
            component.digest, known.manifest.name, known.manifest.version
        )));
    }
    let value = StoredComponent {
        manifest: component.manifest.clone(),
        imports: component.imports.clone(),
        digest: component.digest,
        size: component.bytes.len() as u64,
        enabled: true,
        uploaded_at: component.uploaded_at,
    };
    connection
        .execute(
            "INSERT INTO _components (digest, name, version, manifest, imports, size, enabled, uploaded_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
            params![
                value.digest.to_string(),
                name,
                version.to_string(),
                to_json(DOING, &value.manifest)?,
                to_json(DOING, &value.imports)?,
                to_integer(DOING, value.size)?,
                value.uploaded_at.micros(),
            ],
        )
        .map_err(failed(DOING))?;
    connection
        .execute(
            "INSERT INTO _component_bytes (digest, bytes) VALUES (?1, ?2)",
            params![value.digest.to_string(), component.bytes],
        )
        .map_err(failed(DOING))?;
    Ok(Registered { value, created: true })
}

/// The release of a version; without one, the only release.
fn named(
    connection: &Connection,
    name: &str,
    version: Option<&Version>,
) -> Result<StoredComponent, StoreError> {
    if version.is_some() {
        return by_name(connection, name, version);
    }
    let mut found = select(connection, "WHERE name = ?1", [name])?;
    if found.len() > 1 {
        found.sort_by(|a, b| a.manifest.version.cmp(&b.manifest.version));
        return Err(StoreError::Ambiguous {
            kind: "component",
            reference: name.to_owned(),
            candidates: found.iter().map(|other| format!("{name}@{}", other.manifest.version)).collect(),
        });
    }
    found.pop().ok_or_else(|| not_found(name.to_owned()))
}

/// Let a release be chosen for runs, or not any more.
pub(super) fn enable(
    connection: &Connection,
    name: &str,
    version: Option<&Version>,
    enabled: bool,
) -> Result<StoredComponent, StoreError> {
    let found = named(connection, name, version)?;
    connection
        .execute(
            "UPDATE _components SET enabled = ?2 WHERE digest = ?1",
            params![found.digest.to_string(), enabled],
        )
        .map_err(failed("changing a component"))?;
    Ok(StoredComponent { enabled, ..found })
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
    let chosen = match by_name(connection, name, None) {
        Ok(chosen) => chosen.digest == found.digest,
        // Disabled means: not now. Without its last release a component is gone, and its nodes could never run again.
        Err(StoreError::ComponentDisabled { .. }) => {
            select(connection, "WHERE name = ?1", [name])?.len() == 1
        }
        Err(error) => return Err(error),
    };
    let runs_it = |node: &crate::Node| match &node.pinned_digest {
        Some(pinned) => *pinned == found.digest,
        None => chosen && node.component == name,
    };
    let users: Vec<String> = nodes::all(connection)?
        .into_iter()
        .filter(runs_it)
        .map(|node| {
            let how = if node.pinned_digest.is_some() { ", pinned" } else { "" };
            format!("{} → {}{how}", node.update_hash, node.table)
        })
        .collect();
    let release = || (name.to_owned(), found.manifest.version.to_string());
    if !users.is_empty() {
        let (name, version) = release();
        return Err(StoreError::ComponentInUse { name, version, enabled: found.enabled, nodes: users });
    }
    let runs: i64 = connection
        .query_row(
            "SELECT count(*) FROM _runs WHERE status NOT IN ('skipped', 'blocked') \
             AND json_extract(record, '$.component_digest') = ?1",
            [&digest],
            |row| row.get(0),
        )
        .map_err(&failed)?;
    if runs > 0 && !recorded {
        let (name, version) = release();
        return Err(StoreError::ComponentRecorded {
            name,
            version,
            runs: count("runs of a component", runs)?,
        });
    }
    for sql in ["DELETE FROM _component_bytes WHERE digest = ?1", "DELETE FROM _components WHERE digest = ?1"]
    {
        connection.execute(sql, [&digest]).map_err(&failed)?;
    }
    Ok(found)
}
