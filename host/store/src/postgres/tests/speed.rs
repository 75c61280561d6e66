//! How fast rows go in and come out, beside their floors: a raw copy of bytes that were encoded before, and a raw copy
//! out whose bytes are thrown away. Measures and asserts nothing:
//! `cargo test --release -p datanode-store --lib -- --ignored --nocapture rows_beside_a_raw_copy`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::progress::CoordinateProgress;
use datanode_core::query::ReadQuery;

use super::Place;
use super::support::{at, text};
use crate::postgres::copy::Encoder;
use crate::postgres::ddl::table_name;
use crate::postgres::groups::send;
use crate::postgres::overwrite::copy_into;
use crate::rows::Cells;

const ROWS: i64 = 1_000_000;
const NAMES: i64 = 100;
const BATCH: i64 = 16_384;

fn shape() -> Contract {
    let values =
        ["a", "b", "c", "d"].map(|name| format!("{{ name = \"{name}\", type = \"float64\" }}")).join(", ");
    Contract::from_toml(&format!(
        "identifier = \"speed\"\nindex = [\"time_index\", \"name\"]\ncolumns = [\
         {{ name = \"time_index\", type = \"timestamp_tz\" }}, {{ name = \"name\", type = \"string\" }}, {values}, \
         {{ name = \"volume\", type = \"int64\" }}, {{ name = \"venue\", type = \"string\" }}]"
    ))
    .unwrap()
}

fn batches(contract: &Contract) -> Vec<RecordBatch> {
    let name = |row: i64| format!("name-{:04}", row % NAMES);
    let starts = (0..ROWS).step_by(usize::try_from(BATCH).unwrap());
    let batch = |start: i64| {
        let rows = start..(start + BATCH).min(ROWS);
        let times = rows.clone().map(|row| row / NAMES * 60_000_000);
        #[allow(clippy::cast_precision_loss)]
        let value = |scale: f64| -> ArrayRef {
            Arc::new(rows.clone().map(|row| Some(row as f64 * scale)).collect::<Float64Array>())
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(rows.clone().map(name))),
            value(0.1),
            value(0.2),
            value(0.3),
            value(0.4),
            Arc::new(Int64Array::from_iter_values(rows.clone())),
            Arc::new(StringArray::from_iter_values(rows.clone().map(|_| "venue"))),
        ];
        RecordBatch::try_new(contract.arrow_schema(), columns).unwrap()
    };
    starts.map(batch).collect()
}

fn rate(elapsed: Duration) -> String {
    format!("{:.0} k rows/s", 1e-3 * f64::from(u32::try_from(ROWS).unwrap()) / elapsed.as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn rows_beside_a_raw_copy() {
    let place = Place::new().await;
    let table = place.register(&shape()).await;
    let batches = batches(&table.contract);
    let max = at((ROWS / NAMES - 1) * 60_000_000);
    let added = (0..NAMES).map(|name| {
        let progress = CoordinateProgress { min: at(0), max, rows: u64::try_from(ROWS / NAMES).unwrap() };
        (Coordinate(vec![text(&format!("name-{name:04}"))]), progress)
    });
    let added: datanode_core::progress::Progress = added.collect();
    let mut encoder = Encoder::default();
    encoder.begin();
    for batch in &batches {
        encoder.rows(&Cells::new(&table.contract, batch).unwrap(), 0..batch.num_rows()).unwrap();
    }
    encoder.end();
    let name = table_name(&table.contract);
    for round in 0..3 {
        place.execute(&format!("TRUNCATE {name}; DELETE FROM datanode.progress; CHECKPOINT")).await;
        let begun = Instant::now();
        let mut raw = place.pool.begin().await.unwrap();
        send(&mut raw, &copy_into(&name, &table.contract), encoder.written()).await.unwrap();
        raw.commit().await.unwrap();
        let floor = begun.elapsed();
        place.execute(&format!("TRUNCATE {name}; CHECKPOINT")).await;
        let run = place.run(&table, &format!("r{round}"), batches.clone(), added.clone()).await;
        let begun = Instant::now();
        place.commit(run).await.unwrap();
        let ours = begun.elapsed();
        eprintln!(
            "append: {} of {}, {:.2}",
            rate(ours),
            rate(floor),
            floor.as_secs_f64() / ours.as_secs_f64()
        );
    }
    place.execute(&format!("VACUUM ANALYZE {name}")).await;
    for _ in 0..3 {
        let begun = Instant::now();
        let mut raw = place.pool.acquire().await.unwrap();
        let order = "ORDER BY time_index, name";
        let copy = format!("COPY (SELECT * FROM {name} {order}) TO STDOUT (FORMAT binary)");
        sqlx::raw_sql("SET enable_sort = off; SET jit = off").execute(&mut *raw).await.unwrap();
        let mut stream = raw.copy_out_raw(&copy).await.unwrap();
        let mut bytes = 0;
        while let Some(piece) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
            bytes += piece.unwrap().len();
        }
        let floor = begun.elapsed();
        drop(stream);
        for page in [8_192, 32_768] {
            let begun = Instant::now();
            let snapshot = place.snapshot().await;
            let read = snapshot.read(&table, &ReadQuery::default());
            let (mut after, mut rows) = (None, 0);
            while let Some(found) = read.page(after.as_ref(), page).await.unwrap() {
                rows += found.batch.num_rows();
                after = Some(found.last);
            }
            let ours = begun.elapsed();
            eprintln!(
                "read {rows} rows ({bytes} bytes) in pages of {page}: {} of {}, {:.2}",
                rate(ours),
                rate(floor),
                floor.as_secs_f64() / ours.as_secs_f64()
            );
        }
    }
}
