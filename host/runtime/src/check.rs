//! `datanode check`: the checklist before a dataset is shipped, judged by trial runs on a copy of the store.
//!
//! The real store is only read. Everything is run in the copy, in a hash namespace of its own, into new tables of the
//! same contract:
//!
//! 1. the node with its dependencies into a first table: the test run;
//! 2. again into the same table: a node that is up to date has nothing to emit;
//! 3. into a second table: the same inputs must give the same bytes;
//! 4. into a third table in two steps, half way and to the end: the same rows must come as in one.

use datanode_core::checklist::{self, Finding, Point, Verdict};
use datanode_core::contract::{Contract, TableKind};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::digest::Digest;
use datanode_core::query::ReadQuery;
use datanode_core::run::{RunRecord, RunStatus};
use datanode_core::{Diagnostic, Timestamp};
use datanode_store::{Node, Scratch, Table};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::moved::bound_config;
use crate::{Host, NodeRequest, RunOptions, RuntimeError, TrustedKeys, Upload};

/// Hash namespace of the trial runs.
const NAMESPACE: &str = "check";
/// How names of scratch tables begin.
const SCRATCH_PREFIX: &str = "check_";
/// Hexadecimal digits that follow.
const SCRATCH_DIGITS: usize = 32;
/// The release of a file that cannot be asked for it.
const UNKNOWN_VERSION: &str = "?";
/// Rows compared at a time.
const PAGE: usize = 10_000;

/// What is checked.
#[derive(Debug, Clone)]
pub enum CheckSubject {
    /// A node of the catalogue, under the release that runs now.
    Node(Box<Node>),
    /// A component of the catalogue by name; without a table only what it declares is judged.
    Component {
        /// Its name.
        name: String,
        /// Config as JSON text.
        config: String,
        /// Contract of the table it is to write.
        contract: Option<Box<Contract>>,
    },
    /// A component that need not be uploaded.
    File {
        /// Its name in errors.
        label: String,
        /// The bytes.
        bytes: Vec<u8>,
        /// Config as JSON text.
        config: String,
        /// Contract of the table it is to write.
        contract: Option<Box<Contract>>,
    },
}

/// A check as a user asks for it.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// What is checked.
    pub subject: CheckSubject,
    /// Where the windows of the trial runs end, instead of where the cadence says.
    pub until: Option<Timestamp>,
}

/// What a check found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checked {
    /// Component; of a file that could not be asked, the file.
    pub component: String,
    /// Release; `?` of a file that could not be asked for it.
    pub version: String,
    /// Identifier of the table that is or would be written; none when none was named.
    pub table: Option<String>,
    /// The worst of the findings.
    pub verdict: Verdict,
    /// At least one per point, in the order of [`Point::ALL`].
    pub findings: Vec<Finding>,
}

impl Host {
    /// Judge a component or node by the checklist. What goes wrong in a trial run is a finding; an error means that
    /// there is nothing to judge. `options` give the runtime options and the observer of the trial runs.
    pub async fn check(&self, request: CheckRequest, options: &RunOptions) -> Result<Checked, RuntimeError> {
        let stop = options.stop.clone();
        let directory = self.scratch_directory()?;
        let copy = self.store.scratch(directory.path()).await?;
        // What is judged need not be signed yet.
        let host = Self { store: copy.store(), trusted: TrustedKeys::default(), ..self.clone() };
        let options = RunOptions { until: request.until, force: false, ..options.clone() };
        // On the heap: futures around this one would carry all of its runs with them.
        let checked = Box::pin(host.check_in_scratch(request.subject, options, &*copy)).await;
        drop(host);
        drop(copy);
        // That a trial run was ended from outside is no finding.
        if stop.is_stopped() { Err(RuntimeError::Interrupted) } else { checked }
    }

    /// A directory beside the output of runs that wait for their commit: on the disk that has room for it.
    fn scratch_directory(&self) -> Result<tempfile::TempDir, RuntimeError> {
        let place = &self.spill.directory;
        std::fs::create_dir_all(place)
            .and_then(|()| tempfile::Builder::new().prefix("check-").tempdir_in(place))
            .map_err(|error| RuntimeError::Scratch {
                path: place.display().to_string(),
                problem: error.to_string(),
            })
    }

    async fn check_in_scratch(
        &self,
        subject: CheckSubject,
        options: RunOptions,
        copy: &dyn Scratch,
    ) -> Result<Checked, RuntimeError> {
        let (component, pinned, config, contract) = match subject {
            CheckSubject::Node(node) => {
                let contract = self.store.table(&node.table_uid).await?.contract;
                (node.component.clone(), node.pinned_digest, bound_config(&node), Some(contract))
            }
            CheckSubject::Component { name, config, contract } => {
                (name, None, config, contract.map(|contract| *contract))
            }
            CheckSubject::File { label, bytes, config, contract } => {
                let digest = Digest::of(&bytes);
                let upload =
                    Upload { label: label.clone(), bytes, accept_new_identity: true, ..Upload::default() };
                let uploaded = match self.upload(upload).await {
                    Ok(uploaded) => uploaded,
                    Err(error) if refused_point(&error) == Point::Deterministic => {
                        let table = contract.map(|contract| contract.identifier);
                        return Ok(finish(label, UNKNOWN_VERSION.to_owned(), table, vec![refused(&error)]));
                    }
                    Err(error) => return Err(error),
                };
                let name = uploaded.component.manifest.name;
                (name, Some(digest), config, contract.map(|contract| *contract))
            }
        };
        let manifest = self.release(&component, pinned.as_ref()).await?.manifest;
        let mut findings = checklist::config(&manifest);
        findings.extend(checklist::descriptions(&manifest, contract.as_ref()));
        match &contract {
            None => findings.extend(without_a_table()),
            Some(contract) if contract.kind == TableKind::Reference => {
                let mend = "nodes write time-indexed tables: name one with --table";
                findings.push(Finding::fail(Point::Schema, "it is a reference table", mend));
            }
            Some(contract) => {
                findings.extend(checklist::identifier(contract));
                findings.extend(checklist::schema(&manifest, contract));
                let request = NodeRequest {
                    component,
                    pinned_digest: pinned,
                    config,
                    table: String::new(),
                    hash_namespace: NAMESPACE.to_owned(),
                };
                let fits = manifest.output_mismatches(contract).is_empty();
                Trial { host: self, copy, contract, request, options }.run(fits, &mut findings).await?;
            }
        }
        let table = contract.map(|contract| contract.identifier);
        Ok(finish(manifest.name, manifest.version.to_string(), table, findings))
    }
}

/// Every point once at least, in order, and the worst of all.
fn finish(component: String, version: String, table: Option<String>, mut findings: Vec<Finding>) -> Checked {
    for point in Point::ALL {
        if findings.iter().all(|finding| finding.point != point) {
            let mend = "mend the findings above and check again";
            findings.push(Finding::skip(point, "not reached: an earlier step failed", mend));
        }
    }
    if let Some(identifier) = &table {
        for finding in &mut findings {
            finding.seen = in_own_words(&finding.seen, identifier);
        }
    }
    findings.sort_by_key(|finding| finding.point);
    Checked { component, version, table, verdict: checklist::worst(&findings), findings }
}

/// The name of the table that is meant in the place of the scratch tables' names.
fn in_own_words(text: &str, identifier: &str) -> String {
    let mut parts = text.split(SCRATCH_PREFIX);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |said, part| match part.get(..SCRATCH_DIGITS) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("{said}{identifier}{}", &part[SCRATCH_DIGITS..])
        }
        _ => format!("{said}{SCRATCH_PREFIX}{part}"),
    })
}

fn without_a_table() -> impl Iterator<Item = Finding> {
    let judged = [Point::Config, Point::Descriptions];
    Point::ALL.into_iter().filter(move |point| !judged.contains(point)).map(|point| {
        let mend = "name the table, registered or as a file: --table TABLE|FILE";
        Finding::skip(point, "no table was named", mend)
    })
}

/// Trial runs of one node.
struct Trial<'h> {
    host: &'h Host,
    copy: &'h dyn Scratch,
    contract: &'h Contract,
    request: NodeRequest,
    options: RunOptions,
}

impl Trial<'_> {
    async fn run(mut self, fits: bool, findings: &mut Vec<Finding>) -> Result<(), RuntimeError> {
        if !fits {
            return Ok(());
        }
        let (first_table, first_node, keys) = match self.node().await {
            Ok(made) => made,
            Err(error) => {
                findings.push(refused(&error));
                return Ok(());
            }
        };
        findings.extend(checklist::names(Some(self.contract), &keys));
        let tree = self.host.run_node(&first_node, "", &self.options).await?;
        let Some(first) = tree.runs.last() else { return Ok(()) };
        if let Some(culprit) = tree.runs.iter().find(|run| run.status == RunStatus::Failed) {
            findings.extend(checklist::test_run(culprit));
            findings.extend(checklist::logs(&culprit.logs));
            return Ok(());
        }
        findings.extend(checklist::test_run(first));
        findings.extend(checklist::logs(&first.logs));
        findings.extend(self.identities(&first_table).await?);
        // What the clock said once holds for all further runs.
        self.options.until = Some(first.window.end);
        findings.extend(self.incremental(first, &first_table, &first_node).await?);
        findings.extend(self.deterministic(first).await?);
        Ok(())
    }

    /// A table of the contract for this trial alone, and the node that writes it.
    async fn node(&mut self) -> Result<(Table, String, Vec<String>), RuntimeError> {
        let identifier = format!("{SCRATCH_PREFIX}{}", Uuid::new_v4().simple());
        let contract = Contract { identifier, physical_name: None, ..self.contract.clone() };
        let table = self.host.register_table(&contract).await?.value;
        self.request.table.clone_from(&table.uid);
        let planned = self.host.plan(self.request.clone()).await?;
        // What the runs of the tree read: tables that its nodes write, and others.
        let read = planned.iter().flat_map(|planned| {
            let edges = planned.node.dependencies.iter().map(|edge| edge.table_uid.clone());
            edges.chain([planned.node.table_uid.clone()])
        });
        let referred = table.contract.foreign_keys.iter().map(|key| key.references.table.clone());
        self.copy.bring(&read.chain(referred).collect::<Vec<_>>()).await?;
        let node = planned.last().map(|planned| &planned.node);
        let keys = node.map(|node| node.dependencies.iter().map(|edge| edge.key.clone()).collect());
        Ok((table, node.map(|node| node.uid.clone()).unwrap_or_default(), keys.unwrap_or_default()))
    }

    async fn identities(&self, table: &Table) -> Result<Vec<Finding>, RuntimeError> {
        let mut snapshot = self.host.store.snapshot().await?;
        let progress = snapshot.progress(table).await?;
        snapshot.end().await;
        let empty =
            |value: &CoordinateValue| matches!(value, CoordinateValue::Text(text) if text.trim().is_empty());
        let without = progress.iter().filter(|(coordinate, _)| coordinate.0.iter().any(empty)).count();
        let known = if self.contract.dimensions().is_empty() { 0 } else { progress.len() };
        Ok(checklist::identities(self.contract, known, without))
    }

    async fn incremental(
        &mut self,
        first: &RunRecord,
        table: &Table,
        node: &str,
    ) -> Result<Vec<Finding>, RuntimeError> {
        if first.rows_inserted == 0 {
            let mend = "check it where its inputs have rows: --until TIME";
            return Ok(vec![Finding::skip(Point::Incremental, "there are no rows to judge it by", mend)]);
        }
        let forced = RunOptions { force: true, ..self.options.clone() };
        let second = self.host.run_node(node, "", &forced).await?;
        let mut findings: Vec<Finding> = second.runs.last().map(checklist::second_run).unwrap_or_default();
        findings.extend(self.two_steps(table).await?);
        if findings.is_empty() {
            findings.push(Finding::pass(
                Point::Incremental,
                "a second run emits nothing, and two steps give the rows of one",
            ));
        }
        Ok(findings)
    }

    /// Half of the time first, then the rest.
    async fn two_steps(&mut self, whole: &Table) -> Result<Option<Finding>, RuntimeError> {
        const MEND: &str = "a row must follow from its inputs up to its own time alone, however the windows are cut: \
                            read the lookback that it needs, and nothing after its time";
        let mut snapshot = self.host.store.snapshot().await?;
        let progress = snapshot.progress(whole).await?;
        snapshot.end().await;
        let (Some(min), Some(max)) = (progress.min_time(), progress.max_time()) else { return Ok(None) };
        if min == max {
            return Ok(None);
        }
        let Ok(half) = Timestamp::from_micros(min.micros() + (max.micros() - min.micros()) / 2) else {
            return Ok(None);
        };
        let (table, node, _) = self.node().await?;
        for until in [Some(half), self.options.until] {
            let step = RunOptions { until, ..self.options.clone() };
            let tree = self.host.run_node(&node, "", &step).await?;
            if let Some(error) = tree.runs.last().and_then(|run| run.error.as_ref()) {
                let seen = format!("a run until {} fails: [{}] {}", half.short(), error.code, error.message);
                return Ok(Some(Finding::fail(Point::Incremental, seen, MEND)));
            }
        }
        Ok(self.first_difference(whole, &table).await?.map(|difference| {
            let seen = format!(
                "two steps (until {}, then the rest) give other rows than one: {difference}",
                half.short()
            );
            Finding::fail(Point::Incremental, seen, MEND)
        }))
    }

    /// Where the rows of two tables part, in words.
    async fn first_difference(&self, one: &Table, other: &Table) -> Result<Option<String>, RuntimeError> {
        let snapshot = self.host.store.snapshot().await?;
        let query = ReadQuery::default();
        let (left, right) = (snapshot.read(one, &query), snapshot.read(other, &query));
        let mut after = None;
        loop {
            let (a, b) = (left.page(after.as_ref(), PAGE).await?, right.page(after.as_ref(), PAGE).await?);
            match (a, b) {
                (None, None) => return Ok(None),
                (Some(a), Some(b)) if a.batch == b.batch => after = Some(a.last),
                (a, b) => {
                    let rows = |page: &Option<datanode_store::Page>| {
                        page.as_ref().map_or(0, |page| page.batch.num_rows())
                    };
                    let both = rows(&a).min(rows(&b));
                    let place = match (&a, &b) {
                        (Some(a), Some(b)) => (0..both)
                            .find(|row| a.batch.slice(*row, 1) != b.batch.slice(*row, 1))
                            .unwrap_or(both),
                        _ => 0,
                    };
                    let page = a.as_ref().filter(|a| a.batch.num_rows() > place).or(b.as_ref());
                    let when = page
                        .and_then(|page| time_of(&page.batch, place))
                        .map_or("the end".to_owned(), Timestamp::short);
                    return Ok(Some(format!("they part at {when}")));
                }
            }
        }
    }

    async fn deterministic(&mut self, first: &RunRecord) -> Result<Vec<Finding>, RuntimeError> {
        let Some(expected) = first.output_digest else {
            let mend = "check it where its inputs have rows: --until TIME";
            return Ok(vec![Finding::skip(Point::Deterministic, "nothing was emitted", mend)]);
        };
        let (_, node, _) = self.node().await?;
        let tree = self.host.run_node(&node, "", &self.options).await?;
        let again = tree.runs.last().and_then(|run| run.output_digest);
        Ok(vec![checklist::deterministic(expected, again, first.bytes_emitted, first.component_class)])
    }
}

fn time_of(batch: &arrow_array::RecordBatch, row: usize) -> Option<Timestamp> {
    use arrow_array::cast::AsArray;
    let times = batch.column(0).as_primitive_opt::<arrow_array::types::TimestampMicrosecondType>()?;
    Timestamp::from_micros(times.value(row)).ok()
}

/// A component or node that is not even taken.
fn refused(error: &RuntimeError) -> Finding {
    let mend = error.next_step().unwrap_or_else(|| "mend it and check again".to_owned());
    Finding::fail(refused_point(error), format!("[{}] {error}", error.code()), mend)
}

/// The point that a refusal answers: what is impure or answers differently each time is told from the component alone.
fn refused_point(error: &RuntimeError) -> Point {
    match error.code() {
        "sandbox.imports_refused" | "sandbox.nondeterministic" => Point::Deterministic,
        _ => Point::TestRun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_tables_are_told_by_the_name_of_the_table_that_is_meant() {
        let scratch = format!("table `check_{}`: check_in, check_", Uuid::new_v4().simple());
        assert_eq!(in_own_words(&scratch, "rates"), "table `rates`: check_in, check_");
    }
}
