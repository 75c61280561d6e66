//! Both searches, and the index that they search.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use datanode_core::access::Action;
use datanode_core::name::check_name;
use datanode_core::search::{Filters, Knobs, Page};
use datanode_runtime::{ColumnSearch, Host, TableSearch, Visible};
use datanode_store::{ListedTable, Listing};
use serde_json::{Value, json};

use super::catalogue::{by_uid, can_read, filters_of, holds, page_answer, page_of, tell};
use super::error::{CompatError, refuse};
use super::parameters::Parameters;
use super::registering::Root;
use crate::auth::Caller;
use crate::input::Place;
use crate::{AppState, Problem};

/// Parameters of a search that are no filters.
const KNOBS: [&str; 7] = ["q", "trigram_k", "embed_k", "w_trgm", "w_emb", "embedding_model", "q_embedding"];

/// `GET <root>/description-search/`
pub(crate) async fn by_description(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::of_query(uri.query()).map_err(refuse)?;
    let host = state.host();
    let search = TableSearch {
        query: text(&parameters).map_err(refuse)?,
        knobs: knobs(&parameters).map_err(refuse)?,
        query_embedding: embedding(&parameters).map_err(refuse)?,
        visible: visible(&caller, host, root, &parameters).await?,
        page: page_of(&parameters)?,
        ..TableSearch::default()
    };
    let found = host.search_tables(&search).await?;
    let mut uids = found.map(|hit| hit.table.uid.clone());
    first_by_name(&caller, host, root, &parameters, &search.query, &mut uids).await?;
    answer(&state, &caller, root, &headers, &uri, &parameters, uids).await
}

/// `GET <root>/column-search/`
pub(crate) async fn by_column(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::of_query(uri.query()).map_err(refuse)?;
    let host = state.host();
    let search = ColumnSearch {
        query: text(&parameters).map_err(refuse)?,
        visible: visible(&caller, host, root, &parameters).await?,
        page: page_of(&parameters)?,
        ..ColumnSearch::default()
    };
    let uids = host.search_columns(&search).await?.map(|hit| hit.table.uid.clone());
    answer(&state, &caller, root, &headers, &uri, &parameters, uids).await
}

async fn answer(
    state: &AppState,
    caller: &Caller,
    root: Root,
    headers: &HeaderMap,
    uri: &Uri,
    parameters: &Parameters,
    uids: Page<String>,
) -> Result<Json<Value>, Problem> {
    let told = tell(caller, state.host().store().as_ref(), root.form(), &uids.items).await?;
    let page = Page { count: uids.count, offset: uids.offset, limit: uids.limit, items: told };
    Ok(Json(page_answer(state.settings(), headers, uri, parameters, &page)))
}

/// Which tables may be found: those that the caller may see, that are under this root, and that have what is asked for.
/// What clients call a table may differ from its contract: filters go by that.
async fn visible(
    caller: &Caller,
    host: &Host,
    root: Root,
    parameters: &Parameters,
) -> Result<Visible, Problem> {
    let filters = filters_of(parameters, &KNOBS)?;
    let source = host.store().data_source().await?;
    let mut known: HashMap<String, ListedTable> = HashMap::new();
    if !filters.is_empty() {
        let listed = host.store().listed_tables(&Listing::All).await?;
        known.extend(listed.into_iter().map(|table| (table.uid.clone(), table)));
    }
    let caller = caller.clone();
    caller.needs_no_role();
    Ok(Visible::only(move |table| {
        root.has(table.contract.kind)
            && caller.can_with(Action::ReadTable, table)
            && (filters.is_empty()
                || known.get(&table.uid).is_some_and(|table| holds(&filters, table, &source)))
    }))
}

/// Whoever writes the whole identifier has that table first, also where it is one that no contract could have.
async fn first_by_name(
    caller: &Caller,
    host: &Host,
    root: Root,
    parameters: &Parameters,
    query: &str,
    uids: &mut Page<String>,
) -> Result<(), Problem> {
    if uids.offset > 0 || check_name("identifier", query).is_ok() {
        return Ok(());
    }
    let listing = Listing::Identifier(query.to_owned());
    let Some(table) = host.store().listed_tables(&listing).await?.pop() else { return Ok(()) };
    let filters: Filters = filters_of(parameters, &KNOBS)?;
    let source = host.store().data_source().await?;
    if !root.has(table.kind) || !can_read(caller, &table) || !holds(&filters, &table, &source) {
        return Ok(());
    }
    if let Some(at) = uids.items.iter().position(|uid| *uid == table.uid) {
        uids.items.remove(at);
    } else {
        // It may be one of a later page, where it is told a second time: better twice than not at all.
        uids.count += usize::from(uids.count == uids.items.len());
        uids.items.truncate(uids.limit.saturating_sub(1));
    }
    uids.items.insert(0, table.uid);
    Ok(())
}

fn text(parameters: &Parameters) -> Result<String, CompatError> {
    let text = parameters.last("q").map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return Err(CompatError::field("q", "it is missing: what is looked for"));
    }
    Ok(text.to_owned())
}

fn knobs(parameters: &Parameters) -> Result<Knobs, CompatError> {
    let ordinary = Knobs::default();
    let candidates = |name: &str, ordinary: u32| {
        let Some(number) = parameters.number(name)? else { return Ok(ordinary) };
        u32::try_from(number).map_err(|_| CompatError::field(name, "it is too large"))
    };
    let weight = |name: &str, ordinary: f64| {
        let Some(text) = parameters.last(name) else { return Ok(ordinary) };
        text.trim().parse().map_err(|_| CompatError::field(name, "it is no number"))
    };
    Ok(Knobs {
        trigram_k: candidates("trigram_k", ordinary.trigram_k)?,
        embed_k: candidates("embed_k", ordinary.embed_k)?,
        w_trgm: weight("w_trgm", ordinary.w_trgm)?,
        w_emb: weight("w_emb", ordinary.w_emb)?,
        embedding_model: parameters.last("embedding_model").map_or(ordinary.embedding_model, str::to_owned),
    })
}

/// The vector of a query: repeated, or with commas.
fn embedding(parameters: &Parameters) -> Result<Option<Vec<f32>>, CompatError> {
    let texts = parameters.all("q_embedding").flat_map(|text| text.split(','));
    let numbers: Result<Vec<f32>, _> =
        texts.map(str::trim).filter(|text| !text.is_empty()).map(str::parse).collect();
    let numbers = numbers.map_err(|_| CompatError::field("q_embedding", "it is no list of numbers"))?;
    Ok(Some(numbers).filter(|numbers| !numbers.is_empty()))
}

/// `POST <root>/<uid>/refresh-table-search-index/`
pub(crate) async fn refresh(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
) -> Result<Json<Value>, Problem> {
    let host = caller.host(&state);
    let table = by_uid(&caller, &host, root, &uid, Action::EditTable).await?;
    let refreshed = host.refresh_search_index(&table.uid).await?;
    let mut answer = json!(refreshed);
    answer["ok"] = json!(true);
    answer["meta_table_uid"] = json!(table.uid);
    Ok(Json(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Parameters {
        Parameters::of_query(Some(text)).unwrap()
    }

    #[test]
    fn knobs_and_vectors_are_read_as_the_client_sends_them() {
        let read = knobs(&query("q=x&trigram_k=5&embed_k=0&w_trgm=0.65&w_emb=0.35&embedding_model=default"))
            .unwrap();
        assert_eq!((read.trigram_k, read.embed_k, read.embedding_model.as_str()), (5, 0, "default"));
        assert_eq!(embedding(&query("q_embedding=0.1&q_embedding=0.2")), Ok(Some(vec![0.1, 0.2])));
        assert_eq!(embedding(&query("q_embedding=0.1,0.2")), Ok(Some(vec![0.1, 0.2])));
        assert_eq!(embedding(&query("q=x")), Ok(None));
        for wrong in ["trigram_k=-1", "trigram_k=x", "trigram_k=99999999999", "w_emb=much"] {
            assert!(knobs(&query(wrong)).is_err(), "{wrong}");
        }
        assert!(embedding(&query("q_embedding=a")).is_err());
        assert!(text(&query("q=+")).is_err() && text(&query("")).is_err());
    }
}
