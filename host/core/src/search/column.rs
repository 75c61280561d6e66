//! Tables found by their columns.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::data_type::DataType;

use super::index::{Posting, Query};
use super::rank::rounded;
use super::text::Part;

/// How well the columns of a table must fit for it to be found: half of what is asked must be there.
pub const MIN_COLUMN_SCORE: f64 = 0.5;
/// How well a part of a column must fit a word for it to be told as the reason.
const REASON: f32 = 0.5;
/// What columns that only together have all words count, against one column that has them.
const TOGETHER: f64 = 0.8;
/// Which part of a column was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedPart {
    /// Its name.
    Name,
    /// Its label.
    Label,
    /// Its description.
    Description,
    /// Its type.
    Type,
}

impl MatchedPart {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Label => "label",
            Self::Description => "description",
            Self::Type => "type",
        }
    }

    fn of(part: Part) -> Option<Self> {
        match part {
            Part::ColumnName => Some(Self::Name),
            Part::ColumnLabel => Some(Self::Label),
            Part::ColumnDescription => Some(Self::Description),
            Part::ColumnType => Some(Self::Type),
            _ => None,
        }
    }
}

/// A column that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnMatch {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// Its label.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Its description.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How well it fits all of what is asked, 0 to 1.
    pub score: f64,
    /// Where the words were found.
    pub matched: Vec<MatchedPart>,
}

/// How well the columns of a table fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnRank {
    /// 0 to 1.
    pub score: f64,
    /// The columns, best first.
    pub columns: Vec<ColumnMatch>,
}

/// What was found of a column: for each word of the query, how much.
#[derive(Debug)]
struct Column {
    number: u16,
    words: Box<[f32]>,
    parts: Vec<MatchedPart>,
}

/// Places of words that are alike, sorted into columns.
#[derive(Debug)]
pub(super) struct Gathered<'q> {
    query: &'q Query,
    /// By table.
    tables: HashMap<u32, Vec<Column>>,
}

/// The columns of a table that fit, before anything is told of them.
#[derive(Debug)]
pub(super) struct Fits {
    pub(super) table: u32,
    pub(super) score: f64,
    columns: Vec<Column>,
    /// For each word of the query, how much the best column has of it.
    together: Box<[f32]>,
}

impl<'q> Gathered<'q> {
    pub(super) fn of(query: &'q Query) -> Self {
        Self { query, tables: HashMap::new() }
    }

    /// A word of the query is as much alike a word that stands there.
    pub(super) fn add(&mut self, word: usize, place: Posting, alike: f32) {
        let columns = self.tables.entry(place.table).or_default();
        let position = columns.iter().position(|column| column.number == place.column).unwrap_or_else(|| {
            let words = vec![0.0; self.query.words.len()].into_boxed_slice();
            columns.push(Column { number: place.column, words, parts: Vec::new() });
            columns.len() - 1
        });
        let Some(column) = columns.get_mut(position) else { return };
        if let Some(best) = column.words.get_mut(word) {
            *best = best.max(alike * place.part.column_weight());
        }
        if let Some(part) = MatchedPart::of(place.part).filter(|part| !column.parts.contains(part))
            && alike >= REASON
        {
            column.parts.push(part);
        }
    }

    /// The tables whose columns fit.
    pub(super) fn tables(self) -> impl Iterator<Item = Fits> {
        let query = self.query;
        self.tables.into_iter().filter_map(move |(table, columns)| {
            let mut together = vec![0.0_f32; query.words.len()].into_boxed_slice();
            let mut best = 0.0_f64;
            for column in &columns {
                best = best.max(covered(&column.words, query));
                for (best, found) in together.iter_mut().zip(&column.words) {
                    *best = best.max(*found);
                }
            }
            let score = rounded(best.max(TOGETHER * covered(&together, query)));
            (score >= MIN_COLUMN_SCORE).then_some(Fits { table, score, columns, together })
        })
    }
}

/// How much of a query these words are.
fn covered(found: &[f32], query: &Query) -> f64 {
    let all = f64::from(query.weight()).max(1.0);
    let each = found.iter().zip(&query.words);
    each.map(|(found, (_, weight))| f64::from(*found) * f64::from(*weight)).sum::<f64>() / all
}

impl Fits {
    /// The columns that count: those that fit well, and those that no other column has more of a word than.
    pub(super) fn rank(self, contract: &Contract, query: &Query) -> ColumnRank {
        let Self { score, columns, together, .. } = self;
        let mut found = Vec::new();
        for column in columns {
            let Some(known) = contract.columns.get(usize::from(column.number)) else { continue };
            let score = rounded(covered(&column.words, query));
            let mut words = column.words.iter().zip(&together);
            if score < MIN_COLUMN_SCORE && !words.any(|(of_it, best)| of_it >= best && *best >= REASON) {
                continue;
            }
            let mut matched = column.parts;
            matched.sort_unstable();
            found.push(ColumnMatch {
                name: known.name.clone(),
                data_type: known.data_type,
                label: known.label.clone(),
                description: known.description.clone(),
                score,
                matched,
            });
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.name.cmp(&b.name)));
        ColumnRank { score, columns: found }
    }
}
