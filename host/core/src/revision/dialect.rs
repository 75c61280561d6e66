//! Whose SQL a file of a revision is.

use std::fmt::{self, Display};

/// A kind of database. A revision has two files of SQL for each: there and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The embedded database.
    Sqlite,
    /// The server.
    Postgres,
}

impl Dialect {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// The beginning of its files' names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// The file that leads there.
    pub fn up_file(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite.up.sql",
            Self::Postgres => "postgres.up.sql",
        }
    }

    /// The file that leads back.
    pub fn down_file(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite.down.sql",
            Self::Postgres => "postgres.down.sql",
        }
    }

    /// Whether a file of a revision matters to this database: all but the SQL of the others.
    pub fn reads(self, file: &str) -> bool {
        !Self::ALL
            .into_iter()
            .any(|other| other != self && (file == other.up_file() || file == other.down_file()))
    }
}

impl Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_reads_its_own_sql_and_what_is_no_sql() {
        let read = |dialect: Dialect| {
            ["contract.toml", "sqlite.up.sql", "sqlite.down.sql", "postgres.up.sql", "postgres.down.sql"]
                .map(|file| dialect.reads(file))
        };
        assert_eq!(read(Dialect::Sqlite), [true, true, true, false, false]);
        assert_eq!(read(Dialect::Postgres), [true, false, false, true, true]);
    }
}
