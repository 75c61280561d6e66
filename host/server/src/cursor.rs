//! Where the next page of a list begins. To a caller it is a word without meaning.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Problem;

/// So that a later form can be told from this one.
const VERSION: &str = "1.";
/// Characters of a cursor.
const MOST: usize = 4_096;

/// The cursor behind an item with this key.
pub(crate) fn encode(key: &str) -> String {
    format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(key))
}

/// The key in a cursor.
pub(crate) fn decode(cursor: &str) -> Result<String, Problem> {
    let bad = || Problem::usage("the cursor is none of this server: begin with the first page again");
    let text = cursor.strip_prefix(VERSION).filter(|text| text.len() <= MOST).ok_or_else(bad)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
    let key = String::from_utf8(bytes).map_err(|_| bad())?;
    if key.contains('\0') { Err(bad()) } else { Ok(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_others_are_refused() {
        assert_eq!(decode(&encode("fx/räte")).unwrap(), "fx/räte");
        for bad in ["", "1.", "x", "1.%%%", "2.YQ", &encode("a\0b")] {
            assert!(decode(bad).is_err() || bad == "1.", "{bad}");
        }
    }
}
