//! Answers to the host calls of `update`: the one door through which a guest observes anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use datanode_core::contract::Contract;
use datanode_core::digest::{Digest, Digester};
use datanode_core::frame::{Decoded, FrameDecoder, OutputSummary, OutputValidator};
use datanode_core::quality::Evaluation;
use datanode_core::run::{FetchRecord, InputRecord, LogLine};
use datanode_sandbox::{HostCall, HostCallError, HostCalls, HostReply, Interrupt, Limits, Refusal};
use datanode_store::Snapshot;
use serde_json::Value;

use super::execute::Looks;
use super::inputs::Inputs;
use super::logs::Logs;
use super::sample::Sample;
use super::spill::{Spill, SpillSettings};
use crate::events::{Observer, Pace, RunEvent};
use crate::journal::{JournalWriter, described};
use crate::source::Sources;

/// Output batches as they arrive: checked, hashed, kept for the commit.
#[derive(Debug)]
pub(crate) struct Output {
    decoder: FrameDecoder,
    validator: OutputValidator,
    digest: Digester,
    bytes: u64,
    rows: u64,
    kept: Spill,
    /// What the contract demands of these rows.
    quality: Evaluation,
    sample: Sample,
    /// Rows that are not new, where they are wanted.
    dropped: Option<Spill>,
}

impl Output {
    pub(crate) fn new(
        contract: &Arc<Contract>,
        validator: OutputValidator,
        spill: SpillSettings,
        looks: Looks,
    ) -> Self {
        Self {
            decoder: FrameDecoder::new(&contract.identifier),
            quality: Evaluation::new(Arc::clone(contract)),
            validator: if looks.dropped { validator.keeping_dropped() } else { validator },
            sample: Sample::new(looks.sample),
            dropped: looks.dropped.then(|| Spill::new(spill.clone())),
            digest: Digester::default(),
            bytes: 0,
            rows: 0,
            kept: Spill::new(spill),
        }
    }

    fn emit(&mut self, message: &[u8]) -> Result<(), HostCallError> {
        self.digest.update(message);
        self.bytes += message.len() as u64;
        match self.decoder.decode(message)? {
            Decoded::Schema(schema) => self.validator.schema(&schema)?,
            Decoded::Batch(batch) => {
                self.rows += batch.num_rows() as u64;
                if let Some(batch) = self.validator.batch(&batch)? {
                    self.sample.push(&batch);
                    self.quality.rows(&batch);
                    self.kept.push(batch).map_err(HostCallError)?;
                }
                if let Some(dropped) = &mut self.dropped {
                    for batch in self.validator.take_dropped() {
                        dropped.push(batch).map_err(HostCallError)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Everything that a run saw and made, once the guest has returned.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) summary: OutputSummary,
    pub(crate) kept: Spill,
    pub(crate) quality: Evaluation,
    /// The first rows of these.
    pub(crate) sample: Vec<RecordBatch>,
    /// Rows that are not new, with the snapshot to look them up in, where they were wanted.
    pub(crate) dropped: Option<Spill>,
    pub(crate) snapshot: Option<Box<dyn Snapshot>>,
    pub(crate) bytes_emitted: u64,
    pub(crate) output_digest: Option<Digest>,
    pub(crate) inputs: Vec<InputRecord>,
    pub(crate) fetches: Vec<FetchRecord>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) logs_dropped: u64,
    /// Not at its end yet.
    pub(crate) journal: Option<JournalWriter>,
}

/// The host side of one run. A handle: the sandbox holds one, the run another.
#[derive(Clone)]
pub(crate) struct RunCalls {
    shared: Arc<Mutex<Shared>>,
    interrupt: Interrupt,
}

struct Shared {
    run_id: String,
    inputs: Inputs,
    output: Output,
    sources: Sources,
    options: BTreeMap<String, Value>,
    logs: Logs,
    journal: Option<JournalWriter>,
    observer: Arc<dyn Observer>,
    read: Pace,
    emitted: Pace,
}

impl RunCalls {
    pub(crate) fn new(
        run_id: &str,
        inputs: Inputs,
        output: Output,
        sources: Sources,
        options: BTreeMap<String, Value>,
        observer: Arc<dyn Observer>,
        limits: &Limits,
    ) -> Self {
        let logs = Logs::new(limits);
        let run_id = run_id.to_owned();
        let (read, emitted) = (Pace::default(), Pace::default());
        let journal = None;
        let shared =
            Shared { run_id, inputs, output, sources, options, logs, journal, observer, read, emitted };
        Self { shared: Arc::new(Mutex::new(shared)), interrupt: Interrupt::default() }
    }

    /// The same, taken down in this journal.
    pub(crate) fn with_journal(self, journal: Option<JournalWriter>) -> Self {
        self.lock().journal = journal;
        self
    }

    /// The same, ended from outside by this.
    pub(crate) fn until(self, interrupt: Interrupt) -> Self {
        Self { interrupt, ..self }
    }

    /// Close the door, end all reads, and take what was collected. None while another handle is alive.
    pub(crate) async fn finish(self) -> Option<Collected> {
        let shared = Arc::into_inner(self.shared)?.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Shared { inputs, output, sources, logs, journal, .. } = shared;
        let (inputs, snapshot) = if output.dropped.is_some() {
            let (inputs, snapshot) = inputs.leave_snapshot();
            (inputs, Some(snapshot))
        } else {
            (inputs.end().await, None)
        };
        Some(Collected {
            inputs,
            journal,
            snapshot,
            sample: output.sample.into_rows(),
            dropped: output.dropped,
            fetches: sources.records(),
            logs: logs.lines,
            logs_dropped: logs.dropped,
            output_digest: (output.bytes > 0).then(|| output.digest.finish()),
            bytes_emitted: output.bytes,
            summary: output.validator.finish(),
            kept: output.kept,
            quality: output.quality,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostCalls for RunCalls {
    fn call(&mut self, call: HostCall<'_>) -> Result<HostReply, HostCallError> {
        let mut shared = self.lock();
        let shared = &mut *shared;
        let described = shared.journal.is_some().then(|| described(&call));
        let reply = shared.answer(call);
        if let (Some(journal), Some(described)) = (&shared.journal, described) {
            journal.note(described, &reply);
        }
        reply
    }

    fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }
}

impl Shared {
    // By value, as `HostCalls::call` has it.
    #[allow(clippy::needless_pass_by_value)]
    fn answer(&mut self, call: HostCall<'_>) -> Result<HostReply, HostCallError> {
        Ok(match call {
            HostCall::Open { key, query } => self.inputs.open(key, query)?,
            HostCall::Malformed { problem, .. } => {
                HostReply::Refused(Refusal { code: "query.value".to_owned(), message: problem.to_owned() })
            }
            HostCall::Schema { reader } => self.inputs.schema(reader),
            HostCall::Next { reader } => {
                let reply = self.inputs.next(reader)?;
                if self.read.is_due() {
                    let (run_id, rows) = (self.run_id.clone(), self.inputs.rows());
                    self.observer.event(&RunEvent::RowsRead { run_id, rows });
                }
                reply
            }
            HostCall::CloseReader { reader } => {
                self.inputs.close(reader);
                HostReply::Done
            }
            HostCall::Emit { message } => {
                self.output.emit(message)?;
                let rows = self.output.rows;
                if self.emitted.is_due() {
                    let run_id = self.run_id.clone();
                    self.observer.event(&RunEvent::RowsEmitted { run_id, rows });
                }
                HostReply::Emitted { rows }
            }
            HostCall::Log { level, message, fields } => {
                if let Some(line) = self.logs.write(level, message, fields) {
                    let (run_id, line) = (self.run_id.clone(), line.clone());
                    self.observer.event(&RunEvent::Logged { run_id, line });
                }
                HostReply::Done
            }
            HostCall::Fetch(request) => self.sources.fetch(request)?,
            HostCall::ReadBody { body, max } => self.sources.read(body, max)?,
            HostCall::CloseBody { body } => {
                self.sources.close(body);
                HostReply::Done
            }
            HostCall::Option { name } => HostReply::Option(self.options.get(name).map(Value::to_string)),
        })
    }
}
