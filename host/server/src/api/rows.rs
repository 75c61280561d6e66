//! Rows of a table, in the format that is wanted.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use datanode_core::access::Action;
use datanode_core::contract::Contract;
use datanode_core::coordinate::CoordinateValue;
use datanode_core::query::{Bound, ReadQuery, TimeRange};
use datanode_core::query_text::{self, End, QueryTextError};
use datanode_runtime::TableQuery;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::auth::Caller;
use crate::described::Described;
use crate::input::{Document, Params, Place};
use crate::rows::{answer, read_problem};
use crate::{AppState, Problem, accept};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/tables/{reference}/rows", get(rows))
        .route("/api/v1/tables/{reference}/rows/query", post(query))
}

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] = &[Described::of::<Asked>(
    "POST",
    "/api/v1/tables/{reference}/rows/query",
    r#"{"start": "2026-01-01", "end": "<2026-02-01", "filters": ["currency=USD,GBP"], "columns": ["rate"], "limit": 1000}"#,
)];

/// Which rows, in the words of `table read`, or as a query that is whole.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "RowsQuery")]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// A query as the host has it; then none of the words below.
    query: Option<ReadQuery>,
    /// First moment, inclusive; or with an operand before it: `>2026-01-01`.
    start: Option<String>,
    /// `>=` or `>`, where none stands before `start`.
    start_operand: Option<String>,
    /// Last moment, inclusive; or with an operand before it: `<2026-02-01`.
    end: Option<String>,
    /// `<=` or `<`, where none stands before `end`.
    end_operand: Option<String>,
    /// Columns besides the key; all of them where nothing is said.
    columns: Option<Vec<String>>,
    /// `currency=USD,EUR`: those of one dimension are alternatives.
    filters: Vec<String>,
    /// `currency=USD,venue=1`: several are alternatives.
    coordinates: Vec<String>,
    /// As `table read --range-map` reads it.
    range_map: Option<Value>,
    /// At most this many rows.
    limit: Option<u64>,
    /// Only the last row of each coordinate.
    last: bool,
}

fn unfit(error: &QueryTextError) -> Problem {
    Problem::new(axum::http::StatusCode::BAD_REQUEST, "server.query", error.to_string())
        .with_next("see the table's columns and its key: GET /api/v1/tables/{reference}")
}

/// One end of a range, whose operand may stand before the moment or apart.
fn bound(text: Option<&str>, operand: Option<&str>, end: End) -> Result<Option<Bound>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let text = match operand {
        Some(operand) if text.trim_start().starts_with(['<', '>']) => {
            return Err(Problem::usage(format!(
                "`{text}` has an operand, and `{operand}` is given beside it"
            )));
        }
        Some(operand) => format!("{operand}{text}"),
        None => text.to_owned(),
    };
    query_text::bound(&text, end).map(Some).map_err(|error| unfit(&error))
}

impl Asked {
    fn of(params: &mut Params) -> Result<Self, Problem> {
        let columns = params.all("columns");
        let names =
            columns.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty());
        Ok(Self {
            query: None,
            start: params.text("start")?,
            start_operand: params.text("start_operand")?,
            end: params.text("end")?,
            end_operand: params.text("end_operand")?,
            columns: (!columns.is_empty()).then(|| names.map(str::to_owned).collect()),
            filters: params.all("filter"),
            coordinates: params.all("coordinate"),
            range_map: None,
            limit: params.value("limit")?,
            last: params.flag("last")?,
        })
    }

    fn wanted(self, contract: &Contract) -> Result<TableQuery, Problem> {
        let last = self.last;
        if let Some(query) = self.query {
            return Ok(TableQuery { query, last });
        }
        let mut filters: Vec<(String, Vec<CoordinateValue>)> = Vec::new();
        for text in &self.filters {
            let (dimension, values) =
                query_text::dimension_filter(contract, text).map_err(|error| unfit(&error))?;
            match filters.iter_mut().find(|(name, _)| *name == dimension) {
                Some((_, known)) => known.extend(values),
                None => filters.push((dimension, values)),
            }
        }
        let coordinates = self.coordinates.iter();
        let coordinates = coordinates
            .map(|text| query_text::index_coordinate(contract, text).map_err(|error| unfit(&error)));
        let range_map = self.range_map.map(|map| query_text::range_map(contract, &map.to_string()));
        let query = ReadQuery {
            range: TimeRange {
                start: bound(self.start.as_deref(), self.start_operand.as_deref(), End::Start)?,
                end: bound(self.end.as_deref(), self.end_operand.as_deref(), End::End)?,
            },
            columns: self.columns,
            dimension_filters: filters,
            index_coordinates: coordinates.collect::<Result<_, _>>()?,
            range_map: range_map.transpose().map_err(|error| unfit(&error))?,
            limit: self.limit,
        };
        Ok(TableQuery { query, last })
    }
}

async fn rows(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&mut params)?;
    params.end()?;
    read(&state, &caller, &reference, asked, &headers).await
}

async fn query(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    headers: HeaderMap,
    Document(asked): Document<Asked>,
) -> Result<Response, Problem> {
    read(&state, &caller, &reference, asked, &headers).await
}

async fn read(
    state: &AppState,
    caller: &Caller,
    reference: &str,
    asked: Asked,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let format = accept::of(headers)?;
    let table = caller.table(state.host(), reference, Action::ReadTable).await?;
    let wanted = asked.wanted(&table.contract)?;
    // First: one for whom there is none takes nothing of the database.
    let place = state.row_streams().take(caller)?;
    let reader = state.host().read_table(&table.uid, &wanted).await.map_err(read_problem)?;
    answer(state, place, reader, format).await
}
