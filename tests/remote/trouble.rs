//! What goes wrong on the way to a server, or at its door.

use std::io::{Read, Write};
use std::net::TcpListener;

use datanode_tests::{Project, Server};

fn code_of(said: &str) -> &str {
    said.strip_prefix("error[").and_then(|rest| rest.split(']').next()).unwrap_or(said)
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
fn answers(bytes: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes.as_bytes());
        }
    });
    url
}

#[test]
fn what_is_no_datanode_server_is_told_as_such() {
    let project = Project::new();
    let page =
        answers("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 12\r\n\r\n<html/>hello");
    assert_eq!(
        fails(&project, &["table", "list", "--url", &page], &[]),
        (1, "remote.answer".to_owned(), true)
    );
    let missing = answers("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let (_, code, next) = fails(&project, &["table", "list", "--url", &missing], &[]);
    assert_eq!((code.as_str(), next), ("remote.answer", true));
    // A redirect is not followed: the token is for the server that was named.
    let elsewhere =
        answers("HTTP/1.1 302 Found\r\nlocation: http://example.com/\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(fails(&project, &["table", "list", "--url", &elsewhere], &[]).1, "remote.answer");
    // An answer that ends in the middle.
    let cut = answers(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"items\": [",
    );
    let (exit, code, next) = fails(&project, &["table", "list", "--url", &cut], &[]);
    assert_eq!((exit, code.as_str(), next), (5, "remote.lost", true));
    // No HTTP at all.
    let noise = answers("hello\r\n");
    assert_eq!(fails(&project, &["table", "list", "--url", &noise], &[]).0, 5);
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
    let (short, reader) = (create("1s", "read"), create("1d", "read"));
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
        (output.status.code().unwrap(), code_of(&said).to_owned(), said.contains("\nnext: "))
    };
    assert_eq!(asks(&["table", "list"], Some(&reader)).0, 0);
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    for token in [None, Some("dn_0123456789abcdef_nobodys"), Some(short.as_str()), Some("nonsense")] {
        let (exit, code, _) = asks(&["table", "list"], token);
        assert!(exit == 3 && code.starts_with("access."), "{token:?}: {exit} {code}");
    }
    // One that counts, for something else.
    let (exit, code, next) = asks(&["component", "disable", "fx_log_returns"], Some(&reader));
    assert!(exit == 3 && code.starts_with("access.") && next, "{exit} {code}");
    let file = client.path().join("token");
    std::fs::write(&file, format!("{reader}\n")).unwrap();
    assert_eq!(asks(&["table", "list", "--token-file", file.to_str().unwrap()], None).0, 0);
    assert_eq!(asks(&["table", "list", "--token-file", "nowhere"], None).0, 2);
}
