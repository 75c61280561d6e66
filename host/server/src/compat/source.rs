//! The one data source, and projects, of which this host knows nothing but their uid.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use datanode_core::search::Page;
use serde_json::{Value, json};

use super::catalogue::{page_answer, page_of};
use super::error::{CompatError, refuse};
use super::parameters::Parameters;
use super::table::data_source;
use crate::input::Place;
use crate::{AppState, Problem};

/// The longest uid of a project, in characters.
const MAX_PROJECT_CHARS: usize = 255;

/// `GET dynamic_table_data_source/`
pub(crate) async fn index(
    State(state): State<AppState>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::of_query(uri.query()).map_err(refuse)?;
    let source = state.host().store().data_source().await?;
    let is_it = |value: &str| value == source;
    let wanted = match (parameters.last("uid"), parameters.last("uid__in")) {
        (Some(uid), _) => is_it(uid),
        (None, Some(uids)) => uids.split(',').any(is_it),
        (None, None) => true,
    };
    let items = if wanted { vec![data_source(&source)] } else { Vec::new() };
    let page = Page::of(items, page_of(&parameters)?);
    Ok(Json(page_answer(state.settings(), &headers, &uri, &parameters, &page)))
}

/// `GET dynamic_table_data_source/<uid>/`
pub(crate) async fn show(
    State(state): State<AppState>,
    Place(uid): Place<String>,
) -> Result<Json<Value>, Problem> {
    let source = state.host().store().data_source().await?;
    if uid != source {
        return Err(Problem::not_found(format!("there is no data source {uid}; there is {source}")));
    }
    Ok(Json(data_source(&source)))
}

/// `POST dynamic_table_data_source/<uid>/migration-connection/`
pub(crate) async fn migration_connection() -> Problem {
    CompatError::Unserved {
        what: "a connection to the database is not given away: it would pass by all that is checked here".to_owned(),
        instead: "register tables with register(); change one that is there by a revision: datanode table revision",
    }
    .problem()
}

/// `POST meta_table/finalize-managed/`
pub(crate) async fn finalize() -> Problem {
    CompatError::Unserved {
        what: "tables are not managed by Alembic here: what is registered has its storage at once".to_owned(),
        instead: "register tables with register() or bulk_create()",
    }
    .problem()
}

/// `POST meta_table/execute-operation/`
pub(crate) async fn execute() -> Problem {
    CompatError::Unserved {
        what: "compiled operations are not served: rows are written by nodes and producers alone".to_owned(),
        instead: "read rows by get_data_between_dates_from_remote/ or run_query/; load plain tables: datanode table load",
    }
    .problem()
}

/// `GET /orm/api/pods/projects/<uid>/`: any project is one, for that client wants one before it makes an update process. Its
/// uid enters the client's hashes, and no decision of this host.
pub(crate) async fn project(
    State(state): State<AppState>,
    Place(uid): Place<String>,
) -> Result<Json<Value>, Problem> {
    let is_long = uid.chars().count() > MAX_PROJECT_CHARS;
    if uid.trim().is_empty() || is_long || uid.chars().any(char::is_control) {
        let problem = format!("a uid is a line of at most {MAX_PROJECT_CHARS} characters");
        return Err(CompatError::field("uid", problem).problem());
    }
    let source = state.host().store().data_source().await?;
    Ok(Json(json!({
        "uid": uid,
        "project_name": uid,
        "is_initialized": true,
        "latest_git_version": "",
        "labels": [],
        "data_source": data_source(&source),
    })))
}
