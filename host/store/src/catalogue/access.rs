//! People, tokens and roles: from rows of the catalogue, and what every database checks before it writes them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use datanode_core::Timestamp;
use datanode_core::access::{
    PeopleError, Principal, Right, Rights, Role, SALT_BYTES, SECRET_BYTES, Subject, TOKEN_ID_BYTES,
    TokenHash, TokenText, UserRef, check_email, check_per_minute, check_team_name, check_text,
    check_username,
};

use super::stored::{count, damaged, timestamp};
use crate::{HeldRole, Member, NewTeam, NewToken, NewUser, Sharing, StoreError, Team, Token, User};

/// How long a use of a token is not noted after one that was, in microseconds: one write in an hour, not one per request.
const NOTED_FOR_US: i64 = 3_600_000_000;

/// Id, uid, username, first and last name, email, phone, whether enabled, time of creation.
pub(crate) type RawUser = (i64, String, String, String, String, String, String, bool, i64);
/// Id, uid, name, description, members, time of creation.
pub(crate) type RawTeam = (i64, String, String, String, i64, i64);
/// Id, name, rights, requests in a minute; creation, end, revocation, last use; uid, id and name of the user.
pub(crate) type RawToken =
    (String, String, String, Option<i64>, i64, Option<i64>, Option<i64>, Option<i64>, String, i64, String);
/// Kind and name of the subject, kind and uid of the member, role, since when, identifier of the table, name of the member.
pub(crate) type RawRole = (String, String, String, String, String, i64, Option<String>, Option<String>);

pub(crate) fn user(raw: RawUser) -> Result<User, StoreError> {
    let (id, uid, username, first_name, last_name, email, phone, enabled, created_at) = raw;
    let created_at = timestamp(&format!("user {uid}"), created_at)?;
    Ok(User { uid, id, username, first_name, last_name, email, phone, enabled, created_at })
}

pub(crate) fn team((id, uid, name, description, members, created_at): RawTeam) -> Result<Team, StoreError> {
    let place = format!("team {uid}");
    let (member_count, created_at) = (count(&place, members)?, timestamp(&place, created_at)?);
    Ok(Team { uid, id, name, description, member_count, created_at })
}

pub(crate) fn token(raw: RawToken) -> Result<Token, StoreError> {
    let (
        id,
        name,
        rights,
        per_minute,
        created_at,
        expires_at,
        revoked_at,
        last_used_at,
        uid,
        user_id,
        username,
    ) = raw;
    let place = format!("token {id}");
    let moment = |micros: Option<i64>| micros.map(|micros| timestamp(&place, micros)).transpose();
    Ok(Token {
        name,
        user: UserRef { uid, id: user_id, username },
        rights: rights.parse().map_err(damaged(&place))?,
        per_minute: per_minute.map(u32::try_from).transpose().map_err(damaged(&place))?,
        created_at: timestamp(&place, created_at)?,
        expires_at: moment(expires_at)?,
        revoked_at: moment(revoked_at)?,
        last_used_at: moment(last_used_at)?,
        id,
    })
}

pub(crate) fn held_role(raw: RawRole) -> Result<HeldRole, StoreError> {
    let (subject_kind, subject, member_kind, member_uid, role, granted_at, table, member_name) = raw;
    let place = format!("role on {subject_kind} {subject}");
    Ok(HeldRole {
        subject: self::subject(&subject_kind, subject)?,
        table,
        member_name: member_name.unwrap_or_else(|| member_uid.clone()),
        member: member(&member_kind, member_uid)?,
        role: role.parse().map_err(damaged(&place))?,
        granted_at: timestamp(&place, granted_at)?,
    })
}

pub(crate) fn subject(kind: &str, name: String) -> Result<Subject, StoreError> {
    match kind {
        "organisation" => Ok(Subject::Organisation),
        "namespace" => Ok(Subject::Namespace(name)),
        "table" => Ok(Subject::Table(name)),
        _ => Err(StoreError::Damaged(format!("a role is held on `{kind}` {name}"))),
    }
}

fn member(kind: &str, uid: String) -> Result<Member, StoreError> {
    match kind {
        "user" => Ok(Member::User(uid)),
        "team" => Ok(Member::Team(uid)),
        _ => Err(StoreError::Damaged(format!("a role is held by `{kind}` {uid}"))),
    }
}

/// A reference as the number that it may be; no user or team has the number -1.
pub(crate) fn number(reference: &str) -> i64 {
    let is_number = !reference.is_empty() && reference.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { reference.parse().unwrap_or(-1) } else { -1 }
}

pub(crate) fn not_found(kind: &'static str, reference: &str) -> StoreError {
    StoreError::NotFound { kind, reference: reference.to_owned() }
}

pub(crate) fn check_user(new: &NewUser) -> Result<(), StoreError> {
    let check = || {
        check_username(&new.username)?;
        check_text("first name", &new.first_name)?;
        check_text("last name", &new.last_name)?;
        check_email(&new.email)?;
        check_text("phone number", &new.phone)
    };
    check().map_err(StoreError::People)
}

pub(crate) fn check_team(new: &NewTeam) -> Result<(), StoreError> {
    check_team_name(&new.name)
        .and_then(|()| check_text("description", &new.description))
        .map_err(StoreError::People)
}

pub(crate) fn check_token(new: &NewToken, user: &User) -> Result<(), StoreError> {
    check_text("token name", &new.name).map_err(StoreError::People)?;
    new.per_minute.map_or(Ok(()), check_per_minute).map_err(StoreError::People)?;
    if new.rights.is_empty() {
        return Err(StoreError::People(PeopleError {
            what: "set of rights",
            text: String::new(),
            reason: "a token without a right is good for nothing",
        }));
    }
    if !user.enabled {
        return Err(StoreError::UserDisabled { username: user.username.clone() });
    }
    Ok(())
}

/// A new token, of the system's random bytes, and what is kept of it.
pub(crate) fn random_token() -> Result<(TokenText, TokenHash), StoreError> {
    let (mut id, mut secret, mut salt) = ([0; TOKEN_ID_BYTES], [0; SECRET_BYTES], [0; SALT_BYTES]);
    for bytes in [id.as_mut_slice(), secret.as_mut_slice(), salt.as_mut_slice()] {
        getrandom::fill(bytes).map_err(|error| StoreError::Database {
            doing: "asking the system for random bytes",
            source: sqlx::Error::Io(std::io::Error::other(error.to_string())),
        })?;
    }
    let text = TokenText::new(id, secret);
    let hash = text.hash(salt);
    Ok((text, hash))
}

/// What the catalogue knows of the token of a request.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) token: Token,
    pub(crate) hash: String,
    pub(crate) user_enabled: bool,
    pub(crate) roles: Vec<(Subject, Role)>,
}

/// Who comes with a token; `known` is what the catalogue has under its id. Whatever is wrong with it, the answer is the
/// same, and the secret was compared.
pub(crate) fn authenticated(
    text: &TokenText,
    known: Option<Known>,
    now: Timestamp,
) -> Result<Principal, StoreError> {
    let kept = known.as_ref().map(|known| {
        let place = format!("token {}", known.token.id);
        TokenHash::from_text(&known.hash).ok_or_else(|| damaged(&place)("its hash cannot be read"))
    });
    let hash = kept.transpose()?.unwrap_or(TokenHash::NOTHING);
    let is_of = hash.is_of(text);
    match known {
        Some(known) if is_of && known.user_enabled && known.token.state(now) == "active" => Ok(Principal {
            user: Some(known.token.user),
            token: Some(known.token.id),
            rights: known.token.rights,
            roles: known.roles,
            per_minute: known.token.per_minute,
        }),
        _ => Err(StoreError::TokenRefused),
    }
}

/// Whether a use at this moment is to be noted.
pub(crate) fn is_to_be_noted(token: &Token, now: Timestamp) -> bool {
    token.last_used_at.is_none_or(|last| now.micros().saturating_sub(last.micros()) >= NOTED_FOR_US)
}

/// Tokens whose use is being noted: each once at a time. A writer may be waited for, and requests come meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noting(Arc<Mutex<HashSet<String>>>);

impl Noting {
    /// Begin to note the use of a token; None where somebody does so already.
    pub(crate) fn begin(&self, id: &str) -> Option<Noted> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        is_new.then(|| Noted { id: id.to_owned(), noting: self.clone() })
    }
}

/// A use that is being noted, until this is dropped.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) id: String,
    noting: Noting,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.noting.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Refuse what is done by a token that is not accepted any more: it may have been revoked after the request had begun, and
/// a token that it makes would outlive it. `maker` is the one that it was made by, and whether its user is enabled; None:
/// it was made by nobody's token.
pub(crate) fn refuse_ended(maker: Option<&(Token, bool)>, now: Timestamp) -> Result<(), StoreError> {
    match maker {
        Some((token, enabled)) if !enabled || token.state(now) != "active" => Err(StoreError::TokenRefused),
        _ => Ok(()),
    }
}

/// Rights as they are kept.
pub(crate) fn rights_text(rights: Rights) -> String {
    rights.iter().map(Right::as_str).collect::<Vec<_>>().join(",")
}

/// A small number of a table, for clients that know objects by number. It identifies nothing here.
pub(crate) fn object_id(table_uid: &str) -> i64 {
    let digits: String = table_uid.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    i64::from(u32::from_str_radix(&digits, 16).unwrap_or_default() & 0x7fff_ffff)
}

/// With whom a table is shared, from lists that may name somebody twice.
pub(crate) fn sharing(table_uid: &str, mut users: Vec<User>, mut teams: Vec<Team>) -> Sharing {
    users.sort_by(|one, other| one.username.cmp(&other.username));
    users.dedup_by(|one, other| one.uid == other.uid);
    teams.sort_by(|one, other| one.name.cmp(&other.name));
    teams.dedup_by(|one, other| one.uid == other.uid);
    Sharing { object_id: object_id(table_uid), users, teams }
}

/// The roles that sharing on a level counts, for the database: `view` counts all.
pub(crate) fn counted(level: crate::ShareLevel) -> &'static [Role] {
    match level {
        crate::ShareLevel::View => &Role::ALL,
        crate::ShareLevel::Edit => &[Role::Editor, Role::Admin],
    }
}

/// A role of somebody, from its row.
pub(crate) fn role(kind: &str, subject: String, role: &str) -> Result<(Subject, Role), StoreError> {
    let subject = self::subject(kind, subject)?;
    let role = role.parse().map_err(damaged(&format!("role on {subject}")))?;
    Ok((subject, role))
}

/// Refuse what no contract could have for a namespace.
pub(crate) fn check_namespace(namespace: &str) -> Result<(), StoreError> {
    let checked = datanode_core::name::check_namespace("namespace", namespace);
    checked.map_err(|error| {
        StoreError::People(PeopleError { what: error.what, text: error.name, reason: error.reason })
    })
}

/// Roles by what they are held on, then by name of who holds them, the highest first.
pub(crate) fn in_order(mut roles: Vec<HeldRole>) -> Vec<HeldRole> {
    roles.sort_by(|one, other| {
        let on = |role: &HeldRole| match (&role.subject, &role.table) {
            (Subject::Table(_), Some(table)) => Subject::Table(table.clone()),
            (subject, _) => subject.clone(),
        };
        (on(one), &one.member_name, &one.member, other.role).cmp(&(
            on(other),
            &other.member_name,
            &other.member,
            one.role,
        ))
    });
    roles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_a_token_is_noted_once_at_a_time() {
        let noting = Noting::default();
        let first = noting.begin("a").unwrap();
        assert!(noting.begin("a").is_none() && noting.begin("b").is_some());
        drop(first);
        assert!(noting.begin("a").is_some());
    }
}
