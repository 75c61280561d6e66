//! The commands that an error proposes, run as they stand.

use crate::Project;

/// Verbs that only look: their commands need no copy of the project.
const LOOKS: [&str; 6] = ["list", "show", "history", "current", "graph", "hash"];

impl Project {
    /// Run each complete command that a message proposes as a next step, those that change anything on a copy of this
    /// project; each must succeed. Answers how many there were.
    pub fn mended_by(&self, said: &str) -> usize {
        let commands = proposals(said);
        for command in &commands {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let output = if words.get(1).is_some_and(|verb| LOOKS.contains(verb)) {
                self.output(&words)
            } else {
                self.copy().output(&words)
            };
            // `table diff` answers as `diff` does.
            let may_differ = words.starts_with(&["table", "diff"]) && output.status.code() == Some(1);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() || may_differ,
                "{said}\nproposes {words:?}, which says\n{errors}"
            );
        }
        commands.len()
    }
}

/// The complete commands of the next steps in what a command said, each as its words after `datanode`. One that leaves
/// something to the reader is none: a file, a name, a table, what has to be done to a file before.
pub fn proposals(said: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut is_next = false;
    for line in said.lines() {
        is_next = line.starts_with("next: ") || is_next && line.starts_with("  ");
        if is_next {
            let starts = line.match_indices("datanode ").filter(|(at, _)| line[..*at].ends_with([' ', '`']));
            commands.extend(starts.filter_map(|(at, name)| words(&line[at + name.len()..])));
        }
    }
    commands
}

/// The words of a command as a shell reads them, up to the end of the clause that it stands in; none when it is not
/// complete.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        let word = words.last_mut()?;
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None | Some('"'), '\\') => word.push(rest.next()?),
            (Some(_), _) => word.push(letter),
            (None, ' ') => words.push(String::new()),
            (None, ';' | '`') => break,
            (None, ',') if rest.as_str().starts_with(' ') => {
                // `datanode table register FILE, with another identifier in it`
                if rest.as_str().starts_with(" with ") {
                    return None;
                }
                break;
            }
            (None, _) => word.push(letter),
        }
    }
    let is_left_open = |word: &String| {
        let name = word.trim_start_matches('@');
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        word.contains('…')
            || (name.len() > 3
                && name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.bytes().all(is_name))
    };
    (quote.is_none() && !words.iter().any(is_left_open)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_are_complete_are_found_with_their_words() {
        let said = "error[a.b]: `datanode x` failed\nnext: see it: datanode table diff 'my prices.toml'\n  \
                    or write: datanode table revision prices -m \"...\"; or: datanode node list\nlog: datanode no step\n";
        let found: Vec<String> = proposals(said).iter().map(|words| words.join("|")).collect();
        assert_eq!(found, ["table|diff|my prices.toml", "table|revision|prices|-m|...", "node|list"]);
        let quoted = r#"next: datanode node create a --config '{"it":"isn'\''t"}' --hash-namespace ci"#;
        assert_eq!(proposals(quoted)[0][4..], [r#"{"it":"isn't"}"#, "--hash-namespace", "ci"]);
        for open in [
            "next: datanode table load prices FILE",
            "next: datanode node create a --config @FILE",
            "next: datanode table revision prices --message …",
            "next: datanode table register prices.toml, with another identifier in it",
            "error: datanode node list",
        ] {
            assert!(proposals(open).is_empty(), "{open}");
        }
    }
}
