//! Random sequences of runs, overwrites, backfills and tail deletes, against a map of rows and a map of moments.

use std::time::Duration;

use crate::backfill::{LONG, begin, claim_window, commit_window, fails, request, seen};
use crate::support::{
    self, Model, Place, at, batch, commit, contract, node, progress, properties_on_both_databases, read, run,
    table, text,
};
use datanode_core::backfill::{BackfillMode, BackfillState, Control};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::ledger::WindowState;
use datanode_core::query::ReadQuery;
use datanode_core::run::RunRecord;
use datanode_core::window::Window;
use datanode_store::{
    ClaimedWindow, CommitRun, DeleteAfter, DeleteScope, HeldWindow, Node, StoreError, Table, WriteMode,
};
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Moments of the map of what the node has done.
const MOMENTS: i64 = 40;

/// Identity dimensions of the tables that have some.
const DIMENSIONS: [(&str, DataType); 2] = [("name", DataType::String), ("place", DataType::Int64)];

/// The coordinates of a table with these dimensions.
fn coordinates(dimensions: usize) -> Vec<Coordinate> {
    if dimensions == 0 {
        return vec![Coordinate(Vec::new())];
    }
    [("a", 1), ("a", 2), ("it's", 1)]
        .map(|(name, place)| Coordinate(vec![text(name), CoordinateValue::Int(place)]))
        .to_vec()
}

/// Scopes of tail deletes, by a number that is drawn: all, some, and none of the coordinates.
fn scope(dimensions: usize, number: usize) -> DeleteScope {
    let name = |value: &str| ("name".to_owned(), text(value));
    let place = |value| ("place".to_owned(), CoordinateValue::Int(value));
    match number {
        _ if dimensions == 0 => DeleteScope::All,
        1 => DeleteScope::DimensionFilters(vec![("name".to_owned(), vec![text("a")])]),
        2 => DeleteScope::IndexCoordinates(vec![vec![name("it's")], vec![name("a"), place(2)]]),
        3 => DeleteScope::DimensionFilters(vec![
            ("name".to_owned(), vec![text("a"), text("b")]),
            ("place".to_owned(), vec![CoordinateValue::Int(1)]),
        ]),
        4 => DeleteScope::IndexCoordinates(vec![vec![name("nobody")]]),
        _ => DeleteScope::All,
    }
}

/// Whether a scope holds a coordinate.
fn holds(scope: &DeleteScope, coordinate: &Coordinate) -> bool {
    let value = |name: &String| &coordinate.0[DIMENSIONS.iter().position(|known| known.0 == name).unwrap()];
    match scope {
        DeleteScope::All => true,
        DeleteScope::DimensionFilters(filters) => {
            filters.iter().all(|(name, allowed)| allowed.contains(value(name)))
        }
        DeleteScope::IndexCoordinates(partial) => {
            partial.iter().any(|partial| partial.iter().all(|(name, wanted)| value(name) == wanted))
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A run of today: from behind the latest row on, of each coordinate from behind its own.
    Run {
        length: i64,
        values: Vec<Option<i64>>,
    },
    /// A run over a window whose rows may be there already.
    Overwrite {
        start: i64,
        length: i64,
        values: Vec<Option<i64>>,
        fills: bool,
    },
    /// From a moment on, in a scope.
    Delete(i64, usize),
    Backfill(Filled),
}

/// A backfill, and what happens to its windows.
#[derive(Debug, Clone)]
struct Filled {
    from: i64,
    length: i64,
    step: i64,
    at_once: usize,
    overwrites: bool,
    /// Of the moments from `from` on, of one coordinate after the other: None, no row.
    values: Vec<Option<i64>>,
    /// What happens next, in turn: see [`Turn`].
    turns: Vec<(Turn, usize)>,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// One of the windows that are claimed is committed.
    Commit,
    /// One of them fails, and the backfill is resumed.
    Fail,
    /// One of them is given back.
    GiveBack,
    /// The process that works on one is killed; another takes it over.
    Kill,
    /// The tail is deleted under them.
    Delete,
    /// A run of today goes on beside them.
    Run,
}

fn steps(dimensions: usize) -> impl Strategy<Value = Vec<Step>> {
    let each = coordinates(dimensions).len();
    let values =
        move |most: usize| prop::collection::vec(prop::option::weighted(0.7, 0..3_i64), 0..most * each);
    let turn = prop_oneof![
        6 => Just(Turn::Commit),
        1 => Just(Turn::Fail),
        1 => Just(Turn::GiveBack),
        2 => Just(Turn::Kill),
        1 => Just(Turn::Delete),
        1 => Just(Turn::Run),
    ];
    let filled = (
        0..MOMENTS / 2,
        0..MOMENTS / 2,
        1..7_i64,
        1..4_usize,
        any::<bool>(),
        values(20),
        prop::collection::vec((turn, 0..5_usize), 0..12),
    );
    let filled = filled.prop_map(|(from, length, step, at_once, overwrites, values, turns)| Filled {
        from,
        length,
        step,
        at_once,
        overwrites,
        values,
        turns,
    });
    let step = prop_oneof![
        2 => (1..8_i64, values(8)).prop_map(|(length, values)| Step::Run { length, values }),
        1 => (0..MOMENTS / 2, 0..8_i64, values(8), any::<bool>())
            .prop_map(|(start, length, values, fills)| Step::Overwrite { start, length, values, fills }),
        1 => (0..MOMENTS, 0..5_usize).prop_map(|(from, scope)| Step::Delete(from, scope)),
        3 => filled.prop_map(Step::Backfill),
    ];
    prop::collection::vec(step, 1..6)
}

/// The table and what its node has done, as maps would have them.
struct World<'w> {
    place: &'w Place,
    table: Table,
    node: Node,
    coordinates: Vec<Coordinate>,
    rows: Model,
    /// Of each moment what is known of it.
    known: Vec<Option<WindowState>>,
    runs: usize,
    name: String,
}

impl World<'_> {
    fn run_id(&mut self) -> String {
        self.runs += 1;
        format!("{}-{}", self.name, self.runs)
    }

    fn dimensions(&self) -> usize {
        self.table.contract.dimensions().len()
    }

    fn latest(&self) -> i64 {
        self.rows.keys().next_back().map_or(-1, |(time, _)| *time)
    }

    /// The latest row of one coordinate.
    fn latest_of(&self, coordinate: &Coordinate) -> i64 {
        let of = self.rows.keys().rev().find(|(_, other)| other == coordinate);
        of.map_or(-1, |(time, _)| *time)
    }

    /// Rows of a window, of moments that have a value: of one coordinate after the other at each moment.
    fn of_window(&self, first: i64, last: i64, values: &[Option<i64>]) -> Model {
        let keys = (first..=last)
            .flat_map(|time| self.coordinates.iter().map(move |coordinate| (time, coordinate.clone())));
        let values = values.iter().chain(std::iter::repeat(&None));
        keys.zip(values).filter_map(|(key, value)| Some((key, Some((*value)?)))).collect()
    }

    /// What a run over a window leaves, in the maps.
    fn succeeds(&mut self, first: i64, last: i64, brought: &Model, mode: WriteMode) {
        for (key, value) in brought {
            let held = self.rows.entry(key.clone()).or_insert(*value);
            if mode == WriteMode::Overwrite {
                *held = *value;
            }
        }
        let until = brought.keys().next_back().map(|(time, _)| *time);
        for moment in first..=last {
            let known = &mut self.known[usize::try_from(moment).unwrap()];
            let done = until.is_some_and(|until| moment <= until) || *known == Some(WindowState::Done);
            *known = Some(if done { WindowState::Done } else { WindowState::Empty });
        }
    }

    async fn runs_over(&mut self, first: i64, last: i64, brought: &Model, mode: WriteMode) {
        let run_id = self.run_id();
        let record = RunRecord {
            window: Window { start: Some(at(first)), end: at(last) },
            ..run(&self.node, &run_id)
        };
        let table = self.place.store.table(&self.table.uid).await.unwrap();
        let batches = if brought.is_empty() { Vec::new() } else { vec![batch(&table.contract, brought)] };
        let commit = commit(&*self.place.store, &table, record, batches, progress(brought.keys())).await;
        self.place.store.commit_run(CommitRun { mode, ..commit }).await.unwrap();
        self.succeeds(first, last, brought, mode);
    }

    async fn run_of_today(&mut self, length: i64, values: &[Option<i64>]) {
        let last = (self.latest() + length).min(MOMENTS - 1);
        // Where there are coordinates, each narrows the window by itself.
        let first = if self.dimensions() == 0 { self.latest() + 1 } else { 0 };
        if first > last {
            return;
        }
        let mut brought = self.of_window((self.latest() + 1 - length).max(first), last, values);
        brought.retain(|(time, coordinate), _| *time > self.latest_of(coordinate));
        self.runs_over(first, last, &brought, WriteMode::Append).await;
    }

    async fn delete(&mut self, from: i64, scope: DeleteScope) {
        self.rows.retain(|(time, coordinate), _| *time < from || !holds(&scope, coordinate));
        let delete = DeleteAfter { table_uid: self.table.uid.clone(), after: at(from), scope };
        self.place.store.delete_after(&delete).await.unwrap();
        let from = usize::try_from(from).unwrap();
        let before = self.known.clone();
        // What failed was open before. Windows know no coordinates: whatever the scope, the others are open now.
        for known in self.known[from..].iter_mut().filter(|known| **known != Some(WindowState::Failed)) {
            *known = None;
        }
        // The stretch that was cut is done up to the latest row that is left.
        if from > 0 && before[from] == Some(WindowState::Done) {
            let latest = self.latest();
            for moment in (0..from).rev().take_while(|moment| before[*moment] == Some(WindowState::Done)) {
                if i64::try_from(moment).unwrap() > latest {
                    self.known[moment] = Some(WindowState::Empty);
                }
            }
        }
    }

    /// What a run over a window leaves that has failed, in the map.
    fn fails(&mut self, window: Window) {
        for moment in window.start.unwrap().micros()..=window.end.micros() {
            self.known[usize::try_from(moment).unwrap()].get_or_insert(WindowState::Failed);
        }
    }

    /// A backfill from its begin to its end, whatever happens on the way.
    async fn backfill(&mut self, filled: &Filled) -> Result<(), TestCaseError> {
        let mode = if filled.overwrites { BackfillMode::Overwrite } else { BackfillMode::AppendOnly };
        let write = if filled.overwrites { WriteMode::Overwrite } else { WriteMode::FillGaps };
        let uid = format!("b-{}", self.run_id());
        let to = (filled.from + filled.length).min(MOMENTS - 1);
        let begun = begin(self.place, &self.node, &uid, request(filled.from, to, mode), filled.step).await;
        let total = begun.windows.total();
        let mut turns = filled.turns.iter().copied();
        // Windows that are claimed, with what their runs have read, and whether others than this backfill have written since.
        let mut held: Vec<(HeldWindow, (Table, i64))> = Vec::new();
        let mut disturbed: Vec<String> = Vec::new();
        let (mut inserted, mut updated) = (0, 0);
        loop {
            while held.len() < filled.at_once {
                let run_id = self.run_id();
                let ClaimedWindow::Window(window) = claim_window(self.place, &uid, &run_id, LONG).await
                else {
                    break;
                };
                let read = seen(self.place, &self.table, &window).await;
                held.push((window, read));
            }
            if held.is_empty() {
                break;
            }
            let (turn, drawn) = turns.next().unwrap_or((Turn::Commit, 0));
            let which = drawn % held.len();
            let epoch = self.place.store.table(&self.table.uid).await.unwrap().epoch;
            match turn {
                Turn::Commit => {
                    let (window, read) = held.remove(which);
                    let (first, last) = (window.window.start.unwrap().micros(), window.window.end.micros());
                    let skipped = usize::try_from(first - filled.from).unwrap() * self.coordinates.len();
                    let skipped = skipped.min(filled.values.len());
                    let brought = self.of_window(first, last, &filled.values[skipped..]);
                    let outcome =
                        commit_window(self.place, &self.node, &window, &read, write, &brought).await;
                    if disturbed.contains(&window.run_id) {
                        let error = outcome.unwrap_err();
                        prop_assert!(matches!(error, StoreError::TableMoved { .. }), "{}", error);
                        // Made again, by another run that has seen what happened.
                        let run_id = self.run_id();
                        let again = self.place.store.pass_window(&window, &run_id).await.unwrap();
                        let read = seen(self.place, &self.table, &again).await;
                        held.push((again, read));
                        continue;
                    }
                    let record = outcome.unwrap();
                    let there = brought.keys().filter(|key| self.rows.contains_key(*key)).count() as u64;
                    let differ = brought
                        .iter()
                        .filter(|(key, value)| self.rows.get(*key).is_some_and(|held| held != *value));
                    let differ = if filled.overwrites { differ.count() as u64 } else { 0 };
                    let expected = [brought.len() as u64 - there, differ, there - differ];
                    prop_assert_eq!(
                        [record.rows_inserted, record.rows_updated, record.rows_unchanged],
                        expected
                    );
                    inserted += record.rows_inserted;
                    updated += record.rows_updated;
                    self.succeeds(first, last, &brought, write);
                }
                Turn::Fail => {
                    let (window, _) = held.remove(which);
                    fails(self.place, &self.node, &window).await;
                    self.fails(window.window);
                    let resumed = self.place.store.control_backfill(&uid, Control::Go).await.unwrap();
                    prop_assert_eq!(resumed.windows.failed, 0);
                }
                Turn::GiveBack => {
                    let (window, _) = held.remove(which);
                    self.place.store.release_window(&window).await.unwrap();
                }
                Turn::Kill => {
                    // What others know of a killed process is that it says nothing more.
                    let (window, read) = held.remove(which);
                    self.place.store.extend_window(&window, Duration::ZERO).await.unwrap();
                    let mut taken = None;
                    // What is pending comes first.
                    for _ in 0..=total {
                        let run_id = self.run_id();
                        let ClaimedWindow::Window(next) = claim_window(self.place, &uid, &run_id, LONG).await
                        else {
                            break;
                        };
                        let found = next.position == window.position;
                        let read = seen(self.place, &self.table, &next).await;
                        taken = taken.or(Some(next.position).filter(|_| found));
                        held.push((next, read));
                        if found {
                            break;
                        }
                    }
                    prop_assert_eq!(taken, Some(window.position));
                    let late =
                        commit_window(self.place, &self.node, &window, &read, write, &Model::new()).await;
                    let is_lost = matches!(late, Err(StoreError::WindowLost { .. }));
                    prop_assert!(is_lost);
                }
                Turn::Delete => self.delete(to - to % 7, scope(self.dimensions(), drawn)).await,
                Turn::Run => {
                    let values: Vec<_> = [Some(1), None, Some(2)].into_iter().cycle().take(9).collect();
                    self.run_of_today(3, &values).await;
                }
            }
            if matches!(turn, Turn::Delete | Turn::Run)
                && self.place.store.table(&self.table.uid).await.unwrap().epoch != epoch
            {
                disturbed.extend(held.iter().map(|(window, _)| window.run_id.clone()));
            }
        }
        let done = self.place.store.backfill(&uid).await.unwrap();
        prop_assert_eq!((done.state(), done.windows.finished()), (BackfillState::Done, total));
        prop_assert_eq!((done.rows.inserted, done.rows.updated), (inserted, updated));
        Ok(())
    }

    /// Rows, progress and windows are those of the maps.
    async fn is_as_the_maps_say(&self) -> Result<(), TestCaseError> {
        let store = &self.place.store;
        let mut snapshot = store.snapshot().await.unwrap();
        prop_assert_eq!(snapshot.progress(&self.table).await.unwrap(), progress(self.rows.keys()));
        let stored: Model =
            read(&mut snapshot, &self.table, &ReadQuery::default(), 1_000).await.into_iter().collect();
        prop_assert_eq!(&stored, &self.rows);
        prop_assert_eq!(store.verify_progress(&self.table.uid).await.unwrap(), vec![]);
        let ledger = snapshot.node_windows(&self.node.uid).await.unwrap();
        for (moment, known) in (0..).zip(&self.known) {
            let found = ledger.windows().iter().find(|w| w.first <= at(moment) && at(moment) <= w.last);
            prop_assert_eq!(found.map(|window| window.state), *known, "moment {}", moment);
        }
        Ok(())
    }
}

/// Sequences that are drawn, on tables with these dimensions.
fn leave_what_maps_would_have(runtime: &Runtime, place: &Place, dimensions: &[(&str, DataType)], cases: u32) {
    support::runner(cases)
        .run(&steps(dimensions.len()), |steps| {
            let name = format!("p{}", Uuid::new_v4().simple());
            runtime.block_on(async {
                let table = table(&*place.store, &contract(&name, dimensions)).await;
                let node = node(&*place.store, &table).await;
                let known = vec![None; usize::try_from(MOMENTS).unwrap()];
                let coordinates = coordinates(dimensions.len());
                let rows = Model::new();
                let mut world =
                    World { place, table, node, coordinates, rows, known, runs: 0, name: name.clone() };
                for step in &steps {
                    match step {
                        Step::Run { length, values } => world.run_of_today(*length, values).await,
                        Step::Overwrite { start, length, values, fills } => {
                            let brought = world.of_window(*start, start + length, values);
                            let mode = if *fills { WriteMode::FillGaps } else { WriteMode::Overwrite };
                            world.runs_over(*start, start + length, &brought, mode).await;
                        }
                        Step::Delete(from, number) => {
                            world.delete(*from, scope(dimensions.len(), *number)).await;
                        }
                        Step::Backfill(filled) => world.backfill(filled).await?,
                    }
                    world.is_as_the_maps_say().await?;
                }
                Ok(())
            })
        })
        .unwrap();
}

fn any_runs_backfills_and_tail_deletes_leave_what_maps_would_have(runtime: &Runtime, place: &Place) {
    leave_what_maps_would_have(runtime, place, &[], 48);
}

/// Coordinates that end at different times, and lose their tails one without the other.
fn so_they_do_where_there_are_coordinates(runtime: &Runtime, place: &Place) {
    leave_what_maps_would_have(runtime, place, &DIMENSIONS, 48);
}

properties_on_both_databases!(
    any_runs_backfills_and_tail_deletes_leave_what_maps_would_have,
    so_they_do_where_there_are_coordinates,
);
