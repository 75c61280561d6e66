//! Users, teams, and the roles that they hold.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use datanode_core::access::{Action, Role, Target};
use datanode_runtime::Host;
use datanode_runtime::answers::{RoleChange, RoleRequest, TeamDetail, UserDetail};
use datanode_store::{HeldRole, NewTeam, NewUser, Team, User};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::described::Described;
use crate::input::{Document, Params, Place, unread};
use crate::page::Page;
use crate::{AppState, Problem};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/users", get(users).post(create_user))
        .route("/api/v1/users/{reference}", get(user))
        .route("/api/v1/users/{reference}/enable", post(enable_user))
        .route("/api/v1/users/{reference}/disable", post(disable_user))
        .route("/api/v1/teams", get(teams).post(create_team))
        .route("/api/v1/teams/{reference}", get(team))
        .route("/api/v1/teams/{reference}/members", get(members).post(add_members))
        .route("/api/v1/teams/{reference}/members/{user}", delete(remove_member))
        .route("/api/v1/roles", get(roles).post(grant))
        .route("/api/v1/roles/revoke", post(revoke))
}

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] = &[
    Described::of::<UserToBe>(
        "POST",
        "/api/v1/users",
        r#"{"username": "ada", "first_name": "Ada", "email": "ada@example.com", "role": "editor"}"#,
    ),
    Described::of::<NewTeam>(
        "POST",
        "/api/v1/teams",
        r#"{"name": "rates", "description": "Who works on rates."}"#,
    ),
    Described::of::<Newcomers>("POST", "/api/v1/teams/{reference}/members", r#"{"users": ["ada", "grace"]}"#),
    Described::of::<RoleRequest>(
        "POST",
        "/api/v1/roles",
        r#"{"role": "viewer", "team": "rates", "table": "fx_rates"}"#,
    ),
    Described::of::<RoleRequest>(
        "POST",
        "/api/v1/roles/revoke",
        r#"{"user": "ada", "namespace": "examples.fx"}"#,
    ),
];

/// A user as it is created, and the role on everything that it is to have.
struct UserToBe;

impl JsonSchema for UserToBe {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NewUser".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = NewUser::json_schema(generator);
        let mut role = generator.subschema_for::<Option<Role>>();
        role.insert("description".to_owned(), json!("The role on everything that it is to have."));
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("role".to_owned(), role.to_value());
        }
        schema.insert("required".to_owned(), json!(["username"]));
        schema
    }
}

async fn users(State(state): State<AppState>, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    let mut users = state.host().store().users().await?;
    users.sort_by(|one, other| one.username.cmp(&other.username));
    Ok(page.cut(users, |user: &User| user.username.clone()).answer())
}

async fn user(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<UserDetail>, Problem> {
    let mut detail = state.host().user_detail(&reference).await?;
    let is_own = caller.principal().user.as_ref().is_some_and(|own| own.uid == detail.user.uid);
    if !is_own && !caller.can(Action::ManagePeople, &Target::Organisation) {
        // Who there is may be known to all; what they may do is theirs and the admins' to know.
        detail.roles.clear();
        detail.tokens.clear();
    }
    Ok(Json(detail))
}

async fn create_user(
    State(state): State<AppState>,
    caller: Caller,
    Document(mut body): Document<Map<String, Value>>,
) -> Result<Response, Problem> {
    let role = body.remove("role").unwrap_or_default();
    let role: Option<Role> = serde_json::from_value(role).map_err(|error| unread(&error))?;
    let new: NewUser = serde_json::from_value(Value::Object(body)).map_err(|error| unread(&error))?;
    let user = caller.host(&state).create_user(&new, role).await?;
    Ok((StatusCode::CREATED, Json(user)).into_response())
}

async fn enable_user(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<UserDetail>, Problem> {
    set_enabled(&state, &caller, &reference, true).await
}

async fn disable_user(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<UserDetail>, Problem> {
    set_enabled(&state, &caller, &reference, false).await
}

async fn set_enabled(
    state: &AppState,
    caller: &Caller,
    reference: &str,
    enabled: bool,
) -> Result<Json<UserDetail>, Problem> {
    let host = caller.host(state);
    let user = host.store().enable_user(reference, enabled).await?;
    Ok(Json(host.user_detail(&user.uid).await?))
}

async fn teams(State(state): State<AppState>, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    let mut teams = state.host().store().teams().await?;
    teams.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(page.cut(teams, |team: &Team| team.name.clone()).answer())
}

async fn team(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<TeamDetail>, Problem> {
    let mut detail = state.host().team_detail(&reference).await?;
    if !caller.can(Action::ManagePeople, &Target::Organisation) {
        detail.roles.clear();
    }
    Ok(Json(detail))
}

async fn create_team(
    State(state): State<AppState>,
    caller: Caller,
    Document(new): Document<NewTeam>,
) -> Result<Response, Problem> {
    let team = caller.host(&state).create_team(&new).await?;
    Ok((StatusCode::CREATED, Json(team)).into_response())
}

async fn members(
    State(state): State<AppState>,
    Place(reference): Place<String>,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    params.end()?;
    let mut members = state.host().store().team_members(&reference).await?;
    members.sort_by(|one, other| one.username.cmp(&other.username));
    Ok(page.cut(members, |user: &User| user.username.clone()).answer())
}

/// Who comes into a team.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Newcomers {
    /// Usernames, uids or numbers.
    users: Vec<String>,
}

async fn add_members(
    State(state): State<AppState>,
    caller: Caller,
    Place(team): Place<String>,
    Document(Newcomers { users }): Document<Newcomers>,
) -> Result<Json<TeamDetail>, Problem> {
    Ok(Json(caller.host(&state).add_team_members(&team, &users).await?))
}

async fn remove_member(
    State(state): State<AppState>,
    caller: Caller,
    Place((team, user)): Place<(String, String)>,
) -> Result<Json<TeamDetail>, Problem> {
    Ok(Json(caller.host(&state).remove_team_members(&team, &[user]).await?))
}

/// Who may say who may do what somewhere: an admin of the table, else one of the organisation. The request then names the
/// table that was judged by its uid: its identifier may be another table's by the time when the role is given.
async fn may_share(host: &Host, caller: &Caller, request: &mut RoleRequest) -> Result<(), Problem> {
    match (&mut request.table, &request.namespace) {
        (Some(table), None) => {
            *table = caller.table(host, table, Action::ShareTable).await?.uid;
            Ok(())
        }
        _ => caller.may(Action::ManagePeople, &Target::Organisation),
    }
}

async fn grant(
    State(state): State<AppState>,
    caller: Caller,
    Document(mut request): Document<RoleRequest>,
) -> Result<Json<RoleChange>, Problem> {
    let host = caller.host(&state);
    may_share(&host, &caller, &mut request).await?;
    Ok(Json(host.grant_role(&request).await?))
}

async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Document(mut request): Document<RoleRequest>,
) -> Result<Json<RoleChange>, Problem> {
    let host = caller.host(&state);
    may_share(&host, &caller, &mut request).await?;
    Ok(Json(host.revoke_role(&request).await?))
}

async fn roles(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let page = Page::of(&mut params)?;
    let mut request = RoleRequest {
        role: params.value("role")?,
        user: params.text("user")?,
        team: params.text("team")?,
        namespace: params.text("namespace")?,
        table: params.text("table")?,
    };
    params.end()?;
    let host = state.host();
    match (&mut request.table, &request.user) {
        // Whoever may see a table may see who else may.
        (Some(table), _) => *table = caller.table(host, table, Action::ReadTable).await?.uid,
        (None, Some(user)) if is_own(&state, &caller, user).await? => {}
        _ => caller.may(Action::ManagePeople, &Target::Organisation)?,
    }
    let roles = host.held_roles(&request).await?;
    let cut = page.cut(roles.into_iter().enumerate(), |(position, _)| format!("{position:012}"));
    let items: Vec<HeldRole> = cut.items.into_iter().map(|(_, role)| role).collect();
    Ok(Json(json!({"items": items, "next_cursor": cut.next})))
}

async fn is_own(state: &AppState, caller: &Caller, user: &str) -> Result<bool, Problem> {
    let user = state.host().store().user(user).await?;
    Ok(caller.principal().user.as_ref().is_some_and(|own| own.uid == user.uid))
}
