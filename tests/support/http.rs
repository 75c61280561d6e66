//! A server of the project, driven over plain HTTP as any client would: requests are written byte by byte, so that tests can
//! write what no client would.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Project, told};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// `datanode serve` on a port of its own, ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    said: Value,
    token: Option<String>,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Serve a project, with these further arguments.
    pub fn start(project: &Project, arguments: &[&str]) -> Self {
        Self::started(project.command(&[&["serve", "--listen", "127.0.0.1:0", "--json"], arguments].concat()))
    }

    /// Serve by this command, which is `serve … --json`.
    pub fn started(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("datanode starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (errors, told) = (child.stderr.take().expect("standard error"), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut told = told.lock().expect("a log");
                told.push_str(&line);
                told.push('\n');
            }
        });
        let mut said = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("standard output"));
        while !said.ends_with("}\n") {
            let read = output.read_line(&mut said).expect("an answer of `serve`");
            assert!(read > 0, "`serve` has ended: {}", log.lock().expect("a log"));
        }
        let answer: Value = serde_json::from_str(&said).expect("JSON");
        let address = answer["address"].as_str().expect("an address").parse().expect("an address");
        // Its standard output stays open, so that nothing that it prints later fails.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, address, said: answer, token: None, log }
    }

    /// The same server, asked with this token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// What it printed when it was ready.
    pub fn said(&self) -> &Value {
        &self.said
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("a log").clone()
    }

    /// A request, to be completed and sent.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let headers = vec![
            ("host".to_owned(), self.address.to_string()),
            ("connection".to_owned(), "close".to_owned()),
        ];
        let request = Request {
            address: self.address,
            method: method.to_owned(),
            path: path.to_owned(),
            headers,
            body: Vec::new(),
        };
        match &self.token {
            Some(token) => request.header("authorization", &format!("Bearer {token}")),
            None => request,
        }
    }

    /// The JSON at a place of the own API; the answer must be a success.
    pub fn get(&self, path: &str) -> Value {
        self.request("GET", &format!("/api/v1{path}")).send().success()
    }

    /// Send JSON to a place of the own API; the answer must be a success.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", &format!("/api/v1{path}")).json(body).send().success()
    }

    /// Upload a guest component by name.
    pub fn upload(&self, name: &str) -> Value {
        let bytes = std::fs::read(crate::component(name)).expect("a component");
        let request = self.request("POST", "/api/v1/components").header("content-type", "application/wasm");
        request.body(bytes).send().success()
    }

    /// Wait for an execution that was begun, and answer how it ended.
    pub fn ended(&self, begun: &Value) -> Value {
        let id = begun["execution_id"].as_str().expect("an execution");
        let give_up = Instant::now() + PATIENCE;
        loop {
            let execution = self.get(&format!("/executions/{id}"));
            if !matches!(execution["state"].as_str(), Some("waiting" | "running")) {
                return execution;
            }
            assert!(Instant::now() < give_up, "{execution} does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Wait until something is so.
    pub fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < give_up, "never: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A number of `/metrics`, summed over its labels that have all of these texts in them.
    pub fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let text = self.request("GET", "/metrics").send().text();
        let of_it = text.lines().filter(|line| {
            line.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| line.contains(label))
        });
        of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Ask it to end, and wait until it has; with its log.
    pub fn end(mut self) -> (ExitStatus, String) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
        assert!(asked.success());
        let status = self.child.wait().expect("an end");
        // What it wrote last is on its way through a thread.
        std::thread::sleep(Duration::from_millis(100));
        (status, self.log())
    }
}

impl Server {
    /// End it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A request on its way.
#[derive(Debug, Clone)]
pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// With a header; one of the same name goes.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// With a JSON document as its body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string().into_bytes())
    }

    /// What is sent before the body.
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let has_length = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        });
        if !has_length && (!self.body.is_empty() || self.method != "GET" && self.method != "HEAD") {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        head + "\r\n"
    }

    /// Open a connection and send the head alone.
    pub fn begin(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(self.head().as_bytes()).expect("a head that is sent");
        stream
    }

    /// Send all of it, and read the answer to its end. It must be what the document of the API tells of it.
    pub fn send(&self) -> Answer {
        let mut stream = self.begin();
        // A server that answers before it has all may close: the answer counts.
        let _ = stream.write_all(&self.body);
        let answer = Answer::read(&mut stream);
        told::check(&self.method, &self.path, &answer);
        answer
    }

    /// The same, where there may be no answer at all.
    pub fn try_send(&self) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(self.head().as_bytes()).ok()?;
        let _ = stream.write_all(&self.body);
        Answer::try_read(&mut stream)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub is_whole: bool,
}

impl Answer {
    /// Read one from a connection that is closed behind it.
    pub fn read(stream: &mut TcpStream) -> Self {
        Self::try_read(stream).expect("an answer")
    }

    /// The same, where there may be none.
    pub fn try_read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes).is_ok();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let rest = &bytes[end + 4..];
        let (body, is_whole) = if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            unchunked(rest)
        } else {
            let told = headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
            (rest.to_vec(), ended && told.is_none_or(|told| told == rest.len()))
        };
        Some(Self { status, headers, body, is_whole })
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    /// Its body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    /// The JSON of a success; null where there is no body.
    pub fn success(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        assert!(self.status >= 400, "{} {}", self.status, self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        problem["code"].as_str().unwrap_or_else(|| panic!("no code: {problem}")).to_owned()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A body in chunks, and whether the last of them is there.
fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size =
            std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return (body, false) };
        if size == 0 {
            return (body, true);
        }
        let from = end + 2;
        if rest.len() < from + size + 2 {
            body.extend_from_slice(&rest[from.min(rest.len())..]);
            return (body, false);
        }
        body.extend_from_slice(&rest[from..from + size]);
        rest = &rest[from + size + 2..];
    }
    (body, false)
}
