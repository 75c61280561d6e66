//! What every error a user can meet must be able to say.

use crate::guest_failure::GuestFailure;

/// Who has to act, and the exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The work was done and failed (exit code 1).
    Failed,
    /// The request makes no sense as written (exit code 2).
    Usage,
    /// The request was understood and refused (exit code 3).
    Refused,
    /// Something that this depends on failed (exit code 4).
    Blocked,
    /// The machine, the database or a kill switch; nothing about the data. Try again (exit code 5).
    Infrastructure,
}

impl ErrorClass {
    /// The exit code that scripts can rely on.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Blocked => 4,
            Self::Infrastructure => 5,
        }
    }

    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
            Self::Infrastructure => "infrastructure",
        }
    }
}

/// A word of a command as a shell reads it: in quotes where it holds more than letters, digits and what paths, versions
/// and hashes are made of.
pub fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// An error with a stable dotted code and a next step. The `Display` text says what failed and where.
pub trait Diagnostic: std::error::Error {
    /// Stable dotted code, such as `sandbox.limit.fuel`.
    fn code(&self) -> &'static str;

    /// Who has to act.
    fn class(&self) -> ErrorClass;

    /// What to do next, when there is something to say beyond the message.
    fn next_step(&self) -> Option<String> {
        None
    }

    /// What is known of the guest's call that ended in this error, where one did.
    fn guest(&self) -> Option<&GuestFailure> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_in_a_shell() {
        let words = ["prices.toml", "a b", "it's", "{}", "", "$HOME", "*", "~/x"];
        let shown: Vec<_> = words.map(shell_word).into_iter().collect();
        assert_eq!(shown.join(" "), r"prices.toml 'a b' 'it'\''s' '{}' '' '$HOME' '*' '~/x'");
    }
}
