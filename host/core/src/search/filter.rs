//! Which tables are meant, by facts of theirs, as `identifier__in=a,b` says it.
//!
//! The meaning is Django's, which existing clients expect: no suffix is equality, `__in` one of several, `__contains` a part
//! of it (upper and lower case differ), `__isnull` whether there is none. All filters hold together. Of `labels`, which a
//! table has several of, one is enough. Lists of tables and searches share these rules.

use crate::contract::Contract;

use super::SearchError;

/// The most filters of one request.
pub const MAX_FILTERS: usize = 64;
/// The most values of one `__in`.
pub const MAX_FILTER_VALUES: usize = 1_000;
/// The longest value, in bytes.
pub const MAX_FILTER_BYTES: usize = 1_000;

/// What a filter can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Uid of the table.
    Uid,
    /// Published name.
    Identifier,
    /// Namespace of the contract, which it may lack.
    Namespace,
    /// Logical schema.
    PhysicalSchema,
    /// Name of the table in the database.
    PhysicalTableName,
    /// Labels; any of them may match.
    Labels,
    /// Uid of the data source.
    DataSourceUid,
    /// Number of the data source.
    DataSourceId,
    /// Who manages the table's storage.
    ManagementMode,
    /// Whether the storage is there.
    ProvisioningStatus,
    /// Who manages its shape.
    SchemaManagementMode,
    /// Whose migrations manage it, where somebody's do.
    MigrationProviderKey,
}

/// A field, its name, other names of it, and whether a table may have none.
const FIELDS: [(Field, &str, &[&str], bool); 12] = [
    (Field::Uid, "uid", &[], false),
    (Field::Identifier, "identifier", &[], true),
    (Field::Namespace, "namespace", &[], true),
    (Field::PhysicalSchema, "physical_schema", &[], false),
    (Field::PhysicalTableName, "physical_table_name", &["physical_name"], false),
    (Field::Labels, "labels", &["label"], false),
    (Field::DataSourceUid, "data_source__uid", &["data_source_uid"], false),
    (Field::DataSourceId, "data_source__id", &["data_source_id", "data_source"], false),
    (Field::ManagementMode, "management_mode", &[], false),
    (Field::ProvisioningStatus, "provisioning_status", &[], false),
    (Field::SchemaManagementMode, "schema_management_mode", &[], false),
    (Field::MigrationProviderKey, "migration_provider_key", &[], true),
];

impl Field {
    /// The name used in requests.
    pub fn name(self) -> &'static str {
        FIELDS.iter().find(|(field, ..)| *field == self).map_or("", |(_, name, ..)| name)
    }

    /// The field of a name, or of another name that is understood.
    pub fn from_name(text: &str) -> Option<Self> {
        let found = FIELDS.iter().find(|(_, name, others, _)| *name == text || others.contains(&text));
        found.map(|(field, ..)| *field)
    }

    /// All names, for errors and help.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FIELDS.iter().map(|(_, name, ..)| *name)
    }

    fn may_be_absent(self) -> bool {
        FIELDS.iter().any(|(field, .., absent)| *field == self && *absent)
    }
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// Equal.
    Exact,
    /// Equal to one of several.
    In,
    /// A part of it.
    Contains,
    /// There is none, or there is one.
    IsNull,
}

impl Lookup {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Exact, "exact"), (Self::In, "in"), (Self::Contains, "contains"), (Self::IsNull, "isnull")];

    /// The suffix used in requests.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(lookup, _)| *lookup == self).map_or("", |(_, name)| name)
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    field: Field,
    lookup: Lookup,
    /// Of `isnull` one of `true` and `false`.
    values: Vec<String>,
}

/// Conditions that hold together; none holds always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters(Vec<Filter>);

/// A fact of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact<'f> {
    /// A text.
    Text(&'f str),
    /// A number.
    Number(i64),
    /// Several texts.
    Texts(&'f [String]),
    /// There is none.
    Absent,
}

/// Something that filters can be asked of.
pub trait Facts {
    /// What it has there.
    fn fact(&self, field: Field) -> Fact<'_>;
}

impl Filters {
    /// No condition.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of keys and values as a query string has them. A key may come several times: `__in` takes all values then, as they
    /// are, and others become conditions that hold together. A single value of `__in` is split at its commas.
    ///
    /// # Errors
    ///
    /// [`SearchError`] for fields and lookups that there are none of, and values that mean nothing there.
    pub fn parse<K: AsRef<str>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, SearchError> {
        let mut gathered: Vec<(String, Vec<String>)> = Vec::new();
        for (key, value) in pairs {
            let (key, value) = (key.as_ref(), value.into());
            match gathered.iter_mut().find(|(known, _)| known == key) {
                Some((_, values)) => values.push(value),
                None => gathered.push((key.to_owned(), vec![value])),
            }
        }
        let mut filters = Self::default();
        for (key, mut values) in gathered {
            let (field, lookup) = meaning(&key)?;
            if lookup != Lookup::In {
                for value in values {
                    filters.push(&key, field, lookup, vec![value])?;
                }
                continue;
            }
            if let [single] = values.as_slice() {
                values = single.split(',').map(|part| part.trim().to_owned()).collect();
            }
            filters.push(&key, field, lookup, values)?;
        }
        Ok(filters)
    }

    /// One more condition, of a key and values that are taken as they are: a list of a JSON document, say.
    ///
    /// # Errors
    ///
    /// As [`Filters::parse`].
    pub fn and(mut self, key: &str, values: Vec<String>) -> Result<Self, SearchError> {
        let (field, lookup) = meaning(key)?;
        if lookup == Lookup::In {
            self.push(key, field, lookup, values)?;
        } else {
            for value in values {
                self.push(key, field, lookup, vec![value])?;
            }
        }
        Ok(self)
    }

    /// Whether all conditions hold.
    pub fn hold(&self, facts: &impl Facts) -> bool {
        self.0.iter().all(|filter| filter.holds(facts.fact(filter.field)))
    }

    fn push(
        &mut self,
        key: &str,
        field: Field,
        lookup: Lookup,
        mut values: Vec<String>,
    ) -> Result<(), SearchError> {
        let refused =
            |problem: String| Err(SearchError::FilterValue { key: key.chars().take(80).collect(), problem });
        if self.0.len() >= MAX_FILTERS {
            return refused(format!("there are more than {MAX_FILTERS} filters"));
        }
        if values.len() > MAX_FILTER_VALUES {
            return refused(format!("{} values where {MAX_FILTER_VALUES} are allowed", values.len()));
        }
        if let Some(long) = values.iter().find(|value| value.len() > MAX_FILTER_BYTES) {
            return refused(format!("a value of {} bytes where {MAX_FILTER_BYTES} are allowed", long.len()));
        }
        if lookup == Lookup::IsNull {
            if !field.may_be_absent() {
                return refused(format!("every table has a {}", field.name()));
            }
            for value in &mut values {
                *value = match value.to_ascii_lowercase().as_str() {
                    "true" | "1" => "true".to_owned(),
                    "false" | "0" => "false".to_owned(),
                    _ => return refused("it is neither true nor false".to_owned()),
                };
            }
        } else if field == Field::DataSourceId
            && let Some(bad) = values.iter().find(|value| value.trim().parse::<i64>().is_err())
        {
            return refused(format!("{:?} is no number", bad.chars().take(80).collect::<String>()));
        }
        self.0.push(Filter { field, lookup, values });
        Ok(())
    }
}

impl Filter {
    fn holds(&self, fact: Fact<'_>) -> bool {
        match fact {
            Fact::Absent => self.lookup == Lookup::IsNull && self.wants_none(),
            Fact::Text(text) => self.holds_of(text),
            Fact::Number(number) => match self.lookup {
                Lookup::Exact | Lookup::In => {
                    self.values.iter().any(|value| value.trim().parse() == Ok(number))
                }
                Lookup::Contains | Lookup::IsNull => self.holds_of(&number.to_string()),
            },
            Fact::Texts(texts) if self.lookup == Lookup::IsNull => texts.is_empty() == self.wants_none(),
            Fact::Texts(texts) => texts.iter().any(|text| self.holds_of(text)),
        }
    }

    fn wants_none(&self) -> bool {
        self.values.iter().all(|value| value == "true")
    }

    fn holds_of(&self, text: &str) -> bool {
        match self.lookup {
            Lookup::Exact | Lookup::In => self.values.iter().any(|value| value == text),
            Lookup::Contains => self.values.iter().any(|value| text.contains(value.as_str())),
            Lookup::IsNull => !self.wants_none(),
        }
    }
}

/// Field and lookup of a key such as `namespace__isnull`.
fn meaning(key: &str) -> Result<(Field, Lookup), SearchError> {
    if let Some(field) = Field::from_name(key) {
        return Ok((field, Lookup::Exact));
    }
    let found = key.rsplit_once("__").and_then(|(field, suffix)| {
        let (lookup, _) = Lookup::ALL.iter().find(|(_, name)| *name == suffix)?;
        Some((Field::from_name(field)?, *lookup))
    });
    found.ok_or_else(|| SearchError::UnknownFilter {
        key: key.chars().take(80).collect(),
        known: Field::names().collect::<Vec<_>>().join(", "),
    })
}

/// Where the tables of a store are, as clients see it: facts that all of them share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Uid of the data source.
    pub data_source_uid: String,
    /// Its number.
    pub data_source_id: i64,
    /// Logical schema.
    pub physical_schema: String,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            data_source_uid: "00000000-0000-4000-8000-000000000001".to_owned(),
            data_source_id: 1,
            physical_schema: "public".to_owned(),
        }
    }
}

/// The facts of a registered table.
#[derive(Debug, Clone, Copy)]
pub struct TableFacts<'f> {
    /// Its uid.
    pub uid: &'f str,
    /// Its contract.
    pub contract: &'f Contract,
    /// Where it is.
    pub place: &'f Place,
    /// What it is called instead of the identifier of its contract, where there is such a name.
    pub published_identifier: Option<&'f str>,
    /// The same for its namespace.
    pub published_namespace: Option<&'f str>,
    /// Its own logical schema, where it is not that of the place.
    pub published_schema: Option<&'f str>,
}

impl<'f> TableFacts<'f> {
    /// Of a table that is called as its contract says.
    pub fn of(uid: &'f str, contract: &'f Contract, place: &'f Place) -> Self {
        let (published_identifier, published_namespace, published_schema) = (None, None, None);
        Self { uid, contract, place, published_identifier, published_namespace, published_schema }
    }
}

impl Facts for TableFacts<'_> {
    fn fact(&self, field: Field) -> Fact<'_> {
        match field {
            Field::Uid => Fact::Text(self.uid),
            Field::Identifier => Fact::Text(self.published_identifier.unwrap_or(&self.contract.identifier)),
            Field::Namespace => {
                let namespace = self.published_namespace.or(self.contract.namespace.as_deref());
                namespace.map_or(Fact::Absent, Fact::Text)
            }
            Field::PhysicalSchema => Fact::Text(self.published_schema.unwrap_or(&self.place.physical_schema)),
            Field::PhysicalTableName => Fact::Text(self.contract.physical_name()),
            Field::Labels => Fact::Texts(&self.contract.labels),
            Field::DataSourceUid => Fact::Text(&self.place.data_source_uid),
            Field::DataSourceId => Fact::Number(self.place.data_source_id),
            Field::ManagementMode => Fact::Text("platform_managed"),
            Field::ProvisioningStatus => Fact::Text("active"),
            Field::SchemaManagementMode => Fact::Text("backend_managed"),
            Field::MigrationProviderKey => Fact::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pairs: &[(&str, &str)]) -> bool {
        let contract = Contract::from_toml(
            "identifier = \"fx_rates\"\nlabels = [\"fx\", \"end of day\"]\nindex = [\"time_index\"]\n\
             columns = [{ name = \"time_index\", type = \"timestamp_tz\" }]",
        )
        .unwrap();
        let place = Place { data_source_id: 2, ..Place::default() };
        Filters::parse(pairs.iter().copied()).unwrap().hold(&TableFacts::of("u1", &contract, &place))
    }

    #[test]
    fn lookups_mean_what_django_says() {
        let yes: &[&[(&str, &str)]] = &[
            &[],
            &[("uid", "u1")],
            &[("identifier", "fx_rates"), ("physical_table_name", "fx_rates")],
            &[("identifier__in", "a, fx_rates")],
            &[("identifier__in", "a"), ("identifier__in", "fx_rates")],
            &[("identifier__contains", "x_r")],
            &[("labels", "fx"), ("labels", "end of day")],
            &[("labels__contains", "of")],
            &[("labels__in", "gdp,fx")],
            &[("namespace__isnull", "True")],
            &[("data_source__id", "2")],
            &[("data_source__uid", &Place::default().data_source_uid)],
            &[("physical_schema__in", "public")],
            &[("management_mode__in", "platform_managed,external_registered")],
        ];
        let no: &[&[(&str, &str)]] = &[
            &[("identifier", "FX_rates")],
            &[("identifier__contains", "X_R")],
            &[("identifier", "fx_rates"), ("uid", "u2")],
            &[("identifier", "fx_rates"), ("identifier", "other")],
            &[("identifier__in", "")],
            &[("labels", "end")],
            &[("namespace", "")],
            &[("namespace__contains", "")],
            &[("namespace__isnull", "false")],
            &[("data_source__id__in", "1,3")],
            &[("migration_provider_key", "alembic")],
        ];
        for pairs in yes {
            assert!(holds(pairs), "{pairs:?}");
        }
        for pairs in no {
            assert!(!holds(pairs), "{pairs:?}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_there_is() {
        let told = |key: &str, value: &str| Filters::parse([(key, value)]).unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                told("colour", "red"),
                told("identifier__startswith", "a"),
                told("uid__isnull", "true"),
                told("namespace__isnull", "perhaps"),
                told("data_source__id", "two"),
                told("identifier", &"x".repeat(MAX_FILTER_BYTES + 1)),
                told("identifier__in", &"a,".repeat(MAX_FILTER_VALUES)),
            ]
            .join("\n")
        );
        let many = (0..=MAX_FILTERS).map(|number| ("identifier", format!("t{number}")));
        assert!(Filters::parse(many).is_err());
        let none = Filters::none().and("identifier__in", Vec::new()).unwrap();
        let contract = Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{ name = \"time_index\", type = \"timestamp_tz\" }]",
        )
        .unwrap();
        let place = Place::default();
        assert!(!none.hold(&TableFacts::of("u", &contract, &place)));
        let called = TableFacts {
            published_identifier: Some("Prices, daily"),
            ..TableFacts::of("u", &contract, &place)
        };
        assert!(Filters::parse([("identifier", "Prices, daily")]).unwrap().hold(&called));
    }
}
