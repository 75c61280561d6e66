//! Rows as Arrow has them, whatever database keeps them.
//!
//! **One idea:** both databases read cells out of batches and put cells into batches; only how a cell is written down
//! is their own. [`Cells`] is the one way out of a batch, [`ColumnBuilder`] and [`page`] the one way back, and
//! [`bounds`] and [`by_dimension`] say what a query asks for before it is SQL of either kind. [`Tally`] counts rows by
//! coordinate where they pass by.

mod builders;
mod cells;
mod page;
mod tally;
mod wanted;

pub(crate) use builders::ColumnBuilder;
pub(crate) use cells::{CellColumn, Cells, Values};
pub(crate) use page::{MAX_PAGE_BYTES, ROWS_AT_ONCE, key_tuple, page};
pub(crate) use tally::{BatchTally, Tally};
pub(crate) use wanted::{bounds, by_dimension};
