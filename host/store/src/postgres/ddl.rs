//! Contracts as tables of PostgreSQL.

use datanode_core::contract::{Column, Contract, ForeignKey};
use datanode_core::data_type::DataType;

use crate::StoreError;
use crate::catalogue::foreign_keys::on_delete;

/// The schema of the tables of users.
const SCHEMA: &str = "datanode_tables";
/// Beginnings of names that are this host's own, for temporary tables.
const RESERVED_PREFIXES: [&str; 1] = ["pg_"];

/// A name of a contract in SQL. Contracts allow only `[a-z][a-z0-9_]*`, so a quote inside cannot happen; it is doubled
/// all the same, for this is the one way by which a name enters SQL.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table of a contract, with its schema.
pub(super) fn table_name(contract: &Contract) -> String {
    physical(contract.physical_name())
}

fn physical(name: &str) -> String {
    format!("{SCHEMA}.{}", quote(name))
}

/// Names in SQL, separated by commas.
pub(super) fn list(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

/// The statement that creates a table of either kind. `targets` are the physical names of the tables that its foreign
/// keys lead to, in their order. No index is made over the columns of a foreign key: it would double what each commit
/// writes, for the sake of deletions from reference tables, which are rare and may take their time.
pub(super) fn create_table(contract: &Contract, targets: &[String]) -> Result<String, StoreError> {
    let name = contract.physical_name();
    if let Some(reserved) = RESERVED_PREFIXES.into_iter().find(|prefix| name.starts_with(prefix)) {
        return Err(StoreError::PhysicalNameReserved {
            table: contract.identifier.clone(),
            physical_name: name.to_owned(),
            reserved,
        });
    }
    let mut parts: Vec<String> = contract.columns.iter().map(define).collect();
    parts.push(format!("PRIMARY KEY ({})", list(contract.key())));
    parts.extend(
        contract
            .foreign_keys
            .iter()
            .zip(targets)
            .map(|(key, target)| foreign_key(key, target, on_delete(contract, key, target))),
    );
    Ok(format!("CREATE TABLE {} ({})", table_name(contract), parts.join(", ")))
}

/// A foreign key to the table of this physical name.
pub(super) fn foreign_key(key: &ForeignKey, target: &str, action: &str) -> String {
    let ForeignKey { columns, references, .. } = key;
    let (columns, theirs) = (list(columns), list(&references.columns));
    format!("FOREIGN KEY ({columns}) REFERENCES {} ({theirs}) ON DELETE {action}", physical(target))
}

/// A column.
pub(super) fn define(column: &Column) -> String {
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{not_null}", quote(&column.name), column_type(column.data_type))
}

/// The type of a column. Text sorts by its bytes, as everywhere in this host.
pub(super) fn column_type(data_type: DataType) -> String {
    let collation = if data_type == DataType::String { " COLLATE \"C\"" } else { "" };
    format!("{}{collation}", sql_type(data_type))
}

/// The type, as PostgreSQL itself names it.
pub(super) fn sql_type(data_type: DataType) -> String {
    match data_type {
        DataType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        DataType::TimestampTz => "timestamp with time zone".to_owned(),
        other => super::literal::type_name(other).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_column_and_foreign_keys_are_physical() {
        let contract = Contract::from_toml(
            r#"
            identifier = "t"
            physical_name = "order"
            index = ["time_index", "group"]
            columns = [
                { name = "time_index", type = "timestamp_tz" }, { name = "group", type = "string" },
                { name = "a", type = "float64", nullable = true }, { name = "b", type = "float32" },
                { name = "c", type = "int64" }, { name = "d", type = "int32" }, { name = "e", type = "int16" },
                { name = "select", type = "bool", nullable = true }, { name = "g", type = "date" },
                { name = "h", type = "uuid" }, { name = "i", type = "json" }, { name = "j", type = "decimal(38,4)" },
                { name = "k", type = "bytes" },
            ]
            foreign_keys = [{ columns = ["c"], references = { table = "r", columns = ["id"] } }]"#,
        )
        .unwrap();
        assert_eq!(
            create_table(&contract, &["rows".to_owned()]).unwrap(),
            "CREATE TABLE datanode_tables.\"order\" (\"time_index\" timestamp with time zone NOT NULL, \
             \"group\" text COLLATE \"C\" NOT NULL, \"a\" double precision, \"b\" real NOT NULL, \
             \"c\" bigint NOT NULL, \"d\" integer NOT NULL, \"e\" smallint NOT NULL, \"select\" boolean, \
             \"g\" date NOT NULL, \"h\" uuid NOT NULL, \"i\" json NOT NULL, \"j\" numeric(38,4) NOT NULL, \
             \"k\" bytea NOT NULL, PRIMARY KEY (\"time_index\", \"group\"), FOREIGN KEY (\"c\") REFERENCES \
             datanode_tables.\"rows\" (\"id\") ON DELETE RESTRICT)"
        );
    }
}
