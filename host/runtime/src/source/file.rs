//! Directories and single files as sources.

use std::io::{ErrorKind, Seek, SeekFrom, Take};
use std::path::{Component as PathPart, Path};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use datanode_sandbox::FetchRequest;

use super::error::{NoAnswer, SourceError};
use super::shorten;

/// What was found: nothing (which is an answer), or so many bytes.
pub(super) type Found = Option<(Take<File>, u64)>;

/// Look for a file below a directory.
pub(super) fn fetch(name: &str, root: &Path, request: &FetchRequest) -> Result<Found, NoAnswer> {
    look(name, root, None, request)
}

/// Look for one file, which is found by its own name alone.
pub(super) fn fetch_only(name: &str, file: &Path, request: &FetchRequest) -> Result<Found, NoAnswer> {
    // The path of a file has both; of any other there is nothing to be found.
    let (Some(directory), Some(only)) = (file.parent(), file.file_name()) else { return Ok(None) };
    look(name, directory, Some(Path::new(only)), request)
}

fn look(name: &str, root: &Path, only: Option<&Path>, request: &FetchRequest) -> Result<Found, NoAnswer> {
    if request.method != "GET" || request.body.is_some() {
        let what = if only.is_some() { "file" } else { "directory" };
        return Err(NoAnswer::Refused(
            "source.method",
            format!("source `{name}` is a {what}: only GET without a body is possible"),
        ));
    }
    let shown = shorten(&request.path);
    let Some(path) = relative(&request.path) else {
        return Err(NoAnswer::Refused(
            "source.path",
            format!("`{shown}` is not a path below source `{name}`"),
        ));
    };
    let failed = |problem: std::io::Error| SourceError::Read {
        name: name.to_owned(),
        path: shown.clone(),
        problem: problem.to_string(),
    };
    // The directory itself is the operator's: without it nothing can be said of what is below.
    let directory = Dir::open_ambient_dir(root, ambient_authority()).map_err(failed)?;
    let opened = match only {
        Some(only) if path != only => return Ok(None),
        Some(_) => open_itself(&directory, path),
        None => open(&directory, path),
    };
    let (mut file, length) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return match error.kind() {
                ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::InvalidFilename => Ok(None),
                // Also a symbolic link that leads out of the directory, or to itself.
                _ if is_refusal(&error) => {
                    Err(NoAnswer::Refused("source.path", format!("source `{name}`: `{shown}`: {error}")))
                }
                // A disk that fails says nothing about the data.
                _ => Err(failed(error).into()),
            };
        }
    };
    let (offset, wanted) =
        request.range.map_or((0, u64::MAX), |range| (range.offset, range.length.unwrap_or(u64::MAX)));
    let available = length.saturating_sub(offset).min(wanted);
    file.seek(SeekFrom::Start(offset.min(length))).map_err(failed)?;
    Ok(Some((std::io::Read::take(file, available), available)))
}

/// Whether it is the path that is wrong, and not the machine.
fn is_refusal(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput)
        || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

/// The path, if it is relative and goes only downwards.
fn relative(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    let downwards = path.components().all(|part| matches!(part, PathPart::Normal(_)));
    let written = !path.as_os_str().to_string_lossy().contains('\0');
    (downwards && written && path.components().next().is_some()).then_some(path)
}

/// Whoever may write into the directory of a file that was granted must not be able to grant others by a link in its place.
fn open_itself(directory: &Dir, path: &Path) -> std::io::Result<(File, u64)> {
    let refused = || {
        let problem = "a symbolic link has taken the place of the file; add the source again";
        std::io::Error::new(ErrorKind::PermissionDenied, problem)
    };
    if directory.symlink_metadata(path)?.is_symlink() {
        return Err(refused());
    }
    let (file, length) = open(directory, path)?;
    // A link may have stood there for a moment: what was opened is to be what stands there.
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt;
        let (opened, there) = (file.metadata()?, directory.symlink_metadata(path)?);
        if (opened.dev(), opened.ino()) != (there.dev(), there.ino()) {
            return Err(refused());
        }
    }
    Ok((file, length))
}

fn open(directory: &Dir, path: &Path) -> std::io::Result<(File, u64)> {
    // Asked before it is opened: opening a pipe would wait for a writer. Where one takes the file's place in between,
    // the deadline of host calls ends the run.
    if !directory.metadata(path)?.is_file() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let file = directory.open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}
