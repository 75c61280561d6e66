//! The whole database as one file, while it is in use, and back.
//!
//! A file is written under another name, verified, brought to the disk and only then given its name: whoever finds a
//! backup, or a restored database, finds a whole one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use datanode_core::Timestamp;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

use super::SqliteStore;
use super::ddl::quote;
use super::stored::failed;
use super::{connection, lease, tables};
use crate::StoreError;

/// How long a backup waits for a lock; writers hold it up only while they move the log into the file.
const PATIENCE: Duration = Duration::from_secs(30);
/// What SQLite keeps beside a database, by ending.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What a whole database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// Size of the file.
    pub bytes: u64,
    /// Registered tables.
    pub tables: u64,
    /// Their rows, counted.
    pub rows: u64,
    /// Run records.
    pub runs: u64,
}

/// A database that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What it holds.
    pub contents: Contents,
    /// Where the database that was there before is now.
    pub kept: Option<PathBuf>,
}

/// Why there is no backup, or why it was not put back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// There is nothing to back up, or to restore from.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// A backup that is there would be lost.
    #[error("{} is there already; nothing was written", .0.display())]
    FileExists(PathBuf),
    /// A database that is there would be replaced.
    #[error("{} is there already; nothing was restored", .0.display())]
    DatabaseExists(PathBuf),
    /// Another process works on the database.
    #[error("another process has the database {} open; nothing was restored", .0.display())]
    InUse(PathBuf),
    /// Not a whole database of this host.
    #[error("{} is not a whole datanode database: {problem}", .path.display())]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file cannot be written or read.
    #[error("{doing} {}: {source}", .path.display())]
    File {
        /// Such as "writing".
        doing: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Diagnostic for BackupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "backup.missing",
            Self::FileExists(_) => "backup.exists",
            Self::DatabaseExists(_) => "restore.exists",
            Self::InUse(_) => "restore.in_use",
            Self::NotWhole { .. } => "backup.not_whole",
            Self::File { .. } => "backup.file",
            Self::Store(error) => error.code(),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Missing(_) => ErrorClass::Usage,
            Self::FileExists(_) | Self::DatabaseExists(_) | Self::InUse(_) => ErrorClass::Refused,
            Self::NotWhole { .. } => ErrorClass::Failed,
            Self::File { .. } => ErrorClass::Infrastructure,
            Self::Store(error) => error.class(),
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Missing(_) => "name a file that `datanode backup` wrote".to_owned(),
            Self::FileExists(_) => "choose another name, or replace it with --force".to_owned(),
            Self::DatabaseExists(_) => {
                "restore into another --home, or say --force, which keeps that file under another name"
                    .to_owned()
            }
            Self::InUse(_) => {
                "let the other commands on this data directory end, then do it again".to_owned()
            }
            Self::NotWhole { .. } => "take another backup".to_owned(),
            Self::File { .. } => "make the directory writable and see that the disk has room".to_owned(),
            Self::Store(error) => return error.next_step(),
        })
    }
}

/// For `map_err`: a file cannot be used.
fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    move |source| BackupError::File { doing, path: path.to_owned(), source }
}

/// Copy the last committed state of a database into a file, without holding up its writers, and verify the copy. A file
/// that is there is replaced only when `overwrite` says so.
pub async fn back_up(database: &Path, file: &Path, overwrite: bool) -> Result<Contents, BackupError> {
    let (database, file) = (database.to_owned(), file.to_owned());
    connection::blocking("backing up the database", move || back_up_now(&database, &file, overwrite)).await?
}

fn back_up_now(database: &Path, file: &Path, overwrite: bool) -> Result<Contents, BackupError> {
    const DOING: &str = "backing up the database";
    let free = || {
        // A device or a directory never gives way, whoever insists.
        let gives_way = overwrite && file.is_file();
        if file.exists() && !gives_way { Err(BackupError::FileExists(file.to_owned())) } else { Ok(()) }
    };
    free()?;
    let partial = Partial::beside(file)?;
    let connection = open(database)?;
    let target = partial.0.to_str().ok_or_else(|| BackupError::NotWhole {
        path: partial.0.clone(),
        problem: "the path is not UTF-8".to_owned(),
    })?;
    connection.execute("VACUUM INTO ?1", [target]).map_err(failed(DOING))?;
    drop(connection);
    let contents = verify(&partial.0, file)?;
    free()?;
    partial.put_at(file)?;
    Ok(contents)
}

/// Verify a backup, bring its catalogue to this host's version and put it where the database is to be. A database that
/// is there is replaced only when `replace` says so, only while no process has it open, and is kept under a name with
/// the time in it. The directory of the database must be there.
pub async fn restore(
    database: &Path,
    file: &Path,
    replace: bool,
    now: Timestamp,
) -> Result<Restored, BackupError> {
    const DOING: &str = "restoring the database";
    if !replace && database.exists() {
        return Err(BackupError::DatabaseExists(database.to_owned()));
    }
    if !file.is_file() {
        return Err(BackupError::Missing(file.to_owned()));
    }
    let partial = Partial::beside(database)?;
    let (from, to) = (file.to_owned(), partial.0.clone());
    connection::blocking(DOING, move || {
        fs::copy(&from, &to).map_err(file_error("copying", &from))?;
        verify(&to, &from)
    })
    .await??;
    // A backup of an older release is brought up to date, that of a newer one refused, while nothing is replaced yet.
    let copy = SqliteStore::open(&partial.0).await?;
    // Whoever held a node of the original holds nothing of this one.
    copy.write("restoring the database", lease::release_all).await?;
    copy.close().await?;
    let (database, file) = (database.to_owned(), file.to_owned());
    connection::blocking(DOING, move || {
        let contents = verify(&partial.0, &file)?;
        let kept = if database.exists() { Some(set_aside(&database, now)?) } else { None };
        // What a crash has left beside a database that is gone must not be taken for the new one's.
        for ending in BESIDE {
            remove(&beside(&database, ending))?;
        }
        partial.put_at(&database)?;
        Ok(Restored { contents, kept })
    })
    .await?
}

/// Move a database that nobody has open, with everything that is beside it; where it is now.
fn set_aside(database: &Path, now: Timestamp) -> Result<PathBuf, BackupError> {
    let time = now.to_string().replace([':', '-'], "");
    let kept = beside(database, &format!(".before-restore-{time}"));
    if kept.exists() {
        return Err(BackupError::FileExists(kept));
    }
    let exclusive = exclusive(database)?;
    for ending in BESIDE {
        let (from, to) = (beside(database, ending), beside(&kept, ending));
        if from.exists() {
            fs::rename(&from, &to).map_err(file_error("moving", &from))?;
        }
    }
    fs::rename(database, &kept).map_err(file_error("moving", database))?;
    drop(exclusive);
    Ok(kept)
}

/// A connection that has a database to itself, with the whole content in the one file; None where the file is damaged,
/// which may be why a backup is put back.
fn exclusive(database: &Path) -> Result<Option<Connection>, BackupError> {
    let taken = |connection: Connection| {
        connection.busy_timeout(Duration::ZERO)?;
        // Leaving the write-ahead log behind needs a database that no other connection has open.
        let mode: String = connection.query_row("PRAGMA journal_mode = DELETE", (), |row| row.get(0))?;
        if mode != "delete" {
            return Ok(None);
        }
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(Some(connection))
    };
    match open_raw(database).and_then(taken) {
        Ok(Some(connection)) => Ok(Some(connection)),
        Ok(None) => Err(BackupError::InUse(database.to_owned())),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Err(BackupError::InUse(database.to_owned()))
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Ok(None),
            _ => Err(failed("taking the database over")(error).into()),
        },
    }
}

/// Look at every page, every reference and every row of a database that nobody else has open, and leave it as one file.
/// Errors call it `name`.
fn verify(path: &Path, name: &Path) -> Result<Contents, BackupError> {
    let not_whole = |problem: String| BackupError::NotWhole { path: name.to_owned(), problem };
    let look = |error: rusqlite::Error| not_whole(error.to_string());
    let connection = open(path)?;
    let number = |sql: &str| connection.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(look);
    let problem: String =
        connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0)).map_err(look)?;
    if problem != "ok" {
        return Err(not_whole(problem));
    }
    let broken: i64 = number("SELECT count(*) FROM pragma_foreign_key_check")?;
    if broken > 0 {
        return Err(not_whole(format!("{broken} rows refer to rows that are not there")));
    }
    let catalogue =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('_tables', '_runs')";
    if number(catalogue)? != 2 {
        return Err(not_whole("it has no catalogue".to_owned()));
    }
    let mut rows = 0;
    let tables = tables::all(&connection)?;
    for table in &tables {
        rows += number(&format!("SELECT count(*) FROM {}", quote(table.contract.physical_name())))?;
    }
    let runs = number("SELECT count(*) FROM _runs")?;
    connection.query_row("PRAGMA journal_mode = DELETE", (), |_| Ok(())).map_err(look)?;
    drop(connection);
    let bytes = fs::metadata(path).map_err(file_error("reading", path))?.len();
    Ok(Contents { bytes, tables: tables.len() as u64, rows: rows.unsigned_abs(), runs: runs.unsigned_abs() })
}

fn open_raw(path: &Path) -> rusqlite::Result<Connection> {
    // Neither created when it is missing, nor taken for a URI.
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn open(path: &Path) -> Result<Connection, BackupError> {
    if !path.is_file() {
        return Err(BackupError::Missing(path.to_owned()));
    }
    let connection = open_raw(path).map_err(failed("opening a database"))?;
    connection.busy_timeout(PATIENCE).map_err(failed("opening a database"))?;
    Ok(connection)
}

/// The path with something after its name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file_error("removing", path)(error))
        }
        _ => Ok(()),
    }
}

/// A file in the making, beside the one that it is to be, and so on the same disk. It is gone when it is dropped.
struct Partial(PathBuf);

impl Partial {
    fn beside(file: &Path) -> Result<Self, BackupError> {
        // Absolute, so that SQLite takes no name for a URI.
        let file = std::path::absolute(file).map_err(file_error("finding", file))?;
        let partial = Self(beside(&file, &format!(".partial-{}", std::process::id())));
        remove(&partial.0)?;
        Ok(partial)
    }

    /// Bring it to the disk and give it its name.
    fn put_at(&self, file: &Path) -> Result<(), BackupError> {
        File::open(&self.0).and_then(|partial| partial.sync_all()).map_err(file_error("writing", file))?;
        fs::rename(&self.0, file).map_err(file_error("writing", file))?;
        // The name is in the directory, which is a file too; some systems do not let it be opened.
        if let Some(Ok(directory)) = self.0.parent().map(File::open) {
            directory.sync_all().map_err(file_error("writing", file))?;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nobody is left to hear of it.
        let _ = fs::remove_file(&self.0);
        for ending in BESIDE {
            let _ = fs::remove_file(beside(&self.0, ending));
        }
    }
}
