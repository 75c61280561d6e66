//! What a worker process would add to a host call: a message to another process and back, beside the call in this one.
//!
//! A guest in a process of its own could be killed, so that nothing would have to count how long it computes. Each of its
//! host calls would be such a message, whatever the call itself costs.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use crate::calls;
use crate::measure::{by_turns, each};
use crate::report::{Line, Unit};

/// The only argument of a process that answers messages until there are no more.
const CHILD: &str = "answer-messages";
/// As large as a small host call with its arguments.
const BYTES: usize = 64;

/// Be such a process, where the arguments say so.
pub(crate) fn child() -> bool {
    if std::env::args().nth(1).as_deref() != Some(CHILD) {
        return false;
    }
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let mut message = [0; BYTES];
    while socket.read_exact(&mut message).is_ok() {
        socket.write_all(&message).unwrap();
    }
    true
}

/// A process that answers messages.
struct Worker {
    child: Child,
    socket: UnixStream,
}

impl Worker {
    fn start() -> Self {
        let (socket, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let child = command.arg(CHILD).stdin(OwnedFd::from(theirs)).spawn().unwrap();
        Self { child, socket }
    }

    fn ask(&mut self) {
        let mut message = [7; BYTES];
        self.socket.write_all(&message).unwrap();
        self.socket.read_exact(&mut message).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input is its end.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

pub(crate) fn round_trip() -> Line {
    const ROUNDS: usize = 21;
    const TIMES: u32 = 5_000;
    let mut worker = Worker::start();
    let pair = by_turns(ROUNDS, || each(TIMES, || worker.ask()), calls::host_call());
    let what = "message to another process and back, as each host call to a worker process would be";
    Line::new(what, "host call (`options.get`) in this process", Unit::Seconds, pair.fastest())
}
