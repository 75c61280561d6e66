//! Relative links of the Markdown files: each leads to a file that is there, and to a heading of it where it names one.
//! Pages of the book stay within `docs/`, because what is outside is not part of the rendered book.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::root;

/// The book's pages.
const BOOK: &str = "docs";

/// Check all Markdown files of the repository.
pub(crate) fn check() -> Result<()> {
    let mut paths = Vec::new();
    collect(&root(), Path::new(""), &mut paths)?;
    let mut pages = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(root().join(&path)).with_context(|| path.display().to_string())?;
        pages.insert(path, text);
    }
    let problems = problems(&pages, |path| root().join(path).exists());
    if problems.is_empty() {
        println!("   {} files", pages.len());
        return Ok(());
    }
    bail!("broken links:\n  {}", problems.join("\n  "))
}

/// Markdown files below a directory, relative to the root. Hidden directories and build results hold none of ours.
fn collect(root: &Path, directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(directory))? {
        let entry = entry?;
        let path = directory.join(entry.file_name());
        let is_foreign =
            entry.file_name().to_string_lossy().starts_with('.') || entry.file_name() == "target";
        if entry.file_type()?.is_dir() {
            if !is_foreign && path != Path::new(BOOK).join("book") {
                collect(root, &path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    Ok(())
}

/// A sentence for each link that leads nowhere. `exists` is asked for files that are no pages.
fn problems(pages: &BTreeMap<PathBuf, String>, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for (page, text) in pages {
        for (line, link) in links(text) {
            let mut complain =
                |problem: &str| problems.push(format!("{}:{line}: {link}: {problem}", page.display()));
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                Some(page.clone())
            } else {
                resolve(page.parent().unwrap_or(Path::new("")), path)
            };
            let Some(target) = target else {
                complain("leads out of the repository");
                continue;
            };
            if page.starts_with(BOOK) && !target.starts_with(BOOK) {
                complain("leads out of the book: it breaks when the book is rendered");
            }
            match pages.get(&target) {
                Some(text) if !anchor.is_empty() && !anchors(text).contains(anchor) => {
                    complain("no such heading");
                }
                None if !exists(&target) => complain("no such file"),
                Some(_) | None => {}
            }
        }
    }
    problems
}

/// A path seen from a directory, without `.` and `..`; None when it leaves the root.
fn resolve(directory: &Path, link: &str) -> Option<PathBuf> {
    let mut resolved = PathBuf::new();
    for part in directory.join(link).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            _ => return None,
        }
    }
    Some(resolved)
}

/// Lines of text with their number from 1, without fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((at + 1, line))
    })
}

/// Targets of relative links, with their line.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (start, _) in line.match_indices("](") {
            let is_quoted = line[..start].matches('`').count() % 2 == 1;
            let Some(target) = line[start + 2..].split([')', ' ']).next() else { continue };
            if !is_quoted && !target.contains("://") && !target.starts_with("mailto:") {
                found.push((number, target));
            }
        }
    }
    found
}

/// The anchors that headings get, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let title = line.trim_start_matches('#');
        let is_heading = title.len() < line.len() && title.starts_with(' ');
        is_heading.then(|| {
            let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
    };
    prose(text).filter_map(|(_, line)| heading(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let pages = pages.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        problems(&pages, |path| path == Path::new("LICENSE") || path == Path::new("docs/wide"))
    }

    #[test]
    fn a_link_leads_to_a_file_and_a_heading() {
        let page = "# One `two`: three\n[a](docs/b.md) [l](LICENSE) [w](https://example.org/x.md) [h](#one-two-three)\n";
        assert_eq!(found(&[("a.md", page), ("docs/b.md", "[w](wide)")]), [""; 0]);
        let broken = "text\n[a](c.md), [h](b.md#none) and [o](../x.md)";
        assert_eq!(
            found(&[("a.md", broken), ("b.md", "# Some")]),
            [
                "a.md:2: c.md: no such file",
                "a.md:2: b.md#none: no such heading",
                "a.md:2: ../x.md: leads out of the repository"
            ]
        );
    }

    #[test]
    fn a_page_of_the_book_stays_in_the_book() {
        let problems = found(&[("docs/a/b.md", "[l](../../LICENSE) [c](../c.md)"), ("docs/c.md", "")]);
        assert_eq!(
            problems,
            ["docs/a/b.md:1: ../../LICENSE: leads out of the book: it breaks when the book is rendered"]
        );
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(found(&[("a.md", "```rust\nf[0](x.md)\n```\nand `[0](y.md)` too")]), [""; 0]);
    }

    #[test]
    fn the_links_of_this_repository_lead_somewhere() {
        check().unwrap();
    }
}
