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
use datanode_store::{DeleteAfter, DeleteScope, Loaded, RegisteredTable, Repointed, StoreError, Table};
use serde::Deserialize;
use serde_json::Value;

use crate::auth::Caller;
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

/// Tables that are looked at at a time.
const PIECE: u32 = 200;

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
    let wanted = |table: &Table| {
        caller.can_with(Action::ReadTable, table)
            && namespace.as_ref().is_none_or(|name| table.contract.namespace.as_ref() == Some(name))
            && label.as_ref().is_none_or(|label| table.contract.labels.contains(label))
    };
    // Piece by piece: a catalogue may have more tables than anybody wants to see at once.
    let (mut found, mut behind) = (Vec::new(), page.after.clone().unwrap_or_default());
    while found.len() <= page.limit {
        let piece = state.host().store().tables_after(&behind, PIECE).await?;
        let Some(last) = piece.last() else { break };
        behind.clone_from(&last.contract.identifier);
        found.extend(piece.into_iter().filter(wanted));
    }
    let cut = page.cut(found, |table| table.contract.identifier.clone());
    // What they hold is looked up for those of the page alone.
    let items = state.host().listed(cut.items).await?;
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
    caller.may_refer(&host, &contract, held.as_ref()).await?;
    let registered = host.register_table(&contract).await?;
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
    Ok(Json(state.host().contract_difference(&contract).await?))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let table = caller.table(state.host(), &reference, Action::ReadTable).await?;
    let detail = state.host().table_detail(&table.uid).await?;
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
    let changed: RegisteredTable = caller.host(&state).store().edit_table(&table.uid, &edit).await?;
    let tag = tag(&changed.value);
    Ok(etag::answer(&HeaderMap::new(), &changed, &tag))
}

/// Where an identifier goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repoint {
    to: String,
    rename_old: Option<String>,
}

async fn repoint(
    State(state): State<AppState>,
    caller: Caller,
    Place(identifier): Place<String>,
    Document(Repoint { to, rename_old }): Document<Repoint>,
) -> Result<Json<Repointed>, Problem> {
    caller.table(state.host(), &to, Action::ReshapeTable).await?;
    match state.host().store().table(&identifier).await {
        Ok(holder) => {
            caller.may_with(Action::ReshapeTable, &holder)?;
        }
        // An identifier that nobody holds is free to take.
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let host = caller.host(&state);
    Ok(Json(host.store().repoint(&identifier, &to, rename_old.as_deref()).await?))
}

/// Whose a table is to be.
#[derive(Debug, Deserialize)]
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    after: Timestamp,
    #[serde(default)]
    scope: ScopeDocument,
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    sql: String,
    max_rows: Option<usize>,
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
