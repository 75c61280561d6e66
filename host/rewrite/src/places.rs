//! Where an instruction was before it was written anew.

use crate::binary;

/// Where pieces of code are, and where they were. Both are bytes from the begin of a component.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Spans {
    /// By where they are now, and by where they were: code keeps its order.
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    now: usize,
    before: usize,
    is: Piece,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// A function begins, with the declaration of its locals.
    Function,
    /// Byte for byte what was there.
    Copy,
    /// What belongs to the one instruction that was there.
    Insertion,
}

const PIECES: [Piece; 3] = [Piece::Function, Piece::Copy, Piece::Insertion];

impl Spans {
    /// Of a function that began there, and begins at 0 now.
    pub(crate) fn of_function(before: usize) -> Self {
        Self { spans: vec![Span { now: 0, before, is: Piece::Function }] }
    }

    /// From here on there is what was there.
    pub(crate) fn copied(&mut self, now: usize, before: usize) {
        if let Some(last) = self.spans.last()
            && last.is == Piece::Copy
            && now.checked_sub(last.now) == before.checked_sub(last.before)
        {
            return;
        }
        self.spans.push(Span { now, before, is: Piece::Copy });
    }

    /// From here on there is what belongs to the instruction that was there.
    pub(crate) fn inserted(&mut self, now: usize, before: usize) {
        self.spans.push(Span { now, before, is: Piece::Insertion });
    }

    /// The code stands so many bytes further, and where the function begins not.
    pub(crate) fn shift_code(&mut self, by: usize) {
        self.spans.iter_mut().skip(1).for_each(|span| span.now += by);
    }

    /// All of it stands so many bytes further.
    pub(crate) fn shift(&mut self, by: usize) {
        self.spans.iter_mut().for_each(|span| span.now += by);
    }

    /// Those of code that stands behind.
    pub(crate) fn append(&mut self, behind: Self) {
        self.spans.extend(behind.spans);
    }

    /// Where in the component that was given stood the instruction that is here in the one that was made of it, in the
    /// function that begins there. None where no such function does: engines have code of their own, whose places are of no
    /// component.
    pub fn before(&self, function: usize, now: usize) -> Option<usize> {
        let until = self.spans.partition_point(|span| span.now <= now);
        let spans = self.spans.get(..until)?;
        let begin = spans.iter().rfind(|span| span.is == Piece::Function)?;
        let span = spans.last().filter(|_| begin.now == function)?;
        match span.is {
            Piece::Copy => Some(span.before + (now - span.now)),
            Piece::Function | Piece::Insertion => Some(span.before),
        }
    }

    /// As bytes, some four for each span.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (mut now, mut before) = (0, 0);
        for span in &self.spans {
            let piece = PIECES.iter().position(|piece| *piece == span.is).unwrap_or_default();
            binary::put_unsigned(((span.now - now) * PIECES.len() + piece) as u64, &mut bytes);
            binary::put_unsigned((span.before - before) as u64, &mut bytes);
            (now, before) = (span.now, span.before);
        }
        bytes
    }

    /// From the bytes of [`Self::to_bytes`]; of others, as far as they are any.
    pub fn from_bytes(mut bytes: &[u8]) -> Self {
        let mut spans = Vec::new();
        let (mut now, mut before) = (0_usize, 0_usize);
        let mut next = || {
            let (value, rest) = binary::unsigned_at(bytes)?;
            bytes = rest;
            usize::try_from(value).ok()
        };
        while let (Some(first), Some(second)) = (next(), next()) {
            now = now.saturating_add(first / PIECES.len());
            before = before.saturating_add(second);
            spans.push(Span { now, before, is: PIECES[first % PIECES.len()] });
        }
        Self { spans }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_leads_to_its_instruction() {
        let mut spans = Spans::of_function(90);
        spans.copied(0, 100);
        spans.copied(3, 103);
        spans.inserted(5, 103);
        spans.copied(20, 105);
        assert_eq!(spans.spans.len(), 4, "what stands side by side is one");
        spans.shift_code(6);
        spans.shift(1_000);
        let places = [999, 1_000, 1_006, 1_010, 1_011, 1_025, 1_026, 1_031];
        let found = places.map(|now| spans.before(1_000, now));
        let was = [90, 100, 104, 103, 103, 105, 110].map(Some);
        assert_eq!(found[1..], was);
        assert_eq!(found[0], None);
        assert_eq!(spans.before(900, 1_010), None, "another function");
        assert_eq!(Spans::from_bytes(&spans.to_bytes()), spans);
    }
}
