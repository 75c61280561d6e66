//! Errors of the catalogue as users read them: code, object, next step. Those that a test of the command line shows are
//! not repeated here.

use datanode_core::Diagnostic;
use datanode_core::contract::Contract;

use datanode_store::{SqliteStore, Store, StoreError};

fn shown(error: &StoreError) -> String {
    let next = error.next_step().unwrap_or_else(|| panic!("{} has no next step", error.code()));
    format!("error[{}]: {error}\nnext: {next}\nexit {}", error.code(), error.class().exit_code())
}

fn contract(identifier: &str, physical_name: &str, column: &str) -> Contract {
    Contract::from_toml(&format!(
        "identifier = \"{identifier}\"\nphysical_name = \"{physical_name}\"\nindex = [\"time_index\"]\ncolumns = [\
         {{ name = \"time_index\", type = \"timestamp_tz\" }}, {{ name = \"x\", type = \"{column}\" }}]"
    ))
    .unwrap()
}

#[tokio::test]
async fn contracts_that_the_database_cannot_hold() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("data.db")).await.unwrap();
    let now = "2026-11-23".parse().unwrap();
    store.register_table(&contract("rates", "prices", "float64"), now).await.unwrap();
    let mut messages = Vec::new();
    for refused in [
        contract("other", "prices", "float64"),
        contract("other", "sqlite_rates", "float64"),
        contract("other", "json_each", "float64"),
        contract("other", "other", "decimal(20,2)"),
    ] {
        messages.push(shown(&store.register_table(&refused, now).await.unwrap_err()));
    }
    insta::assert_snapshot!(messages.join("\n\n"));
}
