//! Tables that move from one contract to another, each move in one transaction.
//!
//! * `shape`: what a table is, and what its contract asks for.
//! * `script`: the SQL that a revision begins as; `guard`: running it, with nothing else in its reach; `clock`: the time that
//!   it has.
//! * `rows`: what must be true of the rows afterwards; `catalogue`: the revisions that tables have.
//!
//! What changes the shape of a table is not undone for those who look at it through an older snapshot: they would see
//! the columns of now, and no rows where these were rewritten. So a revision waits until nobody reads the table, and a
//! snapshot holds on to a table from when it first asks for it ([`hold`]).

mod catalogue;
mod clock;
pub(super) mod guard;
mod rows;
pub(crate) mod script;
mod shape;

use async_trait::async_trait;
use datanode_core::contract::Contract;
use datanode_core::revision::{BEFORE_FILE, CONTRACT_FILE, Dialect, RevisionError};
use datanode_core::sql::Reach;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::store::told;
use super::stored::failed;
use super::{PostgresStore, ddl, foreign_keys, tables};
use crate::catalogue::audit as entries;
use crate::catalogue::revision as rules;
use crate::scripts::{self, End};
use crate::{
    AppliedRevision, ApplyRevision, BindContract, MovedTable, RevertRevision, Revisions, Scripts, SqlText,
    StoreError, Table,
};
use clock::Clock;
use guard::Others;
use shape::Shape;

pub(super) use shape::refuse_drift;

/// Names mean those of the database itself, literals mean what they say. While a lock is waited for, everybody else who
/// reads the table, or changes the catalogue, waits behind it: not for long.
const SETTINGS: &str = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL standard_conforming_strings = on; \
     SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL TimeZone = 'UTC'; \
     SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '10s'";

#[async_trait]
impl Revisions for PostgresStore {
    async fn resolve_contract(&self, table_uid: &str, contract: Contract) -> Result<Contract, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        let table = tables::by_uid(&mut transaction, table_uid).await?;
        tables::bind(&mut transaction, &contract, table_uid, Some(&table.contract)).await
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn write_scripts(&self, table_uid: &str, after: Contract) -> Result<Scripts, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        let connection = &mut *transaction;
        let table = tables::by_uid(connection, table_uid).await?;
        refuse_drift(connection, &table).await?;
        rules::refuse_referenced(&tables::all(connection).await?, &table, &table.contract, &after)?;
        let empty = rows::rows(connection, &table.contract).await? == 0;
        let targets = foreign_keys::targets(connection, &table.contract, None).await?;
        let shape = Shape::read(connection, table.contract.physical_name()).await?.unwrap_or_default();
        let names = Some(shape.names(&table.contract, &targets));
        let before = End { contract: &table.contract, targets, names };
        let targets = foreign_keys::targets(connection, &after, None).await?;
        let after = End { contract: &after, targets, names: None };
        scripts::write(Dialect::Postgres, &before, &after, empty)
    }

    async fn applied_revisions(&self, table_uid: &str) -> Result<Vec<AppliedRevision>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        catalogue::all(&mut transaction, table_uid).await
    }

    async fn table_drift(&self, table_uid: &str) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        let table = tables::by_uid(&mut transaction, table_uid).await?;
        shape::drift(&mut transaction, &table.contract).await
    }

    async fn apply_revision(&self, apply: ApplyRevision) -> Result<MovedTable, StoreError> {
        let revision = apply.revision.clone();
        let limit = self.pools.patience.revision;
        told!(
            self,
            begin_catalogue,
            "applying a revision",
            |connection| async {
                let clock = Clock::begin(limit);
                clock.judge(upgrade(connection, apply, clock).await)
            },
            |moved| entries::table_moved("table.upgrade", moved, Some(&revision))
        )
    }

    async fn revert_revision(&self, revert: RevertRevision) -> Result<MovedTable, StoreError> {
        let limit = self.pools.patience.revision;
        told!(
            self,
            begin_catalogue,
            "taking a revision back",
            |connection| async {
                let clock = Clock::begin(limit);
                clock.judge(downgrade(connection, &revert, clock).await)
            },
            |moved| entries::table_moved("table.downgrade", moved, Some(&revert.revision))
        )
    }

    async fn bind_contract(&self, bind: BindContract) -> Result<MovedTable, StoreError> {
        let limit = self.pools.patience.revision;
        told!(
            self,
            begin_catalogue,
            "binding a contract",
            |connection| async {
                let clock = Clock::begin(limit);
                clock.judge(refresh(connection, &bind, clock).await)
            },
            |moved| entries::table_moved("table.bind", moved, None)
        )
    }
}

/// The table, which nobody else reads or writes until the transaction ends.
async fn alone(connection: &mut PgConnection, uid: &str, clock: Clock) -> Result<Table, StoreError> {
    const DOING: &str = "waiting until nobody reads a table";
    let known = tables::by_uid(connection, uid).await?;
    let busy = |error: StoreError| match error {
        StoreError::Busy { .. } => RevisionError::Busy { table: known.contract.identifier.clone() }.into(),
        other => other,
    };
    sqlx::raw_sql(SETTINGS).execute(&mut *connection).await.map_err(failed(DOING))?;
    clock.set(connection).await?;
    // First the row: whoever commits rows holds it until they are there.
    let table = tables::locked(connection, uid).await.map_err(busy)?;
    // One that somebody has dropped by hand is told of as a difference.
    if Shape::read(connection, table.contract.physical_name()).await?.is_some() {
        let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", ddl::table_name(&table.contract));
        sqlx::raw_sql(AssertSqlSafe(lock))
            .execute(connection)
            .await
            .map_err(|error| busy(failed(DOING)(error)))?;
    }
    Ok(table)
}

/// Keep the table of a snapshot as it is until the transaction ends, and refuse one that has moved to another contract
/// since it began. `others` are connections that see the database as it is now.
pub(super) async fn hold(
    connection: &mut PgConnection,
    others: &PgPool,
    table: &Table,
) -> Result<(), StoreError> {
    const DOING: &str = "holding a table";
    let lock = format!("LOCK TABLE {} IN ACCESS SHARE MODE", ddl::table_name(&table.contract));
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *connection).await.map_err(failed(DOING))?;
    let revised = sqlx::query_scalar("SELECT revised FROM datanode.tables WHERE uid = $1").bind(&table.uid);
    let seen: i64 = revised.fetch_one(connection).await.map_err(failed(DOING))?;
    let revised = sqlx::query_scalar("SELECT revised FROM datanode.tables WHERE uid = $1").bind(&table.uid);
    let now: i64 = revised.fetch_one(others).await.map_err(failed(DOING))?;
    if now == seen {
        return Ok(());
    }
    Err(RevisionError::MovedWhileRead { table: table.contract.identifier.clone() }.into())
}

async fn upgrade(
    connection: &mut PgConnection,
    mut apply: ApplyRevision,
    clock: Clock,
) -> Result<MovedTable, StoreError> {
    let table = alone(connection, &apply.table_uid, clock).await?;
    let applied = catalogue::all(connection, &table.uid).await?;
    rules::may_apply(&mut apply, &table, &applied, &tables::all(connection).await?)?;
    let step = Step {
        table: &table,
        after: &apply.after,
        revision: &apply.revision,
        contract_file: CONTRACT_FILE,
        sql: &apply.up,
        clock,
    };
    let rows = if apply.run {
        // By hand the table may be anything; then only what is there counts.
        refuse_drift(connection, &table).await?;
        step.run(connection).await?
    } else {
        step.find(connection).await?
    };
    catalogue::add(connection, &apply, &table.contract, rows).await?;
    moved(connection, &table.uid, rows).await
}

async fn downgrade(
    connection: &mut PgConnection,
    revert: &RevertRevision,
    clock: Clock,
) -> Result<MovedTable, StoreError> {
    let table = alone(connection, &revert.table_uid, clock).await?;
    let applied = catalogue::all(connection, &table.uid).await?;
    let tables = tables::all(connection).await?;
    let (last, after) = rules::may_revert(&revert.revision, &table, applied, &tables, Dialect::Postgres)?;
    refuse_drift(connection, &table).await?;
    let sql = SqlText {
        file: format!("{} of revision {}, as it was applied", Dialect::Postgres.down_file(), last.revision),
        text: last.down,
    };
    let step = Step {
        table: &table,
        after: &after,
        revision: &last.revision,
        contract_file: BEFORE_FILE,
        sql: &sql,
        clock,
    };
    let rows = step.run(connection).await?;
    catalogue::remove(connection, &table.uid, &last.revision).await?;
    moved(connection, &table.uid, rows).await
}

async fn refresh(
    connection: &mut PgConnection,
    bind: &BindContract,
    clock: Clock,
) -> Result<MovedTable, StoreError> {
    let table = alone(connection, &bind.table_uid, clock).await?;
    let after = tables::bind(connection, &bind.contract, &table.uid, Some(&table.contract)).await?;
    datanode_core::revision::plan::operations(&table.contract, &after)?;
    let nothing = SqlText { file: String::new(), text: String::new() };
    let step = Step {
        table: &table,
        after: &after,
        revision: "",
        contract_file: CONTRACT_FILE,
        sql: &nothing,
        clock,
    };
    let rows = step.find(connection).await?;
    moved(connection, &table.uid, rows).await
}

async fn moved(connection: &mut PgConnection, uid: &str, rows: (u64, u64)) -> Result<MovedTable, StoreError> {
    let revision = catalogue::all(connection, uid).await?.into_iter().next_back().map(|last| last.revision);
    Ok(MovedTable {
        table: tables::by_uid(connection, uid).await?,
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
    clock: Clock,
}

impl Step<'_> {
    /// Run the SQL, then look at what it left. Rows before and after.
    async fn run(&self, connection: &mut PgConnection) -> Result<(u64, u64), StoreError> {
        let held = &self.table.contract;
        let identifier = &held.identifier;
        let statements = rules::statements(self.sql, identifier, self.revision)?;
        let mut read = foreign_keys::targets(connection, held, None).await?;
        read.extend(foreign_keys::targets(connection, self.after, None).await?);
        let judged = guard::judge(self.sql, &statements, &Reach { contract: held, read: &read })?;
        let before = rows::rows(connection, held).await?;
        let touched = !judged.is_empty();
        if touched && !guard::counts_rows(connection).await? {
            return Err(StoreError::NotOnThisDatabase {
                what: "a revision of a table on a server that does not count the rows that are written",
                next_step: "set track_counts = on, which is the default, in the settings of the server",
            });
        }
        let others = Others::read(connection, held.physical_name()).await?;
        guard::run(connection, &self.sql.file, judged, self.after, self.clock).await?;
        let mut differences = shape::drift(connection, self.after).await?;
        differences.extend(self.elsewhere(connection, &others).await?);
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
        let after = self.settle(connection, touched).await?;
        Ok((before, after))
    }

    /// What was done to anything else, one sentence each. Rows that refer to this table, and that its database deleted or
    /// changed with the rows that they referred to, are no rows without a key, but rows that nobody meant to change.
    async fn elsewhere(
        &self,
        connection: &mut PgConnection,
        before: &Others,
    ) -> Result<Vec<String>, StoreError> {
        let physical_name = self.table.contract.physical_name();
        let (mut said, written) = Others::read(connection, physical_name).await?.since(before);
        let tables = tables::all(connection).await?;
        let referring = rules::referring(&tables, self.table);
        for ((schema, name), rows) in written {
            if referring.iter().any(|table| table.contract.physical_name() == name) {
                let rows = u64::try_from(rows).unwrap_or_default();
                let (table, target) = (name, physical_name.to_owned());
                return Err(RevisionError::ForeignKey { table, target, rows }.into());
            }
            said.push(format!("`{schema}.{name}`: {rows} rows were written"));
        }
        Ok(said)
    }

    /// Take the table as it is, when it is what the contract says.
    async fn find(&self, connection: &mut PgConnection) -> Result<(u64, u64), StoreError> {
        let differences = shape::drift(connection, self.after).await?;
        if !differences.is_empty() {
            let table = self.table.contract.identifier.clone();
            return Err(RevisionError::NotBound { table, differences }.into());
        }
        let rows = self.settle(connection, true).await?;
        Ok((rows, rows))
    }

    /// What must be true of the rows, and the catalogue. `touched`: rows may be others than before.
    async fn settle(&self, connection: &mut PgConnection, touched: bool) -> Result<u64, StoreError> {
        self.clock.set(connection).await?;
        rows::check_values(connection, self.after).await?;
        let table = Table { contract: self.after.clone(), ..self.table.clone() };
        if touched {
            self.clock.set(connection).await?;
            rows::count_again(connection, &table).await?;
        }
        self.clock.set(connection).await?;
        catalogue::bind(connection, &table.uid, self.after).await?;
        rows::rows(connection, self.after).await
    }
}
