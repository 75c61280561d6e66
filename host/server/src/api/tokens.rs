//! Tokens: one's own, and for admins those of others.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use datanode_core::Timestamp;
use datanode_core::access::{Action, Rights, Target, may_issue};
use datanode_runtime::answers::TokenDocument;
use datanode_store::{NewToken, StoreError, Token};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::described::Described;
use crate::input::{Document, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/tokens", get(list).post(create))
        .route("/api/v1/tokens/{id}", get(show).delete(revoke))
}

/// Whether the caller may see tokens of others.
fn is_manager(caller: &Caller) -> bool {
    caller.can(Action::ManagePeople, &Target::Organisation)
}

/// Uid of the caller's own user.
fn own(caller: &Caller) -> Option<&str> {
    caller.principal().user.as_ref().map(|user| user.uid.as_str())
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    let user = params.text("user")?;
    params.end()?;
    let user = match (is_manager(&caller), user) {
        (true, user) => user,
        (false, None) => own(&caller).map(str::to_owned),
        (false, Some(user)) => {
            let user = state.host().store().user(&user).await?;
            if own(&caller) != Some(user.uid.as_str()) {
                caller.may(Action::ManagePeople, &Target::Organisation)?;
            }
            Some(user.uid)
        }
    };
    let tokens = state.host().token_documents(user.as_deref()).await?;
    // The newest first, as they come.
    let cut = page.cut(tokens.into_iter().enumerate(), |(position, _)| format!("{position:012}"));
    let items: Vec<TokenDocument> = cut.items.into_iter().map(|(_, token)| token).collect();
    Ok(Json(json!({"items": items, "next_cursor": cut.next})))
}

/// A token that the caller may see.
async fn token_of(state: &AppState, caller: &Caller, id: &str) -> Result<Token, Problem> {
    let token = state.host().store().token(id).await?;
    if own(caller) == Some(token.user.uid.as_str()) || is_manager(caller) {
        return Ok(token);
    }
    Err(StoreError::NotFound { kind: "token", reference: id.to_owned() }.into())
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<TokenDocument>, Problem> {
    Ok(Json(TokenDocument::of(token_of(&state, &caller, &id).await?, datanode_runtime::now())))
}

async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Place(id): Place<String>,
) -> Result<Json<TokenDocument>, Problem> {
    let token = token_of(&state, &caller, &id).await?;
    Ok(Json(caller.host(&state).revoke_token(&token.id).await?))
}

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] = &[Described::of::<Create>(
    "POST",
    "/api/v1/tokens",
    r#"{"user": "ada", "name": "notebook", "rights": ["read", "run"], "expires_at": "2036-12-31"}"#,
)];

/// A token that is to be there.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "NewToken")]
#[serde(deny_unknown_fields)]
struct Create {
    /// Whose; without it, the caller's own.
    user: Option<String>,
    /// What it is for, for people.
    #[serde(default)]
    name: String,
    /// What it may be used for, at most.
    rights: Rights,
    /// From when on it is refused; never, where nothing is said.
    expires_at: Option<Timestamp>,
    /// Requests in a minute; as the server is set, where nothing is said.
    per_minute: Option<u32>,
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Document(asked): Document<Create>,
) -> Result<Response, Problem> {
    let store = state.host().store();
    let reference = match (asked.user, own(&caller)) {
        (Some(user), _) => user,
        (None, Some(own)) => own.to_owned(),
        (None, None) => return Err(Problem::usage("say whose token it is to be: `user`")),
    };
    let user = store.user(&reference).await?;
    may_issue(caller.principal(), &user.reference(), asked.rights)?;
    let (mut expires_at, mut per_minute) = (asked.expires_at, asked.per_minute);
    // A token gives on nothing that it does not have: not another day, and no more requests in a minute.
    if let Some(id) = &caller.principal().token {
        let issuer = store.token(id).await?;
        expires_at = [expires_at, issuer.expires_at].into_iter().flatten().min();
        let server = state.settings().requests_per_minute.get();
        let most = issuer.per_minute.unwrap_or(server);
        per_minute =
            per_minute.map(|asked| asked.min(most)).or(issuer.per_minute.filter(|own| *own < server));
    }
    let new = NewToken { user: user.uid, name: asked.name, rights: asked.rights, expires_at, per_minute };
    let issued = caller.host(&state).create_token(&new).await?;
    let mut answer = (StatusCode::CREATED, Json(issued)).into_response();
    answer.headers_mut().insert(CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
    Ok(answer)
}
