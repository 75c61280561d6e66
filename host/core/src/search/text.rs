//! What is said of a table, and where.

use std::sync::Arc;

use crate::contract::Contract;
use crate::data_type::DataType;
use crate::digest::Digest;

use super::{SearchError, trigram};

/// The longest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 1_000;
/// The longest documentation of a component that is kept, in bytes.
pub const MAX_DOCS_BYTES: usize = 16 * 1024;
/// The most characters of one description that are looked at.
const MAX_PART_CHARS: usize = 4_000;
/// The most characters of a text that a model is given: more than any reads.
const MAX_PASSAGE_CHARS: usize = 16_000;

/// A component that writes a table, as far as searches go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Writer {
    /// Its name.
    pub component: String,
    /// What its manifest says that the data mean. It may write many tables: they share these texts.
    pub description: Arc<str>,
    /// What its author has documented beside that.
    pub docs: Arc<str>,
}

/// Refuse queries that find nothing or cost too much.
pub fn check_query(query: &str) -> Result<(), SearchError> {
    let problem = if query.len() > MAX_QUERY_BYTES {
        format!("has {} bytes where {MAX_QUERY_BYTES} are allowed", query.len())
    } else if query.trim().is_empty() {
        "is empty".to_owned()
    } else if trigram::words(query).next().is_none() {
        "has no letter and no digit".to_owned()
    } else {
        return Ok(());
    };
    Err(SearchError::Query { problem })
}

/// Where a word of a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    /// In its identifier or physical name.
    Name,
    /// In a label.
    Label,
    /// In its namespace.
    Namespace,
    /// In its description.
    Description,
    /// In what is said of a component that writes it.
    Writer,
    /// In the name of a column.
    ColumnName,
    /// In the label of a column.
    ColumnLabel,
    /// In the description of a column.
    ColumnDescription,
    /// In the type of a column.
    ColumnType,
}

impl Part {
    /// What a word counts there, for the trigram score of a table. A name is what people choose to be found by; types are no
    /// words of people.
    pub(super) fn weight(self) -> f32 {
        match self {
            Self::Name | Self::Label => 1.0,
            Self::Description => 0.95,
            Self::ColumnName | Self::ColumnLabel => 0.85,
            Self::Namespace | Self::ColumnDescription => 0.8,
            Self::Writer => 0.7,
            Self::ColumnType => 0.0,
        }
    }

    /// What a word counts there when columns are looked for.
    pub(super) fn column_weight(self) -> f32 {
        match self {
            Self::ColumnName => 1.0,
            Self::ColumnLabel => 0.95,
            Self::ColumnType => 0.9,
            Self::ColumnDescription => 0.8,
            _ => 0.0,
        }
    }
}

/// The texts of a table.
#[derive(Debug)]
pub struct TableText<'t> {
    contract: &'t Contract,
    writers: &'t [Writer],
    published: Option<&'t str>,
}

impl<'t> TableText<'t> {
    /// Of a contract, and of the components that write the table.
    pub fn of(contract: &'t Contract, writers: &'t [Writer]) -> Self {
        Self { contract, writers, published: None }
    }

    /// The same of a table that is called otherwise by some.
    #[must_use]
    pub fn called(self, published: Option<&'t str>) -> Self {
        Self { published, ..self }
    }

    /// All of it with its place, and the position of the column where it is of one.
    pub(super) fn parts(&self) -> impl Iterator<Item = (Part, Option<usize>, &'t str)> {
        let contract = self.contract;
        let table = [
            (Part::Name, contract.identifier.as_str()),
            (Part::Name, contract.physical_name()),
            (Part::Name, self.published.unwrap_or_default()),
            (Part::Namespace, contract.namespace.as_deref().unwrap_or_default()),
            (Part::Description, contract.description.as_str()),
        ];
        let labels = contract.labels.iter().map(|label| (Part::Label, label.as_str()));
        let writers = self.writers.iter().flat_map(|writer| {
            [writer.component.as_str(), &*writer.description, &*writer.docs].map(|text| (Part::Writer, text))
        });
        let whole = table.into_iter().chain(labels).chain(writers).map(|(part, text)| (part, None, text));
        let columns = || contract.columns.iter().enumerate();
        let names = columns().map(|(at, column)| (Part::ColumnName, Some(at), column.name.as_str()));
        let short = columns().flat_map(|(at, column)| {
            let kind = family(column.data_type);
            [(Part::ColumnLabel, Some(at), column.label.as_str()), (Part::ColumnType, Some(at), kind)]
        });
        let long =
            columns().map(|(at, column)| (Part::ColumnDescription, Some(at), column.description.as_str()));
        // The short ones first: of a text without end, only descriptions get lost.
        whole
            .chain(names)
            .chain(short)
            .chain(long)
            .map(|(part, column, text)| (part, column, cut(text, MAX_PART_CHARS)))
    }

    /// What a model reads of it: name, labels, description, columns, and last what components say, for models read a few
    /// hundred words and no more. In lower case, and names as words.
    pub fn passage(&self) -> String {
        let contract = self.contract;
        let mut passage = String::new();
        let mut say = |text: &str, end: &str| {
            let text = text.trim();
            if !text.is_empty() {
                passage.push_str(cut(text, MAX_PART_CHARS));
                passage.push_str(if text.ends_with(['.', '!', '?']) { " " } else { end });
            }
        };
        say(self.published.unwrap_or(&contract.identifier), ". ");
        for label in &contract.labels {
            say(label, ". ");
        }
        say(&contract.description, ". ");
        for column in &contract.columns {
            let name = if column.label.trim().is_empty() { &column.name } else { &column.label };
            say(name, ": ");
            say(&column.description, ". ");
        }
        for writer in self.writers {
            say(&writer.description, ". ");
            say(&writer.docs, ". ");
        }
        plain(cut(passage.trim_end(), MAX_PASSAGE_CHARS))
    }

    /// Tells texts apart, so that a vector is computed once for each.
    pub fn digest(passage: &str) -> Digest {
        Digest::of(passage.as_bytes())
    }
}

/// A text as models are given it, queries too: in lower case, names as words.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|character| if character == '_' { ' ' } else { character })
        .flat_map(char::to_lowercase)
        .collect()
}

/// The word for a type.
fn family(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Float64 => "float64",
        DataType::Float32 => "float32",
        DataType::Int64 => "int64",
        DataType::Int32 => "int32",
        DataType::Int16 => "int16",
        DataType::Bool => "bool",
        DataType::String => "string",
        DataType::Date => "date",
        DataType::TimestampTz => "timestamp_tz",
        DataType::Uuid => "uuid",
        DataType::Json => "json",
        DataType::Decimal { .. } => "decimal",
        DataType::Bytes => "bytes",
    }
}

/// At most so many characters of a text.
fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_says_the_name_first_and_components_last() {
        let contract = Contract::from_toml(
            "identifier = \"fx_rates\"\nlabels = [\"FX\"]\nindex = [\"time_index\"]\ndescription = \"Euro rates.\"\n\
             columns = [{ name = \"time_index\", type = \"timestamp_tz\", label = \"Day\" },\n\
             { name = \"rate\", type = \"float64\", description = \"Units per euro\" }]",
        )
        .unwrap();
        let writer =
            Writer { component: "ecb".to_owned(), description: "Reads the ECB".into(), docs: "".into() };
        let passage = TableText::of(&contract, &[writer]).passage();
        assert_eq!(passage, "fx rates. fx. euro rates. day: rate: units per euro. reads the ecb.");
        let long = Contract { description: "wörter ".repeat(100_000), ..contract };
        assert!(TableText::of(&long, &[]).passage().chars().count() <= MAX_PASSAGE_CHARS);
    }

    #[test]
    fn a_query_says_something_and_not_too_much() {
        assert!(check_query("öl").is_ok() && check_query(&"x".repeat(MAX_QUERY_BYTES)).is_ok());
        let told = ["", "  ", "?!", &"x".repeat(MAX_QUERY_BYTES + 1)]
            .map(|query| check_query(query).unwrap_err().to_string());
        insta::assert_snapshot!(told.join("\n"), @r"
        the search text is empty
        the search text is empty
        the search text has no letter and no digit
        the search text has 1001 bytes where 1000 are allowed
        ");
    }
}
