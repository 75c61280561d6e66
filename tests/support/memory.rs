//! What a process holds, and the nodes by which that is shown.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::{Project, root};

/// Upload a component of `tests/guests`, register its table under its name, and create a node of this config.
pub fn register(project: &Project, name: &str, config: &str) {
    project.upload(name);
    let contract = root().join(format!("tests/guests/{name}/contract.toml"));
    project.run(&["table", "register", contract.to_str().expect("UTF-8")]);
    project.run(&["node", "create", name, "--table", name, "--config", config]);
}

/// The most bytes that a process has held so far (`VmHWM`, of Linux); None: there is none, or nothing tells.
pub fn held_by(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// Run a command to its end, which must be good; the most bytes that it held in memory (`VmHWM`, of Linux).
///
/// The kernel keeps the maximum, so only what a process first takes in its last 5 ms can be missed.
pub fn peak_of(mut command: Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().expect("the command starts");
    let mut peak = 0;
    loop {
        peak = peak.max(held_by(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().expect("the child is ours") {
            assert!(status.success(), "{command:?}: {status}");
            assert!(peak > 0, "/proc told nothing");
            return peak;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
