//! The determinism matrix: recorded runs in every way in which this machine can execute them; and that it would notice.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use datanode_runtime::{CellVerdict, MatrixRun, bundle_in_cells};
use datanode_sandbox::engine::Allocation;
use datanode_sandbox::{Cell, Limits, Sandbox};
use datanode_tests::{Project, root};
use serde_json::Value;

const RETURNS: &str = "fx_log_returns";

fn bundle(name: &str) -> std::path::PathBuf {
    root().join(format!("tests/golden/{name}.tar"))
}

/// A node of the Rust SDK with arrows in and out, from its journal in the catalogue.
#[test]
fn a_node_does_the_same_in_every_cell() {
    let project = Project::with_fx();
    for until in ["1999-03-31", "1999-04-30"] {
        project.run(&["node", "run", RETURNS, "--until", until]);
    }
    let printed = project.run(&["check", "--determinism", RETURNS]);
    insta::assert_snapshot!("table", without_what_varies(&printed));

    let found = project.json(&["check", "--determinism", RETURNS]);
    let runs = found["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &found["equal"]), (1, &Value::Bool(true)), "of the node, its latest run alone");
    let latest = project.json(&["run", "list", "--table", RETURNS])[0].clone();
    assert_eq!(runs[0]["run_id"], latest["run_id"]);
    for cell in runs[0]["cells"].as_array().unwrap().iter().filter(|cell| cell["verdict"] != "not_here") {
        assert_eq!(cell["verdict"], "equal");
        assert_eq!(cell["output_digest"], latest["output_digest"]);
        assert_eq!(cell["fuel"], latest["fuel"], "one engine counts alike in all cells");
    }
}

/// Ids and fuel, which depend on the compiler of the guest and on the day, and whether this machine has a newer level.
fn without_what_varies(printed: &str) -> String {
    printed
        .lines()
        .map(|line| match line.split_once(", run ") {
            Some((run, _)) => format!("{run}, run [id]\n"),
            None if line.contains("newer level") => String::new(),
            None => {
                let words = line.split(' ').map(|word| {
                    let is_fuel = word.len() > 4 && word.chars().all(|c| c.is_ascii_digit() || c == ',');
                    if is_fuel { "[fuel]" } else { word }
                });
                words.collect::<Vec<_>>().join(" ") + "\n"
            }
        })
        .collect()
}

#[test]
fn what_cannot_be_executed_again_is_named() {
    let project = Project::with_fx();
    project.run(&["node", "run", RETURNS, "--until", "1999-01-31", "--journal", "digest"]);
    let output = project.output(&["check", "--determinism", RETURNS]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("cannot be executed again: its journal has digests only"), "{said}");
    let (code, said) = project.fails(&["check", "--determinism", "nothing"]);
    assert_eq!((code, said.contains("nothing")), (2, true), "{said}");
    // Without a name it is no error that there is nothing yet.
    assert!(Project::new().run(&["check", "--determinism"]).contains("run a node first"));
}

/// A byte of a recording that is another one is noticed in every cell, and the command fails.
#[test]
fn a_difference_fails_the_command_and_names_the_first_call() {
    let project = Project::with_fx();
    project.run(&["node", "run", RETURNS, "--until", "1999-01-31"]);
    let run = project.json(&["run", "list", "--table", RETURNS])[0].clone();
    let digest = run["output_digest"].as_str().unwrap();
    let other = format!("{}{}", if digest.starts_with('0') { "1" } else { "0" }, &digest[1..]);
    project.execute(&format!("UPDATE _runs SET record = replace(record, '{digest}', '{other}')"));
    let output = project.output(&["check", "--determinism", RETURNS, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["equal"], false);
    for cell in
        found["runs"][0]["cells"].as_array().unwrap().iter().filter(|cell| cell["verdict"] != "not_here")
    {
        assert_eq!(
            (&cell["verdict"], &cell["what"]),
            (&"different".into(), &"the digest of the output".into())
        );
    }
}

fn in_cells(name: &str, cells: &[Cell]) -> MatrixRun {
    bundle_in(&bundle(name), cells)
}

fn bundle_in(bundle: &Path, cells: &[Cell]) -> MatrixRun {
    // With room for the limits of the recording.
    let sandbox = Sandbox::new(Limits::default()).unwrap();
    bundle_in_cells(&sandbox, bundle, cells, &mut || {}).unwrap()
}

fn digests(run: &MatrixRun) -> BTreeSet<String> {
    let ran = run.cells.iter().filter(|cell| !matches!(cell.verdict, CellVerdict::NotHere { .. }));
    ran.map(|cell| cell.output_digest.unwrap().to_string()).collect()
}

/// The proof that the matrix can fail: one setting taken away, and the component that is made for it is different: from
/// what was recorded, and from cell to cell.
#[test]
fn nan_that_is_left_as_it_comes_is_found() {
    let sound = in_cells("c_nan_bits", &Cell::all());
    assert_eq!((sound.equal, digests(&sound).len()), (Some(true), 1), "{sound:#?}");

    let planted: Vec<Cell> = Cell::all().into_iter().map(Cell::leaving_nan).collect();
    let faulty = in_cells("c_nan_bits", &planted);
    assert_eq!(faulty.equal, Some(false));
    let digests = digests(&faulty);
    assert!(digests.len() > 1, "no two cells differ: {faulty:#?}");
    assert!(!digests.contains(&sound.recorded.unwrap().to_string()));
    for cell in faulty.cells.iter().filter(|cell| !matches!(cell.verdict, CellVerdict::NotHere { .. })) {
        let CellVerdict::Different(difference) = &cell.verdict else { panic!("{cell:?}") };
        // The schema is the first message, and is the same; the rows are the second.
        assert!(difference.what.ends_with("`frames.emit`, message 2 of the output"), "{}", difference.what);
        assert!(difference.call.is_some());
    }

    // One cell among sound ones.
    let mut cells = Cell::all();
    cells.truncate(3);
    cells.push(Cell::all()[0].leaving_nan());
    let one = in_cells("c_nan_bits", &cells);
    assert_eq!(one.equal, Some(false));
    assert!(matches!(one.cells[3].verdict, CellVerdict::Different(_)), "{:?}", one.cells[3]);
    assert!(matches!(one.cells[0].verdict, CellVerdict::Equal), "{:?}", one.cells[0]);
    // A component that has nothing to do with NaN does not notice.
    assert_eq!(in_cells("c_moving_mean", &planted[..2]).equal, Some(true));
}

/// Operations that hand bits on as they are, and those whose answer is no NaN.
const NO_ARITHMETIC: [&str; 8] =
    ["pmin", "pmax", "abs", "neg", "splat", "replace_lane", "convert", "trunc_sat"];

/// Guests of the Rust SDK are built with vectors: what those make of NaN is as fixed as what single numbers do, and the matrix
/// would notice if it were not.
#[test]
fn vectors_make_one_nan_in_every_cell_and_not_without_the_setting() {
    let project = Project::new();
    let contract = root().join("tests/guests/vector_nan/contract.toml");
    project.run(&["table", "register", contract.to_str().unwrap()]);
    project.upload("vector_nan");
    project.run(&["node", "create", "vector_nan", "--table", "vector_nan"]);
    project.run(&["node", "run", "vector_nan"]);

    let mut found = 0;
    for row in project.texts("SELECT operation || ' ' || bits FROM vector_nan") {
        let (operation, bits) = row.rsplit_once(' ').unwrap();
        let bits = bits.parse::<i64>().unwrap().cast_unsigned();
        if NO_ARITHMETIC.iter().any(|word| operation.contains(word)) {
            continue;
        }
        let is_narrow = operation.starts_with("f32x4") || operation == "loop of 32 bits";
        let (is_nan, canonical) = if is_narrow {
            (f32::from_bits(u32::try_from(bits).unwrap()).is_nan(), 0x7fc0_0000)
        } else {
            (f64::from_bits(bits).is_nan(), 0x7ff8_0000_0000_0000)
        };
        assert!(!is_nan || bits == canonical, "{row}: {bits:x}");
        found += usize::from(is_nan);
    }
    assert!(found > 250, "{found} NaNs");

    let run = project.json(&["run", "list", "--table", "vector_nan"])[0]["run_id"].clone();
    let bundle = project.path().join("run.tar");
    project.run(&["run", "export", run.as_str().unwrap(), "--output", bundle.to_str().unwrap()]);
    let is_among = |cell: &Cell| cell.allocation == Allocation::Pooling;
    let cells: Vec<Cell> = Cell::all().into_iter().filter(is_among).collect();
    let sound = bundle_in(&bundle, &cells);
    assert_eq!((sound.equal, digests(&sound).len()), (Some(true), 1), "{sound:#?}");

    let planted = [cells[0].leaving_nan(), cells[4].leaving_nan()];
    let faulty = bundle_in(&bundle, &planted);
    for cell in &faulty.cells {
        let CellVerdict::Different(difference) = &cell.verdict else { panic!("{cell:?}") };
        assert!(difference.what.ends_with("`frames.emit`, message 2 of the output"), "{}", difference.what);
    }
}
