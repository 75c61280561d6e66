//! Streams without a world behind them: what is written becomes log lines, what is read has ended, all is ready at once.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType};

use super::output::Stream;
use super::versioned;
use crate::linker::State;

/// Never made: nothing here fails in a way that a guest could ask about.
#[derive(Debug)]
pub(super) struct IoError;

/// The one stream that can be read, which has ended.
#[derive(Debug)]
pub(super) struct Input;

/// A stream that becomes log lines; its number says which ([`Stream`]).
#[derive(Debug)]
pub(super) struct Output;

/// Something that can be waited for. Always ready.
#[derive(Debug)]
pub(super) struct Pollable;

impl Pollable {
    pub(super) fn new(state: &mut State) -> wasmtime::Result<Resource<Self>> {
        handle(state, 0)
    }
}

/// A handle, counted: each takes room in the host.
pub(super) fn handle<T: 'static>(state: &mut State, number: u32) -> wasmtime::Result<Resource<T>> {
    state.count()?;
    state.open_handle()?;
    Ok(Resource::new_own(number))
}

/// A resource whose handles are made by [`handle`].
fn counted<T: 'static>(instance: &mut LinkerInstance<'_, State>, name: &str) -> wasmtime::Result<()> {
    instance.resource(name, ResourceType::host::<T>(), |mut store, _| {
        store.data_mut().close_handle();
        Ok(())
    })
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    /// It must be there for the type to fit.
    #[allow(dead_code)]
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

/// As many bytes as one write may have.
const ROOM: u64 = 64 << 10;

type Store<'a> = StoreContextMut<'a, State>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut error = linker.instance(&versioned("wasi:io/error"))?;
    error.resource("error", ResourceType::host::<IoError>(), |_, _| Ok(()))?;
    error.func_wrap("[method]error.to-debug-string", |_: Store<'_>, (_,): (Resource<IoError>,)| {
        Ok((String::new(),))
    })?;

    let mut poll = linker.instance(&versioned("wasi:io/poll"))?;
    counted::<Pollable>(&mut poll, "pollable")?;
    poll.func_wrap("[method]pollable.ready", |mut store: Store<'_>, (_,): (Resource<Pollable>,)| {
        store.data_mut().count()?;
        Ok((true,))
    })?;
    poll.func_wrap("[method]pollable.block", |mut store: Store<'_>, (_,): (Resource<Pollable>,)| {
        store.data_mut().count()
    })?;
    poll.func_wrap("poll", |mut store: Store<'_>, (waited,): (Vec<Resource<Pollable>>,)| {
        store.data_mut().count()?;
        if waited.is_empty() {
            return Err(wasmtime::Error::msg("wasi:io/poll was asked to wait for nothing"));
        }
        Ok(((0_u32..).zip(waited).map(|(place, _)| place).collect::<Vec<u32>>(),))
    })?;

    let mut streams = linker.instance(&versioned("wasi:io/streams"))?;
    counted::<Input>(&mut streams, "input-stream")?;
    counted::<Output>(&mut streams, "output-stream")?;
    input(&mut streams)?;
    output(&mut streams)
}

fn input(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    for name in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        streams.func_wrap(name, |mut store: Store<'_>, (_, _): (Resource<Input>, u64)| {
            store.data_mut().count()?;
            Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
        })?;
    }
    for name in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        streams.func_wrap(name, |mut store: Store<'_>, (_, _): (Resource<Input>, u64)| {
            store.data_mut().count()?;
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    streams.func_wrap("[method]input-stream.subscribe", |mut store: Store<'_>, (_,): (Resource<Input>,)| {
        Ok((Pollable::new(store.data_mut())?,))
    })
}

fn output(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    type Written = (Result<(), StreamError>,);
    streams.func_wrap(
        "[method]output-stream.check-write",
        |mut store: Store<'_>, (_,): (Resource<Output>,)| {
            store.data_mut().count()?;
            Ok((Ok::<_, StreamError>(ROOM),))
        },
    )?;
    for name in ["[method]output-stream.write", "[method]output-stream.blocking-write-and-flush"] {
        streams.func_wrap(name, |mut store: Store<'_>, (to, bytes): (Resource<Output>, Vec<u8>)| {
            written(store.data_mut(), &to, &bytes)
        })?;
    }
    for name in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        streams.func_wrap(
            name,
            |mut store: Store<'_>, (_,): (Resource<Output>,)| -> wasmtime::Result<Written> {
                store.data_mut().count()?;
                Ok((Ok(()),))
            },
        )?;
    }
    for name in
        ["[method]output-stream.write-zeroes", "[method]output-stream.blocking-write-zeroes-and-flush"]
    {
        streams.func_wrap(name, |mut store: Store<'_>, (to, count): (Resource<Output>, u64)| {
            let zeros = usize::try_from(count).ok().filter(|_| count <= ROOM).map(|count| vec![0; count]);
            let zeros = zeros.ok_or_else(|| wasmtime::Error::msg("more zeros than `check-write` allows"))?;
            written(store.data_mut(), &to, &zeros)
        })?;
    }
    for name in ["[method]output-stream.splice", "[method]output-stream.blocking-splice"] {
        streams.func_wrap(
            name,
            |mut store: Store<'_>, (_, _, _): (Resource<Output>, Resource<Input>, u64)| {
                store.data_mut().count()?;
                Ok((Err::<u64, _>(StreamError::Closed),))
            },
        )?;
    }
    streams.func_wrap("[method]output-stream.subscribe", |mut store: Store<'_>, (_,): (Resource<Output>,)| {
        Ok((Pollable::new(store.data_mut())?,))
    })
}

fn written(
    state: &mut State,
    to: &Resource<Output>,
    bytes: &[u8],
) -> wasmtime::Result<(Result<(), StreamError>,)> {
    state.count()?;
    state.write_output(Stream::of_number(to.rep()), bytes)?;
    Ok((Ok(()),))
}
