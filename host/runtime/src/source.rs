//! Sources: what a guest may read of the outside, and only when its component declares it *and* an operator granted it.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component as PathPart, Path};

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use datanode_core::component::SourceDeclaration;
use datanode_core::diagnostic::{Diagnostic, ErrorClass};
use datanode_core::digest::Digester;
use datanode_core::run::FetchRecord;
use datanode_sandbox::{FetchRequest, FetchResponse, HostReply, Refusal};
use datanode_store::{Source, SourceKind};
use thiserror::Error;

/// A source failed in the middle of a body: nothing about the data, so it ends the run as infrastructure.
#[derive(Debug, Error)]
#[error("source `{name}`: reading `{path}` failed: {problem}")]
pub(crate) struct SourceReadError {
    name: String,
    path: String,
    problem: std::io::Error,
}

impl Diagnostic for SourceReadError {
    fn code(&self) -> &'static str {
        "source.read"
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Infrastructure
    }
}

/// The sources of one run.
#[derive(Debug)]
pub(crate) struct Sources {
    component: String,
    declared: Vec<SourceDeclaration>,
    /// All sources there are, by name.
    known: HashMap<String, Source>,
    bodies: HashMap<u32, Body>,
    next_body: u32,
    fetches: Vec<Fetch>,
}

#[derive(Debug)]
struct Body {
    file: std::io::Take<File>,
    /// Place in `fetches`.
    fetch: usize,
}

#[derive(Debug)]
struct Fetch {
    source: String,
    method: String,
    path: String,
    status: u16,
    bytes: u64,
    digest: Digester,
}

impl Sources {
    pub(crate) fn new(component: &str, declared: &[SourceDeclaration], known: Vec<Source>) -> Self {
        Self {
            component: component.to_owned(),
            declared: declared.to_vec(),
            known: known.into_iter().map(|source| (source.name.clone(), source)).collect(),
            bodies: HashMap::new(),
            next_body: 0,
            fetches: Vec::new(),
        }
    }

    /// Answer a request. What the guest may not have is refused as a value that names the command to mend it.
    pub(crate) fn fetch(&mut self, request: &FetchRequest) -> HostReply {
        match self.try_fetch(request) {
            Ok(response) => HostReply::Fetched(response),
            Err((code, message)) => HostReply::Refused(Refusal { code: code.to_owned(), message }),
        }
    }

    fn try_fetch(&mut self, request: &FetchRequest) -> Result<FetchResponse, (&'static str, String)> {
        let name = request.source.as_str();
        if !self.declared.iter().any(|declared| declared.name == name) {
            return Err((
                "source.not_declared",
                format!("component `{}` does not declare source `{name}`", self.component),
            ));
        }
        let Some(source) = self.known.get(name) else {
            return Err((
                "source.not_found",
                format!(
                    "there is no source `{name}`; add it: datanode source add {name} --path DIRECTORY --grant {}",
                    self.component
                ),
            ));
        };
        if !source.granted_to.contains(&self.component) {
            return Err((
                "source.not_granted",
                format!(
                    "source `{name}` is not granted to component `{0}`; grant it: datanode source grant {name} {0}",
                    self.component
                ),
            ));
        }
        let SourceKind::File { path: root } = &source.kind;
        if request.method != "GET" || request.body.is_some() {
            return Err((
                "source.method",
                format!("source `{name}` is a directory: only GET without a body is possible"),
            ));
        }
        let path = relative(&request.path).ok_or_else(|| {
            ("source.path", format!("`{}` is not a path below source `{name}`", shorten(&request.path)))
        })?;
        let opened = Dir::open_ambient_dir(root, ambient_authority())
            .and_then(|directory| open_file(&directory, path));
        let (file, length) = match opened {
            Ok(opened) => opened,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
                ) =>
            {
                return Ok(self.answer(request, 404, None));
            }
            // Also a symbolic link that leads out of the directory.
            Err(error) => {
                return Err((
                    "source.path",
                    format!("source `{name}`: `{}`: {error}", shorten(&request.path)),
                ));
            }
        };
        let (offset, wanted) =
            request.range.map_or((0, u64::MAX), |range| (range.offset, range.length.unwrap_or(u64::MAX)));
        let mut file = file;
        file.seek(SeekFrom::Start(offset)).map_err(|error| {
            ("source.read", format!("source `{name}`: `{}`: {error}", shorten(&request.path)))
        })?;
        let available = length.saturating_sub(offset).min(wanted);
        let status = if request.range.is_some() { 206 } else { 200 };
        Ok(self.answer(request, status, Some((file.take(available), available))))
    }

    fn answer(
        &mut self,
        request: &FetchRequest,
        status: u16,
        file: Option<(std::io::Take<File>, u64)>,
    ) -> FetchResponse {
        let body = self.next_body;
        self.next_body += 1;
        self.fetches.push(Fetch {
            source: request.source.clone(),
            method: request.method.clone(),
            path: shorten(&request.path),
            status,
            bytes: 0,
            digest: Digester::default(),
        });
        let mut headers = Vec::new();
        if let Some((file, length)) = file {
            headers.push(("content-length".to_owned(), length.to_string()));
            self.bodies.insert(body, Body { file, fetch: self.fetches.len() - 1 });
        }
        FetchResponse { status, headers, body }
    }

    /// The next bytes of a body: at least one before the end, whatever the guest asks for.
    pub(crate) fn read(&mut self, body: u32, max: u32) -> Result<HostReply, SourceReadError> {
        // A body without a file (404) is empty, and so is one that was closed.
        let Some(open) = self.bodies.get_mut(&body) else { return Ok(HostReply::End) };
        let fetch = &mut self.fetches[open.fetch];
        let mut piece = Vec::new();
        (&mut open.file).take(max.max(1).into()).read_to_end(&mut piece).map_err(|problem| {
            SourceReadError { name: fetch.source.clone(), path: fetch.path.clone(), problem }
        })?;
        if piece.is_empty() {
            return Ok(HostReply::End);
        }
        fetch.bytes += piece.len() as u64;
        fetch.digest.update(&piece);
        Ok(HostReply::Bytes(Bytes::from(piece)))
    }

    pub(crate) fn close(&mut self, body: u32) {
        self.bodies.remove(&body);
    }

    /// What was fetched, for the run record.
    pub(crate) fn records(&self) -> Vec<FetchRecord> {
        let record = |fetch: &Fetch| FetchRecord {
            source: fetch.source.clone(),
            method: fetch.method.clone(),
            path: fetch.path.clone(),
            status: fetch.status,
            bytes: fetch.bytes,
            digest: fetch.digest.clone().finish(),
        };
        self.fetches.iter().map(record).collect()
    }
}

/// The path, if it is relative and goes only downwards.
fn relative(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    let downwards = path.components().all(|part| matches!(part, PathPart::Normal(_)));
    (downwards && path.components().next().is_some()).then_some(path)
}

fn open_file(directory: &Dir, path: &Path) -> std::io::Result<(File, u64)> {
    // Asked before it is opened: opening a pipe would wait for a writer. Where one takes the file's place in between,
    // the deadline of host calls ends the run.
    if !directory.metadata(path)?.is_file() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let file = directory.open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datanode_sandbox::ByteRange;

    fn sources(root: &Path, granted: bool) -> Sources {
        let declared =
            vec![SourceDeclaration { name: "ecb".into(), description: String::new(), required: true }];
        let source = Source {
            name: "ecb".into(),
            kind: SourceKind::File { path: root.to_owned() },
            granted_to: if granted { vec!["rates".into()] } else { vec![] },
            created_at: crate::now(),
        };
        Sources::new("rates", &declared, vec![source])
    }

    fn get(path: &str) -> FetchRequest {
        FetchRequest {
            source: "ecb".into(),
            method: "GET".into(),
            path: path.into(),
            query: vec![],
            headers: vec![],
            body: None,
            range: None,
        }
    }

    fn refused(reply: HostReply) -> String {
        match reply {
            HostReply::Refused(why) => why.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_declared_and_granted_sources_answer() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(refused(sources(directory.path(), false).fetch(&get("a"))), "source.not_granted");
        let mut granted = sources(directory.path(), true);
        assert_eq!(
            refused(granted.fetch(&FetchRequest { source: "other".into(), ..get("a") })),
            "source.not_declared"
        );
        assert_eq!(
            refused(granted.fetch(&FetchRequest { method: "PUT".into(), ..get("a") })),
            "source.method"
        );
    }

    #[test]
    fn no_path_leads_out_of_the_directory() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("sub")).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
            std::os::unix::fs::symlink(outside.path().join("secret"), root.path().join("file_link")).unwrap();
        }
        let mut sources = sources(root.path(), true);
        let absolute = outside.path().join("secret");
        for path in
            ["../secret", "sub/../../secret", absolute.to_str().unwrap(), "", ".", "link/secret", "file_link"]
        {
            assert_eq!(refused(sources.fetch(&get(path))), "source.path", "{path}");
        }
        #[cfg(unix)]
        {
            let made = std::process::Command::new("mkfifo").arg(root.path().join("pipe")).status().unwrap();
            assert!(made.success());
        }
        // A pipe without a writer would never answer.
        #[cfg(unix)]
        assert!(matches!(sources.fetch(&get("pipe")), HostReply::Fetched(FetchResponse { status: 404, .. })));
        for path in ["sub", "nothing", "sub/nothing"] {
            assert!(
                matches!(sources.fetch(&get(path)), HostReply::Fetched(FetchResponse { status: 404, .. })),
                "{path}"
            );
        }
    }

    #[test]
    fn bodies_are_read_in_pieces_and_recorded() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a"), "0123456789").unwrap();
        let mut sources = sources(root.path(), true);
        let HostReply::Fetched(response) = sources.fetch(&get("a")) else { panic!("refused") };
        assert_eq!(response.status, 200);
        let mut read = Vec::new();
        while let HostReply::Bytes(piece) = sources.read(response.body, 4).unwrap() {
            assert!(piece.len() <= 4);
            read.extend_from_slice(&piece);
        }
        assert_eq!(read, b"0123456789");
        let range = Some(ByteRange { offset: 3, length: Some(2) });
        let HostReply::Fetched(part) = sources.fetch(&FetchRequest { range, ..get("a") }) else {
            panic!("refused")
        };
        assert_eq!(sources.read(part.body, 100).unwrap(), HostReply::Bytes(Bytes::from_static(b"34")));
        let records = sources.records();
        assert_eq!(records[0].digest, datanode_core::digest::Digest::of(b"0123456789"));
        assert_eq!((records[0].bytes, records[1].bytes, records[1].status), (10, 2, 206));
    }
}
