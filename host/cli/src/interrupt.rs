//! What Ctrl-C, and a machine that shuts down, do to a command that holds nodes or windows: it gives them up first.

use std::process::ExitCode;

use datanode_core::ErrorClass;
use datanode_runtime::Stop;

use crate::print::Printer;

/// The exit code of a program that was ended by Ctrl-C before it had done what it does then.
const ENDED: i32 = 130;

/// Stop what is under way when the process is told to end; told a second time, it ends at once, and what it holds is free
/// when it expires.
pub(crate) fn stops(stop: &Stop, printer: Printer) {
    let stop = stop.clone();
    tokio::spawn(async move {
        if asked_to_end().await.is_err() {
            // Then the process ends as it would without this.
            return;
        }
        if !printer.json {
            eprintln!("ending what is under way, and giving up what is held; again: at once");
        }
        stop.stop();
        if asked_to_end().await.is_ok() {
            std::process::exit(ENDED);
        }
    });
}

/// Ends when somebody has pressed Ctrl-C, or asked the process to end.
async fn asked_to_end() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            asked = tokio::signal::ctrl_c() => asked,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// The exit code of a command that was told to stop before it had done all: try again.
pub(crate) fn cut_short() -> ExitCode {
    crate::exit_code(ErrorClass::Infrastructure)
}
