//! Lists over catalogues of many tables, for those who may see all of them and for those who may see few.

use std::collections::BTreeSet;

use datanode_tests::{Project, Server, on_both_databases};
use serde_json::{Value, json};

use super::rights::token;

/// More than are looked at at a time, and then some.
const TABLES: usize = 4_500;
/// One of so many is in the namespace that a reader may see.
const OF_FEW: usize = 700;

fn identifier(number: usize) -> String {
    // In the order of their numbers.
    format!("t{}", 10_000 + number)
}

fn is_of_few(number: usize) -> bool {
    number % OF_FEW == 7
}

/// So many tables, straight into the catalogue: none of them is asked for its rows.
fn with_many_tables(project: &Project) {
    let contract = |labels: &str| {
        format!(
            "'{{\"identifier\":\"t' || (10000 + i) || '\",\"kind\":\"time_indexed\",\"namespace\":\"' || \
             CASE WHEN i % {OF_FEW} = 7 THEN 'few' ELSE 'many' END || '\",\"labels\":[\"' || {labels} || '\"],\
             \"index\":[\"time_index\"],\"columns\":[{{\"name\":\"time_index\",\"id\":1,\"type\":\"timestamp_tz\",\
             \"nullable\":false}}],\"last_field_id\":1}}'"
        )
    };
    let contract = contract("CASE WHEN i % 3 = 0 THEN 'third' ELSE 'other' END");
    project.execute(&format!(
        "INSERT INTO _tables (uid, identifier, physical_name, contract, epoch, created_at) \
         WITH RECURSIVE numbers (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {TABLES}) \
         SELECT 'uid-' || i, 't' || (10000 + i), 't' || (10000 + i), {contract}, 0, 0 FROM numbers"
    ));
}

/// All identifiers of a list, page by page.
fn paged(server: &Server, bearer: &str, query: &str, limit: usize) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/tables?limit={limit}{query}{cursor}");
        let page = server.request("GET", &path).header("authorization", bearer).send().success();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().map(|table| table["contract"]["identifier"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn identifiers(is_wanted: impl Fn(usize) -> bool) -> Vec<String> {
    (0..TABLES).filter(|number| is_wanted(*number)).map(identifier).collect()
}

fn a_reader_of_few_tables_finds_them_among_many(project: Project) {
    let admin = token(&project, "ada", Some("admin"), "read,manage");
    let bob = token(&project, "bob", None, "read");
    let server = Server::start(&project, &[]).with_token(&admin);
    with_many_tables(&project);
    server.post("/roles", &json!({"role": "viewer", "user": "bob", "namespace": "few"}));
    let (admin, bob) = (format!("Bearer {admin}"), format!("Bearer {bob}"));

    let few = identifiers(is_of_few);
    assert_eq!(paged(&server, &bob, "", 3), few);
    assert_eq!(paged(&server, &bob, "", few.len()), few, "a page that is just full is the last one");
    assert_eq!(paged(&server, &bob, "&namespace=many", 3), Vec::<String>::new());
    assert_eq!(paged(&server, &bob, "&label=third", 2), identifiers(|at| is_of_few(at) && at % 3 == 0));
    assert_eq!(paged(&server, &admin, "", 1_000), identifiers(|_| true));
    assert_eq!(paged(&server, &admin, "&namespace=few", 2), few);
    assert_eq!(
        paged(&server, &admin, "&namespace=few&label=other", 5),
        identifiers(|at| is_of_few(at) && at % 3 != 0)
    );

    // The same by the protocol of the existing client, which wants to know how many there are.
    let told = |bearer: &str, query: &str| -> Value {
        let path = format!("/orm/api/ts_manager/dynamic_table/?limit=2&offset=1{query}");
        server.request("GET", &path).header("authorization", bearer).send().success()
    };
    let names = |page: &Value| -> Vec<String> {
        let results = page["results"].as_array().unwrap().iter();
        results.map(|table| table["identifier"].as_str().unwrap().to_owned()).collect()
    };
    let page = told(&bob, "");
    assert_eq!((&page["count"], names(&page)), (&json!(few.len()), few[1..3].to_vec()));
    let page = told(&admin, "&labels__contains=third");
    let third = identifiers(|at| at % 3 == 0);
    assert_eq!((&page["count"], names(&page)), (&json!(third.len()), third[1..3].to_vec()));
}

/// Nodes of many tables come in the order of the tables, whoever asks; and what a reader may not see is not on its pages.
fn nodes_come_in_pages_for_readers_too(project: Project) {
    let admin = token(&project, "ada", Some("admin"), "read,manage");
    let bob = token(&project, "bob", None, "read");
    let server = Server::start(&project, &[]).with_token(&admin);
    with_many_tables(&project);
    server.post("/roles", &json!({"role": "viewer", "user": "bob", "namespace": "few"}));
    // Two nodes of each of some tables; the second hash comes first.
    project.execute(&format!(
        "INSERT INTO _nodes (uid, update_hash, component, config, hashed_document, hash_namespace, table_uid, created_at) \
         WITH RECURSIVE numbers (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {TABLES}) \
         SELECT 'node-' || i || '-' || h, 'c_' || (9 - h) || i, 'c', '{{}}', '{{}}', '', 'uid-' || i, 0 FROM numbers \
         CROSS JOIN (SELECT 1 AS h UNION ALL SELECT 2 AS h) AS hashes WHERE i % 7 = 0"
    ));
    let expected = |is_wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
        let tables = (0..TABLES).filter(|at| at % 7 == 0 && is_wanted(*at));
        tables.flat_map(|at| [format!("node-{at}-2"), format!("node-{at}-1")]).collect()
    };
    let paged = |bearer: &str, limit: usize| -> Vec<String> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/nodes?limit={limit}{cursor}");
            let page = server.request("GET", &path).header("authorization", bearer).send().success();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            found.extend(items.iter().map(|node| node["uid"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    let bearer = |token: &str| format!("Bearer {token}");
    assert_eq!(paged(&bearer(&admin), 301), expected(&|_| true));
    let few = expected(&is_of_few);
    assert!(few.len() > 2, "a reader sees some");
    assert_eq!(paged(&bearer(&bob), 1), few);
    let graph =
        server.request("GET", "/api/v1/graph").header("authorization", &bearer(&bob)).send().success();
    let seen: BTreeSet<&str> =
        graph["nodes"].as_array().unwrap().iter().map(|node| node["uid"].as_str().unwrap()).collect();
    assert_eq!(seen, few.iter().map(String::as_str).collect());
}

on_both_databases!(a_reader_of_few_tables_finds_them_among_many, nodes_come_in_pages_for_readers_too);
