//! Import policy: which components are admitted, judged from their bytes alone.
//!
//! The list is exact: an interface or version that is not on it is refused, whatever it is called.

use std::fmt;

use wasmparser::{Encoding, Parser, Payload};

use crate::SandboxError;

/// The interfaces of the guest contract that a component may import.
pub const PURE_IMPORTS: [&str; 5] = [
    "datanode:node/types@0.1.0",
    "datanode:node/frames@0.1.0",
    "datanode:node/log@0.1.0",
    "datanode:node/sources@0.1.0",
    "datanode:node/options@0.1.0",
];

/// The interface that a component must export.
pub const NODE_EXPORT: &str = "datanode:node/node@0.1.0";

/// The largest component, in bytes.
pub const MAX_COMPONENT_BYTES: usize = 128 << 20;

/// An import that is refused, and why a node cannot have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedImport {
    /// Name of the interface.
    pub name: String,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for RefusedImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// Read and judge the imports of a component; its exports must hold [`NODE_EXPORT`]. Answers the import names.
///
/// Whether the code is valid is left to the compiler, which checks all of it.
pub fn check(bytes: &[u8]) -> Result<Vec<String>, SandboxError> {
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(SandboxError::NotAComponent(format!(
            "{} bytes, where {MAX_COMPONENT_BYTES} are allowed",
            bytes.len()
        )));
    }
    // Engines keep machine code like this. Loading what others compiled would run it unchecked.
    if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"\0aot") {
        return Err(SandboxError::Precompiled);
    }
    let (imports, exports) = names(bytes)?;
    let refused: Vec<RefusedImport> = imports
        .iter()
        .filter(|name| !PURE_IMPORTS.contains(&name.as_str()))
        .map(|name| RefusedImport { name: name.clone(), why: why(name) })
        .collect();
    if !refused.is_empty() {
        return Err(SandboxError::ImportsRefused(refused));
    }
    if !exports.iter().any(|name| name == NODE_EXPORT) {
        return Err(SandboxError::NoNodeExport { expected: NODE_EXPORT, found: exports });
    }
    Ok(imports)
}

/// Names of the imports and exports of the outermost component.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), SandboxError> {
    let broken = |error: wasmparser::BinaryReaderError| SandboxError::NotAComponent(error.to_string());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(SandboxError::NotAComponent("this is a core module".to_owned()));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

fn why(name: &str) -> &'static str {
    let interface = name.split('@').next().unwrap_or(name);
    match interface {
        _ if interface.starts_with("datanode:node/") => {
            "not an interface of this host's contract version; build with an SDK that fits it"
        }
        _ if interface.starts_with("wasi:clocks/") => {
            "a node has no clock; the window's end is its only notion of now"
        }
        _ if interface.starts_with("wasi:random/") => {
            "a node has no randomness; seed a generator from the config"
        }
        "wasi:cli/environment" => "a node has no environment; use the config, or runtime options",
        _ if interface.starts_with("wasi:sockets/") || interface.starts_with("wasi:http/") => {
            "a node has no network; declare a source and fetch from it"
        }
        _ if interface.starts_with("wasi:filesystem/") => {
            "a node has no files; declare a source and fetch from it"
        }
        _ if interface.starts_with("wasi:cli/") => "a node has no terminal; use the log",
        _ if interface.starts_with("wasi:") => "a node has no system interface",
        _ => "unknown to this host",
    }
}

/// What an author can do about refused imports.
pub fn how_to_build_without(imports: &[RefusedImport]) -> String {
    if imports.iter().all(|import| !import.name.starts_with("wasi:")) {
        return format!("a node may import only {}", PURE_IMPORTS.join(", "));
    }
    "build a component without WASI: Rust for wasm32-unknown-unknown (not wasm32-wasip1 or -wasip2); \
     Python with `componentize-py … componentize --stub-wasi`; JavaScript with `componentize-qjs --stub-wasi --sync`, \
     or componentize-js with all of random, clocks, stdio, http and fetch-event disabled; \
     C and Zig as a reactor without stdio"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datanode_core::Diagnostic;

    fn component(imports: &[&str]) -> Vec<u8> {
        let import = |name: &&str| format!("(import \"{name}\" (instance))");
        let imports = imports.iter().map(import).collect::<Vec<_>>().join("\n");
        wat::parse_str(format!(
            "(component {imports} (instance $node) (export \"{NODE_EXPORT}\" (instance $node)))"
        ))
        .unwrap()
    }

    #[test]
    fn the_contract_alone_is_admitted() {
        assert_eq!(check(&component(&PURE_IMPORTS)).unwrap(), PURE_IMPORTS);
        assert_eq!(check(&component(&[])).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn everything_else_is_refused_by_name_with_the_way_out() {
        let error = check(&component(&[
            "datanode:node/log@0.1.0",
            "wasi:clocks/wall-clock@0.2.12",
            "wasi:random/random@0.2.0",
            "wasi:cli/environment@0.2.0",
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/outgoing-handler@0.2.10",
            "wasi:filesystem/preopens@0.2.12",
            "wasi:io/streams@0.2.12",
            "datanode:node/frames@0.2.0",
            "datanode:node/network@0.1.0",
            "evil:corp/exfiltrate",
        ]))
        .unwrap_err();
        insta::assert_snapshot!(format!("{}\n{error}\n{}", error.code(), error.next_step().unwrap()));
    }

    #[test]
    fn what_is_no_node_is_refused() {
        let module = wat::parse_str("(module (func (export \"update\")))").unwrap();
        assert_eq!(check(&module).unwrap_err().code(), "sandbox.not_a_component");
        assert_eq!(check(b"\0asm").unwrap_err().code(), "sandbox.not_a_component");
        assert_eq!(check(b"").unwrap_err().code(), "sandbox.not_a_component");
        assert_eq!(check(b"#!/bin/sh\necho hi").unwrap_err().code(), "sandbox.not_a_component");
        let without_export = wat::parse_str("(component)").unwrap();
        assert_eq!(check(&without_export).unwrap_err().code(), "sandbox.no_node_export");
        // A nested component may import what it likes: only the outermost one is linked to the host.
        let nested = wat::parse_str("(component (component (import \"x\" (func))))").unwrap();
        assert_eq!(check(&nested).unwrap_err().code(), "sandbox.no_node_export");
    }

    #[test]
    fn bytes_cut_anywhere_never_panic() {
        let whole = component(&PURE_IMPORTS);
        // A cut between two sections can leave a smaller valid component behind; all others are refused.
        let refused = (0..whole.len()).filter(|cut| check(&whole[..*cut]).is_err()).count();
        assert!(refused > whole.len() / 2, "{refused} of {} cuts were refused", whole.len());
    }
}
