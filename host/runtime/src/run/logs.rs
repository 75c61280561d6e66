//! Log lines of a guest, bounded.

use datanode_core::run::LogLine;
use datanode_sandbox::LogLevel;

/// Lines kept of one run.
const MAX_LINES: usize = 1_000;
/// Bytes kept of one run.
const MAX_BYTES: usize = 1 << 20;
/// Characters kept of a message.
const MAX_MESSAGE: usize = 8_192;
/// Fields kept of a line.
const MAX_FIELDS: usize = 32;
/// Characters kept of the name or value of a field.
const MAX_FIELD: usize = 1_024;

/// Keeps the first lines up to the bounds and counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    pub(crate) lines: Vec<LogLine>,
    pub(crate) dropped: u64,
    bytes: usize,
}

impl Logs {
    pub(crate) fn write(&mut self, level: LogLevel, message: &str, fields: &[(String, String)]) {
        let full = self.lines.len() >= MAX_LINES || self.bytes >= MAX_BYTES;
        if full {
            self.dropped += 1;
            if level != LogLevel::Error {
                return;
            }
            // An error line is what explains a trap: it takes the place of the last line kept.
            self.bytes -= self.lines.pop().as_ref().map_or(0, size);
        }
        let cut = |text: &str, chars: usize| text.chars().take(chars).collect::<String>();
        let line = LogLine {
            level: level.as_str().to_owned(),
            message: cut(message, MAX_MESSAGE),
            fields: fields
                .iter()
                .take(MAX_FIELDS)
                .map(|(name, value)| (cut(name, MAX_FIELD), cut(value, MAX_FIELD)))
                .collect(),
        };
        self.bytes += size(&line);
        self.lines.push(line);
    }
}

fn size(line: &LogLine) -> usize {
    line.message.len() + line.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
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

    #[test]
    fn huge_lines_are_cut_and_counted_by_what_is_kept() {
        let mut logs = Logs::default();
        let field = ("x".repeat(100_000), "y".repeat(100_000));
        for _ in 0..200 {
            logs.write(LogLevel::Info, &"z".repeat(1_000_000), &vec![field.clone(); 100]);
        }
        let kept: usize = logs.lines.iter().map(size).sum();
        assert!(kept < MAX_BYTES + MAX_MESSAGE + 2 * MAX_FIELDS * MAX_FIELD, "{kept} bytes");
        assert_eq!(logs.lines.len() as u64 + logs.dropped, 200);
    }
}
