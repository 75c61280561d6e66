//! Searches of the catalogue.

use datanode_core::search::{Filters, Knobs, Page, PageRequest, Place as Facts};
use datanode_runtime::{ColumnHit, ColumnSearch, Refreshed, TableHit, TableSearch, Visible};
use serde::Deserialize;

use super::Place;
use crate::failure::OrFail;
use crate::remote::Call;

/// What is looked for, as words.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) query: String,
    pub(crate) knobs: Knobs,
    pub(crate) query_embedding: Option<Vec<f32>>,
    /// Keys and values.
    pub(crate) filters: Vec<(String, String)>,
    pub(crate) page: PageRequest,
}

/// A page as servers send it.
#[derive(Deserialize)]
struct Sent<T> {
    count: usize,
    items: Vec<T>,
}

impl<T> Sent<T> {
    fn page(self, wanted: PageRequest) -> Page<T> {
        Page { count: self.count, offset: wanted.offset, limit: wanted.limit, items: self.items }
    }
}

impl Place {
    /// Tables by what they are about.
    pub(crate) async fn search_tables(&self, wanted: &Wanted) -> anyhow::Result<Page<TableHit>> {
        match self {
            Self::Here(host) => {
                let search = TableSearch {
                    query: wanted.query.clone(),
                    knobs: wanted.knobs.clone(),
                    query_embedding: wanted.query_embedding.clone(),
                    filters: wanted.filters()?,
                    place: self.facts().await?,
                    visible: Visible::default(),
                    page: wanted.page,
                };
                host.search_tables(&search).await.or_fail()
            }
            Self::There(server) => {
                let mut call = wanted
                    .call(Call::get(server.at(&["search", "tables"])))
                    .query("trigram_k", &wanted.knobs.trigram_k.to_string())
                    .query("embed_k", &wanted.knobs.embed_k.to_string())
                    .query("w_trgm", &wanted.knobs.w_trgm.to_string())
                    .query("w_emb", &wanted.knobs.w_emb.to_string())
                    .query("embedding_model", &wanted.knobs.embedding_model);
                for number in wanted.query_embedding.iter().flatten() {
                    call = call.query("q_embedding", &number.to_string());
                }
                let sent: Sent<TableHit> = server.ask(call).await?;
                Ok(sent.page(wanted.page))
            }
        }
    }

    /// Tables by their columns.
    pub(crate) async fn search_columns(&self, wanted: &Wanted) -> anyhow::Result<Page<ColumnHit>> {
        match self {
            Self::Here(host) => {
                let search = ColumnSearch {
                    query: wanted.query.clone(),
                    filters: wanted.filters()?,
                    place: self.facts().await?,
                    visible: Visible::default(),
                    page: wanted.page,
                };
                host.search_columns(&search).await.or_fail()
            }
            Self::There(server) => {
                let call = wanted.call(Call::get(server.at(&["search", "columns"])));
                let sent: Sent<ColumnHit> = server.ask(call).await?;
                Ok(sent.page(wanted.page))
            }
        }
    }

    /// Make what searches know of a table anew.
    pub(crate) async fn refresh_search_index(&self, reference: &str) -> anyhow::Result<Refreshed> {
        match self {
            Self::Here(host) => host.refresh_search_index(reference).await.or_fail(),
            Self::There(server) => {
                let url = server.at(&["tables", reference, "refresh-search-index"]);
                server.ask(Call::post(url).long()).await
            }
        }
    }

    /// What all tables of a database of this machine share.
    async fn facts(&self) -> anyhow::Result<Facts> {
        match self {
            Self::Here(host) => {
                let data_source_uid = host.store().data_source().await.or_fail()?;
                Ok(Facts { data_source_uid, ..Facts::default() })
            }
            Self::There(_) => Ok(Facts::default()),
        }
    }
}

impl Wanted {
    fn filters(&self) -> anyhow::Result<Filters> {
        Filters::parse(self.filters.iter().map(|(key, value)| (key, value.as_str()))).or_fail()
    }

    /// What both searches are asked.
    fn call(&self, call: Call) -> Call {
        let mut call = call
            .query("q", &self.query)
            .query("limit", &self.page.limit.to_string())
            .query("offset", &self.page.offset.to_string());
        for (key, value) in &self.filters {
            call = call.query(key, value);
        }
        call
    }
}
