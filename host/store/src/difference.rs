//! What differs between two contracts, for people.

use std::collections::BTreeSet;
use std::fmt::Display;

use datanode_core::contract::{Column, Contract};

/// One line per difference, what is in the catalogue first; empty for contracts that mean the same.
pub(crate) fn difference(held: &Contract, given: &Contract) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |what: &str, held: String, given: String| {
        if held != given {
            lines.push(format!("  {what}: {held} in the catalogue, {given} here"));
        }
    };
    compare("physical name", held.physical_name().to_owned(), given.physical_name().to_owned());
    compare("kind", format!("{:?}", held.kind), format!("{:?}", given.kind));
    compare("namespace", or_none(held.namespace.as_ref()), or_none(given.namespace.as_ref()));
    compare("description", quoted(&held.description), quoted(&given.description));
    compare("labels", format!("{:?}", held.labels), format!("{:?}", given.labels));
    compare("cadence", or_none(held.cadence.as_ref()), or_none(given.cadence.as_ref()));
    compare("index", list(&held.index), list(&given.index));
    for column in &held.columns {
        let name = &column.name;
        match given.column(name) {
            None => compare(&format!("column `{name}`"), shape(column), "missing".to_owned()),
            Some(other) => {
                compare(&format!("column `{name}`"), shape(column), shape(other));
                compare(&format!("column `{name}`, label"), quoted(&column.label), quoted(&other.label));
                let what = format!("column `{name}`, description");
                compare(&what, quoted(&column.description), quoted(&other.description));
            }
        }
    }
    for column in given.columns.iter().filter(|column| held.column(&column.name).is_none()) {
        compare(&format!("column `{}`", column.name), "missing".to_owned(), shape(column));
    }
    // The order of columns is the order in files and frames; said only where the columns themselves are the same.
    let names =
        |contract: &Contract| contract.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let (held_names, given_names) = (names(held), names(given));
    if held_names.iter().collect::<BTreeSet<_>>() == given_names.iter().collect::<BTreeSet<_>>() {
        compare("order of columns", list(&held_names), list(&given_names));
    }
    if lines.is_empty() && with_physical_name(held) != with_physical_name(given) {
        // Contracts have gained a field that this list does not know.
        lines.push(format!("  {held:?} in the catalogue, {given:?} here"));
    }
    lines
}

fn with_physical_name(contract: &Contract) -> Contract {
    Contract { physical_name: Some(contract.physical_name().to_owned()), ..contract.clone() }
}

fn shape(column: &Column) -> String {
    format!("{}{}", column.data_type, if column.nullable { ", nullable" } else { "" })
}

fn list(names: &[String]) -> String {
    format!("({})", names.join(", "))
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { format!("\"{text}\"") }
}

fn or_none(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(text: &str) -> Contract {
        Contract::from_toml(text).unwrap()
    }

    const HELD: &str = r#"
        identifier = "t"
        cadence = "1d"
        index = ["time_index"]
        columns = [
            { name = "time_index", type = "timestamp_tz" },
            { name = "price", type = "float64", nullable = true, description = "EUR" },
            { name = "old", type = "string" },
        ]"#;

    #[test]
    fn every_difference_has_its_line() {
        let given = r#"
            identifier = "t"
            physical_name = "t_2"
            labels = ["a", "b"]
            index = ["time_index"]
            columns = [
                { name = "time_index", type = "timestamp_tz" },
                { name = "price", type = "int64", description = "USD" },
                { name = "new", type = "bool" },
            ]"#;
        assert_eq!(
            difference(&contract(HELD), &contract(given)),
            [
                "  physical name: t in the catalogue, t_2 here",
                "  labels: [] in the catalogue, [\"a\", \"b\"] here",
                "  cadence: 1d in the catalogue, none here",
                "  column `price`: float64, nullable in the catalogue, int64 here",
                "  column `price`, description: \"EUR\" in the catalogue, \"USD\" here",
                "  column `old`: string in the catalogue, missing here",
                "  column `new`: missing in the catalogue, bool here",
            ]
        );
    }

    #[test]
    fn a_physical_name_written_out_is_no_difference_but_another_order_is() {
        let written_out = HELD.replace("cadence", "physical_name = \"t\"\n        cadence");
        assert_eq!(difference(&contract(HELD), &contract(&written_out)), Vec::<String>::new());
        let mut turned = contract(HELD);
        turned.columns.swap(1, 2);
        assert_eq!(
            difference(&contract(HELD), &turned),
            ["  order of columns: (time_index, price, old) in the catalogue, (time_index, old, price) here"]
        );
    }
}
