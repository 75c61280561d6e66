//! People and what they may do, as commands and requests ask for it: words become uids, and answers are documents.

use datanode_core::access::{Role, Subject};
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_store::{
    AuditFilter, AuditPage, HeldRole, Member, NewAudit, NewTeam, NewToken, NewUser, RoleFilter, Table,
};
use serde_json::Value;
use thiserror::Error;

use crate::answers::{IssuedToken, RoleChange, RoleRequest, TeamDetail, TokenDocument, UserDetail};
use crate::{Host, RuntimeError, clock};

/// A request that does not say enough, or too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AccessError {
    /// Neither a user nor a team, or both.
    #[error("a role is held by a user or by a team: name one of them")]
    Member,
    /// A namespace and a table.
    #[error(
        "a role is held on a namespace or on a table, or without both on the organisation: name one of them"
    )]
    Subject,
    /// No role.
    #[error("say which role is given: viewer, editor or admin")]
    Role,
}

impl Diagnostic for AccessError {
    fn code(&self) -> &'static str {
        "access.request"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }

    fn next_step(&self) -> Option<String> {
        let command = "datanode role grant editor --user NAME --namespace NAMESPACE";
        Some(format!("write it like this: {command}"))
    }
}

/// What a role is held on, with the identifier of the table where it is one.
type Named = (Subject, Option<String>);

impl Host {
    /// What a request names as the subject of a role; the organisation, where it names nothing.
    pub async fn role_subject(&self, request: &RoleRequest) -> Result<Named, RuntimeError> {
        match (&request.namespace, &request.table) {
            (None, None) => Ok((Subject::Organisation, None)),
            (Some(namespace), None) => Ok((Subject::Namespace(namespace.clone()), None)),
            (None, Some(table)) => {
                let table = self.store.table(table).await?;
                Ok((Subject::Table(table.uid), Some(table.contract.identifier)))
            }
            (Some(_), Some(_)) => Err(AccessError::Subject.into()),
        }
    }

    /// Whom a request names, with its name; None: nobody.
    async fn named_member(&self, request: &RoleRequest) -> Result<Option<(Member, String)>, RuntimeError> {
        match (&request.user, &request.team) {
            (None, None) => Ok(None),
            (Some(user), None) => {
                let user = self.store.user(user).await?;
                Ok(Some((Member::User(user.uid), user.username)))
            }
            (None, Some(team)) => {
                let team = self.store.team(team).await?;
                Ok(Some((Member::Team(team.uid), team.name)))
            }
            (Some(_), Some(_)) => Err(AccessError::Member.into()),
        }
    }

    /// Give a role.
    pub async fn grant_role(&self, request: &RoleRequest) -> Result<RoleChange, RuntimeError> {
        let role = request.role.ok_or(AccessError::Role)?;
        let (subject, table) = self.role_subject(request).await?;
        let (member, member_name) = self.named_member(request).await?.ok_or(AccessError::Member)?;
        let granted = self.store.grant_role(&subject, &member, role, clock::now()).await?;
        let roles = if granted { vec![role] } else { Vec::new() };
        Ok(RoleChange { subject, table, member, member_name, roles })
    }

    /// Take roles back.
    pub async fn revoke_role(&self, request: &RoleRequest) -> Result<RoleChange, RuntimeError> {
        let (subject, table) = self.role_subject(request).await?;
        let (member, member_name) = self.named_member(request).await?.ok_or(AccessError::Member)?;
        let roles = self.store.revoke_role(&subject, &member, request.role).await?;
        Ok(RoleChange { subject, table, member, member_name, roles })
    }

    /// The roles that there are. With a namespace or table: on that; with a user or team: of that; with a role: these.
    pub async fn held_roles(&self, request: &RoleRequest) -> Result<Vec<HeldRole>, RuntimeError> {
        let is_of_all = request.namespace.is_none() && request.table.is_none();
        let subject = if is_of_all { None } else { Some(self.role_subject(request).await?.0) };
        let member = self.named_member(request).await?.map(|(member, _)| member);
        let mut roles = self.store.roles(&RoleFilter { subject, member }).await?;
        roles.retain(|held| request.role.is_none_or(|role| held.role == role));
        Ok(roles)
    }

    /// Give a table to a user, or to nobody; answers the table after it.
    pub async fn give_table(&self, reference: &str, user: Option<&str>) -> Result<Table, RuntimeError> {
        let table = self.store.table(reference).await?;
        self.store.set_table_owner(&table.uid, user).await?;
        Ok(self.store.table(&table.uid).await?)
    }

    /// Create a user, with a role on the organisation where one is given.
    pub async fn create_user(&self, new: &NewUser, role: Option<Role>) -> Result<UserDetail, RuntimeError> {
        let user = self.store.create_user_with(new, role, clock::now()).await?;
        self.user_detail(&user.uid).await
    }

    /// A user with all that it may do.
    pub async fn user_detail(&self, reference: &str) -> Result<UserDetail, RuntimeError> {
        let user = self.store.user(reference).await?;
        let of = |member: Member| RoleFilter { subject: None, member: Some(member) };
        let mut roles = self.store.roles(&of(Member::User(user.uid.clone()))).await?;
        let mut teams = Vec::new();
        for team in self.store.teams_of(&user.uid).await? {
            roles.extend(self.store.roles(&of(Member::Team(team.uid))).await?);
            teams.push(team.name);
        }
        let tokens = self.token_documents(Some(&user.uid)).await?;
        Ok(UserDetail { user, teams, roles, tokens })
    }

    /// Create a team.
    pub async fn create_team(&self, new: &NewTeam) -> Result<TeamDetail, RuntimeError> {
        let team = self.store.create_team(new, clock::now()).await?;
        self.team_detail(&team.uid).await
    }

    /// Take users into a team: all of them, or none.
    pub async fn add_team_members(&self, team: &str, users: &[String]) -> Result<TeamDetail, RuntimeError> {
        self.store.add_team_members(team, users, clock::now()).await?;
        self.team_detail(team).await
    }

    /// Take users out of a team: all of them, or none.
    pub async fn remove_team_members(
        &self,
        team: &str,
        users: &[String],
    ) -> Result<TeamDetail, RuntimeError> {
        self.store.remove_team_members(team, users).await?;
        self.team_detail(team).await
    }

    /// A team with its users and roles.
    pub async fn team_detail(&self, reference: &str) -> Result<TeamDetail, RuntimeError> {
        let team = self.store.team(reference).await?;
        let members = self.store.team_members(&team.uid).await?;
        let member = Some(Member::Team(team.uid.clone()));
        let roles = self.store.roles(&RoleFilter { subject: None, member }).await?;
        Ok(TeamDetail { team, members, roles })
    }

    /// Create a token. The caller has checked who may ([`datanode_core::access::may_issue`]).
    pub async fn create_token(&self, new: &NewToken) -> Result<IssuedToken, RuntimeError> {
        let now = clock::now();
        Ok(IssuedToken::of(self.store.create_token(new, now).await?, now))
    }

    /// Tokens, the newest first; of one user, where it is given.
    pub async fn token_documents(&self, user: Option<&str>) -> Result<Vec<TokenDocument>, RuntimeError> {
        let now = clock::now();
        let tokens = self.store.tokens(user).await?;
        Ok(tokens.into_iter().map(|token| TokenDocument::of(token, now)).collect())
    }

    /// End a token.
    pub async fn revoke_token(&self, id: &str) -> Result<TokenDocument, RuntimeError> {
        let now = clock::now();
        Ok(TokenDocument::of(self.store.revoke_token(id, now).await?, now))
    }

    /// Write down that somebody has ordered a run of a node (`run.order`, `run.retry`). What becomes of it is in the record
    /// of the run.
    pub async fn note_order(
        &self,
        action: &str,
        node_uid: &str,
        update_hash: &str,
        detail: Value,
    ) -> Result<(), RuntimeError> {
        let entry = NewAudit::new(action, "node", Some(node_uid), update_hash).with(detail);
        Ok(self.store.audit(&entry).await?)
    }

    /// The audit log, the newest first.
    pub async fn audit_log(&self, filter: &AuditFilter) -> Result<AuditPage, RuntimeError> {
        Ok(self.store.audit_log(filter).await?)
    }
}
