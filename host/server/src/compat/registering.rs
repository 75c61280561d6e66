//! What that client sends to register a table: the body of `register`, and the rows of a collection that is created at
//! once. Both become a contract by our rules and, beside it, what the client may say more freely.

use datanode_core::cadence::Cadence;
use datanode_core::contract::{Column, Contract, MAX_COLUMNS, MAX_LABEL_CHARS, TIME_INDEX, TableKind};
use datanode_core::name::{check_name, check_namespace};
use datanode_store::{DEFAULT_SCHEMA, NewRegistration, Registration};
use serde_json::{Map, Value};

use super::error::CompatError;
use super::types::from_client;

/// The longest identifier, in characters.
pub(crate) const MAX_IDENTIFIER_CHARS: usize = 255;
/// The longest namespace and schema, in characters.
const MAX_NAME_CHARS: usize = 255;

/// Fields that a registration may have. What is not used is said in the documentation.
const FIELDS: [&str; 26] = [
    "orm_class",
    "storage_hash",
    "data_source_uid",
    "physical_schema",
    "physical_table_name",
    "identifier",
    "namespace",
    "description",
    "labels",
    "protect_from_deletion",
    "schema_management",
    "provisioning",
    "provisioning_status",
    "time_index_name",
    "cadence",
    "partition_strategy",
    "table_contract",
    "management_mode",
    "introspect",
    "is_alembic_managed",
    "migration_package",
    "migration_namespace",
    "migration_provider_key",
    "alembic_version_meta_table_uid",
    "alembic_revision",
    "table_kind",
];

/// Whether tables are registered as time-indexed ones, whatever they say, or as they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    /// `dynamic_table/`
    TimeIndexed,
    /// `meta_table/`
    Any,
}

/// A document that is being read, and where it stands in the body.
struct Reading<'b> {
    place: String,
    object: &'b Map<String, Value>,
}

impl<'b> Reading<'b> {
    fn at(&self, field: &str) -> String {
        if self.place.is_empty() { field.to_owned() } else { format!("{}.{field}", self.place) }
    }

    fn wrong(&self, field: &str, problem: impl Into<String>) -> CompatError {
        CompatError::field(self.at(field), problem)
    }

    /// A field that is there and not null.
    fn get(&self, field: &str) -> Option<&'b Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    /// A text; an empty one is none.
    fn text(&self, field: &str) -> Result<Option<&'b str>, CompatError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(field, "it is no text")),
        }
    }

    fn flag(&self, field: &str, default: bool) -> Result<bool, CompatError> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(field, "it is neither true nor false")),
        }
    }

    fn texts(&self, field: &str) -> Result<Vec<String>, CompatError> {
        let wrong = || self.wrong(field, "it is no list of texts");
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    fn object(&self, field: &str) -> Result<Option<Reading<'b>>, CompatError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Reading { place: self.at(field), object })),
            Some(_) => Err(self.wrong(field, "it is no object")),
        }
    }
}

/// A registration as a client sends it. `source` is the uid of the one data source that there is; `place` is where the
/// document stands in the body, empty for the body itself.
pub(crate) fn registration(
    body: &Map<String, Value>,
    place: &str,
    root: Root,
    source: &str,
) -> Result<NewRegistration, CompatError> {
    let body = Reading { place: place.to_owned(), object: body };
    if let Some(unknown) = body.object.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(body.wrong(unknown, "a registration has no such field"));
    }
    refuse_what_is_not_served(&body, source)?;
    let written =
        body.object("table_contract")?.ok_or_else(|| body.wrong("table_contract", "it is missing"))?;
    let (contract, kind) = contract(&body, &written, root)?;
    let schema = schema(&body, &written)?;
    let (identifier, own_identifier) = identifier(&body, contract.physical_name())?;
    let (namespace, own_namespace) = match body.text("namespace")? {
        None => (None, None),
        Some(name) if check_namespace("namespace", name).is_ok() => (Some(name.to_owned()), None),
        Some(name) => (None, Some(free_text(&body.at("namespace"), name, MAX_NAME_CHARS)?)),
    };
    let contract = Contract { identifier, namespace, kind, ..contract };
    let registration = Registration {
        identifier: own_identifier,
        namespace: own_namespace,
        schema: (schema != DEFAULT_SCHEMA).then_some(schema),
        protected: body.flag("protect_from_deletion", false)?,
        written: Some(Value::Object(written.object.clone())),
    };
    let contract = contract.checked().map_err(|error| body.wrong("table_contract", error.to_string()))?;
    Ok(NewRegistration { contract, registration, judged: None })
}

fn refuse_what_is_not_served(body: &Reading<'_>, source: &str) -> Result<(), CompatError> {
    if let Some(given) = body.text("data_source_uid")?
        && given != source
    {
        return Err(
            body.wrong("data_source_uid", format!("there is no data source {given}; there is {source}"))
        );
    }
    if let Some(mode) = body.text("management_mode")?
        && mode != "platform_managed"
    {
        return Err(CompatError::Unserved {
            what: format!("management_mode `{mode}` is not served: this host keeps its tables itself"),
            instead: "register the table as platform_managed, and let a node write it",
        });
    }
    match body.text("partition_strategy")? {
        None | Some("backend_default") => Ok(()),
        Some(_) => Err(body.wrong("partition_strategy", "only `backend_default` is served")),
    }
}

/// The contract of a table as the client writes it; its identifier is the physical name.
fn contract(
    body: &Reading<'_>,
    written: &Reading<'_>,
    root: Root,
) -> Result<(Contract, TableKind), CompatError> {
    let authoring = written.object("authoring")?;
    let time_indexed =
        authoring.as_ref().map(|authoring| authoring.object("time_indexed")).transpose()?.flatten();
    let says_so = written.text("table_kind")? == Some("time_indexed")
        || time_indexed.is_some()
        || body.text("time_index_name")?.is_some();
    let kind =
        if root == Root::TimeIndexed || says_so { TableKind::TimeIndexed } else { TableKind::Reference };
    let physical_name = physical_name(body, written)?;
    let mut columns = Vec::new();
    let mut primary_key = Vec::new();
    let Some(Value::Array(items)) = written.get("columns") else {
        return Err(written.wrong("columns", "it is no list of columns"));
    };
    if items.len() > MAX_COLUMNS {
        return Err(
            written.wrong("columns", format!("{} columns where {MAX_COLUMNS} are allowed", items.len()))
        );
    }
    let index = match kind {
        TableKind::TimeIndexed => index(body, written, time_indexed.as_ref())?,
        TableKind::Reference => Vec::new(),
    };
    for (at, item) in items.iter().enumerate() {
        let Value::Object(object) = item else {
            return Err(written.wrong(&format!("columns[{at}]"), "it is no object"));
        };
        let item = Reading { place: written.at(&format!("columns[{at}]")), object };
        let (column, is_key) = column(&item, kind, &index)?;
        if is_key {
            primary_key.push(column.name.clone());
        }
        columns.push(column);
    }
    let contract = Contract {
        identifier: physical_name.clone(),
        kind,
        namespace: None,
        physical_name: Some(physical_name),
        description: body.text("description")?.unwrap_or_default().to_owned(),
        labels: labels(body)?,
        cadence: cadence(body, time_indexed.as_ref(), kind)?,
        index,
        primary_key: if kind == TableKind::Reference { primary_key } else { Vec::new() },
        columns,
        foreign_keys: Vec::new(),
        checks: Vec::new(),
        last_field_id: None,
    };
    Ok((contract, kind))
}

fn physical_name(body: &Reading<'_>, written: &Reading<'_>) -> Result<String, CompatError> {
    let physical = written.object("physical")?;
    let of_contract = physical.as_ref().map(|physical| physical.text("table_name")).transpose()?.flatten();
    let Some(name) = of_contract.or(body.text("physical_table_name")?) else {
        return Err(written.wrong("physical.table_name", "it is missing"));
    };
    check_name("physical table name", name)
        .map_err(|error| written.wrong("physical.table_name", error.to_string()))?;
    Ok(name.to_owned())
}

fn schema(body: &Reading<'_>, written: &Reading<'_>) -> Result<String, CompatError> {
    let physical = written.object("physical")?;
    let of_contract = physical.as_ref().map(|physical| physical.text("schema")).transpose()?.flatten();
    let given = body.text("physical_schema")?;
    if let (Some(given), Some(of_contract)) = (given, of_contract)
        && given != of_contract
    {
        return Err(body.wrong("physical_schema", format!("it is not that of the contract, `{of_contract}`")));
    }
    let schema = given.or(of_contract).unwrap_or(DEFAULT_SCHEMA);
    free_text(&body.at("physical_schema"), schema, MAX_NAME_CHARS)
}

/// `time_index`, then the identity dimensions.
fn index(
    body: &Reading<'_>,
    written: &Reading<'_>,
    time_indexed: Option<&Reading<'_>>,
) -> Result<Vec<String>, CompatError> {
    let time = match body.text("time_index_name")? {
        Some(name) => Some(name),
        None => time_indexed.map(|said| said.text("time_index_name")).transpose()?.flatten(),
    };
    if let Some(name) = time.filter(|name| *name != TIME_INDEX) {
        return Err(body.wrong(
            "time_index_name",
            format!("this host keeps time in the column `{TIME_INDEX}`; rename `{name}`"),
        ));
    }
    let names = time_indexed.map(|said| said.texts("index_names")).transpose()?.unwrap_or_default();
    if names.is_empty() {
        return Err(written
            .wrong("authoring.time_indexed.index_names", "it is missing: the names of the index columns"));
    }
    Ok(names)
}

/// What a column may say.
const COLUMN_FIELDS: [&str; 12] = [
    "orm_class",
    "name",
    "data_type",
    "backend_type",
    "nullable",
    "primary_key",
    "unique",
    "server_default",
    "ordinal_position",
    "description",
    "label",
    "logical_name",
];

/// A column, and whether it is of the primary key.
fn column(item: &Reading<'_>, kind: TableKind, index: &[String]) -> Result<(Column, bool), CompatError> {
    if let Some(unknown) = item.object.keys().find(|key| !COLUMN_FIELDS.contains(&key.as_str())) {
        return Err(item.wrong(unknown, "a column has no such field"));
    }
    let name = item.text("name")?.ok_or_else(|| item.wrong("name", "it is missing"))?;
    check_name("column name", name).map_err(|error| item.wrong("name", error.to_string()))?;
    let token = item.text("data_type")?.ok_or_else(|| item.wrong("data_type", "it is missing"))?;
    let data_type =
        from_client(token, item.text("backend_type")?).map_err(|problem| item.wrong("data_type", problem))?;
    let in_index = index.iter().any(|known| known == name);
    let is_key = item.flag("primary_key", false)?;
    if kind == TableKind::TimeIndexed && is_key && !in_index {
        return Err(item.wrong("primary_key", "the key of a time-indexed table is its index"));
    }
    if item.flag("unique", false)? && !is_key && !(in_index && index.len() == 1) {
        return Err(
            item.wrong("unique", "no column is unique by itself here: the index is, or the primary key")
        );
    }
    let column = Column {
        name: name.to_owned(),
        id: None,
        data_type,
        nullable: item.flag("nullable", true)? && !in_index && !is_key,
        label: item.text("label")?.unwrap_or_default().to_owned(),
        description: item.text("description")?.unwrap_or_default().to_owned(),
    };
    Ok((column, is_key))
}

fn labels(body: &Reading<'_>) -> Result<Vec<String>, CompatError> {
    let mut labels: Vec<String> = Vec::new();
    for label in body.texts("labels")? {
        let label = label.trim();
        if label.chars().count() > MAX_LABEL_CHARS || label.chars().any(char::is_control) {
            let problem = format!("a label is a line of at most {MAX_LABEL_CHARS} characters");
            return Err(body.wrong("labels", problem));
        }
        if !label.is_empty() && !labels.iter().any(|known| known == label) {
            labels.push(label.to_owned());
        }
    }
    Ok(labels)
}

fn cadence(
    body: &Reading<'_>,
    time_indexed: Option<&Reading<'_>>,
    kind: TableKind,
) -> Result<Option<Cadence>, CompatError> {
    let said = match body.text("cadence")? {
        Some(text) => Some(text),
        None => time_indexed.map(|said| said.text("cadence")).transpose()?.flatten(),
    };
    let Some(text) = said.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if kind == TableKind::Reference {
        return Err(body.wrong("cadence", "a plain table has no cadence"));
    }
    let lower = text.to_lowercase();
    lower.parse().map(Some).map_err(|problem: String| body.wrong("cadence", problem))
}

/// The identifier of the contract, and the client's own where that is no name by the rules.
fn identifier(body: &Reading<'_>, physical_name: &str) -> Result<(String, Option<String>), CompatError> {
    let Some(given) = body.text("identifier")? else { return Ok((physical_name.to_owned(), None)) };
    if check_name("identifier", given).is_ok() {
        return Ok((given.to_owned(), None));
    }
    Ok((physical_name.to_owned(), Some(free_identifier(&body.at("identifier"), given)?)))
}

/// An identifier that is no name by the rules of contracts: any text of a line, up to so many characters.
pub(crate) fn free_identifier(place: &str, text: &str) -> Result<String, CompatError> {
    free_text(place, text, MAX_IDENTIFIER_CHARS)
}

fn free_text(place: &str, text: &str, most: usize) -> Result<String, CompatError> {
    let problem = if text.trim().is_empty() {
        "it is empty".to_owned()
    } else if text.trim() != text {
        // That client cuts it off when it asks for it, and would never find the table.
        "it begins or ends with white space".to_owned()
    } else if text.chars().any(char::is_control) {
        "it holds control characters".to_owned()
    } else if text.chars().count() > most {
        format!("it is longer than {most} characters")
    } else {
        return Ok(text.to_owned());
    };
    Err(CompatError::field(place, problem))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SOURCE: &str = "864e7c22-0000-4000-8000-000000000000";

    fn body() -> Value {
        json!({
            "orm_class": "TimeIndexMetaTableRegistrationRequest",
            "data_source_uid": SOURCE,
            "physical_schema": "public",
            "identifier": "My prices (daily) ✓",
            "namespace": "mainsequence.examples",
            "description": "Prices.",
            "labels": ["tutorial", " tutorial "],
            "provisioning": {"create_table": true, "if_not_exists": true},
            "time_index_name": "time_index",
            "cadence": "1D",
            "partition_strategy": "backend_default",
            "table_contract": {
                "version": "relational-table.v1",
                "table_kind": "time_indexed",
                "authoring": {
                    "table_model": {"kind": "sqlalchemy", "module": "m", "qualname": "Q"},
                    "time_indexed": {"time_index_name": "time_index", "index_names": ["time_index", "unique_identifier"], "cadence": "1d"}
                },
                "physical": {"schema": "public", "table_name": "simulated_prices"},
                "columns": [
                    {"orm_class": "c", "name": "time_index", "data_type": "timestamp with time zone", "backend_type": "TIMESTAMP WITH TIME ZONE", "nullable": false, "primary_key": false, "unique": false},
                    {"name": "unique_identifier", "data_type": "string", "backend_type": "VARCHAR(255)", "nullable": false},
                    {"name": "close", "data_type": "float64", "description": "Close.", "label": "Close"}
                ]
            }
        })
    }

    fn read(body: &Value, root: Root) -> Result<NewRegistration, CompatError> {
        registration(body.as_object().unwrap(), "", root, SOURCE)
    }

    #[test]
    fn a_registration_becomes_a_contract_and_what_it_cannot_say() {
        let read = read(&body(), Root::TimeIndexed).unwrap();
        assert_eq!(read.registration.identifier.as_deref(), Some("My prices (daily) ✓"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&read.contract).unwrap());
    }

    #[test]
    fn a_name_by_the_rules_is_the_identifier_of_the_contract() {
        let mut body = body();
        body["identifier"] = json!("prices");
        body["namespace"] = json!("My Project");
        body["physical_schema"] = json!("analytics");
        body["table_contract"]["physical"]["schema"] = json!("analytics");
        let read = read(&body, Root::TimeIndexed).unwrap();
        assert_eq!(
            (read.contract.identifier.as_str(), read.contract.physical_name()),
            ("prices", "simulated_prices")
        );
        let said = read.registration;
        assert_eq!(
            (said.identifier, said.namespace.as_deref(), said.schema.as_deref()),
            (None, Some("My Project"), Some("analytics"))
        );
    }

    #[test]
    fn a_plain_table_has_the_primary_key_of_its_columns() {
        let body = json!({
            "data_source_uid": SOURCE, "management_mode": "platform_managed", "introspect": false,
            "table_contract": {
                "physical": {"schema": "public", "table_name": "assets"},
                "columns": [
                    {"name": "uid", "data_type": "uuid", "primary_key": true, "nullable": false, "server_default": "gen_random_uuid()"},
                    {"name": "name", "data_type": "string"}
                ],
                "constraints": []
            }
        });
        let read = read(&body, Root::Any).unwrap().contract;
        assert_eq!(
            (read.kind, read.primary_key, read.index.len()),
            (TableKind::Reference, vec!["uid".to_owned()], 0)
        );
    }

    #[test]
    fn mistakes_are_named_by_their_place() {
        let mut said = String::new();
        let mut refused = |change: &dyn Fn(&mut Value)| {
            let mut body = body();
            change(&mut body);
            said += &format!("{}\n", read(&body, Root::TimeIndexed).unwrap_err());
        };
        refused(&|body| body["colour"] = json!(1));
        refused(&|body| body["data_source_uid"] = json!("other"));
        refused(&|body| body["management_mode"] = json!("external_registered"));
        refused(&|body| body["table_contract"] = Value::Null);
        refused(&|body| body["table_contract"]["columns"] = json!({}));
        refused(&|body| body["table_contract"]["columns"][2]["name"] = json!("Close"));
        refused(&|body| body["table_contract"]["columns"][2]["name"] = json!("été"));
        refused(&|body| body["table_contract"]["columns"][2]["data_type"] = json!("timestamp"));
        refused(&|body| body["table_contract"]["columns"][2]["data_type"] = json!("numeric"));
        refused(&|body| body["table_contract"]["columns"][2]["unique"] = json!(true));
        refused(&|body| body["table_contract"]["columns"][2]["primary_key"] = json!(true));
        refused(&|body| body["table_contract"]["columns"][2]["size"] = json!(1));
        refused(&|body| body["table_contract"]["physical"]["table_name"] = json!("Prices"));
        refused(&|body| body["table_contract"]["physical"]["schema"] = json!("other"));
        refused(&|body| {
            body["table_contract"]["authoring"]["time_indexed"]["index_names"] = json!(["unique_identifier"]);
        });
        refused(&|body| body["table_contract"]["authoring"] = Value::Null);
        refused(&|body| body["time_index_name"] = json!("date"));
        refused(&|body| body["cadence"] = json!("daily"));
        refused(&|body| body["identifier"] = json!(" x"));
        refused(&|body| body["identifier"] = json!("ä".repeat(256)));
        refused(&|body| body["identifier"] = json!("a\nb"));
        refused(&|body| body["labels"] = json!("a"));
        insta::assert_snapshot!(said);
        let mut longest = body();
        longest["identifier"] = json!("ä".repeat(255));
        assert!(read(&longest, Root::TimeIndexed).is_ok());
    }
}
