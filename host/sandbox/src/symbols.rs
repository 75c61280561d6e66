//! Which lines of an author's source a place in a component belongs to.
//!
//! Compiled code knows its places in the component as it was rewritten, and debug information (DWARF, in custom sections of
//! its modules) tells of the component as it was given. So of a component that has some, its bytes are kept beside its compiled
//! code, and where each piece of its code was; both are read when a guest has trapped.

use std::ops::Range;
use std::sync::Arc;

use datanode_rewrite::Spans;
use wasmparser::{Encoding, Parser, Payload};

use crate::debug_info::{Budget, DebugInfo, Symbol};

/// What is kept of a component to tell lines of its source; nothing where it has no debug information.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    /// Its bytes, as they were given.
    pub(crate) source: Arc<[u8]>,
    /// Where its code was, as [`Spans::to_bytes`] writes it.
    pub(crate) spans: Arc<[u8]>,
}

impl Lines {
    /// Of a component with these spans, which are empty where it has no debug information.
    pub(crate) fn of(source: &[u8], spans: &[u8]) -> Self {
        if spans.is_empty() { Self::default() } else { Self { source: source.into(), spans: spans.into() } }
    }
}

/// What a component tells of its places.
pub(crate) struct Symbols<'a> {
    spans: Spans,
    modules: Vec<Module<'a>>,
    /// Of all places together.
    budget: Budget,
}

/// A core module that has debug information.
struct Module<'a> {
    /// Its code, in bytes of the component. Debug information counts from the begin of it.
    code: Range<usize>,
    debug_info: DebugInfo<'a>,
}

impl<'a> Symbols<'a> {
    /// What cannot be read tells nothing.
    pub(crate) fn of(lines: &'a Lines) -> Self {
        let budget = Budget::default();
        let modules = modules(&lines.source, &budget);
        Self { spans: Spans::from_bytes(&lines.spans), modules, budget }
    }

    /// At most so many functions that are at this place of the component as it was rewritten, in the function of
    /// WebAssembly that begins at `function`: the innermost of those that were inlined there comes first.
    pub(crate) fn at(&self, function: usize, place: usize, most: usize) -> Vec<Symbol> {
        let place = self.spans.before(function, place);
        let known = place.and_then(|place| {
            let module = self.modules.iter().find(|module| module.code.contains(&place))?;
            Some(module.debug_info.at((place - module.code.start) as u64, most, &self.budget))
        });
        known.unwrap_or_default()
    }
}

/// The modules of a component that have debug information.
fn modules<'a>(source: &'a [u8], budget: &Budget) -> Vec<Module<'a>> {
    #[derive(Default)]
    struct Open<'s> {
        code: Option<Range<usize>>,
        sections: Vec<(&'s str, &'s [u8])>,
    }
    let mut modules = Vec::new();
    // Modules and components that were begun; None is a component.
    let mut open: Vec<Option<Open<'_>>> = Vec::new();
    for payload in Parser::new(0).parse_all(source) {
        let Ok(payload) = payload else { break };
        match payload {
            Payload::Version { encoding, .. } => {
                open.push((encoding == Encoding::Module).then(Open::default));
            }
            Payload::CodeSectionStart { range, .. } => {
                if let Some(Some(module)) = open.last_mut() {
                    module.code = Some(range);
                }
            }
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                if let Some(Some(module)) = open.last_mut() {
                    module.sections.push((section.name(), section.data()));
                }
            }
            Payload::End(_) => {
                if let Some(Some(Open { code: Some(code), sections })) = open.pop()
                    && !sections.is_empty()
                    && let Some(debug_info) = DebugInfo::of(&sections, budget)
                {
                    modules.push(Module { code, debug_info });
                }
            }
            _ => {}
        }
    }
    modules
}
