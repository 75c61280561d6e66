//! Ten thousand tables that could be of a company, and what people ask of them: the data sets and questions by which the
//! search is judged (`tests/search/`), the former over and over under other names.

use datanode_core::contract::Contract;
use datanode_tests::root;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Sets {
    tables: Vec<Contract>,
}

#[derive(Deserialize)]
struct Questions {
    tuning: Vec<Question>,
    held_out: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    query: String,
}

fn read<T: DeserializeOwned>(file: &str) -> T {
    let text = std::fs::read_to_string(root().join("tests/search").join(file)).unwrap();
    toml::from_str(&text).unwrap()
}

/// So many contracts. Each has the columns of one data set, what is said of it, and the first sentence that is said of
/// another one: so no two texts are the same, and most words are in many of them.
pub(super) fn contracts(many: usize) -> impl Iterator<Item = Contract> {
    let sets = read::<Sets>("tables.toml").tables;
    (0..many).map(move |number| {
        let kind = &sets[number % sets.len()];
        let other = &sets[(number / sets.len() * 7 + number + 1) % sets.len()];
        let also = other.description.split_inclusive(". ").next().unwrap_or_default();
        let contract = Contract {
            identifier: format!("{}_{number:05}", kind.identifier),
            description: format!("{} Desk {}. Beside it: {also}", kind.description, number / sets.len()),
            ..kind.clone()
        };
        contract.checked().unwrap()
    })
}

/// Questions of people.
pub(super) fn questions() -> Vec<String> {
    let Questions { tuning, held_out } = read("queries.toml");
    tuning.into_iter().chain(held_out).map(|question| question.query).collect()
}
