//! The two ways to an answer: a database of this machine, and a server over a copy of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Output, Stdio};

use datanode_tests::{Project, Server, component, root};
use serde_json::Value;

use crate::cases::Case;
use crate::redact;

/// A server, and the project that it is over.
struct Served {
    /// Ends before its project goes.
    serving: Server,
    _project: Project,
}

/// One of them.
pub(crate) struct Side {
    /// Where commands are given, and where they leave files.
    project: Project,
    served: Option<Served>,
    /// The token that was created last.
    token: RefCell<Option<String>>,
}

impl Side {
    /// Without a server.
    pub(crate) fn here(project: Project) -> Self {
        Self { project, served: None, token: RefCell::default() }
    }

    /// With a server over this project; commands are given somewhere else.
    pub(crate) fn there(project: Project) -> Self {
        let served = Served { serving: Server::start(&project, &[]), _project: project };
        Self { project: Project::new(), served: Some(served), token: RefCell::default() }
    }

    fn output(&self, words: &[String], input: &str) -> Output {
        use std::io::Write as _;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = self.project.command(&words);
        // Whoever uploads is named; a server without tokens knows everybody by this name.
        command.env("USER", "local");
        if let Some(served) = &self.served {
            command.env("DATANODE_URL", format!("http://{}", served.serving.address()));
            if let Some(token) = &*self.token.borrow() {
                command.env("DATANODE_TOKEN", token);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("datanode starts");
        // A command that reads nothing has closed it.
        drop(child.stdin.take().expect("a pipe").write_all(input.as_bytes()));
        child.wait_with_output().expect("datanode ends")
    }

    /// The field of the first item that a command lists.
    fn first(&self, words: &[&str], field: &str) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let output = self.output(&words, "");
        let listed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        listed[0][field].as_str().unwrap_or("none").to_owned()
    }

    /// A word of a case as this side writes it.
    fn word(&self, word: &str) -> String {
        let fx = root().join("examples/fx");
        let mut word = word.replace("{fx}", fx.to_str().expect("UTF-8"));
        if let Some((before, rest)) = word.clone().split_once("{component:") {
            let (name, after) = rest.split_once('}').expect("a name");
            word = format!("{before}{}{after}", component(name).display());
        }
        for (place, words, field) in [
            ("{run}", &["run", "list", "--json", "--limit", "1", "--status", "ok"][..], "run_id"),
            ("{failed}", &["run", "list", "--json", "--limit", "1", "--status", "failed"], "run_id"),
            ("{backfill}", &["node", "backfill", "list", "--json"], "backfill_id"),
            ("{revision}", &["table", "history", "notes", "--json"], "revision"),
            ("{folder}", &["table", "history", "notes", "--json"], "folder"),
            ("{token}", &["token", "list", "--json"], "id"),
        ] {
            if word.contains(place) {
                word = word.replace(place, &self.first(words, field));
            }
        }
        word
    }

    /// What a command says, does and leaves: as one text, without what may differ.
    pub(crate) fn answer(&self, case: &Case, json: bool) -> String {
        for (name, text) in case.files {
            let path = self.project.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        let mut words: Vec<String> = case.words.iter().map(|word| self.word(word)).collect();
        if json {
            words.push("--json".to_owned());
        }
        let output = self.output(&words, case.input);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if let Some(token) =
            said.split_whitespace().find(|word| word.trim_matches(['"', ',']).starts_with("dn_"))
        {
            *self.token.borrow_mut() = Some(token.trim_matches(['"', ',']).to_owned());
        }
        // Nobody looks at a terminal: nothing moves, and nothing has a colour.
        let has = |bytes: &[u8], byte: u8| bytes.contains(&byte);
        let moves =
            has(&output.stderr, b'\r') || has(&output.stderr, b'\x1b') || has(&output.stdout, b'\x1b');
        assert!(!moves, "{words:?}: {said}");
        let mut answer = format!("exit {}\n", output.status.code().unwrap_or(-1));
        answer += &self.tidy(&said, json);
        answer += "\n-- standard error\n";
        answer += &self.tidy(&String::from_utf8_lossy(&output.stderr), json);
        for name in case.leaves {
            answer += &format!("\n-- {name}\n{}", self.left(name));
        }
        answer
    }

    /// A file or directory that a command has left.
    fn left(&self, name: &str) -> String {
        let path = self.project.path().join(name);
        let mut files = BTreeMap::new();
        gather(&path, &path, &mut files);
        files.into_iter().fold(String::new(), |all, (name, content)| all + &name + ": " + &content + "\n")
    }

    fn tidy(&self, said: &str, json: bool) -> String {
        let place = self.project.path().canonicalize().expect("a directory");
        let said = said.replace(place.to_str().expect("UTF-8"), "PROJECT");
        let said = said.replace(self.project.path().to_str().expect("UTF-8"), "PROJECT");
        let document = if json { serde_json::from_str::<Value>(&said).ok() } else { None };
        match document {
            Some(mut document) => {
                redact::document(&mut document);
                serde_json::to_string_pretty(&document).expect("JSON")
            }
            None => redact::text(&said),
        }
    }
}

/// Files by name, with the text or the length and digest of each.
fn gather(root: &Path, path: &Path, files: &mut BTreeMap<String, String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a directory") {
            gather(root, &entry.expect("an entry").path(), files);
        }
        return;
    }
    let name = path.strip_prefix(root).expect("below").display().to_string();
    let content = match std::fs::read(path) {
        Err(error) => format!("no file: {}", error.kind()),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => redact::text(&text),
            Err(binary) => {
                let bytes = binary.into_bytes();
                format!("{} bytes, {}", bytes.len(), datanode_core::digest::Digest::of(&bytes))
            }
        },
    };
    files.insert(name, content);
}
