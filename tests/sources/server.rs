//! A server that does what it should not, by the path that it is asked for.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Rows as the component `fetches` reads them.
pub(crate) const ROWS: &str = "1,a,1.5\n1,b,2.5\n2,a,3.5\n";

/// What each server knows.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The heads of all requests.
    pub(crate) heads: Mutex<Vec<String>>,
    /// How often each path was asked for.
    counts: Mutex<BTreeMap<String, u32>>,
    /// What it echoes in many writings.
    pub(crate) secret: Mutex<String>,
    /// Where it redirects to.
    pub(crate) other: Mutex<String>,
}

/// A server on a port of its own, gone when dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Makes what a client and a server talk through of a connection.
pub(crate) type Wrap = Arc<dyn Fn(TcpStream) -> Box<dyn Talk> + Send + Sync>;

/// Both ways.
pub(crate) trait Talk: Read + Write + Send {}
impl<T: Read + Write + Send> Talk for T {}

impl Server {
    pub(crate) fn start() -> Self {
        Self::wrapped(Arc::new(|stream| Box::new(stream)))
    }

    pub(crate) fn wrapped(wrap: Wrap) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (shared, stop) = (Arc::new(Shared::default()), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    let Ok(stream) = stream else { continue };
                    let (shared, stop, wrap) = (Arc::clone(&shared), Arc::clone(&stop), Arc::clone(&wrap));
                    std::thread::spawn(move || {
                        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
                        // A client that goes away is none of its business.
                        drop(serve(&mut *wrap(stream), &shared, &stop));
                    });
                }
            })
        };
        Self { port, shared, stop, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.shared.heads.lock().unwrap().clear();
        self.shared.counts.lock().unwrap().clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn head(stream: &mut dyn Talk) -> std::io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            break;
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

fn chunked(pieces: impl Iterator<Item = Vec<u8>>, trailers: &str) -> Vec<u8> {
    let mut text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for piece in pieces {
        text.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        text.extend(piece);
        text.extend(b"\r\n");
    }
    text.extend(format!("0\r\n{trailers}\r\n").into_bytes());
    text
}

/// The secret in a writing; None where the path is no echo.
fn echo(way: &str, head: &str, secret: &str, other: &str) -> Option<Vec<u8>> {
    let each = |write: &dyn Fn(u8) -> String| secret.bytes().map(write).collect::<String>();
    Some(match way {
        "plain" | "guest" => ok(head).into_bytes(),
        "upper" => ok(&head.to_uppercase()).into_bytes(),
        "hex" => ok(&each(&|byte| format!("{byte:02x}"))).into_bytes(),
        "base64" => ok(&STANDARD.encode(format!("x{secret}"))).into_bytes(),
        "percent" => ok(&each(&|byte| format!("%{byte:02X}"))).into_bytes(),
        "json" => ok(&serde_json::json!({ "headers": head }).to_string()).into_bytes(),
        "html" => ok(&each(&|byte| format!("&#{byte};"))).into_bytes(),
        "pieces" => chunked(head.bytes().map(|byte| vec![byte]), ""),
        "trailers" => {
            chunked(std::iter::once(b"short".to_vec()), &format!("etag: {secret}\r\nx-trailer: {secret}\r\n"))
        }
        "header" => format!(
            "HTTP/1.1 200 OK\r\netag: \"{secret}\"\r\nlink: <{}>\r\nx-other: {secret}\r\ncontent-length: 0\r\n\r\n",
            each(&|byte| format!("%{byte:02x}"))
        )
        .into_bytes(),
        "cookie" => format!(
            "HTTP/1.1 401 Unauthorized\r\nset-cookie: session={secret}\r\nwww-authenticate: Bearer realm=\"{secret}\"\r\n\
             content-length: 0\r\n\r\n"
        )
        .into_bytes(),
        "status" => format!("HTTP/1.1 200 {secret}\r\ncontent-length: 2\r\n\r\nok").into_bytes(),
        "error_page" => {
            let page = format!("<pre>{head}</pre>");
            format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\n\r\n{page}", page.len()).into_bytes()
        }
        "redirect_with_secret" => {
            redirect(&format!("{other}files/echo?stolen={}", each(&|byte| format!("%{byte:02x}")))).into_bytes()
        }
        "redirect_elsewhere" => redirect(&format!("{other}files/echo?a=b")).into_bytes(),
        "redirect_forbidden" => redirect(&format!("{other}private/a?stolen={secret}")).into_bytes(),
        _ => return None,
    })
}

fn serve(stream: &mut dyn Talk, shared: &Shared, stop: &AtomicBool) -> std::io::Result<()> {
    let head = head(stream)?;
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let name = path.trim_start_matches("/v1/").to_owned();
    shared.heads.lock().unwrap().push(head.clone());
    let count = {
        let mut counts = shared.counts.lock().unwrap();
        let count = counts.entry(name.clone()).or_insert(0);
        *count += 1;
        *count
    };
    let secret = shared.secret.lock().unwrap().clone();
    let other = shared.other.lock().unwrap().clone();
    if let Some(answer) = name.strip_prefix("echo/").and_then(|way| echo(way, &head, &secret, &other)) {
        return stream.write_all(&answer);
    }
    let drip = |stream: &mut dyn Talk, bytes: &[u8]| -> std::io::Result<()> {
        while !stop.load(Ordering::Acquire) {
            stream.write_all(bytes)?;
            stream.flush()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    };
    let flood = |stream: &mut dyn Talk, bytes: &[u8]| -> std::io::Result<()> {
        while !stop.load(Ordering::Acquire) {
            stream.write_all(bytes)?;
        }
        Ok(())
    };
    let answer: Vec<u8> = match name.as_str() {
        "/files/echo" => ok(&head).into_bytes(),
        "to_files" => redirect(&format!("{other}files/good")).into_bytes(),
        "flaky" if count < 3 => b"HTTP/1.1 503 Later\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "breaks_once" if count < 2 => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n1,a,".to_vec(),
        "good" | "/files/good" | "flaky" | "breaks_once" => ok(ROWS).into_bytes(),
        "busy" => b"HTTP/1.1 503 Later\r\ncontent-length: 4\r\n\r\nbusy".to_vec(),
        "slow_head" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ")?;
            return drip(stream, b"a");
        }
        "slow_body" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
            return drip(stream, b"a");
        }
        "silent" => {
            while !stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(50));
            }
            return Ok(());
        }
        "endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            return flood(stream, &vec![b'a'; 65_536]);
        }
        "endless_chunks" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            return flood(stream, format!("10000\r\n{}\r\n", "a".repeat(0x10000)).as_bytes());
        }
        "says_huge" => b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n".to_vec(),
        "says_more" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec(),
        "says_two_lengths" => {
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde".to_vec()
        }
        "bad_chunk" => {
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc".to_vec()
        }
        "huge_head" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            return flood(stream, format!("x-huge: {}\r\n", "a".repeat(1_000)).as_bytes());
        }
        "many_headers" => {
            let many = "x-one: a\r\n".repeat(1_000);
            format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n").into_bytes()
        }
        "gzip_bomb" => {
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()
        }
        "garbage" => b"\x16\x03\x01 what is this\r\n\r\n".to_vec(),
        "hangs_up" => Vec::new(),
        "loop" => redirect("/v1/loop").into_bytes(),
        "metadata" => redirect("http://169.254.169.254/latest/meta-data/").into_bytes(),
        "other_scheme" => redirect("file:///etc/passwd").into_bytes(),
        "no_url" => redirect("http://[").into_bytes(),
        "escapes" => redirect("/v1/echo/..%2f..%2fadmin").into_bytes(),
        _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone".to_vec(),
    };
    stream.write_all(&answer)
}
