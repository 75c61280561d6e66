//! Writes `sdk/src/bindings.rs` from `wit/v0`, or fails when it is stale (`--check`).
//!
//! The bindings are checked in so that no author's build pays for the macro that would make them: it brings a WIT
//! parser and `syn` along, about a minute of compilation against one second.
//!
//!     cargo run -p datanode-bindgen              # write
//!     cargo run -p datanode-bindgen -- --check   # compare
//!     cargo run -p datanode-bindgen -- --c DIR   # write bindings for C into a directory

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use wit_bindgen_core::Files;
use wit_bindgen_core::WorldGenerator;
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_bindgen_rust::Opts;

const WORLD: &str = "data-node";

fn main() -> ExitCode {
    let outcome = match env::args().nth(1).as_deref() {
        None => write(),
        Some("--check") => check(),
        Some("--c") => env::args().nth(2).map_or_else(|| Err("--c DIR".into()), |to| write_c(Path::new(&to))),
        Some(other) => Err(format!("unknown argument `{other}`: give none, --check or --c DIR").into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<(), Box<dyn Error>> {
    Ok(fs::write(bindings_file(), generate()?)?)
}

/// Bindings of the golden components, which are not checked in.
fn write_c(directory: &Path) -> Result<(), Box<dyn Error>> {
    let (mut resolve, world) = contract()?;
    let mut files = Files::default();
    let opts = wit_bindgen_c::Opts::default();
    opts.build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(directory)?;
    for (name, content) in files.iter() {
        fs::write(directory.join(name), content)?;
    }
    Ok(())
}

fn check() -> Result<(), Box<dyn Error>> {
    if fs::read_to_string(bindings_file())? == generate()? {
        return Ok(());
    }
    Err("sdk/src/bindings.rs is stale: run `cargo run -p datanode-bindgen` in guest-sdk/rust".into())
}

fn bindings_file() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk/src/bindings.rs"))
}

fn contract() -> Result<(Resolve, WorldId), Box<dyn Error>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../wit/v0"))?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    Ok((resolve, world))
}

fn generate() -> Result<String, Box<dyn Error>> {
    let (mut resolve, world) = contract()?;

    let mut generator = Opts {
        format: true,
        generate_all: true,
        // Authors depend on the SDK alone, so every path goes through it.
        runtime_path: Some("::datanode_sdk::wit_bindgen_rt".to_owned()),
        default_bindings_module: Some("::datanode_sdk::bindings".to_owned()),
        export_macro_name: Some("__export_data_node".to_owned()),
        pub_export_macro: true,
        ..Opts::default()
    }
    .build();
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files)?;
    let (_, source) = files.iter().next().ok_or("wit-bindgen wrote no file")?;
    Ok(String::from_utf8(source.to_vec())?)
}
