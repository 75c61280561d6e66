//! One run of a node in a test.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::rc::Rc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use serde_json::{Value, json};

use super::identity::{Namespace, guest_document};
use super::stub::{Encoded, Read, Record, StubHost, World};
use super::{LogLine, Table, recording, table};
use crate::export::parse_config;
use crate::frames::Frames;
use crate::host::Host;
use crate::sources::Request;
use crate::{Context, DataNode, NodeError, Timestamp, UpdateStatistics, Window, config_schema};

/// The reserved key of a node's own output table.
const SELF: &str = "self";

/// Builds one run. See the [module's example](super).
pub struct Harness<T> {
    pub(super) config: Value,
    pub(super) namespace: Namespace,
    /// Table references and the uids that they are hashed by.
    pub(super) table_uids: BTreeMap<String, String>,
    world: World,
    statistics: Option<UpdateStatistics>,
    pub(super) window: Window,
    is_backfill: bool,
    node: PhantomData<T>,
}

/// What a run did.
#[derive(Debug)]
pub struct Run {
    /// What `update` returned, or why the host would refuse its rows.
    pub result: Result<(), NodeError>,
    /// The emitted batches, as decoded from the messages.
    pub batches: Vec<RecordBatch>,
    /// The emitted messages, schema first.
    pub messages: Vec<Vec<u8>>,
    /// What was logged.
    pub logs: Vec<LogLine>,
    /// The reads, in order.
    pub reads: Vec<Read>,
    /// The questions to sources, in order.
    pub fetches: Vec<Request>,
}

impl<T> Clone for Harness<T> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            namespace: self.namespace.clone(),
            table_uids: self.table_uids.clone(),
            world: self.world.clone(),
            statistics: self.statistics.clone(),
            window: self.window,
            is_backfill: self.is_backfill,
            node: PhantomData,
        }
    }
}

impl<T: DataNode> Default for Harness<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: DataNode> Harness<T> {
    /// An empty config, an empty output table, and a window over all time.
    pub fn new() -> Self {
        Self {
            config: json!({}),
            namespace: Namespace::default(),
            table_uids: BTreeMap::new(),
            world: World::default(),
            statistics: None,
            window: Window { start: None, end: Timestamp::from_micros(i64::MAX) },
            is_backfill: false,
            node: PhantomData,
        }
    }

    /// The config, as JSON. `offset_start` is kept from a node that does not declare it, as the host does.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// The table of a declared dependency.
    #[must_use]
    pub fn dependency(mut self, key: impl Into<String>, table: Table) -> Self {
        self.world.tables.insert(key.into(), table);
        self
    }

    /// What the output table already holds: the statistics follow from it, and `self` reads it.
    #[must_use]
    pub fn output(self, table: Table) -> Self {
        self.dependency(SELF, table)
    }

    /// Statistics other than those of [`output`](Self::output).
    #[must_use]
    pub fn statistics(mut self, statistics: UpdateStatistics) -> Self {
        self.statistics = Some(statistics);
        self
    }

    /// A file of a declared source. Any other path answers 404.
    #[must_use]
    pub fn file(
        mut self,
        source: impl Into<String>,
        path: impl Into<String>,
        bytes: impl AsRef<[u8]>,
    ) -> Self {
        self.world.files.insert((source.into(), path.into()), bytes.as_ref().into());
        self
    }

    /// A runtime option.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: Value) -> Self {
        self.world.options.insert(name.into(), value);
        self
    }

    /// What the run may cover, both ends inclusive, as dates or RFC 3339.
    ///
    /// # Panics
    ///
    /// When a text is neither.
    #[must_use]
    pub fn window<'a>(mut self, start: impl Into<Option<&'a str>>, end: &str) -> Self {
        let parse = |text: &str| text.parse().unwrap_or_else(|error| panic!("{error}"));
        self.window = Window { start: start.into().map(parse), end: parse(end) };
        self
    }

    /// Make it a backfill.
    #[must_use]
    pub fn backfill(mut self) -> Self {
        self.is_backfill = true;
        self
    }

    /// Run `dependencies` and `update`.
    pub fn run(self) -> Run {
        let window = self.window;
        let ((result, record), logs) = recording(|| self.update());
        let Record { messages, reads, fetches } = record;
        let (batches, result) = match result.and_then(|()| decode(messages.clone())) {
            Ok(batches) => {
                let verdict = refuse_rows(&batches, &T::output().index, window);
                (batches, verdict)
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        Run { result, batches, messages, logs, reads, fetches }
    }

    pub(super) fn parsed_config(&self) -> Result<T::Config, NodeError> {
        let (schema, config) = (config_schema::<T::Config>(), self.config.clone());
        parse_config::<T>(&guest_document(&schema, config, T::default_offset_start()).to_string())
    }

    fn update(self) -> (Result<(), NodeError>, Record) {
        let prepared = self
            .parsed_config()
            .and_then(|config| T::dependencies(&config).map(|dependencies| (config, dependencies)));
        let (config, dependencies) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return (Err(error), Record::default()),
        };
        let output = T::output();
        let statistics = self
            .statistics
            .or_else(|| self.world.tables.get(SELF).map(Table::statistics))
            .unwrap_or_else(|| UpdateStatistics::new(output.index.clone()));
        let own = SELF.to_owned();
        let host = Rc::new(StubHost {
            keys: dependencies.into_iter().map(|dependency| dependency.key).chain([own]).collect(),
            sources: T::sources().into_iter().map(|source| source.name).collect(),
            world: self.world,
            record: RefCell::default(),
        });
        let mut context =
            Context::new(Rc::clone(&host) as Rc<_>, statistics, self.window, self.is_backfill, output);
        let result = T::update(&config, &mut context);
        (result, host.record.take())
    }
}

impl Run {
    /// This run, which must have succeeded.
    ///
    /// # Panics
    ///
    /// When it failed.
    #[must_use]
    pub fn ok(self) -> Self {
        if let Err(error) = &self.result {
            panic!("the run failed: {error} at {}", error.traceback.as_deref().unwrap_or("an unknown place"));
        }
        self
    }

    /// The error of this run, which must have failed.
    ///
    /// # Panics
    ///
    /// When it succeeded.
    pub fn error(self) -> NodeError {
        match self.result {
            Err(error) => error,
            Ok(()) => panic!(
                "the run succeeded with {} rows",
                self.batches.iter().map(RecordBatch::num_rows).sum::<usize>()
            ),
        }
    }

    /// Rows emitted.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// All rows in one batch, None when nothing was emitted.
    ///
    /// # Panics
    ///
    /// Never: a frame has one schema.
    pub fn frame(&self) -> Option<RecordBatch> {
        let schema = self.batches.first()?.schema();
        Some(concat_batches(&schema, &self.batches).unwrap_or_else(|error| panic!("{error}")))
    }
}

/// Call `update` alone, answered by a host of the caller, on an empty table and over all time: for measurements, which a
/// [`Harness`] would disturb by what it checks.
#[doc(hidden)]
pub fn update_on<T: DataNode>(host: Rc<dyn Host>, config: &str) -> Result<(), NodeError> {
    let config = parse_config::<T>(config)?;
    let output = T::output();
    let statistics = UpdateStatistics::new(output.index.clone());
    let window = Window { start: None, end: Timestamp::from_micros(i64::MAX) };
    T::update(&config, &mut Context::new(host, statistics, window, false, output))
}

fn decode(messages: Vec<Vec<u8>>) -> Result<Vec<RecordBatch>, NodeError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    Frames::new("output", Box::new(Encoded(messages.into_iter())))?.collect()
}

/// The host's rules that a unit test is most likely to break.
fn refuse_rows(batches: &[RecordBatch], index: &[String], window: Window) -> Result<(), NodeError> {
    let mut seen = BTreeSet::new();
    for batch in batches.iter().filter(|_| !index.is_empty()) {
        for (row, key) in table::keys(batch, index)?.into_iter().enumerate() {
            if key.0 > window.end {
                let problem = format!("row at {} after the window's end {}", key.0, window.end);
                return Err(NodeError::new("frame.after_window", problem).field("row", row));
            }
            if let Some((time, coordinate)) = seen.replace(key) {
                let problem = format!("two rows at {time} for {coordinate:?}");
                return Err(NodeError::new("frame.duplicate_key", problem).field("row", row));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chrono;
    use crate::prelude::*;

    /// Does what its config says, wrong things too.
    struct Node;

    /// Which thing.
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Config {
        /// Its name.
        does: String,
    }

    impl DataNode for Node {
        type Config = Config;
        const NAME: &str = "node";
        const VERSION: &str = "0.1.0";
        const DESCRIPTION: &str = "A test.";

        fn output() -> Output {
            Output::new(["time_index"]).column("time_index", DataType::TimestampTz, "Time.")
        }

        fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
            let end = context.window().end;
            let times = match config.does.as_str() {
                "future" => vec![end + chrono::TimeDelta::microseconds(1)],
                "twice" => vec![end, end],
                "reads" => return context.read("other", Query::new()).map(|_| ()),
                "fetches" => {
                    return context.fetch(Request::get("other", "file")).map(|_| ()).map_err(Into::into);
                }
                "options" => vec![end; context.option::<usize>("rows")?.unwrap_or(0)],
                _ => vec![],
            };
            context.emit(&FrameBuilder::new().timestamps("time_index", times).build()?)
        }
    }

    fn node(does: &str) -> Harness<Node> {
        Harness::new().config(json!({ "does": does })).window(None, "2020-01-01")
    }

    #[test]
    fn what_the_host_refuses_is_refused() {
        for (does, kind) in [
            ("future", "frame.after_window"),
            ("twice", "frame.duplicate_key"),
            ("reads", "frames.unknown_key"),
            ("fetches", "source.not_declared"),
        ] {
            assert_eq!(node(does).run().error().kind, kind);
        }
        assert_eq!(Harness::<Node>::new().run().error().kind, "config.invalid");
    }

    #[test]
    fn options_are_json() {
        assert_eq!(node("options").run().ok().rows(), 0);
        assert_eq!(node("options").option("rows", json!(1)).run().ok().rows(), 1);
        assert_eq!(node("options").option("rows", json!("x")).run().error().kind, "option.invalid");
    }
}
