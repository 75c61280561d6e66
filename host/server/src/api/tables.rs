//! Tables: what they are, and what people change of them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use datanode_core::Timestamp;
use datanode_core::access::{Action, Target};
use datanode_core::contract::{Contract, MetadataEdit, TableKind};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::sql::{SqlAnswer, SqlLimits};
use datanode_runtime::FileFormat;
use datanode_runtime::answers::{
    DeletedTail, DifferenceDocument, ScopeDocument, TableDigest, TableStatistics, VerifiedTable,
};
use datanode_store::{
    DeleteAfter, DeleteScope, ListedTable, Listing, Loaded, RegisteredTable, Repointed, StoreError, Table,
    TableEdit,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::nodes::readable;
use crate::auth::{Caller, JUDGED_AGAIN};
use crate::described::Described;
use crate::guard::body_problem;
use crate::input::{self, Document, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem, etag};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/tables", get(list).post(register))
        .route("/api/v1/tables/diff", post(diff))
        .route("/api/v1/tables/{reference}", get(show).patch(edit))
        .route("/api/v1/tables/{reference}/repoint", post(repoint))
        .route("/api/v1/tables/{reference}/owner", post(give))
        .route("/api/v1/tables/{reference}/digest", get(digest))
        .route("/api/v1/tables/{reference}/statistics", get(statistics))
        .route("/api/v1/tables/{reference}/statistics/verify", post(verify))
        .route("/api/v1/tables/{reference}/delete-after", post(delete_after))
        .route("/api/v1/tables/{reference}/query", post(query))
        .route("/api/v1/tables/{reference}/load", post(load))
}

/// Tables that are looked at at a time, where not all of a page's are wanted.
const PIECE: u32 = 2_000;

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] = &[
    Described::of::<Contract>("POST", "/api/v1/tables", CONTRACT),
    Described::of::<Contract>("POST", "/api/v1/tables/diff", CONTRACT),
    Described::of::<MetadataEdit>(
        "PATCH",
        "/api/v1/tables/{reference}",
        r#"{"add_labels": ["fx"], "column_descriptions": [["rate", "Units of the currency per euro."]]}"#,
    ),
    Described::of::<Repoint>(
        "POST",
        "/api/v1/tables/{reference}/repoint",
        r#"{"to": "fx_rates_2", "rename_old": "fx_rates_1"}"#,
    ),
    Described::of::<Give>("POST", "/api/v1/tables/{reference}/owner", r#"{"user": "ada"}"#),
    Described::of::<Tail>(
        "POST",
        "/api/v1/tables/{reference}/delete-after",
        r#"{"after": "2026-01-31", "scope": {"where": {"currency": ["USD", "GBP"]}}, "dry_run": true}"#,
    ),
    Described::of::<Statement>(
        "POST",
        "/api/v1/tables/{reference}/query",
        r#"{"sql": "SELECT currency, max(rate) AS highest FROM fx_rates GROUP BY currency", "max_rows": 1000}"#,
    ),
];

/// A contract, for an example.
const CONTRACT: &str = r#"{
    "identifier": "fx_rates",
    "description": "Euro reference rates: one row per day and currency, for conversion and returns.",
    "cadence": "1d",
    "index": ["time_index", "currency"],
    "columns": [
        {"name": "time_index", "type": "timestamp_tz", "description": "The day of the rate."},
        {"name": "currency", "type": "string", "description": "ISO 4217 code."},
        {"name": "rate", "type": "float64", "nullable": true, "description": "Units of the currency per euro."}
    ]
}"#;

/// The same as TOML.
pub(crate) const CONTRACT_TOML: &str = r#"identifier = "fx_rates"
description = "Euro reference rates: one row per day and currency, for conversion and returns."
cadence = "1d"
index = ["time_index", "currency"]

[[columns]]
name = "time_index"
type = "timestamp_tz"
description = "The day of the rate."

[[columns]]
name = "currency"
type = "string"
description = "ISO 4217 code."

[[columns]]
name = "rate"
type = "float64"
nullable = true
description = "Units of the currency per euro."
"#;

/// The state of a table that people change: its contract and whose it is, and not its rows.
fn tag(table: &Table) -> String {
    etag::of(&(&table.contract, &table.owner))
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    let namespace = params.text("namespace")?;
    let label = params.text("label")?;
    params.end()?;
    // Also where there is no table to ask for.
    caller.needs_no_role();
    let wanted = |table: &ListedTable| {
        caller.can_with_listed(Action::ReadTable, table)
            && namespace.as_ref().is_none_or(|name| table.namespace.as_ref() == Some(name))
            && label.as_ref().is_none_or(|label| table.labels.contains(label))
    };
    let store = state.host().store();
    // Piece by piece: a catalogue may have more tables than anybody wants to see at once. One more than the page has says
    // whether there is another page.
    let mut limit = u32::try_from(page.limit + 1).unwrap_or(PIECE);
    let (mut found, mut identifier) = (Vec::new(), page.after.clone().unwrap_or_default());
    while found.len() <= page.limit {
        let piece = store.listed_tables(&Listing::After { identifier: identifier.clone(), limit }).await?;
        let is_last = piece.len() < limit as usize;
        if let Some(last) = piece.last() {
            identifier.clone_from(&last.identifier);
        }
        found.extend(piece.into_iter().filter(wanted));
        if is_last {
            break;
        }
        limit = PIECE;
    }
    let cut = page.cut(found, |table| table.identifier.clone());
    // Their contracts, and what they hold, are looked up for those of the page alone, and for all of them at once.
    let uids: Vec<String> = cut.items.into_iter().map(|table| table.uid).collect();
    let items = state.host().listed(store.tables_called(&uids).await?).await?;
    Ok(Json(serde_json::json!({"items": items, "next_cursor": cut.next})))
}

/// A contract: JSON or TOML.
async fn contract(headers: &HeaderMap, body: axum::body::Body) -> Result<Contract, Problem> {
    let kind = input::content_type(headers);
    let bytes = input::whole(body).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Problem::usage("the contract is not UTF-8"))?;
    match kind.as_str() {
        "application/json" => {
            // Read once for zero bytes, which no contract has.
            input::parse::<Value>(&bytes)?;
            Ok(Contract::from_json(text)?)
        }
        "application/toml" | "text/toml" => Ok(Contract::from_toml(text)?),
        _ => Err(input::media_type("application/json or application/toml")),
    }
}

async fn register(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let contract = contract(&headers, request.into_body()).await?;
    let host = caller.host(&state);
    let mut again = 0;
    let registered = loop {
        // A table that is there is changed, and by whoever may change it.
        let held = match host.store().table(&contract.identifier).await {
            Ok(table) => {
                if !caller.can_with(Action::ReadTable, &table) {
                    // Its name is taken, which whoever registers must be told.
                    caller.may(Action::EditTable, &Target::Organisation)?;
                }
                caller.may_with(Action::EditTable, &table)?;
                Some(table)
            }
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        caller.may(Action::RegisterTable, &Target::Namespace(contract.namespace.as_deref()))?;
        let judged = caller.may_refer(&host, &contract, held.as_ref()).await?;
        match host.store().register_as_judged(&judged, held.as_ref(), datanode_runtime::now()).await {
            Err(StoreError::Changed { .. }) if again < JUDGED_AGAIN => again += 1,
            registered => break registered?,
        }
    };
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(registered)).into_response())
}

async fn diff(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Json<DifferenceDocument>, Problem> {
    let contract = contract(&headers, request.into_body()).await?;
    let table = caller.table(state.host(), &contract.identifier, Action::ReadTable).await?;
    caller.may_refer(state.host(), &contract, Some(&table)).await?;
    let difference = state.host().contract_difference(&contract).await?;
    if difference.uid != table.uid {
        // Another table has taken the identifier over, which the caller need not be allowed to see.
        return Err(StoreError::Changed { kind: "table", name: contract.identifier }.into());
    }
    Ok(Json(difference))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let table = caller.table(state.host(), &reference, Action::ReadTable).await?;
    let mut detail = state.host().table_detail(&table.uid).await?;
    if !detail.referred_to_by.is_empty() {
        // What refers to it and is not for the caller is not named.
        let readable = readable(state.host(), &caller).await?;
        detail.referred_to_by.retain(|referrer| readable.has(&referrer.uid));
    }
    let tag = tag(&detail.listed.table);
    Ok(etag::answer(&headers, &detail, &tag))
}

async fn edit(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    headers: HeaderMap,
    Document(edit): Document<MetadataEdit>,
) -> Result<Response, Problem> {
    let table = caller.table(state.host(), &reference, Action::EditTable).await?;
    etag::check(&headers, &tag(&table))?;
    if edit == MetadataEdit::default() {
        return Err(Problem::usage("nothing to change: give labels or descriptions"));
    }
    let seen = etag::names_state(&headers).then(|| table.clone());
    let edit = TableEdit { metadata: edit, seen, ..TableEdit::default() };
    let changed = caller.host(&state).store().change_table(&table.uid, &edit).await;
    let changed: RegisteredTable = changed.map_err(etag::refused)?;
    let tag = tag(&changed.value);
    Ok(etag::answer(&HeaderMap::new(), &changed, &tag))
}

/// Where an identifier goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Repoint {
    /// Identifier or uid of the table that takes it over.
    to: String,
    /// What the table is called from now on that has had it.
    rename_old: Option<String>,
}

async fn repoint(
    State(state): State<AppState>,
    caller: Caller,
    Place(identifier): Place<String>,
    Document(Repoint { to, rename_old }): Document<Repoint>,
) -> Result<Json<Repointed>, Problem> {
    let meant = caller.table(state.host(), &to, Action::ReshapeTable).await?;
    let holder = match state.host().store().table(&identifier).await {
        Ok(holder) => {
            caller.may_with(Action::ReshapeTable, &holder)?;
            // A uid is no identifier, which is said where it is to become one.
            Some(holder).filter(|holder| holder.contract.identifier == identifier)
        }
        // An identifier that nobody holds is free to take.
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let (host, rename_old) = (caller.host(&state), rename_old.as_deref());
    let repointed =
        host.store().repoint_as_judged(&identifier, &to, rename_old, &meant, holder.as_ref()).await?;
    Ok(Json(repointed))
}

/// Whose a table is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Owner")]
#[serde(deny_unknown_fields)]
struct Give {
    /// Username, uid or number; null: nobody's.
    user: Option<String>,
}

async fn give(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(Give { user }): Document<Give>,
) -> Result<Json<Table>, Problem> {
    let table = caller.table(state.host(), &reference, Action::ShareTable).await?;
    Ok(Json(caller.host(&state).give_table(&table.uid, user.as_deref()).await?))
}

async fn digest(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<TableDigest>, Problem> {
    let table = caller.table(state.host(), &reference, Action::ReadTable).await?;
    Ok(Json(state.host().table_digest(&table.uid, &|_| {}).await?))
}

async fn time_indexed(
    state: &AppState,
    caller: &Caller,
    reference: &str,
    action: Action,
) -> Result<Table, Problem> {
    let table = caller.table(state.host(), reference, action).await?;
    if table.contract.kind == TableKind::TimeIndexed {
        return Ok(table);
    }
    Err(StoreError::NoTail { table: table.contract.identifier }.into())
}

async fn statistics(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<TableStatistics>, Problem> {
    let table = time_indexed(&state, &caller, &reference, Action::ReadTable).await?;
    Ok(Json(state.host().table_statistics(&table.uid).await?))
}

async fn verify(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<VerifiedTable>, Problem> {
    let table = time_indexed(&state, &caller, &reference, Action::ReadTable).await?;
    Ok(Json(state.host().verified_table(&table.uid).await?))
}

/// A tail that is to go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tail {
    /// Rows of later moments go.
    after: Timestamp,
    /// Of which coordinates; of all of them where nothing is said.
    #[serde(default)]
    scope: ScopeDocument,
    /// Count the rows, and delete none.
    #[serde(default)]
    dry_run: bool,
}

async fn delete_after(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(Tail { after, scope, dry_run }): Document<Tail>,
) -> Result<Json<DeletedTail>, Problem> {
    let table = time_indexed(&state, &caller, &reference, Action::EditTable).await?;
    let scope = scope_of(&table.contract, scope)?;
    let query = datanode_runtime::answers::tail_query(after, &scope);
    query.check(&table.contract).map_err(|error| Problem::usage(error.to_string()))?;
    let delete = DeleteAfter { table_uid: table.uid, after, scope };
    let host = caller.host(&state);
    Ok(Json(if dry_run { host.count_tail(&delete).await? } else { host.delete_tail(&delete).await? }))
}

fn scope_of(contract: &Contract, scope: ScopeDocument) -> Result<DeleteScope, Problem> {
    let value = |dimension: &str, value: &Value| -> Result<CoordinateValue, Problem> {
        let known = contract.key_dimensions().iter().any(|name| name == dimension);
        let column = contract.column(dimension).filter(|_| known).ok_or_else(|| {
            let name = &contract.identifier;
            Problem::usage(format!("table `{name}` has no identity dimension `{dimension}`"))
        })?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => {
                return Err(Problem::usage(format!(
                    "dimension `{dimension}`: a text, number or truth value is wanted"
                )));
            }
        };
        CoordinateValue::parse(&text, column.data_type)
            .map_err(|error| Problem::usage(format!("dimension `{dimension}`: {error}")))
    };
    match scope {
        ScopeDocument { filters: Some(_), coordinates: Some(_) } => {
            Err(Problem::usage("a scope has either `where` or `coordinates`"))
        }
        ScopeDocument { filters: Some(filters), .. } => {
            let one = |(name, allowed): (String, Vec<Value>)| {
                let allowed = allowed.iter().map(|one| value(&name, one)).collect::<Result<Vec<_>, _>>()?;
                Ok((name, allowed))
            };
            Ok(DeleteScope::DimensionFilters(filters.into_iter().map(one).collect::<Result<_, Problem>>()?))
        }
        ScopeDocument { coordinates: Some(coordinates), .. } => {
            let one = |partial: std::collections::BTreeMap<String, Value>| {
                partial
                    .iter()
                    .map(|(name, one)| Ok((name.clone(), value(name, one)?)))
                    .collect::<Result<Vec<_>, Problem>>()
            };
            Ok(DeleteScope::IndexCoordinates(
                coordinates.into_iter().map(one).collect::<Result<_, Problem>>()?,
            ))
        }
        ScopeDocument { .. } => Ok(DeleteScope::All),
    }
}

/// A statement, and its bounds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Statement {
    /// One SELECT over the table, by its identifier.
    sql: String,
    /// Rows of the answer at most: no more than a million.
    max_rows: Option<usize>,
    /// Seconds that it may take: 1 to 600.
    timeout_seconds: Option<u64>,
}

/// Rows of an answer at most: it is held in memory.
const MOST_ROWS: usize = 1_000_000;
/// Seconds of a statement at most.
const MOST_SECONDS: u64 = 600;

async fn query(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(statement): Document<Statement>,
) -> Result<Json<SqlAnswer>, Problem> {
    let table = caller.table(state.host(), &reference, Action::ReadTable).await?;
    let default = SqlLimits::default();
    let limits = SqlLimits {
        max_rows: statement.max_rows.unwrap_or(default.max_rows).min(MOST_ROWS),
        timeout: statement.timeout_seconds.map_or(default.timeout, |seconds| {
            std::time::Duration::from_secs(seconds.clamp(1, MOST_SECONDS))
        }),
        ..default
    };
    let store = state.host().store().read_only_sql()?;
    Ok(Json(store.run_sql(&table, &statement.sql, &limits).await?))
}

/// The format of a file, by its type or by name.
fn format_of(headers: &HeaderMap, params: &mut Params) -> Result<FileFormat, Problem> {
    let named = params.text("format")?;
    let kind = input::content_type(headers);
    match named.as_deref().unwrap_or(&kind) {
        "csv" | "text/csv" => Ok(FileFormat::Csv),
        "parquet" | "application/vnd.apache.parquet" => Ok(FileFormat::Parquet),
        "arrow" | "application/vnd.apache.arrow.stream" | "application/vnd.apache.arrow.file" => {
            Ok(FileFormat::Arrow)
        }
        _ if named.is_some() => Err(Problem::usage("the parameter `format` is csv, parquet or arrow")),
        _ => Err(input::media_type(
            "text/csv, application/vnd.apache.parquet or application/vnd.apache.arrow.stream",
        )),
    }
}

async fn load(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    mut params: Params,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Json<Loaded>, Problem> {
    let table = caller.table(state.host(), &reference, Action::EditTable).await?;
    let format = format_of(&headers, &mut params)?;
    let replace = params.flag("replace")?;
    params.end()?;
    let machine = |error: std::io::Error| {
        tracing::error!(error = %error, "the rows of a load cannot be kept");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server.upload_storage", "the rows cannot be kept now")
    };
    // On a disk until they are loaded: readers of these formats go back and forth. Gone when it is dropped.
    let place = state.settings().upload_directory.clone();
    let directory = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&place)?;
        tempfile::Builder::new().prefix("load-").tempdir_in(&place)
    });
    let directory =
        directory.await.map_err(|_| Problem::bug("a directory was being made"))?.map_err(machine)?;
    let path = directory.path().join("rows");
    let mut file = tokio::fs::File::create(&path).await.map_err(machine)?;
    let mut body = request.into_body();
    while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
        let frame = frame.map_err(|error| body_problem(&error))?;
        if let Ok(data) = frame.into_data() {
            tokio::io::AsyncWriteExt::write_all(&mut file, &data).await.map_err(machine)?;
        }
    }
    tokio::io::AsyncWriteExt::flush(&mut file).await.map_err(machine)?;
    drop(file);
    let loaded = caller.host(&state).load_table(&table.uid, &path, Some(format), replace).await;
    // Errors name the file, which has another name for whoever sent it.
    loaded.map(Json).map_err(|error| {
        let mut problem = Problem::from(error);
        problem.detail = problem.detail.replace(&path.display().to_string(), "the body");
        problem
    })
}
