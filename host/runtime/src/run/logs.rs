//! Log lines of a guest, bounded.

use datanode_core::run::LogLine;
use datanode_sandbox::LogLevel;

/// Lines kept of one run.
const MAX_LINES: usize = 1_000;
/// Bytes kept of one run.
const MAX_BYTES: usize = 1 << 20;
/// Characters kept of one text.
const MAX_TEXT: usize = 8_192;

/// Keeps the first lines up to the bounds and counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    pub(crate) lines: Vec<LogLine>,
    pub(crate) dropped: u64,
    bytes: usize,
}

impl Logs {
    pub(crate) fn write(&mut self, level: LogLevel, message: &str, fields: &[(String, String)]) {
        let size = message.len() + fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        // An error line is what explains a trap: it may take the place of the last line kept.
        let full = self.lines.len() >= MAX_LINES || self.bytes + size.min(MAX_TEXT) > MAX_BYTES;
        if full {
            self.dropped += 1;
            if level != LogLevel::Error {
                return;
            }
            self.lines.pop();
        }
        self.bytes += size.min(MAX_TEXT);
        let cut = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
        self.lines.push(LogLine {
            level: level.as_str().to_owned(),
            message: cut(message),
            fields: fields.iter().take(64).map(|(name, value)| (cut(name), cut(value))).collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_the_last_error_survives() {
        let mut logs = Logs::default();
        for _ in 0..5_000 {
            logs.write(LogLevel::Info, "again and again", &[]);
        }
        logs.write(LogLevel::Error, "panicked", &[]);
        assert_eq!((logs.lines.len(), logs.dropped), (MAX_LINES, 4_001));
        assert_eq!(logs.lines.last().unwrap().message, "panicked");
    }
}
