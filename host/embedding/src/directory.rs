//! Models that operators bring.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use datanode_core::digest::{Digest, Digester};

use crate::static_model::{Files, Loaded};
use crate::{Embedder, EmbeddingError, Model};

/// The largest file of a model.
const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Its files: the pieces of words, their vectors, and how they are put together.
const NAMES: [&str; 3] = ["tokenizer.json", "model.safetensors", "config.json"];

/// A static model in the format of `model2vec`, in a directory of this machine. It is read when it is needed first.
#[derive(Debug)]
pub struct DirectoryModel {
    directory: PathBuf,
    name: String,
    read: OnceLock<Result<(Model, Loaded), EmbeddingError>>,
}

impl DirectoryModel {
    /// The model of a directory; it is called like the directory.
    ///
    /// # Errors
    ///
    /// [`EmbeddingError::Directory`] when one of its files is not there. What is in them is looked at later.
    pub fn new(directory: &Path) -> Result<Self, EmbeddingError> {
        let refused =
            |problem: String| EmbeddingError::Directory { directory: directory.to_owned(), problem };
        if let Some(missing) = NAMES.iter().find(|name| !directory.join(name).is_file()) {
            return Err(refused(format!("there is no file {missing}")));
        }
        // Absolute, so that `.` has a name and a later change of directory leads nowhere else.
        let absolute = directory.canonicalize().map_err(|error| refused(error.to_string()))?;
        let name = absolute
            .file_name()
            .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { directory: absolute, name, read: OnceLock::new() })
    }

    fn read(&self) -> Result<&(Model, Loaded), EmbeddingError> {
        let read = self.read.get_or_init(|| {
            let refused = |problem| EmbeddingError::Directory { directory: self.directory.clone(), problem };
            let [tokenizer, weights, config] = NAMES.map(|name| bytes(&self.directory.join(name)));
            let (tokenizer, weights, config) =
                (tokenizer.map_err(refused)?, weights.map_err(refused)?, config.map_err(refused)?);
            let files = Files { tokenizer: &tokenizer, weights: &weights, config: &config };
            let loaded = Loaded::read(files).map_err(refused)?;
            let model = Model { name: self.name.clone(), dimension: loaded.dimension, digest: digest(files) };
            Ok((model, loaded))
        });
        read.as_ref().map_err(Clone::clone)
    }
}

impl Embedder for DirectoryModel {
    fn model(&self) -> Result<Model, EmbeddingError> {
        Ok(self.read()?.0.clone())
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let broken = |problem| EmbeddingError::Broken { model: self.name.clone(), problem };
        self.read()?.1.embed(texts).map_err(broken)
    }
}

/// A file of a model, whole.
fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let too_large = || format!("{} has more than {MAX_FILE_BYTES} bytes", path.display());
    let file = File::open(path).map_err(told)?;
    if file.metadata().map_err(told)?.len() > MAX_FILE_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(too_large()) } else { Ok(bytes) }
}

/// The digest of a model: of its files one after the other, each behind its length.
pub(crate) fn digest(files: Files<'_>) -> Digest {
    let mut digester = Digester::default();
    for bytes in [files.tokenizer, files.weights, files.config] {
        digester.update(&(bytes.len() as u64).to_le_bytes());
        digester.update(bytes);
    }
    digester.finish()
}

#[cfg(test)]
mod tests {
    use datanode_core::Diagnostic;

    use super::*;
    use crate::built_in;

    #[test]
    fn a_copy_of_the_model_that_is_linked_in_is_that_model() {
        let copied = DirectoryModel::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model")).unwrap();
        let (copy, original) = (copied.model().unwrap(), built_in().model().unwrap());
        assert_eq!((copy.digest, copy.dimension), (original.digest, original.dimension));
        assert_eq!(copy.name, "model");
        let texts = ["price of electricity".to_owned()];
        assert_eq!(copied.embed(&texts).unwrap(), built_in().embed(&texts).unwrap());
    }

    /// Of which nothing is on the disk but its length.
    #[test]
    fn a_file_that_is_too_large_is_refused_unread() {
        let directory = tempfile::tempdir().unwrap();
        for name in NAMES {
            File::create(directory.path().join(name)).unwrap();
        }
        let vectors = File::options().write(true).open(directory.path().join("model.safetensors")).unwrap();
        vectors.set_len(MAX_FILE_BYTES + 1).unwrap();
        let error = DirectoryModel::new(directory.path()).unwrap().model().unwrap_err();
        assert_eq!(error.code(), "search.model_directory");
        assert!(error.to_string().contains("has more than 2147483648 bytes"), "{error}");
    }

    #[test]
    fn what_is_no_model_is_refused_in_words() {
        let directory = tempfile::tempdir().unwrap();
        let missing = DirectoryModel::new(directory.path()).unwrap_err();
        assert_eq!(missing.code(), "search.model_directory");
        assert!(missing.to_string().contains("tokenizer.json"), "{missing}");

        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
        let told = |name: &str, content: &[u8]| {
            for file in NAMES {
                std::fs::copy(model.join(file), directory.path().join(file)).unwrap();
            }
            std::fs::write(directory.path().join(name), content).unwrap();
            DirectoryModel::new(directory.path()).unwrap().embed(&["x".to_owned()]).unwrap_err().to_string()
        };
        // A matrix of one row of one number: too small for the tokenizer.
        let mut tiny = br#"{"embeddings":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}"#.to_vec();
        tiny = [&(tiny.len() as u64).to_le_bytes()[..], &tiny, &[0; 4]].concat();
        assert!(told("model.safetensors", &tiny).contains("beyond the 1 rows"));
        for (name, content) in [
            ("model.safetensors", &b""[..]),
            ("model.safetensors", &[0xff; 64]),
            ("tokenizer.json", b"{}"),
            ("tokenizer.json", b"\xff"),
            ("config.json", b"["),
        ] {
            let told = told(name, content);
            assert!(told.contains("cannot be used"), "{told}");
        }
    }
}
