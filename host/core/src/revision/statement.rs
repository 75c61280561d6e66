//! The SQL of a revision as text: its statements, each with its line, within bounds. Nothing is understood here beyond
//! where a statement ends; what it may do is decided by the database while it runs.

/// The largest file of SQL, in bytes.
pub const MAX_SQL_BYTES: usize = 1024 * 1024;
/// The most statements of one file.
pub const MAX_STATEMENTS: usize = 1_000;
/// Stands where only a person knows what belongs there.
pub const EDIT_MARK: &str = "EDIT_THIS";

/// One statement, without its semicolon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'t> {
    /// Line of its first word, counted from 1.
    pub line: usize,
    /// Its text.
    pub text: &'t str,
}

/// What a piece of SQL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Space,
    Comment,
    /// A literal or a quoted name.
    Quoted,
    Word,
    End,
    Other,
}

/// The pieces of a text, each with the bytes that it takes. Together they are the whole text.
fn pieces(text: &str) -> impl Iterator<Item = (Piece, std::ops::Range<usize>)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        let until = |end: Option<usize>| end.unwrap_or(rest.len());
        let (piece, length) = match first {
            _ if rest.starts_with("--") => (Piece::Comment, until(rest.find('\n'))),
            _ if rest.starts_with("/*") => (Piece::Comment, until(rest[2..].find("*/").map(|end| end + 4))),
            // A doubled quote ends one piece and begins the next, which is the same to us.
            '\'' | '"' | '`' => (Piece::Quoted, until(rest[1..].find(first).map(|end| end + 2))),
            '[' => (Piece::Quoted, until(rest.find(']').map(|end| end + 1))),
            ';' => (Piece::End, 1),
            _ if first.is_ascii_whitespace() || first == '\u{feff}' => (Piece::Space, first.len_utf8()),
            _ if is_word(first) => (Piece::Word, until(rest.find(|other| !is_word(other)))),
            _ => (Piece::Other, first.len_utf8()),
        };
        let range = at..at + length;
        at = range.end;
        Some((piece, range))
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

/// The statements of a text. A text of blanks and comments has none.
pub fn split(text: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut begin: Option<usize> = None;
    let mut end = 0;
    let mut add = |begin: Option<usize>, end: usize| {
        if let Some(begin) = begin {
            statements.push(Statement { line: line_of(text, begin), text: &text[begin..end] });
        }
    };
    for (piece, range) in pieces(text) {
        match piece {
            Piece::End => add(begin.take(), end),
            Piece::Space | Piece::Comment => {}
            Piece::Quoted | Piece::Word | Piece::Other => {
                begin.get_or_insert(range.start);
                end = range.end;
            }
        }
    }
    add(begin, end);
    statements
}

/// The first line with a mark that a person has yet to replace, counted from 1.
pub fn left_to_edit(text: &str) -> Option<usize> {
    pieces(text)
        .find(|(piece, range)| *piece == Piece::Word && text[range.clone()].eq_ignore_ascii_case(EDIT_MARK))
        .map(|(_, range)| line_of(text, range.start))
}

/// What stands in the parentheses after each `CHECK` of a statement, without blanks: sorted, so that two lists can be
/// compared.
pub fn checks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut open: Option<String> = None;
    let mut after_check = false;
    for (piece, range) in pieces(text) {
        let part = &text[range];
        if matches!(piece, Piece::Space | Piece::Comment) {
            continue;
        }
        match (&mut open, part) {
            (None, "(") if after_check => {
                open = Some(String::new());
                depth = 1;
            }
            (None, _) => {}
            (Some(inside), _) => {
                match part {
                    "(" => depth += 1,
                    ")" => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    found.extend(open.take());
                } else {
                    inside.push_str(part);
                }
            }
        }
        after_check = open.is_none() && part.eq_ignore_ascii_case("check");
    }
    found.sort();
    found
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_end_where_sql_ends_them() {
        let text = "-- a; comment\nSELECT ';', \"a;\"\"b\" /* ; */;\n\n  DROP TABLE [x;y] ; ; -- end\n;\nUPDATE t SET a = 'it''s;'";
        let statements: Vec<_> = split(text).iter().map(|found| (found.line, found.text)).collect();
        assert_eq!(
            statements,
            [(2, "SELECT ';', \"a;\"\"b\""), (4, "DROP TABLE [x;y]"), (6, "UPDATE t SET a = 'it''s;'")]
        );
        assert!(split(" -- nothing\n/* at ; all").is_empty());
    }

    #[test]
    fn a_mark_counts_where_it_is_sql_and_nowhere_else() {
        assert_eq!(left_to_edit("-- EDIT_THIS\nSELECT 'EDIT_THIS', EDIT_THIS_TOO"), None);
        assert_eq!(left_to_edit("-- why\nSELECT\n  edit_this AS \"x\""), Some(3));
    }

    #[test]
    fn checks_are_found_however_they_are_written() {
        let text = "CREATE TABLE t (\"check\" INTEGER check\n( \"check\" IN (0, 1) ), b TEXT CHECK (length(b) > 0)) STRICT";
        assert_eq!(checks(text), ["\"check\"IN(0,1)", "length(b)>0"]);
    }

    proptest! {
        /// Whatever the text: nothing is lost but blanks, comments and semicolons, and every line is true.
        #[test]
        fn any_text_is_split(text in "[a'\"`\\[\\]; \n*/()-]{0,60}") {
            let taken: usize = pieces(&text).map(|(_, range)| range.len()).sum();
            prop_assert_eq!(taken, text.len());
            for statement in split(&text) {
                let line = text.lines().nth(statement.line - 1).unwrap();
                prop_assert!(line.contains(statement.text.lines().next().unwrap()));
            }
        }
    }
}
