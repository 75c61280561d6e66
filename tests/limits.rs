//! Every limit of `docs/reference/limits.md` that is an error is reached by a test. Most are where the thing that is limited
//! is tested; the rest is here. A row of the page that names an error and is not in [`REACHED`] fails the last test; others
//! may be in it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "limits/bundle.rs"]
mod bundle;

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

/// The beginning of a row of the page, a file, the test in it, and, where that has a table of cases, words of the one that
/// it is.
const REACHED: &[(&str, &str, &str, &str)] = &[
    (
        "`fuel`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"endless_loop\", \"sandbox.limit.fuel\"",
    ),
    ("`describe_fuel`", BY_HAND, "loops", "\"loops_in_config\", Upload, \"sandbox.limit.fuel\""),
    (
        "`memory_bytes`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"memory_bomb\", \"sandbox.limit.memory\"",
    ),
    ("`table_elements`", BY_HAND, "tables", "\"grows_table\", Run, \"sandbox.limit.table_elements\""),
    ("`instances`", BY_HAND, "memory", "\"many_instances\", Upload, \"sandbox.limit.instances\""),
    (
        "`stack_bytes`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"deep_recursion\", \"sandbox.limit.stack\"",
    ),
    (
        "`message_bytes`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"huge_message\", \"sandbox.limit.message_bytes\"",
    ),
    (
        "`emit_bytes`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"huge_emit\", \"sandbox.limit.emit_bytes\"",
    ),
    (
        "`emit_rows`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"endless_rows\", \"sandbox.limit.emit_rows\"",
    ),
    ("`read_bytes`", BY_HAND, "handles", "\"reads_without_end\", Run, \"sandbox.limit.read_bytes\""),
    (
        "`open_handles`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"keeps_readers_open\", \"sandbox.limit.open_handles\"",
    ),
    (
        "`host_calls`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"log_flood\", \"sandbox.limit.host_calls\"",
    ),
    (
        "`opens`",
        HOSTILE,
        "each_ends_in_its_own_error_and_leaves_nothing_behind",
        "\"opens_without_end\", \"sandbox.limit.opens\"",
    ),
    (
        "`host_call_ms`",
        HOSTILE,
        "a_host_call_that_does_not_come_back_ends_the_run_and_keeps_nobody",
        "error[sandbox.limit.host_call_time]",
    ),
    (
        "`call_seconds`",
        HOSTILE,
        "a_guest_that_computes_for_ever_is_stopped_by_the_clock_where_fuel_would_not",
        "error[sandbox.limit.call_time]",
    ),
    ("`log_lines`", HOSTILE, "the_log_of_a_run_is_bounded_by_lines_and_by_bytes", "log_lines = 20"),
    ("`log_bytes`", HOSTILE, "the_log_of_a_run_is_bounded_by_lines_and_by_bytes", "log_bytes = 10_000"),
    ("`config_bytes`", HOSTILE, "configs_and_dependencies_are_limited", "error[config.too_large]"),
    ("`dependencies`", HOSTILE, "configs_and_dependencies_are_limited", "error[dependency.too_many]"),
    ("`spill_after_bytes`", "tests/memory.rs", "a_run_holds_less_than_its_output", ""),
    (
        "`lease_seconds`",
        "tests/leases.rs",
        "a_guest_is_stopped_when_its_run_has_lost_its_lease",
        "lease.lost",
    ),
    (
        "`retries`",
        "tests/ledger.rs",
        "a_run_that_was_overtaken_is_made_again_and_leaves_no_hole",
        "commit.table_moved",
    ),
    (
        "`journal_days`",
        "tests/replay.rs",
        "journals_older_than_the_settings_say_are_removed_by_themselves",
        "",
    ),
    ("`revision_seconds`", "host/store/tests/revisions.rs", "sql_that_takes_too_long_is_given_up", ""),
    ("`wait_seconds`", "tests/server.rs", "writers_of_the_catalogue_wait_no_longer_than_they_are_set_to", ""),
    (
        "`time_ms`",
        "tests/start_up.rs",
        "a_compilation_that_takes_too_long_is_ended",
        "sandbox.limit.compile_time",
    ),
    (
        "`memory_bytes`",
        "tests/start_up.rs",
        "a_compilation_that_takes_too_much_memory_is_ended",
        "sandbox.limit.compile_memory",
    ),
    (
        "`--max-bytes`",
        SOURCES,
        "no_server_holds_a_run_up_or_fills_the_disk",
        "\"endless\", \"source.limit.bytes\"",
    ),
    (
        "`--timeout-ms`",
        SOURCES,
        "no_server_holds_a_run_up_or_fills_the_disk",
        "\"slow_body\", \"source.timeout\"",
    ),
    ("`--max-redirects`", SOURCES, "no_component_carries_a_secret_out", "source.redirect"),
    ("`--retries`", SOURCES, "what_passes_is_tried_again_and_an_answer_is_a_fact", "source.unreachable"),
    ("`--per-minute`", SOURCES, "requests_are_spread_and_bounded", "error[source.limit.rate]"),
    ("path of a guest", REQUESTS, "what_a_guest_asks_for_is_bounded", ""),
    ("parameters, and headers, of a guest", REQUESTS, "what_a_guest_asks_for_is_bounded", ""),
    ("value of a header of a guest", REQUESTS, "what_a_guest_asks_for_is_bounded", ""),
    ("URL as it is sent", REQUESTS, "what_a_guest_asks_for_is_bounded", ""),
    (
        "head of an answer",
        SOURCES,
        "no_server_holds_a_run_up_or_fills_the_disk",
        "\"huge_head\", \"source.limit.headers\"",
    ),
    ("entries of one kind in the rules of a source", RULES, "limits_lists_and_methods_are_bounded", ""),
    ("header or parameter that the host adds", RULES, "limits_lists_and_methods_are_bounded", ""),
    ("value of a secret", SOURCES, "mistakes_are_answered_with_the_next_step", "error[secret.unfit]"),
    ("one file of a revision", HERE, "files_of_revisions_are_bounded", ""),
    ("statements of one file", HERE, "files_of_revisions_are_bounded", ""),
    ("message", HERE, "files_of_revisions_are_bounded", ""),
    ("revisions of one table", HERE, "revisions_of_one_table_are_bounded", ""),
    ("component file", "host/sandbox/src/imports.rs", "what_is_too_large_is_refused_unread", ""),
    ("guests that run at once", GUESTS, "one_guest_more_than_there_is_room_for_is_told_to_come_again", ""),
    (
        "what the host keeps for one component",
        GUESTS,
        "a_component_that_the_host_would_keep_too_much_for_is_refused",
        "",
    ),
    (
        "debug information that is read to explain a trap",
        "host/sandbox/src/debug_info/tests.rs",
        "a_line_program_is_run_without_keeping_its_rows",
        "",
    ),
    (
        "log lines that travel with a guest's error",
        "host/sandbox/src/log_tail.rs",
        "the_last_lines_stay_within_the_bounds",
        "",
    ),
    ("text of a query", SEARCH, "what_cannot_be_asked_is_refused_on_sqlite", ""),
    ("words of a query", INDEX, "words_of_a_query_are_counted", ""),
    ("candidates of one score", SEARCH, "what_cannot_be_asked_is_refused_on_sqlite", "trigram_k: 10_001"),
    ("tables of a page", "host/core/src/search/page.rs", "pages_follow_one_another", "limit: MAX_PAGE + 1"),
    (
        "filters of a request",
        "host/core/src/search/filter.rs",
        "what_means_nothing_is_refused_with_what_there_is",
        "0..=MAX_FILTERS",
    ),
    ("documentation of a component", "host/sandbox/src/docs.rs", "what_strangers_stamp_is_bounded", ""),
    ("places of words of one table", INDEX, "texts_without_end_are_bounded", ""),
    (
        "file of an embedding model",
        "host/embedding/src/directory.rs",
        "a_file_that_is_too_large_is_refused_unread",
        "",
    ),
    ("one journal, compressed", BY_HAND, "a_journal_without_end_is_not_kept_and_the_run_says_so", ""),
    ("first line of a journal", JOURNALS, "a_line_that_is_too_long_is_refused", ""),
    ("any other line of a journal", JOURNALS, "a_call_has_a_line_of_its_own_size", ""),
    ("config in a journal", "tests/limits/bundle.rs", "a_small_bundle_costs_no_gigabytes", ""),
    ("runtime options, limits", JOURNALS, "values_that_cost_more_than_their_text_are_bounded", ""),
    ("record, component and journal of a bundle", HERE, "entries_of_a_bundle_are_bounded", ""),
    (
        "entries of a bundle",
        "host/runtime/src/replay/bundle.rs",
        "a_bundle_of_too_many_entries_is_refused",
        "",
    ),
    ("identifier, physical name", HERE, "contracts_are_bounded", ""),
    ("component, source or output column name", HERE, "components_are_bounded", ""),
    (
        "dependency key",
        "host/core/src/dependency.rs",
        "keys_are_unique_names_and_not_self",
        "dependency.name",
    ),
    ("namespace of a contract", HERE, "contracts_are_bounded", ""),
    ("hash namespace", HERE, "a_hash_namespace_is_bounded", ""),
    ("columns of a table", HERE, "contracts_are_bounded", ""),
    ("count of a cadence", HERE, "contracts_are_bounded", ""),
    ("digits of a decimal", HERE, "contracts_are_bounded", ""),
    (
        "digits of a decimal in SQLite",
        "host/store/tests/catalogue.rs",
        "a_table_that_sqlite_cannot_keep_leaves_nothing",
        "contract.unsupported_type",
    ),
    ("time", BY_HAND, "emit", "\"emits_a_time_without_end\", Run, \"frame.time\""),
    ("config schema", BY_HAND, "manifests", "\"manifest_schema_is_huge\", Upload, \"component.manifest\""),
    ("nesting of a config", HERE, "configs_are_bounded", ""),
    ("nesting of a config schema", HERE, "components_are_bounded", ""),
    ("sources of a component", BY_HAND, "manifests", "\"manifest_sources_many\", Upload"),
    ("output columns of a component", BY_HAND, "manifests", "\"manifest_columns_many\", Upload"),
    ("one description in a component", BY_HAND, "manifests", "\"manifest_description_is_a_novel\", Upload"),
    ("chain of dependencies", BY_HAND, "dependencies", "\"depends_on_ever_more\", Create"),
    ("nodes of one graph", BY_HAND, "dependencies", "\"depends_on_ever_more_others\", Create"),
    ("integers in a config", HERE, "configs_are_bounded", ""),
    ("schemas looked at", BY_HAND, "manifests", "\"manifest_schema_doubles\", Create"),
    ("coordinates of one run", HERE, "coordinates_of_a_run_are_bounded", ""),
    ("days of a `date`", HERE, "values_of_dates_and_decimals_are_bounded", ""),
    ("values, columns, coordinates and range-map entries", BY_HAND, "handles", "\"asks_for_too_much\""),
    (
        "read before the guest asks for it",
        "host/runtime/src/run/inputs.rs",
        "pages_beyond_the_budget_are_not_read_ahead_and_are_the_same",
        "",
    ),
    (
        "upload of a producer",
        "tests/producer.rs",
        "what_no_producer_should_send_is_refused_as_the_callers_error",
        "\"A\".repeat(65 << 20)",
    ),
    (
        "rows of an upload, unpacked",
        "tests/producer.rs",
        "what_no_producer_should_send_is_refused_as_the_callers_error",
        "(64 << 20) + 1",
    ),
    (
        "statistics of an update, unpacked",
        "host/server/src/compat/producer/payload.rs",
        "a_text_is_read_while_it_is_unpacked_and_no_further_than_its_bound",
        "",
    ),
    (
        "coordinates that the statistics of an update name",
        "host/core/src/producer/tests.rs",
        "statistics_are_bounded_by_coordinates_and_by_what_one_piece_costs",
        "of(MAX_COORDINATES + 1)",
    ),
    (
        "one text or number in the statistics of an update",
        "host/core/src/producer/tests.rs",
        "statistics_are_bounded_by_coordinates_and_by_what_one_piece_costs",
        "",
    ),
    ("rows of an update that wait", "host/store/tests/producer.rs", "more_than_may_wait_is_refused", ""),
    (
        "nesting of JSON in a cell",
        "host/core/src/producer/tests.rs",
        "deep_json_is_refused_and_nothing_else_happens",
        "MAX_JSON_DEPTH + 1",
    ),
    (
        "`update_hash` of a producer",
        "host/core/src/producer/tests.rs",
        "hashes_are_taken_as_they_are_given_within_bounds",
        "MAX_HASH_CHARS + 1",
    ),
    (
        "identifier, namespace or schema that a client",
        "host/server/src/compat/registering.rs",
        "mistakes_are_named_by_their_place",
        "\"ä\".repeat(256)",
    ),
    (
        "tables that a client registers",
        "tests/compat/catalogue.rs",
        "tables_are_registered_under_any_name",
        "row(\"third\", \"third\"); 201]",
    ),
    (
        "parameters of a query",
        "host/server/src/compat/parameters.rs",
        "parameters_are_bounded",
        "MAX_PARAMETERS + 1",
    ),
    (
        "`offset` of a read",
        "host/server/src/compat/read.rs",
        "a_cursor_leads_on_and_only_where_it_came_from",
        "MAX_CURSOR + 1",
    ),
    ("`head_seconds`", FAULTS, "slow_callers_are_not_waited_for", ""),
    ("`body_idle_seconds`", FAULTS, "slow_callers_are_not_waited_for", "\"server.body_too_slow\""),
    ("`write_idle_seconds`", FAULTS, "readers_who_leave_or_sleep_end_their_reads", ""),
    ("`answer_seconds`", FAULTS, "answers_that_take_too_long_are_given_up", ""),
    ("`long_answer_seconds`", FAULTS, "answers_that_take_too_long_are_given_up", ""),
    ("`document_bytes`", FAULTS, "bodies_that_are_too_large_are_refused", ""),
    ("`rows_bytes`", FAULTS, "as_much_as_is_allowed_and_no_more", ""),
    ("`component_bytes`", FAULTS, "bodies_that_are_too_large_are_refused", ""),
    (
        "`requests_per_minute`",
        "tests/server/rights.rs",
        "a_token_is_good_for_so_many_requests",
        "requests_per_minute = 2",
    ),
    ("`executions`", FAULTS, "as_much_as_is_allowed_and_no_more", "executions = 1"),
    ("`executions_waiting`", FAULTS, "as_much_as_is_allowed_and_no_more", ""),
    ("`event_streams`", FAULTS, "as_much_as_is_allowed_and_no_more", ""),
    (
        "`event_streams_of_one`",
        "host/server/src/streams.rs",
        "one_caller_has_some_of_all_places_and_gives_them_back",
        "",
    ),
    ("`row_streams`", FAULTS, "as_much_as_is_allowed_and_no_more", ""),
    ("`row_streams_of_one`", FAULTS, "one_reader_does_not_take_the_places_of_others", ""),
    ("`uploads`", FAULTS, "as_much_as_is_allowed_and_no_more", ""),
    ("query of a URL", FAULTS, "as_much_as_is_allowed_and_no_more", "server.query_too_long"),
    (
        "body of a request that demands no token",
        "host/server/src/guard.rs",
        "whoever_is_nobody_is_taken_little_of",
        "MAX_UNASKED_BYTES + 1",
    ),
    ("items of a page", "tests/server.rs", "lists_come_in_pages", "limit=1001"),
    ("key of a request", "tests/server.rs", "a_request_with_a_key_is_carried_out_once", "with a space"),
    ("username", PEOPLE, "names_of_people_are_names", ""),
    ("names, address", PEOPLE, "names_of_people_are_names", ""),
    ("requests in a minute", PEOPLE, "names_of_people_are_names", ""),
    ("requests of a token", PEOPLE, "a_bucket_lets_no_more_through_than_it_says", ""),
    ("message of a log line", LOGS, "huge_lines_are_cut_and_counted_by_what_is_kept", ""),
    ("fields of a log line", LOGS, "huge_lines_are_cut_and_counted_by_what_is_kept", ""),
    ("name and value of such a field", LOGS, "huge_lines_are_cut_and_counted_by_what_is_kept", ""),
    ("message and traceback of an author's error", BY_HAND, "logs", "\"error_of_a_novel\", Run"),
    ("coordinates named as gaps", "host/core/src/run.rs", "gaps_are_counted_and_a_few_are_named", ""),
    (
        "wait for a write lock",
        "host/store/src/sqlite/connection.rs",
        "a_writer_that_waits_too_long_is_told_so",
        "",
    ),
    (
        "runtime options of a run",
        "host/core/src/options.rs",
        "single_options_count_towards_the_bound",
        "MAX_OPTIONS_BYTES",
    ),
    ("`--statistics` of a dry run", HERE, "statistics_of_a_dry_run_are_bounded", ""),
    (
        "rows of `--sample`",
        "tests/running.rs",
        "mistakes_are_answered_with_the_next_step",
        "\"--sample\", \"1001\"",
    ),
    (
        "rows of a dry run whose index tuples",
        "host/runtime/src/run/unique.rs",
        "beyond_the_bound_it_says_that_it_did_not_look",
        "",
    ),
    ("`table sql`: rows", SQL, "answers_are_bounded", "max_rows: 2"),
    ("`table sql`: bytes of the answer", SQL, "answers_are_bounded", "max_bytes: 50"),
];

/// This file.
const HERE: &str = "tests/limits.rs";
const HOSTILE: &str = "tests/hostile.rs";
const BY_HAND: &str = "tests/hostile_by_hand.rs";
const GUESTS: &str = "host/sandbox/tests/guests_by_hand.rs";
const INDEX: &str = "host/core/src/search/index/tests.rs";
const LOGS: &str = "host/runtime/src/run/logs.rs";
const SQL: &str = "host/store/tests/read_only_sql.rs";
const JOURNALS: &str = "host/core/src/journal/lines.rs";
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

/// They are counted before any of them is opened.
#[test]
fn revisions_of_one_table_are_bounded() {
    let project = Project::new();
    let contract = project.path().join("t.toml");
    let text = format!("identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{COLUMNS}]");
    fs::write(&contract, text).unwrap();
    project.run(&["table", "register", contract.to_str().unwrap()]);
    let folder = |number: u32| {
        fs::create_dir_all(project.path().join("revisions/t").join(format!("{number:05}_empty"))).unwrap();
    };
    let refused = || {
        let (_, said) = project.fails(&["table", "upgrade", "t"]);
        assert!(said.starts_with("error[revision.folder]"), "{said}");
        said
    };
    (0..10_000).for_each(folder);
    let said = refused();
    assert!(said.contains("00000_empty"), "as many are opened: {said}");
    folder(10_000);
    let said = refused();
    assert!(said.contains("more than 10000 revisions"), "{said}");
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

/// The rows of the page, with the codes of errors that they name.
fn rows(page: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    page.lines().filter_map(|line| {
        let (first, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        let codes: Vec<_> = rest.split('`').skip(1).step_by(2).filter(|text| is_code(text)).collect();
        Some((first, codes))
    })
}

/// Macros that make tests of the functions that they are given, or of the names.
const MAKERS: [&str; 2] = ["on_both_databases!", "classes!"];

/// Whether a function is marked as a test, and not to be left out.
fn is_marked(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else { return false };
    let before = &text[..text[..at].rfind('\n').unwrap_or(0)];
    let above = before.lines().rev().map(str::trim_start);
    let attributes: Vec<&str> = above.take_while(|line| line.starts_with(['#', '/'])).collect();
    let is_test = |line: &&str| line.starts_with("#[") && (line.contains("test]") || line.contains("test("));
    attributes.iter().any(is_test) && !attributes.iter().any(|line| line.starts_with("#[ignore"))
}

/// Whether a macro makes a test of this name.
fn is_made(text: &str, name: &str) -> bool {
    let lists = MAKERS.iter().flat_map(|maker| text.split(maker).skip(1));
    let mut lists = lists.filter_map(|rest| rest.split([')', '}']).next());
    let is_word_of = |list: &str| {
        let mut words = list.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.any(|word| word == name)
    };
    lists.any(is_word_of)
}

#[test]
fn every_limit_of_the_page_is_reached_by_a_test() {
    let read =
        |path: &str| fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let page = read("docs/reference/limits.md");
    let errors = read("docs/reference/errors.md");
    let mut expected = REACHED.iter().peekable();
    for (row, codes) in rows(&page) {
        let Some((_, file, test, words)) = expected.next_if(|(begins, ..)| row.starts_with(begins)) else {
            assert!(codes.is_empty(), "`{row}` is in no test, or stands elsewhere than in the list of tests");
            continue;
        };
        for code in &codes {
            assert!(errors.contains(&format!("`{code}`")), "{code} is not on the page of the errors");
        }
        let text = read(file);
        // The tests of `tests/x/y.rs` may be made in `tests/x.rs`.
        let above = root().join(file).parent().unwrap().with_extension("rs");
        let above = fs::read_to_string(above).unwrap_or_default();
        let runs = is_marked(&text, test) || is_made(&text, test) || is_made(&above, test);
        assert!(runs, "{row}: no test `{test}` in {file} that is run");
        assert!(text.contains(words), "{row}: no `{words}` in {file}");
    }
    assert_eq!(expected.next(), None, "a limit that the page does not have");
}

#[test]
fn a_test_that_is_not_run_reaches_nothing() {
    let text = "#[test]\n/// Said.\n#[allow(x)]\nfn one() {}\n\n    #[tokio::test]\n    async fn two() {}\n\n\
                #[test]\n#[ignore = \"slow\"]\nfn three() {}\n\nfn four() {}\n\n\
                on_both_databases!(\n    five,\n    inner::six,\n);\nfn seven() {}\n";
    let run = ["one", "two", "five", "six"];
    for name in ["one", "two", "three", "four", "five", "six", "seven", "eight", "on", "inner::six"] {
        assert_eq!(is_marked(text, name) || is_made(text, name), run.contains(&name), "{name}");
    }
}
