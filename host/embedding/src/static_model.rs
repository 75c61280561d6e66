//! Static models: a vector for each piece of a word, and the mean of them for a text.

use std::panic::{AssertUnwindSafe, catch_unwind};

use model2vec_rs::model::StaticModel;
use serde_json::Value;
use tokenizers::Tokenizer;

/// Pieces of a text that are looked at.
const MAX_PIECES: usize = 512;
/// Texts that are worked on at once.
const TEXTS: usize = 256;
/// The largest dimension that is taken: vectors of all tables are kept in memory.
const MAX_DIMENSION: usize = 4_096;

/// The files of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'f> {
    pub(crate) tokenizer: &'f [u8],
    pub(crate) weights: &'f [u8],
    pub(crate) config: &'f [u8],
}

/// A model that is read.
#[derive(Debug)]
pub(crate) struct Loaded {
    model: StaticModel,
    pub(crate) dimension: usize,
}

impl Loaded {
    /// Read a model. What is wrong with one is told in words.
    pub(crate) fn read(files: Files<'_>) -> Result<Self, String> {
        let (rows, dimension) = shape(files.weights)?;
        if dimension == 0 || dimension > MAX_DIMENSION {
            return Err(format!(
                "its vectors have {dimension} numbers where 1 to {MAX_DIMENSION} are allowed"
            ));
        }
        // The crate looks pieces up without asking whether there are as many rows.
        let tokenizer = Tokenizer::from_bytes(files.tokenizer)
            .map_err(|error| format!("tokenizer.json cannot be read: {error}"))?;
        if tokenizer.get_vocab(true).values().any(|piece| *piece as usize >= rows) {
            return Err(format!("its tokenizer has pieces beyond the {rows} rows of model.safetensors"));
        }
        let read = || StaticModel::from_bytes(files.tokenizer, files.weights, files.config, Some(true));
        let model = guarded(read)?.map_err(|error| format!("{error:#}"))?;
        Ok(Self { model, dimension })
    }

    /// The vectors of texts.
    pub(crate) fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
        let vectors = guarded(|| self.model.encode_with_args(texts, Some(MAX_PIECES), TEXTS))?;
        if vectors.len() != texts.len() {
            return Err(format!("{} vectors for {} texts", vectors.len(), texts.len()));
        }
        let is_whole = |vector: &Vec<f32>| {
            vector.len() == self.dimension && vector.iter().all(|number| number.is_finite())
        };
        if vectors.iter().all(is_whole) {
            Ok(vectors)
        } else {
            Err("a vector has numbers that are none".to_owned())
        }
    }
}

/// Shape of the matrix of vectors, out of the header of a safetensors file: eight bytes for the length of a JSON document,
/// and the document.
fn shape(weights: &[u8]) -> Result<(usize, usize), String> {
    let unreadable = || "model.safetensors has no matrix `embeddings` of two dimensions".to_owned();
    let (length, rest) = weights.split_first_chunk::<8>().ok_or_else(unreadable)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| unreadable())?;
    let header: Value =
        serde_json::from_slice(rest.get(..length).ok_or_else(unreadable)?).map_err(|_| unreadable())?;
    let matrix = ["embeddings", "0", "embedding.weight"].iter().find_map(|name| header.get(name));
    let shape = matrix.and_then(|matrix| matrix["shape"].as_array()).ok_or_else(unreadable)?;
    let [rows, columns] = shape.as_slice() else { return Err(unreadable()) };
    let size =
        |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok()).ok_or_else(unreadable);
    Ok((size(rows)?, size(columns)?))
}

/// The crates below panic where a model is not as they expect. That is a fault of the model.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let told = panic.downcast_ref::<String>().map(String::as_str);
        told.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
    })
}
