//! What goes in comes out, with a server in between and without one.

#![allow(clippy::unwrap_used)] // a panic here is the report

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use datanode_core::data_type::DataType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::PgConnection;

use super::*;
use crate::postgres::test_server::connect;
use crate::rows::{Cells, ColumnBuilder};

/// A column of each type, as PostgreSQL writes the types.
const COLUMNS: [(&str, DataType); 17] = [
    ("double precision", DataType::Float64),
    ("real", DataType::Float32),
    ("bigint", DataType::Int64),
    ("integer", DataType::Int32),
    ("smallint", DataType::Int16),
    ("boolean", DataType::Bool),
    ("text", DataType::String),
    ("date", DataType::Date),
    ("timestamptz", DataType::TimestampTz),
    ("uuid", DataType::Uuid),
    ("json", DataType::Json),
    ("bytea", DataType::Bytes),
    ("numeric(38,0)", DataType::Decimal { precision: 38, scale: 0 }),
    ("numeric(38,38)", DataType::Decimal { precision: 38, scale: 38 }),
    ("numeric(38,37)", DataType::Decimal { precision: 38, scale: 37 }),
    ("numeric(18,4)", DataType::Decimal { precision: 18, scale: 4 }),
    ("numeric(5,2)", DataType::Decimal { precision: 5, scale: 2 }),
];

fn types() -> Vec<DataType> {
    COLUMNS.iter().map(|(_, data_type)| *data_type).collect()
}

fn column<T: Clone + std::fmt::Debug + 'static>(
    rows: usize,
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Vec<Option<T>>> {
    prop::collection::vec(prop::option::weighted(0.8, value), rows).boxed()
}

fn decimal(rows: usize, precision: u8, scale: i8) -> BoxedStrategy<ArrayRef> {
    let bound = 10_i128.pow(u32::from(precision)) - 1;
    let small = (-bound..=bound, 0_u32..38).prop_map(|(value, cut)| value / 10_i128.pow(cut));
    let value = prop_oneof![Just(0), Just(bound), Just(-bound), -bound..=bound, small];
    column(rows, value)
        .prop_map(move |values| {
            let array = Decimal128Array::from(values).with_precision_and_scale(precision, scale);
            Arc::new(array.unwrap()) as ArrayRef
        })
        .boxed()
}

/// A random array of each of [`COLUMNS`].
fn arrays(rows: usize) -> BoxedStrategy<Vec<ArrayRef>> {
    macro_rules! each {
        ($array:ty, $value:expr) => {
            column(rows, $value).prop_map(|values| Arc::new(<$array>::from(values)) as ArrayRef).boxed()
        };
    }
    let text = any::<String>().prop_map(|text| text.replace('\0', "0"));
    let json =
        prop_oneof![Just("{\"b\" : 1, \"a\": [null, \"\\u00e9\"]}".to_owned()), Just("1.50".to_owned())];
    let moments = column(rows, -62_135_596_800_000_000_i64..=253_402_300_799_999_999).prop_map(|values| {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef
    });
    let uuids = column(rows, any::<[u8; 16]>()).prop_map(|values| {
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16);
        Arc::new(array.unwrap()) as ArrayRef
    });
    let bytes = column(rows, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|values| Arc::new(values.into_iter().collect::<BinaryArray>()) as ArrayRef);
    vec![
        each!(Float64Array, any::<f64>()),
        each!(Float32Array, any::<f32>()),
        each!(Int64Array, any::<i64>()),
        each!(Int32Array, any::<i32>()),
        each!(Int16Array, any::<i16>()),
        each!(BooleanArray, any::<bool>()),
        each!(StringArray, text),
        each!(Date32Array, -719_162_i32..=2_932_896),
        moments.boxed(),
        uuids.boxed(),
        each!(StringArray, json),
        bytes.boxed(),
        decimal(rows, 38, 0),
        decimal(rows, 38, 38),
        decimal(rows, 38, 37),
        decimal(rows, 18, 4),
        decimal(rows, 5, 2),
    ]
    .boxed()
}

/// What must come back: a negative zero is stored as a zero, everything else as it is.
fn stored(arrays: Vec<ArrayRef>) -> Vec<ArrayRef> {
    let plain = |array: ArrayRef| -> ArrayRef {
        if let Some(values) = array.as_primitive_opt::<Float64Type>() {
            return Arc::new(values.unary::<_, Float64Type>(|value| value + 0.0));
        }
        if let Some(values) = array.as_primitive_opt::<Float32Type>() {
            return Arc::new(values.unary::<_, Float32Type>(|value| value + 0.0));
        }
        array
    };
    arrays.into_iter().map(plain).collect()
}

#[test]
fn a_negative_zero_is_stored_as_a_zero() {
    let arrays: Vec<ArrayRef> =
        vec![Arc::new(Float64Array::from(vec![-0.0])), Arc::new(Float32Array::from(vec![-0.0]))];
    let mut decoder = Decoder::new(vec![DataType::Float64, DataType::Float32], 4, usize::MAX);
    decoder.push(&encoded(&arrays)).unwrap();
    let back = finished(decoder);
    assert_eq!(back[0].as_primitive::<Float64Type>().value(0).to_bits(), 0);
    assert_eq!(back[1].as_primitive::<Float32Type>().value(0).to_bits(), 0);
}

fn encoded(arrays: &[ArrayRef]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.begin();
    encoder.rows(&Cells::of(arrays).unwrap(), 0..arrays[0].len()).unwrap();
    encoder.end();
    encoder.written().to_vec()
}

/// The columns of a copy that was one page.
fn finished(decoder: Decoder) -> Vec<ArrayRef> {
    let mut pages = finished_pages(decoder);
    assert_eq!(pages.len(), 1);
    pages.remove(0)
}

fn finished_pages(decoder: Decoder) -> Vec<Vec<ArrayRef>> {
    let pages = decoder.into_pages().into_iter().map(|(columns, rows)| {
        let arrays: Vec<ArrayRef> =
            columns.into_iter().map(|column| ColumnBuilder::finish(column).unwrap()).collect();
        assert!(arrays.iter().all(|array| array.len() == rows));
        arrays
    });
    pages.collect()
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) })
}

#[test]
fn what_is_encoded_decodes_however_it_is_cut() {
    let strategy = (0_usize..12).prop_flat_map(|rows| (arrays(rows), 1_usize..400));
    runner(128)
        .run(&strategy, |(arrays, cut)| {
            let bytes = encoded(&arrays);
            let mut decoder = Decoder::new(types(), 4, usize::MAX);
            for piece in bytes.chunks(cut) {
                decoder.push(piece).unwrap();
            }
            decoder.check_end().unwrap();
            prop_assert_eq!(decoder.rows(), arrays[0].len());
            prop_assert_eq!(finished(decoder), stored(arrays));
            Ok(())
        })
        .unwrap();
}

#[test]
fn pages_are_pieces_of_the_same_rows() {
    let strategy = (0_usize..12).prop_flat_map(|rows| (arrays(rows), 1_usize..400, 1_usize..14));
    runner(64)
        .run(&strategy, |(arrays, cut, page_rows)| {
            let rows = arrays[0].len();
            let mut decoder = Decoder::new(types(), 4, page_rows);
            for piece in encoded(&arrays).chunks(cut) {
                decoder.push(piece).unwrap();
            }
            decoder.check_end().unwrap();
            prop_assert_eq!(decoder.rows(), rows);
            let stored = stored(arrays);
            let pages = finished_pages(decoder);
            prop_assert_eq!(pages.len(), rows.div_ceil(page_rows).max(1));
            for (at, page) in pages.into_iter().enumerate() {
                let first = at * page_rows;
                let length = page_rows.min(rows - first);
                let expected: Vec<ArrayRef> = stored.iter().map(|array| array.slice(first, length)).collect();
                prop_assert_eq!(page, expected);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_encoded_comes_back_from_a_server() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(connect());
    let columns: Vec<String> =
        COLUMNS.iter().enumerate().map(|(at, (name, _))| format!("c{at} {name}")).collect();
    let create = format!("CREATE TEMP TABLE t (_row SERIAL, {})", columns.join(", "));
    runtime.block_on(sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection)).unwrap();
    let connection = std::cell::RefCell::new(connection);
    let strategy = (0_usize..12).prop_flat_map(arrays);
    runner(64)
        .run(&strategy, |arrays| {
            let decoder = runtime.block_on(there_and_back(&mut connection.borrow_mut(), &arrays));
            prop_assert_eq!(finished(decoder), stored(arrays));
            Ok(())
        })
        .unwrap();
}

async fn there_and_back(connection: &mut PgConnection, arrays: &[ArrayRef]) -> Decoder {
    let names: Vec<String> = (0..COLUMNS.len()).map(|at| format!("c{at}")).collect();
    let names = names.join(", ");
    sqlx::raw_sql("TRUNCATE t").execute(&mut *connection).await.unwrap();
    let copy = format!("COPY t ({names}) FROM STDIN (FORMAT binary)");
    let mut copying = connection.copy_in_raw(&copy).await.unwrap();
    copying.send(encoded(arrays)).await.unwrap();
    assert_eq!(copying.finish().await.unwrap(), arrays[0].len() as u64);
    let copy = format!("COPY (SELECT {names} FROM t ORDER BY _row) TO STDOUT (FORMAT binary)");
    let mut stream = connection.copy_out_raw(&copy).await.unwrap();
    let mut decoder = Decoder::new(types(), 4, usize::MAX);
    while let Some(piece) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        decoder.push(&piece.unwrap()).unwrap();
    }
    decoder.check_end().unwrap();
    decoder
}

/// The fields of a numeric.
fn numeric_field(count: u16, weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
    let mut field = Vec::new();
    for number in [count, weight.cast_unsigned(), sign, 0].iter().chain(digits) {
        field.extend_from_slice(&number.to_be_bytes());
    }
    field
}

#[test]
fn decimals_that_are_none_are_refused() {
    let decode = |field: &[u8]| numeric::decode(field, 2);
    assert_eq!(decode(&numeric_field(2, 0, 0, &[12, 3400])), Ok(1234));
    assert_eq!(decode(&numeric_field(1, 0, 0x4000, &[7])), Ok(-700));
    assert_eq!(decode(&numeric_field(0, 0, 0, &[])), Ok(0));
    for (field, problem) in [
        (numeric_field(0, 0, 0xC000, &[]), "no number"),
        (numeric_field(0, 0, 0xD000, &[]), "no number"),
        (numeric_field(0, 0, 0xF000, &[]), "no number"),
        (numeric_field(0, 0, 0x1234, &[]), "sign"),
        (numeric_field(2, 0, 0, &[1]), "takes 10 bytes"),
        (numeric_field(1, 0, 0, &[10_000]), "digit"),
        (numeric_field(1, -1, 0, &[1]), "after the point"),
        (numeric_field(1, 30_000, 0, &[1]), "does not fit"),
        (numeric_field(1, -30_000, 0, &[1]), "after the point"),
        (vec![0, 1], "cut off"),
    ] {
        let error = decode(&field).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn values_that_postgresql_does_not_have_are_named() {
    let refused = |array: ArrayRef| {
        let mut encoder = Encoder::default();
        encoder.rows(&Cells::of(&[array]).unwrap(), 0..2).unwrap_err()
    };
    let text = refused(Arc::new(StringArray::from(vec!["a", "b\0"])));
    assert_eq!((text.row, text.column, text.problem.contains("U+0000")), (1, 0, true));
    let day = refused(Arc::new(Date32Array::from(vec![0, i32::MAX])));
    assert_eq!((day.row, day.problem.contains("no such day")), (1, true));
}

#[test]
fn damaged_bytes_are_an_error_and_nothing_else() {
    let strategy = (1_usize..4).prop_flat_map(|rows| {
        (arrays(rows), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4))
    });
    runner(256)
        .run(&strategy, |(arrays, changes)| {
            let mut bytes = encoded(&arrays);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            // Right or wrong, but neither a panic nor an endless loop; a cut copy never counts as whole.
            let mut decoder = Decoder::new(types(), 4, usize::MAX);
            if decoder.push(&bytes).is_ok() {
                let _ = decoder.check_end();
            }
            let mut cut = Decoder::new(types(), 4, usize::MAX);
            if cut.push(&bytes[..bytes.len() - 1]).is_ok() {
                prop_assert!(cut.check_end().is_err());
            }
            Ok(())
        })
        .unwrap();
    for (bytes, problem) in [
        (b"PGCOPX".to_vec(), "signature"),
        ([&HEADER[..15], &[0, 0, 0, 1]].concat(), "extension"),
        ([&HEADER[..], &[0, 2]].concat(), "2 columns"),
        ([&HEADER[..], &[0, 1, 0xff, 0xff, 0xff, 0xfe]].concat(), "length"),
        ([&HEADER[..], &[0, 1, 0, 0, 0, 1, 7]].concat(), "1 bytes instead of 8"),
        ([&HEADER[..], &[0xff, 0xff, 0]].concat(), "follow the end"),
    ] {
        let error = Decoder::new(vec![DataType::Int64], 1, usize::MAX).push(&bytes).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

proptest! {
    #[test]
    fn a_decimal_has_the_digits_of_its_scale(value in any::<i64>(), cut in 0_u32..19, scale in 0_u8..=38) {
        let value = i128::from(value) / 10_i128.pow(cut);
        let mut field = Vec::new();
        numeric::encode(&mut field, value, scale);
        let digits = format!("{:0>1$}", value.unsigned_abs(), usize::from(scale) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
        let sign = if value < 0 { "-" } else { "" };
        let point = if scale == 0 { "" } else { "." };
        // Behind the length of the field.
        prop_assert_eq!(numeric::text(&field[4..]), Some(format!("{sign}{whole}{point}{fraction}")));
    }
}
