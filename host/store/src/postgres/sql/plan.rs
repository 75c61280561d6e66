//! Which tables a statement would read, as the server's planner has it.

use datanode_core::contract::Contract;
use datanode_core::sql::{SqlError, SqlErrorKind};
use serde_json::Value;

use crate::postgres::ddl::SCHEMA;

/// Refuse a plan (of `EXPLAIN (FORMAT JSON, VERBOSE)`) that reads anything but the table of a contract.
pub(super) fn refuse_others(plan: &Value, contract: &Contract) -> Result<(), SqlError> {
    let denied = |what: String| {
        let message =
            format!("{what} cannot be read here: this statement reads the table `{}`", contract.identifier);
        Err(SqlError::new(SqlErrorKind::PermissionDenied, message))
    };
    match plan {
        Value::Array(parts) => parts.iter().try_for_each(|part| refuse_others(part, contract)),
        Value::Object(node) => {
            let text = |key: &str| node.get(key).and_then(Value::as_str);
            if let Some(relation) = text("Relation Name") {
                let schema = text("Schema").unwrap_or_default();
                if (schema, relation) != (SCHEMA, contract.physical_name()) {
                    return denied(format!("`{schema}.{relation}`"));
                }
            }
            // Rows of a function, a change of rows, and what other modules bring along.
            for key in ["Function Name", "Table Function Name"] {
                if let Some(function) = text(key) {
                    return denied(format!("the function `{function}`"));
                }
            }
            if matches!(text("Node Type"), Some("ModifyTable" | "Custom Scan" | "Foreign Scan" | "LockRows"))
            {
                return denied(format!("what a {} has", text("Node Type").unwrap_or_default()));
            }
            node.values().try_for_each(|part| refuse_others(part, contract))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_the_table_is_refused_however_deep() {
        let contract = Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{ name = \"time_index\", type = \"timestamp_tz\" }]",
        )
        .unwrap();
        let scan = |node: Value| serde_json::json!([{"Plan": {"Node Type": "Append", "Plans": [{"Plans": [node]}]}}]);
        let judge = |node: Value| refuse_others(&scan(node), &contract);
        let own =
            serde_json::json!({"Node Type": "Seq Scan", "Relation Name": "t", "Schema": "datanode_tables"});
        assert_eq!(judge(own), Ok(()));
        for other in [
            serde_json::json!({"Node Type": "Seq Scan", "Relation Name": "t", "Schema": "public"}),
            serde_json::json!({"Node Type": "Seq Scan", "Relation Name": "t"}),
            serde_json::json!({"Node Type": "Index Scan", "Relation Name": "u", "Schema": "datanode_tables"}),
            serde_json::json!({"Node Type": "Function Scan", "Function Name": "pg_ls_dir", "Schema": "pg_catalog"}),
            serde_json::json!({"Node Type": "Table Function Scan", "Table Function Name": "xmltable"}),
            serde_json::json!({"Node Type": "ModifyTable", "Operation": "Delete"}),
        ] {
            let error = judge(other.clone()).unwrap_err();
            assert_eq!(error.kind, SqlErrorKind::PermissionDenied, "{other}");
        }
    }
}
