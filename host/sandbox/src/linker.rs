//! The imports of the guest contract, registered by hand.
//!
//! `emit` takes a `WasmList<u8>`, so that the host reads the message where it lies in guest memory; frames and bodies
//! come back as `Bytes`, one copy into guest memory and none before. Generated bindings would make a `Vec` of each.

use std::sync::Arc;

use bytes::Bytes;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, WasmList};
use wasmtime::{Engine, StoreContextMut};

use crate::bindings::datanode::node::{frames, log, sources, types};
use crate::calls::{ByteRange, FetchRequest, HostCall, HostCallError, HostCalls, HostReply, Refusal};
use crate::convert;
use crate::error::LimitKind;
use crate::limits::{LimitReached, Limits, Watch};
use crate::stubs::{self, Stubs};
use crate::supervise::Watched;

/// Marks handles of frame readers. `pub` because the generated bindings re-export it; the module is private.
#[derive(Debug)]
#[allow(unreachable_pub)]
pub struct FrameReader;

/// Marks handles of response bodies. `pub` for the same reason.
#[derive(Debug)]
#[allow(unreachable_pub)]
pub struct Body;

/// The most bytes that one `body.read` answers.
const MAX_BODY_READ: u32 = 4 << 20;

/// What the store of one call holds.
pub(crate) struct State {
    pub(crate) watch: Watch,
    pub(crate) watched: Arc<Watched>,
    pub(crate) limits: Limits,
    /// What WASI answers, where the component is of class stubbed.
    pub(crate) stubs: Stubs,
    /// Taken out while a host call runs, so that the call may borrow guest memory from the store.
    calls: Option<Box<dyn HostCalls>>,
    emitted: u64,
    read: u64,
    open_handles: u32,
    host_calls: u64,
    opens: u64,
    /// Why a host call ended the guest's call; the error inside wasmtime only says that one did.
    pub(crate) failure: Option<HostCallError>,
}

impl State {
    pub(crate) fn new(
        limits: &Limits,
        calls: Box<dyn HostCalls>,
        watched: Arc<Watched>,
        stubs: Stubs,
    ) -> Self {
        Self {
            watch: Watch::new(limits),
            watched,
            limits: limits.clone(),
            stubs,
            calls: Some(calls),
            emitted: 0,
            read: 0,
            open_handles: 0,
            host_calls: 0,
            opens: 0,
            failure: None,
        }
    }

    fn ask(&mut self, call: HostCall<'_>) -> wasmtime::Result<HostReply> {
        self.count()?;
        if matches!(call, HostCall::Open { .. } | HostCall::Fetch(_)) {
            self.opens += 1;
            if self.opens > self.limits.opens {
                return Err(LimitReached { kind: LimitKind::Opens, limit: self.limits.opens }.into());
            }
        }
        if let HostCall::Log { level, message, fields } = &call {
            self.watched.log(*level, message, fields);
        }
        let function = call.function();
        self.enter(function)?;
        let Some(calls) = &mut self.calls else { return self.wrong_reply(function) };
        let reply = calls.call(call);
        self.watched.leave();
        match reply {
            Ok(reply) => Ok(reply),
            Err(error) => self.end(error),
        }
    }

    fn enter(&self, function: &'static str) -> wasmtime::Result<()> {
        if self.watched.enter(function) { Ok(()) } else { Err(self.out_of_time().into()) }
    }

    /// Why a guest that the watcher ended did.
    pub(crate) fn out_of_time(&self) -> LimitReached {
        LimitReached { kind: LimitKind::CallTime, limit: self.limits.call_seconds }
    }

    pub(crate) fn count(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > self.limits.host_calls {
            return Err(LimitReached { kind: LimitKind::HostCalls, limit: self.limits.host_calls }.into());
        }
        Ok(())
    }

    /// For calls that have nothing to answer.
    pub(crate) fn tell(&mut self, call: HostCall<'_>) -> wasmtime::Result<()> {
        let function = call.function();
        match self.ask(call)? {
            HostReply::Done => Ok(()),
            _ => self.wrong_reply(function),
        }
    }

    /// For calls that answer bytes until there are no more. How many there are is only known of the answer: the one that
    /// reaches the limit is in the journal, and not given to the guest.
    fn read(&mut self, call: HostCall<'_>) -> wasmtime::Result<Option<Bytes>> {
        let function = call.function();
        match self.ask(call)? {
            HostReply::Bytes(bytes) => {
                self.read += bytes.len() as u64;
                let limit = self.limits.read_bytes;
                if self.read > limit {
                    return Err(LimitReached { kind: LimitKind::ReadBytes, limit }.into());
                }
                Ok(Some(bytes))
            }
            HostReply::End => Ok(None),
            _ => self.wrong_reply(function),
        }
    }

    fn end<T>(&mut self, error: HostCallError) -> wasmtime::Result<T> {
        self.failure = Some(error);
        Err(wasmtime::Error::msg("ended by a host call"))
    }

    fn wrong_reply<T>(&mut self, function: &'static str) -> wasmtime::Result<T> {
        self.end(WrongReply(function).into())
    }

    pub(crate) fn close_handle(&mut self) {
        self.open_handles = self.open_handles.saturating_sub(1);
    }

    pub(crate) fn open_handle(&mut self) -> wasmtime::Result<()> {
        self.open_handles += 1;
        let limit = self.limits.open_handles;
        if self.open_handles > limit {
            return Err(LimitReached { kind: LimitKind::OpenHandles, limit: limit.into() }.into());
        }
        Ok(())
    }

    fn emit(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.count()?;
        let limits = &self.limits;
        if bytes as u64 > limits.message_bytes {
            return Err(LimitReached { kind: LimitKind::MessageBytes, limit: limits.message_bytes }.into());
        }
        self.emitted += bytes as u64;
        if self.emitted > limits.emit_bytes {
            return Err(LimitReached { kind: LimitKind::EmitBytes, limit: limits.emit_bytes }.into());
        }
        Ok(())
    }

    fn emitted_rows(&self, rows: u64) -> wasmtime::Result<()> {
        if rows > self.limits.emit_rows {
            return Err(LimitReached { kind: LimitKind::EmitRows, limit: self.limits.emit_rows }.into());
        }
        Ok(())
    }
}

/// A reply of a kind that the call cannot have: a bug of the host.
#[derive(Debug, thiserror::Error)]
#[error("the host answered `{0}` with the wrong kind of reply")]
struct WrongReply(&'static str);

impl Diagnostic for WrongReply {
    fn code(&self) -> &'static str {
        "sandbox.wrong_reply"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }
}

/// A linker with every import of the contract, what components of class stubbed are answered, and nothing else.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    frames(&mut linker.instance("datanode:node/frames@0.1.0")?)?;
    logging(&mut linker.instance("datanode:node/log@0.1.0")?)?;
    sources(&mut linker.instance("datanode:node/sources@0.1.0")?)?;
    options(&mut linker.instance("datanode:node/options@0.1.0")?)?;
    // Which component may import it was decided by name; for all others it is not there.
    stubs::link(&mut linker)?;
    Ok(linker)
}

type Store<'a> = StoreContextMut<'a, State>;

fn frames(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.resource("frame-reader", ResourceType::host::<FrameReader>(), |mut store, reader| {
        let state = store.data_mut();
        state.open_handles = state.open_handles.saturating_sub(1);
        state.tell(HostCall::CloseReader { reader })
    })?;
    instance.func_wrap("open", |mut store: Store<'_>, (key, query): (String, frames::Query)| {
        let state = store.data_mut();
        let query = match convert::query(query) {
            Ok(query) => query,
            Err(problem) => {
                let call = HostCall::Malformed { function: "frames.open", problem: &problem };
                return match state.ask(call)? {
                    HostReply::Refused(why) => Ok((Err(refusal(why)),)),
                    _ => state.wrong_reply("frames.open"),
                };
            }
        };
        match state.ask(HostCall::Open { key: &key, query: &query })? {
            HostReply::Opened(reader) => {
                state.open_handle()?;
                Ok((Ok(Resource::<FrameReader>::new_own(reader)),))
            }
            HostReply::Refused(why) => Ok((Err(refusal(why)),)),
            _ => state.wrong_reply("frames.open"),
        }
    })?;
    instance.func_wrap(
        "[method]frame-reader.schema",
        |mut store: Store<'_>, (reader,): (Resource<FrameReader>,)| match store
            .data_mut()
            .read(HostCall::Schema { reader: reader.rep() })?
        {
            Some(bytes) => Ok((bytes,)),
            None => store.data_mut().wrong_reply("frames.frame-reader.schema"),
        },
    )?;
    instance.func_wrap(
        "[method]frame-reader.next",
        |mut store: Store<'_>, (reader,): (Resource<FrameReader>,)| {
            Ok((store.data_mut().read(HostCall::Next { reader: reader.rep() })?,))
        },
    )?;
    instance.func_wrap("emit", |mut store: Store<'_>, (message,): (WasmList<u8>,)| {
        let state = store.data_mut();
        state.emit(message.len())?;
        state.enter("frames.emit")?;
        let Some(mut calls) = state.calls.take() else { return state.wrong_reply("frames.emit") };
        let reply = calls.call(HostCall::Emit { message: message.as_le_slice(&store) });
        let state = store.data_mut();
        state.watched.leave();
        state.calls = Some(calls);
        match reply {
            Ok(HostReply::Emitted { rows }) => state.emitted_rows(rows),
            Ok(_) => state.wrong_reply("frames.emit"),
            Err(error) => state.end(error),
        }
    })
}

fn logging(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "write",
        |mut store: Store<'_>, (level, message, fields): (log::Level, String, Vec<types::Field>)| {
            let fields = convert::fields(fields);
            let level = convert::log_level(level);
            store.data_mut().tell(HostCall::Log { level, message: &message, fields: &fields })
        },
    )
}

fn sources(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.resource("body", ResourceType::host::<Body>(), |mut store, body| {
        let state = store.data_mut();
        state.open_handles = state.open_handles.saturating_sub(1);
        state.tell(HostCall::CloseBody { body })
    })?;
    instance.func_wrap("fetch", |mut store: Store<'_>, (request,): (sources::Request,)| {
        let request = FetchRequest {
            source: request.source,
            method: request.method,
            path: request.path,
            query: convert::fields(request.query),
            headers: convert::fields(request.headers),
            body: request.body.map(Bytes::from),
            range: request.range.map(|range| ByteRange { offset: range.offset, length: range.length }),
        };
        let state = store.data_mut();
        match state.ask(HostCall::Fetch(&request))? {
            HostReply::Fetched(response) => {
                state.open_handle()?;
                Ok((Ok(sources::Response {
                    status: response.status,
                    headers: convert::to_fields(response.headers),
                    body: Resource::new_own(response.body),
                }),))
            }
            HostReply::Refused(why) => Ok((Err(refusal(why)),)),
            _ => state.wrong_reply("sources.fetch"),
        }
    })?;
    instance.func_wrap("[method]body.read", |mut store: Store<'_>, (body, max): (Resource<Body>, u32)| {
        let max = max.min(MAX_BODY_READ);
        Ok((store.data_mut().read(HostCall::ReadBody { body: body.rep(), max })?,))
    })
}

fn options(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap("get", |mut store: Store<'_>, (name,): (String,)| {
        let state = store.data_mut();
        match state.ask(HostCall::Option { name: &name })? {
            HostReply::Option(value) => Ok((value,)),
            _ => state.wrong_reply("options.get"),
        }
    })
}

fn refusal(why: Refusal) -> types::HostError {
    types::HostError { code: why.code, message: why.message }
}
