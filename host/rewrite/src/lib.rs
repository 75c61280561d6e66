//! Components of WebAssembly, written anew so that all bits of their results are determined, at little cost.
//!
//! The one idea: arithmetic of WebAssembly is the same on each machine but for one thing, *which* NaN it answers. An engine
//! can make each NaN canonical behind each instruction; then a sum of a column waits twice as long for each of its steps,
//! for bits at which nobody looks before its end. Here a component is rewritten before it is compiled: NaN is made canonical
//! where its bits leave arithmetic (a store, a call, a reinterpretation), and what was loaded is never touched. The rule is in
//! `nan.rs`, what each instruction does to it in `effect.rs`; whatever is not named there looks at all bits.
//!
//! A pure function of bytes, and the same on each machine, because what comes out of it counts the fuel of runs. It depends
//! on `wasmparser`, the parser and validator that the engine itself uses, and knows nothing of an engine.
//!
//! Invariants:
//!
//! 1. What the component observes of itself is what it would observe if each instruction that computes answered the canonical
//!    NaN, as the deterministic profile of the specification has it (WebAssembly 3.0, appendix *Profiles*). `tests/same.rs`
//!    compares it with an engine that does just that.
//! 2. A component that is valid stays valid, or is refused with the bound that it would exceed ([`RewriteError`]). One that is not
//!    is refused here, or by the engine.
//! 3. Debug information is left away, for it would tell of other places. [`Rewritten::spans`] leads from places of the new
//!    component to those of the old one, which has it.
//! 4. What comes out for a component changes only together with [`VERSION`]. `tests/bytes.rs` holds it to that.

mod binary;
mod effect;
mod function;
mod nan;
mod places;

use thiserror::Error;
use wasmparser::{
    BinaryReaderError, FuncValidatorAllocations, Parser, ValidPayload, Validator, WasmFeatures,
};

use binary::{HEADER_BYTES, Section};
pub use places::Spans;

/// Goes up when a component is written otherwise than before: its runs then use other fuel.
pub const VERSION: u32 = 1;

/// What is done about NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nan {
    /// It is made canonical before anybody looks at its bits.
    Canonical,
    /// Nothing: for the test that shows that it would be noticed.
    Left,
}

/// A component that was written anew.
#[derive(Debug)]
pub struct Rewritten {
    /// The component.
    pub bytes: Vec<u8>,
    /// Where its code was in the component that was given.
    pub spans: Spans,
    /// Whether the component that was given has debug information.
    pub has_lines: bool,
}

/// Why a component cannot be rewritten.
#[derive(Debug, Error)]
pub enum RewriteError {
    /// It is not valid WebAssembly.
    #[error("byte {} of the component: {}", .0.offset(), .0.message())]
    Invalid(#[from] BinaryReaderError),
    /// A section of it is cut off.
    #[error("byte {0} of the component: a section reaches beyond its end")]
    CutOff(usize),
    /// Components within components, beyond any that a linker makes.
    #[error("components are nested more than {MOST_NESTED} deep")]
    Nested,
    /// A function that computes numbers is so large that what makes NaN canonical in it does not fit any more.
    #[error(
        "function {function} would have {locals} locals and {size} bytes, with what makes NaN canonical in it; a function has \
         at most {} and {}: divide it into smaller ones",
        function::MOST_LOCALS,
        function::MOST_BYTES
    )]
    Function {
        /// Its index in its module.
        function: u32,
        /// Its locals.
        locals: usize,
        /// Its bytes.
        size: usize,
    },
}

/// Components within components.
const MOST_NESTED: usize = 100;

/// Ids of sections of a component.
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;
/// Ids of sections of a module.
const CUSTOM: u8 = 0;
const CODE: u8 = 10;

/// Write a component anew. It is taken to be well formed as far as it is no code: that is for the engine to judge, which
/// compiles what comes out.
///
/// ```
/// use datanode_rewrite::{Nan, component};
///
/// // A component without anything in it stays what it is.
/// let empty = b"\0asm\x0d\0\x01\0";
/// assert_eq!(component(empty, Nan::Canonical)?.bytes, empty);
/// # Ok::<(), datanode_rewrite::RewriteError>(())
/// ```
pub fn component(bytes: &[u8], nan: Nan) -> Result<Rewritten, RewriteError> {
    rewrite_component(bytes, 0, nan, MOST_NESTED)
}

/// `at` is where these bytes begin in the outermost component.
fn rewrite_component(bytes: &[u8], at: usize, nan: Nan, nested: usize) -> Result<Rewritten, RewriteError> {
    let nested = nested.checked_sub(1).ok_or(RewriteError::Nested)?;
    let mut new = New::with_header(bytes);
    for section in binary::sections(bytes) {
        let section = section.ok_or(RewriteError::CutOff(at + bytes.len()))?;
        let inner = at + section.content_start;
        match section.id {
            CORE_MODULE => new.section(section.id, rewrite_module(section.content, inner, nan)?),
            COMPONENT => new.section(section.id, rewrite_component(section.content, inner, nan, nested)?),
            _ => new.copy(bytes, section),
        }
    }
    Ok(new.0)
}

fn rewrite_module(bytes: &[u8], at: usize, nan: Nan) -> Result<Rewritten, RewriteError> {
    let mut code = Some(rewrite_code(bytes, at, nan)?);
    let mut new = New::with_header(bytes);
    for section in binary::sections(bytes) {
        let section = section.ok_or(RewriteError::CutOff(at + bytes.len()))?;
        match section.id {
            // There is one at most, which validation has seen.
            CODE => new.section(section.id, code.take().unwrap_or_else(Rewritten::empty)),
            CUSTOM if name(section.content).starts_with(b".debug_") => new.0.has_lines = true,
            CUSTOM if tells_of_places(name(section.content)) => {}
            _ => new.copy(bytes, section),
        }
    }
    Ok(new.0)
}

/// The name that a custom section begins with.
fn name(content: &[u8]) -> &[u8] {
    let name = binary::unsigned_at(content).and_then(|(size, rest)| rest.get(..usize::try_from(size).ok()?));
    name.unwrap_or_default()
}

/// Whether a custom section of this name says something of places in the code, which are other ones now.
fn tells_of_places(name: &[u8]) -> bool {
    name.starts_with(b"metadata.code.") || [&b"sourceMappingURL"[..], b"external_debug_info"].contains(&name)
}

/// The content of the code section.
fn rewrite_code(module: &[u8], at: usize, nan: Nan) -> Result<Rewritten, RewriteError> {
    // Whatever the engine does not take it refuses in what comes out: relaxed SIMD, say, whose NaN nobody here makes canonical.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut allocations = FuncValidatorAllocations::default();
    let mut bodies = Rewritten::empty();
    let mut count = 0;
    for payload in Parser::new(at as u64).parse_all(module) {
        if let ValidPayload::Func(function, body) = validator.payload(&payload?)? {
            let mut function = function.into_validator(allocations);
            let (body, mut spans) = function::rewrite(&mut function, &body, (module, at), nan)?;
            binary::put_unsigned(body.len() as u64, &mut bodies.bytes);
            spans.shift(bodies.bytes.len());
            bodies.spans.append(spans);
            bodies.bytes.extend(body);
            count += 1;
            allocations = function.into_allocations();
        }
    }
    let mut code = Vec::with_capacity(bodies.bytes.len() + 5);
    binary::put_unsigned(count, &mut code);
    bodies.spans.shift(code.len());
    code.append(&mut bodies.bytes);
    Ok(Rewritten { bytes: code, ..bodies })
}

impl Rewritten {
    fn empty() -> Self {
        Self { bytes: Vec::new(), spans: Spans::default(), has_lines: false }
    }
}

/// A module or a component while it is written.
struct New(Rewritten);

impl New {
    fn with_header(of: &[u8]) -> Self {
        let bytes = of.get(..HEADER_BYTES).unwrap_or_default().to_vec();
        Self(Rewritten { bytes, ..Rewritten::empty() })
    }

    fn copy(&mut self, of: &[u8], section: Section<'_>) {
        let end = section.content_start + section.content.len();
        self.0.bytes.extend(of.get(section.start..end).unwrap_or_default());
    }

    fn section(&mut self, id: u8, mut content: Rewritten) {
        self.0.bytes.push(id);
        binary::put_unsigned(content.bytes.len() as u64, &mut self.0.bytes);
        content.spans.shift(self.0.bytes.len());
        self.0.spans.append(content.spans);
        self.0.has_lines |= content.has_lines;
        self.0.bytes.extend(content.bytes);
    }
}
