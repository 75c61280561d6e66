//! Values as SQL text, for `COPY (query) TO`, which takes no parameters. This is the one place where a value becomes
//! text of a statement.
//!
//! Every value is written as an escape string and its type: `E'…'::type`. Such a string means the same under every
//! setting of `standard_conforming_strings`, and inside it only the quote and the backslash mean anything.

use std::borrow::Cow;

use datanode_core::coordinate::CoordinateValue;
use datanode_core::data_type::DataType;

use super::copy::DAYS;

/// What PostgreSQL calls the type of a column that may stand in a key.
pub(crate) fn type_name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Float64 => "double precision",
        DataType::Float32 => "real",
        DataType::Int64 => "bigint",
        DataType::Int32 => "integer",
        DataType::Int16 => "smallint",
        DataType::Bool => "boolean",
        DataType::String => "text",
        DataType::Date => "date",
        DataType::TimestampTz => "timestamptz",
        DataType::Uuid => "uuid",
        DataType::Json => "json",
        DataType::Decimal { .. } => "numeric",
        DataType::Bytes => "bytea",
    }
}

/// A value as text that the input function of its type reads in one way under every setting. None: PostgreSQL has no
/// such value, so that no row of it can have it.
fn plain(value: &CoordinateValue) -> Option<Cow<'_, str>> {
    Some(match value {
        CoordinateValue::Text(text) if text.contains('\0') => return None,
        CoordinateValue::Text(text) => Cow::Borrowed(text),
        CoordinateValue::Int(value) => value.to_string().into(),
        CoordinateValue::Bool(value) => value.to_string().into(),
        // The number of the day since the beginning of PostgreSQL's calendar: no style of dates reads it otherwise.
        CoordinateValue::Date(days) if !DAYS.contains(days) => return None,
        CoordinateValue::Date(days) => format!("J{}", i64::from(*days) - i64::from(*DAYS.start())).into(),
        // RFC 3339.
        CoordinateValue::Timestamp(time) => time.to_string().into(),
        CoordinateValue::Uuid(uuid) => uuid.to_string().into(),
    })
}

/// Whether PostgreSQL has this value.
pub(crate) fn exists(value: &CoordinateValue) -> bool {
    plain(value).is_some()
}

/// A value. One that PostgreSQL does not have is null, which equals nothing and comes after nothing.
pub(crate) fn literal(value: &CoordinateValue, data_type: DataType) -> String {
    let name = type_name(data_type);
    match plain(value) {
        Some(text) => {
            let mut sql = String::with_capacity(text.len() + name.len() + 5);
            escape_string(&mut sql, &text);
            sql + "::" + name
        }
        None => format!("NULL::{name}"),
    }
}

/// Several values as one array, which is read far faster than a list of literals.
pub(crate) fn array<'v>(
    values: impl IntoIterator<Item = &'v CoordinateValue>,
    data_type: DataType,
) -> String {
    let mut elements = String::from("{");
    for value in values {
        if elements.len() > 1 {
            elements.push(',');
        }
        let Some(text) = plain(value) else {
            elements.push_str("NULL");
            continue;
        };
        elements.push('"');
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                elements.push('\\');
            }
            elements.push(character);
        }
        elements.push('"');
    }
    elements.push('}');
    let mut sql = String::with_capacity(elements.len() + 32);
    escape_string(&mut sql, &elements);
    sql + "::" + type_name(data_type) + "[]"
}

fn escape_string(sql: &mut String, text: &str) {
    sql.push_str("E'");
    for character in text.chars() {
        // Both are doubled: a backslash before a quote can be forbidden by a setting.
        if matches!(character, '\'' | '\\') {
            sql.push(character);
        }
        sql.push(character);
    }
    sql.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::test_server::connect;
    use datanode_core::Timestamp;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use sqlx::{PgConnection, Row};
    use uuid::Uuid;

    /// The literal, alone and in an array, as the server reads it: the bytes that it sends for the value.
    async fn read_back(
        connection: &mut PgConnection,
        value: &CoordinateValue,
        data_type: DataType,
    ) -> Vec<Option<Vec<u8>>> {
        let send = match data_type {
            DataType::Bool => "boolsend",
            DataType::Int64 => "int8send",
            DataType::Int16 => "int2send",
            DataType::Date => "date_send",
            DataType::TimestampTz => "timestamptz_send",
            DataType::Uuid => "uuid_send",
            _ => "textsend",
        };
        let other = [value, value];
        let sql = format!(
            "SELECT {send}(a), {send}(b[2]), cardinality(b) FROM (SELECT {} AS a, {} AS b) AS t",
            literal(value, data_type),
            array(other, data_type)
        );
        let row = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_one(connection).await.unwrap();
        assert_eq!(row.get::<i32, _>(2), 2);
        vec![row.get(0), row.get(1)]
    }

    fn value() -> impl Strategy<Value = (CoordinateValue, DataType, Vec<u8>)> {
        let hostile = prop::collection::vec(
            prop::sample::select(vec![
                "'",
                "''",
                "\\",
                "\\'",
                "\"",
                "{",
                "}",
                ",",
                "NULL",
                ";",
                "--",
                "/*",
                "$$",
                "E'",
                "\n",
                "\r",
                "\u{1}",
                "\u{7f}",
                "\u{2028}",
                "\u{10ffff}",
                "\u{feff}",
                " ",
                "%",
                "x",
                "\\x41",
                "\\000",
            ]),
            0..12,
        );
        let texts = prop_oneof![any::<String>(), hostile.prop_map(|parts| parts.concat())];
        prop_oneof![
            6 => texts.prop_map(|text| {
                let text = text.replace('\0', "");
                (CoordinateValue::Text(text.clone()), DataType::String, text.into_bytes())
            }),
            1 => any::<i64>().prop_map(|value| {
                (CoordinateValue::Int(value), DataType::Int64, value.to_be_bytes().to_vec())
            }),
            1 => any::<i16>().prop_map(|value| {
                (CoordinateValue::Int(value.into()), DataType::Int16, value.to_be_bytes().to_vec())
            }),
            1 => any::<bool>().prop_map(|value| (CoordinateValue::Bool(value), DataType::Bool, vec![value.into()])),
            2 => DAYS.prop_map(|days| {
                (CoordinateValue::Date(days), DataType::Date, (days - 10_957).to_be_bytes().to_vec())
            }),
            2 => (-62_135_596_800_000_000_i64..=253_402_300_799_999_999).prop_map(|micros| {
                let sent = (micros - 946_684_800_000_000).to_be_bytes().to_vec();
                (CoordinateValue::Timestamp(Timestamp::from_micros(micros).unwrap()), DataType::TimestampTz, sent)
            }),
            1 => any::<u128>().prop_map(|bits| {
                (CoordinateValue::Uuid(Uuid::from_u128(bits)), DataType::Uuid, bits.to_be_bytes().to_vec())
            }),
        ]
    }

    #[test]
    fn every_value_means_itself_under_every_setting() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for setting in [
            "SET standard_conforming_strings = on",
            "SET standard_conforming_strings = off; SET backslash_quote = off; SET escape_string_warning = off; \
             SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kathmandu'; SET IntervalStyle = sql_standard",
        ] {
            let mut connection = runtime.block_on(connect());
            runtime.block_on(sqlx::raw_sql(setting).execute(&mut connection)).unwrap();
            let connection = std::cell::RefCell::new(connection);
            let config = Config { failure_persistence: None, ..Config::with_cases(256) };
            TestRunner::new(config)
                .run(&value(), |(value, data_type, sent)| {
                    let mut connection = connection.borrow_mut();
                    let read = runtime.block_on(read_back(&mut connection, &value, data_type));
                    prop_assert_eq!(read, vec![Some(sent.clone()), Some(sent)]);
                    Ok(())
                })
                .unwrap();
        }
    }

    #[tokio::test]
    async fn what_postgresql_does_not_have_is_null() {
        let mut connection = connect().await;
        for (value, data_type) in [
            (CoordinateValue::Text("a\0b".to_owned()), DataType::String),
            (CoordinateValue::Date(i32::MAX), DataType::Date),
            (CoordinateValue::Date(i32::MIN), DataType::Date),
        ] {
            assert_eq!(read_back(&mut connection, &value, data_type).await, [None, None]);
        }
        // And a text that is called so is a text.
        let null = CoordinateValue::Text("NULL".to_owned());
        let sent = Some(b"NULL".to_vec());
        assert_eq!(read_back(&mut connection, &null, DataType::String).await, [sent.clone(), sent]);
    }
}
