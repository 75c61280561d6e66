//! Each series gets what it lacks; excess and failure come on request alone.
#![allow(clippy::unwrap_used)] // a panic is the report

use daily_series::DailySeries;
use datanode_sdk::prelude::*;
use datanode_sdk::testing::{Harness, Run, Table};

fn run(config: datanode_sdk::serde_json::Value, held: &[RecordBatch]) -> Run {
    let harness = Harness::<DailySeries>::new().config(config);
    let index = ["time_index", "series"];
    let harness =
        if held.is_empty() { harness } else { harness.output(Table::new(index, held.iter().cloned())) };
    harness.run().ok()
}

#[test]
fn each_series_gets_what_it_lacks() {
    let first = run(json!({ "series": ["A"] }), &[]);
    assert!(first.rows() > 0);
    let both = run(json!({ "series": ["A", "B"] }), &first.batches);
    let frame = both.frame().unwrap();
    let series = frame.strings("series").unwrap();
    assert_eq!(both.rows(), first.rows());
    assert!((0..both.rows()).all(|row| series.value(row) == "B"));
    let again = run(json!({ "series": ["A"], "whole_history": true }), &first.batches);
    assert_eq!(again.rows(), first.rows());
}
