//! The protocol of the existing client, so that people with scripts for it change an environment variable and nothing else.
//!
//! **One idea:** it is another way of saying what the own API says. A table of the catalogue is told in the two forms that
//! the client knows; a body of the client becomes a contract, a query or a scope by our rules; and every error is `{"detail":
//! …}` with a status that the client does not repeat a request for.
//!
//! * `parameters`, `scope`, `types`, `registering`: what the client writes, as checked values.
//! * `table`, `statistics`, `rows`: what it is told.
//! * `catalogue`: which tables are meant; `tables`, `labels`, `search`, `sql`, `read`, `delete_after`, `shape`, `source`,
//!   `account`: the handlers.
//! * `producer`: programs elsewhere that write rows.

mod account;
pub(crate) mod catalogue;
mod delete_after;
pub(crate) mod error;
mod labels;
pub(crate) mod parameters;
pub(crate) mod producer;
mod read;
pub(crate) mod registering;
mod rows;
pub(crate) mod scope;
mod search;
mod shape;
mod source;
mod sql;
mod statistics;
pub(crate) mod table;
mod tables;
pub(crate) mod types;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use datanode_core::access::Action;
use serde_json::json;

use crate::routes::{Body, Demand, Route};
use crate::{AppState, Problem};

const READ: Demand = Demand::To(Action::ReadTable);
const WRITE: Demand = Demand::To(Action::EditTable);
const REGISTER: Demand = Demand::To(Action::RegisterTable);
const RESHAPE: Demand = Demand::To(Action::ReshapeTable);
const SHARE: Demand = Demand::To(Action::ShareTable);

/// The rows of one of the two roots.
macro_rules! of_root {
    ($root:literal) => {
        [
            Route::new("GET", concat!($root, "/"), READ, "tables, by filters"),
            Route::new("POST", concat!($root, "/"), REGISTER, "register several tables")
                .taking(Body::Document),
            Route::new("POST", concat!($root, "/filter/"), READ, "tables, by filters of a body")
                .taking(Body::Document),
            Route::new("POST", concat!($root, "/register/"), REGISTER, "register a table")
                .taking(Body::Document),
            Route::new(
                "POST",
                concat!($root, "/validate-contract/"),
                Demand::Caller,
                "whether a contract would be taken",
            )
            .taking(Body::Document),
            Route::new(
                "GET",
                concat!($root, "/description-search/"),
                READ,
                "search by what tables are about",
            ),
            Route::new("GET", concat!($root, "/column-search/"), READ, "search by columns"),
            Route::new("GET", concat!($root, "/{uid}/"), READ, "a table"),
            Route::new("PATCH", concat!($root, "/{uid}/"), WRITE, "change what is told of a table")
                .taking(Body::Document),
            Route::new("DELETE", concat!($root, "/{uid}/"), RESHAPE, "remove a table"),
            Route::new("POST", concat!($root, "/{uid}/add-label/"), WRITE, "add labels")
                .taking(Body::Document),
            Route::new("POST", concat!($root, "/{uid}/remove-label/"), WRITE, "remove labels")
                .taking(Body::Document),
            Route::new("GET", concat!($root, "/{uid}/can-view/"), READ, "who may see a table by a share"),
            Route::new("GET", concat!($root, "/{uid}/can-edit/"), READ, "who may change a table by a share"),
            Route::new("POST", concat!($root, "/{uid}/add-to-view/"), SHARE, "let a user see a table")
                .taking(Body::Document),
            Route::new("POST", concat!($root, "/{uid}/add-to-edit/"), SHARE, "let a user change a table")
                .taking(Body::Document),
            Route::new("POST", concat!($root, "/{uid}/remove-from-view/"), SHARE, "end a user's view")
                .taking(Body::Document),
            Route::new("POST", concat!($root, "/{uid}/remove-from-edit/"), SHARE, "end a user's changes")
                .taking(Body::Document),
            Route::new("POST", concat!($root, "/{uid}/add-team-to-view/"), SHARE, "let a team see a table")
                .taking(Body::Document),
            Route::new(
                "POST",
                concat!($root, "/{uid}/add-team-to-edit/"),
                SHARE,
                "let a team change a table",
            )
            .taking(Body::Document),
            Route::new("POST", concat!($root, "/{uid}/remove-team-from-view/"), SHARE, "end a team's view")
                .taking(Body::Document),
            Route::new(
                "POST",
                concat!($root, "/{uid}/remove-team-from-edit/"),
                SHARE,
                "end a team's changes",
            )
            .taking(Body::Document),
            Route::new(
                "POST",
                concat!($root, "/{uid}/refresh-table-search-index/"),
                WRITE,
                "make a table's text anew",
            )
            .long(),
            Route::new("POST", concat!($root, "/{uid}/run_query/"), READ, "SQL that reads a table")
                .taking(Body::Document),
            Route::new("GET", concat!($root, "/{uid}/schema-graph/"), READ, "what refers to what"),
            Route::new("POST", concat!($root, "/{uid}/introspect/"), READ, "what the database has"),
            Route::new(
                "POST",
                concat!($root, "/{uid}/validate-contract/"),
                READ,
                "whether a contract would be taken",
            )
            .taking(Body::Document),
            Route::new(
                "POST",
                concat!($root, "/{uid}/delete_after_date/"),
                WRITE,
                "delete rows from a moment on",
            )
            .taking(Body::Document)
            .long(),
            Route::new(
                "POST",
                concat!($root, "/{uid}/get_data_between_dates_from_remote/"),
                READ,
                "rows between dates",
            )
            .taking(Body::Document)
            .long(),
            Route::new(
                "POST",
                concat!($root, "/get_data_between_dates_from_node_identifier/"),
                READ,
                "rows between dates of the table of a name",
            )
            .taking(Body::Document)
            .long(),
            Route::new(
                "POST",
                concat!($root, "/{uid}/get_last_observation/"),
                READ,
                "the newest row of each coordinate",
            )
            .taking(Body::Document)
            .long(),
            Route::new("GET", concat!($root, "/{uid}/get-stats/"), READ, "what a table holds"),
        ]
    };
}

const TIME_INDEXED: [Route; 32] = of_root!("/orm/api/ts_manager/dynamic_table");
const PLAIN: [Route; 32] = of_root!("/orm/api/ts_manager/meta_table");

const USER_DETAILS: &str = "/user/api/user/get_user_details/";
const USER: &str = "/auth/rest-auth/user/";
const REFRESH: &str = "/auth/jwt-token/token/refresh/";
const LOG_IN: &str = "/auth/jwt-token/token/";
const CREDENTIALS: &str = "/orm/api/pods/runtime-credentials/token/";
const PROJECT: &str = "/orm/api/pods/projects/{uid}/";
const SOURCES: &str = "/orm/api/ts_manager/dynamic_table_data_source/";
const SOURCE: &str = "/orm/api/ts_manager/dynamic_table_data_source/{uid}/";
const CONNECTION: &str = "/orm/api/ts_manager/dynamic_table_data_source/{uid}/migration-connection/";
const FINALIZE: &str = "/orm/api/ts_manager/meta_table/finalize-managed/";
const EXECUTE: &str = "/orm/api/ts_manager/meta_table/execute-operation/";

/// What is under neither root.
const OTHERS: [Route; 11] = [
    Route::new("GET", USER_DETAILS, Demand::Caller, "who one is"),
    Route::new("GET", USER, Demand::Caller, "who one is"),
    Route::new("POST", REFRESH, Demand::Nothing, "whether a token still counts").taking(Body::Document),
    Route::new("POST", LOG_IN, Demand::Nothing, "refused: there are no passwords"),
    Route::new("POST", CREDENTIALS, Demand::Nothing, "a token by its id and its secret")
        .taking(Body::Document),
    Route::new("GET", PROJECT, Demand::Caller, "a project: any uid is one"),
    Route::new("GET", SOURCES, Demand::Caller, "the one data source"),
    Route::new("GET", SOURCE, Demand::Caller, "the one data source"),
    Route::new("POST", CONNECTION, Demand::Caller, "refused: connections are not given away"),
    Route::new("POST", FINALIZE, Demand::Caller, "refused: tables have their storage at once"),
    Route::new("POST", EXECUTE, Demand::Caller, "refused: rows are written by nodes and producers"),
];

/// All of it.
pub(crate) fn routes_of_all() -> impl Iterator<Item = &'static Route> {
    const TIME_INDEXED_ROUTES: &[Route] = &TIME_INDEXED;
    const PLAIN_ROUTES: &[Route] = &PLAIN;
    const OTHER_ROUTES: &[Route] = &OTHERS;
    TIME_INDEXED_ROUTES.iter().chain(PLAIN_ROUTES).chain(OTHER_ROUTES).chain(producer::ROUTES)
}

/// The routes; what each demands is asked before a handler is called.
pub(crate) fn routes() -> Router<AppState> {
    let others = Router::new()
        .route(USER_DETAILS, get(account::user_details))
        .route(USER, get(account::user))
        .route(REFRESH, post(account::refresh))
        .route(LOG_IN, post(account::log_in))
        .route(CREDENTIALS, post(account::credentials))
        .route(PROJECT, get(source::project))
        .route(SOURCES, get(source::index))
        .route(SOURCE, get(source::show))
        .route(CONNECTION, post(source::migration_connection))
        .route(FINALIZE, post(source::finalize))
        .route(EXECUTE, post(source::execute));
    others.merge(routes_below("dynamic_table")).merge(routes_below("meta_table")).merge(producer::routes())
}

/// The routes below one of the two roots: the handlers look at the path to know which.
fn routes_below(name: &str) -> Router<AppState> {
    let collection = |action: &str| format!("{}/{name}/{action}", catalogue::ROOT);
    let single = |action: &str| format!("{}/{name}/{{uid}}/{action}", catalogue::ROOT);
    let mut routes = Router::new()
        .route(&collection(""), get(tables::index).post(tables::create_all))
        .route(&collection("filter/"), post(tables::filter))
        .route(&collection("register/"), post(tables::register))
        .route(&collection("validate-contract/"), post(shape::validate))
        .route(&collection("description-search/"), get(search::by_description))
        .route(&collection("column-search/"), get(search::by_column))
        .route(
            &collection("get_data_between_dates_from_node_identifier/"),
            post(read::between_dates_by_identifier),
        )
        .route(&single(""), get(tables::show).patch(tables::change).delete(tables::remove))
        .route(&single("add-label/"), post(labels::add))
        .route(&single("remove-label/"), post(labels::remove))
        .route(&single("can-view/"), get(labels::can_view))
        .route(&single("can-edit/"), get(labels::can_edit))
        .route(&single("refresh-table-search-index/"), post(search::refresh))
        .route(&single("run_query/"), post(sql::run))
        .route(&single("schema-graph/"), get(shape::graph))
        .route(&single("introspect/"), post(shape::introspect))
        .route(&single("validate-contract/"), post(shape::validate_existing))
        .route(&single("delete_after_date/"), post(delete_after::delete))
        .route(&single("get_data_between_dates_from_remote/"), post(read::between_dates))
        .route(&single("get_last_observation/"), post(read::last_observation))
        .route(&single("get-stats/"), get(read::statistics));
    for action in ["add-to-view", "add-to-edit", "remove-from-view", "remove-from-edit"] {
        let of_team = action.replacen('-', "-team-", 1);
        routes = routes.route(&single(&format!("{action}/")), post(labels::share));
        routes = routes.route(&single(&format!("{of_team}/")), post(labels::share));
    }
    routes
}

/// An answer as that client understands it: a [`Problem`] is in the extensions of the answers that are one.
pub(crate) async fn shape(answer: Response) -> Response {
    match answer.extensions().get::<Problem>() {
        Some(problem) => told(problem),
        None => answer,
    }
}

/// The same for a path that no route has: one below those of that client is told in its way.
pub(crate) fn shape_at(path: &str, answer: Response) -> Response {
    let is_of_client = ["/orm/", "/auth/", "/user/"].iter().any(|root| path.starts_with(root));
    match answer.extensions().get::<Problem>() {
        Some(problem) if is_of_client => told(problem),
        _ => answer,
    }
}

fn told(problem: &Problem) -> Response {
    // Understood and refused is 422 elsewhere; that client has a name for 400, and none for it.
    let status = match problem.status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    };
    let document = json!({
        "detail": problem.detail,
        "code": problem.code,
        "next": problem.next,
        "request_id": crate::request::id(),
    });
    let mut answer = (status, document.to_string()).into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"datanode\""));
    }
    answer.extensions_mut().insert(problem.clone());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_is_told_as_the_client_reads_it() {
        let problem =
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "contract.foreign_key", "it does not fit");
        let answer = shape(problem.into_response()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        let body = crate::input::whole(answer.into_body()).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["detail"], "it does not fit");
    }

    #[test]
    fn no_row_comes_twice() {
        let rows: Vec<_> = routes_of_all().map(|route| (route.method, route.path)).collect();
        for (at, row) in rows.iter().enumerate() {
            assert!(!rows[..at].contains(row), "{row:?}");
        }
    }
}
