//! Finding tables: the catalogue's texts and vectors, kept in memory and never older than the catalogue.
//!
//! A search first asks the store for one number, which grows with each change that reaches a text. When it has grown, the
//! tables concerned are read, their texts are made anew, and vectors of texts that nobody has seen before are computed and
//! stored for the next process. Only then is anything compared. So no answer has a name that a table does not have any
//! more, on two hosts over one database as well, and a change of one table costs the work for one table.

mod cache;
mod refresh;

use std::fmt;
use std::sync::Arc;

use datanode_core::contract::TableKind;
use datanode_core::search::{
    ColumnRank, Filters, Knobs, Page, PageRequest, Place, Rank, SearchError, TableFacts, check_query, plain,
};
use datanode_embedding::Model;
use datanode_store::{SearchedTable, Table};
use serde::{Deserialize, Serialize};

use crate::{Host, RuntimeError};

pub(crate) use cache::SearchCache;
pub use refresh::{Refreshed, SearchState};

/// Which tables the caller may see at all. The others are never counted, and leave no trace in an answer.
#[derive(Clone)]
pub struct Visible(Arc<dyn Fn(&Table) -> bool + Send + Sync>);

impl Visible {
    /// Those of which this is true.
    pub fn only(rule: impl Fn(&Table) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    pub(crate) fn holds(&self, table: &Table) -> bool {
        (self.0)(table)
    }
}

impl Default for Visible {
    /// All of them: embedded use, and callers that may read the whole catalogue.
    fn default() -> Self {
        Self::only(|_| true)
    }
}

impl fmt::Debug for Visible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visible(…)")
    }
}

/// A search for tables by what they are about.
#[derive(Debug, Clone, Default)]
pub struct TableSearch {
    /// What is looked for: an identifier, how one begins, or words. Not empty, at most 1,000 bytes.
    pub query: String,
    /// How the scores are blended; checked by the search.
    pub knobs: Knobs,
    /// The vector of the query, where the caller has made it: of the model's dimension. The text still counts for trigrams.
    pub query_embedding: Option<Vec<f32>>,
    /// Facts that the tables must have.
    pub filters: Filters,
    /// Facts that all tables share, for the filters of data source and schema.
    pub place: Place,
    /// Which tables the caller may see.
    pub visible: Visible,
    /// Which piece of the answer.
    pub page: PageRequest,
}

/// A search for columns: words of a schema, such as `closing price` or `country iso code`.
#[derive(Debug, Clone, Default)]
pub struct ColumnSearch {
    /// What is looked for. Not empty, at most 1,000 bytes.
    pub query: String,
    /// Facts that the tables must have.
    pub filters: Filters,
    /// Facts that all tables share.
    pub place: Place,
    /// Which tables the caller may see.
    pub visible: Visible,
    /// Which piece of the answer.
    pub page: PageRequest,
}

/// What people read of a table that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundTable {
    /// Its uid.
    pub uid: String,
    /// Its identifier.
    pub identifier: String,
    /// Its kind.
    pub kind: TableKind,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name in the database.
    pub physical_name: String,
    /// Its description.
    pub description: String,
    /// Its labels.
    pub labels: Vec<String>,
}

impl FoundTable {
    fn of(table: &Table) -> Self {
        let contract = &table.contract;
        Self {
            uid: table.uid.clone(),
            identifier: contract.identifier.clone(),
            kind: contract.kind,
            namespace: contract.namespace.clone(),
            physical_name: contract.physical_name().to_owned(),
            description: contract.description.clone(),
            labels: contract.labels.clone(),
        }
    }
}

/// A table that was found by what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableHit {
    /// The table, as the catalogue has it now.
    #[serde(flatten)]
    pub table: FoundTable,
    /// Why, and how well it fits.
    #[serde(flatten)]
    pub rank: Rank,
}

/// A table some of whose columns were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnHit {
    /// The table, as the catalogue has it now.
    #[serde(flatten)]
    pub table: FoundTable,
    /// How well its columns fit, and which they are, best first, each with the parts of it that were found.
    #[serde(flatten)]
    pub rank: ColumnRank,
}

impl Host {
    /// Find tables by a blend of trigrams and meaning over name, labels, description, columns and what is documented of
    /// the components that write them. Exact identifiers come first, then those that begin so, then the others by score;
    /// equal scores by identifier.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Search`] for what cannot be asked (codes `search.*`, class usage), [`RuntimeError::Embedding`] when
    /// the model of this host cannot be used, else the store's.
    pub async fn search_tables(&self, search: &TableSearch) -> Result<Page<TableHit>, RuntimeError> {
        check_query(&search.query)?;
        search.knobs.check()?;
        let page = search.page.check()?;
        let model = self.embedding_model().await?;
        check_model(&search.knobs.embedding_model, &model)?;
        if let Some(vector) = &search.query_embedding {
            check_vector(vector, &model)?;
        }
        self.bring_search_up_to_date().await?;
        let (host, search) = (self.clone(), search.clone());
        blocking("searching tables", move || {
            let vector = match search.query_embedding {
                _ if !search.knobs.uses_embeddings() => None,
                Some(given) => Some(given),
                None => host.embedder.embed(&[plain(&search.query)])?.pop(),
            };
            let accepted = |table: &SearchedTable| {
                search.visible.holds(&table.table) && search.filters.hold(&facts(table, &search.place))
            };
            let found = host.search.tables(&search.query, vector.as_deref(), &search.knobs, page, accepted);
            Ok(found.map(|(table, rank)| TableHit { table: FoundTable::of(&table.table), rank }))
        })
        .await
    }

    /// Find tables by their columns, and say which columns were found and why: by name, label, description or type.
    ///
    /// # Errors
    ///
    /// As [`Host::search_tables`].
    pub async fn search_columns(&self, search: &ColumnSearch) -> Result<Page<ColumnHit>, RuntimeError> {
        check_query(&search.query)?;
        let page = search.page.check()?;
        self.bring_search_up_to_date().await?;
        let (host, search) = (self.clone(), search.clone());
        blocking("searching columns", move || {
            let accepted = |table: &SearchedTable| {
                search.visible.holds(&table.table) && search.filters.hold(&facts(table, &search.place))
            };
            let found = host.search.columns(&search.query, page, accepted);
            Ok(found.map(|(table, rank)| ColumnHit { table: FoundTable::of(&table.table), rank }))
        })
        .await
    }
}

fn facts<'f>(table: &'f SearchedTable, place: &'f Place) -> TableFacts<'f> {
    TableFacts {
        published_identifier: table.published.identifier.as_deref(),
        published_namespace: table.published.namespace.as_deref(),
        published_schema: table.published.schema.as_deref(),
        ..TableFacts::of(&table.table.uid, &table.table.contract, place)
    }
}

fn check_model(asked: &str, model: &Model) -> Result<(), SearchError> {
    if asked == datanode_core::search::DEFAULT_MODEL || asked == model.name {
        return Ok(());
    }
    let known = format!("`{}`, which is also `default`", model.name);
    Err(SearchError::UnknownModel { model: asked.to_owned(), known })
}

fn check_vector(vector: &[f32], model: &Model) -> Result<(), SearchError> {
    let problem = if vector.len() != model.dimension {
        format!("{} numbers where vectors of `{}` have {}", vector.len(), model.name, model.dimension)
    } else if vector.iter().any(|number| !number.is_finite()) {
        "a number of it is not finite".to_owned()
    } else {
        return Ok(());
    };
    Err(SearchError::QueryVector { problem })
}

/// Work that takes a processor for a while, where it keeps nobody else from going on.
pub(crate) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| RuntimeError::Panicked(doing))?
}
