//! Pages of docs/ that are made from the code.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell::{cargo, read, root, run, target};

const SCHEMA: &str = "docs/reference/json.schema.json";
const PAGE: &str = "docs/reference/json.md";

const INTRODUCTION: &str = "\
# JSON

What the command prints with `--json`, on standard output, one document per command. This page is made by
`cargo xtask docs` from [`json.schema.json`](json.schema.json), a JSON Schema 2020-12 with one definition per document;
`tests/json.rs` holds every command to it. No document has a field that is not listed here.

| command | document |
| --- | --- |
| `init` | [initialised](#initialised) |
| `build` | array of [built](#built) |
| `component upload` | array of [uploaded](#uploaded): the files that were admitted |
| `component list` | array of [component](#component) |
| `component show`, `enable`, `disable`, `remove` | [component](#component) |
| `table register` | array of [registered](#registered): the files that were accepted |
| `table list` | array of [table](#table) |
| `table show` | [table_shown](#table_shown) |
| `table show --plot` | [plot](#plot) |
| `table read` | array of [row](#row); with `--output` [written](#written) |
| `table digest` | [table_digest](#table_digest) |
| `table sql` | [sql_answer](#sql_answer), whatever became of it; the exit code tells it |
| `table load` | [loaded](#loaded) |
| `table delete-after` | [deleted](#deleted) |
| `table diff` | [difference](#difference); the exit code is 1 when they differ |
| `table repoint` | [repointed](#repointed) |
| `table label`, `describe` | [registered](#registered) |
| `table refresh-search-index` | [search_refreshed](#search_refreshed) |
| `search` | [found_tables](#found_tables); with `--mode column` [found_columns](#found_columns), with `--mode both` [found_both](#found_both) |
| `table revision` | [revision](#revision); null when there is nothing to do |
| `table upgrade`, `downgrade` | array of [revision_step](#revision_step), in their order |
| `table current` | [table_standing](#table_standing) |
| `table history` | array of [revision_of_table](#revision_of_table), in their order |
| `table refresh` | [revision_step](#revision_step) |
| `stats show` | [statistics](#statistics) |
| `stats verify` | array of [verified](#verified); the exit code is 1 when one differs |
| `source add`, `allow`, `show`, `remove`, `grant`, `revoke` | [source](#source) |
| `source list` | array of [source](#source) |
| `secret set` | [secret](#secret) |
| `secret list` | array of [secret](#secret) |
| `secret remove` | [secret_removed](#secret_removed) |
| `user create`, `show`, `enable`, `disable` | [user_shown](#user_shown) |
| `user list` | array of [user](#user) |
| `team create`, `show`, `add`, `remove` | [team_shown](#team_shown) |
| `team list` | array of [team](#team) |
| `role grant`, `revoke` | [role_changed](#role_changed) |
| `role list` | array of [held_role](#held_role) |
| `table give` | [table_given](#table_given) |
| `token create` | [token_created](#token_created) |
| `token list` | array of [token](#token), newest first |
| `token revoke` | [token](#token) |
| `audit list` | [audit_page](#audit_page) |
| `node create` | array of [planned_node](#planned_node), the node asked for last |
| `node list` | array of [node](#node) |
| `node show` | [node_shown](#node_shown) |
| `node hash` | [identity](#identity) |
| `node graph` | [graph](#graph) |
| `node windows` | array of [node_window](#node_window), by time |
| `node set`, `unpin` | [node](#node) |
| `node backfill`, `node backfill resume`, `pause`, `cancel` | [backfill](#backfill); the exit code is not 0 when windows have failed |
| `node backfill list` | array of [backfill](#backfill), newest first |
| `node backfill show` | [backfill_shown](#backfill_shown) |
| `node backfill --progress json` | [event](#event) and [backfill_event](#backfill_event), one per line on standard error |
| `serve` | [served](#served), once it listens |
| `backup` | [backed_up](#backed_up) |
| `restore` | [restored](#restored) |
| `check` | [checked](#checked) |
| `check --determinism` | [determinism](#determinism); the exit code tells the verdict |
| `node run` | array of [run](#run), the node asked for last |
| `node run --debug` | [debugged](#debugged) |
| `node run --dry-run` | [dry_run](#dry_run) |
| `node run --progress json` | [event](#event), one per line on standard error |
| `run list` | array of [run](#run) |
| `run show` | [run](#run) |
| `run retry` | array of [run](#run), of one |
| `run leases` | array of [lease](#lease) |
| `run replay` | array of [replayed](#replayed); the exit code tells the verdicts |
| `run export` | [exported](#exported) |
| `run prune` | [pruned](#pruned) |
| `run logs` | [log_line](#log_line), one per line |
| any that fails | [error](#error), one per line on standard error; but a run that fails is no failure of the command's own: its error is in its [run](#run) on standard output, and the exit code tells it |
";

/// Pages that the program writes about itself: its word for each, and where it goes.
const PAGES: [(&str, &str); 4] = [
    ("commands", "docs/reference/cli.md"),
    ("api", "docs/reference/api.md"),
    ("openapi", "docs/reference/openapi.json"),
    ("metrics", "docs/reference/metrics.md"),
];

/// Write [`PAGES`] and docs/reference/json.md.
pub(crate) fn write() -> Result<()> {
    // All of the workspace: features of shared dependencies are then those of the tests, and nothing is built twice.
    run(cargo().args(["build", "--workspace", "--all-targets"]))?;
    for (page, file) in PAGES {
        let text = read(Command::new(target().join("debug/datanode")).args(["reference", page]))?;
        fs::write(root().join(file), text)?;
    }
    fs::write(root().join(PAGE), json_page()?)?;
    Ok(())
}

fn json_page() -> Result<String> {
    let schema: Value = serde_json::from_str(&fs::read_to_string(root().join(SCHEMA))?)?;
    let mut page = INTRODUCTION.to_owned();
    for (name, definition) in schema["$defs"].as_object().context("no definitions")? {
        write!(page, "\n## {name}\n\n{}\n", text(definition))?;
        if let Some(variants) = definition["oneOf"].as_array() {
            for variant in variants {
                let event = variant["properties"]["event"]["const"].as_str().unwrap_or_default();
                write!(page, "\n### {event}\n\n{}\n", text(variant))?;
                fields(variant, &mut page)?;
            }
        }
        fields(definition, &mut page)?;
    }
    Ok(page)
}

/// A table of the fields of an object, and of the objects in it.
fn fields(object: &Value, page: &mut String) -> Result<()> {
    let mut rows = Vec::new();
    collect(object, "", &mut rows);
    if !rows.is_empty() {
        page.push_str("\n| field | type | is |\n| --- | --- | --- |\n");
    }
    for [field, kind, meaning] in rows {
        writeln!(page, "| `{field}` | {kind} | {meaning} |")?;
    }
    Ok(())
}

fn collect(object: &Value, above: &str, rows: &mut Vec<[String; 3]>) {
    let required = object["required"].as_array();
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let optional = !required.is_some_and(|required| required.iter().any(|other| other == name));
        let place = format!("{above}{name}");
        let kind = format!("{}{}", kind(field), if optional { ", may be missing" } else { "" });
        rows.push([place.clone(), kind, text(field)]);
        collect(field, &format!("{place}."), rows);
        collect(&field["items"], &format!("{place}[]."), rows);
    }
}

fn text(value: &Value) -> String {
    value["description"].as_str().unwrap_or_default().replace('|', "\\|")
}

/// The type of a field in words.
fn kind(field: &Value) -> String {
    if let Some(reference) = field["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{name})");
    }
    let several = |values: &Value, show: &dyn Fn(&Value) -> String| {
        values.as_array().map(|values| values.iter().map(show).collect::<Vec<_>>().join(" or "))
    };
    let quoted = |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"));
    if let Some(kinds) = several(&field["anyOf"], &kind).or_else(|| several(&field["enum"], &quoted)) {
        return kinds;
    }
    if let Some(text) = field["const"].as_str() {
        return format!("`{text}`");
    }
    let base = match &field["type"] {
        Value::String(name) => name.clone(),
        Value::Array(_) => {
            several(&field["type"], &|name| name.as_str().unwrap_or_default().to_owned()).unwrap_or_default()
        }
        _ if field["oneOf"].is_array() => "object".to_owned(),
        _ => "any".to_owned(),
    };
    match &field["items"] {
        Value::Object(_) => format!("{base} of {}", kind(&field["items"])),
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_json_documents_is_current() {
        let kept = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
        assert!(json_page().is_ok_and(|page| page == kept), "{PAGE} is not current: cargo xtask docs");
    }
}
