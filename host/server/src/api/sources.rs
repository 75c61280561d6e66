//! Sources, and who may read them.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use datanode_core::name::check_name;
use datanode_core::source::{BaseUrl, HttpRules};
use datanode_runtime::RuntimeError;
use datanode_store::Source;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::auth::Caller;
use crate::described::Described;
use crate::input::{Document, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem, etag};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/sources", get(list).post(add))
        .route("/api/v1/sources/{name}", get(show).put(replace).delete(remove))
        .route("/api/v1/sources/{name}/grants/{component}", post(grant).delete(revoke))
}

async fn list(State(state): State<AppState>, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    let mut sources = state.host().store().sources().await?;
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(page.cut(sources, |source| source.name.clone()).answer())
}

async fn show(
    State(state): State<AppState>,
    Place(name): Place<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let source = state.host().store().source(&name).await?;
    let tag = etag::of(&source);
    Ok(etag::answer(&headers, &source, &tag))
}

/// What leads to files and variables of this machine is for those who have the machine, unless its operator says otherwise.
pub(super) fn of_this_machine(state: &AppState, caller: &Caller, what: &str) -> Result<(), Problem> {
    if caller.principal().user.is_none() || state.settings().machine_paths {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "server.machine_paths",
        format!("{what} of the server's machine cannot be named through it"),
    )
    .with_next(
        "do it on that machine, or let admins do so: `machine_paths = true` under [server] in datanode.toml",
    ))
}

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] = &[
    Described::of::<Add>(
        "POST",
        "/api/v1/sources",
        r#"{
            "name": "prices",
            "http": {
                "base_url": "https://prices.example/",
                "paths": ["v1/**"],
                "headers": [{"name": "Authorization", "value": "Bearer {secret:prices}"}]
            },
            "grants": ["fx_log_returns"]
        }"#,
    ),
    Described::of::<Rules>(
        "PUT",
        "/api/v1/sources/{name}",
        r#"{"base_url": "https://prices.example/", "methods": ["GET"], "paths": ["v1/daily/*"]}"#,
    ),
];

/// Rules as they are written: only the place has to be said.
struct Rules;

impl JsonSchema for Rules {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpRules".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = HttpRules::json_schema(generator);
        schema.insert("required".to_owned(), serde_json::json!(["base_url"]));
        schema
    }
}

/// A source that is to be there.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NewSource")]
#[serde(deny_unknown_fields)]
struct Add {
    /// Its name: lower-case letters, digits and `_`, a letter first.
    name: String,
    /// A directory or a file of the server's machine.
    path: Option<PathBuf>,
    /// A place that is asked by HTTP: its `base_url`, and what its rules are beside the defaults.
    #[schemars(with = "Option<Rules>")]
    http: Option<Map<String, Value>>,
    /// Let one that is there lead elsewhere.
    #[serde(default)]
    replace: bool,
    /// Components that may read it.
    #[serde(default)]
    grants: Vec<String>,
}

/// Rules as they are written: what is left out is as it is of a new source.
fn rules_of(given: Map<String, Value>) -> Result<HttpRules, Problem> {
    let unread = |error: serde_json::Error| Problem::usage(format!("the rules cannot be read: {error}"));
    let base_url = given.get("base_url").and_then(Value::as_str).unwrap_or_default();
    let mut rules = serde_json::to_value(HttpRules::new(BaseUrl::parse(base_url)?)).map_err(unread)?;
    if let Some(rules) = rules.as_object_mut() {
        rules.extend(given);
    }
    serde_json::from_value(rules).map_err(unread)
}

async fn add(
    State(state): State<AppState>,
    caller: Caller,
    Document(asked): Document<Add>,
) -> Result<Response, Problem> {
    // All names first: what is refused leaves nothing behind.
    for component in &asked.grants {
        check_name("component name", component).map_err(|error| Problem::usage(error.to_string()))?;
    }
    let host = caller.host(&state);
    let mut added = match (asked.path, asked.http) {
        (Some(path), None) => {
            of_this_machine(&state, &caller, "directories")?;
            host.add_file_source(&asked.name, &path, asked.replace).await?
        }
        (None, Some(rules)) => {
            let rules = rules_of(rules)?;
            if rules.ca_file.is_some() {
                of_this_machine(&state, &caller, "files of authorities")?;
            }
            host.add_http_source(&asked.name, rules, asked.replace).await?
        }
        _ => return Err(Problem::usage("give either `path` or `http`")),
    };
    for component in &asked.grants {
        host.grant_source(&asked.name, component).await?;
    }
    added.value = host.store().source(&asked.name).await?;
    let status = if added.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(added)).into_response())
}

async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    Place(name): Place<String>,
    headers: HeaderMap,
    Document(rules): Document<Map<String, Value>>,
) -> Result<Response, Problem> {
    let rules = rules_of(rules)?;
    let host = caller.host(&state);
    let source = host.store().source(&name).await?;
    etag::check(&headers, &etag::of(&source))?;
    if rules.ca_file.is_some() {
        of_this_machine(&state, &caller, "files of authorities")?;
    }
    let changed = if etag::names_state(&headers) {
        host.change_seen_source(&source, move |known| *known = rules).await
    } else {
        host.change_source(&name, move |known| known.clone_from(&rules)).await
    };
    let source = changed.map_err(|error| match error {
        RuntimeError::Store(error) => etag::refused(error),
        other => other.into(),
    })?;
    let tag = etag::of(&source);
    Ok(etag::answer(&HeaderMap::new(), &source, &tag))
}

async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Place(name): Place<String>,
) -> Result<Json<Source>, Problem> {
    Ok(Json(caller.host(&state).store().remove_source(&name).await?))
}

async fn grant(
    State(state): State<AppState>,
    caller: Caller,
    Place((name, component)): Place<(String, String)>,
) -> Result<Json<Source>, Problem> {
    let host = caller.host(&state);
    host.grant_source(&name, &component).await?;
    Ok(Json(host.store().source(&name).await?))
}

async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Place((name, component)): Place<(String, String)>,
) -> Result<Json<Source>, Problem> {
    let host = caller.host(&state);
    host.store().revoke_source(&name, &component).await?;
    Ok(Json(host.store().source(&name).await?))
}
