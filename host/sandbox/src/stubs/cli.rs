//! The environment of a program that has none.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};

use super::io::{Input, Output, handle};
use super::output::Stream;
use super::versioned;
use crate::linker::State;

/// Never made: nothing here is a terminal.
#[derive(Debug)]
struct TerminalInput;

/// Never made, either.
#[derive(Debug)]
struct TerminalOutput;

type Store<'a> = StoreContextMut<'a, State>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut environment = linker.instance(&versioned("wasi:cli/environment"))?;
    constant(&mut environment, "get-environment", Vec::<(String, String)>::new)?;
    constant(&mut environment, "get-arguments", Vec::<String>::new)?;
    constant(&mut environment, "initial-cwd", || None::<String>)?;

    linker.instance(&versioned("wasi:cli/exit"))?.func_wrap(
        "exit",
        |_: Store<'_>, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
            let how = if status.is_ok() { "success" } else { "failure" };
            Err(wasmtime::Error::msg(format!(
                "the guest called `exit` (with {how}), where a node returns from its function"
            )))
        },
    )?;

    linker
        .instance(&versioned("wasi:cli/stdin"))?
        .func_wrap("get-stdin", |mut store: Store<'_>, ()| Ok((handle::<Input>(store.data_mut(), 0)?,)))?;
    for (interface, function, stream) in
        [("wasi:cli/stdout", "get-stdout", Stream::Out), ("wasi:cli/stderr", "get-stderr", Stream::Err)]
    {
        linker.instance(&versioned(interface))?.func_wrap(function, move |mut store: Store<'_>, ()| {
            Ok((handle::<Output>(store.data_mut(), stream.number())?,))
        })?;
    }

    linker.instance(&versioned("wasi:cli/terminal-input"))?.resource(
        "terminal-input",
        ResourceType::host::<TerminalInput>(),
        |_, _| Ok(()),
    )?;
    linker.instance(&versioned("wasi:cli/terminal-output"))?.resource(
        "terminal-output",
        ResourceType::host::<TerminalOutput>(),
        |_, _| Ok(()),
    )?;
    let mut stdin = linker.instance(&versioned("wasi:cli/terminal-stdin"))?;
    constant(&mut stdin, "get-terminal-stdin", || None::<Resource<TerminalInput>>)?;
    let mut stdout = linker.instance(&versioned("wasi:cli/terminal-stdout"))?;
    constant(&mut stdout, "get-terminal-stdout", || None::<Resource<TerminalOutput>>)?;
    let mut stderr = linker.instance(&versioned("wasi:cli/terminal-stderr"))?;
    constant(&mut stderr, "get-terminal-stderr", || None::<Resource<TerminalOutput>>)
}

/// A function without arguments that always answers the same.
fn constant<T: wasmtime::component::Lower + 'static>(
    instance: &mut LinkerInstance<'_, State>,
    name: &str,
    answer: fn() -> T,
) -> wasmtime::Result<()> {
    instance.func_wrap(name, move |mut store: Store<'_>, ()| {
        store.data_mut().count()?;
        Ok((answer(),))
    })
}
