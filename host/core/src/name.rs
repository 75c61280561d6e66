//! Names: components, identifiers, columns, dependency keys.

use thiserror::Error;

/// The longest identifier or column name, in bytes: what PostgreSQL keeps of a name.
pub const MAX_NAME_BYTES: usize = 63;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{name}` is not a valid {what}: {reason}")]
pub struct NameError {
    /// What the name is for, such as "column name".
    pub what: &'static str,
    /// The name as given, cut to 80 characters.
    pub name: String,
    /// The broken rule.
    pub reason: &'static str,
}

/// Check `[a-z][a-z0-9_]*`, at most 63 bytes: component names, identifiers, columns, keys, sources.
pub fn check_name(what: &'static str, name: &str) -> Result<(), NameError> {
    let refuse = |reason| Err(NameError { what, name: name.chars().take(80).collect(), reason });
    let mut bytes = name.bytes();
    match bytes.next() {
        None => return refuse("it is empty"),
        Some(b'a'..=b'z') => {}
        Some(_) => return refuse("it must begin with a lower-case letter"),
    }
    if name.len() > MAX_NAME_BYTES {
        return refuse("it is longer than 63 characters");
    }
    if !bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return refuse("only lower-case letters, digits and `_` are allowed");
    }
    Ok(())
}

/// Check a namespace: names joined by dots, at most 255 bytes in all.
pub fn check_namespace(what: &'static str, namespace: &str) -> Result<(), NameError> {
    if namespace.len() > 255 {
        let name = namespace.chars().take(80).collect();
        return Err(NameError { what, name, reason: "it is longer than 255 characters" });
    }
    namespace.split('.').try_for_each(|part| check_name(what, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "fx_log_returns", "t2"] {
            assert_eq!(check_name("column name", good), Ok(()));
        }
        for bad in ["", "A", "2a", "_a", "a-b", "a b", "é", "a;drop table", &"x".repeat(64)] {
            assert!(check_name("column name", bad).is_err(), "{bad}");
        }
        assert_eq!(check_namespace("namespace", "examples.fx"), Ok(()));
        assert!(check_namespace("namespace", "examples..fx").is_err());
    }
}
