//! Cleaning what a source answers of the secrets that it was sent.
//!
//! A server may echo what it was asked, in whatever writing: as it is, in other case, percent-encoded, escaped as in JSON
//! or HTML, in hexadecimal, in base64 at any offset. Each of these is found, also cut between two reads. What it does with
//! a secret on purpose (compressing, encrypting) cannot be found: a source that is sent a secret is trusted with it.

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::secret::SecretValue;

/// What stands in the place of a secret.
const MARK: &[u8] = b"[secret]";
/// The longest writing of one character: `%255Cu00XX`.
const MOST_PER_BYTE: usize = 10;

/// Finds secrets.
#[derive(Clone, Default)]
pub(crate) struct Scrubber {
    needles: Vec<Zeroizing<Vec<u8>>>,
    /// The longest that one of them can become.
    longest: usize,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrubber").field("needles", &self.needles.len()).finish_non_exhaustive()
    }
}

impl Scrubber {
    /// Find these secrets.
    pub(crate) fn of<'a>(secrets: impl Iterator<Item = &'a SecretValue>) -> Self {
        let mut found = Self::default();
        for secret in secrets {
            let bytes = secret.reveal().as_bytes();
            found.add(bytes.to_vec());
            found.add(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
            for offset in 0..3 {
                found.add(inside(&STANDARD_NO_PAD, offset, bytes));
                found.add(inside(&URL_SAFE_NO_PAD, offset, bytes));
            }
        }
        // Where one is found inside of another, the longer one goes first.
        found.needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.as_slice().cmp(b.as_slice())));
        found.needles.dedup();
        found
    }

    fn add(&mut self, needle: Vec<u8>) {
        self.longest = self.longest.max(needle.len() * MOST_PER_BYTE);
        self.needles.push(Zeroizing::new(needle));
    }

    /// The same bytes, without secrets.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = Stream::new(self);
        let mut clean = stream.push(bytes);
        clean.extend(stream.end());
        clean
    }

    /// The same text, without secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        if self.needles.is_empty() {
            return text.to_owned();
        }
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Whether there is a secret in it.
    pub(crate) fn finds(&self, text: &str) -> bool {
        (0..text.len()).any(|at| self.at(text.as_bytes(), at).is_some())
    }

    /// Length of the secret that begins there.
    fn at(&self, bytes: &[u8], at: usize) -> Option<usize> {
        self.needles.iter().find_map(|needle| writing(&bytes[at..], needle))
    }
}

/// The part of the base64 of a secret that does not depend on what stands around it, at an offset within three bytes.
fn inside(engine: &impl base64::Engine, offset: usize, secret: &[u8]) -> Vec<u8> {
    let padded = Zeroizing::new([&vec![0; offset][..], secret].concat());
    let text = engine.encode(padded.as_slice());
    // Characters that hold bits of what comes before, or after.
    let begin = (offset * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    text.as_bytes()[begin..end].to_vec()
}

/// How many bytes the needle takes at the beginning of the text, in any of its writings.
fn writing(text: &[u8], needle: &[u8]) -> Option<usize> {
    // Most places end here: the first character stands for itself, or something escapes it.
    let first = *text.first()?;
    if !first.eq_ignore_ascii_case(needle.first()?) && !matches!(first, b'%' | b'\\' | b'&' | b'+') {
        return None;
    }
    // All places where the rest may go on: an escape may also be meant as it is.
    let mut ends = vec![0];
    for byte in needle {
        let mut next: Vec<usize> = Vec::new();
        for end in ends {
            for length in lengths(&text[end..], *byte) {
                if !next.contains(&(end + length)) {
                    next.push(end + length);
                }
            }
        }
        if next.is_empty() {
            return None;
        }
        ends = next;
    }
    ends.into_iter().max()
}

/// The lengths of what stands for a character at the beginning of a text.
fn lengths(text: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    let plain = text.first().is_some_and(|found| found.eq_ignore_ascii_case(&byte)).then_some(1);
    let as_plus = (byte == b' ' && text.first() == Some(&b'+')).then_some(1);
    let is = |found: Option<u32>| {
        found
            .and_then(|found| u8::try_from(found).ok())
            .is_some_and(|found| found.eq_ignore_ascii_case(&byte))
    };
    let percent = ["%", "%25"].into_iter().find_map(|begin| {
        let rest = text.strip_prefix(begin.as_bytes())?;
        is(number(rest.get(..2)?, 16)).then_some(begin.len() + 2)
    });
    let escaped =
        [("\\u", 4), ("\\x", 2), ("%5cu", 4), ("\\\\u", 4)].into_iter().find_map(|(begin, digits)| {
            let rest = text.get(begin.len()..)?;
            let begins = text[..begin.len()].eq_ignore_ascii_case(begin.as_bytes());
            (begins && is(number(rest.get(..digits)?, 16))).then_some(begin.len() + digits)
        });
    let behind_backslash = (text.first() == Some(&b'\\')
        && text.get(1).is_some_and(|found| found.eq_ignore_ascii_case(&byte)))
    .then_some(2);
    [plain, as_plus, percent, escaped, behind_backslash, entity(text, byte)].into_iter().flatten()
}

/// The length of an entity of HTML or XML that stands for a character.
fn entity(text: &[u8], byte: u8) -> Option<usize> {
    let rest = text.strip_prefix(b"&")?;
    let end = rest.iter().take(8).position(|found| *found == b';')?;
    let name = &rest[..end];
    let meant = match name.strip_prefix(b"#") {
        Some([b'x' | b'X', digits @ ..]) => number(digits, 16),
        Some(digits) => number(digits, 10),
        None => match name {
            b"amp" => Some(u32::from(b'&')),
            b"lt" => Some(u32::from(b'<')),
            b"gt" => Some(u32::from(b'>')),
            b"quot" => Some(u32::from(b'"')),
            b"apos" => Some(u32::from(b'\'')),
            _ => None,
        },
    };
    let meant = u8::try_from(meant?).ok()?;
    meant.eq_ignore_ascii_case(&byte).then_some(end + 2)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

/// Cleans bytes that come in pieces.
pub(crate) struct Stream<'a> {
    scrubber: &'a Scrubber,
    /// What could be the beginning of a secret.
    held: Zeroizing<Vec<u8>>,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(scrubber: &'a Scrubber) -> Self {
        Self { scrubber, held: Zeroizing::default() }
    }

    /// The next piece; answers what is clean so far.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.scrubber.needles.is_empty() {
            return piece.to_vec();
        }
        self.held.extend_from_slice(piece);
        let certain = self.held.len().saturating_sub(self.scrubber.longest);
        self.take(certain)
    }

    /// The rest.
    pub(crate) fn end(mut self) -> Vec<u8> {
        let all = self.held.len();
        self.take(all)
    }

    fn take(&mut self, until: usize) -> Vec<u8> {
        let mut clean = Vec::with_capacity(until);
        let mut at = 0;
        while at < until {
            if let Some(length) = self.scrubber.at(&self.held, at) {
                clean.extend_from_slice(MARK);
                at += length;
            } else {
                clean.push(self.held[at]);
                at += 1;
            }
        }
        self.held = Zeroizing::new(self.held.split_off(at));
        clean
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    const SECRET: &str = r#"Tk-9"x\y/z+&<9?>~ a"#;

    fn scrubber(secret: &str) -> Scrubber {
        Scrubber::of([SecretValue::new(secret).unwrap()].iter())
    }

    fn each(write: impl Fn(u8) -> String) -> String {
        SECRET.bytes().map(write).collect()
    }

    fn hex() -> String {
        each(|byte| format!("{byte:02x}"))
    }

    fn writings() -> Vec<String> {
        let percent: String = each(|byte| format!("%{byte:02x}"));
        let unicode: String = each(|byte| format!("\\u{byte:04X}"));
        let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let html =
            SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        vec![
            SECRET.to_owned(),
            SECRET.to_uppercase(),
            hex(),
            hex().to_uppercase(),
            percent.clone(),
            percent.replace('%', "%25"),
            form.clone(),
            form.to_lowercase(),
            serde_json::to_string(SECRET).unwrap().trim_matches('"').to_owned(),
            SECRET.replace('\\', "\\\\").replace('/', "\\/"),
            unicode,
            html,
            each(|byte| format!("&#{byte};")),
            each(|byte| format!("&#x{byte:x};")),
            each(|byte| format!("\\x{byte:02x}")),
        ]
    }

    #[test]
    fn a_secret_is_found_in_every_writing() {
        let scrubber = scrubber(SECRET);
        for writing in writings() {
            let clean = scrubber.text(&format!("before {writing} after"));
            assert_eq!(clean, "before [secret] after", "{writing}");
            assert!(scrubber.finds(&writing), "{writing}");
        }
        for user in ["", "u", "us", "use", "user:"] {
            for (name, text) in [
                ("standard", STANDARD.encode(format!("{user}{SECRET}"))),
                ("url", URL_SAFE.encode(format!("{user}{SECRET} and more"))),
            ] {
                let clean = scrubber.text(&text);
                assert!(clean.contains("[secret]"), "{name} {user}: {clean}");
                // Of what is left, no three bytes of the secret can be told.
                let left: usize = clean.split("[secret]").map(str::len).sum();
                assert!(left <= text.len() - SECRET.len(), "{clean}");
            }
        }
        assert_eq!(scrubber.text("nothing of it: Tk-9"), "nothing of it: Tk-9");
    }

    #[test]
    fn no_cut_between_two_pieces_hides_it() {
        let scrubber = scrubber(SECRET);
        for writing in writings() {
            let text = format!("ab{writing}cd{writing}");
            for size in [1, 2, 3, 7, 100] {
                let mut stream = Stream::new(&scrubber);
                let mut clean: Vec<u8> =
                    text.as_bytes().chunks(size).flat_map(|piece| stream.push(piece)).collect();
                clean.extend(stream.end());
                assert_eq!(String::from_utf8(clean).unwrap(), "ab[secret]cd[secret]", "{size}: {writing}");
            }
        }
    }

    #[test]
    fn a_secret_that_looks_encoded_is_found_as_it_is() {
        for secret in ["%25%41abcdef", "\\u0041bcdefg", "&amp;abcdefg", "a+b c+d e+f"] {
            assert_eq!(scrubber(secret).text(&format!("<{secret}>")), "<[secret]>", "{secret}");
        }
    }

    #[test]
    fn without_secrets_nothing_changes() {
        let none = Scrubber::of([].iter());
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(none.bytes(&bytes), bytes);
        assert!(!none.finds("a"));
    }
}
