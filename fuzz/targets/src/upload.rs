//! Bytes that are uploaded as a component, before anything of them is compiled.

use datanode_core::Diagnostic as _;
use datanode_sandbox::imports::{NODE_EXPORT, PURE_IMPORTS, check};

/// Judge the imports and exports of a component by its bytes.
///
/// Promises: what is admitted imports nothing that is not on the list; what is not is refused with a code and a next step.
/// (Whether its code is valid is judged by wasmtime, which its authors fuzz.)
pub fn upload(data: &[u8]) {
    match check(data) {
        Ok(imports) => {
            assert!(imports.iter().all(|name| PURE_IMPORTS.contains(&name.as_str())), "{imports:?}");
            assert!(data.windows(NODE_EXPORT.len()).any(|window| window == NODE_EXPORT.as_bytes()));
        }
        Err(error) => {
            assert!(error.code().starts_with("sandbox.") && error.next_step().is_some(), "{error}");
        }
    }
}
