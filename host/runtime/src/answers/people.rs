//! Users, teams, tokens and roles.

use std::fmt;

use datanode_core::Timestamp;
use datanode_core::access::{Role, Subject};
use datanode_store::{CreatedToken, HeldRole, Member, Team, Token, User};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A user with all that it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetail {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Names of its teams.
    pub teams: Vec<String>,
    /// Roles of its own, then those of its teams.
    pub roles: Vec<HeldRole>,
    /// Its tokens, the newest first.
    pub tokens: Vec<TokenDocument>,
}

/// A team with its users and roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamDetail {
    /// The team.
    #[serde(flatten)]
    pub team: Team,
    /// Its users, by username.
    pub members: Vec<User>,
    /// Its roles.
    pub roles: Vec<HeldRole>,
}

/// A token as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDocument {
    /// What the catalogue has of it.
    #[serde(flatten)]
    pub token: Token,
    /// `active`, `expired` or `revoked`.
    pub state: String,
}

impl TokenDocument {
    /// A token as it is at a moment.
    pub fn of(token: Token, now: Timestamp) -> Self {
        Self { state: token.state(now).to_owned(), token }
    }
}

/// A token with its text: the one answer that has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// The text. Nobody will see it again.
    pub token: String,
    /// The rest.
    #[serde(flatten)]
    pub about: TokenDocument,
}

impl IssuedToken {
    /// A token that was just created.
    pub fn of(created: CreatedToken, now: Timestamp) -> Self {
        Self { token: created.text.reveal().to_string(), about: TokenDocument::of(created.token, now) }
    }
}

impl fmt::Debug for IssuedToken {
    // Never the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("about", &self.about).finish_non_exhaustive()
    }
}

/// Who is to have a role on what, as people write it: a user or a team; a namespace, a table, or without both the
/// organisation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoleRequest {
    /// Which role. To take back and to list: None for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Username, uid or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Name, uid or number of a team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Identifier or uid of a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// What giving or taking roles did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChange {
    /// On what.
    pub subject: Subject,
    /// Identifier of the table, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Whose.
    pub member: Member,
    /// Name of the user or team.
    pub member_name: String,
    /// The roles that were given or taken; those that were there already are not among them.
    pub roles: Vec<Role>,
}
