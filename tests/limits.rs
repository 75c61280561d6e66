//! Every limit of `docs/reference/limits.md` that is an error is reached by a test. Most are where the thing that is limited
//! is tested; the rest is here. A row of the page that is not in [`REACHED`] fails the last test.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use datanode_core::component::{Manifest, SourceDeclaration};
use datanode_core::config::ConfigSchema;
use datanode_core::contract::Contract;
use datanode_core::frame::OutputValidator;
use datanode_core::progress::Progress;
use datanode_core::window::Window;
use datanode_core::{Diagnostic as _, Timestamp};
use datanode_tests::{Project, root};
use serde_json::{Value, json};

/// The beginning of a row of the page, a test file, and the test in it (or words of its table of cases).
const REACHED: &[(&str, &str, &str)] = &[
    ("`fuel`", "tests/hostile.rs", "\"endless_loop\", \"sandbox.limit.fuel\""),
    ("`describe_fuel`", "tests/hostile_by_hand.rs", "\"loops_in_config\", Upload, \"sandbox.limit.fuel\""),
    ("`memory_bytes`", "tests/hostile.rs", "\"memory_bomb\", \"sandbox.limit.memory\""),
    (
        "`table_elements`",
        "tests/hostile_by_hand.rs",
        "\"grows_table\", Run, \"sandbox.limit.table_elements\"",
    ),
    ("`instances`", "tests/hostile_by_hand.rs", "\"many_instances\", Upload, \"sandbox.limit.instances\""),
    ("`stack_bytes`", "tests/hostile.rs", "\"deep_recursion\", \"sandbox.limit.stack\""),
    ("`message_bytes`", "tests/hostile.rs", "\"huge_message\", \"sandbox.limit.message_bytes\""),
    ("`emit_bytes`", "tests/hostile.rs", "\"huge_emit\", \"sandbox.limit.emit_bytes\""),
    ("`emit_rows`", "tests/hostile.rs", "\"endless_rows\", \"sandbox.limit.emit_rows\""),
    ("`open_handles`", "tests/hostile.rs", "\"keeps_readers_open\", \"sandbox.limit.open_handles\""),
    ("`host_calls`", "tests/hostile.rs", "\"log_flood\", \"sandbox.limit.host_calls\""),
    ("`opens`", "tests/hostile.rs", "\"opens_without_end\", \"sandbox.limit.opens\""),
    ("`host_call_ms`", "tests/hostile.rs", "error[sandbox.limit.host_call_time]"),
    ("`call_seconds`", "tests/hostile.rs", "error[sandbox.limit.call_time]"),
    ("`config_bytes`", "tests/hostile.rs", "error[config.too_large]"),
    ("`dependencies`", "tests/hostile.rs", "error[dependency.too_many]"),
    ("`lease_seconds`", "tests/leases.rs", "lease.lost"),
    ("`retries`", "tests/ledger.rs", "commit.table_moved"),
    ("`revision_seconds`", "host/store/tests/revisions.rs", "fn sql_that_takes_too_long_is_given_up"),
    ("`wait_seconds`", "tests/server.rs", "fn writers_of_the_catalogue_wait_no_longer_than_they_are_set_to"),
    ("`time_ms`", "tests/start_up.rs", "sandbox.limit.compile_time"),
    ("`memory_bytes`", "tests/start_up.rs", "sandbox.limit.compile_memory"),
    ("`--max-bytes`", SOURCES, "\"endless\", \"source.limit.bytes\""),
    ("`--timeout-ms`", SOURCES, "\"slow_body\", \"source.timeout\""),
    ("`--max-redirects`", SOURCES, "source.redirect"),
    ("`--retries`", SOURCES, "source.unreachable"),
    ("`--per-minute`", SOURCES, "error[source.limit.rate]"),
    ("path of a guest", REQUESTS, "fn what_a_guest_asks_for_is_bounded"),
    ("parameters, and headers, of a guest", REQUESTS, "fn what_a_guest_asks_for_is_bounded"),
    ("value of a header of a guest", REQUESTS, "fn what_a_guest_asks_for_is_bounded"),
    ("URL as it is sent", REQUESTS, "fn what_a_guest_asks_for_is_bounded"),
    ("head of an answer", SOURCES, "\"huge_head\", \"source.limit.headers\""),
    ("entries of one kind in the rules of a source", RULES, "fn limits_lists_and_methods_are_bounded"),
    ("header or parameter that the host adds", RULES, "fn limits_lists_and_methods_are_bounded"),
    ("value of a secret", SOURCES, "error[secret.unfit]"),
    ("one file of a revision", HERE, "fn files_of_revisions_are_bounded"),
    ("statements of one file", HERE, "fn files_of_revisions_are_bounded"),
    ("message", HERE, "fn files_of_revisions_are_bounded"),
    ("revisions of one table", NOWHERE, "ten thousand folders"),
    ("component file", "host/sandbox/src/imports.rs", "fn what_is_too_large_is_refused_unread"),
    (
        "guests that run at once",
        "host/sandbox/tests/guests_by_hand.rs",
        "fn one_guest_more_than_there_is_room_for",
    ),
    ("what the host keeps for one component", NOWHERE, "a component of a million imports"),
    ("text of a query", SEARCH, "fn what_cannot_be_asked_is_refused"),
    ("candidates of one score", SEARCH, "trigram_k: 10_001"),
    ("tables of a page", "host/core/src/search/page.rs", "limit: MAX_PAGE + 1"),
    ("filters of a request", "host/core/src/search/filter.rs", "0..=MAX_FILTERS"),
    ("file of an embedding model", NOWHERE, "two gigabytes"),
    ("one line of a journal", "host/core/src/journal/lines.rs", "fn a_line_that_is_too_long_is_refused"),
    ("record, component and journal of a bundle", HERE, "fn entries_of_a_bundle_are_bounded"),
    ("entries of a bundle", NOWHERE, "a million entries are half a gigabyte"),
    ("identifier, physical name", HERE, "fn contracts_are_bounded"),
    ("component, source or output column name", HERE, "fn components_are_bounded"),
    ("dependency key", "host/core/src/dependency.rs", "dependency.name"),
    ("namespace of a contract", HERE, "fn contracts_are_bounded"),
    ("hash namespace", HERE, "fn a_hash_namespace_is_bounded"),
    ("columns of a table", HERE, "fn contracts_are_bounded"),
    ("count of a cadence", HERE, "fn contracts_are_bounded"),
    ("digits of a decimal", HERE, "fn contracts_are_bounded"),
    ("digits of a decimal in SQLite", "host/store/tests/catalogue.rs", "contract.unsupported_type"),
    ("time", "tests/hostile_by_hand.rs", "\"emits_a_time_without_end\", Run, \"frame.time\""),
    (
        "config schema",
        "tests/hostile_by_hand.rs",
        "\"manifest_schema_is_huge\", Upload, \"component.manifest\"",
    ),
    ("nesting of a config", HERE, "fn configs_are_bounded"),
    ("nesting of a config schema", HERE, "fn components_are_bounded"),
    ("sources of a component", "tests/hostile_by_hand.rs", "\"manifest_sources_many\", Upload"),
    ("output columns of a component", "tests/hostile_by_hand.rs", "\"manifest_columns_many\", Upload"),
    (
        "one description in a component",
        "tests/hostile_by_hand.rs",
        "\"manifest_description_is_a_novel\", Upload",
    ),
    ("chain of dependencies", "tests/hostile_by_hand.rs", "\"depends_on_ever_more\", Create"),
    ("nodes of one graph", "tests/hostile_by_hand.rs", "\"depends_on_ever_more_others\", Create"),
    ("integers in a config", HERE, "fn configs_are_bounded"),
    ("schemas looked at", "tests/hostile_by_hand.rs", "\"manifest_schema_doubles\", Create"),
    ("coordinates of one run", HERE, "fn coordinates_of_a_run_are_bounded"),
    ("days of a `date`", HERE, "fn values_of_dates_and_decimals_are_bounded"),
    (
        "values, columns, coordinates and range-map entries",
        "tests/hostile_by_hand.rs",
        "\"asks_for_too_much\"",
    ),
    ("upload of a producer", "tests/producer.rs", "\"A\".repeat(65 << 20)"),
    ("rows of an upload, unpacked", "tests/producer.rs", "(64 << 20) + 1"),
    (
        "statistics of an update, unpacked",
        "host/server/src/compat/producer/payload.rs",
        "fn a_text_is_read_while_it_is_unpacked_and_no_further_than_its_bound",
    ),
    (
        "coordinates that the statistics of an update name",
        "host/core/src/producer/tests.rs",
        "of(MAX_COORDINATES + 1)",
    ),
    (
        "one text or number in the statistics of an update",
        "host/core/src/producer/tests.rs",
        "fn statistics_are_bounded_by_coordinates_and_by_what_one_piece_costs",
    ),
    ("rows of an update that wait", "host/store/tests/producer.rs", "fn more_than_may_wait_is_refused"),
    ("nesting of JSON in a cell", "host/core/src/producer/tests.rs", "MAX_JSON_DEPTH + 1"),
    ("`update_hash` of a producer", "host/core/src/producer/tests.rs", "MAX_HASH_CHARS + 1"),
    (
        "identifier, namespace or schema that a client",
        "host/server/src/compat/registering.rs",
        "\"ä\".repeat(256)",
    ),
    ("tables that a client registers", "tests/compat/catalogue.rs", "row(\"third\", \"third\"); 201]"),
    ("parameters of a query", "host/server/src/compat/parameters.rs", "MAX_PARAMETERS + 1"),
    ("`offset` of a read", "host/server/src/compat/read.rs", "MAX_CURSOR + 1"),
    ("`body_idle_seconds`", FAULTS, "\"server.body_too_slow\""),
    ("`answer_seconds`", FAULTS, "fn answers_that_take_too_long_are_given_up"),
    ("`long_answer_seconds`", FAULTS, "fn answers_that_take_too_long_are_given_up"),
    ("`document_bytes`", FAULTS, "fn bodies_that_are_too_large_are_refused"),
    ("`rows_bytes`", FAULTS, "fn as_much_as_is_allowed_and_no_more"),
    ("`component_bytes`", FAULTS, "fn bodies_that_are_too_large_are_refused"),
    ("`requests_per_minute`", "tests/server/rights.rs", "requests_per_minute = 2"),
    ("`executions_waiting`", FAULTS, "fn as_much_as_is_allowed_and_no_more"),
    ("`event_streams`", FAULTS, "fn as_much_as_is_allowed_and_no_more"),
    (
        "`event_streams_of_one`",
        "host/server/src/streams.rs",
        "fn one_caller_has_some_of_all_places_and_gives_them_back",
    ),
    ("`row_streams`", FAULTS, "fn as_much_as_is_allowed_and_no_more"),
    ("`row_streams_of_one`", FAULTS, "fn one_reader_does_not_take_the_places_of_others"),
    ("`uploads`", FAULTS, "fn as_much_as_is_allowed_and_no_more"),
    ("query of a URL", FAULTS, "server.query_too_long"),
    ("body of a request that demands no token", "host/server/src/guard.rs", "MAX_UNASKED_BYTES + 1"),
    ("items of a page", "tests/server.rs", "limit=1001"),
    ("key of a request", "tests/server.rs", "with a space"),
    ("username", PEOPLE, "fn names_of_people_are_names"),
    ("names, address", PEOPLE, "fn names_of_people_are_names"),
    ("requests in a minute", PEOPLE, "fn names_of_people_are_names"),
    ("requests of a token", PEOPLE, "fn a_bucket_lets_no_more_through_than_it_says"),
    (
        "wait for a write lock",
        "host/store/src/sqlite/connection.rs",
        "fn a_writer_that_waits_too_long_is_told_so",
    ),
    ("runtime options of a run", "host/core/src/options.rs", "MAX_OPTIONS_BYTES"),
    ("`--statistics` of a dry run", HERE, "fn statistics_of_a_dry_run_are_bounded"),
];

/// This file.
const HERE: &str = "tests/limits.rs";
/// No test reaches it, for this reason.
const NOWHERE: &str = "";
const FAULTS: &str = "tests/server_faults.rs";
const SOURCES: &str = "tests/sources.rs";
const PEOPLE: &str = "host/core/src/access/tests.rs";
const REQUESTS: &str = "host/runtime/src/source/request.rs";
const SEARCH: &str = "tests/search.rs";
const RULES: &str = "host/core/src/source/tests.rs";

const COLUMNS: &str = r#"{ name = "time_index", type = "timestamp_tz" }"#;

fn contract(head: &str, columns: &str) -> Result<Contract, &'static str> {
    let text = format!("identifier = \"t\"\nindex = [\"time_index\"]\n{head}\ncolumns = [{columns}]");
    Contract::from_toml(&text).map_err(|error| error.code())
}

#[test]
fn contracts_are_bounded() {
    let (longest, longer) = ("a".repeat(63), "a".repeat(64));
    let name = |name: &str| contract(&format!("physical_name = \"{name}\""), COLUMNS).err();
    assert_eq!((name(&longest), name(&longer)), (None, Some("contract.name")));
    let column =
        |name: &str| contract("", &format!("{COLUMNS}, {{ name = \"{name}\", type = \"bool\" }}")).err();
    assert_eq!((column(&longest), column(&longer)), (None, Some("contract.name")));
    let namespace =
        |bytes: usize| contract(&format!("namespace = \"{}\"", "a.".repeat(bytes / 2) + "a"), COLUMNS).err();
    assert_eq!((namespace(254), namespace(256)), (None, Some("contract.name")));
    let columns = |count: usize| {
        let more = (1..count).map(|number| format!(", {{ name = \"c{number}\", type = \"bool\" }}"));
        contract("", &more.fold(COLUMNS.to_owned(), |all, one| all + &one)).err()
    };
    assert_eq!((columns(1_000), columns(1_001)), (None, Some("contract.rule")));
    let cadence = |count: u32| contract(&format!("cadence = \"{count}d\""), COLUMNS).err();
    assert_eq!((cadence(100_000), cadence(100_001)), (None, Some("contract.syntax")));
    let digits = |digits: u32| {
        contract("", &format!("{COLUMNS}, {{ name = \"d\", type = \"decimal({digits},0)\" }}")).err()
    };
    assert_eq!((digits(38), digits(39)), (None, Some("contract.syntax")));
}

fn manifest(change: impl FnOnce(&mut Manifest)) -> Option<&'static str> {
    let mut manifest = Manifest {
        name: "c".to_owned(),
        version: "1.0.0".parse().unwrap(),
        description: String::new(),
        config_schema: json!({}),
        default_offset_start: None,
        sources: Vec::new(),
        index: Vec::new(),
        columns: Vec::new(),
    };
    change(&mut manifest);
    manifest.check().err().map(|error| error.code())
}

/// Arrays within one another.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({}), |inner, _| json!({ "items": inner }))
}

#[test]
fn components_are_bounded() {
    let named = |bytes: usize| manifest(|manifest| manifest.name = "a".repeat(bytes));
    assert_eq!((named(63), named(64)), (None, Some("component.name")));
    let source = |bytes: usize| {
        manifest(|manifest| {
            let (name, description) = ("a".repeat(bytes), String::new());
            manifest.sources = vec![SourceDeclaration { name, description, required: false }];
        })
    };
    assert_eq!((source(63), source(64)), (None, Some("component.name")));
    let schema = |levels: usize| manifest(|manifest| manifest.config_schema = nested(levels));
    assert_eq!((schema(32), schema(33)), (None, Some("component.config_schema")));
}

#[test]
fn configs_are_bounded() {
    let schema = ConfigSchema::parse(&json!({"properties": {"n": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}}));
    let schema = schema.unwrap();
    let resolve = |value: Value| {
        let text = json!({ "n": value }).to_string();
        schema.resolve(&text, 4_096, |_| None).err().map(|error| error.code())
    };
    let levels = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!((resolve(levels(31)), resolve(levels(32))), (None, Some("config.invalid")));
    let exact = (1_i64 << 53) - 1;
    assert_eq!((resolve(json!(exact)), resolve(json!(-exact))), (None, None));
    assert_eq!(resolve(json!(exact + 1)), Some("config.invalid"));
}

#[test]
fn a_hash_namespace_is_bounded() {
    let project = Project::new();
    let run = |bytes: usize| {
        let namespace = "a".repeat(bytes);
        project.output(&["node", "hash", "--component", "none", "--hash-namespace", &namespace])
    };
    let refused = run(256);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.starts_with("error[name.invalid]"), "{said}");
}

fn validator(columns: &str, index: &str) -> OutputValidator {
    let text = format!("identifier = \"t\"\nindex = [{index}]\ncolumns = [{COLUMNS}, {columns}]");
    let contract = Arc::new(Contract::from_toml(&text).unwrap());
    let window = Window { start: None, end: Timestamp::from_micros(1).unwrap() };
    OutputValidator::new(contract, window, Arc::new(Progress::default())).unwrap()
}

fn emitted(validator: &mut OutputValidator, columns: Vec<(&str, ArrayRef)>) -> Option<&'static str> {
    let rows = columns[0].1.len();
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0; rows]).with_timezone("UTC"));
    let all = [("time_index", times)].into_iter().chain(columns);
    let batch =
        RecordBatch::try_from_iter_with_nullable(all.map(|(name, array)| (name, array, true))).unwrap();
    let outcome = validator.schema(&batch.schema()).and_then(|()| validator.batch(&batch));
    outcome.err().map(|error| error.code())
}

#[test]
fn coordinates_of_a_run_are_bounded() {
    const BATCH: i64 = 250_000;
    let mut validator = validator(r#"{ name = "id", type = "int64" }"#, r#""time_index", "id""#);
    let mut ids = |from: i64, to: i64| -> Option<&'static str> {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
        emitted(&mut validator, vec![("id", ids)])
    };
    for batch in 0..8 {
        assert_eq!(ids(batch * BATCH, (batch + 1) * BATCH), None);
    }
    assert_eq!(ids(8 * BATCH, 8 * BATCH + 1), Some("frame.too_many_coordinates"));
}

#[test]
fn values_of_dates_and_decimals_are_bounded() {
    let one = |column: &str, array: ArrayRef| {
        let column = format!(r#"{{ name = "v", type = "{column}", nullable = true }}"#);
        emitted(&mut validator(&column, r#""time_index""#), vec![("v", array)])
    };
    let day = |day: i32| one("date", Arc::new(Date32Array::from(vec![day])));
    assert_eq!((day(-719_162), day(2_932_896)), (None, None));
    assert_eq!((day(-719_163), day(2_932_897)), (Some("frame.value"), Some("frame.value")));
    let decimal = |value: i128| {
        let array = Decimal128Array::from(vec![value]).with_precision_and_scale(4, 2).unwrap();
        one("decimal(4,2)", Arc::new(array))
    };
    assert_eq!((decimal(9_999), decimal(10_000)), (None, Some("frame.value")));
    let not_finite = one("float64", Arc::new(Float64Array::from(vec![f64::NAN])));
    assert_eq!(not_finite, None, "stored as null");
}

/// Sizes are read before the contents, of which there are none here.
#[test]
fn entries_of_a_bundle_are_bounded() {
    let project = Project::new();
    let path = project.path().join("bundle.tar");
    for name in ["run.json", "component.wasm", "journal.zst", "SHA256SUMS"] {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_size((256 << 20) + 1);
        header.set_cksum();
        File::create(&path).unwrap().write_all(header.as_bytes()).unwrap();
        let (exit, said) = project.fails(&["run", "replay", path.to_str().unwrap()]);
        assert!(exit == 2 && said.starts_with("error[bundle.damaged]"), "{said}");
        assert!(said.contains("268435457 bytes"), "{said}");
    }
}

#[test]
fn files_of_revisions_are_bounded() {
    let project = Project::new();
    let contract = project.path().join("t.toml");
    let path = contract.to_str().unwrap();
    let with = |more: &str| {
        let text = format!("identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{COLUMNS}{more}]");
        fs::write(&contract, text).unwrap();
    };
    with("");
    project.run(&["table", "register", path]);
    with(r#", { name = "v", type = "float64", nullable = true }"#);
    let revision =
        |message: &str| ["table", "revision", "t", "-m", message, "--autogenerate", path].map(str::to_owned);
    let (_, said) = project.fails(&revision(&"m".repeat(1_001)).each_ref().map(String::as_str));
    assert!(said.starts_with("error[revision.message]") && said.contains("1000 bytes"), "{said}");
    let written = project.json(&revision("more").each_ref().map(String::as_str));
    let up = project.path().join(written["folder"].as_str().unwrap()).join("sqlite.up.sql");
    let good = fs::read_to_string(&up).unwrap();
    let refused = |text: &str| {
        fs::write(&up, text).unwrap();
        project.fails(&["table", "revision", "t", "--seal", written["revision"].as_str().unwrap()]).1
    };
    let said = refused(&format!("{good}\n{}", "SELECT 1;\n".repeat(1_001)));
    assert!(
        said.starts_with("error[revision.statement_refused]") && said.contains("more than 1000 statements"),
        "{said}"
    );
    let said = refused(&format!("{good}\n--{}", "x".repeat(1 << 20)));
    assert!(said.starts_with("error[revision.folder]") && said.contains("1048576 bytes"), "{said}");
    fs::write(&up, good).unwrap();
    project.run(&["table", "upgrade", "t"]);
}

#[test]
fn statistics_of_a_dry_run_are_bounded() {
    let contract = contract("", COLUMNS).unwrap();
    let error = datanode_core::statistics::parse(&" ".repeat((64 << 20) + 1), &contract).unwrap_err();
    assert_eq!(error.code(), "statistics.too_large");
}

/// Whether a text between backticks is an error's code.
fn is_code(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    text.contains('.') && text.split('.').all(is_word) && text != "datanode.toml"
}

/// The rows of the page that name the code of an error.
fn rows(page: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    page.lines().filter_map(|line| {
        let (first, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        let codes: Vec<_> = rest.split('`').skip(1).step_by(2).filter(|text| is_code(text)).collect();
        (!codes.is_empty()).then_some((first, codes))
    })
}

#[test]
fn every_limit_of_the_page_is_reached_by_a_test() {
    let read =
        |path: &str| fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let page = read("docs/reference/limits.md");
    let errors = read("docs/reference/errors.md");
    let mut expected = REACHED.iter();
    for (row, codes) in rows(&page) {
        let next = expected.next();
        let (begins, file, test) = next.unwrap_or_else(|| panic!("`{row}` is in no test"));
        assert!(row.starts_with(begins), "the page has `{row}` where the list of tests has `{begins}`");
        for code in &codes {
            assert!(errors.contains(&format!("`{code}`")), "{code} is not on the page of the errors");
        }
        if *file == NOWHERE {
            assert!(!test.is_empty());
            continue;
        }
        assert!(read(file).contains(test), "{row}: no `{test}` in {file}");
    }
    assert_eq!(expected.next(), None, "a limit that the page does not have");
}
