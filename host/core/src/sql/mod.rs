//! Read-only SQL over one table: what a statement may say.
//!
//! **One idea:** a statement is judged on its syntax tree by a list of what is allowed, and what the database is given is
//! written anew from that tree. So nothing reaches the database that was not understood here: no comment, no second
//! statement, no quoting that two parsers read differently.
//!
//! This is the first of three enforcements. A connection that cannot write, and limits of rows, bytes and time, are the
//! other two; they live with each database.

mod answer;
mod check;
mod condition;
mod expression;
mod postgres;
mod revision;
mod sought;

pub use answer::{SqlAnswer, SqlError, SqlErrorKind, SqlLimits, SqlRows};
pub use check::{CheckedSql, check};
pub use revision::{Reach, check_revision};
pub use sought::MAX_SOUGHT_CHARS;

/// Whose SQL the statement is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlDialect {
    /// Times, booleans, decimals, dates and uuids are text under collations: see [`collation`].
    Sqlite,
    /// The types of the database, but for decimals, which are floats wherever they are computed with: see
    /// [`postgres_functions`].
    PostgreSql,
}

/// What PostgreSQL is given beside its own functions: they stand in front of those in the search path.
pub mod postgres_functions {
    /// Schema of the functions.
    pub const SCHEMA: &str = "datanode_sql";
    /// A value as the text that answers have.
    pub const AS_TEXT: &str = "as_text";
    /// A number as arithmetic takes it.
    pub const OPERAND: &str = "operand";
    /// Two texts as one, of bounded length.
    pub const JOINED: &str = "joined";
    /// What a call looks for in a text, of bounded length.
    pub const SOUGHT: &str = "sought";
}

/// What SQLite is given beside its own functions.
pub mod sqlite_functions {
    /// What a call looks for in a text, of bounded length.
    pub const SOUGHT: &str = "datanode_sought";
}

/// Names under which SQLite compares texts that are values of another type.
pub mod collation {
    /// Moments: any text that reads as one equals the same moment written in another way.
    pub const TIME: &str = "datanode_time";
    /// `true`, `t`, `1` and `false`, `f`, `0`.
    pub const BOOL: &str = "datanode_bool";
    /// Decimals, by value.
    pub const DECIMAL: &str = "datanode_decimal";
}

/// Functions that a statement may call: harmless, bounded, and with one meaning on both databases.
pub const FUNCTIONS: [&str; 45] = [
    "abs",
    "avg",
    "ceil",
    "ceiling",
    "coalesce",
    "concat",
    "count",
    "cume_dist",
    "date_trunc",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "lag",
    "last_value",
    "lead",
    "length",
    "ln",
    "log10",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "percent_rank",
    "pi",
    "power",
    "radians",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sqrt",
    "substr",
    "substring",
    "sum",
    "trim",
    "trunc",
    "upper",
];
