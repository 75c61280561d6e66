//! `oha`, which asks and measures: <https://crates.io/crates/oha>.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Figures;

/// Names its program; `cargo xtask bench --load` does.
const VARIABLE: &str = "DATANODE_LOAD_TOOL";
/// Seconds of asking before anything counts.
const WARM: u64 = 1;

/// What is asked, and by how many.
pub(super) struct Asked<'a> {
    /// One of them by chance for each request.
    pub(super) urls: &'a [String],
    pub(super) accept: &'a str,
    pub(super) token: &'a str,
    pub(super) clients: usize,
    pub(super) seconds: u64,
    /// Bytes of a whole answer, where all have the same.
    pub(super) bytes: Option<u64>,
}

/// The program.
pub(super) struct Tool {
    program: PathBuf,
    /// As it calls itself.
    pub(super) version: String,
}

impl Tool {
    pub(super) fn find() -> Self {
        let program: PathBuf = std::env::var_os(VARIABLE).map_or_else(|| "oha".into(), Into::into);
        let said = Command::new(&program).arg("--version").output();
        let said =
            said.expect("oha: `cargo xtask bench --load` installs it, and names it in DATANODE_LOAD_TOOL");
        assert!(said.status.success(), "oha --version: {}", said.status);
        Self { program, version: String::from_utf8(said.stdout).unwrap().trim().to_owned() }
    }

    /// Ask for a moment that does not count, then for so long that it does.
    pub(super) fn load(&self, asked: &Asked<'_>) -> Figures {
        self.ask(asked, WARM.min(asked.seconds));
        figures(&self.ask(asked, asked.seconds), asked.bytes)
    }

    fn ask(&self, asked: &Asked<'_>, seconds: u64) -> Value {
        let mut urls = tempfile::NamedTempFile::new().unwrap();
        urls.write_all(asked.urls.join("\n").as_bytes()).unwrap();
        let mut oha = Command::new(&self.program);
        oha.args(["--no-tui", "--output-format", "json", "--worker-threads", "1"]);
        // Without it, every answer would be compressed: what is measured is the server, and not gzip.
        oha.arg("--disable-compression");
        // What is under way at the end counts, too.
        oha.args(["-z", &format!("{seconds}s"), "--wait-ongoing-requests-after-deadline"]);
        oha.args(["-c", &asked.clients.to_string(), "-A", asked.accept]);
        oha.args(["-H", &format!("authorization: Bearer {}", asked.token)]);
        oha.arg("--urls-from-file").arg(urls.path());
        let output = oha.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "oha: {}", output.status);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// What it has written. An answer is an error unless it is 200, and where all have so many bytes, all must have them.
fn figures(told: &Value, bytes: Option<u64>) -> Figures {
    let counts = |name: &str| -> BTreeMap<String, u64> {
        let object = told[name].as_object().unwrap();
        object.iter().map(|(what, count)| (what.clone(), count.as_u64().unwrap())).collect()
    };
    let mut errors = counts("statusCodeDistribution");
    let answers = errors.remove("200").unwrap_or(0);
    errors.extend(counts("errorDistribution"));
    if let (Some(bytes), true) = (bytes, errors.is_empty()) {
        let each = told["summary"]["sizePerRequest"].as_u64();
        assert_eq!(each, Some(bytes), "answers are not whole");
    }
    let seconds = told["summary"]["total"].as_f64().unwrap();
    let at = |percentile: &str| told["latencyPercentiles"][percentile].as_f64().unwrap_or(f64::NAN);
    Figures { answers, seconds, p50: at("p50"), p99: at("p99"), errors }
}
