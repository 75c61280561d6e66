//! Secrets, whose values come in and never go out.

use axum::extract::State;
use axum::routing::{delete, get};
use axum::{Json, Router};
use datanode_runtime::{ListedSecret, NewSecret, SecretError, SecretValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sources::of_this_machine;
use crate::auth::Caller;
use crate::described::Described;
use crate::input::{Document, Params, Place};
use crate::page::Page;
use crate::{AppState, Problem};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/secrets", get(list).post(set))
        .route("/api/v1/secrets/{name}", delete(remove))
}

async fn list(State(state): State<AppState>, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    let mut secrets = state.host().secrets().await?;
    secrets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(page.cut(secrets, |secret: &ListedSecret| secret.name.clone()).answer())
}

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] =
    &[Described::of::<Set>("POST", "/api/v1/secrets", r#"{"name": "prices", "value": "the key of an API"}"#)];

// It has no `Debug`: nothing shows its value.
/// A secret as it comes: its value, or where on the server's machine it is.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewSecret")]
#[serde(deny_unknown_fields)]
struct Set {
    /// Its name: lower-case letters, digits and `_`, a letter first.
    name: String,
    /// Its value, which is kept sealed.
    #[schemars(extend("format" = "password", "writeOnly" = true))]
    value: Option<String>,
    /// A variable of the server's environment, in its place.
    env: Option<String>,
    /// An absolute path on the server's machine, in its place.
    file: Option<String>,
}

async fn set(
    State(state): State<AppState>,
    caller: Caller,
    Document(asked): Document<Set>,
) -> Result<Json<ListedSecret>, Problem> {
    let secret = match (&asked.value, asked.env, asked.file) {
        (Some(value), None, None) => {
            let unfit = |problem| SecretError::Unfit { name: asked.name.clone(), problem };
            NewSecret::Value(SecretValue::new(value).map_err(unfit)?)
        }
        (None, Some(variable), None) => {
            of_this_machine(&state, &caller, "variables")?;
            if variable.is_empty() || variable.contains(['=', '\0']) {
                return Err(Problem::usage("that is no name of a variable"));
            }
            NewSecret::Env(variable)
        }
        (None, None, Some(file)) => {
            of_this_machine(&state, &caller, "files")?;
            if !std::path::Path::new(&file).is_absolute() {
                return Err(Problem::usage("the path of the file is not absolute"));
            }
            NewSecret::File(file)
        }
        _ => return Err(Problem::usage("give one of `value`, `env` and `file`")),
    };
    Ok(Json(caller.host(&state).set_secret(&asked.name, secret).await?))
}

async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Place(name): Place<String>,
) -> Result<Json<Value>, Problem> {
    caller.host(&state).remove_secret(&name).await?;
    Ok(Json(json!({"removed": name})))
}
