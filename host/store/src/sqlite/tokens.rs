//! Tokens, and who comes with one.

use datanode_core::Timestamp;
use datanode_core::access::{Actor, TokenText};
use rusqlite::{Connection, Params, Row, params};

use super::stored::{change, failed, find};
use super::{people, roles};
use crate::catalogue::access::{self as rules, Known, RawToken, not_found};
use crate::{CreatedToken, NewToken, StoreError, Token};

const READING: &str = "reading tokens";
const STORING: &str = "storing a token";

const SELECT: &str = "SELECT k.id, k.name, k.rights, k.per_minute, k.created_at, k.expires_at, k.revoked_at, \
     k.last_used_at, u.uid, u.id, u.username, k.hash, u.enabled FROM _tokens k JOIN _users u ON u.uid = k.user_uid";

fn raw(row: &Row<'_>) -> rusqlite::Result<RawToken> {
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
}

fn select(connection: &Connection, condition: &str, values: impl Params) -> Result<Vec<Token>, StoreError> {
    let failed = failed(READING);
    let sql = format!("{SELECT} {condition} ORDER BY k.created_at DESC, k.id");
    let mut statement = connection.prepare(&sql).map_err(&failed)?;
    let rows = statement.query_map(values, raw).map_err(&failed)?;
    rows.map(|row| rules::token(row.map_err(&failed)?)).collect()
}

/// Tokens, the newest first; of one user, where it is given.
pub(super) fn list(connection: &Connection, user: Option<&str>) -> Result<Vec<Token>, StoreError> {
    match user {
        Some(user) => {
            let user = people::user(connection, user)?;
            select(connection, "WHERE k.user_uid = ?1", [user.uid])
        }
        None => select(connection, "", ()),
    }
}

/// A token by id.
pub(super) fn by_id(connection: &Connection, id: &str) -> Result<Token, StoreError> {
    select(connection, "WHERE k.id = ?1", [id])?.pop().ok_or_else(|| not_found("token", id))
}

/// Create a token.
pub(super) fn create(
    connection: &Connection,
    actor: &Actor,
    new: &NewToken,
    now: Timestamp,
) -> Result<CreatedToken, StoreError> {
    rules::refuse_ended(maker(connection, actor)?.as_ref(), now)?;
    let user = people::user(connection, &new.user)?;
    rules::check_token(new, &user)?;
    let (text, hash) = rules::random_token()?;
    connection
        .execute(
            "INSERT INTO _tokens (id, user_uid, name, rights, hash, per_minute, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                text.id(),
                user.uid,
                new.name,
                rules::rights_text(new.rights),
                hash.to_text(),
                new.per_minute,
                now.micros(),
                new.expires_at.map(Timestamp::micros),
            ],
        )
        .map_err(failed(STORING))?;
    Ok(CreatedToken { token: by_id(connection, text.id())?, text })
}

/// The token by which something is done, and whether its user is enabled.
fn maker(connection: &Connection, actor: &Actor) -> Result<Option<(Token, bool)>, StoreError> {
    let Some(id) = &actor.token else { return Ok(None) };
    let Some(token) = select(connection, "WHERE k.id = ?1", [id])?.pop() else { return Ok(None) };
    let is_enabled = people::user(connection, &token.user.uid)?.enabled;
    Ok(Some((token, is_enabled)))
}

/// End a token; whether it had not ended so before.
pub(super) fn revoke(connection: &Connection, id: &str, now: Timestamp) -> Result<(Token, bool), StoreError> {
    let token = by_id(connection, id)?;
    if token.revoked_at.is_some() {
        return Ok((token, false));
    }
    connection
        .execute("UPDATE _tokens SET revoked_at = ?2 WHERE id = ?1", params![id, now.micros()])
        .map_err(failed(STORING))?;
    Ok((Token { revoked_at: Some(now), ..token }, true))
}

/// Whether a token is accepted at a moment.
pub(super) fn is_any(connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM _tokens k JOIN _users u ON u.uid = k.user_uid WHERE u.enabled \
             AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?1))",
            [now.micros()],
            |row| row.get(0),
        )
        .map_err(failed(READING))
}

/// What there is under the id of a token.
pub(super) fn known(connection: &Connection, text: &TokenText) -> Result<Option<Known>, StoreError> {
    let sql = format!("{SELECT} WHERE k.id = ?1");
    let read = |row: &Row<'_>| Ok((raw(row)?, row.get(11)?, row.get(12)?));
    let Some((raw, hash, user_enabled)) =
        find(connection, &sql, [text.id()], read).map_err(failed(READING))?
    else {
        return Ok(None);
    };
    let token = rules::token(raw)?;
    let roles = roles::of_user(connection, &token.user.uid)?;
    Ok(Some(Known { token, hash, user_enabled, roles }))
}

/// Note that a token was used.
pub(super) fn note(connection: &Connection, id: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE _tokens SET last_used_at = ?2 WHERE id = ?1";
    change(connection, sql, params![id, now.micros()]).map(|_| ()).map_err(failed(STORING))
}
