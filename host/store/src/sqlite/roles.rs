//! Roles, shares of tables, and whose tables are.

use datanode_core::Timestamp;
use datanode_core::access::{Role, Subject};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::stored::{change, failed};
use super::{people, tables};
use crate::catalogue::access::{self as rules, not_found};
use crate::{HeldRole, Member, RoleFilter, ShareLevel, Sharing, StoreError, Table, User};

const READING: &str = "reading roles";
const STORING: &str = "storing roles";

/// What people call a subject and a member, both of which must be there.
pub(super) fn names(
    connection: &Connection,
    subject: &Subject,
    member: &Member,
) -> Result<(String, String), StoreError> {
    let name = match subject {
        Subject::Organisation => "organisation".to_owned(),
        Subject::Namespace(name) => {
            rules::check_namespace(name)?;
            name.clone()
        }
        Subject::Table(uid) => tables::by_uid(connection, uid)?.contract.identifier,
    };
    let member = match member {
        Member::User(uid) => people::user(connection, uid)?.username,
        Member::Team(uid) => people::team(connection, uid)?.name,
    };
    Ok((name, member))
}

/// Give somebody a role; whether that is new.
pub(super) fn grant(
    connection: &Connection,
    subject: &Subject,
    member: &Member,
    role: Role,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let values =
        params![subject.kind(), subject.name(), member.kind(), member.uid(), role.as_str(), now.micros(),];
    let sql = "INSERT INTO _roles (subject_kind, subject, member_kind, member_uid, role, granted_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    change(connection, sql, values).map(|granted| granted > 0).map_err(failed(STORING))
}

/// Take roles back, of these; those that were there.
pub(super) fn take(
    connection: &Connection,
    subject: &Subject,
    member: &Member,
    roles: &[Role],
) -> Result<Vec<Role>, StoreError> {
    let mut taken = Vec::new();
    for role in roles {
        let values = params![subject.kind(), subject.name(), member.kind(), member.uid(), role.as_str()];
        let sql = "DELETE FROM _roles WHERE subject_kind = ?1 AND subject = ?2 AND member_kind = ?3 \
                   AND member_uid = ?4 AND role = ?5";
        if change(connection, sql, values).map_err(failed(STORING))? > 0 {
            taken.push(*role);
        }
    }
    Ok(taken)
}

/// The same; none that is there is an error.
pub(super) fn revoke(
    connection: &Connection,
    subject: &Subject,
    member: &Member,
    role: Option<Role>,
) -> Result<Vec<Role>, StoreError> {
    let one = role.map(|role| [role]);
    let taken = take(connection, subject, member, one.as_ref().map_or(&Role::ALL, |one| one.as_slice()))?;
    if taken.is_empty() {
        let (name, member) = names(connection, subject, member)?;
        let role = role.map(|role| format!("{role} ")).unwrap_or_default();
        return Err(not_found("role", &format!("{role}of {member} on {name}")));
    }
    Ok(taken)
}

/// Roles, by subject, member and role.
pub(super) fn list(connection: &Connection, filter: &RoleFilter) -> Result<Vec<HeldRole>, StoreError> {
    let failed = failed(READING);
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    if let Some(subject) = &filter.subject {
        values.extend([Value::Text(subject.kind().to_owned()), Value::Text(subject.name().to_owned())]);
        conditions.push("r.subject_kind = ? AND r.subject = ?");
    }
    if let Some(member) = &filter.member {
        values.extend([Value::Text(member.kind().to_owned()), Value::Text(member.uid().to_owned())]);
        conditions.push("r.member_kind = ? AND r.member_uid = ?");
    }
    let wanted =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let sql = format!(
        "SELECT r.subject_kind, r.subject, r.member_kind, r.member_uid, r.role, r.granted_at, t.identifier, \
         coalesce(u.username, m.name) FROM _roles r \
         LEFT JOIN _tables t ON r.subject_kind = 'table' AND t.uid = r.subject \
         LEFT JOIN _users u ON r.member_kind = 'user' AND u.uid = r.member_uid \
         LEFT JOIN _teams m ON r.member_kind = 'team' AND m.uid = r.member_uid {wanted}"
    );
    let mut statement = connection.prepare(&sql).map_err(&failed)?;
    let rows = statement
        .query_map(params_from_iter(values), |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
            ))
        })
        .map_err(&failed)?;
    let roles = rows.map(|row| rules::held_role(row.map_err(&failed)?)).collect::<Result<Vec<_>, _>>()?;
    Ok(rules::in_order(roles))
}

/// The roles of a user, by itself and by its teams.
pub(super) fn of_user(connection: &Connection, uid: &str) -> Result<Vec<(Subject, Role)>, StoreError> {
    let failed = failed(READING);
    let mut statement = connection
        .prepare_cached(
            "SELECT subject_kind, subject, role FROM _roles WHERE member_kind = 'user' AND member_uid = ?1 \
             UNION ALL SELECT r.subject_kind, r.subject, r.role FROM _team_members m \
             JOIN _roles r ON r.member_kind = 'team' AND r.member_uid = m.team_uid WHERE m.user_uid = ?1",
        )
        .map_err(&failed)?;
    let rows = statement
        .query_map([uid], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?)))
        .map_err(&failed)?;
    rows.map(|row| {
        let (kind, subject, role) = row.map_err(&failed)?;
        rules::role(&kind, subject, &role)
    })
    .collect()
}

/// Give a table to a user, or to nobody; the table before, the user, and whether that is new.
pub(super) fn set_owner(
    connection: &Connection,
    table_uid: &str,
    user: Option<&str>,
) -> Result<(Table, Option<User>, bool), StoreError> {
    let table = tables::by_uid(connection, table_uid)?;
    let owner = user.map(|user| people::user(connection, user)).transpose()?;
    let uid = owner.as_ref().map(|user| user.uid.as_str());
    let changed = table.owner.as_deref() != uid;
    if changed {
        connection
            .execute("UPDATE _tables SET owner = ?2 WHERE uid = ?1", params![table.uid, uid])
            .map_err(failed("giving a table to a user"))?;
    }
    Ok((table, owner, changed))
}

/// With whom a table is shared.
pub(super) fn sharing(
    connection: &Connection,
    table_uid: &str,
    level: ShareLevel,
) -> Result<Sharing, StoreError> {
    tables::by_uid(connection, table_uid)?;
    // The roles are words of this crate's own.
    let roles: Vec<_> = rules::counted(level).iter().map(|role| format!("'{role}'")).collect();
    let of = |kind: &str| {
        format!(
            "SELECT member_uid FROM _roles WHERE subject_kind = 'table' AND subject = ?1 \
             AND member_kind = '{kind}' AND role IN ({})",
            roles.join(", ")
        )
    };
    let users =
        format!("WHERE u.uid IN ({}) OR u.uid = (SELECT owner FROM _tables WHERE uid = ?1)", of("user"));
    let users = people::select_users(connection, &users, [table_uid])?;
    let teams = people::select_teams(connection, &format!("WHERE t.uid IN ({})", of("team")), [table_uid])?;
    Ok(rules::sharing(table_uid, users, teams))
}
