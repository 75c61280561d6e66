//! What may change an `update_hash`, and what never does, over made-up schemas and configs.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_core::component::Manifest;
use datanode_core::config::{Config, ConfigSchema};
use datanode_core::contract::Contract;
use datanode_core::hash::update_hash;
use datanode_core::metadata_digest::metadata_digest;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

const COMPONENT: &str = "made_up";

/// The value of a field, which tells its type.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Integer(i64),
    Number(f64),
    Text(String),
    Flag(bool),
    List(Vec<i64>),
    Table(String),
    Inner(Vec<(String, Field)>),
    /// A list of objects of these fields, told apart by a number.
    Legs(Vec<(String, Field)>, Vec<i64>),
}

/// The field of a leg that tells it from the others.
const NUMBER: &str = "zz_number";

/// The fields of one leg.
fn leg(fields: &[(String, Field)], number: i64) -> Vec<(String, Field)> {
    [fields, &[(NUMBER.to_owned(), Field::Integer(number))]].concat()
}

impl Field {
    fn value(&self) -> Value {
        match self {
            Self::Integer(value) => json!(value),
            Self::Number(value) => json!(value),
            Self::Text(value) | Self::Table(value) => json!(value),
            Self::Flag(value) => json!(value),
            Self::List(values) => json!(values),
            Self::Inner(fields) => document(fields),
            Self::Legs(fields, numbers) => {
                numbers.iter().map(|number| document(&leg(fields, *number))).collect()
            }
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::Integer(_) => json!({"type": "integer"}),
            Self::Number(_) => json!({"type": "number"}),
            Self::Text(_) => json!({"type": "string"}),
            Self::Flag(_) => json!({"type": "boolean"}),
            Self::List(_) => json!({"type": "array", "items": {"type": "integer"}}),
            Self::Table(_) => json!({"type": "string", "x-table-reference": true}),
            Self::Inner(fields) => schema(fields),
            Self::Legs(fields, _) => json!({"type": "array", "items": schema(&leg(fields, 0))}),
        }
    }

    /// The same field with another meaning.
    fn changed(&self, place: Index) -> Self {
        match self {
            Self::Integer(value) => Self::Integer(value + 1),
            Self::Number(value) => Self::Number(value + 1.0),
            Self::Text(value) => Self::Text(format!("{value}x")),
            Self::Flag(value) => Self::Flag(!value),
            Self::List(values) => Self::List([&values[..], &[7]].concat()),
            Self::Table(name) => Self::Table(format!("{name}_2")),
            Self::Inner(fields) => Self::Inner(with_change(fields, place)),
            Self::Legs(fields, numbers) if numbers.is_empty() => Self::Legs(fields.clone(), vec![1]),
            Self::Legs(fields, numbers) => Self::Legs(with_change(fields, place), numbers.clone()),
        }
    }
}

fn document(fields: &[(String, Field)]) -> Value {
    Value::Object(fields.iter().map(|(name, field)| (name.clone(), field.value())).collect())
}

fn schema(fields: &[(String, Field)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, field)| (name.clone(), field.schema())).collect();
    json!({"type": "object", "properties": properties})
}

fn with_change(fields: &[(String, Field)], place: Index) -> Vec<(String, Field)> {
    let mut changed = fields.to_vec();
    let field = &mut changed[place.index(fields.len())].1;
    *field = field.changed(place);
    changed
}

fn field() -> impl Strategy<Value = Field> {
    let leaf = prop_oneof![
        (-1_000_000i64..1_000_000).prop_map(Field::Integer),
        (-1_000i32..1_000).prop_map(|value| Field::Number(f64::from(value) / 8.0)),
        "[ -~é€]{0,12}".prop_map(Field::Text),
        any::<bool>().prop_map(Field::Flag),
        prop::collection::vec(-100i64..100, 0..4).prop_map(Field::List),
        "[a-z]{1,8}".prop_map(Field::Table),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            named(inner.clone()).prop_map(Field::Inner),
            (named(inner), prop::collection::vec(-9i64..9, 0..3))
                .prop_map(|(fields, numbers)| Field::Legs(fields, numbers)),
        ]
    })
}

fn named(field: impl Strategy<Value = Field>) -> impl Strategy<Value = Vec<(String, Field)>> {
    prop::collection::btree_map("[a-z][a-z0-9_]{0,10}", field, 1..5)
        .prop_map(|fields| fields.into_iter().filter(|(name, _)| name != "offset_start").collect::<Vec<_>>())
        .prop_filter("at least one field", |fields| !fields.is_empty())
}

fn fields() -> impl Strategy<Value = Vec<(String, Field)>> {
    named(field())
}

fn resolve(schema: &Value, text: &str) -> Config {
    let uid = |table: &str| Some(format!("uid-of-{table}"));
    ConfigSchema::parse(schema).unwrap().resolve(text, 1 << 20, uid).unwrap()
}

fn hash(schema: &Value, text: &str) -> String {
    update_hash(COMPONENT, &resolve(schema, text), "")
}

/// JSON in another spelling: keys the other way round, white space, whole numbers in one of several ways.
fn respelled(value: &Value, whole: u8) -> String {
    match value {
        Value::Object(fields) => {
            let items: Vec<String> = fields
                .iter()
                .rev()
                .map(|(name, value)| format!("{} \n:\t{}", json!(name), respelled(value, whole)))
                .collect();
            format!("{{ {}\r\n}}", items.join(" ,\n "))
        }
        Value::Array(items) => {
            format!("[ {} ]", items.iter().map(|item| respelled(item, whole)).collect::<Vec<_>>().join(" , "))
        }
        Value::Number(number) if number.is_i64() => match whole {
            0 => number.to_string(),
            1 => format!("{number}.0"),
            2 => format!("{number}e0"),
            _ => format!("{number}.000E+0"),
        },
        other => other.to_string(),
    }
}

/// The same schema with every field's value as its default.
fn with_defaults(fields: &[(String, Field)]) -> Value {
    let mut schema = schema(fields);
    for (name, field) in fields {
        schema["properties"][name]["default"] = field.value();
    }
    schema
}

/// The same schema with a default for every field on every level; objects are empty by default, and lists whole.
fn with_defaults_inside(fields: &[(String, Field)]) -> Value {
    let mut schema = schema(fields);
    for (name, field) in fields {
        let place = &mut schema["properties"][name];
        match field {
            Field::Inner(inner) => {
                *place = with_defaults_inside(inner);
                place["default"] = json!({});
            }
            Field::Legs(inner, numbers) => {
                place["items"] = with_defaults_inside(inner);
                place["items"]["properties"][NUMBER] = json!({"type": "integer"});
                let bare = numbers.iter().map(|number| json!({NUMBER: number}));
                place["default"] = bare.collect();
            }
            leaf => place["default"] = leaf.value(),
        }
    }
    schema
}

/// The same schema with the type of every field behind a reference, as derived schemas have it.
fn behind_references(schema: &Value) -> Value {
    fn moved(schema: &Value, definitions: &mut Map<String, Value>) -> Value {
        let mut inline = schema.clone();
        for field in inline["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            *field = moved(field, definitions);
        }
        if let Some(items) = inline.get("items").cloned() {
            inline["items"] = moved(&items, definitions);
        }
        let default = inline.as_object_mut().and_then(|fields| fields.remove("default"));
        let name = format!("Type{}", definitions.len());
        definitions.insert(name.clone(), inline);
        let mut reference = json!({"$ref": format!("#/$defs/{name}")});
        if let Some(default) = default {
            reference["default"] = default;
        }
        reference
    }
    let mut definitions = Map::new();
    let mut root = moved(schema, &mut definitions);
    root["$defs"] = Value::Object(definitions);
    root
}

/// The same schema with words for people on every level.
fn with_words(schema: &Value, words: &str) -> Value {
    let mut worded = schema.clone();
    worded["title"] = json!(words);
    worded["description"] = json!(words);
    for field in worded["properties"].as_object_mut().unwrap().values_mut() {
        field["description"] = json!(words);
        field["examples"] = json!([words]);
    }
    worded
}

fn manifest(config_schema: Value) -> Manifest {
    Manifest {
        name: COMPONENT.to_owned(),
        version: "1.0.0".parse().unwrap(),
        description: String::new(),
        config_schema,
        default_offset_start: None,
        sources: Vec::new(),
        index: Vec::new(),
        columns: Vec::new(),
    }
}

fn contract() -> Contract {
    let text = "identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{ name = \"time_index\", type = \"timestamp_tz\" }]";
    Contract::from_toml(text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn order_white_space_and_spellings_of_integers_never_matter(fields in fields(), whole in 0u8..4) {
        let (schema, plain) = (schema(&fields), document(&fields));
        prop_assert_eq!(hash(&schema, &plain.to_string()), hash(&schema, &respelled(&plain, whole)));
    }

    #[test]
    fn a_default_counts_as_if_it_were_written(fields in fields(), left_out in prop::collection::vec(any::<bool>(), 5)) {
        let schema = with_defaults(&fields);
        let written = document(&fields);
        let some: Vec<_> = fields.iter().zip(&left_out).filter(|(_, out)| !**out).map(|(field, _)| field.clone()).collect();
        prop_assert_eq!(hash(&schema, &written.to_string()), hash(&schema, &document(&some).to_string()));
        prop_assert_eq!(hash(&schema, &written.to_string()), hash(&schema, "{}"));
    }

    /// Objects inside of others and in lists are completed as well; a schema behind references is the same schema.
    #[test]
    fn defaults_of_every_level_count_as_if_they_were_written(fields in fields()) {
        let schema = with_defaults_inside(&fields);
        let written = hash(&schema, &document(&fields).to_string());
        prop_assert_eq!(&written, &hash(&schema, "{}"));
        prop_assert_eq!(&written, &hash(&behind_references(&schema), "{}"));
        prop_assert_eq!(&written, &hash(&self::schema(&fields), &document(&fields).to_string()));
    }

    #[test]
    fn references_of_a_schema_never_matter(fields in fields(), whole in 0u8..4) {
        let (schema, plain) = (schema(&fields), document(&fields));
        prop_assert_eq!(hash(&schema, &plain.to_string()), hash(&behind_references(&schema), &respelled(&plain, whole)));
    }

    /// A release that adds a field which need not be there keeps every identity; where it is written, it matters, and
    /// where it is taken out again, it does not.
    #[test]
    fn an_optional_field_matters_where_it_is_written(fields in fields(), value in any::<i32>()) {
        let before = schema(&fields);
        let plain = document(&fields);
        let mut written = plain.clone();
        written["zz_new_field"] = json!(value);
        let mut null = plain.clone();
        null["zz_new_field"] = Value::Null;
        let mut after = before.clone();
        after["properties"]["zz_new_field"] = json!({"type": ["integer", "null"]});
        let [plain, written, null] = [plain, written, null].map(|config| config.to_string());
        prop_assert_eq!(hash(&before, &plain), hash(&after, &plain));
        prop_assert_ne!(hash(&after, &plain), hash(&after, &written));
        prop_assert_ne!(hash(&after, &null), hash(&after, &written));
        // With a default it is in every config, whatever the default is.
        after["properties"]["zz_new_field"]["default"] = Value::Null;
        prop_assert_eq!(hash(&after, &plain), hash(&after, &null));
        prop_assert_ne!(hash(&before, &plain), hash(&after, &plain));
    }

    #[test]
    fn another_value_of_any_field_always_matters(fields in fields(), place in any::<Index>()) {
        let schema = schema(&fields);
        let changed = with_change(&fields, place);
        prop_assert_ne!(hash(&schema, &document(&fields).to_string()), hash(&schema, &document(&changed).to_string()));
    }

    #[test]
    fn another_default_matters_where_it_is_used(fields in fields(), place in any::<Index>()) {
        let changed = with_change(&fields, place);
        prop_assert_ne!(hash(&with_defaults(&fields), "{}"), hash(&with_defaults(&changed), "{}"));
        let all = document(&fields).to_string();
        prop_assert_eq!(hash(&with_defaults(&fields), &all), hash(&with_defaults(&changed), &all));
    }

    /// A release that only says it better keeps every identity, and its words have a digest of their own.
    #[test]
    fn words_never_matter_but_to_the_metadata_digest(fields in fields(), words in "[a-z ]{1,20}") {
        let (schema, text) = (schema(&fields), document(&fields).to_string());
        let worded = with_words(&schema, &words);
        prop_assert_eq!(hash(&schema, &text), hash(&worded, &text));
        let contract = contract();
        let digest = |schema: &Value| metadata_digest(&manifest(schema.clone()), &contract);
        prop_assert_ne!(digest(&schema), digest(&worded));
        prop_assert_eq!(digest(&schema), digest(&with_defaults_only(&schema, &fields)));
    }

    #[test]
    fn a_release_with_one_more_default_matters(fields in fields()) {
        let before = schema(&fields);
        let mut after = before.clone();
        after["properties"]["zz_new_field"] = json!({"type": "integer", "default": 1});
        let text = document(&fields).to_string();
        prop_assert_ne!(hash(&before, &text), hash(&after, &text));
    }

    #[test]
    fn namespaces_and_component_names_always_matter(fields in fields(), one in "[a-z]{1,6}", other in "[a-z]{1,6}") {
        let config = resolve(&schema(&fields), &document(&fields).to_string());
        let plain = update_hash(COMPONENT, &config, "");
        prop_assert_ne!(&plain, &update_hash(COMPONENT, &config, &one));
        prop_assert_eq!(one == other, update_hash(COMPONENT, &config, &one) == update_hash(COMPONENT, &config, &other));
        let digits = |hash: &str| hash.rsplit('_').next().unwrap().to_owned();
        prop_assert_ne!(digits(&plain), digits(&update_hash("made_up_2", &config, "")));
        prop_assert!(plain.len() <= 63);
    }

    #[test]
    fn a_table_is_what_it_is_bound_to_and_not_its_name(table in "[a-z]{1,8}") {
        let schema = json!({"properties": {"rates": {"type": "string", "x-table-reference": true}}});
        let parsed = ConfigSchema::parse(&schema).unwrap();
        let hash = |name: &str, uid: &str| {
            let config = parsed.resolve(&json!({"rates": name}).to_string(), 1 << 20, |_| Some(uid.to_owned())).unwrap();
            update_hash(COMPONENT, &config, "")
        };
        prop_assert_eq!(hash(&table, "uid-1"), hash("renamed", "uid-1"));
        prop_assert_ne!(hash(&table, "uid-1"), hash(&table, "uid-2"));
    }
}

/// Another default is no word.
fn with_defaults_only(schema: &Value, fields: &[(String, Field)]) -> Value {
    let mut changed = schema.clone();
    for (name, field) in fields {
        changed["properties"][name]["default"] = field.value();
    }
    changed
}
