//! Moments, values of identity dimensions and scopes, as that client writes them.

use datanode_core::Timestamp;
use datanode_core::contract::{Contract, TableKind};
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use datanode_core::query::{Bound, CoordinateRange, TimeRange};
use serde_json::{Map, Value};

use super::error::CompatError;
use super::parameters::flag;

/// A part of a coordinate: dimension and value.
pub(crate) type Partial = Vec<(String, CoordinateValue)>;

/// Which coordinates a request is about. All that are given hold together; what stands in one list are alternatives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scopes {
    /// Dimension → values.
    pub(crate) filters: Option<Vec<(String, Vec<CoordinateValue>)>>,
    /// Partial coordinates.
    pub(crate) coordinates: Option<Vec<Partial>>,
    /// A range of time for each whole coordinate.
    pub(crate) ranges: Option<Vec<CoordinateRange>>,
}

/// The fields of a body in which scopes stand.
pub(crate) const SCOPE_FIELDS: [&str; 3] = ["dimension_filters", "index_coordinates", "dimension_range_map"];

impl Scopes {
    /// Those of a body. Null is the same as nothing.
    pub(crate) fn of(contract: &Contract, body: &Map<String, Value>) -> Result<Self, CompatError> {
        let [filters, coordinates, ranges] =
            SCOPE_FIELDS.map(|field| body.get(field).filter(|value| !value.is_null()));
        Ok(Self {
            filters: filters.map(|value| dimension_filters(contract, value)).transpose()?,
            coordinates: coordinates.map(|value| index_coordinates(contract, value)).transpose()?,
            ranges: ranges.map(|value| range_map(contract, value)).transpose()?,
        })
    }
}

fn dimension_filters(
    contract: &Contract,
    value: &Value,
) -> Result<Vec<(String, Vec<CoordinateValue>)>, CompatError> {
    const FIELD: &str = "dimension_filters";
    let Value::Object(filters) = value else {
        return Err(CompatError::field(FIELD, "it is no object of dimensions and their values"));
    };
    let filter = |(dimension, values): (&String, &Value)| {
        let place = format!("{FIELD}.{dimension}");
        let data_type = dimension_type(contract, &place, dimension)?;
        let values = match values {
            Value::Array(values) => {
                values.iter().map(|value| identity(&place, value, data_type)).collect::<Result<_, _>>()?
            }
            value => vec![identity(&place, value, data_type)?],
        };
        Ok((dimension.clone(), values))
    };
    filters.iter().map(filter).collect()
}

fn index_coordinates(contract: &Contract, value: &Value) -> Result<Vec<Partial>, CompatError> {
    const FIELD: &str = "index_coordinates";
    let Value::Array(coordinates) = value else {
        return Err(CompatError::field(FIELD, "it is no list of coordinates"));
    };
    let coordinate = |(at, value): (usize, &Value)| {
        let place = format!("{FIELD}[{at}]");
        let Value::Object(coordinate) = value else {
            return Err(CompatError::field(place, "it is no object of dimensions and values"));
        };
        partial(contract, &place, coordinate)
    };
    coordinates.iter().enumerate().map(coordinate).collect()
}

fn partial(
    contract: &Contract,
    place: &str,
    coordinate: &Map<String, Value>,
) -> Result<Partial, CompatError> {
    let value = |(dimension, value): (&String, &Value)| {
        let place = format!("{place}.{dimension}");
        let data_type = dimension_type(contract, &place, dimension)?;
        Ok((dimension.clone(), identity(&place, value, data_type)?))
    };
    coordinate.iter().map(value).collect()
}

/// What an entry of a range map may say.
const ENTRY_FIELDS: [&str; 5] =
    ["coordinate", "start_date", "start_date_operand", "end_date", "end_date_operand"];

fn range_map(contract: &Contract, value: &Value) -> Result<Vec<CoordinateRange>, CompatError> {
    const FIELD: &str = "dimension_range_map";
    let Value::Array(entries) = value else {
        return Err(CompatError::field(FIELD, "it is no list of ranges"));
    };
    let entry = |(at, value): (usize, &Value)| {
        let place = format!("{FIELD}[{at}]");
        let Value::Object(entry) = value else {
            return Err(CompatError::field(place, "it is no object"));
        };
        range_entry(contract, &place, entry)
    };
    entries.iter().enumerate().map(entry).collect()
}

fn range_entry(
    contract: &Contract,
    place: &str,
    entry: &Map<String, Value>,
) -> Result<CoordinateRange, CompatError> {
    if let Some(unknown) = entry.keys().find(|key| !ENTRY_FIELDS.contains(&key.as_str())) {
        return Err(CompatError::field(format!("{place}.{unknown}"), "an entry has no such field"));
    }
    let Some(Value::Object(coordinate)) = entry.get("coordinate") else {
        return Err(CompatError::field(
            format!("{place}.coordinate"),
            "it is no object of dimensions and values",
        ));
    };
    let given = partial(contract, &format!("{place}.coordinate"), coordinate)?;
    let whole = contract.key_dimensions().iter().map(|dimension| {
        let value = given.iter().find(|(name, _)| name == dimension).map(|(_, value)| value.clone());
        value.ok_or_else(|| {
            CompatError::field(
                format!("{place}.coordinate"),
                format!("the identity dimension `{dimension}` is missing"),
            )
        })
    });
    let bound = |date: &str, yes: &str, no: &str| {
        let operand = format!("{date}_operand");
        let inclusive = match entry.get(&operand) {
            None | Some(Value::Null) => true,
            Some(Value::String(operand)) if operand == yes => true,
            Some(Value::String(operand)) if operand == no => false,
            Some(_) => {
                return Err(CompatError::field(
                    format!("{place}.{operand}"),
                    format!("it is neither `{yes}` nor `{no}`"),
                ));
            }
        };
        let time = moment(&format!("{place}.{date}"), entry.get(date))?;
        Ok(time.map(|time| Bound { time, inclusive }))
    };
    Ok(CoordinateRange {
        coordinate: Coordinate(whole.collect::<Result<_, _>>()?),
        range: TimeRange { start: bound("start_date", ">=", ">")?, end: bound("end_date", "<=", "<")? },
    })
}

fn dimension_type(contract: &Contract, place: &str, dimension: &str) -> Result<DataType, CompatError> {
    let known = contract.key_dimensions();
    match contract.column(dimension) {
        Some(column) if known.iter().any(|name| name == dimension) => Ok(column.data_type),
        _ => {
            let what = match contract.kind {
                TableKind::TimeIndexed => "identity dimension",
                TableKind::Reference => "primary key column",
            };
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(CompatError::field(place, format!("there is no such {what}; there are {known}")))
        }
    }
}

/// A value of an identity dimension. That client has them from its statistics as texts, whatever their type: what it sends
/// is read as the column's type.
pub(crate) fn identity(
    place: &str,
    value: &Value,
    data_type: DataType,
) -> Result<CoordinateValue, CompatError> {
    let wrong = || {
        let shown: String = value.to_string().chars().take(80).collect();
        CompatError::field(place, format!("{shown} is no {data_type}"))
    };
    let parsed = match (value, data_type) {
        (Value::Null, _) => {
            return Err(CompatError::field(place, "a value of an identity dimension is never null"));
        }
        (Value::String(text), DataType::Bool) => {
            CoordinateValue::Bool(flag(place, text).map_err(|_| wrong())?)
        }
        (Value::Number(number), DataType::Bool) => match number.as_i64() {
            Some(0) => CoordinateValue::Bool(false),
            Some(1) => CoordinateValue::Bool(true),
            _ => return Err(wrong()),
        },
        (Value::Number(number), DataType::Int64 | DataType::Int32 | DataType::Int16) => {
            CoordinateValue::Int(whole(number).ok_or_else(wrong)?)
        }
        (_, DataType::TimestampTz) => {
            CoordinateValue::Timestamp(moment(place, Some(value))?.ok_or_else(wrong)?)
        }
        (Value::String(text), DataType::Date) => date(text).ok_or_else(wrong)?,
        (Value::String(text), DataType::String) => CoordinateValue::Text(text.clone()),
        (Value::String(text), _) => CoordinateValue::parse(text.trim(), data_type).map_err(|_| wrong())?,
        (Value::Number(_) | Value::Bool(_), DataType::String | DataType::Bool) => {
            CoordinateValue::parse(&value.to_string(), data_type).map_err(|_| wrong())?
        }
        _ => return Err(wrong()),
    };
    parsed.check(data_type).map_err(|_| wrong())?;
    Ok(parsed)
}

/// A number without a fraction; `1.0` is one.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        // Below 2^53 every whole number is itself.
        #[allow(clippy::cast_possible_truncation)]
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

/// A day, also where it is written as its midnight.
fn date(text: &str) -> Option<CoordinateValue> {
    let text = text.trim();
    if let Ok(day) = CoordinateValue::parse(text, DataType::Date) {
        return Some(day);
    }
    let micros = time(text).ok()?.micros();
    let days = micros.div_euclid(DAY_MICROS);
    (micros.rem_euclid(DAY_MICROS) == 0).then_some(())?;
    i32::try_from(days).ok().map(CoordinateValue::Date)
}

const DAY_MICROS: i64 = 86_400_000_000;

/// A moment: seconds since 1970, whole or not, or a text; null is none.
pub(crate) fn moment(place: &str, value: Option<&Value>) -> Result<Option<Timestamp>, CompatError> {
    let wrong = |problem: String| CompatError::field(place, problem);
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => time(text).map(Some).map_err(wrong),
        Some(Value::Number(seconds)) => {
            let micros = match seconds.as_i64() {
                Some(seconds) => seconds.checked_mul(1_000_000),
                // Beyond the range of moments either way once it is no longer exact.
                #[allow(clippy::cast_possible_truncation)]
                None => seconds.as_f64().map(|seconds| (seconds * 1e6).round() as i64),
            };
            let micros = micros.ok_or_else(|| wrong(format!("{seconds} s since 1970 is no moment")))?;
            Timestamp::from_micros(micros).map(Some).map_err(|error| wrong(error.to_string()))
        }
        Some(_) => Err(wrong("it is no moment: write RFC 3339, or seconds since 1970".to_owned())),
    }
}

/// A moment as Python writes it: with `T` or a blank, with any offset; one without is of UTC, for the server cannot know
/// where its caller is.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    let trimmed = text.trim();
    let parse = |text: &str| text.parse::<Timestamp>().map_err(|error| error.to_string());
    if !trimmed.is_ascii() || trimmed.len() <= 10 {
        return parse(trimmed);
    }
    let (day, rest) = trimmed.split_at(10);
    let clock = rest.trim_start_matches(['T', 't', ' ']);
    let (clock, offset) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => clock.split_at(at),
        None => (clock, "Z"),
    };
    let offset = match offset.len() {
        3 => format!("{offset}:00"),
        5 if !offset.contains(':') => format!("{}:{}", &offset[..3], &offset[3..]),
        _ => offset.to_owned(),
    };
    parse(&format!("{day}T{}{offset}", clock.trim_end()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contract() -> Contract {
        Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\", \"name\", \"id\"]\ncolumns = [\
             { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"name\", type = \"string\" }, \
             { name = \"id\", type = \"int16\" }, { name = \"value\", type = \"float64\" }]",
        )
        .unwrap()
    }

    fn scopes(body: Value) -> Result<Scopes, CompatError> {
        let Value::Object(body) = body else { unreachable!() };
        Scopes::of(&contract(), &body)
    }

    #[test]
    fn moments_are_read_in_every_form_of_python() {
        let expected = Ok("2026-04-01T00:00:00Z".parse::<Timestamp>().unwrap());
        for text in [
            "2026-04-01",
            "2026-04-01T00:00:00Z",
            "2026-04-01T00:00:00",
            "2026-04-01 00:00:00",
            "2026-04-01T00:00:00+00:00",
            "2026-04-01 02:00:00+02:00",
            "2026-04-01T02:00:00+0200",
            "2026-03-31T22:00:00-02",
            "2026-04-01T00:00:00.000000+00:00",
            " 2026-04-01T00:00:00.000000000Z ",
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
        for text in ["", "soon", "2026-13-01", "2026-04-01T", "2026-04-01T99:00:00Z", "2026-04-01é00:00"] {
            assert!(time(text).is_err(), "{text}");
        }
        let seconds = |value: Value| moment("x", Some(&value));
        assert_eq!(seconds(json!(1_775_001_600)).unwrap(), expected.clone().ok());
        assert_eq!(
            seconds(json!(1_775_001_600.5)).unwrap().unwrap().to_string(),
            "2026-04-01T00:00:00.500000Z"
        );
        assert_eq!(seconds(json!(-1.25)).unwrap().unwrap().to_string(), "1969-12-31T23:59:58.750000Z");
        assert_eq!(seconds(Value::Null), Ok(None));
        assert!(
            seconds(json!(1e300)).is_err() && seconds(json!(true)).is_err() && seconds(json!([])).is_err()
        );
    }

    #[test]
    fn identities_are_read_as_the_type_of_their_column() {
        let read = |value: Value, data_type| identity("x", &value, data_type).ok();
        let day = CoordinateValue::Date(20_544);
        for (value, data_type, expected) in [
            (json!("7"), DataType::Int16, Some(CoordinateValue::Int(7))),
            (json!(7.0), DataType::Int64, Some(CoordinateValue::Int(7))),
            (json!(7.5), DataType::Int64, None),
            (json!("70000"), DataType::Int16, None),
            (json!("True"), DataType::Bool, Some(CoordinateValue::Bool(true))),
            (json!(0), DataType::Bool, Some(CoordinateValue::Bool(false))),
            (json!(true), DataType::Bool, Some(CoordinateValue::Bool(true))),
            (json!("2026-04-01"), DataType::Date, Some(day.clone())),
            (json!("2026-04-01T00:00:00+00:00"), DataType::Date, Some(day)),
            (json!("2026-04-01T01:00:00+00:00"), DataType::Date, None),
            (json!(5), DataType::String, Some(CoordinateValue::Text("5".to_owned()))),
            (Value::Null, DataType::String, None),
            (json!({}), DataType::String, None),
        ] {
            assert_eq!(read(value.clone(), data_type), expected, "{value} {data_type}");
        }
    }

    #[test]
    fn scopes_are_read_and_mistakes_are_named() {
        let read = scopes(json!({
            "dimension_filters": {"name": ["a", "b"], "id": "7"},
            "index_coordinates": [{"id": 7}, {"name": "a"}],
            "dimension_range_map": [{"coordinate": {"name": "a", "id": "7"}, "start_date": 0, "start_date_operand": ">", "end_date": null}],
        }))
        .unwrap();
        assert_eq!(read.filters.unwrap().len(), 2);
        assert_eq!(read.coordinates.unwrap()[0], [("id".to_owned(), CoordinateValue::Int(7))]);
        let range = &read.ranges.unwrap()[0];
        assert_eq!(
            range.range.start,
            Some(Bound { time: Timestamp::from_micros(0).unwrap(), inclusive: false })
        );
        assert_eq!(scopes(json!({"dimension_filters": null})), Ok(Scopes::default()));
        let mut said = String::new();
        for wrong in [
            json!({"dimension_filters": []}),
            json!({"dimension_filters": {"value": [1]}}),
            json!({"dimension_filters": {"id": [null]}}),
            json!({"index_coordinates": {}}),
            json!({"index_coordinates": [1]}),
            json!({"dimension_range_map": [{"start_date": 0}]}),
            json!({"dimension_range_map": [{"coordinate": {"name": "a"}}]}),
            json!({"dimension_range_map": [{"coordinate": {"name": "a", "id": 1}, "start_date": "soon"}]}),
            json!({"dimension_range_map": [{"coordinate": {"name": "a", "id": 1}, "end_date_operand": ">="}]}),
            json!({"dimension_range_map": [{"coordinate": {"name": "a", "id": 1}, "begin": 1}]}),
        ] {
            said += &format!("{wrong}\n  {}\n", scopes(wrong.clone()).unwrap_err());
        }
        insta::assert_snapshot!(said);
    }
}
