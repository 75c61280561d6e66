//! The same calls in the process of the host, by one caller, one after the other.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use datanode_core::Timestamp;
use datanode_core::query::{Bound, ReadQuery, TimeRange};
use datanode_runtime::{ColumnSearch, ExportFormat, Host, RowsWriter, TableQuery, TableSearch};
use datanode_store::Listing;

use super::place::{self, Place};
use super::served::moment;
use super::{Call, FEW_ROWS, Figures, MANY_ROWS, TABLES_OF_PAGE};

/// Calls before any counts.
const WARM: usize = 5;
/// Calls that are measured at least.
const LEAST: usize = 20;

/// Call for so long.
pub(super) fn measure(place: &Place, call: Call, duration: Duration) -> Figures {
    for number in 0..WARM {
        once(place, call, number);
    }
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < duration || times.len() < LEAST {
        let began = Instant::now();
        once(place, call, times.len());
        times.push(began.elapsed().as_secs_f64());
    }
    // What fails here ends the program.
    Figures::of(&times, begun.elapsed().as_secs_f64(), BTreeMap::new())
}

/// Bytes of an answer with few, and with many rows.
pub(super) fn bytes(place: &Place) -> [u64; 2] {
    let read = |query| place.inner.runtime.block_on(read(&place.inner.host, &place.rows, query));
    [read(of_moment(0)).1, read(ReadQuery::default()).1]
}

fn once(place: &Place, call: Call, number: usize) {
    let (runtime, host) = (&place.inner.runtime, &place.inner.host);
    let question = || place.questions[number % place.questions.len()].clone();
    match call {
        Call::FewRows => {
            let found = runtime.block_on(read(host, &place.rows, of_moment(number)));
            assert_eq!(found.0, u64::from(FEW_ROWS));
        }
        Call::ManyRows => {
            let found = runtime.block_on(read(host, &place.rows, ReadQuery::default()));
            assert_eq!(found.0, u64::from(MANY_ROWS));
        }
        Call::List => runtime.block_on(async {
            let identifier = place.pages[number % place.pages.len()].clone();
            let after = Listing::After { identifier, limit: TABLES_OF_PAGE };
            let page = host.store().listed_tables(&after).await.unwrap();
            let uids: Vec<String> = page.into_iter().map(|table| table.uid).collect();
            let page = host.store().tables_called(&uids).await.unwrap();
            black_box(host.listed(page).await.unwrap());
        }),
        Call::Tables => {
            let search = TableSearch { query: question(), ..TableSearch::default() };
            black_box(runtime.block_on(host.search_tables(&search)).unwrap());
        }
        Call::Columns => {
            let search = ColumnSearch { query: question(), ..ColumnSearch::default() };
            black_box(runtime.block_on(host.search_columns(&search)).unwrap());
        }
        Call::Run => place::run(&place.inner, &place.nodes[number % place.nodes.len()]),
    }
}

/// The rows of one moment.
fn of_moment(number: usize) -> ReadQuery {
    let time: Timestamp = moment(number).parse().unwrap();
    let bound = Some(Bound { time, inclusive: true });
    ReadQuery { range: TimeRange { start: bound, end: bound }, ..ReadQuery::default() }
}

/// Rows, and the bytes of the Arrow stream that is made of them.
async fn read(host: &Host, table: &str, query: ReadQuery) -> (u64, u64) {
    let mut reader = host.read_table(table, &TableQuery { query, last: false }).await.unwrap();
    let mut writer = RowsWriter::new(ExportFormat::Arrow, &reader.columns, Vec::new()).unwrap();
    let mut rows = 0;
    while let Some(batch) = reader.next().await.unwrap() {
        rows += batch.num_rows() as u64;
        writer.write(&batch).unwrap();
    }
    (rows, writer.finish().unwrap().len() as u64)
}
