//! Where in a contract's file something stands, so that a rule that it breaks can point there.

use std::collections::HashMap;
use std::fmt;

use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

/// A line and a column of a file, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Character of the line.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// One step into a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The value of a key.
    Field(&'static str),
    /// An item of a list, from 0.
    Item(usize),
}

/// Where the value that the steps lead to begins in a TOML text; of a path that ends nowhere, as far as it leads.
pub(super) fn in_toml(text: &str, path: &[Step]) -> Option<Place> {
    let document = DeTable::parse(text).ok()?;
    let mut table = Some(document.get_ref());
    let mut list: Option<&[toml::Spanned<DeValue<'_>>]> = None;
    let mut start = None;
    for step in path {
        let value = match step {
            Step::Field(name) => table.and_then(|table| table.get(*name)),
            Step::Item(index) => list.and_then(|list| list.get(*index)),
        };
        let Some(value) = value else { break };
        start = Some(value.span().start);
        table = value.get_ref().as_table();
        list = value.get_ref().as_array().map(|items| &items[..]);
    }
    Some(place(text, start?))
}

/// The same for a JSON text.
pub(super) fn in_json(text: &str, path: &[Step]) -> Option<Place> {
    let mut value: &RawValue = serde_json::from_str(text).ok()?;
    let mut start = None;
    for step in path {
        let inner: Option<&RawValue> = match step {
            Step::Field(name) => serde_json::from_str::<HashMap<String, &RawValue>>(value.get())
                .ok()
                .and_then(|fields| fields.get(*name).copied()),
            Step::Item(index) => serde_json::from_str::<Vec<&RawValue>>(value.get())
                .ok()
                .and_then(|items| items.get(*index).copied()),
        };
        let Some(inner) = inner else { break };
        // A raw value is a piece of the text that it was read from.
        start = Some(inner.get().as_ptr().addr() - text.as_ptr().addr());
        value = inner;
    }
    Some(place(text, start?))
}

fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: [Step; 3] = [Step::Field("columns"), Step::Item(1), Step::Field("name")];

    #[test]
    fn both_formats_are_pointed_into() {
        let toml = "identifier = \"t\"\n[[columns]]\nname = \"a\"\n\n[[columns]]\n  name = \"ä\"\n";
        assert_eq!(in_toml(toml, &PATH), Some(Place { line: 6, column: 10 }));
        let inline = "columns = [\n  { name = \"a\" }, { name = \"b\" }]";
        assert_eq!(in_toml(inline, &PATH), Some(Place { line: 2, column: 28 }));
        let json = "{\"columns\": [{\"name\": \"ä\"},\n  {\"name\": \"b\"}]}";
        assert_eq!(in_json(json, &PATH), Some(Place { line: 2, column: 12 }));
    }

    #[test]
    fn a_missing_value_is_pointed_at_by_what_holds_it() {
        let missing = [Step::Field("columns"), Step::Item(0), Step::Field("id")];
        assert_eq!(
            in_toml("a = 1\ncolumns = [{ name = \"a\" }]", &missing),
            Some(Place { line: 2, column: 12 })
        );
        assert_eq!(in_json("{\"columns\": [{}]}", &missing), Some(Place { line: 1, column: 14 }));
        assert_eq!(in_toml("a = 1", &missing), None);
    }
}
