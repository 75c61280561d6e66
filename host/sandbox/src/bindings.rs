//! Types generated from the guest contract. Imports are registered by hand in `linker.rs`.
#![allow(missing_docs, unreachable_pub, clippy::pedantic)]

wasmtime::component::bindgen!({
    path: "../../wit/v0",
    world: "data-node",
    imports: { default: trappable },
    with: {
        "datanode:node/frames.frame-reader": crate::linker::FrameReader,
        "datanode:node/sources.body": crate::linker::Body,
    },
});
