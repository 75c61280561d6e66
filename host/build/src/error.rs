//! Why there is no component.

use thiserror::Error;

use crate::TARGET;

/// Why a build failed, and who has to act.
#[derive(Debug, Error)]
pub enum BuildError {
    /// No cargo.
    #[error("`{program}` cannot be started: {problem}")]
    NoCargo {
        /// What was tried.
        program: String,
        /// Why.
        problem: String,
    },
    /// The compiler has no standard library for wasm32.
    #[error("{compiler} has no standard library for {TARGET}{tried}")]
    NoTarget {
        /// The compiler, as it calls itself.
        compiler: String,
        /// What was tried to get it, and how that ended; begins with a line break.
        tried: String,
        /// What a person can do.
        next_step: String,
    },
    /// No crate where one was expected.
    #[error("there is no Cargo.toml in {directory}")]
    NoManifest {
        /// The directory.
        directory: String,
    },
    /// Cargo failed; it has said why on standard error.
    #[error("`{command}` failed ({status})")]
    Cargo {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
    },
    /// The crate compiles, but not to a component.
    #[error("{crates} built no module for a component")]
    NoModule {
        /// What was built.
        crates: String,
    },
    /// The module does not become a component.
    #[error("`{label}` was compiled, but does not become a component: {problem}")]
    Encode {
        /// The crate.
        label: String,
        /// Why.
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
    /// Cargo answered something else than it promises.
    #[error("cargo's answer to `{command}` cannot be read: {problem}")]
    Answer {
        /// The command line.
        command: String,
        /// Why.
        problem: String,
    },
}

impl BuildError {
    /// Stable dotted code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCargo { .. } => "build.no_cargo",
            Self::NoTarget { .. } => "build.no_target",
            Self::NoManifest { .. } => "build.no_manifest",
            Self::Cargo { .. } => "build.cargo",
            Self::NoModule { .. } => "build.no_module",
            Self::Encode { .. } => "build.encode",
            Self::File { .. } => "build.file",
            Self::Answer { .. } => "build.answer",
        }
    }

    /// What to do next.
    pub fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NoCargo { .. } => format!(
                "install Rust with rustup (https://rustup.rs), then: rustup target add {TARGET}"
            ),
            Self::NoTarget { next_step, .. } => next_step.clone(),
            Self::NoManifest { .. } => "name the directory of the node's crate: datanode build DIRECTORY".to_owned(),
            Self::Cargo { .. } => "mend what cargo says above, then build again".to_owned(),
            Self::NoModule { .. } => {
                "add to its Cargo.toml:\n  [lib]\n  crate-type = [\"cdylib\"]".to_owned()
            }
            Self::Encode { .. } => {
                "the crate must call `datanode_sdk::export!(…)` once, and nothing in it may import functions by hand"
                    .to_owned()
            }
            Self::File { .. } | Self::Answer { .. } => return None,
        })
    }
}
