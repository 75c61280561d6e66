//! The own API: one file per noun, and the table of all of it.
//!
//! What a route answers is what the command prints with `--json` for the same thing; lists are pages of it.

mod audit;
mod backfills;
mod check;
mod components;
mod executions;
mod me;
mod nodes;
mod people;
mod revisions;
mod rows;
mod runs;
mod search;
mod secrets;
mod sources;
mod tables;
mod tokens;
mod uploads;
mod version;

use axum::Router;
use datanode_core::access::Action;

pub(crate) use tables::CONTRACT_TOML;

use crate::AppState;
use crate::described::Described;
use crate::routes::{Body, Demand, Route};

const fn to(action: Action) -> Demand {
    Demand::To(action)
}

/// What there is.
pub(crate) const ROUTES: &[Route] = &[
    Route::new("GET", "/api/v1/version", Demand::Nothing, "the release of this server"),
    Route::new("GET", "/api/v1/openapi.json", Demand::Nothing, "this API as an OpenAPI document"),
    Route::new("GET", "/api/v1/me", Demand::Caller, "who one is, by the token that is sent"),
    // Components.
    Route::new("GET", "/api/v1/components", to(Action::Browse), "all components"),
    Route::new(
        "POST",
        "/api/v1/components",
        to(Action::UploadComponent),
        "upload a component: raw, or as the field `component` of a form",
    )
    .taking(Body::Component)
    .long(),
    Route::new(
        "POST",
        "/api/v1/components/check",
        to(Action::UploadComponent),
        "judge a component or node by the checklist; an execution",
    )
    .taking(Body::Component),
    Route::new(
        "GET",
        "/api/v1/components/uploads/{digest}",
        to(Action::UploadComponent),
        "how much of a component has come: the header Upload-Offset",
    ),
    Route::new(
        "PUT",
        "/api/v1/components/uploads/{digest}",
        to(Action::UploadComponent),
        "send a component from its beginning",
    )
    .taking(Body::Component)
    .long(),
    Route::new(
        "PATCH",
        "/api/v1/components/uploads/{digest}",
        to(Action::UploadComponent),
        "send what comes from the header Upload-Offset on",
    )
    .taking(Body::Component)
    .long(),
    Route::new(
        "DELETE",
        "/api/v1/components/uploads/{digest}",
        to(Action::UploadComponent),
        "give an upload up",
    ),
    Route::new(
        "GET",
        "/api/v1/components/{name}",
        to(Action::Browse),
        "the release of a component that runs",
    ),
    Route::new("GET", "/api/v1/components/{name}/{version}", to(Action::Browse), "a release"),
    Route::new(
        "POST",
        "/api/v1/components/{name}/{version}/enable",
        to(Action::UploadComponent),
        "let a release be chosen for runs",
    ),
    Route::new(
        "POST",
        "/api/v1/components/{name}/{version}/disable",
        to(Action::UploadComponent),
        "never choose a release for a run again",
    ),
    Route::new(
        "DELETE",
        "/api/v1/components/{name}/{version}",
        to(Action::RemoveComponent),
        "remove a release that no node runs",
    ),
    // Tables.
    Route::new("GET", "/api/v1/tables", to(Action::ReadTable), "tables, with their rows and times"),
    Route::new(
        "POST",
        "/api/v1/tables",
        to(Action::RegisterTable),
        "register a table from its contract, TOML or JSON",
    )
    .taking(Body::Document),
    Route::new(
        "POST",
        "/api/v1/tables/diff",
        to(Action::ReadTable),
        "what registering a contract would change",
    )
    .taking(Body::Document),
    Route::new(
        "GET",
        "/api/v1/tables/{reference}",
        to(Action::ReadTable),
        "a table; its ETag is that of its contract",
    ),
    Route::new(
        "PATCH",
        "/api/v1/tables/{reference}",
        to(Action::EditTable),
        "change labels and descriptions; If-Match",
    )
    .taking(Body::Document),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/repoint",
        to(Action::ReshapeTable),
        "let another table take this identifier over",
    )
    .taking(Body::Document),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/owner",
        to(Action::ShareTable),
        "give a table to somebody",
    )
    .taking(Body::Document),
    Route::new(
        "GET",
        "/api/v1/tables/{reference}/rows",
        to(Action::ReadTable),
        "rows, in the format of the header Accept",
    ),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/rows/query",
        to(Action::ReadTable),
        "the same, for queries that do not fit into a URL",
    )
    .taking(Body::Document),
    Route::new("GET", "/api/v1/tables/{reference}/digest", to(Action::ReadTable), "the digest of all rows")
        .long(),
    Route::new(
        "GET",
        "/api/v1/tables/{reference}/statistics",
        to(Action::ReadTable),
        "the progress of a table, coordinate by coordinate",
    ),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/statistics/verify",
        to(Action::ReadTable),
        "count the rows anew, and compare",
    )
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/delete-after",
        to(Action::EditTable),
        "delete the tail of a table, or count it",
    )
    .taking(Body::Document)
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/query",
        to(Action::ReadTable),
        "read-only SQL over a table",
    )
    .taking(Body::Document)
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/load",
        to(Action::EditTable),
        "load the rows of a file into a reference table",
    )
    .taking(Body::Rows)
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/refresh-search-index",
        to(Action::EditTable),
        "bring what searches know of a table up to date",
    )
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/revisions/current",
        to(Action::ReadTable),
        "where a table stands, and whether it is what its contract says",
    )
    .taking(Body::Document),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/revisions/history",
        to(Action::ReadTable),
        "the revisions of a table, applied and written",
    )
    .taking(Body::Document),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/revisions/write",
        to(Action::ReshapeTable),
        "write a revision; its files are in the answer",
    )
    .taking(Body::Document)
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/revisions/complete",
        to(Action::ReshapeTable),
        "write the SQL of this database into a revision",
    )
    .taking(Body::Document)
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/revisions/seal",
        to(Action::ReshapeTable),
        "take the edits of a revision over",
    )
    .taking(Body::Document),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/revisions/upgrade",
        to(Action::ReshapeTable),
        "apply revisions, each in one transaction",
    )
    .taking(Body::Document)
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/revisions/downgrade",
        to(Action::ReshapeTable),
        "take revisions back",
    )
    .taking(Body::Document)
    .long(),
    Route::new(
        "POST",
        "/api/v1/tables/{reference}/revisions/refresh",
        to(Action::ReshapeTable),
        "bind the catalogue to a table that was changed by hand",
    )
    .taking(Body::Document)
    .long(),
    // Nodes.
    Route::new("GET", "/api/v1/nodes", to(Action::ReadTable), "nodes"),
    Route::new("POST", "/api/v1/nodes", to(Action::RunNode), "create a node and what it depends on")
        .taking(Body::Document)
        .long(),
    Route::new("POST", "/api/v1/nodes/hash", to(Action::ReadTable), "which identity a config has")
        .taking(Body::Document)
        .long(),
    Route::new("GET", "/api/v1/graph", to(Action::ReadTable), "what reads what, and how it stands"),
    Route::new("GET", "/api/v1/leases", to(Action::ReadTable), "nodes that runs hold now"),
    Route::new(
        "GET",
        "/api/v1/nodes/{reference}",
        to(Action::ReadTable),
        "a node with its last runs; its ETag is that of its settings",
    )
    .long(),
    Route::new(
        "PATCH",
        "/api/v1/nodes/{reference}",
        to(Action::RunNode),
        "change settings, take a pin back; If-Match",
    )
    .taking(Body::Document),
    Route::new(
        "GET",
        "/api/v1/nodes/{reference}/graph",
        to(Action::ReadTable),
        "a node with everything that it depends on",
    ),
    Route::new("GET", "/api/v1/nodes/{reference}/windows", to(Action::ReadTable), "what a node has done"),
    Route::new(
        "POST",
        "/api/v1/nodes/{reference}/runs",
        to(Action::RunNode),
        "run a node, or try it dry; an execution",
    )
    .taking(Body::Document)
    .long(),
    Route::new(
        "POST",
        "/api/v1/nodes/{reference}/backfills",
        to(Action::RunNode),
        "begin a backfill, and work on it; an execution",
    )
    .taking(Body::Document)
    .long(),
    // Backfills.
    Route::new("GET", "/api/v1/backfills", to(Action::ReadTable), "backfills, newest first"),
    Route::new("GET", "/api/v1/backfills/{id}", to(Action::ReadTable), "a backfill with its windows"),
    Route::new("POST", "/api/v1/backfills/{id}/pause", to(Action::RunNode), "begin no further window"),
    Route::new(
        "POST",
        "/api/v1/backfills/{id}/resume",
        to(Action::RunNode),
        "go on with a backfill; an execution",
    )
    .taking(Body::Document),
    Route::new(
        "POST",
        "/api/v1/backfills/{id}/cancel",
        to(Action::RunNode),
        "begin no further window, for good",
    ),
    // Executions.
    Route::new(
        "GET",
        "/api/v1/executions",
        to(Action::ReadTable),
        "runs, backfills and replays of this server, newest first",
    ),
    Route::new(
        "GET",
        "/api/v1/executions/{id}",
        to(Action::ReadTable),
        "how an execution stands, and its result",
    ),
    Route::new(
        "GET",
        "/api/v1/executions/{id}/events",
        to(Action::ReadTable),
        "what happens in it, as server-sent events",
    ),
    Route::new("POST", "/api/v1/executions/{id}/cancel", to(Action::RunNode), "end an execution"),
    // Runs.
    Route::new("GET", "/api/v1/runs", to(Action::ReadTable), "runs, newest first"),
    Route::new("POST", "/api/v1/runs/prune", to(Action::RemoveComponent), "remove the journals of old runs")
        .taking(Body::Document)
        .long(),
    Route::new("GET", "/api/v1/runs/{id}", to(Action::ReadTable), "the record of a run"),
    Route::new(
        "GET",
        "/api/v1/runs/{id}/logs",
        to(Action::ReadTable),
        "its log lines; as they happen where Accept is text/event-stream",
    ),
    Route::new(
        "POST",
        "/api/v1/runs/{id}/replay",
        to(Action::ReplayRun),
        "execute a run again, from its journal; an execution",
    ),
    Route::new(
        "POST",
        "/api/v1/runs/{id}/retry",
        to(Action::RunNode),
        "make a failed run again; an execution",
    )
    .taking(Body::Document),
    Route::new(
        "POST",
        "/api/v1/runs/{id}/determinism",
        to(Action::ReplayRun),
        "execute a run again in every way in which this machine can; an execution",
    ),
    Route::new(
        "GET",
        "/api/v1/runs/{id}/bundle",
        to(Action::ReadTable),
        "all that a replay needs, as a tar file",
    )
    .long(),
    // Sources and secrets.
    Route::new("GET", "/api/v1/sources", to(Action::ReadSources), "sources"),
    Route::new("POST", "/api/v1/sources", to(Action::GrantSource), "add a source, or let one lead elsewhere")
        .taking(Body::Document),
    Route::new("GET", "/api/v1/sources/{name}", to(Action::ReadSources), "a source with its rules"),
    Route::new(
        "PUT",
        "/api/v1/sources/{name}",
        to(Action::GrantSource),
        "other rules for an HTTP source; If-Match",
    )
    .taking(Body::Document),
    Route::new("DELETE", "/api/v1/sources/{name}", to(Action::GrantSource), "remove a source and its grants"),
    Route::new(
        "POST",
        "/api/v1/sources/{name}/grants/{component}",
        to(Action::GrantSource),
        "let a component read a source",
    ),
    Route::new(
        "DELETE",
        "/api/v1/sources/{name}/grants/{component}",
        to(Action::GrantSource),
        "take a grant back",
    ),
    Route::new("GET", "/api/v1/secrets", to(Action::ReadSources), "secrets, without their values"),
    Route::new("POST", "/api/v1/secrets", to(Action::GrantSource), "set a secret")
        .taking(Body::Document)
        .secret(),
    Route::new(
        "DELETE",
        "/api/v1/secrets/{name}",
        to(Action::GrantSource),
        "remove a secret that no source uses",
    ),
    // People.
    Route::new("GET", "/api/v1/tokens", to(Action::OwnTokens), "one's own tokens; of others for admins"),
    Route::new(
        "POST",
        "/api/v1/tokens",
        to(Action::OwnTokens),
        "create a token; its text is shown this once",
    )
    .taking(Body::Document)
    .secret(),
    Route::new("GET", "/api/v1/tokens/{id}", to(Action::OwnTokens), "a token"),
    Route::new("DELETE", "/api/v1/tokens/{id}", to(Action::OwnTokens), "end a token, now and for good"),
    Route::new("GET", "/api/v1/users", to(Action::ReadPeople), "users"),
    Route::new("POST", "/api/v1/users", to(Action::ManagePeople), "create a user").taking(Body::Document),
    Route::new("GET", "/api/v1/users/{reference}", to(Action::ReadPeople), "a user"),
    Route::new(
        "POST",
        "/api/v1/users/{reference}/enable",
        to(Action::ManagePeople),
        "accept the tokens of a user again",
    ),
    Route::new(
        "POST",
        "/api/v1/users/{reference}/disable",
        to(Action::ManagePeople),
        "accept no token of a user",
    ),
    Route::new("GET", "/api/v1/teams", to(Action::ReadPeople), "teams"),
    Route::new("POST", "/api/v1/teams", to(Action::ManagePeople), "create a team").taking(Body::Document),
    Route::new("GET", "/api/v1/teams/{reference}", to(Action::ReadPeople), "a team"),
    Route::new("GET", "/api/v1/teams/{reference}/members", to(Action::ReadPeople), "the users of a team"),
    Route::new(
        "POST",
        "/api/v1/teams/{reference}/members",
        to(Action::ManagePeople),
        "take users into a team",
    )
    .taking(Body::Document),
    Route::new(
        "DELETE",
        "/api/v1/teams/{reference}/members/{user}",
        to(Action::ManagePeople),
        "take a user out of a team",
    ),
    Route::new(
        "GET",
        "/api/v1/roles",
        to(Action::ReadPeople),
        "roles: all of them for admins, else those on one table",
    ),
    Route::new("POST", "/api/v1/roles", to(Action::ReadPeople), "give somebody a role")
        .taking(Body::Document),
    Route::new("POST", "/api/v1/roles/revoke", to(Action::ReadPeople), "take roles back")
        .taking(Body::Document),
    Route::new("GET", "/api/v1/audit", to(Action::ReadAudit), "the audit log, newest first"),
    // Search.
    Route::new("GET", "/api/v1/search/tables", to(Action::ReadTable), "tables by what they are about"),
    Route::new("GET", "/api/v1/search/columns", to(Action::ReadTable), "tables by their columns"),
    Route::new(
        "POST",
        "/api/v1/search/refresh",
        to(Action::EditTable),
        "bring what searches know up to date",
    )
    .long(),
];

/// What callers send to them.
pub(crate) fn documents() -> impl Iterator<Item = &'static Described> {
    let all = [
        check::DOCUMENTS,
        tables::DOCUMENTS,
        rows::DOCUMENTS,
        revisions::DOCUMENTS,
        nodes::DOCUMENTS,
        backfills::DOCUMENTS,
        runs::DOCUMENTS,
        sources::DOCUMENTS,
        secrets::DOCUMENTS,
        tokens::DOCUMENTS,
        people::DOCUMENTS,
    ];
    all.into_iter().flatten()
}

/// The routes; what each demands is asked before a handler is called.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .merge(version::routes())
        .merge(me::routes())
        .merge(components::routes())
        .merge(uploads::routes())
        .merge(check::routes())
        .merge(tables::routes())
        .merge(rows::routes())
        .merge(revisions::routes())
        .merge(nodes::routes())
        .merge(backfills::routes())
        .merge(executions::routes())
        .merge(runs::routes())
        .merge(sources::routes())
        .merge(secrets::routes())
        .merge(tokens::routes())
        .merge(people::routes())
        .merge(audit::routes())
        .merge(search::routes())
}
