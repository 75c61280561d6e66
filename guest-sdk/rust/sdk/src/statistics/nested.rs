//! The nested form: one level per identity dimension, in their order.

use std::collections::BTreeMap;

use super::{Times, UpdateStatistics};
use crate::{CoordinateValue, Timestamp};

/// One time per coordinate, nested in the order of the identity dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexTree {
    /// The values of one dimension, sorted, and what is below each.
    Level(BTreeMap<CoordinateValue, IndexTree>),
    /// The time of a coordinate; None when it has none (see [`UpdateStatistics::scope`]).
    Time(Option<Timestamp>),
}

impl IndexTree {
    /// What is below a value.
    ///
    /// ```
    /// use datanode_sdk::{IndexTree, Timestamp, UpdateStatistics};
    /// let at = |text: &str| text.parse::<Timestamp>().unwrap();
    /// let statistics = UpdateStatistics::new(["time_index", "currency", "venue"])
    ///     .with(["USD", "lse"], at("2020-01-01"), at("2020-03-01"));
    /// let tree = statistics.index_progress();
    /// let usd = tree.get(&"USD".into()).unwrap();
    /// assert_eq!(usd.get(&"lse".into()), Some(&IndexTree::Time(Some(at("2020-03-01")))));
    /// ```
    pub fn get(&self, value: &CoordinateValue) -> Option<&Self> {
        match self {
            Self::Level(values) => values.get(value),
            Self::Time(_) => None,
        }
    }
}

impl UpdateStatistics {
    /// The latest time (or fallback) of each coordinate, nested. Without levels for a table indexed by time alone, of
    /// which [`max_time`](Self::max_time) says all.
    pub fn index_progress(&self) -> IndexTree {
        self.nested(|times| times.max)
    }

    /// The earliest time of each coordinate, nested in the same way.
    pub fn index_min(&self) -> IndexTree {
        self.nested(|times| times.min)
    }

    fn nested(&self, time: impl Fn(&Times) -> Option<Timestamp>) -> IndexTree {
        let mut root = BTreeMap::new();
        'leaves: for (coordinate, times) in &self.progress {
            if let Some((last, levels)) = coordinate.split_last() {
                let mut level = &mut root;
                for value in levels {
                    let below =
                        level.entry(value.clone()).or_insert_with(|| IndexTree::Level(BTreeMap::new()));
                    // Leaves stand at the end of a coordinate, and no coordinate is below another.
                    let IndexTree::Level(values) = below else { continue 'leaves };
                    level = values;
                }
                level.insert(last.clone(), IndexTree::Time(time(times)));
            }
        }
        IndexTree::Level(root)
    }
}
