//! What lists are made of: many things at once are what each of them is alone, over random catalogues; and a page costs as
//! many statements as its longest kind of thing, not as it has things.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::{
    self, Model, Place, at, commit, contract, new_node, on_both_databases, progress, run, text,
};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datanode_core::contract::{Contract, TableKind};
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::dependency::DependencyTarget;
use datanode_core::progress::CoordinateProgress;
use datanode_core::query::{Bound, CoordinateRange, RangeMap, ReadQuery, TimeRange};
use datanode_core::run::{RunRecord, RunStatus};
use datanode_store::{
    Extent, ListedTable, Listing, LoadRows, NewRegistration, NewTeam, NewUser, Node, NodeDependency,
    NodeFilter, NodePlace, PlacedBatch, Registration, RunFilter, Store, Table,
};
use serde_json::json;

/// Numbers that are the same in every run of the test.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// Some of all, in any order, and one that there is not.
    fn some(&mut self, all: &[String]) -> Vec<String> {
        let mut some: Vec<String> = all.iter().filter(|_| self.below(3) > 0).cloned().collect();
        some.push("there_is_no_such".to_owned());
        for at in (1..some.len()).rev() {
            some.swap(at, self.below(at + 1));
        }
        some
    }
}

fn reference(identifier: &str) -> Contract {
    Contract::from_toml(&format!(
        "identifier = \"{identifier}\"\nkind = \"reference\"\nprimary_key = [\"name\"]\n\
         columns = [{{ name = \"name\", type = \"string\" }}, {{ name = \"size\", type = \"int64\" }}]"
    ))
    .unwrap()
}

/// A contract of any kind, which may refer to those before it.
fn random_contract(draw: &mut Draw, number: usize, references: &[String]) -> Contract {
    // Not in the order of their numbers.
    let identifier = format!("t{}_{number}", draw.below(10));
    let mut contract = if draw.below(3) == 0 {
        reference(&identifier)
    } else {
        let mut contract = contract(&identifier, &[("name", DataType::String)]);
        if !references.is_empty() && draw.below(2) == 0 {
            let target = &references[draw.below(references.len())];
            let key = json!([{"columns": ["name"], "references": {"table": target, "columns": ["name"]}}]);
            contract.foreign_keys = serde_json::from_value(key).unwrap();
        }
        contract
    };
    contract.labels =
        ["a", "b \"quoted\"", "é"][..draw.below(4)].iter().map(|label| (*label).to_owned()).collect();
    contract.namespace = [None, Some("one"), Some("one.two")][draw.below(3)].map(ToOwned::to_owned);
    if draw.below(4) == 0 {
        // No database minds it, and nor does what a database derives of it: also where only its escape is written.
        contract.description = String::from("zero \0 and \\u0000 and \\");
    }
    contract
}

async fn load(store: &dyn Store, table: &Table, rows: usize) {
    let names: ArrayRef = Arc::new((0..rows).map(|row| Some(format!("n{row}"))).collect::<StringArray>());
    let sizes: ArrayRef = Arc::new((0_i64..).take(rows).map(Some).collect::<Int64Array>());
    let batch = RecordBatch::try_new(table.contract.arrow_schema(), vec![names, sizes]).unwrap();
    let batch = PlacedBatch { places: (1..=rows as u64).collect(), batch };
    let rows = Box::new([Ok(batch)].into_iter());
    store.load_rows(LoadRows { table: table.clone(), rows, place: "row", replace: false }).await.unwrap();
}

/// So many tables with rows, nodes and runs.
async fn catalogue(store: &dyn Store, draw: &mut Draw, tables: usize) {
    let mut references = Vec::new();
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..tables {
        let contract = random_contract(draw, number, &references);
        let table = if draw.below(3) == 0 {
            let registration = Registration {
                identifier: (draw.below(2) == 0).then(|| format!("Table {number}: \"wild\"")),
                namespace: (draw.below(2) == 0).then(|| "A Namespace".to_owned()),
                schema: (draw.below(2) == 0).then(|| "other".to_owned()),
                protected: draw.below(2) == 0,
                written: (draw.below(2) == 0).then(|| json!({"said": ["\0", "é", 1e300]})),
            };
            let new = NewRegistration { contract, registration, judged: None };
            store.register_all(&[new], at(1)).await.unwrap().pop().unwrap().value
        } else {
            store.register_table(&contract, at(1)).await.unwrap().value
        };
        if table.contract.kind == TableKind::Reference {
            load(store, &table, draw.below(4) + 9).await;
            references.push(table.contract.identifier.clone());
            continue;
        }
        for hash in 0..draw.below(3) {
            let mut new = new_node(&table, &format!("c_{hash}0123456789abcdef"));
            for (key, other) in nodes.iter().enumerate().filter(|_| draw.below(4) == 0).take(3) {
                new.dependencies.push(NodeDependency {
                    key: format!("k{key}"),
                    table_uid: other.table_uid.clone(),
                    node_uid: Some(other.uid.clone()),
                    declared: DependencyTarget::Table(other.table.clone()),
                });
            }
            let node = store.ensure_node(new).await.unwrap().value;
            for attempt in 0..draw.below(3) {
                let time = i64::try_from(number * 100 + hash * 10 + attempt).unwrap();
                let id = format!("run-{number}-{hash}-{attempt}");
                if attempt == 0 {
                    let coordinate = |name: usize| Coordinate(vec![text(&format!("n{name}"))]);
                    let rows = draw.below(4) + 1;
                    let model: Model =
                        (0..rows).map(|row| ((time, coordinate(row + 3 * hash)), Some(time))).collect();
                    let batches = vec![support::batch(&table.contract, &model)];
                    let record = RunRecord { started_at: at(time), ..run(&node, &id) };
                    let commit = commit(store, &table, record, batches, progress(model.keys())).await;
                    store.commit_run(commit).await.unwrap();
                } else {
                    let record =
                        RunRecord { started_at: at(time), status: RunStatus::Failed, ..run(&node, &id) };
                    store.record_run(&record, None).await.unwrap();
                }
            }
            nodes.push(node);
        }
    }
}

async fn many_tables_hold_what_each_holds(place: Place) {
    let (store, mut draw) = (&*place.store, Draw(1));
    catalogue(store, &mut draw, 40).await;
    let tables = store.tables().await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let (mut alone, mut progress) = (Vec::new(), Vec::new());
    for table in &tables {
        let held = snapshot.progress(table).await.unwrap();
        alone.push(Extent::of(&held, snapshot.row_count(table).await.unwrap()));
        progress.push(held);
    }
    assert_eq!(snapshot.extents(&tables).await.unwrap(), alone);
    assert_eq!(snapshot.progress_of(&tables).await.unwrap(), progress);
    assert!(alone.iter().any(|extent| extent.coordinates > 1) && alone.iter().any(|extent| extent.rows == 0));
    let is_counted = |table: &Table| table.contract.kind == TableKind::Reference;
    assert!(tables.iter().zip(&alone).any(|(table, extent)| is_counted(table) && extent.rows > 0));
    for _ in 0..5 {
        let some: Vec<usize> = (0..tables.len()).filter(|_| draw.below(2) == 0).rev().collect();
        let asked: Vec<Table> = some.iter().map(|at| tables[*at].clone()).collect();
        let expected: Vec<Extent> = some.iter().map(|at| alone[*at]).collect();
        assert_eq!(snapshot.extents(&asked).await.unwrap(), expected);
    }
    assert_eq!(snapshot.extents(&[]).await.unwrap(), []);
    assert_eq!(snapshot.progress_of(&[]).await.unwrap(), []);
    // The view is whole: what is read behind them is what it was before.
    assert_eq!(snapshot.progress(&tables[0]).await.unwrap(), progress[0]);
    let reading = snapshot.table(&tables[0].uid).await.unwrap();
    assert_eq!(reading, tables[0]);
    snapshot.end().await;
}

/// Whatever a snapshot has prepared for its reads is still there when rows were counted between them.
async fn counted_rows_end_no_read(place: Place) {
    let store = &*place.store;
    let reference_table = store.register_table(&reference("r"), at(1)).await.unwrap().value;
    load(store, &reference_table, 3).await;
    let table = support::table(store, &contract("t", &[("name", DataType::String)])).await;
    let model: Model = (0..40).map(|time| ((time, Coordinate(vec![text("a")])), Some(time))).collect();
    let added = [(Coordinate(vec![text("a")]), CoordinateProgress { min: at(0), max: at(39), rows: 40 })];
    let node = support::node(store, &table).await;
    let batches = vec![support::batch(&table.contract, &model)];
    let whole = commit(store, &table, run(&node, "r1"), batches, added.into_iter().collect()).await;
    store.commit_run(whole).await.unwrap();
    let range = TimeRange { start: Some(Bound { time: at(5), inclusive: true }), end: None };
    let query = ReadQuery {
        range_map: Some(RangeMap {
            entries: vec![CoordinateRange { coordinate: Coordinate(vec![text("a")]), range }],
            include_unlisted: false,
        }),
        ..ReadQuery::default()
    };
    query.check(&table.contract).unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let table = snapshot.table(&table.uid).await.unwrap();
    let read = snapshot.read(&table, &query);
    let (mut rows, mut after) = (0, None);
    while let Some(page) = read.page(after.as_ref(), 10).await.unwrap() {
        rows += page.batch.num_rows();
        after = Some(page.last);
        let counted = snapshot.extents(std::slice::from_ref(&reference_table)).await.unwrap();
        assert_eq!(counted[0].rows, 3);
    }
    assert_eq!(rows, 35);
    snapshot.end().await;
}

async fn many_tables_are_what_each_is(place: Place) {
    let (store, mut draw) = (&*place.store, Draw(2));
    catalogue(store, &mut draw, 40).await;
    let tables = store.tables().await.unwrap();
    let by_name: BTreeMap<String, &Table> = tables
        .iter()
        .flat_map(|table| [(table.uid.clone(), table), (table.contract.identifier.clone(), table)])
        .collect();
    let names: Vec<String> = by_name.keys().cloned().collect();
    let uids: Vec<String> = tables.iter().map(|table| table.uid.clone()).collect();
    for _ in 0..5 {
        let asked = draw.some(&names);
        let expected: Vec<Table> =
            asked.iter().filter_map(|name| by_name.get(name)).map(|table| (*table).clone()).collect();
        assert_eq!(store.tables_called(&asked).await.unwrap(), expected);

        let asked = draw.some(&uids);
        let mut alone = Vec::new();
        for uid in &asked {
            alone.extend(store.described_tables(std::slice::from_ref(uid)).await.unwrap());
        }
        assert_eq!(store.described_tables(&asked).await.unwrap(), alone);

        let mut expected: Vec<Table> = tables.clone();
        expected.retain(|table| {
            table.contract.foreign_keys.iter().any(|key| asked.contains(&key.references.table))
        });
        assert_eq!(store.referring_tables(&asked).await.unwrap(), expected);
        assert!(!expected.is_empty(), "this has shown nothing");
    }
    assert_eq!(store.tables_called(&[]).await.unwrap(), []);
    assert_eq!(store.described_tables(&[]).await.unwrap(), []);
    assert_eq!(store.referring_tables(&[]).await.unwrap(), []);
}

/// What lists read of a table is what its contract says, and what was said of it, also after changes of both.
async fn lists_say_what_contracts_say(place: Place) {
    let (store, mut draw) = (&*place.store, Draw(3));
    catalogue(store, &mut draw, 40).await;
    for round in 0..2 {
        let tables = store.tables().await.unwrap();
        let uids: Vec<String> = tables.iter().map(|table| table.uid.clone()).collect();
        let described = store.described_tables(&uids).await.unwrap();
        let expected: Vec<ListedTable> = described
            .iter()
            .map(|described| {
                let (table, contract) = (&described.table, &described.table.contract);
                ListedTable {
                    uid: table.uid.clone(),
                    identifier: contract.identifier.clone(),
                    namespace: contract.namespace.clone(),
                    physical_name: contract.physical_name().to_owned(),
                    kind: contract.kind,
                    labels: contract.labels.clone(),
                    owner: table.owner.clone(),
                    registration: Registration { written: None, ..described.registration.clone() },
                }
            })
            .collect();
        let listed = store.listed_tables(&Listing::All).await.unwrap();
        assert_eq!(listed, expected, "round {round}");
        // Page by page.
        let (mut paged, mut identifier) = (Vec::new(), String::new());
        loop {
            let after = Listing::After { identifier: identifier.clone(), limit: 7 };
            let page = store.listed_tables(&after).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 7);
            identifier.clone_from(&last.identifier);
            paged.extend(page);
        }
        assert_eq!(paged, expected);
        let asked = draw.some(&uids);
        let some: Vec<ListedTable> =
            expected.iter().filter(|table| asked.contains(&table.uid)).cloned().collect();
        assert_eq!(store.listed_tables(&Listing::Uids(asked)).await.unwrap(), some);
        for table in expected.iter().step_by(9) {
            for listing in [
                Listing::Uid(table.uid.clone()),
                Listing::Identifier(table.published_identifier().to_owned()),
                Listing::PhysicalName(table.physical_name.clone()),
            ] {
                assert_eq!(store.listed_tables(&listing).await.unwrap(), std::slice::from_ref(table));
            }
        }
        // Everything that a contract can change by.
        for table in tables.iter().step_by(5) {
            let edit =
                serde_json::from_value(json!({"add_labels": ["new"], "description": "\0 new"})).unwrap();
            store.edit_table(&table.uid, &edit).await.unwrap();
        }
        let moved = &tables[1 + round].contract.identifier;
        store.repoint(&format!("moved_{round}"), moved, None).await.unwrap();
    }
}

async fn some_nodes_are_those_of_all(place: Place) {
    let (store, mut draw) = (&*place.store, Draw(4));
    catalogue(store, &mut draw, 40).await;
    let all = store.nodes().await.unwrap();
    assert!(all.iter().any(|node| !node.dependencies.is_empty()));
    assert_eq!(store.some_nodes(&NodeFilter::default()).await.unwrap(), all);
    let uids: Vec<String> = all.iter().map(|node| node.uid.clone()).collect();
    let tables: Vec<String> = all.iter().map(|node| node.table_uid.clone()).collect();
    for round in 0..20 {
        let (some_uids, some_tables) = (draw.some(&uids), draw.some(&tables));
        let place = NodePlace {
            table: all[draw.below(all.len())].table.clone(),
            update_hash: all[draw.below(all.len())].update_hash.clone(),
        };
        let filter = NodeFilter {
            uids: (round % 2 == 0).then_some(some_uids),
            table_uids: (round % 3 == 0).then_some(some_tables),
            after: (round % 5 < 3).then_some(place),
            limit: (round % 4 == 0).then(|| u32::try_from(draw.below(9)).unwrap()),
        };
        let mut expected = all.clone();
        expected.retain(|node| {
            let is_of = |wanted: Option<&Vec<String>>, uid| wanted.is_none_or(|all| all.contains(uid));
            let own = NodePlace { table: node.table.clone(), update_hash: node.update_hash.clone() };
            is_of(filter.uids.as_ref(), &node.uid)
                && is_of(filter.table_uids.as_ref(), &node.table_uid)
                && filter.after.as_ref().is_none_or(|after| own > *after)
        });
        expected.truncate(filter.limit.map_or(usize::MAX, |limit| limit as usize));
        assert_eq!(store.some_nodes(&filter).await.unwrap(), expected, "{filter:?}");
    }
    assert_eq!(
        store.some_nodes(&NodeFilter { uids: Some(Vec::new()), ..NodeFilter::default() }).await.unwrap(),
        []
    );
}

async fn the_last_runs_are_those_that_are_newest(place: Place) {
    let (store, mut draw) = (&*place.store, Draw(5));
    catalogue(store, &mut draw, 40).await;
    let uids: Vec<String> = store.nodes().await.unwrap().into_iter().map(|node| node.uid).collect();
    let asked = draw.some(&uids);
    let mut expected = Vec::new();
    for uid in &asked {
        let filter = RunFilter { node_uid: Some(uid.clone()), limit: Some(1), ..RunFilter::default() };
        expected.extend(store.runs(&filter).await.unwrap());
    }
    assert!(expected.len() > 5 && expected.len() < asked.len() - 1, "some of them have run");
    let mut found = store.last_runs(&asked).await.unwrap();
    let key = |run: &RunRecord| run.run_id.clone();
    found.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(found, expected);
    assert_eq!(store.last_runs(&[]).await.unwrap(), []);
}

async fn teams_of_a_user_are_those_that_have_it(place: Place) {
    let store = &*place.store;
    let user = |name: &str| NewUser { username: name.to_owned(), ..NewUser::default() };
    let team = |name: &str| NewTeam { name: name.to_owned(), ..NewTeam::default() };
    let ada = store.create_user(&user("ada"), at(1)).await.unwrap();
    let bob = store.create_user(&user("bob"), at(1)).await.unwrap();
    for name in ["z", "a", "m"] {
        store.create_team(&team(name), at(1)).await.unwrap();
        store.add_team_member(name, "bob", at(1)).await.unwrap();
    }
    store.add_team_member("z", "ada", at(1)).await.unwrap();
    store.add_team_member("a", "ada", at(1)).await.unwrap();
    let names = async |uid: &str| -> Vec<String> {
        store.teams_of(uid).await.unwrap().into_iter().map(|team| team.name).collect()
    };
    assert_eq!(names(&ada.uid).await, ["a", "z"]);
    assert_eq!(names(&bob.uid).await, ["a", "m", "z"]);
    assert_eq!(names("nobody").await, Vec::<String>::new());
    let of_team = store.teams().await.unwrap();
    assert_eq!(store.teams_of(&bob.uid).await.unwrap(), of_team, "with their numbers of members");
}

on_both_databases!(
    many_tables_hold_what_each_holds,
    counted_rows_end_no_read,
    many_tables_are_what_each_is,
    lists_say_what_contracts_say,
    some_nodes_are_those_of_all,
    the_last_runs_are_those_that_are_newest,
    teams_of_a_user_are_those_that_have_it,
);

mod statements {
    //! On a server each statement is a way there and back.

    use super::*;
    use crate::support::Statements;

    /// How many statements each list costs over a catalogue of so many tables, by its name.
    async fn costs(tables: usize) -> BTreeMap<&'static str, usize> {
        let place = Place::postgres().await;
        let store = &*place.store;
        catalogue(store, &mut Draw(6), tables).await;
        let all = store.tables().await.unwrap();
        let uids: Vec<String> = all.iter().map(|table| table.uid.clone()).collect();
        let nodes: Vec<String> = store.nodes().await.unwrap().into_iter().map(|node| node.uid).collect();
        let statements = Statements::count();
        let mut costs = BTreeMap::new();
        let mut cost = |name| costs.insert(name, statements.take());
        let mut snapshot = store.snapshot().await.unwrap();
        cost("a snapshot");
        snapshot.extents(&all).await.unwrap();
        cost("what they hold");
        snapshot.progress_of(&all).await.unwrap();
        cost("their progress");
        snapshot.end().await;
        cost("its end");
        store.listed_tables(&Listing::All).await.unwrap();
        cost("a list");
        store.tables_called(&uids).await.unwrap();
        cost("their contracts");
        store.described_tables(&uids).await.unwrap();
        cost("what is told of them");
        store.referring_tables(&uids).await.unwrap();
        cost("what refers to them");
        store
            .some_nodes(&NodeFilter { table_uids: Some(uids.clone()), ..NodeFilter::default() })
            .await
            .unwrap();
        cost("their nodes");
        store.last_runs(&nodes).await.unwrap();
        cost("their last runs");
        store.backfills(None).await.unwrap();
        cost("backfills");
        costs
    }

    /// On one thread, for the counter is of the thread.
    #[tokio::test]
    async fn a_page_of_many_tables_costs_as_many_as_one_of_few() {
        let (few, many) = (costs(8).await, costs(40).await);
        assert_eq!(few, many);
        assert!(few["what they hold"] > few["their progress"], "no rows of reference tables were counted");
        let most = few.iter().max_by_key(|(_, count)| **count).unwrap();
        assert!(*most.1 > 0, "nothing was counted");
        assert!(*most.1 <= 4, "{most:?}");
    }
}
