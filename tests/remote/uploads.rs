//! Components on their way to a server, over connections that break.

use std::process::Stdio;
use std::time::{Duration, Instant};

use datanode_tests::{Project, Server, component};
use serde_json::Value;

use crate::gate::{After, Gate};
use crate::trouble::code_of;

/// Bytes behind those that mean something.
const PADDING: usize = 3_000_000;
/// What the head of a request has, and more.
const HEADS: usize = 100_000;

/// A component that is large: a section follows that nobody reads. Answers its file and its length.
fn large(project: &Project) -> (String, usize) {
    let mut bytes = std::fs::read(component("fx_log_returns")).unwrap();
    let name = b"padding";
    let mut left = 1 + name.len() + PADDING;
    // The kind of such a section, its length in groups of seven bits, its name, and anything.
    bytes.push(0);
    while left >= 0x80 {
        bytes.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    bytes.push(u8::try_from(left).unwrap());
    bytes.push(u8::try_from(name.len()).unwrap());
    bytes.extend(name);
    bytes.extend((0..PADDING).map(|at| u8::try_from(at * 31 % 251).unwrap()));
    let file = project.path().join("large.wasm");
    std::fs::write(&file, &bytes).unwrap();
    (file.to_str().unwrap().to_owned(), bytes.len())
}

/// From where on bytes were sent, one time after the other.
fn offsets(gate: &Gate) -> Vec<usize> {
    gate.headers("upload-offset").iter().map(|offset| offset.parse().unwrap()).collect()
}

#[test]
fn an_upload_that_breaks_goes_on_where_it_broke() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let gate = Gate::before(&server);
    let client = Project::new();
    let (file, length) = large(&client);
    gate.limit(&[After::Cut(1_000_000), After::Cut(700_000)]);
    let mut command = client.command(&["component", "upload", &file, "--json"]);
    let output = command.env("DATANODE_URL", gate.url()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.is_empty(), "a connection that breaks is no matter where it is mended: {said}");
    let uploaded: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(uploaded[0]["created"], true, "{uploaded}");
    let offsets = offsets(&gate);
    assert!(
        matches!(offsets.as_slice(), [0, first, second] if *first > 500_000 && *second > first + 300_000),
        "{offsets:?}"
    );
    assert!(gate.bytes() < length + HEADS, "{} bytes for a file of {length}", gate.bytes());
}

#[test]
fn the_next_command_goes_on_too() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let gate = Gate::before(&server);
    let client = Project::new();
    let (file, length) = large(&client);
    let upload = || {
        let mut command = client.command(&["component", "upload", &file]);
        command.env("DATANODE_URL", gate.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    gate.limit(&[After::Stop(1_500_000)]);
    let mut first = upload().spawn().unwrap();
    server.until("half of it has come", |_| gate.bytes() >= 1_500_000);
    first.kill().unwrap();
    first.wait().unwrap();
    // While the server still waits for more of the first one, the second does not begin anew.
    let second = upload().spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    gate.cut();
    let output = second.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let offsets = offsets(&gate);
    assert!(offsets[0] == 0 && offsets[1..].iter().all(|offset| *offset > 1_000_000), "{offsets:?}");
    assert!(gate.bytes() < length + HEADS, "{} bytes for a file of {length}", gate.bytes());
}

#[test]
fn an_upload_that_gets_nowhere_ends() {
    let project = Project::new();
    let server = Server::start(&project, &[]);
    let gate = Gate::before(&server);
    let client = Project::new();
    let (file, _) = large(&client);
    gate.limit(&[After::Cut(6_000); 1_000]);
    let mut command = client.command(&["component", "upload", &file]);
    let output = command.env("DATANODE_URL", gate.url()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), code_of(&said)), (Some(5), "remote.lost"), "{said}");
    assert!(said.contains("next: give the command again"), "{said}");
    // It has tried for longer than a server waits for a connection that is gone, and not for ever.
    assert!((3..20).contains(&offsets(&gate).len()), "{:?}", offsets(&gate));
    // What has come is there for the command that is given again.
    gate.limit(&[]);
    let mut command = client.command(&["component", "upload", &file]);
    assert!(command.env("DATANODE_URL", gate.url()).output().unwrap().status.success());
    assert!(*offsets(&gate).last().unwrap() > 0);
    // A server that nobody has reached is not waited for so long.
    let begun = Instant::now();
    let mut command = client.command(&["component", "upload", &file]);
    let output = command.env("DATANODE_URL", "http://127.0.0.1:9").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), code_of(&said)), (Some(5), "remote.unreachable"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(15));
}
