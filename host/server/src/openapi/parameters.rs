//! What routes read of a URL and of headers.

use serde_json::{Value, json};

use crate::routes::Route;

/// What the value of a parameter is.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// Present without a value, or true or false.
    Switch,
    /// A whole number, from this one on.
    Count(u32),
    Number,
    Moment,
    Digest,
    Base64,
    /// A document, as a text.
    Json,
    OneOf(&'static [&'static str]),
    /// Several times.
    Texts,
    /// Several times.
    Numbers,
    /// All parameters that have no name here.
    Others,
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Switch => json!({"type": "boolean", "default": false}),
            Self::Count(least) => json!({"type": "integer", "minimum": least}),
            Self::Number => json!({"type": "number"}),
            Self::Moment => json!({"$ref": "#/components/schemas/moment_given"}),
            Self::Digest => json!({"$ref": "#/components/schemas/sha256"}),
            Self::Base64 => json!({"type": "string", "contentEncoding": "base64"}),
            Self::Json => json!({"type": "string", "contentMediaType": "application/json"}),
            Self::OneOf(words) => json!({"type": "string", "enum": words}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Self::Numbers => json!({"type": "array", "items": {"type": "number"}}),
            Self::Others => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        }
    }
}

/// A parameter of a query: its name, what its value is, and what it is for.
type Parameter = (&'static str, Kind, &'static str);

/// Which route has which: method, path, parameters.
const QUERIES: &[(&str, &str, &[Parameter])] = &[
    ("POST", "/api/v1/components", UPLOAD),
    ("PUT", "/api/v1/components/uploads/{digest}", UPLOAD),
    ("PATCH", "/api/v1/components/uploads/{digest}", UPLOAD),
    (
        "POST",
        "/api/v1/components/check",
        &[
            ("table", Kind::Text, "identifier or uid of the table that it is to write"),
            ("contract", Kind::Json, "a contract as JSON, in its place"),
            ("config", Kind::Json, "the config as JSON"),
            ("until", Kind::Moment, "where the windows of trial runs end"),
            ("label", Kind::Text, "what the component is called in errors"),
            ("allow_stubbed_wasi", Kind::Switch, "admit WASI, answered by constants: for admins"),
        ],
    ),
    (
        "DELETE",
        "/api/v1/components/{name}/{version}",
        &[("force", Kind::Switch, "also when recorded runs were computed by it")],
    ),
    (
        "GET",
        "/api/v1/tables",
        &[("namespace", Kind::Text, "of this namespace"), ("label", Kind::Text, "with this label")],
    ),
    (
        "GET",
        "/api/v1/tables/{reference}/rows",
        &[
            ("start", Kind::Text, "first moment, inclusive; or with an operand before it"),
            ("start_operand", Kind::OneOf(&[">=", ">"]), "where none stands before `start`"),
            ("end", Kind::Text, "last moment, inclusive; or with an operand before it"),
            ("end_operand", Kind::OneOf(&["<=", "<"]), "where none stands before `end`"),
            ("columns", Kind::Text, "names with commas between them"),
            ("filter", Kind::Texts, "DIMENSION=VALUE,…: those of one dimension are alternatives"),
            ("coordinate", Kind::Texts, "DIMENSION=VALUE,…: several are alternatives"),
            ("limit", Kind::Count(0), "rows at most"),
            ("last", Kind::Switch, "only the last row of each coordinate"),
        ],
    ),
    (
        "POST",
        "/api/v1/tables/{reference}/load",
        &[
            (
                "format",
                Kind::OneOf(&["csv", "parquet", "arrow"]),
                "where the type of the body does not say it",
            ),
            ("replace", Kind::Switch, "rows that the file does not have are deleted"),
        ],
    ),
    (
        "GET",
        "/api/v1/nodes/{reference}/windows",
        &[("state", Kind::OneOf(&["done", "empty", "failed"]), "in this state")],
    ),
    ("GET", "/api/v1/backfills", &[("node", Kind::Text, "of this node")]),
    (
        "GET",
        "/api/v1/backfills/{id}",
        &[(
            "status",
            Kind::OneOf(&["pending", "running", "done", "empty", "failed"]),
            "only windows in this state",
        )],
    ),
    (
        "GET",
        "/api/v1/runs",
        &[
            ("node", Kind::Text, "of this node"),
            ("table", Kind::Text, "of this table"),
            ("status", Kind::OneOf(&["ok", "empty", "failed", "skipped", "blocked"]), "with this outcome"),
        ],
    ),
    ("GET", "/api/v1/tokens", &[("user", Kind::Text, "of this user")]),
    (
        "GET",
        "/api/v1/roles",
        &[
            ("table", Kind::Text, "on this table"),
            ("namespace", Kind::Text, "on this namespace"),
            ("user", Kind::Text, "of this user"),
            ("team", Kind::Text, "of this team"),
            ("role", Kind::OneOf(&["viewer", "editor", "admin"]), "this role"),
        ],
    ),
    (
        "GET",
        "/api/v1/audit",
        &[
            ("since", Kind::Moment, "at this moment or later"),
            ("actor", Kind::Text, "of this user or token"),
            ("action", Kind::Text, "this action, or all that begin with these words"),
            ("subject", Kind::Text, "of this thing"),
            ("before", Kind::Count(0), "before the entry of this number, as the cursor says too"),
        ],
    ),
    (
        "GET",
        "/api/v1/search/tables",
        &[
            ("q", Kind::Text, "what is looked for"),
            ("trigram_k", Kind::Count(0), "candidates of the trigram score"),
            ("embed_k", Kind::Count(0), "candidates of the embedding score"),
            ("w_trgm", Kind::Number, "weight of the trigram score"),
            ("w_emb", Kind::Number, "weight of the embedding score"),
            ("embedding_model", Kind::Text, "the model, or default"),
            ("q_embedding", Kind::Numbers, "the vector of the query, number by number"),
            ("offset", Kind::Count(0), "hits before the page"),
            FILTERS,
        ],
    ),
    (
        "GET",
        "/api/v1/search/columns",
        &[
            ("q", Kind::Text, "what is looked for"),
            ("offset", Kind::Count(0), "hits before the page"),
            FILTERS,
        ],
    ),
];

const FILTERS: Parameter =
    ("filters", Kind::Others, "conditions on tables, such as `namespace=fx` and `labels__in=a,b`");

const UPLOAD: &[Parameter] = &[
    ("label", Kind::Text, "what the component is called in errors, and its origin"),
    ("accept_new_identity", Kind::Switch, "take a release that gives nodes another identity"),
    ("allow_stubbed_wasi", Kind::Switch, "admit WASI, answered by constants: for admins"),
    ("sha256", Kind::Digest, "take these bytes and no others"),
    ("signature", Kind::Base64, "Ed25519 signature"),
];

/// Names in paths: the first word of the path, the name, and what stands there.
const PLACES: &[(&str, &str, &str)] = &[
    ("components", "name", "Name of a component."),
    ("components", "version", "A release, or `-` for the one that there is."),
    ("components", "digest", "SHA-256 of the component that is sent."),
    ("tables", "reference", "Identifier or uid of a table."),
    ("nodes", "reference", "A node: its `update_hash`, the beginning of it, its table, or its uid."),
    ("backfills", "id", "Id of a backfill, or the beginning of it."),
    ("executions", "id", "Id of an execution."),
    ("runs", "id", "Id of a run, or the beginning of it."),
    ("sources", "name", "Name of a source."),
    ("sources", "component", "Name of a component."),
    ("secrets", "name", "Name of a secret."),
    ("tokens", "id", "Id of a token."),
    ("users", "reference", "Username, uid or number of a user."),
    ("teams", "reference", "Name, uid or number of a team."),
    ("teams", "user", "Username, uid or number of a user."),
];

/// Whether a change may say which state it changes.
pub(super) fn is_conditional(route: &Route) -> bool {
    matches!(
        (route.method, route.path),
        ("PATCH", "/api/v1/tables/{reference}" | "/api/v1/nodes/{reference}")
            | ("PUT", "/api/v1/sources/{name}")
    )
}

/// Whether an answer has a tag by which it need not be sent again.
pub(super) fn is_tagged(route: &Route) -> bool {
    matches!((route.method, route.path), ("GET", "/api/v1/tables/{reference}" | "/api/v1/sources/{name}"))
}

/// Whether an answer names the state that it shows.
pub(super) fn shows_tag(route: &Route) -> bool {
    let is_of_node = (route.method, route.path) == ("GET", "/api/v1/nodes/{reference}");
    let shows_other = is_conditional(route) && route.path != "/api/v1/nodes/{reference}";
    is_tagged(route) || is_of_node || shows_other
}

/// All parameters of a route.
pub(super) fn of(route: &Route) -> Vec<Value> {
    let mut found = in_path(route.path);
    let own = QUERIES.iter().find(|(method, path, _)| *method == route.method && *path == route.path);
    found.extend(own.iter().flat_map(|(_, _, list)| *list).map(|one| in_query(*one)));
    if super::answers::is_paged(route) {
        found.push(json!({
            "name": "limit", "in": "query", "required": false, "description": "items of a page",
            "schema": {"type": "integer", "minimum": 1, "maximum": crate::page::MOST},
        }));
        found.push(in_query((
            "cursor",
            Kind::Text,
            "where the page begins: `next_cursor` of the one before",
        )));
    }
    found.extend(headers(route));
    found
}

fn in_path(path: &'static str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let one = |name: &str| {
        let place = PLACES.iter().find(|(tag, known, _)| *tag == super::tag(path) && *known == name);
        let schema = if name == "digest" { Kind::Digest } else { Kind::Text };
        json!({
            "name": name, "in": "path", "required": true, "schema": schema.schema(),
            "description": place.map_or("", |(_, _, what)| what),
        })
    };
    names.map(one).collect()
}

fn in_query((name, kind, what): Parameter) -> Value {
    json!({
        "name": name, "in": "query", "required": false, "description": what, "schema": kind.schema(),
        "style": "form", "explode": true,
    })
}

fn headers(route: &Route) -> Vec<Value> {
    let mut found = Vec::new();
    let mut add = |name: &str, required: bool, schema: Value, what: &str| {
        found.push(
            json!({"name": name, "in": "header", "required": required, "schema": schema, "description": what}),
        );
    };
    let bytes = || json!({"type": "integer", "minimum": 0});
    if route.takes_key() {
        let key = json!({"type": "string", "minLength": 1, "maxLength": 200});
        add("Idempotency-Key", false, key, "The same request with the same key is carried out once.");
    }
    if is_conditional(route) {
        add(
            "If-Match",
            false,
            Kind::Text.schema(),
            "`ETag` of the state that is to be changed, and of no other.",
        );
    }
    if is_tagged(route) {
        add(
            "If-None-Match",
            false,
            Kind::Text.schema(),
            "`ETag` of what the caller has: 304 where it is the same.",
        );
    }
    if route.path.contains("/uploads/") && matches!(route.method, "PUT" | "PATCH") {
        add("Upload-Length", true, bytes(), "Bytes of the whole component.");
    }
    if route.path.contains("/uploads/") && route.method == "PATCH" {
        add("Upload-Offset", true, bytes(), "Bytes that have come before this piece.");
    }
    if route.method == "GET" && (route.path.ends_with("/events") || route.path.ends_with("/logs")) {
        add(
            "Last-Event-ID",
            false,
            bytes(),
            "Number of the last event that was seen: those behind it are sent.",
        );
    }
    found
}

#[cfg(test)]
pub(super) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    QUERIES.iter().map(|(method, path, _)| (*method, *path))
}
