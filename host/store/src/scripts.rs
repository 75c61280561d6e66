//! The SQL of a revision for every kind of database: it follows from the contracts, and from what the database in use
//! calls the tables and constraints that they lead to.

use datanode_core::contract::Contract;
use datanode_core::diagnostic::Diagnostic;
use datanode_core::revision::Dialect;

use crate::postgres::script::{self as postgres, Names};
use crate::sqlite::script as sqlite;
use crate::{Script, Scripts, StoreError};

/// One end of a revision.
#[derive(Debug)]
pub(crate) struct End<'c> {
    /// The contract there, resolved.
    pub(crate) contract: &'c Contract,
    /// Physical names of the tables that its foreign keys lead to, in their order.
    pub(crate) targets: Vec<String>,
    /// What its constraints are called on a server; None: as PostgreSQL would call them.
    pub(crate) names: Option<Names>,
}

/// Write the SQL from one end to the other and back. `empty`: the table has no rows. What `here` cannot keep is refused,
/// what another database cannot keep is left out.
pub(crate) fn write(
    here: Dialect,
    before: &End<'_>,
    after: &End<'_>,
    empty: bool,
) -> Result<Scripts, StoreError> {
    let mut scripts = Scripts { written: Vec::new(), left_out: Vec::new() };
    let others = Dialect::ALL.into_iter().filter(|other| *other != here);
    for dialect in std::iter::once(here).chain(others) {
        let script = match dialect {
            Dialect::Sqlite => both_ways(dialect, || {
                [before, after].into_iter().try_for_each(sqlite::keeps)?;
                Ok((sqlite::write(before, after, empty)?, sqlite::write(after, before, empty)?))
            }),
            Dialect::Postgres => both_ways(dialect, || {
                [before, after].into_iter().try_for_each(postgres::keeps)?;
                postgres::write_both(before, after, empty)
            }),
        };
        match script {
            Ok(script) => scripts.written.push(script),
            Err(error) if dialect != here && is_of_one_database(&error) => {
                scripts.left_out.push((dialect, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(scripts)
}

fn both_ways(
    dialect: Dialect,
    write: impl FnOnce() -> Result<(String, String), StoreError>,
) -> Result<Script, StoreError> {
    write().map(|(up, down)| Script { dialect, up, down })
}

/// Whether a contract that one database refuses may be right for another.
fn is_of_one_database(error: &StoreError) -> bool {
    matches!(error.code(), "contract.unsupported_type" | "contract.physical_name_reserved")
}
