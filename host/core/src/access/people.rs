//! What users and teams may be called.

use thiserror::Error;

use super::MAX_PER_MINUTE;
use super::principal::Actor;
use crate::diagnostic::{Diagnostic, ErrorClass};

/// The longest username and team name, in bytes.
const MAX_NAME_BYTES: usize = 100;
/// The longest of the other texts, in bytes.
const MAX_TEXT_BYTES: usize = 500;

/// A text of a user or team that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a valid {what}: {reason}")]
pub struct PeopleError {
    /// `username`, `team name`, `email`, …
    pub what: &'static str,
    /// As given, cut to 80 characters.
    pub text: String,
    /// The broken rule.
    pub reason: &'static str,
}

impl Diagnostic for PeopleError {
    fn code(&self) -> &'static str {
        "access.invalid"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }
}

fn refuse(what: &'static str, text: &str, reason: &'static str) -> Result<(), PeopleError> {
    Err(PeopleError { what, text: text.chars().take(80).collect(), reason })
}

/// Check a username: lower-case letters, digits and `._-@+`, beginning with a letter, so that no number and no other word
/// of the command line is one.
pub fn check_username(name: &str) -> Result<(), PeopleError> {
    check_handle("username", name)?;
    if name == Actor::LOCAL {
        return refuse("username", name, "the audit log calls embedded use so");
    }
    Ok(())
}

/// Check the name of a team, by the same rule.
pub fn check_team_name(name: &str) -> Result<(), PeopleError> {
    check_handle("team name", name)
}

fn check_handle(what: &'static str, name: &str) -> Result<(), PeopleError> {
    if name.is_empty() {
        return refuse(what, name, "it is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return refuse(what, name, "it is longer than 100 characters");
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return refuse(what, name, "it must begin with a lower-case letter");
    }
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@+".contains(c);
    if !name.chars().all(is_allowed) {
        return refuse(what, name, "only lower-case letters, digits and `._-@+` are allowed");
    }
    // A uid, by which users can be named, too.
    if uuid::Uuid::try_parse(name).is_ok() {
        return refuse(what, name, "it is a uid");
    }
    Ok(())
}

/// Check an address of mail, no further than that it may be one; the empty text is none.
pub fn check_email(email: &str) -> Result<(), PeopleError> {
    check_text("email", email)?;
    let is_address = email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if !email.is_empty() && (!is_address || email.contains(char::is_whitespace)) {
        return refuse("email", email, "it is no address");
    }
    Ok(())
}

/// Check a text that people read: at most 500 bytes, on one line.
pub fn check_text(what: &'static str, text: &str) -> Result<(), PeopleError> {
    if text.len() > MAX_TEXT_BYTES {
        return refuse(what, text, "it is longer than 500 characters");
    }
    if text.chars().any(char::is_control) {
        return refuse(what, text, "it has control characters");
    }
    Ok(())
}

/// Check how many requests in a minute a token is to be good for: from 1 to a million.
pub fn check_per_minute(per_minute: u32) -> Result<(), PeopleError> {
    if (1..=MAX_PER_MINUTE).contains(&per_minute) {
        return Ok(());
    }
    refuse("number of requests in a minute", &per_minute.to_string(), "it must be from 1 to 1000000")
}
