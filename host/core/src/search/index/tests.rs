//! Tables that are put, found, changed and forgotten.

use proptest::prelude::*;

use super::*;
use crate::search::MatchedPart;

#[derive(Debug, Clone)]
struct Table {
    uid: String,
    contract: Contract,
    published: Option<String>,
}

impl Searched for Table {
    fn uid(&self) -> &str {
        &self.uid
    }

    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn published_identifier(&self) -> Option<&str> {
        self.published.as_deref()
    }
}

fn table(identifier: &str, description: &str, columns: &[(&str, &str)]) -> Table {
    let mut toml = format!(
        "identifier = {identifier:?}\ndescription = {description:?}\nindex = [\"time_index\"]\n\
         [[columns]]\nname = \"time_index\"\ntype = \"timestamp_tz\"\n"
    );
    for (name, description) in columns {
        toml += &format!("[[columns]]\nname = {name:?}\ntype = \"float64\"\ndescription = {description:?}\n");
    }
    Table {
        uid: format!("uid of {identifier}"),
        contract: Contract::from_toml(&toml).unwrap(),
        published: None,
    }
}

fn some() -> Index<Table> {
    let mut index = Index::default();
    let tables = [
        table("oil_prices", "Crude by the barrel.", &[("usd", "Dollars for a barrel")]),
        table("oil_stocks", "Inventories of crude.", &[("barrels", "Thousands")]),
        table("rain", "Precipitation at stations.", &[("mm", "Millimetres"), ("station", "Name")]),
        table("crude", "Unrefined.", &[]),
    ];
    for table in tables {
        let vector = if table.contract.identifier == "rain" { [0.0, 1.0] } else { [1.0, 0.1] };
        index.put(table, &[], Some(vector.to_vec()));
    }
    index
}

fn found(index: &Index<Table>, query: &str, vector: Option<&[f32]>, knobs: &Knobs) -> Vec<(String, Matched)> {
    let page = index.tables(query, vector, knobs, PageRequest::default(), |_| true);
    page.items.into_iter().map(|(table, rank)| (table.contract.identifier, rank.matched)).collect()
}

fn names(index: &Index<Table>, query: &str) -> Vec<String> {
    found(index, query, None, &Knobs::default()).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn who_is_named_comes_first_then_who_begins_so() {
    let index = some();
    let by_name = found(&index, "oil_prices", None, &Knobs::default());
    assert_eq!(by_name[0], ("oil_prices".to_owned(), Matched::Identifier));
    for query in ["Oil Prices", " oil-prices ", "uid of oil_prices"] {
        assert_eq!(found(&index, query, None, &Knobs::default())[0].1, Matched::Identifier, "{query}");
    }
    // Though others say `crude` more often.
    assert_eq!(names(&index, "crude")[0], "crude");
    let begins = found(&index, "oil", None, &Knobs::default());
    assert_eq!(begins[0].1, Matched::Prefix);
    assert_eq!(
        [begins[0].0.as_str(), &begins[1].0],
        ["oil_prices", "oil_stocks"],
        "equal scores by identifier"
    );
}

#[test]
fn letters_forgive_and_meaning_adds() {
    let index = some();
    assert_eq!(names(&index, "precipitaton")[0], "rain");
    assert!(names(&index, "zzzz").is_empty());
    // No letter in common: only the vector knows.
    assert_eq!(found(&index, "wet", Some(&[0.0, 1.0]), &Knobs::default())[0].0, "rain");
    let without = Knobs { w_emb: 0.0, ..Knobs::default() };
    assert!(found(&index, "wet", Some(&[0.0, 1.0]), &without).is_empty());
    let alone = Knobs { trigram_k: 0, ..Knobs::default() };
    let ranks = index.tables("rain", Some(&[0.0, 1.0]), &alone, PageRequest::default(), |_| true);
    assert!(ranks.items.iter().all(|(_, rank)| rank.trigram == 0.0));
    // One candidate of each score, and whoever is named.
    let narrow = Knobs { trigram_k: 1, embed_k: 1, ..Knobs::default() };
    assert_eq!(found(&index, "crude barrel", Some(&[0.0, 1.0]), &narrow).len(), 2);
    assert_eq!(found(&index, "oil", Some(&[0.0, 1.0]), &narrow).len(), 3);
}

#[test]
fn pages_and_filters_hold() {
    let index = some();
    let page = |offset| {
        let page = PageRequest { offset, limit: 1 };
        index.tables("oil", None, &Knobs::default(), page, |table| table.contract.identifier != "oil_stocks")
    };
    assert_eq!((page(0).count, page(0).items.len(), page(0).next_offset()), (1, 1, None));
    assert!(page(1).items.is_empty());
}

#[test]
fn columns_are_found_with_the_reason() {
    let index = some();
    let page = index.columns("thousands of barrels", PageRequest::default(), |_| true);
    let (table, rank) = &page.items[0];
    assert_eq!(table.contract.identifier, "oil_stocks");
    assert_eq!(rank.columns[0].name, "barrels");
    assert_eq!(rank.columns[0].matched, [MatchedPart::Name, MatchedPart::Description]);
    let typed = index.columns("station float64", PageRequest::default(), |_| true);
    assert_eq!(typed.items[0].1.columns[0].matched, [MatchedPart::Name, MatchedPart::Type]);
    // What is said of the table is no column.
    assert_eq!(index.columns("unrefined", PageRequest::default(), |_| true).count, 0);
    // Two columns that together have it.
    let both = index.columns("mm station", PageRequest::default(), |_| true);
    assert_eq!(both.items[0].1.columns.len(), 2);
}

#[test]
fn what_changes_is_found_as_it_is_now() {
    let mut index = some();
    let mut rain = index.get("uid of rain").unwrap().clone();
    rain.contract.identifier = "drizzle".to_owned();
    rain.contract.description = "Fine drops.".to_owned();
    rain.published = Some("Weather, of England".to_owned());
    let writer =
        Writer { component: "met".to_owned(), description: "".into(), docs: "tipping bucket gauges".into() };
    index.put(rain, &[writer], None);
    assert_eq!(index.len(), 4);
    assert!(names(&index, "precipitation").is_empty() && names(&index, "rain").is_empty());
    assert_eq!(names(&index, "drops")[0], "drizzle");
    assert_eq!(names(&index, "bucket gauge")[0], "drizzle");
    assert_eq!(found(&index, "weather of england", None, &Knobs::default())[0].1, Matched::Identifier);
    index.remove("uid of rain");
    index.remove("uid of rain");
    assert!(names(&index, "drops").is_empty() && index.len() == 3);
}

#[test]
fn words_of_a_query_are_counted() {
    let many: Vec<String> = (0..MAX_QUERY_WORDS).map(|number| format!("w{number}")).collect();
    assert!(names(&some(), &format!("{} rain", many.join(" "))).is_empty());
    assert_eq!(names(&some(), &format!("{} rain", many[1..].join(" "))).len(), 1);
    assert_eq!(names(&some(), &"rain ".repeat(1_000))[0], "rain", "the same word counts once");
}

#[test]
fn texts_without_end_are_bounded() {
    let mut index = Index::default();
    let words = (0..100_000).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ");
    let columns: Vec<(String, String)> =
        (0..500).map(|number| (format!("c{number}"), words.clone())).collect();
    let columns: Vec<(&str, &str)> =
        columns.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    index.put(table("wide", &"x".repeat(100_000), &columns), &[], None);
    let places: usize = index.words.iter().map(|word| word.postings.len()).sum();
    assert!(places <= MAX_TABLE_PLACES, "{places}");
    assert_eq!(index.columns("c499", PageRequest::default(), |_| true).count, 1, "names are all there");
}

proptest! {
    /// Whatever was done before, the same tables give the same answer.
    #[test]
    fn an_answer_follows_from_the_tables_alone(
        steps in proptest::collection::vec((0_usize..6, any::<bool>()), 1..30),
        query in "(oil|crude price|station|rain in mm|a)",
    ) {
        let of = |number: usize| {
            let words = ["oil", "crude", "price", "rain", "station", "a"];
            let columns = [(words[(number + 1) % 6], words[(number + 2) % 6])];
            table(&format!("t{number}_{}", words[number]), words[(number + 3) % 6], &columns)
        };
        let (mut index, mut there) = (Index::default(), std::collections::BTreeSet::new());
        for (number, put) in steps {
            if put {
                index.put(of(number), &[], None);
                there.insert(number);
            } else {
                index.remove(&of(number).uid);
                there.remove(&number);
            }
        }
        let mut fresh = Index::default();
        for number in there {
            fresh.put(of(number), &[], None);
        }
        prop_assert_eq!(found(&index, &query, None, &Knobs::default()), found(&fresh, &query, None, &Knobs::default()));
        let columns = |index: &Index<Table>| {
            let page = index.columns(&query, PageRequest::default(), |_| true);
            page.items.into_iter().map(|(table, rank)| (table.uid, rank)).collect::<Vec<_>>()
        };
        prop_assert_eq!(columns(&index), columns(&fresh));
    }
}
