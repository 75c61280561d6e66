//! Runs are executed again from their journals, and whatever was changed since is noticed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datanode_core::digest::Digest;
use datanode_tests::{Project, component, root};
use rusqlite::Connection;
use serde_json::Value;

const RATES: &str = "fx_ecb_daily_rates";
const RETURNS: &str = "fx_log_returns";

/// The example in two legs, the second one short.
fn in_two_legs(project: Project) -> Project {
    for until in ["2003-12-31", "2004-03-31"] {
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
    for project in [in_two_legs(Project::with_fx()), in_two_legs(Project::on_server().and_fx())] {
        assert_eq!(all_identical(&project), 4);
        // Rows that are gone, a release that was superseded, a source that is not granted any more.
        for table in [RETURNS, RATES] {
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
        assert_eq!(all_identical(&project), 4);
        project.run(&["table", "downgrade", RATES, "base"]);
        // And a run of the new release beside them.
        project.run(&["source", "grant", "ecb", "ecb_daily_fx_rates"]);
        let before = project.json(&["run", "list"])[0]["started_at"].clone();
        project.run(&["node", "run", RETURNS, "--until", "2004-03-31"]);
        assert_eq!(all_identical(&project), 6);
        // Of those alone that began since: the last one before, and the two of the new release.
        let since = replayed(&project, &["--since", before.as_str().unwrap()]);
        assert_eq!(since.iter().filter(|run| run["verdict"] == "identical").count(), 3, "{since:?}");
    }
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
    let database = database(project);
    let text: String =
        database.query_row("SELECT record FROM _runs WHERE run_id = ?1", [run], |row| row.get(0)).unwrap();
    let mut record = serde_json::from_str(&text).unwrap();
    alter(&mut record);
    database.execute("UPDATE _runs SET record = ?2 WHERE run_id = ?1", [run, &record.to_string()]).unwrap();
}

/// Alter a run's journal as one who covers his tracks: the record has the digest of what stands there afterwards.
fn alter_journal(project: &Project, run: &str, alter: impl FnOnce(&mut Vec<Value>)) {
    let database = database(project);
    let document: Vec<u8> = database
        .query_row("SELECT document FROM _run_journals WHERE run_id = ?1", [run], |row| row.get(0))
        .unwrap();
    let text = String::from_utf8(zstd::decode_all(document.as_slice()).unwrap()).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    alter(&mut lines);
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
    let document = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let write = "UPDATE _run_journals SET document = ?2 WHERE run_id = ?1";
    database.execute(write, rusqlite::params![run, document]).unwrap();
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

const TAMPERS: [Tamper; 13] = [
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
            let database = database(project);
            let read = "SELECT document FROM _run_journals WHERE run_id = ?1";
            let mut document: Vec<u8> = database.query_row(read, [run], |row| row.get(0)).unwrap();
            let half = document.len() / 2;
            document[half] ^= 1;
            let write = "UPDATE _run_journals SET document = ?2 WHERE run_id = ?1";
            database.execute(write, rusqlite::params![run, document]).unwrap();
        },
        names: "the journal",
    },
];

#[test]
fn one_other_byte_in_any_class_of_record_is_noticed() {
    let project = in_two_legs(Project::with_fx());
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
    let fetch = Tamper {
        name: "a fetch",
        alter: |project, run| alter_content(project, run, "sources.body.read"),
        names: "`sources.body.read`",
    };
    tampered(&fetch, &last_run(&project, RATES));
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
