//! Random changes of random contracts, on real databases: what is written leads to the contract, keeps what the change
//! keeps, and leads back.

use std::time::{Duration, Instant};

use crate::support::{Place, at, contract, on_both_databases, runner, table};
use datanode_core::contract::{Column, Contract, OnDelete};
use datanode_core::data_type::DataType;
use datanode_core::difference::changes;
use datanode_core::digest::Digest;
use datanode_core::progress::Progress;
use datanode_core::query::ReadQuery;
use datanode_core::revision::Dialect;
use datanode_core::revision::statement::left_to_edit;
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{ApplyRevision, Patience, RevertRevision, Scripts, Snapshot, SqlText, Store, Table};
use proptest::prelude::*;

/// What is done to one column.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Stays,
    Renamed,
    /// To the next wider type, where there is one.
    Widened,
    MadeNullable,
    /// Nullable columns only: the way back of others needs a person.
    Removed,
}

#[derive(Debug, Clone)]
struct Plan {
    /// Type, nullability and fate of the columns beside the key.
    columns: Vec<(DataType, bool, Fate)>,
    added: Vec<DataType>,
    /// Whether the second part of the key gets another name.
    key_renamed: bool,
    turned: bool,
    rows: u8,
}

fn types() -> impl Strategy<Value = DataType> {
    prop::sample::select(vec![
        "int16",
        "int32",
        "int64",
        "float32",
        "float64",
        "bool",
        "string",
        "decimal(9,2)",
        "json",
    ])
    .prop_map(|token| token.parse().unwrap())
}

fn plans() -> impl Strategy<Value = Plan> {
    let fate = prop::sample::select(vec![
        Fate::Stays,
        Fate::Renamed,
        Fate::Widened,
        Fate::MadeNullable,
        Fate::Removed,
    ]);
    let columns = prop::collection::vec((types(), any::<bool>(), fate), 0..5);
    (columns, prop::collection::vec(types(), 0..3), any::<bool>(), any::<bool>(), 0..20_u8).prop_map(
        |(columns, added, key_renamed, turned, rows)| Plan { columns, added, key_renamed, turned, rows },
    )
}

fn column(name: String, data_type: DataType, nullable: bool) -> Column {
    Column { name, id: None, data_type, nullable, label: String::new(), description: String::new() }
}

fn wider(held: DataType) -> DataType {
    match held {
        DataType::Int16 => DataType::Int32,
        DataType::Int32 => DataType::Int64,
        DataType::Float32 => DataType::Float64,
        DataType::Decimal { precision, scale } => DataType::Decimal { precision: precision + 3, scale },
        other => other,
    }
}

fn contracts(plan: &Plan) -> (Contract, Contract) {
    let mut before = contract("t", &[("asset", DataType::String)]);
    before.columns.pop();
    let named = |at: usize| format!("c{at}");
    before.columns.extend(
        plan.columns
            .iter()
            .enumerate()
            .map(|(at, (data_type, nullable, _))| column(named(at), *data_type, *nullable)),
    );
    let before = before.with_field_ids(None).unwrap();
    let mut after = before.clone();
    after.last_field_id = None;
    for (at, (_, nullable, fate)) in plan.columns.iter().enumerate() {
        let place = after.columns.iter().position(|column| column.name == named(at)).unwrap();
        let column = &mut after.columns[place];
        match fate {
            Fate::Renamed => column.name = format!("n{at}"),
            Fate::Widened => column.data_type = wider(column.data_type),
            Fate::MadeNullable => column.nullable = true,
            Fate::Removed if *nullable => {
                after.columns.remove(place);
            }
            Fate::Removed | Fate::Stays => {}
        }
    }
    if plan.key_renamed {
        "instrument".clone_into(&mut after.columns[1].name);
        "instrument".clone_into(&mut after.index[1]);
    }
    after.columns.extend(
        plan.added.iter().enumerate().map(|(at, data_type)| column(format!("a{at}"), *data_type, true)),
    );
    if plan.turned {
        after.columns[2..].reverse();
    }
    (before.clone(), after.with_field_ids(Some(&before)).unwrap())
}

fn literal(place: &Place, column: &Column, row: u8) -> String {
    if column.nullable && row % 3 == 1 {
        return "NULL".to_owned();
    }
    let server = place.is_server();
    match column.data_type {
        DataType::Bool if server => (row % 2 == 1).to_string(),
        DataType::Bool => (row % 2).to_string(),
        DataType::Float32 | DataType::Float64 => format!("{row}.5"),
        DataType::String | DataType::Json => format!("'{row}'"),
        DataType::Uuid if server => format!("'{row:032x}'"),
        DataType::Bytes if server => format!("'\\x{row:032x}'"),
        DataType::Uuid | DataType::Bytes => format!("x'{row:032x}'"),
        DataType::TimestampTz => place.moment(row.into()),
        DataType::Date if server => format!("date '1970-01-01' + {row}"),
        _ => row.to_string(),
    }
}

fn fill(place: &Place, contract: &Contract, rows: u8) {
    let row = |row: u8| {
        let mut values = vec![place.moment(i64::from(row) * 7), format!("'asset {}'", row % 4)];
        values.extend(contract.columns[2..].iter().map(|column| literal(place, column, row)));
        format!("({})", values.join(", "))
    };
    if rows > 0 {
        let rows: Vec<String> = (0..rows).map(row).collect();
        place.execute(&format!("INSERT INTO {} VALUES {}", contract.physical_name(), rows.join(", ")));
    }
}

/// The values of a column as text, in the order of the key, which no change here touches.
fn values(place: &Place, table: &str, name: &str) -> Vec<Option<String>> {
    place.texts(&format!("SELECT CAST(\"{name}\" AS text) FROM {table} ORDER BY time_index"))
}

/// What is applied when a script is: the half of the database that it is applied to.
fn apply(place: &Place, held: &Table, after: &Contract, scripts: &Scripts) -> ApplyRevision {
    let dialect = place.store.dialect();
    let script = scripts.of(dialect).unwrap();
    ApplyRevision {
        table_uid: held.uid.clone(),
        revision: "0123456789ab".to_owned(),
        parent: None,
        message: "a".to_owned(),
        digest: Digest::of(b"a"),
        before: held.contract.clone(),
        after: after.clone(),
        up: SqlText { file: dialect.up_file().to_owned(), text: script.up.clone() },
        down: script.down.clone(),
        run: true,
        now: at(1),
    }
}

fn survivors<'c>(before: &'c Contract, after: &'c Contract) -> Vec<(&'c str, &'c str)> {
    let pairs = before.columns.iter().filter_map(|held| {
        let given = after.columns.iter().find(|given| given.id == held.id)?;
        Some((held.name.as_str(), given.name.as_str()))
    });
    pairs.collect()
}

async fn progress(store: &dyn Store, table: &Table) -> Progress {
    let mut snapshot: Box<dyn Snapshot> = store.snapshot().await.unwrap();
    snapshot.progress(table).await.unwrap()
}

async fn there_and_back(place: &Place, name: &str, plan: Plan) {
    let (mut before, mut after) = contracts(&plan);
    name.clone_into(&mut before.identifier);
    name.clone_into(&mut after.identifier);
    let held = table(&*place.store, &before).await;
    fill(place, &before, plan.rows);
    let (pairs, raw) = (survivors(&before, &after), |column: &str| values(place, name, column));
    let kept: Vec<_> = pairs.iter().map(|(held, _)| raw(held)).collect();

    let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
    let apply = apply(place, &held, &after, &scripts);
    let (up, down) = (apply.up.text.clone(), apply.down.clone());
    let moved = place.store.apply_revision(apply).await.unwrap_or_else(|error| panic!("{error}\n{up}"));
    assert_eq!((moved.rows_before, moved.rows_after), (plan.rows.into(), plan.rows.into()));
    assert_eq!(changes(&after, &moved.table.contract), []);
    assert_eq!(moved.table.epoch, held.epoch + 1);
    assert_eq!(place.store.table_drift(&held.uid).await.unwrap(), [""; 0]);
    for ((_, given), kept) in pairs.iter().zip(&kept) {
        assert_eq!(raw(given), *kept, "{given}\n{up}");
    }
    if up.contains("ALTER TABLE") {
        assert_eq!(progress(&*place.store, &moved.table).await.rows(), u64::from(plan.rows));
    }

    let revert = RevertRevision { table_uid: held.uid.clone(), revision: "0123456789ab".to_owned() };
    let back = place.store.revert_revision(revert).await.unwrap_or_else(|error| panic!("{error}\n{down}"));
    assert_eq!(changes(&before, &back.table.contract), []);
    assert_eq!(back.table.contract.last_field_id, after.last_field_id, "no id is given twice");
    assert_eq!(place.store.table_drift(&held.uid).await.unwrap(), [""; 0]);
    for ((held, _), kept) in pairs.iter().zip(&kept) {
        assert_eq!(raw(held), *kept, "{held}\n{down}");
    }
    assert_eq!(place.store.applied_revisions(&held.uid).await.unwrap(), []);
}

fn random_changes(server: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let place =
        runtime.block_on(async { if server { Place::postgres().await } else { Place::sqlite().await } });
    let number = std::cell::Cell::new(0);
    runner(60)
        .run(&plans(), |plan| {
            number.set(number.get() + 1);
            runtime.block_on(there_and_back(&place, &format!("t{}", number.get()), plan));
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_change_leads_there_and_back_with_the_rows_that_it_keeps() {
    random_changes(false);
}

#[test]
fn every_change_on_a_server_leads_there_and_back_with_the_rows_that_it_keeps() {
    random_changes(true);
}

on_both_databases!(
    types_become_others_or_ask_a_person,
    two_columns_exchange_their_names,
    names_make_room_for_others,
    a_revision_is_applied_once_and_only_where_it_begins,
    the_comparison_with_the_contract_is_cheap,
    a_rebuilt_table_keeps_who_refers_to_it,
    keys_and_foreign_keys_go_and_come,
    values_that_the_host_could_not_read_are_refused,
    sql_that_takes_too_long_is_given_up,
);

/// Every type to every other: where the SQL is written whole, the database takes the values and the host can read them.
async fn types_become_others_or_ask_a_person(place: Place) {
    let tokens = [
        "float64",
        "float32",
        "int64",
        "int32",
        "int16",
        "bool",
        "string",
        "date",
        "timestamp_tz",
        "uuid",
        "json",
        "decimal(9,2)",
        "decimal(9,4)",
        "bytes",
    ];
    let mut converted = 0;
    for (at_pair, (from, to)) in
        tokens.iter().flat_map(|from| tokens.iter().map(move |to| (from, to))).enumerate()
    {
        if from == to {
            continue;
        }
        let mut before = contract("t", &[]);
        before.identifier = format!("t{at_pair}");
        before.columns[1].data_type = from.parse().unwrap();
        before.columns[1].nullable = false;
        let before = before.with_field_ids(None).unwrap();
        let mut after = before.clone();
        after.columns[1].data_type = to.parse().unwrap();
        let held = table(&*place.store, &before).await;
        let value = literal(&place, &before.columns[1], 1);
        place.execute(&format!("INSERT INTO t{at_pair} VALUES ({}, {value})", place.moment(1)));
        let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
        let left: Vec<bool> =
            scripts.written.iter().map(|script| left_to_edit(&script.up).is_some()).collect();
        assert_eq!(left[0], left[1], "{from} to {to}: both databases see one way, or none");
        if left[0] {
            continue;
        }
        let apply = apply(&place, &held, &after, &scripts);
        let up = apply.up.text.clone();
        let moved = place.store.apply_revision(apply).await;
        let moved = moved.unwrap_or_else(|error| panic!("{from} to {to}: {error}\n{up}"));
        let snapshot: Box<dyn Snapshot> = place.store.snapshot().await.unwrap();
        let page = snapshot.read(&moved.table, &ReadQuery::default()).page(None, 10).await.unwrap().unwrap();
        assert_eq!(page.batch.column(1).null_count(), 0, "{from} to {to}");
        snapshot.end().await;
        converted += 1;
    }
    assert_eq!(converted, 55);
}

/// Names that go round need a third one in between.
async fn two_columns_exchange_their_names(place: Place) {
    let mut before = contract("t", &[]);
    before.columns[1].nullable = false;
    before.columns.push(column("other".to_owned(), DataType::Int64, false));
    let before = before.with_field_ids(None).unwrap();
    let mut after = before.clone();
    let names = [after.columns[2].name.clone(), after.columns[1].name.clone()];
    let [first, second] = names;
    after.columns[1].name = first;
    after.columns[2].name = second;
    let held = table(&*place.store, &before).await;
    place.execute(&format!("INSERT INTO t (time_index, value, other) VALUES ({}, 10, 20)", place.moment(1)));
    let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
    place.store.apply_revision(apply(&place, &held, &after, &scripts)).await.unwrap();
    assert_eq!((place.number("SELECT value FROM t"), place.number("SELECT other FROM t")), (20, 10));
}

/// A column goes, another takes its name, and a new one takes the name of that: the values stay where they belong.
async fn names_make_room_for_others(place: Place) {
    let mut before = contract("t", &[]);
    before.columns.push(column("other".to_owned(), DataType::Int64, true));
    let before = before.with_field_ids(None).unwrap();
    let mut after = before.clone();
    after.columns.remove(1);
    "value".clone_into(&mut after.columns[1].name);
    after.last_field_id = None;
    after.columns.push(column("other".to_owned(), DataType::String, true));
    let after = after.with_field_ids(Some(&before)).unwrap();
    let held = table(&*place.store, &before).await;
    place.execute(&format!("INSERT INTO t (time_index, value, other) VALUES ({}, 10, 20)", place.moment(1)));
    let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
    place.store.apply_revision(apply(&place, &held, &after, &scripts)).await.unwrap();
    assert_eq!(place.texts("SELECT CAST(value AS text) FROM t"), [Some("20".to_owned())]);
    assert_eq!(place.texts("SELECT other FROM t"), [None]);
}

/// Two operators at once: the second one's revision begins where the table no longer stands.
async fn a_revision_is_applied_once_and_only_where_it_begins(place: Place) {
    let held = table(&*place.store, &contract("t", &[])).await;
    let same = place.store.resolve_contract(&held.uid, held.contract.clone()).await.unwrap();
    let apply = |revision: &str, parent: Option<&str>| ApplyRevision {
        table_uid: held.uid.clone(),
        revision: revision.to_owned(),
        parent: parent.map(str::to_owned),
        message: "a".to_owned(),
        digest: Digest::of(b"a"),
        before: same.clone(),
        after: same.clone(),
        up: SqlText { file: "sqlite.up.sql".to_owned(), text: String::new() },
        down: String::new(),
        run: true,
        now: at(1),
    };
    place.store.apply_revision(apply("aaaaaaaaaaaa", None)).await.unwrap();
    for (revision, parent) in
        [("aaaaaaaaaaaa", None), ("bbbbbbbbbbbb", None), ("bbbbbbbbbbbb", Some("cccccccccccc"))]
    {
        let error = place.store.apply_revision(apply(revision, parent)).await.unwrap_err();
        assert_eq!(error.code(), "revision.moved");
        assert!(error.to_string().contains("table `t` is at aaaaaaaaaaaa now"), "{error}");
    }
    let wrong = RevertRevision { table_uid: held.uid.clone(), revision: "bbbbbbbbbbbb".to_owned() };
    assert_eq!(place.store.revert_revision(wrong).await.unwrap_err().code(), "revision.moved");
    assert_eq!(place.store.applied_revisions(&held.uid).await.unwrap().len(), 1);
}

/// How long a run waits for the comparison of its table with the contract. Told, not judged: run it with `--nocapture`.
async fn the_comparison_with_the_contract_is_cheap(place: Place) {
    let held = table(&*place.store, &contract("t", &[("asset", DataType::String)])).await;
    let begin = std::time::Instant::now();
    for _ in 0..100 {
        assert!(place.store.table_drift(&held.uid).await.unwrap().is_empty());
    }
    let each = begin.elapsed() / 100;
    println!("{each:?} each");
    assert!(each < std::time::Duration::from_millis(20), "{each:?}");
}

/// A reference table with a foreign key.
fn reference(name: &str, key: &str, delete: &str) -> Contract {
    Contract::from_toml(&format!(
        "identifier = \"{name}\"\nkind = \"reference\"\nprimary_key = [\"id\"]\ncolumns = [{{ name = \"id\", type = \"string\" }}, \
         {{ name = \"up\", type = \"string\", nullable = true }}, {{ name = \"x\", type = \"int64\", nullable = true }}]\n\
         [[foreign_keys]]\ncolumns = [\"up\"]\nreferences = {{ table = \"{key}\", columns = [\"id\"] }}\non_delete = \"{delete}\"\n"
    ))
    .unwrap()
}

/// Rows that refer to a table that changes, and to the rows of their own table, stay as they are.
async fn a_rebuilt_table_keeps_who_refers_to_it(place: Place) {
    let parent = table(&*place.store, &reference("parents", "parents", "restrict")).await;
    let child = table(&*place.store, &reference("children", "parents", "cascade")).await;
    place.execute("INSERT INTO parents VALUES ('a', NULL, 1), ('b', 'a', 2); INSERT INTO children VALUES ('c', 'a', 3), ('d', 'b', 4)");
    let mut after = parent.contract.clone();
    after.columns.remove(2);
    let after = place.store.resolve_contract(&parent.uid, after).await.unwrap();
    let scripts = place.store.write_scripts(&parent.uid, after.clone()).await.unwrap();
    let mut lost = apply(&place, &parent, &after, &scripts);
    lost.up.text += "\nDELETE FROM parents WHERE id = 'b';";
    let error = place.store.apply_revision(lost).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string()),
        (
            "revision.foreign_key",
            "1 rows of table `children` have a foreign key that leads to no row of `parents`".to_owned()
        )
    );
    let rows =
        || (place.number("SELECT count(*) FROM parents"), place.number("SELECT count(*) FROM children"));
    assert_eq!(rows(), (2, 2));
    place.store.apply_revision(apply(&place, &parent, &after, &scripts)).await.unwrap();
    assert_eq!(rows(), (2, 2));
    for uid in [&parent.uid, &child.uid] {
        assert_eq!(place.store.table_drift(uid).await.unwrap(), [""; 0]);
    }
}

/// Another key, a foreign key that goes and one that comes, there and back and there again: by the names that the
/// constraints have, whatever these are.
async fn keys_and_foreign_keys_go_and_come(place: Place) {
    let long = format!("targets_{}", "x".repeat(50));
    table(&*place.store, &reference(&long, &long, "restrict")).await;
    let mut before = reference(&format!("holders_{}", "y".repeat(50)), &long, "cascade");
    let keys = before.foreign_keys.clone();
    before.columns.push(column("too".to_owned(), DataType::String, true));
    let held = table(&*place.store, &before).await;
    let mut after = held.contract.clone();
    after.primary_key = vec!["id".to_owned(), "too".to_owned()];
    after.columns[3].nullable = false;
    after.foreign_keys[0].columns = vec!["too".to_owned()];
    after.foreign_keys[0].on_delete = OnDelete::Restrict;
    let after = place.store.resolve_contract(&held.uid, after).await.unwrap();
    assert_ne!(after.foreign_keys, keys);
    place.execute(&format!("INSERT INTO {long} VALUES ('a', NULL, 1)"));
    let name = held.contract.physical_name();
    place.execute(&format!("INSERT INTO {name} VALUES ('b', 'a', 2, 'a'), ('c', 'a', 2, 'a')"));
    let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
    for _ in 0..2 {
        place.store.apply_revision(apply(&place, &held, &after, &scripts)).await.unwrap();
        assert_eq!(place.store.table_drift(&held.uid).await.unwrap(), [""; 0]);
        let revert = RevertRevision { table_uid: held.uid.clone(), revision: "0123456789ab".to_owned() };
        place.store.revert_revision(revert).await.unwrap();
        assert_eq!(place.store.table_drift(&held.uid).await.unwrap(), [""; 0]);
    }
    // Where the rows do not allow it, it is said.
    place.execute(&format!("UPDATE {name} SET too = 'nowhere' WHERE id = 'b'"));
    let error = place.store.apply_revision(apply(&place, &held, &after, &scripts)).await.unwrap_err();
    assert!(["revision.foreign_key", "revision.statement_failed"].contains(&error.code()), "{error}");
    let mut same = apply(&place, &held, &after, &scripts);
    same.after.primary_key = vec!["too".to_owned()];
    let dialect = place.store.dialect();
    place.execute(&format!("UPDATE {name} SET too = 'a'"));
    let scripts = place.store.write_scripts(&held.uid, same.after.clone()).await.unwrap();
    same.up.text.clone_from(&scripts.of(dialect).unwrap().up);
    let error = place.store.apply_revision(same).await.unwrap_err();
    assert_eq!(error.code(), "revision.duplicates");
    assert!(error.to_string().contains("have the same key (too)"), "{error}");
    assert_eq!(place.store.table_drift(&held.uid).await.unwrap(), [""; 0]);
}

/// What the type of the database has and that of the contract has not.
async fn values_that_the_host_could_not_read_are_refused(place: Place) {
    let mut before = contract("t", &[]);
    before.columns[1].data_type = DataType::Float64;
    let held = table(&*place.store, &before).await;
    place.execute(&format!("INSERT INTO t VALUES ({}, 1.5)", place.moment(7)));
    let same = held.contract.clone();
    let scripts = place.store.write_scripts(&held.uid, same.clone()).await.unwrap();
    let mut infinite = apply(&place, &held, &same, &scripts);
    let value = if place.is_server() { "CAST('Infinity' AS double precision)" } else { "9e999" };
    infinite.up.text = format!("UPDATE t SET value = {value};");
    let error = place.store.apply_revision(infinite).await.unwrap_err();
    assert_eq!(error.code(), "revision.values");
    assert!(error.to_string().contains("1 values of column `value` are no float64"), "{error}");
    assert_eq!(place.number("SELECT count(*) FROM t WHERE value = 1.5"), 1);
}

/// There and back: others wait for it.
async fn sql_that_takes_too_long_is_given_up(place: Place) {
    let patience = Patience { revision: Duration::from_secs(1), ..Patience::default() };
    let store = place.database().open_with(patience).await.unwrap();
    let held = table(&*store, &contract("t", &[])).await;
    let rows: Vec<String> = (0..1_000).map(|row| format!("({}, 7)", place.moment(row))).collect();
    place.execute(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
    let scripts = store.write_scripts(&held.uid, held.contract.clone()).await.unwrap();
    let mut endless = apply(&place, &held, &held.contract, &scripts);
    let sql = "UPDATE t SET value = 1;\nUPDATE t SET value = (SELECT count(*) FROM t AS a CROSS JOIN t AS b CROSS JOIN \
               t AS c CROSS JOIN t AS d);";
    sql.clone_into(&mut endless.down);
    endless.up.text.clone_from(&endless.down);
    let untouched = || place.number("SELECT count(*) FROM t WHERE value = 7") == 1_000;
    let begin = Instant::now();
    let error = store.apply_revision(endless.clone()).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("revision.too_long", ErrorClass::Infrastructure));
    assert!(error.to_string().contains("up.sql, line 2: not done within the 1 s"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(30) && untouched(), "{:?}", begin.elapsed());
    assert_eq!(store.table_drift(&held.uid).await.unwrap(), [""; 0]);
    // Nobody waits any longer, and what is quick is done.
    store.register_table(&contract("another", &[]), at(2)).await.unwrap();
    "UPDATE t SET value = 7;".clone_into(&mut endless.up.text);
    store.apply_revision(endless).await.unwrap();
    let revert = RevertRevision { table_uid: held.uid.clone(), revision: "0123456789ab".to_owned() };
    let error = store.revert_revision(revert).await.unwrap_err();
    assert_eq!(error.code(), "revision.too_long");
    assert!(untouched() && store.applied_revisions(&held.uid).await.unwrap().len() == 1);
}

/// An error as a person reads it.
fn as_read(error: &impl Diagnostic) -> String {
    format!("error[{}]: {error}\nnext: {}", error.code(), error.next_step().unwrap_or_default())
}

/// What PostgreSQL changes in a table, an older view of the database would not see as it was: not the old columns, and no
/// rows where they were written anew. So whoever reads is waited for, and whoever has yet to read is refused.
#[tokio::test]
async fn a_view_from_before_a_revision_never_reads_the_table_after_it() {
    let place = Place::postgres().await;
    let mut before = contract("t", &[]);
    before.columns[1].nullable = false;
    let held = table(&*place.store, &before).await;
    place.execute(&format!("INSERT INTO t VALUES ({}, 7)", place.moment(1)));
    let mut after = held.contract.clone();
    after.columns[1].data_type = DataType::String;
    let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
    let mut reader: Box<dyn Snapshot> = place.store.snapshot().await.unwrap();
    let mut later: Box<dyn Snapshot> = place.store.snapshot().await.unwrap();
    let seen = reader.table(&held.uid).await.unwrap();
    let read = reader.read(&seen, &ReadQuery::default());
    // A page that is too long for its buffer, and every other one that fails, goes back to a savepoint: the table stays
    // held.
    read.page(None, 10).await.unwrap();

    let error = place.store.apply_revision(apply(&place, &held, &after, &scripts)).await.unwrap_err();
    insta::assert_snapshot!(as_read(&error), @r"
    error[revision.busy]: table `t` is in use: a run or another reader holds it
    next: nothing was changed; try again when its runs have ended: datanode run leases
    ");
    assert_eq!(read.page(None, 10).await.unwrap().unwrap().batch.num_rows(), 1);
    drop(read);
    reader.end().await;
    let moved = place.store.apply_revision(apply(&place, &held, &after, &scripts)).await.unwrap();

    let error = later.table(&held.uid).await.unwrap_err();
    insta::assert_snapshot!(as_read(&error), @r"
    error[revision.moved_while_read]: table `t` was moved to another contract after this began to read
    next: run it again
    ");
    later.end().await;
    let mut now: Box<dyn Snapshot> = place.store.snapshot().await.unwrap();
    assert_eq!(changes(&moved.table.contract, &now.table(&held.uid).await.unwrap().contract), []);
    now.end().await;
}

/// The SQL for both databases is written wherever it is written; what one of them cannot keep is left out, and why is said.
#[tokio::test]
async fn the_sql_of_the_other_database_is_written_too() {
    let (embedded, server) = (Place::sqlite().await, Place::postgres().await);
    let before = contract("t", &[("asset", DataType::String)]).with_field_ids(None).unwrap();
    let mut after = before.clone();
    after.columns.push(column("note".to_owned(), DataType::String, true));
    after.last_field_id = None;
    let after = after.with_field_ids(Some(&before)).unwrap();
    let mut written = Vec::new();
    for place in [&embedded, &server] {
        let held = table(&*place.store, &before).await;
        let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
        assert_eq!(scripts.written[0].dialect, place.store.dialect());
        written.push(Dialect::ALL.map(|dialect| scripts.of(dialect).cloned().unwrap()));
    }
    assert_eq!(written[0], written[1]);

    let held = server.store.table("t").await.unwrap();
    let mut wide = after.clone();
    wide.columns.push(column("wide".to_owned(), "decimal(38,4)".parse().unwrap(), true));
    let scripts = server.store.write_scripts(&held.uid, wide).await.unwrap();
    assert!(scripts.of(Dialect::Postgres).is_some() && scripts.of(Dialect::Sqlite).is_none());
    let (dialect, why) = &scripts.left_out[0];
    assert!(*dialect == Dialect::Sqlite && why.contains("column `wide`"), "{why}");
}
