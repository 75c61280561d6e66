//! Import policy: which components are admitted, judged from their bytes alone.
//!
//! The list is exact: an interface or version that is not on it is refused, whatever it is called.

use std::fmt;

use datanode_core::component::ComponentClass;
use wasmparser::{Encoding, Parser, Payload};

use crate::SandboxError;
use crate::file_kind::FileKind;
use crate::stubs::is_stubbed;

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

/// A component that may be admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Names of its imports.
    pub imports: Vec<String>,
    /// What they make of it.
    pub class: ComponentClass,
}

/// Read and judge the imports of a component, of which no more is admitted than `most`; its exports must hold
/// [`NODE_EXPORT`].
///
/// Whether the code is valid is left to the compiler, which checks all of it.
pub fn check(bytes: &[u8], most: ComponentClass) -> Result<Admitted, SandboxError> {
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(SandboxError::TooLarge { bytes: bytes.len(), limit: MAX_COMPONENT_BYTES });
    }
    // Engines keep machine code like this. Loading what others compiled would run it unchecked.
    if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"\0aot") {
        return Err(SandboxError::Precompiled);
    }
    if let Some(kind) = FileKind::of(bytes) {
        return Err(SandboxError::NotWebAssembly(kind));
    }
    let (imports, exports) = names(bytes)?;
    let outside: Vec<&String> =
        imports.iter().filter(|name| !PURE_IMPORTS.contains(&name.as_str())).collect();
    let class = if outside.is_empty() { ComponentClass::Pure } else { ComponentClass::Stubbed };
    let refused: Vec<RefusedImport> = outside
        .into_iter()
        .filter(|name| most == ComponentClass::Pure || !is_stubbed(name))
        .map(|name| RefusedImport { name: name.clone(), why: why(name) })
        .collect();
    if !refused.is_empty() {
        return Err(SandboxError::ImportsRefused(refused));
    }
    if !exports.iter().any(|name| name == NODE_EXPORT) {
        return Err(SandboxError::NoNodeExport { expected: NODE_EXPORT, found: exports });
    }
    Ok(Admitted { imports, class })
}

/// Names of the imports and exports of the outermost component.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), SandboxError> {
    let broken = |error: wasmparser::BinaryReaderError| SandboxError::Damaged(error.to_string());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(SandboxError::CoreModule);
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
    let pure = "build a component without WASI: Rust for wasm32-unknown-unknown (not wasm32-wasip1 or -wasip2); \
     Python with `componentize-py … componentize --stub-wasi`; JavaScript with `componentize-qjs --stub-wasi --sync`, \
     or componentize-js with all of random, clocks, stdio, http and fetch-event disabled; \
     C and Zig as a reactor without stdio";
    // Where something else is refused too, admitting the rest would not help.
    if imports.iter().all(|import| is_stubbed(&import.name)) {
        return format!(
            "{pure}. Or admit it as it is, as class *stubbed*, whose WASI is answered by constants of this host: \
             --allow-stubbed-wasi"
        );
    }
    pure.to_owned()
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
        for most in [ComponentClass::Pure, ComponentClass::Stubbed] {
            let Admitted { imports, class } = check(&component(&PURE_IMPORTS), most).unwrap();
            assert_eq!((imports, class), (PURE_IMPORTS.map(str::to_owned).to_vec(), ComponentClass::Pure));
            assert_eq!(check(&component(&[]), most).unwrap().imports, Vec::<String>::new());
        }
    }

    #[test]
    fn wasi_is_admitted_where_it_is_asked_for_and_its_network_never_is() {
        let wasi = |interface: &&str| format!("{interface}@0.2.12");
        let whole: Vec<String> = crate::STUBBED_IMPORTS.iter().map(wasi).collect();
        let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
        let error = check(&component(&whole), ComponentClass::Pure).unwrap_err();
        assert_eq!(error.code(), "sandbox.imports_refused");
        assert!(error.next_step().unwrap().ends_with("--allow-stubbed-wasi"));
        let admitted = check(&component(&whole), ComponentClass::Stubbed).unwrap();
        assert_eq!(admitted.class, ComponentClass::Stubbed);

        for network in
            ["wasi:sockets/tcp@0.2.12", "wasi:sockets/instance-network@0.2.0", "wasi:http/types@0.2.0"]
        {
            for most in [ComponentClass::Pure, ComponentClass::Stubbed] {
                let error = check(&component(&[&whole[..], &[network]].concat()), most).unwrap_err();
                let (text, next) = (error.to_string(), error.next_step().unwrap());
                assert!(text.contains(network), "{text}");
                assert!(!next.contains("--allow-stubbed-wasi"), "it would not help: {next}");
            }
        }
    }

    #[test]
    fn everything_else_is_refused_by_name_with_the_way_out() {
        let imports = [
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
        ];
        let error = check(&component(&imports), ComponentClass::Pure).unwrap_err();
        insta::assert_snapshot!(format!("{}\n{error}\n{}", error.code(), error.next_step().unwrap()));
    }

    #[test]
    fn what_is_no_node_is_refused() {
        let module = wat::parse_str("(module (func (export \"update\")))").unwrap();
        assert_eq!(check(&module, ComponentClass::Pure).unwrap_err().code(), "sandbox.not_a_component");
        for (bytes, seems) in [
            (&b"\0asm"[..], "it is damaged"),
            (b"", "the file is empty"),
            (b"#!/bin/sh\necho hi", "the file seems to be text"),
            (b"\x1f\x8b\x08\0\0", "the file seems to be compressed (gzip)"),
        ] {
            let error = check(bytes, ComponentClass::Pure).unwrap_err();
            assert_eq!(error.code(), "sandbox.not_a_component");
            assert!(error.to_string().contains(seems) && error.next_step().is_some(), "{error}");
        }
        let without_export = wat::parse_str("(component)").unwrap();
        assert_eq!(
            check(&without_export, ComponentClass::Pure).unwrap_err().code(),
            "sandbox.no_node_export"
        );
        // A nested component may import what it likes: only the outermost one is linked to the host.
        let nested = wat::parse_str("(component (component (import \"x\" (func))))").unwrap();
        assert_eq!(check(&nested, ComponentClass::Pure).unwrap_err().code(), "sandbox.no_node_export");
    }

    #[test]
    fn what_is_too_large_is_refused_unread() {
        let error = check(&vec![0; MAX_COMPONENT_BYTES + 1], ComponentClass::Stubbed).unwrap_err();
        assert_eq!(error.code(), "sandbox.not_a_component");
        assert!(error.to_string().contains("134217729 bytes, where 134217728 are allowed"), "{error}");
    }

    #[test]
    fn bytes_cut_anywhere_never_panic() {
        let whole = component(&PURE_IMPORTS);
        // A cut between two sections can leave a smaller valid component behind; all others are refused.
        let refused =
            (0..whole.len()).filter(|cut| check(&whole[..*cut], ComponentClass::Pure).is_err()).count();
        assert!(refused > whole.len() / 2, "{refused} of {} cuts were refused", whole.len());
    }
}
