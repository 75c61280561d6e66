//! What callers send, as checked values.

use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::guard::body_problem;
use crate::{AppState, Problem};

/// A JSON document as the body of a request. What cannot be described is read by nobody.
#[derive(Debug)]
pub(crate) struct Document<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema> FromRequest<AppState> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Self::Rejection> {
        if !is_json(request.headers()) {
            return Err(media_type("application/json"));
        }
        let bytes = whole(request.into_body()).await?;
        object(&bytes).map(Self)
    }
}

/// The same, where an empty body is an empty object.
#[derive(Debug)]
pub(crate) struct OptionalDocument<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema> FromRequest<AppState> for OptionalDocument<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Self::Rejection> {
        let json = is_json(request.headers());
        let bytes = whole(request.into_body()).await?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !json {
            return Err(media_type("application/json"));
        }
        object(&bytes).map(Self)
    }
}

/// A JSON object. (A list of values in the order of the fields would be read, too.)
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::usage("the body is no JSON object"));
    }
    parse(bytes)
}

/// A body that is of another type than the one that is read.
pub(crate) fn media_type(wanted: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "server.media_type",
        format!("the body must say Content-Type: {wanted}"),
    )
}

/// The essence of the type of a body: without parameters, in lower case.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(headers: &HeaderMap) -> bool {
    let found = content_type(headers);
    found == "application/json" || found.ends_with("+json")
}

/// All bytes of a body, whose size the layer before has bounded.
pub(crate) async fn whole(body: Body) -> Result<Bytes, Problem> {
    Ok(body.collect().await.map_err(|error| body_problem(&error))?.to_bytes())
}

/// A JSON document. A zero byte in a text is refused: no name has one, and databases take none.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::usage("the body is not UTF-8"))?;
    if has_zero(text) {
        return Err(Problem::usage("there is a zero byte in a text of the body"));
    }
    serde_json::from_str(text).map_err(|error| unread(&error))
}

/// The refusal of a document of another shape.
pub(crate) fn unread(error: &serde_json::Error) -> Problem {
    Problem::usage(format!("the body cannot be read: {error}"))
        .with_next("see what it takes, with an example: GET /api/v1/openapi.json")
}

fn has_zero(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            0 => return true,
            b'\\' if bytes[at + 1..].starts_with(b"u0000") => return true,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    false
}

/// Parts of the path.
#[derive(Debug)]
pub(crate) struct Place<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        let Path(value) = Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::usage(format!("the path cannot be read: {}", error.body_text())))?;
        Ok(Self(value))
    }
}

/// The query of a URL. Every parameter must be one that the handler knows: a misspelt filter would silently be none.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// Bytes of a query.
const MOST_QUERY: usize = 32_768;

impl Params {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        let query = uri.query().unwrap_or_default();
        if query.len() > MOST_QUERY {
            return Err(Problem::new(
                StatusCode::URI_TOO_LONG,
                "server.query_too_long",
                format!("the query has more than {MOST_QUERY} bytes"),
            ));
        }
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Ok(Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    /// A parameter that stands there once at most.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut all = self.all(name);
        match all.len() {
            0 => Ok(None),
            1 => Ok(all.pop()),
            _ => Err(Problem::usage(format!("the parameter `{name}` is given more than once"))),
        }
    }

    /// The same as a value.
    pub(crate) fn value<T>(&mut self, name: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| Problem::usage(format!("the parameter `{name}`: {error}")))
    }

    /// A switch: present without a value, or `true`.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.text(name)?.as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(Problem::usage(format!("the parameter `{name}` is true or false"))),
        }
    }

    /// All values of a parameter, in their order.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        self.0.retain_mut(|(known, value)| {
            let is_it = known == name;
            if is_it {
                found.push(std::mem::take(value));
            }
            !is_it
        });
        found
    }

    /// All that nobody has asked for, in its order.
    pub(crate) fn rest(self) -> Vec<(String, String)> {
        self.0
    }

    /// Refuse what nobody has asked for.
    pub(crate) fn end(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(80).collect();
                Err(Problem::usage(format!("there is no parameter `{name}` here")))
            }
        }
    }
}

impl FromRequestParts<AppState> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Self::of(&parts.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_bytes_are_found_and_backslashes_are_none() {
        assert!(has_zero("{\"a\": \"x\\u0000y\"}"));
        assert!(has_zero("a\0b"));
        assert!(!has_zero("{\"a\": \"x\\\\u0000y\"}"));
        assert!(!has_zero("{\"a\": \"\\"));
    }

    #[test]
    fn a_body_of_another_shape_says_where_the_right_one_is_told() {
        let problem = parse::<Vec<u8>>(b"{\"tabel\": 1}").unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.code.as_ref()), (400, "server.request"));
        assert!(problem.next.is_some_and(|next| next.contains("/api/v1/openapi.json")), "{}", problem.detail);
    }

    #[test]
    fn parameters_are_taken_once_and_strangers_refused() {
        let mut params = Params::of(&"/x?limit=5&filter=a%3D1&filter=b&flag".parse().unwrap()).unwrap();
        assert_eq!(params.value::<u32>("limit").unwrap(), Some(5));
        assert_eq!(params.all("filter"), ["a=1", "b"]);
        assert!(params.flag("flag").unwrap());
        assert!(params.end().is_ok());
        let mut params = Params::of(&"/x?limit=5&limit=6&other=1".parse().unwrap()).unwrap();
        assert!(params.text("limit").is_err());
        assert!(params.end().is_err());
    }
}
