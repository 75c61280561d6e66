//! The glue between a [`DataNode`] and the component's imports and exports. Authors meet only [`export!`](crate::export!).

use std::marker::PhantomData;
use std::panic;
use std::rc::Rc;
use std::sync::Once;

use crate::bindings::datanode::node::{frames, options, sources, types};
use crate::bindings::exports::datanode::node::node as exported;
use crate::host::{Host, Messages, RawResponse};
use crate::log::Level;
use crate::sources::{BodySource, Request};
use crate::{
    Bound, Context, Coordinate, CoordinateValue, DataNode, Dependency, HostError, NodeError, Query, Target,
    TimeRange, Timestamp, Unlisted, UpdateStatistics, Window, config_schema,
};

/// Make the crate (a `cdylib`) a component of this node. Natively it only checks the type.
///
/// With `docs`, a text of at most 16 KiB that is known at compile time is stamped into the component: method, caveats, words
/// that people search for. Hosts let searches find the tables by it that the component writes.
///
/// ```ignore
/// datanode_sdk::export!(MyNode, docs = include_str!("../README.md"));
/// ```
///
/// See the [crate's page](crate) for an example.
#[macro_export]
macro_rules! export {
    ($node:ty, docs = $docs:expr $(,)?) => {
        $crate::export!($node);
        const _: () = {
            const DOCS: &str = $docs;
            ::core::assert!(
                DOCS.len() <= $crate::export::MAX_DOCS_BYTES,
                "the documentation is longer than 16 KiB"
            );
            #[cfg(target_arch = "wasm32")]
            #[unsafe(link_section = "datanode:docs")]
            #[used]
            static STAMP: [u8; DOCS.len()] = $crate::export::stamp(DOCS);
        };
    };
    ($node:ty) => {
        const _: &str = <$node as $crate::DataNode>::NAME;
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Component = $crate::export::Component<$node>;
    $crate::bindings::__export_data_node!(Component with_types_in $crate::bindings);
        };
    };
}

/// The longest documentation that a host reads.
pub const MAX_DOCS_BYTES: usize = 16 * 1024;

/// The bytes of a text, by value: what a custom section holds must have no address.
pub const fn stamp<const LENGTH: usize>(docs: &str) -> [u8; LENGTH] {
    let (docs, mut bytes, mut place) = (docs.as_bytes(), [0; LENGTH], 0);
    while place < LENGTH && place < docs.len() {
        bytes[place] = docs[place];
        place += 1;
    }
    bytes
}

/// What the exports call.
pub struct Component<T>(PhantomData<T>);

impl<T: DataNode> exported::Guest for Component<T> {
    fn config() -> exported::ComponentConfig {
        report_panics();
        let output = T::output();
        let column = |column: crate::Column| exported::OutputColumn {
            name: column.name,
            data_type: column.data_type.to_string(),
            nullable: column.nullable,
            description: column.description,
        };
        let source = |source: crate::Source| exported::SourceDeclaration {
            name: source.name,
            description: source.description,
            required: source.required,
        };
        exported::ComponentConfig {
            name: T::NAME.to_owned(),
            version: T::VERSION.to_owned(),
            description: T::DESCRIPTION.to_owned(),
            config_schema: config_schema::<T::Config>().to_string(),
            default_offset_start: T::default_offset_start().map(Timestamp::micros),
            sources: T::sources().into_iter().map(source).collect(),
            index: output.index,
            columns: output.columns.into_iter().map(column).collect(),
        }
    }

    fn dependencies(config: String) -> Result<Vec<exported::Dependency>, types::NodeError> {
        report_panics();
        let dependencies = parse_config::<T>(&config).and_then(|config| T::dependencies(&config))?;
        Ok(dependencies.into_iter().map(Into::into).collect())
    }

    fn update(config: String, context: types::UpdateContext) -> Result<(), types::NodeError> {
        report_panics();
        let config = parse_config::<T>(&config)?;
        let window = Window {
            start: context.window.start.map(Timestamp::from_micros),
            end: Timestamp::from_micros(context.window.end),
        };
        let mut context = Context::new(
            Rc::new(Imports),
            context.statistics.into(),
            window,
            context.is_backfill,
            T::output(),
        );
        Ok(T::update(&config, &mut context)?)
    }
}

/// The config as its type. The host has checked it against the schema, so an error here is a schema that says too little.
pub(crate) fn parse_config<T: DataNode>(config: &str) -> Result<T::Config, NodeError> {
    serde_json::from_str(config).map_err(|error| NodeError::new("config.invalid", error.to_string()))
}

/// A panic is a bare trap by the time the host sees it: log its message and place before that.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let message = info.payload_as_str().unwrap_or("a panic without a text");
            let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
            crate::log::write(Level::Error, &format!("panic: {message}"), &[("location", &place)]);
        }));
    });
}

/// The host of a component: its imports.
struct Imports;

impl Host for Imports {
    fn open(&self, key: &str, query: Query) -> Result<Box<dyn Messages>, HostError> {
        let reader = frames::open(key, &query.into())?;
        Ok(Box::new(reader))
    }

    fn emit(&self, message: &[u8]) {
        frames::emit(message);
    }

    fn fetch(&self, request: Request) -> Result<RawResponse, HostError> {
        let response = sources::fetch(&request.into())?;
        let headers = response.headers.into_iter().map(|field| (field.name, field.value)).collect();
        Ok(RawResponse { status: response.status, headers, body: Box::new(response.body) })
    }

    fn option(&self, name: &str) -> Option<String> {
        options::get(name)
    }
}

impl Messages for frames::FrameReader {
    fn schema(&mut self) -> Vec<u8> {
        frames::FrameReader::schema(self)
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        frames::FrameReader::next(self)
    }
}

impl BodySource for sources::Body {
    fn read(&mut self, max: u32) -> Option<Vec<u8>> {
        sources::Body::read(self, max)
    }
}

#[cfg(target_arch = "wasm32")]
pub(crate) fn write_log(level: Level, message: &str, fields: Vec<(String, String)>) {
    use crate::bindings::datanode::node::log;
    let level = match level {
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::write(level, message, &to_fields(fields));
}

fn to_fields(fields: Vec<(String, String)>) -> Vec<types::Field> {
    fields.into_iter().map(|(name, value)| types::Field { name, value }).collect()
}

fn to_coordinate(coordinate: Coordinate) -> types::Coordinate {
    coordinate.into_iter().map(Into::into).collect()
}

impl From<NodeError> for types::NodeError {
    fn from(error: NodeError) -> Self {
        Self {
            kind: error.kind,
            message: error.message,
            fields: to_fields(error.fields),
            traceback: error.traceback,
        }
    }
}

impl From<types::HostError> for HostError {
    fn from(error: types::HostError) -> Self {
        Self { code: error.code, message: error.message }
    }
}

impl From<types::UpdateStatistics> for UpdateStatistics {
    fn from(given: types::UpdateStatistics) -> Self {
        given.progress.into_iter().fold(Self::new(given.index_names), |known, leaf| {
            known.with(leaf.coordinate, Timestamp::from_micros(leaf.min), Timestamp::from_micros(leaf.max))
        })
    }
}

impl From<types::CoordinateValue> for CoordinateValue {
    fn from(value: types::CoordinateValue) -> Self {
        match value {
            types::CoordinateValue::Text(text) => Self::Text(text),
            types::CoordinateValue::S64(number) => Self::S64(number),
            types::CoordinateValue::Bool(truth) => Self::Bool(truth),
            types::CoordinateValue::Date(days) => Self::Date(days),
            types::CoordinateValue::Timestamp(micros) => Self::Timestamp(Timestamp::from_micros(micros)),
            types::CoordinateValue::Uuid(text) => Self::Uuid(text),
        }
    }
}

impl From<CoordinateValue> for types::CoordinateValue {
    fn from(value: CoordinateValue) -> Self {
        match value {
            CoordinateValue::Text(text) => Self::Text(text),
            CoordinateValue::S64(number) => Self::S64(number),
            CoordinateValue::Bool(truth) => Self::Bool(truth),
            CoordinateValue::Date(days) => Self::Date(days),
            CoordinateValue::Timestamp(time) => Self::Timestamp(time.micros()),
            CoordinateValue::Uuid(text) => Self::Uuid(text),
        }
    }
}

impl From<Dependency> for exported::Dependency {
    fn from(dependency: Dependency) -> Self {
        let target = match dependency.target {
            Target::Table(table) => exported::DependencyTarget::Table(table.to_string()),
            Target::Node { component, config, table } => {
                exported::DependencyTarget::Node(exported::NodeDependency {
                    component,
                    config: config.to_string(),
                    table: table.to_string(),
                })
            }
        };
        Self { key: dependency.key, target }
    }
}

impl From<Request> for sources::Request {
    fn from(request: Request) -> Self {
        Self {
            source: request.source,
            method: request.method,
            path: request.path,
            query: to_fields(request.query),
            headers: to_fields(request.headers),
            body: request.body,
            range: request.range.map(|(offset, length)| sources::ByteRange { offset, length }),
        }
    }
}

impl From<TimeRange> for frames::TimeRange {
    fn from(range: TimeRange) -> Self {
        let bound = |bound: Bound| frames::Bound { time: bound.time.micros(), inclusive: bound.inclusive };
        Self { start: range.start.map(bound), end: range.end.map(bound) }
    }
}

impl From<Query> for frames::Query {
    fn from(query: Query) -> Self {
        let filter = |(dimension, values): (String, Coordinate)| frames::DimensionFilter {
            dimension,
            values: to_coordinate(values),
        };
        let part = |(dimension, value): (String, CoordinateValue)| frames::DimensionValue {
            dimension,
            value: value.into(),
        };
        let map = |map: crate::RangeMap| frames::RangeMap {
            entries: map
                .entries
                .into_iter()
                .map(|entry| frames::CoordinateRange {
                    coordinate: to_coordinate(entry.coordinate),
                    range: entry.range.into(),
                })
                .collect(),
            unlisted: match map.unlisted {
                Unlisted::Exclude => frames::Unlisted::Exclude,
                Unlisted::Include => frames::Unlisted::Include,
            },
        };
        Self {
            range: query.range.into(),
            columns: query.columns,
            dimension_filters: query.dimension_filters.into_iter().map(filter).collect(),
            index_coordinates: query
                .index_coordinates
                .into_iter()
                .map(|parts| parts.into_iter().map(part).collect())
                .collect(),
            range_map: query.range_map.map(map),
        }
    }
}
