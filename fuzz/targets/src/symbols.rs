//! Debug information of a guest, which the host reads when the guest has trapped.

/// Sections cut out of the input, by sizes at its begin: nothing panics, nothing runs away, and the same is told twice.
pub fn symbols(data: &[u8]) {
    let Some((sizes, rest)) = data.split_first_chunk::<8>() else { return };
    let number = |at: usize| u16::from_le_bytes([sizes[at], sizes[at + 1]]);
    let [table, info, line, address] = [0, 2, 4, 6].map(number);
    let (table, rest) = cut(rest, table);
    let (info, rest) = cut(rest, info);
    let (line, rest) = cut(rest, line);
    // The rest is texts and lists of every kind.
    let sections = [
        (".debug_abbrev", table),
        (".debug_info", info),
        (".debug_line", line),
        (".debug_str", rest),
        (".debug_line_str", rest),
        (".debug_str_offsets", rest),
        (".debug_addr", rest),
        (".debug_ranges", rest),
        (".debug_rnglists", rest),
    ];
    let told = datanode_sandbox::explain_address(&sections, address.into());
    assert_eq!(told, datanode_sandbox::explain_address(&sections, address.into()));
}

fn cut(bytes: &[u8], size: u16) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len().min(size.into()))
}
