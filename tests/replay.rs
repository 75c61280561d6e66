//! Runs are executed again from their journals, and whatever was changed since is noticed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "replay/fields.rs"]
mod fields;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datanode_core::digest::Digest;
use datanode_tests::{Project, component, on_both_databases, root};
use fields::{FETCHED, FIELDS, Field, OF_THE_RECORD_ALONE};
use rusqlite::Connection;
use serde_json::Value;

const RATES: &str = "fx_ecb_daily_rates";
const RETURNS: &str = "fx_log_returns";
const VOLATILITY: &str = "fx_rolling_volatility";
const LEGS: [&str; 2] = ["2003-12-31", "2004-03-31"];

/// The example in two legs, the second one short.
fn in_two_legs(project: Project) -> Project {
    for until in LEGS {
        project.run(&["node", "run", RETURNS, "--until", until]);
    }
    project
}

fn replayed(project: &Project, arguments: &[&str]) -> Vec<Value> {
    let output = project.output(&[&["run", "replay"], arguments, &["--json"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice::<Value>(&output.stdout).expect(&errors).as_array().unwrap().clone()
}

fn all_identical(project: &Project) -> usize {
    let replayed = replayed(project, &["--all"]);
    for run in &replayed {
        assert_eq!(run["verdict"], "identical", "{run}");
        assert!(run["calls"].as_u64().unwrap() > 0);
    }
    replayed.len()
}

/// The second run of the returns: it reads frames, and statistics that are not empty.
fn last_run(project: &Project, table: &str) -> String {
    project.json(&["run", "list", "--table", table])[0]["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn every_run_is_identical_whatever_became_of_its_world() {
    for project in [Project::with_fx_volatility(), Project::on_server().and_fx_volatility()] {
        for until in LEGS {
            project.run(&["node", "run", VOLATILITY, "--until", until]);
        }
        // All three nodes, each twice.
        assert_eq!(all_identical(&project), 6);
        for table in [RATES, RETURNS, VOLATILITY] {
            let runs = project.json(&["run", "list", "--table", table]);
            assert_eq!(runs.as_array().unwrap().iter().filter(|run| run["status"] == "ok").count(), 2);
        }
        // Rows that are gone, a release that was superseded, a source that is not granted any more.
        for table in [VOLATILITY, RETURNS, RATES] {
            project.run(&["table", "delete-after", table, "1999-01-01", "--yes"]);
        }
        let renewed = project.released_as("fx_log_returns", "fx_log_returns", "0.1.0", "0.1.1");
        project.run(&["component", "upload", &renewed]);
        project.run(&["source", "revoke", "ecb", "ecb_daily_fx_rates"]);
        // And a table with another contract.
        let contract = root().join("examples/fx/contracts/fx_ecb_daily_rates.toml");
        let wider = std::fs::read_to_string(contract).unwrap()
            + "\n[[columns]]\nname = \"note\"\ntype = \"string\"\nnullable = true\n";
        std::fs::write(project.path().join("wider.toml"), wider).unwrap();
        project.run(&["table", "revision", RATES, "-m", "a note", "--autogenerate", "wider.toml"]);
        project.run(&["table", "upgrade", RATES]);
        assert_eq!(all_identical(&project), 6);
        project.run(&["table", "downgrade", RATES, "base"]);
        // And a run of the new release beside them.
        project.run(&["source", "grant", "ecb", "ecb_daily_fx_rates"]);
        let before = project.json(&["run", "list"])[0]["started_at"].clone();
        project.run(&["node", "run", VOLATILITY, "--until", "2004-03-31"]);
        assert_eq!(all_identical(&project), 9);
        // Of those alone that began since: the last one before, and the three since the new release.
        let since = replayed(&project, &["--since", before.as_str().unwrap()]);
        assert_eq!(since.iter().filter(|run| run["verdict"] == "identical").count(), 4, "{since:?}");
    }
}

/// Journals of hosts that did not bound yet what is read say nothing of it: this host's limit does not hold for them.
#[test]
fn a_run_from_before_a_limit_is_not_held_to_it() {
    let project = in_two_legs(Project::with_fx());
    let run = last_run(&project, RETURNS);
    let project = project.set("[limits]\nread_bytes = 1_024\n");
    let held = &replayed(&project, &[&run])[0];
    assert_eq!(held["verdict"], "cannot_replay", "{held}");
    assert!(held["missing"].as_str().unwrap().contains("`read_bytes`"), "{held}");
    let forget = |limits: &mut Value| {
        limits.as_object_mut().unwrap().remove("read_bytes").unwrap();
    };
    alter_journal(&project, &run, |lines| {
        let header = &mut lines[0]["run"];
        forget(&mut header["limits"]);
        header["format"] = 1.into();
        header.as_object_mut().unwrap().remove("about").unwrap();
    });
    alter_record(&project, &run, |record| forget(&mut record["limits"]));
    let old = &replayed(&project, &[&run])[0];
    assert_eq!(old["verdict"], "identical", "{old}");
}

#[test]
fn a_bundle_is_all_that_another_machine_needs() {
    let project = in_two_legs(Project::with_fx());
    let elsewhere = tempfile::tempdir().unwrap();
    for table in [RATES, RETURNS] {
        let bundle = elsewhere.path().join(format!("{table}.tar"));
        project.run(&["run", "export", &last_run(&project, table), "--output", bundle.to_str().unwrap()]);
        // No data directory at all.
        let home = elsewhere.path().join("none");
        let output = project
            .command(&["run", "replay", bundle.to_str().unwrap(), "--json", "--home", home.to_str().unwrap()])
            .current_dir(elsewhere.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(replayed[0]["verdict"], "identical", "{replayed}");
        assert!(!home.exists(), "nothing is left behind");
    }
    // The same run gives the same bundle.
    let (first, again) = (elsewhere.path().join("first.tar"), elsewhere.path().join("again.tar"));
    for bundle in [&first, &again] {
        project.run(&["run", "export", &last_run(&project, RATES), "--output", bundle.to_str().unwrap()]);
    }
    assert!(std::fs::read(&first).unwrap() == std::fs::read(&again).unwrap());
    // Any damage to it is noticed.
    let whole = std::fs::read(&first).unwrap();
    for place in [100, 600, whole.len() / 3, whole.len() / 2] {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x20;
        std::fs::write(&again, damaged).unwrap();
        let output = project.output(&["run", "replay", again.to_str().unwrap(), "--json"]);
        assert!(!output.status.success(), "a byte at {place} of {} was another one", whole.len());
    }
}

/// One class of what a run is made of, altered in the store of a copy of the project.
struct Tamper {
    name: &'static str,
    alter: fn(&Project, &str),
    /// What the report must name.
    names: &'static str,
}

fn database(project: &Project) -> Connection {
    Connection::open(project.database()).unwrap()
}

/// Alter a run's record in place.
fn alter_record(project: &Project, run: &str, alter: impl FnOnce(&mut Value)) {
    let mut record = record_of(project, run);
    alter(&mut record);
    store_record(project, run, &record);
}

fn record_of(project: &Project, run: &str) -> Value {
    let texts = project.texts(&format!("SELECT record FROM _runs WHERE run_id = '{run}'"));
    serde_json::from_str(&texts[0]).unwrap()
}

fn store_record(project: &Project, run: &str, record: &Value) {
    let text = record.to_string().replace('\'', "''");
    project.execute(&format!("UPDATE _runs SET record = '{text}' WHERE run_id = '{run}'"));
}

/// A run's journal as it is stored.
fn document(project: &Project, run: &str) -> Vec<u8> {
    let hex = if project.is_on_server() { "encode(document, 'hex')" } else { "hex(document)" };
    let texts = project.texts(&format!("SELECT {hex} FROM _run_journals WHERE run_id = '{run}'"));
    let digits = texts[0].as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn store_document(project: &Project, run: &str, document: &[u8]) {
    let hex: Vec<String> = document.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let bytes = if project.is_on_server() { format!("decode('{hex}', 'hex')") } else { format!("x'{hex}'") };
    project.execute(&format!("UPDATE _run_journals SET document = {bytes} WHERE run_id = '{run}'"));
}

/// Alter a run's journal as one who covers his tracks: the record has the digest of what stands there afterwards.
fn alter_journal(project: &Project, run: &str, alter: impl FnOnce(&mut Vec<Value>)) {
    let text = String::from_utf8(zstd::decode_all(document(project, run).as_slice()).unwrap()).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    alter(&mut lines);
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
    store_document(project, run, &zstd::encode_all(text.as_bytes(), 3).unwrap());
    let digest = Digest::of(text.as_bytes()).to_string();
    alter_record(project, run, |record| record["journal"]["sha256"] = digest.into());
}

/// The first line whose call is this.
fn call<'a>(lines: &'a mut [Value], function: &str) -> &'a mut Value {
    lines.iter_mut().find(|line| line["call"]["function"] == function).expect("such a call")
}

/// The bytes that a call answered, inside of the journal or beside it, with one byte another.
fn alter_content(project: &Project, run: &str, function: &str) {
    let mut beside = None;
    alter_journal(project, run, |lines| {
        let line = lines
            .iter_mut()
            .find(|line| line["call"]["function"] == function && line["call"]["reply"]["bytes"].is_object());
        let content = &mut line.unwrap()["call"]["reply"]["bytes"];
        match content["inline"].as_str() {
            Some(text) => {
                let mut bytes = STANDARD.decode(text).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                content["inline"] = STANDARD.encode(bytes).into();
            }
            None => beside = Some(content["sha256"].as_str().unwrap().to_owned()),
        }
    });
    if let Some(digest) = beside {
        let file = content_file(project, &digest);
        let mut bytes = zstd::decode_all(std::fs::File::open(&file).unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, zstd::encode_all(bytes.as_slice(), 1).unwrap()).unwrap();
    }
}

fn content_file(project: &Project, digest: &str) -> PathBuf {
    project.path().join(".datanode/contents").join(&digest[..2]).join(format!("{}.zst", &digest[2..]))
}

const NEXT: &str = "frames.frame-reader.next";

/// Alters the reply of the first call of this function.
fn alter_reply(project: &Project, run: &str, function: &str, alter: impl FnOnce(&mut Value)) {
    alter_journal(project, run, |lines| alter(&mut call(lines, function)["call"]["reply"]));
}

const TAMPERS: [Tamper; 21] = [
    Tamper {
        name: "a frame",
        alter: |project, run| alter_content(project, run, NEXT),
        names: "`frames.frame-reader.next`",
    },
    Tamper {
        name: "the config, in the journal",
        alter: |project, run| {
            alter_journal(project, run, |lines| {
                let header = &mut lines[0]["run"];
                let config = header["guest_config"].as_str().unwrap().replace("10", "0");
                assert_ne!(header["guest_config"], *config);
                header["guest_config"] = config.into();
            });
        },
        names: "host call ",
    },
    Tamper {
        name: "the config, in the record",
        alter: |project, run| {
            alter_record(project, run, |record| record["config"]["max_gap_days"] = 9.into());
        },
        names: "the config",
    },
    Tamper {
        name: "the statistics",
        alter: |project, run| {
            alter_journal(project, run, |lines| {
                lines[0]["run"]["statistics"][0]["max"] = "2003-12-30T00:00:00.000000Z".into();
            });
        },
        names: "`frames.open`",
    },
    Tamper {
        name: "the window",
        alter: |project, run| {
            alter_journal(project, run, |lines| {
                lines[0]["run"]["window"]["end"] = "2004-03-30T00:00:00.000000Z".into();
            });
        },
        names: "host call ",
    },
    Tamper {
        name: "the options",
        alter: |project, run| {
            alter_journal(project, run, |lines| lines[0]["run"]["options"]["more"] = true.into());
        },
        names: "the runtime options",
    },
    Tamper {
        name: "the order of calls",
        alter: |project, run| {
            alter_journal(project, run, |lines| {
                let at = lines.iter().position(|line| line["call"]["function"] == "frames.open").unwrap();
                let (first, second) =
                    (lines[at]["call"]["call"].take(), lines[at + 1]["call"]["call"].take());
                lines.swap(at, at + 1);
                lines[at]["call"]["call"] = first;
                lines[at + 1]["call"]["call"] = second;
            });
        },
        names: "`frames.open`",
    },
    Tamper {
        name: "the arguments of a call",
        alter: |project, run| {
            alter_journal(project, run, |lines| {
                call(lines, "frames.emit")["call"]["arguments"] = "0".repeat(64).into();
            });
        },
        names: "`frames.emit`",
    },
    Tamper {
        name: "a call that was left out",
        alter: |project, run| {
            alter_journal(project, run, |lines| {
                let last = lines.len() - 2;
                lines.remove(last);
                lines[last]["end"]["calls"] = (last - 1).into();
            });
        },
        names: "host call ",
    },
    Tamper {
        name: "the digest of the output",
        alter: |project, run| {
            alter_record(project, run, |record| record["output_digest"] = "0".repeat(64).into());
        },
        names: "the digest of the output",
    },
    Tamper {
        name: "the digest of a frame",
        alter: |project, run| {
            alter_record(project, run, |record| record["inputs"][0]["digest"] = "0".repeat(64).into());
        },
        names: "the frames that were read",
    },
    Tamper {
        name: "the outcome",
        alter: |project, run| {
            alter_journal(project, run, |lines| {
                lines.last_mut().unwrap()["end"]["error"] = serde_json::json!({"code": "node.error"});
            });
        },
        names: "the outcome",
    },
    Tamper {
        name: "a byte of the journal",
        alter: |project, run| {
            let mut document = document(project, run);
            let half = document.len() / 2;
            document[half] ^= 1;
            store_document(project, run, &document);
        },
        names: "the journal",
    },
    Tamper {
        name: "the schema of a frame",
        alter: |project, run| alter_content(project, run, "frames.frame-reader.schema"),
        names: "`frames.frame-reader.schema`",
    },
    Tamper {
        name: "how many bytes an answer has",
        alter: |project, run| {
            alter_reply(project, run, NEXT, |reply| {
                let bytes = reply["bytes"]["bytes"].as_u64().unwrap();
                reply["bytes"]["bytes"] = (bytes + 1).into();
            });
        },
        names: "`frames.frame-reader.next`",
    },
    Tamper {
        name: "the number of a reader",
        alter: |project, run| alter_reply(project, run, "frames.open", |reply| reply["opened"] = 7.into()),
        names: "`frames.open`",
    },
    Tamper {
        name: "the rows that were emitted until then",
        alter: |project, run| alter_reply(project, run, "frames.emit", |reply| reply["emitted"] = 7.into()),
        names: "`frames.emit`",
    },
    Tamper {
        name: "the kind of an answer",
        alter: |project, run| alter_reply(project, run, "frames.emit", |reply| *reply = "done".into()),
        names: "`frames.emit`",
    },
    Tamper {
        name: "the kind of the run, in the journal",
        alter: |project, run| {
            alter_journal(project, run, |lines| lines[0]["run"]["about"]["kind"] = "other".into());
        },
        names: "`kind` of the record",
    },
    Tamper {
        name: "a table that was read, in the journal",
        alter: |project, run| {
            let key = record_of(project, run)["inputs"][0]["key"].as_str().unwrap().to_owned();
            alter_journal(project, run, |lines| {
                lines[0]["run"]["about"]["tables"][&key]["identifier"] = "other".into();
            });
        },
        names: "`table` of the frames that were read, host call ",
    },
    Tamper {
        name: "the fuel, in the journal",
        alter: |project, run| {
            alter_journal(project, run, |lines| lines.last_mut().unwrap()["end"]["fuel"] = 1.into());
        },
        names: "the fuel",
    },
];

/// Alter one field after the other, each in the record as it was.
fn fields_are_noticed(project: &Project, run: &str, fields: &[Field]) {
    let record = record_of(project, run);
    for (field, value, names) in fields {
        let mut altered = record.clone();
        let value: Value = serde_json::from_str(value).unwrap();
        assert_ne!(altered.pointer(field), Some(&value), "{field}");
        match altered.pointer_mut(field) {
            Some(place) => *place = value,
            // Where there is nothing, as there is no `lookback`, say.
            None => altered[field.trim_start_matches('/')] = value,
        }
        store_record(project, run, &altered);
        let output = project.output(&["run", "replay", run, "--json"]);
        assert!(!output.status.success(), "{field}");
        if !names.is_empty() {
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(answer[0]["verdict"], "different", "{field}: {answer}");
            assert_eq!(output.status.code(), Some(1));
            let what = answer[0]["what"].as_str().unwrap();
            assert!(what.contains(names), "{field}: {what}");
            assert_ne!(answer[0]["recorded"], answer[0]["replayed"], "{field}");
            assert_eq!(answer[0]["call"].is_u64(), names.contains("host call "), "{field}: {answer}");
        }
    }
    store_record(project, run, &record);
    assert_eq!(replayed(project, &[run])[0]["verdict"], "identical");
}

on_both_databases!(one_other_byte_in_any_class_of_record_is_noticed, every_answer_of_an_option_is_noticed);

fn one_other_byte_in_any_class_of_record_is_noticed(empty: Project) {
    let project = in_two_legs(empty.and_fx());
    let run = last_run(&project, RETURNS);
    let tampered = |tamper: &Tamper, run: &str| {
        let copy = project.copy();
        (tamper.alter)(&copy, run);
        let output = copy.output(&["run", "replay", run, "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer[0]["verdict"], "different", "{}: {answer}", tamper.name);
        assert_eq!(output.status.code(), Some(1));
        let what = answer[0]["what"].as_str().unwrap();
        assert!(what.contains(tamper.names), "{}: {what}", tamper.name);
        assert_ne!(answer[0]["recorded"], answer[0]["replayed"], "{}", tamper.name);
    };
    for tamper in &TAMPERS {
        tampered(tamper, &run);
    }
    let rates = last_run(&project, RATES);
    for fetch in [
        Tamper {
            name: "a fetch",
            alter: |project, run| alter_content(project, run, "sources.body.read"),
            names: "`sources.body.read`",
        },
        Tamper {
            name: "the status of an answer",
            alter: |project, run| {
                alter_reply(project, run, "sources.fetch", |reply| reply["fetched"]["status"] = 201.into());
            },
            names: "`status` of what was fetched, host call ",
        },
        Tamper {
            name: "the number of a body",
            alter: |project, run| {
                alter_reply(project, run, "sources.fetch", |reply| reply["fetched"]["body"] = 7.into());
            },
            names: "`sources.fetch`",
        },
    ] {
        tampered(&fetch, &rates);
    }
    fields_are_noticed(&project, &run, &FIELDS);
    fields_are_noticed(&project, &rates, &FETCHED);

    // No field of a record is forgotten here.
    for name in record_of(&project, &run).as_object().unwrap().keys() {
        let is_altered = FIELDS.iter().any(|(field, ..)| field.split('/').nth(1) == Some(name.as_str()));
        assert!(is_altered != OF_THE_RECORD_ALONE.contains(&name.as_str()), "{name}");
    }
    // As whoever alters the catalogue would.
    let path = record_of(&project, &rates)["fetches"][0]["path"].to_string();
    project.execute(&format!(
        "UPDATE _runs SET record = replace(record, '\"path\":{path}', '\"path\":\"x\"') WHERE run_id = '{rates}'"
    ));
    let replay = &replayed(&project, &[&rates])[0];
    assert_eq!((&replay["verdict"], &replay["recorded"]), (&"different".into(), &"x".into()), "{replay}");
}

/// A guest that asks for an option, and may do nothing with it.
fn every_answer_of_an_option_is_noticed(empty: Project) {
    let project = empty;
    project.upload("daily_series");
    let contract = root().join("tests/guests/daily_series/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    let config = r#"{"series": ["A"]}"#;
    project.run(&["node", "create", "daily_series", "--table", "daily_series", "--config", config]);
    project.run(&["node", "run", "daily_series", "--until", "2000-01-03", "--option", "factor=1.5"]);
    let run = last_run(&project, "daily_series");
    assert_eq!(replayed(&project, &[&run])[0]["verdict"], "identical");
    let options: [fn(&mut Vec<Value>); 4] = [
        |lines| call(lines, "options.get")["call"]["reply"]["option"] = "2.5".into(),
        // The same number, in other letters.
        |lines| call(lines, "options.get")["call"]["reply"]["option"] = "1.50".into(),
        |lines| call(lines, "options.get")["call"]["reply"]["option"] = Value::Null,
        |lines| lines[0]["run"]["options"]["factor"] = 2.5.into(),
    ];
    for alter in options {
        let copy = project.copy();
        alter_journal(&copy, &run, alter);
        let replay = &replayed(&copy, &[&run])[0];
        assert_eq!(replay["verdict"], "different", "{replay}");
        assert!(replay["what"].as_str().unwrap().contains("`options.get`"), "{replay}");
    }
}

/// Another version of the engine counts fuel in its own way: that it ended a run there proves nothing here.
#[test]
fn fuel_of_another_engine_is_no_fact() {
    const ENGINE: &str = "wasmtime 47.0.0";
    let begun = Project::with_fx();
    let run_rates = |project: &Project| {
        project.output(&["node", "run", RATES, "--until", "1999-01-31"]);
        last_run(project, RATES)
    };
    let whole = begun.copy();
    let used = record_of(&whole, &run_rates(&whole))["fuel"].as_u64().unwrap();
    let with_fuel = |fuel: u64| {
        let project = begun.copy().set(&format!("[limits]\nfuel = {fuel}\n"));
        let run = run_rates(&project);
        let project = project.set("");
        assert_eq!(replayed(&project, &[&run])[0]["verdict"], "identical", "by the engine that it ran by");
        (project, run)
    };
    // As if it had recorded the run: under a limit of fuel that its instructions cost as much of.
    let by_another = |project: &Project, run: &str, fuel: u64| {
        let alter = |run: &mut Value| {
            run["host"]["engine"] = ENGINE.into();
            run["limits"]["fuel"] = fuel.into();
        };
        alter_journal(project, run, |lines| alter(&mut lines[0]["run"]));
        alter_record(project, run, alter);
        project.output(&["run", "replay", run, "--json"])
    };
    let verdict = |output: &std::process::Output| -> Value {
        serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].clone()
    };

    // Good, and near its end; also where that engine would have counted half as much, or less.
    let (good, run) = with_fuel(used + used / 100);
    for fuel in [used + used / 100, used / 2, used / 7] {
        let output = by_another(&good, &run, fuel);
        let found = verdict(&output);
        assert_eq!((output.status.code(), &found["verdict"]), (Some(0), &"identical".into()), "{found}");
    }
    // So much more than there that it does not come to its end here; and one that came to no end there.
    let (ended, other) = with_fuel(used - used / 100);
    assert_eq!(record_of(&ended, &other)["error"]["code"], "sandbox.limit.fuel");
    for (project, run, fuel) in [
        (&good, &run, used / 20),
        (&ended, &other, used - used / 100),
        (&ended, &other, used * 2),
        (&ended, &other, used / 2),
    ] {
        let output = by_another(project, run, fuel);
        let found = verdict(&output);
        assert_eq!((output.status.code(), &found["verdict"]), (Some(3), &"cannot_replay".into()), "{found}");
        let missing = found["missing"].as_str().unwrap();
        assert!(missing.contains("ended by fuel") && missing.contains(ENGINE), "{missing}");
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            found["next_step"].as_str().unwrap().ends_with(&format!("recorded it: {version}")),
            "{found}"
        );
    }
    // What differs besides is still told.
    alter_record(&ended, &other, |record| record["config"]["quote"] = "x".into());
    assert_eq!(replayed(&ended, &[&other])[0]["what"], "the config");
}

#[test]
fn what_is_missing_is_named() {
    let project = Project::with_fx();
    project.run(&["node", "run", RATES, "--until", "1999-06-30", "--journal", "digest"]);
    let without = last_run(&project, RATES);
    let said = project.output(&["run", "replay", &without]);
    assert_eq!(said.status.code(), Some(3));
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("cannot be replayed: its journal has digests only"), "{said}");
    assert!(said.contains("journal = \"full\""), "{said}");
    project.run(&["node", "run", RETURNS, "--until", "1999-06-30"]);

    // A content that is gone.
    let run = last_run(&project, RETURNS);
    let copy = project.copy();
    let contents = copy.path().join(".datanode/contents");
    std::fs::remove_dir_all(&contents).unwrap();
    let replay = replayed(&copy, &[&run]);
    assert_eq!(replay[0]["verdict"], "cannot_replay", "{}", replay[0]);
    assert!(replay[0]["missing"].as_str().unwrap().contains("host call "), "{}", replay[0]);
    let (code, said) = copy.fails(&["run", "export", &run, "--output", "run.tar"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("bundle.incomplete") && !copy.path().join("run.tar").exists(), "{said}");

    // Journals that were removed: the records stay.
    let before = project.json(&["run", "list"]);
    let pruned = project.json(&["run", "prune", "--before", "2100-01-01", "--dry-run"]);
    assert!(pruned["journals"].as_u64().unwrap() > 0);
    assert_eq!(all_or_none(&project), "identical");
    assert_eq!(project.json(&["run", "prune", "--before", "2100-01-01"])["journals"], pruned["journals"]);
    assert_eq!(all_or_none(&project), "cannot_replay");
    assert_eq!(project.json(&["run", "list"]), before);

    // What is no bundle.
    let other = project.path().join("other.tar");
    std::fs::write(&other, "no tar").unwrap();
    let (code, said) = project.fails(&["run", "replay", other.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(said.contains("bundle.damaged") && said.contains("datanode run export"), "{said}");
}

#[test]
fn journals_older_than_the_settings_say_are_removed_by_themselves() {
    let project = in_two_legs(Project::with_fx().set("[runs]\njournal_days = 30\n"));
    assert_eq!(all_identical(&project), 4);
    let lost = || -> BTreeSet<String> {
        let runs = replayed(&project, &["--all"]);
        let lost = runs.iter().filter(|run| run["verdict"] == "cannot_replay");
        assert!(runs.iter().all(|run| run["verdict"] != "different"), "{runs:?}");
        lost.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    };
    // The runs of the first leg were forty days ago, and those of the second one twenty.
    let runs = project.json(&["run", "list"]);
    let runs: Vec<&str> =
        runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    for (run, days) in runs.iter().zip([20, 20, 40, 40]) {
        let earlier = "UPDATE _runs SET started_at = started_at - ?2 * 86400000000 WHERE run_id = ?1";
        assert_eq!(database(&project).execute(earlier, rusqlite::params![run, days]).unwrap(), 1);
    }
    let kept = project.path().join(".datanode/contents");
    let age = |path: &std::path::Path, days: u64| {
        let then = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * days);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    };
    let files = || -> Vec<PathBuf> {
        let folders = std::fs::read_dir(&kept).unwrap().map(|folder| folder.unwrap().path());
        let files =
            folders.filter(|path| path.is_dir()).flat_map(|folder| std::fs::read_dir(folder).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    };
    let before = files();
    for file in &before {
        age(file, 20);
    }

    // They were looked through today, when the first leg was run: not again by each run.
    project.run(&["node", "run", RETURNS, "--until", "2004-03-31"]);
    assert_eq!(lost(), BTreeSet::new());
    assert_eq!(files().len(), before.len());
    age(&kept.join("swept"), 1);
    project.run(&["node", "run", RETURNS, "--until", "2004-03-31"]);
    assert_eq!(lost(), runs[2..].iter().map(ToString::to_string).collect());
    assert!(files().len() < before.len(), "what the first leg alone was given is gone");
    // Whoever looks for the reason finds it.
    let entries = project.json(&["audit", "list", "--action", "journal.remove"]);
    assert_eq!(entries["entries"][0]["detail"]["journals"], 2, "{entries}");
}

/// The verdict that the last run of the returns has.
fn all_or_none(project: &Project) -> String {
    replayed(project, &[&last_run(project, RETURNS)])[0]["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn a_bundle_holds_nothing_but_what_it_lists() {
    let project = in_two_legs(Project::with_fx());
    let bundle = project.path().join("run.tar");
    project.run(&["run", "export", &last_run(&project, RETURNS), "--output", bundle.to_str().unwrap()]);
    let mut names = Vec::new();
    let mut tar = tar::Archive::new(std::fs::File::open(&bundle).unwrap());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if name == "component.wasm" {
            assert!(bytes == std::fs::read(component("fx_log_returns")).unwrap());
        }
        names.push(name);
    }
    assert_eq!(names[..4], ["run.json", "component.wasm", "journal.zst", "SHA256SUMS"]);
    assert!(names[4..].iter().all(|name| name.starts_with("contents/")), "{names:?}");
}
