//! `datanode completions`

use std::io::Write;
use std::process::ExitCode;

use clap_complete::Shell;

use crate::args::Arguments;

pub(crate) fn run(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::definition(), "datanode", &mut script);
    // A reader that went away (`| head`) is not an error.
    let _ = std::io::stdout().write_all(&script);
    ExitCode::SUCCESS
}
