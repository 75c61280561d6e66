//! What the documentation must not leave out: files of the crates on the page of the architecture, codes of errors on
//! their page, pages in the book.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::root;

const MAP: &str = "docs/architecture.md";
const ERRORS: &str = "docs/reference/errors.md";
/// Files that each crate has, which say by their name what is in them.
const PLAIN: [&str; 5] = ["lib.rs", "main.rs", "error.rs", "bindings.rs", "snapshots"];
/// Files whose dotted texts are no codes: steps at which tests end a process, and names of host calls.
/// What is written down in the audit log is no code, either.
const NO_CODES: [&str; 4] = [
    "revision/dialect.rs",
    "host/store/src/fault.rs",
    "host/sandbox/src/calls.rs",
    "host/store/src/catalogue/audit.rs",
];

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn entries(directory: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// A path of the first column, which may leave out the directory of one before it in its cell.
fn resolve(source: &Path, before: &[PathBuf], named: &str) -> Option<PathBuf> {
    let directories =
        before.iter().flat_map(|path| path.ancestors().skip(1).take_while(|up| up.starts_with(source)));
    let places = std::iter::once(source).chain(directories).map(Path::to_owned).chain([root()]);
    places.map(|place| place.join(named)).find(|path| path.exists())
}

/// For each crate, and in each table of the page, the files that are opened for something.
fn crates(page: &str) -> Vec<(PathBuf, Vec<&str>)> {
    let mut crates: Vec<(PathBuf, Vec<&str>)> = Vec::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ").or_else(|| line.strip_prefix("## ")) {
            if let Some(name) = quoted(title).next().filter(|name| name.starts_with("host/")) {
                crates.push((root().join(name).join("src"), Vec::new()));
            }
        } else if let (Some((_, cells)), Some(rest)) = (crates.last_mut(), line.strip_prefix("| `")) {
            cells.push(&line[2..line.len() - rest.len() + rest.find(" | ").unwrap()]);
        }
    }
    crates
}

#[test]
fn the_map_names_files_that_are_there_and_leaves_none_out() {
    let page = text(&root().join(MAP));
    let crates = crates(&page);
    assert_eq!(crates.len(), entries(&root().join("host")).len(), "a section for each crate");
    let mut problems = Vec::new();
    for (source, cells) in crates {
        let mut named = BTreeSet::new();
        for cell in cells {
            let mut before: Vec<PathBuf> = Vec::new();
            for name in quoted(cell) {
                match resolve(&source, &before, name) {
                    Some(path) => before.push(path),
                    None => problems.push(format!("{}: no {name}", source.display())),
                }
            }
            let first = |path: &PathBuf| {
                let inside = path.strip_prefix(&source).ok()?;
                inside.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned())
            };
            named.extend(before.iter().filter_map(first));
        }
        let missing = entries(&source)
            .into_iter()
            .filter(|name| !PLAIN.contains(&name.as_str()) && !named.contains(name));
        problems.extend(missing.map(|name| format!("{}: {name} is not named", source.display())));
    }
    assert!(problems.is_empty(), "{MAP}:\n  {}", problems.join("\n  "));
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for name in entries(directory) {
        let path = directory.join(name);
        if path.is_dir() {
            // Tests make up codes of their own.
            if !path.ends_with("tests") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a text has the form of a code, `area.what_is_wrong`.
fn is_code(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    text.contains('.') && text.split('.').all(is_word)
}

/// The codes that a file gives to errors: arms of a match, whole bodies, and those of the command line.
fn codes(source: &str) -> impl Iterator<Item = &str> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = source.lines().map(str::trim).flat_map(|line| {
        let arm = line.split_once("=> \"").and_then(|(_, rest)| rest.split('"').next());
        let given = line.split_once("with_code(\"").and_then(|(_, rest)| rest.split('"').next());
        let body = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        [arm, given, body]
    });
    lines.flatten().filter(|text| is_code(text))
}

#[test]
fn every_code_of_an_error_is_on_its_page() {
    let page = text(&root().join(ERRORS));
    let mut files = Vec::new();
    sources(&root().join("host"), &mut files);
    let mut missing = BTreeSet::new();
    let mut found = BTreeSet::new();
    for file in files.iter().filter(|file| !NO_CODES.iter().any(|other| file.ends_with(other))) {
        for code in codes(&text(file)) {
            found.insert(code.to_owned());
            if !page.contains(&format!("`{code}`")) {
                missing.insert(format!("{code} ({})", file.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(
        found.contains("lease.held") && found.contains("frame.encode") && found.contains("query.no_time"),
        "{found:?}"
    );
    assert!(
        missing.is_empty(),
        "not in {ERRORS}:\n  {}",
        missing.into_iter().collect::<Vec<_>>().join("\n  ")
    );
}

#[test]
fn every_page_is_in_the_book() {
    let summary = text(&root().join("docs/SUMMARY.md"));
    for directory in ["", "reference/"] {
        for name in entries(&root().join("docs").join(directory)) {
            let is_page = Path::new(&name).extension().is_some_and(|extension| extension == "md")
                && name != "SUMMARY.md";
            assert!(
                !is_page || summary.contains(&format!("]({directory}{name})")),
                "docs/{directory}{name} is not in the summary"
            );
        }
    }
}
