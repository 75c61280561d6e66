//! Why there are no vectors.

use std::path::PathBuf;

use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use thiserror::Error;

/// Why there are no vectors. Never the fault of who searches.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EmbeddingError {
    /// A directory that has no model.
    #[error("the embedding model in {} cannot be used: {problem}", .directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A model that fails on a text.
    #[error("the embedding model `{model}` has failed: {problem}")]
    Broken {
        /// Its name.
        model: String,
        /// What it did.
        problem: String,
    },
}

impl Diagnostic for EmbeddingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "search.model_directory",
            Self::Broken { .. } => "search.model_broken",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }

    fn next_step(&self) -> Option<String> {
        Some(
            "name a directory in the format of model2vec (model.safetensors, tokenizer.json, config.json) under [search] in \
             datanode.toml, or take that setting out: the model that is built in needs none"
                .to_owned(),
        )
    }
}
