//! TLS to a PostgreSQL server: what each `sslmode` proves, on a server that talks nothing else.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use datanode_tests::{Project, root};
use xtask::postgres::{Certificate, Cluster, Disk, installed};

fn file(name: &str) -> PathBuf {
    root().join("tests/tls").join(name)
}

/// The mode of a URL, and the certificate that it trusts.
fn options(mode: &str, trusted: Option<&Path>) -> String {
    let trusted = trusted.map(|path| format!("&sslrootcert={}", path.display())).unwrap_or_default();
    format!("?sslmode={mode}{trusted}")
}

#[test]
fn each_mode_proves_what_it_says_and_nothing_goes_in_the_clear() {
    // Where the server of the tests is another machine's, there is nothing to start here.
    let Some(binaries) = installed() else { return };
    let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    let (certificate, key) = (read("server.crt"), read("server.key"));
    let cluster =
        Cluster::start(&binaries, Disk::Unsynced, Some(Certificate { certificate: &certificate, key: &key }))
            .unwrap();
    let project = Project::new();
    // The certificate is for `localhost`; 127.0.0.1 is the same server by a name that it does not have.
    let (named, unnamed) = (cluster.url("localhost"), cluster.url("127.0.0.1"));
    let (own, other) = (file("server.crt"), file("other.crt"));
    for (url, options, works) in [
        (&named, String::new(), true),
        (&named, options("prefer", None), true),
        (&named, options("require", None), true),
        (&unnamed, options("require", None), true),
        (&named, options("verify-full", Some(&own)), true),
        (&unnamed, options("verify-ca", Some(&own)), true),
        (&named, options("disable", None), false),
        (&unnamed, options("verify-full", Some(&own)), false),
        (&named, options("verify-full", Some(&other)), false),
        (&named, options("verify-ca", Some(&other)), false),
        (&named, options("verify-full", None), false),
    ] {
        let url = format!("{url}{options}");
        let output = project.command(&["table", "list"]).env("DATANODE_DATABASE_URL", &url).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), works, "{options}: {said}");
        if !works {
            assert_eq!(output.status.code(), Some(5), "{options}: {said}");
            assert!(said.starts_with("error[store.connect]"), "{options}: {said}");
        }
    }
}
