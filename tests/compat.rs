//! The protocol of the existing client: by hand, rule by rule; and by that client itself, unmodified (`client/`).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "compat/http.rs"]
mod http;

use std::path::PathBuf;
use std::process::Command;

use datanode_tests::{Project, Server, on_both_databases, root, target};
use http::{Answer, Request};
use serde_json::{Value, json};

const DYNAMIC: &str = "/orm/api/ts_manager/dynamic_table";
const META: &str = "/orm/api/ts_manager/meta_table";
const RATES: &str = "fx_ecb_daily_rates";

/// A project of the example with a part of its rows, a plain table, and a server over it.
struct Place {
    project: Project,
    server: Server,
    /// Uid of the table of rates.
    rates: String,
    /// Uid of the plain table.
    assets: String,
}

const ASSETS: &str = r#"
identifier = "assets"
kind = "reference"
namespace = "examples.fx"
description = "What can be bought: one row per asset, for joins."
primary_key = ["id"]
columns = [
    { name = "id", type = "int32" },
    { name = "name", type = "string", nullable = true },
    { name = "day", type = "date", nullable = true },
    { name = "seen", type = "timestamp_tz", nullable = true },
    { name = "uid", type = "uuid", nullable = true },
    { name = "facts", type = "json", nullable = true },
    { name = "weight", type = "decimal(12,3)", nullable = true },
    { name = "flag", type = "bool", nullable = true },
]
"#;

const ASSET_ROWS: &str = "id,name,day,seen,uid,facts,weight,flag\n\
    1,\"a, \"\"b\"\"\",2020-01-01,2020-01-01T00:00:00Z,00000000-0000-4000-8000-000000000001,\"{\"\"a\"\":[1,null]}\",1.5,true\n\
    2,,,2020-01-01T00:00:00.25Z,,,,false\n\
    -3,c,,,,,,\n";

impl Place {
    fn new(project: Project, until: &str) -> Self {
        let project = project.and_fx();
        project.run(&["node", "run", RATES, "--until", until]);
        std::fs::write(project.path().join("assets.toml"), ASSETS).unwrap();
        std::fs::write(project.path().join("assets.csv"), ASSET_ROWS).unwrap();
        project.run(&["table", "register", "assets.toml"]);
        project.run(&["table", "load", "assets", "assets.csv"]);
        let uid = |table: &str| project.json(&["table", "show", table])["uid"].as_str().unwrap().to_owned();
        let (rates, assets) = (uid(RATES), uid("assets"));
        let mut command = project.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
        if project.is_on_server() {
            command.env("DATANODE_READER_URL", project.server().reader());
        }
        let server = Server::started(command);
        Self { project, server, rates, assets }
    }

    fn send(&self, request: &Request<'_>) -> Answer {
        request.send(&self.server.address().to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        // The client labels its bodies by chance, and takes compressed ones.
        let request =
            Request::new(method, path).header("Content-Type", "text/plain").header("Accept-Encoding", "gzip");
        self.send(&request.body(body))
    }

    /// Ask for what must be answered so.
    #[track_caller]
    fn answer(&self, status: u16, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text);
        answer.json()
    }

    /// Ask for what must be refused so; what is said.
    #[track_caller]
    fn refused(&self, status: u16, method: &str, path: &str, body: &Value) -> String {
        let answer = self.answer(status, method, path, body);
        let detail = answer["detail"].as_str().unwrap_or_default().to_owned();
        assert!(!detail.is_empty(), "the client shows `detail`: {answer}");
        detail
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        self.answer(200, "GET", path, &Value::Null)
    }

    /// A path below the table of rates.
    fn of_rates(&self, action: &str) -> String {
        format!("{DYNAMIC}/{}/{action}", self.rates)
    }

    /// All pages of a read.
    #[track_caller]
    fn read(&self, uid: &str, body: &Value) -> Vec<Value> {
        let path = format!("{DYNAMIC}/{uid}/get_data_between_dates_from_remote/");
        let mut body = body.clone();
        let mut rows = Vec::new();
        loop {
            let page = self.answer(200, "POST", &path, &body);
            rows.extend(page["results"].as_array().unwrap().iter().cloned());
            if page["next_offset"].is_null() {
                return rows;
            }
            assert!(page["next_offset"].is_string());
            body["offset"] = page["next_offset"].clone();
        }
    }

    /// The table, as the client registers it.
    fn registration(&self, identifier: &str, table: &str) -> Value {
        let table_contract = json!({
            "version": "relational-table.v1",
            "table_kind": "time_indexed",
            "authoring": {
                "table_model": {"kind": "sqlalchemy", "module": "m", "qualname": "Q"},
                "time_indexed": {"time_index_name": "time_index", "index_names": ["time_index", "unique_identifier"]}
            },
            "physical": {"schema": "public", "table_name": table},
            "columns": [
                {"orm_class": "c", "name": "time_index", "data_type": "timestamp with time zone",
                 "backend_type": "TIMESTAMP WITH TIME ZONE", "nullable": false, "primary_key": false, "unique": false},
                {"name": "unique_identifier", "data_type": "string", "backend_type": "VARCHAR(255)", "nullable": false},
                {"name": "close", "data_type": "float64", "description": "Close.", "label": "Close"},
            ]
        });
        json!({
            "orm_class": "TimeIndexMetaTableRegistrationRequest",
            "data_source_uid": self.source(), "physical_schema": "public", "identifier": identifier,
            "namespace": "examples.client", "description": "Prices.", "labels": ["tutorial"],
            "provisioning": {"create_table": true, "if_not_exists": true}, "time_index_name": "time_index",
            "cadence": "1d", "partition_strategy": "backend_default", "table_contract": table_contract,
        })
    }

    fn source(&self) -> String {
        let sources = self.get(&format!("{DYNAMIC}_data_source/"));
        sources["results"][0]["uid"].as_str().unwrap().to_owned()
    }

    fn uids(&self, query: &str) -> Vec<String> {
        let page = self.get(&format!("{DYNAMIC}/{query}"));
        page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|table| table["uid"].as_str().unwrap().to_owned())
            .collect()
    }
}

on_both_databases!(
    a_table_is_listed_and_shown_in_both_forms,
    lists_are_filtered_as_django_does,
    tables_are_registered_under_any_name,
    tables_are_changed_and_removed,
    a_change_is_made_as_a_whole_or_not_at_all,
    who_registers_what_another_has_registered_meanwhile_is_judged_by_that,
    rows_are_read_in_pages_without_a_gap,
    rows_of_every_type_are_read_from_a_plain_table,
    the_last_row_of_each_coordinate_is_read,
    tails_are_deleted_in_every_scope,
    sql_is_answered_in_an_envelope,
    labels_and_shares_come_and_go,
    searches_find_and_filter,
    mistakes_are_the_callers,
    rights_are_asked_for,
    the_client_finds_reads_and_changes_tables,
);

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

fn a_table_is_listed_and_shown_in_both_forms(project: Project) {
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

fn lists_are_filtered_as_django_does(project: Project) {
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

fn tables_are_registered_under_any_name(project: Project) {
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

fn tables_are_changed_and_removed(project: Project) {
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

fn rows_are_read_in_pages_without_a_gap(project: Project) {
    // More than one answer holds.
    let place = Place::new(project, "2007-12-31");
    let counted = place.project.json(&["stats", "show", RATES])["rows"].as_u64().unwrap();
    assert!(counted > 50_000, "{counted}");
    let rows = place.read(&place.rates, &json!({"start_date": null, "end_date": null, "great_or_equal": true, "less_or_equal": true, "columns": null, "offset": 0}));
    assert_eq!(rows.len() as u64, counted);
    let key = |row: &Value| {
        (row["time_index"].as_str().unwrap().to_owned(), row["currency"].as_str().unwrap().to_owned())
    };
    assert!(
        rows.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])),
        "in the order of the index, each once"
    );
    // One form of moments, over all pages.
    assert!(
        rows.iter()
            .all(|row| row["time_index"].as_str().unwrap().len() == "1999-01-04T00:00:00.000000Z".len())
    );
    // Columns, and the index in every row. None are all.
    let narrow = json!({"columns": ["rate"], "start_date": 915_408_000.0, "end_date": 915_408_000.0});
    let day = place.read(&place.rates, &narrow);
    assert!(!day.is_empty() && day.iter().all(|row| row.as_object().unwrap().len() == 3));
    // Ends, and seconds with a fraction.
    let at = |body: Value| place.read(&place.rates, &body).len();
    assert_eq!(at(json!({"start_date": 915_408_000, "end_date": 915_408_000, "great_or_equal": false})), 0);
    assert_eq!(at(json!({"start_date": 915_408_000, "end_date": 915_408_000, "less_or_equal": false})), 0);
    assert_eq!(
        at(
            json!({"start_date": 915_407_999.5, "end_date": 915_408_000.25, "great_or_equal": null, "less_or_equal": null})
        ),
        day.len()
    );
    assert_eq!(at(json!({"start_date": "1999-01-04", "end_date": "1999-01-04T00:00:00+00:00"})), day.len());
    // Scopes hold together; entries of one are alternatives.
    let of = |filters: Value| at(json!({"dimension_filters": filters, "end_date": "1999-01-05"}));
    assert_eq!(
        (of(json!({"currency": ["USD", "JPY"]})), of(json!({"currency": []})), of(json!({}))),
        (4, 0, 2 * day.len())
    );
    let coordinates =
        json!({"index_coordinates": [{"currency": "USD"}, {"currency": "XXX"}], "end_date": "1999-01-05"});
    assert_eq!(at(coordinates), 2);
    let both =
        json!({"dimension_filters": {"currency": ["USD"]}, "index_coordinates": [{"currency": "JPY"}]});
    assert_eq!(at(both), 0);
    let map = json!({"dimension_range_map": [
        {"coordinate": {"currency": "USD"}, "start_date_operand": ">", "start_date": 915_408_000, "end_date": "1999-01-06", "end_date_operand": "<="},
        {"coordinate": {"currency": "JPY"}, "start_date": null, "end_date": 915_408_000},
    ]});
    assert_eq!(at(map), 3);
    assert_eq!(at(json!({"dimension_range_map": [], "end_date": "1999-01-04"})), day.len());
    // Small pages meet, too, and a place of one question is none of another.
    let path = place.of_rates("get_data_between_dates_from_remote/");
    let small = json!({"dimension_filters": {"currency": ["USD"]}, "limit": 7});
    let page = place.answer(200, "POST", &path, &small);
    let mut other = json!({"dimension_filters": {"currency": ["JPY"]}, "limit": 7});
    other["offset"] = page["next_offset"].clone();
    place.refused(400, "POST", &path, &other);
    let mut small = small;
    small["end_date"] = json!("1999-03-01");
    let whole = place
        .read(&place.rates, &json!({"dimension_filters": {"currency": ["USD"]}, "end_date": "1999-03-01"}));
    assert_eq!(place.read(&place.rates, &small), whole);
    for wrong in [
        json!({"columns": ["price"]}),
        json!({"columns": "rate"}),
        json!({"start_date": "soon"}),
        json!({"start_date": 1e300}),
        json!({"offset": 50}),
        json!({"offset": "x"}),
        json!({"limit": 0}),
        json!({"great_or_equal": "yes"}),
        json!({"dimension_filters": {"rate": [1]}}),
        json!({"dimension_filters": ["currency"]}),
        json!({"dimension_range_map": [{"coordinate": {}}]}),
        json!({"dimension_range_map": [{"coordinate": {"currency": "USD"}}, {"coordinate": {"currency": "USD"}}]}),
        json!({"colour": "red"}),
    ] {
        place.refused(400, "POST", &path, &wrong);
    }
    // By the name of the table, with the table.
    let by_name = format!("{DYNAMIC}/get_data_between_dates_from_node_identifier/");
    let body = json!({"node_identifier": RATES, "start_date": 915_408_000, "end_date": 915_408_000, "great_or_equal": null, "less_or_equal": null});
    let found = place.answer(200, "POST", &by_name, &body);
    assert_eq!(found["results"].as_array().unwrap().len(), day.len());
    assert_eq!(found["storage_node"]["uid"], place.rates);
    place.refused(404, "POST", &by_name, &json!({"node_identifier": "nothing"}));
    place.refused(400, "POST", &by_name, &json!({}));
    // What it holds.
    let stats = place.get(&place.of_rates("get-stats/"));
    assert_eq!(stats["multi_index_stats"]["index_min"]["USD"], "1999-01-04T00:00:00.000000Z");
    assert_eq!(stats["multi_index_stats"]["_GLOBAL_"]["max"], stats["last_time_index_value"]);
    let empty = place.get(&format!("{DYNAMIC}/?identifier=fx_log_returns"))["results"][0]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let stats = place.get(&format!("{DYNAMIC}/{empty}/get-stats/"));
    assert_eq!(stats["multi_index_stats"], Value::Null);
    assert_eq!(place.read(&empty, &json!({})), Vec::<Value>::new());
}

fn rows_of_every_type_are_read_from_a_plain_table(project: Project) {
    let place = Place::new(project, "1999-01-05");
    let path = format!("{META}/{}/get_data_between_dates_from_remote/", place.assets);
    let read = place.answer(200, "POST", &path, &json!({"limit": 2}));
    let next = place.answer(200, "POST", &path, &json!({"limit": 2, "offset": read["next_offset"]}));
    let rows =
        [read["results"].as_array().unwrap().clone(), next["results"].as_array().unwrap().clone()].concat();
    insta::allow_duplicates! {
        insta::assert_json_snapshot!("plain_rows", rows);
    }
    assert_eq!(next["next_offset"], Value::Null);
    let some = place.answer(200, "POST", &path, &json!({"dimension_filters": {"id": ["-3", 2]}}));
    assert_eq!(some["results"].as_array().unwrap().len(), 2);
    // It has no time.
    place.refused(400, "POST", &path, &json!({"start_date": 0}));
    place.refused(400, "GET", &format!("{META}/{}/get-stats/", place.assets), &Value::Null);
    place.refused(400, "POST", &format!("{META}/{}/get_last_observation/", place.assets), &json!({}));
    place.refused(
        400,
        "POST",
        &format!("{META}/{}/delete_after_date/", place.assets),
        &json!({"after_date": "2020-01-01"}),
    );
}

fn the_last_row_of_each_coordinate_is_read(project: Project) {
    let place = Place::new(project, "1999-01-31");
    let path = place.of_rates("get_last_observation/");
    let all = place.answer(200, "POST", &path, &json!({}));
    let all = all.as_array().unwrap();
    assert!(all.len() > 20 && all.iter().all(|row| row["time_index"].as_str() > Some("1999-01-2")));
    let some = |body: Value| place.answer(200, "POST", &path, &body).as_array().unwrap().len();
    assert_eq!(some(json!({"dimension_filters": {"currency": ["USD", "JPY", "XXX"]}})), 2);
    assert_eq!(some(json!({"dimension_filters": {"currency": ["XXX"]}})), 0);
    assert_eq!(some(json!({"index_coordinates": [{"currency": "USD"}]})), 1);
    let map = |start: &str| json!({"dimension_range_map": [{"coordinate": {"currency": "USD"}, "start_date": start}]});
    assert_eq!((some(map("1999-01-04")), some(map("1999-02-01"))), (1, 0));
    let ended =
        json!({"dimension_range_map": [{"coordinate": {"currency": "USD"}, "end_date": "1999-01-10"}]});
    place.refused(400, "POST", &path, &ended);
    place.refused(400, "POST", &path, &json!({"columns": ["rate"]}));
}

fn tails_are_deleted_in_every_scope(project: Project) {
    let place = Place::new(project, "1999-02-28");
    let path = place.of_rates("delete_after_date/");
    let rows = || place.project.json(&["stats", "show", RATES])["rows"].as_u64().unwrap();
    let before = rows();
    let delete = |body: Value| {
        let answer = place.answer(200, "POST", &path, &body);
        assert_eq!(
            answer["stats"]["multi_index_stats"]["_GLOBAL_"].is_object(),
            !answer["table_empty"].as_bool().unwrap()
        );
        answer["deleted_count"].as_u64().unwrap()
    };
    let usd = json!({"after_date": "1999-02-25T00:00:00+00:00", "dimension_filters": {"currency": ["USD"]}});
    assert_eq!(delete(usd.clone()), 2);
    // The client repeats what it gets no answer to: nothing more goes.
    assert_eq!(delete(usd), 0);
    let coordinates =
        json!({"after_date": "1999-02-25", "index_coordinates": [{"currency": "JPY"}, {"currency": "USD"}]});
    assert_eq!(delete(coordinates), 2);
    let both = json!({"after_date": "1999-02-25", "dimension_filters": {"currency": ["GBP", "DKK"]}, "index_coordinates": [{"currency": "GBP"}]});
    assert_eq!(delete(both), 2);
    let map = json!({"after_date": "1999-02-24T00:00:00", "dimension_range_map": [
        {"coordinate": {"currency": "DKK"}, "start_date": 919_900_800, "start_date_operand": ">="},
        {"coordinate": {"currency": "SEK"}, "start_date": 919_900_800, "start_date_operand": ">"},
        {"coordinate": {"currency": "CHF"}, "start_date": null},
    ]});
    // The 25th and 26th, the 26th, and all from the 24th on.
    assert_eq!(delete(map), 2 + 1 + 3);
    let nothing = json!({"after_date": "1999-01-01", "dimension_filters": {"currency": ["USD"]}, "index_coordinates": [{"currency": "JPY"}]});
    assert_eq!(delete(nothing), 0);
    assert_eq!(rows(), before - 12);
    for wrong in [
        json!({}),
        json!({"after_date": null}),
        json!({"after_date": "1999-01-01", "dimension_filters": {}}),
        json!({"after_date": "1999-01-01", "dimension_filters": {"currency": []}}),
        json!({"after_date": "1999-01-01", "index_coordinates": []}),
        json!({"after_date": "1999-01-01", "index_coordinates": [{}]}),
        json!({"after_date": "1999-01-01", "dimension_range_map": []}),
        json!({"after_date": "1999-01-01", "end_date": "1999-01-02"}),
        json!({"after_date": "1999-01-01", "dimension_filters": {"rate": [1]}}),
        json!({"after_date": "soon"}),
    ] {
        place.refused(400, "POST", &path, &wrong);
    }
    assert_eq!(rows(), before - 12, "what is refused deletes nothing");
    // All rows of a scope, then of the table.
    assert!(delete(json!({"after_date": null, "dimension_filters": {"currency": ["USD"]}})) > 30);
    assert!(delete(json!({"after_date": "1900-01-01"})) > 500);
    assert_eq!(rows(), 0);
    place.project.run(&["stats", "verify", RATES]);
}

fn sql_is_answered_in_an_envelope(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let path = place.of_rates("run_query/");
    let ask = |content_type: Option<&str>, sql: &str| {
        let mut request = Request::new("POST", &path).body(sql);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        let answer = place.send(&request);
        (answer.status, answer.json())
    };
    let count = "SELECT count(*) AS n, '漢😀' AS said FROM public.fx_ecb_daily_rates WHERE currency = 'USD'";
    for (content_type, sql) in [
        (Some("text/plain"), count.to_owned()),
        (None, count.to_owned()),
        (Some("application/json"), json!(count).to_string()),
        (Some("text/plain"), json!(count).to_string()),
        (Some("application/json"), format!("  {count}\n")),
    ] {
        let (status, answer) = ask(content_type, &sql);
        assert_eq!((status, &answer["ok"], &answer["error"]), (200, &json!(true), &Value::Null), "{answer}");
        assert_eq!(answer["results"], json!([{"n": 5, "said": "漢😀"}]));
        assert_eq!((&answer["meta_table_uid"], &answer["row_count"]), (&json!(place.rates), &json!(1)));
    }
    let longer = "a".repeat(300_000);
    for (sql, status, kind) in [
        ("SELEC 1", 400, "syntax_error"),
        ("", 400, "syntax_error"),
        ("SELECT price FROM fx_ecb_daily_rates", 400, "unknown_column"),
        ("SELECT * FROM fx_log_returns", 400, "unknown_table"),
        ("DELETE FROM fx_ecb_daily_rates", 403, "forbidden_statement"),
        ("SELECT 1; DROP TABLE fx_ecb_daily_rates", 403, "forbidden_statement"),
        ("COPY fx_ecb_daily_rates TO '/tmp/x'", 403, "forbidden_statement"),
        (&format!("SELECT '{longer}'"), 403, "forbidden_statement"),
    ] {
        let (found, answer) = ask(Some("text/plain"), sql);
        assert_eq!(
            (found, &answer["ok"], &answer["error"]["kind"]),
            (status, &json!(false), &json!(kind)),
            "{sql}: {answer}"
        );
        assert_eq!((&answer["retryable"], &answer["error"]["retryable"]), (&json!(false), &json!(false)));
    }
    let bytes = place.send(&Request::new("POST", &path).body(vec![0xff, 0xfe]));
    assert_eq!((bytes.status, bytes.json()["ok"].clone()), (400, json!(false)));
    // Plain tables, under their root.
    let answer = place.send(
        &Request::new("POST", &format!("{META}/{}/run_query/", place.assets))
            .body("\"SELECT count(*) AS n FROM assets\""),
    );
    assert_eq!(answer.json()["results"], json!([{"n": 3}]), "{}", answer.text);
    place.refused(404, "POST", &format!("{DYNAMIC}/{}/run_query/", uuid::Uuid::nil()), &Value::Null);
}

fn labels_and_shares_come_and_go(project: Project) {
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

fn searches_find_and_filter(project: Project) {
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

fn mistakes_are_the_callers(project: Project) {
    let place = Place::new(project, "1999-01-05");
    let read = place.of_rates("get_data_between_dates_from_remote/");
    for body in ["{", "[]", "\"x\"", "{\"start_date\": }", "\u{0}", "{\"a\": \"\\u0000\"}"] {
        let answer =
            place.send(&Request::new("POST", &read).header("Content-Type", "application/json").body(body));
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.json()["detail"].is_string());
        assert!(
            answer.head.to_ascii_lowercase().contains("content-type: application/json"),
            "{}",
            answer.head
        );
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = place.send(&Request::new("POST", &read).body(deep));
    assert_eq!(answer.status, 400, "{}", answer.text);
    // Larger than any document.
    let large = place.send(&Request::new("POST", &read).body(vec![b' '; (16 << 20) + 1]));
    assert_eq!(large.status, 413, "{}", large.text);
    assert!(large.json()["detail"].is_string());
    // Paths that lead nowhere, methods that are not for them.
    for (method, path, status) in [
        ("GET", "/orm/api/ts_manager/nothing/", 404),
        ("GET", "/orm/api/ts_manager/dynamic_table/../../etc/", 404),
        ("PUT", "/orm/api/ts_manager/dynamic_table/", 405),
        ("GET", "/orm/api/ts_manager/dynamic_table/%00/", 400),
        ("GET", "/orm/api/ts_manager/dynamic_table/%ff/", 400),
    ] {
        let answer = place.send(&Request::new(method, path));
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
    // What the protocol has and this host does not.
    let source = place.source();
    for path in [
        format!("{META}/finalize-managed/"),
        format!("{META}/execute-operation/"),
        format!("{DYNAMIC}_data_source/{source}/migration-connection/"),
    ] {
        place.refused(400, "POST", &path, &json!({}));
    }
    place.refused(404, "GET", &format!("{DYNAMIC}_data_source/{}/", uuid::Uuid::nil()), &Value::Null);
    assert_eq!(place.get(&format!("{DYNAMIC}_data_source/{source}/"))["id"], 1);
    let project = place.get("/orm/api/pods/projects/project-142/");
    assert_eq!((&project["uid"], &project["is_initialized"]), (&json!("project-142"), &json!(true)));
}

fn a_change_is_made_as_a_whole_or_not_at_all(project: Project) {
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

/// Both may register a table where there is none; to protect the table of somebody else takes more.
fn who_registers_what_another_has_registered_meanwhile_is_judged_by_that(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let body = place.registration("prices_of_bob", "prices_of_bob");
    let token = |user: &str| {
        place.project.run(&["user", "create", user]);
        place.project.run(&["role", "grant", "editor", "--user", user, "--namespace", "examples.client"]);
        let created =
            place.project.json(&["token", "create", "--user", user, "--right", "read", "--right", "write"]);
        created["token"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
    };
    let (bob, carol) = (token("bob"), token("carol"));
    let send = |token: &str, body: &Value| {
        let (address, token, body) = (place.server.address().to_string(), token.to_owned(), body.to_string());
        std::thread::spawn(move || {
            let path = format!("{DYNAMIC}/register/");
            let request = Request::new("POST", &path).header("Authorization", &format!("Bearer {token}"));
            request.body(body).send(&address)
        })
    };
    let mut protecting = body.clone();
    protecting["protect_from_deletion"] = json!(true);
    let (first, second) = place.project.while_writing(|| {
        let pause = || std::thread::sleep(std::time::Duration::from_millis(700));
        let first = send(&bob, &body);
        pause();
        let second = send(&carol, &protecting);
        pause();
        (first, second)
    });
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    assert_eq!((first.status, second.status), (201, 403), "{} {}", first.text, second.text);
    let uid = first.json()["uid"].as_str().unwrap().to_owned();
    let path = format!("{DYNAMIC}/{uid}/");
    let shown = place.send(&Request::new("GET", &path).header("Authorization", &format!("Bearer {bob}")));
    assert_eq!(shown.json()["protect_from_deletion"], json!(false), "{}", shown.text);
}

fn rights_are_asked_for(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let token = |user: &str, rights: &str| {
        let created = place.project.json(&["token", "create", "--user", user, "--right", rights]);
        created["token"]
            .as_str()
            .or(created["text"].as_str())
            .unwrap_or_else(|| panic!("{created}"))
            .to_owned()
    };
    let grant = |role: &str, words: &[&str]| {
        place.project.run(&[&["role", "grant", role], words].concat());
    };
    for user in ["ada", "grace", "mary"] {
        place.project.run(&["user", "create", user]);
    }
    grant("admin", &["--user", "ada"]);
    grant("viewer", &["--user", "grace", "--table", RATES]);
    let (ada, grace, mary) =
        (token("ada", "read,write,manage"), token("grace", "read,write"), token("mary", "read,write"));
    // A server that was there before the first token closes within a second.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let ask = |token: Option<&str>, method: &str, path: &str, body: &Value| {
        let mut request = Request::new(method, path);
        if let Some(token) = token {
            request = request.header("Authorization", &format!("Bearer {token}"));
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        place.send(&request)
    };
    let status =
        |token: Option<&str>, method: &str, path: &str, body: &Value| ask(token, method, path, body).status;
    let list = format!("{DYNAMIC}/");
    assert_eq!(status(None, "GET", &list, &Value::Null), 401);
    assert_eq!(status(Some("dn_x_y"), "GET", &list, &Value::Null), 401);
    let count = |token: &str| ask(Some(token), "GET", &list, &Value::Null).json()["count"].clone();
    assert_eq!((count(&ada), count(&grace), count(&mary)), (json!(2), json!(1), json!(0)));
    // One who sees nothing of it learns nothing of it.
    let (show, delete) = (place.of_rates(""), place.of_rates("delete_after_date/"));
    let tail = json!({"after_date": "1999-01-08"});
    assert_eq!(status(Some(&mary), "GET", &show, &Value::Null), 404);
    assert_eq!(status(Some(&mary), "POST", &delete, &tail), 404);
    assert_eq!(
        ask(Some(&mary), "GET", &format!("{DYNAMIC}/description-search/?q=rates"), &Value::Null).json()["count"],
        0
    );
    assert_eq!(status(Some(&grace), "GET", &show, &Value::Null), 200);
    assert_eq!(status(Some(&grace), "POST", &delete, &tail), 403);
    assert_eq!(status(Some(&grace), "POST", &place.of_rates("add-to-view/"), &json!({"user_id": 1})), 403);
    assert_eq!(status(Some(&grace), "DELETE", &show, &Value::Null), 403);
    let register = ask(Some(&grace), "POST", &format!("{DYNAMIC}/register/"), &Value::Null).status;
    assert_eq!(register, 400, "the body is looked at first");
    assert_eq!(status(Some(&ada), "POST", &delete, &tail), 200);
    // Who one is.
    let details = ask(Some(&ada), "GET", "/user/api/user/get_user_details/", &Value::Null).json();
    assert_eq!(
        (&details["user"]["username"], details["user"]["organization"]["name"].is_string()),
        (&json!("ada"), true)
    );
    assert!(ask(Some(&ada), "GET", "/auth/rest-auth/user/", &Value::Null).json()["uid"].is_string());
    // A token refreshes itself, as long as it counts; and its id and secret are a credential.
    let refresh =
        |token: &str| ask(None, "POST", "/auth/jwt-token/token/refresh/", &json!({"refresh": token}));
    assert_eq!(refresh(&grace).json()["access"], json!(grace));
    let parts: Vec<&str> = grace.split('_').collect();
    let body = json!({"credential_id": parts[1], "credential_secret": parts[2]});
    let credential = ask(None, "POST", "/orm/api/pods/runtime-credentials/token/", &body).json();
    assert_eq!((&credential["access"], &credential["token_type"]), (&json!(grace), &json!("Bearer")));
    assert_eq!(
        status(None, "POST", "/auth/jwt-token/token/", &json!({"username": "ada", "password": "x"})),
        403
    );
    place.project.run(&["token", "revoke", parts[1]]);
    assert_eq!(refresh(&grace).status, 401);
    assert_eq!(status(None, "POST", "/orm/api/pods/runtime-credentials/token/", &body), 401);
    assert_eq!(status(Some(&grace), "GET", &list, &Value::Null), 401);
}

/// The interpreter of the existing client.
fn python() -> PathBuf {
    let named = std::env::var_os("DATANODE_TEST_CLIENT").map(PathBuf::from);
    let python = named.unwrap_or_else(|| target().join("client/bin/python"));
    assert!(python.exists(), "this test drives the existing client, which is made by: cargo xtask client");
    python
}

/// The client, unmodified, by scripts that say what it must find.
fn the_client_finds_reads_and_changes_tables(project: Project) {
    let place = Place::new(project, "2007-12-31");
    for name in ["ada", "grace"] {
        place.project.run(&["user", "create", name]);
    }
    place.project.run(&["team", "create", "desk"]);
    place.project.run(&["role", "grant", "admin", "--user", "ada"]);
    let created = place.project.json(&["token", "create", "--user", "ada", "--right", "read,write,manage"]);
    let token = created["token"].as_str().or(created["text"].as_str()).unwrap();
    let rows = place.project.json(&["stats", "show", RATES])["rows"].to_string();
    let scratch = tempfile::tempdir().unwrap();
    for script in ["catalogue.py", "reads.py", "sql.py", "commands.py", "deletes.py"] {
        let mut command = Command::new(python());
        command
            .arg(root().join("tests/client").join(script))
            .current_dir(scratch.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", scratch.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MAINSEQUENCE_ENDPOINT", format!("http://{}", place.server.address()))
            .env("MAINSEQUENCE_ACCESS_TOKEN", token)
            .env("RATES", &place.rates)
            .env("ASSETS", &place.assets)
            .env("ROWS", &rows);
        let output = command.output().expect("an interpreter");
        let (told, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}: {}\n{told}\n{errors}", output.status);
        assert!(told.trim_end().ends_with("as expected"), "{script} ended before its end:\n{told}\n{errors}");
    }
}
