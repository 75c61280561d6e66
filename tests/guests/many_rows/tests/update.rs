//! Counts, cuts, and that each run goes on where the last one ended.
#![allow(clippy::unwrap_used)] // a panic is the report

use datanode_sdk::prelude::*;
use datanode_sdk::testing::{Harness, Run, Table};
use many_rows::ManyRows;

const INDEX: [&str; 2] = ["time_index", "series"];

/// A run over a table that holds these rows.
fn run(config: datanode_sdk::serde_json::Value, held: &[RecordBatch]) -> Run {
    let harness = Harness::<ManyRows>::new().config(config);
    let harness =
        if held.is_empty() { harness } else { harness.output(Table::new(INDEX, held.iter().cloned())) };
    harness.run().ok()
}

#[test]
fn a_run_emits_the_rows_of_its_config_in_batches_of_its_config() {
    let run = run(json!({ "rows": 10, "rows_per_batch": 4, "coordinates": 3 }), &[]);
    assert_eq!(run.batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [4, 4, 2]);
    let frame = run.frame().unwrap();
    let (times, series) = (frame.timestamps("time_index").unwrap(), frame.strings("series").unwrap());
    let names: Vec<&str> = (0..10).map(|row| series.value(row)).collect();
    assert_eq!(names[..4], ["s00000", "s00001", "s00002", "s00000"]);
    assert!((1..10).all(|row| (times.at(row - 1), names[row - 1]) < (times.at(row), names[row])), "sorted");
}

#[test]
fn each_run_begins_after_the_one_before() {
    let config = json!({ "rows": 10, "rows_per_batch": 4, "coordinates": 3 });
    let first = run(config.clone(), &[]);
    let second = run(config, &first.batches);
    assert_eq!(second.rows(), 10);
    let last = first.frame().unwrap().timestamps("time_index").unwrap().at(9);
    assert!(second.frame().unwrap().timestamps("time_index").unwrap().at(0) > last);
}

#[test]
fn no_rows_emit_nothing() {
    assert!(run(json!({ "rows": 0 }), &[]).messages.is_empty());
}
