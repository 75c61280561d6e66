//! No files: no directory is open, so that there is no descriptor by which anything could be asked for.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::versioned;
use crate::linker::State;

/// Never made.
#[derive(Debug)]
struct Descriptor;

/// Never made, either.
#[derive(Debug)]
struct Directory;

/// What could be asked of a descriptor, a directory or an error, none of which there is. They are linked because a
/// component that imports one of them does not start without, and take whatever types they are imported with.
const UNREACHABLE: [&str; 29] = [
    "[method]descriptor.read-via-stream",
    "[method]descriptor.write-via-stream",
    "[method]descriptor.append-via-stream",
    "[method]descriptor.advise",
    "[method]descriptor.sync-data",
    "[method]descriptor.get-flags",
    "[method]descriptor.get-type",
    "[method]descriptor.set-size",
    "[method]descriptor.set-times",
    "[method]descriptor.read",
    "[method]descriptor.write",
    "[method]descriptor.read-directory",
    "[method]descriptor.sync",
    "[method]descriptor.create-directory-at",
    "[method]descriptor.stat",
    "[method]descriptor.stat-at",
    "[method]descriptor.set-times-at",
    "[method]descriptor.link-at",
    "[method]descriptor.open-at",
    "[method]descriptor.readlink-at",
    "[method]descriptor.remove-directory-at",
    "[method]descriptor.rename-at",
    "[method]descriptor.symlink-at",
    "[method]descriptor.unlink-file-at",
    "[method]descriptor.is-same-object",
    "[method]descriptor.metadata-hash",
    "[method]descriptor.metadata-hash-at",
    "[method]directory-entry-stream.read-directory-entry",
    "filesystem-error-code",
];

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(&versioned("wasi:filesystem/types"))?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |_, _| Ok(()))?;
    types.resource("directory-entry-stream", ResourceType::host::<Directory>(), |_, _| Ok(()))?;
    for name in UNREACHABLE {
        types.func_new(name, move |_, _, _, _| {
            Err(wasmtime::Error::msg(format!("`{name}` was called, and there are no files")))
        })?;
    }
    linker.instance(&versioned("wasi:filesystem/preopens"))?.func_wrap(
        "get-directories",
        |mut store: StoreContextMut<'_, State>, ()| {
            store.data_mut().count()?;
            Ok((Vec::<(Resource<Descriptor>, String)>::new(),))
        },
    )
}
