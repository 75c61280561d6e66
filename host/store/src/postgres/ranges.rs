//! The ranges of a range map, as a temporary table of their snapshot.
//!
//! A map may have 100,000 entries. As text they would be megabytes, sent and parsed for every page, and nothing could
//! look one up; as rows they are sent once and have an index, so that a page is read in the order of the table's key
//! with one look-up per row.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, TimestampMicrosecondArray};
use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::data_type::DataType;
use datanode_core::query::{CoordinateRange, RangeMap};
use sqlx::{AssertSqlSafe, PgConnection};

use super::copy::Encoder;
use super::literal::{exists, type_name};
use super::stored::failed;
use crate::StoreError;
use crate::rows::{Cells, ColumnBuilder};

const DOING: &str = "preparing a read";

/// Ranges on their way into the database.
#[derive(Debug)]
pub(super) struct Ranges {
    /// The temporary table: `_d0` … are the coordinate, `_start` and `_end` the inclusive range.
    pub(super) table: String,
    create: String,
    rows: Vec<u8>,
}

impl Ranges {
    pub(super) fn new(contract: &Contract, map: &RangeMap, number: u64) -> Result<Self, StoreError> {
        let damaged = |error: &dyn std::fmt::Display| StoreError::Damaged(format!("a range map: {error}"));
        // A coordinate that PostgreSQL cannot keep is none of the table's.
        let known = |entry: &&CoordinateRange| entry.coordinate.0.iter().all(exists);
        let entries: Vec<&CoordinateRange> = map.entries.iter().filter(known).collect();
        let mut columns = Vec::new();
        let mut names = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (at, data_type) in contract.dimension_types().into_iter().enumerate() {
            let mut builder = ColumnBuilder::new(data_type, entries.len());
            for entry in &entries {
                let pushed = entry.coordinate.0.get(at).is_some_and(|value| builder.push_value(value));
                if !pushed {
                    return Err(damaged(&format!("{} is no coordinate of the table", entry.coordinate)));
                }
            }
            arrays.push(builder.finish().map_err(|error| damaged(&error))?);
            // As the columns of tables are, so that the two compare without a conversion.
            let collation = if data_type == DataType::String { " COLLATE \"C\"" } else { "" };
            columns.push(format!("_d{at} {}{collation} NOT NULL", type_name(data_type)));
            names.push(format!("_d{at}"));
        }
        // A bound of no end lies just outside of all times that there are.
        let (first, last) = (
            Timestamp::nearest_micros(i64::MIN).micros() - 1,
            Timestamp::nearest_micros(i64::MAX).micros() + 1,
        );
        let ranges = entries.iter().map(|entry| entry.range.inclusive_micros());
        let (starts, ends): (Vec<_>, Vec<_>) =
            ranges.map(|(start, end)| (start.clamp(first, last), end.clamp(first, last))).unzip();
        arrays.push(Arc::new(TimestampMicrosecondArray::from(starts)));
        arrays.push(Arc::new(TimestampMicrosecondArray::from(ends)));
        let mut encoder = Encoder::default();
        encoder.begin();
        let cells = Cells::of(&arrays).map_err(|error| damaged(&error))?;
        encoder.rows(&cells, 0..arrays[0].len()).map_err(|error| damaged(&error.problem))?;
        encoder.end();
        let table = format!("pg_temp._ranges_{number}");
        let create = format!(
            "CREATE TEMPORARY TABLE _ranges_{number} ({}, _start timestamptz NOT NULL, _end timestamptz NOT NULL, \
             PRIMARY KEY ({})) ON COMMIT DROP",
            columns.join(", "),
            names.join(", ")
        );
        Ok(Self { table, create, rows: encoder.into_written() })
    }

    /// Bring them into the database.
    pub(super) async fn prepare(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let Self { table, create, rows } = self;
        sqlx::raw_sql(AssertSqlSafe(create.as_str()))
            .execute(&mut *connection)
            .await
            .map_err(failed(DOING))?;
        let copy = format!("COPY {table} FROM STDIN (FORMAT binary)");
        let mut copying = connection.copy_in_raw(&copy).await.map_err(failed(DOING))?;
        copying.send(rows.as_slice()).await.map_err(failed(DOING))?;
        copying.finish().await.map_err(failed(DOING))?;
        // So that the plan knows how many there are.
        let analyze = format!("ANALYZE {table}");
        sqlx::raw_sql(AssertSqlSafe(analyze)).execute(connection).await.map_err(failed(DOING))?;
        Ok(())
    }
}
