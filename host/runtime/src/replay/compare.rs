//! What a run did and what its replay did, side by side: the first difference is the verdict.

use std::fmt::Display;

use datanode_core::diagnostic::ErrorClass;
use datanode_core::digest::Digest;
use datanode_core::journal::{Ended, Header, Held, JournalSummary};
use datanode_core::run::{BACKFILL, RunRecord, RunStatus, StatisticsSummary};
use datanode_sandbox::LimitKind;
use serde_json::{Value, json};

use super::{Difference, Verdict, record as records};
use crate::journal::{Seen, Stopped};

/// What the replay did.
pub(super) struct Now<'a> {
    pub(super) seen: &'a Seen,
    /// The error that the guest ended in.
    pub(super) ended: Option<Ended>,
    pub(super) fuel: u64,
    pub(super) peak_memory: u64,
    pub(super) engine: &'a str,
    /// Whether the run was made by this version of the engine.
    pub(super) is_ours: bool,
}

impl Now<'_> {
    /// Whether fuel has ended the guest, then or now, and what counts it is not the same. All that came before was the same.
    fn is_ended_by_other_fuel(&self) -> bool {
        let by_fuel = |ended: Option<&Ended>| ended.is_some_and(|ended| ended.code == LimitKind::Fuel.code());
        let then = self.seen.end.as_ref().and_then(|end| end.error.as_ref());
        !self.is_ours && (by_fuel(then) || by_fuel(self.ended.as_ref()))
    }
}

/// Host calls come first: where they differ, all else follows from that.
pub(super) fn verdict(
    record: &RunRecord,
    summary: &JournalSummary,
    header: &Header,
    now: &Now<'_>,
) -> Verdict {
    let by_fuel = now.is_ended_by_other_fuel();
    match &now.seen.stopped {
        // It went on where it was ended then, or was ended where it went on then.
        Some(Stopped::Differs { .. }) if by_fuel => {}
        Some(Stopped::Differs { call, function, message, recorded, replayed }) => {
            // The first message is the schema, each further one a batch.
            let message =
                message.map_or(String::new(), |message| format!(", message {message} of the output"));
            return Verdict::Different(Difference {
                what: format!("host call {call}, `{function}`{message}"),
                call: Some(*call),
                recorded: recorded.clone(),
                replayed: replayed.clone(),
            });
        }
        Some(Stopped::Missing { call, function, content }) => {
            return Verdict::CannotReplay {
                missing: format!("what host call {call}, `{function}`, answered is not kept: {content}"),
                next_step: Some(
                    "put `contents` back into the data directory, from a copy of it: a backup of the database has it not"
                        .to_owned(),
                ),
            };
        }
        Some(Stopped::Damaged(problem)) => {
            let then = format!("a journal of {} calls with the digest {}", summary.calls, summary.sha256);
            return Verdict::Different(difference("the journal", &then, problem));
        }
        None => {}
    }
    let difference = against_header(record, header);
    if difference.is_none() && by_fuel {
        return other_fuel(header, now);
    }
    let difference = difference
        .or_else(|| outcome(record, now))
        .or_else(|| records::against_seen(record, header, &now.seen.totals))
        .or_else(|| against_summary(summary, now))
        .or_else(|| fuel(record, now));
    difference.map_or(Verdict::Identical, Verdict::Different)
}

/// Where fuel ends is a fact of one version of the engine: no other one can find it again, or deny it.
fn other_fuel(header: &Header, now: &Now<'_>) -> Verdict {
    let version = |of: &str| header.host.get(of).map_or("an unknown version", String::as_str);
    Verdict::CannotReplay {
        missing: format!(
            "it was ended by fuel, which each version of the engine counts in its own way: the run was made by {}, and this \
             host has {}",
            version("engine"),
            now.engine
        ),
        next_step: Some(format!(
            "replay it with the release of datanode that recorded it: {}",
            version("datanode")
        )),
    }
}

pub(super) fn difference(what: &str, recorded: &dyn Display, replayed: &dyn Display) -> Difference {
    Difference {
        what: what.to_owned(),
        call: None,
        recorded: recorded.to_string(),
        replayed: replayed.to_string(),
    }
}

/// What the record says of the run and of what it was given, and what the journal says.
fn against_header(record: &RunRecord, header: &Header) -> Option<Difference> {
    let held = Held::progress(&header.statistics);
    let statistics = StatisticsSummary {
        coordinates: held.len() as u64,
        rows: held.rows(),
        min_time: held.min_time(),
        max_time: held.max_time(),
    };
    [
        ("the run id", json!(record.run_id), json!(header.run_id)),
        ("the component", json!(record.component), json!(header.component)),
        ("the bytes of the component", json!(record.component_digest), json!(header.component_digest)),
        ("the identity of the node", json!(record.update_hash), json!(header.update_hash)),
        ("the config", record.config.clone(), header.config.clone()),
        ("the window", json!(record.window), json!(header.window)),
        ("the statistics", json!(record.statistics), json!(statistics)),
        ("the runtime options", json!(record.options), json!(header.options)),
        ("the limits", record.limits.clone(), header.limits.clone()),
        ("the versions of the host", json!(record.host), json!(header.host)),
        ("whether it was of a backfill", json!(record.kind == BACKFILL), json!(header.is_backfill)),
        ("the producer", json!(record.producer), Value::Null),
    ]
    .into_iter()
    .find(|(_, recorded, replayed)| recorded != replayed)
    .map(|(what, recorded, replayed)| difference(what, &recorded, &replayed))
    .or_else(|| records::against_about(record, header.about.as_deref()?))
}

/// What came of it.
fn outcome(record: &RunRecord, now: &Now<'_>) -> Option<Difference> {
    let seen = now.seen;
    let end = seen.end.as_ref()?;
    let text = |ended: &Option<Ended>| {
        ended.as_ref().map_or_else(|| "the guest returned".to_owned(), ToString::to_string)
    };
    if end.error != now.ended {
        return Some(difference("the outcome", &text(&end.error), &text(&now.ended)));
    }
    if let Some(said) = contradiction(record, now.ended.as_ref()) {
        return Some(difference("the outcome", &said, &text(&now.ended)));
    }
    let output = seen.totals.output_digest;
    for recorded in [end.output_digest, record.output_digest] {
        if recorded != output {
            let text =
                |digest: Option<Digest>| digest.map_or("nothing".to_owned(), |digest| digest.to_string());
            return Some(difference("the digest of the output", &text(recorded), &text(output)));
        }
    }
    None
}

/// What the record says of the outcome, where that cannot be after a guest that ended like this.
fn contradiction(record: &RunRecord, ended: Option<&Ended>) -> Option<String> {
    let is_good = matches!(record.status, RunStatus::Ok | RunStatus::Empty);
    let fits = match (&record.error, ended) {
        (None, None) => is_good,
        // After the guest had returned: its rows were refused, by a check or by the commit.
        (Some(_), None) => record.status == RunStatus::Failed,
        (None, Some(_)) => false,
        // A lease that was lost meanwhile, or an interruption, is all that is told of a run.
        (Some(error), Some(ended)) => {
            let author = error.guest.as_ref().and_then(|guest| guest.author.as_ref());
            let same = error.code == ended.code && author == ended.author.as_ref();
            record.status == RunStatus::Failed && (same || error.class == ErrorClass::Infrastructure.as_str())
        }
    };
    let error = record.error.as_ref().map_or("no error", |error| error.code.as_str());
    (!fits).then(|| format!("{}, {error}", record.status))
}

/// What the record says of the journal.
fn against_summary(summary: &JournalSummary, now: &Now<'_>) -> Option<Difference> {
    let digest = now.seen.journal?;
    [
        ("the digest of the journal", json!(summary.sha256), json!(digest)),
        ("the host calls of the journal", json!(summary.calls), json!(now.seen.calls)),
        ("the bytes that it was given", json!(summary.content_bytes), json!(now.seen.totals.content_bytes)),
    ]
    .into_iter()
    .find(|(_, recorded, replayed)| recorded != replayed)
    .map(|(what, recorded, replayed)| difference(what, &text(&recorded), &text(&replayed)))
}

/// A value for people: texts as they are.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What an instruction costs is a matter of the engine's version, and so is what comes of memory that is about to be full.
fn fuel(record: &RunRecord, now: &Now<'_>) -> Option<Difference> {
    let end = now.seen.end.as_ref()?;
    let fuel = [end.fuel, record.fuel].into_iter().find(|fuel| *fuel != now.fuel);
    let of_fuel = fuel.map(|then| difference("the fuel", &then, &now.fuel));
    let of_memory = (record.peak_memory != now.peak_memory)
        .then(|| difference("the memory of the guest", &record.peak_memory, &now.peak_memory));
    of_fuel.or(of_memory).filter(|_| now.is_ours)
}
