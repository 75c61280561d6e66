//! A guest that goes on as a test says: it fetches, logs what it was answered, and fetches again; its source answers each
//! request once it is let.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use datanode_tests::{Project, root};

/// What the guest fetches in the end.
const ROWS: &str = "1,a,1.5\n1,b,2.5\n";

/// A source on a port of its own. It lets everybody go when dropped.
pub(crate) struct Paced {
    turns: Arc<(Mutex<Turns>, Condvar)>,
}

#[derive(Debug, Default)]
struct Turns {
    answered: u32,
    allowed: u32,
}

impl Paced {
    /// A project with the node `out`, which fetches and logs so many times.
    pub(crate) fn project(times: u32) -> (Project, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let turns = Arc::<(Mutex<Turns>, Condvar)>::default();
        let serving = Arc::clone(&turns);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), turns) = (stream, Arc::clone(&serving)) else { return };
                std::thread::spawn(move || answer(stream, &turns));
            }
        });
        let project = Project::new();
        project.upload("fetches");
        let contract = std::fs::read_to_string(root().join("tests/hostile/contract.toml")).unwrap();
        let file = project.path().join("out.toml");
        std::fs::write(&file, contract.replace("\"hostile_output\"", "\"out\"")).unwrap();
        project.run(&["table", "register", file.to_str().unwrap()]);
        let url = format!("http://127.0.0.1:{port}/v1/");
        let rules = ["--network", "127.0.0.1/32", "--grant", "fetches"];
        project.run(&[&["source", "add", "api", "--url", &url], &rules[..]].concat());
        let config = format!("{{\"path\": \"rows\", \"times\": {times}}}");
        project.run(&["node", "create", "fetches", "--table", "out", "--config", &config]);
        (project, Self { turns })
    }

    /// Let one more request be answered.
    pub(crate) fn go_on(&self) {
        self.turns.0.lock().unwrap().allowed += 1;
        self.turns.1.notify_all();
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        if let Ok(mut turns) = self.turns.0.lock() {
            turns.allowed = u32::MAX;
        }
        self.turns.1.notify_all();
    }
}

/// What the guest logs of its answers: the number of each.
pub(crate) fn number_of(line: &str) -> u32 {
    let rest = line.split("answer-").nth(1).unwrap_or_else(|| panic!("no answer: {line}"));
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

fn answer(mut stream: TcpStream, (turns, changed): &(Mutex<Turns>, Condvar)) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let mut turns = turns.lock().unwrap();
    while turns.answered >= turns.allowed {
        turns = changed.wait(turns).unwrap();
    }
    turns.answered += 1;
    let (number, length) = (turns.answered, ROWS.len());
    // A guest that was killed is none of its business.
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\netag: \"answer-{number}\"\r\ncontent-length: {length}\r\n\r\n{ROWS}"
    );
}
