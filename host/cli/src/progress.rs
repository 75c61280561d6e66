//! Progress on standard error: lines that move for people, JSON Lines for scripts, nothing otherwise.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use datanode_core::run::RunStatus;
use datanode_runtime::{Observer, RunEvent};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::print::{count, visible};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Moving lines when standard error is a terminal
    Auto,
    /// One JSON document per event on standard error
    Json,
    /// Nothing
    None,
}

/// The observer for a mode.
pub(crate) fn observer(mode: ProgressMode) -> Arc<dyn Observer> {
    match mode {
        ProgressMode::Auto if std::io::stderr().is_terminal() => {
            Arc::new(Lines::new(ProgressDrawTarget::stderr()))
        }
        ProgressMode::Json => Arc::new(JsonLines),
        ProgressMode::Auto | ProgressMode::None => Arc::new(datanode_runtime::Silent),
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

/// A line while something of unknown length is done; it disappears when dropped. Nothing where standard error is no
/// terminal.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    pub(crate) fn start(message: &str) -> Self {
        // Hidden by indicatif itself when standard error is no terminal.
        let bar = ProgressBar::new_spinner().with_style(style(CHECKING));
        bar.set_message(visible(message));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Counts rows on standard error where that is a terminal; it disappears when dropped.
pub(crate) struct RowCounter(ProgressBar);

impl RowCounter {
    /// `most` is how many there can be; 0 when nobody knows.
    pub(crate) fn start(message: &str, most: u64) -> Self {
        let (bar, template) = match most {
            0 => (ProgressBar::new_spinner(), COUNTING_ROWS),
            most => (ProgressBar::new(most), WRITING_ROWS),
        };
        let bar = bar.with_style(style(template));
        bar.set_message(visible(message));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    pub(crate) fn set(&self, rows: u64) {
        self.0.set_position(rows);
    }
}

impl Drop for RowCounter {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How often a moving line moves.
const TICK: Duration = Duration::from_millis(100);
/// The commit knows how many rows it has: a bar, a rate and the time left. (`bold` is left out by `NO_COLOR`.)
const COMMITTING: &str =
    "{spinner} {prefix:.bold} committing {bar:16} {human_pos}/{human_len}  {rate}  {eta} left";
/// What goes before only knows how far it has come.
const WORKING: &str = "{spinner} {prefix:.bold} {msg}  {elapsed}";
const COUNTING: &str = "{spinner} {prefix:.bold} {msg}  {rate}  {elapsed}";
const DONE: &str = "{prefix:.bold} {msg}";
const CHECKING: &str = "{spinner} {msg}  {elapsed}";
const COUNTING_ROWS: &str = "{spinner} {msg}  {human_pos}  {rate}  {elapsed}";
const WRITING_ROWS: &str = "{spinner} {msg} {bar:16} {human_pos} of at most {human_len}  {rate}";

/// One line per node of a run tree; those that are done stay above the one that moves.
struct Lines {
    all: MultiProgress,
    now: Mutex<Option<ProgressBar>>,
}

impl Lines {
    fn new(target: ProgressDrawTarget) -> Self {
        Self { all: MultiProgress::with_draw_target(target), now: Mutex::default() }
    }

    fn with(&self, change: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = &*self.now.lock().unwrap_or_else(PoisonError::into_inner) {
            change(bar);
        }
    }

    /// A phase that counts from zero.
    fn phase(&self, template: &str, length: Option<u64>, message: String) {
        self.with(|bar| {
            bar.set_style(style(template));
            bar.set_position(0);
            // Rate and time left are those of this phase.
            bar.reset_eta();
            match length {
                Some(length) => bar.set_length(length),
                None => bar.unset_length(),
            }
            bar.set_message(message);
        });
    }

    fn rows(&self, rows: u64, what: &str) {
        self.with(|bar| {
            // Reads and emits take turns; the rate is that of the one which is ahead.
            bar.set_position(rows.max(bar.position()));
            bar.set_message(format!("{} rows {what}", count(rows)));
        });
    }
}

impl Observer for Lines {
    fn event(&self, event: &RunEvent) {
        match event {
            RunEvent::Started { table, window, .. } => {
                let bar = self.all.add(ProgressBar::new_spinner().with_style(style(WORKING)));
                bar.set_prefix(visible(table));
                bar.set_message(format!("until {}", window.end.short()));
                bar.enable_steady_tick(TICK);
                *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
            }
            RunEvent::Loading { component, .. } => {
                self.phase(WORKING, None, format!("loading {}", visible(component)));
            }
            RunEvent::Updating { .. } => self.phase(COUNTING, None, "updating".to_owned()),
            // They are in the record, and a moving line has no place for them.
            RunEvent::Logged { .. } => {}
            RunEvent::RowsRead { rows, .. } => self.rows(*rows, "read"),
            RunEvent::RowsEmitted { rows, .. } => self.rows(*rows, "emitted"),
            RunEvent::Committing { rows, .. } => self.phase(COMMITTING, Some(*rows), String::new()),
            RunEvent::RowsWritten { rows, .. } => self.with(|bar| bar.set_position(*rows)),
            RunEvent::Finished(record) => {
                // A run that could not start has no line, and must not write on that of the one before.
                let started = self.now.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(bar) = started {
                    bar.set_style(style(DONE));
                    bar.finish_with_message(match record.status {
                        RunStatus::Ok => format!("ok, {} rows", count(record.rows_inserted)),
                        other => other.to_string(),
                    });
                }
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // The summary on standard output says all of it again.
        let _ = self.all.clear();
    }
}

/// A template of this file.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a rate that is shown
        let _ = write!(out, "{} rows/s", count(state.per_sec() as u64));
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use datanode_core::Timestamp;
    use datanode_core::window::Window;
    use indicatif::{InMemoryTerm, TermLike};

    use super::*;

    /// What stands in the terminal once it says all of this: lines move at their own pace.
    fn shown(terminal: &InMemoryTerm, wanted: &[&str]) -> String {
        let give_up = Instant::now() + Duration::from_mins(1);
        loop {
            let contents = terminal.contents();
            if wanted.iter().all(|wanted| contents.contains(wanted)) {
                return contents;
            }
            assert!(Instant::now() < give_up, "{wanted:?} is not shown, but: {contents:?}");
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn a_run_shows_what_it_does_how_fast_and_how_long_still_and_leaves_nothing() {
        let terminal = InMemoryTerm::new(10, 120);
        assert_eq!(terminal.width(), 120);
        let lines = Lines::new(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let (run_id, end) = ("r".to_owned(), Timestamp::from_micros(0).unwrap());
        let (update_hash, table) = ("h".to_owned(), "rates\u{1b}[2J".to_owned());
        let window = Window { start: None, end };
        lines.event(&RunEvent::Started { run_id: run_id.clone(), update_hash, table, window });
        // What stands in the place of the escape has no width here. An escape would have cleared the screen, not been shown.
        shown(&terminal, &["rates[2J until 1970-01-01"]);
        lines.event(&RunEvent::Updating { run_id: run_id.clone() });
        lines.event(&RunEvent::RowsEmitted { run_id: run_id.clone(), rows: 250_000 });
        shown(&terminal, &["250,000 rows emitted", "rows/s"]);
        lines.event(&RunEvent::Committing { run_id: run_id.clone(), rows: 1_000_000 });
        lines.event(&RunEvent::RowsWritten { run_id, rows: 400_000 });
        let committing = shown(&terminal, &["committing", "400,000/1,000,000", "rows/s", "left"]);
        assert!(!committing.contains("emitted"), "{committing}");
        drop(lines);
        assert_eq!(terminal.contents(), "");
    }

    #[test]
    fn every_template_is_well_formed() {
        for template in [COMMITTING, WORKING, COUNTING, DONE, CHECKING, COUNTING_ROWS, WRITING_ROWS] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
