//! What a component's author has documented, for people and for search. It proves nothing and decides nothing.

use datanode_core::search::MAX_DOCS_BYTES;
use wasmparser::{Parser, Payload};

/// The custom section that SDKs put it into: UTF-8 text, in the component or in any module of it.
pub const DOCS_SECTION: &str = "datanode:docs";

/// The most sections that are looked at.
const MAX_SECTIONS: usize = 16;

/// Read it from the bytes of a component. What is no text is left out, what is too long is cut, and characters that command
/// a terminal become blanks. Empty where there is none.
pub fn docs(bytes: &[u8]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut length = 0;
    let sections =
        Parser::new(0).parse_all(bytes).map_while(Result::ok).filter_map(|payload| match payload {
            Payload::CustomSection(section) if section.name() == DOCS_SECTION => Some(section.data()),
            _ => None,
        });
    for section in sections.take(MAX_SECTIONS) {
        let left = MAX_DOCS_BYTES.saturating_sub(length);
        let text = readable(section, left);
        if !text.is_empty() && !texts.contains(&text) {
            length += text.len() + 1;
            texts.push(text);
        }
    }
    texts.join("\n")
}

/// At most so many bytes of a text.
fn readable(section: &[u8], most: usize) -> String {
    let Ok(text) = std::str::from_utf8(section) else { return String::new() };
    let plain = |character: char| {
        if character.is_control() && character != '\n' { ' ' } else { character }
    };
    let text: String = text.trim().chars().map(plain).collect();
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with custom sections.
    fn component(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for (name, content) in sections {
            let length = 1 + name.len() + content.len();
            bytes.push(0);
            leb128(&mut bytes, length);
            bytes.push(u8::try_from(name.len()).unwrap());
            bytes.extend(name.bytes());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
        loop {
            let low = u8::try_from(number & 0x7f).unwrap();
            number >>= 7;
            bytes.push(if number == 0 { low } else { low | 0x80 });
            if number == 0 {
                break;
            }
        }
    }

    #[test]
    fn sections_are_read_as_text() {
        let bytes = component(&[
            (DOCS_SECTION, b" Yields of bonds.\r\n"),
            ("other", b"no"),
            (DOCS_SECTION, b"\x1b[31mBy maturity."),
            (DOCS_SECTION, b"Yields of bonds."),
        ]);
        assert_eq!(docs(&bytes), "Yields of bonds.\n [31mBy maturity.");
    }

    #[test]
    fn what_strangers_stamp_is_bounded() {
        let long = "é".repeat(MAX_DOCS_BYTES);
        let found = docs(&component(&[(DOCS_SECTION, long.as_bytes()), (DOCS_SECTION, b"more")]));
        assert!(found.len() <= MAX_DOCS_BYTES && found.starts_with("éé"), "{}", found.len());
        let many = vec![(DOCS_SECTION, &b"x"[..]); 1_000];
        assert_eq!(docs(&component(&many)), "x");
        assert_eq!(docs(&component(&[(DOCS_SECTION, b"\xff\xfe")])), "");
        let mut cut_off = component(&[(DOCS_SECTION, b"first"), (DOCS_SECTION, b"second")]);
        cut_off.truncate(cut_off.len() - 3);
        assert_eq!(docs(&cut_off), "first");
        assert_eq!(docs(b"no component"), "");
        assert_eq!(docs(b""), "");
    }
}
