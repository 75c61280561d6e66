//! Files of every format, right and wrong.

use std::path::Path;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Date32Array, DictionaryArray, Int64Array, LargeStringArray, StringArray, StringViewArray,
    TimestampMillisecondArray, UInt8Array,
};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use super::*;

fn contract() -> Arc<Contract> {
    let text = r#"
        identifier = "t"
        kind = "reference"
        primary_key = ["id"]
        columns = [
            { name = "id", type = "int16" }, { name = "name", type = "string", nullable = true },
            { name = "day", type = "date", nullable = true }, { name = "seen", type = "timestamp_tz", nullable = true },
            { name = "key", type = "uuid", nullable = true },
        ]"#;
    Arc::new(Contract::from_toml(text).unwrap())
}

/// Three rows, in the types that other programs write.
fn batch(ids: ArrayRef, names: ArrayRef) -> RecordBatch {
    let seen = TimestampMillisecondArray::from(vec![Some(5), None, Some(7)]).with_timezone("UTC");
    let key = "018f0000-0000-7000-8000-000000000001";
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", names),
        ("key", Arc::new(StringArray::from(vec![Some(key), None, None]))),
        ("day", Arc::new(Date32Array::from(vec![None, Some(1), Some(2)]))),
        ("seen", Arc::new(seen)),
        ("id", ids),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn names() -> ArrayRef {
    Arc::new(LargeStringArray::from(vec![Some("a"), Some(""), None]))
}

fn parquet(path: &Path, batch: &RecordBatch, compression: Compression) {
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn rows(path: &Path, format: FileFormat) -> Result<Vec<PlacedBatch>, String> {
    let rows = open(&path.to_owned(), format, contract()).map_err(|error| error.to_string())?;
    rows.map(|rows| rows.map_err(|error| format!("[{}] {error}", error.code()))).collect()
}

/// The three rows as every format gives them.
fn check(path: &Path) {
    let batches = rows(path, FileFormat::of(path).unwrap()).unwrap();
    let lines = if path.extension().unwrap() == "csv" { vec![2, 4, 5] } else { vec![1, 2, 3] };
    assert_eq!(
        batches.iter().flat_map(|batch| batch.places.clone()).collect::<Vec<_>>(),
        lines,
        "{}",
        path.display()
    );
    let csv = TempDir::new().unwrap();
    let same = csv.path().join("same.csv");
    let text = "id,name,day,seen,key\n1,a,,1970-01-01T00:00:00.005Z,018F0000-0000-7000-8000-000000000001\n2,,1970-01-02,,\n3,,1970-01-03,1970-01-01T00:00:00.007Z,\n";
    std::fs::write(&same, text).unwrap();
    let wanted = rows(&same, FileFormat::Csv).unwrap();
    let (found, wanted) = (&batches[0].batch, &wanted[0].batch);
    assert_eq!(found.schema(), contract().arrow_schema());
    for column in ["id", "day", "seen", "key"] {
        assert_eq!(
            found.column_by_name(column).unwrap(),
            wanted.column_by_name(column).unwrap(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn every_format_gives_the_same_rows() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let plain = batch(Arc::new(Int64Array::from(vec![1, 2, 3])), names());
    for (name, compression) in [
        ("plain.parquet", Compression::UNCOMPRESSED),
        ("snappy.parquet", Compression::SNAPPY),
        ("zstd.pq", Compression::ZSTD(ZstdLevel::default())),
    ] {
        parquet(&at(name), &plain, compression);
        check(&at(name));
    }
    let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some(""), None]));
    let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("a"), Some(""), None]));
    let small: ArrayRef = Arc::new(UInt8Array::from(vec![1, 2, 3]));
    for (name, batch) in
        [("views.arrow", batch(Arc::clone(&small), views)), ("dictionary.feather", batch(small, dictionary))]
    {
        let mut writer = FileWriter::try_new(File::create(at(name)).unwrap(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        check(&at(name));
    }
    let mut writer =
        StreamWriter::try_new(File::create(at("stream.arrows")).unwrap(), &plain.schema()).unwrap();
    writer.write(&plain).unwrap();
    writer.finish().unwrap();
    check(&at("stream.arrows"));
    let csv = "name,id,seen,day,key\n\"a\n\",1,1970-01-01T01:00:00.005+01:00,,018f0000-0000-7000-8000-000000000001\n,2,,1970-01-02,\n,3,1970-01-01T00:00:00.007Z,1970-01-03,\n";
    std::fs::write(at("rows.csv"), csv).unwrap();
    check(&at("rows.csv"));
    // An empty text of a Parquet file is an empty text; an empty cell of a CSV file is a null.
    let found = rows(&at("plain.parquet"), FileFormat::Parquet).unwrap();
    assert_eq!(found[0].batch.column_by_name("name").unwrap().null_count(), 1);
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bad.parquet");
    let mut said = Vec::new();
    let too_large: ArrayRef = Arc::new(Int64Array::from(vec![1, 40_000, 3]));
    let missing: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1", "2", "x"]));
    let float: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![1.0, 2.0, 3.0]));
    let good: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let naive = RecordBatch::try_from_iter(vec![
        ("id", Arc::clone(&good)),
        ("name", names()),
        ("day", Arc::new(Date32Array::from(vec![None, None, Some(i32::MAX)])) as ArrayRef),
        ("seen", Arc::new(TimestampMillisecondArray::from(vec![5, 6, 7])) as ArrayRef),
        ("key", Arc::new(StringArray::from(vec![None::<&str>, None, None])) as ArrayRef),
    ]);
    let far = batch(Arc::clone(&good), names());
    let days: ArrayRef = Arc::new(Date32Array::from(vec![None, Some(i32::MAX), None]));
    let far =
        RecordBatch::try_from_iter(far.schema().fields().iter().zip(far.columns()).map(|(field, array)| {
            (field.name().clone(), if field.name() == "day" { Arc::clone(&days) } else { Arc::clone(array) })
        }));
    for batch in [
        batch(too_large, names()),
        batch(missing, names()),
        batch(text, names()),
        batch(float, names()),
        naive.unwrap(),
        far.unwrap(),
        batch(good, names()).project(&[0, 1, 2, 3]).unwrap(),
    ] {
        parquet(&path, &batch, Compression::SNAPPY);
        said.push(rows(&path, FileFormat::Parquet).unwrap_err());
    }
    // A quote that is never closed, and bytes that are no text.
    let csv = directory.path().join("bad.csv");
    std::fs::write(&csv, format!("id,name,day,seen,key\n1,\"{}\n", "x".repeat(20 << 20))).unwrap();
    said.push(rows(&csv, FileFormat::Csv).unwrap_err());
    std::fs::write(&csv, b"id,name,day,seen,key\n1,a\xff,,,\n").unwrap();
    said.push(rows(&csv, FileFormat::Csv).unwrap_err());
    std::fs::write(&csv, "PAR1").unwrap();
    said.push(rows(&csv, FileFormat::Parquet).unwrap_err());
    said.push(rows(&csv, FileFormat::Arrow).unwrap_err());
    let place = directory.path().to_str().unwrap();
    insta::assert_snapshot!(said.join("\n").replace(place, "PLACE"));
}

#[test]
fn memory_is_bounded_by_the_batch() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("many.csv");
    let lines = (0..20_000).map(|row| format!("{row},x,,,")).collect::<Vec<_>>().join("\n");
    std::fs::write(&path, format!("id,name,day,seen,key\n{lines}")).unwrap();
    let batches = rows(&path, FileFormat::Csv).unwrap();
    let sizes: Vec<usize> = batches.iter().map(|batch| batch.batch.num_rows()).collect();
    assert_eq!(sizes, [8_192, 8_192, 3_616]);
    assert_eq!(batches[2].places[0], 2 * 8_192 + 2);
}
