//! Every type of column comes back as it was stored, nulls and extremes included.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::support::{
    self, Place, commit, node, on_both_databases, pages, progress, properties_on_both_databases, run, table,
};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datanode_core::contract::Contract;
use datanode_core::coordinate::Coordinate;
use datanode_core::query::ReadQuery;
use datanode_store::Table;
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

const COLUMNS: &str = r#"
    index = ["time_index"]
    columns = [
        { name = "time_index", type = "timestamp_tz" },
        { name = "order", type = "float64", nullable = true },
        { name = "f32", type = "float32", nullable = true },
        { name = "i64", type = "int64", nullable = true },
        { name = "i32", type = "int32", nullable = true },
        { name = "i16", type = "int16", nullable = true },
        { name = "flag", type = "bool", nullable = true },
        { name = "select", type = "string", nullable = true },
        { name = "day", type = "date", nullable = true },
        { name = "moment", type = "timestamp_tz", nullable = true },
        { name = "id", type = "uuid", nullable = true },
        { name = "doc", type = "json", nullable = true },
        { name = "small", type = "decimal(18,4)", nullable = true },
        { name = "tiny", type = "decimal(1,1)", nullable = true },
        { name = "raw", type = "bytes", nullable = true },
        { name = "sure", type = "int64" },
    ]"#;

fn contract(identifier: &str) -> Contract {
    Contract::from_toml(&format!("identifier = \"{identifier}\"\n{COLUMNS}")).unwrap()
}

/// Negative zero is not kept: SQLite stores whole floats as integers. (NaN and infinities never reach a store.)
fn float64() -> impl Strategy<Value = f64> {
    prop_oneof![
        prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL,
        prop::sample::select(vec![
            0.0,
            f64::MIN,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            9_007_199_254_740_993.0,
            0.1
        ]),
    ]
}

fn float32() -> impl Strategy<Value = f32> {
    prop_oneof![
        prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL,
        prop::sample::select(vec![0.0, f32::MIN, f32::MAX, f32::MIN_POSITIVE, 1e-45, 16_777_217.0]),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec!["", "'); DROP TABLE t; --", "\u{10FFFF}", "\0", "0012"])
            .prop_map(str::to_owned)
    ]
}

/// What of these types a database keeps. (`commit.rs` shows how the rest is refused.)
#[derive(Debug, Clone)]
struct Keeps {
    days: RangeInclusive<i32>,
    moments: RangeInclusive<i64>,
    /// Whether texts may hold U+0000.
    nul: bool,
}

impl Keeps {
    fn of(place: &Place) -> Self {
        if place.is_on_server() {
            // 4714-11-24 BC to 5874897-12-31, and from that day on.
            let moments = -210_866_803_200_000_000..=i64::MAX;
            return Self { days: -2_440_588..=2_145_031_948, moments, nul: false };
        }
        Self { days: i32::MIN..=i32::MAX, moments: i64::MIN..=i64::MAX, nul: true }
    }
}

const LIMIT: i128 = 999_999_999_999_999_999;

/// One strategy per column, all of the same length.
fn columns(rows: usize, keeps: Keeps) -> impl Strategy<Value = Vec<ArrayRef>> {
    fn cells<S: Strategy>(value: S, rows: usize) -> impl Strategy<Value = Vec<Option<S::Value>>>
    where
        S::Value: Clone,
    {
        prop::collection::vec(prop::option::weighted(0.8, value), rows)
    }
    fn within<T: Ord + Copy>(range: &RangeInclusive<T>, value: T) -> T {
        value.clamp(*range.start(), *range.end())
    }
    fn integers<T: Arbitrary + Copy + std::fmt::Debug + 'static>(
        extremes: Vec<T>,
    ) -> impl Strategy<Value = T> {
        prop_oneof![any::<T>(), prop::sample::select(extremes)]
    }
    let numbers = (
        cells(float64(), rows).prop_map(|cells| Arc::new(Float64Array::from(cells)) as ArrayRef),
        cells(float32(), rows).prop_map(|cells| Arc::new(Float32Array::from(cells)) as ArrayRef),
        cells(integers(vec![i64::MIN, 0, i64::MAX]), rows)
            .prop_map(|cells| Arc::new(Int64Array::from(cells)) as ArrayRef),
        cells(integers(vec![i32::MIN, 0, i32::MAX]), rows)
            .prop_map(|cells| Arc::new(Int32Array::from(cells)) as ArrayRef),
        cells(integers(vec![i16::MIN, 0, i16::MAX]), rows)
            .prop_map(|cells| Arc::new(Int16Array::from(cells)) as ArrayRef),
        cells(any::<bool>(), rows).prop_map(|cells| Arc::new(BooleanArray::from(cells)) as ArrayRef),
    );
    let others = (
        cells(text().prop_map(move |text| if keeps.nul { text } else { text.replace('\0', "0") }), rows)
            .prop_map(|cells| Arc::new(StringArray::from(cells)) as ArrayRef),
        cells(integers(vec![i32::MIN, i32::MAX]).prop_map(move |day| within(&keeps.days, day)), rows)
            .prop_map(|cells| Arc::new(Date32Array::from(cells)) as ArrayRef),
        cells(integers(vec![i64::MIN, i64::MAX]).prop_map(move |at| within(&keeps.moments, at)), rows)
            .prop_map(|cells| {
                Arc::new(TimestampMicrosecondArray::from(cells).with_timezone("UTC")) as ArrayRef
            }),
        cells(any::<[u8; 16]>(), rows).prop_map(|cells| {
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(cells.into_iter(), 16).unwrap())
                as ArrayRef
        }),
        cells(Just("{\"a\": [1, null]}"), rows)
            .prop_map(|cells| Arc::new(StringArray::from(cells)) as ArrayRef),
        cells(prop_oneof![-LIMIT..=LIMIT, Just(LIMIT), Just(-LIMIT)], rows).prop_map(|cells| {
            Arc::new(Decimal128Array::from(cells).with_precision_and_scale(18, 4).unwrap()) as ArrayRef
        }),
        cells(-9..=9_i128, rows).prop_map(|cells| {
            Arc::new(Decimal128Array::from(cells).with_precision_and_scale(1, 1).unwrap()) as ArrayRef
        }),
        cells(prop::collection::vec(any::<u8>(), 0..40), rows)
            .prop_map(|cells| Arc::new(BinaryArray::from_iter(cells)) as ArrayRef),
        prop::collection::vec(any::<i64>(), rows)
            .prop_map(|cells| Arc::new(Int64Array::from(cells)) as ArrayRef),
    );
    (numbers, others).prop_map(|((a, b, c, d, e, f), (g, h, i, j, k, l, m, n, o))| {
        vec![a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]
    })
}

fn batch(contract: &Contract, first: i64, columns: Vec<ArrayRef>) -> RecordBatch {
    let times = (first..).take(columns[0].len());
    let mut arrays: Vec<ArrayRef> =
        vec![Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))];
    arrays.extend(columns);
    RecordBatch::try_new(contract.arrow_schema(), arrays).unwrap()
}

async fn stored_and_read(place: &Place, table: &Table, batch: &RecordBatch) -> RecordBatch {
    let node = node(&*place.store, table).await;
    let rows = i64::try_from(batch.num_rows()).unwrap();
    let keys: Vec<_> = (0..rows).map(|time| (time, Coordinate::default())).collect();
    let record = run(&node, &Uuid::new_v4().to_string());
    let commit = commit(&*place.store, table, record, vec![batch.clone()], progress(&keys)).await;
    place.store.commit_run(commit).await.unwrap();
    let mut snapshot = place.store.snapshot().await.unwrap();
    let mut found = pages(&mut snapshot, table, &ReadQuery::default(), 1_000).await;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn every_type_round_trips(runtime: &Runtime, place: &Place) {
    // From one row, by way of whole statements of several rows, to statements and a rest.
    let sizes = prop_oneof![1..4_usize, Just(16), Just(32), 14..70_usize];
    support::runner(64)
        .run(&sizes.prop_flat_map(|rows| columns(rows, Keeps::of(place))), |columns| {
            runtime.block_on(async {
                let contract = contract(&format!("t{}", Uuid::new_v4().simple()));
                let table = table(&*place.store, &contract).await;
                let stored = batch(&contract, 0, columns);
                prop_assert_eq!(&stored_and_read(place, &table, &stored).await, &stored);
                Ok(())
            })
        })
        .unwrap();
}

async fn negative_zero_comes_back_as_zero(place: Place) {
    let text = "identifier = \"z\"\nindex = [\"time_index\"]\ncolumns = [{ name = \"time_index\", type = \"timestamp_tz\" }, \
                { name = \"x\", type = \"float64\" }]";
    let contract = Contract::from_toml(text).unwrap();
    let table = table(&*place.store, &contract).await;
    let stored = batch(&contract, 0, vec![Arc::new(Float64Array::from(vec![-0.0]))]);
    let found = stored_and_read(&place, &table, &stored).await;
    assert_eq!(found.column(1).as_primitive::<Float64Type>().value(0).to_bits(), 0.0_f64.to_bits());
}

properties_on_both_databases!(every_type_round_trips);

on_both_databases!(negative_zero_comes_back_as_zero,);
