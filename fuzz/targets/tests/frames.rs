//! The corpus of frames is what a writer makes today: when the table of the targets changes, it is written anew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datanode_core::contract::Contract;
use datanode_core::frame::{Decoded, FrameDecoder, FrameEncoder};

/// Says that the corpus is to be written.
const WRITE: &str = "DATANODE_WRITE_CORPUS";

fn batch(contract: &Contract, rows: i64) -> RecordBatch {
    /// Two of three are there.
    fn some<T>(rows: i64, value: impl Fn(i64) -> T) -> impl Iterator<Item = Option<T>> {
        (0..rows).map(move |row| (row % 3 != 0).then(|| value(row)))
    }
    let times = || TimestampMicrosecondArray::from_iter_values((0..rows).map(|row| row * 86_400_000_000));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times().with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("id {row} é")))),
        Arc::new(some(rows, |_| 1.5).collect::<Float64Array>()),
        Arc::new(some(rows, |_| 0.25).collect::<Float32Array>()),
        Arc::new(some(rows, |row| row).collect::<Int64Array>()),
        Arc::new(some(rows, |row| row % 2 == 0).collect::<BooleanArray>()),
        Arc::new(some(rows, |_| 18_262).collect::<Date32Array>()),
        Arc::new(
            some(rows, |_| 12_345).collect::<Decimal128Array>().with_precision_and_scale(18, 4).unwrap(),
        ),
        Arc::new(some(rows, |_| r#"{"a":[1]}"#).collect::<StringArray>()),
        Arc::new(times().with_timezone("UTC")),
    ];
    RecordBatch::try_new(contract.arrow_schema(), columns).unwrap()
}

#[test]
fn the_corpus_of_frames_is_what_a_writer_makes() {
    let contract = Contract::from_toml(include_str!("../src/table.toml")).unwrap();
    for (name, batches) in
        [("schema", vec![]), ("one_row", vec![1]), ("empty", vec![0]), ("batches", vec![5, 9])]
    {
        let mut encoder = FrameEncoder::new(&contract.arrow_schema()).unwrap();
        let mut messages = vec![encoder.schema().to_vec()];
        messages.extend(batches.into_iter().map(|rows| encoder.encode(&batch(&contract, rows)).unwrap()));
        let mut decoder = FrameDecoder::new("fuzzed");
        for (number, message) in messages.iter().enumerate() {
            let is_schema = matches!(decoder.decode(message).unwrap(), Decoded::Schema(_));
            assert_eq!(is_schema, number == 0);
        }
        let length = |message: &Vec<u8>| u32::try_from(message.len()).unwrap().to_le_bytes();
        let bytes: Vec<u8> =
            messages.iter().flat_map(|message| [&length(message)[..], message].concat()).collect();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/frame").join(name);
        if std::env::var_os(WRITE).is_some() {
            fs::write(&file, &bytes).unwrap();
        }
        let kept = fs::read(&file).unwrap_or_default();
        assert!(kept == bytes, "write {} anew: {WRITE}=1 cargo test …", file.display());
    }
}
