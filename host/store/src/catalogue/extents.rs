//! What tables hold: what is asked of a database, and what its rows say.

use std::collections::HashMap;

use datanode_core::contract::{Contract, TableKind};
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::progress::{CoordinateProgress, Progress};

use super::stored::{count, damaged, timestamp};
use crate::{Extent, StoreError, Table};

/// Progress of a coordinate: uid of the table, coordinate, earliest and latest time, rows.
pub(crate) type RawProgress = (String, String, i64, i64, i64);

/// A table whose progress is asked for: uid, and the types of its dimensions.
pub(crate) type Typed = (String, Vec<DataType>);

/// Tables as their progress is asked for.
pub(crate) fn typed(tables: &[Table]) -> Vec<Typed> {
    tables.iter().map(|table| (table.uid.clone(), table.contract.dimension_types())).collect()
}

/// The progress of tables, in their order.
pub(crate) fn progress_of(tables: &[Typed], rows: Vec<RawProgress>) -> Result<Vec<Progress>, StoreError> {
    let places: HashMap<&str, usize> =
        tables.iter().enumerate().map(|(at, (uid, _))| (uid.as_str(), at)).collect();
    let mut found: Vec<Vec<(Coordinate, CoordinateProgress)>> = vec![Vec::new(); tables.len()];
    for (uid, coordinate, min, max, rows) in rows {
        let Some(at) = places.get(uid.as_str()).copied() else { continue };
        let place = format!("progress of table {uid}");
        let coordinate = Coordinate::from_json(&coordinate, &tables[at].1).map_err(damaged(&place))?;
        let progress = CoordinateProgress {
            min: timestamp(&place, min)?,
            max: timestamp(&place, max)?,
            rows: count(&place, rows)?,
        };
        found[at].push((coordinate, progress));
    }
    Ok(found.into_iter().map(|progress| progress.into_iter().collect()).collect())
}

/// Tables whose rows one statement counts.
const COUNTED_AT_ONCE: usize = 100;

/// A sum of progress: uid of the table, rows, coordinates, earliest and latest time.
pub(crate) type RawExtent = (String, i64, i64, i64, i64);

/// What is asked about some tables.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Their uids, in their order. Of those that are indexed by time, progress says everything.
    pub(crate) uids: Vec<String>,
    /// Statements that count the rows of the others. They answer the position of a table among all, and its rows.
    pub(crate) counting: Vec<String>,
}

impl Asked {
    /// About these tables; `name` is that of a table in SQL.
    pub(crate) fn of(tables: &[Table], name: impl Fn(&Contract) -> String) -> Self {
        let counted =
            tables.iter().enumerate().filter(|(_, table)| table.contract.kind == TableKind::Reference);
        let pieces: Vec<String> = counted
            .map(|(at, table)| {
                format!("SELECT CAST({at} AS bigint), count(*) FROM {}", name(&table.contract))
            })
            .collect();
        Self {
            uids: tables.iter().map(|table| table.uid.clone()).collect(),
            counting: pieces.chunks(COUNTED_AT_ONCE).map(|pieces| pieces.join(" UNION ALL ")).collect(),
        }
    }

    /// The answer, in the order of the tables.
    pub(crate) fn answer(
        &self,
        sums: &[RawExtent],
        counts: Vec<(i64, i64)>,
    ) -> Result<Vec<Extent>, StoreError> {
        let mut known: HashMap<&str, Extent> = HashMap::with_capacity(sums.len());
        for (uid, rows, coordinates, min, max) in sums {
            let place = format!("progress of table {uid}");
            let extent = Extent {
                rows: count(&place, *rows)?,
                coordinates: count(&place, *coordinates)?,
                min_time: Some(timestamp(&place, *min)?),
                max_time: Some(timestamp(&place, *max)?),
            };
            known.insert(uid, extent);
        }
        let extent = |uid: &String| known.get(uid.as_str()).copied().unwrap_or_default();
        let mut extents: Vec<Extent> = self.uids.iter().map(extent).collect();
        for (at, rows) in counts {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            if let (Some(extent), Some(uid)) = (extents.get_mut(at), self.uids.get(at)) {
                extent.rows = count(&format!("rows of table {uid}"), rows)?;
            }
        }
        Ok(extents)
    }
}
