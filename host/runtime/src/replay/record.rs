//! A run's record beside its journal and beside what its replay has seen: field by field, as far as these say it.
//!
//! What they do not say: when the run ended and how long its phases took; what became of its rows (dropped, inserted, updated,
//! unchanged, coverage), for that depends on what the table held; warnings, what checks found, and the text of an error.

use datanode_core::dependency::SELF_KEY;
use datanode_core::journal::{About, Header, NamedTable};
use datanode_core::run::{FetchRecord, InputRecord, RunRecord};
use serde_json::{Value, json};

use super::Difference;
use super::compare::{difference, text};
use crate::journal::{SeenFetch, SeenFrame, Totals};

/// Name, what was recorded, and what was found.
type Field = (&'static str, Value, Value);

fn first(fields: impl IntoIterator<Item = Field>) -> Option<Field> {
    fields.into_iter().find(|(_, recorded, replayed)| recorded != replayed)
}

/// What is known of a run before its guest is called.
pub(super) fn against_about(record: &RunRecord, about: &About) -> Option<Difference> {
    // Both are of one type, so that a field which one of them leaves out is null for the other.
    let (recorded, said) = (json!(About::of(record, about.tables.clone())), json!(about));
    let objects = recorded.as_object().into_iter().chain(said.as_object());
    let name = objects
        .flat_map(serde_json::Map::keys)
        .find(|name| recorded[name.as_str()] != said[name.as_str()])?;
    let (recorded, said) = (text(&recorded[name.as_str()]), text(&said[name.as_str()]));
    Some(difference(&format!("`{name}` of the record, beside the journal"), &recorded, &said))
}

/// What the guest read, fetched, emitted and logged.
pub(super) fn against_seen(record: &RunRecord, header: &Header, seen: &Totals) -> Option<Difference> {
    let frames = || {
        let what = "the frames that were read";
        let fields = |input: &InputRecord, seen: &SeenFrame| {
            self::input(input, seen, table(record, header, &seen.key).as_ref())
        };
        beside(what, "frames.open", &record.inputs, &seen.frames, fields, |seen| seen.call)
    };
    let fetches = || {
        let what = "what was fetched";
        beside(what, "sources.fetch", &record.fetches, &seen.fetches, fetch, |seen| seen.call)
    };
    let rest = || {
        let (what, recorded, replayed) = first([
            ("the bytes that were emitted", json!(record.bytes_emitted), json!(seen.bytes_emitted)),
            ("the rows that were emitted", json!(record.rows_emitted), json!(seen.rows_emitted)),
            ("the log", json!(record.logs), json!(seen.logs)),
            ("the log lines that were dropped", json!(record.logs_dropped), json!(seen.logs_dropped)),
        ])?;
        Some(difference(what, &text(&recorded), &text(&replayed)))
    };
    frames().or_else(fetches).or_else(rest)
}

/// The table that a key stood for. Journals of the first form name none, but a run's own table is the one that it writes.
fn table(record: &RunRecord, header: &Header, key: &str) -> Option<NamedTable> {
    match &header.about {
        Some(about) => about.tables.get(key).cloned(),
        None => (key == SELF_KEY)
            .then(|| NamedTable { uid: record.table_uid.clone(), identifier: record.table.clone() }),
    }
}

/// Two lists, entry by entry. Each entry was begun by a host call, which is named.
fn beside<R, S>(
    what: &str,
    function: &str,
    recorded: &[R],
    seen: &[S],
    fields: impl Fn(&R, &S) -> Option<Field>,
    call: impl Fn(&S) -> u64,
) -> Option<Difference> {
    for (then, now) in recorded.iter().zip(seen) {
        if let Some((name, recorded, replayed)) = fields(then, now) {
            let call = call(now);
            let what = format!("`{name}` of {what}, host call {call}, `{function}`");
            let difference = difference(&what, &text(&recorded), &text(&replayed));
            return Some(Difference { call: Some(call), ..difference });
        }
    }
    let (then, now) = (recorded.len(), seen.len());
    let further = seen.get(then).map(call);
    let place = further.map_or(String::new(), |call| format!(", host call {call}, `{function}`"));
    (then != now).then(|| Difference {
        call: further,
        ..difference(&format!("the number of {what}{place}"), &then, &now)
    })
}

fn input(record: &InputRecord, seen: &SeenFrame, table: Option<&NamedTable>) -> Option<Field> {
    // What nobody can tell is as it is recorded.
    let (uid, identifier) =
        table.map_or((&record.table_uid, &record.table), |table| (&table.uid, &table.identifier));
    let (rows, min, max) = match seen.rows {
        Some((rows, times)) => (rows, times.map(|(min, _)| min), times.map(|(_, max)| max)),
        None => (record.rows, record.min_time, record.max_time),
    };
    first([
        ("key", json!(record.key), json!(seen.key)),
        ("table_uid", json!(record.table_uid), json!(uid)),
        ("table", json!(record.table), json!(identifier)),
        ("bytes", json!(record.bytes), json!(seen.bytes)),
        ("digest", json!(record.digest), json!(seen.digest)),
        ("rows", json!(record.rows), json!(rows)),
        ("min_time", json!(record.min_time), json!(min)),
        ("max_time", json!(record.max_time), json!(max)),
    ])
}

fn fetch(record: &FetchRecord, seen: &SeenFetch) -> Option<Field> {
    first([
        ("source", json!(record.source), json!(seen.source)),
        ("method", json!(record.method), json!(seen.method)),
        ("path", json!(record.path), json!(seen.path)),
        ("status", json!(record.status), json!(seen.status)),
        ("bytes", json!(record.bytes), json!(seen.bytes)),
        ("digest", json!(record.digest), json!(seen.digest)),
    ])
}
