//! Random changes of random contracts, on real files: what is written leads to the contract, keeps what the change
//! keeps, and leads back.

#![allow(clippy::unwrap_used)] // a panic here is the report

mod support;

use datanode_core::Diagnostic;
use datanode_core::contract::{Column, Contract};
use datanode_core::data_type::DataType;
use datanode_core::difference::changes;
use datanode_core::digest::Digest;
use datanode_core::progress::Progress;
use datanode_core::query::ReadQuery;
use datanode_core::revision::statement::left_to_edit;
use datanode_store::{ApplyRevision, RevertRevision, Snapshot, SqlText, Store, Table};
use proptest::prelude::*;
use rusqlite::types::Value;
use support::{Place, at, contract, runner, table};

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

fn literal(column: &Column, row: u8) -> String {
    if column.nullable && row % 3 == 1 {
        return "NULL".to_owned();
    }
    match column.data_type {
        DataType::Bool => (row % 2).to_string(),
        DataType::Float32 | DataType::Float64 => format!("{row}.5"),
        DataType::String | DataType::Json => format!("'{row}'"),
        DataType::Uuid | DataType::Bytes => format!("x'{row:032x}'"),
        _ => row.to_string(),
    }
}

fn fill(place: &Place, contract: &Contract, rows: u8) {
    let raw = place.raw();
    for row in 0..rows {
        let mut values = vec![(i64::from(row) * 7).to_string(), format!("'asset {}'", row % 4)];
        values.extend(contract.columns[2..].iter().map(|column| literal(column, row)));
        raw.execute(&format!("INSERT INTO t VALUES ({})", values.join(", ")), ()).unwrap();
    }
}

/// The values of a column, in the order of the key, which no change here touches.
fn values(place: &Place, name: &str) -> Vec<Value> {
    let raw = place.raw();
    let mut sorted = raw.prepare(&format!("SELECT \"{name}\" FROM t ORDER BY time_index")).unwrap();
    sorted.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
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

async fn there_and_back(plan: Plan) {
    let place = Place::sqlite().await;
    let (before, after) = contracts(&plan);
    let held = table(&*place.store, &before).await;
    fill(&place, &before, plan.rows);
    let (pairs, raw) = (survivors(&before, &after), |name: &str| values(&place, name));
    let kept: Vec<Vec<Value>> = pairs.iter().map(|(held, _)| raw(held)).collect();

    let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
    let apply = ApplyRevision {
        table_uid: held.uid.clone(),
        revision: "0123456789ab".to_owned(),
        parent: None,
        message: "a".to_owned(),
        digest: Digest::of(b"a"),
        before: before.clone(),
        after: after.clone(),
        up: SqlText { file: "sqlite.up.sql".to_owned(), text: scripts.up.clone() },
        down: scripts.down.clone(),
        run: true,
        now: at(1),
    };
    let moved =
        place.store.apply_revision(apply).await.unwrap_or_else(|error| panic!("{error}\n{}", scripts.up));
    assert_eq!((moved.rows_before, moved.rows_after), (plan.rows.into(), plan.rows.into()));
    assert_eq!(changes(&after, &moved.table.contract), []);
    assert_eq!(moved.table.epoch, held.epoch + 1);
    assert_eq!(place.store.table_drift(&held.uid).await.unwrap(), [""; 0]);
    for ((_, given), kept) in pairs.iter().zip(&kept) {
        assert_eq!(raw(given), *kept, "{given}\n{}", scripts.up);
    }
    if scripts.up.contains("ALTER TABLE") {
        assert_eq!(progress(&*place.store, &moved.table).await.rows(), u64::from(plan.rows));
    }

    let revert = RevertRevision { table_uid: held.uid.clone(), revision: "0123456789ab".to_owned() };
    let back =
        place.store.revert_revision(revert).await.unwrap_or_else(|error| panic!("{error}\n{}", scripts.down));
    assert_eq!(changes(&before, &back.table.contract), []);
    assert_eq!(back.table.contract.last_field_id, after.last_field_id, "no id is given twice");
    assert_eq!(place.store.table_drift(&held.uid).await.unwrap(), [""; 0]);
    for ((held, _), kept) in pairs.iter().zip(&kept) {
        assert_eq!(raw(held), *kept, "{held}\n{}", scripts.down);
    }
    assert_eq!(place.store.applied_revisions(&held.uid).await.unwrap(), []);
}

#[test]
fn every_change_leads_there_and_back_with_the_rows_that_it_keeps() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runner(60)
        .run(&plans(), |plan| {
            runtime.block_on(there_and_back(plan));
            Ok(())
        })
        .unwrap();
}

/// Every type to every other: where the SQL is written whole, SQLite takes the values and the host can read them.
#[tokio::test(flavor = "multi_thread")]
async fn types_become_others_or_ask_a_person() {
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
    let place = Place::sqlite().await;
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
        let value = literal(&before.columns[1], 1);
        place.raw().execute(&format!("INSERT INTO t{at_pair} VALUES (1, {value})"), ()).unwrap();
        let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
        if left_to_edit(&scripts.up).is_some() {
            continue;
        }
        let apply = ApplyRevision {
            table_uid: held.uid.clone(),
            revision: "0123456789ab".to_owned(),
            parent: None,
            message: "a".to_owned(),
            digest: Digest::of(b"a"),
            before,
            after,
            up: SqlText { file: "sqlite.up.sql".to_owned(), text: scripts.up.clone() },
            down: scripts.down,
            run: true,
            now: at(1),
        };
        let moved = place.store.apply_revision(apply).await;
        let moved = moved.unwrap_or_else(|error| panic!("{from} to {to}: {error}\n{}", scripts.up));
        let snapshot: Box<dyn Snapshot> = place.store.snapshot().await.unwrap();
        let page = snapshot.read(&moved.table, &ReadQuery::default()).page(None, 10).await.unwrap().unwrap();
        assert_eq!(page.batch.column(1).null_count(), 0, "{from} to {to}");
        converted += 1;
    }
    assert_eq!(converted, 55);
}

/// Names that go round need a third table in between.
#[tokio::test(flavor = "multi_thread")]
async fn two_columns_exchange_their_names() {
    let place = Place::sqlite().await;
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
    place.raw().execute("INSERT INTO t (time_index, value, other) VALUES (1, 10, 20)", ()).unwrap();
    let scripts = place.store.write_scripts(&held.uid, after.clone()).await.unwrap();
    let apply = ApplyRevision {
        table_uid: held.uid.clone(),
        revision: "0123456789ab".to_owned(),
        parent: None,
        message: "a".to_owned(),
        digest: Digest::of(b"a"),
        before,
        after,
        up: SqlText { file: "sqlite.up.sql".to_owned(), text: scripts.up },
        down: scripts.down,
        run: true,
        now: at(1),
    };
    place.store.apply_revision(apply).await.unwrap();
    assert_eq!((place.number("SELECT value FROM t"), place.number("SELECT other FROM t")), (20, 10));
}

/// Two operators at once: the second one's revision begins where the table no longer stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_is_applied_once_and_only_where_it_begins() {
    let place = Place::sqlite().await;
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
#[tokio::test(flavor = "multi_thread")]
async fn the_comparison_with_the_contract_is_cheap() {
    let place = Place::sqlite().await;
    let held = table(&*place.store, &contract("t", &[("asset", DataType::String)])).await;
    let begin = std::time::Instant::now();
    for _ in 0..100 {
        assert!(place.store.table_drift(&held.uid).await.unwrap().is_empty());
    }
    let each = begin.elapsed() / 100;
    println!("{each:?} each");
    assert!(each < std::time::Duration::from_millis(20), "{each:?}");
}

/// Rows that refer to a table that is rebuilt, and to the rows of their own table, stay as they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_table_keeps_who_refers_to_it() {
    let place = Place::sqlite().await;
    let reference = |name: &str, key: &str, delete: &str| {
        Contract::from_toml(&format!(
            "identifier = \"{name}\"\nkind = \"reference\"\nprimary_key = [\"id\"]\ncolumns = [{{ name = \"id\", type = \"string\" }}, \
             {{ name = \"up\", type = \"string\", nullable = true }}, {{ name = \"x\", type = \"int64\", nullable = true }}]\n\
             [[foreign_keys]]\ncolumns = [\"up\"]\nreferences = {{ table = \"{key}\", columns = [\"id\"] }}\non_delete = \"{delete}\"\n"
        ))
        .unwrap()
    };
    let parent = table(&*place.store, &reference("parents", "parents", "restrict")).await;
    let child = table(&*place.store, &reference("children", "parents", "cascade")).await;
    place.raw().execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO parents VALUES ('a', NULL, 1), ('b', 'a', 2); INSERT INTO children VALUES ('c', 'a', 3), ('d', 'b', 4)").unwrap();
    let mut after = parent.contract.clone();
    after.columns.remove(2);
    let after = place.store.resolve_contract(&parent.uid, after).await.unwrap();
    let before = parent.contract.clone();
    let scripts = place.store.write_scripts(&parent.uid, after.clone()).await.unwrap();
    let apply = |up: String| ApplyRevision {
        table_uid: parent.uid.clone(),
        revision: "0123456789ab".to_owned(),
        parent: None,
        message: "a".to_owned(),
        digest: Digest::of(b"a"),
        before: before.clone(),
        after: after.clone(),
        up: SqlText { file: "sqlite.up.sql".to_owned(), text: up },
        down: scripts.down.clone(),
        run: true,
        now: at(1),
    };
    let lost = format!("{}\nDELETE FROM parents WHERE id = 'b';", scripts.up);
    let error = place.store.apply_revision(apply(lost)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string()),
        (
            "revision.foreign_key",
            "1 rows of table `children` have a foreign key that leads to no row of `parents`".to_owned()
        )
    );
    place.store.apply_revision(apply(scripts.up.clone())).await.unwrap();
    assert_eq!(
        (place.number("SELECT count(*) FROM parents"), place.number("SELECT count(*) FROM children")),
        (2, 2)
    );
    for uid in [&parent.uid, &child.uid] {
        assert_eq!(place.store.table_drift(uid).await.unwrap(), [""; 0]);
    }
}
