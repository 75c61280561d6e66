//! What happens before a guest runs: compiling within bounds, compiled code from disk, memory for guests.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;

use datanode_tests::{Project, component, program};

fn upload_refused(settings: &str) -> (i32, String) {
    let project = Project::with_settings(settings);
    let refused = project.fails(&["component", "upload", component("well_behaved").to_str().unwrap()]);
    assert_eq!(project.json(&["component", "list"]), serde_json::json!([]), "nothing is kept");
    refused
}

#[test]
fn a_compilation_that_takes_too_long_is_ended() {
    let (exit, said) = upload_refused("[compile]\ntime_ms = 1\n");
    assert!(said.contains("error[sandbox.limit.compile_time]"), "{said}");
    assert!(said.contains("`time_ms` under [compile]"), "{said}");
    assert_eq!(exit, 5, "another time the machine may be faster: {said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_compilation_that_takes_too_much_memory_is_ended() {
    let (exit, said) = upload_refused("[compile]\nmemory_bytes = 16777216\n");
    assert!(said.contains("error[sandbox.limit.compile_memory]"), "{said}");
    assert!(said.contains("`memory_bytes` under [compile]"), "{said}");
    assert_eq!(exit, 3, "{said}");
}

/// The limit of memory that the system has set is lower than that of the settings, and only root could raise it: it stays, and is
/// no fault of a component.
#[cfg(target_os = "linux")]
#[test]
fn a_lower_limit_of_the_system_holds_for_compilations_too() {
    use std::process::Command;

    let project = Project::new();
    let file = component("well_behaved");
    let mut command = Command::new("sh");
    // 2 GiB, in KiB, where the settings have 4.
    command.args(["-c", "ulimit -Sd 2097152 && ulimit -Hd 2097152 && exec \"$0\" \"$@\""]);
    command.arg(program()).args(["component", "upload"]).arg(file);
    command.current_dir(project.path()).env_remove("DATANODE_HOME");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What is wrong with the process that compiles is told from what is wrong with a component.
#[test]
fn a_compiling_process_that_cannot_work_refuses_nothing() {
    for arguments in [&["speed-pooling-baseline", "much", "1500"][..], &["slowly", "4294967296", "1500"], &[]]
    {
        let output = std::process::Command::new(program())
            .arg("__compile-component")
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What is left of a process: None when there is nothing, or nothing that runs.
#[cfg(target_os = "linux")]
fn state(process: &str) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next().filter(|state| !"ZX".contains(*state))
}

/// A process that compiles and whose host was killed is ended too; until then the system bounds its time.
#[cfg(target_os = "linux")]
#[test]
fn a_compiling_process_dies_with_its_host() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    // A host that does nothing but wait for the compiling process, which waits for a component.
    let script =
        "exec 3<&0; \"$0\" __compile-component speed-pooling-baseline 4294967296 1500 <&3 & echo $!; wait";
    let mut host = Command::new("sh");
    host.args(["-c", script]).arg(program()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut host = host.spawn().unwrap();
    let mut process = String::new();
    BufReader::new(host.stdout.as_mut().unwrap()).read_line(&mut process).unwrap();
    let process = process.trim();

    let until = |what: &str, done: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !done() {
            assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // Two seconds on each of four threads, and one to be noticed first by the clock of the host.
    until("it sets no limit of processor time", &|| {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let cpu = limits.lines().find(|line| line.starts_with("Max cpu time")).unwrap();
        cpu.split_whitespace().skip(3).take(2).eq(["9", "9"])
    });
    assert!(state(process).is_some(), "it waits for a component");
    let input = host.stdin.take();
    host.kill().unwrap();
    host.wait().unwrap();
    until("it outlives its host", &|| state(process).is_none());
    drop(input);
}

fn compiled(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.path().join(".datanode/compiled")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect()
}

#[test]
fn damaged_and_foreign_code_is_ignored_and_made_anew() {
    let (project, other) = (Project::with_fx(), Project::with_fx());
    let entries = compiled(&project);
    let foreign: Vec<PathBuf> = compiled(&other);
    assert_eq!(entries.len(), 2, "one for each component");
    let name = |path: &PathBuf| path.file_name().unwrap().to_owned();
    assert!(entries.iter().all(|ours| foreign.iter().any(|theirs| name(theirs) == name(ours))));

    // First rubbish, then what another host wrote under the same names: well formed, and not ours.
    for (until, is_foreign) in [("2005-12-31", false), ("2006-12-31", true)] {
        let mut planted = Vec::new();
        for entry in &entries {
            let bytes = if is_foreign {
                fs::read(other.path().join(".datanode/compiled").join(name(entry))).unwrap()
            } else {
                b"rubbish".to_vec()
            };
            fs::write(entry, &bytes).unwrap();
            planted.push(bytes);
        }
        project.run(&["node", "run", "fx_log_returns", "--until", until]);
        for (entry, planted) in entries.iter().zip(planted) {
            assert!(fs::read(entry).unwrap() != planted, "{} was loaded", entry.display());
        }
    }
}

#[test]
fn compiled_code_may_be_deleted_at_any_time() {
    let project = Project::with_fx();
    fs::remove_dir_all(project.path().join(".datanode/compiled")).unwrap();
    project.run(&["node", "run", "fx_log_returns", "--until", "1999-01-10"]);
    assert_eq!(compiled(&project).len(), 2, "made again");
}

/// Where the system grants little address space, no pool can be reserved: the host then runs without, and the results
/// are the same.
#[cfg(target_os = "linux")]
#[test]
fn a_short_address_space_changes_nothing_but_speed() {
    use std::process::Command;

    let results = |mut command: Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let runs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let facts = |run: &serde_json::Value| (run["output_digest"].clone(), run["fuel"].clone());
        runs.as_array().unwrap().iter().map(facts).collect::<Vec<_>>()
    };
    let arguments = ["node", "run", "fx_log_returns", "--until", "2005-12-31", "--json"];
    let (wide, narrow) = (Project::with_fx(), Project::with_fx());
    let expected = results(wide.command(&arguments));
    assert!(expected.iter().all(|(digest, _)| digest.is_string()), "{expected:?}");

    let mut command = Command::new("sh");
    // 8 GiB, in KiB.
    command.args(["-c", "ulimit -v 8388608 && exec \"$0\" \"$@\""]).arg(program()).args(arguments);
    command.current_dir(narrow.path()).env_remove("DATANODE_HOME");
    assert_eq!(results(command), expected);
    assert_eq!(compiled(&narrow).len(), 4, "each component was compiled again, with other checks");
}
