//! Components, tables, sources, nodes and runs: what is kept, what is refused, and what references lead to.

use std::time::Duration;

use crate::support::{self, Place, at, contract, new_node, on_both_databases, run, table};
use datanode_core::component::{ComponentClass, Manifest, SourceDeclaration};
use datanode_core::contract::Contract;
use datanode_core::data_type::DataType;
use datanode_core::dependency::DependencyTarget;
use datanode_core::digest::Digest;
use datanode_core::provenance::Provenance;
use datanode_core::run::{RunRecord, RunStatus};
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{
    NewComponent, NewNode, Node, NodeDependency, RunFilter, SourceKind, SqliteStore, Store, StoreError,
    Table, node_among,
};

fn component(name: &str, version: &str, bytes: &[u8]) -> NewComponent {
    NewComponent {
        manifest: Manifest {
            name: name.to_owned(),
            version: version.parse().unwrap(),
            description: "What the data mean.".to_owned(),
            config_schema: serde_json::json!({ "type": "object", "properties": { "x": { "default": 0.1 } } }),
            default_offset_start: Some(at(5)),
            sources: vec![SourceDeclaration {
                name: "s".into(),
                description: "files".into(),
                required: true,
            }],
            index: vec!["time_index".into()],
            columns: Vec::new(),
        },
        imports: vec!["datanode:node/frames@0.1.0".to_owned(), "wasi:cli/stdout@0.2.0".to_owned()],
        class: ComponentClass::Stubbed,
        digest: Digest::of(bytes),
        bytes: bytes.to_vec(),
        uploaded_at: at(7),
        provenance: Provenance::default(),
    }
}

async fn components_are_kept_with_their_bytes(place: Place) {
    let given = component("fx", "1.0.0", b"\0asm one");
    let first = place.store.add_component(given.clone()).await.unwrap();
    assert!(first.created);
    assert_eq!((first.value.size, first.value.enabled, first.value.uploaded_at), (8, true, at(7)));
    assert_eq!(first.value.manifest, given.manifest);
    assert_eq!(first.value.imports, given.imports);
    let again =
        place.store.add_component(NewComponent { uploaded_at: at(8), ..given.clone() }).await.unwrap();
    assert_eq!((again.created, &again.value), (false, &first.value));

    let error = place.store.add_component(component("fx", "1.0.0", b"two")).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("component.version_taken", ErrorClass::Refused));
    assert!(error.to_string().contains(&given.digest.to_string()), "{error}");
    // Bytes that are not what the caller says of them.
    let lie = NewComponent { digest: Digest::of(b"else"), ..component("fx", "1.0.1", b"two") };
    assert!(matches!(place.store.add_component(lie).await, Err(StoreError::Damaged(_))));
    // The same bytes under another name cannot be.
    let renamed = component("gx", "1.0.0", b"\0asm one");
    assert!(matches!(place.store.add_component(renamed).await, Err(StoreError::Damaged(_))));

    assert_eq!(place.store.component_by_digest(&given.digest).await.unwrap(), first.value);
    assert_eq!(place.store.component_bytes(&given.digest).await.unwrap(), given.bytes);
    let missing = Digest::of(b"nowhere");
    for error in [
        place.store.component_by_digest(&missing).await.unwrap_err(),
        place.store.component_bytes(&missing).await.unwrap_err(),
        place.store.component("nowhere", None).await.unwrap_err(),
        place.store.component("fx", Some(&"9.0.0".parse().unwrap())).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "store.component_not_found");
    }
}

async fn the_highest_enabled_release_is_chosen_by_precedence_not_by_text(place: Place) {
    for version in ["1.9.0", "1.10.0", "2.0.0-rc.1", "0.1.0"] {
        place.store.add_component(component("fx", version, version.as_bytes())).await.unwrap();
    }
    place.store.add_component(component("ab", "3.0.0", b"ab")).await.unwrap();
    let listed = place.store.components().await.unwrap();
    let listed: Vec<_> =
        listed.iter().map(|c| format!("{} {}", c.manifest.name, c.manifest.version)).collect();
    assert_eq!(listed, ["ab 3.0.0", "fx 0.1.0", "fx 1.9.0", "fx 1.10.0", "fx 2.0.0-rc.1"]);
    let chosen = async || place.store.component("fx", None).await.map(|c| c.manifest.version.to_string());
    assert_eq!(chosen().await.unwrap(), "2.0.0-rc.1");
    let disable = async |version: &str| {
        let version = version.parse().unwrap();
        assert!(!place.store.enable_component("fx", Some(&version), false).await.unwrap().enabled);
    };
    disable("2.0.0-rc.1").await;
    assert_eq!(chosen().await.unwrap(), "1.10.0");
    // Asked for by version, a disabled release is shown, as disabled.
    let named = place.store.component("fx", Some(&"2.0.0-rc.1".parse().unwrap())).await.unwrap();
    assert!(!named.enabled);
    for version in ["1.9.0", "1.10.0", "0.1.0"] {
        disable(version).await;
    }
    let error = chosen().await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("component.disabled", ErrorClass::Refused));
    assert_eq!(
        error.next_step().unwrap(),
        "upload a higher version, or: datanode component enable fx@2.0.0-rc.1"
    );
}

async fn a_release_is_removed_when_nothing_needs_it(place: Place) {
    let output = table(&*place.store, &contract("prices", &[])).await;
    let version = |text: &str| text.parse::<semver::Version>().unwrap();
    for release in ["1.0.0", "2.0.0"] {
        place.store.add_component(component("fx", release, release.as_bytes())).await.unwrap();
    }
    let node = NewNode { component: "fx".to_owned(), ..new_node(&output, "fx_1") };
    let node = place.store.ensure_node(node).await.unwrap().value;
    let remove = async |release: Option<&str>, recorded: bool| {
        place.store.remove_component("fx", release.map(version).as_ref(), recorded).await
    };

    let error = remove(None, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Ambiguous { .. }), "{error}");
    assert!(error.to_string().ends_with("fx@1.0.0, fx@2.0.0"), "{error}");
    // The release that the node runs, and what follows from disabling it.
    let error = remove(Some("2.0.0"), true).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("component.in_use", ErrorClass::Refused));
    assert!(error.to_string().contains(&node.update_hash), "{error}");
    let disabled = place.store.enable_component("fx", Some(&version("2.0.0")), false).await.unwrap();
    assert!(!disabled.enabled);
    assert_eq!(remove(Some("1.0.0"), true).await.unwrap_err().code(), "component.in_use");
    assert_eq!(remove(Some("2.0.0"), false).await.unwrap(), disabled);
    assert_eq!(remove(Some("2.0.0"), false).await.unwrap_err().code(), "store.component_not_found");
    assert_eq!(
        place.store.component_bytes(&disabled.digest).await.unwrap_err().code(),
        "store.component_not_found"
    );

    // Disabled too, it is the last that the node could run.
    let one = place.store.enable_component("fx", None, false).await.unwrap();
    let error = remove(None, true).await.unwrap_err();
    assert_eq!(error.code(), "component.in_use");
    assert!(error.next_step().unwrap().starts_with("upload another version first"), "{error}");

    // One that computed a run: its record can be shown without it, but asks to be given up.
    place.store.add_component(component("fx", "3.0.0", b"three")).await.unwrap();
    let record = RunRecord { component_digest: one.digest, status: RunStatus::Failed, ..run(&node, "a-run") };
    place.store.record_run(&record, None).await.unwrap();
    let error = remove(Some("1.0.0"), false).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("component.recorded", ErrorClass::Refused));
    assert_eq!(remove(Some("1.0.0"), true).await.unwrap(), one);
    assert_eq!(place.store.run("a-run").await.unwrap(), record);
    // A pinned release, whatever else there is.
    let three = place.store.component("fx", None).await.unwrap();
    let pinned = NewNode {
        component: "fx".to_owned(),
        pinned_digest: Some(three.digest),
        ..new_node(&output, "fx_1")
    };
    place.store.ensure_node(pinned).await.unwrap();
    place.store.add_component(component("fx", "4.0.0", b"four")).await.unwrap();
    let error = remove(Some("3.0.0"), true).await.unwrap_err();
    assert!(error.to_string().ends_with(", pinned"), "{error}");
}

async fn damaged_bytes_are_noticed(place: Place) {
    let given = component("fx", "1.0.0", b"good");
    place.store.add_component(given.clone()).await.unwrap();
    let evil = if place.is_on_server() { "'evil'::bytea" } else { "CAST('evil' AS BLOB)" };
    place.execute(&format!("UPDATE _component_bytes SET bytes = {evil}"));
    let error = place.store.component_bytes(&given.digest).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    place.execute("UPDATE _components SET manifest = '{'");
    let error = place.store.components().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged(text) if text.contains(&given.digest.to_string())),
        "{error}"
    );
}

async fn tables_are_registered_once(place: Place) {
    let given = contract("prices", &[("order", DataType::String)]);
    let first = place.store.register_table(&given, at(3)).await.unwrap();
    assert!(first.created);
    let kept = given.clone().with_field_ids(None).unwrap();
    assert_eq!((&first.value.contract, first.value.epoch, first.value.created_at), (&kept, 0, at(3)));
    let again = place.store.register_table(&given, at(4)).await.unwrap();
    assert_eq!((again.created, &again.value), (false, &first.value));
    let written_out = Contract { physical_name: Some("prices".to_owned()), ..given.clone() };
    assert!(!place.store.register_table(&written_out, at(4)).await.unwrap().created);

    let mut other = contract("prices", &[("order", DataType::Int64)]);
    other.description = String::from("Other prices.");
    let error = place.store.register_table(&other, at(5)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the identifier `prices` is held by table {} (registered 1970-01-01T00:00:00.000003Z, \
             in no namespace) with another contract:\n  metadata  description: none in the \
             catalogue, \"Other prices.\" here\n  breaking  column `order`, type: string in the catalogue, int64 here",
            first.value.uid
        )
    );
    assert_eq!(place.store.table("prices").await.unwrap(), first.value, "a refusal applies nothing");
    let same_place = Contract { identifier: "prices_2".to_owned(), ..written_out };
    let error = place.store.register_table(&same_place, at(5)).await.unwrap_err();
    assert_eq!(error.to_string(), "the physical name `prices` is used by table `prices`");

    let second = table(&*place.store, &contract("a_table", &[])).await;
    let listed = place.store.tables().await.unwrap();
    assert_eq!(listed, [second.clone(), first.value.clone()]);
    assert_eq!(place.store.table("prices").await.unwrap(), first.value);
    assert_eq!(place.store.table(&second.uid).await.unwrap(), second);
    assert_eq!(place.store.table("nowhere").await.unwrap_err().code(), "store.table_not_found");
}

async fn metadata_is_applied_at_once_and_changes_nothing_else(place: Place) {
    let held = contract("prices", &[("order", DataType::String)]);
    let first = place.store.register_table(&held, at(3)).await.unwrap().value;
    let mut given = held.clone();
    given.description = String::from("Closing prices.");
    given.labels = vec!["equities".to_owned()];
    given.cadence = Some("1d".parse().unwrap());
    given.columns[1].description = String::from("Place in the book.");
    given.columns[1].label = String::from("Order");
    let answer = place.store.register_table(&given, at(9)).await.unwrap();
    assert!(!answer.created);
    assert_eq!(answer.changes.len(), 5, "{:?}", answer.changes);
    let now = place.store.table("prices").await.unwrap();
    assert_eq!(now, answer.value);
    let kept = given.clone().with_field_ids(None).unwrap();
    assert_eq!(now, Table { contract: kept, ..first }, "uid, epoch and age stay");
    assert_eq!(place.store.register_table(&given, at(10)).await.unwrap().changes, []);
}

#[tokio::test]
async fn a_table_that_sqlite_cannot_keep_leaves_nothing() {
    let place = Place::sqlite().await;
    let mut wide = contract("wide", &[]);
    wide.columns[1].data_type = "decimal(19,0)".parse().unwrap();
    let error = place.store.register_table(&wide, at(0)).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("contract.unsupported_type", ErrorClass::Refused));
    let reserved = Contract { physical_name: Some("sqlite_sequence".to_owned()), ..contract("r", &[]) };
    let error = place.store.register_table(&reserved, at(0)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `r`: the physical name `sqlite_sequence` cannot be used, SQLite keeps `sqlite_` for itself"
    );
    assert_eq!((error.code(), error.class()), ("contract.physical_name_reserved", ErrorClass::Refused));
    assert_eq!(place.store.tables().await.unwrap(), []);
    assert_eq!(
        place.number(
            "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE '\\_%' ESCAPE '\\' AND type = 'table'"
        ),
        0
    );
}

async fn a_table_of_a_thousand_columns_holds_rows(place: Place) {
    let mut wide = contract("wide", &[]);
    let template = wide.columns[1].clone();
    wide.columns.extend((2..1_000).map(|at| {
        let mut column = template.clone();
        column.name = format!("c{at}");
        column
    }));
    let table = table(&*place.store, &wide).await;
    let arrays: Vec<arrow_array::ArrayRef> = std::iter::once(std::sync::Arc::new(
        arrow_array::TimestampMicrosecondArray::from_iter_values(0..70).with_timezone("UTC"),
    ) as _)
    .chain((1..1_000).map(|at| std::sync::Arc::new(arrow_array::Int64Array::from(vec![at; 70])) as _))
    .collect();
    let batch = arrow_array::RecordBatch::try_new(wide.arrow_schema(), arrays).unwrap();
    let node = support::node(&*place.store, &table).await;
    let keys: Vec<_> = (0..70).map(|time| (time, datanode_core::coordinate::Coordinate::default())).collect();
    let commit = support::commit(
        &*place.store,
        &table,
        run(&node, "wide"),
        vec![batch.clone()],
        support::progress(&keys),
    )
    .await;
    place.store.commit_run(commit).await.unwrap();
    let mut snapshot = place.store.snapshot().await.unwrap();
    let pages = support::pages(&mut snapshot, &table, &datanode_core::query::ReadQuery::default(), 100).await;
    assert_eq!(pages, [batch]);
}

async fn sources_and_grants(place: Place) {
    let kind = |path: &str| SourceKind::File { path: path.into() };
    let first = place.store.add_source("ecb", kind("/data/ecb"), at(1)).await.unwrap();
    assert!(first.created);
    let again = place.store.add_source("ecb", kind("/data/ecb"), at(2)).await.unwrap();
    assert_eq!((again.created, again.value.created_at), (false, at(1)));
    let error = place.store.add_source("ecb", kind("/data/other"), at(2)).await.unwrap_err();
    assert_eq!(error.to_string(), "source `ecb` exists and leads to the directory /data/ecb");

    place.store.add_source("boe", kind("/data/boe"), at(1)).await.unwrap();
    for component in ["fx", "bonds", "fx"] {
        place.store.grant_source("ecb", component, at(3)).await.unwrap();
    }
    assert_eq!(place.store.source("ecb").await.unwrap().granted_to, ["bonds", "fx"]);
    place.store.revoke_source("ecb", "bonds").await.unwrap();
    let listed = place.store.sources().await.unwrap();
    let listed: Vec<_> =
        listed.iter().map(|source| (source.name.as_str(), source.granted_to.clone())).collect();
    assert_eq!(listed, [("boe", vec![]), ("ecb", vec!["fx".to_owned()])]);

    let refused = [
        (place.store.revoke_source("ecb", "bonds").await.unwrap_err(), "there is no grant `ecb to bonds`"),
        (place.store.revoke_source("nowhere", "fx").await.unwrap_err(), "there is no source `nowhere`"),
        (place.store.grant_source("nowhere", "fx", at(3)).await.unwrap_err(), "there is no source `nowhere`"),
        (place.store.source("nowhere").await.unwrap_err(), "there is no source `nowhere`"),
    ];
    for (error, text) in refused {
        assert_eq!(error.to_string(), text);
    }
}

async fn nodes_are_found_or_created(place: Place) {
    let prices = table(&*place.store, &contract("prices", &[])).await;
    let returns = table(&*place.store, &contract("returns", &[])).await;
    let pinned = place.store.add_component(component("fx", "1.0.0", b"x")).await.unwrap().value.digest;
    let source = place.store.ensure_node(new_node(&prices, "fx_01")).await.unwrap();
    assert!(source.created);
    let given = NewNode {
        pinned_digest: Some(pinned),
        config: serde_json::json!({ "window": 0.1, "table": "prices" }),
        hashed_document: "{\"component\":\"fx\"}".to_owned(),
        hash_namespace: "trial".to_owned(),
        dependencies: vec![
            NodeDependency {
                key: "prices".to_owned(),
                table_uid: prices.uid.clone(),
                node_uid: Some(source.value.uid.clone()),
                declared: DependencyTarget::Node {
                    component: "fx".to_owned(),
                    config: "{}".to_owned(),
                    table: "prices".to_owned(),
                },
            },
            NodeDependency {
                key: "calendar".to_owned(),
                table_uid: prices.uid.clone(),
                node_uid: None,
                declared: DependencyTarget::Table("prices".to_owned()),
            },
        ],
        ..new_node(&returns, "fx_02")
    };
    let made = place.store.ensure_node(given.clone()).await.unwrap();
    assert!(made.created);
    let expected = Node {
        uid: made.value.uid.clone(),
        update_hash: given.update_hash.clone(),
        component: given.component.clone(),
        pinned_digest: given.pinned_digest,
        config: given.config.clone(),
        hashed_document: given.hashed_document.clone(),
        hash_namespace: given.hash_namespace.clone(),
        table_uid: returns.uid.clone(),
        table: "returns".to_owned(),
        dependencies: given.dependencies.clone(),
        settings: datanode_core::node_settings::NodeSettings::default(),
        created_at: given.created_at,
    };
    assert_eq!(made.value, expected);
    assert_eq!(place.store.node("returns").await.unwrap(), expected);
    let again = place.store.ensure_node(NewNode { created_at: at(9), ..given.clone() }).await.unwrap();
    assert_eq!((again.created, again.value), (false, expected.clone()));
    assert_eq!(place.store.nodes().await.unwrap(), [source.value, expected]);

    let dependency = &given.dependencies[0];
    let nowhere = || "nowhere".to_owned();
    let broken = [
        (NewNode { table_uid: nowhere(), ..given.clone() }, "there is no table `nowhere`"),
        (
            NewNode {
                dependencies: vec![NodeDependency { table_uid: nowhere(), ..dependency.clone() }],
                update_hash: "fx_03".to_owned(),
                ..given.clone()
            },
            "there is no table `nowhere`",
        ),
        (
            NewNode {
                dependencies: vec![NodeDependency { node_uid: Some(nowhere()), ..dependency.clone() }],
                update_hash: "fx_03".to_owned(),
                ..given.clone()
            },
            "there is no node `nowhere`",
        ),
        (
            NewNode { pinned_digest: Some(Digest::of(b"")), update_hash: "fx_03".to_owned(), ..given },
            "there is no component `e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`",
        ),
    ];
    for (node, text) in broken {
        assert_eq!(place.store.ensure_node(node).await.unwrap_err().to_string(), text);
    }
    assert_eq!(place.store.nodes().await.unwrap().len(), 2);
}

async fn references_lead_to_one_node_or_say_what_else_they_mean(place: Place) {
    let mut tables = Vec::new();
    for identifier in ["fx_rates", "returns", "shared", "lonely"] {
        tables.push(table(&*place.store, &contract(identifier, &[])).await);
    }
    let node = async |table: usize, hash: &str| {
        place.store.ensure_node(new_node(&tables[table], hash)).await.unwrap().value
    };
    let rates = node(0, "fx_rates_aaaa1").await;
    let returns = node(1, "fx_rates_aaab2").await;
    let one = node(2, "other_01").await;
    let two = node(2, "other_02").await;
    let twin = node(1, "other_02").await;
    let all = place.store.nodes().await.unwrap();
    let found = async |reference: &str| {
        let found = place.store.node(reference).await;
        // Among those that somebody may see, the same rules lead to the same.
        assert_eq!(format!("{:?}", node_among(reference, &all)), format!("{found:?}"));
        found
    };

    assert_eq!(found(&one.uid).await.unwrap(), one);
    assert_eq!(found("other_01").await.unwrap(), one);
    assert_eq!(found("fx_rates_aaab").await.unwrap(), returns);
    // The name of a table, in full, although two hashes begin with it.
    assert_eq!(found("fx_rates").await.unwrap(), rates);

    let candidates = async |reference: &str| match found(reference).await {
        Err(StoreError::Ambiguous { kind: "node", candidates, .. }) => candidates,
        other => panic!("{other:?}"),
    };
    assert_eq!(candidates("fx_rates_").await, [rates.update_hash, returns.update_hash.clone()]);
    // A hash that two nodes share names neither.
    assert_eq!(candidates("shared").await, ["other_01".to_owned(), two.uid.clone()]);
    assert_eq!(candidates("other_02").await, [twin.uid.clone(), two.uid.clone()]);
    assert_eq!(candidates("other_0").await, ["other_01".to_owned(), twin.uid, two.uid]);
    // One who sees a part of them: what is not theirs neither answers nor makes anything ambiguous.
    let theirs: Vec<Node> = all.iter().filter(|node| node.table_uid != tables[0].uid).cloned().collect();
    assert_eq!(node_among("fx_rates", &theirs).unwrap(), returns);
    assert_eq!(node_among("fx_rates_aaaa", &theirs).unwrap_err().code(), "store.node_not_found");
    for reference in ["nowhere", "lonely", "fx_", "fx%", "fx_r*", "", "fx_rates_aaab2x"] {
        let error = found(reference).await.unwrap_err();
        assert_eq!(error.to_string(), format!("there is no node `{reference}`"));
    }
}

/// Who isolates a node in a hash namespace takes its table's name from nobody.
async fn a_table_names_its_one_node_without_a_namespace(place: Place) {
    let prices = table(&*place.store, &contract("prices", &[])).await;
    let node = async |hash: &str, namespace: &str| {
        let new = NewNode { hash_namespace: namespace.to_owned(), ..new_node(&prices, hash) };
        place.store.ensure_node(new).await.unwrap().value
    };
    let isolated = node("c_01", "mine").await;
    assert_eq!(place.store.node("prices").await.unwrap(), isolated, "it alone writes the table");
    let plain = node("c_02", "").await;
    assert_eq!(place.store.node("prices").await.unwrap(), plain);
    node("c_03", "ci").await;
    assert_eq!(place.store.node("prices").await.unwrap(), plain);
    assert_eq!(place.store.node("c_01").await.unwrap(), isolated);
    let other = node("c_04", "").await;
    match place.store.node("prices").await {
        Err(StoreError::Ambiguous { candidates, .. }) => {
            assert_eq!(candidates, [plain.update_hash, other.update_hash]);
        }
        other => panic!("{other:?}"),
    }
}

async fn runs_are_listed_newest_first_and_found_by_prefix(place: Place) {
    let prices = table(&*place.store, &contract("prices", &[])).await;
    let returns = table(&*place.store, &contract("returns", &[])).await;
    let a = place.store.ensure_node(new_node(&prices, "c_01")).await.unwrap().value;
    let b = place.store.ensure_node(new_node(&returns, "c_02")).await.unwrap().value;
    let at_time = |node: &Node, run_id: &str, time: i64, status: RunStatus| RunRecord {
        started_at: at(time),
        status,
        ..run(node, run_id)
    };
    let records = [
        at_time(&a, "0190aaaa-1", 1, RunStatus::Failed),
        at_time(&b, "0190aaaa-2", 2, RunStatus::Skipped),
        at_time(&a, "0190bbbb-1", 3, RunStatus::Blocked),
        at_time(&a, "0190cccc-1", 3, RunStatus::Failed),
    ];
    for record in &records {
        place.store.record_run(record, None).await.unwrap();
    }
    // The first outcome of a run stands.
    place
        .store
        .record_run(&RunRecord { status: RunStatus::Skipped, ..records[0].clone() }, None)
        .await
        .unwrap();

    let listed = async |filter: RunFilter| {
        place.store.runs(&filter).await.unwrap().into_iter().map(|run| run.run_id).collect::<Vec<_>>()
    };
    let all = RunFilter::default;
    assert_eq!(listed(all()).await, ["0190cccc-1", "0190bbbb-1", "0190aaaa-2", "0190aaaa-1"]);
    assert_eq!(listed(RunFilter { limit: Some(2), ..all() }).await, ["0190cccc-1", "0190bbbb-1"]);
    let before = |id: &str| RunFilter { before: Some(id.to_owned()), ..all() };
    assert_eq!(listed(before("0190cccc-1")).await, listed(all()).await[1..]);
    assert_eq!(listed(before("no such run")).await, Vec::<String>::new());
    assert_eq!(listed(RunFilter { node_uid: Some(b.uid.clone()), ..all() }).await, ["0190aaaa-2"]);
    let failed = RunFilter { table_uid: Some(prices.uid.clone()), status: Some(RunStatus::Failed), ..all() };
    assert_eq!(listed(failed).await, ["0190cccc-1", "0190aaaa-1"]);
    // A page of those that somebody may read is full, however many others lie between.
    let readable = |tables: &[&Table]| {
        let uids = tables.iter().map(|table| table.uid.clone()).chain(["no table".to_owned()]);
        RunFilter { readable: Some(uids.collect()), limit: Some(2), ..all() }
    };
    assert_eq!(listed(readable(&[&prices])).await, ["0190cccc-1", "0190bbbb-1"]);
    let second = RunFilter { before: Some("0190bbbb-1".to_owned()), ..readable(&[&prices]) };
    assert_eq!(listed(second).await, ["0190aaaa-1"]);
    assert_eq!(listed(readable(&[&returns])).await, ["0190aaaa-2"]);
    assert_eq!(listed(readable(&[])).await, Vec::<String>::new());
    assert_eq!(listed(RunFilter { status: Some(RunStatus::Ok), ..all() }).await, Vec::<String>::new());

    assert_eq!(place.store.run("0190aaaa-1").await.unwrap(), records[0]);
    assert_eq!(place.store.run("0190b").await.unwrap(), records[2]);
    let error = place.store.run("0190aaaa").await.unwrap_err();
    assert_eq!(error.to_string(), "`0190aaaa` means several runs: 0190aaaa-1, 0190aaaa-2");
    for reference in ["019", "0190d", "0190_", ""] {
        assert_eq!(place.store.run(reference).await.unwrap_err().code(), "store.run_not_found");
    }
}

async fn what_was_written_is_there_after_reopening(place: Place) {
    let table = table(&*place.store, &contract("prices", &[])).await;
    // A second opening while the first is open, then one after both are gone.
    let second = place.database().open().await.unwrap();
    assert_eq!(second.tables().await.unwrap(), std::slice::from_ref(&table));
    drop(second);
    assert_eq!(place.store.tables().await.unwrap(), std::slice::from_ref(&table));
    let database = place.database();
    drop(place);
    assert_eq!(database.open().await.unwrap().tables().await.unwrap(), [table]);
}

async fn a_database_of_a_newer_host_is_refused(place: Place) {
    let (migrations, nothing) = if place.is_on_server() {
        ("datanode.migrations", "''::bytea")
    } else {
        ("_sqlx_migrations", "x'00'")
    };
    place.execute(&format!(
        "INSERT INTO {migrations} VALUES (9999, 'later', CURRENT_TIMESTAMP, true, {nothing}, 0)"
    ));
    let error = place.database().open().await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("store.migration", ErrorClass::Infrastructure));
}

/// Of the embedded database alone: readers and a writer do not wait for each other.
#[tokio::test]
async fn a_file_keeps_its_log_beside_it() {
    let place = Place::sqlite().await;
    let mode: String = place.raw().query_row("PRAGMA journal_mode", (), |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn closing_leaves_one_file() {
    let directory = tempfile::tempdir().unwrap();
    // Characters that mean something in a URI.
    let path = directory.path().join("my data?mode=memory#1%20.sqlite");
    let store = SqliteStore::open(&path).await.unwrap();
    table(&store, &contract("prices", &[])).await;
    store.close().await.unwrap();
    let files: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["my data?mode=memory#1%20.sqlite"]);
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.tables().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = async |name: &str| SqliteStore::open(&directory.path().join(name)).await.unwrap_err();
    let error = open("missing/data.sqlite").await;
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(error.to_string().contains("missing/data.sqlite"), "{error}");
    assert!(error.next_step().is_some());

    std::fs::write(directory.path().join("text"), "not a database, but long enough to look at".repeat(100))
        .unwrap();
    let error = open("text").await;
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
}

/// Of all processes of a database, and by its clock.
async fn turns_of_a_source_are_taken_one_after_the_other(place: Place) {
    let (one, other) = (&place.store, place.database().open().await.unwrap());
    let (hour, none) = (Duration::from_hours(1), Duration::ZERO);
    assert_eq!(one.take_source_turn("a", hour, none).await.unwrap(), Some(none));
    assert_eq!(other.take_source_turn("a", hour, hour / 2).await.unwrap(), None, "nobody waits for so long");
    let second = other.take_source_turn("a", hour, hour * 2).await.unwrap().unwrap();
    assert!(second > Duration::from_mins(55) && second <= hour, "{second:?}");
    let third = one.take_source_turn("a", hour, hour * 2).await.unwrap().unwrap();
    assert!(third > second && third <= hour * 2, "{third:?}");
    assert_eq!(one.take_source_turn("b", hour, none).await.unwrap(), Some(none), "others have their own");
    // Side by side, each takes another one.
    let step = Duration::from_secs(100);
    let taking = (0..8).map(|number| {
        let store = if number % 2 == 0 { std::sync::Arc::clone(one) } else { std::sync::Arc::clone(&other) };
        tokio::spawn(async move { store.take_source_turn("c", step, step * 100).await.unwrap().unwrap() })
    });
    let mut waits = Vec::new();
    for taken in taking.collect::<Vec<_>>() {
        waits.push(taken.await.unwrap().as_secs_f64() / 100.0);
    }
    waits.sort_by(f64::total_cmp);
    for (number, wait) in waits.iter().enumerate() {
        let number = f64::from(u32::try_from(number).unwrap());
        assert!((wait - number).abs() < 0.5, "{waits:?}");
    }
}

on_both_databases!(
    turns_of_a_source_are_taken_one_after_the_other,
    components_are_kept_with_their_bytes,
    the_highest_enabled_release_is_chosen_by_precedence_not_by_text,
    damaged_bytes_are_noticed,
    a_release_is_removed_when_nothing_needs_it,
    tables_are_registered_once,
    metadata_is_applied_at_once_and_changes_nothing_else,
    a_table_of_a_thousand_columns_holds_rows,
    sources_and_grants,
    nodes_are_found_or_created,
    references_lead_to_one_node_or_say_what_else_they_mean,
    a_table_names_its_one_node_without_a_namespace,
    runs_are_listed_newest_first_and_found_by_prefix,
    what_was_written_is_there_after_reopening,
    a_database_of_a_newer_host_is_refused,
);
