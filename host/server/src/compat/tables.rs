//! `dynamic_table/` and `meta_table/`: lists, single tables, registration, changes, removal.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use datanode_core::access::{Action, Target};
use datanode_core::name::check_name;
use datanode_runtime::Host;
use datanode_store::{
    Listing, NewRegistration, RegisteredTable, RegistrationEdit, RemoveTable, StoreError, TableEdit,
};
use serde_json::{Map, Value, json};

use super::catalogue::{by_uid, list, page_answer, tell, tell_one};
use super::error::{CompatError, refuse};
use super::parameters::{Parameters, document, object};
use super::registering::{self, Root, free_identifier};
use crate::auth::{Caller, JUDGED_AGAIN};
use crate::input::Place;
use crate::{AppState, Problem};

/// The most tables of a collection that is created at once.
const MAX_BULK: usize = 200;

/// `GET <root>/`
pub(crate) async fn index(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::of_query(uri.query()).map_err(refuse)?;
    answer_list(&state, &caller, root, &headers, &uri, &parameters).await
}

/// `POST <root>/filter/`
pub(crate) async fn filter(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let body = object(body).await?;
    let parameters = Parameters::of_body(&body).map_err(refuse)?;
    let mut answer = answer_list(&state, &caller, root, &headers, &uri, &parameters).await?;
    // There is no address that a body could be asked by again.
    answer.0["next"] = Value::Null;
    answer.0["previous"] = Value::Null;
    Ok(answer)
}

async fn answer_list(
    state: &AppState,
    caller: &Caller,
    root: Root,
    headers: &HeaderMap,
    uri: &Uri,
    parameters: &Parameters,
) -> Result<Json<Value>, Problem> {
    let host = state.host();
    let page = list(caller, host, root, parameters).await?;
    let told = tell(caller, host.store().as_ref(), root.form(), &page.items).await?;
    let page = datanode_core::search::Page {
        count: page.count,
        offset: page.offset,
        limit: page.limit,
        items: told,
    };
    Ok(Json(page_answer(state.settings(), headers, uri, parameters, &page)))
}

/// `GET <root>/<uid>/`
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
) -> Result<Json<Value>, Problem> {
    let table = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    tell_one(&caller, state.host().store().as_ref(), root.form(), &table.uid).await.map(Json)
}

/// `POST <root>/register/`
pub(crate) async fn register(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    body: Body,
) -> Result<Response, Problem> {
    let body = object(body).await?;
    let host = caller.host(&state);
    let source = host.store().data_source().await?;
    let new = registering::registration(&body, "", root, &source).map_err(refuse)?;
    let registered = register_all(&caller, &host, &[(&*body, new)]).await?;
    let Some(registered) = registered.into_iter().next() else {
        return Err(Problem::bug("a table was not registered"));
    };
    let told = tell_one(&caller, host.store().as_ref(), root.form(), &registered.value.uid).await?;
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(told)).into_response())
}

/// `POST <root>/` with an array: all of them are registered, or none.
pub(crate) async fn create_all(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    body: Body,
) -> Result<Response, Problem> {
    let body = document(body).await?;
    let Value::Array(rows) = &*body else {
        return Err(
            CompatError::Body("it is no array of tables; register/ takes a single one".to_owned()).problem()
        );
    };
    if rows.len() > MAX_BULK {
        let problem = format!("{} tables where {MAX_BULK} are taken at once", rows.len());
        return Err(CompatError::Body(problem).problem());
    }
    let host = caller.host(&state);
    let source = host.store().data_source().await?;
    caller.needs_no_role();
    let mut new = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        let place = format!("[{at}]");
        let Value::Object(row) = row else {
            return Err(CompatError::field(place, "it is no object").problem());
        };
        new.push((row, registering::registration(row, &place, root, &source).map_err(refuse)?));
    }
    let registered = register_all(&caller, &host, &new).await?;
    let uids: Vec<String> = registered.iter().map(|table| table.value.uid.clone()).collect();
    let told = tell(&caller, host.store().as_ref(), root.form(), &uids).await?;
    let created = registered.iter().any(|table| table.created);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(told)).into_response())
}

/// Register all of these, or none, as far as the caller may. The store compares what is judged here with what it finds: where
/// others have changed it meanwhile, it is judged once more.
async fn register_all(
    caller: &Caller,
    host: &Host,
    rows: &[(&Map<String, Value>, NewRegistration)],
) -> Result<Vec<RegisteredTable>, Problem> {
    let mut again = 0;
    loop {
        let mut judged = Vec::with_capacity(rows.len());
        for (body, new) in rows {
            let mut new = new.clone();
            may_register(caller, host, body, &mut new).await?;
            judged.push(new);
        }
        match host.store().register_all(&judged, datanode_runtime::now()).await {
            Err(StoreError::Changed { .. }) if again < JUDGED_AGAIN => again += 1,
            registered => return Ok(registered?),
        }
    }
}

/// Who registers a table that is there changes it.
async fn may_register(
    caller: &Caller,
    host: &Host,
    body: &Map<String, Value>,
    new: &mut NewRegistration,
) -> Result<(), Problem> {
    let identifier = new.registration.identifier.as_ref().unwrap_or(&new.contract.identifier);
    let held = host.store().listed_tables(&Listing::Identifier(identifier.clone())).await?.pop();
    new.judged.clone_from(&held);
    match held {
        Some(held) => {
            let (namespace, owner) = (held.namespace.as_deref(), held.owner.as_deref());
            let target = Target::table(&held.uid, &held.identifier, namespace, owner);
            caller.may(Action::EditTable, &target)?;
            let (said, now) = (&mut new.registration, &held.registration);
            if !says_schema(body) {
                said.schema.clone_from(&now.schema);
            }
            // What is not said stays; so does a protection that is there.
            let stays = (!said.protected || now.protected)
                && said.schema == now.schema
                && (said.namespace.is_none() || said.namespace == now.namespace)
                && (new.contract.namespace.is_none() || new.contract.namespace == held.namespace);
            // What a change of the same demands.
            if stays { Ok(()) } else { caller.may(Action::ReshapeTable, &target) }
        }
        None => caller.may(Action::RegisterTable, &Target::Namespace(new.contract.namespace.as_deref())),
    }
}

/// Whether a registration names a schema, in one of its two places.
fn says_schema(body: &Map<String, Value>) -> bool {
    let is_said = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    let of_contract = body.get("table_contract").and_then(|contract| contract.get("physical")?.get("schema"));
    is_said(body.get("physical_schema")) || is_said(of_contract)
}

/// What can be changed of a table.
const PATCHABLE: [&str; 6] =
    ["orm_class", "description", "labels", "protect_from_deletion", "identifier", "cadence"];

/// `PATCH <root>/<uid>/`
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let body = object(body).await?;
    let host = caller.host(&state);
    let table = by_uid(&caller, &host, root, &uid, Action::EditTable).await?;
    let change = change_of(&body).map_err(refuse)?;
    if change.registration != RegistrationEdit::default() {
        caller.may_with(Action::ReshapeTable, &table)?;
    }
    // All of it at once: of what is refused in one of its fields, nothing is done.
    if change != TableEdit::default() {
        host.store().change_table(&table.uid, &change).await?;
    }
    tell_one(&caller, host.store().as_ref(), root.form(), &table.uid).await.map(Json)
}

/// What a body changes.
fn change_of(body: &Map<String, Value>) -> Result<TableEdit, CompatError> {
    if let Some(unknown) = body.keys().find(|key| !PATCHABLE.contains(&key.as_str())) {
        return Err(CompatError::field(
            unknown.as_str(),
            "it cannot be changed here: description, labels, cadence, identifier and protect_from_deletion can; the \
             shape of a table is changed by a revision",
        ));
    }
    let mut change = TableEdit::default();
    match body.get("description") {
        None => {}
        Some(Value::Null) => change.metadata.description = Some(String::new()),
        Some(Value::String(text)) => change.metadata.description = Some(text.clone()),
        Some(_) => return Err(CompatError::field("description", "it is no text")),
    }
    if let Some(labels) = body.get("labels") {
        change.metadata.set_labels = Some(labels_of("labels", labels)?);
    }
    match body.get("protect_from_deletion") {
        None => {}
        Some(Value::Bool(flag)) => change.registration.protected = Some(*flag),
        Some(_) => {
            return Err(CompatError::field("protect_from_deletion", "it is neither true nor false"));
        }
    }
    match body.get("identifier") {
        None => {}
        Some(Value::String(text)) if check_name("identifier", text).is_ok() => {
            change.registration.identifier = Some(text.clone());
        }
        Some(Value::String(text)) => {
            change.registration.identifier = Some(free_identifier("identifier", text)?);
        }
        Some(_) => {
            return Err(CompatError::field("identifier", "it is no text; every table here has one"));
        }
    }
    match body.get("cadence") {
        None => {}
        Some(Value::Null) => change.cadence = Some(None),
        Some(Value::String(text)) if text.trim().is_empty() => change.cadence = Some(None),
        Some(Value::String(text)) => {
            let cadence = text.trim().to_lowercase().parse();
            let cadence = cadence.map_err(|problem: String| CompatError::field("cadence", problem))?;
            change.cadence = Some(Some(cadence));
        }
        Some(_) => return Err(CompatError::field("cadence", "it is no text")),
    }
    Ok(change)
}

/// Labels as a list or a single text, without those that are empty or come again.
pub(crate) fn labels_of(field: &str, value: &Value) -> Result<Vec<String>, CompatError> {
    let wrong = || CompatError::field(field, "it is no list of texts");
    let items: Vec<&str> = match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    let mut labels: Vec<String> = Vec::new();
    for label in items.into_iter().map(str::trim).filter(|label| !label.is_empty()) {
        if !labels.iter().any(|known| known == label) {
            labels.push(label.to_owned());
        }
    }
    Ok(labels)
}

/// What a removal may be told.
const REMOVAL: [&str; 4] =
    ["full_delete_selected", "full_delete_downstream_tables", "delete_with_no_table", "override_protection"];

/// `DELETE <root>/<uid>/`
pub(crate) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::of_query(uri.query()).map_err(refuse)?;
    let mut remove = removal(&uid, &parameters).map_err(refuse)?;
    let host = caller.host(&state);
    let table = by_uid(&caller, &host, root, &uid, Action::ReshapeTable).await?;
    if remove.protected {
        caller.may(Action::ReshapeTable, &Target::Organisation)?;
    }
    let mut again = 0;
    let removed = loop {
        if remove.with_referrers {
            remove.may_go = Some(may_remove_referrers(&caller, &host, &table.uid).await?);
        }
        match host.store().remove_table(&remove).await {
            // One has come that refers to it, and that nobody has judged.
            Err(StoreError::Changed { .. }) if again < JUDGED_AGAIN => again += 1,
            removed => break removed?,
        }
    };
    let uids: Vec<&str> = removed.iter().map(|table| table.uid.as_str()).collect();
    Ok(Json(json!({"ok": true, "meta_table_uid": table.uid, "deleted": uids})))
}

fn removal(uid: &str, parameters: &Parameters) -> Result<RemoveTable, CompatError> {
    if let Some((unknown, _)) = parameters.pairs().find(|(name, _)| !REMOVAL.contains(name)) {
        return Err(CompatError::field(
            unknown,
            format!("there is no such flag; there are {}", REMOVAL.join(", ")),
        ));
    }
    let flag = |name: &str| Ok::<_, CompatError>(parameters.flag(name)?.unwrap_or(false));
    if flag("delete_with_no_table")? {
        return Err(CompatError::Unserved {
            what: "delete_with_no_table is not served: this host has no entry without its table".to_owned(),
            instead: "leave it out, or see whether a table is still what its contract says: datanode table current TABLE",
        });
    }
    // Whichever of them says so, the table goes.
    let (selected, protected) = (flag("full_delete_selected")?, flag("override_protection")?);
    if protected && !selected {
        return Err(CompatError::field(
            "override_protection",
            "it holds together with full_delete_selected alone",
        ));
    }
    Ok(RemoveTable {
        table_uid: uid.to_owned(),
        with_referrers: flag("full_delete_downstream_tables")?,
        protected,
        may_go: None,
    })
}

/// All tables that go with a table must be the caller's to remove. Their uids, and that of the table.
async fn may_remove_referrers(caller: &Caller, host: &Host, uid: &str) -> Result<Vec<String>, Problem> {
    let mut going = vec![uid.to_owned()];
    let mut looked_at = 0;
    while looked_at < going.len() {
        let referring = host.store().referring_tables(&going[looked_at..]).await?;
        looked_at = going.len();
        for table in referring {
            if !going.contains(&table.uid) {
                caller.may_with(Action::ReshapeTable, &table)?;
                going.push(table.uid);
            }
        }
    }
    Ok(going)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value)] // as `json!` makes it
    fn change(body: Value) -> Result<TableEdit, CompatError> {
        change_of(body.as_object().unwrap())
    }

    #[test]
    fn what_can_be_changed_is_read_and_the_rest_is_refused() {
        let read = change(json!({
            "description": "New.", "labels": ["a", " a ", "b"], "protect_from_deletion": true,
            "identifier": "My Table", "cadence": "1D", "orm_class": "x"
        }))
        .unwrap();
        assert_eq!(read.metadata.set_labels, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read.registration.identifier.as_deref(), Some("My Table"));
        assert_eq!(read.cadence, Some("1d".parse().ok()));
        assert_eq!(change(json!({"cadence": null})).unwrap().cadence, Some(None));
        assert_eq!(change(json!({})), Ok(TableEdit::default()));
        for wrong in [
            json!({"columns": []}),
            json!({"identifier": null}),
            json!({"identifier": ""}),
            json!({"labels": 1}),
            json!({"protect_from_deletion": "yes"}),
            json!({"cadence": "daily"}),
            json!({"description": 1}),
        ] {
            assert!(change(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_removal_says_what_goes() {
        let read = |query: &str| removal("u", &Parameters::of_query(Some(query)).unwrap());
        let all = read(
            "full_delete_selected=True&full_delete_downstream_tables=False&delete_with_no_table=False&override_protection=true",
        );
        let all = all.unwrap();
        assert!(all.protected && !all.with_referrers);
        assert!(read("override_protection=True").is_err());
        assert!(read("delete_with_no_table=True").is_err());
        assert!(read("force=True").is_err() && read("full_delete_selected=perhaps").is_err());
        assert!(read("").is_ok());
    }
}
