//! What may differ between two runs of one command: ids, moments, durations, and how wide columns are.

use serde_json::Value;

/// Fields whose values are of one process, or of one moment.
const FIELDS: [&str; 9] =
    ["holder", "actor", "token", "by", "request_id", "journal", "id", "next", "last_used_at"];

/// A text without it.
pub(crate) fn text(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let mut words = Vec::new();
        for word in line.split_whitespace() {
            // `1.23 s` and `4 ms`: the unit stands behind the number.
            if matches!(word.trim_end_matches(|c: char| ",;".contains(c)), "ms" | "s" | "min" | "h") {
                words.pop();
                words.push("TOOK".to_owned());
            } else if word == "bytes)" {
                // What is packed holds moments.
                words.pop();
                words.push("(SIZE".to_owned());
            } else {
                words.push(self::word(word));
            }
        }
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A word, in which what is random is replaced, whatever stands around it.
fn word(word: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-:.+_".contains(c);
    let mut out = String::new();
    let mut part = String::new();
    for c in word.chars().chain([' ']) {
        if is_part(c) {
            part.push(c);
            continue;
        }
        out += &replaced(&std::mem::take(&mut part));
        if c != ' ' {
            out.push(c);
        }
    }
    out
}

fn replaced(part: &str) -> String {
    let trimmed = part.trim_end_matches(['.', ':']);
    let rest = &part[trimmed.len()..];
    let name = if is_uuid(trimmed) {
        "UID"
    } else if is_id_of_a_token(trimmed) {
        "ID"
    } else if is_moment(trimmed) || trimmed == "never" {
        "MOMENT"
    } else if trimmed.starts_with("dn_") {
        "TOKEN"
    } else {
        return part.to_owned();
    };
    format!("{name}{rest}")
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

fn is_id_of_a_token(text: &str) -> bool {
    text.len() == 16 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

/// A moment with a time of day; a date is one of the data.
fn is_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 16
        && bytes[4] == b'-'
        && bytes[10] == b'T'
        && bytes[13] == b':'
        && bytes.iter().take(4).all(u8::is_ascii_digit)
}

/// A document without it. Fields come in the order of their names.
pub(crate) fn document(value: &mut Value) {
    match value {
        Value::String(text) => *text = self::text(text),
        Value::Array(items) => items.iter_mut().for_each(document),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if name.ends_with("_us") || FIELDS.contains(&name.as_str()) {
                    *value = Value::from("REDACTED");
                } else {
                    document(value);
                }
            }
        }
        _ => {}
    }
}
