//! Log lines of a guest, bounded.

use datanode_core::run::LogLine;
use datanode_sandbox::{Limits, LogLevel};

/// Characters kept of a message.
const MAX_MESSAGE: usize = 8_192;
/// Fields kept of a line.
const MAX_FIELDS: usize = 32;
/// Characters kept of the name or value of a field.
const MAX_FIELD: usize = 1_024;

/// Keeps the first lines up to the bounds, which are settings, and counts the rest.
#[derive(Debug)]
pub(crate) struct Logs {
    max_lines: u64,
    max_bytes: u64,
    pub(crate) lines: Vec<LogLine>,
    pub(crate) dropped: u64,
    bytes: u64,
}

impl Logs {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (max_lines, max_bytes) = (limits.log_lines, limits.log_bytes);
        Self { max_lines, max_bytes, lines: Vec::new(), dropped: 0, bytes: 0 }
    }

    /// Take a line; answers what is kept of it, unless the bounds were reached: of a flood nobody is told.
    pub(crate) fn write(
        &mut self,
        level: LogLevel,
        message: &str,
        fields: &[(String, String)],
    ) -> Option<&LogLine> {
        let full = self.lines.len() as u64 >= self.max_lines || self.bytes >= self.max_bytes;
        if full {
            self.dropped += 1;
            if level != LogLevel::Error {
                return None;
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
        if full { None } else { self.lines.last() }
    }
}

fn size(line: &LogLine) -> u64 {
    let fields: usize = line.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    (line.message.len() + fields) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_the_last_error_survives() {
        let mut logs = Logs::new(&Limits { log_lines: 70, ..Limits::default() });
        for _ in 0..500 {
            logs.write(LogLevel::Info, "again and again", &[]);
        }
        logs.write(LogLevel::Error, "panicked", &[]);
        assert_eq!((logs.lines.len(), logs.dropped), (70, 431));
        assert_eq!(logs.lines.last().unwrap().message, "panicked");
    }

    #[test]
    fn huge_lines_are_cut_and_counted_by_what_is_kept() {
        let max_bytes = 100_000;
        let mut logs = Logs::new(&Limits { log_bytes: max_bytes, ..Limits::default() });
        let field = ("x".repeat(100_000), "y".repeat(100_000));
        for _ in 0..200 {
            logs.write(LogLevel::Info, &"z".repeat(1_000_000), &vec![field.clone(); 100]);
        }
        let kept: u64 = logs.lines.iter().map(size).sum();
        assert!(kept < max_bytes + (MAX_MESSAGE + 2 * MAX_FIELDS * MAX_FIELD) as u64, "{kept} bytes");
        assert_eq!(logs.lines.len() as u64 + logs.dropped, 200);
    }
}
