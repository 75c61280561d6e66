//! Components out of Rust crates.
//!
//! **One idea:** the same source gives the same bytes. A host refuses other bytes of the same version, so a build must
//! not depend on the day, nor on where the sources lie. [`Toolchain`] finds a compiler that has a standard library for
//! wasm32 or says precisely what is missing; [`compile`] drives cargo with everything set that makes its result
//! reproducible; [`encode`] makes a component of the module.
//!
//! **May depend on:** cargo's command line, wit-component. **Never on:** the other crates of this host.

mod compile;
mod error;
mod toolchain;

pub use compile::{Module, Request, compile, target_directory, write};
pub use error::BuildError;
pub use toolchain::{Packages, Toolchain};

/// The target that components are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A component of a core module; `label` names it in errors.
pub fn encode(label: &str, module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| BuildError::Encode { label: label.to_owned(), problem: format!("{error:#}") })
}
