//! Finding tables.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use datanode_core::access::{Action, Target};
use datanode_core::search::{Filters, Knobs, PageRequest, Place as Facts};
use datanode_runtime::{ColumnSearch, Refreshed, SearchState, TableSearch, Visible};
use datanode_store::Table;
use serde::Serialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::input::{Params, Place};
use crate::{AppState, Problem, cursor};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/search/tables", get(tables))
        .route("/api/v1/search/columns", get(columns))
        .route("/api/v1/search/refresh", post(refresh_all))
        .route("/api/v1/tables/{reference}/refresh-search-index", post(refresh))
}

/// Which page: a cursor is the number of hits before it, which `offset` says as well.
fn page_of(params: &mut Params) -> Result<PageRequest, Problem> {
    let default = PageRequest::default();
    let offset = params.text("cursor")?.map(|text| {
        let offset = cursor::decode(&text)?.parse();
        offset.map_err(|_| Problem::usage("the cursor is none of this list"))
    });
    Ok(PageRequest {
        offset: params.value("offset")?.or(offset.transpose()?).unwrap_or(default.offset),
        limit: params.value("limit")?.unwrap_or(default.limit),
    })
}

/// The tables that the caller may see.
fn visible(caller: &Caller) -> Visible {
    let caller = caller.clone();
    Visible::only(move |table: &Table| caller.can_with(Action::ReadTable, table))
}

/// What is left of the parameters are conditions such as `namespace=fx` and `labels__in=a,b`.
fn filters_of(params: Params) -> Result<Filters, Problem> {
    Ok(Filters::parse(params.rest())?)
}

/// What all tables share.
async fn place_of(state: &AppState) -> Result<Facts, Problem> {
    let data_source_uid = state.host().store().data_source().await?;
    Ok(Facts { data_source_uid, ..Facts::default() })
}

fn answer<T: Serialize>(page: &datanode_core::search::Page<T>) -> Json<Value> {
    let behind = page.offset + page.items.len();
    let next = (behind < page.count && !page.items.is_empty()).then(|| cursor::encode(&behind.to_string()));
    Json(json!({
        "items": page.items, "next_cursor": next, "count": page.count, "offset": page.offset, "limit": page.limit,
    }))
}

async fn tables(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    caller.needs_no_role();
    let query = params.text("q")?.unwrap_or_default();
    let default = Knobs::default();
    let knobs = Knobs {
        trigram_k: params.value("trigram_k")?.unwrap_or(default.trigram_k),
        embed_k: params.value("embed_k")?.unwrap_or(default.embed_k),
        w_trgm: params.value("w_trgm")?.unwrap_or(default.w_trgm),
        w_emb: params.value("w_emb")?.unwrap_or(default.w_emb),
        embedding_model: params.text("embedding_model")?.unwrap_or(default.embedding_model),
    };
    let page = page_of(&mut params)?;
    let vector = params.all("q_embedding");
    let numbers = vector.iter().map(|number| number.parse::<f32>());
    let numbers: Vec<f32> = numbers
        .collect::<Result<_, _>>()
        .map_err(|_| Problem::usage("the parameter `q_embedding` is a number, and several times a vector"))?;
    let search = TableSearch {
        query,
        knobs,
        page,
        place: place_of(&state).await?,
        query_embedding: (!numbers.is_empty()).then_some(numbers),
        visible: visible(&caller),
        filters: filters_of(params)?,
    };
    Ok(answer(&state.host().search_tables(&search).await?))
}

async fn columns(
    State(state): State<AppState>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    caller.needs_no_role();
    let query = params.text("q")?.unwrap_or_default();
    let page = page_of(&mut params)?;
    let search = ColumnSearch {
        query,
        page,
        place: place_of(&state).await?,
        visible: visible(&caller),
        filters: filters_of(params)?,
    };
    Ok(answer(&state.host().search_columns(&search).await?))
}

async fn refresh(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
) -> Result<Json<Refreshed>, Problem> {
    let table = caller.table(state.host(), &reference, Action::EditTable).await?;
    Ok(Json(caller.host(&state).refresh_search_index(&table.uid).await?))
}

async fn refresh_all(State(state): State<AppState>, caller: Caller) -> Result<Json<SearchState>, Problem> {
    caller.may(Action::EditTable, &Target::Organisation)?;
    Ok(Json(caller.host(&state).refresh_search().await?))
}
