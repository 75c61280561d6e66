//! Names that lead to other addresses from one question to the next: a resolver of the test in the place of the machine's.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use datanode_core::contract::Contract;
use datanode_core::run::{RunRecord, RunStatus};
use datanode_core::source::{BaseUrl, HttpRules, Network};
use datanode_runtime::{Host, NodeRequest, Resolver, RunOptions, SpillSettings, Upload};
use datanode_sandbox::{Limits, Sandbox};
use datanode_store::SqliteStore;
use datanode_tests::component;
use tokio::runtime::Runtime;

use super::server::Server;

/// Answers the next of its answers at each question, the last one for ever.
#[derive(Debug, Default)]
struct Scripted {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Resolver for Scripted {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.first().cloned().ok_or_else(|| io::Error::other("no such name"))?;
        if answers.len() > 1 {
            answers.remove(0);
        }
        Ok(answer)
    }
}

struct Place {
    runtime: Runtime,
    host: Host,
    resolver: Arc<Scripted>,
    server: Server,
    _directory: tempfile::TempDir,
}

impl Place {
    /// A host that knows no name but by this script, and a source of a name.
    fn new(networks: &[&str], answers: &[&[&str]]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let resolver = Arc::new(Scripted::default());
        let script = answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect());
        *resolver.answers.lock().unwrap() = script.collect();
        let server = Server::start();
        let host = runtime.block_on(async {
            let store = SqliteStore::open(&directory.path().join("host.sqlite")).await.unwrap();
            let sandbox = Sandbox::new(Limits::default()).unwrap();
            let spill = SpillSettings { directory: directory.path().join("spill"), after_bytes: 1 << 20 };
            let host = Host::new(Arc::new(store), sandbox)
                .with_spill(spill)
                .with_resolver(Arc::clone(&resolver) as Arc<dyn Resolver>);
            let bytes = std::fs::read(component("fetches")).unwrap();
            host.upload(Upload { label: "fetches".to_owned(), bytes, ..Upload::default() }).await.unwrap();
            host.register_table(&Contract::from_toml(&super::contract_for("out")).unwrap()).await.unwrap();
            let base = BaseUrl::parse(&format!("http://data.example:{}/v1/", server.port)).unwrap();
            let networks: Vec<Network> = networks.iter().map(|text| text.parse().unwrap()).collect();
            let rules = HttpRules { networks, ..HttpRules::new(base) };
            host.add_http_source("api", rules, false).await.unwrap();
            host.grant_source("api", "fetches").await.unwrap();
            host
        });
        Self { runtime, host, resolver, server, _directory: directory }
    }

    fn run(&self, path: &str) -> RunRecord {
        let request = NodeRequest {
            component: "fetches".to_owned(),
            pinned_digest: None,
            config: format!(r#"{{"path": "{path}"}}"#),
            table: "out".to_owned(),
            hash_namespace: String::new(),
        };
        let planned = self.runtime.block_on(self.host.plan(request)).unwrap();
        let tree = self.runtime.block_on(self.host.run_planned(&planned, &RunOptions::default())).unwrap();
        tree.runs.into_iter().next_back().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.resolver.asked.lock().unwrap().clone()
    }

    /// The run is refused with a word about this address, and nobody was asked.
    fn refuses(&self, address: &str) {
        let record = self.run("good");
        let error = record.error.unwrap();
        assert_eq!(record.status, RunStatus::Failed);
        assert!(
            error.message.contains("source.address") && error.message.contains(address),
            "{}",
            error.message
        );
        assert!(
            error.message.contains(&format!("datanode source allow api --network {address}/")),
            "{}",
            error.message
        );
        assert!(self.server.asked().is_empty());
    }
}

#[test]
fn a_name_that_leads_inside_is_refused() {
    for address in
        ["127.0.0.1", "10.0.0.7", "169.254.169.254", "100.64.0.1", "::1", "fd00:ec2::254", "::ffff:127.0.0.1"]
    {
        Place::new(&[], &[&[address]]).refuses(address);
    }
    // One among others.
    Place::new(&[], &[&["93.184.216.34", "192.168.0.1"]]).refuses("192.168.0.1");
    // Another network than the one that is allowed.
    Place::new(&["127.0.0.1/32"], &[&["127.0.0.2"]]).refuses("127.0.0.2");
}

#[test]
fn what_was_judged_is_what_is_connected_to() {
    // The second answer is another one: whoever asked again would be led inside.
    let place = Place::new(&["127.0.0.1/32"], &[&["127.0.0.1"], &["10.0.0.7"]]);
    // Three attempts, as the server is busy twice.
    let record = place.run("flaky");
    assert_eq!((record.status, record.rows_inserted), (RunStatus::Ok, 3), "{:?}", record.error);
    assert_eq!(place.asked(), ["data.example"]);
    assert_eq!(place.server.asked().len(), 3);
    assert!(place.server.asked()[0].contains(&format!("\r\nhost: data.example:{}\r\n", place.server.port)));
    // The next fetch asks anew, and is refused.
    place.server.forget();
    place.refuses("10.0.0.7");
    assert_eq!(place.asked().len(), 2);
}

#[test]
fn a_name_without_an_address_is_no_fact() {
    let place = Place::new(&[], &[]);
    let record = place.run("good");
    let error = record.error.unwrap();
    assert_eq!((error.code.as_str(), error.class.as_str()), ("source.unreachable", "infrastructure"));
    assert!(record.journal.is_none());
}
