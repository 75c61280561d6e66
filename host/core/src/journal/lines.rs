//! Journals as text. What is read may come from a stranger: it is bounded, and nothing of it is believed but its form.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::{Entry, FORMAT, Header, Line};
use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::digest::{Digest, Digester};
use crate::journal::End;

/// The most bytes that the first line of a journal may have: the statistics of two million coordinates fit.
pub const MAX_LINE_BYTES: usize = 512 << 20;
/// The most bytes of any other line. The longest are of a few hundred KiB: contents inside of the journal, headers that a
/// source answered, an author's error.
pub const MAX_CALL_BYTES: usize = 4 << 20;
/// The most bytes of a config in a journal: what `config_bytes` can be set to. The same of what the record says beside it, of
/// which the tables of ten thousand dependencies take the most. They are bounded apart from the line, for as values they take
/// many times as much memory as their text: `[0,0]` has two bytes for a value of thirty-two.
pub const MAX_CONFIG_BYTES: usize = 16 << 20;
/// The same of runtime options, limits, the names of an index and the versions of the host, each.
pub const MAX_SETTINGS_BYTES: usize = 1 << 20;

/// Why a text is no journal.
#[derive(Debug, Error)]
pub enum JournalError {
    /// It cannot be read, which may be the fault of its compression.
    #[error("the journal cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// A line is not what it must be.
    #[error("line {line} of the journal {problem}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// Written by another version of the host.
    #[error("the journal has the form {found}, where this host reads those up to {FORMAT}")]
    Format {
        /// The form.
        found: u32,
    },
}

impl Diagnostic for JournalError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::Line { .. } => "journal.damaged",
            Self::Format { .. } => "journal.format",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Format { .. } => ErrorClass::Refused,
            Self::Unreadable(_) | Self::Line { .. } => ErrorClass::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Format { .. } => "replay it with the host version that its run record names".to_owned(),
            Self::Unreadable(_) | Self::Line { .. } => {
                "take it from a backup: what is kept now is not what the run left".to_owned()
            }
        })
    }
}

/// A line as it is written, with its end.
pub fn line(line: &Line) -> Result<String, serde_json::Error> {
    serde_json::to_string(line).map(|text| text + "\n")
}

/// Whether the parts of a header are as small as its reader demands.
pub fn fits(header: &Header) -> bool {
    fn bytes(part: &impl Serialize) -> usize {
        serde_json::to_string(part).map_or(usize::MAX, |text| text.len())
    }
    let Header { config, about, options, limits, index, host, .. } = header;
    let none_beyond = |parts: &[usize], most: usize| parts.iter().all(|bytes| *bytes <= most);
    none_beyond(&[bytes(config), bytes(about)], MAX_CONFIG_BYTES)
        && none_beyond(&[bytes(options), bytes(limits), bytes(index), bytes(host)], MAX_SETTINGS_BYTES)
}

/// Reads a journal line by line: the header at once, then one entry after the other.
pub struct JournalReader<R> {
    lines: R,
    header: Header,
    /// Runtime options as they stand there, to the letter.
    options: BTreeMap<String, String>,
    digest: Digester,
    line: u64,
    end: Option<End>,
}

impl<R> std::fmt::Debug for JournalReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalReader").field("run", &self.header.run_id).finish_non_exhaustive()
    }
}

impl<R: BufRead> JournalReader<R> {
    /// Read the header.
    pub fn new(lines: R) -> Result<Self, JournalError> {
        Self::within(lines, MAX_LINE_BYTES)
    }

    /// Read the header, which has no more bytes than this.
    pub fn within(mut lines: R, most_bytes: usize) -> Result<Self, JournalError> {
        let mut digest = Digester::default();
        let wrong = |problem: &str| JournalError::Line { line: 1, problem: problem.to_owned() };
        let Some(first) = next_line(&mut lines, 1, most_bytes.min(MAX_LINE_BYTES), &mut digest)? else {
            return Err(wrong("is missing"));
        };
        // Looked at before all else: another form may have other fields.
        if let Some(found) = format_of(&first).filter(|found| !(1..=FORMAT).contains(found)) {
            return Err(JournalError::Format { found });
        }
        let options = bounded(&first)?;
        match parse(&first, 1)? {
            Line::Run(header) if header.format > 1 && header.about.is_none() => {
                Err(wrong("says nothing about its run"))
            }
            Line::Run(header) => Ok(Self { lines, header: *header, options, digest, line: 1, end: None }),
            Line::Call(_) | Line::End(_) => Err(wrong("is not the header of a run")),
        }
    }

    /// What the guest was called with.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The text of a runtime option, as the guest is given it.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The next host call; None after the last one, when [`JournalReader::end`] is known.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, JournalError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let calls = self.line - 1;
        self.line += 1;
        let wrong = |problem: String| JournalError::Line { line: self.line, problem };
        let Some(text) = next_line(&mut self.lines, self.line, MAX_CALL_BYTES, &mut self.digest)? else {
            return Err(wrong("is missing: the journal is cut off".to_owned()));
        };
        match parse(&text, self.line)? {
            Line::Call(entry) if entry.call == calls + 1 => Ok(Some(entry)),
            Line::Call(entry) => {
                Err(wrong(format!("is call {} where call {} must follow", entry.call, calls + 1)))
            }
            Line::Run(_) => Err(wrong("is a second header".to_owned())),
            Line::End(end) if end.calls != calls => {
                Err(wrong(format!("ends {} calls where {calls} were listed", end.calls)))
            }
            Line::End(end) => {
                let next = next_line(&mut self.lines, self.line + 1, MAX_CALL_BYTES, &mut self.digest)?;
                if next.is_some() {
                    return Err(wrong("is not the last one, though it says so".to_owned()));
                }
                self.end = Some(end);
                Ok(None)
            }
        }
    }

    /// How the guest ended, once all entries were read.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Digest of the text that was read so far: of the whole journal once its end is known.
    pub fn digest(&self) -> Digest {
        self.digest.clone().finish()
    }
}

fn next_line(
    lines: &mut impl BufRead,
    number: u64,
    most_bytes: usize,
    digest: &mut Digester,
) -> Result<Option<Vec<u8>>, JournalError> {
    let mut text = Vec::new();
    lines.take(most_bytes as u64 + 1).read_until(b'\n', &mut text).map_err(JournalError::Unreadable)?;
    if text.is_empty() {
        return Ok(None);
    }
    if text.last() != Some(&b'\n') {
        let problem = if text.len() > most_bytes {
            format!("is longer than {most_bytes} bytes")
        } else {
            "has no end: the journal is cut off".to_owned()
        };
        return Err(JournalError::Line { line: number, problem });
    }
    digest.update(&text);
    Ok(Some(text))
}

fn parse(text: &[u8], number: u64) -> Result<Line, JournalError> {
    serde_json::from_slice(text)
        .map_err(|error| JournalError::Line { line: number, problem: format!("is not understood: {error}") })
}

/// Refuse a header whose values would take far more memory than its text, before any of them is made. Answers the texts of
/// its runtime options.
fn bounded(text: &[u8]) -> Result<BTreeMap<String, String>, JournalError> {
    #[derive(Deserialize)]
    struct Any<'a> {
        #[serde(borrow, default)]
        run: Option<Parts<'a>>,
    }
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow, default)]
        config: Option<&'a RawValue>,
        #[serde(borrow, default)]
        about: Option<&'a RawValue>,
        #[serde(borrow, default)]
        options: Option<&'a RawValue>,
        #[serde(borrow, default)]
        limits: Option<&'a RawValue>,
        #[serde(borrow, default)]
        index: Option<&'a RawValue>,
        #[serde(borrow, default)]
        host: Option<&'a RawValue>,
    }
    let wrong = |problem: String| JournalError::Line { line: 1, problem };
    let misread = |error: serde_json::Error| wrong(format!("is not understood: {error}"));
    let Any { run } = serde_json::from_slice(text).map_err(misread)?;
    let Some(Parts { config, about, options, limits, index, host }) = run else {
        return Ok(BTreeMap::new());
    };
    for (name, part, most) in [
        ("config", config, MAX_CONFIG_BYTES),
        ("about", about, MAX_CONFIG_BYTES),
        ("options", options, MAX_SETTINGS_BYTES),
        ("limits", limits, MAX_SETTINGS_BYTES),
        ("index", index, MAX_SETTINGS_BYTES),
        ("host", host, MAX_SETTINGS_BYTES),
    ] {
        let bytes = part.map_or(0, |part| part.get().len());
        if bytes > most {
            return Err(wrong(format!("has a `{name}` of {bytes} bytes where {most} are allowed")));
        }
    }
    let Some(options) = options else { return Ok(BTreeMap::new()) };
    let options: BTreeMap<String, &RawValue> = serde_json::from_str(options.get()).map_err(misread)?;
    Ok(options.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect())
}

/// The form that a header says it has, whatever else stands in it.
fn format_of(text: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Any {
        run: AnyHeader,
    }
    #[derive(Deserialize)]
    struct AnyHeader {
        format: u32,
    }
    serde_json::from_slice(text).ok().map(|Any { run }| run.format)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Timestamp;
    use crate::component::ComponentClass;
    use crate::coordinate::CoordinateValue;
    use crate::journal::{About, Content, Held, NamedTable, Reply};
    use crate::window::Window;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn header() -> Header {
        Header {
            format: FORMAT,
            run_id: "r".to_owned(),
            component: "c".to_owned(),
            component_digest: Digest::of(b"c"),
            update_hash: "c_0".to_owned(),
            config: json!({"n": 20}),
            guest_config: r#"{"n":20}"#.to_owned(),
            index: vec!["time_index".to_owned(), "currency".to_owned()],
            statistics: vec![Held {
                coordinate: vec![CoordinateValue::Text("USD".to_owned()), CoordinateValue::Int(1)],
                min: at("2020-01-01"),
                max: at("2020-12-31"),
                rows: 366,
            }],
            window: Window { start: None, end: at("2021-01-01") },
            is_backfill: false,
            options: BTreeMap::new(),
            limits: json!({}),
            host: BTreeMap::new(),
            about: Some(Box::new(About {
                node_uid: "n".to_owned(),
                table_uid: "u".to_owned(),
                table: "t".to_owned(),
                kind: "update".to_owned(),
                started_at: at("2021-01-02"),
                retry_of: None,
                lookback: None,
                late_rows: None,
                backfill: None,
                component_version: semver::Version::new(0, 1, 0),
                component_class: ComponentClass::Pure,
                hash_namespace: String::new(),
                tables: BTreeMap::from([(
                    "self".to_owned(),
                    NamedTable { uid: "u".to_owned(), identifier: "t".to_owned() },
                )]),
            })),
        }
    }

    fn reply() -> impl Strategy<Value = Reply> {
        prop_oneof![
            Just(Reply::Done),
            Just(Reply::End),
            any::<u64>().prop_map(Reply::Emitted),
            any::<u32>().prop_map(Reply::Opened),
            (any::<[u8; 4]>(), prop::option::of(".{0,9}")).prop_map(|(bytes, inline)| Reply::Bytes(
                Content { sha256: Digest::of(&bytes), bytes: 4, inline }
            )),
            (any::<u16>(), ".{0,9}", any::<u32>()).prop_map(|(status, value, body)| Reply::Fetched {
                status,
                headers: vec![("content-type".to_owned(), value)],
                body
            }),
            prop::option::of(".{0,9}").prop_map(Reply::Option),
            (".{0,9}", ".{0,9}").prop_map(|(code, message)| Reply::Refused { code, message }),
            ".{0,9}".prop_map(|code| Reply::Failed { code }),
        ]
    }

    fn lines(replies: Vec<Reply>) -> Vec<Line> {
        let calls = replies.len() as u64;
        let entry = |(call, reply)| {
            Line::Call(Entry {
                call,
                function: "log.write".to_owned(),
                arguments: Digest::of(b"a"),
                shown: "a".to_owned(),
                reply,
            })
        };
        let end = End { calls, error: None, output_digest: Some(Digest::of(b"o")), fuel: 7 };
        let header = Line::Run(Box::new(header()));
        [header].into_iter().chain((1..).zip(replies).map(entry)).chain([Line::End(end)]).collect()
    }

    fn text(lines: &[Line]) -> String {
        lines.iter().map(|each| line(each).unwrap()).collect()
    }

    fn read(text: &[u8]) -> Result<Vec<Line>, JournalError> {
        let mut reader = JournalReader::new(text)?;
        let mut lines = vec![Line::Run(Box::new(reader.header().clone()))];
        while let Some(entry) = reader.next_entry()? {
            lines.push(Line::Call(entry));
        }
        assert_eq!(reader.digest(), Digest::of(text));
        lines.push(Line::End(reader.end().unwrap().clone()));
        Ok(lines)
    }

    #[test]
    fn statistics_are_progress_and_back() {
        let progress = Held::progress(&header().statistics);
        assert_eq!((progress.len(), progress.rows()), (1, 366));
        assert_eq!(Held::of(&progress), header().statistics);
    }

    #[test]
    fn a_journal_that_is_none_says_where() {
        let mut said = String::new();
        let whole = text(&lines(vec![Reply::Done, Reply::End]));
        let bare = [Line::Run(Box::new(Header { about: None, ..header() }))];
        let piece = |range: std::ops::Range<usize>| -> String {
            let lines = whole.split_inclusive('\n').skip(range.start).take(range.len());
            lines.collect()
        };
        for (name, wrong) in [
            ("empty", String::new()),
            ("without header", piece(1..4)),
            ("header alone", piece(0..1)),
            ("without end", piece(0..3)),
            ("cut in a line", whole[..whole.len() - 3].to_owned()),
            ("a call left out", piece(0..1) + &piece(2..4)),
            ("calls exchanged", piece(0..1) + &piece(2..3) + &piece(1..2) + &piece(3..4)),
            ("ended early", piece(0..2) + &piece(3..4)),
            ("two headers", piece(0..1) + &piece(0..4)),
            ("something after the end", whole.clone() + "{}\n"),
            ("another form", whole.replace("\"format\":2", "\"format\":3")),
            ("an unknown field", whole.replace("\"format\":2", "\"format\":2,\"more\":1")),
            ("nothing about the run", text(&bare)),
            ("no text", "\u{0}\n".to_owned()),
        ] {
            let error = read(wrong.as_bytes()).unwrap_err();
            said += &format!("{name}: [{}] {error}\n", error.code());
        }
        insta::assert_snapshot!(said);
    }

    /// Read as far as the limit and no further: a line of a stranger has no end.
    #[test]
    fn a_line_that_is_too_long_is_refused() {
        let mut endless = std::io::BufReader::with_capacity(1 << 20, std::io::repeat(b'x'));
        let error = JournalReader::new(&mut endless).unwrap_err();
        assert_eq!(error.code(), "journal.damaged");
        assert_eq!(error.to_string(), "line 1 of the journal is longer than 536870912 bytes");
    }

    #[test]
    fn a_call_has_a_line_of_its_own_size() {
        let header = text(&lines(Vec::new())[..1]);
        let long = header + &"x".repeat(MAX_CALL_BYTES + 1);
        let error = read(long.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "line 2 of the journal is longer than 4194304 bytes");
        let header = text(&lines(Vec::new())[..1]);
        let length = header.trim_end().len();
        let error = JournalReader::within(header.as_bytes(), length - 1).unwrap_err();
        assert_eq!(error.to_string(), format!("line 1 of the journal is longer than {} bytes", length - 1));
        assert!(JournalReader::within(header.as_bytes(), length).is_ok());
    }

    /// As values they would take sixteen times as much memory.
    #[test]
    fn values_that_cost_more_than_their_text_are_bounded() {
        for (name, most) in [
            ("config", MAX_CONFIG_BYTES),
            ("about", MAX_CONFIG_BYTES),
            ("options", MAX_SETTINGS_BYTES),
            ("limits", MAX_SETTINGS_BYTES),
            ("index", MAX_SETTINGS_BYTES),
            ("host", MAX_SETTINGS_BYTES),
        ] {
            let header = format!("{{\"run\":{{\"{name}\":[{}0]}}}}\n", "0,".repeat(most / 2));
            let error = JournalReader::new(header.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "journal.damaged");
            let bytes = most + 3;
            let said =
                format!("line 1 of the journal has a `{name}` of {bytes} bytes where {most} are allowed");
            assert_eq!(error.to_string(), said);
        }
        assert!(fits(&header()));
        assert!(!fits(&Header { config: json!("x".repeat(MAX_CONFIG_BYTES)), ..header() }));
        let options = BTreeMap::from([("o".to_owned(), json!("x".repeat(MAX_SETTINGS_BYTES)))]);
        assert!(!fits(&Header { options, ..header() }));
    }

    #[test]
    fn options_are_kept_to_the_letter() {
        let options = BTreeMap::from([("o".to_owned(), json!({"b": 1.5, "a": [true, null]}))]);
        let line = text(&[Line::Run(Box::new(Header { options: options.clone(), ..header() }))]);
        let reader = JournalReader::new(line.as_bytes()).unwrap();
        assert_eq!(reader.option("o"), Some(options["o"].to_string().as_str()));
        assert_eq!(reader.option("p"), None);
    }

    /// What a host of the first form has written is still read.
    #[test]
    fn older_journals_are_read() {
        let mut lines = lines(vec![Reply::Done]);
        lines[0] = Line::Run(Box::new(Header { format: 1, about: None, ..header() }));
        assert_eq!(read(text(&lines).as_bytes()).unwrap(), lines);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(replies in prop::collection::vec(reply(), 0..20)) {
            let lines = lines(replies);
            prop_assert_eq!(read(text(&lines).as_bytes()).unwrap(), lines);
        }

        /// Whatever byte is another one, something is noticed: by the form, or by the digest of the text.
        #[test]
        fn any_other_byte_is_noticed(
            replies in prop::collection::vec(reply(), 0..6), at: prop::sample::Index, flip in 1_u8..=255
        ) {
            let whole = text(&lines(replies));
            let mut bytes = whole.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(mut reader) = JournalReader::new(bytes.as_slice()) {
                while let Ok(Some(_)) = reader.next_entry() {}
                prop_assert_ne!(reader.digest(), Digest::of(whole.as_bytes()));
            }
        }

        #[test]
        fn any_text_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
