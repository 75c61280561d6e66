//! Each instruction of SIMD that answers numbers of floating point, on NaNs and on what makes NaN.

use std::arch::wasm32 as simd;
use std::hint::black_box;

use simd::v128;

use crate::Row;

/// The results of these expressions, each with its name, by lanes.
macro_rules! results {
    ($rows:ident, $lanes:ident, $($operation:literal => $result:expr,)+) => {
        $($rows.extend($lanes(black_box($result)).into_iter().map(|bits| ($operation, bits)));)+
    };
}

/// Bits of all lanes of all results. Operands are out of the compiler's sight, anew in each operation: the engine is to
/// compute, `a + b` and `b + a` too.
pub(crate) fn results(payload: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    wide(&mut rows, u64::from(payload));
    narrow(&mut rows, payload);
    rows
}

fn wide(rows: &mut Vec<Row>, payload: u64) {
    let nan = |sign: u64, payload: u64| f64::from_bits(sign << 63 | 0x7ff8_0000_0000_0000 | payload);
    let a = || black_box(simd::f64x2(nan(0, payload), nan(1, payload + 1)));
    let b = || black_box(simd::f64x2(nan(1, payload + 2), nan(0, payload + 3)));
    let zero = || black_box(simd::f64x2(0.0, -0.0));
    let one = || black_box(simd::f64x2(1.0, -1.0));
    let minus = || black_box(simd::f64x2(-1.0, -2.0));
    let infinite = || black_box(simd::f64x2(f64::INFINITY, f64::NEG_INFINITY));
    let narrow =
        || black_box(simd::f32x4(f32::from_bits(0xffc0_0001), f32::from_bits(0x7fc0_0002), 0.0, 0.0));
    let lanes = |value: v128| [simd::u64x2_extract_lane::<0>(value), simd::u64x2_extract_lane::<1>(value)];
    results!(rows, lanes,
        "f64x2.div 0 / 0" => simd::f64x2_div(zero(), zero()),
        "f64x2.sub inf - inf" => simd::f64x2_sub(infinite(), infinite()),
        "f64x2.mul inf * 0" => simd::f64x2_mul(infinite(), zero()),
        "f64x2.sqrt -1" => simd::f64x2_sqrt(minus()),
        "f64x2.sqrt a" => simd::f64x2_sqrt(a()),
        "f64x2.add a + b" => simd::f64x2_add(a(), b()),
        "f64x2.add b + a" => simd::f64x2_add(b(), a()),
        "f64x2.add 1 + b" => simd::f64x2_add(one(), b()),
        "f64x2.sub a - b" => simd::f64x2_sub(a(), b()),
        "f64x2.mul a * b" => simd::f64x2_mul(a(), b()),
        "f64x2.mul b * a" => simd::f64x2_mul(b(), a()),
        "f64x2.div a / b" => simd::f64x2_div(a(), b()),
        "f64x2.min a, b" => simd::f64x2_min(a(), b()),
        "f64x2.min b, 1" => simd::f64x2_min(b(), one()),
        "f64x2.max b, a" => simd::f64x2_max(b(), a()),
        "f64x2.max 1, a" => simd::f64x2_max(one(), a()),
        "f64x2.pmin a, b" => simd::f64x2_pmin(a(), b()),
        "f64x2.pmin 1, b" => simd::f64x2_pmin(one(), b()),
        "f64x2.pmax a, b" => simd::f64x2_pmax(a(), b()),
        "f64x2.pmax b, 1" => simd::f64x2_pmax(b(), one()),
        "f64x2.ceil b" => simd::f64x2_ceil(b()),
        "f64x2.floor a" => simd::f64x2_floor(a()),
        "f64x2.trunc b" => simd::f64x2_trunc(b()),
        "f64x2.nearest a" => simd::f64x2_nearest(a()),
        "f64x2.abs b" => simd::f64x2_abs(b()),
        "f64x2.neg a" => simd::f64x2_neg(a()),
        "f64x2.neg 0 / 0" => simd::f64x2_neg(simd::f64x2_div(zero(), zero())),
        "f64x2.splat" => simd::f64x2_splat(simd::f64x2_extract_lane::<1>(a())),
        "f64x2.replace_lane" => simd::f64x2_replace_lane::<0>(one(), simd::f64x2_extract_lane::<0>(b())),
        "f64x2.promote_low_f32x4" => simd::f64x2_promote_low_f32x4(narrow()),
        "f64x2.convert_low_i32x4" => simd::f64x2_convert_low_i32x4(a()),
        "f64x2.convert_low_u32x4" => simd::f64x2_convert_low_u32x4(a()),
        "i32x4.trunc_sat_f64x2_zero" => simd::i32x4_trunc_sat_f64x2_zero(a()),
        "u32x4.trunc_sat_f64x2_zero" => simd::u32x4_trunc_sat_f64x2_zero(infinite()),
    );
}

fn narrow(rows: &mut Vec<Row>, payload: u32) {
    let nan = |sign: u32, payload: u32| f32::from_bits(sign << 31 | 0x7fc0_0000 | payload);
    let a = || black_box(simd::f32x4(nan(0, payload), nan(1, payload + 1), nan(1, payload + 2), 3.5));
    let b = || black_box(simd::f32x4(nan(1, payload + 3), nan(0, payload + 4), -2.5, nan(1, payload + 5)));
    let zero = || black_box(simd::f32x4(0.0, -0.0, 0.0, -0.0));
    let one = || black_box(simd::f32x4(1.0, -1.0, 1.0, -1.0));
    let minus = || black_box(simd::f32x4(-1.0, -2.0, -3.0, -4.0));
    let infinite =
        || black_box(simd::f32x4(f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::NEG_INFINITY));
    let wide = || {
        black_box(simd::f64x2(f64::from_bits(0xfff8_0000_2000_0000), f64::from_bits(0x7ff8_0000_4000_0000)))
    };
    let lanes = |value: v128| {
        [
            u64::from(simd::u32x4_extract_lane::<0>(value)),
            u64::from(simd::u32x4_extract_lane::<1>(value)),
            u64::from(simd::u32x4_extract_lane::<2>(value)),
            u64::from(simd::u32x4_extract_lane::<3>(value)),
        ]
    };
    results!(rows, lanes,
        "f32x4.div 0 / 0" => simd::f32x4_div(zero(), zero()),
        "f32x4.sub inf - inf" => simd::f32x4_sub(infinite(), infinite()),
        "f32x4.mul inf * 0" => simd::f32x4_mul(infinite(), zero()),
        "f32x4.sqrt -1" => simd::f32x4_sqrt(minus()),
        "f32x4.sqrt a" => simd::f32x4_sqrt(a()),
        "f32x4.add a + b" => simd::f32x4_add(a(), b()),
        "f32x4.add b + a" => simd::f32x4_add(b(), a()),
        "f32x4.add 1 + b" => simd::f32x4_add(one(), b()),
        "f32x4.sub a - b" => simd::f32x4_sub(a(), b()),
        "f32x4.mul a * b" => simd::f32x4_mul(a(), b()),
        "f32x4.mul b * a" => simd::f32x4_mul(b(), a()),
        "f32x4.div a / b" => simd::f32x4_div(a(), b()),
        "f32x4.min a, b" => simd::f32x4_min(a(), b()),
        "f32x4.min b, 1" => simd::f32x4_min(b(), one()),
        "f32x4.max b, a" => simd::f32x4_max(b(), a()),
        "f32x4.max 1, a" => simd::f32x4_max(one(), a()),
        "f32x4.pmin a, b" => simd::f32x4_pmin(a(), b()),
        "f32x4.pmin 1, b" => simd::f32x4_pmin(one(), b()),
        "f32x4.pmax a, b" => simd::f32x4_pmax(a(), b()),
        "f32x4.pmax b, 1" => simd::f32x4_pmax(b(), one()),
        "f32x4.ceil b" => simd::f32x4_ceil(b()),
        "f32x4.floor a" => simd::f32x4_floor(a()),
        "f32x4.trunc b" => simd::f32x4_trunc(b()),
        "f32x4.nearest a" => simd::f32x4_nearest(a()),
        "f32x4.abs b" => simd::f32x4_abs(b()),
        "f32x4.neg a" => simd::f32x4_neg(a()),
        "f32x4.neg 0 / 0" => simd::f32x4_neg(simd::f32x4_div(zero(), zero())),
        "f32x4.splat" => simd::f32x4_splat(simd::f32x4_extract_lane::<1>(a())),
        "f32x4.replace_lane" => simd::f32x4_replace_lane::<0>(one(), simd::f32x4_extract_lane::<0>(b())),
        "f32x4.demote_f64x2_zero" => simd::f32x4_demote_f64x2_zero(wide()),
        "f32x4.convert_i32x4" => simd::f32x4_convert_i32x4(a()),
        "f32x4.convert_u32x4" => simd::f32x4_convert_u32x4(a()),
        "i32x4.trunc_sat_f32x4" => simd::i32x4_trunc_sat_f32x4(a()),
        "u32x4.trunc_sat_f32x4" => simd::u32x4_trunc_sat_f32x4(infinite()),
    );
}
