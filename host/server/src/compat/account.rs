//! Who one is, and tokens in the forms in which that client asks for them.
//!
//! A token of this host is opaque and needs no refreshing: it counts until it ends. So its own text is what refreshes it,
//! and a client that asks gets the same one back, as long as it counts.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use datanode_core::access::Actor;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::CompatError;
use super::parameters::object;
use crate::auth::{Caller, authenticate};
use crate::{AppState, Problem};

/// What the one organisation of a database is called.
const ORGANISATION: &str = "datanode";
/// How long a client may take a token for good that it has got for its credentials, in seconds. It then asks again, and
/// learns whether the token still counts.
const CREDENTIAL_SECONDS: i64 = 3_600;

/// `GET /user/api/user/get_user_details/`: asked before every command of that client.
pub(crate) async fn user_details(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    let organization = json!({"name": ORGANISATION});
    let Some(user) = &caller.principal().user else {
        return Ok(Json(json!({
            "user": {"uid": Uuid::nil(), "username": Actor::LOCAL, "organization": organization},
        })));
    };
    let user = state.host().store().user(&user.uid).await?;
    Ok(Json(json!({
        "user": {
            "uid": user.uid,
            "id": user.id,
            "username": user.username,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "email": user.email,
            "is_active": user.enabled,
            "date_joined": user.created_at,
            "organization": organization,
        },
    })))
}

/// `GET /auth/rest-auth/user/`
pub(crate) async fn user(caller: Caller) -> Json<Value> {
    let principal = caller.principal();
    let nobody = || (Uuid::nil().to_string(), Actor::LOCAL.to_owned());
    let (uid, username) =
        principal.user.as_ref().map_or_else(nobody, |user| (user.uid.clone(), user.username.clone()));
    Json(json!({"uid": uid, "username": username}))
}

/// `POST /auth/jwt-token/token/refresh/`
pub(crate) async fn refresh(State(state): State<AppState>, body: Body) -> Result<Json<Value>, Problem> {
    let body = object(body).await?;
    let token = text(&body, "refresh")?;
    counts(&state, token).await?;
    Ok(Json(json!({"access": token, "refresh": token})))
}

/// `POST /auth/jwt-token/token/`: nobody has a password here.
pub(crate) async fn log_in() -> Problem {
    Problem::from(CompatError::Unserved {
        what: "this server has no passwords, and so nobody logs in by one".to_owned(),
        instead: "use a token as MAINSEQUENCE_ACCESS_TOKEN: datanode token create",
    })
    .with_status(StatusCode::FORBIDDEN)
}

/// `POST /orm/api/pods/runtime-credentials/token/`: the id and the secret of a token are such a credential.
pub(crate) async fn credentials(State(state): State<AppState>, body: Body) -> Result<Json<Value>, Problem> {
    let body = object(body).await?;
    let (id, secret) = (text(&body, "credential_id")?, text(&body, "credential_secret")?);
    // Whoever has copied the whole token has it, too.
    let token = if secret.starts_with("dn_") { secret.to_owned() } else { format!("dn_{id}_{secret}") };
    let left = counts(&state, &token).await?;
    Ok(Json(json!({
        "access": token,
        "token_type": "Bearer",
        "expires_in": left.map_or(CREDENTIAL_SECONDS, |left| left.clamp(0, CREDENTIAL_SECONDS)),
    })))
}

fn text<'b>(body: &'b Map<String, Value>, field: &str) -> Result<&'b str, Problem> {
    match body.get(field) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim()),
        _ => Err(CompatError::field(field, "it is missing").problem()),
    }
}

/// Refuse a token that does not count; for how many seconds it will, where it ends.
async fn counts(state: &AppState, token: &str) -> Result<Option<i64>, Problem> {
    let bad = || {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "access.bad_token",
            "the token does not count: it is unknown, expired or revoked",
        )
    };
    let mut headers = HeaderMap::new();
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| bad())?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    let principal = authenticate(state, &headers).await?;
    let Some(id) = principal.token else { return Err(bad()) };
    let ends = state.host().store().token(&id).await?.expires_at;
    let now = datanode_runtime::now().micros();
    Ok(ends.map(|end| (end.micros() - now) / 1_000_000))
}
