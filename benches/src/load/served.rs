//! The calls over HTTP.

use std::time::{Duration, Instant};

use datanode_tests::{Project, Server, memory};

use super::place::ROWS;
use super::tool::{Asked, Tool};
use super::{Call, FEW_ROWS, Figures, MANY_ROWS, TABLES_OF_PAGE, clients};

/// A server over a project.
pub(super) struct Served {
    server: Server,
    token: String,
    nodes: Vec<String>,
    /// Addresses behind that of the server, of every page of the list.
    pages: Vec<String>,
    questions: Vec<String>,
    /// Bytes of an answer with few, and with many rows.
    bytes: [u64; 2],
    /// The first search of its process, which reads all tables and their vectors.
    pub(super) first_search: Duration,
    /// Goes when this goes.
    _project: Project,
}

/// A moment of the table with rows; there are a hundred.
pub(super) fn moment(number: usize) -> String {
    const MOMENTS: usize = (MANY_ROWS / FEW_ROWS) as usize;
    format!("2000-01-01T00:00:00.{:03}Z", number % MOMENTS)
}

/// A text as a part of an address.
fn in_address(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

impl Served {
    pub(super) fn new(
        project: Project,
        server: Server,
        token: String,
        nodes: Vec<String>,
        questions: Vec<String>,
        bytes: [u64; 2],
        tables: usize,
    ) -> Self {
        let begun = Instant::now();
        server.get(&format!("/search/tables?q={}", in_address(&questions[0])));
        let first_search = begun.elapsed();
        let pages = pages(&server);
        assert_eq!(pages.len(), tables.div_ceil(TABLES_OF_PAGE as usize));
        Self { server, token, nodes, pages, questions, bytes, first_search, _project: project }
    }

    /// Let so many clients ask for so long.
    pub(super) fn measure(&self, call: Call, clients: usize, seconds: u64, tool: &Tool) -> Figures {
        let search = |of: &str| -> Vec<String> {
            let address = |question: &String| format!("/api/v1/search/{of}?q={}", in_address(question));
            self.questions.iter().map(address).collect()
        };
        let rows = format!("/api/v1/tables/{ROWS}/rows");
        let (addresses, bytes) = match call {
            Call::Run => {
                let (address, nodes) = (self.server.address(), &self.nodes[..clients]);
                return clients::measure(address, &self.token, nodes, Duration::from_secs(seconds));
            }
            Call::FewRows => {
                let at = |number| in_address(&moment(number));
                let window = |number| format!("{rows}?start={}&end={}", at(number), at(number));
                ((0..100).map(window).collect(), Some(self.bytes[0]))
            }
            Call::ManyRows => (vec![rows], Some(self.bytes[1])),
            Call::List => (self.pages.clone(), None),
            Call::Tables => (search("tables"), None),
            Call::Columns => (search("columns"), None),
        };
        let accept = if bytes.is_some() { "application/vnd.apache.arrow.stream" } else { "application/json" };
        let urls: Vec<String> =
            addresses.iter().map(|address| format!("{}{address}", self.server.url())).collect();
        tool.load(&Asked { urls: &urls, accept, token: &self.token, clients, seconds, bytes })
    }

    /// The most that its process has held so far, where the system tells.
    pub(super) fn held(&self) -> Option<u64> {
        memory::held_by(self.server.process())
    }
}

/// The address of every page of the list, as a client finds it: in the page before.
fn pages(server: &Server) -> Vec<String> {
    let first = format!("/tables?limit={TABLES_OF_PAGE}");
    let mut pages = vec![first.clone()];
    loop {
        let page = server.get(pages.last().unwrap());
        match page["next_cursor"].as_str() {
            Some(cursor) => pages.push(format!("{first}&cursor={}", in_address(cursor))),
            None => return pages.iter().map(|page| format!("/api/v1{page}")).collect(),
        }
    }
}
