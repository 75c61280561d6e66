//! The body of one function, written anew.

use wasmparser::{
    FuncValidator, FunctionBody, ModuleArity, ValType, ValidatorResources, WasmModuleResources,
};

use crate::effect::{self, Effect, F32_NAN, F64_NAN, Layout};
use crate::nan::{self, Holds, Signature};
use crate::places::Spans;
use crate::{Nan, RewriteError, binary};

/// Locals of a function, with its parameters: as many as every engine takes (WebAssembly JavaScript Interface, *Implementation-defined
/// limits*).
pub(crate) const MOST_LOCALS: usize = 50_000;
/// Bytes of a function, by the same rule.
pub(crate) const MOST_BYTES: usize = 7_654_321;

/// The body behind its size, and where it now has what it had in the component. `at` is where `module` begins there.
pub(crate) fn rewrite(
    validator: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
    (module, at): (&[u8], usize),
    nan: Nan,
) -> Result<(Vec<u8>, Spans), RewriteError> {
    let range = body.range();
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    let locals_end = reader.original_position();

    let mut reader = body.get_operators_reader()?;
    let mut starts = Vec::new();
    let mut effects = Vec::new();
    while !reader.eof() {
        let start = reader.original_position();
        let operator = reader.read()?;
        // Before it is validated: how much it pops is told by the scope that it is in.
        effects.push(effect::of(&operator, &validator.visitor(start)));
        validator.op(start, &operator)?;
        starts.push(start);
    }
    reader.finish()?;
    starts.push(range.end);

    let bytes_of = |from: usize, to: usize| module.get(from - at..to - at).unwrap_or_default();
    let mut writer = Writer {
        out: Vec::with_capacity(range.len()),
        spans: Spans::of_function(range.start),
        scratch: Scratch::new(validator),
    };
    let marks = match nan {
        Nan::Canonical => marks(validator, &effects),
        Nan::Left => Vec::new(),
    };
    for (at, pair) in starts.windows(2).enumerate() {
        let [start, end] = *pair else { continue };
        writer.copy(start, bytes_of(start, end));
        if let Some(Some(layout)) = marks.get(at) {
            writer.canonical(start, *layout);
        }
    }

    let Writer { out: code, mut spans, scratch } = writer;
    let mut out = Vec::with_capacity(code.len() + 32);
    scratch.declare(bytes_of(range.start, locals_end), &mut out);
    spans.shift_code(out.len());
    out.extend(code);
    let (locals, size) = (scratch.first as usize + scratch.taken.len(), out.len());
    if !scratch.taken.is_empty() && (locals > MOST_LOCALS || size > MOST_BYTES) {
        return Err(RewriteError::Function { function: validator.index(), locals, size });
    }
    Ok((out, spans))
}

fn marks(validator: &FuncValidator<ValidatorResources>, effects: &[Option<Effect>]) -> Vec<Option<Layout>> {
    let all: Option<Vec<Effect>> = effects.iter().copied().collect();
    let lazily = all.and_then(|effects| {
        let marks = nan::marks(&effects, &signature(validator)?);
        debug_assert!(marks.is_some(), "function {}: its effects do not fit together", validator.index());
        marks
    });
    // Of an instruction that this crate does not know it could not be told what it looks at.
    lazily.unwrap_or_else(|| {
        let computed = |effect: &Option<Effect>| match effect {
            Some(Effect::Computes { gives, .. }) => Some(*gives),
            _ => None,
        };
        effects.iter().map(computed).collect()
    })
}

fn signature(validator: &FuncValidator<ValidatorResources>) -> Option<Signature> {
    let kind = validator.resources().type_index_of_function(validator.index())?;
    let (params, results) = validator.sub_type_arity(validator.resources().sub_type_at(kind)?)?;
    let holds = |local| match validator.get_local_type(local) {
        Some(ValType::F32 | ValType::F64) => Holds::Scalar,
        Some(ValType::V128) => Holds::Vector,
        _ => Holds::Other,
    };
    let locals = (0..validator.len_locals()).map(holds).collect();
    Some(Signature { locals, params: usize::try_from(params).ok()?, results })
}

/// Locals behind those of the function, one of each type, for a number that is looked at.
struct Scratch {
    first: u32,
    taken: Vec<u8>,
}

impl Scratch {
    fn new(validator: &FuncValidator<ValidatorResources>) -> Self {
        Self { first: validator.len_locals(), taken: Vec::new() }
    }

    fn local(&mut self, kind: u8) -> u64 {
        let at = self.taken.iter().position(|taken| *taken == kind).unwrap_or_else(|| {
            self.taken.push(kind);
            self.taken.len() - 1
        });
        u64::from(self.first) + at as u64
    }

    /// The declaration of all locals, from that of the function.
    fn declare(&self, declared: &[u8], out: &mut Vec<u8>) {
        let (groups, rest) = binary::unsigned_at(declared).unwrap_or_default();
        binary::put_unsigned(u64::from(groups) + self.taken.len() as u64, out);
        out.extend(rest);
        for kind in &self.taken {
            binary::put_unsigned(1, out);
            out.push(*kind);
        }
    }
}

struct Writer {
    out: Vec<u8>,
    spans: Spans,
    scratch: Scratch,
}

/// Opcodes, as the specification numbers them (WebAssembly 3.0, section 5.4).
mod opcode {
    pub(super) const SELECT: u8 = 0x1b;
    pub(super) const LOCAL_GET: u8 = 0x20;
    pub(super) const LOCAL_TEE: u8 = 0x22;
    pub(super) const F32_CONST: u8 = 0x43;
    pub(super) const F64_CONST: u8 = 0x44;
    pub(super) const F32_EQ: u8 = 0x5b;
    pub(super) const F64_EQ: u8 = 0x61;
    pub(super) const V128_CONST: [u8; 2] = [0xfd, 0x0c];
    pub(super) const F32X4_EQ: [u8; 2] = [0xfd, 0x41];
    pub(super) const F64X2_EQ: [u8; 2] = [0xfd, 0x47];
    pub(super) const V128_BITSELECT: [u8; 2] = [0xfd, 0x52];
    pub(super) const TYPE_F32: u8 = 0x7d;
    pub(super) const TYPE_F64: u8 = 0x7c;
    pub(super) const TYPE_V128: u8 = 0x7b;
}

impl Writer {
    fn copy(&mut self, start: usize, bytes: &[u8]) {
        self.spans.copied(self.out.len(), start);
        self.out.extend(bytes);
    }

    /// Make the number on top of the stack canonical: itself where it is equal to itself, in all of its lanes.
    ///
    /// ```wat
    /// local.tee $x
    /// f64.const nan
    /// local.get $x local.get $x f64.eq
    /// select
    /// ```
    fn canonical(&mut self, start: usize, layout: Layout) {
        use opcode::{
            F32_CONST, F32_EQ, F32X4_EQ, F64_CONST, F64_EQ, F64X2_EQ, LOCAL_GET, LOCAL_TEE, SELECT, TYPE_F32,
            TYPE_F64, TYPE_V128, V128_BITSELECT, V128_CONST,
        };
        self.spans.inserted(self.out.len(), start);
        let kind = match layout {
            Layout::F32 => TYPE_F32,
            Layout::F64 => TYPE_F64,
            Layout::F32x4 | Layout::F64x2 => TYPE_V128,
        };
        let local = self.scratch.local(kind);
        let out = &mut self.out;
        let with_local = |instruction: u8, out: &mut Vec<u8>| {
            out.push(instruction);
            binary::put_unsigned(local, out);
        };
        with_local(LOCAL_TEE, out);
        match layout {
            Layout::F32 => {
                out.push(F32_CONST);
                out.extend(F32_NAN.to_le_bytes());
            }
            Layout::F64 => {
                out.push(F64_CONST);
                out.extend(F64_NAN.to_le_bytes());
            }
            Layout::F32x4 => {
                out.extend(V128_CONST);
                out.extend([F32_NAN.to_le_bytes(); 4].as_flattened());
            }
            Layout::F64x2 => {
                out.extend(V128_CONST);
                out.extend([F64_NAN.to_le_bytes(); 2].as_flattened());
            }
        }
        with_local(LOCAL_GET, out);
        with_local(LOCAL_GET, out);
        match layout {
            Layout::F32 => out.extend([F32_EQ, SELECT]),
            Layout::F64 => out.extend([F64_EQ, SELECT]),
            Layout::F32x4 => out.extend([F32X4_EQ, V128_BITSELECT].as_flattened()),
            Layout::F64x2 => out.extend([F64X2_EQ, V128_BITSELECT].as_flattened()),
        }
    }
}
