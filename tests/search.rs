//! The search as its users meet it: what is found and in which order, that names are never stale, and how fast.
//!
//! `tests/search/` has the evaluation: contracts of data sets that exist, and questions that people would ask, in two parts.
//! The figures that are demanded here are those of the part that nothing was chosen by.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::search::{Filters, Knobs, Matched, PageRequest};
use datanode_runtime::{ColumnSearch, Host, TableSearch, Visible};
use datanode_sandbox::{Limits, Sandbox};
use datanode_store::{PostgresStore, SqliteStore, Store};
use datanode_tests::{Project, ServerDatabase, component, on_both_databases, root};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the held-out part must reach.
const MRR: f64 = 0.90;

#[derive(Deserialize)]
struct Catalogue {
    tables: Vec<Contract>,
}

#[derive(Deserialize)]
struct Queries {
    tuning: Vec<Query>,
    held_out: Vec<Query>,
}

#[derive(Deserialize, Clone)]
struct Query {
    kind: String,
    #[serde(rename = "query")]
    text: String,
    tables: Vec<String>,
}

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    let text = std::fs::read_to_string(root().join("tests/search").join(file)).unwrap();
    toml::from_str(&text).unwrap()
}

/// The contracts, checked as those of files are.
fn contracts() -> Vec<Contract> {
    let catalogue: Catalogue = read("tables.toml");
    let checked =
        |contract: Contract| Contract::from_json(&serde_json::to_string(&contract).unwrap()).unwrap();
    catalogue.tables.into_iter().map(checked).collect()
}

/// A host over a database of its own.
struct Place {
    host: Host,
    /// What an embedded database is in, for as long as it is used.
    directory: TempDir,
    server: Option<ServerDatabase>,
}

fn host(store: Arc<dyn Store>) -> Host {
    Host::new(store, Sandbox::new(Limits::default()).unwrap())
}

impl Place {
    async fn sqlite() -> Self {
        let directory = TempDir::new().unwrap();
        let store = SqliteStore::open(&directory.path().join("data.sqlite")).await.unwrap();
        Self { host: host(Arc::new(store)), directory, server: None }
    }

    async fn postgres() -> Self {
        let server = tokio::task::spawn_blocking(ServerDatabase::new).await.unwrap();
        let store = PostgresStore::open(&server.url()).await.unwrap();
        Self { host: host(Arc::new(store)), directory: TempDir::new().unwrap(), server: Some(server) }
    }

    /// Another process over the same database.
    async fn another(&self) -> Host {
        if let Some(server) = &self.server {
            return host(Arc::new(PostgresStore::open(&server.url()).await.unwrap()));
        }
        let path = self.directory.path().join("data.sqlite");
        host(Arc::new(SqliteStore::open(&path).await.unwrap()))
    }

    async fn with_evaluation(self) -> Self {
        for contract in contracts() {
            self.host.register_table(&contract).await.unwrap();
        }
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A database of a server goes by a runtime of its own, for which this is no place.
        if let Some(server) = self.server.take() {
            std::thread::spawn(move || drop(server)).join().unwrap();
        }
    }
}

fn asked(query: &str, knobs: Knobs) -> TableSearch {
    TableSearch { query: query.to_owned(), knobs, ..TableSearch::default() }
}

async fn names(host: &Host, query: &str, knobs: &Knobs) -> Vec<String> {
    let page = host.search_tables(&asked(query, knobs.clone())).await.unwrap();
    page.items.into_iter().map(|hit| hit.table.identifier).collect()
}

async fn names_by_columns(host: &Host, query: &str) -> Vec<String> {
    let search = ColumnSearch { query: query.to_owned(), ..ColumnSearch::default() };
    let page = host.search_columns(&search).await.unwrap();
    page.items.into_iter().map(|hit| hit.table.identifier).collect()
}

/// One over the place of the first answer that is right; zero where there is none.
fn reciprocal(found: &[String], right: &[String]) -> f64 {
    let place = found.iter().position(|name| right.contains(name));
    #[allow(clippy::cast_precision_loss)] // a place on a page
    place.map_or(0.0, |place| 1.0 / (place as f64 + 1.0))
}

/// Mean reciprocal rank, and the queries that are not answered first.
async fn measure(host: &Host, queries: &[Query], knobs: &Knobs) -> (f64, Vec<String>) {
    let (mut sum, mut missed) = (0.0, Vec::new());
    for query in queries {
        let found = names(host, &query.text, knobs).await;
        let reciprocal = reciprocal(&found, &query.tables);
        sum += reciprocal;
        if reciprocal < 1.0 {
            let first: Vec<&String> = found.iter().take(3).collect();
            missed.push(format!("{:.2} {} {:?}: {first:?}", reciprocal, query.kind, query.text));
        }
    }
    #[allow(clippy::cast_precision_loss)] // some dozen queries
    (sum / queries.len() as f64, missed)
}

fn letters_alone() -> Knobs {
    Knobs { w_emb: 0.0, ..Knobs::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_table_comes_first() {
    let queries: Queries = read("queries.toml");
    assert!(contracts().len() >= 60 && queries.tuning.len() + queries.held_out.len() >= 120);
    let place = Place::sqlite().await.with_evaluation().await;
    for (part, queries) in [("tuning", &queries.tuning), ("held out", &queries.held_out)] {
        let meaning = Knobs { w_trgm: 0.0, w_emb: 1.0, ..Knobs::default() };
        let (blended, missed) = measure(&place.host, queries, &Knobs::default()).await;
        let (letters, _) = measure(&place.host, queries, &letters_alone()).await;
        let (meaning, _) = measure(&place.host, queries, &meaning).await;
        println!("{part}: letters {letters:.3}, meaning {meaning:.3}, blended {blended:.3}");
        // Only of the part that may be looked at.
        if part == "tuning" {
            println!("{}", missed.join("\n"));
        }
        assert!(blended >= MRR, "{part}: {blended:.3}");
        assert!(blended > letters, "{part}: {blended:.3} is not above letters alone, {letters:.3}");
        let of_columns: Vec<&Query> = queries.iter().filter(|query| query.kind == "column").collect();
        let mut sum = 0.0;
        for query in &of_columns {
            sum += reciprocal(&names_by_columns(&place.host, &query.text).await, &query.tables);
        }
        #[allow(clippy::cast_precision_loss)] // a dozen queries
        let mean = sum / of_columns.len() as f64;
        println!("{part}: questions of columns to the search of columns {mean:.3}");
        assert!(mean >= 0.85, "{part}: {mean:.3}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_give_the_same_order() {
    let queries: Queries = read("queries.toml");
    let embedded = Place::sqlite().await.with_evaluation().await;
    let server = Place::postgres().await.with_evaluation().await;
    let mut compared = 0;
    for query in queries.tuning.iter().chain(&queries.held_out) {
        let search = TableSearch {
            page: PageRequest { offset: 0, limit: 200 },
            ..asked(&query.text, Knobs::default())
        };
        let of = async |host: &Host| {
            let page = host.search_tables(&search).await.unwrap();
            let ranks =
                page.items.into_iter().map(|hit| (hit.table.identifier, hit.rank)).collect::<Vec<_>>();
            (page.count, ranks, names_by_columns(host, &query.text).await)
        };
        let (here, there) = (of(&embedded.host).await, of(&server.host).await);
        assert_eq!(here, there, "{}", query.text);
        // And from a process that has its vectors from the database.
        if compared == 0 {
            assert_eq!(of(&server.another().await).await, here);
        }
        compared += here.1.len();
    }
    assert!(compared > 5_000, "{compared}");
}

async fn names_are_never_stale(place: Place) {
    let prices = &contracts()[0];
    let first = &place.host;
    let second = place.another().await;
    let knobs = Knobs::default();
    assert!(names(first, "euro rates", &knobs).await.is_empty());
    first.register_table(prices).await.unwrap();
    for host in [first, &second] {
        assert_eq!(names(host, "euro rates", &knobs).await, std::slice::from_ref(&prices.identifier));
    }
    let edit = MetadataEdit {
        description: Some("Tide gauges of the North Sea.".to_owned()),
        add_labels: vec!["oceanography".to_owned()],
        ..MetadataEdit::default()
    };
    second.store().edit_table(&prices.identifier, &edit).await.unwrap();
    for host in [first, &second] {
        for query in ["tide gauges", "oceanography"] {
            let page = host.search_tables(&asked(query, letters_alone())).await.unwrap();
            assert_eq!(page.items[0].table.description, "Tide gauges of the North Sea.");
        }
    }
    second.store().repoint("tides", &prices.identifier, None).await.unwrap();
    assert_eq!(names(first, "tides", &knobs).await, ["tides"]);
    let page = first.search_tables(&asked("tides", knobs.clone())).await.unwrap();
    assert_eq!(page.items[0].rank.matched, Matched::Identifier);
    let state = first.refresh_search().await.unwrap();
    assert_eq!((state.tables, state.model.as_str(), state.dimension), (1, "wordllama-64", 64));
}

async fn what_cannot_be_asked_is_refused(place: Place) {
    use datanode_core::Diagnostic;
    let place = place.with_evaluation().await;
    let knobs = Knobs::default;
    let long = "x ".repeat(501);
    let cases = [
        (TableSearch { query: "  ".to_owned(), ..TableSearch::default() }, "search.query"),
        (asked(&long, knobs()), "search.query"),
        (asked("x", Knobs { trigram_k: 10_001, ..knobs() }), "search.knob"),
        (asked("x", Knobs { w_emb: -1.0, ..knobs() }), "search.knob"),
        (asked("x", Knobs { embedding_model: "gpt".to_owned(), ..knobs() }), "search.unknown_model"),
        (TableSearch { query_embedding: Some(vec![1.0]), ..asked("x", knobs()) }, "search.query_vector"),
        (
            TableSearch { query_embedding: Some(vec![f32::NAN; 64]), ..asked("x", knobs()) },
            "search.query_vector",
        ),
        (TableSearch { page: PageRequest { offset: 0, limit: 0 }, ..asked("x", knobs()) }, "search.knob"),
    ];
    for (search, code) in cases {
        let error = place.host.search_tables(&search).await.unwrap_err();
        assert_eq!((error.code(), error.class().exit_code()), (code, 2), "{error}");
        assert!(error.next_step().is_some());
    }
    // The model by its name, a vector of the caller's, filters, and what the caller may see.
    let by_name = Knobs { embedding_model: "wordllama-64".to_owned(), ..knobs() };
    assert_eq!(names(&place.host, "quakes", &by_name).await[0], "usgs_earthquakes");
    let given = TableSearch { query_embedding: Some(vec![0.125; 64]), ..asked("quakes", knobs()) };
    assert!(place.host.search_tables(&given).await.unwrap().count > 0);
    let filters = Filters::parse([("namespace__contains", "macro"), ("labels", "usa")]).unwrap();
    let narrowed = TableSearch { filters, ..asked("prices", knobs()) };
    let page = place.host.search_tables(&narrowed).await.unwrap();
    assert!(page.count > 0 && page.items.iter().all(|hit| hit.table.labels.contains(&"usa".to_owned())));
    let visible = Visible::only(|table| table.contract.identifier == "vix_index_daily");
    let hidden = TableSearch { visible: visible.clone(), ..asked("prices", knobs()) };
    assert!(place.host.search_tables(&hidden).await.unwrap().count <= 1);
    let hidden = ColumnSearch { query: "time index".to_owned(), visible, ..ColumnSearch::default() };
    assert_eq!(place.host.search_columns(&hidden).await.unwrap().count, 1);
}

mod on_one_and_the_other {
    use super::Place;

    #[tokio::test(flavor = "multi_thread")]
    async fn names_are_never_stale_on_sqlite() {
        super::names_are_never_stale(Place::sqlite().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn names_are_never_stale_on_postgres() {
        super::names_are_never_stale(Place::postgres().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_asked_is_refused_on_sqlite() {
        super::what_cannot_be_asked_is_refused(Place::sqlite().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_asked_is_refused_on_postgres() {
        super::what_cannot_be_asked_is_refused(Place::postgres().await).await;
    }
}

/// Ten thousand tables, whose contracts are put into the catalogue behind the host's back: their storage is no matter here.
async fn with_ten_thousand(place: &Place) {
    let kinds = contracts();
    let rows: Vec<(String, String, String)> = (0..10_000)
        .map(|number| {
            let kind = &kinds[number % kinds.len()];
            let identifier = format!("{}_{number}", kind.identifier);
            let description = format!("{} Copy {number} of region {}.", kind.description, number % 997);
            let contract = Contract { identifier: identifier.clone(), description, ..kind.clone() };
            let contract = contract.with_field_ids(None).unwrap();
            let uid = format!("00000000-0000-4000-8000-{number:012}");
            (uid, identifier, serde_json::to_string(&contract).unwrap())
        })
        .collect();
    match &place.server {
        None => {
            let mut raw = rusqlite::Connection::open(place.directory.path().join("data.sqlite")).unwrap();
            let transaction = raw.transaction().unwrap();
            for (uid, identifier, contract) in &rows {
                transaction
                    .execute(
                        "INSERT INTO _tables (uid, identifier, physical_name, contract, epoch, created_at) \
                         VALUES (?1, ?2, ?2, ?3, 0, 0)",
                        [uid, identifier, contract],
                    )
                    .unwrap();
            }
            transaction.commit().unwrap();
        }
        Some(server) => {
            let mut connection =
                <sqlx::PgConnection as sqlx::Connection>::connect(&server.url()).await.unwrap();
            let of = |part: fn(&(String, String, String)) -> &String| {
                rows.iter().map(part).cloned().collect::<Vec<_>>()
            };
            sqlx::query(
                "INSERT INTO datanode.tables (uid, identifier, physical_name, contract, epoch, created_at) \
                 SELECT uid, identifier, identifier, contract, 0, 0 FROM unnest($1::text[], $2::text[], $3::text[]) \
                 AS t (uid, identifier, contract)",
            )
            .bind(of(|row| &row.0))
            .bind(of(|row| &row.1))
            .bind(of(|row| &row.2))
            .execute(&mut connection)
            .await
            .unwrap();
        }
    }
}

async fn ten_thousand_tables(place: Place) {
    with_ten_thousand(&place).await;
    let begun = Instant::now();
    assert_eq!(place.host.refresh_search().await.unwrap().tables, 10_000);
    let first = begun.elapsed();
    let begun = Instant::now();
    assert_eq!(place.another().await.refresh_search().await.unwrap().tables, 10_000);
    let second = begun.elapsed();

    let queries: Queries = read("queries.toml");
    let queries: Vec<Query> = queries.tuning.into_iter().chain(queries.held_out).collect();
    let knobs = Knobs::default();
    // Other tests take the processor now and then: the best of three rounds is what the search takes.
    let (mut best, mut best_of_columns) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let (mut times, mut of_columns) = (Vec::new(), Vec::new());
        for query in &queries {
            let begun = Instant::now();
            assert!(!names(&place.host, &query.text, &knobs).await.is_empty(), "{}", query.text);
            times.push(begun.elapsed());
            let begun = Instant::now();
            names_by_columns(&place.host, &query.text).await;
            of_columns.push(begun.elapsed());
        }
        let p99 = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            times[times.len() * 99 / 100]
        };
        best = best.min(p99(&mut times));
        best_of_columns = best_of_columns.min(p99(&mut of_columns));
    }
    // A change of one table costs the work for one table.
    let edit = MetadataEdit { description: Some("A lighthouse.".to_owned()), ..MetadataEdit::default() };
    place.host.store().edit_table("vix_index_daily_13", &edit).await.unwrap();
    let begun = Instant::now();
    assert_eq!(names(&place.host, "lighthouse", &knobs).await[0], "vix_index_daily_13");
    let after_a_change = begun.elapsed();
    println!(
        "10,000 tables: read and embedded in {first:?}, by a second process {second:?}; p99 of tables {best:?}, \
         of columns {best_of_columns:?}; after a change {after_a_change:?}"
    );
    let most = Duration::from_millis(50);
    assert!(best <= most && best_of_columns <= most, "{best:?} {best_of_columns:?}");
    assert!(after_a_change <= Duration::from_secs(1), "{after_a_change:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_tables_are_searched_at_once() {
    ten_thousand_tables(Place::sqlite().await).await;
    ten_thousand_tables(Place::postgres().await).await;
}

/// Some tables and a component that writes one of them, in a project.
fn with_some(project: &Project) {
    let kept =
        ["us_cpi_monthly", "eurostat_hicp", "usgs_earthquakes", "us_equity_daily_bars", "vix_index_daily"];
    let mut files = Vec::new();
    for contract in contracts().into_iter().filter(|contract| kept.contains(&contract.identifier.as_str())) {
        let file = project.path().join(format!("{}.json", contract.identifier));
        std::fs::write(&file, serde_json::to_string(&contract).unwrap()).unwrap();
        files.push(file.to_str().unwrap().to_owned());
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    project.run(&[&["table", "register"], files.as_slice()].concat());
}

fn what_the_command_shows(project: Project) {
    with_some(&project);
    let mut transcript = String::new();
    for arguments in [
        &["search", "inflation in europe"][..],
        &["search", "vix_index_daily"],
        &["search", "us"],
        &["search", "highest price", "--mode", "column"],
        &["search", "earthquake magnitude", "--mode", "both", "--limit", "1"],
        &["search", "inflation", "--filter", "labels=usa"],
        &["search", "closing price", "--w-emb", "0", "--limit", "2"],
        &["search", "zzzz", "--mode", "column"],
        &["search", "zzzz", "--filter", "namespace=nowhere"],
        &["search", " "],
        &["search", "x", "--embedding-model", "gpt"],
        &["search", "x", "--filter", "colour=red"],
        &["search", "x", "--filter", "colour"],
        &["search", "x", "--w-trgm", "nan"],
        &["search", "x", "--q-embedding", "0.5,-0.5"],
        &["search", "x", "--embedding-model-dir", "nowhere"],
        &["table", "refresh-search-index", "vix_index_daily"],
        &["table", "refresh-search-index", "nowhere"],
    ] {
        let output = project.output(arguments);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        transcript += &format!("$ datanode {}\n{said}\n", arguments.join(" "));
    }
    insta::assert_snapshot!("what_the_command_shows", transcript);

    let page = project.json(&["search", "us", "--limit", "2", "--offset", "1"]);
    assert_eq!((page["offset"].as_u64(), page["items"].as_array().unwrap().len()), (Some(1), 2));
    let both = project.json(&["search", "high", "--mode", "both"]);
    assert_eq!(both["columns"]["items"][0]["columns"][0]["matched"], json!(["name"]));
    let hit = project.json(&["search", "VIX index"]);
    let hit = &hit["items"][0];
    assert_eq!((&hit["identifier"], &hit["matched"]), (&json!("vix_index_daily"), &json!("prefix")));
}

/// What a component documents belongs to the tables that it writes, from the moment at which it does.
fn documentation_is_found(project: Project) {
    project.upload("daily_readings");
    let contract = root().join("tests/guests/daily_readings/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    let letters = |query: &str| -> Vec<Value> {
        project.json(&["search", query, "--w-emb", "0"])["items"].as_array().unwrap().clone()
    };
    assert!(letters("broken barometer").is_empty());
    project.run(&["node", "create", "daily_readings", "--table", "daily_readings"]);
    assert_eq!(letters("broken barometer")[0]["identifier"], "daily_readings");
    let refreshed = project.json(&["table", "refresh-search-index", "daily_readings"]);
    assert_eq!((&refreshed["components"], &refreshed["documented"]), (&json!(["daily_readings"]), &json!(1)));
    assert_eq!((&refreshed["model"], &refreshed["dimension"]), (&json!("wordllama-64"), &json!(64)));

    // As if the component had been uploaded before hosts looked.
    project.execute("DELETE FROM _component_docs");
    assert_eq!(letters("broken barometer")[0]["identifier"], "daily_readings");
    assert_eq!(project.number("SELECT count(*) FROM _component_docs WHERE docs LIKE '%barometer%'"), 1);
}

on_both_databases!(what_the_command_shows, documentation_is_found);

#[test]
fn a_model_of_a_directory_takes_the_place_of_the_one_that_is_built_in() {
    let model = root().join("host/embedding/model");
    let project = Project::with_settings(&format!("[search]\nmodel = {:?}\n", model.to_str().unwrap()));
    with_some(&project);
    let refreshed = project.json(&["table", "refresh-search-index", "vix_index_daily"]);
    assert_eq!((&refreshed["model"], &refreshed["dimension"]), (&json!("model"), &json!(64)));
    let (exit, said) = project.fails(&["search", "x", "--embedding-model", "wordllama-64"]);
    assert!(exit == 2 && said.contains("there is `model`"), "{said}");

    let project = project.set("[search]\nmodel = \"nowhere\"\n");
    let (exit, said) = project.fails(&["search", "x"]);
    assert!(exit == 5 && said.contains("search.model_directory"), "{said}");
}

#[test]
fn what_a_stranger_has_stamped_is_shown_without_commands_to_the_terminal() {
    let project = Project::new();
    let mut bytes = std::fs::read(component("daily_series")).unwrap();
    // One more custom section at the end of the component.
    let content = [b"\x0ddatanode:docs".as_slice(), b"\x1b]0;owned\x07 sundial"].concat();
    bytes.push(0);
    bytes.push(u8::try_from(content.len()).unwrap());
    bytes.extend(content);
    let file = project.path().join("stamped.wasm");
    std::fs::write(&file, bytes).unwrap();
    project.run(&["component", "upload", file.to_str().unwrap()]);
    let kept = project.texts("SELECT docs FROM _component_docs");
    assert_eq!(kept, [" ]0;owned  sundial"]);
}
