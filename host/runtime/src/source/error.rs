//! Why a fetch ends a run, or is refused.

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_store::StoreError;
use thiserror::Error;

use crate::secret::SecretError;

/// A fetch that ends the run. What it says comes from the host, cleaned of secrets.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    /// A file failed.
    #[error("source `{name}`: reading `{path}` failed: {problem}")]
    Read { name: String, path: String, problem: String },
    /// No answer, or none that is whole.
    #[error("source `{name}` cannot be reached, asked for `{path}` (attempts: {attempts}): {problem}")]
    Unreachable { name: String, path: String, attempts: u32, problem: String },
    /// The answer takes too long.
    #[error("source `{name}` did not answer in {limit_ms} ms, asked for `{path}`")]
    Timeout {
        name: String,
        path: String,
        limit_ms: u64,
        /// The source's own setting is less than what the sandbox allows a host call.
        own: bool,
    },
    /// More was asked than the source may be.
    #[error(
        "source `{name}`: {per_minute} requests a minute are allowed, and the next one would come after {limit_ms} ms"
    )]
    Rate { name: String, per_minute: u32, limit_ms: u64 },
    /// Nobody can say when its turn is.
    #[error("source `{name}`: {problem}")]
    Turn { name: String, problem: Box<StoreError> },
    /// The answer is too large.
    #[error("source `{name}`: the answer to `{path}` has more than {limit} bytes")]
    Bytes { name: String, path: String, limit: u64 },
    /// Its headers are.
    #[error(
        "source `{name}`: the answer to `{path}` has more than {limit} bytes of headers, or too many of them"
    )]
    Headers { name: String, path: String, limit: usize },
    /// The answer is compressed, which was not asked for.
    #[error("source `{name}`: the answer to `{path}` is encoded as `{encoding}`, which was not asked for")]
    Encoding { name: String, path: String, encoding: String },
    /// Nothing can be kept.
    #[error("source `{name}`: the answer cannot be kept: {problem}")]
    Spool { name: String, problem: String },
    /// The certificate authorities of a source, or of the machine.
    #[error("source `{name}`: certificate authorities: {problem}")]
    Authorities { name: String, problem: String },
    /// A secret.
    #[error("source `{name}`: {problem}")]
    Secret { name: String, problem: SecretError },
}

impl Diagnostic for SourceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "source.read",
            Self::Unreachable { .. } => "source.unreachable",
            Self::Timeout { .. } => "source.timeout",
            Self::Rate { .. } => "source.limit.rate",
            Self::Turn { problem, .. } => problem.code(),
            Self::Bytes { .. } => "source.limit.bytes",
            Self::Headers { .. } => "source.limit.headers",
            Self::Encoding { .. } => "source.encoding",
            Self::Spool { .. } => "source.spool",
            Self::Authorities { .. } => "source.authorities",
            Self::Secret { problem, .. } => problem.code(),
        }
    }

    /// A large or encoded answer is a fact about the source; all others are about the way to it.
    fn class(&self) -> ErrorClass {
        match self {
            Self::Bytes { .. } | Self::Headers { .. } | Self::Encoding { .. } => ErrorClass::Failed,
            _ => ErrorClass::Infrastructure,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } | Self::Spool { .. } => {
                "see that the disk is sound and has room, then run it again".to_owned()
            }
            Self::Unreachable { .. } => {
                "see that the server runs and can be reached from here, then run it again".to_owned()
            }
            Self::Timeout { name, own: true, .. } => {
                format!(
                    "run it again, or give it more time: datanode source allow {name} --timeout-ms MILLISECONDS"
                )
            }
            Self::Timeout { .. } => {
                "run it again, or give it more time: raise `host_call_ms` under [limits] in datanode.toml"
                    .to_owned()
            }
            Self::Rate { name, .. } => {
                format!(
                    "run it again later, or allow more: datanode source allow {name} --per-minute REQUESTS"
                )
            }
            Self::Bytes { name, .. } => {
                format!(
                    "ask for less (a range, say), or allow more: datanode source allow {name} --max-bytes BYTES"
                )
            }
            Self::Headers { .. } | Self::Encoding { .. } => "ask whoever runs the server".to_owned(),
            Self::Authorities { name, .. } => {
                format!(
                    "name a PEM file of certificate authorities: datanode source allow {name} --ca-file FILE"
                )
            }
            Self::Secret { problem, .. } => return problem.next_step(),
            Self::Turn { problem, .. } => return problem.next_step(),
        })
    }
}

/// Why a fetch has no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The guest is told: code and message.
    Refused(&'static str, String),
    /// The run ends.
    Ended(SourceError),
}

impl From<SourceError> for NoAnswer {
    fn from(error: SourceError) -> Self {
        Self::Ended(error)
    }
}
