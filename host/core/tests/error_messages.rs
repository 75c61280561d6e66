//! Errors of the rules as users read them: code, object, place, next step. Those that a test of the command line shows
//! are not repeated here.
#![allow(missing_docs, clippy::unwrap_used)]

use datanode_core::Diagnostic;
use datanode_core::component::Manifest;
use datanode_core::config::{Config, ConfigSchema};
use datanode_core::dependency::{self, Bounds, Dependency, DependencyError, DependencyTarget};
use datanode_core::node_settings::SettingChange;
use datanode_core::revision::{Dialect, RevisionError};
use datanode_core::statistics::StatisticsError;
use serde_json::json;

fn shown(errors: &[&dyn Diagnostic]) -> String {
    let lines = errors.iter().map(|error| {
        let next = error.next_step().unwrap_or_else(|| panic!("{} has no next step", error.code()));
        format!("error[{}]: {error}\nnext: {next}\nexit {}\n", error.code(), error.class().exit_code())
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn config() -> Config {
    let schema = json!({"properties": {"rates": {"type": "string", "x-table-reference": true}}});
    let uid = |_: &str| Some("uid-of-rates".to_owned());
    ConfigSchema::parse(&schema).unwrap().resolve(r#"{"rates": "rates"}"#, 4_096, uid).unwrap()
}

fn on_table(key: &str, table: &str) -> Dependency {
    Dependency { key: key.to_owned(), target: DependencyTarget::Table(table.to_owned()) }
}

fn on_node(component: &str, config: &str) -> Dependency {
    let target = DependencyTarget::Node {
        component: component.to_owned(),
        config: config.to_owned(),
        table: "rates".to_owned(),
    };
    Dependency { key: "rates".to_owned(), target }
}

#[test]
fn dependencies_that_are_refused() {
    let refused = |dependencies: &[Dependency]| {
        let bounds = Bounds { dependencies: 2, config_bytes: 20 };
        dependency::check("returns", &config(), dependencies, bounds).unwrap_err()
    };
    let twice = [on_table("rates", "rates"), on_table("rates", "rates")];
    let many = ["a", "b", "c"].map(|key| on_table(key, "rates"));
    let errors = [
        refused(&[on_table("Rates", "rates")]),
        refused(&[on_node("No Component", "{}")]),
        refused(&[on_table("self", "rates")]),
        refused(&twice),
        refused(&many),
        refused(&[on_node("rates", &" ".repeat(21))]),
        refused(&[on_table("rates", "hidden")]),
        DependencyError::TooManyNodes,
        DependencyError::TooDeep(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]),
    ];
    let errors: Vec<&dyn Diagnostic> = errors.iter().map(|error| error as &dyn Diagnostic).collect();
    insta::assert_snapshot!(shown(&errors));
}

#[test]
fn revisions_that_are_refused() {
    let table = || "rates".to_owned();
    let revision = || "4f74c0869215".to_owned();
    let errors = [
        RevisionError::Referenced { table: table(), by: vec!["prices".to_owned()] },
        RevisionError::Ambiguous {
            table: table(),
            reference: "4f".to_owned(),
            candidates: vec![revision(), "4f00aa112233".to_owned()],
        },
        RevisionError::Unedited {
            table: table(),
            revision: revision(),
            file: "sqlite.up.sql".to_owned(),
            line: 27,
        },
        RevisionError::Moved { table: table(), expected: "base".to_owned(), found: revision() },
        RevisionError::ForeignKey { table: "prices".to_owned(), target: table(), rows: 3 }.of_step(
            "prices",
            &revision(),
            false,
        ),
        RevisionError::StatementFailed {
            file: format!("sqlite.down.sql of revision {}, as it was applied", revision()),
            line: 4,
            problem: "no such column: rate".to_owned(),
        }
        .of_step("rates", &revision(), true),
        RevisionError::NoSql {
            table: table(),
            revision: revision(),
            dialect: Dialect::Postgres,
            file: "postgres.up.sql".to_owned(),
        },
        RevisionError::Busy { table: table() },
        RevisionError::MovedWhileRead { table: table() },
        RevisionError::TooLong { what: "sqlite.up.sql, line 4".to_owned(), seconds: 600 },
    ];
    let errors: Vec<&dyn Diagnostic> = errors.iter().map(|error| error as &dyn Diagnostic).collect();
    insta::assert_snapshot!(shown(&errors));
}

#[test]
fn settings_of_nodes_that_are_refused() {
    let errors =
        ["lookback", "colour=red", "lookback=soon"].map(|text| SettingChange::parse(text).unwrap_err());
    let errors: Vec<&dyn Diagnostic> = errors.iter().map(|error| error as &dyn Diagnostic).collect();
    insta::assert_snapshot!(shown(&errors));
}

#[test]
fn config_schemas_that_cannot_be_used() {
    let manifest = |config_schema| Manifest {
        name: "returns".to_owned(),
        version: "1.0.0".parse().unwrap(),
        description: String::new(),
        config_schema,
        default_offset_start: None,
        sources: Vec::new(),
        index: Vec::new(),
        columns: Vec::new(),
    };
    // Of a component that is there, and of one that is uploaded.
    let foreign = json!({"properties": {"n": {"$ref": "https://example.org/schema.json"}}});
    let stored = ConfigSchema::parse(&foreign).unwrap_err();
    let uploaded = manifest(foreign).check().unwrap_err();
    let unknown = manifest(json!({"type": "decimal"})).check().unwrap_err();
    insta::assert_snapshot!(shown(&[&stored, &uploaded, &unknown]));
}

#[test]
fn documents_that_are_too_large() {
    let schema = ConfigSchema::parse(&json!({})).unwrap();
    let config = schema.resolve(&" ".repeat(11), 10, |_| None).unwrap_err();
    let statistics = StatisticsError::TooLarge { what: "entries", found: 2_000_001, allowed: 2_000_000 };
    insta::assert_snapshot!(shown(&[&config, &statistics]));
}
