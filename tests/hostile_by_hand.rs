//! Hostile components that no SDK would build, each in a file of `hostile/components/*.wat`: what is refused at upload, when a
//! node is created, or while it runs; by which error, how soon; that nothing is stored, and that the next run is good.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

#[path = "hostile/by_hand/mod.rs"]
mod by_hand;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use datanode_tests::{Project, root};
use serde_json::Value;

/// Small limits, so that each is reached in a moment.
const SETTINGS: &str = "
[limits]
fuel = 300_000_000
describe_fuel = 50_000_000
memory_bytes = 536_870_912
message_bytes = 4_194_304
emit_bytes = 67_108_864
read_bytes = 1_048_576
host_calls = 10_000
stack_bytes = 262_144
";

/// Fuel that lasts for a week: only the clock is left.
const DEADLINES: &str = "
[limits]
fuel = 9_000_000_000_000_000
call_seconds = 1
";

/// No attack holds a user up for longer, even on a busy machine: the limits end it, not patience.
const PATIENCE: Duration = Duration::from_secs(40);

/// What the user does when the attack shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Upload,
    Create,
    Run,
}
use When::{Create, Run, Upload};

/// Component, when, error code, exit code.
type Attack = (&'static str, When, &'static str, i32);

const IMPORTS: [Attack; 11] = [
    ("imports_sockets", Upload, "sandbox.imports_refused", 3),
    ("imports_http", Upload, "sandbox.imports_refused", 3),
    ("imports_another_version", Upload, "sandbox.imports_refused", 3),
    ("imports_lookalikes", Upload, "sandbox.imports_refused", 3),
    ("imports_module", Upload, "sandbox.imports_refused", 3),
    ("imports_function_of_no_contract", Upload, "sandbox.prepare", 3),
    ("imports_function_of_another_type", Upload, "sandbox.prepare", 3),
    ("imports_twice", Upload, "sandbox.prepare", 3),
    ("nested_component_imports", Upload, "sandbox.prepare", 3),
    ("exports_node_twice", Upload, "sandbox.prepare", 3),
    ("exports_functions_of_another_type", Upload, "sandbox.trap", 1),
];

const FEATURES: [Attack; 6] = [
    ("wants_threads", Upload, "sandbox.prepare", 3),
    ("wants_memory64", Upload, "sandbox.prepare", 3),
    ("wants_two_memories", Upload, "sandbox.prepare", 3),
    ("wants_relaxed_simd", Upload, "sandbox.prepare", 3),
    ("wants_garbage_collection", Upload, "sandbox.prepare", 3),
    ("wants_exceptions", Upload, "sandbox.prepare", 3),
];

const LOOPS: [Attack; 8] = [
    ("loops_in_config", Upload, "sandbox.limit.fuel", 1),
    ("loops_in_start", Upload, "sandbox.limit.fuel", 1),
    ("loops_in_dependencies", Create, "sandbox.limit.fuel", 1),
    ("loops_in_realloc", Create, "sandbox.limit.fuel", 1),
    ("loops_in_post_return", Run, "sandbox.limit.fuel", 1),
    ("loops_between_emits", Run, "sandbox.limit.fuel", 1),
    ("loops_by_tail_calls", Run, "sandbox.limit.fuel", 1),
    ("loops_over_host_calls", Run, "sandbox.limit.host_calls", 1),
];

const CLOCK: [Attack; 3] = [
    ("fills_memory_for_ever", Run, "sandbox.limit.call_time", 5),
    ("copies_memory_for_ever", Run, "sandbox.limit.call_time", 5),
    ("fills_table_for_ever", Run, "sandbox.limit.call_time", 5),
];

const MEMORY: [Attack; 9] = [
    ("grows_memory", Run, "sandbox.limit.memory", 1),
    ("grows_memory_in_realloc", Create, "sandbox.limit.memory", 1),
    ("declares_huge_memory", Upload, "sandbox.limit.memory", 1),
    ("data_beyond_memory", Upload, "sandbox.trap", 1),
    ("writes_beyond_memory", Run, "sandbox.trap", 1),
    ("bulk_copy_beyond_memory", Run, "sandbox.trap", 1),
    ("many_instances", Upload, "sandbox.limit.instances", 1),
    ("many_memories", Upload, "sandbox.limit.memory", 1),
    ("many_tables", Upload, "sandbox.limit.table_elements", 1),
];

const TABLES: [Attack; 5] = [
    ("grows_table", Run, "sandbox.limit.table_elements", 1),
    ("declares_huge_table", Upload, "sandbox.limit.table_elements", 1),
    ("calls_an_empty_element", Run, "sandbox.trap", 1),
    ("calls_another_type", Run, "sandbox.trap", 1),
    ("calls_beyond_the_table", Run, "sandbox.trap", 1),
];

const STACK: [Attack; 5] = [
    ("recurses_through_a_table", Run, "sandbox.limit.stack", 5),
    ("recurses_in_realloc", Create, "sandbox.limit.stack", 5),
    ("recurses_through_realloc", Run, "sandbox.trap", 1),
    ("realloc_answers_beyond_memory", Create, "sandbox.trap", 1),
    ("realloc_answers_a_crooked_address", Run, "sandbox.trap", 1),
];

const EMIT: [Attack; 11] = [
    ("emits_nothing", Run, "frame.not_arrow", 1),
    ("emits_the_end_twice", Run, "frame.unsupported", 1),
    ("emits_without_schema", Run, "frame.order", 1),
    ("emits_schema_twice", Run, "frame.order", 1),
    ("emits_empty_batches", Run, "sandbox.limit.host_calls", 1),
    ("emits_in_start", Upload, "sandbox.trap", 1),
    ("emits_in_dependencies", Create, "sandbox.not_in_this_phase", 3),
    ("emits_after_its_answer", Run, "sandbox.trap", 1),
    ("emits_from_beyond_memory", Run, "sandbox.trap", 1),
    ("emits_its_whole_memory", Run, "sandbox.limit.message_bytes", 1),
    ("emits_a_time_without_end", Run, "frame.time", 1),
];

const IPC_BUFFERS: [Attack; 21] = [
    ("ipc_offsets_out_of_order", Run, "frame.not_arrow", 1),
    ("ipc_offsets_negative", Run, "frame.not_arrow", 1),
    ("ipc_offsets_too_large", Run, "frame.not_arrow", 1),
    ("ipc_offsets_too_short", Run, "frame.not_arrow", 1),
    ("ipc_no_text", Run, "frame.not_arrow", 1),
    ("ipc_half_a_character", Run, "frame.not_arrow", 1),
    ("ipc_buffer_beyond_body", Run, "frame.not_arrow", 1),
    ("ipc_buffer_end_wraps", Run, "frame.not_arrow", 1),
    ("ipc_buffer_length_negative", Run, "frame.not_arrow", 1),
    ("ipc_buffer_offset_negative", Run, "frame.not_arrow", 1),
    ("ipc_buffers_overlap", Run, "frame.not_arrow", 1),
    ("ipc_buffer_crooked", Run, "frame.not_arrow", 1),
    ("ipc_buffer_of_half_an_element", Run, "frame.not_arrow", 1),
    ("ipc_buffer_too_short", Run, "frame.not_arrow", 1),
    ("ipc_validity_too_short", Run, "frame.not_arrow", 1),
    ("ipc_null_count_too_large", Run, "frame.not_arrow", 1),
    ("ipc_null_count_negative", Run, "frame.not_arrow", 1),
    ("ipc_null_count_lies", Run, "frame.not_arrow", 1),
    ("ipc_null_count_invents", Run, "frame.not_arrow", 1),
    ("ipc_rows_negative", Run, "frame.not_arrow", 1),
    ("ipc_rows_without_end", Run, "frame.not_arrow", 1),
];

const IPC_MESSAGES: [Attack; 11] = [
    ("ipc_columns_of_other_lengths", Run, "frame.not_arrow", 1),
    ("ipc_body_longer", Run, "frame.not_arrow", 1),
    ("ipc_body_shorter", Run, "frame.truncated", 1),
    ("ipc_body_negative", Run, "frame.not_arrow", 1),
    ("ipc_metadata_without_end", Run, "frame.truncated", 1),
    ("ipc_metadata_in_the_body", Run, "frame.truncated", 1),
    ("ipc_root_beyond_metadata", Run, "frame.not_arrow", 1),
    ("ipc_tables_in_a_circle", Run, "frame.not_arrow", 1),
    ("ipc_old_version", Run, "frame.unsupported", 1),
    ("ipc_tensor", Run, "frame.not_arrow", 1),
    ("ipc_no_continuation", Run, "frame.not_arrow", 1),
];

const IPC_TYPES: [Attack; 17] = [
    ("ipc_dictionary_column", Run, "frame.unsupported", 1),
    ("ipc_dictionary", Run, "frame.unsupported", 1),
    ("ipc_dictionary_delta", Run, "frame.unsupported", 1),
    ("ipc_compressed", Run, "frame.unsupported", 1),
    ("ipc_big_endian", Run, "frame.unsupported", 1),
    ("ipc_nested", Run, "frame.unsupported", 1),
    ("ipc_nested_without_end", Run, "frame.not_arrow", 1),
    ("ipc_nothing", Run, "frame.unsupported", 1),
    ("ipc_zero_width", Run, "frame.schema", 1),
    ("ipc_views", Run, "frame.unsupported", 1),
    ("ipc_run_ends", Run, "frame.unsupported", 1),
    ("schema_changes", Run, "frame.order", 1),
    ("schema_of_integers_for_floats", Run, "frame.not_arrow", 1),
    ("schema_with_fewer_columns", Run, "frame.not_arrow", 1),
    ("schema_without_columns", Run, "frame.schema", 1),
    ("schema_with_a_column_twice", Run, "frame.schema", 1),
    ("schema_of_many_columns", Run, "frame.schema", 1),
];

const LOGS: [Attack; 8] = [
    ("log_beyond_a_message", Run, "sandbox.limit.message_bytes", 1),
    ("log_of_many_fields", Run, "sandbox.limit.host_calls", 1),
    ("log_level_of_no_name", Run, "sandbox.trap", 1),
    ("log_no_text", Run, "sandbox.trap", 1),
    ("log_fields_beyond_memory", Run, "sandbox.trap", 1),
    ("log_escape_sequences", Run, "node.error", 1),
    ("error_of_a_novel", Run, "node.error", 1),
    ("error_of_no_kind", Run, "sandbox.trap", 1),
];

const MANIFESTS: [Attack; 19] = [
    ("manifest_name_is_a_path", Upload, "component.name", 3),
    ("manifest_name_of_another", Upload, "component.version_taken", 3),
    ("manifest_version_is_none", Upload, "component.manifest", 3),
    ("manifest_description_is_a_novel", Upload, "component.manifest", 3),
    ("manifest_schema_is_no_json", Upload, "component.manifest", 3),
    ("manifest_schema_is_no_schema", Upload, "component.config_schema", 3),
    ("manifest_schema_is_huge", Upload, "component.manifest", 3),
    ("manifest_schema_is_deep", Upload, "component.manifest", 3),
    ("manifest_schema_is_elsewhere", Upload, "component.config_schema", 3),
    ("manifest_schema_pattern_is_huge", Upload, "component.config_schema", 3),
    ("manifest_schema_doubles", Create, "config.invalid", 2),
    ("manifest_schema_pattern_is_slow", Create, "config.invalid", 2),
    ("manifest_sources_many", Upload, "component.manifest", 3),
    ("manifest_columns_many", Upload, "component.manifest", 3),
    ("manifest_list_beyond_memory", Upload, "sandbox.trap", 1),
    ("manifest_list_without_end", Upload, "sandbox.limit.message_bytes", 1),
    ("manifest_beyond_memory", Upload, "sandbox.trap", 1),
    ("manifest_is_no_text", Upload, "sandbox.trap", 1),
    ("manifest_of_bits_of_no_bool", Upload, "sandbox.trap", 1),
];

const DEPENDENCIES: [Attack; 9] = [
    ("depends_on_a_thousand_of_nothing", Create, "dependency.too_many", 3),
    ("depends_by_the_same_key_twice", Create, "dependency.key_twice", 3),
    ("depends_by_the_reserved_key", Create, "dependency.reserved_key", 3),
    ("depends_on_a_table_of_its_own_choice", Create, "dependency.hard_coded_table", 3),
    ("depends_with_a_huge_config", Create, "dependency.config_too_large", 3),
    ("depends_on_ever_more", Create, "dependency.too_deep", 3),
    ("depends_on_ever_more_others", Create, "dependency.too_many_nodes", 3),
    ("depends_on_neither", Create, "sandbox.trap", 1),
    ("dependencies_fail_with_a_lie", Create, "node.error", 1),
];

const HANDLES: [Attack; 9] = [
    ("drops_a_reader_twice", Run, "sandbox.trap", 1),
    ("reads_a_dropped_reader", Run, "sandbox.trap", 1),
    ("invents_a_reader", Run, "sandbox.trap", 1),
    ("reads_a_reader_as_a_body", Run, "sandbox.trap", 1),
    ("answers_into_nowhere", Run, "sandbox.trap", 1),
    ("opens_thousands_of_readers", Run, "sandbox.limit.open_handles", 1),
    ("reads_without_end", Run, "sandbox.limit.read_bytes", 1),
    ("asks_for_too_much", Run, "node.error", 1),
    ("asks_with_half_a_bound", Run, "sandbox.trap", 1),
];

const DEBUG_INFORMATION: [Attack; 5] = [
    ("debug_entries_nested", Run, "sandbox.trap", 1),
    ("debug_names_in_a_circle", Run, "sandbox.trap", 1),
    ("debug_lines_without_end", Run, "sandbox.trap", 1),
    ("debug_tables_read_anew", Run, "sandbox.trap", 1),
    ("debug_sections_cut_off", Run, "sandbox.trap", 1),
];

/// Files that are no attack that ends in an error.
const OTHERS: [&str; 2] = ["remembers", "fills_its_journal"];

const ALL: [&[Attack]; 16] = [
    &IMPORTS,
    &FEATURES,
    &LOOPS,
    &CLOCK,
    &MEMORY,
    &TABLES,
    &STACK,
    &EMIT,
    &IPC_BUFFERS,
    &IPC_MESSAGES,
    &IPC_TYPES,
    &LOGS,
    &MANIFESTS,
    &DEPENDENCIES,
    &HANDLES,
    &DEBUG_INFORMATION,
];

/// A project that holds up attacks: tables, and a node that is good.
struct Target {
    project: Project,
    good: String,
}

impl Target {
    fn new(settings: &str, tables: &[String]) -> Self {
        let project = Project::with_settings(settings);
        let contract = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
        let files = tables.iter().map(String::as_str).chain(["out"]).map(|table| {
            let file = project.path().join(format!("{table}.toml"));
            std::fs::write(&file, contract.replace("\"hostile_output\"", &format!("\"{table}\""))).unwrap();
            file.to_str().unwrap().to_owned()
        });
        let files: Vec<String> = files.collect();
        let register: Vec<&str> =
            ["table", "register"].into_iter().chain(files.iter().map(String::as_str)).collect();
        project.run(&register);
        project.upload("well_behaved");
        let good = created(&project, "well_behaved", "out");
        Self { project, good }
    }

    /// The file of a component.
    fn written(&self, name: &str) -> String {
        let file = self.project.path().join(format!("{name}.wasm"));
        std::fs::write(&file, by_hand::component(name)).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Do what the attack waits for; answers exit code and what the user reads.
    fn attacked(&self, name: &str, when: When, table: &str) -> (i32, String) {
        let upload = ["component", "upload", &self.written(name)];
        if when == Upload {
            return self.project.fails(&upload);
        }
        self.project.run(&upload);
        if when == Create {
            return self.project.fails(&["node", "create", name, "--table", table]);
        }
        let node = created(&self.project, name, table);
        self.project.fails(&["node", "run", &node, "--until", "2026-01-01"])
    }

    fn rows(&self, table: &str) -> i64 {
        self.project.number(&format!("SELECT count(*) FROM \"{table}\""))
    }

    /// A run of the good node, which has stored its rows the first time.
    fn is_well(&self) {
        let runs = self.project.json(&["node", "run", &self.good]);
        assert!(runs[0]["status"] == "ok" || runs[0]["status"] == "empty", "{runs}");
        assert_eq!(self.rows("out"), 3);
    }
}

/// By uid: the same component with the same config has one update hash, whatever table it writes.
fn created(project: &Project, component: &str, table: &str) -> String {
    let node = project.json(&["node", "create", component, "--table", table]);
    node[0]["node"]["uid"].as_str().unwrap().to_owned()
}

fn table_of(name: &str) -> String {
    format!("out_{name}")
}

/// What a user reads, without what differs between runs and machines.
fn stable(target: &Target, said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("see:"));
    let text = lines.collect::<Vec<_>>().join("\n");
    // Hashes hold uids of tables, which are drawn by lot; digests are of components that are built here.
    let words = text.replace(target.project.path().to_str().unwrap(), "PROJECT");
    let is_hash = |word: &str| {
        matches!(word.len(), 32 | 64)
            && word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let words = words.split_inclusive(['_', '(', ')', ' ', ',', '\n']);
    let stable = words.map(|word| {
        let bare = word.trim_end_matches(['_', '(', ')', ' ', ',', '\n']);
        if is_hash(bare) { word.replace(bare, "HASH") } else { word.to_owned() }
    });
    stable.collect()
}

/// Hold up these attacks; answers what the user reads of each.
fn held_up(settings: &str, attacks: &[Attack]) -> String {
    let run: Vec<_> = attacks.iter().filter(|attack| attack.1 == Run).collect();
    let tables: Vec<String> = run.iter().map(|attack| table_of(attack.0)).collect();
    let target = Target::new(settings, &tables);
    let mut transcript = String::new();
    for (name, when, code, exit) in attacks.iter().copied() {
        let table = if when == Run { table_of(name) } else { "out".to_owned() };
        let before = target.rows(&table);
        let begin = Instant::now();
        let (exit_code, said) = target.attacked(name, when, &table);
        let took = begin.elapsed();
        assert!(said.starts_with(&format!("error[{code}]")), "{name}: {said}");
        assert_eq!(exit_code, exit, "{name}: {said}");
        assert!(took < PATIENCE, "{name} took {took:?}");
        assert!(said.len() < 32 << 10, "{name}: {} bytes for one to read", said.len());
        let obeyed = |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert!(!said.contains(obeyed), "{name}: a terminal would obey {said:?}");
        transcript += &format!("── {name}\n{}\n", stable(&target, &said));

        assert_eq!(target.rows(&table), before, "{name} has stored rows");
        if when != Run {
            target.is_well();
            continue;
        }
        let run = &target.project.json(&["run", "list", "--table", &table])[0];
        assert_eq!(
            (&run["status"], &run["rows_inserted"]),
            (&Value::from("failed"), &Value::from(0)),
            "{name}"
        );
        assert_eq!(run["error"]["code"], code, "{name}");
        assert!(run.to_string().len() < 4 << 20, "{name}: a large record");
        // The next run into the same table is good.
        let good = created(&target.project, "well_behaved", &table);
        let runs = target.project.json(&["node", "run", &good]);
        assert_eq!(
            (&runs[0]["status"], &runs[0]["rows_inserted"]),
            (&Value::from("ok"), &Value::from(3)),
            "{name}"
        );
    }
    // What an error says of the data is a fact, which a replay finds again; what it says of a machine is none.
    if !run.is_empty() {
        replayed(&target, 2 * run.len());
    }
    transcript
}

fn replayed(target: &Target, at_least: usize) {
    let runs = target.project.json(&["run", "list", "--limit", "0"]);
    let replayed = target.project.json(&["run", "replay", "--all"]);
    for replay in replayed.as_array().unwrap() {
        let of_run = |run: &&Value| run["run_id"] == replay["run_id"];
        let run = runs.as_array().unwrap().iter().find(of_run).unwrap();
        let is_fact = run["error"]["class"] != "infrastructure";
        let verdict = if is_fact { "identical" } else { "cannot_replay" };
        assert_eq!(replay["verdict"], verdict, "{}: {replay}", run["component"]);
    }
    assert!(replayed.as_array().unwrap().len() >= at_least);
}

macro_rules! classes {
    ($($name:ident: $settings:expr, $attacks:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(held_up($settings, &$attacks));
        })*
    };
}

classes! {
    imports: SETTINGS, IMPORTS;
    features: SETTINGS, FEATURES;
    loops: SETTINGS, LOOPS;
    clock: DEADLINES, CLOCK;
    memory: SETTINGS, MEMORY;
    tables: SETTINGS, TABLES;
    stack: SETTINGS, STACK;
    emit: SETTINGS, EMIT;
    buffers_of_arrow: SETTINGS, IPC_BUFFERS;
    messages_of_arrow: SETTINGS, IPC_MESSAGES;
    types_of_arrow: SETTINGS, IPC_TYPES;
    logs: SETTINGS, LOGS;
    manifests: SETTINGS, MANIFESTS;
    dependencies: SETTINGS, DEPENDENCIES;
    handles: SETTINGS, HANDLES;
    debug_information: SETTINGS, DEBUG_INFORMATION;
}

/// It would answer in another way, and end in a trap, if a call found anything of an earlier one: in the same process
/// (upload asks twice, a run of two nodes uses the same slots of the pool again) or in the next.
#[test]
fn nothing_of_a_call_is_left_for_the_next() {
    let target = Target::new(SETTINGS, &["one".to_owned()]);
    target.project.run(&["component", "upload", &target.written("remembers")]);
    let node = created(&target.project, "remembers", "one");
    for _ in 0..2 {
        let runs = target.project.json(&["node", "run", &node]);
        assert_eq!((&runs[0]["status"], &runs[0]["rows_inserted"]), (&Value::from("empty"), &Value::from(0)));
    }
    target.is_well();
}

/// What a journal that became too large costs is told where the run is told: nobody is to learn it by a replay that fails.
#[test]
fn a_journal_without_end_is_not_kept_and_the_run_says_so() {
    const WARNING: &str =
        "its journal became too large to be kept: this run cannot be executed again; make fewer host calls";
    let target = Target::new("", &["one".to_owned()]);
    let project = &target.project;
    project.run(&["component", "upload", &target.written("fills_its_journal")]);
    let node = created(project, "fills_its_journal", "one");
    let is_told = |arguments: &[&str]| {
        let output = project.output(arguments);
        assert!(output.status.success(), "{arguments:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(WARNING), "{arguments:?}: {told}");
    };
    is_told(&["node", "run", &node]);
    let run = &project.json(&["run", "list", "--table", "one"])[0];
    assert_eq!((&run["status"], &run["warnings"]), (&Value::from("empty"), &Value::from(vec![WARNING])));
    assert!(run["journal"].is_null(), "{run}");
    let id = run["run_id"].as_str().unwrap();
    is_told(&["run", "show", id]);
    assert_eq!(project.number(&format!("SELECT count(*) FROM _run_journals WHERE run_id = '{id}'")), 0);
    let output = project.output(&["run", "replay", id, "--json"]);
    let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(replayed[0]["verdict"], "cannot_replay", "{replayed}");
    assert_eq!(replayed[0]["missing"], "no journal was kept of it");
    target.is_well();
}

#[test]
fn every_file_is_an_attack_and_every_attack_a_file() {
    let mut listed = BTreeSet::new();
    for attack in ALL.iter().flat_map(|class| class.iter()) {
        assert!(listed.insert(attack.0.to_owned()), "{} is listed twice", attack.0);
    }
    listed.extend(OTHERS.map(str::to_owned));
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("tests/hostile/components")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wat") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(";; Attacks "), "{} does not say what it attacks", path.display());
            found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(listed, found);
    for class in ALL {
        assert!(class.len() >= 3, "several in each class");
    }
}
