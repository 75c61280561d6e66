//! What a node is answered, from memory: the same for the sandbox and for the native program.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, TimestampMicrosecondArray};
use bytes::Bytes;
use datanode_core::frame::FrameEncoder;

/// Numbers of `column_arithmetic`.
const VALUES: i64 = 10_000_000;
const PER_BATCH: i64 = 65_536;

/// All that a node is answered.
pub(crate) struct Inputs {
    pub(crate) config: String,
    /// The index of the table that it writes: statistics of an empty table name no more than this.
    pub(crate) index: Vec<String>,
    /// The messages of each frame, in the order in which frames are opened.
    pub(crate) frames: Vec<Vec<Bytes>>,
    /// Bodies, in the order of the requests.
    pub(crate) bodies: Vec<Bytes>,
}

impl Inputs {
    /// Of a node of the example, which reads what the one before it has emitted; or of the other.
    pub(crate) fn of(name: &str, emitted: &[Vec<u8>]) -> Self {
        let config = |text: &str| text.to_owned();
        let index = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let by_currency = index(&["time_index", "currency"]);
        match name {
            "ecb_daily_fx_rates" => {
                let file = datanode_tests::root().join("examples/fx/data/eurofxref-hist.zip");
                let bodies = vec![std::fs::read(file).unwrap().into()];
                Self { config: config("{}"), index: by_currency, frames: Vec::new(), bodies }
            }
            "column_arithmetic" => {
                let config = config(r#"{"table": "prices"}"#);
                Self { config, index: index(&["time_index"]), frames: vec![values()], bodies: Vec::new() }
            }
            _ => {
                let frames = vec![emitted.iter().map(|message| message.clone().into()).collect()];
                Self { config: config("{}"), index: by_currency, frames, bodies: Vec::new() }
            }
        }
    }

    /// As the native program reads it.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(path)?);
        bytes(&mut file, self.config.as_bytes())?;
        number(&mut file, self.frames.len())?;
        for frame in &self.frames {
            number(&mut file, frame.len())?;
            frame.iter().try_for_each(|message| bytes(&mut file, message))?;
        }
        number(&mut file, self.bodies.len())?;
        self.bodies.iter().try_for_each(|body| bytes(&mut file, body))?;
        file.flush()
    }
}

fn number(file: &mut impl Write, number: usize) -> io::Result<()> {
    file.write_all(&(number as u64).to_le_bytes())
}

fn bytes(file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    number(file, bytes.len())?;
    file.write_all(bytes)
}

/// A walk around a hundred, one number per second.
fn values() -> Vec<Bytes> {
    let batch = |first: i64| {
        let of = first..(first + PER_BATCH).min(VALUES);
        let times = TimestampMicrosecondArray::from_iter_values(of.clone().map(|row| row * 1_000_000));
        let values = Float64Array::from_iter_values(of.map(|row| 100.0 + (row as f64 * 0.001).sin()));
        let columns: [(&str, ArrayRef); 2] =
            [("time_index", Arc::new(times.with_timezone("UTC"))), ("value", Arc::new(values))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let mut encoder = FrameEncoder::new(&batch(0).schema()).unwrap();
    let mut messages = vec![Bytes::copy_from_slice(encoder.schema())];
    messages.extend(
        (0..VALUES)
            .step_by(usize::try_from(PER_BATCH).unwrap())
            .map(|first| encoder.encode(&batch(first)).unwrap().into()),
    );
    messages
}
