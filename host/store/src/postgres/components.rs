//! Components of the catalogue.

use datanode_core::digest::Digest;
use semver::Version;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{FromRow, PgConnection, Postgres};

use super::nodes;
use super::stored::{class, count, damaged, failed, from_json, timestamp, to_integer, to_json};
use crate::catalogue::audit::Added;
use crate::catalogue::components::{self as rules, Addition};
use crate::{NewComponent, Registered, StoreError, StoredComponent};

/// A row of `datanode.components`.
#[derive(FromRow)]
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

const ALL: &str = "SELECT digest, manifest, imports, size, enabled, uploaded_at, class, provenance FROM datanode.components";
const OF_NAME: &str = "SELECT digest, manifest, imports, size, enabled, uploaded_at, class, provenance FROM datanode.components WHERE name = $1";
const RELEASE: &str = "SELECT digest, manifest, imports, size, enabled, uploaded_at, class, provenance FROM datanode.components \
     WHERE name = $1 AND version = $2";
const OF_DIGEST: &str = "SELECT digest, manifest, imports, size, enabled, uploaded_at, class, provenance FROM datanode.components WHERE digest = $1";

async fn select(
    connection: &mut PgConnection,
    query: QueryAs<'_, Postgres, Raw, PgArguments>,
) -> Result<Vec<StoredComponent>, StoreError> {
    let rows = query.fetch_all(connection).await.map_err(failed("reading components"))?;
    rows.into_iter().map(Raw::component).collect()
}

/// All components, by name and version.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<StoredComponent>, StoreError> {
    Ok(rules::sorted(select(connection, sqlx::query_as(ALL)).await?))
}

async fn releases(connection: &mut PgConnection, name: &str) -> Result<Vec<StoredComponent>, StoreError> {
    select(connection, sqlx::query_as(OF_NAME).bind(name)).await
}

async fn release(
    connection: &mut PgConnection,
    name: &str,
    version: &Version,
) -> Result<Option<StoredComponent>, StoreError> {
    let found = select(connection, sqlx::query_as(RELEASE).bind(name).bind(version.to_string())).await?;
    Ok(found.into_iter().next())
}

/// The given release, enabled or not, or the highest enabled one.
pub(super) async fn by_name(
    connection: &mut PgConnection,
    name: &str,
    version: Option<&Version>,
) -> Result<StoredComponent, StoreError> {
    match version {
        Some(version) => {
            release(connection, name, version).await?.ok_or_else(|| rules::no_release(name, version))
        }
        None => rules::highest_enabled(name, releases(connection, name).await?),
    }
}

/// The component whose bytes have this digest.
pub(super) async fn by_digest(
    connection: &mut PgConnection,
    digest: &Digest,
) -> Result<StoredComponent, StoreError> {
    let found = select(connection, sqlx::query_as(OF_DIGEST).bind(digest.to_string())).await?;
    found.into_iter().next().ok_or_else(|| rules::not_found(digest.to_string()))
}

/// The bytes, checked.
pub(super) async fn bytes(connection: &mut PgConnection, digest: &Digest) -> Result<Vec<u8>, StoreError> {
    let bytes = sqlx::query_scalar("SELECT bytes FROM datanode.component_bytes WHERE digest = $1")
        .bind(digest.to_string())
        .fetch_optional(connection)
        .await
        .map_err(failed("reading the bytes of a component"))?;
    rules::checked(bytes, digest)
}

/// Add a release; what that did.
pub(super) async fn add(
    connection: &mut PgConnection,
    component: &NewComponent,
) -> Result<(Registered<StoredComponent>, Added), StoreError> {
    const DOING: &str = "storing a component";
    let (name, version) = (&component.manifest.name, &component.manifest.version);
    let same_bytes = select(connection, sqlx::query_as(OF_DIGEST).bind(component.digest.to_string())).await?;
    let known = release(connection, name, version).await?;
    let value = match rules::addition(component, known, same_bytes.first())? {
        Addition::Known(value) => return Ok((Registered { value, created: false }, Added::Nothing)),
        Addition::Signed(value) => {
            sqlx::query("UPDATE datanode.components SET provenance = $2 WHERE digest = $1")
                .bind(value.digest.to_string())
                .bind(to_json(DOING, &value.provenance)?)
                .execute(connection)
                .await
                .map_err(failed(DOING))?;
            return Ok((Registered { value, created: false }, Added::Signed));
        }
        Addition::New(value) => value,
    };
    sqlx::query(
        "INSERT INTO datanode.components (digest, name, version, manifest, imports, size, enabled, uploaded_at, \
         class, provenance) VALUES ($1, $2, $3, $4, $5, $6, true, $7, $8, $9)",
    )
    .bind(value.digest.to_string())
    .bind(name)
    .bind(version.to_string())
    .bind(to_json(DOING, &value.manifest)?)
    .bind(to_json(DOING, &value.imports)?)
    .bind(to_integer(DOING, value.size)?)
    .bind(value.uploaded_at.micros())
    .bind(value.class.as_str())
    .bind(to_json(DOING, &value.provenance)?)
    .execute(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    sqlx::query("INSERT INTO datanode.component_bytes (digest, bytes) VALUES ($1, $2)")
        .bind(value.digest.to_string())
        .bind(&component.bytes)
        .execute(connection)
        .await
        .map_err(failed(DOING))?;
    Ok((Registered { value, created: true }, Added::New))
}

/// The release of a version; without one, the only release.
async fn named(
    connection: &mut PgConnection,
    name: &str,
    version: Option<&Version>,
) -> Result<StoredComponent, StoreError> {
    match version {
        Some(_) => by_name(connection, name, version).await,
        None => rules::only(name, releases(connection, name).await?),
    }
}

/// Let a release be chosen for runs, or not any more; whether that is new.
pub(super) async fn enable(
    connection: &mut PgConnection,
    name: &str,
    version: Option<&Version>,
    enabled: bool,
) -> Result<(StoredComponent, bool), StoreError> {
    let found = named(connection, name, version).await?;
    sqlx::query("UPDATE datanode.components SET enabled = $2 WHERE digest = $1")
        .bind(found.digest.to_string())
        .bind(enabled)
        .execute(connection)
        .await
        .map_err(failed("changing a component"))?;
    let changed = found.enabled != enabled;
    Ok((StoredComponent { enabled, ..found }, changed))
}

/// Remove a release that nothing needs.
pub(super) async fn remove(
    connection: &mut PgConnection,
    name: &str,
    version: Option<&Version>,
    recorded: bool,
) -> Result<StoredComponent, StoreError> {
    const DOING: &str = "removing a component";
    let found = named(connection, name, version).await?;
    let digest = found.digest.to_string();
    let runs: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM datanode.runs WHERE status NOT IN ('skipped', 'blocked') \
         AND record::json ->> 'component_digest' = $1",
    )
    .bind(&digest)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    let runs = count("runs of a component", runs)?;
    let nodes = nodes::all(connection).await?;
    rules::may_go(&found, &releases(connection, name).await?, &nodes, runs, recorded)?;
    for sql in [
        "DELETE FROM datanode.component_bytes WHERE digest = $1",
        "DELETE FROM datanode.components WHERE digest = $1",
    ] {
        sqlx::query(sql).bind(&digest).execute(&mut *connection).await.map_err(failed(DOING))?;
    }
    Ok(found)
}
