//! Every day that is there and not stored is written.
#![allow(clippy::unwrap_used)] // a panic is the report

use daily_readings::DailyReadings;
use datanode_sdk::prelude::*;
use datanode_sdk::testing::Harness;

#[test]
fn days_are_written_by_their_remainder_once_they_are_there() {
    let rows = |config, missing| {
        Harness::<DailyReadings>::new()
            .config(config)
            .window("2020-01-01", "2020-01-10")
            .option("missing", missing)
            .run()
            .ok()
            .rows()
    };
    assert_eq!(rows(json!({}), json!([])), 10);
    assert_eq!(rows(json!({ "every": 2, "remainder": 1 }), json!([])), 5);
    assert_eq!(rows(json!({}), json!(["2020-01-04", "2020-01-09"])), 8);
}
