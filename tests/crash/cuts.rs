//! The connection to a server is lost. Through a proxy that knows the protocol, so that it is lost at a chosen message of
//! the commit; and all connections at moments drawn from the whole of a run. The process goes on: what it answers in the
//! end is what is stored.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use datanode_tests::proxy::{Cut, Message, Met, Proxy};
use datanode_tests::{Project, at_once, rounds};

use super::{Draw, Ended, Job, Run, accounts, completes, held_nodes, job, measure_at_once, was_undisturbed};

/// Of so many rounds one is aimed at the `COMMIT` or its answer; the others are drawn from the whole transaction.
const AIMED: u32 = 4;
/// What the aimed ones cut, in turn: the `COMMIT` does not arrive, or it does and nothing comes back, or not all of the
/// answer does.
const AIMS: [(Message, bool); 4] =
    [(Message::Commit, false), (Message::Commit, true), (Message::Answer, false), (Message::Answer, true)];

/// The run through a proxy, which may cut it off.
fn through(proxy: &Proxy, job: &Job, project: &Project) -> Ended {
    let mut command = project.command(&[job.arguments, &["--progress", "json", "--json"]].concat());
    command.env("DATANODE_DATABASE_URL", proxy.url());
    Run::of(command).ended(project)
}

/// What is left is all or nothing, as the process says, and the next run completes it without waiting for a lease.
fn is_sound(job: &Job, project: &Project, all: i64, ended: &Ended, round: &str) -> bool {
    let found = accounts(job, project);
    let is_stored = match (ended.exit, ended.record["status"].as_str().unwrap()) {
        (Some(0), "ok") => true,
        (Some(5), "failed") => false,
        (exit, _) => panic!("{round}: exit {exit:?}: {:#}", ended.record),
    };
    assert_eq!(found, [if is_stored { all } else { 0 }; 3], "{round}: {:#}", ended.record);
    assert_eq!(held_nodes(project), 0, "{round}: who knows how a run ended holds its node no longer");
    completes(job, project, all, round);
    is_stored
}

fn cut_of(round: u32, (rounds, messages): (u32, usize), draw: &mut Draw) -> Cut {
    let all = (round / AIMED).is_multiple_of(2);
    if round % AIMED == AIMED - 1 {
        let (at, arrives) = AIMS[(round / AIMED) as usize % AIMS.len()];
        return Cut { at, arrives, all };
    }
    // One in each part of equal length.
    let part = (f64::from(round) + draw.next()) / f64::from(rounds);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    // a few hundred
    let number = (part * messages as f64) as usize;
    Cut { at: Message::Number(number), arrives: draw.next() < 0.5, all }
}

#[test]
fn a_commit_that_loses_its_server_is_stored_or_not_and_says_which() {
    let job = job(Project::on_server());
    let (messages, all) = {
        let project = job.project.copy();
        let proxy = Proxy::new(project.server(), None);
        let ended = through(&proxy, &job, &project);
        assert_eq!(ended.exit, Some(0), "{:#}", ended.record);
        let messages = proxy.messages();
        was_undisturbed(&job, &project);
        (messages, accounts(&job, &project)[0])
    };
    let (rounds, mut draw) = (rounds(60, 500), Draw(20_261_124));
    let cuts: Vec<Cut> = (0..rounds).map(|number| cut_of(number, (rounds, messages), &mut draw)).collect();
    let found = Mutex::new(Vec::new());
    at_once(2, &cuts, |cut| {
        let cut = *cut;
        let project = job.project.copy();
        let proxy = Proxy::new(project.server(), Some(cut));
        let ended = through(&proxy, &job, &project);
        let met = proxy.met();
        drop(proxy);
        let round = format!("{cut:?}, which met {met:?}");
        let is_stored = is_sound(&job, &project, all, &ended, &round);
        match met {
            // The server had carried it out, whatever the process has heard of it.
            Some(Met::Answer) => assert!(is_stored, "{round}"),
            Some(Met::Commit) if cut.arrives => {}
            Some(Met::Work | Met::Commit) => assert!(!is_stored, "{round}"),
            None => panic!("{round}: the commit has fewer messages than before"),
        }
        found.lock().unwrap().push((met, is_stored));
    });
    let found = found.into_inner().unwrap();
    println!("{rounds} connections lost over a commit of {messages} messages:");
    println!("{:<12}{:>8}{:>18}{:>14}", "lost at", "rounds", "nothing stored", "all stored");
    for met in [Met::Work, Met::Commit, Met::Answer] {
        let here = found.iter().filter(|(at, _)| *at == Some(met));
        let (rounds, stored) = (here.clone().count(), here.filter(|(_, is_stored)| *is_stored).count());
        println!("{:<12}{rounds:>8}{:>18}{stored:>14}", format!("{met:?}"), rounds - stored);
        assert!(rounds >= 5, "too few rounds to show anything");
    }
}

#[test]
fn a_run_that_loses_its_server_at_any_moment_leaves_all_or_nothing() {
    let job = job(Project::on_server());
    let (lengths, all) = measure_at_once(&job, 2, 2);
    let length = lengths.iter().sum::<Duration>() / 2;
    let (rounds, mut draw, failed) = (rounds(10, 100), Draw(20_261_125), AtomicU32::new(0));
    let parts: Vec<(u32, f64)> =
        (0..rounds).map(|part| (part, (f64::from(part) + draw.next()) / f64::from(rounds))).collect();
    at_once(2, &parts, |&(part, of_all)| {
        let project = job.project.copy();
        let run = Run::start(&job, &project);
        thread::sleep(length.mul_f64(of_all).saturating_sub(run.begin.elapsed()));
        project.server().cut_off();
        let output = run.child.wait_with_output().unwrap();
        let [rows, progress, recorded] = accounts(&job, &project);
        assert_eq!((rows, progress), (recorded, recorded), "part {part}");
        // Where not even the record could be stored, there is no answer.
        let answer = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok();
        if let Some(records) = answer.as_ref().and_then(|answer| answer.as_array()) {
            for record in records {
                super::is_stored(&project, record);
            }
        }
        match output.status.code() {
            Some(0) => assert_eq!(rows, all, "part {part}"),
            Some(5) => {
                assert_eq!(rows, 0, "part {part}");
                failed.fetch_add(1, Ordering::Relaxed);
            }
            exit => panic!("part {part}: exit {exit:?}"),
        }
        project.expire_leases();
        completes(&job, &project, all, &format!("one that lost its server in part {part}"));
    });
    let failed = failed.into_inner();
    println!(
        "{rounds} runs whose server was lost: {failed} failed, {} did not notice or were over",
        rounds - failed
    );
    assert!(failed > 0, "no run noticed that its server was lost");
}
