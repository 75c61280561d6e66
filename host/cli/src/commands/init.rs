//! `datanode init`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::home::{self, DATA, Missing, SETTINGS};
use crate::print::{self, Printer};
use crate::say;

const TEMPLATE: &str = "\
# Settings of this datanode project. Everything has a default and may be left out.

[limits]
# Fuel of one `update`: about one unit per WebAssembly instruction.
# fuel = 200_000_000_000
# Linear memory of a component, in bytes.
# memory_bytes = 1_073_741_824
# All emitted messages of one run, in bytes.
# emit_bytes = 17_179_869_184
# All that one run is given of tables and sources, in bytes; its journal keeps as much on disk.
# read_bytes = 17_179_869_184

[runs]
# Bytes of output that a run keeps in memory until its commit; the rest waits on disk.
# spill_after_bytes = 67_108_864
";

pub(crate) async fn run(directory: Option<&Path>, printer: Printer) -> anyhow::Result<ExitCode> {
    let directory = directory.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    std::fs::create_dir_all(&directory)
        .map_err(|error| home::machine("the directory", &directory, &error))?;
    let settings = directory.join(SETTINGS);
    let created = !settings.exists();
    if created {
        std::fs::write(&settings, TEMPLATE)
            .map_err(|error| home::machine("the settings file", &settings, &error))?;
    }
    let data = directory.canonicalize()?.join(DATA);
    home::open(&home::find(Some(&data))?, Missing::Make).await?.close().await?;
    let answer = json!({"settings": settings, "data": data, "created": created});
    printer.show(&answer, || {
        print::done(&if created {
            format!("made {} and {}", settings.display(), data.display())
        } else {
            format!("{} was there already", settings.display())
        });
        say!("next: datanode component upload my_node.wasm");
    })?;
    Ok(ExitCode::SUCCESS)
}
