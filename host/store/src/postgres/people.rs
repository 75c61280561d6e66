//! Users and teams.

use datanode_core::Timestamp;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use super::stored::failed;
use crate::catalogue::access::{self as rules, RawTeam, RawUser, not_found, number};
use crate::{NewTeam, NewUser, StoreError, Team, User};

const READING: &str = "reading users and teams";
const STORING: &str = "storing users and teams";

/// What is read of a user, of the table `u`, and of a team, of the table `t`; statements begin so.
macro_rules! users {
    ($condition:literal) => {
        concat!(
            "SELECT u.id, u.uid, u.username, u.first_name, u.last_name, u.email, u.phone, u.enabled, u.created_at \
             FROM datanode.users u ",
            $condition
        )
    };
}
macro_rules! teams {
    ($condition:literal) => {
        concat!(
            "SELECT t.id, t.uid, t.name, t.description, \
             (SELECT count(*) FROM datanode.team_members m WHERE m.team_uid = t.uid), t.created_at \
             FROM datanode.teams t ",
            $condition
        )
    };
}
pub(super) use {teams, users};

/// The users that a query answers.
pub(super) async fn select_users(
    connection: &mut PgConnection,
    query: QueryAs<'_, Postgres, RawUser, PgArguments>,
) -> Result<Vec<User>, StoreError> {
    let rows = query.fetch_all(connection).await.map_err(failed(READING))?;
    rows.into_iter().map(rules::user).collect()
}

/// The teams that a query answers.
pub(super) async fn select_teams(
    connection: &mut PgConnection,
    query: QueryAs<'_, Postgres, RawTeam, PgArguments>,
) -> Result<Vec<Team>, StoreError> {
    let rows = query.fetch_all(connection).await.map_err(failed(READING))?;
    rows.into_iter().map(rules::team).collect()
}

/// All users, by username.
pub(super) async fn all_users(connection: &mut PgConnection) -> Result<Vec<User>, StoreError> {
    select_users(connection, sqlx::query_as(users!("ORDER BY u.username"))).await
}

/// All teams, by name.
pub(super) async fn all_teams(connection: &mut PgConnection) -> Result<Vec<Team>, StoreError> {
    select_teams(connection, sqlx::query_as(teams!("ORDER BY t.name"))).await
}

/// A user by username, uid or number.
pub(super) async fn user(connection: &mut PgConnection, reference: &str) -> Result<User, StoreError> {
    let query = sqlx::query_as(users!("WHERE u.username = $1 OR u.uid = $1 OR u.id = $2"));
    let found = select_users(connection, query.bind(reference).bind(number(reference))).await?.pop();
    found.ok_or_else(|| not_found("user", reference))
}

/// A team by name, uid or number.
pub(super) async fn team(connection: &mut PgConnection, reference: &str) -> Result<Team, StoreError> {
    let query = sqlx::query_as(teams!("WHERE t.name = $1 OR t.uid = $1 OR t.id = $2"));
    let found = select_teams(connection, query.bind(reference).bind(number(reference))).await?.pop();
    found.ok_or_else(|| not_found("team", reference))
}

/// The users of a team.
pub(super) async fn members(connection: &mut PgConnection, reference: &str) -> Result<Vec<User>, StoreError> {
    let team = team(connection, reference).await?;
    let query = sqlx::query_as(users!(
        "JOIN datanode.team_members m ON m.user_uid = u.uid WHERE m.team_uid = $1 ORDER BY u.username"
    ));
    select_users(connection, query.bind(team.uid)).await
}

/// The teams of a user, by name.
pub(super) async fn teams_of(connection: &mut PgConnection, user_uid: &str) -> Result<Vec<Team>, StoreError> {
    let query = sqlx::query_as(teams!(
        "JOIN datanode.team_members m ON m.team_uid = t.uid WHERE m.user_uid = $1 ORDER BY t.name"
    ));
    select_teams(connection, query.bind(user_uid)).await
}

/// Create a user.
pub(super) async fn create_user(
    connection: &mut PgConnection,
    new: &NewUser,
    now: Timestamp,
) -> Result<User, StoreError> {
    rules::check_user(new)?;
    let same = sqlx::query_as(users!("WHERE u.username = $1")).bind(&new.username);
    if !select_users(connection, same).await?.is_empty() {
        return Err(StoreError::NameTaken { kind: "user", name: new.username.clone() });
    }
    let uid = Uuid::new_v4().to_string();
    sqlx::query(
        "INSERT INTO datanode.users (uid, username, first_name, last_name, email, phone, enabled, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, true, $7)",
    )
    .bind(&uid)
    .bind(&new.username)
    .bind(&new.first_name)
    .bind(&new.last_name)
    .bind(&new.email)
    .bind(&new.phone)
    .bind(now.micros())
    .execute(&mut *connection)
    .await
    .map_err(failed(STORING))?;
    user(connection, &uid).await
}

/// Let the tokens of a user be accepted, or not any more; whether that is new.
pub(super) async fn enable_user(
    connection: &mut PgConnection,
    reference: &str,
    enabled: bool,
) -> Result<(User, bool), StoreError> {
    let found = user(connection, reference).await?;
    let changed = found.enabled != enabled;
    if changed {
        sqlx::query("UPDATE datanode.users SET enabled = $2 WHERE uid = $1")
            .bind(&found.uid)
            .bind(enabled)
            .execute(connection)
            .await
            .map_err(failed(STORING))?;
    }
    Ok((User { enabled, ..found }, changed))
}

/// Create a team.
pub(super) async fn create_team(
    connection: &mut PgConnection,
    new: &NewTeam,
    now: Timestamp,
) -> Result<Team, StoreError> {
    rules::check_team(new)?;
    let same = sqlx::query_as(teams!("WHERE t.name = $1")).bind(&new.name);
    if !select_teams(connection, same).await?.is_empty() {
        return Err(StoreError::NameTaken { kind: "team", name: new.name.clone() });
    }
    let uid = Uuid::new_v4().to_string();
    sqlx::query("INSERT INTO datanode.teams (uid, name, description, created_at) VALUES ($1, $2, $3, $4)")
        .bind(&uid)
        .bind(&new.name)
        .bind(&new.description)
        .bind(now.micros())
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
    team(connection, &uid).await
}

/// Take a user into a team; whether that is new.
pub(super) async fn add_member(
    connection: &mut PgConnection,
    team_reference: &str,
    user_reference: &str,
    now: Timestamp,
) -> Result<(Team, User, bool), StoreError> {
    let found = team(connection, team_reference).await?;
    let member = user(connection, user_reference).await?;
    let added = sqlx::query(
        "INSERT INTO datanode.team_members (team_uid, user_uid, added_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(&found.uid)
    .bind(&member.uid)
    .bind(now.micros())
    .execute(&mut *connection)
    .await
    .map_err(failed(STORING))?;
    Ok((team(connection, &found.uid).await?, member, added.rows_affected() > 0))
}

/// Take a user out of a team. One who is not in it is an error: a misspelt name must not look like a closed door.
pub(super) async fn remove_member(
    connection: &mut PgConnection,
    team_reference: &str,
    user_reference: &str,
) -> Result<(Team, User), StoreError> {
    let found = team(connection, team_reference).await?;
    let member = user(connection, user_reference).await?;
    let removed = sqlx::query("DELETE FROM datanode.team_members WHERE team_uid = $1 AND user_uid = $2")
        .bind(&found.uid)
        .bind(&member.uid)
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
    if removed.rows_affected() == 0 {
        return Err(not_found("member", &format!("{} of {}", member.username, found.name)));
    }
    Ok((team(connection, &found.uid).await?, member))
}
