//! What searches need of a database: changes that are counted, vectors that are kept; and that letters are compared as
//! `PostgreSQL` compares them.

use crate::support::{Place, at, contract, new_node, on_both_databases, runner, server, table};
use datanode_core::component::{ComponentClass, Manifest};
use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::digest::Digest;
use datanode_core::provenance::Provenance;
use datanode_core::search::trigram;
use datanode_store::{
    NewComponent, NewNode, SearchChanges, SearchEntry, SearchedTable, Store, StoredVector, TableWriter,
};
use proptest::prelude::*;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

fn component(name: &str, version: &str, bytes: &[u8]) -> NewComponent {
    NewComponent {
        manifest: Manifest {
            name: name.to_owned(),
            version: version.parse().unwrap(),
            description: format!("What {name} {version} means."),
            config_schema: serde_json::json!({ "type": "object" }),
            default_offset_start: None,
            sources: Vec::new(),
            index: Vec::new(),
            columns: Vec::new(),
        },
        imports: Vec::new(),
        class: ComponentClass::Pure,
        digest: Digest::of(bytes),
        bytes: bytes.to_vec(),
        uploaded_at: at(7),
        provenance: Provenance::default(),
    }
}

async fn changes(store: &dyn Store, since: i64) -> SearchChanges {
    let changes = store.search_changes(Some(since)).await.unwrap();
    assert!(!changes.all && changes.revision == store.search_revision().await.unwrap());
    changes
}

fn names(changes: &SearchChanges) -> Vec<&str> {
    changes.tables.iter().map(|table| table.table.contract.identifier.as_str()).collect()
}

async fn every_change_that_reaches_a_text_is_counted(place: Place) {
    let store = place.store.as_ref();
    let begin = store.search_revision().await.unwrap();
    let (a, b) = (table(store, &contract("a", &[])).await, table(store, &contract("b", &[])).await);
    let registered = changes(store, begin).await;
    assert_eq!(registered.tables.len(), 2);

    // The same again is no change, nor are rows.
    let reached = store.search_revision().await.unwrap();
    assert!(reached > begin);
    table(store, &contract("a", &[])).await;
    place.execute(&format!("UPDATE _tables SET epoch = epoch + 1 WHERE uid = '{}'", a.uid));
    assert_eq!(store.search_revision().await.unwrap(), reached);
    assert!(changes(store, reached).await.tables.is_empty());

    let edit = MetadataEdit { description: Some("Prices.".to_owned()), ..MetadataEdit::default() };
    store.edit_table("b", &edit).await.unwrap();
    let described = changes(store, reached).await;
    assert_eq!(names(&described), ["b"]);
    assert_eq!(described.tables[0].table.contract.description, "Prices.");

    let reached = described.revision;
    store.repoint("a", "b", Some("c")).await.unwrap();
    let mut moved = changes(store, reached).await;
    moved.tables.sort_by(|a, b| a.table.contract.identifier.cmp(&b.table.contract.identifier));
    assert_eq!(names(&moved), ["a", "c"]);
    assert_eq!((&moved.tables[0].table.uid, &moved.tables[1].table.uid), (&b.uid, &a.uid));

    // All of them, for whoever has read nothing, or has read another database.
    for since in [None, Some(moved.revision + 100)] {
        let all = store.search_changes(since).await.unwrap();
        assert!(all.all && all.tables.len() == 2 && all.revision == moved.revision);
    }
}

async fn who_writes_a_table_belongs_to_its_text(place: Place) {
    let store = place.store.as_ref();
    let written = table(store, &contract("written", &[])).await;
    table(store, &contract("other", &[])).await;
    let (one, two) = (component("fx", "1.0.0", b"one"), component("fx", "1.1.0", b"two"));
    store.add_component(one.clone()).await.unwrap();
    let begin = store.search_revision().await.unwrap();

    let node = NewNode { component: "fx".to_owned(), ..new_node(&written, "fx_1") };
    store.ensure_node(node.clone()).await.unwrap();
    let with_node = changes(store, begin).await;
    assert_eq!(names(&with_node), ["written"]);
    let writer = |of: &NewComponent, docs: Option<&str>| TableWriter {
        component: "fx".to_owned(),
        digest: of.digest,
        description: of.manifest.description.as_str().into(),
        docs: docs.map(Into::into),
    };
    let writers = |changes: &SearchChanges| changes.tables[0].writers.to_vec();
    assert_eq!(writers(&with_node), [writer(&one, None)], "nobody has looked yet");

    store.put_component_docs(&one.digest, "How it is made.").await.unwrap();
    let documented = changes(store, with_node.revision).await;
    assert_eq!(writers(&documented), [writer(&one, Some("How it is made."))]);
    store.put_component_docs(&one.digest, "How it is made.").await.unwrap();
    store.put_component_docs(&Digest::of(b"nobody"), "Nothing.").await.unwrap();
    assert_eq!(store.search_revision().await.unwrap(), documented.revision, "nothing has changed");

    // A new release would run from now on, until it is disabled or the node is pinned.
    store.add_component(two.clone()).await.unwrap();
    let newer = changes(store, documented.revision).await;
    assert_eq!((names(&newer), writers(&newer)), (vec!["written"], vec![writer(&two, None)]));
    store.enable_component("fx", Some(&two.manifest.version), false).await.unwrap();
    let disabled = changes(store, newer.revision).await;
    assert_eq!(writers(&disabled), [writer(&one, Some("How it is made."))]);
    store.enable_component("fx", Some(&two.manifest.version), true).await.unwrap();
    let pinned = NewNode { pinned_digest: Some(one.digest), ..node };
    let before = store.search_revision().await.unwrap();
    store.ensure_node(pinned).await.unwrap();
    assert_eq!(writers(&changes(store, before).await), [writer(&one, Some("How it is made."))]);

    // A component that goes takes its docs with it.
    let before = store.search_revision().await.unwrap();
    store.remove_component("fx", Some(&two.manifest.version), false).await.unwrap();
    assert_eq!(names(&changes(store, before).await), ["written"]);
}

async fn vectors_are_kept_for_each_model(place: Place) {
    let store = place.store.as_ref();
    let (a, b) = (table(store, &contract("a", &[])).await, table(store, &contract("b", &[])).await);
    let (small, large) = (Digest::of(b"small"), Digest::of(b"large"));
    let entry = |uid: &str, text: &str, vector: &[f32]| SearchEntry {
        table_uid: uid.to_owned(),
        text: text.to_owned(),
        text_digest: Digest::of(text.as_bytes()),
        vector: vector.to_vec(),
        computed_at: at(1),
    };
    let entries = [
        entry(&a.uid, "first", &[0.5, -1e-30]),
        entry(&b.uid, "second", &[f32::MAX, 0.0]),
        entry("gone", "third", &[1.0]),
    ];
    store.put_search_entries(&small, &entries).await.unwrap();
    store.put_search_entries(&small, &[]).await.unwrap();
    store.put_search_entries(&large, &entries[..1]).await.unwrap();
    store.put_search_entries(&small, &[entry(&a.uid, "anew", &[0.25, 0.5])]).await.unwrap();

    let stored = |uid: &str, text: &str, vector: &[f32]| StoredVector {
        table_uid: uid.to_owned(),
        text_digest: Digest::of(text.as_bytes()),
        vector: vector.to_vec(),
    };
    let mut found = store.search_vectors(&small, None).await.unwrap();
    found.sort_by_key(|found| found.text_digest.to_string());
    let mut expected = vec![stored(&a.uid, "anew", &[0.25, 0.5]), stored(&b.uid, "second", &[f32::MAX, 0.0])];
    expected.sort_by_key(|found| found.text_digest.to_string());
    assert_eq!(found, expected);
    let asked = [a.uid.clone(), "gone".to_owned()];
    assert_eq!(
        store.search_vectors(&large, Some(&asked)).await.unwrap(),
        [stored(&a.uid, "first", &[0.5, -1e-30])]
    );
    assert!(store.search_vectors(&Digest::of(b"none"), None).await.unwrap().is_empty());
    assert!(store.search_vectors(&small, Some(&[])).await.unwrap().is_empty());
}

async fn changes_at_once_are_all_counted(place: Place) {
    let begin = place.store.search_revision().await.unwrap();
    let second = place.database().open().await.unwrap();
    let register = |store: std::sync::Arc<dyn Store>, name: &'static str| async move {
        for number in 0..10 {
            table(store.as_ref(), &contract(&format!("{name}_{number}"), &[])).await;
        }
    };
    let read = async {
        // Read in small steps, as a host does that is asked again and again, and nothing is missed in between.
        let (mut reached, mut found) = (begin, std::collections::BTreeSet::new());
        while found.len() < 20 {
            let changes = place.store.search_changes(Some(reached)).await.unwrap();
            assert!(changes.revision >= reached);
            reached = changes.revision;
            let uids = changes.tables.iter().map(|table: &SearchedTable| table.table.uid.clone());
            found.extend(uids);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let all = async { tokio::join!(register(place.store.clone(), "one"), register(second, "two"), read) };
    tokio::time::timeout(std::time::Duration::from_mins(1), all).await.unwrap();
}

on_both_databases!(
    every_change_that_reaches_a_text_is_counted,
    who_writes_a_table_belongs_to_its_text,
    vectors_are_kept_for_each_model,
    changes_at_once_are_all_counted,
);

/// A database whose locale knows letters beyond ASCII, with `pg_trgm` in it; None where the server has none.
async fn with_trigrams() -> Option<(PgConnection, String)> {
    let name = format!("datanode_test_{}", uuid::Uuid::new_v4().simple());
    let mut outside = PgConnection::connect(&server("postgres")).await.unwrap();
    let create = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
    );
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut outside).await {
        eprintln!("not compared with the server's own function: it makes no database in C.UTF-8: {error}");
        return None;
    }
    let mut inside = PgConnection::connect(&server(&name)).await.unwrap();
    if let Err(error) = sqlx::raw_sql("CREATE EXTENSION pg_trgm").execute(&mut inside).await {
        eprintln!("not compared with the server's own function: it has no pg_trgm: {error}");
        gone(inside, &name).await;
        return None;
    }
    Some((inside, name))
}

async fn gone(inside: PgConnection, name: &str) {
    inside.close().await.unwrap();
    let mut outside = PgConnection::connect(&server("postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
        .execute(&mut outside)
        .await
        .unwrap();
}

/// Texts as people write them, in scripts whose letters have one lower case each, with much in common.
fn texts() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "(price|prices|rate|rates|ecb|daily|fx|euro|unemployment|gdp|2024|10y)",
        2 => "[a-zA-Z0-9]{1,8}",
        1 => "[äöüÄÖÜéÉñçøåß]{1,6}",
        1 => "[αβγδΑΒΓΔ]{1,5}",
        1 => "[абвгАБВГ]{1,5}",
        1 => "[価格為替]{1,4}",
    ];
    let between = prop_oneof![4 => Just(" "), 2 => Just("_"), 1 => Just("-"), 1 => Just(", "), 1 => Just(" € "), 1 => Just("'")];
    proptest::collection::vec((word, between), 0..8)
        .prop_map(|words| words.into_iter().map(|(word, between)| word + between).collect())
}

#[test]
fn letters_are_compared_as_by_pg_trgm() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some((inside, name)) = runtime.block_on(with_trigrams()) else { return };
    // The runner wants a function that changes nothing.
    let inside = tokio::sync::Mutex::new(inside);
    let compared = runner(500).run(&(texts(), texts()), |(a, b)| {
        let (similarity, of_words, length): (f32, f32, i32) = runtime.block_on(async {
            sqlx::query_as("SELECT similarity($1, $2), word_similarity($1, $2), cardinality(show_trgm($1))")
                .bind(&a)
                .bind(&b)
                .fetch_one(&mut *inside.lock().await)
                .await
                .unwrap()
        });
        prop_assert_eq!(trigram::similarity(&a, &b).to_bits(), similarity.to_bits(), "{} / {}", &a, &b);
        prop_assert_eq!(trigram::word_similarity(&a, &b).to_bits(), of_words.to_bits(), "{} / {}", &a, &b);
        prop_assert_eq!(trigram::Trigrams::of(&a).len(), usize::try_from(length).unwrap());
        Ok(())
    });
    // Long texts, where a stretch is looked for.
    let long = Contract::from_toml(
        "identifier = \"t\"\nindex = [\"time_index\"]\ncolumns = [{ name = \"time_index\", type = \"timestamp_tz\" }]\n",
    )
    .map(|contract| format!("{contract:?} {}", "Euro foreign exchange reference rates, daily. ".repeat(20)))
    .unwrap();
    for query in ["exchnage rate", "timestamp", "zzz", "Contract identifier t", "e"] {
        let found: f32 = runtime.block_on(async {
            sqlx::query_scalar("SELECT word_similarity($1, $2)")
                .bind(query)
                .bind(&long)
                .fetch_one(&mut *inside.lock().await)
                .await
                .unwrap()
        });
        assert_eq!(trigram::word_similarity(query, &long).to_bits(), found.to_bits(), "{query}");
    }
    runtime.block_on(gone(inside.into_inner(), &name));
    compared.unwrap();
}
