//! Programs made of choices: arithmetic of numbers in which NaN of all kinds goes through locals, scopes, calls and memory.

use std::fmt::Write;

/// Bytes that choose. When they are used up, the first of each is chosen, which leads to an end.
pub(crate) struct Choices<'a>(pub(crate) std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn of(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % count)
    }
}

/// Types of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    F64,
    V128,
}

const KINDS: [Kind; 3] = [Kind::F64, Kind::F32, Kind::V128];
/// Locals of each type.
const LOCALS: usize = 3;
/// What numbers have, and vectors of them too but for `copysign`.
const TWO: [&str; 7] = ["add", "sub", "mul", "div", "min", "max", "copysign"];
const ONE: [&str; 7] = ["sqrt", "neg", "abs", "ceil", "floor", "trunc", "nearest"];
/// Operands in operands.
const DEPTH: u32 = 5;

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
        }
    }
}

/// The text of a component whose function `run` computes, and answers a digest of its memory.
pub(crate) fn component(choices: &mut Choices<'_>) -> String {
    let mut work = Program { choices, scopes: 0, loops: 0, is_callee: true };
    let callee = work.statements(1);
    work.is_callee = false;
    let body = work.statements(3);
    let (given, kept) = (work.number(Kind::F64, 1), work.number(Kind::F32, 1));
    // NaN with a payload, signalling and quiet, of both signs; what makes NaN; and what is near it.
    let data: String = [
        0x7ff0_0000_0000_0001_u64,
        0x7ff8_0000_0000_0000,
        0xfff8_0000_dead_beef,
        0x7ff0_0000_0000_0000,
        0xfff0_0000_0000_0000,
        0x8000_0000_0000_0000,
        0x3ff0_0000_0000_0000,
        0x7f80_0001_7fc0_0000,
        0xffc0_0001_7f80_0000,
        0x0000_0000_0000_0001,
        // Lanes of 32 bits that are numbers, and one of 64 that is none.
        0x7ff8_0000_3f80_0000,
    ]
    .repeat(8)
    .iter()
    .flat_map(|value| value.to_le_bytes())
    .fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    });
    let locals: String = KINDS
        .iter()
        .flat_map(|kind| (1..LOCALS).map(move |local| format!("(local ${0}{local} {0})", kind.name())))
        .collect();
    let params = "(param $f640 f64) (param $f320 f32) (param $v1280 v128)";
    format!(
        r#"(component
  (core module $m
    (memory 1)
    (global $f64 (mut f64) (f64.const 0)) (global $f32 (mut f32) (f32.const 0)) (global $v128 (mut v128) (v128.const i64x2 0 0))
    (data (i32.const 0) "{data}")
    (func $callee {params} (result f64) {locals} (local $i i32)
      {callee} (f64.div (local.get $f640) (local.get $f641)))
    (func $work {params} (result f64) {locals} (local $i i32)
      {body} {given})
    (func $swap (param f64 f32) (result f32 f64) (local $f640 f64) (local $f320 f32) (local $v1280 v128) {locals} (local $i i32)
      {kept} (local.get 0))
    (func (export "run") (result i64) (local $at i32) (local $digest i64)
      (f64.store (i32.const 800) (call $work (f64.load (i32.const 16)) (f32.load (i32.const 4)) (v128.load (i32.const 8))))
      (global.set $f64 (f64.add (call $swap (f64.load (i32.const 0)) (f32.load (i32.const 64))) (global.get $f64)))
      global.set $f32
      (f64.store (i32.const 816) (global.get $f64))
      (f32.store (i32.const 824) (global.get $f32))
      (v128.store (i32.const 832) (global.get $v128))
      (loop $next
        (local.set $digest (i64.mul
          (i64.xor (local.get $digest) (i64.load (local.get $at))) (i64.const 0x100000001b3)))
        (local.set $digest (i64.xor (local.get $digest) (i64.shr_u (local.get $digest) (i64.const 29))))
        (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 1024))))
      (local.get $digest)))
  (core instance $i (instantiate $m))
  (func (export "run") (result u64) (canon lift (core func $i "run"))))"#
    )
}

struct Program<'c, 'b> {
    choices: &'c mut Choices<'b>,
    /// For names of labels.
    scopes: usize,
    /// Loops around: there is one local to count by, so there is no loop in a loop.
    loops: usize,
    /// It calls nobody.
    is_callee: bool,
}

impl Program<'_, '_> {
    fn statements(&mut self, depth: u32) -> String {
        let count = 1 + self.choices.of(5);
        (0..count).map(|_| self.statement(depth)).collect::<Vec<_>>().join("\n      ")
    }

    fn statement(&mut self, depth: u32) -> String {
        let kind = KINDS[self.choices.of(3)];
        let (name, at, local) = (kind.name(), self.address(), self.choices.of(LOCALS));
        let value = self.number(kind, 2);
        match self.choices.of(if depth == 0 { 5 } else { 10 }) {
            0 => format!("({name}.store (i32.const {at}) {value})"),
            1 | 2 => format!("(local.set ${name}{local} {value})"),
            3 => format!("(global.set ${name} {value})"),
            4 => format!("(i64.store (i32.const {at}) {})", self.bits(2)),
            5 => {
                let (then, otherwise) = (self.statements(depth - 1), self.statements(depth - 1));
                format!("(if {} (then {then}) (else {otherwise}))", self.condition(1))
            }
            6 if self.loops == 0 => {
                self.loops += 1;
                let (body, turns) = (self.statements(depth - 1), 1 + self.choices.of(4));
                self.loops -= 1;
                let scope = self.scope();
                format!(
                    "(local.set $i (i32.const 0)) (loop $l{scope} {body} (br_if $l{scope} (i32.lt_u \
                     (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {turns}))))"
                )
            }
            7 => {
                format!("(if {} (then (return (f64.sqrt (f64.load (i32.const {at})))) ))", self.condition(1))
            }
            8 => {
                let (body, scope) = (self.statements(depth - 1), self.scope());
                format!(
                    "(block $b{scope} (br_if $b{scope} {}) {body} (br $b{scope}) {value} unreachable)",
                    self.condition(1)
                )
            }
            _ => format!("(drop {value})"),
        }
    }

    fn scope(&mut self) -> usize {
        self.scopes += 1;
        self.scopes
    }

    fn address(&mut self) -> usize {
        8 * self.choices.of(96)
    }

    /// An operand of this type.
    fn number(&mut self, kind: Kind, depth: u32) -> String {
        let (name, at, local) = (kind.name(), self.address(), self.choices.of(LOCALS));
        let choice = self.choices.of(if depth >= DEPTH { 3 } else { 16 });
        let deeper = depth + 1;
        match choice {
            0 => format!("({name}.load (i32.const {at}))"),
            1 => format!("(local.get ${name}{local})"),
            2 => format!("(global.get ${name})"),
            3 => format!("(local.tee ${name}{local} {})", self.number(kind, deeper)),
            4 => {
                let (a, b) = (self.number(kind, deeper), self.number(kind, deeper));
                format!("(select {a} {b} {})", self.condition(deeper))
            }
            5 => {
                let (a, b) = (self.number(kind, deeper), self.number(kind, deeper));
                format!("(if (result {name}) {} (then {a}) (else {b}))", self.condition(deeper))
            }
            6 => {
                let (a, b) = (self.number(kind, deeper), self.number(kind, deeper));
                let (scope, condition) = (self.scope(), self.condition(deeper));
                format!("(block $b{scope} (result {name}) (drop (br_if $b{scope} {a} {condition})) {b})")
            }
            _ => match kind {
                Kind::F64 => self.double(deeper),
                Kind::F32 => self.single(deeper),
                Kind::V128 => self.vector(deeper),
            },
        }
    }

    fn two(&mut self, kind: Kind, depth: u32) -> String {
        format!("{} {}", self.number(kind, depth), self.number(kind, depth))
    }

    fn double(&mut self, depth: u32) -> String {
        match self.choices.of(12) {
            0..=2 => format!("(f64.{} {})", TWO[self.choices.of(7)], self.two(Kind::F64, depth)),
            3 => format!("(f64.{} {})", ONE[self.choices.of(7)], self.number(Kind::F64, depth)),
            4 => format!("(f64.promote_f32 {})", self.number(Kind::F32, depth)),
            5 => format!("(f64x2.extract_lane {} {})", self.choices.of(2), self.number(Kind::V128, depth)),
            6 => format!("(f64.reinterpret_i64 {})", self.bits(depth)),
            7 => format!("(f64.convert_i64_s {})", self.bits(depth)),
            8 => format!("(f64.const {}nan:0x{:x})", ["", "-"][self.choices.of(2)], 1 + self.choices.of(200)),
            9 if !self.is_callee => {
                let (a, b) = (self.number(Kind::F64, depth), self.number(Kind::F32, depth));
                format!("(call $callee {a} {b} {})", self.number(Kind::V128, depth))
            }
            10 => {
                let (a, b) = (self.number(Kind::F64, depth), self.number(Kind::F64, depth));
                let (scope, local) = (self.scope(), self.choices.of(LOCALS));
                format!(
                    "(block $b{scope} (result f64) {a} (loop $l{scope} (param f64) (result f64) (local.tee $f64{local}) {b} \
                     f64.add))"
                )
            }
            _ => {
                let (a, scope) = (self.number(Kind::F64, depth), self.scope());
                let (inner, condition) = (self.scope(), self.condition(depth));
                format!(
                    "(block $b{scope} (result f64) (f64.sqrt (block $b{inner} (result f64) (br_table $b{inner} $b{scope} \
                     {a} {condition}))))"
                )
            }
        }
    }

    fn single(&mut self, depth: u32) -> String {
        match self.choices.of(7) {
            0..=2 => format!("(f32.{} {})", TWO[self.choices.of(7)], self.two(Kind::F32, depth)),
            3 => format!("(f32.{} {})", ONE[self.choices.of(7)], self.number(Kind::F32, depth)),
            4 => format!("(f32.demote_f64 {})", self.number(Kind::F64, depth)),
            5 => format!("(f32x4.extract_lane {} {})", self.choices.of(4), self.number(Kind::V128, depth)),
            _ => format!("(f32.const nan:0x{:x})", 1 + self.choices.of(200)),
        }
    }

    fn vector(&mut self, depth: u32) -> String {
        const TWO_OF_LANES: [&str; 8] = ["add", "sub", "mul", "div", "min", "max", "pmin", "pmax"];
        const BITS: [&str; 5] = ["v128.xor", "i64x2.add", "i8x16.add_sat_u", "f64x2.eq", "f32x4.lt"];
        let shape = ["f64x2", "f32x4"][self.choices.of(2)];
        match self.choices.of(12) {
            0..=3 => {
                format!("({shape}.{} {})", TWO_OF_LANES[self.choices.of(8)], self.two(Kind::V128, depth))
            }
            4 => format!("({shape}.{} {})", ONE[self.choices.of(7)], self.number(Kind::V128, depth)),
            5 => format!("(f64x2.splat {})", self.number(Kind::F64, depth)),
            6 => format!("(f32x4.splat {})", self.number(Kind::F32, depth)),
            7 => format!("(f64x2.promote_low_f32x4 {})", self.number(Kind::V128, depth)),
            8 => format!("(f32x4.demote_f64x2_zero {})", self.number(Kind::V128, depth)),
            9 => {
                let (vector, lane) = (self.number(Kind::V128, depth), self.number(Kind::F64, depth));
                format!("(f64x2.replace_lane {} {vector} {lane})", self.choices.of(2))
            }
            10 => format!("({} {})", BITS[self.choices.of(5)], self.two(Kind::V128, depth)),
            _ => {
                let (two, third) = (self.two(Kind::V128, depth), self.number(Kind::V128, depth));
                format!("(v128.bitselect {two} {third})")
            }
        }
    }

    /// An integer of 64 bits, most of them those of a number.
    fn bits(&mut self, depth: u32) -> String {
        let choice = self.choices.of(if depth >= DEPTH { 2 } else { 6 });
        let deeper = depth + 1;
        match choice {
            0 => format!("(i64.load (i32.const {}))", self.address()),
            1 => {
                format!("(i64.const {})", [0_i64, 1, -1, i64::MIN, 0x7ff4_0000_0000_0000][self.choices.of(5)])
            }
            2 => format!("(i64.reinterpret_f64 {})", self.number(Kind::F64, deeper)),
            3 => format!("(i64.extend_i32_u (i32.reinterpret_f32 {}))", self.number(Kind::F32, deeper)),
            4 => format!("(i64x2.extract_lane {} {})", self.choices.of(2), self.number(Kind::V128, deeper)),
            _ => format!("(i64.trunc_sat_f64_s {})", self.number(Kind::F64, deeper)),
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        let deeper = depth + 1;
        match self.choices.of(if depth >= DEPTH { 1 } else { 5 }) {
            0 => format!("(i32.and (local.get $i) (i32.const {}))", 1 + self.choices.of(2)),
            1 => format!("(f64.lt {})", self.two(Kind::F64, deeper)),
            2 => format!("(f32.ne {})", self.two(Kind::F32, deeper)),
            3 => format!("(i64.eqz {})", self.bits(deeper)),
            _ => format!("(v128.any_true {})", self.number(Kind::V128, deeper)),
        }
    }
}
