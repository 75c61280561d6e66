//! A node on the engine of the host, with one setting of determinism less, answered from memory.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use datanode_rewrite::Nan;
use datanode_sandbox::engine::{self, Allocation, FUEL_SLICE};
use datanode_sandbox::{Cell, Limits, Optimisation, Processor};
use wasmtime::component::{Component, Linker, Resource, ResourceType, WasmList};
use wasmtime::{Engine, Store, StoreContextMut};

use super::inputs::Inputs;
use crate::measure::time;
use crate::raw::Reader;
use crate::raw::bindings::datanode::node::{frames, log, sources, types};
use crate::raw::bindings::{DataNode, DataNodePre};

/// Settings of the engine.
pub(crate) struct Settings {
    pub(crate) name: &'static str,
    fuel: bool,
    epoch: bool,
    nan: Canonical,
    processor: Processor,
}

/// Where NaN is made canonical.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Canonical {
    /// Where its bits can be seen: the component is rewritten.
    Seen,
    /// Behind each operation, by the engine.
    Computed,
    Nowhere,
}

/// Those of the host.
const HOST: Settings = Settings {
    name: "as nodes run",
    fuel: true,
    epoch: false,
    nan: Canonical::Seen,
    processor: Processor::Baseline,
};

/// Those of the host, one of them less, and neither; then what might be there instead.
pub(crate) const SETTINGS: [Settings; 7] = [
    HOST,
    Settings { name: "without canonical NaN", nan: Canonical::Nowhere, ..HOST },
    Settings { name: "without fuel", fuel: false, ..HOST },
    Settings { name: "without both", fuel: false, nan: Canonical::Nowhere, ..HOST },
    Settings { name: "with NaN canonical behind each operation", nan: Canonical::Computed, ..HOST },
    Settings { name: "with an epoch beside fuel", epoch: true, ..HOST },
    Settings { name: "by newer instructions", processor: Processor::Newer, ..HOST },
];

impl Settings {
    /// The cell of the matrix, and why this machine has none.
    fn cell(&self) -> (Cell, Option<&'static str>) {
        let is_this = |cell: &Cell| {
            let Cell { optimisation, allocation, processor, .. } = *cell;
            let compiled = (optimisation, allocation) == (Optimisation::Speed, Allocation::Pooling);
            compiled && processor == self.processor
        };
        let cell = Cell::all().into_iter().find(is_this).unwrap();
        (cell, cell.missing())
    }
}

pub(crate) struct Sandboxed {
    engine: Engine,
    pre: DataNodePre<Answers>,
    inputs: Arc<Inputs>,
    fuel: bool,
    epoch: bool,
}

/// Answers one call.
struct Answers {
    inputs: Arc<Inputs>,
    /// Per opened frame its next message.
    frames: Vec<usize>,
    /// Per body the bytes that were read.
    bodies: Vec<usize>,
    /// What was emitted, where it is wanted.
    emitted: Option<Vec<Vec<u8>>>,
}

impl Answers {
    fn message(&mut self, reader: u32) -> Option<Bytes> {
        let number = reader as usize;
        let next = &mut self.frames[number];
        let message = self.inputs.frames[number % self.inputs.frames.len()].get(*next)?;
        *next += 1;
        // The guest copies it once, as the native program does.
        Some(message.clone())
    }
}

type Calling<'a> = StoreContextMut<'a, Answers>;

impl Sandboxed {
    /// None where this machine cannot.
    pub(crate) fn new(settings: &Settings, component: &[u8], inputs: Arc<Inputs>) -> Option<Self> {
        let Settings { fuel, epoch, nan, .. } = *settings;
        let (cell, missing) = settings.cell();
        if missing.is_some() {
            return None;
        }
        let mut config = engine::config_in(cell, &Limits::default()).unwrap();
        config.consume_fuel(fuel).epoch_interruption(epoch);
        config.cranelift_nan_canonicalization(nan == Canonical::Computed);
        let engine = Engine::new(&config).unwrap();
        // As it was given, but for its debug information, where it makes nothing canonical.
        let kept = if nan == Canonical::Seen { Nan::Canonical } else { Nan::Left };
        let rewritten = datanode_rewrite::component(component, kept).unwrap();
        let component = Component::new(&engine, &rewritten.bytes).unwrap();
        let pre = linker(&engine).instantiate_pre(&component).and_then(DataNodePre::new).unwrap();
        Some(Self { engine, pre, inputs, fuel, epoch })
    }

    /// One call of `update`, its instance included.
    pub(crate) fn update(&self) -> Duration {
        time(|| drop(self.call(None)))
    }

    /// The messages that it emits.
    pub(crate) fn emitted(&self) -> Vec<Vec<u8>> {
        self.call(Some(Vec::new())).emitted.unwrap_or_default()
    }

    fn call(&self, emitted: Option<Vec<Vec<u8>>>) -> Answers {
        let answers =
            Answers { inputs: Arc::clone(&self.inputs), frames: Vec::new(), bodies: Vec::new(), emitted };
        let mut store = Store::new(&self.engine, answers);
        if self.fuel {
            store.fuel_async_yield_interval(Some(FUEL_SLICE)).unwrap();
            store.set_fuel(u64::MAX).unwrap();
        }
        if self.epoch {
            store.set_epoch_deadline(u64::MAX);
        }
        store.set_hostcall_fuel(usize::MAX);
        let context = types::UpdateContext {
            statistics: types::UpdateStatistics {
                index_names: self.inputs.index.clone(),
                min_time: None,
                max_time: None,
                progress: Vec::new(),
            },
            window: types::Window { start: None, end: i64::MAX },
            is_backfill: false,
        };
        // As nodes are called (`supervise.rs` of the sandbox), but for the look whether they must end.
        let (result,) = in_slices(async {
            let instance: DataNode = self.pre.instantiate_async(&mut store).await.unwrap();
            let update = instance.datanode_node_node().func_update();
            update.call_async(&mut store, (&self.inputs.config, &context)).await.unwrap()
        });
        result.unwrap_or_else(|error| panic!("{}", error.message));
        store.into_data()
    }
}

fn in_slices<T>(guest: impl Future<Output = T>) -> T {
    let mut guest = pin!(guest);
    loop {
        if let Poll::Ready(outcome) = guest.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return outcome;
        }
    }
}

fn linker(engine: &Engine) -> Linker<Answers> {
    let mut linker = Linker::new(engine);
    let mut frames = linker.instance("datanode:node/frames@0.1.0").unwrap();
    frames.resource("frame-reader", ResourceType::host::<Reader>(), |_, _| Ok(())).unwrap();
    frames
        .func_wrap("open", |mut store: Calling<'_>, (_, _): (String, frames::Query)| {
            let opened = &mut store.data_mut().frames;
            opened.push(0);
            let number = u32::try_from(opened.len() - 1).unwrap_or(u32::MAX);
            Ok((Ok::<_, types::HostError>(Resource::<Reader>::new_own(number)),))
        })
        .unwrap();
    frames
        .func_wrap("[method]frame-reader.schema", |mut store: Calling<'_>, (reader,): (Resource<Reader>,)| {
            Ok((store.data_mut().message(reader.rep()).unwrap_or_default(),))
        })
        .unwrap();
    frames
        .func_wrap("[method]frame-reader.next", |mut store: Calling<'_>, (reader,): (Resource<Reader>,)| {
            Ok((store.data_mut().message(reader.rep()),))
        })
        .unwrap();
    frames
        .func_wrap("emit", |mut store: Calling<'_>, (message,): (WasmList<u8>,)| {
            let copy = {
                let bytes = std::hint::black_box(message.as_le_slice(&store));
                store.data().emitted.is_some().then(|| bytes.to_vec())
            };
            if let (Some(copy), Some(emitted)) = (copy, &mut store.data_mut().emitted) {
                emitted.push(copy);
            }
            Ok(())
        })
        .unwrap();
    let mut logging = linker.instance("datanode:node/log@0.1.0").unwrap();
    logging
        .func_wrap("write", |_: Calling<'_>, (_, _, _): (log::Level, String, Vec<types::Field>)| Ok(()))
        .unwrap();
    let mut sources = linker.instance("datanode:node/sources@0.1.0").unwrap();
    sources.resource("body", ResourceType::host::<sources::Body>(), |_, _| Ok(())).unwrap();
    sources
        .func_wrap("fetch", |mut store: Calling<'_>, (_,): (sources::Request,)| {
            let bodies = &mut store.data_mut().bodies;
            bodies.push(0);
            let body = Resource::new_own(u32::try_from(bodies.len() - 1).unwrap_or(u32::MAX));
            Ok((Ok::<_, types::HostError>(sources::Response { status: 200, headers: Vec::new(), body }),))
        })
        .unwrap();
    sources
        .func_wrap(
            "[method]body.read",
            |mut store: Calling<'_>, (body, max): (Resource<sources::Body>, u32)| {
                let Answers { inputs, bodies, .. } = store.data_mut();
                let number = body.rep() as usize;
                let (body, from) = (&inputs.bodies[number], bodies[number]);
                let piece = body.slice(from..body.len().min(from + max as usize));
                bodies[number] += piece.len();
                Ok(((!piece.is_empty()).then_some(piece),))
            },
        )
        .unwrap();
    let mut options = linker.instance("datanode:node/options@0.1.0").unwrap();
    options.func_wrap("get", |_: Calling<'_>, (_,): (String,)| Ok((None::<String>,))).unwrap();
    linker
}
