//! Labels and sharing of a table.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use datanode_core::access::Action;
use datanode_core::contract::MetadataEdit;
use datanode_store::{Member, ShareLevel, Sharing, TableEdit, Team, User};
use serde_json::{Value, json};

use super::catalogue::by_uid;
use super::error::{CompatError, refuse};
use super::parameters::object;
use super::registering::Root;
use super::tables::labels_of;
use crate::auth::Caller;
use crate::input::Place;
use crate::{AppState, Problem};

/// `POST <root>/<uid>/add-label/`
pub(crate) async fn add(
    state: State<AppState>,
    caller: Caller,
    root: Root,
    place: Place<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    edit(state, caller, root, place, body, true).await
}

/// `POST <root>/<uid>/remove-label/`
pub(crate) async fn remove(
    state: State<AppState>,
    caller: Caller,
    root: Root,
    place: Place<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    edit(state, caller, root, place, body, false).await
}

async fn edit(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    body: Body,
    adds: bool,
) -> Result<Json<Value>, Problem> {
    let body = object(body).await?;
    let given = body.get("labels").ok_or_else(|| CompatError::field("labels", "it is missing").problem())?;
    let labels = labels_of("labels", given).map_err(refuse)?;
    if labels.is_empty() {
        return Err(CompatError::field("labels", "there is none").problem());
    }
    let host = caller.host(&state);
    let table = by_uid(&caller, &host, root, &uid, Action::EditTable).await?;
    let edit = if adds {
        TableEdit {
            metadata: MetadataEdit { add_labels: labels, ..MetadataEdit::default() },
            ..TableEdit::default()
        }
    } else {
        // One that is gone already is no mistake of a client that tries again.
        TableEdit { lose_labels: labels, ..TableEdit::default() }
    };
    let edited = host.store().change_table(&table.uid, &edit).await?.value;
    let labels: Vec<Value> = edited.contract.labels.iter().map(|label| json!({"name": label})).collect();
    Ok(Json(json!({"labels": labels})))
}

/// `GET <root>/<uid>/can-view/`
pub(crate) async fn can_view(
    state: State<AppState>,
    caller: Caller,
    root: Root,
    place: Place<String>,
) -> Result<Json<Value>, Problem> {
    shared_with(state, caller, root, place, ShareLevel::View).await
}

/// `GET <root>/<uid>/can-edit/`
pub(crate) async fn can_edit(
    state: State<AppState>,
    caller: Caller,
    root: Root,
    place: Place<String>,
) -> Result<Json<Value>, Problem> {
    shared_with(state, caller, root, place, ShareLevel::Edit).await
}

async fn shared_with(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    level: ShareLevel,
) -> Result<Json<Value>, Problem> {
    let table = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    let sharing = state.host().store().table_sharing(&table.uid, level).await?;
    Ok(Json(told(&sharing, level)))
}

/// What is shared: with whom, on which level, and whether it begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    level: ShareLevel,
    begins: bool,
}

impl Share {
    /// What an action such as `add-team-to-view` does, and whether it is about a team.
    fn of(action: &str) -> Option<(Self, bool)> {
        let (verb, rest) = action.split_once('-')?;
        let begins = match verb {
            "add" => true,
            "remove" => false,
            _ => return None,
        };
        let (is_team, rest) = rest.strip_prefix("team-").map_or((false, rest), |rest| (true, rest));
        let level = match (begins, rest) {
            (true, "to-view") | (false, "from-view") => ShareLevel::View,
            (true, "to-edit") | (false, "from-edit") => ShareLevel::Edit,
            _ => return None,
        };
        Some((Self { level, begins }, is_team))
    }
}

/// `POST <root>/<uid>/add-to-view/` and its seven brothers; the last part of the path says which.
pub(crate) async fn share(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    uri: axum::http::Uri,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let action = uri.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let (share, is_team) = Share::of(action).ok_or_else(|| Problem::not_found("there is no such action"))?;
    let body = object(body).await?;
    let field = if is_team { "team_id" } else { "user_id" };
    let host = caller.host(&state);
    let table = by_uid(&caller, &host, root, &uid, Action::ShareTable).await?;
    let reference = reference(field, body.get(field)).map_err(refuse)?;
    let store = host.store();
    let member = if is_team {
        Member::Team(store.team(&reference).await?.uid)
    } else {
        Member::User(store.user(&reference).await?.uid)
    };
    let sharing = if share.begins {
        store.share_table(&table.uid, &member, share.level, datanode_runtime::now()).await?
    } else {
        store.unshare_table(&table.uid, &member, share.level).await?
    };
    Ok(Json(told(&sharing, share.level)))
}

/// A user or team by its number, or by its uid.
fn reference(field: &str, value: Option<&Value>) -> Result<String, CompatError> {
    match value {
        Some(Value::Number(number)) if number.is_i64() => Ok(number.to_string()),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(CompatError::field(field, "it is no number")),
    }
}

fn told(sharing: &Sharing, level: ShareLevel) -> Value {
    json!({
        "object_id": sharing.object_id,
        "object_type": "ts_manager.metatable",
        "access_level": level.as_str(),
        "users": sharing.users.iter().map(user).collect::<Vec<_>>(),
        "teams": sharing.teams.iter().map(team).collect::<Vec<_>>(),
    })
}

fn user(user: &User) -> Value {
    json!({
        "uid": user.uid,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "username": user.username,
        "email": user.email,
        "phone_number": (!user.phone.is_empty()).then_some(&user.phone),
    })
}

fn team(team: &Team) -> Value {
    json!({
        "uid": team.uid,
        "name": team.name,
        "description": team.description,
        "member_count": team.member_count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_says_what_it_does() {
        let share = |level, begins| Share { level, begins };
        for (action, expected) in [
            ("add-to-view", Some((share(ShareLevel::View, true), false))),
            ("remove-from-edit", Some((share(ShareLevel::Edit, false), false))),
            ("add-team-to-edit", Some((share(ShareLevel::Edit, true), true))),
            ("remove-team-from-view", Some((share(ShareLevel::View, false), true))),
            ("add-from-view", None),
            ("share", None),
            ("add-label", None),
        ] {
            assert_eq!(Share::of(action), expected, "{action}");
        }
    }

    #[test]
    fn people_are_named_by_number() {
        assert_eq!(reference("user_id", Some(&json!(7))), Ok("7".to_owned()));
        assert!(reference("user_id", Some(&json!(7.5))).is_err() && reference("user_id", None).is_err());
    }
}
