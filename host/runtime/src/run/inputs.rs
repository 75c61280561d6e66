//! Frames that a guest reads: pages of one snapshot, as Arrow IPC, recorded as they are handed out.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use datanode_core::contract::{Column, TIME_INDEX};
use datanode_core::data_type::DataType;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digester;
use datanode_core::frame::FrameEncoder;
use datanode_core::query::ReadQuery;
use datanode_core::run::InputRecord;
use datanode_core::{Timestamp, query::QueryError};
use datanode_sandbox::{HostCallError, HostReply, Refusal};
use datanode_store::{IndexKey, Snapshot, Table, TableRead};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};

use crate::RuntimeError;

/// Bytes that one message of a frame should have.
const MESSAGE_BYTES: usize = 2 << 20;
/// Characters of what a guest is told of a query that is refused.
const MOST_TOLD: usize = 2_000;
/// Bytes that may be read before the guest asks for them, by all readers of a run together.
const AHEAD_BYTES: usize = 32 << 20;

/// A frame could not be written: a bug of the host.
#[derive(Debug, Error)]
#[error("table `{table}` cannot be written as Arrow IPC: {problem}")]
struct EncodeError {
    table: String,
    problem: String,
}

impl Diagnostic for EncodeError {
    fn code(&self) -> &'static str {
        "frame.encode"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }
}

/// The tables that a run may read, and the readers it has open.
///
/// While the guest works on a page, the next one of its reader is read, encoded and hashed: one page per reader, and
/// all together no more than [`AHEAD_BYTES`]. What is read ahead is recorded when it is handed out, and not before.
#[derive(Debug)]
pub(crate) struct Inputs {
    runtime: Handle,
    snapshot: Box<dyn Snapshot>,
    /// Dependency key → table.
    tables: HashMap<String, Table>,
    readers: HashMap<u32, Reader>,
    records: Vec<Input>,
    rows: u64,
    /// Bytes that may still be read ahead.
    ahead: Arc<Semaphore>,
}

#[derive(Debug)]
struct Reader {
    schema: Bytes,
    /// Place in `records`.
    record: usize,
    next: Next,
}

/// The next page of a reader.
#[derive(Debug)]
enum Next {
    /// Nobody reads it yet.
    Unread(Box<Position>),
    /// It is being read, or waits.
    Ahead(Task<Result<Ahead, HostCallError>>),
    /// There is none.
    Ended,
}

/// Where a reader stands.
#[derive(Debug)]
struct Position {
    read: Arc<dyn TableRead>,
    encoder: FrameEncoder,
    /// Identifier of the table.
    table: String,
    /// Rows per page.
    page: usize,
    after: Option<IndexKey>,
    /// Of all that was handed out.
    digest: Digester,
    /// Bytes of the last page: the best guess at the next one.
    bytes: usize,
}

/// A page as the guest gets it.
#[derive(Debug)]
struct Message {
    bytes: Bytes,
    rows: u64,
    first: Option<Timestamp>,
    last: IndexKey,
    /// Of all that was handed out, and this.
    digest: Digester,
}

/// What came of reading ahead.
#[derive(Debug)]
struct Ahead {
    position: Box<Position>,
    /// The page, if there is one, and the share of the budget that it holds; None when it did not fit the budget and was
    /// let go.
    page: Option<(Option<Message>, OwnedSemaphorePermit)>,
}

/// A task that is not wanted any more once this is dropped.
#[derive(Debug)]
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Input {
    key: String,
    table_uid: String,
    table: String,
    rows: u64,
    bytes: u64,
    digest: Digester,
    times: Option<(Timestamp, Timestamp)>,
}

impl Inputs {
    pub(crate) fn new(snapshot: Box<dyn Snapshot>, tables: HashMap<String, Table>) -> Self {
        Self {
            runtime: Handle::current(),
            snapshot,
            tables,
            readers: HashMap::new(),
            records: Vec::new(),
            rows: 0,
            ahead: Arc::new(Semaphore::new(AHEAD_BYTES)),
        }
    }

    /// Rows handed out so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Open a reader.
    pub(crate) fn open(&mut self, key: &str, query: &ReadQuery) -> Result<HostReply, HostCallError> {
        let Some(table) = self.tables.get(key) else {
            let mut known: Vec<&str> = self.tables.keys().map(String::as_str).collect();
            known.sort_unstable();
            let key: String = key.chars().take(80).collect();
            let message =
                format!("`{key}` is not a declared dependency; this node may read {}", known.join(", "));
            return Ok(refused("frames.unknown_key", message));
        };
        if let Err(error) = query.check(&table.contract) {
            let code = match error {
                QueryError::UnknownColumn { .. } => "query.unknown_column",
                QueryError::UnknownDimension { .. } => "query.unknown_dimension",
                QueryError::TooLarge { .. } => "query.too_large",
                QueryError::NoTime { .. } => "query.no_time",
                _ => "query.value",
            };
            // A guest may have given megabytes, and what it is told is in its journal.
            return Ok(refused(code, error.to_string().chars().take(MOST_TOLD).collect()));
        }
        let columns = query.output_columns(&table.contract);
        let schema = arrow_schema(&columns);
        let encoder =
            FrameEncoder::new(&schema).map_err(|error| encode_error(&table.contract.identifier, &error))?;
        let page = rows_per_message(&columns);
        let number = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        self.records.push(Input {
            key: key.to_owned(),
            table_uid: table.uid.clone(),
            table: table.contract.identifier.clone(),
            rows: 0,
            bytes: 0,
            digest: Digester::default(),
            times: None,
        });
        let schema = Bytes::copy_from_slice(encoder.schema());
        let position = Position {
            read: self.snapshot.read(table, query),
            encoder,
            table: table.contract.identifier.clone(),
            page,
            after: None,
            digest: Digester::default(),
            bytes: 0,
        };
        let next = Next::Unread(Box::new(position));
        self.readers.insert(number, Reader { schema, record: number as usize, next });
        Ok(HostReply::Opened(number))
    }

    /// The schema message of a reader.
    pub(crate) fn schema(&mut self, reader: u32) -> HostReply {
        match self.readers.get(&reader) {
            Some(reader) => HostReply::Bytes(reader.schema.clone()),
            None => HostReply::End,
        }
    }

    /// The next record-batch message of a reader.
    pub(crate) fn next(&mut self, reader: u32) -> Result<HostReply, HostCallError> {
        let Some(reader) = self.readers.get_mut(&reader) else { return Ok(HostReply::End) };
        let (mut position, message) = match std::mem::replace(&mut reader.next, Next::Ended) {
            Next::Unread(position) => self.runtime.block_on(read(position))?,
            Next::Ahead(mut task) => match self.runtime.block_on(&mut task.0) {
                Err(error) => return Err(ended_early(error)),
                Ok(ahead) => match ahead? {
                    // The share of the budget is given back here.
                    Ahead { position, page: Some((message, _)) } => (position, message),
                    Ahead { position, page: None } => self.runtime.block_on(read(position))?,
                },
            },
            Next::Ended => return Ok(HostReply::End),
        };
        let Some(message) = message else { return Ok(HostReply::End) };
        let input = &mut self.records[reader.record];
        input.rows += message.rows;
        input.bytes += message.bytes.len() as u64;
        input.digest = message.digest.clone();
        if let Some(first) = message.first {
            let (min, max) = input.times.unwrap_or((first, first));
            input.times = Some((min.min(first), max.max(message.last.time.unwrap_or(first))));
        }
        self.rows += message.rows;
        position.after = Some(message.last);
        position.digest = message.digest;
        reader.next = read_ahead(&self.runtime, &self.ahead, position);
        Ok(HostReply::Bytes(message.bytes))
    }

    pub(crate) fn close(&mut self, reader: u32) {
        self.readers.remove(&reader);
    }

    /// End all reads and the snapshot; what was read, for the run record.
    pub(crate) async fn end(self) -> Vec<InputRecord> {
        let (records, snapshot) = self.leave_snapshot();
        snapshot.end().await;
        records
    }

    /// End all reads, and leave the snapshot to the caller; what was read, for the run record.
    pub(crate) fn leave_snapshot(self) -> (Vec<InputRecord>, Box<dyn Snapshot>) {
        drop(self.readers);
        let record = |input: Input| InputRecord {
            key: input.key,
            table_uid: input.table_uid,
            table: input.table,
            rows: input.rows,
            bytes: input.bytes,
            digest: input.digest.finish(),
            min_time: input.times.map(|(min, _)| min),
            max_time: input.times.map(|(_, max)| max),
        };
        (self.records.into_iter().map(record).collect(), self.snapshot)
    }
}

/// Begin to read the next page, when the budget has room for one like the last.
fn read_ahead(runtime: &Handle, budget: &Arc<Semaphore>, position: Box<Position>) -> Next {
    let Some(share) = share(budget, position.bytes) else { return Next::Unread(position) };
    let budget = Arc::clone(budget);
    Next::Ahead(Task(runtime.spawn(async move {
        let mut share = share;
        let (position, message) = read(position).await?;
        // Where the pages of a frame end must not depend on the budget: a page that is larger than the last one and
        // does not fit is read again when its turn has come.
        let more = position.bytes.saturating_sub(share.num_permits());
        let page = self::share(&budget, more).map(|more| {
            share.merge(more);
            (message, share)
        });
        Ok(Ahead { position, page })
    })))
}

fn share(budget: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(budget).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
}

/// Read a page; the position stays where it was until the page is handed out.
async fn read(mut position: Box<Position>) -> Result<(Box<Position>, Option<Message>), HostCallError> {
    let Some(page) = position.read.page(position.after.as_ref(), position.page).await? else {
        position.bytes = 0;
        return Ok((position, None));
    };
    let encoding = tokio::task::spawn_blocking(move || {
        let message =
            position.encoder.encode(&page.batch).map_err(|error| encode_error(&position.table, &error))?;
        position.bytes = message.len();
        let mut digest = position.digest.clone();
        digest.update(&message);
        let message = Message {
            bytes: Bytes::from(message),
            rows: page.batch.num_rows() as u64,
            first: first_time(&page.batch),
            last: page.last,
            digest,
        };
        Ok((position, Some(message)))
    });
    encoding.await.unwrap_or_else(|error| Err(ended_early(error)))
}

/// A panic goes on where its page was wanted.
fn ended_early(error: JoinError) -> HostCallError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // Never started: the runtime is shutting down.
        Err(_) => RuntimeError::Panicked("a frame was being read").into(),
    }
}

fn refused(code: &str, message: String) -> HostReply {
    HostReply::Refused(Refusal { code: code.to_owned(), message })
}

fn encode_error(table: &str, error: &arrow_schema::ArrowError) -> HostCallError {
    EncodeError { table: table.to_owned(), problem: error.to_string() }.into()
}

fn arrow_schema(columns: &[&Column]) -> arrow_schema::Schema {
    arrow_schema::Schema::new(columns.iter().map(|column| column.arrow_field()).collect::<Vec<_>>())
}

/// Rows that make a message of about [`MESSAGE_BYTES`], guessed from the types.
fn rows_per_message(columns: &[&Column]) -> usize {
    let width = |data_type: DataType| match data_type {
        DataType::Bool => 1,
        DataType::Int16 => 2,
        DataType::Int32 | DataType::Float32 | DataType::Date => 4,
        DataType::Int64 | DataType::Float64 | DataType::TimestampTz => 8,
        DataType::Uuid | DataType::Decimal { .. } => 16,
        DataType::String => 24,
        DataType::Json | DataType::Bytes => 256,
    };
    let row: usize = columns.iter().map(|column| width(column.data_type)).sum();
    (MESSAGE_BYTES / row.max(1)).clamp(256, 131_072)
}

/// Rows come sorted by time, so the first one is the earliest of its page.
fn first_time(batch: &RecordBatch) -> Option<Timestamp> {
    use arrow_array::cast::AsArray;
    let times = batch.column_by_name(TIME_INDEX)?;
    let times = times.as_primitive_opt::<arrow_array::types::TimestampMicrosecondType>()?;
    Timestamp::from_micros(*times.values().first()?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use arrow_array::{ArrayRef, StringArray, TimestampMicrosecondArray};
    use async_trait::async_trait;
    use datanode_core::contract::Contract;
    use datanode_core::coordinate::{Coordinate, CoordinateValue};
    use datanode_core::digest::Digest;
    use datanode_core::progress::Progress;
    use datanode_store::{Page, StoreError};

    use super::*;

    /// A table whose pages have one row each; the text of row n has `bytes[n]` bytes.
    #[derive(Debug)]
    struct Rows {
        bytes: Vec<usize>,
        /// Pages that were asked for.
        asked: AtomicUsize,
        /// Pages that are being waited for, of those that never come.
        waiting: Arc<AtomicUsize>,
    }

    /// A text of this length makes a page that never comes.
    const NEVER: usize = usize::MAX;

    #[async_trait]
    impl TableRead for Rows {
        async fn page(&self, after: Option<&IndexKey>, _: usize) -> Result<Option<Page>, StoreError> {
            struct Waiting(Arc<AtomicUsize>);
            impl Drop for Waiting {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, Ordering::SeqCst);
                }
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
            let row = after.map_or(0, |key| usize::try_from(key.time.unwrap().micros()).unwrap() + 1);
            let Some(bytes) = self.bytes.get(row) else { return Ok(None) };
            if *bytes == NEVER {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let _waiting = Waiting(Arc::clone(&self.waiting));
                std::future::pending::<()>().await;
            }
            let (text, micros) = ("x".repeat(*bytes), i64::try_from(row).unwrap());
            let columns: Vec<(&str, ArrayRef)> = vec![
                (TIME_INDEX, Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))),
                ("name", Arc::new(StringArray::from(vec![text.clone()]))),
            ];
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            let last = IndexKey {
                time: Some(Timestamp::from_micros(micros).unwrap()),
                coordinate: Coordinate(vec![CoordinateValue::Text(text)]),
            };
            Ok(Some(Page { batch, last }))
        }
    }

    #[derive(Debug)]
    struct OneTable(Arc<Rows>);

    #[async_trait]
    impl Snapshot for OneTable {
        async fn table(&mut self, _: &str) -> Result<Table, StoreError> {
            Ok(table())
        }

        async fn progress(&mut self, _: &Table) -> Result<Progress, StoreError> {
            Ok(Progress::default())
        }

        async fn progress_of(&mut self, _: &[Table]) -> Result<Vec<Progress>, StoreError> {
            unreachable!()
        }

        async fn node_windows(&mut self, _: &str) -> Result<datanode_core::ledger::Ledger, StoreError> {
            unreachable!()
        }

        async fn backfill_raised(&mut self, _: &str) -> Result<i64, StoreError> {
            unreachable!()
        }

        async fn row_count(&mut self, _: &Table) -> Result<u64, StoreError> {
            Ok(0)
        }

        async fn extents(&mut self, _: &[Table]) -> Result<Vec<datanode_store::Extent>, StoreError> {
            unreachable!()
        }

        fn read(&self, _: &Table, _: &ReadQuery) -> Arc<dyn TableRead> {
            Arc::clone(&self.0) as _
        }

        async fn end(self: Box<Self>) {
            // A real snapshot waits for the reads that are under way.
            while self.0.waiting.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    fn table() -> Table {
        let contract = "identifier = \"t\"\nindex = [\"time_index\", \"name\"]\ncolumns = [\
            { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"name\", type = \"string\" }]";
        let created_at = Timestamp::from_micros(0).unwrap();
        Table {
            uid: "u".to_owned(),
            contract: Contract::from_toml(contract).unwrap(),
            epoch: 0,
            created_at,
            owner: None,
        }
    }

    fn inputs(bytes: &[usize]) -> (Inputs, Arc<Rows>) {
        let rows =
            Arc::new(Rows { bytes: bytes.to_vec(), asked: AtomicUsize::new(0), waiting: Arc::default() });
        let inputs =
            Inputs::new(Box::new(OneTable(Arc::clone(&rows))), HashMap::from([("t".to_owned(), table())]));
        (inputs, rows)
    }

    fn open(inputs: &mut Inputs) -> u32 {
        match inputs.open("t", &ReadQuery::default()).unwrap() {
            HostReply::Opened(number) => number,
            other => panic!("{other:?}"),
        }
    }

    /// The next page, asked for on a thread that may block, as a guest's call is.
    async fn next(inputs: Inputs, reader: u32) -> (Inputs, Option<Bytes>) {
        let asking = tokio::task::spawn_blocking(move || {
            let mut inputs = inputs;
            let reply = inputs.next(reader).unwrap();
            (inputs, reply)
        });
        match asking.await.unwrap() {
            (inputs, HostReply::Bytes(bytes)) => (inputs, Some(bytes)),
            (inputs, HostReply::End) => (inputs, None),
            (_, other) => panic!("{other:?}"),
        }
    }

    /// Wait until so many pages were asked for, which must be all that ever are.
    async fn asked(rows: &Rows, pages: usize) {
        while rows.asked.load(Ordering::SeqCst) < pages {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(rows.asked.load(Ordering::SeqCst), pages);
    }

    #[tokio::test]
    async fn one_page_is_read_ahead_and_only_what_was_handed_out_is_recorded() {
        let (mut inputs, rows) = inputs(&[10, 20, 30]);
        let reader = open(&mut inputs);
        asked(&rows, 0).await;
        let (inputs, first) = next(inputs, reader).await;
        asked(&rows, 2).await;
        let (inputs, second) = next(inputs, reader).await;
        asked(&rows, 3).await;
        assert_eq!(inputs.rows(), 2);
        let record = inputs.end().await.remove(0);
        let handed_out = [first.unwrap(), second.unwrap()].concat();
        assert_eq!((record.rows, record.bytes), (2, handed_out.len() as u64));
        assert_eq!(record.digest, Digest::of(&handed_out));
        let micros = |time: Option<Timestamp>| time.unwrap().micros();
        assert_eq!((micros(record.min_time), micros(record.max_time)), (0, 1));
    }

    #[tokio::test]
    async fn a_reader_ends_once_and_for_all() {
        let (mut inputs, rows) = inputs(&[10]);
        let reader = open(&mut inputs);
        let (inputs, first) = next(inputs, reader).await;
        assert!(first.is_some());
        let (inputs, end) = next(inputs, reader).await;
        let (inputs, still) = next(inputs, reader).await;
        assert_eq!((end, still), (None, None));
        asked(&rows, 2).await;
        assert_eq!(inputs.end().await[0].rows, 1);
    }

    #[tokio::test]
    async fn pages_beyond_the_budget_are_not_read_ahead_and_are_the_same() {
        let large = AHEAD_BYTES + 1;
        let (mut inputs, rows) = inputs(&[10, large, large, 10]);
        let reader = open(&mut inputs);
        let (inputs, _) = next(inputs, reader).await;
        // The second page was read ahead, was too large, and is read again.
        asked(&rows, 2).await;
        while inputs.ahead.available_permits() < AHEAD_BYTES {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (inputs, second) = next(inputs, reader).await;
        assert!(second.unwrap().len() > large);
        // Pages like it are not read ahead at all.
        asked(&rows, 3).await;
        let (inputs, third) = next(inputs, reader).await;
        assert!(third.unwrap().len() > large);
        asked(&rows, 4).await;
        let (inputs, last) = next(inputs, reader).await;
        assert!(last.is_some());
        let (inputs, end) = next(inputs, reader).await;
        assert_eq!(end, None);
        assert_eq!(inputs.end().await[0].rows, 4);
    }

    #[tokio::test]
    async fn readers_share_the_budget() {
        let third = AHEAD_BYTES / 3;
        let (mut inputs, rows) = inputs(&[third; 3]);
        let readers: Vec<u32> = (0..4).map(|_| open(&mut inputs)).collect();
        for reader in &readers {
            inputs = next(inputs, *reader).await.0;
        }
        // Each gave its first page; only two more fit, for a message is larger than its text.
        asked(&rows, 6).await;
        while inputs.ahead.available_permits() >= third {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // A reader that is closed gives its share back.
        inputs.close(readers[0]);
        while inputs.ahead.available_permits() < third {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        inputs.end().await;
    }

    #[tokio::test]
    async fn what_is_being_read_ahead_ends_with_its_reader_and_with_the_run() {
        for close in [true, false] {
            let (mut inputs, rows) = inputs(&[10, NEVER]);
            let reader = open(&mut inputs);
            let (mut inputs, _) = next(inputs, reader).await;
            asked(&rows, 2).await;
            assert_eq!(rows.waiting.load(Ordering::SeqCst), 1);
            if close {
                inputs.close(reader);
                while rows.waiting.load(Ordering::SeqCst) > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            assert_eq!(inputs.end().await[0].rows, 1);
            assert_eq!(rows.waiting.load(Ordering::SeqCst), 0);
            assert_eq!(Arc::strong_count(&rows), 1, "nothing outlives the run");
        }
    }
}
