//! The schemas of the document: those of answers, which are the command's, those that only a server answers, and those of
//! what is sent.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::SCHEMAS;

/// The schemas of what the command prints.
const PRINTED: &str = include_str!("../../../../docs/reference/json.schema.json");
/// The page of all errors.
const ERRORS: &str = include_str!("../../../../docs/reference/errors.md");
/// Areas of errors that no server answers.
const ELSEWHERE: [&str; 3] = ["build.", "cli.", "remote."];

/// The schemas of answers, under the place where this document has them.
pub(super) fn answered() -> Value {
    let text = PRINTED.replace("\"#/$defs/", &format!("\"#{SCHEMAS}/"));
    let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut schemas = document["$defs"].take();
    if let Some(schemas) = schemas.as_object_mut() {
        schemas.extend(of_servers().into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    }
    schemas
}

fn text(what: &str) -> Value {
    json!({"type": "string", "description": what})
}

fn number(what: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": what})
}

/// An answer of these fields, all of which are there.
fn object(what: &str, properties: &Value) -> Value {
    let names: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({
        "type": "object", "description": what, "properties": properties, "required": names,
        "additionalProperties": false,
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#{SCHEMAS}/{name}")})
}

fn or_null(schema: &Value, what: &str) -> Value {
    json!({"anyOf": [schema, {"type": "null"}], "description": what})
}

/// What only a server answers.
fn of_servers() -> Vec<(&'static str, Value)> {
    let health = json!({"status": {"const": "ok", "description": "It is well."}});
    let release = json!({
        "name": {"const": "datanode", "description": "What it is."},
        "version": text("Release of the server."),
        "api": {"const": "v1", "description": "Of the API."},
    });
    let user = object(
        "A user, as others refer to it.",
        &json!({"uid": text("UUID."), "id": number("A small number."), "username": text("Name.")}),
    );
    let subject = json!({
        "type": "object", "description": "What a role is held on.", "required": ["kind"],
        "properties": {
            "kind": {"enum": ["organisation", "namespace", "table"], "description": "What it is."},
            "name": text("The namespace, or the uid of the table."),
        },
        "additionalProperties": false,
    });
    let role = json!({"enum": ["viewer", "editor", "admin"], "description": "What may be done."});
    let caller = json!({
        "name": text("As the audit log names the caller."),
        "user": or_null(&user, "The user; null where no token is demanded."),
        "token": or_null(&json!({"type": "string"}), "Id of the token."),
        "rights": reference("rights"),
        "roles": {"type": "array", "items": object("A role.", &json!({"subject": subject, "role": role}))},
        "per_minute": or_null(&json!({"type": "integer", "minimum": 1}), "Requests in a minute."),
    });
    let node_set = json!({"node": reference("node"), "changed": {"type": "boolean", "description": "False: it was so."}});
    let source_added = json!({"value": reference("source"), "created": {"type": "boolean", "description": "False: it was there."}});
    let files = json!({
        "type": "object", "additionalProperties": {"type": "string"},
        "description": "Files that are new or other than they came: `FOLDER/FILE`, and its text.",
    });
    let revision_files = json!({"revision": or_null(&reference("revision"), "Null: there was nothing to do."), "files": files});
    let steps =
        json!({"type": "array", "items": reference("revision_step"), "description": "Steps that were made."});
    let revision_steps =
        json!({"done": steps, "error": or_null(&failure(), "Why there are no more; null: all were made.")});
    let run_log = json!({
        "run_id": text("The run."),
        "items": {"type": "array", "items": reference("log_line"), "description": "Its lines."},
        "dropped": number("Lines that were not kept."),
        "next_cursor": {"type": "null", "description": "All lines are there."},
    });
    let search_state = json!({
        "tables": number("Tables that can be found."),
        "model": text("The model that has made their vectors."),
        "dimension": number("Numbers of a vector."),
    });
    vec![
        ("problem", problem()),
        ("execution", execution()),
        ("health", object("Whether it is well.", &health)),
        ("release", object("What the server is.", &release)),
        ("document", json!({"type": "object", "description": "An OpenAPI document."})),
        ("caller", object("Who one is.", &caller)),
        ("node_set", object("A node whose settings were changed.", &node_set)),
        ("source_added", object("A source that was added.", &source_added)),
        ("revision_files", object("A revision, and its files.", &revision_files)),
        ("revision_steps", object("Revisions that were applied or taken back.", &revision_steps)),
        ("run_log", object("What a run has logged.", &run_log)),
        ("search_state", object("How far searches are.", &search_state)),
    ]
}

/// An error inside of an answer.
fn failure() -> Value {
    json!({
        "type": "object", "description": "An error.", "required": ["code", "class", "message", "next_step"],
        "properties": {
            "code": code(),
            "class": class(),
            "message": text("What failed and where."),
            "next_step": or_null(&json!({"type": "string"}), "What to do next."),
            "guest": or_null(&reference("guest_failure"), "What is known of the guest that failed."),
            "status": number("The status that it would have as an answer."),
        },
        "additionalProperties": false,
    })
}

fn class() -> Value {
    let all = ["failed", "usage", "refused", "blocked", "infrastructure"];
    json!({"enum": all, "description": "Who has to act."})
}

/// A code: one of those that this release knows. A later one may know more.
fn code() -> Value {
    let codes = codes();
    json!({
        "type": "string", "description": "Stable dotted code: docs/reference/errors.md.",
        "anyOf": [{"enum": codes}, {"pattern": "^[a-z_]+(\\.[a-z_]+)+$"}],
    })
}

/// All codes on their page that a server may answer.
pub(super) fn codes() -> Vec<&'static str> {
    let entries = ERRORS.lines().filter_map(|line| line.strip_prefix("* `"));
    // `one`, `other` (class, …): …
    let names = entries.flat_map(|entry| entry.split('(').next().unwrap_or_default().split('`').step_by(2));
    let is_code = |name: &&str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        name.contains('.')
            && name.chars().all(is_plain)
            && !ELSEWHERE.iter().any(|area| name.starts_with(area))
    };
    let mut codes: Vec<&str> = names.filter(is_code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457 problem details.",
        "properties": {
            "type": text("urn:datanode:error: and the code"),
            "title": text("What the status means."),
            "status": {"type": "integer", "description": "The status."},
            "detail": text("What failed and where."),
            "instance": text("The path that was asked."),
            "code": code(),
            "class": class(),
            "next": {"type": ["string", "null"], "description": "What to do next."},
            "request_id": text("Names the request in the log of the server."),
            "guest": reference("guest_failure"),
        },
        "required": ["type", "title", "status", "detail", "instance", "code", "class", "next", "request_id"],
        "additionalProperties": false,
    })
}

fn execution() -> Value {
    let moment = |what: &str| or_null(&reference("moment"), what);
    json!({
        "type": "object",
        "description": "A run, backfill, replay or check that a server works on.",
        "properties": {
            "execution_id": text("Its id."),
            "kind": {"enum": ["run", "dry_run", "retry", "backfill", "replay", "check"], "description": "What it is."},
            "state": {"enum": ["waiting", "running", "done", "failed", "cancelled"], "description": "How it stands."},
            "subject": text("What was asked for."),
            "table": or_null(&json!({"type": "string"}), "Identifier of the table that it is about."),
            "table_uid": or_null(&json!({"type": "string"}), "Uid of it."),
            "by": text("Who has asked for it."),
            "created_at": moment("When it was asked for."),
            "started_at": moment("When its turn came."),
            "finished_at": moment("When it was over."),
            "runs": {"type": "array", "items": {"type": "string"}, "description": "Runs that have begun in it."},
            "result": {"description": "What the command prints for it; null before it is over, and left out of lists."},
            "error": or_null(&failure(), "Why there is no result."),
            "backfill": reference("backfill"),
            "warnings": {"type": "array", "items": {"type": "string"}, "description": "Of a backfill that begins."},
        },
        "required": [
            "execution_id", "kind", "state", "subject", "table", "table_uid", "by", "created_at", "started_at",
            "finished_at", "runs", "error",
        ],
        "additionalProperties": false,
    })
}

/// Add the schemas of what is sent. They have the names of their types, told as the others are: one that an answer has
/// already gets `_given` behind it.
pub(super) fn add_given(document: &mut Value, given: Map<String, Value>) {
    let schemas = &document["components"]["schemas"];
    let names: BTreeMap<String, String> = given
        .keys()
        .map(|name| {
            let told = told(name);
            let is_taken = schemas.get(&told).is_some();
            (name.clone(), if is_taken { format!("{told}_given") } else { told })
        })
        .collect();
    let schemas = &mut document["components"]["schemas"];
    for (name, schema) in given {
        schemas[&names[&name]] = schema;
    }
    rename(document, &names);
}

/// `RowsQuery` as `rows_query`.
fn told(name: &str) -> String {
    let mut told = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !told.is_empty() {
            told.push('_');
        }
        told.push(character.to_ascii_lowercase());
    }
    told
}

fn rename(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(place) if key == "$ref" => {
                        let prefix = format!("#{SCHEMAS}/");
                        if let Some(name) = place.strip_prefix(&prefix).and_then(|name| names.get(name)) {
                            *place = format!("{prefix}{name}");
                        }
                    }
                    other => rename(other, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}
