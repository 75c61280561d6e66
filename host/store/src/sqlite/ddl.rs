//! Contracts as tables of SQLite.

use datanode_core::contract::{Column, Contract, ForeignKey};
use datanode_core::data_type::DataType;

use crate::StoreError;
use crate::catalogue::foreign_keys::on_delete;

/// The most digits of a decimal: every number of 18 digits fits SQLite's 64-bit integer.
const MAX_DECIMAL_DIGITS: u8 = 18;

/// Beginnings of names that belong to SQLite itself.
const RESERVED_PREFIXES: [&str; 2] = ["sqlite_", "pragma_"];
/// Functions that reads use in the place of a table. A table of that name would hide the function from every query.
const RESERVED_NAMES: [&str; 2] = ["json_each", "json_tree"];

/// A name of a contract in SQL. Contracts allow only `[a-z][a-z0-9_]*`, so a quote inside cannot happen; it is doubled
/// all the same, for this is the one way by which a name enters SQL.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statement that creates a table of either kind. `WITHOUT ROWID` keeps the rows in the order of the key, in which
/// they are appended and read. `targets` are the physical names of the tables that its foreign keys lead to, in their
/// order.
///
/// No index is made over the columns of a foreign key: it would double what each commit writes, for the sake of
/// deletions from reference tables, which are rare and may take their time.
pub(super) fn create_table(contract: &Contract, targets: &[String]) -> Result<String, StoreError> {
    let name = contract.physical_name();
    if let Some(reserved) = RESERVED_PREFIXES
        .into_iter()
        .find(|prefix| name.starts_with(prefix))
        .or_else(|| RESERVED_NAMES.into_iter().find(|reserved| *reserved == name))
    {
        return Err(StoreError::PhysicalNameReserved {
            table: contract.identifier.clone(),
            physical_name: name.to_owned(),
            reserved,
        });
    }
    let mut parts =
        contract.columns.iter().map(|column| define(contract, column)).collect::<Result<Vec<_>, _>>()?;
    parts.push(format!("PRIMARY KEY ({})", list(contract.key())));
    parts.extend(contract.foreign_keys.iter().zip(targets).map(|(key, target)| {
        let action = on_delete(contract, key, target);
        let ForeignKey { columns, references, .. } = key;
        let (columns, theirs) = (list(columns), list(&references.columns));
        format!("FOREIGN KEY ({columns}) REFERENCES {} ({theirs}) ON DELETE {action}", quote(target))
    }));
    Ok(format!("CREATE TABLE {} ({}) STRICT, WITHOUT ROWID", quote(name), parts.join(", ")))
}

/// Names in SQL, separated by commas.
pub(super) fn list(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

pub(super) fn define(contract: &Contract, column: &Column) -> Result<String, StoreError> {
    let name = quote(&column.name);
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    let check = match column.data_type {
        DataType::Bool => format!(" CHECK ({name} IN (0, 1))"),
        _ => String::new(),
    };
    Ok(format!("{name} {}{not_null}{check}", sql_type(contract, column)?))
}

fn sql_type(contract: &Contract, column: &Column) -> Result<&'static str, StoreError> {
    Ok(match column.data_type {
        DataType::Float64 | DataType::Float32 => "REAL",
        DataType::Decimal { precision, .. } if precision > MAX_DECIMAL_DIGITS => {
            return Err(StoreError::UnsupportedType {
                table: contract.identifier.clone(),
                column: column.name.clone(),
                problem: format!(
                    "SQLite keeps decimals of at most {MAX_DECIMAL_DIGITS} digits, {} has {precision}",
                    column.data_type
                ),
            });
        }
        DataType::Int64
        | DataType::Int32
        | DataType::Int16
        | DataType::Bool
        | DataType::Date
        | DataType::TimestampTz
        | DataType::Decimal { .. } => "INTEGER",
        DataType::String | DataType::Json => "TEXT",
        DataType::Uuid | DataType::Bytes => "BLOB",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(name: &str, columns: &str) -> Contract {
        Contract::from_toml(&format!("identifier = \"t\"\nphysical_name = \"{name}\"\n{columns}")).unwrap()
    }

    #[test]
    fn every_type_has_a_column() {
        let contract = contract(
            "order",
            r#"
            index = ["time_index", "group"]
            columns = [
                { name = "time_index", type = "timestamp_tz" }, { name = "group", type = "string" },
                { name = "a", type = "float64", nullable = true }, { name = "b", type = "float32" },
                { name = "c", type = "int64" }, { name = "d", type = "int32" }, { name = "e", type = "int16" },
                { name = "select", type = "bool", nullable = true }, { name = "g", type = "date" },
                { name = "h", type = "uuid" }, { name = "i", type = "json" }, { name = "j", type = "decimal(18,4)" },
                { name = "k", type = "bytes" },
            ]"#,
        );
        let sql = create_table(&contract, &[]).unwrap();
        assert_eq!(
            sql,
            "CREATE TABLE \"order\" (\"time_index\" INTEGER NOT NULL, \"group\" TEXT NOT NULL, \"a\" REAL, \
             \"b\" REAL NOT NULL, \"c\" INTEGER NOT NULL, \"d\" INTEGER NOT NULL, \"e\" INTEGER NOT NULL, \
             \"select\" INTEGER CHECK (\"select\" IN (0, 1)), \"g\" INTEGER NOT NULL, \"h\" BLOB NOT NULL, \
             \"i\" TEXT NOT NULL, \"j\" INTEGER NOT NULL, \"k\" BLOB NOT NULL, PRIMARY KEY (\"time_index\", \
             \"group\")) STRICT, WITHOUT ROWID"
        );
        rusqlite::Connection::open_in_memory().unwrap().execute_batch(&sql).unwrap();
    }

    #[test]
    fn foreign_keys_are_physical() {
        let reference = Contract::from_toml(
            r#"
            identifier = "r"
            kind = "reference"
            primary_key = ["id", "venue"]
            columns = [
                { name = "venue", type = "string" }, { name = "id", type = "int64" },
                { name = "parent", type = "int64", nullable = true },
                { name = "parent_venue", type = "string", nullable = true },
                { name = "owner", type = "uuid", nullable = true },
            ]
            foreign_keys = [
                { columns = ["parent", "parent_venue"], references = { table = "r", columns = ["id", "venue"] } },
                { columns = ["owner"], references = { table = "o", columns = ["id"] }, on_delete = "cascade" },
                { columns = ["owner"], references = { table = "p", columns = ["id"] } },
            ]"#,
        )
        .unwrap();
        let sql = create_table(&reference, &["r", "owners", "people"].map(str::to_owned)).unwrap();
        let keys = sql.split_once("PRIMARY KEY").unwrap().1;
        assert_eq!(
            keys,
            " (\"id\", \"venue\"), FOREIGN KEY (\"parent\", \"parent_venue\") REFERENCES \"r\" (\"id\", \"venue\") \
             ON DELETE NO ACTION, FOREIGN KEY (\"owner\") REFERENCES \"owners\" (\"id\") ON DELETE CASCADE, \
             FOREIGN KEY (\"owner\") REFERENCES \"people\" (\"id\") ON DELETE RESTRICT) STRICT, WITHOUT ROWID"
        );
        rusqlite::Connection::open_in_memory().unwrap().execute_batch(&sql).unwrap();
    }

    #[test]
    fn what_sqlite_cannot_keep_is_refused() {
        let time = "index = [\"time_index\"]\ncolumns = [{ name = \"time_index\", type = \"timestamp_tz\" }";
        let wide = contract("t", &format!("{time}, {{ name = \"x\", type = \"decimal(19,2)\" }}]"));
        assert_eq!(
            create_table(&wide, &[]).unwrap_err().to_string(),
            "table `t`, column `x`: SQLite keeps decimals of at most 18 digits, decimal(19,2) has 19"
        );
        for name in ["sqlite_stat1", "pragma_table_info", "json_each"] {
            let error = create_table(&contract(name, &format!("{time}]")), &[]).unwrap_err();
            assert!(matches!(error, StoreError::PhysicalNameReserved { .. }), "{error}");
        }
        assert!(create_table(&contract("json_events", &format!("{time}]")), &[]).is_ok());
    }

    #[test]
    fn a_quote_in_a_name_stays_a_name() {
        assert_eq!(quote("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
    }
}
