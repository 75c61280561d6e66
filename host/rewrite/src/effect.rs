//! What an instruction does to the operand stack, as far as bits of NaN go.

use wasmparser::{ModuleArity, Operator};

/// How a number is laid out: what is made canonical, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    F32,
    F64,
    F32x4,
    F64x2,
}

/// The effect of one instruction. What it pops comes before what it pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Arithmetic: its result may be a NaN of any bits, and does not depend on those of its operands.
    Computes {
        pops: u8,
        reads: Layout,
        gives: Layout,
    },
    /// Its one result does not depend on the bits of a NaN among its operands, and is no such number itself.
    Ignores {
        pops: u8,
        reads: Layout,
    },
    /// Takes a number out of a vector, puts one into all of its lanes, or drops its sign: of the canonical NaN it makes the
    /// canonical NaN.
    Passes {
        reads: Layout,
        gives: Layout,
    },
    /// A constant; whether it is no NaN, or the canonical one, in whatever layout it is read.
    Constant {
        is_canonical: bool,
    },
    /// A scalar that is never NaN, made of an integer.
    Converted,
    Get(u32),
    Set(u32),
    Tee(u32),
    Drop,
    Select,
    /// Opens a scope: how many operands go into it, and how many come out at its end.
    Opens {
        takes: u32,
        params: u32,
        results: u32,
    },
    Else,
    End,
    /// Goes elsewhere with so many operands, if a condition holds.
    BranchIf {
        carries: u32,
    },
    /// Goes elsewhere with all that it pops; what follows is not reached.
    Leaves {
        pops: u32,
    },
    /// Whatever else: all operands are looked at, and nothing is known of the results.
    Other {
        pops: u32,
        pushes: u32,
    },
}

/// The canonical NaN of WebAssembly that arithmetic answers under the deterministic profile.
pub(crate) const F32_NAN: u32 = 0x7fc0_0000;
/// The same of 64 bits.
pub(crate) const F64_NAN: u64 = 0x7ff8_0000_0000_0000;

fn f32_is_canonical(bits: u32) -> bool {
    !f32::from_bits(bits).is_nan() || bits == F32_NAN
}

fn f64_is_canonical(bits: u64) -> bool {
    !f64::from_bits(bits).is_nan() || bits == F64_NAN
}

fn vector_is_canonical(bits: u128) -> bool {
    let bytes = bits.to_le_bytes();
    let (fours, _) = bytes.as_chunks::<4>();
    let (eights, _) = bytes.as_chunks::<8>();
    fours.iter().all(|lane| f32_is_canonical(u32::from_le_bytes(*lane)))
        && eights.iter().all(|lane| f64_is_canonical(u64::from_le_bytes(*lane)))
}

/// The effect of an instruction in a function that was validated up to it; None where it is of a kind that this crate does not
/// know.
pub(crate) fn of(operator: &Operator<'_>, function: &impl ModuleArity) -> Option<Effect> {
    use Effect as E;
    use Layout::{F32, F32x4, F64, F64x2};
    use Operator as O;
    Some(match operator {
        O::F32Add | O::F32Sub | O::F32Mul | O::F32Div | O::F32Min | O::F32Max => {
            E::Computes { pops: 2, reads: F32, gives: F32 }
        }
        O::F64Add | O::F64Sub | O::F64Mul | O::F64Div | O::F64Min | O::F64Max => {
            E::Computes { pops: 2, reads: F64, gives: F64 }
        }
        O::F32x4Add | O::F32x4Sub | O::F32x4Mul | O::F32x4Div | O::F32x4Min | O::F32x4Max => {
            E::Computes { pops: 2, reads: F32x4, gives: F32x4 }
        }
        O::F64x2Add | O::F64x2Sub | O::F64x2Mul | O::F64x2Div | O::F64x2Min | O::F64x2Max => {
            E::Computes { pops: 2, reads: F64x2, gives: F64x2 }
        }
        O::F32Sqrt | O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest => {
            E::Computes { pops: 1, reads: F32, gives: F32 }
        }
        O::F64Sqrt | O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest => {
            E::Computes { pops: 1, reads: F64, gives: F64 }
        }
        O::F32x4Sqrt | O::F32x4Ceil | O::F32x4Floor | O::F32x4Trunc | O::F32x4Nearest => {
            E::Computes { pops: 1, reads: F32x4, gives: F32x4 }
        }
        O::F64x2Sqrt | O::F64x2Ceil | O::F64x2Floor | O::F64x2Trunc | O::F64x2Nearest => {
            E::Computes { pops: 1, reads: F64x2, gives: F64x2 }
        }
        O::F64PromoteF32 => E::Computes { pops: 1, reads: F32, gives: F64 },
        O::F32DemoteF64 => E::Computes { pops: 1, reads: F64, gives: F32 },
        O::F64x2PromoteLowF32x4 => E::Computes { pops: 1, reads: F32x4, gives: F64x2 },
        O::F32x4DemoteF64x2Zero => E::Computes { pops: 1, reads: F64x2, gives: F32x4 },
        O::F32Eq | O::F32Ne | O::F32Lt | O::F32Gt | O::F32Le | O::F32Ge => E::Ignores { pops: 2, reads: F32 },
        O::F64Eq | O::F64Ne | O::F64Lt | O::F64Gt | O::F64Le | O::F64Ge => E::Ignores { pops: 2, reads: F64 },
        O::F32x4Eq | O::F32x4Ne | O::F32x4Lt | O::F32x4Gt | O::F32x4Le | O::F32x4Ge => {
            E::Ignores { pops: 2, reads: F32x4 }
        }
        O::F64x2Eq | O::F64x2Ne | O::F64x2Lt | O::F64x2Gt | O::F64x2Le | O::F64x2Ge => {
            E::Ignores { pops: 2, reads: F64x2 }
        }
        O::I32TruncF32S
        | O::I32TruncF32U
        | O::I64TruncF32S
        | O::I64TruncF32U
        | O::I32TruncSatF32S
        | O::I32TruncSatF32U
        | O::I64TruncSatF32S
        | O::I64TruncSatF32U => E::Ignores { pops: 1, reads: F32 },
        O::I32TruncF64S
        | O::I32TruncF64U
        | O::I64TruncF64S
        | O::I64TruncF64U
        | O::I32TruncSatF64S
        | O::I32TruncSatF64U
        | O::I64TruncSatF64S
        | O::I64TruncSatF64U => E::Ignores { pops: 1, reads: F64 },
        O::F32Abs => E::Passes { reads: F32, gives: F32 },
        O::F64Abs => E::Passes { reads: F64, gives: F64 },
        O::F32x4Abs => E::Passes { reads: F32x4, gives: F32x4 },
        O::F64x2Abs => E::Passes { reads: F64x2, gives: F64x2 },
        O::F32x4ExtractLane { .. } => E::Passes { reads: F32x4, gives: F32 },
        O::F64x2ExtractLane { .. } => E::Passes { reads: F64x2, gives: F64 },
        O::F32x4Splat => E::Passes { reads: F32, gives: F32x4 },
        O::F64x2Splat => E::Passes { reads: F64, gives: F64x2 },
        O::F32Const { value } => E::Constant { is_canonical: f32_is_canonical(value.bits()) },
        O::F64Const { value } => E::Constant { is_canonical: f64_is_canonical(value.bits()) },
        O::V128Const { value } => {
            E::Constant { is_canonical: vector_is_canonical(value.i128().cast_unsigned()) }
        }
        O::F32ConvertI32S
        | O::F32ConvertI32U
        | O::F32ConvertI64S
        | O::F32ConvertI64U
        | O::F64ConvertI32S
        | O::F64ConvertI32U
        | O::F64ConvertI64S
        | O::F64ConvertI64U => E::Converted,
        O::LocalGet { local_index } => E::Get(*local_index),
        O::LocalSet { local_index } => E::Set(*local_index),
        O::LocalTee { local_index } => E::Tee(*local_index),
        O::Drop => E::Drop,
        O::Select | O::TypedSelect { .. } => E::Select,
        O::Block { blockty } | O::Loop { blockty } => {
            let (params, results) = function.block_type_arity(*blockty)?;
            E::Opens { takes: params, params, results }
        }
        O::If { blockty } => {
            let (params, results) = function.block_type_arity(*blockty)?;
            E::Opens { takes: params + 1, params, results }
        }
        O::Else => E::Else,
        O::End => E::End,
        O::BrIf { .. } => {
            let (pops, _) = operator.operator_arity(function)?;
            E::BranchIf { carries: pops.checked_sub(1)? }
        }
        O::Br { .. }
        | O::BrTable { .. }
        | O::Return
        | O::ReturnCall { .. }
        | O::ReturnCallIndirect { .. } => {
            let (pops, _) = operator.operator_arity(function)?;
            E::Leaves { pops }
        }
        O::Unreachable => E::Leaves { pops: 0 },
        other => {
            let (pops, pushes) = plain(other).then(|| other.operator_arity(function))??;
            E::Other { pops, pushes }
        }
    })
}

/// Whether an instruction goes on behind itself and nowhere else: what neither branches nor opens a scope.
fn plain(operator: &Operator<'_>) -> bool {
    use Operator as O;
    !matches!(
        operator,
        O::TryTable { .. }
            | O::Try { .. }
            | O::Catch { .. }
            | O::CatchAll
            | O::Delegate { .. }
            | O::Rethrow { .. }
            | O::Throw { .. }
            | O::ThrowRef
            | O::BrOnNull { .. }
            | O::BrOnNonNull { .. }
            | O::BrOnCast { .. }
            | O::BrOnCastFail { .. }
            | O::BrOnCastDescEq { .. }
            | O::BrOnCastDescEqFail { .. }
            | O::ReturnCallRef { .. }
            | O::Resume { .. }
            | O::ResumeThrow { .. }
            | O::ResumeThrowRef { .. }
            | O::Suspend { .. }
            | O::Switch { .. }
            | O::ContBind { .. }
            | O::ContNew { .. }
    )
}
