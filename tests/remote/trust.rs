//! A server behind TLS: who is trusted, who is not, and what is sent to whom.

use std::path::PathBuf;

use datanode_tests::{Project, Server, root};
use serde_json::Value;

use crate::gate::Gate;
use crate::trouble::{answers, code_of};

/// A token that nobody has made: it is looked for where it must not be.
const TOKEN: &str = "dn_0123456789abcdef_never-to-be-seen";

fn certificate(name: &str) -> String {
    let file: PathBuf = root().join("tests/tls").join(name);
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_server_behind_tls_is_asked_where_its_authority_is_trusted() {
    let project = Project::with_fx();
    let server = Server::start(&project, &[]);
    let gate = Gate::with_tls(&server, "signed.crt");
    let (url, authority) = (format!("https://localhost:{}", gate.port()), certificate("authority.crt"));
    let client = Project::new();
    let trusted = ["--url", &url, "--server-ca", &authority];
    let listed = client.json(&[&["table", "list"], &trusted[..]].concat());
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    // Work that is followed, a body that is sent, and rows.
    let runs =
        client.json(&[&["node", "run", "fx_log_returns", "--until", "1999-02-01"], &trusted[..]].concat());
    assert_eq!((runs.as_array().unwrap().len(), &runs[1]["status"]), (2, &Value::from("ok")), "{runs}");
    let component = datanode_tests::component("fx_rolling_volatility");
    client.run(&[&["component", "upload", component.to_str().unwrap()], &trusted[..]].concat());
    let rows = [&["table", "read", "fx_log_returns", "--format", "csv"], &trusted[..]].concat();
    assert!(client.run(&rows).lines().count() > 100);
    // The same by variables; and a file with a certificate that signs itself.
    let mut command = client.command(&["table", "list"]);
    command.env("DATANODE_URL", &url).env("DATANODE_SERVER_CA", &authority);
    assert!(command.output().unwrap().status.success());
    let own = Gate::with_tls(&server, "server.crt");
    let url = format!("https://localhost:{}", own.port());
    client.run(&["table", "list", "--url", &url, "--server-ca", &certificate("server.crt")]);
}

#[test]
fn whoever_cannot_prove_to_be_the_server_is_sent_nothing() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let client = Project::new();
    for (shown, host, trusted, says, next) in [
        (
            "signed.crt",
            "localhost",
            Some("other.crt"),
            "nobody who is trusted here has signed its certificate",
            "--server-ca FILE",
        ),
        (
            "signed.crt",
            "localhost",
            None,
            "nobody who is trusted here has signed its certificate",
            "--server-ca FILE",
        ),
        (
            "server.crt",
            "localhost",
            Some("other.crt"),
            "nobody who is trusted here has signed its certificate",
            "--server-ca FILE",
        ),
        (
            "signed.crt",
            "127.0.0.1",
            Some("authority.crt"),
            "its certificate is for localhost, and not for 127.0.0.1",
            "--url https://NAME",
        ),
        (
            "ended.crt",
            "localhost",
            Some("authority.crt"),
            "its certificate has ended on 2020-01-01",
            "the clock of this machine",
        ),
    ] {
        let gate = Gate::with_tls(&server, shown);
        let url = format!("https://{host}:{}", gate.port());
        for json in [false, true] {
            let mut command = client.command(&["table", "list", "--url", &url]);
            command.env("DATANODE_TOKEN", TOKEN).env_remove("DATANODE_SERVER_CA");
            if let Some(trusted) = trusted {
                command.args(["--server-ca", &certificate(trusted)]);
            }
            if json {
                command.arg("--json");
            }
            let output = command.output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(3), "{shown} as {host}: {said}");
            assert!(said.contains("remote.tls") && said.contains(says) && said.contains(next), "{said}");
            assert!(!said.contains("never-to-be-seen") && output.stdout.is_empty(), "{said}");
        }
        assert_eq!(gate.bytes(), 0, "{shown} as {host}");
    }
}

#[test]
fn authorities_that_cannot_be_read_are_told_as_such() {
    let client = Project::new();
    let empty = client.path().join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    for file in ["missing.pem", empty.to_str().unwrap()] {
        let (exit, said) =
            client.fails(&["table", "list", "--url", "https://localhost:9", "--server-ca", file]);
        assert_eq!((exit, code_of(&said)), (2, "cli.usage"), "{said}");
        assert!(said.contains(file) && said.contains("next: ") && said.contains("--server-ca"), "{said}");
    }
}

#[test]
fn one_side_that_speaks_tls_and_one_that_does_not_find_out() {
    let client = Project::new();
    // As a server does that was sent what it cannot read.
    let plain = answers("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let (exit, said) = client.fails(&[
        "table",
        "list",
        "--url",
        &plain.replace("http://127.0.0.1", "https://localhost"),
        "--server-ca",
        &certificate("authority.crt"),
    ]);
    assert_eq!((exit, code_of(&said)), (3, "remote.tls"), "{said}");
    assert!(said.contains("does not speak TLS") && said.contains("http://"), "{said}");
    // As one does that waits for TLS: an alert.
    let encrypted = answers("\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}\u{28}");
    let (exit, said) = client.fails(&["table", "list", "--url", &encrypted]);
    assert_eq!((exit, code_of(&said)), (1, "remote.answer"), "{said}");
    assert!(said.contains("speaks no HTTP") && said.contains("https://"), "{said}");
}
