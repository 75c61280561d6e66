//! How a backfill stands, while it goes on: a bar for people, JSON Lines for scripts.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Once};
use std::time::Duration;

use datanode_runtime::BackfillObserver;
use datanode_runtime::answers::BackfillDocument;
use datanode_store::Backfill;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;

use crate::print::{count, visible};
use crate::progress::ProgressMode;

const TICK: Duration = Duration::from_millis(100);
/// Windows, rows of those that are finished, how fast, and how long still.
const BAR: &str =
    "{spinner} {prefix:.bold} {bar:24} {human_pos}/{human_len} windows  {msg}  {rate}  {eta} left";

/// Shows how a backfill stands, whoever works on it.
pub(crate) trait Shows: Send + Sync {
    /// So it stands now.
    fn stands(&self, backfill: &BackfillDocument);
}

/// The same for work of this process.
pub(crate) struct Told(pub(crate) Arc<dyn Shows>);

impl BackfillObserver for Told {
    fn stands(&self, backfill: &Backfill) {
        self.0.stands(&BackfillDocument::from(backfill));
    }
}

/// What shows it in a mode.
pub(crate) fn observer(mode: ProgressMode) -> Arc<dyn Shows> {
    match mode {
        ProgressMode::Auto if std::io::stderr().is_terminal() => {
            Arc::new(Bar::new(ProgressDrawTarget::stderr()))
        }
        ProgressMode::Json => Arc::new(JsonLines),
        ProgressMode::Auto | ProgressMode::None => Arc::new(Nothing),
    }
}

struct Nothing;

impl Shows for Nothing {
    fn stands(&self, _: &BackfillDocument) {}
}

struct JsonLines;

impl Shows for JsonLines {
    fn stands(&self, backfill: &BackfillDocument) {
        let line = json!({"event": "backfill", "backfill": backfill});
        // One write per line; a reader that went away is no reason to stop.
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

/// One line that moves; it disappears when dropped, for the summary says all of it again.
struct Bar {
    bar: ProgressBar,
    begin: Once,
}

impl Bar {
    fn new(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target).with_style(style());
        Self { bar, begin: Once::new() }
    }
}

impl Shows for Bar {
    fn stands(&self, backfill: &BackfillDocument) {
        let windows = &backfill.windows;
        self.bar.set_prefix(visible(&backfill.table));
        self.bar.set_length(windows.total());
        let rows = backfill.rows.inserted + backfill.rows.updated;
        let failed = match windows.failed {
            0 => String::new(),
            failed => format!(", {} failed", count(failed)),
        };
        self.bar.set_message(format!("{} rows{failed}", count(rows)));
        self.bar.set_position(windows.finished());
        self.begin.call_once(|| {
            // What was finished before does not count as fast.
            self.bar.reset_eta();
            self.bar.enable_steady_tick(TICK);
        });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{:.1} windows/min", state.per_sec() * 60.0);
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use datanode_core::backfill::{BackfillMode, BackfillRequest, Control, WindowCounts};
    use datanode_store::BackfillRows;
    use indicatif::InMemoryTerm;

    use super::*;

    fn backfill(finished: u64) -> Backfill {
        let at = |day: &str| day.parse().unwrap();
        Backfill {
            uid: "b".to_owned(),
            node_uid: "n".to_owned(),
            update_hash: "h".to_owned(),
            table_uid: "t".to_owned(),
            table: "rates\u{1b}[2J".to_owned(),
            request: BackfillRequest {
                from: at("2020-01-01"),
                to: at("2020-12-31"),
                step: None,
                mode: BackfillMode::Overwrite,
                concurrency: 2,
                keep_going: true,
                options: BTreeMap::new(),
            },
            control: Control::Go,
            is_ordered: false,
            is_worked_on: true,
            windows: WindowCounts {
                pending: 39 - finished,
                done: finished,
                failed: 1,
                ..WindowCounts::default()
            },
            rows: BackfillRows { inserted: finished * 1_000, updated: 0, unchanged: 7 },
            finished_us: 1_000_000 * finished,
            created_at: at("2026-01-01"),
        }
    }

    #[test]
    fn a_bar_tells_windows_rows_rate_and_time_left_and_leaves_nothing() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
        let terminal = InMemoryTerm::new(10, 160);
        let bar = Bar::new(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        bar.stands(&BackfillDocument::from(&backfill(10)));
        std::thread::sleep(TICK);
        bar.stands(&BackfillDocument::from(&backfill(12)));
        let give_up = Instant::now() + Duration::from_mins(1);
        let wanted = ["rates", "12/40 windows", "12,000 rows, 1 failed", "windows/min", "left"];
        loop {
            let contents = terminal.contents();
            if wanted.iter().all(|wanted| contents.contains(wanted)) {
                break;
            }
            assert!(Instant::now() < give_up, "{wanted:?} is not shown, but: {contents:?}");
            std::thread::sleep(TICK);
        }
        drop(bar);
        assert_eq!(terminal.contents(), "");
    }
}
