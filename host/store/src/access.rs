//! People, what they may do, and what was done by whom.

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::access::{Actor, Principal, Rights, Role, Subject, TokenText, UserRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StoreError;

/// A user as it is created.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewUser {
    /// The name that people write.
    pub username: String,
    /// First name, empty for none.
    pub first_name: String,
    /// Last name, empty for none.
    pub last_name: String,
    /// Address of mail, empty for none.
    pub email: String,
    /// Telephone number, empty for none.
    pub phone: String,
}

/// A user of the catalogue. Users are never removed, for the audit log speaks of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// UUID.
    pub uid: String,
    /// A small number, for clients that know users by number.
    pub id: i64,
    /// The name that people write.
    pub username: String,
    /// First name, empty for none.
    pub first_name: String,
    /// Last name, empty for none.
    pub last_name: String,
    /// Address of mail, empty for none.
    pub email: String,
    /// Telephone number, empty for none.
    pub phone: String,
    /// Tokens of a user that is disabled are refused.
    pub enabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

impl User {
    /// As others refer to it.
    pub fn reference(&self) -> UserRef {
        UserRef { uid: self.uid.clone(), id: self.id, username: self.username.clone() }
    }
}

/// A team as it is created.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["name"]))]
#[serde(default, deny_unknown_fields)]
pub struct NewTeam {
    /// Its name.
    pub name: String,
    /// What it is, empty for nothing.
    pub description: String,
}

/// A team of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// UUID.
    pub uid: String,
    /// A small number, for clients that know teams by number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is, empty for nothing.
    pub description: String,
    /// How many users are in it.
    pub member_count: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Who holds a role: uids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "uid", rename_all = "snake_case")]
pub enum Member {
    /// The user of this uid.
    User(String),
    /// All users of the team of this uid.
    Team(String),
}

impl Member {
    /// `user` or `team`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Team(_) => "team",
        }
    }

    /// The uid.
    pub fn uid(&self) -> &str {
        match self {
            Self::User(uid) | Self::Team(uid) => uid,
        }
    }
}

/// A role that somebody holds. One who holds several on the same thing may do what the highest of them allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRole {
    /// On what.
    pub subject: Subject,
    /// Identifier of the table, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Who.
    pub member: Member,
    /// Name of the user or team.
    pub member_name: String,
    /// What it may do.
    pub role: Role,
    /// Since when.
    pub granted_at: Timestamp,
}

/// Which roles to list. All conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleFilter {
    /// On this.
    pub subject: Option<Subject>,
    /// Of this user or team.
    pub member: Option<Member>,
}

/// What somebody may do with a table by a share of that very table, as the compatible API asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareLevel {
    /// See it: every share does.
    View,
    /// Change it: those of editors and admins do.
    Edit,
}

impl ShareLevel {
    /// `view` or `edit`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Edit => "edit",
        }
    }

    /// The role that sharing on this level gives.
    pub fn role(self) -> Role {
        match self {
            Self::View => Role::Viewer,
            Self::Edit => Role::Editor,
        }
    }
}

/// With whom a table is shared, its owner included. Roles on its namespace or on the organisation are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// A small number of the table, for clients that know objects by number: the same for every call.
    pub object_id: i64,
    /// Users, by username.
    pub users: Vec<User>,
    /// Teams, by name.
    pub teams: Vec<Team>,
}

/// A token as it is created.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewToken {
    /// Whose: uid, username or number.
    pub user: String,
    /// What it is for, empty for nothing.
    pub name: String,
    /// What it may be used for.
    pub rights: Rights,
    /// When it ends; None: never.
    pub expires_at: Option<Timestamp>,
    /// Requests in a minute; None: as the server is set.
    pub per_minute: Option<u32>,
}

/// A token of the catalogue, without its secret, which nobody knows any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id, which stands in its text and in the audit log.
    pub id: String,
    /// What it is for, empty for nothing.
    pub name: String,
    /// Whose.
    pub user: UserRef,
    /// What it may be used for.
    pub rights: Rights,
    /// Requests in a minute; None: as the server is set.
    pub per_minute: Option<u32>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ends; None: never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Timestamp>,
}

impl Token {
    /// `active`, `expired` or `revoked`, at a moment.
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.revoked_at.is_some() {
            "revoked"
        } else if self.expires_at.is_some_and(|end| end <= now) {
            "expired"
        } else {
            "active"
        }
    }
}

/// A token that was just created.
#[derive(Debug, Clone)]
pub struct CreatedToken {
    /// What the catalogue has of it.
    pub token: Token,
    /// What its owner needs, and nobody will ever see again.
    pub text: TokenText,
}

/// Users, teams, tokens and roles.
///
/// References are what people write: of a user its username, uid or number, of a team its name, uid or number, of a token
/// its id. Moments are the caller's.
#[async_trait]
pub trait Access {
    /// Create a user. A username that is taken is refused.
    async fn create_user(&self, new: &NewUser, now: Timestamp) -> Result<User, StoreError> {
        self.create_user_with(new, None, now).await
    }

    /// The same, with a role on the organisation where one is given: both, or neither.
    async fn create_user_with(
        &self,
        new: &NewUser,
        role: Option<Role>,
        now: Timestamp,
    ) -> Result<User, StoreError>;

    /// All users, by username.
    async fn users(&self) -> Result<Vec<User>, StoreError>;

    /// A user by reference.
    async fn user(&self, reference: &str) -> Result<User, StoreError>;

    /// Let the tokens of a user be accepted, or not any more. Again changes nothing.
    async fn enable_user(&self, reference: &str, enabled: bool) -> Result<User, StoreError>;

    /// Create a team. A name that is taken is refused.
    async fn create_team(&self, new: &NewTeam, now: Timestamp) -> Result<Team, StoreError>;

    /// All teams, by name.
    async fn teams(&self) -> Result<Vec<Team>, StoreError>;

    /// A team by reference.
    async fn team(&self, reference: &str) -> Result<Team, StoreError>;

    /// The users of a team, by username.
    async fn team_members(&self, reference: &str) -> Result<Vec<User>, StoreError>;

    /// The teams of a user, by its uid; by name.
    async fn teams_of(&self, user_uid: &str) -> Result<Vec<Team>, StoreError>;

    /// Take a user into a team. Again changes nothing. Answers the team after it.
    async fn add_team_member(&self, team: &str, user: &str, now: Timestamp) -> Result<Team, StoreError> {
        self.add_team_members(team, &[user.to_owned()], now).await
    }

    /// The same of several users: all of them, or none.
    async fn add_team_members(
        &self,
        team: &str,
        users: &[String],
        now: Timestamp,
    ) -> Result<Team, StoreError>;

    /// Take a user out of a team. One who is not in it is refused. Answers the team after it.
    async fn remove_team_member(&self, team: &str, user: &str) -> Result<Team, StoreError> {
        self.remove_team_members(team, &[user.to_owned()]).await
    }

    /// The same of several users: all of them, or none.
    async fn remove_team_members(&self, team: &str, users: &[String]) -> Result<Team, StoreError>;

    /// Give somebody a role. Again changes nothing: `false`.
    async fn grant_role(
        &self,
        subject: &Subject,
        member: &Member,
        role: Role,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Take roles back: this one, or all on the subject. None that is there is refused, so that a misspelt name is not
    /// taken for a closed door. Answers those that were taken.
    async fn revoke_role(
        &self,
        subject: &Subject,
        member: &Member,
        role: Option<Role>,
    ) -> Result<Vec<Role>, StoreError>;

    /// Roles, by subject, member and role. Owners of tables are not among them: see [`Table::owner`](crate::Table::owner).
    async fn roles(&self, filter: &RoleFilter) -> Result<Vec<HeldRole>, StoreError>;

    /// Give a table (by uid) to a user, or to nobody.
    async fn set_table_owner(&self, table_uid: &str, user: Option<&str>) -> Result<(), StoreError>;

    /// With whom a table (by uid) is shared on this level.
    async fn table_sharing(&self, table_uid: &str, level: ShareLevel) -> Result<Sharing, StoreError>;

    /// Share a table (by uid) with a user or team on this level. Again changes nothing. Answers with whom it is shared.
    async fn share_table(
        &self,
        table_uid: &str,
        member: &Member,
        level: ShareLevel,
        now: Timestamp,
    ) -> Result<Sharing, StoreError>;

    /// End it: who may not edit any longer may still see the table if it was shared so, too; who may not see it any
    /// longer may not edit it, either. Somebody with whom it is not shared is left alone. Answers with whom it is shared.
    async fn unshare_table(
        &self,
        table_uid: &str,
        member: &Member,
        level: ShareLevel,
    ) -> Result<Sharing, StoreError>;

    /// Create a token with random bytes of the system's generator. Refused where the token by which this is done has ended by
    /// then: it would live on in the other.
    async fn create_token(&self, new: &NewToken, now: Timestamp) -> Result<CreatedToken, StoreError>;

    /// Tokens, the newest first; of one user, where it is given by reference.
    async fn tokens(&self, user: Option<&str>) -> Result<Vec<Token>, StoreError>;

    /// A token by id.
    async fn token(&self, id: &str) -> Result<Token, StoreError>;

    /// End a token, now and for good. Again changes nothing.
    async fn revoke_token(&self, id: &str, now: Timestamp) -> Result<Token, StoreError>;

    /// Whether there is any token that is accepted at this moment.
    async fn has_tokens(&self, now: Timestamp) -> Result<bool, StoreError>;

    /// Who comes with this token. It waits for nobody who reads or writes anything else.
    ///
    /// # Errors
    ///
    /// [`StoreError::TokenRefused`] for a text that is no token, for one that nobody knows, whose secret is another, that
    /// has expired, was revoked, or whose user is disabled: always the same.
    async fn authenticate(&self, text: &str, now: Timestamp) -> Result<Principal, StoreError>;
}

/// Something that was done, as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAudit {
    /// What, in dotted words: `table.register`.
    pub action: String,
    /// Kind of the thing that it was done to: `table`.
    pub subject_kind: String,
    /// Its uid or digest, where it has one.
    pub subject_uid: Option<String>,
    /// What people call it.
    pub subject: String,
    /// What else there is to say: a small JSON object without secrets.
    pub detail: Value,
}

impl NewAudit {
    /// Something that was done to something, without detail.
    pub fn new(action: &str, subject_kind: &str, subject_uid: Option<&str>, subject: &str) -> Self {
        Self {
            action: action.to_owned(),
            subject_kind: subject_kind.to_owned(),
            subject_uid: subject_uid.map(ToOwned::to_owned),
            subject: subject.to_owned(),
            detail: Value::Object(serde_json::Map::new()),
        }
    }

    /// The same, with this detail.
    #[must_use]
    pub fn with(self, detail: Value) -> Self {
        Self { detail, ..self }
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Counts up; gaps are changes that were rolled back.
    pub id: i64,
    /// When, by the clock of the database.
    pub at: Timestamp,
    /// The user's name, or `local` for embedded use.
    pub actor: String,
    /// Uid of the user.
    pub user_uid: Option<String>,
    /// Id of the token.
    pub token: Option<String>,
    /// What, in dotted words: `table.register`.
    pub action: String,
    /// Kind of the thing that it was done to: `table`.
    pub subject_kind: String,
    /// Its uid or digest, where it has one.
    pub subject_uid: Option<String>,
    /// What people called it then.
    pub subject: String,
    /// What else there is to say.
    pub detail: Value,
    /// The request, where there was one.
    pub request_id: Option<String>,
}

/// Which entries to list: the newest first, and all conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditFilter {
    /// At this moment or later.
    pub since: Option<Timestamp>,
    /// Of this user (name or uid), of this token (id), or `local`.
    pub actor: Option<String>,
    /// This action, or all whose first words these are: `table` means `table.register`, too.
    pub action: Option<String>,
    /// Of this thing: its kind, name or uid.
    pub subject: Option<String>,
    /// Before this entry: the `next` of the page before.
    pub before: Option<i64>,
    /// At most so many; None: all.
    pub limit: Option<u32>,
}

/// A page of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins: [`AuditFilter::before`]. None: this is the last one.
    pub next: Option<i64>,
}

/// The audit log. Every change of the catalogue writes its entry in its own transaction, as done by the actor of the store
/// ([`Store::acting`](crate::Store::acting)); nothing ever changes or removes one: the database refuses.
///
/// Runs are not in it: their records say more. Who has *ordered* a run is, when the server writes it down.
#[async_trait]
pub trait Audit {
    /// Whose changes these are.
    fn actor(&self) -> &Actor;

    /// Write something down that is no change of the catalogue, such as that a run was ordered.
    async fn audit(&self, entry: &NewAudit) -> Result<(), StoreError>;

    /// Entries, the newest first.
    async fn audit_log(&self, filter: &AuditFilter) -> Result<AuditPage, StoreError>;
}
