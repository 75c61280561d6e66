//! Statistics of some identities only.

use std::collections::BTreeMap;

use super::{Times, UpdateStatistics};
use crate::{Coordinate, CoordinateValue, NodeError, Timestamp};

impl UpdateStatistics {
    /// Only these identities, and `fallback` as the start of those that were never stored.
    ///
    /// A partial identity (the first values only) stands for all coordinates below it, the empty one for all there are.
    /// One that was never stored is added as it is given, so that [`last_update_for`](Self::last_update_for) any
    /// coordinate below it answers the fallback; identities below it add nothing.
    ///
    /// # Errors
    ///
    /// `statistics.coordinate` when an identity has more values than the table has dimensions.
    #[track_caller]
    pub fn scope(
        &self,
        identities: impl IntoIterator<Item = Coordinate>,
        fallback: Option<Timestamp>,
    ) -> Result<Self, NodeError> {
        let dimensions = self.identity_dimensions();
        let mut identities: Vec<Coordinate> = identities.into_iter().collect();
        if let Some(long) = identities.iter().find(|identity| identity.len() > dimensions.len()) {
            return Err(NodeError::new(
                "statistics.coordinate",
                format!(
                    "an identity of {} values where the dimensions are ({})",
                    long.len(),
                    dimensions.join(", ")
                ),
            ));
        }
        // An identity before those below it.
        identities.sort();
        let mut scoped = Self { index_names: self.index_names.clone(), progress: BTreeMap::new() };
        for identity in identities {
            let known: Vec<(Coordinate, Times)> = self
                .at_or_below(&identity)
                .map(|(coordinate, times)| {
                    (coordinate.clone(), Times { max: times.max.or(fallback), ..*times })
                })
                .collect();
            if !known.is_empty() {
                scoped.progress.extend(known);
            } else if !(0..identity.len()).any(|length| scoped.progress.contains_key(&identity[..length])) {
                // Statistics that are scoped already keep what the earlier scope said of a partial identity.
                let max = self.last_update_for(&identity).or(fallback);
                scoped.progress.insert(identity, Times { min: None, max });
            }
        }
        Ok(scoped)
    }

    /// Only coordinates whose value of one dimension is among these. Values without a coordinate add none. A partial
    /// coordinate of [`scope`](Self::scope) that ends above the dimension stays.
    ///
    /// # Errors
    ///
    /// `statistics.dimensions` when the table has no such dimension.
    #[track_caller]
    pub fn filter_level<V: Into<CoordinateValue>>(
        &self,
        dimension: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, NodeError> {
        let dimensions = self.identity_dimensions();
        let Some(level) = dimensions.iter().position(|name| name == dimension) else {
            return Err(NodeError::new(
                "statistics.dimensions",
                format!("no dimension `{dimension}`: there are ({})", dimensions.join(", ")),
            ));
        };
        let values: Vec<CoordinateValue> = values.into_iter().map(Into::into).collect();
        let mut kept = self.clone();
        kept.progress
            .retain(|coordinate, _| coordinate.get(level).is_none_or(|value| values.contains(value)));
        Ok(kept)
    }
}
