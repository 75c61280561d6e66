//! Standard output and standard error as lines of the log.

use crate::calls::{HostCall, LogLevel};
use crate::linker::State;

/// The longest line, in bytes; a longer one becomes several.
const MAX_LINE: usize = 4 << 10;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

impl Stream {
    /// The number by which a handle says it.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Out => 0,
            Self::Err => 1,
        }
    }

    pub(super) fn of_number(number: u32) -> Self {
        if number == Self::Out.number() { Self::Out } else { Self::Err }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }

    fn level(self) -> LogLevel {
        match self {
            Self::Out => LogLevel::Info,
            Self::Err => LogLevel::Warn,
        }
    }
}

/// What was written since the last end of a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that end with these bytes; never more kept than one line may have.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut ended = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE) {
                if self.begun.len() + part.len() > MAX_LINE {
                    ended.extend(self.take());
                }
                self.begun.extend_from_slice(part);
            }
            if piece.ends_with(b"\n") {
                ended.extend(self.take());
            }
        }
        ended
    }

    /// What is left when nothing more comes. Nothing where it is empty.
    fn take(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.begun);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl State {
    pub(super) fn write_output(&mut self, stream: Stream, bytes: &[u8]) -> wasmtime::Result<()> {
        let lines = self.lines(stream).push(bytes);
        lines.iter().try_for_each(|line| self.log_output(stream, line))
    }

    /// Lines that were begun when the guest ended.
    pub(crate) fn end_output(&mut self) -> wasmtime::Result<()> {
        for stream in [Stream::Out, Stream::Err] {
            if let Some(line) = self.lines(stream).take() {
                self.log_output(stream, &line)?;
            }
        }
        Ok(())
    }

    fn lines(&mut self, stream: Stream) -> &mut Lines {
        match stream {
            Stream::Out => &mut self.stubs.out,
            Stream::Err => &mut self.stubs.err,
        }
    }

    /// Through the same door as `log.write`: counted, bounded, journalled.
    fn log_output(&mut self, stream: Stream, message: &str) -> wasmtime::Result<()> {
        let fields = [("stream".to_owned(), stream.name().to_owned())];
        self.tell(HostCall::Log { level: stream.level(), message, fields: &fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end_and_are_never_longer_than_allowed() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\ntw"), ["one"]);
        assert_eq!(lines.push(b"o\r\n\n\nthree\n"), ["two", "three"]);
        assert_eq!(lines.take(), None);
        assert_eq!(lines.push(b"rest"), [""; 0]);
        assert_eq!(lines.take().as_deref(), Some("rest"));
        assert_eq!(lines.push(&[0xff, b'\n']), ["\u{fffd}"]);

        let mut lines = Lines::default();
        let mut kept = 0;
        for _ in 0..100 {
            kept += lines.push(&[b'x'; 1_000]).iter().map(String::len).sum::<usize>();
            assert!(lines.begun.len() <= MAX_LINE);
        }
        kept += lines.push(&vec![b'y'; 100_000]).iter().map(String::len).sum::<usize>();
        assert_eq!(kept + lines.take().unwrap().len(), 200_000);
    }
}
