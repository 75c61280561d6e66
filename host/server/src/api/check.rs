//! The checklist, over components and nodes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use datanode_core::Timestamp;
use datanode_core::access::Action;
use datanode_core::contract::Contract;
use datanode_runtime::{CheckRequest, CheckSubject, Host, Observer, RunOptions};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::components::{admitted, component};
use super::nodes::{begun, seen_node};
use crate::auth::Caller;
use crate::described::Described;
use crate::executions::{About, Kind, by};
use crate::input::{self, Params};
use crate::{AppState, Problem};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/components/check", post(check))
}

/// What is sent to it, where it is no component.
pub(super) const DOCUMENTS: &[Described] = &[Described::of::<Asked>(
    "POST",
    "/api/v1/components/check",
    r#"{"subject": "fx_log_returns", "table": "fx_log_returns", "config": {}, "until": "2026-01-31"}"#,
)];

/// What is checked, where it is in the catalogue: a node, or a component by name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "CheckRequest", extend("required" = ["subject"]))]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// A node, or a component where there is no such node.
    subject: String,
    /// Identifier or uid of the table that it is to write.
    table: Option<String>,
    /// A contract in its place.
    #[schemars(with = "Option<Contract>")]
    contract: Option<Value>,
    /// Config for the component; empty where nothing is said.
    #[schemars(with = "Option<Map<String, Value>>")]
    config: Option<Box<RawValue>>,
    /// The same as a text, as a person has written it: errors name places in it.
    config_text: Option<String>,
    /// Where the windows of trial runs end; the last complete period, where nothing is said.
    until: Option<Timestamp>,
}

/// The contract of the table that is to be written.
async fn contract_of(
    host: &Host,
    caller: &Caller,
    table: Option<&str>,
    contract: Option<&Value>,
) -> Result<Option<Box<Contract>>, Problem> {
    match (table, contract) {
        (Some(_), Some(_)) => Err(Problem::usage("give either `table` or `contract`")),
        (Some(table), None) => {
            let table = caller.table(host, table, Action::ReadTable).await?;
            Ok(Some(Box::new(table.contract)))
        }
        (None, Some(contract)) => Ok(Some(Box::new(Contract::from_json(&contract.to_string())?))),
        (None, None) => Ok(None),
    }
}

async fn check(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let stubbed = params.flag("allow_stubbed_wasi")?;
    let host = caller.host(&state).admitting(admitted(&caller, stubbed)?);
    let (subject, until, name, place) = if input::content_type(&headers) == "application/json" {
        params.end()?;
        let asked: Asked = input::parse(&input::whole(request.into_body()).await?)?;
        let name = asked.subject.clone();
        let until = asked.until;
        (of_catalogue(&host, &caller, asked).await?, until, name, None)
    } else {
        let (table, until) = (params.text("table")?, params.value("until")?);
        let contract =
            params.text("contract")?.map(|text| input::parse::<Value>(text.as_bytes())).transpose()?;
        let config = params.text("config")?.unwrap_or_else(|| "{}".to_owned());
        let label = params.text("label")?.unwrap_or_else(|| "upload".to_owned());
        params.end()?;
        let contract = contract_of(&host, &caller, table.as_deref(), contract.as_ref()).await?;
        let place = Arc::clone(&state.uploads().in_memory).acquire_owned().await;
        let place = place.map_err(|_| Problem::bug("uploads are closed"))?;
        let bytes = component(&headers, request, &state).await?.into();
        (CheckSubject::File { label: label.clone(), bytes, config, contract }, until, label, Some(place))
    };
    let about = About {
        kind: Kind::Check,
        table_uid: None,
        others: Vec::new(),
        reads: Vec::new(),
        sources: false,
        table: None,
        subject: name.chars().take(300).collect(),
        by: by(caller.principal()),
    };
    let execution = state.executions().begin(about, move |execution| async move {
        // For as long as the bytes are in memory.
        let _place = place;
        let observer: Arc<dyn Observer> = execution.clone();
        let options = RunOptions { observer, stop: execution.stop.clone(), ..RunOptions::default() };
        // On the heap: an execution would carry all of it otherwise.
        let checked = Box::pin(host.check(CheckRequest { subject, until }, &options)).await?;
        Ok(json!(checked))
    })?;
    Ok(begun(&execution, Value::Null))
}

async fn of_catalogue(host: &Host, caller: &Caller, asked: Asked) -> Result<CheckSubject, Problem> {
    // Asked first, so that a token that is not for reading is told the same of whatever there is.
    caller.has_right_to(Action::ReadTable)?;
    let named = asked.table.is_some() || asked.contract.is_some();
    let configured = asked.config.is_some() || asked.config_text.is_some();
    if !named && !configured {
        match seen_node(host, caller, &asked.subject).await {
            Ok((node, table)) => {
                caller.may_with(Action::ReadTable, &table)?;
                return Ok(CheckSubject::Node(Box::new(node)));
            }
            // Neither a node nor a component: the error of the node says more, for it knows the ways to name one.
            Err(error) if host.store().component(&asked.subject, None).await.is_err() => return Err(error),
            Err(_) => {}
        }
    }
    let contract = contract_of(host, caller, asked.table.as_deref(), asked.contract.as_ref()).await?;
    let config = match (asked.config, asked.config_text) {
        (Some(_), Some(_)) => return Err(Problem::usage("give either `config` or `config_text`")),
        (Some(object), None) => object.get().to_owned(),
        (None, text) => text.unwrap_or_else(|| "{}".to_owned()),
    };
    Ok(CheckSubject::Component { name: asked.subject, config, contract })
}
