//! Nodes: what they are, and what is done with them.

use std::collections::{BTreeMap, HashMap, HashSet};
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
use datanode_store::{
    Listing, Node, NodeChange, NodeFilter, NodePlace, NodeSet, StoreError, Table, node_among,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::described::Described;
use crate::executions::{About, Execution, Kind, Reserved, by};
use crate::input::{Document, OptionalDocument, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem, etag};

/// Rows of a frame that a dry run shows, when nobody says how many.
const SAMPLE: usize = 10;
/// Seconds that a run waits for its node at most.
const MOST_WAIT: u64 = 24 * 3_600;
/// Things that are named to whoever has named several at once.
const MOST_CANDIDATES: usize = 10;

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

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] = &[
    Described::of::<Create>(
        "POST",
        "/api/v1/nodes",
        r#"{"component": "fx_log_returns", "table": "fx_log_returns", "config": {"window": 20}}"#,
    ),
    Described::of::<OfWhat>("POST", "/api/v1/nodes/hash", r#"{"component": "fx_log_returns", "config": {}}"#),
    Described::of::<Change>(
        "PATCH",
        "/api/v1/nodes/{reference}",
        r#"{"settings": ["lookback=7d", "retries=3"], "pin": null}"#,
    ),
    Described::of::<Ordered>(
        "POST",
        "/api/v1/nodes/{reference}/runs",
        r#"{"until": "2026-01-31", "wait_seconds": 60, "options": {"region": "emea"}}"#,
    )
    .or_nothing(),
    Described::of::<Backfill>(
        "POST",
        "/api/v1/nodes/{reference}/backfills",
        r#"{"from": "2020-01-01", "to": "2025-12-31", "step": "3mo", "mode": "append_only", "concurrency": 4}"#,
    ),
];

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

    /// Their uids; None: all that there are.
    fn uids(&self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::Some(uids) => Some(uids.iter().cloned().collect()),
        }
    }
}

/// The tables that the caller may read.
pub(super) async fn readable(host: &Host, caller: &Caller) -> Result<Readable, Problem> {
    if caller.can(Action::ReadTable, &Target::Organisation) {
        return Ok(Readable::All);
    }
    let tables = host.store().listed_tables(&Listing::All).await?.into_iter();
    let readable = tables.filter(|table| caller.can_with_listed(Action::ReadTable, table));
    Ok(Readable::Some(readable.map(|table| table.uid).collect()))
}

/// A node whose table the caller may see, and do this with.
pub(super) async fn node_of(
    host: &Host,
    caller: &Caller,
    reference: &str,
    action: Action,
) -> Result<(Node, Table), Problem> {
    caller.has_right_to(action)?;
    let (node, table) = seen_node(host, caller, reference).await?;
    caller.may_of(action, &table, "node", reference)?;
    Ok((node, table))
}

/// The node that a reference means among those whose tables the caller may see: others neither answer to it nor make it
/// ambiguous.
pub(super) async fn seen_node(
    host: &Host,
    caller: &Caller,
    reference: &str,
) -> Result<(Node, Table), Problem> {
    let found = host.store().node(reference).await;
    if let Ok(node) = &found {
        let table = host.store().table(&node.table_uid).await?;
        if caller.sees(&table) {
            return Ok((node.clone(), table));
        }
    } else if !matches!(found, Err(StoreError::Ambiguous { .. })) || caller.sees_all() {
        found?;
    }
    let tables = host.store().tables().await?;
    let seen: Vec<Table> = tables.into_iter().filter(|table| caller.sees(table)).collect();
    let table_uids = Some(seen.iter().map(|table| table.uid.clone()).collect());
    let nodes = host.store().some_nodes(&NodeFilter { table_uids, ..NodeFilter::default() }).await?;
    let node = node_among(reference, &nodes)?;
    let table = seen.into_iter().find(|table| table.uid == node.table_uid);
    let gone = || StoreError::NotFound { kind: "node", reference: reference.to_owned() };
    Ok((node, table.ok_or_else(gone)?))
}

/// The one thing that a reference means, of those that begin with it.
pub(super) fn only(kind: &'static str, reference: &str, mut found: Vec<String>) -> Result<String, Problem> {
    let reference = reference.to_owned();
    if found.len() > 1 {
        found.truncate(MOST_CANDIDATES);
        return Err(StoreError::Ambiguous { kind, reference, candidates: found }.into());
    }
    Ok(found.pop().ok_or(StoreError::NotFound { kind, reference })?)
}

/// Refuse what the caller may not do with a table that a node reads or writes. The node is there for them; one of its tables
/// that they may not even see is not named.
pub(super) fn of_the_node(caller: &Caller, action: Action, table: &Table) -> Result<(), Problem> {
    if caller.sees(table) {
        return caller.may_with(action, table);
    }
    let (who, doing) = (by(caller.principal()), action.as_str());
    let text =
        format!("{who} may not {doing} all tables that the node reads and writes: one is not theirs to see");
    Err(Problem::new(StatusCode::FORBIDDEN, "access.role_missing", text)
        .with_next("ask an admin of the organisation for a role on each of them"))
}

/// A tree writes the tables of all its nodes, and reads others: the caller must be allowed each of it. The uids of those that
/// it writes.
async fn may_run_tree(
    host: &Host,
    caller: &Caller,
    request: NodeRequest,
    node: Option<&Node>,
) -> Result<Vec<String>, Problem> {
    // What is asked for anew is made of tables that the caller may see; a node of the catalogue, of its own.
    let tables = match node {
        Some(_) => host.tables_of_tree(request, node).await?,
        None => seeing(host, caller).tables_of_tree(request, None).await?,
    };
    for table in &tables.written {
        of_the_node(caller, Action::RunNode, table)?;
    }
    for uid in &tables.read {
        of_the_node(caller, Action::ReadTable, &host.store().table(uid).await?)?;
    }
    Ok(tables.written.into_iter().map(|table| table.uid).collect())
}

/// The same before a node of the catalogue is run for itself: all of its tree is planned.
pub(super) async fn may_run(host: &Host, caller: &Caller, node: &Node) -> Result<(), Problem> {
    may_run_tree(host, caller, request_of(node, ""), Some(node)).await.map(drop)
}

/// A dry run shows what a node makes of its inputs: the caller must be allowed to read them. The uids of their tables.
async fn may_read_inputs(host: &Host, caller: &Caller, node: &Node) -> Result<Vec<String>, Problem> {
    let mut read = Vec::with_capacity(node.dependencies.len());
    for dependency in &node.dependencies {
        of_the_node(caller, Action::ReadTable, &host.store().table(&dependency.table_uid).await?)?;
        read.push(dependency.table_uid.clone());
    }
    Ok(read)
}

/// The host as the caller sees it: tables that they may not see are not there when a config names them.
pub(super) fn seeing(host: &Host, caller: &Caller) -> Host {
    let caller = caller.clone();
    host.seeing(Arc::new(move |table| caller.sees(table)))
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
    let filter = NodeFilter {
        table_uids: readable.uids(),
        after: page.after.as_deref().map(place),
        // One more than the page has: whether there is another page.
        limit: Some(u32::try_from(page.limit + 1).unwrap_or(u32::MAX)),
        ..NodeFilter::default()
    };
    let seen = state.host().store().some_nodes(&filter).await?;
    Ok(page.cut(seen, key).answer())
}

fn key(node: &Node) -> String {
    format!("{}\u{1}{}\u{1}{}", node.table, node.update_hash, node.uid)
}

/// The place of a node with this key. (Output table and `update_hash` are of one node alone.)
fn place(key: &str) -> NodePlace {
    let mut parts = key.split('\u{1}').map(str::to_owned);
    NodePlace { table: parts.next().unwrap_or_default(), update_hash: parts.next().unwrap_or_default() }
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
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NewNode")]
#[serde(deny_unknown_fields)]
struct Create {
    /// Name of its component.
    component: String,
    /// Identifier or uid of the table that it writes.
    table: String,
    /// Its config; empty where nothing is said.
    #[schemars(with = "Option<Map<String, Value>>")]
    config: Option<Box<RawValue>>,
    /// The same as a text, as a person has written it: errors name places in it.
    config_text: Option<String>,
    /// Keeps it apart from nodes that are otherwise the same.
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
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "IdentityRequest")]
#[serde(deny_unknown_fields)]
struct OfWhat {
    /// A node: its `update_hash`, the beginning of it, its table, or its uid.
    node: Option<String>,
    /// In its place: name of a component.
    component: Option<String>,
    /// Config for the component; empty where nothing is said.
    #[schemars(with = "Option<Map<String, Value>>")]
    config: Option<Box<RawValue>>,
    /// The same as a text, as a person has written it: errors name places in it.
    config_text: Option<String>,
    /// Identifier or uid of the table that the component would write.
    table: Option<String>,
    /// Keeps it apart from nodes that are otherwise the same.
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
    Ok(Json(seeing(host, &caller).identify(request).await?))
}

/// A graph without the tables that the caller may not read.
fn seen(graph: NodeGraph, nodes: &[Node], readable: &Readable) -> NodeGraph {
    let tables: HashMap<&str, &str> =
        nodes.iter().map(|node| (node.uid.as_str(), node.table_uid.as_str())).collect();
    let is_seen = |uid: &str| tables.get(uid).is_some_and(|table| readable.has(table));
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
    let mut held = host.held_nodes().await?;
    let uids = held.iter().map(|held| held.node_uid.clone()).collect();
    let wanted = NodeFilter { uids: Some(uids), table_uids: readable.uids(), ..NodeFilter::default() };
    let nodes = host.store().some_nodes(&wanted).await?;
    let seen: HashSet<String> = nodes.into_iter().map(|node| node.uid).collect();
    held.retain(|held| seen.contains(&held.node_uid));
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
    let mut detail = state.host().node_detail(&node.uid).await?;
    if !detail.moved.is_empty() {
        // What is not for the caller has no name, and holds none.
        let readable = readable(state.host(), &caller).await?;
        for moved in &mut detail.moved {
            moved.bound_table.take_if(|_| !readable.has(&moved.bound_uid));
            moved.names_uid.take_if(|uid| !readable.has(uid));
        }
    }
    // Runs come all the time: the tag is that of what people change, and a whole answer is given every time.
    let mut answer = Json(&detail).into_response();
    if let Ok(value) = tag(&detail.node).parse() {
        answer.headers_mut().insert(axum::http::header::ETAG, value);
    }
    drop(headers);
    Ok(answer)
}

/// What is changed of a node.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NodeChange")]
#[serde(deny_unknown_fields)]
struct Change {
    /// `lookback=7d`, as `node set` takes them.
    #[serde(default)]
    settings: Vec<String>,
    /// Null takes its pin back. Left out, it stays; a release is given when a node is created.
    #[serde(default)]
    #[schemars(with = "()")]
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
    let settings =
        change.settings.iter().map(|text| SettingChange::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let unpin = match change.pin {
        Pin::Kept if settings.is_empty() => {
            return Err(Problem::usage("nothing to change: give settings, or a pin"));
        }
        Pin::Kept => false,
        Pin::TakenBack => true,
        Pin::Set => {
            return Err(Problem::usage(
                "a node is pinned when it is created: POST /api/v1/nodes with its pin",
            ));
        }
    };
    let uid = node.uid.clone();
    let change = NodeChange { settings, unpin, seen: etag::names_state(&headers).then_some(node) };
    let set = caller.host(&state).store().change_node(&uid, &change).await;
    Ok(Json(set.map_err(etag::refused)?))
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
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[schemars(rename = "RunScope")]
#[serde(rename_all = "snake_case")]
enum Which {
    /// Dependencies first, then the node.
    #[default]
    Tree,
    /// The node alone, on what its dependencies have stored.
    NodeAlone,
    /// The dependencies, and not the node.
    DependenciesAlone,
}

/// How a node is run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "RunOrder")]
#[serde(default, deny_unknown_fields)]
struct Ordered {
    /// Which nodes are run.
    scope: Which,
    /// Where windows end, in the place of the last complete period.
    until: Option<Timestamp>,
    /// Call nodes whose window is empty, too.
    force: bool,
    /// Seconds that a run waits for a node that another run holds: at most a day.
    wait_seconds: u64,
    /// Run the node of this hash namespace, and create it where it is not there.
    hash_namespace: Option<String>,
    /// Runtime options that guests may ask for: never hashed.
    options: BTreeMap<String, Value>,
    /// Answer the first rows that the node wrote, or would write.
    sample: Option<usize>,
    /// What is kept of that which the guests are given, in the place of the server's own setting.
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
        reads: Vec::new(),
        sources: false,
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
    let (mut others, mut reads) = (Vec::new(), Vec::new());
    if asked.dry_run {
        reads = may_read_inputs(state.host(), &caller, &node).await?;
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
    let place = state.executions().reserve()?;
    if !dry_run {
        let detail =
            json!({ "table": table.contract.identifier, "until": options.until, "force": options.force });
        host.note_order("run.order", &node.uid, &node.update_hash, detail).await?;
    }
    let about = About { others, reads, ..about(kind, &table, &reference, &caller) };
    let execution = place.begin(about, move |execution| async move {
        let observer: Arc<dyn Observer> = execution.clone();
        let options = RunOptions { observer, stop: execution.stop.clone(), ..options };
        if dry_run {
            let request = DryRunRequest { statistics, sample: sample.unwrap_or(SAMPLE) };
            let dry = host.dry_run(&node.uid, &namespace, &options, &request).await?;
            return Ok(json!(DryRunDocument::from(dry)));
        }
        let tree = host.run_node(&node.uid, &namespace, &options).await?;
        Ok(if sample.is_some() { json!(DebugRuns::from(tree)) } else { json!(tree.runs) })
    });
    Ok(begun(&execution, Value::Null))
}

/// A backfill that is to begin.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NewBackfill")]
#[serde(deny_unknown_fields)]
struct Backfill {
    /// First moment, inclusive.
    from: Timestamp,
    /// Last moment, inclusive.
    to: Timestamp,
    /// How long each window is, such as `3mo`, or how many periods of the table; without it, all of it is one window.
    step: Option<String>,
    /// What becomes of rows that are there already.
    mode: BackfillMode,
    /// Windows that are worked on at once: 1 to 32.
    #[serde(default = "one")]
    concurrency: u16,
    /// Go on with the other windows when one has failed.
    #[serde(default)]
    keep_going: bool,
    /// Runtime options that guests may ask for: never hashed.
    #[serde(default)]
    options: BTreeMap<String, Value>,
    /// Of the node of this hash namespace.
    hash_namespace: Option<String>,
    /// What is kept of that which the guests are given, in the place of the server's own setting.
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
        hash_namespace: namespace_of(asked.hash_namespace.as_deref())?,
    };
    let host = caller.host(&state);
    may_run_tree(&host, &caller, request_of(&node, &order.hash_namespace), Some(&node)).await?;
    // Before there is a backfill: whoever is refused for want of a place asks again, and would have two.
    let place = state.executions().reserve()?;
    let begun_backfill = host.begin_backfill(&node.uid, order).await?;
    let work = BackfillWork { journal: asked.journal, ..BackfillWork::default() };
    let backfill = BackfillDocument::from(&begun_backfill.backfill);
    let execution = work_on(place, &caller, host, &table, &backfill.backfill_id, work);
    Ok(begun(&execution, json!({"backfill": backfill, "warnings": begun_backfill.warnings})))
}

/// Work on a backfill, as an execution that has its place.
pub(super) fn work_on(
    place: Reserved,
    caller: &Caller,
    host: Host,
    table: &Table,
    uid: &str,
    work: BackfillWork,
) -> Arc<Execution> {
    let about = about(Kind::Backfill, table, uid, caller);
    let uid = uid.to_owned();
    place.begin(about, move |execution| async move {
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
