//! Counts and sums, with one reader and with several.
#![allow(clippy::unwrap_used)] // a panic is the report

use datanode_sdk::prelude::*;
use datanode_sdk::testing::{Harness, Table};
use reads_rows::ReadsRows;

fn table() -> Table {
    let frame = FrameBuilder::new()
        .timestamps("time_index", (0..3).map(Timestamp::from_micros))
        .floats("value", [Some(1.5), None, Some(2.0)])
        .build()
        .unwrap();
    Table::new(["time_index"], [frame])
}

#[test]
fn all_rows_are_counted_by_each_reader() {
    for readers in [1, 3] {
        let run = Harness::<ReadsRows>::new()
            .config(json!({ "table": "t", "readers": readers }))
            .dependency("table", table())
            .window(None, "2020-01-01")
            .run()
            .ok();
        let frame = run.frame().unwrap();
        assert_eq!(frame.integers("rows").unwrap().values(), &[3 * i64::from(readers)]);
        assert_eq!(frame.floats("sum").unwrap().values(), &[3.5 * f64::from(readers)]);
    }
}
