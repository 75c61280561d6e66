//! `datanode run`

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use datanode_core::options::{self, Options};
use datanode_core::run::{Coverage, LogLine, RunRecord, RunStatus};
use datanode_runtime::RunOptions;
use serde_json::json;

use crate::args::{LogLevel, RunCommand};
use crate::commands::replay;
use crate::failure::OrFail;
use crate::place::{Place, TreeRuns, WantedRuns};
use crate::print::{self, Heading, Printer, count, duration};
use crate::{interrupt, progress, say};

pub(crate) async fn run(command: RunCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        RunCommand::List { node, table, status, limit } => {
            let all =
                [RunStatus::Ok, RunStatus::Empty, RunStatus::Failed, RunStatus::Skipped, RunStatus::Blocked];
            let status = status.and_then(|name| all.into_iter().find(|status| status.as_str() == name));
            let wanted = WantedRuns { node, table, status, limit: (limit > 0).then_some(limit) };
            let runs = place.runs(wanted).await?;
            printer.show(&runs, || summary(&runs))?;
        }
        RunCommand::Show { run } => {
            let run = place.run(&run).await?;
            printer.show(&run, || show(&run))?;
        }
        RunCommand::Retry { run, option, wait, progress } => {
            let options = RunOptions {
                wait: Duration::from_secs(wait),
                options: options::with_single(Options::new(), &option).or_fail()?,
                observer: progress::observer(progress),
                ..RunOptions::default()
            };
            interrupt::stops(&options.stop, printer);
            let TreeRuns { runs: tree, is_cut_short } = place.retry_run(&run, &options).await?;
            // Clears the moving line before the summary is printed.
            drop(options);
            printer.show(&tree.runs, || summary(&tree.runs))?;
            let code = super::node_run::finish(&tree.runs, printer);
            replay::prune_due(place).await;
            return Ok(if is_cut_short { interrupt::cut_short() } else { code });
        }
        RunCommand::Leases => leases(place, printer).await?,
        RunCommand::Replay(arguments) => return replay::run(arguments, place, printer).await,
        RunCommand::Export { run, output } => replay::export(&run, &output, place, printer).await?,
        RunCommand::Prune(arguments) => replay::prune(&arguments, place, printer).await?,
        RunCommand::Logs { run, level, follow: true, .. } => {
            let dropped = place.follow_log(&run, |line| log(line, level, printer)).await?;
            warn_of_dropped(dropped);
        }
        RunCommand::Logs { run, level, tail, .. } => {
            logs(&place.run(&run).await?, level, tail, printer)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Who holds which node.
async fn leases(place: &Place, printer: Printer) -> anyhow::Result<()> {
    let held = place.held_nodes().await?;
    printer.show(&held, || {
        let rows = held.iter().map(|held| {
            vec![
                held.table.clone(),
                held.update_hash.clone(),
                held.holder.clone(),
                held.run_id.clone(),
                held.expires_at.to_string(),
            ]
        });
        let headings = ["table", "update hash", "holder", "run", "holds until"].map(Heading::Text);
        print::table(&headings, rows.collect(), "no run holds a node now");
    })
}

/// One line per run.
pub(crate) fn summary(runs: &[RunRecord]) {
    let rows = runs.iter().map(|run| {
        let total = run.durations.load_us + run.durations.update_us + run.durations.commit_us;
        vec![
            run.table.clone(),
            run.status.to_string(),
            count(run.rows_inserted),
            count(run.rows_dropped),
            count(run.inputs.iter().map(|input| input.rows).sum()),
            run.window.end.short(),
            duration(total),
            run.run_id.clone(),
        ]
    });
    let headings = [
        Heading::Text("table"),
        Heading::Text("status"),
        Heading::Number("inserted"),
        Heading::Number("dropped"),
        Heading::Number("read"),
        Heading::Text("until"),
        Heading::Number("time"),
        Heading::Text("run"),
    ];
    print::table(&headings, rows.collect(), "no runs yet; start one: datanode node run TABLE");
    for run in runs {
        for warning in &run.warnings {
            print::warning(&format!("{}: {warning}", run.table));
        }
    }
}

fn show(run: &RunRecord) {
    let start = run.window.start.map_or("the beginning".to_owned(), datanode_core::Timestamp::short);
    let digest = |digest: &Option<datanode_core::digest::Digest>| {
        digest.map_or("-".to_owned(), |digest| digest.to_string())
    };
    let lookback = |run: &RunRecord| {
        let late_rows = run.late_rows.map(|late_rows| format!(", late rows {}", late_rows.as_str()));
        let late_rows = late_rows.unwrap_or_default();
        run.lookback.map_or("-".to_owned(), |lookback| format!("{lookback}{late_rows}"))
    };
    let mut facts = vec![
        ("run", run.run_id.clone()),
        ("status", run.status.to_string()),
        ("table", format!("{} ({})", run.table, run.table_uid)),
        ("update hash", run.update_hash.clone()),
        (
            "component",
            format!(
                "{} {} ({}, sha256 {})",
                run.component, run.component_version, run.component_class, run.component_digest
            ),
        ),
        ("config", run.config.to_string()),
        (
            "hash namespace",
            if run.hash_namespace.is_empty() { "-".to_owned() } else { run.hash_namespace.clone() },
        ),
        ("options", if run.options.is_empty() { "-".to_owned() } else { json!(run.options).to_string() }),
        ("window", format!("{start} to {}", run.window.end.short())),
        ("lookback", lookback(run)),
        ("retry of", run.retry_of.clone().unwrap_or("-".to_owned())),
        ("started", run.started_at.to_string()),
        (
            "took",
            format!(
                "{} loading, {} updating, {} committing",
                duration(run.durations.load_us),
                duration(run.durations.update_us),
                duration(run.durations.commit_us)
            ),
        ),
        (
            "had before",
            format!(
                "{} rows of {} coordinates",
                count(run.statistics.rows),
                count(run.statistics.coordinates)
            ),
        ),
        (
            "emitted",
            format!(
                "{} rows, {} bytes, sha256 {}",
                count(run.rows_emitted),
                count(run.bytes_emitted),
                digest(&run.output_digest)
            ),
        ),
        ("dropped", format!("{} rows", count(run.rows_dropped))),
        ("inserted", inserted(run)),
        ("coordinates", format!("{} in the output", count(run.coverage.coordinates))),
        ("gaps", gaps(&run.coverage)),
        ("guest", format!("{} fuel, {} bytes of memory at most", count(run.fuel), count(run.peak_memory))),
        (
            "host",
            run.host.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", "),
        ),
    ];
    if let Some(producer) = &run.producer {
        // No component was called, and so nothing is known of one.
        facts.retain(|(name, _)| !matches!(*name, "guest" | "options" | "lookback" | "hash namespace"));
        let project = producer.project_uid.as_deref().unwrap_or("-");
        for fact in &mut facts {
            if fact.0 == "component" {
                fact.1 = format!("{} (a program elsewhere that sends its rows)", run.component);
            }
        }
        facts.insert(
            5,
            (
                "sent by",
                format!("{}, project {project}, {} uploads", producer.sent_by, count(producer.uploads)),
            ),
        );
    }
    if let Some(place) = &run.backfill {
        facts.insert(1, ("backfill", format!("{}, window {}", place.backfill_id, place.window)));
    }
    if let Some(error) = &run.error {
        facts.push(("error", format!("[{}] {}", error.code, error.message)));
        if let Some(step) = &error.next_step {
            facts.push(("next", step.clone()));
        }
        let stack = error.guest.iter().flat_map(|guest| &guest.stack).map(ToString::to_string);
        let stack: Vec<String> = stack.collect();
        if !stack.is_empty() {
            facts.push(("stack", stack.join("\n")));
        }
    }
    print::facts(&facts);
    if !run.inputs.is_empty() {
        say!("\nread");
        let rows = run.inputs.iter().map(|input| {
            let time = |time: Option<datanode_core::Timestamp>| {
                time.map_or("-".to_owned(), datanode_core::Timestamp::short)
            };
            vec![
                format!("  {}", input.key),
                input.table.clone(),
                count(input.rows),
                time(input.min_time),
                time(input.max_time),
                input.digest.short(),
            ]
        });
        let headings = [
            Heading::Text("  key"),
            Heading::Text("table"),
            Heading::Number("rows"),
            Heading::Text("first"),
            Heading::Text("last"),
            Heading::Text("sha256"),
        ];
        print::table(&headings, rows.collect(), "");
    }
    if !run.fetches.is_empty() {
        say!("\nfetched");
        let rows = run.fetches.iter().map(|fetch| {
            vec![
                format!("  {}", fetch.source),
                format!("{} {}", fetch.method, fetch.path),
                fetch.status.to_string(),
                count(fetch.bytes),
                fetch.digest.short(),
            ]
        });
        let headings = [
            Heading::Text("  source"),
            Heading::Text("request"),
            Heading::Number("status"),
            Heading::Number("bytes"),
            Heading::Text("sha256"),
        ];
        print::table(&headings, rows.collect(), "");
    }
    if !run.logs.is_empty() {
        say!("\nlog");
        for line in &run.logs {
            say!("  {}", log_line(line));
        }
        if run.logs_dropped > 0 {
            say!("  … and {} lines beyond the bound", count(run.logs_dropped));
        }
    }
    for warning in &run.warnings {
        print::warning(warning);
    }
}

/// What became of the rows that the run kept.
fn inserted(run: &RunRecord) -> String {
    let inserted = format!("{} rows", count(run.rows_inserted));
    if run.rows_updated + run.rows_unchanged == 0 {
        return inserted;
    }
    format!("{inserted}; {} updated, {} unchanged", count(run.rows_updated), count(run.rows_unchanged))
}

/// Coordinates of which no new row came.
pub(crate) fn gaps(coverage: &Coverage) -> String {
    let named = coverage.gap_examples.len() as u64;
    let more = if coverage.gaps > named { ", …" } else { "" };
    match coverage.gaps {
        0 => "none".to_owned(),
        gaps => format!(
            "{} coordinates with progress got no new row: {}{more}",
            count(gaps),
            coverage.gap_examples.join(", ")
        ),
    }
}

fn log_line(line: &LogLine) -> String {
    let fields: Vec<String> = line.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let text =
        format!("{:<5} {}  {}", line.level, print::visible(&line.message), print::visible(&fields.join(" ")));
    text.trim_end().to_owned()
}

/// A level that this host does not know is shown rather than hidden.
fn rank(line: &LogLine) -> LogLevel {
    LogLevel::from_str(&line.level, true).unwrap_or(LogLevel::Error)
}

/// One line, where it is of this level or above.
fn log(line: &LogLine, level: LogLevel, printer: Printer) -> anyhow::Result<()> {
    if rank(line) >= level {
        say!("{}", if printer.json { serde_json::to_string(line)? } else { log_line(line) });
    }
    Ok(())
}

fn warn_of_dropped(lines: u64) {
    if lines > 0 {
        print::warning(&format!("{} more lines were beyond the bound and are not kept", count(lines)));
    }
}

fn logs(run: &RunRecord, level: LogLevel, tail: Option<usize>, printer: Printer) -> anyhow::Result<()> {
    let kept: Vec<&LogLine> = run.logs.iter().filter(|line| rank(line) >= level).collect();
    let shown = &kept[kept.len().saturating_sub(tail.unwrap_or(usize::MAX))..];
    for line in shown {
        log(line, level, printer)?;
    }
    warn_of_dropped(run.logs_dropped);
    if kept.is_empty() && !printer.json {
        say!("run {} logged nothing of this level", run.run_id);
    }
    Ok(())
}
