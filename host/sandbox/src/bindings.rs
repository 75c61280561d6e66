//! Types generated from the guest contract. Imports are registered by hand in `linker.rs`. Exports are asynchronous, for a
//! guest comes back between two slices of its fuel (`supervise.rs`); imports are not.
#![allow(missing_docs, unreachable_pub, clippy::pedantic)]

wasmtime::component::bindgen!({
    path: "../../wit/v0",
    world: "data-node",
    imports: { default: trappable },
    exports: { default: async },
    with: {
        "datanode:node/frames.frame-reader": crate::linker::FrameReader,
        "datanode:node/sources.body": crate::linker::Body,
    },
});
