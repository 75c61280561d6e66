//! Two functions that statements of this host call with the cells of their rows.
//!
//! Inside of a statement the cells of a row are at hand. To fetch one out of it takes several calls of SQLite, which makes
//! sure in each that the row, the cell and its memory are still there. So a statement hands its rows over, or has them
//! counted, where they are.
//!
//! What the functions gather is kept for their thread, for one statement at a time ([`taking`], [`counting`]). Where nobody
//! gathers, as when SQL of users names one of them, they do nothing.

use std::cell::RefCell;

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Null, ValueRef};

use super::read::push;
use crate::rows::{ColumnBuilder, MAX_PAGE_BYTES, Tally};

/// Takes the cells of a row, in the order of the columns of a page. SQLite allows a function as many of them as a
/// contract may have columns.
pub(super) const TAKE: &str = "_take";
/// Counts a row by its coordinate; true.
pub(super) const COUNT: &str = "_count_row";

thread_local! {
    static TAKEN: RefCell<Option<Taken>> = const { RefCell::new(None) };
    static COUNTED: RefCell<Option<Tally>> = const { RefCell::new(None) };
}

/// Give a connection the functions.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    // They are called from a statement itself and never from what a schema holds.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(TAKE, -1, flags, |context| {
        TAKEN.with_borrow_mut(|taken| taken.iter_mut().for_each(|taken| taken.row(context)));
        Ok(Null)
    })?;
    connection.create_scalar_function(COUNT, -1, flags, |context| {
        COUNTED.with_borrow_mut(|counted| counted.as_mut().map_or(Ok(()), |tally| count(tally, context)))?;
        Ok(true)
    })
}

/// Rows that a statement has handed over.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) built: Vec<ColumnBuilder>,
    pub(super) rows: usize,
    /// Of texts and blobs.
    bytes: usize,
    /// A cell that does not belong into its column: which column, and why.
    pub(super) problem: Option<(usize, String)>,
}

impl Taken {
    /// Whether no further row is taken.
    fn is_full(&self) -> bool {
        self.bytes >= MAX_PAGE_BYTES || self.problem.is_some()
    }

    fn row(&mut self, context: &Context<'_>) {
        if self.is_full() {
            return;
        }
        for (at, column) in self.built.iter_mut().enumerate() {
            match push(column, context.get_raw(at)) {
                Ok(bytes) => self.bytes += bytes,
                Err(problem) => {
                    self.problem = Some((at, problem));
                    return;
                }
            }
        }
        self.rows += 1;
    }
}

/// Run a statement that hands rows over to these columns.
pub(super) fn taking<T>(built: Vec<ColumnBuilder>, run: impl FnOnce() -> T) -> (T, Taken) {
    TAKEN.set(Some(Taken { built, ..Taken::default() }));
    let answer = run();
    (answer, TAKEN.take().unwrap_or_default())
}

/// Whether a further row would be taken.
pub(super) fn has_room() -> bool {
    TAKEN.with_borrow(|taken| taken.as_ref().is_some_and(|taken| !taken.is_full()))
}

/// Run a statement that has rows counted.
pub(super) fn counting<T>(run: impl FnOnce() -> T) -> (T, Tally) {
    COUNTED.set(Some(Tally::default()));
    let answer = run();
    (answer, COUNTED.take().unwrap_or_default())
}

fn count(tally: &mut Tally, context: &Context<'_>) -> rusqlite::Result<()> {
    let counted = tally.row(0, |key| {
        (0..context.len()).try_for_each(|at| {
            match context.get_raw(at) {
                ValueRef::Integer(value) => key.integer(value),
                ValueRef::Text(value) | ValueRef::Blob(value) => key.bytes(value),
                other => {
                    return Err(rusqlite::Error::InvalidFunctionParameterType(at, other.data_type()));
                }
            }
            Ok(())
        })
    });
    counted.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use datanode_core::coordinate::{Coordinate, CoordinateValue};
    use datanode_core::data_type::DataType;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (a TEXT, b INTEGER); INSERT INTO t VALUES ('x', 1), ('y', 2), ('x', 3), ('x', 4)",
            )
            .unwrap();
        connection
    }

    #[test]
    fn a_statement_counts_the_rows_that_it_deletes() {
        let connection = connection();
        let sql = format!("DELETE FROM t WHERE b >= 2 AND {COUNT}(a)");
        let (gone, tally) = counting(|| connection.execute(&sql, ()));
        assert_eq!(gone, Ok(3));
        let text = |text: &str| Coordinate(vec![CoordinateValue::Text(text.to_owned())]);
        assert_eq!(tally.counts(&[DataType::String]).unwrap(), [(text("y"), 1), (text("x"), 2)]);
        let sql = format!("SELECT {COUNT}(NULL)");
        assert!(counting(|| connection.query_row(&sql, (), |row| row.get::<_, bool>(0))).0.is_err());
    }

    #[test]
    fn rows_are_taken_until_one_does_not_fit() {
        let connection = connection();
        let run = |sql: &str| {
            let built = vec![ColumnBuilder::new(DataType::Int16, 4)];
            let (rows, taken) = taking(built, || {
                connection.query_row(sql, (), |row| row.get::<_, i64>(0)).map(|rows| (rows, has_room()))
            });
            (rows.unwrap(), taken)
        };
        let (rows, taken) = run("SELECT count(_take(b)) + 4 FROM t");
        assert_eq!((rows, taken.rows, taken.problem), ((4, true), 4, None));
        let (rows, taken) = run("SELECT count(_take(b * 30000)) + 4 FROM t");
        assert_eq!((rows, taken.rows), ((4, false), 1));
        assert!(taken.problem.is_some_and(|(column, problem)| column == 0 && problem.contains("60000")));
    }

    #[test]
    fn they_do_nothing_where_nobody_gathers() {
        let connection = connection();
        let sql =
            format!("SELECT count({COUNT}()) FROM t WHERE {TAKE}() IS NULL AND {TAKE}(a, b, NULL) IS NULL");
        assert_eq!(connection.query_row(&sql, (), |row| row.get(0)), Ok(4));
        assert!(!has_room() && COUNTED.take().is_none() && TAKEN.take().is_none());
    }
}
