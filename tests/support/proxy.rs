//! Between the command and a PostgreSQL server: a proxy that knows the messages of the protocol, counts those of the
//! commit, and cuts the connection at the one that a test has chosen.
//!
//! A message is a letter, a length and its content, the first one of a client a length and its content. (The proxy asks for
//! connections without TLS, in which it could read nothing.)

use std::io::{BufReader, Read, Result, Write, copy, sink};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::ServerDatabase;

/// With this statement the transaction of a commit begins, and no other one of a run before it.
const BEGIN: &[u8] = b"FROM datanode.leases WHERE node_uid = $1 FOR UPDATE";
/// And with this one it ends.
const END: &[u8] = b"COMMIT";
/// The letter of a message with one statement and no parameters.
const QUERY: u8 = b'Q';
/// The letter of the message with which an answer of the server ends.
const READY: u8 = b'Z';

/// The message at which the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Of the commit's transaction, counted from 0 in both directions together.
    Number(usize),
    /// The `COMMIT`.
    Commit,
    /// What answers it.
    Answer,
}

/// Where and how a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The message.
    pub at: Message,
    /// Whether it arrives before, or only one half of it.
    pub arrives: bool,
    /// Whether all other connections are cut with it.
    pub all: bool,
}

/// What a connection was cut at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// Work of the transaction; the `COMMIT` was not sent.
    Work,
    /// The `COMMIT` itself.
    Commit,
    /// An answer to the `COMMIT`, which had been carried out.
    Answer,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    url: String,
    shared: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    cut: Option<Cut>,
    met: Option<Met>,
    open: Vec<Open>,
    /// The connection of the commit.
    commit: Option<usize>,
    /// How many of its messages have come.
    messages: usize,
    phase: Phase,
}

/// How far the commit has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Working,
    Committing,
    Over,
}

#[derive(Debug)]
struct Open {
    number: usize,
    client: TcpStream,
    server: TcpStream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// What becomes of a message.
enum Fate {
    Passes,
    /// So much of it arrives, and then nothing more.
    IsCut(usize),
}

impl Proxy {
    /// Before a database. Without a cut it only counts.
    pub fn new(database: &ServerDatabase, cut: Option<Cut>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let url = database.url();
        let (begin, name) = url.rsplit_once('/').expect("a URL ends with the name of a database");
        let (_, server) = begin.split_once("://").expect("a URL begins with its scheme");
        let (role, server) = server.rsplit_once('@').unwrap_or(("postgres", server));
        let server = if server.contains(':') { server.to_owned() } else { format!("{server}:5432") };
        let shared = Arc::new(Mutex::new(State { cut, ..State::default() }));
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(&listener, &server, &serving));
        Self { port, url: format!("postgres://{role}@127.0.0.1:{port}/{name}?sslmode=disable"), shared }
    }

    /// Where the command finds the database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many messages the commit's transaction had, in both directions; at least one.
    pub fn messages(&self) -> usize {
        let state = lock(&self.shared);
        assert!(
            state.phase == Phase::Over,
            "no commit came through the proxy: does it begin with another statement?"
        );
        state.messages
    }

    /// What was cut, if the commit came so far.
    pub fn met(&self) -> Option<Met> {
        lock(&self.shared).met
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        lock(&self.shared).closed = true;
        // It waits for somebody.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: &TcpListener, server: &str, shared: &Arc<Mutex<State>>) {
    for (number, client) in listener.incoming().enumerate() {
        if lock(shared).closed {
            return;
        }
        let connect = || -> Result<Open> {
            let (client, server) = (client?, TcpStream::connect(server)?);
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            Ok(Open { number, client, server })
        };
        let Ok(open) = connect() else { continue };
        for from in [From::Client, From::Server] {
            let streams = (open.client.try_clone(), open.server.try_clone());
            let (Ok(client), Ok(server)) = streams else { return };
            let shared = Arc::clone(shared);
            thread::spawn(move || match from {
                From::Client => pass(client, server, from, number, &shared),
                From::Server => pass(server, client, from, number, &shared),
            });
        }
        lock(shared).open.push(open);
    }
}

/// Hand messages on, until the connection ends or is cut.
fn pass(source: TcpStream, mut target: TcpStream, from: From, number: usize, shared: &Mutex<State>) {
    let mut source = BufReader::new(source);
    let mut has_letter = from == From::Server;
    while let Ok(message) = read_message(&mut source, has_letter) {
        has_letter = true;
        let mut state = lock(shared);
        match state.judge(number, from, &message) {
            Fate::Passes => {
                // Whoever does not read holds up nobody else.
                drop(state);
                if target.write_all(&message).is_err() {
                    break;
                }
            }
            Fate::IsCut(arrives) => {
                let _ = target.write_all(&message[..arrives]);
                state.cut(number);
            }
        }
    }
    let _ = target.shutdown(Shutdown::Write);
    // What nobody takes is taken here: a connection that is closed with something unread takes back what it has sent.
    let _ = copy(&mut source, &mut sink());
    if from == From::Server {
        lock(shared).open.retain(|open| open.number != number);
    }
}

fn read_message(source: &mut impl Read, has_letter: bool) -> Result<Vec<u8>> {
    let letter = usize::from(has_letter);
    let mut message = vec![0; letter + 4];
    source.read_exact(&mut message)?;
    let length =
        u32::from_be_bytes([message[letter], message[letter + 1], message[letter + 2], message[letter + 3]]);
    message.resize(letter + length as usize, 0);
    source.read_exact(&mut message[letter + 4..])?;
    Ok(message)
}

fn contains(message: &[u8], text: &[u8]) -> bool {
    message.windows(text.len()).any(|part| part == text)
}

impl State {
    /// Count a message of the commit, and say what becomes of it.
    fn judge(&mut self, number: usize, from: From, message: &[u8]) -> Fate {
        if from == From::Client && self.commit.is_none() && contains(message, BEGIN) {
            self.commit = Some(number);
        }
        if self.commit != Some(number) || self.phase == Phase::Over || self.met.is_some() {
            return Fate::Passes;
        }
        let is_commit = from == From::Client && message[0] == QUERY && contains(message, END);
        if is_commit {
            self.phase = Phase::Committing;
        }
        let met = match (is_commit, self.phase) {
            (true, _) => Met::Commit,
            (false, Phase::Working) => Met::Work,
            (false, _) => Met::Answer,
        };
        let count = self.messages;
        self.messages += 1;
        if self.phase == Phase::Committing && from == From::Server && message[0] == READY {
            self.phase = Phase::Over;
        }
        let is_here = |cut: &Cut| match cut.at {
            Message::Number(number) => number == count,
            Message::Commit => met == Met::Commit,
            Message::Answer => met == Met::Answer,
        };
        let Some(cut) = self.cut.filter(is_here) else { return Fate::Passes };
        self.met = Some(met);
        Fate::IsCut(if cut.arrives { message.len() } else { message.len() / 2 })
    }

    fn cut(&mut self, number: usize) {
        let all = self.cut.is_some_and(|cut| cut.all);
        for open in self.open.iter().filter(|open| all || open.number == number) {
            let _ = open.client.shutdown(Shutdown::Both);
            // What was sent to the server arrives, and then the end.
            let _ = open.server.shutdown(Shutdown::Write);
        }
    }
}
