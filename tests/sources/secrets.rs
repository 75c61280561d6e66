//! Secrets: where their values come from and lie, and that nothing which is kept or shown holds one, in any writing.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datanode_tests::{Project, component, on_both_databases};
use serde_json::Value;

use super::{World, with_input};

/// The value of the secret: characters that every writing changes.
pub(super) const SECRET: &str = r#"Tk-9"x\y/z+&<9?>~ a=7"#;

pub(super) fn set_secret(project: &Project, name: &str, value: &str) -> String {
    let output = with_input(project, &["secret", "set", name], value);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// The secret in every writing, in lower case.
fn writings() -> Vec<String> {
    let each = |write: &dyn Fn(u8) -> String| SECRET.bytes().map(write).collect::<String>();
    // What of its base64 does not depend on what stands around it.
    let base64 = |before: usize| {
        let text = STANDARD.encode(format!("{}{SECRET}", "x".repeat(before)));
        text[(before * 8).div_ceil(6)..(before + SECRET.len()) * 8 / 6].to_owned()
    };
    let mut writings = vec![
        SECRET.to_owned(),
        each(&|byte| format!("{byte:02x}")),
        each(&|byte| format!("%{byte:02x}")),
        each(&|byte| format!("&#{byte};")),
        serde_json::to_string(SECRET).unwrap().trim_matches('"').to_owned(),
        SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
        SECRET.replace('"', "\\\"").replace('\\', "\\\\"),
    ];
    writings.extend((0..3).map(base64));
    writings.iter().map(|writing| writing.to_lowercase()).collect()
}

pub(super) fn assert_clean(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for writing in writings() {
        assert!(!text.contains(&writing), "the secret is in {place}, as {writing}");
    }
}

/// Nothing that is kept or shown holds the secret, but for what is sealed.
pub(super) fn assert_clean_everywhere(project: &Project) {
    for arguments in [
        &["run", "list", "--limit", "0", "--json"][..],
        &["source", "list", "--json"],
        &["source", "show", "api"],
        &["source", "show", "api", "--json"],
        &["secret", "list"],
        &["secret", "list", "--json"],
        &["component", "list", "--json"],
    ] {
        let output = project.output(arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert_clean(&format!("{arguments:?}"), &output.stdout);
    }
    let database = rusqlite::Connection::open(project.database()).unwrap();
    let mut statement = database.prepare("SELECT run_id, document FROM _run_journals").unwrap();
    let rows =
        statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
    let mut journals = 0;
    for row in rows {
        let (run, document) = row.unwrap();
        let mut text = Vec::new();
        zstd::Decoder::new(document.as_slice()).unwrap().read_to_end(&mut text).unwrap();
        assert_clean(&format!("the journal of {run}"), &text);
        // Contents inside of it, as they are.
        for line in String::from_utf8(text).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            for inline in inlines(&line) {
                assert_clean("a content of a journal", &STANDARD.decode(inline).unwrap());
            }
        }
        journals += 1;
    }
    assert!(journals > 0);
    let mut open = vec![project.path().join(".datanode")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            assert_clean(&path.display().to_string(), &bytes);
            let mut text = Vec::new();
            let decoded =
                zstd::Decoder::new(bytes.as_slice()).and_then(|mut file| file.read_to_end(&mut text));
            if decoded.is_ok() {
                assert_clean(&path.display().to_string(), &text);
            }
        }
    }
}

fn inlines(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("inline").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(inlines)).collect()
        }
        Value::Array(values) => values.iter().flat_map(inlines).collect(),
        _ => Vec::new(),
    }
}

fn secrets_are_kept_and_never_shown(project: Project) {
    let world = World::in_project(project);
    let project = &world.project;
    let said = set_secret(project, "api_token", &format!("{SECRET}\n"));
    assert_clean("what `secret set` says", said.as_bytes());
    let url = world.server.url("v1/");
    project.run(&[
        "source",
        "add",
        "api",
        "--url",
        &url,
        "--network",
        "127.0.0.1/32",
        "--header",
        "authorization=Bearer {secret:api_token}",
        "--grant",
        "fetches",
    ]);
    let node = world.fetching("out", &serde_json::json!({ "path": "good" }));
    let sent = |project: &Project, environment: &[(&str, &str)]| {
        world.server.forget();
        let mut command = project.command(&["node", "run", &node, "--force"]);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_clean("a run", said.as_bytes());
        let asked = world.server.asked();
        let head = asked.first().cloned().unwrap_or_default();
        let sent = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        sent.map(str::to_owned).ok_or(said)
    };
    assert_eq!(sent(project, &[]).unwrap(), SECRET);
    let listed = project.json(&["secret", "list"]);
    assert_eq!((&listed[0]["kind"], &listed[0]["used_by"]), (&"sealed".into(), &serde_json::json!(["api"])));
    assert_clean("the list", listed.to_string().as_bytes());

    // Another key, or none: it does not open, which is no fact.
    let other = "ab".repeat(32);
    let said = sent(project, &[("DATANODE_SECRET_KEY", &other)]).unwrap_err();
    assert!(said.starts_with("error[secret.sealed]"), "{said}");
    let key = project.path().join(".datanode/secret.key");
    let kept = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let said = sent(project, &[]).unwrap_err();
    assert!(said.starts_with("error[secret.sealed]"), "{said}");
    assert_eq!(sent(project, &[("DATANODE_SECRET_KEY", &kept)]).unwrap(), SECRET);
    std::fs::write(&key, &kept).unwrap();

    // Set anew, and from where it is already.
    set_secret(project, "api_token", "another-value");
    assert_eq!(sent(project, &[]).unwrap(), "another-value");
    project.run(&["secret", "set", "api_token", "--env", "TEST_API_TOKEN"]);
    let said = sent(project, &[]).unwrap_err();
    assert!(said.starts_with("error[secret.unavailable]") && said.contains("TEST_API_TOKEN"), "{said}");
    assert_eq!(sent(project, &[("TEST_API_TOKEN", "from-a-variable")]).unwrap(), "from-a-variable");
    let file = project.path().join("token");
    std::fs::write(&file, "from-a-file\n").unwrap();
    project.run(&["secret", "set", "api_token", "--file", "token"]);
    assert_eq!(sent(project, &[]).unwrap(), "from-a-file");
    std::fs::write(&file, "short").unwrap();
    assert!(sent(project, &[]).unwrap_err().starts_with("error[secret.unfit]"));

    let (exit, said) = project.fails(&["secret", "remove", "api_token"]);
    assert!(exit == 3 && said.starts_with("error[secret.in_use]"), "{said}");
    project.run(&["source", "remove", "api"]);
    project.run(&["secret", "remove", "api_token"]);
    assert_eq!(project.json(&["secret", "list"]), Value::Array(Vec::new()));
}

on_both_databases!(secrets_are_kept_and_never_shown);

#[test]
fn a_missing_secret_is_no_fact() {
    let world = World::guarded();
    world.project.run(&["source", "grant", "api", "fetches"]);
    world.project.execute("DELETE FROM _secrets");
    let node = world.fetching("out", &serde_json::json!({ "path": "good" }));
    let (exit, said) = world.project.fails(&["node", "run", &node]);
    assert!(exit == 5 && said.starts_with("error[secret.not_found]"), "{said}");
    assert!(world.server.asked().is_empty());
    assert!(world.project.json(&["run", "list"])[0]["journal"].is_null());
    set_secret(&world.project, "api_token", SECRET);
    world.good_run("out");
    assert!(component("fetches").is_file());
}
