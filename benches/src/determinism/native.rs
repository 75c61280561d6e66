//! The floor: the same node as a native program, which waits for a line and answers how long a call has taken.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::inputs::Inputs;

/// The variable that names the program; `cargo xtask bench` builds it and sets it.
const PROGRAM: &str = "DATANODE_NATIVE";

pub(crate) struct Native {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    emitted: u64,
    _directory: TempDir,
}

impl Native {
    pub(crate) fn start(node: &str, inputs: &Inputs) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("inputs");
        inputs.write(&file).unwrap();
        let mut child = Command::new(program())
            .arg(node)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; cargo xtask bench builds it", program().display()));
        let (ask, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut native = Self { child, ask, answers, emitted: 0, _directory: directory };
        native.update();
        native
    }

    /// One call of `update`, as the program has measured it.
    pub(crate) fn update(&mut self) -> Duration {
        let ask = self.ask.as_mut().unwrap();
        ask.write_all(b"\n").and_then(|()| ask.flush()).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let (nanoseconds, emitted) = line.trim().split_once(' ').expect("the native program has failed");
        self.emitted = emitted.parse().unwrap();
        Duration::from_nanos(nanoseconds.parse().unwrap())
    }

    /// Bytes that it emitted last.
    pub(crate) fn emitted(&self) -> u64 {
        self.emitted
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // The end of its input is its end.
        self.ask = None;
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let built = || datanode_tests::target().join("guests-native/release/datanode-native");
    std::env::var_os(PROGRAM).map_or_else(built, PathBuf::from)
}
