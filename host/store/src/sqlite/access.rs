//! People and the audit log: the traits, each change with its entry in one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::{Actor, Principal, Role, Subject, TokenText};
use rusqlite::Connection;

use super::{SqliteStore, audit, connection, people, roles, tokens};
use crate::catalogue::access::{Noted, authenticated, is_to_be_noted};
use crate::catalogue::audit as entries;
use crate::{
    Access, Audit, AuditFilter, AuditPage, CreatedToken, HeldRole, Member, NewAudit, NewTeam, NewToken,
    NewUser, RoleFilter, ShareLevel, Sharing, StoreError, Team, Token, User,
};

const PEOPLE: &str = "storing users and teams";
const ROLES: &str = "storing roles";
const READING_PEOPLE: &str = "reading users and teams";
const READING_ROLES: &str = "reading roles";

#[async_trait]
impl Access for SqliteStore {
    async fn create_user_with(
        &self,
        new: &NewUser,
        role: Option<Role>,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let (new, actor) = (new.clone(), Arc::clone(&self.actor));
        self.write(PEOPLE, move |connection| {
            let user = people::create_user(connection, &new, now)?;
            audit::record(connection, &actor, &entries::of_user("user.create", &user))?;
            if let Some(role) = role {
                let (on, member) = (Subject::Organisation, Member::User(user.uid.clone()));
                let (name, whose) = roles::names(connection, &on, &member)?;
                roles::grant(connection, &on, &member, role, now)?;
                let entry = entries::role_changed("role.grant", &on, &name, (&member, &whose), &[role]);
                entry.map_or(Ok(()), |entry| audit::record(connection, &actor, &entry))?;
            }
            Ok(user)
        })
        .await
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(READING_PEOPLE, |connection| people::select_users(connection, "", ())).await
    }

    async fn user(&self, reference: &str) -> Result<User, StoreError> {
        let reference = reference.to_owned();
        self.read(READING_PEOPLE, move |connection| people::user(connection, &reference)).await
    }

    async fn enable_user(&self, reference: &str, enabled: bool) -> Result<User, StoreError> {
        let reference = reference.to_owned();
        let work = move |connection: &Connection| people::enable_user(connection, &reference, enabled);
        let (user, _) =
            self.change(PEOPLE, work, |(user, changed)| entries::user_enabled(*changed, user)).await?;
        Ok(user)
    }

    async fn create_team(&self, new: &NewTeam, now: Timestamp) -> Result<Team, StoreError> {
        let new = new.clone();
        let work = move |connection: &Connection| people::create_team(connection, &new, now);
        self.change(PEOPLE, work, entries::team_created).await
    }

    async fn teams(&self) -> Result<Vec<Team>, StoreError> {
        self.read(READING_PEOPLE, |connection| people::select_teams(connection, "", ())).await
    }

    async fn team(&self, reference: &str) -> Result<Team, StoreError> {
        let reference = reference.to_owned();
        self.read(READING_PEOPLE, move |connection| people::team(connection, &reference)).await
    }

    async fn team_members(&self, reference: &str) -> Result<Vec<User>, StoreError> {
        let reference = reference.to_owned();
        self.read(READING_PEOPLE, move |connection| people::members(connection, &reference)).await
    }

    async fn teams_of(&self, user_uid: &str) -> Result<Vec<Team>, StoreError> {
        let uid = user_uid.to_owned();
        let condition = "JOIN _team_members m ON m.team_uid = t.uid WHERE m.user_uid = ?1";
        self.read(READING_PEOPLE, move |connection| people::select_teams(connection, condition, [uid])).await
    }

    async fn add_team_members(
        &self,
        team: &str,
        users: &[String],
        now: Timestamp,
    ) -> Result<Team, StoreError> {
        let (team, users, actor) = (team.to_owned(), users.to_vec(), Arc::clone(&self.actor));
        self.write(PEOPLE, move |connection| {
            let mut team = people::team(connection, &team)?;
            for user in &users {
                let (after, user, added) = people::add_member(connection, &team.uid, user, now)?;
                if let Some(entry) = entries::member_changed("team.add", added, &after, &user) {
                    audit::record(connection, &actor, &entry)?;
                }
                team = after;
            }
            Ok(team)
        })
        .await
    }

    async fn remove_team_members(&self, team: &str, users: &[String]) -> Result<Team, StoreError> {
        let (team, users, actor) = (team.to_owned(), users.to_vec(), Arc::clone(&self.actor));
        self.write(PEOPLE, move |connection| {
            let mut team = people::team(connection, &team)?;
            for user in &users {
                let (after, user) = people::remove_member(connection, &team.uid, user)?;
                if let Some(entry) = entries::member_changed("team.remove", true, &after, &user) {
                    audit::record(connection, &actor, &entry)?;
                }
                team = after;
            }
            Ok(team)
        })
        .await
    }

    async fn grant_role(
        &self,
        subject: &Subject,
        member: &Member,
        role: Role,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (subject, member) = (subject.clone(), member.clone());
        self.granting(subject, member, role, now, |_| Ok(())).await.map(|(granted, ())| granted)
    }

    async fn revoke_role(
        &self,
        subject: &Subject,
        member: &Member,
        role: Option<Role>,
    ) -> Result<Vec<Role>, StoreError> {
        let (subject, member) = (subject.clone(), member.clone());
        let taken = self.taking(
            subject,
            member,
            |_| Ok(()),
            move |connection, subject, member| roles::revoke(connection, subject, member, role),
        );
        taken.await.map(|(taken, ())| taken)
    }

    async fn roles(&self, filter: &RoleFilter) -> Result<Vec<HeldRole>, StoreError> {
        let filter = filter.clone();
        self.read(READING_ROLES, move |connection| roles::list(connection, &filter)).await
    }

    async fn set_table_owner(&self, table_uid: &str, user: Option<&str>) -> Result<(), StoreError> {
        let (uid, user) = (table_uid.to_owned(), user.map(ToOwned::to_owned));
        let work = move |connection: &Connection| roles::set_owner(connection, &uid, user.as_deref());
        self.change("giving a table to a user", work, |(table, owner, changed)| {
            entries::table_owned(*changed, table, owner.as_ref())
        })
        .await
        .map(|_| ())
    }

    async fn table_sharing(&self, table_uid: &str, level: ShareLevel) -> Result<Sharing, StoreError> {
        let uid = table_uid.to_owned();
        self.read(READING_ROLES, move |connection| roles::sharing(connection, &uid, level)).await
    }

    async fn share_table(
        &self,
        table_uid: &str,
        member: &Member,
        level: ShareLevel,
        now: Timestamp,
    ) -> Result<Sharing, StoreError> {
        let (uid, subject) = (table_uid.to_owned(), Subject::Table(table_uid.to_owned()));
        let then = move |connection: &Connection| roles::sharing(connection, &uid, level);
        let shared = self.granting(subject, member.clone(), level.role(), now, then);
        shared.await.map(|(_, sharing)| sharing)
    }

    async fn unshare_table(
        &self,
        table_uid: &str,
        member: &Member,
        level: ShareLevel,
    ) -> Result<Sharing, StoreError> {
        let (uid, subject) = (table_uid.to_owned(), Subject::Table(table_uid.to_owned()));
        let then = move |connection: &Connection| roles::sharing(connection, &uid, level);
        // Who may not see it may not edit it, either.
        let taken = self.taking(subject, member.clone(), then, move |connection, subject, member| {
            roles::take(connection, subject, member, crate::catalogue::access::counted(level))
        });
        taken.await.map(|(_, sharing)| sharing)
    }

    async fn create_token(&self, new: &NewToken, now: Timestamp) -> Result<CreatedToken, StoreError> {
        let (new, actor) = (new.clone(), Arc::clone(&self.actor));
        let work = move |connection: &Connection| tokens::create(connection, &actor, &new, now);
        self.change("storing a token", work, |created| entries::token_created(&created.token)).await
    }

    async fn tokens(&self, user: Option<&str>) -> Result<Vec<Token>, StoreError> {
        let user = user.map(ToOwned::to_owned);
        self.read("reading tokens", move |connection| tokens::list(connection, user.as_deref())).await
    }

    async fn token(&self, id: &str) -> Result<Token, StoreError> {
        let id = id.to_owned();
        self.read("reading tokens", move |connection| tokens::by_id(connection, &id)).await
    }

    async fn revoke_token(&self, id: &str, now: Timestamp) -> Result<Token, StoreError> {
        let id = id.to_owned();
        let work = move |connection: &Connection| tokens::revoke(connection, &id, now);
        let (token, _) = self
            .change("storing a token", work, |(token, revoked)| entries::token_revoked(*revoked, token))
            .await?;
        Ok(token)
    }

    async fn has_tokens(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.read_tokens(move |connection| tokens::is_any(connection, now)).await
    }

    async fn authenticate(&self, text: &str, now: Timestamp) -> Result<Principal, StoreError> {
        let text = TokenText::parse(text).map_err(|_| StoreError::TokenRefused)?;
        let (text, known) = self
            .read_tokens(move |connection| {
                let known = tokens::known(connection, &text)?;
                Ok((text, known))
            })
            .await?;
        let noted = known.as_ref().is_some_and(|known| is_to_be_noted(&known.token, now));
        let principal = authenticated(&text, known, now)?;
        if let Some(noted) = noted.then(|| self.pools.noting.begin(text.id())).flatten() {
            self.note_use(noted, now);
        }
        Ok(principal)
    }
}

impl SqliteStore {
    /// Look tokens up, beside all other reads: every request begins with that.
    async fn read_tokens<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        connection::read(&self.pools.tokens, "reading tokens", work).await
    }

    /// Note that a token was used. Nobody waits for it: a commit of many rows may have the lock, and when the process ends
    /// first, a moment is missing that is kept to the hour.
    fn note_use(&self, noted: Noted, now: Timestamp) {
        let store = self.clone();
        tokio::spawn(async move {
            let noting = store.write_until_power_is_lost("storing a token", move |connection| {
                tokens::note(connection, &noted.id, now)
            });
            let _ = noting.await;
        });
    }

    /// Give a role, look at what is there then, and write it down where it is new.
    async fn granting<T: Send + 'static>(
        &self,
        subject: Subject,
        member: Member,
        role: Role,
        now: Timestamp,
        then: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(bool, T), StoreError> {
        let (on, whose) = (subject.clone(), member.clone());
        let work = move |connection: &Connection| {
            let names = roles::names(connection, &on, &whose)?;
            let granted = roles::grant(connection, &on, &whose, role, now)?;
            Ok((granted, names, then(connection)?))
        };
        let told = move |(granted, (name, whose), _): &(bool, (String, String), T)| {
            let roles: &[Role] = if *granted { &[role] } else { &[] };
            entries::role_changed("role.grant", &subject, name, (&member, whose), roles)
        };
        self.change(ROLES, work, told).await.map(|(granted, _, answer)| (granted, answer))
    }

    /// Take roles back, look at what is there then, and write it down where some were there.
    async fn taking<T: Send + 'static>(
        &self,
        subject: Subject,
        member: Member,
        then: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        take: impl FnOnce(&Connection, &Subject, &Member) -> Result<Vec<Role>, StoreError> + Send + 'static,
    ) -> Result<(Vec<Role>, T), StoreError> {
        let (on, whose) = (subject.clone(), member.clone());
        let work = move |connection: &Connection| {
            let names = roles::names(connection, &on, &whose)?;
            let taken = take(connection, &on, &whose)?;
            Ok((taken, names, then(connection)?))
        };
        let told = move |(taken, (name, whose), _): &(Vec<Role>, (String, String), T)| {
            entries::role_changed("role.revoke", &subject, name, (&member, whose), taken)
        };
        self.change(ROLES, work, told).await.map(|(taken, _, answer)| (taken, answer))
    }
}

#[async_trait]
impl Audit for SqliteStore {
    fn actor(&self) -> &Actor {
        &self.actor
    }

    async fn audit(&self, entry: &NewAudit) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.change("writing the audit log", |_| Ok(()), move |()| Some(entry)).await
    }

    async fn audit_log(&self, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
        let filter = filter.clone();
        self.read("reading the audit log", move |connection| audit::list(connection, &filter)).await
    }
}
