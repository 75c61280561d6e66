//! Types of columns as that client writes them, beside those of contracts.

use datanode_core::data_type::DataType;

/// The type that a client writes: its portable token, and the type of the database beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientType {
    /// `data_type`: what the client converts by.
    pub(crate) token: String,
    /// `backend_type`: for people.
    pub(crate) backend: String,
}

/// How a column of a contract is told. The client makes a pandas type of the token: one that it does not know breaks every
/// read, so bytes are told as the text that they travel as.
pub(crate) fn to_client(data_type: DataType) -> ClientType {
    let (token, backend) = match data_type {
        DataType::Float64 => ("float64", "DOUBLE PRECISION"),
        DataType::Float32 => ("float32", "REAL"),
        DataType::Int64 => ("int64", "BIGINT"),
        DataType::Int32 => ("int32", "INTEGER"),
        DataType::Int16 => ("int16", "SMALLINT"),
        DataType::Bool => ("bool", "BOOLEAN"),
        DataType::String => ("string", "TEXT"),
        DataType::Date => ("date", "DATE"),
        DataType::TimestampTz => ("timestamp with time zone", "TIMESTAMP WITH TIME ZONE"),
        DataType::Uuid => ("uuid", "UUID"),
        DataType::Json => ("json", "JSON"),
        DataType::Bytes => ("string", "BYTEA"),
        DataType::Decimal { precision, scale } => {
            return ClientType {
                token: "numeric".to_owned(),
                backend: format!("NUMERIC({precision}, {scale})"),
            };
        }
    };
    ClientType { token: token.to_owned(), backend: backend.to_owned() }
}

/// The type that a client's column means.
///
/// # Errors
///
/// What is wrong with it, in words.
pub(crate) fn from_client(token: &str, backend: Option<&str>) -> Result<DataType, String> {
    let shown = || token.trim().chars().take(80).collect::<String>();
    let words = token.replace('_', " ").to_lowercase();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let base = words.split('(').next().unwrap_or_default().trim_end();
    Ok(match base {
        "float64" | "float" | "double" | "double precision" | "float8" => DataType::Float64,
        "float32" | "real" | "float4" => DataType::Float32,
        "int64" | "bigint" | "biginteger" | "int8" => DataType::Int64,
        "int32" | "integer" | "int" | "int4" => DataType::Int32,
        "int16" | "smallint" | "int2" => DataType::Int16,
        "bool" | "boolean" => DataType::Bool,
        "string" | "str" | "text" | "object" | "unicode" | "varchar" | "char" | "character"
        | "character varying" => DataType::String,
        "date" | "datetime.date" => DataType::Date,
        "timestamp with time zone"
        | "timestamptz"
        | "datetime"
        | "datetime.datetime"
        | "datetime64[ns, utc]"
        | "datetime64[us, utc]" => DataType::TimestampTz,
        "uuid" => DataType::Uuid,
        "json" | "jsonb" => DataType::Json,
        "bytea" | "bytes" => DataType::Bytes,
        "numeric" | "decimal" => {
            let digits = digits(&words).or_else(|| digits(&backend.unwrap_or_default().to_lowercase()));
            return digits.ok_or_else(|| {
                "a numeric column needs its digits, as in the backend type NUMERIC(18, 4): with at most 38 of them, and no \
                 more after the point than in all"
                    .to_owned()
            });
        }
        "timestamp" | "timestamp without time zone" | "datetime64[ns]" => {
            return Err(format!("`{}` has no time zone: use timestamp with time zone", shown()));
        }
        _ => {
            return Err(format!(
                "unknown type `{}`: use float64, float32, int64, int32, int16, bool, string, date, timestamp with time \
                 zone, uuid, json, or numeric with its digits",
                shown()
            ));
        }
    })
}

/// `numeric(18, 4)` as a decimal.
fn digits(text: &str) -> Option<DataType> {
    let (name, digits) = text.trim().strip_suffix(')')?.split_once('(')?;
    if !["numeric", "decimal"].contains(&name.trim_end()) {
        return None;
    }
    let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
    let (precision, scale): (u8, u8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=38).contains(&precision) && scale <= precision).then_some(DataType::Decimal { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_told_is_understood_again() {
        let decimal = DataType::Decimal { precision: 18, scale: 4 };
        let types = [
            DataType::Float64,
            DataType::Float32,
            DataType::Int64,
            DataType::Int32,
            DataType::Int16,
            DataType::Bool,
            DataType::String,
            DataType::Date,
            DataType::TimestampTz,
            DataType::Uuid,
            DataType::Json,
            decimal,
        ];
        for data_type in types {
            let told = to_client(data_type);
            assert_eq!(from_client(&told.token, Some(&told.backend)), Ok(data_type), "{told:?}");
        }
        // Text to the client, which cannot convert anything else.
        assert_eq!(to_client(DataType::Bytes).token, "string");
    }

    #[test]
    fn what_clients_write_is_understood_and_the_rest_is_named() {
        for (token, expected) in [
            ("TIMESTAMPTZ", DataType::TimestampTz),
            ("timestamp  with time zone", DataType::TimestampTz),
            ("VARCHAR(255)", DataType::String),
            ("character_varying", DataType::String),
            ("double precision", DataType::Float64),
            ("int8", DataType::Int64),
            ("jsonb", DataType::Json),
            ("numeric(12,2)", DataType::Decimal { precision: 12, scale: 2 }),
        ] {
            assert_eq!(from_client(token, None), Ok(expected), "{token}");
        }
        for token in ["timestamp", "datetime64[ns]", "numeric", "numeric(40,2)", "vector(3)", ""] {
            assert!(from_client(token, None).is_err(), "{token}");
        }
    }
}
