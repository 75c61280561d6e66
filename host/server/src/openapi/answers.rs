//! What routes answer where they succeed.

use serde_json::{Map, Value, json};

use super::parameters;
use crate::routes::Route;

/// What an answer is.
#[derive(Clone, Copy)]
enum What {
    /// A document, by the name of its schema.
    One(&'static str),
    /// A page of a list of them.
    Page(&'static str),
    /// All of them, in an array.
    All(&'static str),
    /// A page of hits, with how many there are.
    Hits(&'static str),
    /// An execution that has begun.
    Begun,
    /// Rows, in one of the formats.
    Rows,
    /// Server-sent events, whose data are these.
    Events(&'static str),
    /// Lines of a log, or the same as events.
    Log,
    /// A file of this type.
    File(&'static str, &'static str),
    /// How much of an upload has come, in a header.
    Offset,
    /// Headers alone.
    Nothing,
}

/// Statuses of a success that has a document.
type Statuses = &'static [u16];

/// It is answered.
const OK: Statuses = &[200];
/// Something new may have been made.
const EITHER: Statuses = &[200, 201];
/// Something new was made.
const MADE: Statuses = &[201];

/// Method, path, what is answered, and with which statuses.
type Row = (&'static str, &'static str, What, Statuses);

use What::{All, Begun, Events, File, Hits, Log, Nothing, Offset, One, Page, Rows};

/// What each route answers.
const ANSWERS: &[Row] = &[
    ("GET", "/api/v1/version", One("release"), OK),
    ("GET", "/api/v1/openapi.json", One("document"), OK),
    ("GET", "/api/v1/me", One("caller"), OK),
    ("GET", "/api/v1/components", Page("component"), OK),
    ("POST", "/api/v1/components", One("uploaded"), EITHER),
    ("POST", "/api/v1/components/check", Begun, OK),
    ("GET", "/api/v1/components/uploads/{digest}", Offset, OK),
    ("PUT", "/api/v1/components/uploads/{digest}", One("uploaded"), EITHER),
    ("PATCH", "/api/v1/components/uploads/{digest}", One("uploaded"), EITHER),
    ("DELETE", "/api/v1/components/uploads/{digest}", Nothing, OK),
    ("GET", "/api/v1/components/{name}", One("component"), OK),
    ("GET", "/api/v1/components/{name}/{version}", One("component"), OK),
    ("POST", "/api/v1/components/{name}/{version}/enable", One("component"), OK),
    ("POST", "/api/v1/components/{name}/{version}/disable", One("component"), OK),
    ("DELETE", "/api/v1/components/{name}/{version}", One("component"), OK),
    ("GET", "/api/v1/tables", Page("table"), OK),
    ("POST", "/api/v1/tables", One("registered"), EITHER),
    ("POST", "/api/v1/tables/diff", One("difference"), OK),
    ("GET", "/api/v1/tables/{reference}", One("table_shown"), OK),
    ("PATCH", "/api/v1/tables/{reference}", One("registered"), OK),
    ("POST", "/api/v1/tables/{reference}/repoint", One("repointed"), OK),
    ("POST", "/api/v1/tables/{reference}/owner", One("table_given"), OK),
    ("GET", "/api/v1/tables/{reference}/rows", Rows, OK),
    ("POST", "/api/v1/tables/{reference}/rows/query", Rows, OK),
    ("GET", "/api/v1/tables/{reference}/digest", One("table_digest"), OK),
    ("GET", "/api/v1/tables/{reference}/statistics", One("statistics"), OK),
    ("POST", "/api/v1/tables/{reference}/statistics/verify", One("verified"), OK),
    ("POST", "/api/v1/tables/{reference}/delete-after", One("deleted"), OK),
    ("POST", "/api/v1/tables/{reference}/query", One("sql_answer"), OK),
    ("POST", "/api/v1/tables/{reference}/load", One("loaded"), OK),
    ("POST", "/api/v1/tables/{reference}/refresh-search-index", One("search_refreshed"), OK),
    ("POST", "/api/v1/tables/{reference}/revisions/current", One("table_standing"), OK),
    ("POST", "/api/v1/tables/{reference}/revisions/history", Page("revision_of_table"), OK),
    ("POST", "/api/v1/tables/{reference}/revisions/write", One("revision_files"), OK),
    ("POST", "/api/v1/tables/{reference}/revisions/complete", One("revision_files"), OK),
    ("POST", "/api/v1/tables/{reference}/revisions/seal", One("revision_files"), OK),
    ("POST", "/api/v1/tables/{reference}/revisions/upgrade", One("revision_steps"), OK),
    ("POST", "/api/v1/tables/{reference}/revisions/downgrade", One("revision_steps"), OK),
    ("POST", "/api/v1/tables/{reference}/revisions/refresh", One("revision_step"), OK),
    ("GET", "/api/v1/nodes", Page("node"), OK),
    ("POST", "/api/v1/nodes", All("planned_node"), EITHER),
    ("POST", "/api/v1/nodes/hash", One("identity"), OK),
    ("GET", "/api/v1/graph", One("graph"), OK),
    ("GET", "/api/v1/leases", Page("lease"), OK),
    ("GET", "/api/v1/nodes/{reference}", One("node_shown"), OK),
    ("PATCH", "/api/v1/nodes/{reference}", One("node_set"), OK),
    ("GET", "/api/v1/nodes/{reference}/graph", One("graph"), OK),
    ("GET", "/api/v1/nodes/{reference}/windows", Page("node_window"), OK),
    ("POST", "/api/v1/nodes/{reference}/runs", Begun, OK),
    ("POST", "/api/v1/nodes/{reference}/backfills", Begun, OK),
    ("GET", "/api/v1/backfills", Page("backfill"), OK),
    ("GET", "/api/v1/backfills/{id}", One("backfill_shown"), OK),
    ("POST", "/api/v1/backfills/{id}/pause", One("backfill"), OK),
    ("POST", "/api/v1/backfills/{id}/resume", Begun, OK),
    ("POST", "/api/v1/backfills/{id}/cancel", One("backfill"), OK),
    ("GET", "/api/v1/executions", Page("execution"), OK),
    ("GET", "/api/v1/executions/{id}", One("execution"), OK),
    ("GET", "/api/v1/executions/{id}/events", Events("event"), OK),
    ("POST", "/api/v1/executions/{id}/cancel", One("execution"), OK),
    ("GET", "/api/v1/runs", Page("run"), OK),
    ("POST", "/api/v1/runs/prune", One("pruned"), OK),
    ("GET", "/api/v1/runs/{id}", One("run"), OK),
    ("GET", "/api/v1/runs/{id}/logs", Log, OK),
    ("POST", "/api/v1/runs/{id}/replay", Begun, OK),
    ("POST", "/api/v1/runs/{id}/retry", Begun, OK),
    ("POST", "/api/v1/runs/{id}/determinism", Begun, OK),
    ("GET", "/api/v1/runs/{id}/bundle", File("application/x-tar", "A bundle of the run."), OK),
    ("GET", "/api/v1/sources", Page("source"), OK),
    ("POST", "/api/v1/sources", One("source_added"), EITHER),
    ("GET", "/api/v1/sources/{name}", One("source"), OK),
    ("PUT", "/api/v1/sources/{name}", One("source"), OK),
    ("DELETE", "/api/v1/sources/{name}", One("source"), OK),
    ("POST", "/api/v1/sources/{name}/grants/{component}", One("source"), OK),
    ("DELETE", "/api/v1/sources/{name}/grants/{component}", One("source"), OK),
    ("GET", "/api/v1/secrets", Page("secret"), OK),
    ("POST", "/api/v1/secrets", One("secret"), OK),
    ("DELETE", "/api/v1/secrets/{name}", One("secret_removed"), OK),
    ("GET", "/api/v1/tokens", Page("token"), OK),
    ("POST", "/api/v1/tokens", One("token_created"), MADE),
    ("GET", "/api/v1/tokens/{id}", One("token"), OK),
    ("DELETE", "/api/v1/tokens/{id}", One("token"), OK),
    ("GET", "/api/v1/users", Page("user"), OK),
    ("POST", "/api/v1/users", One("user_shown"), MADE),
    ("GET", "/api/v1/users/{reference}", One("user_shown"), OK),
    ("POST", "/api/v1/users/{reference}/enable", One("user_shown"), OK),
    ("POST", "/api/v1/users/{reference}/disable", One("user_shown"), OK),
    ("GET", "/api/v1/teams", Page("team"), OK),
    ("POST", "/api/v1/teams", One("team_shown"), MADE),
    ("GET", "/api/v1/teams/{reference}", One("team_shown"), OK),
    ("GET", "/api/v1/teams/{reference}/members", Page("user"), OK),
    ("POST", "/api/v1/teams/{reference}/members", One("team_shown"), OK),
    ("DELETE", "/api/v1/teams/{reference}/members/{user}", One("team_shown"), OK),
    ("GET", "/api/v1/roles", Page("held_role"), OK),
    ("POST", "/api/v1/roles", One("role_changed"), OK),
    ("POST", "/api/v1/roles/revoke", One("role_changed"), OK),
    ("GET", "/api/v1/audit", Page("audit_entry"), OK),
    ("GET", "/api/v1/search/tables", Hits("found_table"), OK),
    ("GET", "/api/v1/search/columns", Hits("found_columns_of_table"), OK),
    ("POST", "/api/v1/search/refresh", One("search_state"), OK),
    ("GET", "/healthz", One("health"), OK),
    ("GET", "/readyz", One("health"), OK),
    ("GET", "/metrics", File("text/plain", "Its numbers, in the text format of Prometheus."), OK),
];

/// Formats of rows beside JSON, each with what it is.
const FORMATS: [(&str, &str); 2] = [
    ("application/vnd.apache.arrow.stream", "An Arrow IPC stream."),
    ("application/vnd.apache.parquet", "A Parquet file."),
];

fn found(route: &Route) -> Option<&'static Row> {
    ANSWERS.iter().find(|(method, path, ..)| *method == route.method && *path == route.path)
}

/// Whether a route begins an execution.
pub(super) fn is_begun(route: &Route) -> bool {
    matches!(found(route), Some((_, _, Begun, _)))
}

/// Whether a route answers a page of a list.
pub(super) fn is_paged(route: &Route) -> bool {
    route.method == "GET" && matches!(found(route), Some((_, _, Page(_) | Hits(_), _)))
}

/// The answers of a route, by their status.
pub(super) fn of(route: &Route) -> Value {
    let Some((_, _, what, statuses)) = found(route) else { return json!({}) };
    let mut responses = Map::new();
    let mut add = |status: &str, answer: Value| responses.insert(status.to_owned(), answer);
    match what {
        One(name) | All(name) => {
            let one = reference(name);
            let schema = if matches!(what, One(_)) { one } else { json!({"type": "array", "items": one}) };
            for status in *statuses {
                let told = if *status == 201 { "Something new was made." } else { "The answer." };
                let mut answer = document(told, &schema);
                if parameters::shows_tag(route) {
                    let what = "Names the state: what `If-Match` and `If-None-Match` are compared with.";
                    answer["headers"] = json!({"ETag": header("string", what)});
                }
                add(&status.to_string(), answer);
            }
        }
        Page(name) => {
            add("200", document("A page.", &page(name, &[])));
        }
        Hits(name) => {
            add("200", document("A page.", &page(name, &["count", "offset", "limit"])));
        }
        Begun => {
            let mut answer = document("It has begun: ask for the execution.", &reference("execution"));
            answer["headers"] = json!({"Location": header("string", "Path of the execution.")});
            add("202", answer);
        }
        Rows => {
            add("200", rows());
        }
        Events(name) => {
            add("200", events(name));
        }
        Log => {
            let mut answer = events("event");
            answer["description"] =
                json!("Lines of its log, or the same as events where `Accept` asks for these.");
            answer["content"]["application/json"] = json!({"schema": reference("run_log")});
            add("200", answer);
        }
        File(kind, what) => {
            let schema = json!({"type": "string", "format": "binary"});
            let schema = if *kind == "text/plain" { json!({"type": "string"}) } else { schema };
            let content = Map::from_iter([((*kind).to_owned(), json!({"schema": schema}))]);
            add("200", json!({"description": what, "content": content}));
        }
        Offset => {
            add("204", offset("So much has come."));
        }
        Nothing => {
            add("204", json!({"description": "Done."}));
        }
    }
    if parameters::is_tagged(route) {
        add("304", json!({"description": "It is what the caller has."}));
    }
    if route.path.contains("/uploads/") && matches!(route.method, "PUT" | "PATCH") {
        add("202", offset("So much has come: more is to follow."));
    }
    if route.path == "/readyz" {
        add("503", json!({"$ref": "#/components/responses/problem"}));
    }
    Value::Object(responses)
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#{}/{name}", super::SCHEMAS)})
}

fn document(description: &str, schema: &Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn header(kind: &str, what: &str) -> Value {
    json!({"description": what, "schema": {"type": kind}})
}

fn offset(description: &str) -> Value {
    let headers = json!({"Upload-Offset": header("integer", "Bytes that have come.")});
    json!({"description": description, "headers": headers})
}

/// A page of a list, with numbers beside it.
fn page(name: &str, numbers: &[&str]) -> Value {
    let mut properties = json!({
        "items": {"type": "array", "items": reference(name)},
        "next_cursor": {"type": ["string", "null"], "description": "Of the next page; null: this is the last one."},
    });
    for number in numbers {
        properties[number] = json!({"type": "integer", "minimum": 0});
    }
    let required: Vec<&str> = ["items", "next_cursor"].into_iter().chain(numbers.iter().copied()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn rows() -> Value {
    let row = reference("row");
    let mut content = json!({
        "application/json": {"schema": {"type": "array", "items": row}},
        "application/x-ndjson": {"schema": {"type": "string", "description": "A row in each line."}},
        "text/csv": {"schema": {"type": "string", "description": "The names of the columns, then a line for each row."}},
    });
    for (kind, what) in FORMATS {
        content[kind] = json!({"schema": {"type": "string", "format": "binary", "description": what}});
    }
    let headers = json!({"Datanode-Table-Rows": header("integer", "Rows of the whole table.")});
    json!({
        "description": "Rows in the order of the key, in the format that `Accept` asks for.",
        "headers": headers,
        "content": content,
    })
}

fn events(name: &str) -> Value {
    let what =
        "Server-sent events: `event` is the name, `data` a document of `x-event`; the last one is `end`.";
    let schema = json!({"type": "string", "description": what, "x-event": reference(name)});
    json!({"description": "Events, with their numbers as ids.", "content": {"text/event-stream": {"schema": schema}}})
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ANSWERS.iter().map(|(method, path, ..)| (*method, *path))
}
