//! Certificates of HTTP servers: what is trusted, and when authorities are read again.

use std::path::PathBuf;
use std::sync::Arc;

use datanode_tests::{Project, root};

use super::register;
use super::secrets::{SECRET, set_secret};
use super::server::Server;

/// A server behind TLS, whose certificate is for `localhost`, and for whom nobody but its own file vouches.
fn behind_tls() -> Server {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let file = certificate;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(file("server.crt")).unwrap()],
            PrivateKeyDer::from_pem_file(file("server.key")).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    Server::wrapped(Arc::new(move |stream| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    }))
}

fn certificate(name: &str) -> PathBuf {
    root().join("tests/tls").join(name)
}

/// A server of this host lives longer than a certificate.
#[test]
fn a_running_server_notices_authorities_that_were_renewed() {
    let server = behind_tls();
    let project = Project::new();
    project.upload("fetches");
    register(&project, "out");
    let file = project.path().join("authorities.pem");
    let renew = |name: &str| std::fs::copy(certificate(name), &file).unwrap();
    renew("other.crt");
    let url = format!("https://localhost:{}/v1/", server.port);
    let add = ["source", "add", "api", "--url", &url, "--network", "127.0.0.1/32", "--network", "::1/128"];
    let rules = ["--retries", "0", "--grant", "fetches", "--ca-file", file.to_str().unwrap()];
    project.run(&[&add[..], &rules].concat());
    project.run(&["node", "create", "fetches", "--table", "out", "--config", r#"{"path": "good"}"#]);
    let serving = datanode_tests::Server::start(&project, &[]);
    let ended = || serving.ended(&serving.post("/nodes/out/runs", &serde_json::json!({}))).to_string();
    let run = ended();
    assert!(run.contains("source.unreachable") && run.contains("certificate"), "{run}");
    renew("server.crt");
    let run = ended();
    assert!(run.contains("\"rows_inserted\":3"), "{run}");
    // What is none is not overlooked either.
    std::fs::write(&file, "none").unwrap();
    let run = ended();
    assert!(run.contains("source.authorities"), "{run}");
}

#[test]
fn certificates_are_verified() {
    let server = behind_tls();
    let project = Project::new();
    project.upload("fetches");
    set_secret(&project, "api_token", SECRET);
    register(&project, "out");
    project.run(&["node", "create", "fetches", "--table", "out", "--config", r#"{"path": "good"}"#]);
    let (own, other) = (certificate("server.crt"), certificate("other.crt"));
    let add = |host: &str, authorities: &[&str]| {
        let url = format!("https://{host}:{}/v1/", server.port);
        let rules = [
            "--network",
            "127.0.0.1/32",
            "--network",
            "::1/128",
            "--header",
            "authorization=Bearer {secret:api_token}",
            "--grant",
            "fetches",
            "--retries",
            "0",
            "--replace",
        ];
        project.run(&[&["source", "add", "api", "--url", &url][..], &rules, authorities].concat());
    };
    // The certificate is for `localhost`, and nobody but its file vouches for it.
    for (host, authorities) in [
        ("localhost", vec![]),
        ("localhost", vec!["--ca-file", other.to_str().unwrap()]),
        ("127.0.0.1", vec!["--ca-file", own.to_str().unwrap()]),
    ] {
        add(host, &authorities);
        let (exit, said) = project.fails(&["node", "run", "out"]);
        assert!(exit == 5 && said.starts_with("error[source.unreachable]"), "{host}: {said}");
        assert!(said.contains("certificate"), "{said}");
    }
    assert!(server.asked().is_empty(), "nothing was sent to whom it does not trust");
    add("localhost", &["--ca-file", own.to_str().unwrap()]);
    project.run(&["node", "run", "out"]);
    assert!(server.asked()[0].contains(&format!("authorization: Bearer {SECRET}")));
}
