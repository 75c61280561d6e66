//! Users and teams.

use datanode_core::Timestamp;
use rusqlite::{Connection, Params, Row, params};
use uuid::Uuid;

use super::stored::failed;
use crate::catalogue::access::{self as rules, RawTeam, RawUser, not_found, number};
use crate::{NewTeam, NewUser, StoreError, Team, User};

const READING: &str = "reading users and teams";
const STORING: &str = "storing users and teams";

const USERS: &str = "SELECT u.id, u.uid, u.username, u.first_name, u.last_name, u.email, u.phone, u.enabled, \
     u.created_at FROM _users u";
const TEAMS: &str = "SELECT t.id, t.uid, t.name, t.description, \
     (SELECT count(*) FROM _team_members m WHERE m.team_uid = t.uid), t.created_at FROM _teams t";

fn raw_user(row: &Row<'_>) -> rusqlite::Result<RawUser> {
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
    ))
}

fn raw_team(row: &Row<'_>) -> rusqlite::Result<RawTeam> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

/// Users for which a condition (of this crate's own text) holds, by username.
pub(super) fn select_users(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> Result<Vec<User>, StoreError> {
    let failed = failed(READING);
    let sql = format!("{USERS} {condition} ORDER BY u.username");
    let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
    let rows = statement.query_map(values, raw_user).map_err(&failed)?;
    rows.map(|row| rules::user(row.map_err(&failed)?)).collect()
}

/// Teams for which a condition holds, by name.
pub(super) fn select_teams(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> Result<Vec<Team>, StoreError> {
    let failed = failed(READING);
    let sql = format!("{TEAMS} {condition} ORDER BY t.name");
    let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
    let rows = statement.query_map(values, raw_team).map_err(&failed)?;
    rows.map(|row| rules::team(row.map_err(&failed)?)).collect()
}

/// A user by username, uid or number.
pub(super) fn user(connection: &Connection, reference: &str) -> Result<User, StoreError> {
    let condition = "WHERE u.username = ?1 OR u.uid = ?1 OR u.id = ?2";
    let found = select_users(connection, condition, params![reference, number(reference)])?.pop();
    found.ok_or_else(|| not_found("user", reference))
}

/// A team by name, uid or number.
pub(super) fn team(connection: &Connection, reference: &str) -> Result<Team, StoreError> {
    let condition = "WHERE t.name = ?1 OR t.uid = ?1 OR t.id = ?2";
    let found = select_teams(connection, condition, params![reference, number(reference)])?.pop();
    found.ok_or_else(|| not_found("team", reference))
}

/// The users of a team.
pub(super) fn members(connection: &Connection, reference: &str) -> Result<Vec<User>, StoreError> {
    let team = team(connection, reference)?;
    let condition = "JOIN _team_members m ON m.user_uid = u.uid WHERE m.team_uid = ?1";
    select_users(connection, condition, [team.uid])
}

/// Create a user.
pub(super) fn create_user(
    connection: &Connection,
    new: &NewUser,
    now: Timestamp,
) -> Result<User, StoreError> {
    rules::check_user(new)?;
    if !select_users(connection, "WHERE u.username = ?1", [&new.username])?.is_empty() {
        return Err(StoreError::NameTaken { kind: "user", name: new.username.clone() });
    }
    let uid = Uuid::new_v4().to_string();
    connection
        .execute(
            "INSERT INTO _users (uid, username, first_name, last_name, email, phone, enabled, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
            params![uid, new.username, new.first_name, new.last_name, new.email, new.phone, now.micros()],
        )
        .map_err(failed(STORING))?;
    user(connection, &uid)
}

/// Let the tokens of a user be accepted, or not any more; whether that is new.
pub(super) fn enable_user(
    connection: &Connection,
    reference: &str,
    enabled: bool,
) -> Result<(User, bool), StoreError> {
    let found = user(connection, reference)?;
    let changed = found.enabled != enabled;
    if changed {
        connection
            .execute("UPDATE _users SET enabled = ?2 WHERE uid = ?1", params![found.uid, enabled])
            .map_err(failed(STORING))?;
    }
    Ok((User { enabled, ..found }, changed))
}

/// Create a team.
pub(super) fn create_team(
    connection: &Connection,
    new: &NewTeam,
    now: Timestamp,
) -> Result<Team, StoreError> {
    rules::check_team(new)?;
    if !select_teams(connection, "WHERE t.name = ?1", [&new.name])?.is_empty() {
        return Err(StoreError::NameTaken { kind: "team", name: new.name.clone() });
    }
    let uid = Uuid::new_v4().to_string();
    connection
        .execute(
            "INSERT INTO _teams (uid, name, description, created_at) VALUES (?1, ?2, ?3, ?4)",
            params![uid, new.name, new.description, now.micros()],
        )
        .map_err(failed(STORING))?;
    team(connection, &uid)
}

/// Take a user into a team; whether that is new.
pub(super) fn add_member(
    connection: &Connection,
    team_reference: &str,
    user_reference: &str,
    now: Timestamp,
) -> Result<(Team, User, bool), StoreError> {
    let (found, member) = (team(connection, team_reference)?, user(connection, user_reference)?);
    let added = connection
        .execute(
            "INSERT INTO _team_members (team_uid, user_uid, added_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![found.uid, member.uid, now.micros()],
        )
        .map_err(failed(STORING))?;
    Ok((team(connection, &found.uid)?, member, added > 0))
}

/// Take a user out of a team. One who is not in it is an error: a misspelt name must not look like a closed door.
pub(super) fn remove_member(
    connection: &Connection,
    team_reference: &str,
    user_reference: &str,
) -> Result<(Team, User), StoreError> {
    let (found, member) = (team(connection, team_reference)?, user(connection, user_reference)?);
    let removed = connection
        .execute(
            "DELETE FROM _team_members WHERE team_uid = ?1 AND user_uid = ?2",
            params![found.uid, member.uid],
        )
        .map_err(failed(STORING))?;
    if removed == 0 {
        return Err(not_found("member", &format!("{} of {}", member.username, found.name)));
    }
    Ok((team(connection, &found.uid)?, member))
}
