//! `datanode search` and `datanode table refresh-search-index`: tables by what they are about.

use clap::{Args, ValueEnum};
use datanode_core::search::{ColumnMatch, DEFAULT_PAGE, Knobs, Page, PageRequest};
use datanode_runtime::{ColumnHit, TableHit};
use serde::Serialize;

use crate::failure::Failure;
use crate::place::{Place, Wanted};
use crate::print::{self, Heading, Printer};
use crate::say;

/// Characters of a description in a table.
const DESCRIPTION_CHARS: usize = 60;
/// Columns that are named of one table.
const NAMED_COLUMNS: usize = 6;

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchMode {
    /// What tables are about
    Description,
    /// What their columns are
    Column,
    /// Both, one after the other
    Both,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Names, labels, descriptions and columns are compared, and what components that write a table say: by letters,\n\
    which forgives typos, and by meaning, which finds other words for the same. A table whose identifier is asked for comes\n\
    first, then those whose identifiers begin so. docs/reference/search.md has the rules, the filters and the scores.\n\n\
    Examples:\n  datanode search \"exchange rates of the euro\"\n  \
    datanode search \"closing price\" --mode column\n  \
    datanode search inflation --filter labels=macro --filter namespace__in=oecd,imf"
)]
pub(crate) struct SearchArguments {
    /// Words, or an identifier, or how one begins
    query: String,
    /// What is searched
    #[arg(long, value_enum, default_value_t = SearchMode::Description)]
    mode: SearchMode,
    /// Only tables of which this holds: a field, or one with __in, __contains or __isnull; may be given several times
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// Only tables of this data source
    #[arg(long, value_name = "NUMBER")]
    data_source_id: Option<i64>,
    /// At most so many tables
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PAGE)]
    limit: usize,
    /// Leave out so many at the beginning
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
    /// So many tables with the best score by letters are looked at
    #[arg(long, value_name = "N", default_value_t = Knobs::default().trigram_k)]
    trigram_k: u32,
    /// So many tables with the best score by meaning are looked at
    #[arg(long, value_name = "N", default_value_t = Knobs::default().embed_k)]
    embed_k: u32,
    /// Weight of the score by letters
    #[arg(long, value_name = "WEIGHT", default_value_t = Knobs::default().w_trgm)]
    w_trgm: f64,
    /// Weight of the score by meaning
    #[arg(long, value_name = "WEIGHT", default_value_t = Knobs::default().w_emb)]
    w_emb: f64,
    /// Model whose vectors are compared
    #[arg(long, value_name = "NAME", default_value_t = Knobs::default().embedding_model)]
    embedding_model: String,
    /// Vector of the query, where you have made it with that model
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',', allow_negative_numbers = true)]
    q_embedding: Option<Vec<f32>>,
}

/// Both answers, as JSON.
#[derive(Serialize)]
struct Both {
    tables: Page<TableHit>,
    columns: Page<ColumnHit>,
}

pub(crate) async fn run(arguments: SearchArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let mode = arguments.mode;
    let wanted = arguments.wanted()?;
    match mode {
        SearchMode::Description => {
            let tables = place.search_tables(&wanted).await?;
            printer.show(&tables, || show_tables(&tables))
        }
        SearchMode::Column => {
            let columns = place.search_columns(&wanted).await?;
            printer.show(&columns, || show_columns(&columns))
        }
        SearchMode::Both => {
            let (tables, columns) =
                (place.search_tables(&wanted).await?, place.search_columns(&wanted).await?);
            let both = Both { tables, columns };
            printer.show(&both, || {
                show_tables(&both.tables);
                say!("");
                show_columns(&both.columns);
            })
        }
    }
}

impl SearchArguments {
    fn wanted(self) -> anyhow::Result<Wanted> {
        let mut filters = Vec::new();
        for filter in &self.filters {
            let (key, value) = filter.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`{filter}` is not KEY=VALUE"))
                    .with_next_step("name a field and its value, as in --filter namespace=examples.fx")
            })?;
            filters.push((key.to_owned(), value.to_owned()));
        }
        filters.extend(self.data_source_id.map(|id| ("data_source__id".to_owned(), id.to_string())));
        Ok(Wanted {
            query: self.query,
            knobs: Knobs {
                trigram_k: self.trigram_k,
                embed_k: self.embed_k,
                w_trgm: self.w_trgm,
                w_emb: self.w_emb,
                embedding_model: self.embedding_model,
            },
            query_embedding: self.q_embedding,
            filters,
            page: PageRequest { offset: self.offset, limit: self.limit },
        })
    }
}

fn show_tables(page: &Page<TableHit>) {
    let headings = [
        Heading::Text("table"),
        Heading::Number("score"),
        Heading::Number("letters"),
        Heading::Number("meaning"),
        Heading::Text("found by"),
        Heading::Text("description"),
    ];
    let line = |hit: &TableHit| {
        vec![
            hit.table.identifier.clone(),
            score(hit.rank.score),
            score(hit.rank.trigram),
            score(hit.rank.embedding),
            hit.rank.matched.as_str().to_owned(),
            print::first_line(&hit.table.description, DESCRIPTION_CHARS),
        ]
    };
    print::table(&headings, page.items.iter().map(line).collect(), "no table is found");
    tell_of_more(page);
}

fn show_columns(page: &Page<ColumnHit>) {
    let headings = [
        Heading::Text("table"),
        Heading::Number("score"),
        Heading::Text("columns"),
        Heading::Text("description"),
    ];
    let line = |hit: &ColumnHit| {
        vec![
            hit.table.identifier.clone(),
            score(hit.rank.score),
            columns(&hit.rank.columns),
            print::first_line(&hit.table.description, DESCRIPTION_CHARS),
        ]
    };
    print::table(&headings, page.items.iter().map(line).collect(), "no column is found");
    tell_of_more(page);
}

/// As in `close (name, description), open (description)`.
fn columns(found: &[ColumnMatch]) -> String {
    let shown = found.iter().take(NAMED_COLUMNS).map(|column| {
        let parts: Vec<&str> = column.matched.iter().map(|part| part.as_str()).collect();
        format!("{} ({})", column.name, parts.join(", "))
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if found.len() > NAMED_COLUMNS {
        text += &format!(", {} more", found.len() - NAMED_COLUMNS);
    }
    text
}

fn score(score: f64) -> String {
    format!("{score:.3}")
}

fn tell_of_more<T>(page: &Page<T>) {
    if let Some(next) = page.next_offset() {
        say!("{} of {} tables; go on with --offset {next}", page.items.len(), page.count);
    }
}

pub(crate) async fn refresh(table: &str, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let refreshed = place.refresh_search_index(table).await?;
    printer.show(&refreshed, || {
        print::done(&format!("made the text of table {} anew, and its vector", refreshed.identifier));
        let components = match refreshed.components.as_slice() {
            [] => "none".to_owned(),
            components => format!("{} ({} documented)", components.join(", "), refreshed.documented),
        };
        print::facts(&[
            ("characters", print::count(refreshed.characters as u64)),
            ("columns", refreshed.columns.to_string()),
            ("components", components),
            ("model", format!("{}, {} dimensions", refreshed.model, refreshed.dimension)),
        ]);
    })
}
