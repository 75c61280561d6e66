use std::collections::BTreeMap;
use std::process::Command;

use super::*;
use crate::prelude::*;
use crate::{Output, Target};

/// Reads one node and one table.
struct Returns;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReturnsConfig {
    /// The table of rates.
    rates_table: TableRef,
    /// The table of holidays.
    #[serde(default = "holidays")]
    holidays_table: TableRef,
    /// The longest gap in days.
    #[serde(default = "ten")]
    max_gap_days: i64,
}

fn holidays() -> TableRef {
    TableRef::new("holidays")
}

fn ten() -> i64 {
    10
}

impl DataNode for Returns {
    type Config = ReturnsConfig;
    const NAME: &str = "returns";
    const VERSION: &str = "0.1.0";
    const DESCRIPTION: &str = "A test.";

    fn output() -> Output {
        Output::new(["time_index"])
    }

    fn dependencies(config: &ReturnsConfig) -> Result<Vec<Dependency>, NodeError> {
        Ok(vec![
            Dependency::node("rates", "rates", json!({ "base": "EUR" }), &config.rates_table),
            Dependency::table("holidays", &config.holidays_table),
        ])
    }

    fn update(_: &ReturnsConfig, _: &mut Context) -> Result<(), NodeError> {
        Ok(())
    }
}

/// What it reads.
struct Rates;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RatesConfig {
    /// The currency of all prices.
    base: String,
}

impl DataNode for Rates {
    type Config = RatesConfig;
    const NAME: &str = "rates";
    const VERSION: &str = "0.1.0";
    const DESCRIPTION: &str = "A test.";

    fn output() -> Output {
        Output::new(["time_index"])
    }

    fn update(_: &RatesConfig, _: &mut Context) -> Result<(), NodeError> {
        Ok(())
    }
}

/// Explicitly without a namespace, so that the environment of these tests does not matter.
fn returns() -> Harness<Returns> {
    Harness::new().config(json!({ "rates_table": "fx_rates" })).hash_namespace("")
}

fn rates(of: &Harness<Returns>) -> Harness<Rates> {
    of.dependency_node("rates").unwrap()
}

#[test]
fn identities_are_those_of_the_published_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/vectors/update_hash.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut compared = 0;
    for vector in document["vectors"].as_array().unwrap() {
        // What the host refuses is refused by the host: a harness has the config's type instead.
        let Some(expected) = vector["canonical"].as_str() else { continue };
        let text = |field: &str| vector[field].as_str().unwrap();
        let tables: BTreeMap<String, String> = serde_json::from_value(vector["tables"].clone()).unwrap();
        let config = serde_json::from_str(text("config")).unwrap();
        let start = vector["default_offset_start"].as_str().map(|start| start.parse().unwrap());
        let config =
            hashed_config(&vector["config_schema"], config, start, |table| tables.get(table).cloned())
                .unwrap();
        let document = canonical(text("component"), &config, text("hash_namespace")).unwrap();
        assert_eq!(document, expected, "{}", vector["name"]);
        assert_eq!(update_hash(&document, text("component")), text("update_hash"), "{}", vector["name"]);
        compared += 1;
    }
    assert!(compared >= 30, "{compared} vectors");
}

#[test]
fn a_namespace_is_explicit_else_inherited_else_ambient_else_empty() {
    let said = |text: &str| Some(text.to_owned());
    for (explicit, inherited, ambient, expected) in [
        (Some("explicit"), Some("parent"), Some("ambient"), "explicit"),
        (Some(""), Some("parent"), Some("ambient"), ""),
        (None, Some("parent"), Some("ambient"), "parent"),
        (None, Some(""), Some("ambient"), ""),
        (None, None, Some("ambient"), "ambient"),
        (None, None, None, ""),
    ] {
        let namespace = Namespace { explicit: explicit.and_then(said), inherited: inherited.and_then(said) };
        assert_eq!(namespace.resolve(ambient.and_then(said)).unwrap(), expected);
    }
}

#[test]
fn the_ambient_namespace_is_that_of_the_environment() {
    const AMBIENT: &str = "ambient.of_a_test";
    if std::env::var_os(HASH_NAMESPACE_VARIABLE).is_some_and(|text| text == AMBIENT) {
        let ambient = Harness::<Rates>::new().config(json!({ "base": "EUR" }));
        assert_eq!(ambient.resolved_hash_namespace().unwrap(), AMBIENT);
        let explicit = ambient.clone().hash_namespace(AMBIENT);
        assert_eq!(ambient.update_hash().unwrap(), explicit.update_hash().unwrap());
        assert_ne!(ambient.update_hash().unwrap(), explicit.hash_namespace("").update_hash().unwrap());
        return;
    }
    // This test once more, in a process of its own: an environment is shared by all threads.
    let tests = std::env::current_exe().unwrap();
    let child = Command::new(tests)
        .args(["--exact", "testing::identity::tests::the_ambient_namespace_is_that_of_the_environment"])
        .env(HASH_NAMESPACE_VARIABLE, AMBIENT)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn dependencies_inherit_the_namespace() {
    let (plain, isolated) = (returns(), returns().hash_namespace("experiments.alice"));
    assert_ne!(plain.update_hash().unwrap(), isolated.update_hash().unwrap());
    assert_eq!(rates(&isolated).resolved_hash_namespace().unwrap(), "experiments.alice");
    assert_ne!(rates(&plain).update_hash().unwrap(), rates(&isolated).update_hash().unwrap());

    // The same as said to the dependency itself; and what it says itself goes before.
    let alone = Harness::<Rates>::new().config(json!({ "base": "EUR" }));
    let named = |namespace: &str| alone.clone().hash_namespace(namespace).update_hash().unwrap();
    assert_eq!(rates(&isolated).update_hash().unwrap(), named("experiments.alice"));
    assert_eq!(rates(&plain).update_hash().unwrap(), named(""));
    assert_eq!(rates(&isolated).hash_namespace("").update_hash().unwrap(), named(""));
}

#[test]
fn a_dependency_is_a_node_of_the_component_that_is_asked_for() {
    let refused = |error: NodeError| {
        assert_eq!(error.kind, "testing.no_dependency");
        error.message
    };
    assert_eq!(
        refused(returns().dependency_node::<Returns>("rates").err().unwrap()),
        "`rates` is a node of `rates`, not of `returns`"
    );
    assert_eq!(
        refused(returns().dependency_node::<Rates>("holidays").err().unwrap()),
        "`holidays` is the table `holidays`, not a node"
    );
    assert_eq!(
        refused(returns().dependency_node::<Rates>("prices").err().unwrap()),
        "`prices` is not among the dependencies"
    );
    let dependencies = Returns::dependencies(&returns().parsed_config().unwrap()).unwrap();
    assert!(matches!(&dependencies[0].target, Target::Node { component, .. } if component == Rates::NAME));
}

#[test]
fn spelling_does_not_change_an_identity_and_meaning_does() {
    let of = |config: Value| returns().config(config).update_hash().unwrap();
    let short = of(json!({ "rates_table": "fx_rates" }));
    assert_eq!(
        of(json!({ "max_gap_days": 10, "holidays_table": "holidays", "rates_table": "fx_rates" })),
        short
    );
    assert_ne!(of(json!({ "rates_table": "fx_rates", "max_gap_days": 11 })), short);
    assert_ne!(of(json!({ "rates_table": "fx_rates", "offset_start": "2020-01-01" })), short);
    assert_eq!(
        of(json!({ "rates_table": "fx_rates", "offset_start": "2020-01-01" })),
        of(json!({ "rates_table": "fx_rates", "offset_start": "2020-01-01T01:00:00+01:00" }))
    );
}

#[test]
fn tables_are_hashed_by_their_uids() {
    let uid = "0190b2f0-6f2a-7c3e-9d1b-2f4a6c8e0a11";
    let named = returns().table_uid("fx_rates", uid);
    assert_ne!(named.update_hash().unwrap(), returns().update_hash().unwrap());
    let by_uid = returns().config(json!({ "rates_table": uid }));
    assert_eq!(named.update_hash().unwrap(), by_uid.update_hash().unwrap());
}

#[test]
fn what_cannot_have_an_identity_says_why() {
    let kind = |harness: Harness<Returns>| harness.update_hash().unwrap_err().kind;
    assert_eq!(kind(returns().config(json!({}))), "config.invalid");
    assert_eq!(
        kind(returns().config(json!({ "rates_table": "fx_rates", "offset_start": "yesterday" }))),
        "time.parse"
    );
    for bad in ["Alice", "a b", "a..b", ".", "1a", &"a".repeat(64), &"a.".repeat(130)] {
        assert_eq!(kind(returns().hash_namespace(bad)), "testing.hash_namespace", "{bad}");
    }
}

/// Begins at a moment of its own when nobody says otherwise, and looks at it.
struct Late;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LateConfig {
    /// Where it begins.
    offset_start: Option<String>,
}

impl DataNode for Late {
    type Config = LateConfig;
    const NAME: &str = "late";
    const VERSION: &str = "0.1.0";
    const DESCRIPTION: &str = "A test.";

    fn output() -> Output {
        Output::new(["time_index"])
    }

    fn default_offset_start() -> Option<Timestamp> {
        "2020-01-01".parse().ok()
    }

    fn update(_: &LateConfig, _: &mut Context) -> Result<(), NodeError> {
        Ok(())
    }
}

#[test]
fn a_default_start_counts_like_a_written_one() {
    let of = |config: Value| Harness::<Late>::new().config(config).hash_namespace("");
    let omitted = of(json!({})).update_hash().unwrap();
    assert_eq!(omitted, of(json!({ "offset_start": "2020-01-01T00:00:00Z" })).update_hash().unwrap());
    assert_ne!(omitted, of(json!({ "offset_start": "2020-01-02" })).update_hash().unwrap());
    let seen = |config: Value| of(config).parsed_config().unwrap().offset_start.unwrap();
    assert!(seen(json!({})).starts_with("2020-01-01") && seen(json!({ "offset_start": "2021" })) == "2021");
}

#[test]
fn a_node_does_not_see_an_offset_start_that_it_does_not_declare() {
    let config = json!({ "rates_table": "fx_rates", "offset_start": "2020-01-01" });
    assert_eq!(returns().config(config).run().ok().rows(), 0);
}
