//! `datanode node backfill`

use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};
use datanode_core::backfill::{BackfillMode, BackfillState, Control, MAX_CONCURRENCY, Step, WindowStatus};
use datanode_core::{ErrorClass, Timestamp};
use datanode_runtime::answers::{BackfillDetail, BackfillDocument};
use datanode_runtime::{BackfillOrder, BackfillWork, Stop};
use datanode_store::BackfillWindow;

use crate::backfill_progress::{self, Shows, Told};
use crate::failure::{self, OrFail};
use crate::place::Place;
use crate::print::{self, Heading, Printer, count};
use crate::progress::ProgressMode;
use crate::remote::Begun;
use crate::run_args::{HashNamespace, Journal};
use crate::{interrupt, progress, say};

/// Failed windows that are told of, one by one.
const FAILED_SHOWN: usize = 5;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    subcommand_value_name = "COMMAND",
    after_help = "The range is cut into windows of --step, each a run of its own. What has become of each is kept in the database,\n\
    so that a backfill that was paused or killed, or of which a window has failed, is resumed where it stands.\n\
    The node is run alone, on what its dependencies have stored: backfill these first. It is told that this is a backfill.\n\
    Runs of today go on beside it: it holds the node for its commits alone, and lets a run that wants the node go first.\n\
    Progress never moves back, and rows that the node does not bring again stay.\n\n\
    Examples:\n  datanode node backfill fx_log_returns --from 2010-01-01 --to 2019-12-31 --step 1y --append-only\n  \
    datanode node backfill fx_log_returns --from 2020-01-01 --to 2020-06-30 --step 30 --overwrite --concurrency 4\n  \
    datanode node backfill list\n  datanode node backfill resume 01a204a9-91c4"
)]
pub(crate) struct BackfillArguments {
    #[command(subcommand)]
    command: Option<BackfillCommand>,
    #[command(flatten)]
    begin: Option<BeginArguments>,
    // Not among those to begin with: arguments within arguments that may be missing are always missing to clap.
    #[command(flatten)]
    hash_namespace: HashNamespace,
}

// Of arguments that have others flattened into them clap does not know by itself whether they are given: the node says so.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("mode").required(true).args(["overwrite", "append_only"]))]
#[group(arg = "node")]
struct BeginArguments {
    /// Update hash (or the beginning of it), or the table that it alone writes
    node: String,
    /// First moment, inclusive: RFC 3339 or a date
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// Last moment, inclusive; not after the last complete period
    #[arg(long, value_name = "TIME")]
    to: Timestamp,
    /// How long each window is: a stretch of time such as 30d, 3mo or 1y, or a number of periods of the table's cadence
    /// [default: all of it is one window]
    #[arg(long, value_name = "DURATION|PERIODS")]
    step: Option<String>,
    /// Rows that are there take the values that are computed now, where these differ
    #[arg(long)]
    overwrite: bool,
    /// Rows that are there stay as they are; only those that are not are stored
    #[arg(long)]
    append_only: bool,
    /// Windows that are worked on at once; a node that reads its own table is run window by window in any case
    #[arg(long, value_name = "WINDOWS", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CONCURRENCY)))]
    concurrency: u16,
    /// Go on with the other windows when one has failed
    #[arg(long)]
    keep_going: bool,
    /// Runtime option of its runs; the value is JSON, or text when it is not
    #[arg(long = "option", value_name = "NAME=VALUE")]
    option: Vec<String>,
    /// What the journals of its runs keep [default: `journal` in datanode.toml, else full]
    #[arg(long, value_enum, value_name = "MODE")]
    journal: Option<Journal>,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    progress: ProgressMode,
}

#[derive(Debug, Subcommand)]
enum BackfillCommand {
    /// List backfills, newest first
    List {
        /// Of this node
        #[arg(long)]
        node: Option<String>,
    },
    /// Show one backfill: how it stands, and its windows
    #[command(after_help = "Examples:\n  datanode node backfill show 01a204a9-91c4\n  \
        datanode node backfill show 01a204a9-91c4 --status failed")]
    Show {
        /// Id, or the beginning of it
        backfill: String,
        /// Only windows in this state
        #[arg(long, value_parser = ["pending", "running", "done", "empty", "failed"])]
        status: Option<String>,
    },
    /// Begin no further window; those that are running are run to their end
    Pause {
        /// Id, or the beginning of it
        backfill: String,
    },
    /// Go on with a backfill that was paused or killed, or of which windows have failed: these are run again
    #[command(
        after_help = "A window whose process was killed is taken over when its claim has expired (`lease_seconds` in datanode.toml);\n\
        one that was ended by Ctrl-C has given its windows back.\n\
        While another process works on the backfill, this one helps it.\n\n\
        Example:\n  datanode node backfill resume 01a204a9-91c4 --concurrency 4"
    )]
    Resume {
        /// Id, or the beginning of it
        backfill: String,
        /// Windows that this process works on at once [default: as the backfill was begun]
        #[arg(long, value_name = "WINDOWS", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CONCURRENCY)))]
        concurrency: Option<u16>,
        /// Runtime option in the place of the one that the backfill was begun with, for what this process runs
        #[arg(long = "option", value_name = "NAME=VALUE")]
        option: Vec<String>,
        /// What the journals of its runs keep [default: `journal` in datanode.toml, else full]
        #[arg(long, value_enum, value_name = "MODE")]
        journal: Option<Journal>,
        /// How progress is shown
        #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
        progress: ProgressMode,
    },
    /// Begin no further window, for good; what was stored stays
    Cancel {
        /// Id, or the beginning of it
        backfill: String,
    },
}

pub(crate) async fn run(
    arguments: BackfillArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    match (arguments.command, arguments.begin) {
        (Some(BackfillCommand::List { node }), _) => {
            list(&place.backfills(node.as_deref()).await?, printer)?;
        }
        (Some(BackfillCommand::Show { backfill, status }), _) => {
            show(&backfill, status.as_deref(), place, printer).await?;
        }
        (Some(BackfillCommand::Pause { backfill }), _) => {
            control(&backfill, Control::Pause, place, printer).await?;
        }
        (Some(BackfillCommand::Cancel { backfill }), _) => {
            control(&backfill, Control::Cancel, place, printer).await?;
        }
        (Some(BackfillCommand::Resume { backfill, concurrency, option, journal, progress }), _) => {
            let work = work_of(concurrency, &option, journal, progress)?;
            let uid = place.resume_backfill(&backfill).await?;
            return self::work(&uid, None, work, place, printer).await;
        }
        (None, Some(begin)) => {
            let namespace = arguments.hash_namespace.resolve()?;
            return self::begin(begin, namespace, place, printer).await;
        }
        (None, None) => return Err(crate::usage("name a node, or a command: see --help".to_owned())),
    }
    Ok(ExitCode::SUCCESS)
}

async fn begin(
    arguments: BeginArguments,
    hash_namespace: String,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let order = BackfillOrder {
        from: arguments.from,
        to: arguments.to,
        step: arguments.step.as_deref().map(str::parse::<Step>).transpose().or_fail()?,
        mode: if arguments.overwrite { BackfillMode::Overwrite } else { BackfillMode::AppendOnly },
        concurrency: arguments.concurrency,
        keep_going: arguments.keep_going,
        options: super::node_run::runtime_options(None, &arguments.option)?,
        hash_namespace,
    };
    let work = work_of(None, &[], arguments.journal, arguments.progress)?;
    let begun = place.begin_backfill(&arguments.node, order, arguments.step.as_deref(), &work.0).await?;
    for warning in &begun.warnings {
        print::warning(warning);
    }
    let BackfillDocument { backfill_id: uid, windows, .. } = begun.backfill;
    if !printer.json {
        say!("backfill {uid}: {} windows", count(windows.total()));
    }
    self::work(&uid, begun.execution, work, place, printer).await
}

fn work_of(
    concurrency: Option<u16>,
    option: &[String],
    journal: Option<Journal>,
    mode: ProgressMode,
) -> anyhow::Result<(BackfillWork, Arc<dyn Shows>)> {
    let shows = backfill_progress::observer(mode);
    let work = BackfillWork {
        concurrency,
        options: super::node_run::runtime_options(None, option)?,
        journal: journal.map(Into::into),
        // Windows that are run side by side have no line each: one bar tells of all.
        observer: match mode {
            ProgressMode::Json => progress::observer(mode),
            ProgressMode::Auto | ProgressMode::None => progress::observer(ProgressMode::None),
        },
        progress: Arc::new(Told(Arc::clone(&shows))),
        stop: Stop::default(),
    };
    Ok((work, shows))
}

async fn work(
    uid: &str,
    begun: Option<Begun>,
    (work, shows): (BackfillWork, Arc<dyn Shows>),
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    interrupt::stops(&work.stop, printer);
    let backfill = place.work_on_backfill(uid, begun, &work, &*shows).await?;
    drop((work, shows));
    printer.show(&backfill, || summary(&backfill))?;
    super::replay::prune_due(place).await;
    match backfill.state {
        BackfillState::Failed => {}
        // By this command, or by whoever has ended the server.
        BackfillState::Interrupted => return Ok(interrupt::cut_short()),
        _ => return Ok(ExitCode::SUCCESS),
    }
    let windows = place.backfill(uid).await?.windows;
    let mut classes = Vec::new();
    for window in windows.iter().filter(|window| window.status == WindowStatus::Failed).take(FAILED_SHOWN) {
        let record = match &window.run_id {
            Some(run_id) => place.run(run_id).await.ok(),
            None => None,
        };
        let error = record.as_ref().and_then(|record| record.error.as_ref());
        let all = [ErrorClass::Infrastructure, ErrorClass::Refused, ErrorClass::Usage];
        let class = error.and_then(|error| all.into_iter().find(|class| class.as_str() == error.class));
        classes.push(class.unwrap_or(ErrorClass::Failed));
        if let (Some(told), false) = (&window.error, printer.json) {
            let (start, end) = (window.start.short(), window.end.short());
            let message = format!("window {}, {start} to {end}: {}", window.position, told.message);
            let guest = error.and_then(|error| error.guest.as_ref());
            let step = error.and_then(|error| error.next_step.as_deref());
            failure::print(&told.code, &message, step, guest);
        }
    }
    if !printer.json {
        eprintln!("then: datanode node backfill resume {uid}");
    }
    Ok(crate::exit_code(failure::worst(classes).unwrap_or(ErrorClass::Failed)))
}

async fn control(reference: &str, said: Control, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let backfill = place.control_backfill(reference, said).await?;
    printer.show(&backfill, || {
        let running = match backfill.windows.running {
            0 => String::new(),
            running => format!("; {running} windows are run to their end"),
        };
        print::done(&format!("{} backfill {}{running}", backfill.state, backfill.backfill_id));
        if said == Control::Pause {
            say!("next: datanode node backfill resume {}", backfill.backfill_id);
        }
    })
}

fn list(backfills: &[BackfillDocument], printer: Printer) -> anyhow::Result<()> {
    printer.show(&backfills, || {
        let rows = backfills.iter().map(|backfill| {
            vec![
                backfill.backfill_id.clone(),
                backfill.table.clone(),
                backfill.from.short(),
                backfill.to.short(),
                backfill.mode.to_string(),
                backfill.state.to_string(),
                format!("{} of {}", count(backfill.windows.finished()), count(backfill.windows.total())),
                count(backfill.windows.failed),
            ]
        });
        let headings = [
            Heading::Text("backfill"),
            Heading::Text("table"),
            Heading::Text("from"),
            Heading::Text("to"),
            Heading::Text("mode"),
            Heading::Text("state"),
            Heading::Number("finished"),
            Heading::Number("failed"),
        ];
        let empty =
            "no backfills yet; begin one: datanode node backfill NODE --from TIME --to TIME --append-only";
        print::table(&headings, rows.collect(), empty);
    })
}

async fn show(reference: &str, status: Option<&str>, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let mut detail = place.backfill(reference).await?;
    detail.windows.retain(|window| status.is_none_or(|status| status == window.status.as_str()));
    let BackfillDetail { backfill, windows } = &detail;
    printer.show(&detail, || {
        summary(backfill);
        say!("");
        table(windows, status);
    })
}

/// How a backfill stands, for people.
fn summary(backfill: &BackfillDocument) {
    let BackfillDocument { windows, rows, .. } = backfill;
    let state = backfill.state;
    let step = backfill.step.map_or("all at once".to_owned(), |step| format!("windows of {step}"));
    let mut counted = vec![format!("{} of {} finished", count(windows.finished()), count(windows.total()))];
    for (number, what) in [
        (windows.empty, "of them empty"),
        (windows.running, "running"),
        (windows.failed, "failed"),
        (windows.pending, "pending"),
    ] {
        if number > 0 {
            counted.push(format!("{} {what}", count(number)));
        }
    }
    let at_once = if backfill.is_ordered {
        "1, in their order: the node reads its own table".to_owned()
    } else {
        backfill.concurrency.to_string()
    };
    let mut facts = vec![
        ("backfill", backfill.backfill_id.clone()),
        ("node", backfill.update_hash.clone()),
        ("table", backfill.table.clone()),
        ("range", format!("{} to {}, {step}", backfill.from.short(), backfill.to.short())),
        ("mode", backfill.mode.to_string()),
        ("at once", at_once),
        ("state", state.to_string()),
        ("windows", counted.join(", ")),
        (
            "rows",
            format!(
                "{} inserted, {} updated, {} unchanged",
                count(rows.inserted),
                count(rows.updated),
                count(rows.unchanged)
            ),
        ),
    ];
    if let (BackfillState::Running, Some(left)) = (state, backfill.time_left_us) {
        facts.push(("left", format!("about {}", time(left))));
    }
    print::facts(&facts);
    let next = match state {
        BackfillState::Interrupted | BackfillState::Paused | BackfillState::Failed => "resume",
        _ => return,
    };
    say!("next: datanode node backfill {next} {}", backfill.backfill_id);
}

/// A stretch of time as people say it.
fn time(micros: u64) -> String {
    match micros.div_ceil(1_000_000) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

fn table(windows: &[BackfillWindow], status: Option<&str>) {
    let rows = windows.iter().map(|window| {
        vec![
            window.position.to_string(),
            window.start.short(),
            window.end.short(),
            window.status.as_str().to_owned(),
            count(window.attempts.into()),
            count(window.rows.inserted),
            count(window.rows.updated),
            window.error.as_ref().map_or("-".to_owned(), |error| error.code.clone()),
            window.run_id.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let headings = [
        Heading::Number("window"),
        Heading::Text("from"),
        Heading::Text("to"),
        Heading::Text("status"),
        Heading::Number("attempts"),
        Heading::Number("inserted"),
        Heading::Number("updated"),
        Heading::Text("error"),
        Heading::Text("last run"),
    ];
    let empty = format!("no window of it is {}", status.unwrap_or("there"));
    print::table(&headings, rows.collect(), &empty);
}
