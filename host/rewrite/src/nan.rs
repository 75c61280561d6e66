//! Where NaN must be made canonical: behind which instructions of a function.
//!
//! Arithmetic that answers NaN may answer any of its bits. Made canonical behind each such instruction, all bits are
//! determined; that is the rule whose results are to be had. But most of these bits are never looked at: arithmetic,
//! comparisons and conversions of numbers do not depend on which NaN they were given. So a result is left *raw* as long as only
//! such instructions take it, and is made canonical where something else does: a store, a call, a reinterpretation, the end
//! of a scope. A number that was loaded, given or made of bits is never touched: it has the bits that it has, and language
//! runtimes keep pointers in them.
//!
//! Locals are judged for the whole function. One that only ever gets raw results and constants without other NaN is raw
//! whenever it is read. One that also gets bits of elsewhere holds *bits*, and raw results are made canonical before they
//! are put there; unless whoever reads it does arithmetic with it, so that its bits do not matter either. Each operand on the
//! stack is taken once: what its taker needs is done behind the instruction that gave it.

use crate::effect::{Effect, Layout};

/// What is known of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// No NaN but the canonical one, in whatever layout it is read; or no number at all.
    Canonical,
    /// Made by arithmetic of this layout: any NaN stands for the canonical one.
    Raw(Layout),
    /// Bits that are to stay what they are.
    Bits,
}

impl Class {
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (same, Self::Canonical) | (Self::Canonical, same) => same,
            (Self::Raw(a), Self::Raw(b)) if a == b => self,
            _ => Self::Bits,
        }
    }
}

/// What is known of a local, for the whole function. Both only ever grow.
#[derive(Debug, Clone, Copy)]
struct Local {
    class: Class,
    /// Somebody looks at its bits.
    is_looked_at: bool,
}

#[derive(Debug, Clone, Copy)]
struct Operand {
    class: Class,
    /// The instruction that gave it.
    giver: usize,
    /// The local whose bits it has.
    local: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Scope {
    /// Of the stack, when it was opened.
    height: usize,
    params: u32,
    results: u32,
}

/// Passes over a function until its locals are known. More are needed only where numbers go through a chain of locals against
/// the order of instructions; then all of them are taken to hold bits that are looked at, which is always right.
const PASSES: usize = 8;

/// What a local can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// No NaN.
    Other,
    /// A number.
    Scalar,
    /// Lanes. What was computed as one layout can be read as another, whose arithmetic does look at the bits of a NaN: so
    /// these are taken to be looked at whenever they hold bits of elsewhere, too.
    Vector,
}

/// What a function has, beside its instructions.
#[derive(Debug)]
pub(crate) struct Signature {
    /// Parameters come first.
    pub(crate) locals: Vec<Holds>,
    pub(crate) params: usize,
    pub(crate) results: u32,
}

/// Behind which instructions a result must be made canonical, and in what layout. None where the effects do not fit
/// together.
pub(crate) fn marks(effects: &[Effect], signature: &Signature) -> Option<Vec<Option<Layout>>> {
    const BITS: Local = Local { class: Class::Bits, is_looked_at: true };
    let Signature { locals, params, results } = signature;
    let results = *results;
    let begins = |(at, holds): (usize, &Holds)| Local {
        // A parameter is what the caller likes; any other begins as zero.
        class: if at < *params || *holds == Holds::Other { Class::Bits } else { Class::Canonical },
        is_looked_at: *holds != Holds::Scalar,
    };
    let mut known: Vec<Local> = locals.iter().enumerate().map(begins).collect();
    for _ in 0..PASSES {
        let mut pass = Pass::new(&mut known, results, effects.len());
        pass.run(effects)?;
        if !pass.learned {
            return Some(pass.marks);
        }
    }
    known.fill(BITS);
    let mut pass = Pass::new(&mut known, results, effects.len());
    pass.run(effects)?;
    Some(pass.marks)
}

struct Pass<'a> {
    locals: &'a mut [Local],
    /// Whether more turned out about a local than was known.
    learned: bool,
    marks: Vec<Option<Layout>>,
    stack: Vec<Operand>,
    scopes: Vec<Scope>,
    /// Scopes that were opened where nothing is executed any more.
    dead: Option<usize>,
}

impl<'a> Pass<'a> {
    fn new(locals: &'a mut [Local], results: u32, instructions: usize) -> Self {
        Self {
            locals,
            learned: false,
            marks: vec![None; instructions],
            stack: Vec::new(),
            scopes: vec![Scope { height: 0, params: 0, results }],
            dead: None,
        }
    }

    fn run(&mut self, effects: &[Effect]) -> Option<()> {
        for (at, effect) in effects.iter().enumerate() {
            match self.dead {
                None => self.step(at, *effect)?,
                Some(depth) => self.skip(at, *effect, depth)?,
            }
        }
        Some(())
    }

    /// What is never executed only opens and closes scopes.
    fn skip(&mut self, at: usize, effect: Effect, depth: usize) -> Option<()> {
        match (effect, depth) {
            (Effect::Opens { .. }, _) => self.dead = Some(depth + 1),
            (Effect::End, 1..) => self.dead = Some(depth - 1),
            (Effect::Else, 0) => self.other_arm(at)?,
            (Effect::End, 0) => self.close(at)?,
            _ => {}
        }
        Some(())
    }

    fn step(&mut self, at: usize, effect: Effect) -> Option<()> {
        match effect {
            Effect::Computes { pops, reads, gives } => {
                for _ in 0..pops {
                    self.take_number(reads)?;
                }
                self.give(at, Class::Raw(gives));
            }
            Effect::Ignores { pops, reads } => {
                for _ in 0..pops {
                    self.take_number(reads)?;
                }
                self.give(at, Class::Bits);
            }
            Effect::Passes { reads, gives } => self.pass_on(at, reads, gives)?,
            Effect::Constant { is_canonical: true } => self.give(at, Class::Canonical),
            Effect::Converted => {
                self.take()?;
                self.give(at, Class::Canonical);
            }
            Effect::Constant { is_canonical: false } => self.give(at, Class::Bits),
            Effect::Get(local) => {
                let class = self.locals.get(local as usize)?.class;
                self.stack.push(Operand { class, giver: at, local: Some(local) });
            }
            Effect::Set(local) => {
                self.put(local)?;
            }
            Effect::Tee(local) => {
                let class = self.put(local)?;
                self.give(at, class);
            }
            Effect::Drop => {
                self.stack.pop()?;
            }
            Effect::Select => {
                self.take()?;
                let (second, first) = (self.stack.pop()?, self.stack.pop()?);
                let class = first.class.join(second.class);
                if class == Class::Bits {
                    self.look_at(first);
                    self.look_at(second);
                }
                self.give(at, class);
            }
            Effect::Opens { takes, params, results } => {
                self.take_many(takes)?;
                self.scopes.push(Scope { height: self.stack.len(), params, results });
                self.give_many(at, params);
            }
            Effect::Else => {
                self.leave_scope()?;
                self.other_arm(at)?;
            }
            Effect::End => {
                self.leave_scope()?;
                self.close(at)?;
            }
            Effect::BranchIf { carries } => {
                self.take()?;
                self.take_many(carries)?;
                // Where it does not branch they are still here, canonical already.
                self.give_many(at, carries);
            }
            Effect::Leaves { pops } => {
                self.take_many(pops)?;
                self.dead = Some(0);
            }
            Effect::Other { pops, pushes } => {
                self.take_many(pops)?;
                self.give_many(at, pushes);
            }
        }
        Some(())
    }

    /// Come to the end of a scope, or of its first arm: there is nothing but its results.
    fn leave_scope(&mut self) -> Option<()> {
        let Scope { height, results, .. } = *self.scopes.last()?;
        self.take_many(results)?;
        (self.stack.len() == height).then_some(())
    }

    /// Begin the other arm of a condition, as the first one began.
    fn other_arm(&mut self, at: usize) -> Option<()> {
        self.dead = None;
        let Scope { height, params, .. } = *self.scopes.last()?;
        self.stack.truncate(height);
        self.give_many(at, params);
        Some(())
    }

    /// Close a scope: what comes out of it may come from several places, which made it canonical.
    fn close(&mut self, at: usize) -> Option<()> {
        self.dead = None;
        let Scope { height, results, .. } = self.scopes.pop()?;
        self.stack.truncate(height);
        self.give_many(at, results);
        Some(())
    }

    fn pass_on(&mut self, at: usize, reads: Layout, gives: Layout) -> Option<()> {
        let operand = self.stack.pop()?;
        let class = match operand.class {
            Class::Raw(layout) if layout == reads => Class::Raw(gives),
            // Canonical as it is read: in the layout that it had it may be anything.
            Class::Canonical => Class::Raw(gives),
            Class::Raw(_) | Class::Bits => {
                self.look_at(operand);
                Class::Bits
            }
        };
        self.give(at, class);
        Some(())
    }

    fn give(&mut self, at: usize, class: Class) {
        self.stack.push(Operand { class, giver: at, local: None });
    }

    fn give_many(&mut self, at: usize, count: u32) {
        for _ in 0..count {
            self.give(at, Class::Bits);
        }
    }

    /// Take an operand whose bits are looked at.
    fn take(&mut self) -> Option<()> {
        let operand = self.stack.pop()?;
        self.look_at(operand);
        Some(())
    }

    fn take_many(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.take())
    }

    /// Take an operand that is read as a number of this layout: which NaN it is does not matter then. As one of another
    /// layout it was not computed.
    fn take_number(&mut self, reads: Layout) -> Option<()> {
        let operand = self.stack.pop()?;
        if matches!(operand.class, Class::Raw(layout) if layout != reads) {
            self.look_at(operand);
        }
        Some(())
    }

    fn look_at(&mut self, operand: Operand) {
        if let (Class::Raw(layout), Some(mark)) = (operand.class, self.marks.get_mut(operand.giver)) {
            *mark = Some(layout);
        }
        if let (Class::Bits, Some(local)) = (operand.class, operand.local)
            && let Some(local) = self.locals.get_mut(local as usize)
            && !local.is_looked_at
        {
            local.is_looked_at = true;
            self.learned = true;
        }
    }

    /// Put an operand into a local, and say what it is then.
    fn put(&mut self, local: u32) -> Option<Class> {
        let operand = self.stack.pop()?;
        let known = self.locals.get_mut(local as usize)?;
        let joined = known.class.join(operand.class);
        if joined != known.class {
            known.class = joined;
            self.learned = true;
        }
        let is_looked_at = known.is_looked_at;
        match (joined, operand.class) {
            // Only arithmetic reads it.
            (Class::Bits, Class::Raw(_)) if !is_looked_at => Some(operand.class),
            (Class::Bits, _) => {
                self.look_at(operand);
                Some(Class::Bits)
            }
            _ => Some(operand.class),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Effect::{Computes, Constant, End, Get, Set, Tee};
    use Layout::F64;

    const ADD: Effect = Computes { pops: 2, reads: F64, gives: F64 };
    const STORE: Effect = Effect::Other { pops: 2, pushes: 0 };
    const LOAD: Effect = Effect::Other { pops: 1, pushes: 1 };
    const ADDRESS: Effect = Constant { is_canonical: true };
    const LOOP: Effect = Effect::Opens { takes: 0, params: 0, results: 0 };
    const BACK_IF: Effect = Effect::BranchIf { carries: 0 };

    /// Behind which instructions; of these, `params` are parameters of three locals.
    fn marked(params: usize, effects: &[Effect]) -> Vec<usize> {
        let marks =
            marks(effects, &Signature { locals: vec![Holds::Scalar; 3], params, results: 0 }).unwrap();
        marks.iter().enumerate().filter_map(|(at, mark)| mark.map(|_| at)).collect()
    }

    #[test]
    fn a_result_is_made_canonical_where_it_is_looked_at() {
        // (store address (add (add a b) a)): behind the last addition, and not behind the one before.
        assert_eq!(marked(2, &[ADDRESS, Get(0), Get(1), ADD, Get(0), ADD, STORE, End]), [5]);
    }

    #[test]
    fn what_was_loaded_or_given_is_never_touched() {
        assert_eq!(marked(1, &[ADDRESS, Get(0), STORE, ADDRESS, ADDRESS, LOAD, STORE, End]), []);
    }

    #[test]
    fn a_sum_is_made_canonical_behind_its_loop() {
        let body = [LOOP, Get(1), ADDRESS, LOAD, ADD, Set(1), ADDRESS, BACK_IF, End];
        let after = [ADDRESS, Get(1), STORE, End];
        assert_eq!(marked(1, &[&body[..], &after].concat()), [10]);
    }

    #[test]
    fn a_sum_that_begins_with_what_was_loaded_is_made_canonical_before_it_is_kept() {
        let begin = [ADDRESS, LOAD, Set(1)];
        let body = [LOOP, Get(1), ADDRESS, LOAD, ADD, Set(1), ADDRESS, BACK_IF, End];
        let after = [ADDRESS, Get(1), STORE, End];
        assert_eq!(marked(1, &[&begin[..], &body, &after].concat()), [7]);
    }

    #[test]
    fn unless_only_arithmetic_reads_it() {
        let begin = [ADDRESS, LOAD, Set(1)];
        // The level that is stored is the one that was computed just now.
        let body = [LOOP, ADDRESS, Get(1), ADDRESS, LOAD, ADD, Tee(1), STORE, ADDRESS, BACK_IF, End];
        assert_eq!(marked(1, &[&begin[..], &body, &[End]].concat()), [9]);
    }

    #[test]
    fn a_vector_may_be_read_in_another_layout() {
        // As above, but the lanes that were computed as two are read as four.
        let effects = [ADDRESS, LOAD, Set(0), Get(0), Get(0), ADD, Set(0), Get(0), Effect::Drop, End];
        let of = |holds| marks(&effects, &Signature { locals: vec![holds], params: 0, results: 0 }).unwrap();
        assert_eq!((of(Holds::Scalar)[5], of(Holds::Vector)[5]), (None, Some(F64)));
    }

    #[test]
    fn a_chain_of_locals_against_the_order_of_instructions_is_taken_to_hold_bits() {
        let locals: u32 = 40;
        let mut effects = vec![LOOP];
        for local in 1..locals {
            effects.extend([Get(local), Set(local - 1)]);
        }
        effects.extend([ADDRESS, ADDRESS, ADD, Set(locals - 1), ADDRESS, BACK_IF, End, End]);
        let marks =
            marks(&effects, &Signature { locals: vec![Holds::Scalar; 40], params: 0, results: 0 }).unwrap();
        let add = effects.iter().position(|effect| *effect == ADD).unwrap();
        assert_eq!(marks[add], Some(F64));
    }

    #[test]
    fn what_is_never_executed_asks_for_nothing() {
        let dead = [Effect::Leaves { pops: 0 }, ADD, STORE, LOOP, ADD, End, End];
        assert_eq!(marked(0, &dead), []);
    }
}
