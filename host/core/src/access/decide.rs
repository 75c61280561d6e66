//! The decision.

use thiserror::Error;

use super::{Action, Principal, Right, Rights, Role, Target, UserRef};
use crate::diagnostic::{Diagnostic, ErrorClass, shell_word};

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The token may not be used for it.
    Right(Right),
    /// Whoever has the token has no such role there.
    Role(Role),
    /// Rights that a token cannot give on, for it does not have them.
    Rights(Rights),
    /// Only for oneself.
    OfOthers,
}

/// An action that is not allowed: what is missing, and who can give it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", self.text())]
pub struct Denied {
    /// What was to be done.
    pub action: Action,
    /// With what, for people.
    pub on: String,
    /// The same as arguments of `datanode role grant`; empty for the organisation.
    pub grant_on: String,
    /// Who wanted to.
    pub who: String,
    /// What is missing.
    pub missing: Missing,
    /// Whether an admin of the table can give it; else it is an admin of the organisation.
    pub is_of_table: bool,
}

impl Denied {
    fn text(&self) -> String {
        let Self { action, on, who, .. } = self;
        let doing = action.as_str();
        match self.missing {
            Missing::Right(right) => {
                format!("{who} may not {doing} {on} by this token: it does not have the right `{right}`")
            }
            Missing::Role(role) => format!("{who} may not {doing} {on}: that needs the role {role}"),
            Missing::Rights(rights) => format!(
                "{who} may not create a token with the rights {rights}: the token that is used does not have them"
            ),
            Missing::OfOthers => format!("{who} may not create a token of {on}"),
        }
    }
}

impl Diagnostic for Denied {
    fn code(&self) -> &'static str {
        match self.missing {
            Missing::Right(_) => "access.right_missing",
            Missing::Role(_) => "access.role_missing",
            Missing::Rights(_) | Missing::OfOthers => "access.token_not_yours_to_give",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Refused
    }

    fn next_step(&self) -> Option<String> {
        let admin = if self.is_of_table {
            "an admin of the table or of the organisation"
        } else {
            "an admin of the organisation"
        };
        Some(match self.missing {
            Missing::Right(right) => {
                format!("use a token that has it, such as one of `datanode token create --right {right}`")
            }
            Missing::Role(role) => {
                format!(
                    "ask {admin} for it: `datanode role grant {role} --user {}{}`",
                    self.who, self.grant_on
                )
            }
            Missing::Rights(_) => "leave them out, or use a token that has them".to_owned(),
            Missing::OfOthers => format!("ask {admin}"),
        })
    }
}

/// Whether a principal may do something. Both are needed: the right of the token, and the role on what it is about.
///
/// # Errors
///
/// [`Denied`] says what is missing: the right first, for without it no role helps.
pub fn allowed(principal: &Principal, action: Action, target: &Target<'_>) -> Result<(), Denied> {
    let need = action.need();
    let target = if need.is_of_organisation { &Target::Organisation } else { target };
    let missing = if !principal.rights.has(need.right) {
        Missing::Right(need.right)
    } else if let Some(role) = need.role
        && principal.role_on(target).is_none_or(|held| held < role)
    {
        Missing::Role(role)
    } else {
        return Ok(());
    };
    Err(denied(principal, action, target, missing))
}

fn denied(principal: &Principal, action: Action, target: &Target<'_>, missing: Missing) -> Denied {
    Denied {
        action,
        on: if action == Action::Browse { "the catalogue".to_owned() } else { target.to_string() },
        grant_on: match target {
            Target::Organisation | Target::Namespace(None) => String::new(),
            Target::Namespace(Some(name)) => format!(" --namespace {}", shell_word(name)),
            Target::Table { identifier, .. } => format!(" --table {}", shell_word(identifier)),
        },
        who: name(principal),
        missing,
        is_of_table: matches!(target, Target::Table { .. }),
    }
}

fn name(principal: &Principal) -> String {
    principal.actor(None).name().to_owned()
}

/// Whether a principal may create a token of `user` with these rights: for oneself, or as an admin of the organisation
/// for anybody; and never with a right that the token does not have by which it is asked for.
///
/// # Errors
///
/// [`Denied`].
pub fn may_issue(principal: &Principal, user: &UserRef, rights: Rights) -> Result<(), Denied> {
    let organisation = Target::Organisation;
    allowed(principal, Action::OwnTokens, &organisation)?;
    let is_own = principal.user.as_ref().is_some_and(|own| own.uid == user.uid);
    let is_admin = allowed(principal, Action::ManagePeople, &organisation).is_ok();
    let beyond = rights.without(principal.rights);
    let missing = if !is_own && !is_admin {
        Missing::OfOthers
    } else if !beyond.is_empty() {
        Missing::Rights(beyond)
    } else {
        return Ok(());
    };
    let denied = denied(principal, Action::OwnTokens, &organisation, missing);
    Err(Denied { on: format!("`{}`", user.username), ..denied })
}
