//! Nodes: what they are, and what is done with them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use datanode_core::access::{Action, Target};
use datanode_core::backfill::{BackfillMode, MAX_CONCURRENCY, Step};
use datanode_core::digest::Digest;
use datanode_core::journal::JournalMode;
use datanode_core::node_settings::SettingChange;
use datanode_core::options::MAX_OPTIONS_BYTES;
use datanode_core::{Timestamp, namespace};
use datanode_runtime::answers::{BackfillDocument, DebugRuns, DryRunDocument, NodeGraph};
use datanode_runtime::{
    BackfillOrder, BackfillWork, DryRunRequest, Host, Identity, IdentityRequest, MAX_SAMPLE_ROWS,
    NodeRequest, Observer, RunOptions, Scope,
};
use datanode_store::{Node, NodeSet, Table};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::executions::{About, Execution, Kind, by};
use crate::input::{Document, OptionalDocument, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem, etag};

/// Rows of a frame that a dry run shows, when nobody says how many.
const SAMPLE: usize = 10;
/// Seconds that a run waits for its node at most.
const MOST_WAIT: u64 = 24 * 3_600;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/nodes", get(list).post(create))
        .route("/api/v1/nodes/hash", post(hash))
        .route("/api/v1/graph", get(graph_of_all))
        .route("/api/v1/leases", get(held))
        .route("/api/v1/nodes/{reference}", get(show).patch(change))
        .route("/api/v1/nodes/{reference}/graph", get(graph))
        .route("/api/v1/nodes/{reference}/windows", get(windows))
        .route("/api/v1/nodes/{reference}/runs", post(run))
        .route("/api/v1/nodes/{reference}/backfills", post(backfill))
}

/// The tables that a caller may read.
pub(super) enum Readable {
    /// All that there are.
    All,
    /// Those of these uids.
    Some(HashSet<String>),
}

impl Readable {
    pub(super) fn has(&self, uid: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(uids) => uids.contains(uid),
        }
    }
}

/// The tables that the caller may read.
pub(super) async fn readable(host: &Host, caller: &Caller) -> Result<Readable, Problem> {
    if caller.can(Action::ReadTable, &Target::Organisation) {
        return Ok(Readable::All);
    }
    let tables = host.store().tables().await?.into_iter();
    let readable = tables.filter(|table| caller.can_with(Action::ReadTable, table)).map(|table| table.uid);
    Ok(Readable::Some(readable.collect()))
}

/// A node whose table the caller may see, and do this with.
pub(super) async fn node_of(
    host: &Host,
    caller: &Caller,
    reference: &str,
    action: Action,
) -> Result<(Node, Table), Problem> {
    let node = host.store().node(reference).await?;
    let table = host.store().table(&node.table_uid).await?;
    if !caller.can_with(Action::ReadTable, &table) {
        caller.hide(reference, "node")?;
    }
    caller.may_with(action, &table)?;
    Ok((node, table))
}

/// A tree writes the tables of all its nodes, and reads others: the caller must be allowed each of it. The uids of those that
/// it writes.
async fn may_run_tree(
    host: &Host,
    caller: &Caller,
    request: NodeRequest,
    node: Option<&Node>,
) -> Result<Vec<String>, Problem> {
    let tables = host.tables_of_tree(request, node).await?;
    for table in &tables.written {
        caller.may_with(Action::RunNode, table)?;
    }
    for uid in &tables.read {
        caller.may_with(Action::ReadTable, &host.store().table(uid).await?)?;
    }
    Ok(tables.written.into_iter().map(|table| table.uid).collect())
}

/// The same before a node of the catalogue is run for itself: all of its tree is planned.
pub(super) async fn may_run(host: &Host, caller: &Caller, node: &Node) -> Result<(), Problem> {
    may_run_tree(host, caller, request_of(node, ""), Some(node)).await.map(drop)
}

/// A dry run shows what a node makes of its inputs: the caller must be allowed to read them.
async fn may_read_inputs(host: &Host, caller: &Caller, node: &Node) -> Result<(), Problem> {
    for dependency in &node.dependencies {
        caller.may_with(Action::ReadTable, &host.store().table(&dependency.table_uid).await?)?;
    }
    Ok(())
}

/// A node as it would be asked for anew.
fn request_of(node: &Node, hash_namespace: &str) -> NodeRequest {
    NodeRequest {
        component: node.component.clone(),
        pinned_digest: node.pinned_digest,
        config: node.config.to_string(),
        table: node.table_uid.clone(),
        hash_namespace: hash_namespace.to_owned(),
    }
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    let readable = readable(state.host(), &caller).await?;
    let nodes = state.host().store().nodes().await?.into_iter();
    let seen = nodes.filter(|node| readable.has(&node.table_uid));
    let mut seen: Vec<Node> = seen.collect();
    seen.sort_by_cached_key(key);
    Ok(page.cut(seen, key).answer())
}

fn key(node: &Node) -> String {
    format!("{}\u{1}{}\u{1}{}", node.table, node.update_hash, node.uid)
}

/// A config as an object, or as the text that a person has written.
fn config_of(object: Option<Box<RawValue>>, text: Option<String>) -> Result<String, Problem> {
    match (object, text) {
        (Some(_), Some(_)) => Err(Problem::usage("give either `config` or `config_text`")),
        (Some(object), None) => Ok(object.get().to_owned()),
        (None, Some(text)) => Ok(text),
        (None, None) => Ok("{}".to_owned()),
    }
}

fn namespace_of(given: Option<&str>) -> Result<String, Problem> {
    namespace::resolve(given, None).map_err(|error| Problem::usage(error.to_string()))
}

/// A node that is to be there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    component: String,
    table: String,
    config: Option<Box<RawValue>>,
    config_text: Option<String>,
    hash_namespace: Option<String>,
    /// SHA-256 of the release that it runs, whatever comes later.
    pin: Option<Digest>,
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Document(asked): Document<Create>,
) -> Result<Response, Problem> {
    let table = caller.table(state.host(), &asked.table, Action::RunNode).await?;
    let request = NodeRequest {
        component: asked.component,
        pinned_digest: asked.pin,
        config: config_of(asked.config, asked.config_text)?,
        table: table.uid,
        hash_namespace: namespace_of(asked.hash_namespace.as_deref())?,
    };
    let host = caller.host(&state);
    // What it depends on is created with it, and may be of other tables.
    may_run_tree(&host, &caller, request.clone(), None).await?;
    let created = host.create_node(request).await?;
    let is_new = created.iter().any(|node| node.created);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(created)).into_response())
}

/// An identity that is asked for: that of a node, or of a config that may have none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfWhat {
    node: Option<String>,
    component: Option<String>,
    config: Option<Box<RawValue>>,
    config_text: Option<String>,
    table: Option<String>,
    hash_namespace: Option<String>,
}

async fn hash(
    State(state): State<AppState>,
    caller: Caller,
    Document(asked): Document<OfWhat>,
) -> Result<Json<Identity>, Problem> {
    let host = state.host();
    let node = match &asked.node {
        Some(reference) => Some(node_of(host, &caller, reference, Action::ReadTable).await?.0),
        None => None,
    };
    if let Some(reference) = &asked.table {
        caller.table(host, reference, Action::ReadTable).await?;
    }
    caller.needs_no_role();
    let request = match (node, asked.component) {
        (Some(node), None) if asked.hash_namespace.is_none() => {
            return Ok(Json(host.identity_of(&node).await?));
        }
        (Some(node), None) => IdentityRequest {
            component: node.component,
            config: node.config.to_string(),
            hash_namespace: namespace_of(asked.hash_namespace.as_deref())?,
            table: Some(node.table_uid),
        },
        (None, Some(component)) => IdentityRequest {
            component,
            config: config_of(asked.config, asked.config_text)?,
            hash_namespace: namespace_of(asked.hash_namespace.as_deref())?,
            table: asked.table,
        },
        _ => return Err(Problem::usage("name either a node or a component")),
    };
    Ok(Json(host.identify(request).await?))
}

/// A graph without the tables that the caller may not read.
fn seen(graph: NodeGraph, nodes: &[Node], readable: &Readable) -> NodeGraph {
    let table_of = |uid: &str| nodes.iter().find(|node| node.uid == uid).map(|node| node.table_uid.as_str());
    let is_seen = |uid: &str| table_of(uid).is_some_and(|table| readable.has(table));
    let NodeGraph { nodes: all, published, edges } = graph;
    NodeGraph {
        nodes: all.into_iter().filter(|node| is_seen(&node.uid)).collect(),
        published: published.into_iter().filter(|table| readable.has(&table.uid)).collect(),
        edges: edges
            .into_iter()
            .filter(|edge| is_seen(&edge.reader) && readable.has(&edge.table_uid))
            .collect(),
    }
}

async fn graph_of_all(State(state): State<AppState>, caller: Caller) -> Result<Json<NodeGraph>, Problem> {
    let host = state.host();
    let readable = readable(host, &caller).await?;
    Ok(Json(seen(host.node_graph(None).await?, &host.store().nodes().await?, &readable)))
}

async fn graph(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<NodeGraph>, Problem> {
    let host = state.host();
    let (node, _) = node_of(host, &caller, &reference, Action::ReadTable).await?;
    let readable = readable(host, &caller).await?;
    let graph = host.node_graph(Some(&node.uid)).await?;
    Ok(Json(seen(graph, &host.store().nodes().await?, &readable)))
}

async fn held(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    let host = state.host();
    let readable = readable(host, &caller).await?;
    let nodes = host.store().nodes().await?;
    let is_seen = |uid: &str| nodes.iter().any(|node| node.uid == uid && readable.has(&node.table_uid));
    let mut held = host.held_nodes().await?;
    held.retain(|held| is_seen(&held.node_uid));
    held.sort_by(|one, other| one.node_uid.cmp(&other.node_uid));
    Ok(page.cut(held, |held| held.node_uid.clone()).answer())
}

/// The state of a node that people change.
fn tag(node: &Node) -> String {
    etag::of(&(&node.uid, &node.settings, &node.pinned_digest))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (node, _) = node_of(state.host(), &caller, &reference, Action::ReadTable).await?;
    let detail = state.host().node_detail(&node.uid).await?;
    // Runs come all the time: the tag is that of what people change, and a whole answer is given every time.
    let mut answer = Json(&detail).into_response();
    if let Ok(value) = tag(&detail.node).parse() {
        answer.headers_mut().insert(axum::http::header::ETAG, value);
    }
    drop(headers);
    Ok(answer)
}

/// What is changed of a node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// `lookback=7d`, as `node set` takes them.
    #[serde(default)]
    settings: Vec<String>,
    #[serde(default)]
    pin: Pin,
}

/// What becomes of a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pin {
    /// Nothing was said.
    #[default]
    Kept,
    /// Null: it is taken back.
    TakenBack,
    /// To a release.
    Set,
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(if Option::<Digest>::deserialize(deserializer)?.is_some() { Self::Set } else { Self::TakenBack })
    }
}

async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    headers: HeaderMap,
    Document(change): Document<Change>,
) -> Result<Json<NodeSet>, Problem> {
    let (node, _) = node_of(state.host(), &caller, &reference, Action::RunNode).await?;
    etag::check(&headers, &tag(&node))?;
    let host = caller.host(&state);
    let changes =
        change.settings.iter().map(|text| SettingChange::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let mut set = match change.pin {
        Pin::Kept if changes.is_empty() => {
            return Err(Problem::usage("nothing to change: give settings, or a pin"));
        }
        Pin::Kept => NodeSet { node, changed: false },
        Pin::TakenBack => {
            let was_pinned = node.pinned_digest.is_some();
            NodeSet { node: host.store().unpin_node(&node.uid).await?, changed: was_pinned }
        }
        Pin::Set => {
            return Err(Problem::usage(
                "a node is pinned when it is created: POST /api/v1/nodes with its pin",
            ));
        }
    };
    if !changes.is_empty() {
        let NodeSet { node, changed } = host.store().set_node(&set.node.uid, &changes).await?;
        set = NodeSet { node, changed: changed || set.changed };
    }
    Ok(Json(set))
}

async fn windows(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    let wanted = params.text("state")?;
    params.end()?;
    let (node, _) = node_of(state.host(), &caller, &reference, Action::ReadTable).await?;
    let windows = state.host().windows_of_node(&node.uid).await?;
    let windows = windows
        .into_iter()
        .filter(|window| wanted.as_ref().is_none_or(|state| state == window.state.as_str()));
    let numbered = windows.enumerate();
    let cut = page.cut(numbered, |(position, _)| format!("{position:012}"));
    let items: Vec<_> = cut.items.into_iter().map(|(_, window)| window).collect();
    Ok(Json(json!({"items": items, "next_cursor": cut.next})))
}

/// Which nodes of a tree are run.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    #[default]
    Tree,
    NodeAlone,
    DependenciesAlone,
}

/// How a node is run.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ordered {
    scope: Which,
    until: Option<Timestamp>,
    force: bool,
    wait_seconds: u64,
    hash_namespace: Option<String>,
    options: BTreeMap<String, Value>,
    /// Answer the first rows that the node wrote, or would write.
    sample: Option<usize>,
    journal: Option<JournalMode>,
    /// Do everything but the commit, for the node alone.
    dry_run: bool,
    /// Statistics that a dry run gives the node: a JSON array, or the text of one.
    statistics: Option<Value>,
}

/// Runtime options of a request.
pub(super) fn bounded(options: BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, Problem> {
    let bytes = serde_json::to_vec(&options).map_or(0, |text| text.len());
    if bytes > MAX_OPTIONS_BYTES {
        return Err(Problem::usage(format!("the options have more than {MAX_OPTIONS_BYTES} bytes")));
    }
    Ok(options)
}

/// How long a run waits for its node.
pub(super) fn wait(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(MOST_WAIT))
}

/// The answer to whoever has begun something.
pub(super) fn begun(execution: &Execution, more: Value) -> Response {
    let mut document = execution.document();
    if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
        document.extend(more);
    }
    let mut answer = (StatusCode::ACCEPTED, Json(document)).into_response();
    if let Ok(place) = format!("/api/v1/executions/{}", execution.id).parse() {
        answer.headers_mut().insert(axum::http::header::LOCATION, place);
    }
    answer
}

/// What an execution over a node is about.
pub(super) fn about(kind: Kind, table: &Table, subject: &str, caller: &Caller) -> About {
    About {
        kind,
        table_uid: Some(table.uid.clone()),
        others: Vec::new(),
        table: Some(table.contract.identifier.clone()),
        subject: subject.chars().take(300).collect(),
        by: by(caller.principal()),
    }
}

async fn run(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    OptionalDocument(asked): OptionalDocument<Ordered>,
) -> Result<Response, Problem> {
    let (node, table) = node_of(state.host(), &caller, &reference, Action::RunNode).await?;
    let namespace = namespace_of(asked.hash_namespace.as_deref())?;
    let sample = asked.sample.map(|rows| rows.min(MAX_SAMPLE_ROWS));
    let statistics = asked.statistics.filter(|given| !given.is_null()).map(|given| match given {
        Value::String(text) => text,
        other => other.to_string(),
    });
    if statistics.is_some() && !asked.dry_run {
        return Err(Problem::usage("statistics are given to dry runs alone"));
    }
    let scope = match asked.scope {
        Which::Tree => Scope::Tree,
        Which::NodeAlone => Scope::NodeAlone,
        Which::DependenciesAlone => Scope::DependenciesAlone,
    };
    let mut others = Vec::new();
    if asked.dry_run {
        may_read_inputs(state.host(), &caller, &node).await?;
    } else {
        // Whatever is run of it, all of it is planned, and created where it is not there.
        others = may_run_tree(state.host(), &caller, request_of(&node, &namespace), Some(&node)).await?;
        others.retain(|uid| scope != Scope::NodeAlone && *uid != table.uid);
    }
    let options = RunOptions {
        scope,
        until: asked.until,
        force: asked.force,
        wait: wait(asked.wait_seconds),
        options: bounded(asked.options)?,
        sample,
        journal: asked.journal,
        ..RunOptions::default()
    };
    let (host, dry_run) = (caller.host(&state), asked.dry_run);
    let kind = if dry_run { Kind::DryRun } else { Kind::Run };
    if !dry_run {
        let detail =
            json!({ "table": table.contract.identifier, "until": options.until, "force": options.force });
        host.note_order("run.order", &node.uid, &node.update_hash, detail).await?;
    }
    let about = About { others, ..about(kind, &table, &reference, &caller) };
    let execution = state.executions().begin(about, move |execution| async move {
        let observer: Arc<dyn Observer> = execution.clone();
        let options = RunOptions { observer, stop: execution.stop.clone(), ..options };
        if dry_run {
            let request = DryRunRequest { statistics, sample: sample.unwrap_or(SAMPLE) };
            let dry = host.dry_run(&node.uid, &namespace, &options, &request).await?;
            return Ok(json!(DryRunDocument::from(dry)));
        }
        let tree = host.run_node(&node.uid, &namespace, &options).await?;
        Ok(if sample.is_some() { json!(DebugRuns::from(tree)) } else { json!(tree.runs) })
    })?;
    Ok(begun(&execution, Value::Null))
}

/// A backfill that is to begin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backfill {
    from: Timestamp,
    to: Timestamp,
    step: Option<String>,
    mode: BackfillMode,
    #[serde(default = "one")]
    concurrency: u16,
    #[serde(default)]
    keep_going: bool,
    #[serde(default)]
    options: BTreeMap<String, Value>,
    journal: Option<JournalMode>,
}

fn one() -> u16 {
    1
}

/// Windows at once, in bounds.
pub(super) fn at_once(concurrency: u16) -> Result<u16, Problem> {
    if (1..=MAX_CONCURRENCY).contains(&concurrency) {
        return Ok(concurrency);
    }
    Err(Problem::usage(format!("`concurrency` is 1 to {MAX_CONCURRENCY}")))
}

async fn backfill(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Backfill>,
) -> Result<Response, Problem> {
    let (node, table) = node_of(state.host(), &caller, &reference, Action::RunNode).await?;
    let order = BackfillOrder {
        from: asked.from,
        to: asked.to,
        step: asked.step.as_deref().map(str::parse::<Step>).transpose()?,
        mode: asked.mode,
        concurrency: at_once(asked.concurrency)?,
        keep_going: asked.keep_going,
        options: bounded(asked.options)?,
    };
    let host = caller.host(&state);
    may_run(&host, &caller, &node).await?;
    let begun_backfill = host.begin_backfill(&node.uid, order).await?;
    let work = BackfillWork { journal: asked.journal, ..BackfillWork::default() };
    let backfill = BackfillDocument::from(&begun_backfill.backfill);
    let execution = work_on(&state, &caller, host, &table, &backfill.backfill_id, work)?;
    Ok(begun(&execution, json!({"backfill": backfill, "warnings": begun_backfill.warnings})))
}

/// Work on a backfill, as an execution.
pub(super) fn work_on(
    state: &AppState,
    caller: &Caller,
    host: Host,
    table: &Table,
    uid: &str,
    work: BackfillWork,
) -> Result<Arc<Execution>, Problem> {
    let about = about(Kind::Backfill, table, uid, caller);
    let uid = uid.to_owned();
    state.executions().begin(about, move |execution| async move {
        let work = BackfillWork {
            observer: execution.clone(),
            progress: execution.clone(),
            stop: execution.stop.clone(),
            ..work
        };
        let backfill = host.work_on_backfill(&uid, &work).await?;
        Ok(json!(BackfillDocument::from(&backfill)))
    })
}
