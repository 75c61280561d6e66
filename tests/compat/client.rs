//! The existing client, unmodified, by scripts.

use std::path::PathBuf;
use std::process::Command;

use datanode_tests::{Project, root, target};

use crate::place::{Place, RATES};

/// The interpreter of the existing client.
fn python() -> PathBuf {
    let named = std::env::var_os("DATANODE_TEST_CLIENT").map(PathBuf::from);
    let python = named.unwrap_or_else(|| target().join("client/bin/python"));
    assert!(python.exists(), "this test drives the existing client, which is made by: cargo xtask client");
    python
}

/// The client, unmodified, by scripts that say what it must find.
pub(crate) fn the_client_finds_reads_and_changes_tables(project: Project) {
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
