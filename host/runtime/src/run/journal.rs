//! The journal of one run: begun before the guest is called, ended with what became of it.

use std::collections::HashMap;

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::journal::{About, Ended, FORMAT, Header, Held, NamedTable, fits};
use datanode_core::run::{DRY_RUN, RunRecord};
use datanode_sandbox::{CallReport, UpdateContext};
use datanode_store::{RunJournal, Table};

use super::RunOptions;
use crate::journal::{JournalWriter, Written};
use crate::{Host, PlannedNode, RuntimeError};

impl Host {
    /// Begin the journal of a run, where one is kept. What is stored nowhere has none; and where what is set for the run could
    /// not be read again, a warning says so.
    pub(super) fn begin_journal(
        &self,
        planned: &PlannedNode,
        context: &UpdateContext,
        options: &RunOptions,
        record: &mut RunRecord,
        tables: &HashMap<String, Table>,
    ) -> Result<Option<JournalWriter>, RuntimeError> {
        let Some(mode) = self.journals.mode.map(|mode| options.journal.unwrap_or(mode)) else {
            return Ok(None);
        };
        if record.kind == DRY_RUN {
            return Ok(None);
        }
        let named = |(key, table): (&String, &Table)| {
            let identifier = table.contract.identifier.clone();
            (key.clone(), NamedTable { uid: table.uid.clone(), identifier })
        };
        let header = Header {
            format: FORMAT,
            run_id: record.run_id.clone(),
            component: record.component.clone(),
            component_digest: record.component_digest,
            update_hash: record.update_hash.clone(),
            config: record.config.clone(),
            guest_config: planned.guest_config.clone(),
            index: context.index.clone(),
            statistics: Held::of(&context.progress),
            window: context.window,
            is_backfill: context.is_backfill,
            options: record.options.clone(),
            limits: record.limits.clone(),
            host: record.host.clone(),
            about: Some(Box::new(About::of(record, tables.iter().map(named).collect()))),
        };
        if !fits(&header) {
            record.warnings.push(
                "no journal was kept of it: its config or its runtime options are larger than one can hold; this run cannot \
                 be executed again"
                    .to_owned(),
            );
            return Ok(None);
        }
        Ok(Some(JournalWriter::begin(header, mode, self.journals.contents.clone())?))
    }
}

/// End the journal of a run whose guest has ended, and say in its record what it is. None where it is not kept: what ended
/// by the fault of a machine is no fact, and what became too large is told by a warning.
pub(super) async fn end_journal(
    writer: JournalWriter,
    report: &CallReport,
    record: &mut RunRecord,
) -> Result<Option<RunJournal>, RuntimeError> {
    let failure = report.result.as_ref().err();
    let is_fact = failure.is_none_or(|error| error.class() != ErrorClass::Infrastructure);
    let (ended, output, fuel) = (failure.map(Ended::of), record.output_digest, report.fuel);
    let written = tokio::task::spawn_blocking(move || writer.finish(ended, output, fuel))
        .await
        .map_err(|_| RuntimeError::Panicked("a journal was being written"))?;
    match written {
        _ if !is_fact => Ok(None),
        Ok(Some(Written { summary, document, contents })) => {
            record.journal = Some(summary);
            Ok(Some(RunJournal { document, contents }))
        }
        Ok(None) => {
            record.warnings.push(
                "its journal became too large to be kept: this run cannot be executed again; make fewer host calls"
                    .to_owned(),
            );
            Ok(None)
        }
        // What the guest ended in says more.
        Err(_) if failure.is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
