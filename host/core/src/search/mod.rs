//! Finding tables by what people call them.
//!
//! A table is found by two scores. The *trigram* score looks at letters, by the rules of `PostgreSQL`'s `pg_trgm`: it
//! forgives typos and other endings ([`trigram`]). The *embedding* score looks at meaning: the cosine between vectors that a
//! model makes of texts. Both are blended by weights ([`Knobs`]); whoever writes an identifier, or how one begins, has that
//! table first ([`Matched`]).
//!
//! Everything here is pure, and it is the only place that ranks: databases keep texts and vectors, but none of them
//! compares any. So every database gives the same order.

mod column;
mod error;
pub mod filter;
mod index;
mod knobs;
mod page;
mod rank;
mod text;
pub mod trigram;
mod vector;

pub use column::{ColumnMatch, ColumnRank, MIN_COLUMN_SCORE, MatchedPart};
pub use error::SearchError;
pub use filter::{Fact, Facts, Field, Filters, Lookup, Place, TableFacts};
pub use index::{Index, MAX_QUERY_WORDS, Searched};
pub use knobs::{DEFAULT_MODEL, Knobs, MAX_CANDIDATES, MAX_WEIGHT};
pub use page::{DEFAULT_PAGE, MAX_PAGE, Page, PageRequest};
pub use rank::{Matched, Rank};
pub use text::{MAX_DOCS_BYTES, MAX_QUERY_BYTES, TableText, Writer, check_query, plain};
pub use vector::{cosine, from_bytes, to_bytes};
