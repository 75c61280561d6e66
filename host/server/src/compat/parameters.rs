//! What stands in the query of an address, and in a JSON body, in the spellings of that client.

use std::ops::Deref;

use axum::body::Body;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::form_urlencoded;

use super::error::CompatError;
use crate::{Problem, input};

/// The most parameters of one request.
const MAX_PARAMETERS: usize = 2_000;
/// Bytes of a body that is read whenever it comes. As values, it may take a hundred times as much.
const ORDINARY_BYTES: usize = 64 << 10;
/// Larger ones that are held at once: others wait.
const LARGE_AT_ONCE: usize = 4;

static LARGE: Semaphore = Semaphore::const_new(LARGE_AT_ONCE);

/// Parameters in their order; one that comes several times is there several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    /// Whether values are whole as they are: those of lists of a body have no commas between them.
    are_whole: bool,
}

impl Parameters {
    /// Those of a query.
    pub(crate) fn of_query(query: Option<&str>) -> Result<Self, CompatError> {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let pairs: Vec<_> = pairs
            .take(MAX_PARAMETERS + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > MAX_PARAMETERS {
            return Err(CompatError::Body(format!("more than {MAX_PARAMETERS} parameters")));
        }
        Ok(Self { pairs, are_whole: false })
    }

    /// Those of a body: an array is one that comes several times.
    pub(crate) fn of_body(body: &Map<String, Value>) -> Result<Self, CompatError> {
        let mut pairs = Vec::new();
        for (name, value) in body {
            match value {
                Value::Null => {}
                Value::String(text) if name.ends_with("__in") => {
                    pairs.extend(text.split(',').map(|part| (name.clone(), part.trim().to_owned())));
                }
                Value::Array(items) => {
                    if items.is_empty() && name.ends_with("__in") {
                        // In none: one value that nothing has, for an absent filter would be met by everything.
                        pairs.push((name.clone(), String::new()));
                    }
                    for item in items {
                        pairs.push((name.clone(), text(name, item)?));
                    }
                }
                other => pairs.push((name.clone(), text(name, other)?)),
            }
            if pairs.len() > MAX_PARAMETERS {
                return Err(CompatError::Body(format!("more than {MAX_PARAMETERS} values")));
            }
        }
        Ok(Self { pairs, are_whole: true })
    }

    /// Whether the values of a list are whole as they are, also where there is one alone.
    pub(crate) fn are_whole(&self) -> bool {
        self.are_whole
    }

    /// The last value of a parameter, as Django takes it.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> + 'p {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All of them: name and value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, CompatError> {
        let Some(text) = self.last(name) else { return Ok(None) };
        let wrong = |_| CompatError::field(name, "it is not a whole number from 0 on");
        text.trim().parse().map(Some).map_err(wrong)
    }

    /// A flag, in any spelling of Python or JSON.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, CompatError> {
        self.last(name).map(|text| flag(name, text)).transpose()
    }

    /// The same as a query, but for one parameter, which has another value or is left out.
    pub(crate) fn query_with(&self, name: &str, value: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs.iter().filter(|(known, _)| known != name));
        if let Some(value) = value {
            query.append_pair(name, value);
        }
        query.finish()
    }
}

/// `True`, `true`, `1`, `yes` and their opposites.
pub(crate) fn flag(name: &str, text: &str) -> Result<bool, CompatError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(CompatError::field(name, "it is neither true nor false")),
    }
}

fn text(name: &str, value: &Value) -> Result<String, CompatError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(CompatError::field(name, "it is neither a text, a number nor a list of them")),
    }
}

/// What a body says, and the turn of a large one: as long as it is held, others wait.
pub(crate) struct Held<T> {
    value: T,
    _turn: Option<SemaphorePermit<'static>>,
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A body that is JSON, whatever its header says of it: that client labels its bodies by chance.
pub(crate) async fn document(body: Body) -> Result<Held<Value>, Problem> {
    held(body, input::parse).await
}

/// The same where it is an object. Nothing at all is an empty one.
pub(crate) async fn object(body: Body) -> Result<Held<Map<String, Value>>, Problem> {
    held(body, object_of).await
}

async fn held<T>(body: Body, parse: fn(&[u8]) -> Result<T, Problem>) -> Result<Held<T>, Problem> {
    // The turn begins when all of it is there: it is not for the network to end it.
    let body = input::whole(body).await?;
    let turn = match body.len() {
        0..=ORDINARY_BYTES => None,
        _ => Some(LARGE.acquire().await.map_err(|_| Problem::bug("large bodies are not read any more"))?),
    };
    Ok(Held { value: parse(&body)?, _turn: turn })
}

fn object_of(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match input::parse(body)? {
        Value::Object(object) => Ok(object),
        Value::Null => Ok(Map::new()),
        _ => Err(CompatError::Body("it is no JSON object".to_owned()).problem()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(text: &str) -> Parameters {
        Parameters::of_query(Some(text)).unwrap()
    }

    #[test]
    fn an_array_is_a_parameter_that_comes_several_times() {
        let Value::Object(body) = json!({"identifier__in": ["a", "b"], "x": null, "limit": 20}) else {
            unreachable!()
        };
        let parameters = Parameters::of_body(&body).unwrap();
        assert_eq!(parameters.all("identifier__in").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(parameters.number("limit"), Ok(Some(20)));
        let Value::Object(body) = json!({"identifier__in": []}) else { unreachable!() };
        assert_eq!(Parameters::of_body(&body).unwrap().last("identifier__in"), Some(""));
        let Value::Object(body) = json!({"uid": {"a": 1}}) else { unreachable!() };
        assert!(Parameters::of_body(&body).is_err());
    }

    #[test]
    fn parameters_are_bounded() {
        assert!(Parameters::of_query(Some(&"a=1&".repeat(MAX_PARAMETERS))).is_ok());
        assert!(Parameters::of_query(Some(&"a=1&".repeat(MAX_PARAMETERS + 1))).is_err());
        let Value::Object(body) = json!({"uid__in": vec!["a"; MAX_PARAMETERS + 1]}) else { unreachable!() };
        assert!(Parameters::of_body(&body).is_err());
    }

    #[test]
    fn flags_are_read_in_any_case() {
        for (text, expected) in
            [("True", true), ("true", true), ("FALSE", false), ("0", false), ("yes", true)]
        {
            assert_eq!(query(&format!("f={text}")).flag("f"), Ok(Some(expected)));
        }
        assert!(query("f=maybe").flag("f").is_err());
        assert_eq!(query("").flag("f"), Ok(None));
    }

    #[test]
    fn the_next_page_is_asked_for_by_the_same_words() {
        let parameters = query("namespace=a+b%26c&offset=50&identifier__in=a&identifier__in=b");
        assert_eq!(
            parameters.query_with("offset", Some("100")),
            "namespace=a+b%26c&identifier__in=a&identifier__in=b&offset=100"
        );
    }

    /// As values they may take a hundred times as much: those that are held at once are few, and the others wait with their
    /// bytes alone. Ordinary ones wait for nobody.
    #[tokio::test]
    async fn large_bodies_are_held_few_at_a_time() {
        use std::time::Duration;

        use tokio::time::timeout;

        let body = |bytes: usize| Body::from(format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8)));
        let mut held = Vec::new();
        for _ in 0..LARGE_AT_ONCE {
            held.push(object(body(ORDINARY_BYTES + 1)).await.ok().unwrap());
        }
        assert!(timeout(Duration::from_secs(10), object(body(ORDINARY_BYTES))).await.unwrap().is_ok());
        let next = object(body(ORDINARY_BYTES + 1));
        tokio::pin!(next);
        assert!(timeout(Duration::from_millis(100), &mut next).await.is_err(), "it has no turn");
        let also = timeout(Duration::from_millis(100), document(body(ORDINARY_BYTES + 1))).await;
        assert!(also.is_err(), "nor has one of any other kind");
        // What is read of a body ends with it: its turn is the next one's.
        held.pop();
        let next = timeout(Duration::from_secs(10), next).await.unwrap();
        assert_eq!(next.ok().unwrap()["a"].as_str().map(str::len), Some(ORDINARY_BYTES - 7));
    }

    #[test]
    fn a_body_is_json_whatever_it_is_called() {
        assert_eq!(object_of(b" ").unwrap(), Map::new());
        assert!(object_of(b"[1]").is_err() && object_of(b"{").is_err());
    }
}
