//! Tables as they are found, registered, labelled and changed.

use datanode_tests::Project;
use serde_json::{Value, json};

use crate::place::{ASSETS, DYNAMIC, META, Place, RATES};

/// What differs from run to run.
fn settled(place: &Place, value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap();
    let text = text
        .replace(&place.rates, "[rates]")
        .replace(&place.assets, "[assets]")
        .replace(&place.source(), "[source]");
    let moment = value["creation_date"].as_str().unwrap_or("[none]");
    text.replace(moment, "[moment]")
}

pub(crate) fn a_table_is_listed_and_shown_in_both_forms(project: Project) {
    let place = Place::new(project, "1999-01-31");
    // The forms are those of both databases.
    insta::allow_duplicates! {
        let shown = place.get(&place.of_rates(""));
        let mut told = shown.clone();
        // Of each of many currencies: told elsewhere.
        told["time_indexed_profile"]["multi_index_stats"]["index_progress"] = json!("…");
        told["time_indexed_profile"]["multi_index_stats"]["index_min"] = json!("…");
        insta::assert_snapshot!("rates", settled(&place, &told));
        // The same by a list with a filter, which is how the client gets one table.
        let listed = place.get(&format!("{DYNAMIC}/?uid={}", place.rates));
        assert_eq!((&listed["count"], &listed["results"][0]), (&json!(1), &shown));
        let plain = place.get(&format!("{META}/?identifier={RATES}"));
        assert_eq!(plain["results"].as_array().unwrap().len(), 1);
        let assets = place.get(&format!("{META}/{}/", place.assets));
        insta::assert_snapshot!("assets", settled(&place, &assets));
    }
    // A plain table is no time-indexed one.
    place.refused(404, "GET", &format!("{DYNAMIC}/{}/", place.assets), &Value::Null);
    assert_eq!(place.uids(&format!("?uid={}", place.assets)), Vec::<String>::new());
    place.refused(404, "GET", &format!("{DYNAMIC}/{}/", uuid::Uuid::nil()), &Value::Null);
    // An identifier is no uid, for what stands in this place of a path.
    place.refused(404, "GET", &format!("{DYNAMIC}/{RATES}/"), &Value::Null);
    // Foreign keys, both ways.
    let contract = ASSETS.replace("\"assets\"", "\"holdings\"").replace("primary_key", "foreign_keys = [{ columns = [\"asset\"], references = { table = \"assets\", columns = [\"id\"] } }]\nprimary_key");
    let contract =
        contract.replace("{ name = \"name\", type = \"string\"", "{ name = \"asset\", type = \"int32\"");
    std::fs::write(place.project.path().join("holdings.toml"), contract).unwrap();
    place.project.run(&["table", "register", "holdings.toml"]);
    let holdings = place.get(&format!("{META}/?identifier=holdings"))["results"][0].clone();
    assert_eq!(holdings["foreign_keys"][0]["target_table_uid"], place.assets);
    assert_eq!(holdings["foreign_keys"][0]["target_table_physical_table_name"], "assets");
    let assets = place.get(&format!("{META}/{}/", place.assets));
    assert_eq!(assets["incoming_fks"][0]["source_columns"], json!(["asset"]));
    let graph = place.get(&format!("{META}/{}/schema-graph/?depth=1&include_incoming=True", place.assets));
    assert_eq!(graph["edges"][0]["source_uid"], holdings["uid"]);
    let introspected = place.answer(200, "POST", &format!("{META}/{}/introspect/", place.assets), &json!({}));
    assert_eq!(
        (&introspected["ok"], &introspected["introspection_snapshot"]["drift"]),
        (&json!(true), &json!([]))
    );
}

pub(crate) fn lists_are_filtered_as_django_does(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let returns =
        place.project.json(&["table", "show", "fx_log_returns"])["uid"].as_str().unwrap().to_owned();
    let (rates, source) = (place.rates.clone(), place.source());
    let both = vec![rates.clone(), returns.clone()];
    let none: Vec<String> = Vec::new();
    for (query, expected) in [
        ("", &both),
        ("?identifier=fx_ecb_daily_rates", &vec![rates.clone()]),
        ("?identifier__in=fx_ecb_daily_rates%2Cfx_log_returns", &both),
        ("?identifier__in=fx_ecb_daily_rates&identifier__in=fx_log_returns", &both),
        ("?identifier__contains=ecb", &vec![rates.clone()]),
        ("?identifier__contains=ECB", &none),
        ("?namespace=examples.fx", &both),
        ("?namespace__isnull=True", &none),
        ("?namespace__isnull=false", &both),
        ("?labels=returns", &vec![returns.clone()]),
        ("?labels=return", &none),
        ("?labels__contains=return", &vec![returns.clone()]),
        ("?physical_schema=public&physical_table_name=fx_log_returns", &vec![returns.clone()]),
        ("?physical_schema=other", &none),
        (&format!("?data_source__uid={source}"), &both),
        ("?data_source__id=1", &both),
        ("?data_source__id=2", &none),
        ("?management_mode=platform_managed&provisioning_status__in=active,reserved", &both),
    ] {
        assert_eq!(&place.uids(query), expected, "{query}");
    }
    // By the body, whose lists are lists.
    let body = json!({"data_source__uid": source, "physical_schema__in": ["public"],
                      "physical_table_name__in": ["fx_log_returns"], "limit": 20});
    let found = place.answer(200, "POST", &format!("{DYNAMIC}/filter/"), &body);
    assert_eq!((&found["count"], &found["results"][0]["uid"]), (&json!(1), &json!(returns)));
    let empty = place.answer(200, "POST", &format!("{DYNAMIC}/filter/"), &json!({"identifier__in": []}));
    assert_eq!(empty["count"], 0);
    // Pages lead to each other by whole addresses.
    let first = place.get(&format!("{DYNAMIC}/?limit=1&namespace=examples.fx"));
    assert_eq!((&first["count"], first["results"].as_array().unwrap().len()), (&json!(2), 1));
    let next = first["next"].as_str().unwrap();
    let prefix = format!("http://{}", place.server.address());
    let second = place.get(next.strip_prefix(&prefix).unwrap());
    assert_eq!(second["results"][0]["uid"], returns);
    assert!(second["next"].is_null() && second["previous"].is_string());
    for wrong in [
        "?colour=red",
        "?identifier__startswith=a",
        "?limit=0",
        "?limit=x",
        "?offset=-1",
        "?data_source__id=x",
    ] {
        place.refused(400, "GET", &format!("{DYNAMIC}/{wrong}"), &Value::Null);
    }
}

pub(crate) fn tables_are_registered_under_any_name(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let register = format!("{DYNAMIC}/register/");
    let name = "Simulated prices (täglich) ✓";
    let body = place.registration(name, "simulated_prices");
    let made = place.answer(201, "POST", &register, &body);
    assert_eq!(
        (&made["identifier"], &made["physical_table_name"]),
        (&json!(name), &json!("simulated_prices"))
    );
    assert_eq!(made["columns"][1]["backend_type"], "VARCHAR(255)");
    assert_eq!(made["time_indexed_profile"]["index_names"], json!(["time_index", "unique_identifier"]));
    // Again, and with more to say.
    assert_eq!(place.answer(200, "POST", &register, &body)["uid"], made["uid"]);
    let mut more = body.clone();
    more["labels"] = json!(["more"]);
    more["description"] = Value::Null;
    let again = place.answer(200, "POST", &register, &more);
    assert_eq!((&again["labels"], &again["description"]), (&json!(["tutorial", "more"]), &json!("Prices.")));
    // It is found by its name, and the rules of contracts hold for the other that it has.
    let found =
        place.get(&format!("{META}/?identifier={}", "Simulated%20prices%20(t%C3%A4glich)%20%E2%9C%93"));
    assert_eq!(found["results"][0]["uid"], made["uid"]);
    let shown = place.project.json(&["table", "show", "simulated_prices"]);
    assert_eq!(shown["uid"], made["uid"]);
    // One name, one table; one physical name, one table.
    let detail = place.refused(409, "POST", &register, &place.registration(name, "other_prices"));
    assert!(detail.contains("simulated_prices"), "{detail}");
    place.refused(409, "POST", &register, &place.registration("another", "simulated_prices"));
    let mut changed = body.clone();
    changed["table_contract"]["columns"][2]["data_type"] = json!("int64");
    let detail = place.refused(409, "POST", &register, &changed);
    assert!(detail.contains("close"), "{detail}");
    // The longest name, and one that is longer.
    let longest = "x y".repeat(85);
    assert_eq!(
        place.answer(201, "POST", &register, &place.registration(&longest, "longest"))["identifier"],
        longest
    );
    place.refused(400, "POST", &register, &place.registration(&format!("{longest}z"), "longer"));
    // Several at once: in their order, and all or none.
    let row = |identifier: &str, table: &str| {
        let mut row = place.registration(identifier, table);
        row["provisioning_status"] = json!("reserved");
        row["management_mode"] = json!("platform_managed");
        row["is_alembic_managed"] = json!(true);
        row["migration_package"] = Value::Null;
        row
    };
    let all = json!([row("second", "second"), row("First!", "first"), row(name, "simulated_prices")]);
    let made_all = place.answer(201, "POST", &format!("{DYNAMIC}/"), &all);
    let identifiers: Vec<_> =
        made_all.as_array().unwrap().iter().map(|table| table["identifier"].clone()).collect();
    assert_eq!(identifiers, [json!("second"), json!("First!"), json!(name)]);
    let broken = json!([row("third", "third"), row("another", "second")]);
    place.refused(409, "POST", &format!("{DYNAMIC}/"), &broken);
    assert_eq!(place.uids("?identifier=third"), Vec::<String>::new());
    place.refused(400, "POST", &format!("{DYNAMIC}/"), &json!({}));
    let too_many = vec![row("third", "third"); 201];
    place.refused(400, "POST", &format!("{DYNAMIC}/"), &json!(too_many));
    // Plain tables, under the other root.
    let plain = json!({
        "data_source_uid": place.source(), "management_mode": "platform_managed", "identifier": "issuers", "introspect": false,
        "table_contract": {"physical": {"table_name": "issuers"}, "columns": [
            {"name": "id", "data_type": "string", "primary_key": true, "nullable": false}]},
    });
    let plain = place.answer(201, "POST", &format!("{META}/register/"), &plain);
    assert_eq!(
        (&plain["table_kind"], &plain["columns"][0]["primary_key"]),
        (&json!("reference"), &json!(true))
    );
    let judged = place.answer(
        200,
        "POST",
        &format!("{DYNAMIC}/validate-contract/"),
        &json!({"table_contract": body["table_contract"]}),
    );
    assert_eq!(judged["ok"], true);
}

pub(crate) fn tables_are_changed_and_removed(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let made = place.answer(
        201,
        "POST",
        &format!("{DYNAMIC}/register/"),
        &place.registration("My Prices", "my_prices"),
    );
    let path = format!("{DYNAMIC}/{}/", made["uid"].as_str().unwrap());
    let changed = place.answer(
        200,
        "PATCH",
        &path,
        &json!({"description": "New.", "labels": ["a"], "cadence": "1h", "protect_from_deletion": true, "identifier": "Their Prices"}),
    );
    for (field, expected) in [
        ("description", json!("New.")),
        ("labels", json!(["a"])),
        ("cadence", json!("1h")),
        ("protect_from_deletion", json!(true)),
        ("identifier", json!("Their Prices")),
    ] {
        assert_eq!(changed[field], expected, "{field}");
    }
    // A name by the rules becomes that of the contract.
    assert_eq!(
        place.answer(200, "PATCH", &path, &json!({"identifier": "their_prices"}))["identifier"],
        "their_prices"
    );
    assert_eq!(place.project.json(&["table", "show", "their_prices"])["uid"], made["uid"]);
    place.refused(409, "PATCH", &path, &json!({"identifier": RATES}));
    place.refused(400, "PATCH", &path, &json!({"columns": []}));
    // Protected, until it is not; not there any more afterwards.
    place.refused(409, "DELETE", &path, &Value::Null);
    place.refused(400, "DELETE", &format!("{path}?override_protection=True"), &Value::Null);
    let flags = "?full_delete_selected=True&full_delete_downstream_tables=False&delete_with_no_table=False&override_protection=True";
    let removed = place.answer(200, "DELETE", &format!("{path}{flags}"), &Value::Null);
    assert_eq!(removed["deleted"], json!([made["uid"]]));
    place.refused(404, "GET", &path, &Value::Null);
    place.refused(404, "DELETE", &path, &Value::Null);
    // The name and the place are free again.
    place.answer(201, "POST", &format!("{DYNAMIC}/register/"), &place.registration("My Prices", "my_prices"));
    // What nodes write and read stays, and they are named.
    let detail = place.refused(409, "DELETE", &place.of_rates(""), &Value::Null);
    assert!(detail.contains("writes it") && detail.contains("reads it"), "{detail}");
    // What others refer to goes with them or not at all.
    let contract = ASSETS.replace("\"assets\"", "\"holdings\"").replace("primary_key", "foreign_keys = [{ columns = [\"id\"], references = { table = \"assets\", columns = [\"id\"] } }]\nprimary_key");
    std::fs::write(place.project.path().join("holdings.toml"), contract).unwrap();
    place.project.run(&["table", "register", "holdings.toml"]);
    let assets = format!("{META}/{}/", place.assets);
    let detail = place.refused(409, "DELETE", &assets, &Value::Null);
    assert!(detail.contains("holdings"), "{detail}");
    let removed =
        place.answer(200, "DELETE", &format!("{assets}?full_delete_downstream_tables=true"), &Value::Null);
    assert_eq!(removed["deleted"].as_array().unwrap().len(), 2);
    place.refused(404, "GET", &assets, &Value::Null);
    let actions = place.project.run(&["audit", "list", "--action", "table.remove", "--json"]);
    assert!(actions.contains("holdings") && actions.contains("my_prices"), "{actions}");
}

pub(crate) fn a_change_is_made_as_a_whole_or_not_at_all(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let before = place.get(&place.of_rates(""));
    let actions = || {
        let entries = place.project.json(&["audit", "list", "--subject", &place.rates]);
        entries["entries"].as_array().map_or(0, Vec::len)
    };
    let written = actions();
    let change = json!({"identifier": "renamed", "protect_from_deletion": true, "labels": ["x".repeat(64)]});
    place.refused(400, "PATCH", &place.of_rates(""), &change);
    assert_eq!((place.get(&place.of_rates("")), actions()), (before, written));
    let change =
        json!({"identifier": "renamed", "protect_from_deletion": true, "labels": ["x"], "cadence": "7d"});
    let changed = place.answer(200, "PATCH", &place.of_rates(""), &change);
    let told =
        ["identifier", "protect_from_deletion", "labels", "cadence"].map(|field| changed[field].clone());
    assert_eq!(told, [json!("renamed"), json!(true), json!(["x"]), json!("7d")]);
    // One that is gone already is no mistake, whoever has taken it away.
    let labels = place.answer(200, "POST", &place.of_rates("remove-label/"), &json!({"labels": ["x", "y"]}));
    assert_eq!(labels["labels"], json!([]));
}

pub(crate) fn labels_and_shares_come_and_go(project: Project) {
    let place = Place::new(project, "1999-01-05");
    let labels = |action: &str, labels: Value| {
        let answer = place.answer(200, "POST", &place.of_rates(action), &json!({"labels": labels}));
        answer["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| label["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(labels("add-label/", json!(["daily", "fx"])), ["fx", "ecb", "daily"]);
    assert_eq!(labels("add-label/", json!(["daily"])), ["fx", "ecb", "daily"]);
    assert_eq!(labels("remove-label/", json!(["ecb", "nothing"])), ["fx", "daily"]);
    assert_eq!(labels("remove-label/", json!(["ecb"])), ["fx", "daily"]);
    place.refused(400, "POST", &place.of_rates("add-label/"), &json!({"labels": []}));
    place.refused(400, "POST", &place.of_rates("add-label/"), &json!({"labels": ["x".repeat(64)]}));
    place.refused(400, "POST", &place.of_rates("add-label/"), &json!({}));
    let ada = place.project.json(&["user", "create", "ada", "--email", "ada@example.org"]);
    let desk = place.project.json(&["team", "create", "desk"]);
    let names = |answer: &Value, what: &str, name: &str| -> Vec<Value> {
        answer[what].as_array().unwrap().iter().map(|one| one[name].clone()).collect()
    };
    let user = json!({"user_id": ada["id"]});
    let shared = place.answer(200, "POST", &place.of_rates("add-to-view/"), &user);
    assert_eq!(names(&shared, "users", "username"), [json!("ada")]);
    assert_eq!(names(&place.get(&place.of_rates("can-view/")), "users", "email"), [json!("ada@example.org")]);
    assert_eq!(names(&place.get(&place.of_rates("can-edit/")), "users", "uid"), Vec::<Value>::new());
    place.answer(200, "POST", &place.of_rates("add-team-to-edit/"), &json!({"team_id": desk["id"]}));
    let edit = place.get(&place.of_rates("can-edit/"));
    assert_eq!((&edit["access_level"], names(&edit, "teams", "name")), (&json!("edit"), vec![json!("desk")]));
    assert!(edit["object_id"].is_i64());
    place.answer(200, "POST", &place.of_rates("remove-team-from-edit/"), &json!({"team_id": desk["id"]}));
    place.answer(200, "POST", &place.of_rates("remove-from-view/"), &user);
    assert_eq!(names(&place.get(&place.of_rates("can-view/")), "users", "uid"), Vec::<Value>::new());
    place.refused(404, "POST", &place.of_rates("add-to-view/"), &json!({"user_id": 4_711}));
    place.refused(400, "POST", &place.of_rates("add-to-view/"), &json!({"team_id": 1}));
}

pub(crate) fn searches_find_and_filter(project: Project) {
    let place = Place::new(project, "1999-01-05");
    let find = |root: &str, query: &str| {
        let answer = place.get(&format!("{root}/{query}"));
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|table| table["identifier"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let knobs = "trigram_k=200&embed_k=200&w_trgm=0.65&w_emb=0.35&embedding_model=default";
    let found = find(DYNAMIC, &format!("description-search/?q=euro+exchange+rates&{knobs}"));
    assert_eq!(found.first().map(String::as_str), Some(RATES), "{found:?}");
    assert!(!found.contains(&"assets".to_owned()), "a plain table is under the other root");
    assert!(find(META, "description-search/?q=assets").contains(&"assets".to_owned()));
    assert_eq!(find(DYNAMIC, "description-search/?q=rates&data_source__id=2"), Vec::<String>::new());
    assert_eq!(
        find(DYNAMIC, "description-search/?q=rates&identifier__in=fx_log_returns&identifier__in=x"),
        ["fx_log_returns"]
    );
    assert!(find(DYNAMIC, "column-search/?q=currency").contains(&RATES.to_owned()));
    assert_eq!(find(DYNAMIC, "column-search/?q=currency&identifier=fx_ecb_daily_rates"), [RATES]);
    // A hit is a table, and nothing else: the client refuses more.
    let hit =
        place.get(&format!("{DYNAMIC}/column-search/?q=currency&identifier=fx_ecb_daily_rates"))["results"]
            [0]
        .clone();
    let table = place.get(&place.of_rates(""));
    assert_eq!(hit, table);
    // The name of a table comes first, whatever it is.
    place.answer(201, "POST", &format!("{DYNAMIC}/register/"), &place.registration("Zzz: a name", "zzz"));
    assert_eq!(
        find(DYNAMIC, "description-search/?q=Zzz:+a+name").first().map(String::as_str),
        Some("Zzz: a name")
    );
    let refreshed = place.answer(200, "POST", &place.of_rates("refresh-table-search-index/"), &Value::Null);
    assert_eq!(refreshed["meta_table_uid"], place.rates);
    for wrong in [
        "?q=",
        "?q=x&trigram_k=-1",
        "?q=x&w_emb=much",
        "?q=x&embedding_model=other",
        "?q=x&q_embedding=1",
        "?q=x&colour=red",
    ] {
        place.refused(400, "GET", &format!("{DYNAMIC}/description-search/{wrong}"), &Value::Null);
    }
}
