//! People: users, teams, tokens, roles, and what they have changed.

use datanode_core::access::Role;
use datanode_runtime::answers::{
    IssuedToken, RoleChange, RoleRequest, TeamDetail, TokenDocument, UserDetail,
};
use datanode_store::{
    AuditEntry, AuditFilter, AuditPage, HeldRole, NewTeam, NewToken, NewUser, Table, Team, User,
};
use serde::Deserialize;
use serde_json::json;

use super::Place;
use crate::failure::OrFail;
use crate::remote::Call;

/// Entries of the largest page of the audit log.
const PAGE: usize = 1_000;

/// A page of the audit log, as a server answers it.
#[derive(Deserialize)]
struct Page {
    items: Vec<AuditEntry>,
    next_cursor: Option<String>,
}

impl Place {
    /// Create a user, with a role on the organisation where one is given.
    pub(crate) async fn create_user(&self, new: &NewUser, role: Option<Role>) -> anyhow::Result<UserDetail> {
        match self {
            Self::Here(host) => host.create_user(new, role).await.or_fail(),
            Self::There(server) => {
                let mut body = json!(new);
                if let Some(role) = role {
                    body["role"] = json!(role);
                }
                server.post(&["users"], &body).await
            }
        }
    }

    /// All users, by username.
    pub(crate) async fn users(&self) -> anyhow::Result<Vec<User>> {
        match self {
            Self::Here(host) => host.store().users().await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["users"]))).await,
        }
    }

    /// A user with all that it may do.
    pub(crate) async fn user(&self, reference: &str) -> anyhow::Result<UserDetail> {
        match self {
            Self::Here(host) => host.user_detail(reference).await.or_fail(),
            Self::There(server) => server.get(&["users", reference]).await,
        }
    }

    /// Accept the tokens of a user, or refuse them.
    pub(crate) async fn enable_user(&self, reference: &str, enabled: bool) -> anyhow::Result<UserDetail> {
        match self {
            Self::Here(host) => {
                let user = host.store().enable_user(reference, enabled).await.or_fail()?;
                host.user_detail(&user.uid).await.or_fail()
            }
            Self::There(server) => {
                let verb = if enabled { "enable" } else { "disable" };
                server.ask(Call::post(server.at(&["users", reference, verb]))).await
            }
        }
    }

    /// Create a team.
    pub(crate) async fn create_team(&self, new: &NewTeam) -> anyhow::Result<TeamDetail> {
        match self {
            Self::Here(host) => host.create_team(new).await.or_fail(),
            Self::There(server) => server.post(&["teams"], new).await,
        }
    }

    /// All teams, by name.
    pub(crate) async fn teams(&self) -> anyhow::Result<Vec<Team>> {
        match self {
            Self::Here(host) => host.store().teams().await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["teams"]))).await,
        }
    }

    /// A team with its users and roles.
    pub(crate) async fn team(&self, reference: &str) -> anyhow::Result<TeamDetail> {
        match self {
            Self::Here(host) => host.team_detail(reference).await.or_fail(),
            Self::There(server) => server.get(&["teams", reference]).await,
        }
    }

    /// Take users into a team.
    pub(crate) async fn add_team_members(&self, team: &str, users: &[String]) -> anyhow::Result<TeamDetail> {
        match self {
            Self::Here(host) => host.add_team_members(team, users).await.or_fail(),
            Self::There(server) => server.post(&["teams", team, "members"], &json!({ "users": users })).await,
        }
    }

    /// Take users out of a team.
    pub(crate) async fn remove_team_members(
        &self,
        team: &str,
        users: &[String],
    ) -> anyhow::Result<TeamDetail> {
        match self {
            Self::Here(host) => host.remove_team_members(team, users).await.or_fail(),
            Self::There(server) => {
                for user in users {
                    server.send(Call::delete(server.at(&["teams", team, "members", user]))).await?;
                }
                self.team(team).await
            }
        }
    }

    /// Give a role.
    pub(crate) async fn grant_role(&self, request: &RoleRequest) -> anyhow::Result<RoleChange> {
        match self {
            Self::Here(host) => host.grant_role(request).await.or_fail(),
            Self::There(server) => server.post(&["roles"], request).await,
        }
    }

    /// Take roles back.
    pub(crate) async fn revoke_role(&self, request: &RoleRequest) -> anyhow::Result<RoleChange> {
        match self {
            Self::Here(host) => host.revoke_role(request).await.or_fail(),
            Self::There(server) => server.post(&["roles", "revoke"], request).await,
        }
    }

    /// The roles that there are.
    pub(crate) async fn held_roles(&self, request: &RoleRequest) -> anyhow::Result<Vec<HeldRole>> {
        match self {
            Self::Here(host) => host.held_roles(request).await.or_fail(),
            Self::There(server) => {
                let call = Call::get(server.at(&["roles"]))
                    .maybe("role", request.role.map(Role::as_str))
                    .maybe("user", request.user.as_deref())
                    .maybe("team", request.team.as_deref())
                    .maybe("namespace", request.namespace.as_deref())
                    .maybe("table", request.table.as_deref());
                server.items(call).await
            }
        }
    }

    /// Give a table to a user, or to nobody.
    pub(crate) async fn give_table(&self, reference: &str, user: Option<&str>) -> anyhow::Result<Table> {
        match self {
            Self::Here(host) => host.give_table(reference, user).await.or_fail(),
            Self::There(server) => {
                server.post(&["tables", reference, "owner"], &json!({ "user": user })).await
            }
        }
    }

    /// Create a token.
    pub(crate) async fn create_token(&self, new: &NewToken) -> anyhow::Result<IssuedToken> {
        match self {
            Self::Here(host) => host.create_token(new).await.or_fail(),
            // Once: the answer that is kept for a repeated request must not hold the token.
            Self::There(server) => server.ask(Call::post(server.at(&["tokens"])).json(new)?.once()).await,
        }
    }

    /// Tokens, the newest first; of one user, where it is given.
    pub(crate) async fn tokens(&self, user: Option<&str>) -> anyhow::Result<Vec<TokenDocument>> {
        match self {
            Self::Here(host) => host.token_documents(user).await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["tokens"])).maybe("user", user)).await,
        }
    }

    /// End a token.
    pub(crate) async fn revoke_token(&self, id: &str) -> anyhow::Result<TokenDocument> {
        match self {
            Self::Here(host) => host.revoke_token(id).await.or_fail(),
            Self::There(server) => server.ask(Call::delete(server.at(&["tokens", id]))).await,
        }
    }

    /// The audit log, the newest first.
    pub(crate) async fn audit_log(&self, filter: &AuditFilter) -> anyhow::Result<AuditPage> {
        let server = match self {
            Self::Here(host) => return host.audit_log(filter).await.or_fail(),
            Self::There(server) => server,
        };
        let AuditFilter { since, actor, action, subject, before, limit } = filter;
        let (mut entries, mut next) = (Vec::new(), *before);
        loop {
            let left = limit
                .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX) - entries.len());
            let call = Call::get(server.at(&["audit"]))
                .maybe("since", since.map(|since| since.to_string()).as_deref())
                .maybe("actor", actor.as_deref())
                .maybe("action", action.as_deref())
                .maybe("subject", subject.as_deref())
                .maybe("before", next.map(|before| before.to_string()).as_deref())
                .query("limit", &left.min(PAGE).to_string());
            let page: Page = server.ask(call).await?;
            entries.extend(page.items);
            next = page.next_cursor.and_then(|_| entries.last()).map(|last: &AuditEntry| last.id);
            let is_enough =
                limit.is_some_and(|limit| entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX));
            if next.is_none() || is_enough {
                return Ok(AuditPage { entries, next });
            }
        }
    }
}
