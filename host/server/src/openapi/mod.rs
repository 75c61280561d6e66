//! This API as a document (`OpenAPI` 3.1), made of the same rows that requests are judged by, of the types that read what
//! callers send, and of the schemas of what `datanode … --json` prints (docs/reference/json.schema.json), for these are the
//! answers.

mod answers;
mod parameters;
mod schemas;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::api;
use crate::routes::{self, Api, Body, Demand, Route};

/// Where this document has its schemas.
const SCHEMAS: &str = "/components/schemas";

/// The document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let mut given = settings.with(|settings| settings.definitions_path = SCHEMAS.into()).into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for (_, route) in routes::all().filter(|(api, _)| *api == Api::Own) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route, &mut given);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "datanode",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Data updaters that can be trusted: the host behind HTTP. What a route answers is what the \
                            command prints with --json for the same thing. Every request may name itself \
                            (`X-Request-Id`), and continue a trace of its caller's (`traceparent`); every answer says \
                            how it is named in the log of the server.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas::answered(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of `datanode token create`."},
            },
            "responses": {
                "problem": {
                    "description": "An error: RFC 9457 problem details.",
                    "headers": {
                        "Retry-After": {
                            "description": "Seconds after which it is worth to try again.",
                            "schema": {"type": "integer", "minimum": 0},
                        },
                    },
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}},
                },
            },
        },
    });
    schemas::add_given(&mut document, given.take_definitions(true));
    document
}

fn operation(route: &Route, given: &mut SchemaGenerator) -> Value {
    let mut responses = answers::of(route);
    responses["default"] = json!({"$ref": "#/components/responses/problem"});
    let mut operation = json!({
        "operationId": id(route),
        "summary": route.what,
        "tags": [tag(route.path)],
        "parameters": parameters::of(route),
        "responses": responses,
        "security": if route.demand == Demand::Nothing { json!([]) } else { json!([{"token": []}]) },
        "x-error-codes": codes(route),
    });
    if let Demand::To(action) = route.demand {
        operation["x-right"] = json!(action.need().right);
        operation["x-role"] = json!(action.need().role);
    }
    if let Some(body) = body(route, given) {
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

/// Errors of the layers before the handler; those of the host come beside them.
fn codes(route: &Route) -> Vec<&'static str> {
    let mut codes = vec!["server.failed", "server.request", "server.too_long"];
    if route.demand != Demand::Nothing {
        codes.extend([
            "access.bad_token",
            "access.no_token",
            "access.token_refused",
            "access.too_many_requests",
        ]);
        codes.push("server.foreign_origin");
    }
    if let Demand::To(action) = route.demand {
        codes.push("access.right_missing");
        codes.extend(action.need().role.map(|_| "access.role_missing"));
    }
    if route.body != Body::None {
        codes.extend([
            "server.body_broken",
            "server.body_too_large",
            "server.body_too_slow",
            "server.media_type",
        ]);
    }
    if route.takes_key() {
        codes.extend(["server.key_of_another", "server.key_under_way"]);
    }
    if parameters::is_conditional(route) {
        codes.push("server.precondition");
    }
    if answers::is_begun(route) {
        codes.extend(["server.busy", "server.not_ready"]);
    }
    codes.sort_unstable();
    codes
}

/// What a route reads, by its types.
fn body(route: &Route, given: &mut SchemaGenerator) -> Option<Value> {
    let described =
        api::documents().find(|one| one.method == route.method && one.path == route.path).map(|one| {
            let example: Value = serde_json::from_str(one.example).unwrap_or_default();
            (one, json!({"schema": (one.schema)(given).to_value(), "example": example}))
        });
    let is_optional = described.as_ref().is_some_and(|(one, _)| one.is_optional);
    let document = described.map(|(_, content)| content);
    let bytes = |what: &str| json!({"schema": {"type": "string", "format": "binary", "description": what}});
    let mut content = Map::new();
    let mut add = |kind: &str, what: Value| content.insert(kind.to_owned(), what);
    match route.body {
        Body::None => return None,
        Body::Document => {
            add("application/json", document?);
            if matches!(route.path, "/api/v1/tables" | "/api/v1/tables/diff") {
                let schema = json!({"type": "string", "description": "The same as TOML."});
                add("application/toml", json!({"schema": schema, "example": api::CONTRACT_TOML}));
            }
        }
        Body::Rows => {
            let schema = json!({"type": "string", "description": "The names of the columns, then a line for each row."});
            add(
                "text/csv",
                json!({"schema": schema, "example": "code,name\nUSD,US dollar\nGBP,Pound sterling\n"}),
            );
            add("application/vnd.apache.parquet", bytes("A Parquet file."));
            add("application/vnd.apache.arrow.stream", bytes("An Arrow IPC stream."));
            add("application/vnd.apache.arrow.file", bytes("An Arrow IPC file."));
        }
        Body::Component if route.path.contains("/uploads/") => {
            add("application/octet-stream", bytes("A piece of a WebAssembly component."));
        }
        Body::Component => {
            add("application/wasm", bytes("A WebAssembly component."));
            let field =
                json!({"type": "string", "format": "binary", "description": "A WebAssembly component."});
            let form =
                json!({"type": "object", "properties": {"component": field}, "required": ["component"]});
            add("multipart/form-data", json!({"schema": form}));
            if let Some(document) = document {
                add("application/json", document);
            }
        }
    }
    Some(json!({"required": !is_optional, "content": content}))
}

#[cfg(test)]
mod tests;
