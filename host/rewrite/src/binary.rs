//! Numbers and sections of the binary format: LEB128, and `id size content` (WebAssembly 3.0, sections 5.2 and 5.5).

/// Append an unsigned number.
pub(crate) fn put_unsigned(mut value: u64, out: &mut Vec<u8>) {
    loop {
        // The low seven bits; the eighth says that there are more.
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// The unsigned number of at most 32 bits that these bytes begin with, and what follows it.
pub(crate) fn unsigned_at(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

/// One section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section<'a> {
    pub(crate) id: u8,
    pub(crate) content: &'a [u8],
    /// Where the section, with its id, begins, counted from the begin of the file; and where its content does.
    pub(crate) start: usize,
    pub(crate) content_start: usize,
}

/// Of a module and of a component alike.
pub(crate) const HEADER_BYTES: usize = 8;

/// The sections of a module or a component. The last one is None where bytes are left that are no section.
pub(crate) fn sections(file: &[u8]) -> impl Iterator<Item = Option<Section<'_>>> {
    let mut rest = file.get(HEADER_BYTES..).unwrap_or_default();
    let mut broken = file.len() < HEADER_BYTES;
    std::iter::from_fn(move || {
        if broken {
            broken = false;
            rest = &[];
            return Some(None);
        }
        let (id, after) = rest.split_first()?;
        let start = file.len() - rest.len();
        let cut =
            unsigned_at(after).and_then(|(size, after)| after.split_at_checked(usize::try_from(size).ok()?));
        let Some((content, after)) = cut else {
            rest = &[];
            return Some(None);
        };
        let content_start = file.len() - after.len() - content.len();
        rest = after;
        Some(Some(Section { id: *id, content, start, content_start }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX] {
            let mut bytes = Vec::new();
            put_unsigned(value.into(), &mut bytes);
            bytes.push(9);
            assert_eq!(unsigned_at(&bytes), Some((value, &[9][..])));
            assert_eq!(unsigned_at(&bytes[..bytes.len() - 2]), None, "cut off");
        }
        for too_large in [&[0xff, 0xff, 0xff, 0xff, 0x1f][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert_eq!(unsigned_at(too_large), None);
        }
    }

    #[test]
    fn what_is_no_section_is_told() {
        let whole = [0, b'a', b's', b'm', 1, 0, 0, 0, 7, 2, 1, 2, 9, 0];
        let found: Vec<_> =
            sections(&whole).flatten().map(|it| (it.id, it.start, it.content.len())).collect();
        assert_eq!(found, [(7, 8, 2), (9, 12, 0)]);
        assert!(sections(&whole).all(|section| section.is_some()));
        for cut in [3, 9, 11, 13] {
            assert!(sections(&whole[..cut]).any(|section| section.is_none()), "{cut}");
        }
    }
}
