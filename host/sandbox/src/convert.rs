//! Between the types of the guest contract and those of `core`. Everything that comes from a guest is checked here.

use datanode_core::Timestamp;
use datanode_core::component::{Manifest, OutputColumn, SourceDeclaration};
use datanode_core::config::MAX_SCHEMA_BYTES;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::dependency::{Dependency, DependencyTarget};
use datanode_core::guest_failure::{AuthorError, Field};
use datanode_core::progress::Progress;
use datanode_core::query::{Bound, CoordinateRange, RangeMap, ReadQuery, TimeRange};
use datanode_core::timestamp::TimestampError;
use semver::Version;
use uuid::Uuid;

use crate::bindings::datanode::node::{frames, types};
use crate::bindings::exports::datanode::node::node;
use crate::calls::LogLevel;

/// Fields kept of an author's error.
const MAX_ERROR_FIELDS: usize = 32;
/// Characters kept of its message and of its traceback.
const MAX_ERROR_TEXT: usize = 8_192;
/// Characters kept of the value of a field.
const MAX_ERROR_VALUE: usize = 1_024;

/// A sentence about an answer or argument of a guest that makes no sense.
pub(crate) type Problem = String;

pub(crate) fn manifest(config: node::ComponentConfig) -> Result<Manifest, Problem> {
    if config.config_schema.len() > MAX_SCHEMA_BYTES {
        return Err(format!("the config schema is larger than {MAX_SCHEMA_BYTES} bytes"));
    }
    Ok(Manifest {
        version: Version::parse(&config.version)
            .map_err(|error| format!("version `{}` is not SemVer: {error}", shorten(&config.version)))?,
        config_schema: serde_json::from_str(&config.config_schema)
            .map_err(|error| format!("the config schema is not JSON: {error}"))?,
        default_offset_start: config.default_offset_start.map(timestamp).transpose()?,
        sources: config
            .sources
            .into_iter()
            .map(|source| SourceDeclaration {
                name: source.name,
                description: source.description,
                required: source.required,
            })
            .collect(),
        index: config.index,
        columns: config
            .columns
            .into_iter()
            .map(|column| {
                Ok(OutputColumn {
                    data_type: column.data_type.parse()?,
                    name: column.name,
                    nullable: column.nullable,
                    description: column.description,
                })
            })
            .collect::<Result<_, Problem>>()?,
        name: config.name,
        description: config.description,
    })
}

pub(crate) fn dependency(dependency: node::Dependency) -> Dependency {
    let target = match dependency.target {
        node::DependencyTarget::Table(table) => DependencyTarget::Table(table),
        node::DependencyTarget::Node(inner) => {
            DependencyTarget::Node { component: inner.component, config: inner.config, table: inner.table }
        }
    };
    Dependency { key: dependency.key, target }
}

pub(crate) fn author_error(error: types::NodeError) -> AuthorError {
    // Kept in the run's record, so bounded here whatever the guest wrote.
    let fields = error.fields.into_iter().take(MAX_ERROR_FIELDS);
    AuthorError {
        kind: shorten(&error.kind),
        message: cut(&error.message, MAX_ERROR_TEXT),
        fields: fields
            .map(|field| Field { name: shorten(&field.name), value: cut(&field.value, MAX_ERROR_VALUE) })
            .collect(),
        traceback: error.traceback.map(|text| cut(&text, MAX_ERROR_TEXT)),
    }
}

pub(crate) fn fields(fields: Vec<types::Field>) -> Vec<(String, String)> {
    fields.into_iter().map(|field| (field.name, field.value)).collect()
}

pub(crate) fn to_fields(fields: Vec<(String, String)>) -> Vec<types::Field> {
    fields.into_iter().map(|(name, value)| types::Field { name, value }).collect()
}

pub(crate) fn log_level(level: crate::bindings::datanode::node::log::Level) -> LogLevel {
    use crate::bindings::datanode::node::log::Level;
    match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    }
}

pub(crate) fn query(query: frames::Query) -> Result<ReadQuery, Problem> {
    Ok(ReadQuery {
        range: time_range(query.range)?,
        columns: query.columns,
        dimension_filters: query
            .dimension_filters
            .into_iter()
            .map(|filter| Ok((filter.dimension, values(filter.values)?)))
            .collect::<Result<_, Problem>>()?,
        index_coordinates: query
            .index_coordinates
            .into_iter()
            .map(|partial| {
                partial
                    .into_iter()
                    .map(|value| Ok((value.dimension, coordinate_value(value.value)?)))
                    .collect()
            })
            .collect::<Result<_, Problem>>()?,
        range_map: query.range_map.map(range_map).transpose()?,
        limit: None,
    })
}

fn range_map(map: frames::RangeMap) -> Result<RangeMap, Problem> {
    let entries = map.entries.into_iter().map(|entry| {
        Ok(CoordinateRange {
            coordinate: Coordinate(values(entry.coordinate)?),
            range: time_range(entry.range)?,
        })
    });
    Ok(RangeMap {
        entries: entries.collect::<Result<_, Problem>>()?,
        include_unlisted: map.unlisted == frames::Unlisted::Include,
    })
}

fn time_range(range: frames::TimeRange) -> Result<TimeRange, Problem> {
    let bound = |bound: frames::Bound| {
        Ok::<_, Problem>(Bound { time: timestamp(bound.time)?, inclusive: bound.inclusive })
    };
    Ok(TimeRange { start: range.start.map(bound).transpose()?, end: range.end.map(bound).transpose()? })
}

fn values(values: Vec<types::CoordinateValue>) -> Result<Vec<CoordinateValue>, Problem> {
    values.into_iter().map(coordinate_value).collect()
}

fn coordinate_value(value: types::CoordinateValue) -> Result<CoordinateValue, Problem> {
    Ok(match value {
        types::CoordinateValue::Text(text) => CoordinateValue::Text(text),
        types::CoordinateValue::S64(number) => CoordinateValue::Int(number),
        types::CoordinateValue::Bool(value) => CoordinateValue::Bool(value),
        types::CoordinateValue::Date(days) => CoordinateValue::Date(days),
        types::CoordinateValue::Timestamp(micros) => CoordinateValue::Timestamp(timestamp(micros)?),
        types::CoordinateValue::Uuid(text) => CoordinateValue::Uuid(
            Uuid::parse_str(&text).map_err(|_| format!("`{}` is not a UUID", shorten(&text)))?,
        ),
    })
}

fn timestamp(micros: i64) -> Result<Timestamp, Problem> {
    Timestamp::from_micros(micros).map_err(|error: TimestampError| error.to_string())
}

fn shorten(text: &str) -> String {
    cut(text, 80)
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

pub(crate) fn progress(progress: &Progress) -> Vec<types::CoordinateProgress> {
    progress
        .iter()
        .map(|(coordinate, held)| types::CoordinateProgress {
            coordinate: coordinate.0.iter().map(to_coordinate_value).collect(),
            min: held.min.micros(),
            max: held.max.micros(),
        })
        .collect()
}

fn to_coordinate_value(value: &CoordinateValue) -> types::CoordinateValue {
    match value {
        CoordinateValue::Text(text) => types::CoordinateValue::Text(text.clone()),
        CoordinateValue::Int(number) => types::CoordinateValue::S64(*number),
        CoordinateValue::Bool(value) => types::CoordinateValue::Bool(*value),
        CoordinateValue::Date(days) => types::CoordinateValue::Date(*days),
        CoordinateValue::Timestamp(time) => types::CoordinateValue::Timestamp(time.micros()),
        CoordinateValue::Uuid(uuid) => types::CoordinateValue::Uuid(uuid.to_string()),
    }
}
