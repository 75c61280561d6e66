//! What PostgreSQL says of rows that it does not take.

/// Why rows were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A key that is there already.
    Duplicate,
    /// A row that refers to nothing, or to which others refer.
    ForeignKey,
    /// A value that its type does not have; in the words of the server.
    Value(String),
}

/// Why rows were refused; None when that is not what the error says.
pub(super) fn refusal(error: &sqlx::Error) -> Option<Refusal> {
    let error = error.as_database_error()?;
    match error.code()?.as_ref() {
        "23505" => Some(Refusal::Duplicate),
        "23503" | "23001" => Some(Refusal::ForeignKey),
        // Data exceptions, and keys that are too long for an index.
        code if code.starts_with("22") || code == "54000" => Some(Refusal::Value(error.message().to_owned())),
        _ => None,
    }
}
