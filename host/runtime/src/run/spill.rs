//! Output on its way to the commit: in memory up to a cap, beyond it in a file without a name.
//!
//! The file is unlinked before its first byte, so it is gone with the process, however that ends. It is written and read
//! once, from its beginning to its end, and never synced: a run whose machine stops has not committed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;

use arrow_array::{Array, RecordBatch};
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::{Digest, Digester};
use datanode_core::frame::{Decoded, FrameDecoder, FrameEncoder};
use datanode_store::{Rows, RowsError};
use thiserror::Error;

/// What a batch takes beside its buffers, for itself and for each column: a batch of one row is mostly that.
const OVERHEAD: usize = 256;

/// Where output that is not committed yet may lie.
#[derive(Debug, Clone)]
pub struct SpillSettings {
    /// Directory of the file; made when it is needed.
    pub directory: PathBuf,
    /// Bytes of output that a run keeps in memory.
    pub after_bytes: u64,
}

impl Default for SpillSettings {
    /// 64 MiB in memory; the rest in the system's directory for temporary files.
    fn default() -> Self {
        Self { directory: std::env::temp_dir(), after_bytes: 64 << 20 }
    }
}

/// The file failed.
#[derive(Debug, Error)]
#[error("the output of a run cannot be {doing} {}: {problem}", .directory.display())]
struct SpillError {
    /// `kept in`, `read back from`.
    doing: &'static str,
    directory: PathBuf,
    problem: String,
}

impl Diagnostic for SpillError {
    fn code(&self) -> &'static str {
        "run.spill"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }

    fn next_step(&self) -> Option<String> {
        Some("see that the disk is sound and has room for the run's output, then run it again".to_owned())
    }
}

/// The batches of one run, in the order of their coming.
#[derive(Debug)]
pub(crate) struct Spill {
    settings: SpillSettings,
    held: Vec<RecordBatch>,
    held_bytes: u64,
    file: Option<SpillFile>,
}

#[derive(Debug)]
struct SpillFile {
    writer: BufWriter<File>,
    encoder: FrameEncoder,
    digest: Digester,
    messages: u64,
    bytes: u64,
}

impl Spill {
    pub(crate) fn new(settings: SpillSettings) -> Self {
        Self { settings, held: Vec::new(), held_bytes: 0, file: None }
    }

    /// Keep a batch.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), RowsError> {
        let bytes = self.held_bytes + bytes_held_by(&batch);
        if self.file.is_none() && bytes <= self.settings.after_bytes {
            self.held_bytes = bytes;
            self.held.push(batch);
            return Ok(());
        }
        self.write(&batch).map_err(|problem| error("kept in", &self.settings, problem))
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let encoder = FrameEncoder::new(&batch.schema()).map_err(text)?;
                let schema = encoder.schema().to_vec();
                let file = nameless(&self.settings).map_err(text)?;
                let file = SpillFile {
                    writer: BufWriter::new(file),
                    encoder,
                    digest: Digester::default(),
                    messages: 0,
                    bytes: 0,
                };
                let file = none.insert(file);
                file.message(&schema).map_err(text)?;
                file
            }
        };
        let message = file.encoder.encode(batch).map_err(text)?;
        file.message(&message).map_err(text)
    }

    /// The batches, for the commit. What was in memory is given up as it goes.
    pub(crate) fn into_rows(self) -> Result<Rows, RowsError> {
        let held = self.held.into_iter().map(Ok);
        let Some(file) = self.file else { return Ok(Box::new(held)) };
        let table = "the output of this run";
        let back = (|| {
            let mut reader = file.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            reader.rewind()?;
            Ok(ReadBack {
                reader: BufReader::new(reader),
                decoder: FrameDecoder::new(table),
                messages_left: file.messages,
                bytes_left: file.bytes,
                written: file.digest.finish(),
                read: Digester::default(),
            })
        })();
        let settings = self.settings;
        let back = back.map_err(|problem: io::Error| error("kept in", &settings, problem.to_string()))?;
        let spilled =
            back.map(move |batch| batch.map_err(|problem| error("read back from", &settings, problem)));
        Ok(Box::new(held.chain(spilled)))
    }
}

impl SpillFile {
    fn message(&mut self, message: &[u8]) -> io::Result<()> {
        self.messages += 1;
        self.bytes += message.len() as u64;
        self.digest.update(message);
        self.writer.write_all(&(message.len() as u64).to_le_bytes())?;
        self.writer.write_all(message)
    }
}

/// The batches of the file; nothing of it is trusted.
struct ReadBack {
    reader: BufReader<File>,
    decoder: FrameDecoder,
    messages_left: u64,
    bytes_left: u64,
    written: Digest,
    read: Digester,
}

impl ReadBack {
    fn message(&mut self) -> Result<Decoded, String> {
        let mut length = [0; 8];
        self.reader.read_exact(&mut length).map_err(text)?;
        let length = u64::from_le_bytes(length);
        let left = self.bytes_left.checked_sub(length).ok_or("it is damaged")?;
        let mut message = vec![0; usize::try_from(length).map_err(text)?];
        self.reader.read_exact(&mut message).map_err(text)?;
        self.read.update(&message);
        self.bytes_left = left;
        self.messages_left -= 1;
        // The last batch is only given out when all are those that were written.
        if self.messages_left == 0 && self.read.clone().finish() != self.written {
            return Err("it is damaged".to_owned());
        }
        self.decoder.decode(&message).map_err(text)
    }
}

impl Iterator for ReadBack {
    type Item = Result<RecordBatch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.messages_left > 0 {
            match self.message() {
                Ok(Decoded::Schema(_)) => {}
                Ok(Decoded::Batch(batch)) => return Some(Ok(batch)),
                Err(problem) => {
                    self.messages_left = 0;
                    return Some(Err(problem));
                }
            }
        }
        None
    }
}

/// A file that only this process can reach.
fn nameless(settings: &SpillSettings) -> io::Result<File> {
    let mut directory = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
    directory.recursive(true).create(&settings.directory)?;
    tempfile::tempfile_in(&settings.directory)
}

/// The allocations that a batch keeps alive, each once: a decoded batch is slices of the one message that it came in,
/// which its own account would count for each column.
fn bytes_held_by(batch: &RecordBatch) -> u64 {
    let mut seen = HashSet::new();
    let mut bytes = OVERHEAD * (1 + batch.num_columns());
    for column in batch.columns() {
        let data = column.to_data();
        for buffer in data.buffers().iter().chain(data.nulls().iter().map(|nulls| nulls.buffer())) {
            if seen.insert(buffer.data_ptr()) {
                bytes += buffer.capacity();
            }
        }
    }
    bytes as u64
}

fn error(doing: &'static str, settings: &SpillSettings, problem: String) -> RowsError {
    Box::new(SpillError { doing, directory: settings.directory.clone(), problem })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::SeekFrom;
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    /// 1,000 rows: 8 KB of numbers, and texts.
    fn batch(number: u32) -> RecordBatch {
        let values: Float64Array =
            (0..1_000).map(|row| (row % 7 > 0).then(|| f64::from(row * number))).collect();
        let texts: StringArray = (0..1_000).map(|row| Some(format!("{number}/{row}"))).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![("value", Arc::new(values)), ("text", Arc::new(texts))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn spill(directory: &tempfile::TempDir, after_bytes: u64, batches: u32) -> Spill {
        let directory = directory.path().join("spill");
        let mut spill = Spill::new(SpillSettings { directory, after_bytes });
        for number in 0..batches {
            spill.push(batch(number)).unwrap();
        }
        spill
    }

    #[test]
    fn batches_come_back_in_order_wherever_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (bytes_held_by(&batch(0)), bytes_held_by(&batch(0)) + bytes_held_by(&batch(1)));
        for (after_bytes, held) in [(u64::MAX, 10), (two, 2), (two - 1, 1), (one - 1, 0), (0, 0)] {
            let spill = spill(&directory, after_bytes, 10);
            assert_eq!(spill.held.len(), held, "beyond {after_bytes} bytes");
            assert!(spill.held_bytes <= after_bytes);
            let back: Vec<RecordBatch> = spill.into_rows().unwrap().map(Result::unwrap).collect();
            assert_eq!(back.len(), 10);
            for (number, found) in (0..).zip(&back) {
                assert_eq!(found.columns(), batch(number).columns());
            }
        }
    }

    #[test]
    fn the_file_has_no_name_and_no_place_but_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let kept = spill(&directory, u64::MAX, 3);
        assert!(!directory.path().join("spill").exists(), "nothing is made before it is needed");
        drop(kept);
        let spilled = spill(&directory, 0, 3);
        assert!(spilled.file.is_some());
        assert_eq!(std::fs::read_dir(directory.path().join("spill")).unwrap().count(), 0);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(directory.path().join("spill")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn a_slice_counts_as_what_it_keeps_alive() {
        let whole = batch(1);
        let bytes = bytes_held_by(&whole);
        assert!((8_000..60_000).contains(&bytes), "{bytes}");
        // But for the bits of its nulls, of which the one row has none.
        assert!(bytes_held_by(&whole.slice(500, 1)) >= bytes - 256);
    }

    /// Any byte of the file, its lengths included.
    #[test]
    fn a_damaged_file_ends_in_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let length = {
            let mut whole = spill(&directory, 0, 3);
            let file = whole.file.as_mut().unwrap();
            file.writer.flush().unwrap();
            file.writer.get_ref().metadata().unwrap().len()
        };
        for place in (0..length).step_by(997).chain([0, 7, length - 1]) {
            let mut damaged = spill(&directory, 0, 3);
            let file = damaged.file.as_mut().unwrap();
            file.writer.flush().unwrap();
            let mut byte = [0];
            let raw = file.writer.get_mut();
            raw.seek(SeekFrom::Start(place)).unwrap();
            raw.read_exact(&mut byte).unwrap();
            raw.seek(SeekFrom::Start(place)).unwrap();
            raw.write_all(&[byte[0] ^ 0x41]).unwrap();
            let last = damaged.into_rows().unwrap().last().unwrap();
            let error = last.expect_err(&format!("byte {place} of {length}"));
            assert_eq!((error.code(), error.class()), ("run.spill", ErrorClass::Infrastructure));
        }
        let mut cut = spill(&directory, 0, 3);
        let file = cut.file.as_mut().unwrap();
        file.writer.flush().unwrap();
        file.writer.get_ref().set_len(length - 100).unwrap();
        assert!(cut.into_rows().unwrap().last().unwrap().is_err());
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mut spill = Spill::new(SpillSettings { directory: file, after_bytes: 0 });
        let error = spill.push(batch(1)).unwrap_err();
        assert_eq!(error.code(), "run.spill");
        assert!(error.to_string().contains("kept in") && error.to_string().contains("file"), "{error}");
    }
}
