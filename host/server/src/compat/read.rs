//! Reads of rows: between dates, the last of each coordinate, and statistics.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use datanode_core::Timestamp;
use datanode_core::access::Action;
use datanode_core::contract::{Column, Contract, TableKind};
use datanode_core::coordinate::Coordinate;
use datanode_core::data_type::DataType;
use datanode_core::digest::Digest;
use datanode_core::progress::Progress;
use datanode_core::query::{Bound, QueryError, RangeMap, ReadQuery, TimeRange};
use datanode_runtime::Host;
use datanode_store::{IndexKey, Opened, Snapshot, Table, TableRead};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::catalogue::{by_identifier, by_uid, tell_one};
use super::error::{CompatError, refuse};
use super::parameters::object;
use super::registering::Root;
use super::rows;
use super::scope::{SCOPE_FIELDS, Scopes, moment};
use super::statistics::multi_index_stats;
use crate::auth::Caller;
use crate::input::Place;
use crate::streams::Stream;
use crate::{AppState, Problem};

/// Rows that the database is asked for at a time.
const BATCH: usize = 4_096;
/// The most rows of one answer.
const MAX_ROWS: usize = 50_000;
/// An answer ends once it has so many bytes.
const MAX_BYTES: usize = 8 << 20;
/// The longest cursor.
const MAX_CURSOR: usize = 1 << 20;

/// `POST dynamic_table/<uid>/get_data_between_dates_from_remote/`
pub(crate) async fn between_dates(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let body = object(body).await?;
    let table = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    let page = read_page(&state, &table, &body, &[]).await?;
    Ok(page.answer(None))
}

/// `POST dynamic_table/get_data_between_dates_from_node_identifier/`
pub(crate) async fn between_dates_by_identifier(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    body: Body,
) -> Result<Response, Problem> {
    const FIELD: &str = "node_identifier";
    let body = object(body).await?;
    let Some(Value::String(identifier)) = body.get(FIELD) else {
        caller.needs_no_role();
        return Err(CompatError::field(FIELD, "it is missing").problem());
    };
    let table = by_identifier(&caller, state.host(), identifier, Action::ReadTable).await?;
    let page = read_page(&state, &table, &body, &[FIELD]).await?;
    let told = tell_one(&caller, state.host().store().as_ref(), root.form(), &table.uid).await?;
    Ok(page.answer(Some(&told)))
}

/// Rows of an answer, written, and where the next one begins.
struct Page {
    rows: String,
    next: Option<String>,
}

impl Page {
    fn answer(self, storage_node: Option<&Value>) -> Response {
        let mut text = self.rows;
        text.push_str("],\"next_offset\":");
        text.push_str(&json!(self.next).to_string());
        if let Some(table) = storage_node {
            text.push_str(",\"storage_node\":");
            text.push_str(&table.to_string());
        }
        text.push('}');
        as_json(Body::from(text))
    }
}

fn as_json(body: Body) -> Response {
    let mut answer = body.into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// What a read may say.
const READ_FIELDS: [&str; 7] =
    ["start_date", "end_date", "great_or_equal", "less_or_equal", "columns", "offset", "limit"];

async fn read_page(
    state: &AppState,
    table: &Table,
    body: &Map<String, Value>,
    also: &[&str],
) -> Result<Page, Problem> {
    known_fields(body, &[&READ_FIELDS, &SCOPE_FIELDS[..], also].concat()).map_err(refuse)?;
    let mut snapshot = state.host().store().snapshot().await?;
    // As the snapshot has it: a revision may have come between. One that somebody has altered by hand is refused.
    let table = &snapshot.table(&table.uid).await?;
    let contract = &table.contract;
    let query = query(contract, body).map_err(refuse)?;
    query.check(contract).map_err(|error| query_problem(&error))?;
    let question = question(table, body);
    let after = cursor(contract, body.get("offset"), &question).map_err(refuse)?;
    let most = most_rows(body.get("limit")).map_err(refuse)?;
    let columns: Vec<Column> = query.output_columns(contract).into_iter().cloned().collect();
    let read = snapshot.read(table, &query);
    let mut page = Page { rows: "{\"results\":[".to_owned(), next: None };
    let (mut after, mut count) = (after, 0);
    while count < most && page.rows.len() < MAX_BYTES {
        let wanted = BATCH.min(most - count);
        let Some(found) = read.page(after.as_ref(), wanted).await? else { return Ok(page) };
        count += found.batch.num_rows();
        let (columns, mut text) = (columns.clone(), std::mem::take(&mut page.rows));
        let written = tokio::task::spawn_blocking(move || {
            rows::write(&columns, &found.batch, &mut text);
            (text, found.last)
        });
        let (text, last) = written.await.map_err(|_| Problem::bug("writing rows panicked"))?;
        page.rows = text;
        after = Some(last);
    }
    // There may be no more: the next answer is empty then, which that client takes for the end.
    if let Some(last) = &after
        && read.page(Some(last), 1).await?.is_some()
    {
        page.next = Some(encode(contract, last, &question));
    }
    Ok(page)
}

fn known_fields(body: &Map<String, Value>, known: &[&str]) -> Result<(), CompatError> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(CompatError::field(unknown.as_str(), "there is no such field here")),
        None => Ok(()),
    }
}

/// What is not of this table, as a problem of the caller.
pub(crate) fn query_problem(error: &QueryError) -> Problem {
    CompatError::Table(error.to_string()).problem()
}

/// The query of a body.
fn query(contract: &Contract, body: &Map<String, Value>) -> Result<ReadQuery, CompatError> {
    let scopes = Scopes::of(contract, body)?;
    let bound = |date: &str, operand: &str| {
        let inclusive = match body.get(operand) {
            // Called on the class, the client says null where it means yes.
            None | Some(Value::Null) => true,
            Some(Value::Bool(inclusive)) => *inclusive,
            Some(_) => return Err(CompatError::field(operand, "it is neither true nor false")),
        };
        Ok(moment(date, body.get(date))?.map(|time| Bound { time, inclusive }))
    };
    let range =
        TimeRange { start: bound("start_date", "great_or_equal")?, end: bound("end_date", "less_or_equal")? };
    let columns = match body.get("columns") {
        None | Some(Value::Null) => None,
        Some(Value::Array(names)) => {
            let wrong = || CompatError::field("columns", "it is no list of names");
            let names: Option<Vec<String>> =
                names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            // None are all: so that client reads an empty list.
            Some(names.ok_or_else(wrong)?).filter(|names| !names.is_empty())
        }
        Some(_) => return Err(CompatError::field("columns", "it is no list of names")),
    };
    Ok(ReadQuery { range, columns, ..scoped(scopes) })
}

/// A query that scopes alone narrow. An empty list of coordinates or of ranges narrows nothing: that client, which has no
/// statistics yet, sends it so.
fn scoped(scopes: Scopes) -> ReadQuery {
    let entries = scopes.ranges.filter(|entries| !entries.is_empty());
    ReadQuery {
        dimension_filters: scopes.filters.unwrap_or_default(),
        index_coordinates: scopes.coordinates.unwrap_or_default(),
        range_map: entries.map(|entries| RangeMap { entries, include_unlisted: false }),
        ..ReadQuery::default()
    }
}

fn most_rows(limit: Option<&Value>) -> Result<usize, CompatError> {
    match limit {
        None | Some(Value::Null) => Ok(MAX_ROWS),
        Some(value) => {
            let limit = value.as_u64().filter(|limit| *limit > 0);
            let limit = limit.ok_or_else(|| CompatError::field("limit", "it is not a number from 1 on"))?;
            Ok(usize::try_from(limit).unwrap_or(MAX_ROWS).min(MAX_ROWS))
        }
    }
}

/// A place to read on from, as it travels: what was asked, and the key of the last row.
#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "q")]
    question: String,
    #[serde(rename = "t")]
    time: Option<i64>,
    #[serde(rename = "c")]
    coordinate: String,
}

/// What is asked, in a few digits: a place of one question is none of another.
fn question(table: &Table, body: &Map<String, Value>) -> String {
    let mut asked = body.clone();
    asked.remove("offset");
    asked.remove("limit");
    Digest::of(format!("{}\n{}", table.uid, Value::Object(asked)).as_bytes()).short()
}

fn encode(contract: &Contract, key: &IndexKey, question: &str) -> String {
    let time = (contract.kind == TableKind::TimeIndexed).then_some(key.time).flatten().map(Timestamp::micros);
    let place = Cursor { question: question.to_owned(), time, coordinate: key.coordinate.to_json() };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place).unwrap_or_default())
}

/// The key of the last row of the page before; None: it is the first page.
fn cursor(
    contract: &Contract,
    offset: Option<&Value>,
    question: &str,
) -> Result<Option<IndexKey>, CompatError> {
    const STRANGE: CompatError = CompatError::Cursor("it is none that this host has given");
    let text = match offset {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) if number.as_u64() == Some(0) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() || text == "0" => return Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_CURSOR => text,
        Some(_) => return Err(STRANGE),
    };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| STRANGE)?;
    let place: Cursor = serde_json::from_slice(&bytes).map_err(|_| STRANGE)?;
    if place.question != question {
        return Err(CompatError::Cursor("it was given for another question"));
    }
    let types: Vec<DataType> = contract
        .key_dimensions()
        .iter()
        .filter_map(|name| contract.column(name))
        .map(|column| column.data_type)
        .collect();
    let coordinate = Coordinate::from_json(&place.coordinate, &types).map_err(|_| STRANGE)?;
    let time = place.time.map(Timestamp::from_micros).transpose().map_err(|_| STRANGE)?;
    if time.is_some() != (contract.kind == TableKind::TimeIndexed) {
        return Err(STRANGE);
    }
    Ok(Some(IndexKey { time, coordinate }))
}

/// `POST dynamic_table/<uid>/get_last_observation/`
pub(crate) async fn last_observation(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Response, Problem> {
    let body = object(body).await?;
    let table = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    time_indexed(&table.contract).map_err(refuse)?;
    known_fields(&body, &SCOPE_FIELDS).map_err(refuse)?;
    // It is read at the caller's pace, as the rows of the own API are.
    let place = state.row_streams().take(&caller)?;
    let Opened { snapshot, table, progress } = state.host().store().snapshot_of(&table.uid).await?;
    let contract = &table.contract;
    let scopes = Scopes::of(contract, &body).map_err(refuse)?;
    let query = scoped(scopes);
    query.check(contract).map_err(|error| query_problem(&error))?;
    let last = newest(contract, &query, &progress).map_err(refuse)?;
    let columns: Vec<Column> = contract.columns.clone();
    let read = snapshot.read(&table, &last);
    // The first page may fail, and is told; from then on a failure ends the connection.
    let first = read.page(None, BATCH).await?;
    let rows = Rows { _place: place, _snapshot: snapshot, read, columns, state: Reading::Begun(first) };
    // What compresses it asks once more after the end.
    Ok(as_json(Body::from_stream(stream::unfold(rows, Rows::next).fuse())))
}

/// The query for the newest row of each coordinate that another one leaves. What is known per coordinate is its last moment
/// alone: a range that ends before that one is refused, for it would have to be searched for.
fn newest(contract: &Contract, query: &ReadQuery, progress: &Progress) -> Result<ReadQuery, CompatError> {
    let mut last = query.last_observations(contract, progress);
    let (Some(asked), Some(map)) = (&query.range_map, &mut last.range_map) else { return Ok(last) };
    let known: BTreeMap<_, _> = map.entries.iter().map(|found| (&found.coordinate, found)).collect();
    let mut kept = Vec::with_capacity(asked.entries.len());
    for entry in &asked.entries {
        let Some(found) = known.get(&entry.coordinate) else { continue };
        let Some(time) = found.range.moment() else { continue };
        let (first, end) = entry.range.inclusive_micros();
        if end < time.micros() {
            return Err(CompatError::Unserved {
                what: format!(
                    "the last observation of {} is {time}, after the end of its range: the one before it is not kept apart",
                    entry.coordinate
                ),
                instead: "leave end_date out, or read the range and take its last row",
            });
        }
        if first <= time.micros() {
            kept.push((*found).clone());
        }
    }
    map.entries = kept;
    Ok(last)
}

fn time_indexed(contract: &Contract) -> Result<(), CompatError> {
    if contract.kind == TableKind::TimeIndexed {
        return Ok(());
    }
    let problem = format!("table `{}` is a plain table: it has no time", contract.identifier);
    Err(CompatError::Table(problem))
}

/// Rows on their way out, a page at a time.
struct Rows {
    /// Its place among the answers of rows that are written at once.
    _place: Stream,
    /// The read ends with its snapshot.
    _snapshot: Box<dyn Snapshot>,
    read: Arc<dyn TableRead>,
    columns: Vec<Column>,
    state: Reading,
}

enum Reading {
    Begun(Option<datanode_store::Page>),
    After(IndexKey),
    Ended,
}

impl Rows {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let (mut text, page) = match std::mem::replace(&mut self.state, Reading::Ended) {
            Reading::Begun(first) => ("[".to_owned(), first),
            Reading::After(key) => match self.read.page(Some(&key), BATCH).await {
                Ok(page) => (",".to_owned(), page),
                Err(error) => {
                    tracing::error!(error = %error, "an answer of rows has failed");
                    return Some((Err(io::Error::other("the rows cannot be read any further")), self));
                }
            },
            Reading::Ended => return None,
        };
        match page {
            Some(page) => {
                let mut rows = String::new();
                rows::write(&self.columns, &page.batch, &mut rows);
                text.push_str(&rows);
                self.state = Reading::After(page.last);
            }
            // No comma before the end.
            None if text == "[" => text.push(']'),
            None => "]".clone_into(&mut text),
        }
        Some((Ok(Bytes::from(text)), self))
    }
}

/// `GET dynamic_table/<uid>/get-stats/`
pub(crate) async fn statistics(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
) -> Result<Json<Value>, Problem> {
    let table = by_uid(&caller, state.host(), root, &uid, Action::ReadTable).await?;
    time_indexed(&table.contract).map_err(refuse)?;
    Ok(Json(stats(state.host(), &table).await?))
}

/// What a table holds, as its statistics.
async fn stats(host: &Host, table: &Table) -> Result<Value, Problem> {
    let progress = host.store().snapshot().await?.progress(table).await?;
    Ok(stats_of(&table.contract, &progress))
}

/// The same of a progress that is known.
pub(crate) fn stats_of(contract: &Contract, progress: &Progress) -> Value {
    json!({
        "last_time_index_value": progress.max_time(),
        "earliest_index_value": progress.min_time(),
        "multi_index_stats": multi_index_stats(progress, contract.dimensions().len()),
        // Kept per coordinate are moments of the index alone.
        "multi_index_column_stats": {},
    })
}

#[cfg(test)]
mod tests {
    use datanode_core::coordinate::CoordinateValue;
    use datanode_core::progress::CoordinateProgress;

    use super::*;

    fn table() -> Table {
        let contract = Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\", \"name\"]\ncolumns = [\
             { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"name\", type = \"string\" }, \
             { name = \"value\", type = \"float64\" }]",
        )
        .unwrap();
        Table {
            uid: "u".to_owned(),
            contract,
            epoch: 0,
            created_at: Timestamp::nearest_micros(0),
            owner: None,
        }
    }

    #[allow(clippy::needless_pass_by_value)] // as `json!` makes it
    fn read(body: Value) -> Result<ReadQuery, CompatError> {
        query(&table().contract, body.as_object().unwrap())
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    #[test]
    fn a_body_becomes_a_query() {
        let read = read(json!({
            "start_date": 1_769_731_200.5, "end_date": null, "great_or_equal": null, "less_or_equal": false,
            "columns": ["value"], "offset": 0, "dimension_filters": {"name": ["a"]}, "dimension_range_map": []
        }))
        .unwrap();
        let start = Bound { time: at(1_769_731_200_500_000), inclusive: true };
        assert_eq!(read.range, TimeRange { start: Some(start), end: None });
        assert_eq!((read.columns, read.range_map), (Some(vec!["value".to_owned()]), None));
        assert_eq!(self::read(json!({"columns": []})).unwrap().columns, None);
        for wrong in [
            json!({"great_or_equal": "yes"}),
            json!({"columns": "value"}),
            json!({"columns": [1]}),
            json!({"start_date": "soon"}),
        ] {
            assert!(self::read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_leads_on_and_only_where_it_came_from() {
        let table = table();
        let body = |columns: Value| json!({"columns": columns, "offset": "x"}).as_object().unwrap().clone();
        let asked = question(&table, &body(json!(["value"])));
        let key = IndexKey {
            time: Some(at(1_500)),
            coordinate: Coordinate(vec![CoordinateValue::Text("a/\"é".to_owned())]),
        };
        let text = encode(&table.contract, &key, &asked);
        let back = |text: Value, asked: &str| cursor(&table.contract, Some(&text), asked);
        assert_eq!(back(json!(text), &asked), Ok(Some(key)));
        assert_eq!(
            back(json!(text), &question(&table, &body(json!([])))),
            Err(CompatError::Cursor("it was given for another question"))
        );
        for first in [json!(0), json!(""), Value::Null] {
            assert_eq!(back(first, &asked), Ok(None));
        }
        for strange in [json!(50), json!("!"), json!("YQ"), json!(true), json!("a".repeat(MAX_CURSOR + 1))] {
            assert!(back(strange, &asked).is_err());
        }
    }

    #[test]
    fn the_last_observation_is_one_in_its_range() {
        let contract = table().contract;
        let coordinate = |name: &str| Coordinate(vec![CoordinateValue::Text(name.to_owned())]);
        let held = |max| CoordinateProgress { min: at(0), max: at(max), rows: 2 };
        let progress: Progress =
            [(coordinate("a"), held(10)), (coordinate("b"), held(20))].into_iter().collect();
        let names = |body: Value| {
            let scopes = Scopes::of(&contract, body.as_object().unwrap())?;
            let last = newest(&contract, &scoped(scopes), &progress)?;
            Ok::<_, CompatError>(
                last.range_map
                    .unwrap()
                    .entries
                    .into_iter()
                    .map(|entry| entry.coordinate.to_string())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(names(json!({})).unwrap(), ["(a)", "(b)"]);
        assert_eq!(names(json!({"dimension_filters": {"name": ["b", "c"]}})).unwrap(), ["(b)"]);
        assert_eq!(names(json!({"dimension_filters": {"name": []}})).unwrap(), Vec::<String>::new());
        let entry = |name: &str, start: Value, end: Value| json!({"coordinate": {"name": name}, "start_date": start, "end_date": end});
        let late = json!({"dimension_range_map": [entry("a", json!("1970-01-02"), Value::Null), entry("b", json!(0), Value::Null)]});
        assert_eq!(names(late).unwrap(), ["(b)"]);
        assert!(
            names(json!({"dimension_range_map": [entry("a", Value::Null, json!("1969-12-31"))]})).is_err()
        );
    }
}
