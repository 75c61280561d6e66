//! This API as a document (`OpenAPI` 3.1), made of the same rows that requests are judged by, and of the schemas of what
//! `datanode … --json` prints (docs/reference/json.schema.json), for these are the answers.

use serde_json::{Map, Value, json};

use crate::routes::{self, Api, Body, Demand, Route};

/// The schemas of answers.
const SCHEMAS: &str = include_str!("../../../docs/reference/json.schema.json");

/// Which schema an answer has: method, path, name of the schema, whether it is a list of them.
const ANSWERS: &[(&str, &str, &str, bool)] = &[
    ("GET", "/api/v1/components", "component", true),
    ("POST", "/api/v1/components", "uploaded", false),
    ("GET", "/api/v1/components/{name}", "component", false),
    ("GET", "/api/v1/components/{name}/{version}", "component", false),
    ("POST", "/api/v1/components/{name}/{version}/enable", "component", false),
    ("POST", "/api/v1/components/{name}/{version}/disable", "component", false),
    ("DELETE", "/api/v1/components/{name}/{version}", "component", false),
    ("POST", "/api/v1/tables", "registered", false),
    ("PATCH", "/api/v1/tables/{reference}", "registered", false),
    ("GET", "/api/v1/graph", "graph", false),
    ("GET", "/api/v1/nodes/{reference}/graph", "graph", false),
    ("GET", "/api/v1/runs", "run", true),
    ("GET", "/api/v1/runs/{id}", "run", false),
];

/// Parameters of a query: name, and what it is.
type Parameters = &'static [(&'static str, &'static str)];

/// Which route has which: method, path, parameters.
const QUERIES: &[(&str, &str, Parameters)] = &[
    ("POST", "/api/v1/components", UPLOAD),
    ("PUT", "/api/v1/components/uploads/{digest}", UPLOAD),
    ("PATCH", "/api/v1/components/uploads/{digest}", UPLOAD),
    (
        "POST",
        "/api/v1/components/check",
        &[
            ("table", "identifier or uid of the table that it is to write"),
            ("contract", "a contract as JSON, in its place"),
            ("config", "the config as JSON"),
            ("until", "where the windows of trial runs end"),
            ("label", "what the component is called in errors"),
            ("allow_stubbed_wasi", "admit WASI, answered by constants: for admins"),
        ],
    ),
    (
        "DELETE",
        "/api/v1/components/{name}/{version}",
        &[("force", "also when recorded runs were computed by it")],
    ),
    ("GET", "/api/v1/tables", &[("namespace", "of this namespace"), ("label", "with this label")]),
    (
        "GET",
        "/api/v1/tables/{reference}/rows",
        &[
            ("start", "first moment, inclusive; or with an operand before it"),
            ("start_operand", ">= or >"),
            ("end", "last moment, inclusive; or with an operand before it"),
            ("end_operand", "<= or <"),
            ("columns", "names with commas between them"),
            ("filter", "DIMENSION=VALUE,…; several times"),
            ("coordinate", "DIMENSION=VALUE,…; several are alternatives"),
            ("limit", "rows at most"),
            ("last", "only the last row of each coordinate"),
        ],
    ),
    (
        "POST",
        "/api/v1/tables/{reference}/load",
        &[
            ("format", "csv, parquet or arrow, where the type of the body does not say it"),
            ("replace", "rows that the file does not have are deleted"),
        ],
    ),
    ("GET", "/api/v1/nodes/{reference}/windows", &[("state", "done, empty or failed")]),
    ("GET", "/api/v1/backfills", &[("node", "of this node")]),
    ("GET", "/api/v1/backfills/{id}", &[("status", "only windows in this state")]),
    (
        "GET",
        "/api/v1/runs",
        &[("node", "of this node"), ("table", "of this table"), ("status", "with this outcome")],
    ),
    ("GET", "/api/v1/tokens", &[("user", "of this user")]),
    (
        "GET",
        "/api/v1/roles",
        &[
            ("table", "on this table"),
            ("namespace", "on this namespace"),
            ("user", "of this user"),
            ("team", "of this team"),
            ("role", "this role"),
        ],
    ),
    (
        "GET",
        "/api/v1/audit",
        &[
            ("since", "at this moment or later"),
            ("actor", "of this user or token"),
            ("action", "this action, or all that begin with these words"),
            ("subject", "of this thing"),
            ("before", "before the entry of this number, as the cursor says too"),
        ],
    ),
    (
        "GET",
        "/api/v1/search/tables",
        &[
            ("q", "what is looked for"),
            ("trigram_k", "candidates of the trigram score"),
            ("embed_k", "candidates of the embedding score"),
            ("w_trgm", "weight of the trigram score"),
            ("w_emb", "weight of the embedding score"),
            ("embedding_model", "the model, or default"),
            ("q_embedding", "the vector of the query, number by number"),
            ("offset", "hits before the page"),
        ],
    ),
    ("GET", "/api/v1/search/columns", &[("q", "what is looked for"), ("offset", "hits before the page")]),
];

const UPLOAD: Parameters = &[
    ("label", "what the component is called in errors, and its origin"),
    ("accept_new_identity", "take a release that gives nodes another identity"),
    ("allow_stubbed_wasi", "admit WASI, answered by constants: for admins"),
    ("sha256", "take these bytes and no others"),
    ("signature", "Ed25519 signature, in base64"),
];

/// Lists in pages.
const PAGED: &[&str] = &[
    "/api/v1/components",
    "/api/v1/tables",
    "/api/v1/nodes",
    "/api/v1/leases",
    "/api/v1/nodes/{reference}/windows",
    "/api/v1/backfills",
    "/api/v1/executions",
    "/api/v1/runs",
    "/api/v1/sources",
    "/api/v1/secrets",
    "/api/v1/tokens",
    "/api/v1/users",
    "/api/v1/teams",
    "/api/v1/teams/{reference}/members",
    "/api/v1/roles",
    "/api/v1/audit",
    "/api/v1/search/tables",
    "/api/v1/search/columns",
];

/// Formats of rows.
const ROWS: [&str; 5] = [
    "application/json",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
    "text/csv",
    "application/x-ndjson",
];

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (_, route) in routes::all().filter(|(api, _)| *api == Api::Own) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "datanode",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Data updaters that can be trusted: the host behind HTTP. What a route answers is what the \
                            command prints with --json for the same thing.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of `datanode token create`."},
            },
            "responses": {
                "problem": {
                    "description": "An error: RFC 9457 problem details.",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}},
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = path_parameters(route.path);
    let own = QUERIES.iter().find(|(method, path, _)| *method == route.method && *path == route.path);
    parameters.extend(own.iter().flat_map(|(_, _, list)| *list).map(|(name, what)| query(name, what)));
    if route.method == "GET" && PAGED.contains(&route.path) {
        parameters.push(query("limit", "items of a page, at most 1000"));
        parameters.push(query("cursor", "where the page begins: `next_cursor` of the one before"));
    }
    if route.method == "POST" && route.is_write() && !route.is_secret {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "The same request with the same key is carried out once.",
        }));
    }
    let mut operation = json!({
        "operationId": id(route),
        "summary": route.what,
        "tags": [tag(route.path)],
        "parameters": parameters,
        "responses": {success(route): answer(route), "default": {"$ref": "#/components/responses/problem"}},
        "security": if route.demand == Demand::Nothing { json!([]) } else { json!([{"token": []}]) },
    });
    if let Demand::To(action) = route.demand {
        operation["x-right"] = json!(action.need().right);
        operation["x-role"] = json!(action.need().role);
    }
    if let Some(body) = body(route) {
        operation["requestBody"] = body;
    }
    operation
}

/// `get_tables_reference_rows`.
fn id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1").trim_matches('/');
    let words: String = path.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    format!("{}_{}", route.method.to_ascii_lowercase(), words.replace(['/', '-', '.'], "_"))
}

/// The first word of the path.
fn tag(path: &str) -> &str {
    path.trim_start_matches("/api/v1").trim_matches('/').split('/').next().unwrap_or_default()
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let one = |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    names.map(one).collect()
}

fn query(name: &str, what: &str) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": what, "schema": {"type": "string"}})
}

/// An execution is begun and not done; what is made is `201` too, which nobody can know before.
fn success(route: &Route) -> &'static str {
    if route.what.ends_with("an execution") { "202" } else { "200" }
}

fn answer(route: &Route) -> Value {
    if route.path.ends_with("/rows") || route.path.ends_with("/rows/query") {
        let content: Map<String, Value> = ROWS.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect();
        return json!({"description": "Rows in the order of the key.", "content": content});
    }
    if route.path.ends_with("/events") {
        return json!({"description": "Events, with their numbers as ids.", "content": {"text/event-stream": {}}});
    }
    if route.path.ends_with("/bundle") {
        return json!({"description": "A tar file.", "content": {"application/x-tar": {}}});
    }
    if route.path == "/metrics" {
        return json!({"description": "Numbers.", "content": {"text/plain": {}}});
    }
    let known = ANSWERS.iter().find(|(method, path, ..)| *method == route.method && *path == route.path);
    let schema = match known {
        Some((_, _, name, true)) => list(&json!({"$ref": format!("#/components/schemas/{name}")})),
        Some((_, _, name, false)) => json!({"$ref": format!("#/components/schemas/{name}")}),
        None if success(route) == "202" => json!({"$ref": "#/components/schemas/execution"}),
        None if route.method == "GET" && PAGED.contains(&route.path) => list(&json!({"type": "object"})),
        None => json!({"type": "object"}),
    };
    json!({"description": "The answer.", "content": {"application/json": {"schema": schema}}})
}

fn list(item: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": item},
            "next_cursor": {"type": ["string", "null"], "description": "Of the next page; null: this is the last one."},
        },
        "required": ["items", "next_cursor"],
    })
}

fn body(route: &Route) -> Option<Value> {
    let kinds: &[&str] = match route.body {
        Body::None => return None,
        Body::Document if matches!(route.path, "/api/v1/tables" | "/api/v1/tables/diff") => {
            &["application/json", "application/toml"]
        }
        Body::Document => &["application/json"],
        Body::Rows => &["text/csv", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"],
        Body::Component if route.path.ends_with("/check") => &["application/wasm", "application/json"],
        Body::Component if route.path.contains("/uploads/") => &["application/octet-stream"],
        Body::Component => &["application/wasm", "multipart/form-data"],
    };
    let content: Map<String, Value> = kinds.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect();
    Some(json!({"required": true, "content": content}))
}

/// The schemas of answers, under the place where this document has them, and those that only a server has.
fn schemas() -> Value {
    let text = SCHEMAS.replace("\"#/$defs/", "\"#/components/schemas/");
    let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut schemas = document["$defs"].take();
    if let Some(schemas) = schemas.as_object_mut() {
        schemas.insert("problem".to_owned(), problem());
        schemas.insert("execution".to_owned(), execution());
    }
    schemas
}

fn problem() -> Value {
    let text = |what: &str| json!({"type": "string", "description": what});
    json!({
        "type": "object",
        "description": "RFC 9457 problem details.",
        "properties": {
            "type": text("urn:datanode:error: and the code"),
            "title": text("What the status means."),
            "status": {"type": "integer", "description": "The status."},
            "detail": text("What failed and where."),
            "instance": text("The path that was asked."),
            "code": text("Stable dotted code: docs/reference/errors.md."),
            "class": {"enum": ["failed", "usage", "refused", "blocked", "infrastructure"], "description": "Who has to act."},
            "next": {"type": ["string", "null"], "description": "What to do next."},
            "request_id": text("Names the request in the log of the server."),
            "guest": {"type": "object", "description": "What is known of the guest that failed."},
        },
        "required": ["type", "title", "status", "detail", "code", "class", "request_id"],
    })
}

fn execution() -> Value {
    let moment = |what: &str| json!({"type": ["string", "null"], "description": what});
    json!({
        "type": "object",
        "description": "A run, backfill, replay or check that a server works on.",
        "properties": {
            "execution_id": {"type": "string", "description": "Its id."},
            "kind": {"enum": ["run", "dry_run", "retry", "backfill", "replay", "check"], "description": "What it is."},
            "state": {"enum": ["waiting", "running", "done", "failed", "cancelled"], "description": "How it stands."},
            "subject": {"type": "string", "description": "What was asked for."},
            "table": {"type": ["string", "null"], "description": "Identifier of the table that it is about."},
            "table_uid": {"type": ["string", "null"], "description": "Uid of it."},
            "by": {"type": "string", "description": "Who has asked for it."},
            "created_at": moment("When it was asked for."),
            "started_at": moment("When its turn came."),
            "finished_at": moment("When it was over."),
            "runs": {"type": "array", "items": {"type": "string"}, "description": "Runs that have begun in it."},
            "result": {"description": "What the command prints for it; null before it is over."},
            "error": {"type": ["object", "null"], "description": "Why there is no result."},
        },
        "required": ["execution_id", "kind", "state"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_row_is_there() {
        let document = document();
        let text = document.to_string();
        for piece in text.split("\"#/components/").skip(1) {
            let place = piece.split('"').next().unwrap();
            assert!(document.pointer(&format!("/components/{place}")).is_some(), "{place}");
        }
        for (_, route) in routes::all().filter(|(api, _)| *api == Api::Own) {
            let method = route.method.to_ascii_lowercase();
            assert!(document["paths"][route.path][&method]["summary"].is_string(), "{method} {}", route.path);
        }
        let known = |method: &str, path: &str| {
            assert!(
                routes::all().any(|(_, route)| route.method == method && route.path == path),
                "{method} {path}"
            );
        };
        for (method, path, ..) in ANSWERS {
            known(method, path);
        }
        for (method, path, _) in QUERIES {
            known(method, path);
        }
        for path in PAGED {
            known("GET", path);
        }
    }
}
