//! Pages of docs/reference that are made of the same data that the server works by.

use std::fmt::Write;

use crate::metrics::NAMES;
use crate::routes::{self, Api, Body, Demand, Pace, Route};

const API: &str = "\
# The API of a server

This page is made by `cargo xtask docs` from the table by which the server judges every request. [Server](../operator/server.md)
says how one is run and what holds for all of it; [`openapi.json`](openapi.json) is the same as an OpenAPI 3.1 document, which a
server answers at `/api/v1/openapi.json`.

What a route answers is what the command prints with `--json` for the same thing ([JSON](json.md)); lists are
`{\"items\": […], \"next_cursor\": …}`. Errors are [problem details](errors.md#over-http).

*Right* is what the token must be good for, *role* what its user must hold: on the table, or, where it says *of all*, on the
organisation. Whoever may not see a table is answered as if it were not there. *Body* says which [bound](limits.md#of-a-server)
holds; *long* routes may take `long_answer_seconds`.
";

const METRICS: &str = "\
# Metrics of a server

This page is made by `cargo xtask docs` from the names that a server serves at `/metrics`, in the text format of Prometheus
(0.0.4). Names, kinds and labels are a promise: they change with a major version.

Labels have few values: `route` is the pattern of a path and never a path, `none` where no route was meant; `method` is
`OTHER` for a word that is no method. A histogram has the series `_bucket`, `_sum` and `_count`.

| metric | kind | labels | counts |
| --- | --- | --- | --- |
";

/// docs/reference/api.md
pub fn api() -> String {
    let mut page = API.to_owned();
    let mut tag = "";
    for (_, route) in routes::all().filter(|(api, _)| *api == Api::Own) {
        let next = heading(route.path);
        if next != tag {
            tag = next;
            // A text takes everything.
            let _ = write!(
                page,
                "\n## {tag}\n\n| route | right | role | body | does |\n| --- | --- | --- | --- | --- |\n"
            );
        }
        let _ = writeln!(page, "{}", row(route));
    }
    page
}

/// The noun of a route, in the order of the table: those without one come last.
fn heading(path: &str) -> &str {
    match path.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next()) {
        Some("version" | "openapi.json" | "me") => "The server",
        Some("components") => "Components",
        Some("tables") => "Tables",
        Some("nodes" | "graph" | "leases") => "Nodes",
        Some("backfills") => "Backfills",
        Some("executions") => "Executions",
        Some("runs") => "Runs",
        Some("sources" | "secrets") => "Sources and secrets",
        Some("tokens" | "users" | "teams" | "roles" | "audit") => "People",
        Some("search") => "Search",
        _ => "Health",
    }
}

fn row(route: &Route) -> String {
    let (right, role) = match route.demand {
        Demand::Nothing => ("none".to_owned(), String::new()),
        Demand::Caller => ("any".to_owned(), String::new()),
        Demand::To(action) => {
            let need = action.need();
            let role = need.role.map_or(String::new(), |role| role.as_str().to_owned());
            let role = if need.is_of_organisation { format!("{role} of all") } else { role };
            (need.right.as_str().to_owned(), role)
        }
    };
    let body = match route.body {
        Body::None => "",
        Body::Document => "document",
        Body::Rows => "rows",
        Body::Component => "component",
    };
    let long = if route.pace == Pace::Long { ", long" } else { "" };
    format!("| `{} {}` | {right} | {role} | {body} | {}{long} |", route.method, route.path, route.what)
}

/// docs/reference/metrics.md
pub fn metrics() -> String {
    let mut page = METRICS.to_owned();
    for (name, kind, labels, what) in NAMES {
        let labels: Vec<String> =
            labels.split(", ").filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect();
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {what} |", labels.join(", "));
    }
    page
}
