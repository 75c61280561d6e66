//! What the server says while it works, line by line on standard error.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::Traces;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLevel(LevelFilter);

impl Default for LogLevel {
    fn default() -> Self {
        Self(LevelFilter::INFO)
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = ["off", "error", "warn", "info", "debug"].contains(&text);
        let level = known.then(|| text.parse::<LevelFilter>().ok()).flatten();
        level.map(Self).ok_or_else(|| format!("`{text}` is no level: off, error, warn, info, debug"))
    }
}

/// Begin to write lines. Of other crates only what is wrong is told: what they say besides is about statements and bytes.
/// Where traces are sent, they are told of spans, too; lines are the same with and without.
pub fn start(format: LogFormat, LogLevel(level): LogLevel, traces: Option<&Traces>) {
    let targets =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("datanode_server", level);
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_target(false).boxed(),
    };
    let mut layers = vec![layer.with_filter(targets).boxed()];
    layers.extend(traces.map(Traces::layer));
    // Twice in one process: the first one stays.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    if let Some(traces) = traces {
        tracing::info!(collector = traces.place(), "traces are sent");
    }
}
