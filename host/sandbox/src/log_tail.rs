//! The last words of a guest: they travel with each of its errors, where the whole log may be far away or not kept.

use std::collections::VecDeque;

use datanode_core::run::LogLine;

use crate::calls::LogLevel;

/// Lines kept.
const MAX_LINES: usize = 10;
/// Bytes of all lines kept. One line has at most 1,024 + 8 × (64 + 256) of them, so that the last one always fits.
const MAX_BYTES: usize = 4 << 10;
/// Bytes of a message.
const MAX_MESSAGE: usize = 1 << 10;
/// Fields of a line.
const MAX_FIELDS: usize = 8;
/// Bytes of the name of a field.
const MAX_NAME: usize = 64;
/// Bytes of the value of a field.
const MAX_VALUE: usize = 256;

/// The last lines of a log, bounded.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl LogTail {
    pub(crate) fn push(&mut self, level: LogLevel, message: &str, fields: &[(String, String)]) {
        let line = LogLine {
            level: level.as_str().to_owned(),
            message: cut(message, MAX_MESSAGE),
            fields: fields
                .iter()
                .take(MAX_FIELDS)
                .map(|(name, value)| (cut(name, MAX_NAME), cut(value, MAX_VALUE)))
                .collect(),
        };
        self.bytes += size(&line);
        self.lines.push_back(line);
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            self.bytes -= self.lines.pop_front().as_ref().map_or(0, size);
        }
    }

    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.lines.iter().cloned().collect()
    }
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

fn size(line: &LogLine) -> usize {
    line.message.len() + line.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_stay_within_the_bounds() {
        let mut tail = LogTail::default();
        for number in 0..100 {
            tail.push(LogLevel::Info, &format!("line {number}"), &[]);
        }
        let messages: Vec<_> = tail.lines().into_iter().map(|line| line.message).collect();
        assert_eq!(messages.len(), MAX_LINES);
        assert_eq!((messages[0].as_str(), messages[9].as_str()), ("line 90", "line 99"));

        // Two bytes per character, so that a cut in the middle of one would panic.
        let field = |number: usize| (format!("{number}{}", "é".repeat(500)), "é".repeat(5_000));
        let fields: Vec<_> = (0..50).map(field).collect();
        for _ in 0..5 {
            tail.push(LogLevel::Error, &"é".repeat(100_000), &fields);
        }
        let kept: usize = tail.lines().iter().map(size).sum();
        assert!(!tail.lines().is_empty() && kept <= MAX_BYTES, "{kept} bytes");
    }
}
