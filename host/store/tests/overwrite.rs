//! Commits whose rows may be there already: the rows, the progress and the counts are those of a map, whatever comes
//! after what.

use std::sync::Arc;

use crate::support::{
    self, Model, Place, at, batch, commit, contract, fill, new_node, node, on_both_databases, pages,
    progress, properties_on_both_databases, read, run, table, text,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::digest::Digest;
use datanode_core::query::ReadQuery;
use datanode_core::run::{InputRecord, RunRecord};
use datanode_store::{CommitRun, DeleteAfter, DeleteScope, Node, StoreError, Table, WriteMode};
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

fn key(time: i64, name: &str) -> (i64, Coordinate) {
    (time, Coordinate(vec![text(name)]))
}

fn model<const N: usize>(rows: [(i64, &str, i64); N]) -> Model {
    rows.into_iter().map(|(time, name, value)| (key(time, name), Some(value))).collect()
}

async fn prices(place: &Place) -> (Table, Node) {
    let table = table(&*place.store, &contract("prices", &[("name", DataType::String)])).await;
    let node = node(&*place.store, &table).await;
    (table, node)
}

/// What a run of the table's node commits, in so many batches whose rows lie between each other.
async fn rows_of(
    place: &Place,
    table: &Table,
    run_id: &str,
    mode: WriteMode,
    rows: &Model,
    batches: usize,
) -> CommitRun {
    let node = node(&*place.store, table).await;
    let batches = (0..batches)
        .map(|place| rows.iter().skip(place).step_by(batches).collect::<Vec<_>>())
        .filter(|rows| !rows.is_empty())
        .map(|rows| batch(&table.contract, rows))
        .collect();
    let commit = commit(&*place.store, table, run(&node, run_id), batches, progress(rows.keys())).await;
    CommitRun { mode, ..commit }
}

/// Inserted, updated, unchanged.
fn counts(record: &RunRecord) -> [u64; 3] {
    [record.rows_inserted, record.rows_updated, record.rows_unchanged]
}

async fn stored(place: &Place, table: &Table) -> Model {
    let mut snapshot = place.store.snapshot().await.unwrap();
    read(&mut snapshot, table, &ReadQuery::default(), 1_000).await.into_iter().collect()
}

#[derive(Debug, Clone)]
enum Step {
    /// Rows behind all that is there.
    Append(Rows),
    Overwrite(Rows, usize),
    FillGaps(Rows, usize),
    /// From a time on; of one name, or of all.
    Delete(i64, Option<i64>),
}

/// Time, name and value.
type Rows = Vec<(i64, i64, Option<i64>)>;

const NAMES: [&str; 3] = ["a", "it's", "ü"];

fn name(number: i64) -> &'static str {
    NAMES[usize::try_from(number).unwrap()]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = || prop::collection::vec((0..20_i64, 0..3_i64, prop::option::of(0..3_i64)), 0..20);
    let step = prop_oneof![
        2 => rows().prop_map(Step::Append),
        3 => (rows(), 1..4_usize).prop_map(|(rows, batches)| Step::Overwrite(rows, batches)),
        2 => (rows(), 1..4_usize).prop_map(|(rows, batches)| Step::FillGaps(rows, batches)),
        1 => (0..40_i64, prop::option::of(0..3_i64)).prop_map(|(time, of)| Step::Delete(time, of)),
    ];
    prop::collection::vec(step, 1..8)
}

fn any_commits_and_tail_deletes_leave_what_a_map_would_have(runtime: &Runtime, place: &Place) {
    support::runner(64)
        .run(&steps(), |steps| {
            let identifier = format!("p{}", Uuid::new_v4().simple());
            runtime.block_on(async {
                let mut table =
                    table(&*place.store, &contract(&identifier, &[("name", DataType::String)])).await;
                let mut expected = Model::new();
                for (number, step) in steps.into_iter().enumerate() {
                    table = one_step(place, &table, &format!("{identifier}-{number}"), &mut expected, step)
                        .await?;
                    let mut snapshot = place.store.snapshot().await.unwrap();
                    prop_assert_eq!(snapshot.progress(&table).await.unwrap(), progress(expected.keys()));
                    prop_assert_eq!(&stored(place, &table).await, &expected);
                    prop_assert_eq!(place.store.verify_progress(&table.uid).await.unwrap(), vec![]);
                }
                Ok(())
            })
        })
        .unwrap();
}

properties_on_both_databases!(any_commits_and_tail_deletes_leave_what_a_map_would_have);

/// One step on the table and on the map; the table after it.
async fn one_step(
    place: &Place,
    table: &Table,
    run_id: &str,
    expected: &mut Model,
    step: Step,
) -> Result<Table, TestCaseError> {
    let (mode, rows, batches) = match step {
        Step::Append(rows) => {
            let behind = expected.keys().next_back().map_or(0, |(time, _)| time + 1);
            (
                WriteMode::Append,
                rows.into_iter().map(|(time, name, value)| (time + behind, name, value)).collect(),
                1,
            )
        }
        Step::Overwrite(rows, batches) => (WriteMode::Overwrite, rows, batches),
        Step::FillGaps(rows, batches) => (WriteMode::FillGaps, rows, batches),
        Step::Delete(time, of) => {
            let scope = of.map_or(DeleteScope::All, |of| {
                DeleteScope::DimensionFilters(vec![("name".to_owned(), vec![text(name(of))])])
            });
            let goes = |key: &(i64, Coordinate)| {
                key.0 >= time && of.is_none_or(|of| key.1 == Coordinate(vec![text(name(of))]))
            };
            let before = expected.len();
            expected.retain(|key, _| !goes(key));
            let delete = DeleteAfter { table_uid: table.uid.clone(), after: at(time), scope };
            let deleted = place.store.delete_after(&delete).await.unwrap();
            prop_assert_eq!(deleted.rows, (before - expected.len()) as u64);
            return Ok(deleted.table);
        }
    };
    let rows: Rows = rows;
    let rows: Model = rows.into_iter().map(|(time, of, value)| (key(time, name(of)), value)).collect();
    let latest = |name: &Coordinate| expected.keys().filter(|key| key.1 == *name).map(|key| key.0).max();
    let (mut inserted, mut updated, mut unchanged, mut back) = (0, 0, 0, false);
    for (key, value) in &rows {
        match expected.get(key) {
            None => {
                inserted += 1;
                back |= latest(&key.1).is_some_and(|latest| key.0 <= latest);
            }
            Some(held) if held != value && mode == WriteMode::Overwrite => updated += 1,
            Some(_) => unchanged += 1,
        }
    }
    for (key, value) in &rows {
        let held = expected.entry(key.clone()).or_insert(*value);
        if mode == WriteMode::Overwrite {
            *held = *value;
        }
    }
    let outcome =
        place.store.commit_run(rows_of(place, table, run_id, mode, &rows, batches).await).await.unwrap();
    prop_assert_eq!(counts(&outcome.record), [inserted, updated, unchanged]);
    let after = place.store.table(&table.uid).await.unwrap();
    let raised = i64::from(updated > 0 || back);
    prop_assert_eq!(
        after.epoch,
        table.epoch + raised,
        "others are refused when rows changed that they may have read"
    );

    // Once more: whatever it is, nothing of it is new.
    for (again, mode) in [("fill", WriteMode::FillGaps), ("overwrite", WriteMode::Overwrite)] {
        let again = format!("{run_id}-{again}");
        let now: Model = rows.keys().map(|key| (key.clone(), expected[key])).collect();
        let outcome =
            place.store.commit_run(rows_of(place, &after, &again, mode, &now, batches).await).await.unwrap();
        prop_assert_eq!(counts(&outcome.record), [0, 0, rows.len() as u64]);
    }
    prop_assert_eq!(place.store.table(&table.uid).await.unwrap().epoch, after.epoch);
    Ok(after)
}

async fn a_tuple_that_comes_twice_is_refused_wherever_its_rows_are(place: Place) {
    let (table, node) = prices(&place).await;
    let held = model([(1, "a", 1), (2, "a", 2), (5, "b", 5)]);
    fill(&*place.store, &table, "first", &held).await;
    // Of a row that is there, of one that is not, and where none of the others is there either.
    for (twice, other) in [(key(2, "a"), key(3, "a")), (key(3, "a"), key(2, "a")), (key(8, "a"), key(9, "b"))]
    {
        for mode in [WriteMode::Overwrite, WriteMode::FillGaps] {
            let batches = vec![
                batch(&table.contract, [(&other, &Some(7)), (&twice, &Some(8))]),
                batch(&table.contract, [(&twice, &Some(9))]),
            ];
            let added = progress([&other, &twice, &twice]);
            let commit = commit(&*place.store, &table, run(&node, "r"), batches, added).await;
            let error = place.store.commit_run(CommitRun { mode, ..commit }).await.unwrap_err();
            let StoreError::DuplicateKey { key, .. } = &error else { panic!("{error}") };
            assert!(key.contains(&format!("{:06}Z, a", twice.0)), "{error}");
            assert_eq!(stored(&place, &table).await, held);
            assert_eq!(place.number("SELECT count(*) FROM _runs"), 1);
            place.is_unlocked().await;
        }
    }
}

/// So many rows that they are not held at once, in orders in which it is told otherwise whether two of them have one key.
async fn rows_too_many_to_be_held_are_stored_as_few_are(place: Place) {
    let (table, _) = prices(&place).await;
    let rows = |times: std::ops::Range<i64>, value: fn(i64) -> i64| -> Model {
        let names = |time| NAMES.map(|name| (key(time, name), Some(value(time))));
        times.flat_map(names).collect()
    };
    let mut expected = rows(0..12_000, |time| time);
    let mut table = fill(&*place.store, &table, "first", &expected).await;
    // Of 42,000 rows, 21,000 are there, of which a third has other values.
    let sent = rows(5_000..19_000, |time| if time % 3 == 0 { -time } else { time });
    let by_time: Vec<_> = sent.iter().collect();
    let mut by_name = by_time.clone();
    by_name.sort_by_key(|((time, name), _)| (name.clone(), *time));
    let mixed: Vec<_> = (0..by_time.len()).map(|at| by_time[at * 17 % by_time.len()]).collect();
    let mut changes = Some([21_000, 6_999, 14_001]);
    for (order, rows) in [by_time, by_name, mixed].into_iter().enumerate() {
        let send = async |run_id: String, rows: &[(&(i64, Coordinate), &Option<i64>)]| {
            let node = node(&*place.store, &table).await;
            let batches =
                rows.chunks(7_000).map(|rows| batch(&table.contract, rows.iter().copied())).collect();
            let added = progress(rows.iter().map(|row| row.0));
            let commit = commit(&*place.store, &table, run(&node, &run_id), batches, added).await;
            place.store.commit_run(CommitRun { mode: WriteMode::Overwrite, ..commit }).await
        };
        let twice: Vec<_> = rows.iter().copied().chain([rows[100]]).collect();
        let error = send(format!("twice-{order}"), &twice).await.unwrap_err();
        let StoreError::DuplicateKey { key, .. } = &error else { panic!("{error}") };
        let (time, coordinate) = rows[100].0;
        assert!(
            key.contains(&format!("{time:06}Z, ")) && key.contains(&coordinate.0[0].to_string()),
            "{error}"
        );
        assert_eq!(stored(&place, &table).await, expected);

        let outcome = send(format!("sent-{order}"), &rows).await.unwrap();
        assert_eq!(counts(&outcome.record), changes.take().unwrap_or([0, 0, 42_000]), "order {order}");
        expected.extend(sent.clone());
        assert_eq!(stored(&place, &table).await, expected);
        assert_eq!(place.store.verify_progress(&table.uid).await.unwrap(), vec![]);
        table = place.store.table(&table.uid).await.unwrap();
    }
}

/// However far what is sent lies apart in what is there.
async fn rows_are_found_among_many_others(place: Place) {
    const OTHERS: i64 = 30;
    let (table, _) = prices(&place).await;
    let name = |number: i64| format!("n{number:02}");
    let held: Model = (0..200)
        .flat_map(|time| (0..OTHERS).map(move |number| (time, number)))
        .filter(|(time, number)| (time * 7 + number) % 11 != 0)
        .map(|(time, number)| (key(time * 2, &name(number)), Some(time)))
        .collect();
    let mut expected = held.clone();
    let mut table = fill(&*place.store, &table, "first", &held).await;
    let picks: [fn(i64, i64) -> bool; 5] = [
        |_, number| number == 17,
        |time, _| time % 40 == 0,
        |time, number| (time * OTHERS + number) % 23 == 0,
        |time, number| time > 300 || number % 13 == 0,
        |time, number| (time < 9 && number < 4) || (time > 395 && number > 25),
    ];
    for (round, pick) in picks.into_iter().enumerate() {
        // Every second time is one of which nothing is there.
        let sent: Model = (0..420)
            .flat_map(|time| (0..OTHERS).map(move |number| (time, number)))
            .filter(|(time, number)| pick(*time, *number))
            .map(|(time, number)| {
                let key = key(time, &name(number));
                let value = expected.get(&key).copied().flatten().filter(|_| number % 2 == 0);
                (key, value.or(Some(1_000 + time)))
            })
            .collect();
        let count = |matches: fn(Option<&Option<i64>>, &Option<i64>) -> bool| {
            sent.iter().filter(|(key, value)| matches(expected.get(*key), value)).count() as u64
        };
        let counted = [
            count(|held, _| held.is_none()),
            count(|held, value| held.is_some_and(|held| held != value)),
            count(|held, value| held == Some(value)),
        ];
        let run_id = format!("round-{round}");
        let commit = rows_of(&place, &table, &run_id, WriteMode::Overwrite, &sent, 3).await;
        let outcome = place.store.commit_run(commit).await.unwrap();
        assert_eq!(counts(&outcome.record), counted, "round {round}");
        expected.extend(sent);
        assert_eq!(stored(&place, &table).await, expected);
        assert_eq!(place.store.verify_progress(&table.uid).await.unwrap(), vec![]);
        table = place.store.table(&table.uid).await.unwrap();
    }
}

async fn a_row_that_refers_to_nothing_is_named(place: Place) {
    let rates = table(&*place.store, &contract("rates", &[])).await;
    let rows: Model = (0..4).map(|time| ((time, Coordinate::default()), Some(time))).collect();
    fill(&*place.store, &rates, "rates", &rows).await;
    let mut shown = contract("shown", &[("name", DataType::String)]);
    shown.columns[2].data_type = DataType::TimestampTz;
    let target =
        "{\"columns\": [\"value\"], \"references\": {\"table\": \"rates\", \"columns\": [\"time_index\"]}}";
    shown.foreign_keys = vec![serde_json::from_str(target).unwrap()];
    let shown = table(&*place.store, &shown).await;
    let rows = |rows: &[(i64, i64)]| {
        let times = rows.iter().map(|row| row.0);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "a"))),
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1))
                    .with_timezone("UTC"),
            ),
        ];
        RecordBatch::try_new(shown.contract.arrow_schema(), columns).unwrap()
    };
    let send = async |run_id: &str, sent: &[(i64, i64)]| {
        let shown = place.store.table("shown").await.unwrap();
        let node = node(&*place.store, &shown).await;
        let keys: Vec<_> = sent.iter().map(|(time, _)| key(*time, "a")).collect();
        let commit =
            commit(&*place.store, &shown, run(&node, run_id), vec![rows(sent)], progress(&keys)).await;
        place.store.commit_run(CommitRun { mode: WriteMode::Overwrite, ..commit }).await
    };
    assert_eq!(counts(&send("first", &[(1, 0), (2, 1), (3, 2)]).await.unwrap().record), [3, 0, 0]);
    assert_eq!(counts(&send("second", &[(2, 3), (3, 2)]).await.unwrap().record), [0, 1, 1]);
    let error = send("third", &[(1, 0), (2, 9), (4, 3)]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `shown`, row (1970-01-01T00:00:00.000002Z, a): (value) = (1970-01-01T00:00:00.000009Z) is no row of \
         table `rates`; nothing was stored"
    );
    assert_eq!(place.number("SELECT count(*) FROM shown"), 3);
}

/// A commit that was computed from what another has overwritten meanwhile.
async fn what_was_computed_from_rows_that_are_overwritten_is_refused(place: Place) {
    let (table, _) = prices(&place).await;
    let other = place.store.ensure_node(new_node(&table, "d_0123456789abcdef")).await.unwrap().value;
    let table = fill(&*place.store, &table, "first", &model([(1, "a", 1), (5, "a", 5), (1, "b", 1)])).await;
    let in_flight = async |run_id: &str, table: &Table, time: i64| {
        let rows = model([(time, "c", 0)]);
        let batches = vec![batch(&table.contract, &rows)];
        commit(&*place.store, table, run(&other, run_id), batches, progress(rows.keys())).await
    };
    let overwrite = async |run_id: &str, rows: Model| {
        let table = place.store.table("prices").await.unwrap();
        let commit = rows_of(&place, &table, run_id, WriteMode::Overwrite, &rows, 1).await;
        place.store.commit_run(commit).await.unwrap();
    };
    // Rows behind, rows that stay and rows of another coordinate are no change of what was read.
    let commit = in_flight("x1", &table, 1).await;
    overwrite("behind", model([(5, "a", 5), (6, "a", 6), (1, "z", 1)])).await;
    place.store.commit_run(commit).await.unwrap();
    for (number, (run_id, rows)) in [
        ("changed", model([(1, "a", 7)])),
        ("between", model([(3, "a", 3)])),
        ("before", model([(0, "b", 0)])),
    ]
    .into_iter()
    .enumerate()
    {
        let table = place.store.table("prices").await.unwrap();
        let commit = in_flight(&format!("y{number}"), &table, 2).await;
        overwrite(run_id, rows).await;
        let error = place.store.commit_run(commit).await.unwrap_err();
        assert!(matches!(error, StoreError::TableMoved { .. }), "{error}");
    }
    assert_eq!(place.number("SELECT count(*) FROM prices WHERE name = 'c'"), 1);
}

/// Two nodes that overwrite two tables, each of which read the other's, as fast as they can.
async fn nodes_that_overwrite_each_others_inputs_take_turns(place: Place) {
    let place = Arc::new(place);
    let first = table(&*place.store, &contract("first", &[("id", DataType::Int64)])).await;
    let second = table(&*place.store, &contract("second", &[("id", DataType::Int64)])).await;
    let writers = [(first.clone(), second.clone()), (second, first)].map(|(own, read)| {
        let place = Arc::clone(&place);
        tokio::spawn(async move {
            for round in 0..20 {
                let own = place.store.table(&own.uid).await.unwrap();
                let node = node(&*place.store, &own).await;
                let mut record = run(&node, &format!("{}-{round}", own.uid));
                record.inputs = vec![InputRecord {
                    key: "other".to_owned(),
                    table_uid: read.uid.clone(),
                    table: "other".to_owned(),
                    rows: 1,
                    bytes: 1,
                    digest: Digest::of(b"frame"),
                    min_time: None,
                    max_time: None,
                }];
                let rows: Model = (0..50)
                    .map(|id| ((id % 7, Coordinate(vec![CoordinateValue::Int(id)])), Some(round)))
                    .collect();
                let batches = vec![batch(&own.contract, &rows)];
                let commit = commit(&*place.store, &own, record, batches, progress(rows.keys())).await;
                let commit = CommitRun { mode: WriteMode::Overwrite, ..commit };
                let outcome = place.store.commit_run(commit).await.unwrap();
                let expected = if round == 0 { [50, 0, 0] } else { [0, 50, 0] };
                assert_eq!(counts(&outcome.record), expected);
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
}

const EVERY_TYPE: &str = r#"
    identifier = "every"
    index = ["time_index"]
    columns = [
        { name = "time_index", type = "timestamp_tz" },
        { name = "f64", type = "float64", nullable = true },
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
        { name = "price", type = "decimal(18,4)", nullable = true },
        { name = "raw", type = "bytes", nullable = true },
    ]"#;

/// A value of each type and another one.
fn every_type() -> Vec<[ArrayRef; 2]> {
    macro_rules! pair {
        ($array:ty, $one:expr, $other:expr $(, $with:ident)?) => {
            [Arc::new(<$array>::from(vec![$one])) as ArrayRef, Arc::new(<$array>::from(vec![$other]))]
        };
    }
    let moment =
        |micros| Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")) as ArrayRef;
    let uuid =
        |byte| Arc::new(FixedSizeBinaryArray::try_from_iter([[byte; 16]].into_iter()).unwrap()) as ArrayRef;
    let decimal = |value| {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(18, 4).unwrap()) as ArrayRef
    };
    vec![
        pair!(Float64Array, 0.1, 0.1 + f64::EPSILON),
        pair!(Float32Array, 1.0, 1.0 + f32::EPSILON),
        pair!(Int64Array, i64::MAX, i64::MAX - 1),
        pair!(Int32Array, 1, 2),
        pair!(Int16Array, 1, 2),
        pair!(BooleanArray, true, false),
        pair!(StringArray, "a", "A"),
        pair!(Date32Array, 1, 2),
        [moment(1), moment(2)],
        [uuid(1), uuid(2)],
        pair!(StringArray, "{\"a\": 1}", "{\"a\":1}"),
        [decimal(10_000), decimal(10_001)],
        [Arc::new(BinaryArray::from_vec(vec![b"a"])), Arc::new(BinaryArray::from_vec(vec![b"a\0"]))],
    ]
}

/// A single value that differs is seen, of every type, and null too; a value that does not is not.
async fn a_value_of_any_type_that_differs_is_an_update(place: Place) {
    let table = table(&*place.store, &Contract::from_toml(EVERY_TYPE).unwrap()).await;
    let node = node(&*place.store, &table).await;
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC"));
    let mut now: Vec<ArrayRef> = vec![time];
    now.extend(every_type().into_iter().map(|[value, _]| value));
    let send = async |run_id: String, columns: &[ArrayRef]| {
        let sent = RecordBatch::try_new(table.contract.arrow_schema(), columns.to_vec()).unwrap();
        let table = place.store.table("every").await.unwrap();
        let added = progress(&[(1, Coordinate::default())]);
        let commit = commit(&*place.store, &table, run(&node, &run_id), vec![sent.clone()], added).await;
        let outcome =
            place.store.commit_run(CommitRun { mode: WriteMode::Overwrite, ..commit }).await.unwrap();
        let mut snapshot = place.store.snapshot().await.unwrap();
        assert_eq!(pages(&mut snapshot, &table, &ReadQuery::default(), 10).await, [sent]);
        counts(&outcome.record)
    };
    assert_eq!(send("first".to_owned(), &now).await, [1, 0, 0]);
    for (at, [_, other]) in every_type().into_iter().enumerate() {
        let null = arrow_array::new_null_array(other.data_type(), 1);
        for (number, next) in [other.clone(), null, other].into_iter().enumerate() {
            now[at + 1] = next;
            let run_id = format!("{at}-{number}");
            assert_eq!(send(run_id.clone(), &now).await, [0, 1, 0], "column {at}");
            assert_eq!(send(format!("{run_id}-again"), &now).await, [0, 0, 1], "column {at}");
        }
    }
}

/// Rows of a table whose columns are all of its key can only be there or not.
async fn a_table_of_nothing_but_its_key_is_overwritten_too(place: Place) {
    let mut days = contract("days", &[("name", DataType::String)]);
    days.columns.pop();
    let days = table(&*place.store, &days).await;
    let node = node(&*place.store, &days).await;
    for (run_id, times, expected) in [("one", 0..3, [3, 0, 0]), ("two", 1..5, [2, 0, 2])] {
        let keys: Vec<_> = times.clone().map(|time| key(time, "a")).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(keys.iter().map(|_| "a"))),
        ];
        let rows = RecordBatch::try_new(days.contract.arrow_schema(), columns).unwrap();
        let commit = commit(&*place.store, &days, run(&node, run_id), vec![rows], progress(&keys)).await;
        let outcome =
            place.store.commit_run(CommitRun { mode: WriteMode::Overwrite, ..commit }).await.unwrap();
        assert_eq!(counts(&outcome.record), expected);
    }
    assert_eq!(place.store.verify_progress(&days.uid).await.unwrap(), vec![]);
}

on_both_databases!(
    a_tuple_that_comes_twice_is_refused_wherever_its_rows_are,
    rows_too_many_to_be_held_are_stored_as_few_are,
    rows_are_found_among_many_others,
    a_row_that_refers_to_nothing_is_named,
    what_was_computed_from_rows_that_are_overwritten_is_refused,
    nodes_that_overwrite_each_others_inputs_take_turns,
    a_value_of_any_type_that_differs_is_an_update,
    a_table_of_nothing_but_its_key_is_overwritten_too,
);
