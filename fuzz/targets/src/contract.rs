//! Contracts of tables, as files.

use datanode_core::Diagnostic as _;
use datanode_core::contract::Contract;

/// Read a contract from TOML and from JSON.
///
/// Promises: a contract that is good says the same when it is written and read again; one that is not is refused with a
/// code.
pub fn contract(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for read in [Contract::from_toml(&text), Contract::from_json(&text)] {
        match read {
            Ok(contract) => {
                let written = serde_json::to_string(&contract).unwrap();
                assert_eq!(Contract::from_json(&written).expect("what was accepted"), contract);
                assert_eq!(contract.arrow_schema().fields().len(), contract.columns.len());
                contract.warnings();
            }
            Err(error) => assert!(error.code().starts_with("contract.") && !error.to_string().is_empty()),
        }
    }
}
