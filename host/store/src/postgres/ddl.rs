//! Contracts as tables of PostgreSQL.

use datanode_core::contract::{Column, Contract};
use datanode_core::data_type::DataType;

use crate::StoreError;

/// A name of a contract in SQL.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table of a contract, with its schema.
pub(super) fn table_name(contract: &Contract) -> String {
    format!("datanode_tables.{}", quote(contract.physical_name()))
}

/// Names in SQL, separated by commas.
pub(super) fn list(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

#[allow(clippy::unnecessary_wraps)]
pub(super) fn define(_contract: &Contract, column: &Column) -> Result<String, StoreError> {
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    let sql_type = match column.data_type {
        DataType::String => "text COLLATE \"C\"".to_owned(),
        DataType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        other => super::literal::type_name(other).to_owned(),
    };
    Ok(format!("{} {sql_type}{not_null}", quote(&column.name)))
}
