//! Rows of a table as the body of an answer, written as they are read.
//!
//! A thread of its own writes each batch in the format that is wanted; a few pieces wait at most until the caller takes them.
//! When the caller goes, the read ends with the next piece, or at once while the database is being waited for.

use std::io::{self, Write};

use arrow_array::RecordBatch;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use datanode_runtime::{ReadError, RowsWriter, TableReader};
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Sender};

use crate::accept::Wanted;
use crate::metrics::Metrics;
use crate::streams::Stream;
use crate::{AppState, Problem};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// Pieces that wait for the caller.
const WAITING: usize = 4;
/// How many rows the whole table has, for those who draw a bar.
const TABLE_ROWS: HeaderName = HeaderName::from_static("datanode-table-rows");

/// Why rows cannot be read, as a problem.
pub(crate) fn read_problem(error: ReadError) -> Problem {
    match error {
        ReadError::Query(error) => Problem::new(StatusCode::BAD_REQUEST, "server.query", error.to_string())
            .with_next("see the table's columns and its key: GET /api/v1/tables/{reference}"),
        ReadError::Store(error) => error.into(),
    }
}

/// Answer with the rows of a reader, for as long as there is a place for it. What fails before the first row is an error;
/// what fails later ends the connection, so that nobody takes a part for the whole.
pub(crate) async fn answer(
    state: &AppState,
    place: Stream,
    mut reader: TableReader,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let first = reader.next().await?;
    let table_rows = reader.rows_of_table;
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    let metrics = state.metrics().clone();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let _stream = metrics.row_stream();
        metrics.row_stream_ended(write(reader, first, wanted, &sender, &metrics));
    });
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let mut answer = Body::from_stream(pieces.fuse()).into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(wanted.media_type));
    headers.insert(TABLE_ROWS, HeaderValue::from(table_rows));
    Ok(answer)
}

/// Write all of it; how it ended.
fn write(
    mut reader: TableReader,
    first: Option<RecordBatch>,
    wanted: Wanted,
    sender: &Sender<io::Result<Bytes>>,
    metrics: &Metrics,
) -> &'static str {
    let runtime = Handle::current();
    let failed = |error: &dyn std::fmt::Display| {
        if sender.is_closed() {
            return "gone";
        }
        tracing::error!(error = %error, "an answer of rows has failed");
        // The connection is ended in the middle of the body.
        let _ = sender.blocking_send(Err(io::Error::other("the rows cannot be read any further")));
        "failed"
    };
    let pieces = Pieces { sender: sender.clone(), buffer: BytesMut::with_capacity(PIECE) };
    let mut writer = match RowsWriter::new(wanted.format, &reader.columns, pieces) {
        Ok(writer) => writer,
        Err(error) => return failed(&error),
    };
    let mut next = first;
    while let Some(batch) = next {
        if let Err(error) = writer.write(&batch) {
            return failed(&error);
        }
        metrics.rows(wanted.name, batch.num_rows() as u64);
        let read = runtime.block_on(async {
            tokio::select! {
                biased;
                () = sender.closed() => None,
                read = reader.next() => Some(read),
            }
        });
        next = match read {
            None => return "gone",
            Some(Ok(next)) => next,
            Some(Err(error)) => return failed(&error),
        };
    }
    match writer.finish() {
        Ok(_) => "complete",
        Err(error) => failed(&error),
    }
}

/// What is written, in pieces. A caller who has gone is a broken pipe.
struct Pieces {
    sender: Sender<io::Result<Bytes>>,
    buffer: BytesMut,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE);
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() >= PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    /// Whole pieces are sent as they come; writers flush far more often than a piece is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        // The last piece, of a writer that has come to its end, and of one that has not: what comes behind it says which.
        let _ = self.send();
    }
}
