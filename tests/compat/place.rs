//! A server of the example, and how it is asked as the client asks.

use datanode_tests::{Project, Server};
use serde_json::{Value, json};

use crate::http::{Answer, Request};

pub(crate) const DYNAMIC: &str = "/orm/api/ts_manager/dynamic_table";
pub(crate) const META: &str = "/orm/api/ts_manager/meta_table";
pub(crate) const RATES: &str = "fx_ecb_daily_rates";

/// A project of the example with a part of its rows, a plain table, and a server over it.
pub(crate) struct Place {
    pub(crate) project: Project,
    pub(crate) server: Server,
    /// Uid of the table of rates.
    pub(crate) rates: String,
    /// Uid of the plain table.
    pub(crate) assets: String,
}

pub(crate) const ASSETS: &str = r#"
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
    pub(crate) fn new(project: Project, until: &str) -> Self {
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

    pub(crate) fn send(&self, request: &Request<'_>) -> Answer {
        request.send(&self.server.address().to_string())
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        // The client labels its bodies by chance, and takes compressed ones.
        let request =
            Request::new(method, path).header("Content-Type", "text/plain").header("Accept-Encoding", "gzip");
        self.send(&request.body(body))
    }

    /// Ask for what must be answered so.
    #[track_caller]
    pub(crate) fn answer(&self, status: u16, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text);
        answer.json()
    }

    /// Ask for what must be refused so; what is said.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, method: &str, path: &str, body: &Value) -> String {
        let answer = self.answer(status, method, path, body);
        let detail = answer["detail"].as_str().unwrap_or_default().to_owned();
        assert!(!detail.is_empty(), "the client shows `detail`: {answer}");
        detail
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.answer(200, "GET", path, &Value::Null)
    }

    /// A path below the table of rates.
    pub(crate) fn of_rates(&self, action: &str) -> String {
        format!("{DYNAMIC}/{}/{action}", self.rates)
    }

    /// All pages of a read.
    #[track_caller]
    pub(crate) fn read(&self, uid: &str, body: &Value) -> Vec<Value> {
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
    pub(crate) fn registration(&self, identifier: &str, table: &str) -> Value {
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

    pub(crate) fn source(&self) -> String {
        let sources = self.get(&format!("{DYNAMIC}_data_source/"));
        sources["results"][0]["uid"].as_str().unwrap().to_owned()
    }

    pub(crate) fn uids(&self, query: &str) -> Vec<String> {
        let page = self.get(&format!("{DYNAMIC}/{query}"));
        page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|table| table["uid"].as_str().unwrap().to_owned())
            .collect()
    }
}
