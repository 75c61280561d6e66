//! The floor of the sandbox: wasmtime alone, with the host's engine settings, an empty store and functions that do
//! nothing.

use bytes::Bytes;
use datanode_sandbox::{Limits, engine};
use wasmtime::component::{Component, Linker, Resource, ResourceType, WasmList};
use wasmtime::{Engine, Store};

use bindings::datanode::node::{frames, types};
use bindings::{DataNode, DataNodePre};

/// Types generated from the guest contract.
pub(crate) mod bindings {
    #![allow(missing_docs, unreachable_pub, dead_code, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "../wit/v0",
        world: "data-node",
        imports: { default: trappable },
        with: { "datanode:node/frames.frame-reader": super::Reader },
    });
}

/// What a frame reader is to the engine: a number. Public, as the generated code wants it.
#[allow(unreachable_pub)]
#[derive(Debug)]
pub struct Reader;

/// How the floor takes what a guest emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emit {
    /// Where it lies.
    InPlace,
    /// As a vector of bytes, which is how the engine hands lists over unless it is told otherwise.
    Lifted,
}

/// One component on one engine.
pub(crate) struct Raw {
    engine: Engine,
    pre: DataNodePre<()>,
    config: String,
}

/// The engine of the sandbox.
pub(crate) fn host_engine() -> Engine {
    engine::engine(&Limits::default()).unwrap().0
}

/// An engine with the same settings that allocates each instance anew.
pub(crate) fn on_demand_engine() -> Engine {
    Engine::new(&engine::config(&Limits::default()).unwrap()).unwrap()
}

impl Raw {
    pub(crate) fn new(engine: Engine, component: &[u8], emit: Emit) -> Self {
        let component = Component::new(&engine, component).unwrap();
        let mut linker = Linker::new(&engine);
        let mut frames = linker.instance("datanode:node/frames@0.1.0").unwrap();
        frames.resource("frame-reader", ResourceType::host::<Reader>(), |_, _| Ok(())).unwrap();
        frames
            .func_wrap("open", |_, (_, _): (String, frames::Query)| {
                Ok((Ok::<_, types::HostError>(Resource::<Reader>::new_own(0)),))
            })
            .unwrap();
        frames
            .func_wrap("[method]frame-reader.next", |_, (_,): (Resource<Reader>,)| Ok((None::<Bytes>,)))
            .unwrap();
        match emit {
            Emit::InPlace => frames.func_wrap("emit", |store, (message,): (WasmList<u8>,)| {
                std::hint::black_box(message.as_le_slice(&store));
                Ok(())
            }),
            Emit::Lifted => frames.func_wrap("emit", |_, (message,): (Vec<u8>,)| {
                std::hint::black_box(message);
                Ok(())
            }),
        }
        .unwrap();
        let mut options = linker.instance("datanode:node/options@0.1.0").unwrap();
        options.func_wrap("get", |_, (_,): (String,)| Ok((None::<String>,))).unwrap();
        // What else a guest of the SDK imports and no line measures.
        linker.define_unknown_imports_as_traps(&component).unwrap();
        let pre = linker.instantiate_pre(&component).and_then(DataNodePre::new).unwrap();
        Self { engine, pre, config: "{}".to_owned() }
    }

    /// A store and an instance, gone at once.
    pub(crate) fn instantiate(&self) {
        let _ = self.instance();
    }

    fn instance(&self) -> (Store<()>, DataNode) {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(u64::MAX).unwrap();
        let instance = self.pre.instantiate(&mut store).unwrap();
        (store, instance)
    }

    /// A store, an instance and one call of `update`.
    pub(crate) fn update(&self) {
        let (mut store, instance) = self.instance();
        let context = types::UpdateContext {
            statistics: types::UpdateStatistics {
                index_names: vec!["time_index".to_owned()],
                min_time: None,
                max_time: None,
                progress: Vec::new(),
            },
            window: types::Window { start: None, end: 0 },
            is_backfill: false,
        };
        instance.datanode_node_node().call_update(&mut store, &self.config, &context).unwrap().unwrap();
    }
}
