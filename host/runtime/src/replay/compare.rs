//! What a run did and what its replay did, side by side: the first difference is the verdict.

use std::fmt::Display;

use datanode_core::digest::Digest;
use datanode_core::journal::{Ended, Header, Held, JournalSummary};
use datanode_core::run::{RunRecord, StatisticsSummary};
use serde_json::json;

use super::{Difference, Verdict};
use crate::journal::{Seen, Stopped};

/// What the replay did.
pub(super) struct Now<'a> {
    pub(super) seen: &'a Seen,
    /// The error that the guest ended in.
    pub(super) ended: Option<Ended>,
    pub(super) fuel: u64,
    pub(super) engine: &'a str,
}

/// Host calls come first: where they differ, all else follows from that.
pub(super) fn verdict(
    record: &RunRecord,
    summary: &JournalSummary,
    header: &Header,
    now: &Now<'_>,
) -> Verdict {
    match &now.seen.stopped {
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
                next_step: Some("bring the contents of the data directory back from a backup".to_owned()),
            };
        }
        Some(Stopped::Damaged(problem)) => {
            let then = format!("a journal of {} calls with the digest {}", summary.calls, summary.sha256);
            return Verdict::Different(difference("the journal", &then, problem));
        }
        None => {}
    }
    let difference = against_record(record, header)
        .or_else(|| outcome(record, summary, now))
        .or_else(|| fuel(record, header, now));
    difference.map_or(Verdict::Identical, Verdict::Different)
}

fn difference(what: &str, recorded: &dyn Display, replayed: &dyn Display) -> Difference {
    Difference {
        what: what.to_owned(),
        call: None,
        recorded: recorded.to_string(),
        replayed: replayed.to_string(),
    }
}

/// What the record says that the run was given, and what the journal gave it.
fn against_record(record: &RunRecord, header: &Header) -> Option<Difference> {
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
    ]
    .into_iter()
    .find(|(_, recorded, replayed)| recorded != replayed)
    .map(|(what, recorded, replayed)| difference(what, &recorded, &replayed))
}

/// What came of it.
fn outcome(record: &RunRecord, summary: &JournalSummary, now: &Now<'_>) -> Option<Difference> {
    let seen = now.seen;
    let end = seen.end.as_ref()?;
    if end.error != now.ended {
        let text = |ended: &Option<Ended>| {
            ended.as_ref().map_or_else(|| "the guest returned".to_owned(), ToString::to_string)
        };
        return Some(difference("the outcome", &text(&end.error), &text(&now.ended)));
    }
    for (recorded, replayed) in
        [(end.output_digest, seen.output_digest), (record.output_digest, seen.output_digest)]
    {
        if recorded != replayed {
            let text =
                |digest: Option<Digest>| digest.map_or("nothing".to_owned(), |digest| digest.to_string());
            return Some(difference("the digest of the output", &text(recorded), &text(replayed)));
        }
    }
    let inputs: Vec<Digest> = record.inputs.iter().map(|input| input.digest).collect();
    let fetches: Vec<Digest> = record.fetches.iter().map(|fetch| fetch.digest).collect();
    for (what, recorded, replayed) in [
        ("the frames that were read", &inputs, &seen.frames),
        ("the bodies that were fetched", &fetches, &seen.bodies),
    ] {
        if recorded != replayed {
            let text = |digests: &[Digest]| {
                let digests: Vec<String> = digests.iter().map(Digest::to_string).collect();
                if digests.is_empty() { "none".to_owned() } else { digests.join(", ") }
            };
            return Some(difference(what, &text(recorded), &text(replayed)));
        }
    }
    let journal = seen.journal?;
    (journal != summary.sha256).then(|| difference("the digest of the journal", &summary.sha256, &journal))
}

/// What an instruction costs is a matter of the engine's version.
fn fuel(record: &RunRecord, header: &Header, now: &Now<'_>) -> Option<Difference> {
    let end = now.seen.end.as_ref()?;
    let same_engine = header.host.get("engine").is_some_and(|engine| engine == now.engine);
    let then = [end.fuel, record.fuel].into_iter().find(|fuel| *fuel != now.fuel)?;
    same_engine.then(|| difference("the fuel", &then, &now.fuel))
}
