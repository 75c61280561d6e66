//! The checklist before a dataset is shipped: what `datanode check` judges, as pure rules over what is declared and what
//! a trial run did.
//!
//! A rule never stops at the first finding: an author mends all of them at once.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::component::{ComponentClass, Manifest};
use crate::config::each_field;
use crate::contract::Contract;
use crate::digest::Digest;
use crate::run::{LogLine, RunRecord, RunStatus};

/// Identifiers that say nothing.
const EMPTY_WORDS: [&str; 16] = [
    "data", "dataset", "table", "test", "tmp", "temp", "output", "result", "results", "new", "node", "foo",
    "bar", "my_table", "my_node", "example",
];
/// Endings of identifiers that will not stay true.
const PASSING_ENDINGS: [&str; 8] = ["_new", "_old", "_tmp", "_temp", "_test", "_final", "_latest", "_copy"];
/// Fields that tune a run: they belong to the runtime options, which are never hashed.
const RUNTIME_KNOBS: [&str; 18] = [
    "batch_size",
    "chunk_size",
    "page_size",
    "retries",
    "max_retries",
    "timeout",
    "timeout_seconds",
    "timeout_ms",
    "debug",
    "debug_mode",
    "verbose",
    "log_level",
    "workers",
    "threads",
    "concurrency",
    "parallelism",
    "dry_run",
    "force",
];
/// Words in names of fields that hold a secret.
const SECRET_WORDS: [&str; 14] = [
    "password",
    "passwords",
    "passwd",
    "secret",
    "secrets",
    "token",
    "api_key",
    "api_keys",
    "apikey",
    "access_key",
    "private_key",
    "credential",
    "credentials",
    "passphrase",
];
/// The one that also counts, addresses and splits what is no secret: it is meant where the name ends with it.
const LAST_WORD: &str = "token";
/// Dependency keys longer than this are no short names.
const LONG_KEY: usize = 24;

/// One point of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The table's identifier is stable and meaningful.
    Identifier,
    /// Config fields are described, with examples; none is a runtime option or a secret.
    Config,
    /// A second run over the same inputs emits nothing; two steps give the rows of one.
    Incremental,
    /// The rows of a table with identity dimensions name their identities.
    Identities,
    /// The component, the table and every column are described.
    Descriptions,
    /// The component emits the columns of the contract.
    Schema,
    /// Two runs over the same inputs emit the same bytes; nothing impure is imported.
    Deterministic,
    /// Logs are useful and hold no secret.
    Logs,
    /// A run in a hash namespace of its own, on a scratch store, passes.
    TestRun,
    /// Names follow the conventions; the cadence is declared.
    Names,
}

impl Point {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::Identifier,
        Self::Config,
        Self::Incremental,
        Self::Identities,
        Self::Descriptions,
        Self::Schema,
        Self::Deterministic,
        Self::Logs,
        Self::TestRun,
        Self::Names,
    ];

    /// The name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Config => "config",
            Self::Incremental => "incremental",
            Self::Identities => "identities",
            Self::Descriptions => "descriptions",
            Self::Schema => "schema",
            Self::Deterministic => "deterministic",
            Self::Logs => "logs",
            Self::TestRun => "test run",
            Self::Names => "names",
        }
    }
}

/// How a point was judged. The order is that of growing severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Nothing to judge it by.
    Skip,
    /// Works, and will be regretted.
    Warn,
    /// Others cannot build on it.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// One judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The point.
    pub point: Point,
    /// How it was judged.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// How to mend it; none where nothing is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn pass(point: Point, seen: impl Into<String>) -> Self {
        Self { point, verdict: Verdict::Pass, seen: seen.into(), mend: None }
    }

    /// Nothing to judge it by, and what would be needed.
    pub fn skip(point: Point, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { point, verdict: Verdict::Skip, seen: seen.into(), mend: Some(mend.into()) }
    }

    /// Works, and will be regretted.
    pub fn warn(point: Point, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { point, verdict: Verdict::Warn, seen: seen.into(), mend: Some(mend.into()) }
    }

    /// Others cannot build on it.
    pub fn fail(point: Point, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { point, verdict: Verdict::Fail, seen: seen.into(), mend: Some(mend.into()) }
    }
}

/// The worst verdict of some findings.
pub fn worst(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Pass)
}

/// Add `pass` unless a finding is there.
fn or_pass(mut findings: Vec<Finding>, point: Point, seen: impl Into<String>) -> Vec<Finding> {
    if findings.is_empty() {
        findings.push(Finding::pass(point, seen));
    }
    findings
}

/// Whether an identifier can stand for years.
pub fn identifier(contract: &Contract) -> Vec<Finding> {
    const MEND: &str = "name what the rows are: subject, source and measure, as in fx_ecb_daily_rates; \
                        a published identifier is hard to change";
    let identifier = contract.identifier.as_str();
    let mut findings = Vec::new();
    let mut warn = |seen: String| findings.push(Finding::warn(Point::Identifier, seen, MEND));
    if EMPTY_WORDS.contains(&identifier) || identifier.len() < 4 {
        warn(format!("`{identifier}` does not say what the rows are"));
    }
    if let Some(ending) = PASSING_ENDINGS.iter().find(|ending| identifier.ends_with(**ending)) {
        warn(format!("`{identifier}` ends with `{ending}`, which will not stay true"));
    }
    let last = identifier.rsplit('_').next().unwrap_or_default();
    let digits = last.strip_prefix('v').unwrap_or(last);
    let is_year =
        digits == last && digits.len() == 4 && (digits.starts_with("19") || digits.starts_with("20"));
    let is_version = digits != last && !digits.is_empty();
    if (is_year || is_version) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        warn(format!("`{identifier}` ends with a {}", if is_year { "year" } else { "version" }));
    }
    or_pass(findings, Point::Identifier, format!("`{identifier}`"))
}

/// Whether config fields explain themselves, and are config at all.
pub fn config(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fields = 0;
    each_field(&manifest.config_schema, |name, pointer, said| {
        fields += 1;
        // The tag of a choice has one value in each alternative, and it is these that are described.
        let is_tag = said.iter().any(|schema| schema.get("const").is_some());
        let is_text = |key: &str, schema: &Value| {
            schema.get(key).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
        };
        if !is_tag && !said.iter().any(|schema| is_text("description", schema)) {
            findings.push(Finding::warn(
                Point::Config,
                format!("field {pointer} has no description"),
                "describe it in the config type: what it means and in which unit",
            ));
        }
        let is_shown = |schema: &&Value| {
            schema.get("examples").and_then(Value::as_array).is_some_and(|examples| !examples.is_empty())
        };
        if !is_tag && !said.iter().any(is_shown) {
            findings.push(Finding::warn(
                Point::Config,
                format!("field {pointer} has no examples"),
                "give at least one example of a sensible value",
            ));
        }
        if RUNTIME_KNOBS.contains(&name.to_lowercase().as_str()) {
            findings.push(Finding::warn(
                Point::Config,
                format!(
                    "field {pointer} looks like a runtime option, and every config field changes the identity"
                ),
                "read it with the `options` import instead: `datanode node run NODE --option NAME=VALUE`",
            ));
        }
        if let Some(word) = secret_word(name) {
            findings.push(Finding::fail(
                Point::Config,
                format!(
                    "field {pointer} looks like a secret (`{word}`): configs are stored, hashed and shown"
                ),
                "take it out; what needs a secret is read through a source, which the operator sets up",
            ));
        }
    });
    let seen = match fields {
        0 => "no fields".to_owned(),
        1 => "1 field, described, with examples".to_owned(),
        many => format!("{many} fields, described, with examples"),
    };
    or_pass(findings, Point::Config, seen)
}

/// The word by which a name looks like that of a secret. Words are whole: `tokenizer` and `secretary` hold none.
fn secret_word(name: &str) -> Option<&'static str> {
    let mut words = String::from("_");
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit()) {
            words.push('_');
        }
        if letter.is_alphanumeric() {
            words.extend(letter.to_lowercase());
        } else {
            words.push('_');
        }
        before = letter;
    }
    words.push('_');
    SECRET_WORDS.into_iter().find(|word| match *word {
        LAST_WORD => words.ends_with(&format!("_{word}_")),
        _ => words.contains(&format!("_{word}_")),
    })
}

/// Whether people can know what they read.
pub fn descriptions(manifest: &Manifest, contract: Option<&Contract>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missing = |what: String, mend: &str| {
        findings.push(Finding::warn(Point::Descriptions, format!("{what} has no description"), mend));
    };
    if manifest.description.trim().is_empty() {
        missing(format!("component `{}`", manifest.name), "say in the component what its data mean");
    }
    let contract_file = "write it into the contract's file, then: datanode table register FILE";
    let mut columns = 0;
    if let Some(contract) = contract {
        if contract.description.trim().is_empty() {
            let mend = "say intention, row grain and analytical use in the contract's file, then: datanode table \
                        register FILE";
            missing(format!("table `{}`", contract.identifier), mend);
        }
        columns = contract.columns.len();
        for column in contract.columns.iter().filter(|column| column.description.trim().is_empty()) {
            missing(format!("column `{}`", column.name), contract_file);
        }
    }
    or_pass(
        findings,
        Point::Descriptions,
        match contract {
            Some(_) => format!("component, table and {columns} columns are described"),
            None => "the component is described".to_owned(),
        },
    )
}

/// Whether what is declared fits.
pub fn schema(manifest: &Manifest, contract: &Contract) -> Vec<Finding> {
    if manifest.columns.is_empty() {
        return vec![Finding::warn(
            Point::Schema,
            "the component declares no output columns, so a contract is only judged by running",
            "declare the output in the component unless it depends on the config",
        )];
    }
    let findings = manifest
        .output_mismatches(contract)
        .into_iter()
        .map(|problem| {
            Finding::fail(
                Point::Schema,
                problem,
                "change the component, or the contract: datanode table diff FILE",
            )
        })
        .collect();
    or_pass(findings, Point::Schema, format!("{} columns, as the contract has them", contract.columns.len()))
}

/// Whether names follow the conventions. (That they are snake case is enforced.)
pub fn names(contract: Option<&Contract>, dependency_keys: &[String]) -> Vec<Finding> {
    let long = dependency_keys.iter().filter(|key| key.len() > LONG_KEY).map(|key| {
        Finding::warn(
            Point::Names,
            format!("dependency key `{key}` has {} characters", key.len()),
            "short keys read well where frames are opened: rates, prices, assets",
        )
    });
    let mut findings: Vec<Finding> = long.collect();
    if let Some(contract) = contract.filter(|contract| contract.cadence.is_none()) {
        findings.push(Finding::warn(
            Point::Names,
            format!("table `{}` declares no cadence", contract.identifier),
            "where rows come at a steady pace, say so (cadence = \"1d\"): it decides where windows end",
        ));
    }
    or_pass(findings, Point::Names, "they follow the conventions")
}

/// What a first run on a scratch store shows. `None` of the later points can be judged when it fails.
pub fn test_run(run: &RunRecord) -> Vec<Finding> {
    let finding = match (&run.status, &run.error) {
        (RunStatus::Ok, _) => Finding::pass(
            Point::TestRun,
            format!("{} rows until {}", run.rows_inserted, run.window.end.short()),
        ),
        (RunStatus::Empty | RunStatus::Skipped, _) => Finding::warn(
            Point::TestRun,
            format!("it gave no rows until {}", run.window.end.short()),
            "check it where its inputs have rows: --until TIME",
        ),
        (_, Some(error)) => Finding::fail(
            Point::TestRun,
            format!("[{}] {}", error.code, error.message),
            error
                .next_step
                .clone()
                .unwrap_or_else(|| "mend the component, build it and check again".to_owned()),
        ),
        (status, None) => {
            Finding::fail(Point::TestRun, format!("it ended as {status}"), "see what the run says")
        }
    };
    vec![finding]
}

/// What the second run of the same window shows.
pub fn second_run(run: &RunRecord) -> Vec<Finding> {
    const MEND: &str =
        "read only what is new (`statistics` in the context, `dimension_range_map_ge`), and emit only that";
    let mut findings = Vec::new();
    if let Some(error) = &run.error {
        findings.push(Finding::fail(
            Point::Incremental,
            format!("a second run over the same inputs fails: [{}] {}", error.code, error.message),
            "a run on a table that is up to date must end with no rows and no error",
        ));
    } else if run.rows_inserted > 0 {
        let seen = format!("a second run over the same inputs stored {} rows more", run.rows_inserted);
        findings.push(Finding::fail(Point::Incremental, seen, MEND));
    } else if run.rows_emitted > 0 {
        let seen =
            format!("a second run over the same inputs emitted {} rows, all dropped", run.rows_emitted);
        findings.push(Finding::warn(Point::Incremental, seen, MEND));
    }
    findings
}

/// What the rows of the first run say of identities.
pub fn identities(contract: &Contract, coordinates: usize, with_empty_text: usize) -> Vec<Finding> {
    if contract.dimensions().is_empty() {
        return vec![Finding::pass(Point::Identities, "the table has none: it is indexed by time alone")];
    }
    let dimensions = contract.dimensions().join(", ");
    if coordinates == 0 {
        return vec![Finding::skip(
            Point::Identities,
            format!("no row names any ({dimensions})"),
            "check it where its inputs have rows: --until TIME",
        )];
    }
    if with_empty_text > 0 {
        return vec![Finding::fail(
            Point::Identities,
            format!("{with_empty_text} of {coordinates} identities ({dimensions}) hold an empty text"),
            "drop rows whose identity is not known, or resolve it",
        )];
    }
    vec![Finding::pass(Point::Identities, format!("{coordinates} of ({dimensions})"))]
}

/// Whether two runs over the same inputs emitted the same: the digest of the first, that of the second, how many bytes the
/// first emitted, and what the component imports.
pub fn deterministic(first: Digest, again: Option<Digest>, bytes: u64, class: ComponentClass) -> Finding {
    if again == Some(first) {
        let same = format!("two runs emitted the same {bytes} bytes");
        return match class {
            ComponentClass::Pure => {
                Finding::pass(Point::Deterministic, format!("{same}, and nothing impure is imported"))
            }
            ComponentClass::Stubbed => Finding::warn(
                Point::Deterministic,
                format!("{same}, but WASI is imported, which this host answers by constants"),
                "build it without: an upload without --allow-stubbed-wasi says how",
            ),
        };
    }
    let again = again.map_or("nothing".to_owned(), |digest| digest.short());
    Finding::fail(
        Point::Deterministic,
        format!("two runs over the same inputs emitted {} and {again}", first.short()),
        "look for what differs between calls, such as the order of a hash map, or a source that changes",
    )
}

/// Whether the log of a run helps, and keeps what it must.
pub fn logs(lines: &[LogLine]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in lines {
        let texts = std::iter::once(line.message.as_str()).chain(line.fields.values().map(String::as_str));
        let named = line.fields.iter().find(|(name, value)| !value.is_empty() && secret_word(name).is_some());
        let looks = named.map(|(name, _)| format!("a field named `{name}`")).or_else(|| {
            texts.into_iter().find_map(looks_secret).map(|what| format!("what looks like {what}"))
        });
        if let Some(what) = looks {
            // The text itself stays out: a finding travels further than a log.
            findings.push(Finding::fail(
                Point::Logs,
                format!("a line of level {} holds {what}", line.level),
                "take it out: logs are kept with the run and shown to everyone who may read it",
            ));
            break;
        }
    }
    let useful = lines.iter().any(|line| line.level != "debug" && !line.fields.is_empty());
    if lines.is_empty() {
        findings.push(Finding::warn(
            Point::Logs,
            "the run logged nothing",
            "log at least what was covered: identities, rows, gaps, each as a field",
        ));
    } else if !useful {
        findings.push(Finding::warn(
            Point::Logs,
            format!("{} lines, none of them with fields", lines.len()),
            "put numbers into fields (rows, identities, gaps), where they can be searched",
        ));
    }
    let many = if lines.len() == 1 { "1 line".to_owned() } else { format!("{} lines", lines.len()) };
    or_pass(findings, Point::Logs, format!("{many}, with fields, no secret seen"))
}

/// What kind of secret a text seems to hold.
fn looks_secret(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    if lower.contains("bearer ") {
        return Some("an authorization header");
    }
    if text.contains("-----BEGIN ") {
        return Some("a private key");
    }
    let assigned = |word: &str| {
        lower.match_indices(word).any(|(at, _)| {
            let rest = lower[at + word.len()..].trim_start_matches(['"', '\'', ' ']);
            rest.strip_prefix(['=', ':']).is_some_and(|value| !value.trim().is_empty())
        })
    };
    if SECRET_WORDS.iter().any(|word| assigned(word)) {
        return Some("a secret beside its name");
    }
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    words.find_map(|word| match word {
        _ if word.len() == 20 && word.starts_with("AKIA") => Some("an access key of AWS"),
        _ if word.len() >= 36 && (word.starts_with("ghp_") || word.starts_with("github_pat_")) => {
            Some("a token of GitHub")
        }
        _ if word.len() >= 20 && (word.starts_with("sk-") || word.starts_with("xoxb-")) => Some("an API key"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::OutputColumn;
    use crate::data_type::DataType;
    use serde_json::json;

    fn contract(identifier: &str) -> Contract {
        Contract::from_toml(&format!(
            "identifier = \"{identifier}\"\nindex = [\"time_index\"]\ncolumns = [{{ name = \"time_index\", type = \"timestamp_tz\" }}]"
        ))
        .unwrap()
    }

    fn manifest(schema: Value) -> Manifest {
        Manifest {
            name: "c".to_owned(),
            version: "1.0.0".parse().unwrap(),
            description: "Does.".to_owned(),
            config_schema: schema,
            default_offset_start: None,
            sources: Vec::new(),
            index: Vec::new(),
            columns: Vec::new(),
        }
    }

    fn seen(findings: &[Finding]) -> String {
        let lines = findings.iter().map(|finding| format!("{} {}", finding.verdict, finding.seen));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn line(message: &str, fields: &[(&str, &str)]) -> LogLine {
        LogLine {
            level: "info".to_owned(),
            message: message.to_owned(),
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn identifiers_that_will_not_last_are_named() {
        for good in ["fx_ecb_daily_rates", "prices_top_500", "gdp_g20", "sp500"] {
            assert_eq!(worst(&identifier(&contract(good))), Verdict::Pass, "{good}");
        }
        for bad in ["data", "fx", "prices_v2", "prices_2024", "prices_new", "rates_final"] {
            assert_eq!(worst(&identifier(&contract(bad))), Verdict::Warn, "{bad}");
        }
    }

    #[test]
    fn config_fields_are_described_and_hold_neither_knobs_nor_secrets() {
        let good = json!({"properties": {"n": {"description": "Window length.", "examples": [20]}}});
        assert_eq!(seen(&config(&manifest(good))), "pass 1 field, described, with examples");
        let bad = json!({"properties": {
            "batch_size": {"description": "Rows.", "examples": [1]},
            "inner": {"description": "x", "examples": [{}], "properties": {"api_key": {}}},
        }});
        insta::assert_snapshot!(seen(&config(&manifest(bad))), @r"
        warn field /batch_size looks like a runtime option, and every config field changes the identity
        warn field /inner/api_key has no description
        warn field /inner/api_key has no examples
        fail field /inner/api_key looks like a secret (`api_key`): configs are stored, hashed and shown
        ");
    }

    #[test]
    fn fields_of_types_lists_and_choices_are_judged_where_they_are_used() {
        // As the SDK's derive writes nested types: a reference, and the type among the definitions.
        let leg = json!({"type": "object", "description": "A leg.", "examples": [{}], "properties": {
            "api_key": {"type": "string"},
            "weight": {"type": "number", "description": "Of one.", "examples": [0.5]},
        }});
        let schema = json!({
            "properties": {
                "leg": {"$ref": "#/$defs/Leg"},
                "legs": {"description": "All.", "examples": [[]], "type": "array", "items": {"$ref": "#/$defs/Leg"}},
                "model": {"$ref": "#/$defs/Model"},
            },
            "$defs": {"Leg": leg, "Model": {"description": "How.", "examples": [{"kind": "mean"}], "oneOf": [
                {"properties": {"kind": {"const": "mean"}, "n": {"description": "Rows."}}},
                {"properties": {"kind": {"const": "last"}}},
            ]}},
        });
        insta::assert_snapshot!(seen(&config(&manifest(schema))), @r"
        warn field /leg/api_key has no description
        warn field /leg/api_key has no examples
        fail field /leg/api_key looks like a secret (`api_key`): configs are stored, hashed and shown
        warn field /legs/*/api_key has no description
        warn field /legs/*/api_key has no examples
        fail field /legs/*/api_key looks like a secret (`api_key`): configs are stored, hashed and shown
        warn field /model/n has no examples
        ");
    }

    #[test]
    fn names_of_secrets_are_told_by_whole_words() {
        for secret in
            ["token", "API_KEY", "apiKey", "access-token", "db_password_2", "userPassword", "aws_secret"]
        {
            assert!(secret_word(secret).is_some(), "{secret}");
        }
        for harmless in
            ["tokenizer", "token_address", "max_tokens", "secretary", "compass", "key", "keyboard"]
        {
            assert_eq!(secret_word(harmless), None, "{harmless}");
        }
    }

    #[test]
    fn logs_that_hold_a_secret_fail_and_never_repeat_it() {
        let useful = line("done", &[("rows", "3")]);
        assert_eq!(worst(&logs(std::slice::from_ref(&useful))), Verdict::Pass);
        assert_eq!(worst(&logs(&[])), Verdict::Warn);
        assert_eq!(worst(&logs(&[line("done", &[])])), Verdict::Warn);
        for secret in [
            line("Authorization: Bearer hunter2hunter2", &[]),
            line("url", &[("api_key", "hunter2")]),
            line("get ?token=hunter2", &[]),
            line("key AKIAIOSFODNN7EXAMPLE", &[]),
            line("-----BEGIN RSA PRIVATE KEY-----hunter2", &[]),
            line("password: hunter2", &[]),
        ] {
            let findings = logs(&[useful.clone(), secret.clone()]);
            assert_eq!(worst(&findings), Verdict::Fail, "{secret:?}");
            assert!(
                !seen(&findings).contains("hunter2") && !seen(&findings).contains("AKIA"),
                "{findings:?}"
            );
        }
        for harmless in ["5 tokens read", "the token is missing", "secretary: none found"] {
            let findings = logs(&[useful.clone(), line(harmless, &[])]);
            assert_eq!(worst(&findings), Verdict::Pass, "{harmless}");
        }
    }

    #[test]
    fn two_runs_that_emit_other_bytes_or_none_fail() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let deterministic = |again| super::deterministic(one, again, 3, ComponentClass::Pure);
        assert_eq!(deterministic(Some(one)).verdict, Verdict::Pass);
        let differ = seen(&[deterministic(Some(other))]);
        assert_eq!(
            differ,
            format!("fail two runs over the same inputs emitted {} and {}", one.short(), other.short())
        );
        let none = deterministic(None);
        assert!(none.verdict == Verdict::Fail && none.seen.ends_with("and nothing"), "{none:?}");
        // What is answered by constants is the same each time, and still not what a node should import.
        let stubbed = super::deterministic(one, Some(one), 3, ComponentClass::Stubbed);
        assert!(stubbed.verdict == Verdict::Warn && stubbed.seen.contains("WASI is imported"), "{stubbed:?}");
    }

    #[test]
    fn names_are_short_where_frames_are_opened_and_a_cadence_is_declared() {
        let table = contract("prices_of_shops");
        let steady = Contract { cadence: Some("1d".parse().unwrap()), ..table.clone() };
        let keys = |key: &str| vec!["rates".to_owned(), key.to_owned()];
        assert_eq!(worst(&names(Some(&steady), &keys("assets"))), Verdict::Pass);
        let long = "k".repeat(LONG_KEY + 1);
        assert_eq!(
            seen(&names(Some(&table), &keys(&long))),
            format!(
                "warn dependency key `{long}` has 25 characters\nwarn table `prices_of_shops` declares no cadence"
            )
        );
    }

    #[test]
    fn a_contract_that_no_component_declares_is_only_judged_by_running() {
        let mut declares = manifest(json!({}));
        assert_eq!(schema(&declares, &contract("prices"))[0].verdict, Verdict::Warn);
        let column = |data_type| OutputColumn {
            name: "time_index".to_owned(),
            data_type,
            nullable: false,
            description: String::new(),
        };
        declares.columns = vec![column(DataType::TimestampTz)];
        assert_eq!(worst(&schema(&declares, &contract("prices"))), Verdict::Pass);
        declares.columns = vec![column(DataType::Date)];
        let wrong = schema(&declares, &contract("prices"));
        assert!(wrong[0].verdict == Verdict::Fail && wrong[0].seen.contains("is date in the component"));
    }

    #[test]
    fn identities_are_counted_and_an_empty_one_fails() {
        let text = "identifier = \"t\"\nindex = [\"time_index\", \"id\"]\ncolumns = [\
                    { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"id\", type = \"string\" }]";
        let two = Contract::from_toml(text).unwrap();
        assert_eq!(worst(&identities(&two, 3, 0)), Verdict::Pass);
        assert_eq!(worst(&identities(&two, 3, 1)), Verdict::Fail);
        assert_eq!(worst(&identities(&two, 0, 0)), Verdict::Skip);
        assert_eq!(worst(&identities(&contract("t_alone"), 0, 0)), Verdict::Pass);
    }
}
