//! Rows that may be there already: they wait in a temporary table, and one statement inserts those that are new and
//! updates those that differ.

use datanode_core::contract::{Column, Contract};
use datanode_core::data_type::DataType;
use sqlx::{AssertSqlSafe, PgConnection};

use super::ddl::{define, list, quote, table_name};
use super::stored::failed;
use crate::StoreError;

/// The copy that brings rows with all columns of a contract.
pub(super) fn copy_into(table: &str, contract: &Contract) -> String {
    format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", columns(contract))
}

/// The columns of a contract, in its order.
pub(super) fn columns(contract: &Contract) -> String {
    contract.columns.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ")
}

/// Create the table where rows wait; `further` are columns of it beside those of the contract. No name of a contract
/// begins with an underscore. No key is made: what stands twice is for the caller to find, over all rows at once.
pub(super) async fn create_waiting(
    connection: &mut PgConnection,
    waiting: &str,
    contract: &Contract,
    further: &str,
) -> Result<(), StoreError> {
    let columns = contract.columns.iter().map(define).collect::<Vec<_>>();
    let create =
        format!("CREATE TEMPORARY TABLE {waiting} ({}, {further}) ON COMMIT DROP", columns.join(", "));
    let created = sqlx::raw_sql(AssertSqlSafe(create)).execute(connection).await;
    created.map(|_| ()).map_err(failed("making room for rows"))
}

/// Insert the rows that wait, or update those whose key is there and whose values differ; how many rows that were. Of
/// the rows that wait no two have one key.
pub(super) async fn overwrite(
    connection: &mut PgConnection,
    waiting: &str,
    contract: &Contract,
) -> sqlx::Result<u64> {
    let key = contract.key();
    let others: Vec<&Column> = contract.columns.iter().filter(|column| !key.contains(&column.name)).collect();
    let action = if others.is_empty() {
        "NOTHING".to_owned()
    } else {
        let set = others.iter().map(|column| format!("{0} = excluded.{0}", quote(&column.name)));
        // What stays as it is costs a look and no new version of the row.
        let differs = others.iter().map(|column| {
            let comparable = comparable(column);
            format!("_held.{0}{comparable} IS DISTINCT FROM excluded.{0}{comparable}", quote(&column.name))
        });
        format!(
            "UPDATE SET {} WHERE {}",
            set.collect::<Vec<_>>().join(", "),
            differs.collect::<Vec<_>>().join(" OR ")
        )
    };
    let columns = columns(contract);
    let sql = format!(
        "INSERT INTO {} AS _held ({columns}) SELECT {columns} FROM {waiting} ON CONFLICT ({}) DO {action}",
        table_name(contract),
        list(key)
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(|done| done.rows_affected())
}

/// JSON has no equality; its text, which is kept as it came, has one.
fn comparable(column: &Column) -> &'static str {
    if column.data_type == DataType::Json { "::text" } else { "" }
}
