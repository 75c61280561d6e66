//! The model that is linked in.

use std::sync::{Arc, OnceLock};

use datanode_core::digest::Digest;

use crate::static_model::{Files, Loaded};
use crate::{Embedder, EmbeddingError, Model};

/// What the model is called that is linked in.
pub const BUILT_IN: &str = "wordllama-64";

/// Numbers of its vectors.
const DIMENSION: usize = 64;

/// See the README beside them for how they were made.
const FILES: Files<'static> = Files {
    tokenizer: include_bytes!("../model/tokenizer.json"),
    weights: include_bytes!("../model/model.safetensors"),
    config: include_bytes!("../model/config.json"),
};

/// The digest of the files, written down so that five megabytes need not be digested before each search of the command line.
const DIGEST: &str = include_str!("../model/DIGEST");

/// The model that is linked in. It is read when a text comes first, once per process.
pub fn built_in() -> Arc<dyn Embedder> {
    Arc::new(BuiltIn)
}

#[derive(Debug)]
struct BuiltIn;

fn loaded() -> Result<&'static Loaded, EmbeddingError> {
    static LOADED: OnceLock<Result<Loaded, String>> = OnceLock::new();
    LOADED.get_or_init(|| Loaded::read(FILES)).as_ref().map_err(|problem| broken(problem.clone()))
}

fn broken(problem: String) -> EmbeddingError {
    EmbeddingError::Broken { model: BUILT_IN.to_owned(), problem }
}

impl Embedder for BuiltIn {
    fn model(&self) -> Result<Model, EmbeddingError> {
        let digest = DIGEST.trim().parse::<Digest>().map_err(broken)?;
        Ok(Model { name: BUILT_IN.to_owned(), dimension: DIMENSION, digest })
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        loaded()?.embed(texts).map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use datanode_core::search::cosine;

    use super::*;

    fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
        texts.map(str::to_owned).to_vec()
    }

    #[test]
    fn the_digest_and_the_dimension_are_those_of_the_files() {
        let digest = crate::directory::digest(FILES);
        assert_eq!(DIGEST.trim(), digest.to_string());
        assert_eq!(loaded().unwrap().dimension, DIMENSION);
        let bytes = FILES.tokenizer.len() + FILES.weights.len() + FILES.config.len();
        assert!(bytes < 6_000_000, "{bytes} bytes are linked into every program");
    }

    #[test]
    fn texts_of_like_meaning_are_near() {
        let model = built_in();
        let vectors = model
            .embed(&texts([
                "joblessness among young people",
                "youth unemployment rate",
                "rainfall in millimetres",
            ]))
            .unwrap();
        let (near, far) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[0], &vectors[2]));
        assert!(near > far + 0.2, "{near} {far}");
    }

    #[test]
    fn a_vector_does_not_depend_on_its_company() {
        let model = built_in();
        let alone = model.embed(&texts(["crude oil prices"])).unwrap();
        let company = model.embed(&texts(["öl", "crude oil prices", ""])).unwrap();
        assert_eq!(alone[0], company[1]);
        assert!(company[2].iter().all(|number| *number == 0.0));
        let length: f32 = alone[0].iter().map(|number| number * number).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }

    #[test]
    fn long_texts_end_somewhere() {
        let vectors = built_in().embed(&[("word ".repeat(1_000_000)), "\u{0}\u{fffd}🙂".to_owned()]).unwrap();
        assert_eq!(vectors.len(), 2);
    }
}
