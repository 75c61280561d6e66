//! How fast rows go into a table and out of it, beside what prepared statements alone allow, in one run.
//!
//! `cargo bench -p datanode-store --bench append`: 500,000 rows of 8 columns, three rounds. Compare figures of one
//! round only: machines differ, and so do minutes.

#![allow(clippy::unwrap_used)] // a panic here is the report

#[path = "../host/store/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::progress::{CoordinateProgress, Progress};
use datanode_core::query::ReadQuery;
use datanode_store::Store;
use support::{Place, commit, node, pages, run, table, text};

const BATCHES: i64 = 25;
const ROWS: i64 = 20_000;
const ENTITIES: i64 = 500;

fn contract() -> Contract {
    let floats = (0..5).map(|at| format!("{{ name = \"x{at}\", type = \"float64\", nullable = true }}, "));
    let floats = floats.collect::<Vec<_>>().concat();
    Contract::from_toml(&format!(
        "identifier = \"t\"\nindex = [\"time_index\", \"entity\"]\ncolumns = [{{ name = \"time_index\", type = \
         \"timestamp_tz\" }}, {{ name = \"entity\", type = \"string\" }}, {floats}{{ name = \"n\", type = \"int64\" }}]"
    ))
    .unwrap()
}

#[allow(clippy::cast_precision_loss)]
fn batch(contract: &Contract, number: i64) -> RecordBatch {
    let rows = number * ROWS..(number + 1) * ROWS;
    let entities: StringArray = rows.clone().map(|row| Some(format!("E{:05}", row % ENTITIES))).collect();
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(rows.clone().map(|row| row / ENTITIES))
                .with_timezone("UTC"),
        ),
        Arc::new(entities),
    ];
    arrays.extend((0..5).map(|at| {
        Arc::new(rows.clone().map(|row| Some((row * (at + 3)) as f64 * 0.1)).collect::<Float64Array>())
            as ArrayRef
    }));
    arrays.push(Arc::new(rows.collect::<Int64Array>()));
    RecordBatch::try_new(contract.arrow_schema(), arrays).unwrap()
}

fn added() -> Progress {
    let last = BATCHES * ROWS / ENTITIES - 1;
    (0..ENTITIES)
        .map(|entity| {
            let progress = CoordinateProgress {
                min: support::at(0),
                max: support::at(last),
                rows: (BATCHES * ROWS / ENTITIES).unsigned_abs(),
            };
            (Coordinate(vec![text(&format!("E{entity:05}"))]), progress)
        })
        .collect()
}

/// One prepared statement of a row each, values at hand: what rusqlite alone would take.
fn floor(per_statement: usize) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(directory.path().join("floor.sqlite")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (time_index INTEGER NOT NULL, \
             entity TEXT NOT NULL, x0 REAL, x1 REAL, x2 REAL, x3 REAL, x4 REAL, n INTEGER NOT NULL, \
             PRIMARY KEY (time_index, entity)) STRICT, WITHOUT ROWID",
        )
        .unwrap();
    let entities: Vec<_> = (0..ENTITIES).map(|entity| format!("E{entity:05}")).collect();
    let begun = Instant::now();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; per_statement].join(", ");
    let mut statement = connection.prepare(&format!("INSERT INTO t VALUES {rows}")).unwrap();
    let mut first = 1;
    for row in 0..BATCHES * ROWS {
        statement.raw_bind_parameter(first, row / ENTITIES).unwrap();
        statement.raw_bind_parameter(first + 1, &entities[usize::try_from(row % ENTITIES).unwrap()]).unwrap();
        for at in 0..5_i32 {
            #[allow(clippy::cast_precision_loss)]
            let value = (row * i64::from(at + 3)) as f64 * 0.1;
            statement.raw_bind_parameter(first + 2 + usize::try_from(at).unwrap(), value).unwrap();
        }
        statement.raw_bind_parameter(first + 7, row).unwrap();
        first += 8;
        if first > per_statement * 8 {
            statement.raw_execute().unwrap();
            first = 1;
        }
    }
    drop(statement);
    connection.execute_batch("COMMIT").unwrap();
    begun.elapsed().as_secs_f64()
}

#[tokio::main]
#[allow(clippy::cast_precision_loss)]
async fn main() {
    let rate = |seconds: f64| format!("{:.0} rows/s", (BATCHES * ROWS) as f64 / seconds);
    let contract = contract();
    let batches: Vec<_> = (0..BATCHES).map(|number| batch(&contract, number)).collect();
    for round in 0..3 {
        let place = Place::new().await;
        let table = table(&place.store, &contract).await;
        let node = node(&place.store, &table).await;
        let commit = commit(&table, run(&node, "r"), batches.clone(), added());
        let begun = Instant::now();
        place.store.commit_run(commit).await.unwrap();
        let ingest = begun.elapsed().as_secs_f64();

        let mut snapshot = place.store.snapshot().await.unwrap();
        let begun = Instant::now();
        let found = pages(&mut snapshot, &table, &ReadQuery::default(), 65_536).await;
        let read = begun.elapsed().as_secs_f64();
        assert_eq!(
            found.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(),
            (BATCHES * ROWS).unsigned_abs()
        );
        println!(
            "round {round}: commit_run {}, raw statements of 1 row {}, of 25 rows {}; read {}",
            rate(ingest),
            rate(floor(1)),
            rate(floor(25)),
            rate(read)
        );
    }
}
