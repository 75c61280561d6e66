//! Tokens, and who comes with one.

use datanode_core::Timestamp;
use datanode_core::access::{Actor, TokenText};
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{FromRow, PgConnection, PgPool, Postgres};

use super::people;
use super::stored::failed;
use crate::catalogue::access::{self as rules, Known, RawToken, not_found};
use crate::{CreatedToken, NewToken, StoreError, Token};

const READING: &str = "reading tokens";
const STORING: &str = "storing a token";

/// What is read of a token.
macro_rules! tokens {
    ($condition:literal) => {
        concat!(
            "SELECT k.id, k.name, k.rights, k.per_minute, k.created_at, k.expires_at, k.revoked_at, \
             k.last_used_at, u.uid, u.id, u.username \
             FROM datanode.tokens k JOIN datanode.users u ON u.uid = k.user_uid ",
            $condition
        )
    };
}

async fn select(
    connection: &mut PgConnection,
    query: QueryAs<'_, Postgres, RawToken, PgArguments>,
) -> Result<Vec<Token>, StoreError> {
    let rows = query.fetch_all(connection).await.map_err(failed(READING))?;
    rows.into_iter().map(rules::token).collect()
}

/// Tokens, the newest first; of one user, where it is given.
pub(super) async fn list(
    connection: &mut PgConnection,
    user: Option<&str>,
) -> Result<Vec<Token>, StoreError> {
    let uid = match user {
        Some(user) => Some(people::user(connection, user).await?.uid),
        None => None,
    };
    let query =
        sqlx::query_as(tokens!("WHERE $1::text IS NULL OR k.user_uid = $1 ORDER BY k.created_at DESC, k.id"));
    select(connection, query.bind(uid)).await
}

/// A token by id.
pub(super) async fn by_id(connection: &mut PgConnection, id: &str) -> Result<Token, StoreError> {
    let found = select(connection, sqlx::query_as(tokens!("WHERE k.id = $1")).bind(id)).await?.pop();
    found.ok_or_else(|| not_found("token", id))
}

/// Create a token.
pub(super) async fn create(
    connection: &mut PgConnection,
    actor: &Actor,
    new: &NewToken,
    now: Timestamp,
) -> Result<CreatedToken, StoreError> {
    rules::refuse_ended(maker(connection, actor).await?.as_ref(), now)?;
    let user = people::user(connection, &new.user).await?;
    rules::check_token(new, &user)?;
    let (text, hash) = rules::random_token()?;
    sqlx::query(
        "INSERT INTO datanode.tokens (id, user_uid, name, rights, hash, per_minute, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(text.id())
    .bind(&user.uid)
    .bind(&new.name)
    .bind(rules::rights_text(new.rights))
    .bind(hash.to_text())
    .bind(new.per_minute.map(i64::from))
    .bind(now.micros())
    .bind(new.expires_at.map(Timestamp::micros))
    .execute(&mut *connection)
    .await
    .map_err(failed(STORING))?;
    Ok(CreatedToken { token: by_id(connection, text.id()).await?, text })
}

/// The token by which something is done, and whether its user is enabled.
async fn maker(connection: &mut PgConnection, actor: &Actor) -> Result<Option<(Token, bool)>, StoreError> {
    let Some(id) = &actor.token else { return Ok(None) };
    let query = sqlx::query_as(tokens!("WHERE k.id = $1")).bind(id);
    let Some(token) = select(connection, query).await?.pop() else { return Ok(None) };
    let is_enabled = people::user(connection, &token.user.uid).await?.enabled;
    Ok(Some((token, is_enabled)))
}

/// End a token; whether it had not ended so before.
pub(super) async fn revoke(
    connection: &mut PgConnection,
    id: &str,
    now: Timestamp,
) -> Result<(Token, bool), StoreError> {
    let token = by_id(connection, id).await?;
    if token.revoked_at.is_some() {
        return Ok((token, false));
    }
    sqlx::query("UPDATE datanode.tokens SET revoked_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now.micros())
        .execute(connection)
        .await
        .map_err(failed(STORING))?;
    Ok((Token { revoked_at: Some(now), ..token }, true))
}

/// Whether a token is accepted at a moment.
pub(super) async fn is_any(pool: &PgPool, now: Timestamp) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM datanode.tokens k JOIN datanode.users u ON u.uid = k.user_uid WHERE u.enabled \
         AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $1))",
    )
    .bind(now.micros())
    .fetch_one(pool)
    .await
    .map_err(failed(READING))
}

/// A token with one role of its user, or none.
#[derive(FromRow)]
struct RawKnown {
    id: String,
    name: String,
    rights: String,
    per_minute: Option<i64>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
    user_uid: String,
    user_id: i64,
    username: String,
    hash: String,
    enabled: bool,
    subject_kind: Option<String>,
    subject: Option<String>,
    role: Option<String>,
}

/// What there is under the id of a token, in one question: every request begins with it.
pub(super) async fn known(pool: &PgPool, text: &TokenText) -> Result<Option<Known>, StoreError> {
    let rows: Vec<RawKnown> = sqlx::query_as(
        "SELECT k.id, k.name, k.rights, k.per_minute, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, \
         u.uid AS user_uid, u.id AS user_id, u.username, k.hash, u.enabled, r.subject_kind, r.subject, r.role \
         FROM datanode.tokens k JOIN datanode.users u ON u.uid = k.user_uid LEFT JOIN LATERAL ( \
         SELECT o.subject_kind, o.subject, o.role FROM datanode.roles o \
         WHERE o.member_kind = 'user' AND o.member_uid = u.uid UNION ALL \
         SELECT o.subject_kind, o.subject, o.role FROM datanode.team_members m JOIN datanode.roles o \
         ON o.member_kind = 'team' AND o.member_uid = m.team_uid WHERE m.user_uid = u.uid) r ON true \
         WHERE k.id = $1",
    )
    .bind(text.id())
    .fetch_all(pool)
    .await
    .map_err(failed(READING))?;
    let mut known: Option<Known> = None;
    for row in rows {
        let role = match (row.subject_kind, row.subject, row.role) {
            (Some(kind), Some(subject), Some(role)) => Some(rules::role(&kind, subject, &role)?),
            _ => None,
        };
        if let Some(known) = &mut known {
            known.roles.extend(role);
            continue;
        }
        let token = rules::token((
            row.id,
            row.name,
            row.rights,
            row.per_minute,
            row.created_at,
            row.expires_at,
            row.revoked_at,
            row.last_used_at,
            row.user_uid,
            row.user_id,
            row.username,
        ))?;
        let roles = role.into_iter().collect();
        known = Some(Known { token, hash: row.hash, user_enabled: row.enabled, roles });
    }
    Ok(known)
}

/// Note that a token was used.
pub(super) async fn note(pool: &PgPool, id: &str, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE datanode.tokens SET last_used_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now.micros())
        .execute(pool)
        .await
        .map(|_| ())
        .map_err(failed(STORING))
}
