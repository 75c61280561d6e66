//! Rows of a server: Arrow, batch by batch as it comes, so that memory is bounded by the batch.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use datanode_core::contract::Column;
use datanode_runtime::TableQuery;
use datanode_store::Table;
use hyper::header::ACCEPT;
use serde_json::json;

use super::answer::Answer;
use super::client::{Call, Server};

/// The type of a stream of Arrow.
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// Rows on their way from a server.
pub(crate) struct RemoteRows {
    answer: Answer,
    decoder: StreamDecoder,
    /// Bytes that are still to be decoded.
    buffer: Buffer,
    columns: Vec<Column>,
    /// Rows that are still wanted.
    left: u64,
    /// Whether there is a row behind those that were wanted.
    is_cut: bool,
}

impl Server {
    /// The rows of a query, which fits the contract of the table.
    pub(crate) async fn rows(&self, table: &Table, wanted: &TableQuery) -> anyhow::Result<RemoteRows> {
        let columns = wanted.query.output_columns(&table.contract).into_iter().cloned().collect();
        let left = wanted.query.limit.unwrap_or(u64::MAX);
        let mut query = wanted.query.clone();
        // One more than wanted tells whether there are more.
        query.limit = query.limit.map(|limit| limit.saturating_add(1));
        let body = json!({ "query": query, "last": wanted.last });
        let call = Call::post(self.at(&["tables", &table.uid, "rows", "query"])).json(&body)?;
        let answer = self.send(call.with(ACCEPT, ARROW).long()).await?;
        let (decoder, buffer) = (StreamDecoder::new(), Buffer::from_vec(Vec::<u8>::new()));
        Ok(RemoteRows { answer, decoder, buffer, columns, left, is_cut: false })
    }
}

impl RemoteRows {
    /// What the columns of each batch are.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether there were more rows than wanted; known at the end.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The next rows; None at their end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        loop {
            let Some(batch) = self.received().await? else { return Ok(None) };
            let rows = batch.num_rows() as u64;
            if rows > self.left {
                self.is_cut = true;
            }
            let kept = rows.min(self.left);
            self.left -= kept;
            if kept > 0 {
                return Ok(Some(batch.slice(0, usize::try_from(kept).unwrap_or(usize::MAX))));
            }
        }
    }

    /// The next batch as it came.
    async fn received(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        loop {
            let decoded = self.decoder.decode(&mut self.buffer);
            match decoded.map_err(|error| self.answer.odd(&error.to_string()))? {
                Some(batch) => return self.checked(batch).map(Some),
                None if !self.buffer.is_empty() => {}
                None => {
                    if let Some(piece) = self.answer.piece().await? {
                        self.buffer = Buffer::from(piece);
                    } else {
                        // An answer that ends between two batches has been cut off all the same.
                        let whole = self.decoder.finish();
                        whole.map_err(|error| self.answer.odd(&error.to_string()))?;
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// A batch of the columns that were asked for.
    fn checked(&self, batch: RecordBatch) -> anyhow::Result<RecordBatch> {
        let schema = batch.schema();
        let fits = schema.fields().len() == self.columns.len()
            && schema.fields().iter().zip(&self.columns).all(|(field, column)| {
                field.name() == &column.name && field.data_type() == column.arrow_field().data_type()
            });
        if fits {
            return Ok(batch);
        }
        Err(self.answer.odd("rows of other columns than were asked for").into())
    }
}
