//! What a file seems to be that is no WebAssembly: mistakes at upload are nearly always of one of these kinds.

use std::fmt;

/// What every WebAssembly file begins with.
const MAGIC: &[u8] = b"\0asm";
/// So much of a file is looked at to tell text from other bytes.
const LOOKED_AT: usize = 1_024;

/// What a file seems to be, told from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing at all.
    Empty,
    /// The beginning of a WebAssembly file, and no more.
    Cut,
    /// A compressed file, with what unpacks it.
    Compressed {
        /// What it is called.
        format: &'static str,
        /// The command that unpacks it.
        unpack: &'static str,
    },
    /// Several files in one.
    Archive(&'static str),
    /// WebAssembly as people write it.
    WebAssemblyText,
    /// A page of a web site, in the place of what was to be downloaded from there.
    WebPage,
    /// What Git keeps in the place of a large file.
    LfsPointer,
    /// A program of an operating system.
    Program(&'static str),
    /// A file of rows.
    Rows(&'static str),
    /// Some text.
    Text,
    /// Anything else.
    Other,
}

impl FileKind {
    /// What the bytes seem to be; None when they begin as WebAssembly does.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(MAGIC) {
            return None;
        }
        Some(match bytes {
            [] => Self::Empty,
            _ if MAGIC.starts_with(bytes) => Self::Cut,
            [0x1f, 0x8b, ..] => Self::Compressed { format: "gzip", unpack: "gzip -d" },
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Compressed { format: "Zstandard", unpack: "zstd -d" },
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Compressed { format: "xz", unpack: "xz -d" },
            [b'B', b'Z', b'h', ..] => Self::Compressed { format: "bzip2", unpack: "bzip2 -d" },
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Self::Archive("zip"),
            _ if bytes.get(257..262) == Some(b"ustar") => Self::Archive("tar"),
            [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => Self::Archive("ar"),
            [b'M', b'Z', ..] => Self::Program("Windows"),
            [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => Self::Program("macOS"),
            [b'P', b'A', b'R', b'1', ..] => Self::Rows("Parquet"),
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Self::Rows("Arrow"),
            _ => Self::of_text(bytes),
        })
    }

    fn of_text(bytes: &[u8]) -> Self {
        let head = &bytes[..bytes.len().min(LOOKED_AT)];
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            // Cut within a character, at the end of what is looked at.
            Err(error) if error.error_len().is_none() && bytes.len() > head.len() => {
                std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return Self::Other,
        };
        if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
            return Self::Other;
        }
        let begin = text.trim_start_matches('\u{feff}').trim_start();
        let is = |start: &str| begin.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
        if is("(component") || is("(module") || is(";;") {
            return Self::WebAssemblyText;
        }
        if is("<!doctype html") || is("<html") {
            return Self::WebPage;
        }
        if is("version https://git-lfs") {
            return Self::LfsPointer;
        }
        Self::Text
    }

    /// What one does who meant to upload a component.
    pub(crate) fn next_step(self) -> String {
        match self {
            Self::Empty | Self::Cut => "build it again: `datanode build` says where it puts the component; \
                or fetch the whole file again"
                .to_owned(),
            Self::Compressed { unpack, .. } => {
                format!("unpack it first (`{unpack}`), and upload the .wasm file")
            }
            Self::Archive(_) => {
                "unpack it first, and upload the .wasm file in it; a bundle of a run is replayed: \
                 `datanode run replay FILE`"
                    .to_owned()
            }
            Self::WebAssemblyText => {
                "translate it to bytes: `wasm-tools parse node.wat -o node.wasm`; and upload these".to_owned()
            }
            Self::WebPage => "fetch the file itself, not the page that shows it".to_owned(),
            Self::LfsPointer => "fetch the file itself: `git lfs pull`".to_owned(),
            Self::Rows(_) => {
                "name a component (.wasm); rows are loaded into a reference table with `datanode table load`"
                    .to_owned()
            }
            Self::Program(_) | Self::Text | Self::Other => {
                "name the component (.wasm) that a build has made: `datanode build` says where it puts it"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::Cut => f.write_str("the file ends within its first bytes"),
            Self::Compressed { format, .. } => write!(f, "the file seems to be compressed ({format})"),
            Self::Archive(format) => write!(f, "the file seems to be an archive ({format})"),
            Self::WebAssemblyText => f.write_str("the file seems to be WebAssembly as text (.wat)"),
            Self::WebPage => f.write_str("the file seems to be a web page"),
            Self::LfsPointer => {
                f.write_str("the file is a pointer of Git LFS, not the file that it stands for")
            }
            Self::Program(system) => write!(f, "the file seems to be a program for {system}"),
            Self::Rows(format) => write!(f, "the file seems to hold rows ({format})"),
            Self::Text => f.write_str("the file seems to be text"),
            Self::Other => f.write_str("the file does not begin as WebAssembly does"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        // A character that lies across the end of what is looked at.
        let mut long = "a".repeat(LOOKED_AT - 1);
        long += "é and more";
        let files: [(&[u8], FileKind); 17] = [
            (b"", FileKind::Empty),
            (b"\0as", FileKind::Cut),
            (b"\x1f\x8b\x08\0", FileKind::Compressed { format: "gzip", unpack: "gzip -d" }),
            (b"\x28\xb5\x2f\xfd\x04", FileKind::Compressed { format: "Zstandard", unpack: "zstd -d" }),
            (b"PK\x03\x04", FileKind::Archive("zip")),
            (&tar, FileKind::Archive("tar")),
            (b"MZ\x90", FileKind::Program("Windows")),
            (b"PAR1", FileKind::Rows("Parquet")),
            (b"ARROW1\0\0", FileKind::Rows("Arrow")),
            (b"\n(component (import \"a\" (func)))", FileKind::WebAssemblyText),
            (b"<!DOCTYPE html><html>", FileKind::WebPage),
            (b"version https://git-lfs.github.com/spec/v1\n", FileKind::LfsPointer),
            (b"#!/bin/sh\necho hi\n", FileKind::Text),
            (long.as_bytes(), FileKind::Text),
            ("\u{feff}{\"a\": 1}".as_bytes(), FileKind::Text),
            (b"text with a \0 in it", FileKind::Other),
            (b"\xff\xfe\xfd", FileKind::Other),
        ];
        for (bytes, kind) in files {
            assert_eq!(FileKind::of(bytes), Some(kind), "{:?}", String::from_utf8_lossy(bytes));
            assert!(!kind.to_string().is_empty() && !kind.next_step().is_empty());
        }
        assert_eq!(FileKind::of(b"\0asm\x0d\0\x01\0"), None);
    }
}
