//! `datanode run`

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use datanode_core::options::{self, Options};
use datanode_core::run::{Coverage, LogLine, RunRecord, RunStatus};
use datanode_runtime::{Host, RunOptions};
use datanode_store::{Lease, Node, RunFilter};
use serde_json::json;

use crate::args::{LogLevel, RunCommand};
use crate::commands::replay;
use crate::failure::OrFail;
use crate::print::{self, Heading, Printer, count, duration};
use crate::{progress, say};

pub(crate) async fn run(command: RunCommand, host: &Host, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        RunCommand::List { node, table, status, limit } => {
            let node_uid = match node {
                Some(node) => Some(host.store().node(&node).await.or_fail()?.uid),
                None => None,
            };
            let table_uid = match table {
                Some(table) => Some(host.store().table(&table).await.or_fail()?.uid),
                None => None,
            };
            let all =
                [RunStatus::Ok, RunStatus::Empty, RunStatus::Failed, RunStatus::Skipped, RunStatus::Blocked];
            let status = status.and_then(|name| all.into_iter().find(|status| status.as_str() == name));
            let filter = RunFilter { node_uid, table_uid, status, limit: (limit > 0).then_some(limit) };
            let runs = host.store().runs(&filter).await.or_fail()?;
            printer.show(&runs, || summary(&runs))?;
        }
        RunCommand::Show { run } => {
            let run = host.store().run(&run).await.or_fail()?;
            printer.show(&run, || show(&run))?;
        }
        RunCommand::Retry { run, option, wait, progress } => {
            let options = RunOptions {
                wait: Duration::from_secs(wait),
                options: options::with_single(Options::new(), &option).or_fail()?,
                observer: progress::observer(progress),
                ..RunOptions::default()
            };
            let tree = host.retry_run(&run, &options).await.or_fail()?;
            // Clears the moving line before the summary is printed.
            drop(options);
            printer.show(&tree.runs, || summary(&tree.runs))?;
            return Ok(super::node_run::finish(&tree.runs, printer));
        }
        RunCommand::Leases => leases(host, printer).await?,
        RunCommand::Replay(arguments) => return replay::run(arguments, host, printer).await,
        RunCommand::Export { run, output } => replay::export(&run, &output, host, printer).await?,
        RunCommand::Prune(arguments) => replay::prune(&arguments, host, printer).await?,
        RunCommand::Logs { run, level, tail } => {
            logs(&host.store().run(&run).await.or_fail()?, level, tail, printer)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Who holds which node.
async fn leases(host: &Host, printer: Printer) -> anyhow::Result<()> {
    let nodes = host.store().nodes().await.or_fail()?;
    let held: Vec<(Lease, &Node)> = host
        .store()
        .leases()
        .await
        .or_fail()?
        .into_iter()
        .filter_map(|lease| nodes.iter().find(|node| node.uid == lease.node_uid).map(|node| (lease, node)))
        .collect();
    let document = |(lease, node): &(Lease, &Node)| {
        json!({
            "node_uid": lease.node_uid, "update_hash": node.update_hash, "table": node.table, "epoch": lease.epoch,
            "holder": lease.holder, "run_id": lease.run_id, "expires_at": lease.expires_at,
        })
    };
    printer.show(&held.iter().map(document).collect::<Vec<_>>(), || {
        let rows = held.iter().map(|(lease, node)| {
            vec![
                node.table.clone(),
                node.update_hash.clone(),
                lease.holder.clone(),
                lease.run_id.clone(),
                lease.expires_at.to_string(),
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

fn logs(run: &RunRecord, level: LogLevel, tail: Option<usize>, printer: Printer) -> anyhow::Result<()> {
    // A level that this host does not know is shown rather than hidden.
    let rank = |line: &LogLine| LogLevel::from_str(&line.level, true).unwrap_or(LogLevel::Error);
    let kept: Vec<&LogLine> = run.logs.iter().filter(|line| rank(line) >= level).collect();
    let shown = &kept[kept.len().saturating_sub(tail.unwrap_or(usize::MAX))..];
    for line in shown {
        if printer.json {
            say!("{}", serde_json::to_string(line)?);
        } else {
            say!("{}", log_line(line));
        }
    }
    if run.logs_dropped > 0 {
        print::warning(&format!(
            "{} more lines were beyond the bound and are not kept",
            count(run.logs_dropped)
        ));
    }
    if kept.is_empty() && !printer.json {
        say!("run {} logged nothing of this level", run.run_id);
    }
    Ok(())
}
