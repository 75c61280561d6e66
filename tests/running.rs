//! Running in full: every outcome, parts of a tree, hash namespaces, dry runs, and tables that several nodes write.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::format_push_string
)]

use std::collections::BTreeMap;

use datanode_tests::{Project, on_both_databases, root};
use serde_json::{Value, json};

const SERIES: &str = "daily_series";

/// A project with the component `daily_series` and tables of its shape.
fn with_tables(empty: Project, tables: &[&str]) -> Project {
    let project = empty;
    project.upload(SERIES);
    let contract = std::fs::read_to_string(root().join("tests/guests/daily_series/contract.toml")).unwrap();
    for table in tables {
        let file = project.path().join(format!("{table}.toml"));
        std::fs::write(&file, contract.replace("\"daily_series\"", &format!("\"{table}\""))).unwrap();
        project.run(&["table", "register", file.to_str().unwrap()]);
    }
    project
}

/// Create a node; answers its `update_hash`.
fn create(project: &Project, table: &str, config: &Value) -> String {
    let nodes = project.json(&["node", "create", SERIES, "--table", table, "--config", &config.to_string()]);
    text(&nodes.as_array().unwrap().last().unwrap()["node"], "update_hash")
}

fn text(document: &Value, field: &str) -> String {
    document[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {document}")).to_owned()
}

fn number(document: &Value, field: &str) -> u64 {
    document[field].as_u64().unwrap_or_else(|| panic!("no number `{field}` in {document}"))
}

/// Table and outcome of each run that a command which may fail prints.
fn outcomes(project: &Project, arguments: &[&str]) -> Vec<(String, String)> {
    let output = project.output(&[arguments, &["--json"]].concat());
    let runs: Value = serde_json::from_slice(&output.stdout).expect("runs");
    runs.as_array().unwrap().iter().map(|run| (text(run, "table"), text(run, "status"))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(table, status)| ((*table).to_owned(), (*status).to_owned())).collect()
}

/// Series → (first day, last day, rows), from the progress that the catalogue keeps.
fn progress(project: &Project, table: &str) -> BTreeMap<String, (String, String, u64)> {
    let shown = project.json(&["table", "show", table]);
    let day = |held: &Value, end: &str| text(held, end)[..10].to_owned();
    let entry = |held: &Value| {
        let series = held["coordinate"][0].as_str().unwrap().to_owned();
        (series, (day(held, "min"), day(held, "max"), number(held, "rows")))
    };
    shown["progress"].as_array().unwrap().iter().map(entry).collect()
}

/// Everything that the catalogue tells: runs first.
fn catalogue(project: &Project) -> Vec<Value> {
    let of = |arguments: &[&str]| project.json(arguments);
    vec![
        of(&["run", "list", "--limit", "0"]),
        of(&["node", "list"]),
        of(&["table", "list"]),
        of(&["component", "list"]),
    ]
}

/// What commands that must fail said, without what differs from run to run. What they propose is run.
fn transcript(project: &Project, commands: &[&[&str]]) -> String {
    let mut transcript = String::new();
    for arguments in commands {
        let (exit, said) = project.fails(arguments);
        project.mended_by(&said);
        let said = said.replace(project.path().to_str().unwrap(), "PROJECT");
        transcript += &format!("$ datanode {}\n{said}exit {exit}\n\n", arguments.join(" "));
    }
    transcript
}

/// With a name in the place of each node's hash.
fn settled(project: &Project, said: &str) -> String {
    let nodes = project.json(&["node", "list"]);
    let hashes = nodes.as_array().unwrap().iter().map(|node| text(node, "update_hash"));
    hashes.fold(said.to_owned(), |said, hash| said.replace(&hash, "HASH"))
}

#[test]
fn every_outcome_is_reached() {
    let project = with_tables(Project::new(), &["root", "sound", "failing"]);
    let config = json!({"series": ["R"], "sound_table": "sound", "failing_table": "failing"});
    create(&project, "root", &config);
    let run = ["node", "run", "root", "--until", "2000-01-05"];
    // The failing one depends on the sound one, too, which is run once for both.
    let expected = pairs(&[("sound", "ok"), ("failing", "failed"), ("root", "blocked")]);
    assert_eq!(outcomes(&project, &run), expected, "what does not depend on the failed one still runs");
    let edges = project.json(&["node", "graph"])["edges"].as_array().unwrap().len();
    assert_eq!((edges, number(&project.json(&["table", "show", "sound"]), "rows")), (3, 5));
    assert_eq!(progress(&project, "sound").len(), 1);
    assert!(progress(&project, "root").is_empty());
    let (exit, said) = project.fails(&run);
    assert_eq!(exit, 4, "{said}");
    let blocked = said.split("error[").find(|part| part.starts_with("run.blocked]")).unwrap();
    let blocked = settled(&project, blocked.split("see:").next().unwrap());
    insta::assert_snapshot!(format!("error[{blocked}"), @r"
    error[run.blocked]: root: not run, because failing (HASH) did not succeed
    next: mend the failed dependency and run again
    ");

    // The second time, nothing of the sound one was missing.
    assert_eq!(outcomes(&project, &run)[0], ("sound".to_owned(), "empty".to_owned()));
    let kept = project.json(&["run", "list", "--limit", "0"]);
    let mut statuses: Vec<String> = kept.as_array().unwrap().iter().map(|run| text(run, "status")).collect();
    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, ["blocked", "empty", "failed", "ok"], "each is recorded");
}

/// The output table is no part of the identity: one config writes two tables by two nodes of one hash.
fn one_config_with_two_tables_is_one_identity_and_two_nodes(empty: Project) {
    let project = with_tables(empty, &["one", "other"]);
    let config = json!({"series": ["A"]});
    let hashes = ["one", "other"].map(|table| create(&project, table, &config));
    assert_eq!(hashes[0], hashes[1]);
    let nodes = project.json(&["node", "list"]);
    let nodes = nodes.as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    assert_ne!(text(&nodes[0], "uid"), text(&nodes[1], "uid"));
    assert_ne!(text(&nodes[0], "table_uid"), text(&nodes[1], "table_uid"));
    // Each has its own progress and its own lease.
    project.run(&["node", "run", "one", "--until", "2000-01-05"]);
    project.run(&["node", "run", "other", "--until", "2000-01-02"]);
    let rows = |table: &str| number(&project.json(&["table", "show", table]), "rows");
    assert_eq!((rows("one"), rows("other")), (5, 2));
}

fn a_node_without_anything_new_is_skipped_unless_forced(empty: Project) {
    let project = with_tables(empty, &["one"]);
    create(&project, "one", &json!({"series": ["A"]}));
    project.run(&["node", "run", "one", "--until", "2000-01-05"]);
    project.upload("reads_rows");
    let contract = root().join("tests/guests/reads_rows/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    let config = json!({"table": "one"}).to_string();
    project.run(&["node", "create", "reads_rows", "--table", "reads_rows", "--config", &config]);
    let run = ["node", "run", "reads_rows", "--until", "2020-01-01"];
    assert_eq!(outcomes(&project, &run), pairs(&[("reads_rows", "ok")]));
    assert_eq!(outcomes(&project, &run), pairs(&[("reads_rows", "skipped")]));
    let skipped = project.json(&["run", "list", "--status", "skipped"]);
    assert_eq!(number(&skipped[0], "fuel"), 0, "it was not called");
    assert_eq!(skipped[0]["error"], Value::Null);
    // Forced, it is called, and what it emits again is dropped.
    let forced = project.json(&[&run[..], &["--force"]].concat());
    assert!(number(&forced[0], "fuel") > 0);
    assert_eq!((text(&forced[0], "status").as_str(), number(&forced[0], "rows_dropped")), ("empty", 1));
    assert_eq!(project.json(&["table", "show", "reads_rows"])["rows"], 1);
}

fn a_tree_is_run_in_parts(empty: Project) {
    let project = with_tables(empty, &["root", "sound"]);
    create(&project, "root", &json!({"series": ["R"], "sound_table": "sound"}));
    let run = |more: &[&str]| {
        outcomes(&project, &[&["node", "run", "root", "--until", "2000-01-05"], more].concat())
    };
    assert_eq!(run(&["--no-tree"]), pairs(&[("root", "ok")]));
    assert!(progress(&project, "sound").is_empty());
    assert_eq!(run(&["--tree-only"]), pairs(&[("sound", "ok")]));
    assert_eq!(run(&[]), pairs(&[("sound", "empty"), ("root", "empty")]));
    // A node without dependencies has no tree beside itself.
    assert_eq!(outcomes(&project, &["node", "run", "sound", "--tree-only"]), []);
    assert!(project.run(&["node", "run", "sound", "--tree-only"]).contains("no dependencies"));
}

/// One table, two hashes, both windows right.
fn two_nodes_write_disjoint_series_into_one_table(empty: Project) {
    let project = with_tables(empty, &["shared"]);
    let usd = create(&project, "shared", &json!({"series": ["USD", "GBP"]}));
    let jpy = create(&project, "shared", &json!({"series": ["JPY"], "offset_start": "2000-01-03T00:00:00Z"}));
    assert_ne!(usd, jpy);
    let run = |node: &str, until: &str| project.json(&["node", "run", node, "--until", until])[0].clone();
    let first = run(&usd, "2000-01-10");
    assert_eq!((text(&first, "update_hash"), number(&first, "rows_inserted")), (usd.clone(), 20));

    // The other one is not held back by what the first has stored: its series begin at its own `offset_start`.
    let second = run(&jpy, "2000-01-10");
    assert_eq!(text(&second, "status"), "ok");
    assert_eq!((number(&second, "rows_inserted"), number(&second, "rows_dropped")), (8, 0));
    assert_eq!(second["window"]["start"], "2000-01-03T00:00:00.000000Z");
    assert_eq!(number(&second["statistics"], "coordinates"), 2, "it is told of the whole table");
    let until = |day: &str, usd: u64, jpy: u64| {
        let held = |first: &str, rows| (first.to_owned(), day.to_owned(), rows);
        BTreeMap::from([
            ("USD".to_owned(), held("2000-01-01", usd)),
            ("GBP".to_owned(), held("2000-01-01", usd)),
            ("JPY".to_owned(), held("2000-01-03", jpy)),
        ])
    };
    assert_eq!(progress(&project, "shared"), until("2000-01-10", 10, 8));

    // One runs ahead; the other catches up with all that it lacks, although the table's latest time is far ahead.
    assert_eq!(number(&run(&usd, "2000-02-09"), "rows_inserted"), 60);
    let behind = run(&jpy, "2000-01-20");
    assert_eq!((text(&behind, "status").as_str(), number(&behind, "rows_inserted")), ("ok", 10));
    let caught_up = run(&jpy, "2000-02-09");
    assert_eq!((number(&caught_up, "rows_inserted"), number(&caught_up, "rows_dropped")), (20, 0));
    assert_eq!(progress(&project, "shared"), until("2000-02-09", 40, 38));
    assert_eq!(text(&run(&jpy, "2000-02-09"), "status"), "empty");

    // The table names both, and their identifier alone none.
    let shown = project.json(&["table", "show", "shared"]);
    assert_eq!(number(&shown, "rows"), 118);
    let (exit, said) = project.fails(&["node", "run", "shared"]);
    assert_eq!(exit, 2);
    assert!(said.contains("store.ambiguous") && said.contains(&usd) && said.contains(&jpy), "{said}");
}

fn a_full_history_is_dropped_with_a_warning(empty: Project) {
    let project = with_tables(empty, &["one"]);
    let node = create(&project, "one", &json!({"series": ["A"], "whole_history": true}));
    let run = |until: &str| project.json(&["node", "run", &node, "--until", until])[0].clone();
    assert_eq!(run("2000-01-10")["warnings"], json!([]));
    // Ten of twenty: not more than half.
    let half = run("2000-01-20");
    assert_eq!((number(&half, "rows_dropped"), number(&half, "rows_inserted")), (10, 10));
    assert_eq!(half["warnings"], json!([]));
    let most = run("2000-01-25");
    assert_eq!((number(&most, "rows_dropped"), number(&most, "rows_inserted")), (20, 5));
    let warning = most["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("20 of 25 emitted rows were dropped"), "{warning}");
    let again = project.output(&["node", "run", &node, "--until", "2000-01-25"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("25 of 25 emitted rows were dropped"));
}

fn a_record_says_which_coordinates_were_reached(empty: Project) {
    let project = with_tables(empty, &["shared"]);
    let both = create(&project, "shared", &json!({"series": ["A", "B"]}));
    let other = create(&project, "shared", &json!({"series": ["C"]}));
    let run = |node: &str, until: &str| project.json(&["node", "run", node, "--until", until])[0].clone();
    let coverage = |run: &Value| run["coverage"].clone();
    let none = json!({"coordinates": 2, "gaps": 0, "gap_examples": []});
    assert_eq!(coverage(&run(&both, "2000-01-02")), none);
    let gaps = json!({"coordinates": 1, "gaps": 2, "gap_examples": ["(A)", "(B)"]});
    let last = run(&other, "2000-01-02");
    assert_eq!(coverage(&last), gaps);
    let id = text(&last, "run_id");
    assert_eq!(coverage(&project.json(&["run", "show", &id])), gaps, "it is kept");
    let shown = project.run(&["run", "show", &id]);
    assert!(shown.contains("2 coordinates with progress got no new row: (A), (B)"), "{shown}");
}

fn runtime_options_come_from_a_file_and_single_ones_override(empty: Project) {
    let project = with_tables(empty, &["one"]);
    let node = create(&project, "one", &json!({"series": ["A"]}));
    for (name, content) in
        [("options.toml", "factor = 2\nmode = \"fast\""), ("options.json", "{\"factor\": 3}")]
    {
        std::fs::write(project.path().join(name), content).unwrap();
    }
    let run = |until: &str, more: &[&str]| {
        let run = project.json(&[&["node", "run", &node, "--until", until], more].concat())[0].clone();
        let rows = project.json(&["table", "read", "one", "--start", until]);
        (run["options"].clone(), rows[0]["value"].as_f64().unwrap(), text(&run, "update_hash"))
    };
    // 2000-01-01 is day 10957.
    let (options, value, hash) = run("2000-01-01", &["--options", "options.toml"]);
    assert_eq!((options, value), (json!({"factor": 2, "mode": "fast"}), 2.0 * 10_957.0));
    assert_eq!(hash, node, "never hashed");
    let (options, value, _) = run("2000-01-02", &["--options", "options.json"]);
    assert_eq!((options, value), (json!({"factor": 3}), 3.0 * 10_958.0));
    let single = ["--options", "options.toml", "--option", "factor=4"];
    let (options, value, _) = run("2000-01-03", &single);
    assert_eq!((options, value), (json!({"factor": 4, "mode": "fast"}), 4.0 * 10_959.0));
}

fn a_hash_namespace_isolates_the_identity_of_a_tree(empty: Project) {
    let project = with_tables(empty, &["root", "sound"]);
    let plain = create(&project, "root", &json!({"series": ["R"], "sound_table": "sound"}));
    let run = |arguments: &[&str], ambient: Option<&str>| {
        let mut command = project.command(&[&["node", "run"], arguments, &["--json"]].concat());
        if let Some(ambient) = ambient {
            command.env("DATANODE_HASH_NAMESPACE", ambient);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
        let hashes = runs.as_array().unwrap().iter();
        hashes.map(|run| (text(run, "hash_namespace"), text(run, "update_hash"))).collect::<Vec<_>>()
    };
    let until = ["root", "--until", "2000-01-05"];
    let mine = run(&[&until[..], &["--hash-namespace", "mine"]].concat(), Some("ci"));
    assert!(mine.iter().all(|(namespace, _)| namespace == "mine"), "inherited by the tree: {mine:?}");
    assert_ne!(mine[1].1, plain);
    // It is a node of the catalogue now, and found the next time.
    assert_eq!(project.json(&["node", "list"]).as_array().unwrap().len(), 4);
    assert_eq!(run(&[&until[..], &["--hash-namespace", "mine"]].concat(), None), mine);
    assert_eq!(project.json(&["node", "list"]).as_array().unwrap().len(), 4);
    // By its own hash it stays what it is; the ambient one counts where none is given, and an empty one means none.
    assert_eq!(run(&[&mine[1].1], None), mine);
    let ambient = run(&until, Some("ci"));
    assert!(ambient.iter().all(|(namespace, _)| namespace == "ci"));
    let explicit = run(&[&until[..], &["--hash-namespace", ""]].concat(), Some("ci"));
    assert!(explicit.iter().all(|(namespace, _)| namespace.is_empty()));
    // The table still names the node that has no namespace.
    assert_eq!(run(&until, None)[1], (String::new(), plain.clone()));

    // `node create` listens to the same.
    let mut command = project.command(&["node", "create", SERIES, "--table", "sound", "--json"]);
    let output = command.env("DATANODE_HASH_NAMESPACE", "ambient.one").output().unwrap();
    let created: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(created[0]["node"]["hash_namespace"], "ambient.one");
}

/// A backfill listens to a hash namespace as a run does: then it is one of the node under that namespace.
fn a_backfill_under_a_hash_namespace_is_one_of_another_node(empty: Project) {
    let project = with_tables(empty, &["one"]);
    let plain = create(&project, "one", &json!({"series": ["A"]}));
    let backfill = |arguments: &[&str], ambient: Option<&str>| -> Value {
        let mut command = project.command(&[&["node", "backfill"], arguments, &["--json"]].concat());
        if let Some(ambient) = ambient {
            command.env("DATANODE_HASH_NAMESPACE", ambient);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let range = ["one", "--from", "2000-01-01", "--to", "2000-01-03", "--append-only"];
    let nodes = || project.json(&["node", "list"]).as_array().unwrap().len();
    let mine = backfill(&[&range[..], &["--hash-namespace", "mine"]].concat(), Some("ci"));
    assert_ne!(text(&mine, "update_hash"), plain);
    assert_eq!(nodes(), 2, "it was created");
    let run = project.json(&["run", "list"])[0].clone();
    assert_eq!(
        (text(&run, "hash_namespace").as_str(), text(&run, "update_hash")),
        ("mine", text(&mine, "update_hash"))
    );
    let ambient = backfill(&range, Some("ci"));
    assert_eq!(nodes(), 3, "what is ambient counts");
    let explicit = backfill(&[&range[..], &["--hash-namespace", ""]].concat(), Some("ci"));
    assert_eq!((text(&explicit, "update_hash"), nodes()), (plain, 3), "what is given counts more");
    // Whatever is ambient, a backfill that is there is one of its own node.
    assert_eq!(backfill(&["list"], Some("ci")).as_array().unwrap().len(), 3);
    let id = text(&mine, "backfill_id");
    assert_eq!(backfill(&["show", &id], Some("ci"))["backfill"]["update_hash"], mine["update_hash"]);
    assert_ne!(text(&ambient, "update_hash"), text(&mine, "update_hash"));
    assert_eq!(project.json(&["table", "show", "one"])["rows"], 3);
}

/// Where a first run begins is config, also where the component says it: the same start is the same identity, another
/// one another.
fn a_default_start_of_a_component_counts_like_a_written_one(empty: Project) {
    const START: &str = "2000-01-03T00:00:00.000000Z";
    let project = with_tables(empty, &["one", "other"]);
    let plain = create(&project, "one", &json!({"series": ["A"]}));
    // The release that is there is made one that has a default.
    let manifest = if project.is_on_server() {
        format!("jsonb_set(manifest::jsonb, '{{default_offset_start}}', '\"{START}\"')::text")
    } else {
        format!("json_set(manifest, '$.default_offset_start', '{START}')")
    };
    project.execute(&format!("UPDATE _components SET manifest = {manifest} WHERE name = '{SERIES}'"));
    assert!(project.run(&["component", "show", SERIES]).contains("2000-01-03"));
    let (exit, said) = project.fails(&["node", "run", "one", "--until", "2000-01-05"]);
    assert!(exit == 3 && said.starts_with("error[node.identity_changed]"), "{said}");

    let omitted = create(&project, "other", &json!({"series": ["A"]}));
    let written = create(&project, "other", &json!({"series": ["A"], "offset_start": "2000-01-03"}));
    assert_eq!(omitted, written);
    assert_ne!(omitted, plain);
    let run = project.json(&["node", "run", "other", "--until", "2000-01-05"])[0].clone();
    assert_eq!(text(&run["window"], "start"), START);
    assert_eq!(text(&run["config"], "offset_start"), START);
    assert_eq!(number(&run, "rows_inserted"), 3);
    // What a config says goes before it.
    let earlier = create(&project, "one", &json!({"series": ["B"], "offset_start": "2000-01-02"}));
    let run = project.json(&["node", "run", &earlier, "--until", "2000-01-05"])[0].clone();
    assert_eq!(number(&run, "rows_inserted"), 4);
}

fn a_dry_run_shows_what_would_be_written_and_writes_nothing(empty: Project) {
    let project = with_tables(empty, &["root", "sound"]);
    let node = create(
        &project,
        "root",
        &json!({"series": ["A", "B"], "whole_history": true, "sound_table": "sound"}),
    );
    project.run(&["node", "run", &node, "--until", "2000-01-03"]);
    let before = catalogue(&project);
    let dry = |more: &[&str]| project.json(&[&["node", "run", &node, "--dry-run"], more].concat());

    // Two new days of two series, and three that are stored.
    let answer = dry(&["--until", "2000-01-05", "--sample", "3"]);
    let run = &answer["run"];
    assert_eq!((text(run, "kind").as_str(), text(run, "status").as_str()), ("dry_run", "ok"));
    assert_eq!(
        [number(run, "rows_emitted"), number(run, "rows_dropped"), number(run, "rows_inserted")],
        [10, 6, 4]
    );
    assert_eq!(number(&run["coverage"], "coordinates"), 2);
    let frame = &answer["frame"];
    assert_eq!((text(frame, "table").as_str(), number(frame, "rows")), ("root", 4));
    assert_eq!(frame["columns"], json!(["time_index", "series", "value"]));
    assert_eq!(
        frame["sample"],
        json!([
            {"time_index": "2000-01-04T00:00:00.000000Z", "series": "A", "value": 10_960.0},
            {"time_index": "2000-01-04T00:00:00.000000Z", "series": "B", "value": 10_960.0},
            {"time_index": "2000-01-05T00:00:00.000000Z", "series": "A", "value": 10_961.0},
        ])
    );
    let same = json!({"equal": 6, "different": 0, "absent": 0, "not_compared": 0, "examples": []});
    assert_eq!(answer["stored"], same);

    // What it emits now differs from what is stored.
    let answer = dry(&["--until", "2000-01-05", "--option", "factor=2", "--sample", "1"]);
    assert_eq!([number(&answer["stored"], "equal"), number(&answer["stored"], "different")], [0, 6]);
    let example = &answer["stored"]["examples"];
    assert_eq!(example.as_array().unwrap().len(), 1);
    assert_eq!(
        (&example[0]["stored"]["value"], &example[0]["emitted"]["value"]),
        (&json!(10_957.0), &json!(21_914.0))
    );
    let arguments = ["node", "run", &node, "--dry-run", "--until", "2000-01-05", "--option", "factor=2"];
    let shown = project.run(&[&arguments[..], &["--sample", "2"]].concat());
    insta::assert_snapshot!("a_dry_run_for_people", shown.replace(&node, "HASH"));

    assert_eq!(catalogue(&project), before, "nothing was written, and the dependency was not run");
}

fn a_dry_run_takes_other_statistics(empty: Project) {
    let project = with_tables(empty, &["one"]);
    let node = create(&project, "one", &json!({"series": ["A"]}));
    project.run(&["node", "run", &node, "--until", "2000-01-03"]);
    let file = project.path().join("statistics.json");
    let dry = |statistics: &str| {
        std::fs::write(&file, statistics).unwrap();
        let statistics = file.to_str().unwrap();
        let arguments =
            ["node", "run", &node, "--dry-run", "--until", "2000-01-05", "--statistics", statistics];
        let answer = project.json(&arguments);
        let run = &answer["run"];
        ["rows_emitted", "rows_dropped", "rows_inserted"].map(|field| number(run, field))
    };
    assert_eq!(dry("[]"), [5, 3, 2], "as if the table were empty");
    let until_first = r#"[{"coordinate": ["A"], "min": "2000-01-01", "max": "2000-01-01"}]"#;
    assert_eq!(dry(until_first), [4, 2, 2]);
    let until_fourth = r#"[{"coordinate": ["A"], "min": "2000-01-01", "max": "2000-01-04"}]"#;
    assert_eq!(dry(until_fourth), [1, 0, 1]);
    assert_eq!(project.json(&["table", "show", "one"])["rows"], 3);
}

fn a_dry_run_that_fails_leaves_nothing(empty: Project) {
    let project = with_tables(empty, &["failing"]);
    let node = create(&project, "failing", &json!({"fails": true}));
    let before = catalogue_without_runs(&project);
    let output = project.output(&["node", "run", &node, "--dry-run", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(text(&answer["run"], "status"), "failed");
    assert!(text(&answer["run"]["error"], "message").contains("the config asks for it"), "{answer}");
    assert_eq!((&answer["frame"], &answer["stored"]), (&Value::Null, &Value::Null));
    assert_eq!(catalogue_without_runs(&project), before);
    assert_eq!(project.json(&["run", "list"]), json!([]));
}

/// What only the commit would find is found all the same.
fn a_dry_run_finds_a_tuple_of_two_batches(project: Project) {
    project.upload("duplicate_key_across_batches");
    let contract = root().join("tests/hostile/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project.run(&["node", "create", "duplicate_key_across_batches", "--table", "hostile_output"]);
    let run = ["node", "run", "hostile_output", "--until", "2026-01-01", "--json"];
    let error = |more: &[&str]| {
        let output = project.output(&[&run[..], more].concat());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let run = if more.is_empty() { &answer[0] } else { &answer["run"] };
        (
            output.status.code(),
            text(run, "status"),
            text(&run["error"], "code"),
            text(&run["error"], "message"),
        )
    };
    let dry = error(&["--dry-run"]);
    assert_eq!(dry.2, "frame.duplicate_key");
    assert_eq!(dry.3, error(&[]).3, "in the words of the commit");
    assert_eq!(dry, error(&[]));
}

fn catalogue_without_runs(project: &Project) -> Vec<Value> {
    catalogue(project).split_off(1)
}

fn a_debugged_run_shows_the_frame_that_was_written(empty: Project) {
    let project = with_tables(empty, &["root", "sound"]);
    let node = create(&project, "root", &json!({"series": ["A"], "sound_table": "sound"}));
    let debug = ["node", "run", &node, "--until", "2000-01-04", "--debug", "--sample", "2"];
    let answer = project.json(&debug);
    assert_eq!(answer["runs"].as_array().unwrap().len(), 2, "the whole tree");
    assert_eq!((text(&answer["frame"], "table").as_str(), number(&answer["frame"], "rows")), ("root", 4));
    assert_eq!(answer["frame"]["sample"], project.json(&["table", "read", "root", "--limit", "2"]));
    assert_eq!(project.json(&["table", "show", "root"])["rows"], 4, "it was committed");
    // Nothing new: an empty frame.
    let again = project.json(&debug);
    assert_eq!((number(&again["frame"], "rows"), &again["frame"]["sample"]), (0, &json!([])));
    let debug = ["node", "run", &node, "--until", "2000-01-06", "--debug", "--sample", "1"];
    let shown = project.run(&debug);
    assert!(shown.contains("written into root: 2 rows, of which the first 1"), "{shown}");
    assert!(shown.contains("10961"), "{shown}");
    // Without --debug the document is what it always was.
    assert!(project.json(&["node", "run", &node, "--until", "2000-01-06"]).is_array());
}

fn mistakes_are_answered_with_the_next_step(empty: Project) {
    let project = with_tables(empty, &["one"]);
    create(&project, "one", &json!({"series": ["A"], "whole_history": true}));
    let write = |name: &str, content: &str| std::fs::write(project.path().join(name), content).unwrap();
    write("broken.json", "{\"factor\": }");
    write("broken.toml", "factor = ");
    write("large.toml", &format!("text = \"{}\"", "x".repeat(70_000)));
    write("shape.json", "{\"A\": \"2000-01-01\"}");
    write("dimensions.json", "[{\"coordinate\": [], \"min\": \"2000-01-01\", \"max\": \"2000-01-01\"}]");
    write("reversed.json", "[{\"coordinate\": [\"A\"], \"min\": \"2000-01-02\", \"max\": \"2000-01-01\"}]");
    let said = transcript(
        &project,
        &[
            &["node", "run", "one", "--no-tree", "--tree-only"],
            &["node", "run", "one", "--dry-run", "--tree-only"],
            &["node", "run", "one", "--dry-run", "--debug"],
            &["node", "run", "one", "--statistics", "shape.json"],
            &["node", "run", "one", "--sample", "3"],
            &["node", "run", "one", "--dry-run", "--sample", "1001"],
            &["node", "run", "one", "--options", "missing.toml"],
            &["node", "run", "one", "--options", "broken.json"],
            &["node", "run", "one", "--options", "broken.toml"],
            &["node", "run", "one", "--options", "large.toml"],
            &["node", "run", "one", "--option", "factor"],
            &["node", "run", "one", "--option", "Factor=1"],
            &["node", "run", "one", "--hash-namespace", "Not A Name"],
            &["node", "run", "one", "--dry-run", "--statistics", "shape.json"],
            &["node", "run", "one", "--dry-run", "--statistics", "dimensions.json"],
            &["node", "run", "one", "--dry-run", "--statistics", "reversed.json"],
            &["node", "run", "one", "--dry-run", "--hash-namespace", "mine"],
            &["node", "run", "two", "--dry-run"],
        ],
    );
    // Where the variable names a database, clap shows the option that it stands for.
    let said = said.replace(" --database <URL>", "");
    insta::assert_snapshot!("mistakes_are_answered_with_the_next_step", said);
    // The next step that a dry run names creates the node.
    let step = said.lines().find_map(|line| line.split_once("create it: datanode ")).unwrap().1;
    let (words, config) = (step.replace('\'', ""), "{\"");
    assert!(words.contains(config));
    project.run(&words.split_whitespace().collect::<Vec<_>>());
    project.run(&["node", "run", "one", "--dry-run", "--hash-namespace", "mine"]);
    assert_eq!(project.json(&["run", "list"]), json!([]), "no mistake ran anything");
}

on_both_databases!(
    one_config_with_two_tables_is_one_identity_and_two_nodes,
    a_node_without_anything_new_is_skipped_unless_forced,
    a_tree_is_run_in_parts,
    two_nodes_write_disjoint_series_into_one_table,
    a_full_history_is_dropped_with_a_warning,
    a_record_says_which_coordinates_were_reached,
    runtime_options_come_from_a_file_and_single_ones_override,
    a_hash_namespace_isolates_the_identity_of_a_tree,
    a_backfill_under_a_hash_namespace_is_one_of_another_node,
    a_default_start_of_a_component_counts_like_a_written_one,
    a_dry_run_shows_what_would_be_written_and_writes_nothing,
    a_dry_run_takes_other_statistics,
    a_dry_run_that_fails_leaves_nothing,
    a_dry_run_finds_a_tuple_of_two_batches,
    a_debugged_run_shows_the_frame_that_was_written,
    mistakes_are_answered_with_the_next_step,
);
