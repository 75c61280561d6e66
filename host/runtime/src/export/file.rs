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
    /// Begin a file for a place in a directory that is there.
    pub fn begin(place: &Path) -> io::Result<Self> {
        if place.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
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
        Ok(Self { out: BufWriter::new(file), place: place.to_owned() })
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
}
