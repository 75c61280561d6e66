//! Every command twice: over a database of this machine, and against a server over a copy of it. Both print the same, leave
//! the same files, and end with the same exit code.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "remote/cases.rs"]
mod cases;
#[path = "remote/commands.rs"]
mod commands;
#[path = "remote/gate.rs"]
mod gate;
#[path = "remote/interrupts.rs"]
mod interrupts;
#[path = "remote/live.rs"]
mod live;
#[path = "remote/paced.rs"]
mod paced;
#[path = "remote/redact.rs"]
mod redact;
#[path = "remote/sides.rs"]
mod sides;
#[path = "remote/trouble.rs"]
mod trouble;
#[path = "remote/trust.rs"]
mod trust;
#[path = "remote/uploads.rs"]
mod uploads;

use std::collections::BTreeMap;

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

/// The commands that have none below them, with their options, from the page that is made of the definitions.
fn leaves() -> BTreeMap<String, Vec<String>> {
    let page = Project::new().run(&["reference"]);
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        let title = line.trim_start_matches('#');
        if let Some(name) = title.trim().strip_prefix("`datanode ").and_then(|name| name.strip_suffix('`'))
            && title != line
        {
            all.insert(name.to_owned(), Vec::new());
            open = Some(name.to_owned());
        }
        // Behind a short form, where it has one, and before what it takes.
        let spelled = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
        let option = spelled.and_then(|spelled| spelled.split(' ').find(|word| word.starts_with("--")));
        if let (Some(option), Some(name)) = (option, &open) {
            all.entry(name.clone()).or_default().push(option.to_owned());
        }
    }
    let names: Vec<String> = all.keys().cloned().collect();
    let has_others = |name: &str| names.iter().any(|other| other.starts_with(&format!("{name} ")));
    // A command that has others below it and is one itself.
    all.retain(|name, _| name == "node backfill" || !has_others(name));
    all
}

/// The command that a case gives: the longest that its words begin with.
fn command_of<'l>(case: &Case, leaves: &'l BTreeMap<String, Vec<String>>) -> Option<&'l str> {
    let begins = |name: &&String| {
        let names: Vec<&str> = name.split(' ').collect();
        case.words.len() >= names.len() && names.iter().zip(&case.words).all(|(name, word)| name == word)
    };
    leaves.keys().filter(begins).max_by_key(|name| name.len()).map(String::as_str)
}

#[test]
fn every_command_and_option_has_a_case_or_is_local() {
    let leaves = leaves();
    assert!(leaves.len() > 60, "{leaves:?}");
    let cases = cases::all();
    let mut missing = Vec::new();
    for (name, options) in &leaves {
        if LOCAL.contains(&name.as_str()) {
            continue;
        }
        let own: Vec<&Case> =
            cases.iter().filter(|case| command_of(case, &leaves) == Some(name.as_str())).collect();
        for form in [Form::Text, Form::Json] {
            if !own.iter().any(|case| case.form == form || case.form == Form::Both) {
                missing.push(format!("{name}, {form:?}"));
            }
        }
        // What is said in the words of the existing client is read by the definitions of the other words.
        if name.starts_with("data-node ") {
            continue;
        }
        let has = |option: &String| own.iter().any(|case| case.words.contains(option));
        missing.extend(options.iter().filter(|option| !has(option)).map(|option| format!("{name} {option}")));
    }
    assert!(missing.is_empty(), "neither with a case nor local: {missing:#?}");
    let gone: Vec<&&str> = LOCAL.iter().filter(|name| !leaves.contains_key(**name)).collect();
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
