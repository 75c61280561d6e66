//! The likeliest mistakes of a user, and what they read.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use datanode_tests::Project;

#[test]
fn mistakes_are_answered_with_the_next_step() {
    let project = Project::with_fx();
    project.run(&["node", "run", "fx_ecb_daily_rates", "--until", "1999-01-10"]);
    // The file that a next step names, where the table is not registered.
    let contract = datanode_tests::root().join("examples/fx/contracts/fx_ecb_daily_rates.toml");
    let contract =
        std::fs::read_to_string(contract).unwrap().replace("\"fx_ecb_daily_rates\"", "\"nowhere\"");
    std::fs::write(project.path().join("nowhere.toml"), contract).unwrap();
    let mut commands = 0;
    let mut transcript = String::new();
    for arguments in [
        &["node", "run", "fx_rates"][..],
        &["node", "create", "fx_log_return", "--table", "fx_log_returns"],
        &["node", "create", "fx_log_returns", "--table", "returns"],
        &["node", "create", "fx_log_returns", "--table", "fx_log_returns", "--config", "{\"max_gap\": 5}"],
        &[
            "node",
            "create",
            "fx_log_returns",
            "--table",
            "fx_log_returns",
            "--config",
            "{\"rates_table\": \"nowhere\"}",
        ],
        &["node", "create", "fx_log_returns", "--table", "fx_ecb_daily_rates"],
        &["table", "read", "fx_ecb_daily_rates", "--where", "country=US"],
        &["table", "read", "fx_ecb_daily_rates", "--columns", "price"],
        &["table", "register", "missing.toml"],
        &["component", "show", "fx_log_returns@9"],
        &["source", "add", "ecb", "--path", "."],
        &["source", "grant", "nowhere", "fx_log_returns"],
        &["run", "show", "ffff"],
    ] {
        let (exit, said) = project.fails(arguments);
        commands += project.mended_by(&said);
        let said = said.replace(project.path().to_str().unwrap(), "PROJECT");
        let said = said.replace(datanode_tests::root().to_str().unwrap(), "REPOSITORY");
        transcript += &format!("$ datanode {}\n{said}exit {exit}\n\n", arguments.join(" "));
    }
    insta::assert_snapshot!(transcript);
    assert!(commands > 8, "{commands}");
}

#[test]
fn errors_are_json_when_asked_for() {
    let project = Project::new();
    let (exit, said) = project.fails(&["table", "show", "nothing", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(exit, 2);
    assert_eq!(error["error"]["code"], "store.table_not_found");
    assert_eq!(error["error"]["class"], "usage");
}

/// Errors go to standard error and headings to standard output: both leave their colours out.
#[test]
fn colours_are_there_when_they_are_forced_and_never_under_no_color() {
    let project = Project::new();
    project.upload("well_behaved");
    for (arguments, fails) in
        [(&["component", "show", "well_behaved"][..], false), (&["run", "show", "ffff"], true)]
    {
        let said = |with_colours: bool| {
            let mut command = project.command(arguments);
            command.env("CLICOLOR_FORCE", "1");
            if with_colours {
                command.env_remove("NO_COLOR");
            }
            let output = command.output().unwrap();
            assert_eq!(output.status.success(), !fails, "{arguments:?}");
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
        };
        let (with, without) = (said(true), said(false));
        assert!(with.contains('\u{1b}'), "{arguments:?}: {with}");
        assert!(!without.contains('\u{1b}'), "{arguments:?}: {without}");
        assert!(without.len() > 10, "{arguments:?}: {without}");
    }
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_no_text_is_answered_like_any_other() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let project = Project::new();
    let strange = OsStr::from_bytes(b"fx_\xff");
    let answer = |arguments: &[&str]| {
        let output = project.command(arguments).arg(strange).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (exit, said) = answer(&["component", "show"]);
    assert!(exit == Some(2) && said.starts_with("error: invalid UTF-8"), "{said}");
    let (exit, said) = answer(&["component", "show", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((exit, &error["error"]["code"]), (Some(2), &"cli.usage".into()));
    // A file may have such a name.
    let (exit, said) = answer(&["component", "upload"]);
    assert!(exit == Some(2) && said.contains("No such file"), "{said}");
    // The first word of all.
    let output = project.command(&[]).arg(strange).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn setting_up_again_changes_nothing() {
    let project = Project::with_fx();
    let contract = datanode_tests::root().join("examples/fx/contracts/fx_log_returns.toml");
    let again = project.json(&["table", "register", contract.to_str().unwrap()]);
    assert_eq!(again[0]["created"], false);
    let again = project.json(&["node", "create", "fx_log_returns", "--table", "fx_log_returns"]);
    assert_eq!(again.as_array().unwrap().len(), 2);
    assert!(again.as_array().unwrap().iter().all(|node| node["created"] == false));
    // Written in another way, the config is the same and so is the identity.
    let spelled = "{ \"max_gap_days\" : 10.0, \"rates_table\": \"fx_ecb_daily_rates\" }";
    let same =
        project.json(&["node", "create", "fx_log_returns", "--table", "fx_log_returns", "--config", spelled]);
    assert_eq!(same[1]["node"]["update_hash"], again[1]["node"]["update_hash"]);
    // In a namespace it is another node, and so are its dependencies.
    let isolated = project.json(&[
        "node",
        "create",
        "fx_log_returns",
        "--table",
        "fx_log_returns",
        "--hash-namespace",
        "mine",
    ]);
    for node in 0..2 {
        assert_eq!(isolated[node]["created"], true);
        assert_ne!(isolated[node]["node"]["update_hash"], again[node]["node"]["update_hash"]);
    }
}

#[test]
fn columns_are_drawn_in_the_terminal() {
    let project = Project::with_fx();
    project.run(&["node", "run", "fx_ecb_daily_rates", "--until", "2010-12-31"]);
    let plot = ["table", "show", "fx_ecb_daily_rates", "--plot", "rate"];
    let drawn = |locale: &str, more: &[&str]| {
        let mut command = project.command(&[&plot[..], more].concat());
        let output = command.env("LC_ALL", locale).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let usd = ["--where", "currency=USD", "--width", "60", "--height", "8"];
    insta::assert_snapshot!("plot_of_one_coordinate", drawn("C.UTF-8", &usd));
    insta::assert_snapshot!(
        "plot_without_unicode",
        drawn("C", &[&usd[..], &["--end", "2001-01-01"]].concat())
    );
    insta::assert_snapshot!("plot_of_many_coordinates", drawn("C.UTF-8", &["--width", "30"]));
    assert!(drawn("C", &[]).is_ascii() || drawn("C", &[]).lines().next_back().unwrap().starts_with('…'));
    assert_eq!(
        drawn("C.UTF-8", &["--where", "currency=XYZ"]),
        "fx_ecb_daily_rates: rate where currency=XYZ: no rows to draw\n"
    );

    // The same as buckets, which hold every row.
    let document = project.json(&[&plot[..], &["--where", "currency=USD", "--width", "7"]].concat());
    let series = &document["series"][0];
    let buckets = series["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 7);
    let rows: u64 = buckets.iter().map(|bucket| bucket["rows"].as_u64().unwrap()).sum();
    let stored =
        project.json(&["table", "read", "fx_ecb_daily_rates", "--where", "currency=USD", "--limit", "0"]);
    let rates: Vec<f64> =
        stored.as_array().unwrap().iter().map(|row| row["rate"].as_f64().unwrap()).collect();
    assert_eq!((rows, series["rows"].as_u64()), (rates.len() as u64, Some(rates.len() as u64)));
    assert_eq!(series["max"].as_f64(), rates.iter().copied().max_by(f64::total_cmp));
    assert_eq!(series["min"].as_f64(), rates.iter().copied().min_by(f64::total_cmp));
    assert_eq!(series["last"].as_f64(), rates.last().copied());

    let (exit, said) = project.fails(&["table", "show", "fx_ecb_daily_rates", "--plot", "currency"]);
    assert_eq!(exit, 2);
    assert!(said.contains("columns that can be drawn: rate"), "{said}");
    let (exit, said) = project.fails(&["table", "show", "fx_ecb_daily_rates", "--where", "currency=USD"]);
    assert_eq!(exit, 2);
    assert!(said.contains("--plot"), "{said}");
}

#[test]
fn graph_and_logs_tell_what_became_of_a_run() {
    let project = Project::with_fx();
    assert!(project.run(&["node", "graph"]).contains("never run"));
    let runs = project.json(&["node", "run", "fx_log_returns", "--until", "2018-12-31"]);
    let clean = |text: String| {
        let mut text = text;
        for run in runs.as_array().unwrap() {
            let started = &run["started_at"].as_str().unwrap()[..16];
            text = text
                .replace(started, "STARTED")
                .replace(run["node_uid"].as_str().unwrap(), run["table"].as_str().unwrap());
        }
        text
    };
    let mut transcript = String::new();
    for arguments in [
        &["node", "graph"][..],
        &["node", "graph", "fx_ecb_daily_rates"],
        &["node", "graph", "--format", "dot"],
        &["node", "graph", "--format", "mermaid"],
    ] {
        // The hash holds the uid of a table, which is drawn by lot.
        let said = clean(project.run(arguments));
        let said = runs
            .as_array()
            .unwrap()
            .iter()
            .fold(said, |said, run| said.replace(run["update_hash"].as_str().unwrap(), "UPDATE_HASH"));
        transcript += &format!("$ datanode {}\n{said}\n", arguments.join(" "));
    }
    insta::assert_snapshot!(transcript);
    let graph = project.json(&["node", "graph"]);
    assert_eq!(graph, project.json(&["node", "graph", "--format", "json"]));
    assert_eq!(graph["edges"][0]["key"], "rates");

    let run = runs[1]["run_id"].as_str().unwrap();
    let lines = |more: &[&str]| project.run(&[&["run", "logs", run, "--json"][..], more].concat());
    let all: Vec<serde_json::Value> =
        lines(&[]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(serde_json::Value::from(all.clone()), runs[1]["logs"]);
    assert!(all.len() > 1);
    assert_eq!(lines(&["--tail", "1"]).trim_end(), lines(&[]).lines().next_back().unwrap());
    assert_eq!(lines(&["--level", "error"]), "");
    assert!(project.run(&["run", "logs", run]).starts_with("info  "));
}

#[test]
fn a_graph_shows_the_tables_that_are_only_read() {
    let project = Project::new();
    project.upload("reads_rows");
    let root = datanode_tests::root();
    let currencies = root.join("examples/fx/contracts/currencies.toml");
    let output = root.join("tests/guests/reads_rows/contract.toml");
    project.run(&["table", "register", currencies.to_str().unwrap(), output.to_str().unwrap()]);
    let config = ["--config", r#"{"table": "currencies"}"#];
    project.run(&[&["node", "create", "reads_rows", "--table", "reads_rows"], &config[..]].concat());
    let node = project.json(&["node", "show", "reads_rows"])["node"].clone();
    let table = project.json(&["table", "show", "currencies"])["uid"].clone();
    let mut transcript = String::new();
    for format in ["text", "dot", "mermaid"] {
        let said = project.run(&["node", "graph", "--format", format]);
        let said = said
            .replace(node["update_hash"].as_str().unwrap(), "UPDATE_HASH")
            .replace(node["uid"].as_str().unwrap(), "NODE")
            .replace(table.as_str().unwrap(), "TABLE");
        transcript += &format!("{format}\n{said}\n");
    }
    insta::assert_snapshot!(transcript);
    assert_eq!(project.json(&["node", "graph"])["published"][0]["table"], "currencies");
}

#[test]
fn components_are_disabled_and_removed_when_nothing_needs_them() {
    let project = Project::with_fx();
    // A node that never ran needs its component as much as one that did.
    let (exit, said) = {
        project.run(&["component", "disable", "fx_log_returns"]);
        project.fails(&["component", "remove", "fx_log_returns"])
    };
    assert!(exit == 3 && said.starts_with("error[component.in_use]"), "{said}");
    project.run(&["component", "enable", "fx_log_returns"]);

    project.run(&["node", "run", "fx_log_returns", "--until", "1999-01-10"]);
    let next = project.released_as("fx_log_returns", "fx_log_returns", "0.1.0", "0.2.0");
    let compiled = || std::fs::read_dir(project.path().join(".datanode/compiled")).unwrap().count();
    let before = compiled();
    let mut transcript = String::new();
    let hash = project.json(&["node", "show", "fx_log_returns"])["node"]["update_hash"].clone();
    let mut say = |arguments: &[&str]| {
        let output = project.output(arguments);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        project.mended_by(&said);
        let said = said.replace(hash.as_str().unwrap(), "UPDATE_HASH");
        // The digest depends on the compiler.
        let said =
            said.lines().map(|line| line.split(" (sha256").next().unwrap()).collect::<Vec<_>>().join("\n");
        transcript += &format!(
            "$ datanode {}\n{said}\nexit {}\n\n",
            arguments.join(" "),
            output.status.code().unwrap()
        );
    };
    say(&["component", "remove", "fx_log_returns"]);
    say(&["component", "disable", "fx_log_returns@0.1.0"]);
    say(&["node", "run", "fx_log_returns"]);
    say(&["component", "remove", "fx_log_returns"]);
    say(&["component", "remove", "fx_log_returns", "--force"]);
    project.run(&["component", "upload", &next]);
    say(&["component", "remove", "fx_log_returns@0.1.0"]);
    say(&["component", "remove", "fx_log_returns@0.1.0", "--force"]);
    say(&["component", "remove", "fx_log_returns@0.1.0", "--force"]);
    say(&["component", "enable", "fx_log_returns@0.1.0"]);
    insta::assert_snapshot!(transcript);
    assert_eq!(compiled(), before, "what was compiled of 0.1.0 went with it, and that of 0.2.0 came");
    // What is recorded stays.
    let run =
        project.json(&["run", "list", "--table", "fx_log_returns", "--status", "ok"])[0]["run_id"].clone();
    assert!(project.run(&["run", "show", run.as_str().unwrap()]).contains("fx_log_returns 0.1.0"));
}

#[test]
fn of_several_files_those_that_can_be_are_taken() {
    let project = Project::new();
    let good = datanode_tests::component("ecb_daily_fx_rates");
    let contract = datanode_tests::root().join("examples/fx/contracts/fx_log_returns.toml");
    let (good, contract) = (good.to_str().unwrap(), contract.to_str().unwrap());
    std::fs::write(project.path().join("no.wasm"), "no component").unwrap();
    std::fs::write(project.path().join("no.toml"), "no contract").unwrap();
    let output = project.output(&["component", "upload", "missing.wasm", "no.wasm", good, "--json"]);
    // Refused is worse than misspelt.
    assert_eq!(output.status.code(), Some(3));
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done.as_array().unwrap().len(), 1);
    assert_eq!(done[0]["component"]["manifest"]["name"], "ecb_daily_fx_rates");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().count(), 2, "{errors}");
    let output = project.output(&["table", "register", "no.toml", contract]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("registered table fx_log_returns"));
}

#[test]
fn commands_that_only_read_leave_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("nowhere");
    for arguments in [
        &["component", "list"][..],
        &["table", "list"],
        &["table", "show", "prices"],
        &["source", "list"],
        &["node", "list"],
        &["node", "graph"],
        &["run", "list"],
    ] {
        let mut command = std::process::Command::new(datanode_tests::program());
        let output = command.args(arguments).arg("--home").arg(&home).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said.contains("cli.no_data") && said.contains("datanode init"), "{arguments:?}: {said}");
        assert!(!home.exists(), "{arguments:?}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let mut command = std::process::Command::new(datanode_tests::program());
        let output = command.args(["completions", shell]).env("DATANODE_HOME", &home).output().unwrap();
        assert!(output.status.success(), "{shell}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("hash-namespace"), "{shell}");
        assert!(!home.exists(), "{shell}");
    }
}
