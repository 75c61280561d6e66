//! Bytes that are uploaded as a component, before anything of them is compiled.

use datanode_core::Diagnostic as _;
use datanode_core::component::ComponentClass;
use datanode_core::search::MAX_DOCS_BYTES;
use datanode_sandbox::imports::{NODE_EXPORT, PURE_IMPORTS, check};
use datanode_sandbox::{STUBBED_IMPORTS, docs};

/// Judge the imports and exports of a component by its bytes.
///
/// Promises: what is admitted imports nothing that is not on the list of its class, and what is pure is of that class whatever
/// else would be admitted; what is not is refused with a code and a next step. What its author has documented is bounded text
/// that commands no terminal.
/// (Whether its code is valid is judged by wasmtime, which its authors fuzz.)
pub fn upload(data: &[u8]) {
    for most in [ComponentClass::Pure, ComponentClass::Stubbed] {
        judge(data, most);
    }
    let documented = docs(data);
    assert!(documented.len() <= MAX_DOCS_BYTES, "{}", documented.len());
    assert!(
        !documented.chars().any(|character| character.is_control() && character != '\n'),
        "{documented:?}"
    );
}

fn judge(data: &[u8], most: ComponentClass) {
    match check(data, most) {
        Ok(admitted) => {
            let is_pure = |name: &String| PURE_IMPORTS.contains(&name.as_str());
            let impure: Vec<&String> = admitted.imports.iter().filter(|name| !is_pure(name)).collect();
            assert_eq!(impure.is_empty(), admitted.class == ComponentClass::Pure, "{impure:?}");
            assert!(admitted.class == ComponentClass::Pure || most == ComponentClass::Stubbed);
            let is_stubbed = |name: &&String| {
                STUBBED_IMPORTS
                    .iter()
                    .any(|stub| name.split_once('@').is_some_and(|(interface, _)| interface == *stub))
            };
            assert!(impure.iter().all(is_stubbed), "{impure:?}");
            assert!(data.windows(NODE_EXPORT.len()).any(|window| window == NODE_EXPORT.as_bytes()));
        }
        Err(error) => {
            assert!(error.code().starts_with("sandbox.") && error.next_step().is_some(), "{error}");
        }
    }
}
