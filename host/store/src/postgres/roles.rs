//! Roles, shares of tables, and whose tables are.

use datanode_core::Timestamp;
use datanode_core::access::{Role, Subject};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::people::{self, teams, users};
use super::stored::failed;
use super::tables;
use crate::catalogue::access::{self as rules, RawRole, not_found};
use crate::{HeldRole, Member, RoleFilter, ShareLevel, Sharing, StoreError, Table, User};

const READING: &str = "reading roles";
const STORING: &str = "storing roles";

/// What people call a subject and a member, both of which must be there.
pub(super) async fn names(
    connection: &mut PgConnection,
    subject: &Subject,
    member: &Member,
) -> Result<(String, String), StoreError> {
    let name = match subject {
        Subject::Organisation => "organisation".to_owned(),
        Subject::Namespace(name) => {
            rules::check_namespace(name)?;
            name.clone()
        }
        Subject::Table(uid) => tables::by_uid(connection, uid).await?.contract.identifier,
    };
    let member = match member {
        Member::User(uid) => people::user(connection, uid).await?.username,
        Member::Team(uid) => people::team(connection, uid).await?.name,
    };
    Ok((name, member))
}

/// Give somebody a role; whether that is new.
pub(super) async fn grant(
    connection: &mut PgConnection,
    subject: &Subject,
    member: &Member,
    role: Role,
    now: Timestamp,
) -> Result<bool, StoreError> {
    sqlx::query(
        "INSERT INTO datanode.roles (subject_kind, subject, member_kind, member_uid, role, granted_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(subject.kind())
    .bind(subject.name())
    .bind(member.kind())
    .bind(member.uid())
    .bind(role.as_str())
    .bind(now.micros())
    .execute(connection)
    .await
    .map(|granted| granted.rows_affected() > 0)
    .map_err(failed(STORING))
}

/// Take roles back, of these; those that were there.
pub(super) async fn take(
    connection: &mut PgConnection,
    subject: &Subject,
    member: &Member,
    roles: &[Role],
) -> Result<Vec<Role>, StoreError> {
    let mut taken = Vec::new();
    for role in roles {
        let removed = sqlx::query(
            "DELETE FROM datanode.roles WHERE subject_kind = $1 AND subject = $2 AND member_kind = $3 \
             AND member_uid = $4 AND role = $5",
        )
        .bind(subject.kind())
        .bind(subject.name())
        .bind(member.kind())
        .bind(member.uid())
        .bind(role.as_str())
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
        if removed.rows_affected() > 0 {
            taken.push(*role);
        }
    }
    Ok(taken)
}

/// The same; none that is there is an error.
pub(super) async fn revoke(
    connection: &mut PgConnection,
    subject: &Subject,
    member: &Member,
    role: Option<Role>,
) -> Result<Vec<Role>, StoreError> {
    let one = role.map(|role| [role]);
    let asked = one.as_ref().map_or(Role::ALL.as_slice(), |one| one.as_slice());
    let taken = take(connection, subject, member, asked).await?;
    if taken.is_empty() {
        let (name, member) = names(connection, subject, member).await?;
        let role = role.map(|role| format!("{role} ")).unwrap_or_default();
        return Err(not_found("role", &format!("{role}of {member} on {name}")));
    }
    Ok(taken)
}

/// Roles, by subject, member and role.
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &RoleFilter,
) -> Result<Vec<HeldRole>, StoreError> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
        "SELECT r.subject_kind, r.subject, r.member_kind, r.member_uid, r.role, r.granted_at, t.identifier, \
         coalesce(u.username, m.name) FROM datanode.roles r \
         LEFT JOIN datanode.tables t ON r.subject_kind = 'table' AND t.uid = r.subject \
         LEFT JOIN datanode.users u ON r.member_kind = 'user' AND u.uid = r.member_uid \
         LEFT JOIN datanode.teams m ON r.member_kind = 'team' AND m.uid = r.member_uid WHERE true",
    );
    if let Some(subject) = &filter.subject {
        query.push(" AND r.subject_kind = ").push_bind(subject.kind());
        query.push(" AND r.subject = ").push_bind(subject.name());
    }
    if let Some(member) = &filter.member {
        query.push(" AND r.member_kind = ").push_bind(member.kind());
        query.push(" AND r.member_uid = ").push_bind(member.uid());
    }
    let rows: Vec<RawRole> = query.build_query_as().fetch_all(connection).await.map_err(failed(READING))?;
    let roles = rows.into_iter().map(rules::held_role).collect::<Result<Vec<_>, _>>()?;
    Ok(rules::in_order(roles))
}

/// Give a table to a user, or to nobody; the table before, the user, and whether that is new.
pub(super) async fn set_owner(
    connection: &mut PgConnection,
    table_uid: &str,
    user: Option<&str>,
) -> Result<(Table, Option<User>, bool), StoreError> {
    let table = tables::by_uid(connection, table_uid).await?;
    let owner = match user {
        Some(user) => Some(people::user(connection, user).await?),
        None => None,
    };
    let uid = owner.as_ref().map(|user| user.uid.as_str());
    let changed = table.owner.as_deref() != uid;
    if changed {
        sqlx::query("UPDATE datanode.tables SET owner = $2 WHERE uid = $1")
            .bind(&table.uid)
            .bind(uid)
            .execute(connection)
            .await
            .map_err(failed("giving a table to a user"))?;
    }
    Ok((table, owner, changed))
}

/// With whom a table is shared.
pub(super) async fn sharing(
    connection: &mut PgConnection,
    table_uid: &str,
    level: ShareLevel,
) -> Result<Sharing, StoreError> {
    tables::by_uid(connection, table_uid).await?;
    let roles: Vec<&str> = rules::counted(level).iter().map(|role| role.as_str()).collect();
    let users = sqlx::query_as(users!(
        "WHERE u.uid = (SELECT owner FROM datanode.tables WHERE uid = $1) OR u.uid IN (SELECT member_uid \
         FROM datanode.roles WHERE subject_kind = 'table' AND subject = $1 AND member_kind = 'user' \
         AND role = ANY ($2)) ORDER BY u.username"
    ));
    let users = people::select_users(connection, users.bind(table_uid).bind(&roles)).await?;
    let teams = sqlx::query_as(teams!(
        "WHERE t.uid IN (SELECT member_uid FROM datanode.roles WHERE subject_kind = 'table' AND subject = $1 \
         AND member_kind = 'team' AND role = ANY ($2)) ORDER BY t.name"
    ));
    let teams = people::select_teams(connection, teams.bind(table_uid).bind(&roles)).await?;
    Ok(rules::sharing(table_uid, users, teams))
}
