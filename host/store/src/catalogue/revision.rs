//! Whether a table may move to another contract, and how the SQL that moves it begins.

use std::fmt::Write;

use datanode_core::contract::Contract;
use datanode_core::difference::{Change, changes};
use datanode_core::revision::plan::{self, structure_differs};
use datanode_core::revision::{Dialect, RevisionError, statement};

use crate::{AppliedRevision, ApplyRevision, StoreError, Table};

/// How a table without a revision is called.
const BASE: &str = "base";

/// A key that others refer to stays what it is: their foreign keys, and their contracts, name its columns.
pub(crate) fn refuse_referenced(
    tables: &[Table],
    table: &Table,
    before: &Contract,
    after: &Contract,
) -> Result<(), RevisionError> {
    let in_key = |name: &String| before.key().contains(name) || after.key().contains(name);
    let touches_key = changes(before, after).iter().any(|change| match change {
        Change::Index { .. } => true,
        Change::RenameColumn { held, given, .. } => in_key(held) || in_key(given),
        Change::ColumnType { column, .. } => in_key(column),
        _ => false,
    });
    let by: Vec<String> =
        referring(tables, table).into_iter().map(|table| table.contract.identifier.clone()).collect();
    if !touches_key || by.is_empty() {
        return Ok(());
    }
    Err(RevisionError::Referenced { table: table.contract.identifier.clone(), by })
}

/// The other tables whose foreign keys lead to this one.
pub(crate) fn referring<'t>(tables: &'t [Table], table: &Table) -> Vec<&'t Table> {
    let leads_here = |other: &&Table| {
        other.uid != table.uid
            && other.contract.foreign_keys.iter().any(|key| {
                key.references.table == table.uid || key.references.table == table.contract.identifier
            })
    };
    tables.iter().filter(leads_here).collect()
}

/// The table stands where the caller saw it.
fn stands_at(
    applied: &[AppliedRevision],
    table: &Table,
    expected: Option<&str>,
) -> Result<(), RevisionError> {
    let found = applied.last().map(|revision| revision.revision.as_str());
    if found == expected {
        return Ok(());
    }
    let say = |revision: Option<&str>| revision.unwrap_or(BASE).to_owned();
    Err(RevisionError::Moved {
        table: table.contract.identifier.clone(),
        expected: say(expected),
        found: say(found),
    })
}

/// A revision begins at the contract that the table has.
fn begins_at(table: &Table, before: &Contract, revision: &str) -> Result<(), RevisionError> {
    let differences = structure_differs(&table.contract, before);
    if differences.is_empty() {
        return Ok(());
    }
    Err(RevisionError::Stale {
        table: table.contract.identifier.clone(),
        revision: revision.to_owned(),
        differences: differences.iter().map(ToString::to_string).collect(),
    })
}

/// A revision may be applied to a table that has these ones.
pub(crate) fn may_apply(
    apply: &mut ApplyRevision,
    table: &Table,
    applied: &[AppliedRevision],
    tables: &[Table],
) -> Result<(), RevisionError> {
    stands_at(applied, table, apply.parent.as_deref())?;
    begins_at(table, &apply.before, &apply.revision)?;
    // A revision that is written by hand may change what the planner refuses to write.
    plan::operations(&table.contract, &apply.after)?;
    refuse_referenced(tables, table, &table.contract, &apply.after)?;
    keep_ids(&mut apply.after, &table.contract);
    Ok(())
}

/// The revision that is to be taken back, when it may be, and the contract that this leads to.
pub(crate) fn may_revert(
    revision: &str,
    table: &Table,
    applied: Vec<AppliedRevision>,
    tables: &[Table],
    dialect: Dialect,
) -> Result<(AppliedRevision, Contract), StoreError> {
    stands_at(&applied, table, Some(revision))?;
    let Some(last) = applied.into_iter().next_back() else {
        return Err(StoreError::Damaged(format!("table {} has no revision", table.uid)));
    };
    begins_at(table, &last.contract, &last.revision)?;
    if let Some(line) = statement::left_to_edit(&last.down) {
        return Err(RevisionError::Irreversible {
            table: table.contract.identifier.clone(),
            revision: last.revision,
            file: dialect.down_file(),
            line,
        }
        .into());
    }
    let mut after = last.base.clone();
    refuse_referenced(tables, table, &table.contract, &after)?;
    keep_ids(&mut after, &table.contract);
    Ok((last, after))
}

/// Field ids are never given again, also on the way back.
fn keep_ids(after: &mut Contract, held: &Contract) {
    after.last_field_id = after.last_field_id.max(held.last_field_id);
}

/// The statements of a text, within bounds and with nothing left to be edited by `table`'s operator.
pub(crate) fn statements<'t>(
    sql: &'t crate::SqlText,
    table: &str,
    revision: &str,
) -> Result<Vec<statement::Statement<'t>>, RevisionError> {
    use statement::{MAX_SQL_BYTES, MAX_STATEMENTS};
    let refused = |line, problem| RevisionError::StatementRefused { file: sql.file.clone(), line, problem };
    if sql.text.len() > MAX_SQL_BYTES {
        return Err(refused(
            1,
            format!("the file has {} bytes where {MAX_SQL_BYTES} are allowed", sql.text.len()),
        ));
    }
    if let Some(line) = statement::left_to_edit(&sql.text) {
        return Err(RevisionError::Unedited {
            table: table.to_owned(),
            revision: revision.to_owned(),
            file: sql.file.clone(),
            line,
        });
    }
    let statements = statement::split(&sql.text);
    match statements.get(MAX_STATEMENTS) {
        Some(first) => Err(refused(first.line, format!("more than {MAX_STATEMENTS} statements"))),
        None => Ok(statements),
    }
}

/// What stands above the statements: what is done, and what is lost.
pub(crate) fn heading(before: &Contract, after: &Contract, changes: &[Change]) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        let _ = writeln!(text, "{line}");
    };
    let what = if changes.is_empty() { "No change of the contract." } else { "What is done:" };
    line(&format!("-- Table `{}`. {what}", after.identifier));
    for change in plan::lines(changes) {
        line(&format!("--   {}", one_line(&change)));
    }
    let losses = plan::losses(before, after);
    if !losses.is_empty() {
        line("-- What is lost:");
        for loss in losses {
            line(&format!("--   {}", one_line(&loss)));
        }
    }
    line(
        "-- One transaction around all of it, the comparison with the contract and the catalogue are datanode's part.",
    );
    line("");
    text
}

/// Names are of `[a-z0-9_]`, but a cadence or a label is text: none of it may end a comment.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}
