use super::*;

/// Tags, attributes and forms, by their numbers in the standard.
const UNIT_TAG: u8 = 0x11;
const FUNCTION: u8 = 0x2e;
const INLINED: u8 = 0x1d;
const NAME: u8 = 0x03;
const LINES: u8 = 0x10;
const LOW: u8 = 0x11;
const HIGH: u8 = 0x12;
const COMP_DIR: u8 = 0x1b;
const ORIGIN: u8 = 0x31;
const RANGES: u8 = 0x55;
const CALL_FILE: u8 = 0x58;
const CALL_LINE: u8 = 0x59;
const ADDRESS: u8 = 0x01;
const DATA4: u8 = 0x06;
const STRING: u8 = 0x08;
const DATA1: u8 = 0x0b;
const STRP: u8 = 0x0e;
const REF4: u8 = 0x13;
const OFFSET: u8 = 0x17;

/// Its number, its tag, and of each attribute name and form.
type Abbreviation = (u8, u8, &'static [(u8, u8)]);

/// The table of abbreviations of all units here. Each has children.
const TABLE: [Abbreviation; 7] = [
    (1, UNIT_TAG, &[(LOW, ADDRESS), (HIGH, DATA4), (COMP_DIR, STRING), (LINES, OFFSET)]),
    (2, FUNCTION, &[(LOW, ADDRESS), (HIGH, DATA4), (NAME, STRING)]),
    (3, INLINED, &[]),
    (4, INLINED, &[(LOW, ADDRESS), (HIGH, DATA4), (CALL_FILE, DATA1), (CALL_LINE, DATA1), (ORIGIN, REF4)]),
    (5, FUNCTION, &[(LOW, ADDRESS), (HIGH, DATA4), (ORIGIN, REF4)]),
    (6, FUNCTION, &[(RANGES, OFFSET)]),
    (7, FUNCTION, &[(LOW, ADDRESS), (HIGH, DATA4), (NAME, STRP)]),
];

/// Bytes before the first entry of a unit.
const HEADER: usize = 11;

fn table() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (code, tag, attributes) in TABLE {
        bytes.extend([code, tag, 1]);
        for (name, form) in attributes {
            bytes.extend([*name, *form]);
        }
        bytes.extend([0, 0]);
    }
    bytes.push(0);
    bytes
}

/// A unit of version 4, whose code is the first 256 bytes, in the directory `/node`; and the place at which its own entries begin.
fn unit(entries: impl FnOnce(u32) -> Vec<u8>) -> Vec<u8> {
    let mut root = vec![1];
    root.extend(code(0, 0x100));
    root.extend(b"/node\0");
    root.extend(0_u32.to_le_bytes());
    let begin = u32::try_from(HEADER + root.len()).unwrap();
    root.extend(entries(begin));
    root.push(0);
    let mut unit = u32::try_from(root.len() + HEADER - 4).unwrap().to_le_bytes().to_vec();
    unit.extend([4, 0, 0, 0, 0, 0, 4]);
    unit.extend(root);
    unit
}

/// Where code begins, and how long it is.
fn code(begin: u32, size: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&begin.to_le_bytes());
    bytes[4..].copy_from_slice(&size.to_le_bytes());
    bytes
}

fn function(begin: u32, size: u32, name: &str, inside: &[u8]) -> Vec<u8> {
    [&[2][..], &code(begin, size), name.as_bytes(), &[0], inside, &[0]].concat()
}

/// A line program of `node.rs`: line 3 from 16 to 80, and then these opcodes.
fn lines(opcodes: &[u8]) -> Vec<u8> {
    let tables =
        [&[1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0][..], b"node.rs\0", &[0, 0, 0, 0]];
    let tables = tables.concat();
    let program = [&[0, 5, 2, 16, 0, 0, 0, 3, 2, 1, 2, 64, 0, 1, 1][..], opcodes].concat();
    let mut bytes = u32::try_from(2 + 4 + tables.len() + program.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend([4, 0]);
    bytes.extend(u32::try_from(tables.len()).unwrap().to_le_bytes());
    bytes.extend(tables);
    bytes.extend(program);
    bytes
}

fn read_with(sections: &[(&str, &[u8])], address: u64, budget: &Budget) -> Vec<Symbol> {
    DebugInfo::of(sections, budget).map(|known| known.at(address, 16, budget)).unwrap_or_default()
}

/// What is at this address, as `function file:line`.
fn at(info: &[u8], line: &[u8], address: u64) -> Vec<String> {
    let sections = [(".debug_abbrev", &table()[..]), (".debug_info", info), (".debug_line", line)];
    let shown = |symbol: Symbol| {
        let Symbol { function, file, line } = symbol;
        let (function, file) = (function.unwrap_or("?".into()), file.unwrap_or("?".into()));
        format!("{function} {file}:{}", line.unwrap_or_default())
    };
    read_with(&sections, address, &Budget::default()).into_iter().map(shown).collect()
}

/// `divide`, inlined into `update` at its line 7.
fn honest() -> Vec<u8> {
    unit(|begin| {
        let divide = function(0, 0, "divide", &[]);
        let inlined = [&[4][..], &code(32, 16), &[1, 7], &begin.to_le_bytes(), &[0]].concat();
        [divide, function(16, 64, "update", &inlined)].concat()
    })
}

#[test]
fn functions_and_lines_are_told_the_innermost_first() {
    let (info, line) = (honest(), lines(&[]));
    assert_eq!(at(&info, &line, 36), ["divide /node/node.rs:3", "update /node/node.rs:7"]);
    assert_eq!(at(&info, &line, 20), ["update /node/node.rs:3"]);
    assert_eq!(at(&info, &line, 79), ["update /node/node.rs:3"]);
    for outside in [0, 15, 80, 255, 256, 1 << 40, u64::MAX] {
        assert!(at(&info, &line, outside).is_empty(), "{outside}");
    }
    // A second sequence, of line 2, which begins later within the first.
    let later = [0, 5, 2, 20, 0, 0, 0, 3, 1, 1, 2, 4, 0, 1, 1];
    assert_eq!(at(&info, &lines(&later), 20), ["update /node/node.rs:2"]);
    assert_eq!(at(&info, &lines(&later), 24), ["update /node/node.rs:3"]);
}

#[test]
fn names_are_found_where_others_refer_to_them_and_not_in_a_circle() {
    let info = unit(|begin| {
        let divide = function(0, 0, "divide", &[]);
        [divide, [&[5][..], &code(16, 64), &begin.to_le_bytes(), &[0]].concat()].concat()
    });
    assert_eq!(at(&info, &lines(&[]), 20), ["divide /node/node.rs:3"]);

    let circle = |begin: u32| [&[5][..], &code(16, 64), &begin.to_le_bytes(), &[0]].concat();
    assert_eq!(at(&unit(circle), &lines(&[]), 20), ["? /node/node.rs:3"]);
    // Into itself by way of another, and out of the unit.
    let two = |begin: u32| {
        let one = [&[5][..], &code(16, 64), &(begin + 14).to_le_bytes(), &[0]].concat();
        let other = [&[5][..], &code(0, 0), &begin.to_le_bytes(), &[0]].concat();
        [one, other].concat()
    };
    assert_eq!(at(&unit(two), &lines(&[]), 20), ["? /node/node.rs:3"]);
    let outside = |_: u32| [&[5][..], &code(16, 64), &u32::MAX.to_le_bytes(), &[0]].concat();
    assert_eq!(at(&unit(outside), &lines(&[]), 20), ["? /node/node.rs:3"]);
}

/// On a small stack, for it is the stack that a reader that recurses would leave.
#[test]
fn entries_within_a_million_entries_are_read_and_leave_the_stack_alone() {
    let nested = || unit(|_| function(16, 64, "update", &vec![3; 1_000_000]));
    let read =
        std::thread::Builder::new().stack_size(256 << 10).spawn(move || at(&nested(), &lines(&[]), 20));
    assert_eq!(read.unwrap().join().unwrap(), ["update /node/node.rs:3"]);
}

#[test]
fn what_is_inlined_deeper_than_any_compiler_does_is_not_told() {
    let inlined = |depth: usize| {
        unit(|begin| {
            let one = [&[4][..], &code(16, 64), &[1, 7], &begin.to_le_bytes()].concat();
            [function(0, 0, "divide", &[]), function(16, 64, "update", &one.repeat(depth))].concat()
        })
    };
    let told = at(&inlined(MOST_INLINED), &lines(&[]), 20);
    assert_eq!((told.len(), told[1].as_str()), (16, "divide /node/node.rs:7"));
    assert!(at(&inlined(MOST_INLINED + 1), &lines(&[]), 20).is_empty());
}

#[test]
fn a_line_program_is_run_without_keeping_its_rows() {
    // Each of these opcodes is a row, at one place.
    let rows = vec![18; 1 << 20];
    assert_eq!(at(&honest(), &lines(&rows), 20), ["update /node/node.rs:3"]);
    // Beyond the budget it is not run at all.
    let budget = Budget { kept: Cell::new(KEPT_BYTES), read: Cell::new(1 << 20) };
    let line = lines(&rows);
    let sections =
        [(".debug_abbrev", &table()[..]), (".debug_info", &honest()[..]), (".debug_line", &line[..])];
    assert!(read_with(&sections, 20, &budget).is_empty());
    assert_eq!(budget.read.get(), 0);
}

#[test]
fn tables_that_are_too_large_or_read_too_often_are_not_kept() {
    // A table of files that one line program would need a few hundred megabytes for.
    let mut files = lines(&[]);
    let more = u32::try_from(MOST_LINE_TABLES + 1).unwrap();
    files[6..10].copy_from_slice(&more.to_le_bytes());
    files.extend(vec![b'a'; MOST_LINE_TABLES + 64]);
    let whole = u32::try_from(files.len() - 4).unwrap();
    files[..4].copy_from_slice(&whole.to_le_bytes());
    assert!(at(&honest(), &files, 20).is_empty());

    // Units by the thousand, each with the same table, and each with one of its own.
    let one = honest();
    let same = one.repeat(1_000);
    let budget = Budget::default();
    let is_told = |info: &[u8], table: &[u8]| {
        DebugInfo::of(&[(".debug_abbrev", table), (".debug_info", info)], &budget).is_some()
    };
    assert!(is_told(&same, &table()));
    // Each begins one abbreviation further in the same table: eight gigabytes, were all of them kept.
    let mut tables = Vec::new();
    for code in 128..10_128_u16 {
        let [low, high] = (((code >> 7) << 8) | (code & 0x7f)).to_le_bytes();
        tables.extend([low | 0x80, high, UNIT_TAG, 0, 0, 0]);
    }
    tables.push(0);
    let mut own = Vec::new();
    for at in 0..10_000_u32 {
        let mut unit = one.clone();
        unit[6..10].copy_from_slice(&(6 * at).to_le_bytes());
        own.extend(unit);
    }
    assert!(!is_told(&own, &tables));
}

/// What fails is paid for, too: here each unit has a long text before a line program that is none.
#[test]
fn units_that_fail_behind_what_is_dear_are_paid_for() {
    let table = [1, UNIT_TAG, 1, NAME, STRP, COMP_DIR, STRP, LINES, OFFSET, 0, 0, 0];
    let version = [8, 0, 0, 0, 99, 0, 0, 0, 2, 0, 0, 0];
    let one = {
        let root = [&[1][..], &[0; 12], &[0]].concat();
        let rest = [&4_u16.to_le_bytes()[..], &[0; 4], &[4], &root].concat();
        [&u32::try_from(rest.len()).unwrap().to_le_bytes()[..], &rest].concat()
    };
    let info = one.repeat(20_000);
    let left = |texts: &[u8]| {
        let budget = Budget::default();
        let sections = [
            (".debug_abbrev", &table[..]),
            (".debug_info", &info[..]),
            (".debug_line", &version[..]),
            (".debug_str", texts),
        ];
        DebugInfo::of(&sections, &budget);
        budget.read.get()
    };
    let text = |length: usize| [&vec![b'x'; length][..], &[0]].concat();
    assert!(left(&text(10)) > READ_BYTES / 2);
    assert_eq!(left(&text(MOST_TEXT - 1)), 0, "of each unit two texts");
    // One that is longer is given up where no path is so long.
    assert_eq!(left(&text(MOST_TEXT * 100)), 0);
}

#[test]
fn lists_of_ranges_are_paid_for_by_each_who_reads_them() {
    // A list of a thousand beginnings from which no range counts; a thousand functions read it.
    let list = [[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]; 1_000].concat();
    let info = unit(|_| [&[6][..], &0_u32.to_le_bytes(), &[0]].concat().repeat(1_000));
    let budget = Budget { kept: Cell::new(KEPT_BYTES), read: Cell::new(1 << 20) };
    let line = lines(&[]);
    let sections = [
        (".debug_abbrev", &table()[..]),
        (".debug_info", &info[..]),
        (".debug_line", &line[..]),
        (".debug_ranges", &list[..]),
    ];
    assert!(read_with(&sections, 20, &budget).is_empty());
    assert_eq!(budget.read.get(), 0);
}

#[test]
fn a_text_without_an_end_tells_nothing() {
    let info = unit(|_| [&[7][..], &code(16, 64), &0_u32.to_le_bytes(), &[0]].concat());
    let line = lines(&[]);
    let with = |texts: &[u8]| {
        let sections = [
            (".debug_abbrev", &table()[..]),
            (".debug_info", &info[..]),
            (".debug_line", &line[..]),
            (".debug_str", texts),
        ];
        let symbols = read_with(&sections, 20, &Budget::default());
        symbols.into_iter().next().and_then(|symbol| symbol.function)
    };
    assert_eq!(with(b"update\0").as_deref(), Some("update"));
    assert_eq!(with(b"update"), None);
    let long = [&vec![b'u'; 1 << 20][..], &[0]].concat();
    assert_eq!(with(&long).unwrap().len(), MOST_TEXT);
}

#[test]
fn sections_cut_anywhere_and_bytes_of_any_value_never_panic() {
    let (info, line, table) = (honest(), lines(&[]), table());
    let whole = [&table, &info, &line];
    for (which, section) in whole.into_iter().enumerate() {
        for at in 0..section.len() {
            for other in [None, Some(0), Some(0x16), Some(0x7f), Some(0xff)] {
                let mut changed = whole.map(Clone::clone);
                match other {
                    None => changed[which].truncate(at),
                    Some(byte) => changed[which][at] = byte,
                }
                let [table, info, line] = &changed;
                let sections =
                    [(".debug_abbrev", &table[..]), (".debug_info", &info[..]), (".debug_line", &line[..])];
                for address in [0, 20, 36, 1_000] {
                    read_with(&sections, address, &Budget::default());
                }
            }
        }
    }
}

#[test]
fn paths_go_on_from_each_other_unless_they_have_a_root() {
    for (path, next, joined) in [
        ("/node", "src/lib.rs", "/node/src/lib.rs"),
        ("/node/", "lib.rs", "/node/lib.rs"),
        ("/node", "/rustc/library/core.rs", "/rustc/library/core.rs"),
        ("C:\\node", "lib.rs", "C:\\node\\lib.rs"),
        ("C:\\node", "D:\\lib.rs", "D:\\lib.rs"),
        ("", "lib.rs", "lib.rs"),
    ] {
        let mut whole = path.to_owned();
        join(&mut whole, next);
        assert_eq!(whole, joined);
    }
}
