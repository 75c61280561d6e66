//! Contracts and tables as their users meet them: what is refused and how it is mended, rows from files, identifiers
//! that move, metadata.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

use datanode_tests::{Project, component, on_both_databases, root};
use serde_json::Value;

/// What a user typed and read, with what differs from run to run masked.
#[derive(Default)]
struct Transcript(String);

impl Transcript {
    /// Run a command, whatever comes of it, and then the commands that it proposes.
    fn run(&mut self, project: &Project, arguments: &[&str]) -> i32 {
        let (exit, said) = self.say(project, arguments);
        project.mended_by(&said);
        exit
    }

    /// Run a command, whatever comes of it; answers what it said too.
    fn say(&mut self, project: &Project, arguments: &[&str]) -> (i32, String) {
        let output = project.output(arguments);
        let exit = output.status.code().unwrap_or(-1);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let typed = format!("$ datanode {}\n{said}", arguments.join(" "));
        self.0 += &masked(&typed.replace(root().to_str().unwrap(), "REPOSITORY"));
        self.0 += &if exit == 0 { "\n".to_owned() } else { format!("exit {exit}\n\n") };
        (exit, said)
    }

    /// A command that fails, with what mends it, after which it works.
    fn mends(&mut self, project: &Project, arguments: &[&str], mend: &[&str]) {
        assert_ne!(self.run(project, arguments), 0);
        assert_eq!(self.run(project, mend), 0, "{}", self.0);
        assert_eq!(self.run(project, arguments), 0, "{}", self.0);
    }
}

/// UUIDs, moments and hashes of nodes differ from run to run.
fn masked(text: &str) -> String {
    const SHAPES: [(&str, &str); 3] = [
        ("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "UID"),
        ("0000-00-00T00:00:00.000000Z", "MOMENT"),
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "HASH"),
    ];
    let fits = |text: &[u8], shape: &str| {
        text.len() >= shape.len()
            && text.iter().zip(shape.bytes()).all(|(found, wanted)| match wanted {
                b'x' => found.is_ascii_hexdigit(),
                b'0' => found.is_ascii_digit(),
                other => *found == other,
            })
    };
    let (mut masked, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let shape = SHAPES.iter().find(|(shape, _)| fits(rest.as_bytes(), shape));
        let step = if let Some((shape, name)) = shape {
            masked += name;
            shape.len()
        } else {
            masked.push(first);
            first.len_utf8()
        };
        rest = &rest[step..];
    }
    masked
}

fn write(project: &Project, name: &str, text: &str) {
    std::fs::write(project.path().join(name), text).unwrap();
}

fn example(path: &str) -> String {
    root().join("examples/fx").join(path).to_str().unwrap().to_owned()
}

const PRICES: &str = r#"identifier = "prices"
namespace = "examples.shop"
description = "Prices: one row per day and article."
index = ["time_index", "article"]
cadence = "1d"

[[columns]]
name = "time_index"
type = "timestamp_tz"
description = "Day."

[[columns]]
name = "article"
type = "string"
description = "Number of the article."

[[columns]]
name = "price"
type = "float64"
nullable = true
description = "Euro."
"#;

const ARTICLES: &str = r#"identifier = "articles"
kind = "reference"
description = "Articles: one row per number."
primary_key = ["article"]
columns = [
    { name = "article", type = "string", description = "Number." },
    { name = "name", type = "string", nullable = true, description = "Name." },
    { name = "weight", type = "decimal(9,3)", nullable = true, description = "Kilogram." },
    { name = "since", type = "date", nullable = true, description = "First day." },
]
"#;

const FOREIGN_KEY: &str = r#"
[[foreign_keys]]
columns = ["article"]
references = { table = "articles", columns = ["article"] }
"#;

#[test]
fn faults_of_a_contract_are_shown_with_file_line_and_column() {
    let project = Project::new();
    let cases = [
        PRICES.replace("\"prices\"", "\"Prices\""),
        PRICES.replace("[\"time_index\", \"article\"]", "[\"article\"]"),
        PRICES.replace("\"price\"", "\"article\""),
        PRICES.replace("float64", "float128"),
        PRICES.replace("1d", "1D"),
        PRICES.replace("nullable = true", "nullable = maybe"),
        PRICES.replace("index =", "primary_key ="),
        format!("{PRICES}{}", FOREIGN_KEY.replace("[\"article\"]\nref", "[\"artikel\"]\nref")),
        ARTICLES.replace("primary_key = [\"article\"]\n", ""),
        ARTICLES.replace("\"Kilogram.\"", "\"Kilogram.\", id = 0"),
        // Accepted, with warnings.
        PRICES.replace("description = \"Euro.\"\n", "").replace("cadence = \"1d\"\n", ""),
    ];
    let mut transcript = Transcript::default();
    for text in cases {
        write(&project, "table.toml", &text);
        let (exit, said) = transcript.say(&project, &["table", "register", "table.toml"]);
        // Once the file is mended, the command that is named does it.
        let mended = if text.contains("kind = \"reference\"") { ARTICLES } else { PRICES };
        write(&project, "table.toml", mended);
        assert_eq!(project.mended_by(&said), usize::from(exit != 0), "{said}");
    }
    insta::assert_snapshot!(transcript.0);

    // The same contract as JSON, and files that are none.
    let mut transcript = Transcript::default();
    let json = |index: &str, data_type: &str| {
        format!(
            "{{\n  \"identifier\": \"days\",\n  \"description\": \"Days.\",\n  \"cadence\": \"1d\",\n  \"index\": [{index}],\n  \
             \"columns\": [\n    {{ \"name\": \"time_index\", \"type\": \"{data_type}\", \"description\": \"Day.\" }}\n  ]\n}}\n"
        )
    };
    let sound = json("\"time_index\"", "timestamp_tz");
    for text in [
        sound.replace("\"days\"", "\"Days\""),
        json("", "timestamp_tz"),
        json("\"time_index\"", "date"),
        json("\"time_index\"", "moment"),
        sound.replace("cadence", "rhythm"),
        sound.replace("\n  ]\n", "\n"),
        String::new(),
    ] {
        write(&project, "days of.json", &text);
        let (exit, said) = transcript.say(&project, &["table", "register", "days of.json"]);
        assert_eq!(exit, 2, "{said}");
        assert_eq!(transcript.say(&project, &["table", "diff", "days of.json"]).0, 2);
        write(&project, "days of.json", &sound);
        assert_eq!(project.mended_by(&said), 1, "{said}");
    }
    transcript.say(&project, &["table", "register", "missing.toml"]);
    insta::assert_snapshot!("faults_of_a_contract_in_json", transcript.0);
}

fn a_taken_identifier_names_its_holder_and_the_ways_on(project: Project) {
    write(&project, "prices.toml", PRICES);
    project.run(&["table", "register", "prices.toml"]);
    let mut transcript = Transcript::default();
    assert_eq!(transcript.run(&project, &["table", "diff", "prices.toml"]), 0);

    // Metadata are applied at once.
    write(&project, "prices.toml", &PRICES.replace("Euro.", "Euro, with tax.").replace("1d", "1w"));
    assert_eq!(transcript.run(&project, &["table", "diff", "prices.toml"]), 1);
    transcript.run(&project, &["table", "register", "prices.toml"]);
    assert_eq!(transcript.run(&project, &["table", "diff", "prices.toml"]), 0);

    // Anything else is refused, with the ways on.
    let other = PRICES.replace("float64", "decimal(9,2)").replace("examples.shop", "lab.trial");
    let other = format!("{other}\n[[columns]]\nname = \"tax\"\ntype = \"float64\"\nnullable = true\n");
    write(&project, "prices.toml", &other);
    assert_eq!(transcript.run(&project, &["table", "register", "prices.toml"]), 3);
    assert_eq!(transcript.run(&project, &["table", "diff", "prices.toml"]), 1);
    write(&project, "prices_trial.toml", &other.replace("\"prices\"", "\"prices_trial\""));
    transcript.run(&project, &["table", "register", "prices_trial.toml"]);

    // A renamed column is known by its field id.
    let renamed = PRICES.replace("name = \"price\"", "name = \"amount\"\nid = 3").replace("1d", "1w");
    write(&project, "prices.toml", &renamed.replace("Euro.", "Euro, with tax."));
    assert_eq!(transcript.run(&project, &["table", "diff", "prices.toml"]), 1);
    let document: Value =
        serde_json::from_slice(&project.output(&["table", "diff", "prices.toml", "--json"]).stdout).unwrap();
    assert_eq!(
        (&document["reach"], &document["changes"][0]["change"]),
        (&"breaking".into(), &"rename_column".into())
    );

    // Of a table that is not there.
    write(&project, "prices.toml", &PRICES.replace("\"prices\"", "\"costs\""));
    transcript.mends(&project, &["table", "diff", "prices.toml"], &["table", "register", "prices.toml"]);
    insta::assert_snapshot!("a_taken_identifier_names_its_holder_and_the_ways_on", transcript.0);
}

fn foreign_keys_lead_to_registered_tables_that_fit(project: Project) {
    write(&project, "prices.toml", &format!("{PRICES}{FOREIGN_KEY}"));
    write(&project, "articles.toml", ARTICLES);
    let mut transcript = Transcript::default();
    transcript.mends(
        &project,
        &["table", "register", "prices.toml"],
        &["table", "register", "articles.toml"],
    );
    let shown = project.run(&["table", "show", "articles"]);
    assert!(shown.contains("referred to by  prices (article)"), "{shown}");
    // By identifier or by uid, it is the same.
    let uid = project.json(&["table", "show", "articles"])["uid"].as_str().unwrap().to_owned();
    write(
        &project,
        "prices.toml",
        &format!("{PRICES}{}", FOREIGN_KEY.replace("\"articles\"", &format!("\"{uid}\""))),
    );
    assert_eq!(transcript.run(&project, &["table", "diff", "prices.toml"]), 0);
    // Taken away, it is a breaking difference.
    write(&project, "prices.toml", PRICES);
    assert_eq!(transcript.run(&project, &["table", "diff", "prices.toml"]), 1);

    for wrong in [
        FOREIGN_KEY.replace("columns = [\"article\"] }", "columns = [\"name\"] }"),
        FOREIGN_KEY.replace("[\"article\"]\nref", "[\"price\"]\nref"),
        format!("{FOREIGN_KEY}{}", FOREIGN_KEY.replace("\"articles\"", &format!("\"{uid}\""))),
    ] {
        let other = PRICES.replace("\"prices\"", "\"others\"");
        write(&project, "others.toml", &format!("{other}{wrong}"));
        let (exit, said) = transcript.say(&project, &["table", "register", "others.toml"]);
        assert_ne!(exit, 0);
        write(&project, "others.toml", &other);
        assert_eq!(project.mended_by(&said), 1, "{said}");
    }
    insta::assert_snapshot!("foreign_keys_lead_to_registered_tables_that_fit", transcript.0);
}

fn rows_of_a_reference_table_come_from_files(project: Project) {
    write(&project, "articles.toml", ARTICLES);
    write(&project, "prices.toml", PRICES);
    project.run(&["table", "register", "articles.toml", "prices.toml"]);
    let mut transcript = Transcript::default();
    // The columns in another order than the contract's, a byte order mark, and a quoted line break.
    write(
        &project,
        "a.csv",
        "\u{feff}name,article,since,weight\n\"Bolt, M8\nsteel\",b1,2020-01-31,0.012\n,b2,,\nNut,b3,,1.5\n",
    );
    let load = ["table", "load", "articles", "a.csv"];
    transcript.run(&project, &load);
    transcript.run(&project, &load);
    write(&project, "b.csv", "article,name,weight,since\nb2,Screw,,\nb3,Nut,1.500,\nb4,Washer,,\n");
    transcript.run(&project, &["table", "load", "articles", "b.csv"]);
    transcript.run(&project, &["table", "read", "articles"]);
    transcript.run(&project, &["table", "load", "articles", "b.csv", "--replace"]);
    transcript.run(&project, &["table", "read", "articles", "--format", "csv"]);
    transcript.run(&project, &["table", "read", "articles", "--where", "article=b3", "--columns", "weight"]);
    transcript.run(&project, &["table", "list"]);
    let epoch = |project: &Project| project.json(&["table", "show", "articles"])["epoch"].clone();
    assert_eq!(epoch(&project), 3, "a load that changes nothing raises no epoch");

    // What is read goes back in as it is.
    let text = project.run(&["table", "read", "articles", "--format", "csv", "--limit", "0"]);
    write(&project, "back.csv", &text);
    let back = project.json(&["table", "load", "articles", "back.csv", "--replace"]);
    assert_eq!((&back["unchanged"], &back["updated"], &back["deleted"]), (&3.into(), &0.into(), &0.into()));

    // Nothing of a file that is refused is stored.
    for text in [
        "article,name,weight,since\nb5,,,\nb6,,heavy,\n",
        "article,name,weight,since\nb5,,,\nb6,,1.2345,\n",
        "article,name,weight,since\nb5,,,\n,,,2020-02-30\n",
        "article,name,weight,since\nb5,,,\nb6,x,,\nb5,y,,\n",
        "article,name,weight,since\nb5,,\n",
        "article,name,weight\nb5,,\n",
        "article,name,weight,since,colour\nb5,,,,\n",
        "article,name,weight,since,name\nb5,,,,\n",
        "",
    ] {
        write(&project, "bad.csv", text);
        assert_ne!(transcript.run(&project, &["table", "load", "articles", "bad.csv"]), 0);
    }
    write(&project, "rows.txt", "article,name,weight,since\nb9,,,\n");
    for arguments in [
        &["table", "load", "articles", "rows.txt"][..],
        &["table", "load", "articles", "missing.csv"],
        &["table", "load", "articles", "b.csv", "--format", "parquet"],
        &["table", "load", "articles", "b.csv", "--format", "arrow"],
        &["table", "load", "prices", "b.csv"],
        &["table", "load", "nowhere", "b.csv"],
        &["table", "read", "articles", "--where", "name=Nut"],
        &["table", "read", "articles", "--start", "2020-01-01"],
        &["table", "show", "articles", "--plot", "weight"],
    ] {
        assert_ne!(transcript.run(&project, arguments), 0, "{arguments:?}");
    }
    assert_eq!(
        (epoch(&project), project.json(&["table", "show", "articles"])["rows"].clone()),
        (3.into(), 3.into())
    );
    transcript.run(&project, &["table", "load", "articles", "rows.txt", "--format", "csv"]);
    insta::assert_snapshot!("rows_of_a_reference_table_come_from_files", transcript.0);
}

/// The rates of the example, each of a known currency.
fn with_currencies(empty: Project) -> Project {
    let project = empty;
    let rates = std::fs::read_to_string(example("contracts/fx_ecb_daily_rates.toml")).unwrap();
    let key = "\n[[foreign_keys]]\ncolumns = [\"currency\"]\nreferences = { table = \"currencies\", columns = [\"currency\"] }\n";
    write(&project, "rates.toml", &(rates + key));
    project.run(&["table", "register", &example("contracts/currencies.toml"), "rates.toml"]);
    project.upload("ecb_daily_fx_rates");
    project.run(&["source", "add", "ecb", "--path", &example("data"), "--grant", "ecb_daily_fx_rates"]);
    project.run(&["node", "create", "ecb_daily_fx_rates", "--table", "fx_ecb_daily_rates"]);
    project
}

fn a_row_that_refers_to_nothing_stores_nothing(empty: Project) {
    let project = with_currencies(empty);
    let all = std::fs::read_to_string(example("reference/currencies.csv")).unwrap();
    let without = |codes: &[&str]| {
        let kept = all.lines().filter(|line| !codes.iter().any(|code| line.starts_with(code)));
        kept.collect::<Vec<_>>().join("\n")
    };
    write(&project, "some.csv", &without(&["SEK", "ZAR"]));
    project.run(&["table", "load", "currencies", "some.csv"]);
    let run = ["node", "run", "fx_ecb_daily_rates", "--until", "1999-01-31", "--progress", "none"];
    let (exit, said) = project.fails(&run);
    assert_eq!(exit, 1);
    let said = masked(said.split("see:").next().unwrap());
    insta::assert_snapshot!("a_row_that_refers_to_nothing_stores_nothing", said);
    assert_eq!(project.json(&["table", "show", "fx_ecb_daily_rates"])["rows"], 0);
    let failed = &project.json(&["run", "list"])[0];
    assert_eq!(
        (&failed["status"], &failed["error"]["code"]),
        (&"failed".into(), &"store.foreign_key".into())
    );

    // The next step mends it.
    project.run(&["table", "load", "currencies", &example("reference/currencies.csv")]);
    project.run(&run);
    let rows = project.json(&["table", "show", "fx_ecb_daily_rates"])["rows"].clone();
    assert!(rows.as_u64().unwrap() > 300, "{rows}");

    // Rows that are referred to cannot go; others can.
    let mut transcript = Transcript::default();
    write(&project, "some.csv", &without(&["USD", "TRY"]));
    assert_eq!(transcript.run(&project, &["table", "load", "currencies", "some.csv", "--replace"]), 3);
    assert_eq!(project.json(&["table", "show", "currencies"])["rows"], 41);
    transcript.run(&project, &["table", "load", "currencies", "some.csv"]);
    write(&project, "some.csv", &without(&["TRY"]));
    transcript.run(&project, &["table", "load", "currencies", "some.csv", "--replace"]);
    insta::assert_snapshot!("rows_that_are_referred_to_cannot_go", transcript.0);
}

/// Rows of a node refer to rows that another node writes: they are there first, or nothing is stored.
#[test]
fn a_row_that_refers_to_no_row_of_a_node_stores_nothing() {
    let project = Project::new();
    project.upload("daily_series");
    let contract = std::fs::read_to_string(root().join("tests/guests/daily_series/contract.toml")).unwrap();
    let named = |table: &str| contract.replace("\"daily_series\"", &format!("\"{table}\""));
    let key = "\n[[foreign_keys]]\ncolumns = [\"time_index\", \"series\"]\n\
               references = { table = \"quotes\", columns = [\"time_index\", \"series\"] }\n";
    write(&project, "quotes.toml", &named("quotes"));
    write(&project, "trades.toml", &(named("trades") + key));
    project.run(&["table", "register", "quotes.toml", "trades.toml"]);
    for table in ["quotes", "trades"] {
        let config = ["--config", r#"{"series": ["A"]}"#];
        project.run(&[&["node", "create", "daily_series", "--table", table], &config[..]].concat());
    }
    // The quotes end before the trades do.
    project.run(&["node", "run", "quotes", "--until", "2000-01-03"]);
    let run = ["node", "run", "trades", "--until", "2000-01-05", "--progress", "none"];
    let (exit, said) = project.fails(&run);
    assert_eq!(exit, 1);
    insta::assert_snapshot!(masked(said.split("see:").next().unwrap()), @r"
    error[store.foreign_key]: trades: table `trades`, row (MOMENT, A): (time_index, series) = (MOMENT, A) is no row of table `quotes`; nothing was stored
    next: run the node that writes it first: datanode node run quotes
    ");
    assert_eq!(project.json(&["table", "show", "trades"])["rows"], 0, "not even the rows that would fit");
    assert_eq!(project.mended_by(&said), 1);
    project.run(&["node", "run", "quotes", "--until", "2000-01-05"]);
    project.run(&run);
    assert_eq!(project.json(&["table", "show", "trades"])["rows"], 5);
}

fn a_reference_table_may_refer_to_itself_and_to_others(project: Project) {
    let groups = r#"
        identifier = "groups"
        kind = "reference"
        description = "Groups of articles."
        primary_key = ["id"]
        columns = [
            { name = "id", type = "int32", description = "Number." },
            { name = "parent", type = "int32", nullable = true, description = "The group that it is a part of." },
        ]
        [[foreign_keys]]
        columns = ["parent"]
        references = { table = "groups", columns = ["id"] }
    "#;
    write(&project, "groups.toml", groups);
    project.run(&["table", "register", "groups.toml"]);
    let mut transcript = Transcript::default();
    let mut load = |text: &str, more: &[&str]| {
        write(&project, "groups.csv", text);
        transcript.run(&project, &[&["table", "load", "groups", "groups.csv"], more].concat())
    };
    // Rows may refer to rows that come later, and to rows that are there.
    assert_eq!(load("id,parent\n2,1\n1,\n3,2\n", &[]), 0);
    assert_eq!(load("id,parent\n4,3\n5,9\n", &[]), 1);
    // A whole branch goes at once, a row that is still referred to does not.
    assert_eq!(load("id,parent\n1,\n3,2\n", &["--replace"]), 3);
    assert_eq!(load("id,parent\n1,\n", &["--replace"]), 0);
    assert_eq!(project.json(&["table", "show", "groups"])["rows"], 1);

    // What a deletion does elsewhere raises the epochs there.
    let things = r#"
        identifier = "things"
        kind = "reference"
        description = "Things."
        primary_key = ["id"]
        columns = [
            { name = "id", type = "uuid", description = "Id." },
            { name = "group_id", type = "int32", nullable = true, description = "Group." },
        ]
        [[foreign_keys]]
        columns = ["group_id"]
        references = { table = "groups", columns = ["id"] }
        on_delete = "set_null"
    "#;
    write(&project, "things.toml", things);
    project.run(&["table", "register", "things.toml"]);
    write(&project, "things.csv", "id,group_id\n018f0000-0000-7000-8000-000000000001,1\n");
    project.run(&["table", "load", "things", "things.csv"]);
    let before = project.json(&["table", "show", "things"])["epoch"].as_i64().unwrap();
    write(&project, "groups.csv", "id,parent\n7,\n");
    project.run(&["table", "load", "groups", "groups.csv", "--replace"]);
    assert_eq!(project.json(&["table", "read", "things"])[0]["group_id"], Value::Null);
    assert_eq!(project.json(&["table", "show", "things"])["epoch"], before + 1);
    insta::assert_snapshot!("a_reference_table_may_refer_to_itself_and_to_others", transcript.0);
}

fn a_moved_identifier_changes_no_node_that_is_there(empty: Project) {
    let project = empty.and_fx();
    let run = ["node", "run", "fx_log_returns", "--until"];
    project.run(&[&run[..], &["1999-02-01"]].concat());
    let before = project.json(&["node", "show", "fx_log_returns"]);
    assert_eq!(before["moved"], serde_json::json!([]));
    let old = project.json(&["table", "show", "fx_ecb_daily_rates"]);

    let rates = std::fs::read_to_string(example("contracts/fx_ecb_daily_rates.toml")).unwrap();
    write(&project, "v2.toml", &rates.replace("\"fx_ecb_daily_rates\"", "\"fx_ecb_daily_rates_v2\""));
    project.run(&["table", "register", "v2.toml"]);
    let new = project.json(&["table", "show", "fx_ecb_daily_rates_v2"]);
    let mut transcript = Transcript::default();
    let repoint = ["table", "repoint", "fx_ecb_daily_rates", "--to", "fx_ecb_daily_rates_v2"];
    // Not without saying what the other is called; nor with a name that a third one has.
    transcript.run(&project, &repoint);
    transcript.run(&project, &[&repoint[..], &["--rename-old", "fx_log_returns"]].concat());
    transcript.run(&project, &[&repoint[..], &["--rename-old", "Old"]].concat());
    transcript.run(&project, &["table", "repoint", "fx_ecb_daily_rates", "--to", "nowhere"]);
    assert_eq!(project.json(&["table", "show", "fx_ecb_daily_rates"])["uid"], old["uid"]);
    transcript.run(&project, &[&repoint[..], &["--rename-old", "fx_ecb_daily_rates_old"]].concat());
    transcript.run(
        &project,
        &[&["table", "repoint", "fx_ecb_daily_rates", "--to"], &[new["uid"].as_str().unwrap()][..]].concat(),
    );
    transcript.run(&project, &["table", "diff", &example("contracts/fx_ecb_daily_rates.toml")]);
    assert_eq!(project.json(&["table", "show", "fx_ecb_daily_rates"])["uid"], new["uid"]);
    assert_eq!(project.json(&["table", "show", "fx_ecb_daily_rates_old"])["rows"], old["rows"]);

    // The node stays what it was: the same hash, the same tables, for itself and for what it depends on.
    let shown = project.output(&["node", "show", "fx_log_returns"]);
    transcript.0 += &masked(&String::from_utf8(shown.stderr).unwrap());
    let after = project.json(&["node", "show", "fx_log_returns"]);
    assert_eq!(after["node"], before["node"]);
    assert_eq!(after["moved"][0]["bound_uid"], old["uid"]);
    assert_eq!(after["moved"][0]["names_uid"], new["uid"]);
    let runs = project.json(&[&run[..], &["1999-03-01"]].concat());
    assert_eq!(runs.as_array().unwrap().len(), 2);
    assert_eq!((&runs[0]["status"], &runs[1]["status"]), (&"ok".into(), &"ok".into()));
    assert_eq!(runs[0]["table_uid"], old["uid"]);
    assert_eq!(runs[1]["update_hash"], before["node"]["update_hash"]);
    for input in runs[1]["inputs"].as_array().unwrap().iter().filter(|input| input["key"] != "self") {
        assert_eq!(input["table_uid"], old["uid"]);
    }
    assert_eq!(project.json(&["node", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(project.json(&["table", "show", "fx_ecb_daily_rates"])["rows"], 0);

    // Nor does a newer release see another identity: the release that is there is made an older one, and the same
    // component is uploaded again with an empty section more, so that its bytes are others.
    let manifest = if project.is_on_server() {
        "jsonb_set(manifest::jsonb, '{version}', '\"0.0.1\"')::text"
    } else {
        "json_set(manifest, '$.version', '0.0.1')"
    };
    project.execute(&format!(
        "UPDATE _components SET version = '0.0.1', manifest = {manifest} WHERE name = 'fx_log_returns'"
    ));
    let bytes = std::fs::read(component("fx_log_returns")).unwrap();
    let newer = project.path().join("newer.wasm");
    std::fs::write(&newer, [&bytes[..], &[0, 2, 1, b'x']].concat()).unwrap();
    project.run(&["component", "upload", newer.to_str().unwrap()]);
    let runs = project.json(&[&run[..], &["1999-04-01"]].concat());
    assert_eq!((&runs[1]["status"], &runs[1]["update_hash"]), (&"ok".into(), &before["node"]["update_hash"]));

    // A node that is created now is bound to the table that holds the identifier now.
    let create = ["node", "create", "fx_log_returns", "--table", "fx_log_returns"];
    let created = project.json(&create);
    assert!(created.as_array().unwrap().iter().all(|node| node["created"] == true), "{created:#}");
    assert_eq!(created[0]["node"]["table_uid"], new["uid"]);
    assert_ne!(created[1]["node"]["update_hash"], before["node"]["update_hash"]);

    // Traded back, nothing has moved any more, and the first node is found again.
    let back = [
        &["table", "repoint", "fx_ecb_daily_rates", "--to", "fx_ecb_daily_rates_old"][..],
        &["--rename-old", "fx_ecb_daily_rates_old"],
    ]
    .concat();
    transcript.run(&project, &back);
    let again = project.json(&create);
    assert_eq!(again[1]["node"]["uid"], before["node"]["uid"]);
    assert_eq!(again[1]["created"], false);
    insta::assert_snapshot!("a_moved_identifier_changes_no_node_that_is_there", transcript.0);
}

fn labels_and_descriptions_are_changed_in_place(project: Project) {
    write(&project, "prices.toml", PRICES);
    project.run(&["table", "register", "prices.toml"]);
    let mut transcript = Transcript::default();
    for arguments in [
        &["table", "label", "prices", "--add", "shop", "--add", "end of day"][..],
        &["table", "label", "prices", "--add", "shop"],
        &["table", "label", "prices", "--remove", "shop", "--add", "store"],
        &["table", "label", "prices", "--remove", "shop"],
        &["table", "label", "prices", "--add", " "],
        &["table", "label", "prices"],
        &["table", "label", "prices", "--set", "a,b"],
        &["table", "label", "nowhere", "--add", "a"],
        &[
            "table",
            "describe",
            "prices",
            "--description",
            "Prices of articles.",
            "--column",
            "price=Euro, net.",
        ],
        &["table", "describe", "prices", "--column-label", "price=Price"],
        &["table", "describe", "prices", "--column", "cost=Euro."],
        &["table", "describe", "prices", "--column", "price"],
        &["table", "describe", "prices"],
        // The file is the older of the two now.
        &["table", "diff", "prices.toml"],
    ] {
        transcript.run(&project, arguments);
    }
    let contract = &project.json(&["table", "show", "prices"])["contract"];
    assert_eq!(contract["labels"], serde_json::json!(["a", "b"]));
    assert_eq!(contract["columns"][2]["label"], "Price");
    assert_eq!(project.json(&["table", "show", "prices"])["epoch"], 0);
    insta::assert_snapshot!("labels_and_descriptions_are_changed_in_place", transcript.0);
}

fn nodes_read_reference_tables_and_write_none(project: Project) {
    project.upload("reads_rows");
    let output = root().join("tests/guests/reads_rows/contract.toml");
    project.run(&["table", "register", &example("contracts/currencies.toml"), output.to_str().unwrap()]);
    project.run(&["table", "load", "currencies", &example("reference/currencies.csv")]);
    let config = ["--config", "{\"table\": \"currencies\"}"];
    let mut transcript = Transcript::default();
    let refused = [&["node", "create", "reads_rows", "--table", "currencies"], &config[..]].concat();
    assert_eq!(transcript.run(&project, &refused), 3);
    let table = project.json(&["table", "list"]).as_array().unwrap().iter().find_map(|table| {
        let identifier = table["contract"]["identifier"].as_str().unwrap();
        (identifier != "currencies").then(|| identifier.to_owned())
    });
    let table = table.unwrap();
    project.run(&[&["node", "create", "reads_rows", "--table", &table], &config[..]].concat());
    let runs = project.json(&["node", "run", &table]);
    let input = &runs[0]["inputs"][0];
    assert_eq!(
        (&runs[0]["status"], &input["table"], &input["rows"]),
        (&"ok".into(), &"currencies".into(), &41.into())
    );
    assert_eq!((&input["min_time"], &input["max_time"]), (&Value::Null, &Value::Null));
    assert_eq!(project.json(&["table", "read", &table])[0]["rows"], 41);
    assert_eq!(project.json(&["node", "graph"])["published"][0]["rows"], 41);
    insta::assert_snapshot!("nodes_read_reference_tables_and_write_none", transcript.0);
}

on_both_databases!(
    a_taken_identifier_names_its_holder_and_the_ways_on,
    foreign_keys_lead_to_registered_tables_that_fit,
    rows_of_a_reference_table_come_from_files,
    a_row_that_refers_to_nothing_stores_nothing,
    a_reference_table_may_refer_to_itself_and_to_others,
    a_moved_identifier_changes_no_node_that_is_there,
    labels_and_descriptions_are_changed_in_place,
    nodes_read_reference_tables_and_write_none,
);
