//! People and the audit log: the traits, each change with its entry in one transaction.

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::{Actor, Principal, Role, Subject, TokenText};
use sqlx::PgConnection;

use super::store::told;
use super::stored::failed;
use super::{PostgresStore, audit, people, roles, tokens};
use crate::catalogue::access::{authenticated, counted, is_to_be_noted};
use crate::catalogue::audit as entries;
use crate::{
    Access, Audit, AuditFilter, AuditPage, CreatedToken, HeldRole, Member, NewAudit, NewTeam, NewToken,
    NewUser, RoleFilter, ShareLevel, Sharing, StoreError, Team, Token, User,
};

const PEOPLE: &str = "storing users and teams";
const ROLES: &str = "storing roles";

#[async_trait]
impl Access for PostgresStore {
    async fn create_user_with(
        &self,
        new: &NewUser,
        role: Option<Role>,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        let user = people::create_user(&mut transaction, new, now).await?;
        audit::record(&mut transaction, &self.actor, &entries::of_user("user.create", &user)).await?;
        if let Some(role) = role {
            let member = Member::User(user.uid.clone());
            self.grant(&mut transaction, &Subject::Organisation, &member, role, now).await?;
        }
        transaction.commit().await.map_err(failed(PEOPLE))?;
        Ok(user)
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        people::all_users(&mut transaction).await
    }

    async fn user(&self, reference: &str) -> Result<User, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        people::user(&mut transaction, reference).await
    }

    async fn enable_user(&self, reference: &str, enabled: bool) -> Result<User, StoreError> {
        let enabled: Result<(User, bool), StoreError> = told!(
            self,
            begin_catalogue,
            PEOPLE,
            |connection| people::enable_user(connection, reference, enabled),
            |(user, changed)| entries::user_enabled(*changed, user)
        );
        enabled.map(|(user, _)| user)
    }

    async fn create_team(&self, new: &NewTeam, now: Timestamp) -> Result<Team, StoreError> {
        told!(self, begin_catalogue, PEOPLE, |connection| people::create_team(connection, new, now), |team| {
            entries::team_created(team)
        })
    }

    async fn teams(&self) -> Result<Vec<Team>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        people::all_teams(&mut transaction).await
    }

    async fn team(&self, reference: &str) -> Result<Team, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        people::team(&mut transaction, reference).await
    }

    async fn team_members(&self, reference: &str) -> Result<Vec<User>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        people::members(&mut transaction, reference).await
    }

    async fn teams_of(&self, user_uid: &str) -> Result<Vec<Team>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        people::teams_of(&mut transaction, user_uid).await
    }

    async fn add_team_members(
        &self,
        team: &str,
        users: &[String],
        now: Timestamp,
    ) -> Result<Team, StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        let mut team = people::team(&mut transaction, team).await?;
        for user in users {
            let (after, user, added) = people::add_member(&mut transaction, &team.uid, user, now).await?;
            if let Some(entry) = entries::member_changed("team.add", added, &after, &user) {
                audit::record(&mut transaction, &self.actor, &entry).await?;
            }
            team = after;
        }
        transaction.commit().await.map_err(failed(PEOPLE))?;
        Ok(team)
    }

    async fn remove_team_members(&self, team: &str, users: &[String]) -> Result<Team, StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        let mut team = people::team(&mut transaction, team).await?;
        for user in users {
            let (after, user) = people::remove_member(&mut transaction, &team.uid, user).await?;
            if let Some(entry) = entries::member_changed("team.remove", true, &after, &user) {
                audit::record(&mut transaction, &self.actor, &entry).await?;
            }
            team = after;
        }
        transaction.commit().await.map_err(failed(PEOPLE))?;
        Ok(team)
    }

    async fn grant_role(
        &self,
        subject: &Subject,
        member: &Member,
        role: Role,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        let granted = self.grant(&mut transaction, subject, member, role, now).await?;
        transaction.commit().await.map_err(failed(ROLES))?;
        Ok(granted)
    }

    async fn revoke_role(
        &self,
        subject: &Subject,
        member: &Member,
        role: Option<Role>,
    ) -> Result<Vec<Role>, StoreError> {
        let mut transaction = self.pools.begin_catalogue().await?;
        let names = roles::names(&mut transaction, subject, member).await?;
        let taken = roles::revoke(&mut transaction, subject, member, role).await?;
        self.tell_taken(&mut transaction, subject, member, &names, &taken).await?;
        transaction.commit().await.map_err(failed(ROLES))?;
        Ok(taken)
    }

    async fn roles(&self, filter: &RoleFilter) -> Result<Vec<HeldRole>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        roles::list(&mut transaction, filter).await
    }

    async fn set_table_owner(&self, table_uid: &str, user: Option<&str>) -> Result<(), StoreError> {
        let given: Result<_, StoreError> = told!(
            self,
            begin_catalogue,
            "giving a table to a user",
            |connection| roles::set_owner(connection, table_uid, user),
            |(table, owner, changed)| entries::table_owned(*changed, table, owner.as_ref())
        );
        given.map(|_| ())
    }

    async fn table_sharing(&self, table_uid: &str, level: ShareLevel) -> Result<Sharing, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        roles::sharing(&mut transaction, table_uid, level).await
    }

    async fn share_table(
        &self,
        table_uid: &str,
        member: &Member,
        level: ShareLevel,
        now: Timestamp,
    ) -> Result<Sharing, StoreError> {
        let subject = Subject::Table(table_uid.to_owned());
        let mut transaction = self.pools.begin_catalogue().await?;
        self.grant(&mut transaction, &subject, member, level.role(), now).await?;
        let sharing = roles::sharing(&mut transaction, table_uid, level).await?;
        transaction.commit().await.map_err(failed(ROLES))?;
        Ok(sharing)
    }

    async fn unshare_table(
        &self,
        table_uid: &str,
        member: &Member,
        level: ShareLevel,
    ) -> Result<Sharing, StoreError> {
        let subject = Subject::Table(table_uid.to_owned());
        let mut transaction = self.pools.begin_catalogue().await?;
        let names = roles::names(&mut transaction, &subject, member).await?;
        // Who may not see it may not edit it, either.
        let taken = roles::take(&mut transaction, &subject, member, counted(level)).await?;
        self.tell_taken(&mut transaction, &subject, member, &names, &taken).await?;
        let sharing = roles::sharing(&mut transaction, table_uid, level).await?;
        transaction.commit().await.map_err(failed(ROLES))?;
        Ok(sharing)
    }

    async fn create_token(&self, new: &NewToken, now: Timestamp) -> Result<CreatedToken, StoreError> {
        told!(
            self,
            begin_catalogue,
            "storing a token",
            |connection| tokens::create(connection, &self.actor, new, now),
            |created| entries::token_created(&created.token)
        )
    }

    async fn tokens(&self, user: Option<&str>) -> Result<Vec<Token>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        tokens::list(&mut transaction, user).await
    }

    async fn token(&self, id: &str) -> Result<Token, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        tokens::by_id(&mut transaction, id).await
    }

    async fn revoke_token(&self, id: &str, now: Timestamp) -> Result<Token, StoreError> {
        let revoked: Result<(Token, bool), StoreError> = told!(
            self,
            begin_catalogue,
            "storing a token",
            |connection| tokens::revoke(connection, id, now),
            |(token, revoked)| entries::token_revoked(*revoked, token)
        );
        revoked.map(|(token, _)| token)
    }

    async fn has_tokens(&self, now: Timestamp) -> Result<bool, StoreError> {
        tokens::is_any(&self.pools.tokens, now).await
    }

    async fn authenticate(&self, text: &str, now: Timestamp) -> Result<Principal, StoreError> {
        let text = TokenText::parse(text).map_err(|_| StoreError::TokenRefused)?;
        let known = tokens::known(&self.pools.tokens, &text).await?;
        let noted = known.as_ref().is_some_and(|known| is_to_be_noted(&known.token, now));
        let principal = authenticated(&text, known, now)?;
        if let Some(noted) = noted.then(|| self.pools.noting.begin(text.id())).flatten() {
            // Nobody waits for it: when the process ends first, a moment is missing that is kept to the hour.
            let pool = self.pools.connections.clone();
            tokio::spawn(async move {
                let _ = tokens::note(&pool, &noted.id, now).await;
            });
        }
        Ok(principal)
    }
}

impl PostgresStore {
    /// Give a role, and write it down where it is new.
    async fn grant(
        &self,
        connection: &mut PgConnection,
        subject: &Subject,
        member: &Member,
        role: Role,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (name, whose) = roles::names(connection, subject, member).await?;
        let granted = roles::grant(connection, subject, member, role, now).await?;
        let given: &[Role] = if granted { &[role] } else { &[] };
        if let Some(entry) = entries::role_changed("role.grant", subject, &name, (member, &whose), given) {
            audit::record(connection, &self.actor, &entry).await?;
        }
        Ok(granted)
    }

    async fn tell_taken(
        &self,
        connection: &mut PgConnection,
        subject: &Subject,
        member: &Member,
        (name, whose): &(String, String),
        taken: &[Role],
    ) -> Result<(), StoreError> {
        match entries::role_changed("role.revoke", subject, name, (member, whose), taken) {
            Some(entry) => audit::record(connection, &self.actor, &entry).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Audit for PostgresStore {
    fn actor(&self) -> &Actor {
        &self.actor
    }

    async fn audit(&self, entry: &NewAudit) -> Result<(), StoreError> {
        let mut transaction = self.pools.begin().await?;
        audit::record(&mut transaction, &self.actor, entry).await?;
        transaction.commit().await.map_err(failed("writing the audit log"))
    }

    async fn audit_log(&self, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        audit::list(&mut transaction, filter).await
    }
}
