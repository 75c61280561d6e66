//! Progress of runs on standard error: a line that moves for people, JSON Lines for scripts, nothing otherwise.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::ValueEnum;
use datanode_runtime::{Observer, RunEvent};
use indicatif::{ProgressBar, ProgressStyle};

use crate::print::count;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A moving line when standard error is a terminal
    Auto,
    /// One JSON document per event on standard error
    Json,
    /// Nothing
    None,
}

/// The observer for a mode.
pub(crate) fn observer(mode: ProgressMode) -> std::sync::Arc<dyn Observer> {
    match mode {
        ProgressMode::Auto if std::io::stderr().is_terminal() => std::sync::Arc::new(Line::new()),
        ProgressMode::Json => std::sync::Arc::new(JsonLines),
        ProgressMode::Auto | ProgressMode::None => std::sync::Arc::new(datanode_runtime::Silent),
    }
}

struct JsonLines;

impl Observer for JsonLines {
    fn event(&self, event: &RunEvent) {
        if let Ok(line) = serde_json::to_string(event) {
            // One write per line; a reader that went away is no reason to stop a run.
            let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
        }
    }
}

struct Line(ProgressBar);

impl Line {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:.bold} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Observer for Line {
    fn event(&self, event: &RunEvent) {
        match event {
            RunEvent::Started { table, window, .. } => {
                self.0.set_prefix(table.clone());
                self.0.set_message(format!("until {}", window.end.short()));
            }
            RunEvent::Loading { component, .. } => self.0.set_message(format!("loading {component}")),
            RunEvent::Updating { .. } => self.0.set_message("updating"),
            RunEvent::RowsRead { rows, .. } => self.0.set_message(format!("{} rows read", count(*rows))),
            RunEvent::RowsEmitted { rows, .. } => {
                self.0.set_message(format!("{} rows emitted", count(*rows)));
            }
            RunEvent::Committing { rows, .. } => {
                self.0.set_message(format!("committing {} rows", count(*rows)));
            }
            RunEvent::RowsWritten { rows, .. } => {
                self.0.set_message(format!("{} rows written", count(*rows)));
            }
            RunEvent::Finished(_) => {}
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
