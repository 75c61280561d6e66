//! Components.

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datanode_core::access::{Action, Target};
use datanode_core::component::ComponentClass;
use datanode_core::digest::Digest;
use datanode_runtime::Upload;
use datanode_store::StoredComponent;
use semver::Version;
use serde_json::Value;

use crate::auth::Caller;
use crate::guard::body_problem;
use crate::input::{self, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem};

/// The version of a component that has one release.
const ONLY: &str = "-";
/// The field of a form with the component.
const FIELD: &str = "component";

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/components", get(list).post(upload))
        .route("/api/v1/components/{name}", get(chosen))
        .route("/api/v1/components/{name}/{version}", get(show).delete(remove))
        .route("/api/v1/components/{name}/{version}/enable", post(enable))
        .route("/api/v1/components/{name}/{version}/disable", post(disable))
}

fn version_of(text: &str) -> Result<Option<Version>, Problem> {
    if text == ONLY {
        return Ok(None);
    }
    let version = Version::parse(text);
    version.map(Some).map_err(|error| Problem::usage(format!("`{text}` is not a version: {error}")))
}

async fn list(State(state): State<AppState>, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    // As numbers and not as text: 0.10.0 comes behind 0.9.0.
    let key = |component: &StoredComponent| {
        let Version { major, minor, patch, pre, .. } = &component.manifest.version;
        let rank = u8::from(pre.is_empty());
        format!(
            "{}/{major:020}.{minor:020}.{patch:020}.{rank}.{pre}/{}",
            component.manifest.name, component.digest
        )
    };
    let mut components = state.host().store().components().await?;
    components.sort_by_cached_key(key);
    Ok(page.cut(components, key).answer())
}

async fn chosen(
    State(state): State<AppState>,
    Place(name): Place<String>,
) -> Result<Json<StoredComponent>, Problem> {
    Ok(Json(state.host().store().component(&name, None).await?))
}

async fn show(
    State(state): State<AppState>,
    Place((name, version)): Place<(String, String)>,
) -> Result<Json<StoredComponent>, Problem> {
    let version = version_of(&version)?;
    Ok(Json(state.host().store().component(&name, version.as_ref()).await?))
}

async fn enable(
    state: State<AppState>,
    caller: Caller,
    place: Place<(String, String)>,
) -> Result<Json<StoredComponent>, Problem> {
    set_enabled(state, caller, place, true).await
}

async fn disable(
    state: State<AppState>,
    caller: Caller,
    place: Place<(String, String)>,
) -> Result<Json<StoredComponent>, Problem> {
    set_enabled(state, caller, place, false).await
}

async fn set_enabled(
    State(state): State<AppState>,
    caller: Caller,
    Place((name, version)): Place<(String, String)>,
    enabled: bool,
) -> Result<Json<StoredComponent>, Problem> {
    let version = version_of(&version)?;
    let host = caller.host(&state);
    Ok(Json(host.store().enable_component(&name, version.as_ref(), enabled).await?))
}

async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Place((name, version)): Place<(String, String)>,
    mut params: Params,
) -> Result<Json<StoredComponent>, Problem> {
    let force = params.flag("force")?;
    params.end()?;
    let version = version_of(&version)?;
    Ok(Json(caller.host(&state).remove_component(&name, version.as_ref(), force).await?))
}

/// What is said of an upload beside its bytes.
pub(super) struct Said {
    label: Option<String>,
    accept_new_identity: bool,
    allow_stubbed_wasi: bool,
    expected: Option<Digest>,
    signature: Option<Vec<u8>>,
}

/// Bytes of a signature.
const MOST_SIGNATURE: usize = 4_096;
/// Characters of a label.
const MOST_LABEL: usize = 200;

impl Said {
    pub(super) fn of(mut params: Params) -> Result<Self, Problem> {
        let signature = params.text("signature")?.map(|text| {
            let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() <= MOST_SIGNATURE);
            bytes.ok_or_else(|| Problem::usage("the parameter `signature` is a signature in base64"))
        });
        let said = Self {
            label: params.text("label")?,
            accept_new_identity: params.flag("accept_new_identity")?,
            allow_stubbed_wasi: params.flag("allow_stubbed_wasi")?,
            expected: params.value("sha256")?,
            signature: signature.transpose()?,
        };
        params.end()?;
        Ok(said)
    }

    /// The same, which must have this digest.
    pub(super) fn with_digest(self, digest: Digest) -> Self {
        Self { expected: Some(digest), ..self }
    }
}

/// The class up to which a caller may have components admitted: what imports WASI is for admins to let in.
pub(super) fn admitted(caller: &Caller, stubbed: bool) -> Result<ComponentClass, Problem> {
    if !stubbed {
        return Ok(ComponentClass::Pure);
    }
    caller.may(Action::RemoveComponent, &Target::Organisation)?;
    Ok(ComponentClass::Stubbed)
}

/// Hand a component over to the host.
pub(super) async fn admit(
    state: &AppState,
    caller: &Caller,
    bytes: Vec<u8>,
    said: Said,
) -> Result<Response, Problem> {
    let host = caller.host(state).admitting(admitted(caller, said.allow_stubbed_wasi)?);
    let label = said.label.unwrap_or_else(|| "upload".to_owned());
    let upload = Upload {
        label: label.chars().filter(|c| !c.is_control()).take(MOST_LABEL).collect(),
        bytes,
        accept_new_identity: said.accept_new_identity,
        expected: said.expected,
        signature: said.signature,
        uploaded_by: Some(caller.name()),
    };
    match host.upload(upload).await {
        Ok(uploaded) => {
            state.metrics().upload(if uploaded.created { "created" } else { "known" });
            let status = if uploaded.created { StatusCode::CREATED } else { StatusCode::OK };
            Ok((status, Json(uploaded)).into_response())
        }
        Err(error) => {
            state.metrics().upload("refused");
            Err(error.into())
        }
    }
}

async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let said = Said::of(params)?;
    // Before the body is read: whoever waits has not sent it into this machine's memory yet.
    let _place = state.uploads().in_memory.acquire().await.map_err(|_| Problem::bug("uploads are closed"))?;
    let bytes = component(&headers, request, &state).await?;
    admit(&state, &caller, bytes.into(), said).await
}

/// The component of a body: raw, or a field of a form.
pub(super) async fn component(
    headers: &HeaderMap,
    request: Request,
    state: &AppState,
) -> Result<Bytes, Problem> {
    match input::content_type(headers).as_str() {
        "application/wasm" | "application/octet-stream" => input::whole(request.into_body()).await,
        "multipart/form-data" => {
            let mut form = Multipart::from_request(request, state)
                .await
                .map_err(|error| Problem::usage(format!("the form cannot be read: {}", error.body_text())))?;
            let broken = |error: axum::extract::multipart::MultipartError| {
                let problem = body_problem(&error);
                if problem.code == "server.body_broken" {
                    Problem::usage(format!("the form cannot be read: {}", error.body_text()))
                } else {
                    problem
                }
            };
            while let Some(field) = form.next_field().await.map_err(broken)? {
                if field.name() == Some(FIELD) {
                    return field.bytes().await.map_err(broken);
                }
            }
            Err(Problem::usage(format!("the form has no field `{FIELD}`")))
        }
        _ => Err(input::media_type("application/wasm, or multipart/form-data")),
    }
}
