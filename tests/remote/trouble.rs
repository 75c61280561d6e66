//! What goes wrong on the way to a server, or at its door.

use std::io::{Read, Write};
use std::net::TcpListener;

use datanode_tests::{Project, Server};

pub(crate) fn code_of(said: &str) -> &str {
    let error = said.lines().find_map(|line| line.strip_prefix("error["));
    error.and_then(|rest| rest.split(']').next()).unwrap_or(said)
}

/// Exit code, code of the error, and whether it says what to do.
fn fails(project: &Project, words: &[&str], variables: &[(&str, &str)]) -> (i32, String, bool) {
    let output = project.command(words).envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{words:?} succeeded");
    (output.status.code().unwrap(), code_of(&said).to_owned(), said.contains("\nnext: "))
}

#[test]
fn a_server_that_is_down_is_told_as_such() {
    let project = Project::new();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let down = fails(&project, &["table", "list", "--url", &url], &[]);
    assert_eq!(down, (5, "remote.unreachable".to_owned(), true));
    let (exit, said) = project.fails(&["table", "list", "--json", "--url", &url]);
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((exit, document["error"]["code"].as_str()), (5, Some("remote.unreachable")));
}

/// A server that answers every request with these bytes.
pub(crate) fn answers(bytes: &'static str) -> String {
    answering(move |_| bytes.to_owned())
}

/// A server that answers by the path that it is asked for.
fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4_096];
            let read = stream.read(&mut request).unwrap_or(0);
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let _ = stream.write_all(answer(path).as_bytes());
        }
    });
    url
}

#[test]
fn what_is_no_datanode_server_is_told_as_such() {
    let project = Project::new();
    // What each is, how a command ends that meets it, and what its message says.
    for (bytes, exit, says) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 12\r\n\r\n<html/>hello",
            1,
            "a document of type text/html",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", 1, "what this command does not know"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 2, "answered 404 (Not Found)"),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", 5, "does not reach it: see that it runs"),
        // A redirect is not followed: the token is for the server that was named.
        (
            "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n",
            1,
            "it leads to /login, where this command does not follow",
        ),
        (
            "HTTP/1.1 308 Permanent Redirect\r\nlocation: https://data.example/dn/api/v1/tables?limit=500\r\n\
             content-length: 0\r\n\r\n",
            1,
            "name it: --url https://data.example/dn",
        ),
        // No HTTP at all.
        ("hello\r\n", 1, "speaks no HTTP"),
    ] {
        let url = answers(bytes);
        for words in
            [&["table", "list"][..], &["table", "digest", "rates"], &["run", "logs", "0", "--follow"]]
        {
            let (code, said) = project.fails(&[words, &["--url", &url]].concat());
            assert_eq!((code, code_of(&said)), (exit, "remote.answer"), "{bytes}: {said}");
            assert!(said.contains("\nnext: "), "{said}");
        }
        let (_, said) = project.fails(&["table", "list", "--url", &url]);
        assert!(said.contains(says), "{said}");
    }
    // An answer that ends in the middle.
    let cut = answers(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"items\": [",
    );
    let (exit, code, next) = fails(&project, &["table", "list", "--url", &cut], &[]);
    assert_eq!((exit, code.as_str(), next), (5, "remote.lost", true));
}

fn document(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[test]
fn a_server_of_another_release_is_told_as_such() {
    let project = Project::new();
    let of_release = |version: &'static str, status: &'static str, body: &'static str| {
        answering(move |path| match path {
            "/api/v1/version" => {
                document("200 OK", &format!("{{\"name\": \"datanode\", \"version\": \"{version}\"}}"))
            }
            _ => document(status, body),
        })
    };
    let missing = r#"{"title": "Not Found", "code": "server.not_found", "class": "usage", "detail": "there is nothing"}"#;
    let field = r#"{"title": "Bad Request", "code": "server.request", "class": "usage", "detail": "unknown field `x`"}"#;
    // A document that is not known here, a route and a field that are not known there.
    for (status, body, exit, code) in [
        ("200 OK", r#"{"things": []}"#, 1, "remote.answer"),
        ("404 Not Found", missing, 2, "server.not_found"),
        ("400 Bad Request", field, 2, "server.request"),
    ] {
        let (ended, said) = project.fails(&["table", "list", "--url", &of_release("9.8.7", status, body)]);
        assert_eq!((ended, code_of(&said)), (exit, code), "{said}");
        assert!(said.contains("the server is of release 9.8.7, and this command of "), "{said}");
        assert!(said.contains("next: use a command and a server of one release"), "{said}");
        // Where it is of the same, that is no explanation.
        let same = of_release(env!("CARGO_PKG_VERSION"), status, body);
        let (ended, said) = project.fails(&["table", "list", "--url", &same]);
        assert_eq!((ended, code_of(&said)), (exit, code), "{said}");
        assert!(!said.contains("of release"), "{said}");
    }
}

#[test]
fn a_token_goes_nowhere_in_the_clear_and_stands_in_no_message() {
    let project = Project::new();
    let secret = "dn_0123456789abcdef_very-secret";
    let token = [("DATANODE_TOKEN", secret)];
    let output =
        project.command(&["table", "list", "--url", "http://192.0.2.1:9"]).envs(token).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), code_of(&said)), (Some(3), "remote.insecure"));
    assert!(said.contains("--insecure") && !said.contains("secret"), "{said}");
    let help = project.command(&["table", "list", "--help"]).envs(token).output().unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains(secret));
    // One that is none is not repeated either, nor is a password in the address of a database.
    let (words, database) = ("a secret of two words", "mysql://me:secret@h/x");
    for (option, variable, value) in [
        (Some("--token"), None, words),
        (None, Some("DATANODE_TOKEN"), words),
        (Some("--database"), None, database),
        (None, Some("DATANODE_READER_URL"), database),
    ] {
        for json in [None, Some("--json")] {
            let mut command = project.command(&["table", "list"]);
            command.args(json);
            if let Some(option) = option {
                command.args([option, value]);
            }
            let output = command.envs(variable.map(|name| (name, value))).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(2) && said.contains("invalid value"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
    // A token without a server is a mistake where it is said on the command line.
    let alone = fails(&project, &["table", "list", "--token", secret], &[]);
    assert_eq!((alone.0, alone.1.as_str()), (2, "cli.usage"));
    assert!(project.command(&["table", "list"]).envs(token).output().unwrap().status.success());
}

#[test]
fn what_is_said_on_the_command_line_counts_before_the_environment() {
    let project = Project::new();
    let home = project.path().join(".datanode");
    let home = home.to_str().unwrap();
    let url = "http://127.0.0.1:9";
    let usage = (2, "cli.usage".to_owned(), true);
    assert_eq!(fails(&project, &["table", "list", "--url", url, "--home", home], &[]), usage);
    let both = [("DATANODE_URL", url), ("DATANODE_HOME", home)];
    assert_eq!(fails(&project, &["table", "list"], &both), usage);
    let database = ["table", "list", "--url", url, "--database", "postgres://localhost/x"];
    assert_eq!(fails(&project, &database, &[]), usage);
    assert_eq!(fails(&project, &["table", "list", "--url", url], &both[1..]).1, "remote.unreachable");
    let here = project.command(&["table", "list", "--home", home]).envs(both).output().unwrap();
    assert!(here.status.success());
    for odd in ["ftp://x", "http://me:secret@x", "x", "http://x/?a=b"] {
        let (exit, said) = project.fails(&["table", "list", "--url", odd]);
        assert!(exit == 2 && !said.contains("secret@"), "{said}");
    }
    // Anywhere on the line; where `source add` has one of its own, before the noun.
    assert_eq!(fails(&project, &["--url", url, "table", "list"], &[]).1, "remote.unreachable");
    assert_eq!(fails(&project, &["table", "--url", url, "list"], &[]).1, "remote.unreachable");
    let add = ["--url", url, "source", "add", "prices", "--url", "https://example.com/v1/"];
    assert_eq!(fails(&project, &add, &[]).1, "remote.unreachable");
}

#[test]
fn tokens_that_do_not_count_are_refused_with_what_to_do() {
    let project = Project::new();
    project.run(&["user", "create", "ada", "--role", "viewer"]);
    let create = |expires: &str, rights: &str| {
        let words = ["token", "create", "--user", "ada", "--right", rights, "--expires", expires];
        project.json(&words)["token"].as_str().unwrap().to_owned()
    };
    let (short, reader, revoked) = (create("1s", "read"), create("1d", "read"), create("1d", "read"));
    let id = revoked.split('_').nth(1).unwrap();
    project.run(&["token", "revoke", id]);
    let served = Server::start(&project, &[]);
    let url = format!("http://{}", served.address());
    let client = Project::new();
    let asks = |words: &[&str], token: Option<&str>| {
        let mut command = client.command(words);
        command.env("DATANODE_URL", &url);
        if let Some(token) = token {
            command.env("DATANODE_TOKEN", token);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        // Nor the part of it alone that is secret.
        for part in token.into_iter().chain(token.and_then(|token| token.split('_').nth(2))) {
            assert!(!said.contains(part) && !printed.contains(part), "{said}{printed}");
        }
        (output.status.code().unwrap(), code_of(&said).to_owned(), said.contains("\nnext: "))
    };
    assert_eq!(asks(&["table", "list"], Some(&reader)).0, 0);
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let nobodys = "dn_0123456789abcdef_nobodys";
    for token in [None, Some(nobodys), Some(short.as_str()), Some(revoked.as_str()), Some("nonsense")] {
        for words in [&["table", "list"][..], &["node", "run", "rates"], &["table", "read", "rates"]] {
            let (exit, code, next) = asks(words, token);
            assert!(exit == 3 && code.starts_with("access.") && next, "{token:?} {words:?}: {exit} {code}");
        }
        assert_eq!(asks(&["table", "list", "--json"], token).0, 3);
    }
    // One that counts, for something else.
    let (exit, code, next) = asks(&["component", "disable", "fx_log_returns"], Some(&reader));
    assert!(exit == 3 && code.starts_with("access.") && next, "{exit} {code}");
    let file = client.path().join("token");
    std::fs::write(&file, format!("{reader}\n")).unwrap();
    assert_eq!(asks(&["table", "list", "--token-file", file.to_str().unwrap()], None).0, 0);
    assert_eq!(asks(&["table", "list", "--token-file", "nowhere"], None).0, 2);
}
