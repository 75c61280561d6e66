//! What a component says of the tools that it was built by: for people, and proven by nothing.

use std::collections::BTreeSet;

use wasmparser::{KnownCustom, Parser, Payload};

/// The most entries that are kept of each kind, and the most characters of one.
const MOST: usize = 16;
/// See [`MOST`].
const CHARS: usize = 80;

/// Languages and tools, sorted, as all modules of a component name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Producers {
    /// As in `Rust`.
    pub languages: Vec<String>,
    /// As in `rustc 1.95.0`.
    pub tools: Vec<String>,
}

/// Read them from the bytes of a component. What cannot be read is left out.
pub fn producers(bytes: &[u8]) -> Producers {
    let (mut languages, mut tools) = (BTreeSet::new(), BTreeSet::new());
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { break };
        let Payload::CustomSection(section) = payload else { continue };
        let KnownCustom::Producers(fields) = section.as_known() else { continue };
        for field in fields.into_iter().flatten() {
            let known = match field.name {
                "language" => &mut languages,
                "processed-by" | "sdk" => &mut tools,
                _ => continue,
            };
            for value in field.values.into_iter().flatten() {
                if known.len() < MOST {
                    let text = format!("{} {}", value.name, value.version);
                    known.insert(text.trim().chars().take(CHARS).collect::<String>());
                }
            }
        }
    }
    Producers { languages: languages.into_iter().collect(), tools: tools.into_iter().collect() }
}
