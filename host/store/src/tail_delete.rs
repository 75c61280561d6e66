//! Deleting the tail of a table, and asking whether its progress is right.

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::progress::{CoordinateProgress, Progress};

use crate::{Reopened, StoreError, Table};

/// Which coordinates of a table lose their tail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeleteScope {
    /// All of them.
    #[default]
    All,
    /// Those whose values are among these: identity dimension → allowed values; all conditions hold together.
    DimensionFilters(Vec<(String, Vec<CoordinateValue>)>),
    /// Those that one of these partial coordinates matches.
    IndexCoordinates(Vec<Vec<(String, CoordinateValue)>>),
}

/// A tail to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteAfter {
    /// Uid of the table; it must be time-indexed.
    pub table_uid: String,
    /// Rows at this moment and later go.
    pub after: Timestamp,
    /// Of which coordinates. The caller has checked it, as [`datanode_core::query::ReadQuery::check`] does.
    pub scope: DeleteScope,
}

/// What a tail delete did.
#[derive(Debug, Clone, PartialEq)]
pub struct Deleted {
    /// The table after it; its epoch has grown when rows went or windows were opened.
    pub table: Table,
    /// Rows that went.
    pub rows: u64,
    /// What the table holds now; empty when it has no row left.
    pub progress: Progress,
    /// What the nodes that write the table have to do again. Windows know no coordinates: all of the table are opened,
    /// whatever the scope.
    pub reopened: Vec<Reopened>,
}

/// One coordinate whose kept progress is not what the rows say.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressDifference {
    /// The coordinate.
    pub coordinate: Coordinate,
    /// What the catalogue says.
    pub kept: Option<CoordinateProgress>,
    /// What the rows say.
    pub counted: Option<CoordinateProgress>,
}

/// Rows that go, and progress that stays right.
#[async_trait]
pub trait TailDeletes {
    /// Delete rows, correct progress, open the windows of the table's nodes from there on, and raise the table's epoch,
    /// which commits in flight check, in one transaction.
    async fn delete_after(&self, delete: &DeleteAfter) -> Result<Deleted, StoreError>;

    /// Count the rows of a table anew, in one snapshot, and compare with the progress that is kept. Empty: it is right.
    async fn verify_progress(&self, table_uid: &str) -> Result<Vec<ProgressDifference>, StoreError>;
}

/// How many rows go and how many stay, if those of each coordinate lie evenly in its time. By this guess it is decided which
/// of them are counted, and nothing else.
pub(crate) fn guess(kept: &Progress, after: Timestamp) -> (i128, i128) {
    let (mut go, mut stay) = (0, 0);
    for (_, known) in kept.iter() {
        let [min, max, cut] = [known.min, known.max, after].map(|time| i128::from(time.micros()));
        let (all, behind) = (max - min + 1, max - cut + 1);
        let behind = i128::from(known.rows) * behind.clamp(0, all.max(0)) / all.max(1);
        go += behind;
        stay += i128::from(known.rows) - behind;
    }
    (go, stay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_guessed_to_lie_evenly() {
        let at = |micros| Timestamp::nearest_micros(micros);
        let held = |min, max, rows| CoordinateProgress { min: at(min), max: at(max), rows };
        let of = |name: &str| Coordinate(vec![CoordinateValue::Text(name.to_owned())]);
        let progress: Progress =
            [(of("a"), held(0, 99, 100)), (of("b"), held(50, 50, 1)), (of("c"), held(90, 99, 20))]
                .into_iter()
                .collect();
        for (cut, expected) in
            [(0, (121, 0)), (50, (71, 50)), (51, (69, 52)), (95, (15, 106)), (100, (0, 121)), (-9, (121, 0))]
        {
            assert_eq!(guess(&progress, at(cut)), expected, "{cut}");
        }
        assert_eq!(guess(&Progress::default(), at(0)), (0, 0));
    }
}
