//! Pieces of a long answer.

use serde::{Deserialize, Serialize};

use super::SearchError;

/// How many hits a page has when nobody says.
pub const DEFAULT_PAGE: usize = 50;
/// The most hits of a page.
pub const MAX_PAGE: usize = 500;

/// Which piece is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// How many hits come before it.
    pub offset: usize,
    /// How many it may have.
    pub limit: usize,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { offset: 0, limit: DEFAULT_PAGE }
    }
}

impl PageRequest {
    /// Refuse pages that are empty by themselves or larger than any.
    pub fn check(self) -> Result<Self, SearchError> {
        if (1..=MAX_PAGE).contains(&self.limit) {
            return Ok(self);
        }
        Err(SearchError::Knob {
            knob: "limit",
            problem: format!("{} where 1 to {MAX_PAGE} are allowed", self.limit),
        })
    }
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// How many hits there are on all pages.
    pub count: usize,
    /// How many come before this page.
    pub offset: usize,
    /// How many a page may have.
    pub limit: usize,
    /// The hits of this page.
    pub items: Vec<T>,
}

impl<T> Page<T> {
    /// Cut the page that is wanted out of all hits.
    pub fn of(all: Vec<T>, wanted: PageRequest) -> Self {
        let count = all.len();
        let items = all.into_iter().skip(wanted.offset).take(wanted.limit).collect();
        Self { count, offset: wanted.offset, limit: wanted.limit, items }
    }

    /// Where the next page begins; None when this is the last one.
    pub fn next_offset(&self) -> Option<usize> {
        let next = self.offset.saturating_add(self.items.len());
        (!self.items.is_empty() && next < self.count).then_some(next)
    }

    /// Where the page before begins; None when this is the first one.
    pub fn previous_offset(&self) -> Option<usize> {
        (self.offset > 0).then(|| self.offset.min(self.count).saturating_sub(self.limit))
    }

    /// The same page of something else.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        let items = self.items.into_iter().map(change).collect();
        Page { count: self.count, offset: self.offset, limit: self.limit, items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another() {
        let page = |offset, limit| Page::of((0..5).collect(), PageRequest { offset, limit });
        let first = page(0, 2);
        assert_eq!((first.items.as_slice(), first.count), (&[0, 1][..], 5));
        assert_eq!((first.next_offset(), first.previous_offset()), (Some(2), None));
        let last = page(4, 2);
        assert_eq!(
            (last.items.as_slice(), last.next_offset(), last.previous_offset()),
            (&[4][..], None, Some(2))
        );
        let behind = page(9, 2);
        assert_eq!((behind.items.len(), behind.next_offset(), behind.previous_offset()), (0, None, Some(3)));
        assert!(PageRequest { offset: 0, limit: 0 }.check().is_err());
        assert!(PageRequest { offset: 0, limit: MAX_PAGE + 1 }.check().is_err());
    }
}
