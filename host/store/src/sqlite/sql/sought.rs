//! What a call looks for in a text, which is short, and no call begins when the statement's time is over.
//!
//! Calls that search go through a text for each character of what they look for, and SQLite looks at the clock once in a
//! thousand steps, of which one call is one. `datanode_core` puts this function around what they look for.

use datanode_core::sql::MAX_SOUGHT_CHARS;
use datanode_core::sql::sqlite_functions::SOUGHT;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ffi};

/// How the message begins by which it refuses what is too long.
pub(super) const TOO_LONG: &str = "a call looks for more than ";

/// Give a connection the function. `is_over` says whether nobody waits for the statement any more.
pub(super) fn register(
    connection: &Connection,
    is_over: impl Fn() -> bool + Send + 'static,
) -> rusqlite::Result<()> {
    // Not deterministic: SQLite would call it once, for all rows.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(SOUGHT, 1, flags, move |context| {
        if is_over() {
            return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
        }
        match context.get_raw(0) {
            ValueRef::Text(text) | ValueRef::Blob(text) if is_too_long(text) => {
                let message = format!("{TOO_LONG}{MAX_SOUGHT_CHARS} characters in a text");
                Err(Error::UserFunctionError(message.into()))
            }
            _ => Ok(context.get_arg(0)),
        }
    })
}

fn is_too_long(text: &[u8]) -> bool {
    // Bytes that begin no character are counted by the second bound alone: no character has more than four.
    let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
    text.len() > MAX_SOUGHT_CHARS
        && (text.len() > 4 * MAX_SOUGHT_CHARS || text.iter().filter(begins).count() > MAX_SOUGHT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ErrorCode;
    use rusqlite::types::Value;

    fn ask(is_over: bool, sql: &str) -> rusqlite::Result<Value> {
        let connection = Connection::open_in_memory()?;
        register(&connection, move || is_over)?;
        connection.query_row(sql, (), |row| row.get(0))
    }

    #[test]
    fn what_is_short_is_what_it_was() {
        for (sql, value) in [
            ("SELECT datanode_sought('é%')", Value::Text("é%".to_owned())),
            ("SELECT datanode_sought(NULL)", Value::Null),
            ("SELECT datanode_sought(7)", Value::Integer(7)),
            ("SELECT length(datanode_sought(hex(zeroblob(50))))", Value::Integer(100)),
            ("SELECT length(datanode_sought(replace(hex(zeroblob(50)), '0', 'é')))", Value::Integer(100)),
        ] {
            assert_eq!(ask(false, sql), Ok(value), "{sql}");
        }
    }

    #[test]
    fn what_is_long_is_refused() {
        for sql in [
            "SELECT datanode_sought(hex(zeroblob(51)))",
            "SELECT datanode_sought(zeroblob(101))",
            "SELECT datanode_sought(replace(hex(zeroblob(51)), '0', 'é'))",
            // 402 bytes, none of which begins a character.
            "SELECT datanode_sought(CAST(replace(hex(zeroblob(201)), '0', x'80') AS TEXT))",
        ] {
            let said = ask(false, sql).unwrap_err().to_string();
            assert_eq!(said, "a call looks for more than 100 characters in a text", "{sql}");
        }
    }

    #[test]
    fn nothing_is_looked_for_when_time_is_over() {
        let error = ask(true, "SELECT 'a' LIKE datanode_sought('a')").unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted), "{error}");
    }
}
