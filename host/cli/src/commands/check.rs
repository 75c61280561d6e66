//! `datanode check`

use std::path::Path;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use datanode_core::ErrorClass;
use datanode_core::checklist::{Finding, Verdict};
use datanode_core::contract::Contract;
use datanode_runtime::{CheckRequest, CheckSubject, Checked, RunOptions};

use crate::args::CheckArguments;
use crate::place::Place;
use crate::print::{self, Printer};
use crate::{interrupt, progress, say, usage};

/// Ending of component files.
const COMPONENT: &str = "wasm";

pub(crate) async fn run(
    arguments: CheckArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    if arguments.determinism {
        return super::determinism::run(&arguments, place, printer).await;
    }
    let admits = super::component::admitted(arguments.allow_stubbed_wasi);
    let strict = arguments.strict;
    let options = RunOptions { observer: progress::observer(arguments.progress), ..RunOptions::default() };
    interrupt::stops(&options.stop, printer);
    let request = CheckRequest { until: arguments.until, subject: subject(arguments, place).await? };
    let checked = place.check(request, admits, &options).await?;
    // Clears the moving line before the findings are printed.
    drop(options);
    printer.show(&checked, || show(&checked))?;
    let failed = checked.verdict == Verdict::Fail || strict && checked.verdict == Verdict::Warn;
    Ok(if failed { crate::exit_code(ErrorClass::Failed) } else { ExitCode::SUCCESS })
}

async fn subject(arguments: CheckArguments, place: &Place) -> anyhow::Result<CheckSubject> {
    let CheckArguments { subject, table, config, .. } = arguments;
    let [subject] = <[String; 1]>::try_from(subject)
        .map_err(|_| usage("several are checked at once only with --determinism: name one"))?;
    let file = Path::new(&subject);
    let is_file = file.extension().is_some_and(|extension| extension == COMPONENT);
    if !is_file && table.is_none() && config.is_none() {
        match place.node(&subject).await {
            Ok(node) => return Ok(CheckSubject::Node(Box::new(node))),
            // Neither a node nor a component: the error of the node says more, for it knows the ways to name one.
            Err(error) if place.component(&subject, None).await.is_err() => return Err(error),
            Err(_) => {}
        }
    }
    let config = super::node::config(config.as_deref().unwrap_or("{}"))?;
    let contract = match table {
        Some(table) => Some(Box::new(contract(&table, place).await?)),
        None => None,
    };
    if !is_file {
        return Ok(CheckSubject::Component { name: subject, config, contract });
    }
    let bytes = std::fs::read(file).map_err(|error| usage(format!("{subject}: {error}")))?;
    Ok(CheckSubject::File { label: subject, bytes, config, contract })
}

/// A contract from a file, or of a registered table.
async fn contract(table: &str, place: &Place) -> anyhow::Result<Contract> {
    let file = Path::new(table);
    if file.extension().is_none() {
        return Ok(place.table(table).await?.contract);
    }
    super::contract_file::read(file, "the same command again")
}

fn show(checked: &Checked) {
    let table = checked.table.as_ref().map_or(String::new(), |table| format!(" → {table}"));
    say!("{} {}{table}\n", checked.component, checked.version);
    let width = checked.findings.iter().map(|finding| finding.point.as_str().len()).max().unwrap_or(0);
    let mut last = None;
    for (place, finding) in checked.findings.iter().enumerate() {
        let name = if last == Some(finding.point) { "" } else { finding.point.as_str() };
        last = Some(finding.point);
        let style = style(finding.verdict);
        let indent = format!("\n{}", " ".repeat(width + 8));
        let seen = print::visible_lines(&finding.seen).replace('\n', &indent);
        say!("{style}{}{style:#}  {name:<width$}  {seen}", finding.verdict);
        // Of several that are mended alike, the last one says how.
        let next = checked.findings.get(place + 1).filter(|next| next.point == finding.point);
        let alike = next.is_some_and(|next| next.mend == finding.mend);
        if let Some(mend) = finding.mend.as_ref().filter(|_| !alike) {
            say!("{}  mend: {}", " ".repeat(width + 4), print::visible(mend));
        }
    }
    let count =
        |verdict| checked.findings.iter().filter(|finding: &&Finding| finding.verdict == verdict).count();
    say!(
        "\n{} passed, {} warned, {} failed, {} skipped",
        count(Verdict::Pass),
        count(Verdict::Warn),
        count(Verdict::Fail),
        count(Verdict::Skip)
    );
}

fn style(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Pass => AnsiColor::Green,
        Verdict::Skip => AnsiColor::Cyan,
        Verdict::Warn => AnsiColor::Yellow,
        Verdict::Fail => AnsiColor::Red,
    };
    Style::new().fg_color(Some(colour.into())).bold()
}
