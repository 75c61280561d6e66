//! Debug information (DWARF) that no compiler would write, as custom sections of a core module.

/// Tags, attributes and forms, by their numbers in the standard.
const UNIT: u8 = 0x11;
const FUNCTION: u8 = 0x2e;
const INLINED: u8 = 0x1d;
const NAME: u8 = 0x03;
const LINES: u8 = 0x10;
const LOW: u8 = 0x11;
const HIGH: u8 = 0x12;
const ORIGIN: u8 = 0x31;
const ADDRESS: u8 = 0x01;
const DATA4: u8 = 0x06;
const STRING: u8 = 0x08;
const REF4: u8 = 0x13;
const OFFSET: u8 = 0x17;

/// Code, tag, that there are children, and pairs of attribute and form.
const TABLE: [&[u8]; 4] = [
    &[1, UNIT, 1, LOW, ADDRESS, HIGH, DATA4, LINES, OFFSET, 0, 0],
    &[2, FUNCTION, 1, LOW, ADDRESS, HIGH, DATA4, NAME, STRING, 0, 0],
    &[3, INLINED, 1, 0, 0],
    &[4, FUNCTION, 1, LOW, ADDRESS, HIGH, DATA4, ORIGIN, REF4, 0, 0],
];

/// From the begin of all code to beyond its end.
const ALL_CODE: [u8; 8] = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f];

/// Where the first entry of a unit begins, behind its header and its own.
const FIRST: u32 = 11 + 1 + 8 + 4;

/// The debug information of this attack; none for most.
pub fn sections(attack: &str) -> Vec<u8> {
    let table = [TABLE.concat(), vec![0]].concat();
    let function = |inside: &[u8]| [&[2][..], &ALL_CODE, b"nested\0", inside].concat();
    let (table, info, lines) = match attack {
        "debug_entries_nested" => (table, unit(0, &function(&vec![3; 1_000_000])), lines(&[])),
        "debug_names_in_a_circle" => {
            (table, unit(0, &[&[4][..], &ALL_CODE, &FIRST.to_le_bytes()].concat()), lines(&[]))
        }
        // Each opcode is a row.
        "debug_lines_without_end" => (table, unit(0, &[]), lines(&vec![18; 8 << 20])),
        "debug_tables_read_anew" => {
            // Each unit has the rest of the same table, one abbreviation less than the unit before.
            let many = (128..16_000_u16).flat_map(|code| {
                let [low, high] = (((code >> 7) << 8) | (code & 0x7f)).to_le_bytes();
                [low | 0x80, high, UNIT, 0, 0, 0]
            });
            let table: Vec<u8> = many.chain([0]).collect();
            (table, (0..15_000).flat_map(|at| unit(6 * at, &[])).collect(), lines(&[]))
        }
        "debug_sections_cut_off" => {
            let (mut info, mut lines) = (unit(0, &function(&[3; 64])), lines(&[18; 64]));
            info.truncate(info.len() - 40);
            lines.truncate(lines.len() - 40);
            (table, info, lines)
        }
        _ => return Vec::new(),
    };
    [custom(".debug_abbrev", &table), custom(".debug_info", &info), custom(".debug_line", &lines)].concat()
}

/// A unit of version 4 with these entries, whose table of abbreviations begins there.
fn unit(table: u32, entries: &[u8]) -> Vec<u8> {
    let entries = [&[1][..], &ALL_CODE, &[0; 4], entries].concat();
    let size = u32::try_from(entries.len() + 7).unwrap();
    [&size.to_le_bytes()[..], &[4, 0], &table.to_le_bytes(), &[4], &entries].concat()
}

/// A line program of version 4 with these opcodes, of one file.
fn lines(opcodes: &[u8]) -> Vec<u8> {
    let tables =
        [&[1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0][..], b"node.rs\0", &[0; 4]].concat();
    let size = u32::try_from(6 + tables.len() + opcodes.len()).unwrap();
    let tables_size = u32::try_from(tables.len()).unwrap();
    [&size.to_le_bytes()[..], &[4, 0], &tables_size.to_le_bytes(), &tables, opcodes].concat()
}

fn custom(name: &str, content: &[u8]) -> Vec<u8> {
    let content = [&size(name.len())[..], name.as_bytes(), content].concat();
    [&[0][..], &size(content.len()), &content].concat()
}

/// A size as WebAssembly writes it: seven bits in each byte, the low ones first.
fn size(mut size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(size & 0x7f).unwrap();
        size >>= 7;
        if size == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
