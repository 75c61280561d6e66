//! What `update` works with: facts given by the host, reads, sources, options, and the way out.

use std::rc::Rc;

use arrow_array::RecordBatch;
use chrono::TimeDelta;
use serde::de::DeserializeOwned;

use crate::frames::{FrameWriter, Frames};
use crate::host::Host;
use crate::sources::{Request, Response};
use crate::{CoordinateValue, HostError, NodeError, Output, Query, Timestamp, UpdateStatistics, Window};

/// The context of one `update`.
pub struct Context {
    host: Rc<dyn Host>,
    statistics: UpdateStatistics,
    window: Window,
    is_backfill: bool,
    output: Output,
    writer: Option<FrameWriter>,
}

impl Context {
    /// Used by the export glue and by the test harness.
    pub(crate) fn new(
        host: Rc<dyn Host>,
        statistics: UpdateStatistics,
        window: Window,
        is_backfill: bool,
        output: Output,
    ) -> Self {
        Self { host, statistics, window, is_backfill, output, writer: None }
    }

    /// What the output table already holds.
    pub fn statistics(&self) -> &UpdateStatistics {
        &self.statistics
    }

    /// What this run may cover. Its end is the only notion of now.
    pub fn window(&self) -> Window {
        self.window
    }

    /// True when the run fills an explicit range of the past.
    pub fn is_backfill(&self) -> bool {
        self.is_backfill
    }

    /// Whether a row is still to be computed: inside the window, and later than what is stored of its coordinate.
    /// A backfill looks at the window alone. For many rows of one coordinate ask [`missing`](Self::missing) once.
    pub fn is_missing(&self, time: Timestamp, coordinate: &[CoordinateValue]) -> bool {
        self.missing(coordinate).contains(time)
    }

    /// What is still to be computed of a coordinate: the part of the window that is later than what is stored of it. In a
    /// backfill the whole window.
    pub fn missing(&self, coordinate: &[CoordinateValue]) -> Window {
        let stored = self.statistics.last_update_for(coordinate).filter(|_| !self.is_backfill);
        // Moments have microseconds: this one is the next.
        let next = stored.map(|last| last + TimeDelta::microseconds(1));
        Window { start: next.max(self.window.start), end: self.window.end }
    }

    /// Open a declared dependency by its key, or the output table under the key `self`. All reads of one run see one
    /// snapshot of the database.
    #[track_caller]
    pub fn read(&self, key: &str, query: Query) -> Result<Frames, NodeError> {
        Frames::new(key, self.host.open(key, query)?)
    }

    /// Emit rows, in any order. Batches of any size will do: they are cut into messages of a good size. A batch
    /// without rows emits nothing.
    #[track_caller]
    pub fn emit(&mut self, batch: &RecordBatch) -> Result<(), NodeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = self.output.conform(batch)?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => empty.insert(FrameWriter::new(batch.schema())?),
        };
        let host = &self.host;
        writer.write(&batch, &mut |message| host.emit(message))
    }

    /// Ask a declared source. A status such as 404 is an answer; a refusal of the host is an error.
    pub fn fetch(&self, request: Request) -> Result<Response, HostError> {
        let asked = format!("{} {}/{}", request.method, request.source, request.path);
        Ok(Response::new(asked, self.host.fetch(request)?))
    }

    /// A runtime option: how the run is done, never what it computes. None when the operator did not set it.
    #[track_caller]
    pub fn option<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, NodeError> {
        let Some(json) = self.host.option(name) else { return Ok(None) };
        match serde_json::from_str(&json) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                Err(NodeError::new("option.invalid", format!("option `{name}`: {error}"))
                    .field("option", name))
            }
        }
    }
}
