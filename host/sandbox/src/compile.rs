//! Compiling components, bounded in time and memory.
//!
//! WebAssembly bounds what a guest does when it runs, not what it costs to compile: a small file can keep a compiler
//! busy for minutes or take gigabytes. So the host compiles in a child process that the system holds to a limit of
//! memory and that the parent ends when its time is over. Should the parent be killed itself, the child dies with it
//! (Linux), or at the latest when it has used up its processor time (Unix). The child is a program that calls [`compile_child`]: the
//! `datanode` command itself. It gets the component on its standard input and answers machine code on its standard
//! output; nothing that it says is stored unless it ended well, and only the parent holds the secret of the cache.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use datanode_rewrite::Rewritten;
use serde::{Deserialize, Serialize};
use wasmtime::Engine;

use crate::SandboxError;
use crate::cell::Cell;
use crate::engine;
use crate::imports::MAX_COMPONENT_BYTES;
use crate::refused::Refused;

/// Threads of the child: more gain little, and each takes memory.
const CHILD_THREADS: u64 = 4;
/// Machine code that is taken from the child, in bytes.
const MAX_CODE_BYTES: u64 = 2 << 30;
/// Bytes kept of what the child says when it fails.
const MAX_SAID_BYTES: u64 = 16 << 10;
/// Exit code of a child whose component does not compile.
const REFUSED: u8 = 3;
/// Exit code of a child that could not do its work, whatever the component is.
const UNABLE: u8 = 5;

/// What compiling one component may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompileLimits {
    /// Wall time, in milliseconds.
    pub time_ms: u64,
    /// Memory of the compiling process, in bytes.
    pub memory_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        // A language runtime of 20 MB takes 10 s of two processors and less than 1 GiB.
        Self { time_ms: 300_000, memory_bytes: 4 << 30 }
    }
}

/// How components become machine code.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In this process, without bounds: for tests and for components that are trusted.
    InProcess,
    /// In a process of its own, within bounds.
    Child {
        /// A program that calls [`compile_child`] when it is started with these arguments, a [`Cell`] by name,
        /// the limit of memory in bytes and that of time in milliseconds.
        program: PathBuf,
        /// Arguments that come before.
        arguments: Vec<String>,
        /// The bounds.
        limits: CompileLimits,
    },
}

impl Compiler {
    /// What this engine executes. `label` names the component in errors.
    pub(crate) fn compile(
        &self,
        label: &str,
        engine: &Engine,
        cell: Cell,
        bytes: &[u8],
    ) -> Result<Made, SandboxError> {
        match self {
            Self::InProcess => compiled(engine, cell, bytes).map_err(SandboxError::from),
            Self::Child { program, arguments, limits } => {
                let mut command = Command::new(program);
                command.args(arguments).arg(cell.name()).arg(limits.memory_bytes.to_string());
                command.arg(limits.time_ms.to_string());
                run_child(label, command, limits, bytes)
            }
        }
    }
}

/// What is made of a component.
pub(crate) struct Made {
    /// Where its code was before it was rewritten, as [`datanode_rewrite::Spans`] writes it; empty where the component has no debug
    /// information.
    pub(crate) spans: Vec<u8>,
    /// Machine code.
    pub(crate) code: Vec<u8>,
}

/// Rewrite a component and compile it.
fn compiled(engine: &Engine, cell: Cell, given: &[u8]) -> Result<Made, Refused> {
    if let Some(refused) = Refused::early(given) {
        return Err(refused);
    }
    let Rewritten { bytes, spans, has_lines } = datanode_rewrite::component(given, cell.nan())
        .map_err(|error| Refused::by_engine(given, &error.to_string()))?;
    let spans = if has_lines { spans.to_bytes() } else { Vec::new() };
    let code = engine
        .precompile_component(&bytes)
        .map_err(|error| Refused::by_engine(given, &format!("{error:#}")))?;
    Ok(Made { spans, code })
}

impl Made {
    /// As the child says it: the size of the spans (8 bytes, little-endian), the spans, the code.
    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&(self.spans.len() as u64).to_le_bytes())?;
        output.write_all(&self.spans)?;
        output.write_all(&self.code)?;
        output.flush()
    }

    fn read(mut said: Vec<u8>) -> Option<Self> {
        let (size, rest) = said.split_first_chunk()?;
        let size = usize::try_from(u64::from_le_bytes(*size)).ok()?;
        let spans = rest.get(..size)?.to_vec();
        said.drain(..size_of::<u64>() + size);
        Some(Self { spans, code: said })
    }
}

fn run_child(
    label: &str,
    mut command: Command,
    limits: &CompileLimits,
    bytes: &[u8],
) -> Result<Made, SandboxError> {
    let failed = |error: io::Error| SandboxError::Compiler(error.to_string());
    // Nothing of the host's environment is the business of a process that reads what strangers wrote. On machines of
    // many processors, threads and their heaps would take the memory that the limit gives to the compilation.
    command.env_clear().env("RAYON_NUM_THREADS", CHILD_THREADS.to_string()).env("MALLOC_ARENA_MAX", "2");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(mut input), Some(output), Some(said)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(SandboxError::Compiler("its streams are missing".to_owned()));
    };
    let (send, done) = channel();
    let outcome = thread::scope(|scope| {
        // A child that ends early closes its input: what it says counts, not that it cannot be written to.
        scope.spawn(move || input.write_all(bytes));
        let said = scope.spawn(move || {
            let mut text = Vec::new();
            let _ = said.take(MAX_SAID_BYTES).read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        scope.spawn(move || {
            let mut code = Vec::new();
            let read = output.take(MAX_CODE_BYTES).read_to_end(&mut code);
            let _ = send.send(read.map(|_| code));
        });
        let code = done.recv_timeout(Duration::from_millis(limits.time_ms));
        if !matches!(code, Ok(Ok(_))) {
            // Ends the threads too: its streams close.
            let _ = child.kill();
        }
        let status = child.wait();
        (code, status, said.join().unwrap_or_default())
    });
    let code = match outcome.0 {
        Err(RecvTimeoutError::Timeout) => {
            return Err(SandboxError::CompileTime { component: label.to_owned(), limit_ms: limits.time_ms });
        }
        Err(RecvTimeoutError::Disconnected) => {
            return Err(SandboxError::Compiler("it could not be listened to".to_owned()));
        }
        Ok(code) => code.map_err(failed)?,
    };
    let (status, said) = (outcome.1.map_err(failed)?, outcome.2.trim().to_owned());
    if status.success() {
        return Made::read(code).ok_or_else(|| SandboxError::Compiler("its answer is cut off".to_owned()));
    }
    // Rust aborts when an allocation fails; the system calls that it makes through the engine say it in their error.
    if said.contains("memory allocation of") || said.contains("Cannot allocate memory") {
        return Err(SandboxError::CompileMemory {
            component: label.to_owned(),
            limit_bytes: limits.memory_bytes,
        });
    }
    if status.code() == Some(REFUSED.into()) {
        return Err(Refused::heard(&said).into());
    }
    if status.code() == Some(UNABLE.into()) {
        return Err(SandboxError::Compiler(said));
    }
    Err(SandboxError::Compiler(format!("{status}: {said}")))
}

/// What the child does: bind itself to the limits, read a component, write machine code. `arguments` are the three that
/// [`Compiler::Child`] adds.
pub fn compile_child(arguments: &[String]) -> ExitCode {
    let (said, code) = match try_compile(arguments) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(refused)) => (refused.said(), REFUSED),
        Err(unable) => (unable, UNABLE),
    };
    eprintln!("{said}");
    ExitCode::from(code)
}

/// What is wrong with the component, if that was the end of it; what is wrong with this process is an error.
fn try_compile(arguments: &[String]) -> Result<Result<(), Refused>, String> {
    let [cell, memory, time] = arguments else {
        return Err("this command is started by the host itself, to compile a component".to_owned());
    };
    let cell = Cell::from_name(cell).ok_or_else(|| format!("`{cell}` is not a way to compile"))?;
    let memory: u64 = memory.parse().map_err(|_| format!("`{memory}` is not a number of bytes"))?;
    let time: u64 = time.parse().map_err(|_| format!("`{time}` is not a number of milliseconds"))?;
    die_with_parent().map_err(|error| format!("it cannot be bound to its parent: {error}"))?;
    bound(memory, time).map_err(|error| format!("its limits cannot be set: {error}"))?;
    let mut bytes = Vec::new();
    let input = io::stdin().lock().take(MAX_COMPONENT_BYTES as u64 + 1);
    { input }.read_to_end(&mut bytes).map_err(|error| format!("it cannot read the component: {error}"))?;
    let engine = engine::compiling_engine(cell).map_err(|error| error.to_string())?;
    match compiled(&engine, cell, &bytes) {
        Ok(made) => {
            let written = made.write(&mut io::stdout().lock());
            written.map_err(|error| format!("it cannot write what it compiled: {error}"))?;
            Ok(Ok(()))
        }
        Err(refused) => Ok(Err(refused)),
    }
}

/// Bound what this process may write to and how long it may compute, and forbid core dumps: a compiler out of memory
/// aborts. The wall time of the parent ends first, as long as there is a parent. A limit that the system has set before and
/// that is lower stays: only root could raise it.
#[cfg(unix)]
fn bound(memory_bytes: u64, time_ms: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = |resource, most: u64| {
        let most = getrlimit(resource).maximum.map_or(most, |before| before.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    };
    // `Data` counts heaps and other private writable memory, not the address space that is only reserved.
    limit(Resource::Data, memory_bytes)?;
    limit(Resource::Core, 0)?;
    // Seconds of all threads together.
    limit(Resource::Cpu, time_ms.div_ceil(1_000).saturating_mul(CHILD_THREADS).saturating_add(1))?;
    Ok(())
}

#[cfg(not(unix))]
fn bound(_: u64, _: u64) -> io::Result<()> {
    Ok(())
}

/// Be killed when the thread that started this process ends, which waits for it in `run_child`.
#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    // A parent that died before this line is not noticed, but its end of the pipes is closed: the component is cut off,
    // or nobody takes the answer.
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_child_says_is_understood_and_nothing_shorter() {
        for spans in [&b""[..], b"spans"] {
            let made = Made { spans: spans.to_vec(), code: b"code".to_vec() };
            let mut said = Vec::new();
            made.write(&mut said).unwrap();
            for cut in 0..said.len() - 4 {
                assert!(Made::read(said[..cut].to_vec()).is_none(), "{cut}");
            }
            let read = Made::read(said).unwrap();
            assert_eq!((read.spans, read.code), (made.spans, made.code));
        }
    }
}
