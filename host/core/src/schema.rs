//! What values look like that are written as texts, for the JSON Schemas of what callers send: moments, digests, cadences,
//! types, places. Everything else derives its schema from the fields by which it is read.
//!
//! A schema refuses nothing that the value itself takes. It may take more: what only the value can judge, it judges.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Timestamp;
use crate::access::{Right, Rights};
use crate::cadence::Cadence;
use crate::data_type::DataType;
use crate::digest::Digest;
use crate::source::{BaseUrl, Network, PathPattern, Template};

/// Schemas of types by their names.
macro_rules! schemas {
    ($($type:ty, $name:literal: $schema:tt)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schemas! {
    Timestamp, "Moment": {
        "type": "string",
        "description": "A moment: RFC 3339 with an offset, or a date, which is its midnight in UTC.",
        "anyOf": [{"format": "date-time"}, {"format": "date"}],
        "examples": ["2026-01-31T00:00:00Z", "2026-01-31"],
    }
    Digest, "Digest": {
        "type": "string",
        "description": "A SHA-256 digest.",
        "pattern": "^[0-9a-f]{64}$",
    }
    Cadence, "Cadence": {
        "type": "string",
        "description": "A stretch of time: a count, and seconds, minutes, hours, days, weeks, months, quarters or years.",
        "pattern": "^[1-9][0-9]{0,5}(s|m|h|d|w|mo|q|y)$",
        "examples": ["1d", "15m", "3mo"],
    }
    DataType, "DataType": {
        "type": "string",
        "description": "The type of a column.",
        "pattern": "^(float64|float32|int64|int32|int16|bool|string|date|timestamp_tz|uuid|json|bytes|\
                    decimal\\([ 0-9]+,[ 0-9]+\\))$",
        "examples": ["float64", "timestamp_tz", "decimal(18,4)"],
    }
    BaseUrl, "BaseUrl": {
        "type": "string",
        "format": "uri",
        "description": "A place: http or https, without user, password, query and fragment.",
        "pattern": "^[hH][tT][tT][pP][sS]?:",
    }
    Template, "Template": {
        "type": "string",
        "description": "A text with secrets by name: `{secret:NAME}`, or `{basic:USER:NAME}` for a login.",
        "examples": ["Bearer {secret:prices}"],
    }
    PathPattern, "PathPattern": {
        "type": "string",
        "description": "Paths below the place: `*` is some characters of a segment, `**` any number of segments.",
        "examples": ["**", "v1/prices/*"],
    }
    Network, "Network": {
        "type": "string",
        "description": "A network: an address and the length of its prefix.",
        "pattern": "/[0-9]{1,3}$",
        "examples": ["10.1.0.0/16"],
    }
}

impl JsonSchema for Rights {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Rights")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let right = generator.subschema_for::<Right>();
        json_schema!({"type": "array", "items": right, "description": "What a token may be used for."})
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;

    /// A value takes these texts, and so does its schema; neither takes the others.
    fn agree<T: JsonSchema + DeserializeOwned>(good: &[&str], bad: &[&str]) {
        let schema = schemars::schema_for!(T);
        let validator = jsonschema::validator_for(schema.as_value()).unwrap();
        for text in good {
            assert!(serde_json::from_value::<T>(json!(text)).is_ok(), "{text}");
            assert!(validator.is_valid(&json!(text)), "{} refuses {text}", T::schema_name());
        }
        for text in bad {
            assert!(serde_json::from_value::<T>(json!(text)).is_err(), "{text}");
            assert!(!validator.is_valid(&json!(text)), "{} takes {text}", T::schema_name());
        }
    }

    #[test]
    fn schemas_take_what_values_take() {
        agree::<Digest>(&[&"0a".repeat(32)], &["", "0A", &"0".repeat(63), &"0A".repeat(32)]);
        agree::<Cadence>(
            &["1d", "15m", "100000s", "3mo", "1q", "2y", "1w", "6h"],
            &["", "d", "0d", "1D", "01d"],
        );
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
            DataType::Decimal { precision: 38, scale: 9 },
            DataType::Bytes,
        ];
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        let types: Vec<&str> = types.iter().map(String::as_str).collect();
        agree::<DataType>(&types, &["", "float", "decimal", "decimal(1)", "Bool"]);
        agree::<DataType>(&["decimal(18, 4)"], &[]);
        agree::<BaseUrl>(&["https://example.com", "http://127.0.0.1:8080/a/"], &["", "ftp://example.com/"]);
        agree::<Network>(&["10.1.0.0/16", "::1/128"], &["", "10.1.0.0"]);
        agree::<Template>(&["", "Bearer {secret:prices}", "{basic:me:login}"], &[]);
        agree::<PathPattern>(&["**", "v1/prices/*", "v1/a.csv"], &[]);
        agree::<Timestamp>(&["2026-01-31", "2026-01-31T01:02:03.5+02:00"], &[]);
    }

    #[test]
    fn rights_are_words_that_there_are() {
        let schema = schemars::schema_for!(Rights);
        let validator = jsonschema::validator_for(schema.as_value()).unwrap();
        assert!(validator.is_valid(&json!(Rights::all())));
        assert!(!validator.is_valid(&json!(["everything"])));
    }
}
