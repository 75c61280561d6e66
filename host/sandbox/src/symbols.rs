//! Which lines of an author's source a place in a component belongs to.
//!
//! Compiled code knows its places in the component as it was rewritten, and debug information (DWARF, in custom sections of
//! its modules) tells of the component as it was given. So of a component that has some, its bytes are kept beside its compiled
//! code, and where each piece of its code was; both are read when a guest has trapped.

use std::ops::Range;
use std::sync::Arc;

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use datanode_rewrite::Spans;
use wasmparser::{Encoding, Parser, Payload};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

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
}

/// A core module that has debug information.
struct Module<'a> {
    /// Its code, in bytes of the component. Debug information counts from the begin of it.
    code: Range<usize>,
    lines: addr2line::Context<Bytes<'a>>,
}

/// One function at a place: the innermost of those that were inlined there comes first.
#[derive(Debug)]
pub(crate) struct Symbol<'a> {
    /// As its compiler names it.
    pub(crate) function: Option<String>,
    pub(crate) file: Option<&'a str>,
    pub(crate) line: Option<u32>,
}

impl<'a> Symbols<'a> {
    /// What cannot be read tells nothing.
    pub(crate) fn of(lines: &'a Lines) -> Self {
        Self { spans: Spans::from_bytes(&lines.spans), modules: modules(&lines.source) }
    }

    /// At most so many functions that are at this place of the component as it was rewritten, in the function of
    /// WebAssembly that begins at `function`.
    pub(crate) fn at(&self, function: usize, place: usize, most: usize) -> Vec<Symbol<'_>> {
        self.find(function, place, most).unwrap_or_default()
    }

    fn find(&self, function: usize, place: usize, most: usize) -> Option<Vec<Symbol<'_>>> {
        let place = self.spans.before(function, place)?;
        let module = self.modules.iter().find(|module| module.code.contains(&place))?;
        let address = (place - module.code.start) as u64;
        let mut frames = module.lines.find_frames(address).skip_all_loads().ok()?;
        let mut found = Vec::new();
        while let (true, Ok(Some(frame))) = (found.len() < most, frames.next()) {
            let function = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.as_ref();
            found.push(Symbol {
                function: function.map(std::borrow::Cow::into_owned),
                file: location.and_then(|location| location.file),
                line: location.and_then(|location| location.line),
            });
        }
        Some(found)
    }
}

/// The modules of a component that have debug information.
fn modules(source: &[u8]) -> Vec<Module<'_>> {
    #[derive(Default)]
    struct Open<'a> {
        code: Option<Range<usize>>,
        sections: Vec<(&'a str, &'a [u8])>,
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
                    && let Some(lines) = lines(&sections)
                {
                    modules.push(Module { code, lines });
                }
            }
            _ => {}
        }
    }
    modules
}

fn lines<'a>(sections: &[(&'a str, &'a [u8])]) -> Option<addr2line::Context<Bytes<'a>>> {
    let bytes_of = |id: SectionId| -> Result<Bytes<'a>, std::convert::Infallible> {
        let section = sections.iter().find(|(name, _)| *name == id.name());
        Ok(EndianSlice::new(section.map_or(&[][..], |(_, bytes)| bytes), LittleEndian))
    };
    let Ok(dwarf) = Dwarf::load(bytes_of);
    addr2line::Context::from_dwarf(dwarf).ok()
}
