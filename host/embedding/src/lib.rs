//! Vectors of texts, for search by meaning.
//!
//! **One idea:** a model is a pure function from texts to vectors that has a digest ([`Embedder`]). Vectors are kept with the
//! digest of the model that made them, so that those of two models are never compared. [`built_in`] is a static model of
//! words that is linked into the program; [`DirectoryModel`] is one of the same kind that an operator has put into a directory.
//!
//! **May depend on:** `datanode-core`, model2vec-rs, tokenizers. **Never on:** the network, a database, tokio.
//!
//! Invariants:
//!
//! * *Nothing is fetched.* The crates that read models are built without their clients.
//! * *The same text gives the same bytes*, in whatever company it is embedded: numbers are added up in the order of the text.

mod built_in;
mod directory;
mod error;
mod static_model;

use std::fmt::Debug;

use datanode_core::digest::Digest;

pub use built_in::{BUILT_IN, built_in};
pub use directory::DirectoryModel;
pub use error::EmbeddingError;

/// What there is to know of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// What it is called in requests and answers.
    pub name: String,
    /// How many numbers its vectors have.
    pub dimension: usize,
    /// Of all that its vectors follow from: another digest, other vectors.
    pub digest: Digest,
}

/// A model that makes vectors of texts.
///
/// Deterministic: the same text gives the same vector, whatever it is given together with, and on every machine. May block
/// for as long as it takes to read a model, when it is asked first.
pub trait Embedder: Send + Sync + Debug {
    /// What it is.
    fn model(&self) -> Result<Model, EmbeddingError>;

    /// The vectors of texts, in their order: of the model's dimension, all numbers finite. A text that says nothing has the
    /// zero vector.
    fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbeddingError>;
}
