//! `datanode backup` and `datanode restore`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use datanode_store::sqlite::{self, Contents, Restored};
use serde_json::json;

use crate::failure::{Failure, OrFail};
use crate::home::{self, Home, no_data};
use crate::print::{self, Printer, count};
use crate::say;

/// How docs/operator-guide.md says it: all schemas at once, for one needs the others.
const DUMP: &str =
    "pg_dump --format=custom --no-privileges --schema='datanode*' --file=datanode.dump \"$DATABASE_URL\"";
/// See [`DUMP`].
const RESTORE: &str =
    "pg_restore --exit-on-error --single-transaction --dbname=\"$OTHER_DATABASE_URL\" datanode.dump";

#[derive(Debug, Args)]
#[command(
    after_help = "The database may be in use: the file holds what was committed when the backup began, and runs go on.\n\
    It is verified before it gets its name: every page, every reference, every row is looked at. The backup takes the\n\
    room of the database. Not in it, and to be copied besides: datanode.toml, revisions/, and in the data directory\n\
    contents/, without which most runs cannot be replayed, and secret.key, without which sealed secrets are set anew;\n\
    nor are the files that sources lead to. It ends with which of these there are.\n\n\
    Examples:\n  datanode backup datanode-monday.db\n  datanode backup /backups/latest.db --force"
)]
pub(crate) struct BackupArguments {
    /// Where the backup is written
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The file is verified first, and stays as it is. Refused where the data directory has a database; --force puts\n\
    that one aside, under a name with the time in it, unless another process has it open.\n\n\
    Examples:\n  datanode restore datanode-monday.db --home /elsewhere\n  datanode restore datanode-monday.db --force"
)]
pub(crate) struct RestoreArguments {
    /// A file that `datanode backup` wrote
    file: PathBuf,
    /// Take the place of a database that is there, which is kept under another name
    #[arg(long)]
    force: bool,
}

pub(crate) async fn back_up(
    arguments: &BackupArguments,
    home: &Home,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    refuse_server(home, DUMP)?;
    let BackupArguments { file, force } = arguments;
    let database = home.database();
    if !database.is_file() {
        return Err(no_data(home).into());
    }
    let contents = sqlite::back_up(&database, file, *force).await.or_fail()?;
    let Contents { bytes, tables, rows, runs } = contents;
    let answer = json!({"file": file, "bytes": bytes, "tables": tables, "rows": rows, "runs": runs});
    printer.show(&answer, || {
        print::done(&format!("wrote and verified {}: {}", file.display(), words(contents)));
        let beside = home.beside_database();
        if !beside.is_empty() {
            let beside: Vec<String> = beside.iter().map(|path| path.display().to_string()).collect();
            say!("not in it: {}", beside.join(", "));
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn restore(
    arguments: &RestoreArguments,
    home: &Home,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    refuse_server(home, RESTORE)?;
    let RestoreArguments { file, force } = arguments;
    let database = home.database();
    let made = !home.data.exists();
    std::fs::create_dir_all(&home.data)
        .map_err(|error| home::machine("the data directory", &home.data, &error))?;
    let restored = sqlite::restore(&database, file, *force, datanode_runtime::now()).await;
    if made && restored.is_err() {
        // What was refused leaves nothing behind.
        let _ = std::fs::remove_dir(&home.data);
    }
    let Restored { contents, kept } = restored.or_fail()?;
    let Contents { bytes, tables, rows, runs } = contents;
    let answer = json!({
        "database": database, "bytes": bytes, "tables": tables, "rows": rows, "runs": runs, "kept": kept,
    });
    printer.show(&answer, || {
        print::done(&format!("verified {} and restored it: {}", file.display(), words(contents)));
        if let Some(kept) = &kept {
            say!("the database that was there is now {}", kept.display());
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn words(contents: Contents) -> String {
    let Contents { bytes, tables, rows, runs } = contents;
    format!("{} bytes, {} tables, {} rows, {} runs", count(bytes), count(tables), count(rows), count(runs))
}

/// A server has its own tools, which know more of it than this program could: `command` is the one that does it there.
fn refuse_server(home: &Home, command: &str) -> anyhow::Result<()> {
    if home.is_embedded() {
        return Ok(());
    }
    Err(Failure::usage(
        "these files are copies of the embedded database, and the database here is PostgreSQL",
    )
    .with_next_step(format!(
        "PostgreSQL's own tools do it for all schemas at once, as the operator's guide says: {command}"
    ))
    .into())
}
