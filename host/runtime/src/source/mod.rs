//! Sources: what a guest may read of the outside, and only when its component declares it *and* an operator granted it.
//!
//! Two kinds: files of this machine ([`file`]) and HTTP ([`http`]). What a guest is refused is a value that names the command to
//! mend it, and is recorded; a failure of the way to a source ends the run, and is no fact.

mod answer;
mod client;
mod courier;
mod error;
mod file;
mod http;
mod manage;
mod pace;
mod redirect;
mod request;
mod resolve;
mod scrub;

use std::collections::HashMap;
use std::io::{Read as _, Take};

use bytes::Bytes;
use cap_std::fs::File;
use datanode_core::component::SourceDeclaration;
use datanode_core::digest::Digester;
use datanode_core::run::FetchRecord;
use datanode_sandbox::{FetchRequest, FetchResponse, HostCallError, HostReply, Refusal};
use datanode_store::{Source, SourceKind};
use tempfile::SpooledTempFile;

pub use courier::Courier;
use error::{NoAnswer, SourceError};
pub use resolve::Resolver;

pub(crate) use http::{HttpDoor, Outside};

/// The sources of one run.
#[derive(Debug)]
pub(crate) struct Sources {
    component: String,
    declared: Vec<SourceDeclaration>,
    /// All sources there are, by name.
    known: HashMap<String, Source>,
    http: Option<HttpDoor>,
    bodies: HashMap<u32, Body>,
    next_body: u32,
    fetches: Vec<Fetch>,
}

#[derive(Debug)]
struct Body {
    content: Content,
    /// Place in `fetches`.
    fetch: usize,
}

#[derive(Debug)]
enum Content {
    File(Take<File>),
    Kept(Take<SpooledTempFile>),
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
            http: None,
            bodies: HashMap::new(),
            next_body: 0,
            fetches: Vec::new(),
        }
    }

    /// The same, with a way to HTTP sources.
    pub(crate) fn with_http(self, http: HttpDoor) -> Self {
        Self { http: Some(http), ..self }
    }

    /// Answer a request. What the guest may not have is refused as a value that names the command to mend it.
    ///
    /// # Errors
    ///
    /// [`SourceError`]: there is no answer, or none that may be taken; it ends the run.
    pub(crate) fn fetch(&mut self, request: &FetchRequest) -> Result<HostReply, HostCallError> {
        match self.try_fetch(request) {
            Ok(response) => Ok(HostReply::Fetched(response)),
            Err(NoAnswer::Refused(code, message)) => {
                Ok(HostReply::Refused(Refusal { code: code.to_owned(), message }))
            }
            Err(NoAnswer::Ended(error)) => Err(error.into()),
        }
    }

    fn try_fetch(&mut self, request: &FetchRequest) -> Result<FetchResponse, NoAnswer> {
        let name = request.source.as_str();
        let refused = |code, message| Err(NoAnswer::Refused(code, message));
        if !self.declared.iter().any(|declared| declared.name == name) {
            let (component, name) = (&self.component, shorten(name));
            return refused(
                "source.not_declared",
                format!("component `{component}` does not declare source `{name}`"),
            );
        }
        let Some(source) = self.known.get(name) else {
            return refused(
                "source.not_found",
                format!(
                    "there is no source `{name}`; add it: datanode source add {name} --path PATH --grant {0}",
                    self.component
                ),
            );
        };
        if !source.granted_to.contains(&self.component) {
            return refused(
                "source.not_granted",
                format!(
                    "source `{name}` is not granted to component `{0}`; grant it: datanode source grant {name} {0}",
                    self.component
                ),
            );
        }
        match &source.kind {
            SourceKind::File { path } => {
                let found = file::fetch(name, path, request)?;
                Ok(self.found(request, found))
            }
            SourceKind::OneFile { path } => {
                let found = file::fetch_only(name, path, request)?;
                Ok(self.found(request, found))
            }
            SourceKind::Http(rules) => {
                let Some(http) = &self.http else {
                    return refused("source.not_found", format!("source `{name}` cannot be asked from here"));
                };
                let fetched = http.fetch(name, rules, request)?;
                Ok(self.answer(request, fetched.status, fetched.headers, Some(Content::Kept(fetched.body))))
            }
        }
    }

    fn found(&mut self, request: &FetchRequest, found: file::Found) -> FetchResponse {
        let Some((file, length)) = found else { return self.answer(request, 404, Vec::new(), None) };
        let status = if request.range.is_some() { 206 } else { 200 };
        let headers = vec![("content-length".to_owned(), length.to_string())];
        self.answer(request, status, headers, Some(Content::File(file)))
    }

    fn answer(
        &mut self,
        request: &FetchRequest,
        status: u16,
        headers: Vec<(String, String)>,
        content: Option<Content>,
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
        if let Some(content) = content {
            self.bodies.insert(body, Body { content, fetch: self.fetches.len() - 1 });
        }
        FetchResponse { status, headers, body }
    }

    /// The next bytes of a body: at least one before the end, whatever the guest asks for.
    pub(crate) fn read(&mut self, body: u32, max: u32) -> Result<HostReply, SourceError> {
        // A body without content (404) is empty, and so is one that was closed.
        let Some(open) = self.bodies.get_mut(&body) else { return Ok(HostReply::End) };
        let fetch = &mut self.fetches[open.fetch];
        let (mut piece, max) = (Vec::new(), u64::from(max.max(1)));
        let read = match &mut open.content {
            Content::File(file) => file.take(max).read_to_end(&mut piece),
            Content::Kept(file) => file.take(max).read_to_end(&mut piece),
        };
        read.map_err(|problem| SourceError::Read {
            name: fetch.source.clone(),
            path: fetch.path.clone(),
            problem: problem.to_string(),
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

/// What a guest gave, as much of it as people are shown.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use datanode_sandbox::ByteRange;

    use super::*;

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

    fn refused(reply: Result<HostReply, HostCallError>) -> String {
        match reply.unwrap() {
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
        assert!(matches!(
            sources.fetch(&get("pipe")).unwrap(),
            HostReply::Fetched(FetchResponse { status: 404, .. })
        ));
        for path in ["sub", "nothing", "sub/nothing"] {
            assert!(
                matches!(
                    sources.fetch(&get(path)).unwrap(),
                    HostReply::Fetched(FetchResponse { status: 404, .. })
                ),
                "{path}"
            );
        }
    }

    /// Whatever is asked for beside it, and whatever takes its place.
    #[test]
    fn a_source_of_one_file_is_that_file_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["granted", "beside"] {
            std::fs::write(path(name), name).unwrap();
        }
        let mut sources = sources(root.path(), true);
        sources.known.get_mut("ecb").unwrap().kind = SourceKind::OneFile { path: path("granted") };
        let mut status = |path: &str| match sources.fetch(&get(path)) {
            Ok(HostReply::Fetched(response)) => response.status.to_string(),
            reply => refused(reply),
        };
        assert_eq!(status("granted"), "200");
        for name in ["beside", "Granted", "sub/granted", "granted/granted", "granted\u{0}x"] {
            assert!(["404", "source.path"].contains(&status(name).as_str()), "{name:?}");
        }
        let absolute = path("granted");
        for name in ["", ".", "./granted", "../granted", "sub/../granted", absolute.to_str().unwrap()] {
            assert_eq!(status(name), "source.path", "{name}");
        }
        // A file of that name that was written anew is the file; what is no file is nothing, and a link is refused.
        std::fs::rename(path("beside"), path("granted")).unwrap();
        assert_eq!(status("granted"), "200");
        std::fs::remove_file(path("granted")).unwrap();
        assert_eq!(status("granted"), "404");
        std::fs::create_dir(path("granted")).unwrap();
        std::fs::write(path("granted").join("granted"), "granted").unwrap();
        for name in ["granted", "granted/granted"] {
            assert_eq!(status(name), "404", "{name}");
        }
        #[cfg(unix)]
        {
            std::fs::remove_dir_all(path("granted")).unwrap();
            std::fs::write(path("beside"), "beside").unwrap();
            for target in ["beside", "/etc", "/proc/self/environ"] {
                std::os::unix::fs::symlink(target, path("granted")).unwrap();
                assert_eq!(status("granted"), "source.path", "{target}");
                assert_ne!(status("granted/passwd"), "200");
                std::fs::remove_file(path("granted")).unwrap();
            }
        }
    }

    #[test]
    fn bodies_are_read_in_pieces_and_recorded() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a"), "0123456789").unwrap();
        let mut sources = sources(root.path(), true);
        let HostReply::Fetched(response) = sources.fetch(&get("a")).unwrap() else { panic!("refused") };
        assert_eq!(response.status, 200);
        let mut read = Vec::new();
        while let HostReply::Bytes(piece) = sources.read(response.body, 4).unwrap() {
            assert!(piece.len() <= 4);
            read.extend_from_slice(&piece);
        }
        assert_eq!(read, b"0123456789");
        let range = Some(ByteRange { offset: 3, length: Some(2) });
        let HostReply::Fetched(part) = sources.fetch(&FetchRequest { range, ..get("a") }).unwrap() else {
            panic!("refused")
        };
        assert_eq!(sources.read(part.body, 100).unwrap(), HostReply::Bytes(Bytes::from_static(b"34")));
        let records = sources.records();
        assert_eq!(records[0].digest, datanode_core::digest::Digest::of(b"0123456789"));
        assert_eq!((records[0].bytes, records[1].bytes, records[1].status), (10, 2, 206));
    }
}
