//! The digest of a table's rows in the order of its index, whatever batches they come in and whatever database holds
//! them.
//!
//! What is digested, each number in little-endian bytes: the number of columns; of each column its name and its type
//! token, as texts; then of each row each cell: 0 for null, else 1 and the value. A text is its length in bytes as 64
//! bits and its UTF-8 bytes, and so are bytes; numbers have their width, a decimal 128 bits of its digits without the
//! point; a bool one byte; a date 32 bits of days and a moment 64 bits of microseconds since 1970; a UUID 16 bytes; JSON
//! is the text of its canonical form (RFC 8785).

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};

use crate::contract::Column;
use crate::data_type::DataType;
use crate::digest::{Digest, Digester};

/// A digest over rows, piece by piece.
#[derive(Debug)]
pub struct ContentDigester {
    types: Vec<DataType>,
    digester: Digester,
    rows: u64,
}

impl ContentDigester {
    /// Of no rows yet, with these columns.
    pub fn new<'c>(columns: impl ExactSizeIterator<Item = &'c Column>) -> Self {
        let mut digester = Digester::default();
        digester.update(&(columns.len() as u64).to_le_bytes());
        let types = columns.map(|column| {
            text(&mut digester, column.name.as_bytes());
            text(&mut digester, column.data_type.to_string().as_bytes());
            column.data_type
        });
        let types = types.collect();
        Self { types, digester, rows: 0 }
    }

    /// Add the next rows; columns as given.
    pub fn update(&mut self, batch: &RecordBatch) {
        for row in 0..batch.num_rows() {
            for (array, data_type) in batch.columns().iter().zip(&self.types) {
                if array.is_null(row) {
                    self.digester.update(&[0]);
                } else {
                    self.digester.update(&[1]);
                    cell(&mut self.digester, array, *data_type, row);
                }
            }
        }
        self.rows += batch.num_rows() as u64;
    }

    /// The digest, and how many rows it is of.
    pub fn finish(self) -> (Digest, u64) {
        (self.digester.finish(), self.rows)
    }
}

fn text(digester: &mut Digester, bytes: &[u8]) {
    digester.update(&(bytes.len() as u64).to_le_bytes());
    digester.update(bytes);
}

fn cell(digester: &mut Digester, array: &ArrayRef, data_type: DataType, row: usize) {
    match data_type {
        // Adding zero makes -0.0, which not every database keeps, 0.0; no other value changes.
        DataType::Float64 => {
            digester.update(&(array.as_primitive::<Float64Type>().value(row) + 0.0).to_le_bytes());
        }
        DataType::Float32 => {
            digester.update(&(array.as_primitive::<Float32Type>().value(row) + 0.0).to_le_bytes());
        }
        DataType::Int64 => digester.update(&array.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        DataType::Int32 => digester.update(&array.as_primitive::<Int32Type>().value(row).to_le_bytes()),
        DataType::Int16 => digester.update(&array.as_primitive::<Int16Type>().value(row).to_le_bytes()),
        DataType::Bool => digester.update(&[u8::from(array.as_boolean().value(row))]),
        DataType::String => text(digester, array.as_string::<i32>().value(row).as_bytes()),
        DataType::Json => {
            let document = array.as_string::<i32>().value(row);
            let canonical = serde_json::from_str::<serde_json::Value>(document)
                .and_then(|value| serde_json_canonicalizer::to_vec(&value));
            text(digester, canonical.as_deref().unwrap_or(document.as_bytes()));
        }
        DataType::Date => digester.update(&array.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        DataType::TimestampTz => {
            digester.update(&array.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes());
        }
        DataType::Uuid => digester.update(array.as_fixed_size_binary().value(row)),
        DataType::Decimal { .. } => {
            digester.update(&array.as_primitive::<Decimal128Type>().value(row).to_le_bytes());
        }
        DataType::Bytes => text(digester, array.as_binary::<i32>().value(row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;
    use arrow_array::{Float64Array, StringArray};
    use std::sync::Arc;

    fn batch(names: Vec<Option<&str>>, values: Vec<f64>) -> RecordBatch {
        let (names, values) = (StringArray::from(names), Float64Array::from(values));
        RecordBatch::try_from_iter([
            ("name", Arc::new(names) as ArrayRef),
            ("value", Arc::new(values) as ArrayRef),
        ])
        .unwrap()
    }

    fn digest(batches: &[RecordBatch]) -> (Digest, u64) {
        let contract = Contract::from_toml(
            "identifier = \"t\"\nkind = \"reference\"\nprimary_key = [\"name\"]\ncolumns = [\
             { name = \"name\", type = \"string\" }, { name = \"value\", type = \"float64\" }]",
        )
        .unwrap();
        let mut digester = ContentDigester::new(contract.columns.iter());
        for batch in batches {
            digester.update(batch);
        }
        digester.finish()
    }

    #[test]
    fn it_is_of_the_rows_and_not_of_the_batches() {
        let whole = digest(&[batch(vec![Some("a"), None], vec![0.0, 2.0])]);
        let pieces =
            [batch(vec![Some("a")], vec![-0.0]), batch(vec![], vec![]), batch(vec![None], vec![2.0])];
        assert_eq!(digest(&pieces), whole);
        assert_eq!(whole.1, 2);
        for other in [
            vec![batch(vec![Some("a"), Some("")], vec![0.0, 2.0])],
            vec![batch(vec![None, Some("a")], vec![2.0, 0.0])],
            vec![batch(vec![Some("a"), None], vec![0.0, 2.000_000_1])],
        ] {
            assert_ne!(digest(&other).0, whole.0);
        }
    }
}
