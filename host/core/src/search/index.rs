//! All tables of a catalogue, ready to be searched.
//!
//! Kept by word: each word of any text once, with its trigrams and the places where it stands. A query is compared with words
//! and not with texts, so a search of ten thousand tables looks at some thousand words; and a table that changes touches its
//! own words alone.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use crate::contract::Contract;

use super::column::{self, ColumnRank};
use super::rank::rounded;
use super::text::{Part, TableText};
use super::trigram::{Trigrams, words};
use super::vector::{cosine_of, length};
use super::{Knobs, Matched, Page, PageRequest, Rank, Writer};

/// The most words of a query that are looked at.
pub const MAX_QUERY_WORDS: usize = 32;
/// The most characters of a word that are looked at.
const MAX_WORD_CHARS: usize = 64;
/// The most places of words that are kept of one table.
const MAX_TABLE_PLACES: usize = 20_000;
/// Words that are less alike have nothing in common: the threshold of `pg_trgm`.
const ALIKE: f32 = 0.3;

/// Something that is searched for: a table with its contract.
pub trait Searched: Clone {
    /// Its uid.
    fn uid(&self) -> &str;
    /// Its contract.
    fn contract(&self) -> &Contract;
    /// What it is called instead of the identifier of its contract, where there is such a name.
    fn published_identifier(&self) -> Option<&str>;
}

impl<S: Searched> Searched for std::sync::Arc<S> {
    fn uid(&self) -> &str {
        self.as_ref().uid()
    }

    fn contract(&self) -> &Contract {
        self.as_ref().contract()
    }

    fn published_identifier(&self) -> Option<&str> {
        self.as_ref().published_identifier()
    }
}

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Posting {
    /// Which table.
    pub(super) table: u32,
    /// Which column of it; [`NO_COLUMN`] where it is of the table.
    pub(super) column: u16,
    /// In which part.
    pub(super) part: Part,
}

/// See [`Posting::column`]. A contract has fewer columns.
const NO_COLUMN: u16 = u16::MAX;

#[derive(Debug)]
struct Word {
    trigrams: Trigrams,
    /// By table.
    postings: Vec<Posting>,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    /// Identifier, physical name, and what it is called instead, as words joined by `_`.
    names: Box<[String]>,
    /// Of the identifier, and of what it is called instead.
    trigrams: Box<[Trigrams]>,
    /// Empty where there is none.
    vector: Box<[f32]>,
    /// Of the vector.
    length: f64,
    /// Its words, as positions in [`Index::words`].
    words: Box<[u32]>,
}

/// The index.
#[derive(Debug)]
pub struct Index<T> {
    /// By number; None where a table has gone, until another takes the number.
    entries: Vec<Option<Entry<T>>>,
    free: Vec<u32>,
    numbers: HashMap<String, u32>,
    words: Vec<Word>,
    known: HashMap<Box<str>, u32>,
    by_trigram: HashMap<u32, Vec<u32>>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            numbers: HashMap::new(),
            words: Vec::new(),
            known: HashMap::new(),
            by_trigram: HashMap::new(),
        }
    }
}

/// A query, taken apart.
#[derive(Debug)]
pub(super) struct Query {
    /// Words joined by `_`.
    pub(super) name: String,
    /// Its words once each, with how much each counts: a long word says more than a short one.
    pub(super) words: Vec<(String, f32)>,
    pub(super) trigrams: Trigrams,
}

impl Query {
    pub(super) fn of(text: &str) -> Self {
        let mut kept: Vec<(String, f32)> = Vec::new();
        for word in words(text) {
            let word = short(word);
            if kept.len() < MAX_QUERY_WORDS && kept.iter().all(|(known, _)| *known != word) {
                #[allow(clippy::cast_precision_loss)] // a word has at most 65 trigrams
                let weight = Trigrams::of(&word).len() as f32;
                kept.push((word, weight));
            }
        }
        let looked_at: Vec<&str> = kept.iter().map(|(word, _)| word.as_str()).collect();
        let trigrams = Trigrams::of(&looked_at.join(" "));
        Self { name: name_of(text), words: kept, trigrams }
    }

    pub(super) fn weight(&self) -> f32 {
        self.words.iter().map(|(_, weight)| weight).sum()
    }
}

fn short(word: String) -> String {
    match word.char_indices().nth(MAX_WORD_CHARS) {
        Some((end, _)) => word[..end].to_owned(),
        None => word,
    }
}

fn name_of(text: &str) -> String {
    words(text).collect::<Vec<_>>().join("_")
}

impl<T: Searched> Index<T> {
    /// How many tables there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The table of a uid.
    pub fn get(&self, uid: &str) -> Option<&T> {
        let number = self.numbers.get(uid)?;
        self.entries.get(*number as usize)?.as_ref().map(|entry| &entry.item)
    }

    /// Add a table, or put it in the place of what it was before.
    pub fn put(&mut self, item: T, writers: &[Writer], vector: Option<Vec<f32>>) {
        self.remove(item.uid());
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            // 2^32 tables would need some terabytes.
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let mut places = BTreeMap::<u32, Vec<Posting>>::new();
        let mut left = MAX_TABLE_PLACES;
        let text = TableText::of(item.contract(), writers).called(item.published_identifier());
        for (part, column, text) in text.parts() {
            let column = column.and_then(|column| u16::try_from(column).ok()).unwrap_or(NO_COLUMN);
            let posting = Posting { table: number, column, part };
            for word in words(text).take(left) {
                left -= 1;
                let word = self.word(&short(word));
                places.entry(word).or_default().push(posting);
            }
        }
        for (word, postings) in &mut places {
            postings.sort_unstable();
            postings.dedup();
            let Some(kept) = self.words.get_mut(*word as usize) else { continue };
            let place = kept.postings.partition_point(|posting| posting.table < number);
            kept.postings.splice(place..place, postings.drain(..));
        }
        let contract = item.contract();
        let identifiers = || std::iter::once(contract.identifier.as_str()).chain(item.published_identifier());
        let vector = vector.unwrap_or_default().into_boxed_slice();
        let entry = Entry {
            names: identifiers().chain([contract.physical_name()]).map(name_of).collect(),
            trigrams: identifiers().map(Trigrams::of).collect(),
            length: length(&vector),
            vector,
            words: places.into_keys().collect(),
            item,
        };
        self.numbers.insert(entry.item.uid().to_owned(), number);
        if let Some(place) = self.entries.get_mut(number as usize) {
            *place = Some(entry);
        }
    }

    /// Forget a table.
    pub fn remove(&mut self, uid: &str) {
        let Some(number) = self.numbers.remove(uid) else { return };
        let Some(entry) = self.entries.get_mut(number as usize).and_then(Option::take) else { return };
        for word in &entry.words {
            let Some(kept) = self.words.get_mut(*word as usize) else { continue };
            let first = kept.postings.partition_point(|posting| posting.table < number);
            let behind = kept.postings.partition_point(|posting| posting.table <= number);
            kept.postings.drain(first..behind);
        }
        self.free.push(number);
    }

    /// The number of a word. Words stay when the last table that has one goes: there are only so many.
    fn word(&mut self, word: &str) -> u32 {
        if let Some(known) = self.known.get(word) {
            return *known;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        let trigrams = Trigrams::of(word);
        for trigram in trigrams.as_slice() {
            self.by_trigram.entry(*trigram).or_default().push(number);
        }
        self.words.push(Word { trigrams, postings: Vec::new() });
        self.known.insert(word.into(), number);
        number
    }

    /// The tables that a query finds, best first: by both scores, `vector` being that of the query. Only tables that are
    /// accepted are looked at. The knobs must have been checked.
    pub fn tables(
        &self,
        query: &str,
        vector: Option<&[f32]>,
        knobs: &Knobs,
        page: PageRequest,
        accept: impl Fn(&T) -> bool,
    ) -> Page<(T, Rank)> {
        let query = (Query::of(query), query.trim());
        let accepted = self.accepted(accept);
        let trigram = if knobs.uses_trigrams() { self.trigram_scores(&query.0) } else { Vec::new() };
        let vector = vector.filter(|_| knobs.uses_embeddings());
        let embedding: Vec<f64> = vector.map_or_else(Vec::new, |vector| {
            let query = (vector, length(vector));
            let near = |entry: &Entry<T>| rounded(cosine_of(query, (&entry.vector, entry.length)));
            self.entries.iter().map(|entry| entry.as_ref().map_or(0.0, near)).collect()
        });
        let score_of = |scores: &[f64], number: usize| scores.get(number).copied().unwrap_or(0.0);
        let mut candidates = vec![false; self.entries.len()];
        for (scores, most) in [(&trigram, knobs.trigram_k), (&embedding, knobs.embed_k)] {
            let mut best: Vec<&(usize, &Entry<T>)> =
                accepted.iter().filter(|(number, _)| score_of(scores, *number) > 0.0).collect();
            let most = most as usize;
            if best.len() > most {
                // Which ones they are is all that counts here, and not their order.
                best.select_nth_unstable_by(most, |(a, of_a), (b, of_b)| {
                    let by_score = score_of(scores, *b).total_cmp(&score_of(scores, *a));
                    by_score.then_with(|| by_name(&of_a.item, &of_b.item))
                });
                best.truncate(most);
            }
            for (number, _) in best {
                candidates[*number] = true;
            }
        }
        let mut found: Vec<(&T, Rank)> = Vec::new();
        for (number, entry) in &accepted {
            let matched = matched(entry, &query.0, query.1);
            if matched == Matched::Score && !candidates[*number] {
                continue;
            }
            let (trigram, embedding) = (score_of(&trigram, *number), score_of(&embedding, *number));
            let score = rounded(knobs.w_trgm * trigram + knobs.w_emb * embedding);
            let rank = Rank { score, trigram, embedding, matched };
            found.push((&entry.item, rank));
        }
        found.sort_unstable_by(|(a, of_a), (b, of_b)| {
            let by_score = of_b.score.total_cmp(&of_a.score);
            of_a.matched.cmp(&of_b.matched).then(by_score).then_with(|| by_name(*a, *b))
        });
        Page::of(found, page).map(|(item, rank)| (item.clone(), rank))
    }

    /// The tables that have columns which a query describes, best first, with those columns. Only tables that are accepted
    /// are looked at.
    pub fn columns(
        &self,
        query: &str,
        page: PageRequest,
        accept: impl Fn(&T) -> bool,
    ) -> Page<(T, ColumnRank)> {
        let query = Query::of(query);
        let mut is_accepted = vec![false; self.entries.len()];
        for (number, _) in self.accepted(accept) {
            is_accepted[number] = true;
        }
        let mut gathered = column::Gathered::of(&query);
        for (position, (word, _)) in query.words.iter().enumerate() {
            for (alike, postings) in self.alike(word) {
                for posting in postings.iter().filter(|posting| posting.column != NO_COLUMN) {
                    if is_accepted[posting.table as usize] {
                        gathered.add(position, *posting, alike);
                    }
                }
            }
        }
        let mut found: Vec<(&T, column::Fits)> = Vec::new();
        for fits in gathered.tables() {
            if let Some(Some(entry)) = self.entries.get(fits.table as usize) {
                found.push((&entry.item, fits));
            }
        }
        found.sort_unstable_by(|(a, of_a), (b, of_b)| {
            of_b.score.total_cmp(&of_a.score).then_with(|| by_name(*a, *b))
        });
        // What is told of the columns is put together for those that are shown.
        Page::of(found, page).map(|(item, fits)| (item.clone(), fits.rank(item.contract(), &query)))
    }

    fn accepted(&self, accept: impl Fn(&T) -> bool) -> Vec<(usize, &Entry<T>)> {
        let entries = self.entries.iter().enumerate();
        entries
            .filter_map(|(number, entry)| Some((number, entry.as_ref()?)))
            .filter(|(_, entry)| accept(&entry.item))
            .collect()
    }

    /// The trigram score of each table, by number: how much of the query its words say. For each word of the query, the
    /// word of the table that is most alike counts, by its place; the words count by their lengths. A query that is
    /// written like the identifier as a whole counts so, whatever its words are.
    fn trigram_scores(&self, query: &Query) -> Vec<f64> {
        let mut scores = vec![0.0_f64; self.entries.len()];
        let mut best = vec![0.0_f32; self.entries.len()];
        for (word, weight) in &query.words {
            best.fill(0.0);
            for (alike, postings) in self.alike(word) {
                for posting in postings {
                    let place = &mut best[posting.table as usize];
                    *place = place.max(alike * posting.part.weight());
                }
            }
            for (score, best) in scores.iter_mut().zip(&best) {
                *score += f64::from(*best) * f64::from(*weight);
            }
        }
        let all = f64::from(query.weight()).max(1.0);
        for (score, entry) in scores.iter_mut().zip(&self.entries) {
            let Some(entry) = entry else { continue };
            let whole = entry.trigrams.iter().map(|name| name.similarity(&query.trigrams));
            let alike = whole.filter(|alike| *alike >= ALIKE).map(f64::from);
            *score = rounded(alike.fold(*score / all, f64::max));
        }
        scores
    }

    /// The words that are written like this one, with how much, and where they stand.
    fn alike(&self, word: &str) -> Vec<(f32, &[Posting])> {
        let wanted = Trigrams::of(word);
        let mut is_seen = vec![false; self.words.len()];
        let mut found = Vec::new();
        for trigram in wanted.as_slice() {
            for number in self.by_trigram.get(trigram).into_iter().flatten() {
                if std::mem::replace(&mut is_seen[*number as usize], true) {
                    continue;
                }
                let known = &self.words[*number as usize];
                let alike = wanted.similarity(&known.trigrams);
                if alike >= ALIKE && !known.postings.is_empty() {
                    found.push((alike, known.postings.as_slice()));
                }
            }
        }
        found
    }
}

fn matched<T: Searched>(entry: &Entry<T>, query: &Query, given: &str) -> Matched {
    if entry.item.uid() == given || entry.names.contains(&query.name) {
        Matched::Identifier
    } else if entry.names.iter().any(|name| name.starts_with(&query.name)) {
        Matched::Prefix
    } else {
        Matched::Score
    }
}

fn by_name<T: Searched>(a: &T, b: &T) -> Ordering {
    (a.contract().identifier.as_str(), a.uid()).cmp(&(b.contract().identifier.as_str(), b.uid()))
}

#[cfg(test)]
#[path = "index/tests.rs"]
mod tests;
