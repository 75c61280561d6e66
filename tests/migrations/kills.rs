//! Revisions that copy or rewrite every row, killed or cut off from their server: the table is that of before or that of
//! after.

use std::process::Stdio;
use std::thread;
use std::time::Instant;

use datanode_tests::Project;
use serde_json::Value;

use super::{RATES, columns, contract, contract_text, current, edit, seal, untouched, with_rates, write};

fn standing(project: &Project, old: &str, new: &str) -> bool {
    if !project.is_on_server() {
        assert_eq!(
            project.number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
            0
        );
    }
    let progress: Value = project.json(&["table", "show", RATES]);
    let counted = project.number("SELECT count(*) FROM fx_ecb_daily_rates");
    assert_eq!(progress["rows"], counted);
    let at = current(project);
    let names = columns(project);
    match at.as_deref() {
        None => assert!(!names.contains(&new.to_owned()) && names.contains(&old.to_owned()), "{names:?}"),
        Some(_) => assert!(names.contains(&new.to_owned()) && !names.contains(&old.to_owned()), "{names:?}"),
    }
    at.is_some()
}

/// A revision that changes every row.
fn rates_as_text(project: &Project) -> Value {
    let text = contract_text()
        .replace("name = \"rate\"\ntype = \"float64\"", "name = \"rate_text\"\nid = 3\ntype = \"string\"");
    write(project, "rates as text", &contract(project, "c.toml", &text))
}

/// A change that copies every row, killed at random: the table is that of before or that of after.
#[test]
fn a_kill_leaves_the_revision_before_or_the_one_after() {
    const ROUNDS: u32 = 24;
    let project = with_rates(Project::new, "2012-12-31");
    rates_as_text(&project);
    let measured = {
        let copy = project.copy();
        let begin = Instant::now();
        copy.run(&["table", "upgrade", RATES]);
        begin.elapsed()
    };
    let mut outcomes = [0_u32; 2];
    for round in 0..2 * ROUNDS {
        // More of them, each later than the last, where the machine has become slower since it was measured.
        if round >= ROUNDS && outcomes.iter().all(|count| *count > 0) {
            break;
        }
        let copy = project.copy();
        let mut child = copy.command(&["table", "upgrade", RATES]).spawn().unwrap();
        // Spread over the whole of it and a little beyond.
        thread::sleep(measured.mul_f64(f64::from(round) / f64::from(ROUNDS) * 1.3));
        let _ = child.kill();
        child.wait().unwrap();
        let after = standing(&copy, "rate", "rate_text");
        outcomes[usize::from(after)] += 1;
        if !after {
            copy.run(&["table", "upgrade", RATES]);
            assert!(standing(&copy, "rate", "rate_text"), "what was killed is done again");
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "before and after: {outcomes:?}");
}

/// The same on a server: killed, or cut off from the server, while that rewrites the table, and at other moments.
#[test]
fn a_kill_or_a_lost_server_leaves_the_revision_before_or_the_one_after() {
    const ROUNDS: u32 = 16;
    let project = with_rates(Project::on_server, "2008-12-31");
    // Every row is written anew, there and back.
    let text = contract_text()
        .replace("name = \"rate\"\ntype = \"float64\"", "name = \"short_rate\"\nid = 3\ntype = \"float32\"");
    write(&project, "rates in less room", &contract(&project, "c.toml", &text));
    let begin = Instant::now();
    project.run(&["table", "upgrade", RATES]);
    let measured = begin.elapsed();
    let rewriting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND state = 'active' AND query LIKE 'ALTER TABLE%TYPE%'";
    let rows = project.number("SELECT count(*) FROM fx_ecb_daily_rates");
    // Up and down in turn, each begun where the one before has ended.
    let (up, down) = (["table", "upgrade", RATES, "head"], ["table", "downgrade", RATES, "base"]);
    let (mut inside, mut before, mut after) = (0, 0, [0, 0]);
    for round in 0..ROUNDS {
        let goes_down = round % 2 == 0;
        let step = if goes_down { down } else { up };
        let is_done = || standing(&project, "rate", "short_rate") != goes_down;
        let mut child = project.command(&step).stderr(Stdio::null()).spawn().unwrap();
        if round % 4 < 2 {
            while child.try_wait().unwrap().is_none() {
                if project.number(rewriting) > 0 {
                    inside += 1;
                    break;
                }
            }
        } else {
            thread::sleep(measured.mul_f64(f64::from(round) / f64::from(ROUNDS) * 1.3));
        }
        if round % 8 < 4 {
            let _ = child.kill();
        } else {
            project.server().cut_off();
        }
        child.wait().unwrap();
        project.settle();
        if is_done() {
            after[usize::from(goes_down)] += 1;
        } else {
            before += 1;
            project.run(&step);
            assert!(is_done(), "what was killed is done again");
        }
        assert_eq!(project.number("SELECT count(*) FROM fx_ecb_daily_rates"), rows);
    }
    println!("{ROUNDS} rounds: {before} before, {after:?} after; {inside} while the table was rewritten");
    assert!(inside > 0 && before > 0, "no round fell into the revision");
}

/// The way back copies every row too, and is killed as well.
#[test]
fn a_kill_of_a_downgrade_leaves_the_revision_before_or_the_one_after() {
    const ROUNDS: u32 = 12;
    let project = with_rates(Project::new, "2006-12-31");
    let revision = rates_as_text(&project);
    edit(&revision, "sqlite.down.sql", |sql| sql.replace("EDIT_THIS", "CAST(\"rate_text\" AS REAL)"));
    seal(&project, &revision);
    let rows = untouched(&project);
    project.run(&["table", "upgrade", RATES]);
    let down = ["table", "downgrade", RATES, "base"];
    let measured = {
        let copy = project.copy();
        let begin = Instant::now();
        copy.run(&down);
        begin.elapsed()
    };
    let mut outcomes = [0_u32; 2];
    for round in 0..ROUNDS {
        let copy = project.copy();
        let mut child = copy.command(&down).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(measured.mul_f64(f64::from(round) / f64::from(ROUNDS) * 1.3));
        let _ = child.kill();
        child.wait().unwrap();
        let still_up = standing(&copy, "rate", "rate_text");
        outcomes[usize::from(still_up)] += 1;
        if still_up {
            copy.run(&down);
            assert!(!standing(&copy, "rate", "rate_text"), "what was killed is done again");
        }
        assert!(untouched(&copy) == rows, "the rows are those of before, whatever was killed");
    }
    // The first is killed at once. How far the others came is the machine's affair.
    assert!(outcomes[1] > 0, "before and after: {outcomes:?}");
}
