//! Every command twice: over a database of this machine, and against a server over a copy of it. Both print the same, leave
//! the same files, and end with the same exit code.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "remote/cases.rs"]
mod cases;
#[path = "remote/redact.rs"]
mod redact;
#[path = "remote/sides.rs"]
mod sides;
#[path = "remote/trouble.rs"]
mod trouble;

use std::collections::BTreeSet;

use cases::{Case, Form, LOCAL};
use datanode_tests::Project;
use sides::Side;

#[test]
fn every_command_answers_alike_from_a_server() {
    // Of one project two copies: what is random in it is the same on both sides.
    let begun = Project::with_fx_volatility();
    let here = Side::here(begun.copy());
    let there = Side::there(begun);
    let mut problems = Vec::new();
    for case in cases::all() {
        let forms: &[bool] = match case.form {
            Form::Text => &[false],
            Form::Json => &[true],
            Form::Both => &[false, true],
        };
        for json in forms {
            problems.extend(compare(&case, *json, &here, &there));
        }
    }
    assert!(problems.is_empty(), "{} differ:\n\n{}", problems.len(), problems.join("\n\n"));
}

fn compare(case: &Case, json: bool, here: &Side, there: &Side) -> Option<String> {
    let (one, other) = (here.answer(case, json), there.answer(case, json));
    (one != other).then(|| {
        let words = case.words.join(" ");
        let json = if json { " --json" } else { "" };
        format!("$ datanode {words}{json}\n--- without a server\n{one}\n--- with a server\n{other}")
    })
}

/// The commands that have none below them, from the page that is made of the definitions.
fn leaves() -> BTreeSet<String> {
    let page = Project::new().run(&["reference"]);
    let named = page.lines().filter_map(|line| {
        let title = line.trim_start_matches('#');
        let name = title.trim().strip_prefix("`datanode ")?.strip_suffix('`')?;
        (title != line).then(|| name.to_owned())
    });
    let all: BTreeSet<String> = named.collect();
    let is_leaf = |name: &&String| !all.iter().any(|other| other.starts_with(&format!("{name} ")));
    // A command that has others below it and is one itself.
    all.iter().filter(is_leaf).cloned().chain(["node backfill".to_owned()]).collect()
}

#[test]
fn every_command_has_a_case_or_is_local() {
    let leaves = leaves();
    assert!(leaves.len() > 60, "{leaves:?}");
    let cases = cases::all();
    let is_of = |leaf: &str, words: &[String]| {
        let names: Vec<&str> = leaf.split(' ').collect();
        words.len() >= names.len() && names.iter().zip(words).all(|(name, word)| name == word)
    };
    let missing: Vec<&String> = leaves
        .iter()
        .filter(|leaf| !LOCAL.contains(&leaf.as_str()) && !cases.iter().any(|case| is_of(leaf, &case.words)))
        .collect();
    assert!(missing.is_empty(), "neither with a case nor local: {missing:?}");
    let gone: Vec<&&str> = LOCAL.iter().filter(|name| !leaves.contains(**name)).collect();
    assert!(gone.is_empty(), "no commands: {gone:?}");
}

#[test]
fn local_commands_say_that_they_are() {
    let project = Project::new();
    let url = "http://127.0.0.1:9";
    for words in [
        &["init", "elsewhere"][..],
        &["build", "crate"],
        &["completions", "bash"],
        &["backup", "file.db"],
        &["restore", "file.db"],
        &["serve"],
        &["run", "replay", "run.tar"],
        &["check", "--determinism", "run.tar"],
    ] {
        let (exit, said) = project.fails(&[words, &["--url", url]].concat());
        assert_eq!(exit, 2, "{words:?}: {said}");
        assert!(said.starts_with("error[cli.local]") && said.contains("\nnext: "), "{words:?}: {said}");
    }
    // An address that is exported is in the way of those alone that would leave a user in the belief that it counts.
    let exported = |words: &[&str]| project.command(words).env("DATANODE_URL", url).output().unwrap();
    assert!(exported(&["completions", "bash"]).status.success());
    assert_eq!(exported(&["backup", "file.db"]).status.code(), Some(2));
}
