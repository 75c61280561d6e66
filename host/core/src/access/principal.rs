//! Who asks, and who has done something.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Rights, Role, Subject, Target};

/// A user, as others refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserRef {
    /// UUID.
    pub uid: String,
    /// A small number, for clients that know users by number.
    pub id: i64,
    /// The name that people write.
    pub username: String,
}

/// Whoever asks for something: a user by a token, or somebody who has the database itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user; None: whoever uses this machine's own data directory, or a server without tokens on loopback.
    pub user: Option<UserRef>,
    /// The token, by its id.
    pub token: Option<String>,
    /// What the token may be used for.
    pub rights: Rights,
    /// Roles of the user, its own and those of its teams.
    pub roles: Vec<(Subject, Role)>,
    /// Requests in a minute that the token is good for; None: as the server is set.
    pub per_minute: Option<u32>,
}

impl Principal {
    /// Embedded use, and a server on loopback that has no tokens: everything is allowed.
    pub fn local() -> Self {
        Self {
            user: None,
            token: None,
            rights: Rights::all(),
            roles: vec![(Subject::Organisation, Role::Admin)],
            per_minute: None,
        }
    }

    /// A user by a token, without roles.
    pub fn new(user: UserRef, token: &str, rights: Rights) -> Self {
        Self { user: Some(user), token: Some(token.to_owned()), rights, roles: Vec::new(), per_minute: None }
    }

    /// The same, with one more role.
    #[must_use]
    pub fn with_role(mut self, subject: Subject, role: Role) -> Self {
        self.roles.push((subject, role));
        self
    }

    /// The highest role that reaches something; the owner of a table is its admin. None: no role reaches it.
    pub fn role_on(&self, target: &Target<'_>) -> Option<Role> {
        let held =
            self.roles.iter().filter(|(subject, _)| target.is_reached_by(subject)).map(|(_, role)| *role);
        held.chain(self.owns(target).then_some(Role::Admin)).max()
    }

    fn owns(&self, target: &Target<'_>) -> bool {
        match (target, &self.user) {
            (Target::Table { owner: Some(owner), .. }, Some(user)) => *owner == user.uid,
            _ => false,
        }
    }

    /// This principal as the one who does something, by the request of this id.
    pub fn actor(&self, request_id: Option<&str>) -> Actor {
        Actor {
            user: self.user.clone(),
            token: self.token.clone(),
            request_id: request_id.map(ToOwned::to_owned),
        }
    }
}

/// Who changes something, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actor {
    /// The user; None: embedded use, called `local`.
    pub user: Option<UserRef>,
    /// The token, by its id.
    pub token: Option<String>,
    /// The request, where there is one.
    pub request_id: Option<String>,
}

impl Actor {
    /// What embedded use is called.
    pub const LOCAL: &'static str = "local";

    /// Embedded use.
    pub fn local() -> Self {
        Self::default()
    }

    /// The user's name, or `local`.
    pub fn name(&self) -> &str {
        self.user.as_ref().map_or(Self::LOCAL, |user| &user.username)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
