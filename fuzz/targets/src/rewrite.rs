//! Bytes of a component that is rewritten before it is compiled.

use datanode_rewrite::{Nan, RewriteError, component};
use wasmparser::{Validator, WasmFeatures};

/// Write a component anew.
///
/// Promises: no bytes make it panic; what was valid stays valid, or exceeds a bound that has a name; and it is written the same
/// each time.
/// (That it computes the same is what `host/rewrite/tests/same.rs` compares with the engine.)
pub fn rewrite(data: &[u8]) {
    let validate = |bytes: &[u8]| Validator::new_with_features(WasmFeatures::default()).validate_all(bytes);
    let rewritten = component(data, Nan::Canonical);
    if validate(data).is_err() {
        return;
    }
    match rewritten {
        Ok(rewritten) => {
            if let Err(error) = validate(&rewritten.bytes) {
                panic!("it was valid: {error}");
            }
            assert_eq!(rewritten.bytes, component(data, Nan::Canonical).unwrap().bytes);
        }
        // The validator takes a module whose section is longer than the file.
        Err(RewriteError::Function { .. } | RewriteError::Nested | RewriteError::CutOff(_)) => {}
        // A core module that is no part of a component is for no one to rewrite.
        Err(error) => assert_eq!(data.get(6), Some(&0), "{error}"),
    }
}
