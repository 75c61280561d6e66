//! One table as that client has it. It refuses an answer with a key that it does not know, so each of the two forms has
//! exactly its keys, and none that is missing here may be added there.

use std::collections::HashMap;

use datanode_core::Timestamp;
use datanode_core::contract::{Column, Contract, ForeignKey, OnDelete, TIME_INDEX, TableKind};
use datanode_core::progress::Progress;
use datanode_store::{DEFAULT_SCHEMA, DescribedTable, Referrer, Registration};
use serde_json::{Map, Value, json};

use super::statistics::{global_stats, multi_index_stats};
use super::types::{ClientType, from_client, to_client};

/// The number of the one data source.
pub(crate) const SOURCE_ID: i64 = 1;
/// What it is called.
const SOURCE_NAME: &str = "datanode";
/// Its class: neither of those that mean a file on the client's own machine.
const SOURCE_CLASS: &str = "timescale_db";
/// The form of contracts that the client writes.
const CONTRACT_VERSION: &str = "relational-table.v1";

/// Which of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `TimeIndexMetaTable`, under `dynamic_table/`.
    TimeIndexed,
    /// `MetaTable`, under `meta_table/`.
    Plain,
}

/// A table that another one refers to, as far as foreign keys tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its physical name.
    pub(crate) physical_name: String,
    /// The schema that clients see.
    pub(crate) schema: String,
}

/// What a table needs beside itself to be told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// Uid of the one data source.
    pub(crate) source: String,
    /// The tables that foreign keys lead to, by uid.
    pub(crate) targets: HashMap<String, Target>,
    /// The foreign keys that lead here, by uid of the table.
    pub(crate) referrers: HashMap<String, Vec<Referrer>>,
}

/// The data source as every table has it.
pub(crate) fn data_source(source: &str) -> Value {
    json!({
        "uid": source,
        "id": SOURCE_ID,
        "related_resource_class_type": SOURCE_CLASS,
        "related_resource": {
            "uid": source,
            "id": SOURCE_ID,
            "display_name": SOURCE_NAME,
            "class_type": SOURCE_CLASS,
            "status": "AVAILABLE",
            "storage_access_mode": "read_write",
        },
    })
}

/// A table in one of the two forms. `progress` has its coordinates, where they are told.
pub(crate) fn table(
    form: Form,
    described: &DescribedTable,
    progress: Option<&Progress>,
    around: &Surroundings,
) -> Value {
    let DescribedTable { table, registration, .. } = described;
    let contract = &table.contract;
    let columns = columns(contract, registration);
    let mut object = object(json!({
        "orm_class": "MetaTable",
        "uid": table.uid,
        "identifier": identifier(described),
        "namespace": registration.namespace.as_ref().or(contract.namespace.as_ref()),
        "description": contract.description,
        "labels": contract.labels,
        "data_source_uid": around.source,
        "data_source": data_source(&around.source),
        "management_mode": "platform_managed",
        "provisioning_status": "active",
        "schema_management_mode": "backend_managed",
        "schema_management": {},
        "migration_package": null,
        "migration_namespace": null,
        "migration_provider_key": null,
        "alembic_version_meta_table_uid": null,
        "alembic_revision": null,
        "physical_schema": schema(registration),
        "physical_table_name": contract.physical_name(),
        "table_contract": table_contract(contract, registration, &columns),
        "contract_version": CONTRACT_VERSION,
        "table_kind": contract.kind.as_str(),
        "time_indexed": contract.kind == TableKind::TimeIndexed,
        "introspection_snapshot": {},
        "protect_from_deletion": registration.protected,
        "columns": columns,
        "indexes_meta": [index(contract)],
        "foreign_keys": foreign_keys(contract, around),
        "incoming_fks": incoming(described, around),
        "creation_date": table.created_at,
        "created_by_user_uid": table.owner,
        "organization_owner_uid": null,
        "registration": {},
    }));
    if form == Form::TimeIndexed {
        object.insert("orm_class".to_owned(), json!("TimeIndexMetaTable"));
        object.insert("cadence".to_owned(), json!(contract.cadence));
        object.insert("time_indexed_profile".to_owned(), profile(described, progress, &columns));
        object.insert("data_source_open_for_everyone".to_owned(), json!(false));
        for absent in [
            "source_class_name",
            "build_configuration_json_schema",
            "table_index_names",
            "compression_policy_config",
            "retention_policy_config",
        ] {
            object.insert(absent.to_owned(), Value::Null);
        }
    }
    Value::Object(object)
}

/// What clients call a table.
pub(crate) fn identifier(described: &DescribedTable) -> &str {
    let own = &described.table.contract.identifier;
    described.registration.identifier.as_ref().unwrap_or(own)
}

fn schema(registration: &Registration) -> &str {
    registration.schema.as_deref().unwrap_or(DEFAULT_SCHEMA)
}

/// What is known of the rows of a time-indexed table, and of its shape once more; a plain one has none of it.
pub(crate) fn profile(described: &DescribedTable, progress: Option<&Progress>, columns: &[Value]) -> Value {
    let DescribedTable { table, bounds, .. } = described;
    let contract = &table.contract;
    if contract.kind != TableKind::TimeIndexed {
        return Value::Null;
    }
    let (first, last): (Option<Timestamp>, Option<Timestamp>) = bounds.unzip();
    let stats = match progress {
        Some(progress) => multi_index_stats(progress, contract.dimensions().len()),
        None => global_stats(first, last),
    };
    let types: Map<String, Value> = columns
        .iter()
        .filter_map(|column| Some((column["name"].as_str()?.to_owned(), column["data_type"].clone())))
        .collect();
    json!({
        "related_table_uid": table.uid,
        "dynamic_table_uid": table.uid,
        "time_index_name": TIME_INDEX,
        "index_names": contract.index,
        "cadence": contract.cadence,
        "partition_strategy": "backend_default",
        "column_dtypes_map": types,
        "columns": columns,
        "last_time_index_value": last,
        "earliest_index_value": first,
        "storage_layout": null,
        "physical_index_plan": null,
        "multi_index_stats": stats,
        "multi_index_column_stats": {},
        "columns_metadata": null,
    })
}

/// The columns, in the order of the contract.
pub(crate) fn columns(contract: &Contract, registration: &Registration) -> Vec<Value> {
    let told = |(position, column): (usize, &Column)| {
        let written = written_column(registration, &column.name);
        let ClientType { token, backend } = client_type(column, written);
        let is_key = contract.kind == TableKind::Reference && contract.primary_key.contains(&column.name);
        json!({
            "name": column.name,
            "logical_name": written.and_then(|written| written.get("logical_name")),
            "data_type": token,
            "backend_type": backend,
            "nullable": column.nullable,
            "primary_key": is_key,
            "unique": is_key && contract.primary_key.len() == 1,
            "server_default": null,
            "ordinal_position": position,
            "description": text_or_null(&column.description),
            "label": text_or_null(&column.label),
            "contract_fragment": {},
        })
    };
    contract.columns.iter().enumerate().map(told).collect()
}

/// A type as the client has written it, as long as it still means that of the column.
fn client_type(column: &Column, written: Option<&Map<String, Value>>) -> ClientType {
    let told = to_client(column.data_type);
    let text = |field: &str| written.and_then(|written| written.get(field)).and_then(Value::as_str);
    let (Some(token), backend) = (text("data_type"), text("backend_type")) else { return told };
    if from_client(token, backend) != Ok(column.data_type) {
        return told;
    }
    // Tokens that the client knows by one name each; of the other spellings it makes those itself.
    let token = if token.eq_ignore_ascii_case("jsonb") { "jsonb".to_owned() } else { told.token };
    // One that the client would read as another type breaks the whole table for it.
    let backend = backend.filter(|backend| from_client(backend, None) == Ok(column.data_type));
    ClientType { token, backend: backend.map_or(told.backend, str::to_owned) }
}

fn written_column<'r>(registration: &'r Registration, name: &str) -> Option<&'r Map<String, Value>> {
    let columns = registration.written.as_ref()?.get("columns")?.as_array()?;
    columns
        .iter()
        .filter_map(Value::as_object)
        .find(|column| column.get("name").and_then(Value::as_str) == Some(name))
}

/// The contract as the client would write it: as it has written it, where it did.
fn table_contract(contract: &Contract, registration: &Registration, columns: &[Value]) -> Value {
    let fields = [
        "name",
        "data_type",
        "backend_type",
        "nullable",
        "primary_key",
        "unique",
        "description",
        "label",
        "logical_name",
    ];
    let columns: Vec<Value> = columns
        .iter()
        .map(|column| {
            let present = fields.iter().filter(|field| !column[**field].is_null());
            Value::Object(present.map(|field| ((*field).to_owned(), column[*field].clone())).collect())
        })
        .collect();
    let written = |field: &str| registration.written.as_ref().and_then(|written| written.get(field)).cloned();
    let mut authoring = written("authoring").filter(Value::is_object).unwrap_or_else(|| json!({}));
    if contract.kind == TableKind::TimeIndexed {
        let mut said = json!({"time_index_name": TIME_INDEX, "index_names": contract.index});
        if let Some(cadence) = contract.cadence {
            said["cadence"] = json!(cadence);
        }
        authoring["time_indexed"] = said;
    }
    json!({
        "version": CONTRACT_VERSION,
        "table_kind": contract.kind.as_str(),
        "authoring": authoring,
        "physical": {"schema": schema(registration), "table_name": contract.physical_name()},
        "columns": columns,
    })
}

/// The one index that a table has: over its whole key.
fn index(contract: &Contract) -> Value {
    json!({
        "name": format!("uix__{}", contract.physical_name()),
        "columns": contract.key(),
        "unique": true,
        "method": "btree",
        "expression": null,
        "contract_fragment": {},
    })
}

fn foreign_keys(contract: &Contract, around: &Surroundings) -> Vec<Value> {
    let told = |key: &ForeignKey| {
        let target = around.targets.get(&key.references.table);
        foreign_key(contract, key, target, &json!({}))
    };
    contract.foreign_keys.iter().map(told).collect()
}

fn foreign_key(contract: &Contract, key: &ForeignKey, target: Option<&Target>, fragment: &Value) -> Value {
    json!({
        "name": key_name(contract.physical_name(), key),
        "source_columns": key.columns,
        "target_table_uid": key.references.table,
        "target_table_physical_table_name": target.map(|target| &target.physical_name),
        "target_table_physical_schema": target.map(|target| &target.schema),
        "target_columns": key.references.columns,
        "on_delete": match key.on_delete {
            OnDelete::Restrict => "RESTRICT",
            OnDelete::SetNull => "SET NULL",
            OnDelete::Cascade => "CASCADE",
        },
        "contract_fragment": fragment,
    })
}

/// Foreign keys of other tables that lead here. The form has no place for the table that refers: it stands in the fragment,
/// in which everything may.
fn incoming(described: &DescribedTable, around: &Surroundings) -> Vec<Value> {
    let contract = &described.table.contract;
    let here = Target {
        physical_name: contract.physical_name().to_owned(),
        schema: schema(&described.registration).to_owned(),
    };
    let told = |referrer: &Referrer| {
        let fragment = json!({"source_table_uid": referrer.table_uid, "source_table": referrer.table});
        let mut told = foreign_key(contract, &referrer.foreign_key, Some(&here), &fragment);
        told["name"] = json!(key_name(&referrer.table, &referrer.foreign_key));
        told
    };
    around
        .referrers
        .get(&described.table.uid)
        .map_or(Vec::new(), |referrers| referrers.iter().map(told).collect())
}

fn key_name(table: &str, key: &ForeignKey) -> String {
    format!("fk__{table}__{}", key.columns.join("_"))
}

fn text_or_null(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use datanode_core::contract::Reference;
    use datanode_core::coordinate::{Coordinate, CoordinateValue};
    use datanode_core::progress::CoordinateProgress;
    use datanode_store::Table;

    use super::*;

    /// All keys that the client knows of a plain table, from its own refusals of others.
    const PLAIN: [&str; 33] = [
        "alembic_revision",
        "alembic_version_meta_table_uid",
        "columns",
        "contract_version",
        "created_by_user_uid",
        "creation_date",
        "data_source",
        "data_source_uid",
        "description",
        "foreign_keys",
        "identifier",
        "incoming_fks",
        "indexes_meta",
        "introspection_snapshot",
        "labels",
        "management_mode",
        "migration_namespace",
        "migration_package",
        "migration_provider_key",
        "namespace",
        "organization_owner_uid",
        "orm_class",
        "physical_schema",
        "physical_table_name",
        "protect_from_deletion",
        "provisioning_status",
        "registration",
        "schema_management",
        "schema_management_mode",
        "table_contract",
        "table_kind",
        "time_indexed",
        "uid",
    ];
    /// Those that it knows of a time-indexed one beside them.
    const TIME_INDEXED: [&str; 8] = [
        "build_configuration_json_schema",
        "cadence",
        "compression_policy_config",
        "data_source_open_for_everyone",
        "retention_policy_config",
        "source_class_name",
        "table_index_names",
        "time_indexed_profile",
    ];

    fn at(day: i64) -> Timestamp {
        Timestamp::from_micros(day * 86_400_000_000).unwrap()
    }

    fn described() -> DescribedTable {
        let mut contract = Contract::from_toml(
            "identifier = \"prices\"\nnamespace = \"examples.fx\"\ndescription = \"Prices.\"\nlabels = [\"fx\"]\n\
             cadence = \"1d\"\nindex = [\"time_index\", \"asset\"]\ncolumns = [\
             { name = \"time_index\", type = \"timestamp_tz\", description = \"The day.\" }, \
             { name = \"asset\", type = \"string\" }, \
             { name = \"close\", type = \"decimal(18,4)\", nullable = true, label = \"Close\" }, \
             { name = \"raw\", type = \"bytes\", nullable = true }]",
        )
        .unwrap();
        contract.foreign_keys = vec![ForeignKey {
            columns: vec!["asset".to_owned()],
            references: Reference { table: "u-assets".to_owned(), columns: vec!["id".to_owned()] },
            on_delete: OnDelete::Restrict,
        }];
        DescribedTable {
            table: Table { uid: "u-prices".to_owned(), contract, epoch: 0, created_at: at(1), owner: None },
            registration: Registration {
                identifier: Some("My prices".to_owned()),
                ..Registration::default()
            },
            bounds: Some((at(1), at(9))),
            coordinates: 1,
        }
    }

    fn around() -> Surroundings {
        let target = Target { physical_name: "assets".to_owned(), schema: "public".to_owned() };
        let key = ForeignKey {
            columns: vec!["price_time".to_owned(), "price_asset".to_owned()],
            references: Reference {
                table: "u-prices".to_owned(),
                columns: vec!["time_index".to_owned(), "asset".to_owned()],
            },
            on_delete: OnDelete::SetNull,
        };
        let referrer =
            Referrer { table_uid: "u-trades".to_owned(), table: "trades".to_owned(), foreign_key: key };
        Surroundings {
            source: "u-source".to_owned(),
            targets: [("u-assets".to_owned(), target)].into(),
            referrers: [("u-prices".to_owned(), vec![referrer])].into(),
        }
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn each_form_has_exactly_the_keys_that_the_client_knows() {
        let plain = table(Form::Plain, &described(), None, &around());
        let time_indexed = table(Form::TimeIndexed, &described(), None, &around());
        assert_eq!(keys(&plain), PLAIN);
        let mut all = [&PLAIN[..], &TIME_INDEXED].concat();
        all.sort_unstable();
        assert_eq!(keys(&time_indexed), all);
        for (field, expected) in [
            (
                "columns",
                vec![
                    "backend_type",
                    "contract_fragment",
                    "data_type",
                    "description",
                    "label",
                    "logical_name",
                    "name",
                    "nullable",
                    "ordinal_position",
                    "primary_key",
                    "server_default",
                    "unique",
                ],
            ),
            ("indexes_meta", vec!["columns", "contract_fragment", "expression", "method", "name", "unique"]),
        ] {
            assert_eq!(keys(&plain[field][0]), expected, "{field}");
        }
    }

    #[test]
    fn a_table_is_told_in_both_forms() {
        let held = CoordinateProgress { min: at(1), max: at(9), rows: 9 };
        let coordinate = Coordinate(vec![CoordinateValue::Text("A".to_owned())]);
        let progress: Progress = [(coordinate, held)].into_iter().collect();
        insta::assert_json_snapshot!(
            "time_indexed",
            table(Form::TimeIndexed, &described(), Some(&progress), &around())
        );
        insta::assert_json_snapshot!("plain", table(Form::Plain, &described(), None, &around()));
    }

    #[test]
    fn an_empty_table_has_neither_moments_nor_statistics() {
        let empty = DescribedTable { bounds: None, coordinates: 0, ..described() };
        let told = table(Form::TimeIndexed, &empty, Some(&Progress::default()), &around());
        let profile = &told["time_indexed_profile"];
        assert_eq!(
            (&profile["last_time_index_value"], &profile["multi_index_stats"]),
            (&Value::Null, &Value::Null)
        );
        assert!(profile["column_dtypes_map"].is_object());
    }

    #[test]
    fn a_type_is_told_as_it_was_written_as_long_as_it_is_that() {
        let mut described = described();
        let write = |described: &mut DescribedTable, column: Value| {
            described.registration.written = Some(json!({"columns": [column]}));
            let columns = columns(&described.table.contract, &described.registration);
            (columns[1]["data_type"].clone(), columns[1]["backend_type"].clone())
        };
        let written = json!({"name": "asset", "data_type": "string", "backend_type": "VARCHAR(255)"});
        assert_eq!(write(&mut described, written), (json!("string"), json!("VARCHAR(255)")));
        let stale = json!({"name": "asset", "data_type": "int64", "backend_type": "BIGINT"});
        assert_eq!(write(&mut described, stale), (json!("string"), json!("TEXT")));
    }
}
