//! `datanode build`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use datanode_build::{BuildError, Packages, Request, Toolchain, compile, encode, target_directory};
use datanode_core::ErrorClass;
use datanode_core::component::{ComponentClass, Manifest};
use datanode_core::digest::Digest;
use datanode_sandbox::imports;
use serde::Serialize;

use crate::args::BuildArguments;
use crate::failure::{Failure, OrFail};
use crate::home::Home;
use crate::print::{self, Printer, count};
use crate::progress::Spinner;
use crate::{home, say, usage};

/// A component as it was built, and what it says of itself.
#[derive(Debug, Serialize)]
struct Built {
    path: PathBuf,
    size: u64,
    digest: Digest,
    imports: Vec<String>,
    manifest: Manifest,
}

pub(crate) async fn run(
    arguments: &BuildArguments,
    home: &Home,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let directory = arguments.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let files = make(arguments, &directory).map_err(|error| failure(&error))?;
    let mut built = Vec::with_capacity(files.len());
    for path in files {
        built.push(check(home, path).await?);
    }
    printer.show(&built, || built.iter().for_each(show))?;
    Ok(ExitCode::SUCCESS)
}

/// Compile and encode; answers the files.
fn make(arguments: &BuildArguments, directory: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let manifest = directory.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(BuildError::NoManifest { directory: directory.display().to_string() });
    }
    let scratch = std::env::temp_dir().join(format!("datanode-build-{}", std::process::id()));
    let toolchain = Toolchain::find(directory, &scratch, Packages::Name, &mut |doing| eprintln!("{doing}"));
    // It holds a script, and only sometimes; one that stays behind does no harm.
    let _ = std::fs::remove_dir_all(&scratch);
    let toolchain = toolchain?;
    let target = match &arguments.target_dir {
        None => target_directory(&toolchain, &manifest)?,
        Some(given) => std::path::absolute(given).unwrap_or_else(|_| given.clone()),
    };
    let mut selection = vec!["--lib".to_owned()];
    selection.extend(arguments.package.iter().flat_map(|package| ["--package".to_owned(), package.clone()]));
    selection.extend(arguments.cargo.iter().cloned());
    let modules = compile(
        &toolchain,
        &Request {
            manifest: &manifest,
            target_directory: &target,
            debug_lines: arguments.debug_lines,
            arguments: &selection,
        },
    )?;
    if modules.is_empty() {
        return Err(BuildError::NoModule { crates: manifest.display().to_string() });
    }
    if let ([_, _, ..], Some(output)) = (modules.as_slice(), &arguments.output) {
        return Err(BuildError::File {
            path: output.display().to_string(),
            problem: format!("{} components were built: choose one with --package", modules.len()),
        });
    }
    let mut made = Vec::with_capacity(modules.len());
    for module in &modules {
        let core = std::fs::read(&module.path).map_err(|error| BuildError::File {
            path: module.path.display().to_string(),
            problem: error.to_string(),
        })?;
        let path = arguments
            .output
            .clone()
            .unwrap_or_else(|| target.join("components").join(format!("{}.wasm", module.name)));
        datanode_build::write(&path, &encode(&module.name, &core)?)?;
        made.push(path);
    }
    Ok(made)
}

/// What an upload would check, without storing anything.
async fn check(home: &Home, path: PathBuf) -> anyhow::Result<Built> {
    let bytes = std::fs::read(&path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    let sandbox = home::sandbox(home)?;
    let label = path.display().to_string();
    let spinner = Spinner::start(&format!("checking {label}"));
    let checked = tokio::task::spawn_blocking(move || {
        let imports = imports::check(&bytes, ComponentClass::Pure)?.imports;
        let component = sandbox.prepare(&label, &bytes, ComponentClass::Pure)?;
        let manifest = sandbox.manifest(&component)?;
        Ok::<_, datanode_sandbox::SandboxError>((bytes, imports, manifest))
    })
    .await;
    drop(spinner);
    let (bytes, imports, manifest) = checked?.or_fail()?;
    Ok(Built { path, size: bytes.len() as u64, digest: Digest::of(&bytes), imports, manifest })
}

fn show(built: &Built) {
    let Built { path, size, digest, imports, manifest } = built;
    print::done(&format!("built {} {}", manifest.name, manifest.version));
    print::facts(&[
        ("file", path.display().to_string()),
        ("bytes", count(*size)),
        ("sha256", digest.to_string()),
        ("imports", if imports.is_empty() { "nothing".to_owned() } else { imports.join("\n") }),
        ("description", manifest.description.clone()),
    ]);
    say!("next: datanode component upload {}", path.display());
}

fn failure(error: &BuildError) -> anyhow::Error {
    let class = match error {
        BuildError::NoCargo { .. } | BuildError::NoTarget { .. } | BuildError::Answer { .. } => {
            ErrorClass::Infrastructure
        }
        BuildError::NoManifest { .. } | BuildError::NoModule { .. } | BuildError::File { .. } => {
            ErrorClass::Usage
        }
        BuildError::Cargo { .. } | BuildError::Encode { .. } => ErrorClass::Failed,
    };
    let code = error.code().to_owned();
    Failure { code, class, message: error.to_string(), next_step: error.next_step(), guest: None }.into()
}
