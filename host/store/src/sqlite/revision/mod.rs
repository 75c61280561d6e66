//! Tables that move from one contract to another, each move in one transaction.
//!
//! * `shape`: what a table is, and what its contract asks for.
//! * `script`: the SQL that a revision begins as; `guard`: running it, with nothing else in its reach.
//! * `rows`: what must be true of the rows afterwards; `catalogue`: the revisions that tables have.

mod catalogue;
mod guard;
mod rows;
pub(crate) mod script;
mod shape;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datanode_core::contract::Contract;
use datanode_core::revision::{BEFORE_FILE, CONTRACT_FILE, Dialect, RevisionError};
use rusqlite::Connection;

use super::stored::{failed, is_interrupted};
use super::{SqliteStore, connection, tables};
use crate::catalogue::audit as entries;
use crate::catalogue::revision as rules;
use crate::scripts::{self, End};
use crate::{
    AppliedRevision, ApplyRevision, BindContract, MovedTable, RevertRevision, Revisions, Scripts, SqlText,
    StoreError, Table,
};
use guard::Reach;
use script::REBUILD_PREFIX;

use shape::refuse_drift;
pub(super) use shape::{forget_sound, refuse_drift_since};

/// Steps of SQLite between two looks at the clock: some ten microseconds.
const STEPS: i32 = 1_000;

/// Do work in the time that one step of a revision has: nobody else writes meanwhile. SQLite ends what it is doing when
/// that is over, and the transaction with it. The connection is one for this alone.
fn within<T>(
    connection: &Connection,
    limit: Duration,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let failed = failed("bounding a revision");
    let until = Instant::now().checked_add(limit);
    connection
        .progress_handler(STEPS, Some(move || until.is_some_and(|until| Instant::now() >= until)))
        .map_err(&failed)?;
    let outcome = work(connection).map_err(|error| match error {
        StoreError::Sqlite { doing, source } if is_interrupted(&source) => {
            RevisionError::TooLong { what: doing.to_owned(), seconds: limit.as_secs() }.into()
        }
        other => other,
    })?;
    // What is left is the commit.
    connection.progress_handler(0, None::<fn() -> bool>).map_err(&failed)?;
    Ok(outcome)
}

impl SqliteStore {
    /// Move a table, and write it down: `action`, and the revision that it is about.
    async fn revise(
        &self,
        doing: &'static str,
        (action, revision): (&'static str, Option<String>),
        work: impl FnOnce(&Connection) -> Result<MovedTable, StoreError> + Send + 'static,
    ) -> Result<MovedTable, StoreError> {
        let told = move |moved: &MovedTable| entries::table_moved(action, moved, revision.as_deref());
        let (work, limit) = (self.told(work, told), self.patience.revision);
        let work = move |connection: &Connection| within(connection, limit, work);
        connection::write_without_foreign_keys(&self.pools.path, doing, work).await
    }

    async fn look<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        connection::read(&self.pools.readers, doing, work).await
    }
}

#[async_trait]
impl Revisions for SqliteStore {
    async fn resolve_contract(&self, table_uid: &str, contract: Contract) -> Result<Contract, StoreError> {
        let uid = table_uid.to_owned();
        self.look("reading a table", move |connection| {
            let table = tables::by_uid(connection, &uid)?;
            tables::bind(connection, &contract, &uid, Some(&table.contract))
        })
        .await
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn write_scripts(&self, table_uid: &str, after: Contract) -> Result<Scripts, StoreError> {
        let uid = table_uid.to_owned();
        self.look("writing the SQL of a revision", move |connection| {
            let table = tables::by_uid(connection, &uid)?;
            refuse_drift(connection, &table)?;
            rules::refuse_referenced(&tables::all(connection)?, &table, &table.contract, &after)?;
            let empty = rows::rows(connection, &table.contract)? == 0;
            let before = End {
                contract: &table.contract,
                targets: shape::targets(connection, &table.contract)?,
                names: None,
            };
            let after = End { contract: &after, targets: shape::targets(connection, &after)?, names: None };
            scripts::write(Dialect::Sqlite, &before, &after, empty)
        })
        .await
    }

    async fn applied_revisions(&self, table_uid: &str) -> Result<Vec<AppliedRevision>, StoreError> {
        let uid = table_uid.to_owned();
        self.look("reading the revisions of a table", move |connection| catalogue::all(connection, &uid))
            .await
    }

    async fn table_drift(&self, table_uid: &str) -> Result<Vec<String>, StoreError> {
        let uid = table_uid.to_owned();
        self.look("comparing a table with its contract", move |connection| {
            let table = tables::by_uid(connection, &uid)?;
            shape::drift(connection, &table.contract)
        })
        .await
    }

    async fn apply_revision(&self, apply: ApplyRevision) -> Result<MovedTable, StoreError> {
        let told = ("table.upgrade", Some(apply.revision.clone()));
        let limit = self.patience.revision;
        self.revise("applying a revision", told, move |connection| upgrade(connection, apply, limit)).await
    }

    async fn revert_revision(&self, revert: RevertRevision) -> Result<MovedTable, StoreError> {
        let told = ("table.downgrade", Some(revert.revision.clone()));
        let limit = self.patience.revision;
        self.revise("taking a revision back", told, move |connection| downgrade(connection, &revert, limit))
            .await
    }

    async fn bind_contract(&self, bind: BindContract) -> Result<MovedTable, StoreError> {
        let told = ("table.bind", None);
        let limit = self.patience.revision;
        self.revise("binding a contract", told, move |connection| refresh(connection, &bind, limit)).await
    }
}

fn upgrade(
    connection: &Connection,
    mut apply: ApplyRevision,
    limit: Duration,
) -> Result<MovedTable, StoreError> {
    let table = tables::by_uid(connection, &apply.table_uid)?;
    let applied = catalogue::all(connection, &table.uid)?;
    rules::may_apply(&mut apply, &table, &applied, &tables::all(connection)?)?;
    let step = Step {
        table: &table,
        after: &apply.after,
        revision: &apply.revision,
        contract_file: CONTRACT_FILE,
        sql: &apply.up,
        limit,
    };
    let rows = if apply.run {
        // By hand the table may be anything; then only what is there counts.
        refuse_drift(connection, &table)?;
        step.run(connection)?
    } else {
        step.find(connection)?
    };
    catalogue::add(connection, &apply, &table.contract, rows)?;
    moved(connection, &table.uid, rows)
}

fn downgrade(
    connection: &Connection,
    revert: &RevertRevision,
    limit: Duration,
) -> Result<MovedTable, StoreError> {
    let table = tables::by_uid(connection, &revert.table_uid)?;
    let applied = catalogue::all(connection, &table.uid)?;
    let (last, after) =
        rules::may_revert(&revert.revision, &table, applied, &tables::all(connection)?, Dialect::Sqlite)?;
    refuse_drift(connection, &table)?;
    let sql = SqlText {
        file: format!("{} of revision {}, as it was applied", Dialect::Sqlite.down_file(), last.revision),
        text: last.down,
    };
    let step = Step {
        table: &table,
        after: &after,
        revision: &last.revision,
        contract_file: BEFORE_FILE,
        sql: &sql,
        limit,
    };
    let rows = step.run(connection)?;
    catalogue::remove(connection, &table.uid, &last.revision)?;
    moved(connection, &table.uid, rows)
}

fn refresh(connection: &Connection, bind: &BindContract, limit: Duration) -> Result<MovedTable, StoreError> {
    let table = tables::by_uid(connection, &bind.table_uid)?;
    let after = tables::bind(connection, &bind.contract, &table.uid, Some(&table.contract))?;
    datanode_core::revision::plan::operations(&table.contract, &after)?;
    let nothing = SqlText { file: String::new(), text: String::new() };
    let step = Step {
        table: &table,
        after: &after,
        revision: "",
        contract_file: CONTRACT_FILE,
        sql: &nothing,
        limit,
    };
    let rows = step.find(connection)?;
    moved(connection, &table.uid, rows)
}

fn moved(connection: &Connection, uid: &str, rows: (u64, u64)) -> Result<MovedTable, StoreError> {
    let revision = catalogue::all(connection, uid)?.into_iter().next_back().map(|last| last.revision);
    Ok(MovedTable {
        table: tables::by_uid(connection, uid)?,
        revision,
        rows_before: rows.0,
        rows_after: rows.1,
    })
}

/// A move of one table.
struct Step<'s> {
    table: &'s Table,
    after: &'s Contract,
    revision: &'s str,
    contract_file: &'static str,
    sql: &'s SqlText,
    /// The time that all of it has, for the message where that is over.
    limit: Duration,
}

impl Step<'_> {
    /// Run the SQL, then look at what it left. Rows before and after.
    fn run(&self, connection: &Connection) -> Result<(u64, u64), StoreError> {
        let identifier = &self.table.contract.identifier;
        let statements = rules::statements(self.sql, identifier, self.revision)?;
        let physical_name = self.after.physical_name();
        let mut read = shape::targets(connection, &self.table.contract)?;
        read.extend(shape::targets(connection, self.after)?);
        let own = vec![physical_name.to_owned(), format!("{REBUILD_PREFIX}{physical_name}")];
        let before = rows::rows(connection, &self.table.contract)?;
        let others = others(connection, physical_name)?;
        let reach = Reach { own, read };
        guard::run(connection, self.sql, &statements, reach, identifier, self.after.key(), self.limit)?;
        let mut differences = shape::drift(connection, self.after)?;
        let now = others_now(connection, physical_name, &others)?;
        differences.extend(now);
        if !differences.is_empty() {
            return Err(RevisionError::NotReached {
                table: identifier.clone(),
                revision: self.revision.to_owned(),
                file: self.sql.file.clone(),
                contract: self.contract_file,
                differences,
            }
            .into());
        }
        let after = self.settle(connection, !statements.is_empty())?;
        Ok((before, after))
    }

    /// Take the table as it is, when it is what the contract says.
    fn find(&self, connection: &Connection) -> Result<(u64, u64), StoreError> {
        let differences = shape::drift(connection, self.after)?;
        if !differences.is_empty() {
            let table = self.table.contract.identifier.clone();
            return Err(RevisionError::NotBound { table, differences }.into());
        }
        let rows = self.settle(connection, true)?;
        Ok((rows, rows))
    }

    /// What must be true of the rows, and the catalogue. `touched`: rows may be others than before.
    fn settle(&self, connection: &Connection, touched: bool) -> Result<u64, StoreError> {
        rows::check_values(connection, self.after)?;
        let mut linked = vec![self.after.physical_name().to_owned()];
        let tables = tables::all(connection)?;
        let others = rules::referring(&tables, self.table);
        linked.extend(others.iter().map(|table| table.contract.physical_name().to_owned()));
        linked.iter().try_for_each(|name| rows::check_foreign_keys(connection, name))?;
        let table = Table { contract: self.after.clone(), ..self.table.clone() };
        if touched {
            rows::count_again(connection, &table)?;
        }
        catalogue::bind(connection, &table.uid, self.after)?;
        rows::rows(connection, self.after)
    }
}

/// Everything in the database that is not this table, as SQLite keeps it.
fn others(
    connection: &Connection,
    physical_name: &str,
) -> Result<BTreeSet<(String, Option<String>)>, StoreError> {
    let failed = failed("reading the schema");
    let mut statement = connection
        .prepare("SELECT type || ' `' || name || '`', sql FROM sqlite_schema WHERE tbl_name <> ?1")
        .map_err(&failed)?;
    let found =
        statement.query_map([physical_name], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
    found.collect::<rusqlite::Result<_>>().map_err(&failed)
}

/// What has become of it, one sentence each.
fn others_now(
    connection: &Connection,
    physical_name: &str,
    before: &BTreeSet<(String, Option<String>)>,
) -> Result<Vec<String>, StoreError> {
    let after = others(connection, physical_name)?;
    let mut said: Vec<String> =
        before.difference(&after).map(|(name, _)| format!("{name}: changed or gone")).collect();
    said.extend(after.difference(before).map(|(name, _)| format!("{name}: new or changed")));
    Ok(said)
}
