//! Values of the server as answers have them: as they look on every database.

use datanode_core::Timestamp;
use datanode_core::coordinate::date_from_days;
use datanode_core::sql::{SqlError, SqlErrorKind};
use serde_json::{Number, Value};
use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::{Row, TypeInfo, ValueRef};
use uuid::Uuid;

use crate::postgres::copy::{EPOCH_DAYS, EPOCH_MICROS, numeric};
use crate::read_only_sql::hex;

/// A value of an answer.
pub(super) fn cell(row: &PgRow, at: usize) -> Result<Value, SqlError> {
    let broken = |error: sqlx::Error| SqlError::new(SqlErrorKind::RuntimeError, error.to_string());
    let value = row.try_get_raw(at).map_err(broken)?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let data_type = value.type_info();
    let name = data_type.name();
    let bytes = value.as_bytes().ok().filter(|_| value.format() == PgValueFormat::Binary);
    let Some(cell) = bytes.and_then(|bytes| decode(name, bytes)) else {
        let message = format!("an answer cannot hold a value of the type {name}: cast it to text");
        return Err(SqlError::new(SqlErrorKind::RuntimeError, message));
    };
    Ok(cell)
}

/// A value as its type's `send` function writes it; None for types that are not known here.
fn decode(name: &str, bytes: &[u8]) -> Option<Value> {
    Some(match name {
        "BOOL" => Value::from(if bytes == [0] { "false" } else { "true" }),
        "INT2" => Value::from(i16::from_be_bytes(bytes.try_into().ok()?)),
        "INT4" => Value::from(i32::from_be_bytes(bytes.try_into().ok()?)),
        "INT8" => Value::from(i64::from_be_bytes(bytes.try_into().ok()?)),
        "FLOAT4" => float(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        "FLOAT8" => float(f64::from_be_bytes(bytes.try_into().ok()?)),
        "NUMERIC" => Value::from(numeric::text(bytes)?),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "JSON" | "UNKNOWN" => {
            Value::from(std::str::from_utf8(bytes).ok()?)
        }
        "BYTEA" => Value::from(hex(bytes)),
        "UUID" => Value::from(Uuid::from_slice(bytes).ok()?.to_string()),
        "DATE" => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            Value::from(date_from_days(days.checked_add(EPOCH_DAYS)?)?.to_string())
        }
        "TIMESTAMP" | "TIMESTAMPTZ" => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            Value::from(Timestamp::from_micros(micros.checked_add(EPOCH_MICROS)?).ok()?.to_string())
        }
        _ => return None,
    })
}

/// JSON has no infinity.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
