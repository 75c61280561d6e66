//! A file that is there whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Written beside its place under another name, and moved there when it is complete. Dropped before, it leaves nothing
/// behind, and what was there stays.
#[derive(Debug)]
pub struct AtomicFile {
    out: BufWriter<NamedTempFile>,
    place: PathBuf,
}

impl AtomicFile {
    /// Begin a file for a place in a directory that is there. A link is followed, so that it stays one; what is neither a
    /// file nor nothing (a directory, a device, a pipe) is refused, for the new file would take its place.
    pub fn begin(place: &Path) -> io::Result<Self> {
        let place = match place.canonicalize() {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if place.is_symlink() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "it is a link that leads nowhere"));
                }
                place.to_owned()
            }
            Err(error) => return Err(error),
        };
        if place.exists() && !place.is_file() {
            let problem = "it is there and no regular file, which must not be replaced by one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let directory = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".datanode-").suffix(".part");
        #[cfg(unix)]
        {
            // What any new file gets: the user's mask is taken from it.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(directory)?;
        Ok(Self { out: BufWriter::new(file), place })
    }

    /// Put the file in its place.
    pub fn finish(self) -> io::Result<()> {
        let file: NamedTempFile = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        let _: File = file.persist(&self.place).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("rows.csv");
        let names = || std::fs::read_dir(directory.path()).unwrap().count();
        std::fs::write(&place, "before").unwrap();
        let mut file = AtomicFile::begin(&place).unwrap();
        file.write_all(b"after").unwrap();
        file.flush().unwrap();
        assert_eq!((std::fs::read_to_string(&place).unwrap().as_str(), names()), ("before", 2));
        drop(file);
        assert_eq!((std::fs::read_to_string(&place).unwrap().as_str(), names()), ("before", 1));
        let mut file = AtomicFile::begin(&place).unwrap();
        file.write_all(b"after").unwrap();
        file.finish().unwrap();
        assert_eq!((std::fs::read_to_string(&place).unwrap().as_str(), names()), ("after", 1));
        assert!(AtomicFile::begin(directory.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn devices_stay_and_links_are_followed() {
        assert!(AtomicFile::begin(Path::new("/dev/null")).is_err());
        let directory = tempfile::tempdir().unwrap();
        let (link, target) = (directory.path().join("latest.csv"), directory.path().join("rows.csv"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(AtomicFile::begin(&link).is_err(), "it leads nowhere");
        std::fs::write(&target, "before").unwrap();
        let mut file = AtomicFile::begin(&link).unwrap();
        file.write_all(b"after").unwrap();
        file.finish().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "after");
    }
}
