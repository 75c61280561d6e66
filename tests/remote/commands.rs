//! Commands that a test watches while they go on.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use datanode_tests::{Project, Server};
use serde_json::Value;

/// How long anything may take, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// For how long nothing must come where nothing is to come.
const NOTHING: Duration = Duration::from_millis(400);

/// A command that is under way.
pub(crate) struct Going {
    child: Child,
    lines: Receiver<String>,
    errors: Arc<Mutex<String>>,
}

/// What became of it.
pub(crate) struct Gone {
    pub(crate) exit: Option<i32>,
    /// Lines of standard output that nobody has taken.
    pub(crate) lines: Vec<String>,
    /// Standard error.
    pub(crate) said: String,
}

impl Going {
    /// Begin a command against a server.
    pub(crate) fn begin(client: &Project, url: &str, words: &[&str]) -> Self {
        let mut command = client.command(words);
        command.env("DATANODE_URL", url);
        Self::begun(command)
    }

    /// Begin this command.
    pub(crate) fn begun(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = Arc::<Mutex<String>>::default();
        let (mut said, kept) = (child.stderr.take().unwrap(), Arc::clone(&errors));
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(read @ 1..) = said.read(&mut piece) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        });
        Self { child, lines, errors }
    }

    /// The next line of its standard output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line: {}", self.said()))
    }

    /// That nothing comes for now.
    pub(crate) fn waits(&self) {
        let line = self.lines.recv_timeout(NOTHING);
        assert_eq!(line, Err(RecvTimeoutError::Timeout), "{}", self.said());
    }

    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// Wait until it has said this.
    pub(crate) fn says(&self, text: &str) {
        let give_up = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            assert!(Instant::now() < give_up, "it does not say `{text}`: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Wait until it minds Ctrl-C: before, it would just be ended by it.
    pub(crate) fn minds_ctrl_c(&self) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            // The second bit is that of SIGINT.
            if u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0 {
                return;
            }
            assert!(Instant::now() < give_up, "{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Send it a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Wait for its end.
    pub(crate) fn ended(mut self) -> Gone {
        let give_up = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < give_up, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        };
        // Until the thread that reads has come to the end, which closes the channel.
        let lines = self.lines.iter().collect();
        std::thread::sleep(Duration::from_millis(50));
        Gone { exit: status.code(), lines, said: self.said() }
    }
}

impl Gone {
    /// What it has printed, as JSON.
    pub(crate) fn json(&self) -> Value {
        let text = self.lines.join("\n");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{}", self.said))
    }
}

/// Send a process a signal.
pub(crate) fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

/// Wait until a server works on something, and a run of it has begun; answers its execution.
pub(crate) fn working(server: &Server) -> Value {
    let at_work = |server: &Server| {
        let executions = server.get("/executions");
        let mut items = executions["items"].as_array().unwrap().clone();
        items.retain(|execution| {
            execution["state"] == "running" && execution["runs"] != serde_json::json!([])
        });
        items.into_iter().next()
    };
    server.until("a run has begun", |server| at_work(server).is_some());
    at_work(server).expect("it goes on")
}
