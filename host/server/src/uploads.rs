//! Components whose upload is resumed: what has come so far lies in a file named by the digest that it is to have.
//!
//! Nothing of such a file is believed before its digest is right. Files are bounded in size, number and age; they are this
//! server's alone, so that an upload is resumed where it was begun.

use std::collections::HashMap;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::StatusCode;
use datanode_core::digest::Digest;
use http_body_util::BodyExt;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};

use crate::Problem;
use crate::guard::body_problem;
use crate::settings::{ServerSettings, size};

/// What files are called behind their digest.
const ENDING: &str = "part";
/// Components that are in memory at once, on their way into the catalogue.
const IN_MEMORY: usize = 4;

/// Uploads that have begun.
pub(crate) struct Uploads {
    directory: PathBuf,
    most_bytes: u64,
    most: usize,
    age: Duration,
    /// One writer per file.
    writers: Mutex<HashMap<Digest, Arc<AsyncMutex<()>>>>,
    /// Bounds the memory of components that are being admitted.
    pub(crate) in_memory: Arc<Semaphore>,
}

/// A file that nobody else writes.
pub(crate) struct Part {
    path: PathBuf,
    most_bytes: u64,
    _writer: OwnedMutexGuard<()>,
}

fn machine(error: &std::io::Error) -> Problem {
    tracing::error!(error = %error, "an upload cannot be kept");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server.upload_storage", "the upload cannot be kept now")
        .retry_after(Duration::from_secs(5))
}

/// The right to write an upload, which nobody else has.
fn alone(
    writers: &mut HashMap<Digest, Arc<AsyncMutex<()>>>,
    digest: &Digest,
) -> Result<OwnedMutexGuard<()>, Problem> {
    writers.retain(|_, writer| Arc::strong_count(writer) > 1);
    Arc::clone(writers.entry(*digest).or_default()).try_lock_owned().map_err(|_| {
        Problem::new(StatusCode::CONFLICT, "server.upload_busy", "somebody is sending this upload now")
            .with_next("wait, then ask with HEAD how much has come")
            .retry_after(Duration::from_secs(1))
    })
}

/// Bytes of a file; None: there is none.
async fn length(path: &Path) -> Result<Option<u64>, Problem> {
    match tokio::fs::metadata(path).await {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(machine(&error)),
    }
}

impl Uploads {
    pub(crate) fn new(settings: &ServerSettings) -> Self {
        Self {
            directory: settings.upload_directory.clone(),
            most_bytes: settings.component_bytes,
            most: size(settings.uploads),
            age: Duration::from_secs(u64::from(settings.upload_hours.get()) * 3_600),
            writers: Mutex::default(),
            in_memory: Arc::new(Semaphore::new(IN_MEMORY)),
        }
    }

    /// The upload of a digest, once nobody else writes it. Another one is not waited for.
    pub(crate) fn part(&self, digest: &Digest) -> Result<Part, Problem> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = alone(&mut writers, digest)?;
        Ok(Part { path: self.path(digest), most_bytes: self.most_bytes, _writer: writer })
    }

    /// Bytes that have come of the upload of a digest, which nobody sends just now; None: it has not begun. To ask keeps nobody
    /// from sending.
    pub(crate) async fn offset(&self, digest: &Digest) -> Result<Option<u64>, Problem> {
        {
            // Given back before anybody else can want it.
            let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
            drop(alone(&mut writers, digest)?);
        }
        length(&self.path(digest)).await
    }

    /// The name is hexadecimal digits: no path can be made of it.
    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{digest}.{ENDING}"))
    }

    /// Make room for one more: what is too old goes; too many are refused.
    pub(crate) async fn make_room(&self) -> Result<(), Problem> {
        tokio::fs::create_dir_all(&self.directory).await.map_err(|error| machine(&error))?;
        let mut entries = tokio::fs::read_dir(&self.directory).await.map_err(|error| machine(&error))?;
        let mut many = 0;
        while let Ok(Some(entry)) = entries.next_entry().await {
            if entry.path().extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            let modified = entry.metadata().await.and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|then| SystemTime::now().duration_since(then).ok());
            if age.is_some_and(|age| age > self.age) {
                let _ = tokio::fs::remove_file(entry.path()).await;
            } else {
                many += 1;
            }
        }
        if many >= self.most {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "server.busy",
                format!("{many} uploads have begun and not ended"),
            )
            .with_next("end them, or delete some: DELETE /api/v1/components/uploads/{digest}")
            .retry_after(Duration::from_mins(1)));
        }
        Ok(())
    }
}

impl Part {
    /// Bytes that have come; None: it has not begun.
    pub(crate) async fn offset(&self) -> Result<Option<u64>, Problem> {
        length(&self.path).await
    }

    /// Append what comes from this offset on, and answer how much is there then. What came before the caller was lost stays.
    pub(crate) async fn append(&self, offset: u64, body: Body) -> Result<u64, Problem> {
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.path)
            .await
            .map_err(|error| machine(&error))?;
        file.set_len(offset).await.map_err(|error| machine(&error))?;
        file.seek(SeekFrom::Start(offset)).await.map_err(|error| machine(&error))?;
        let (mut body, mut there) = (body, offset);
        let outcome = loop {
            let frame = match body.frame().await {
                None => break Ok(there),
                Some(Err(error)) => break Err(body_problem(&error)),
                Some(Ok(frame)) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            if there + data.len() as u64 > self.most_bytes {
                let most = self.most_bytes;
                break Err(crate::guard::BodyProblem::TooLarge { most }.into());
            }
            if let Err(error) = file.write_all(&data).await {
                break Err(machine(&error));
            }
            there += data.len() as u64;
        };
        file.flush().await.map_err(|error| machine(&error))?;
        outcome
    }

    /// All that has come.
    pub(crate) async fn bytes(&self) -> Result<Vec<u8>, Problem> {
        tokio::fs::read(&self.path).await.map_err(|error| machine(&error))
    }

    /// Forget it.
    pub(crate) async fn remove(&self) -> Result<(), Problem> {
        match tokio::fs::remove_file(&self.path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(machine(&error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic here is the report

    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn to_ask_keeps_nobody_from_sending() {
        let directory = tempfile::tempdir().unwrap();
        let settings =
            ServerSettings { upload_directory: directory.path().to_owned(), ..ServerSettings::default() };
        let uploads = Uploads::new(&settings);
        let digest = Digest::of(b"component");
        let mut asking = pin!(uploads.offset(&digest));
        // It has begun, and looks at the file.
        let _ = asking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let sending = uploads.part(&digest);
        assert!(sending.is_ok(), "a question was taken for a sender");
        assert!(uploads.offset(&digest).await.is_err(), "what is being sent has no length yet");
        drop(sending);
        assert_eq!(uploads.offset(&digest).await.unwrap(), None);
    }
}
