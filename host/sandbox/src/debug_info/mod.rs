//! Debug information (DWARF) of one core module: which functions are at a place of its code, and in which lines.
//!
//! Whoever wrote a component wrote its debug information, and it is read in the host's own process. So nothing here
//! recurses, however deep entries are nested; nothing is kept but a list of units; and whatever is read or kept is paid for
//! out of a [`Budget`]. Entries that refer to each other in a circle, tables that a thousand units share, lists that each
//! function reads anew: they end where it is spent, and then nothing is known of the place. (`addr2line` answers the same
//! questions, but it recurses and keeps as the debug information will have it.)

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;

use gimli::{
    Abbreviations, Attribute, AttributeSpecification, AttributeValue, DebugAbbrevOffset, DebugInfoOffset,
    DebugLineOffset, Dwarf, EndianSlice, EntriesRaw, LittleEndian, Range, RangeListsOffset, Reader, Section,
    SectionId, Unit, UnitHeader, UnitOffset, UnitRef, UnitType,
};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Memory that the units of one component may take, in bytes.
const KEPT_BYTES: u64 = 64 << 20;
/// What may be read to explain one trap, in bytes and entries. Less than a few seconds of a processor.
const READ_BYTES: u64 = 512 << 20;

/// About what a unit takes in memory, what its table of abbreviations takes for each of them and for each of their
/// attributes, and what its line program takes for each file and for each directory, in bytes.
const UNIT: usize = 1_024;
const ABBREVIATION: usize = 160;
const ATTRIBUTE: usize = 32;
const FILE: usize = 128;
const DIRECTORY: usize = 32;

/// Bytes of the tables of one line program, which the reader takes whole: some thousand files.
const MOST_LINE_TABLES: usize = 256 << 10;
/// What a byte of them costs to read, in bytes of others: of a few of them an entry is made.
const LINE_TABLE_BYTE: usize = 16;
/// Functions that were inlined into each other at one place.
const MOST_INLINED: usize = 256;
/// References from one entry to the next until one has a name.
const MOST_REFERENCES: usize = 16;
/// Bytes of one name or path.
const MOST_TEXT: usize = 64 << 10;

/// What may still be read and kept.
#[derive(Debug)]
pub(crate) struct Budget {
    kept: Cell<u64>,
    read: Cell<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { kept: Cell::new(KEPT_BYTES), read: Cell::new(READ_BYTES) }
    }
}

impl Budget {
    fn keep(&self, bytes: usize) -> Result<(), Unread> {
        spend(&self.kept, bytes)
    }

    fn read(&self, bytes: usize) -> Result<(), Unread> {
        spend(&self.read, bytes)
    }
}

fn spend(left: &Cell<u64>, bytes: usize) -> Result<(), Unread> {
    let rest = left.get().checked_sub(bytes as u64);
    // Spent is spent: what would be cheap enough is not read either.
    left.set(rest.unwrap_or(0));
    rest.map(drop).ok_or(Unread::Spent)
}

/// Why something is not known.
#[derive(Debug)]
enum Unread {
    /// It does not hold together.
    Damaged,
    /// The budget was too small for it.
    Spent,
}

impl From<gimli::Error> for Unread {
    fn from(_: gimli::Error) -> Self {
        Self::Damaged
    }
}

/// One function at a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// As its compiler names it.
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
}

/// The debug information of a core module.
pub(crate) struct DebugInfo<'a> {
    dwarf: Dwarf<Bytes<'a>>,
    /// In the order in which they stand.
    units: Vec<Listed<'a>>,
}

/// What one file was compiled to.
struct Listed<'a> {
    /// Where it begins.
    begin: usize,
    unit: Unit<Bytes<'a>>,
    /// The code that it says it has; None where it says nothing.
    code: Option<Vec<Range>>,
}

/// A place in a file of the unit.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    file: Option<u64>,
    line: Option<u32>,
}

/// A function whose code is at a place.
#[derive(Debug)]
struct Called {
    entry: UnitOffset,
    depth: isize,
    /// Where it was called, if it was inlined.
    from: Place,
}

impl<'a> DebugInfo<'a> {
    /// Of the custom sections of a module, by name. None where it cannot be told within the budget.
    pub(crate) fn of(sections: &[(&str, &'a [u8])], budget: &Budget) -> Option<Self> {
        let bytes_of = |id: SectionId| -> Result<Bytes<'a>, Infallible> {
            let section = sections.iter().find(|(name, _)| *name == id.name());
            Ok(EndianSlice::new(section.map_or(&[][..], |(_, bytes)| *bytes), LittleEndian))
        };
        let Ok(dwarf) = Dwarf::load(bytes_of);
        // A text without an end would be searched for it by each who names it.
        let ends = |texts: &Bytes<'a>| texts.slice().last().is_none_or(|byte| *byte == 0);
        if !ends(dwarf.debug_str.reader()) || !ends(dwarf.debug_line_str.reader()) {
            return None;
        }
        let mut units = Vec::new();
        let mut known = None;
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            if matches!(header.type_(), UnitType::Type { .. } | UnitType::SplitType { .. }) {
                continue;
            }
            match listed(&dwarf, header, &mut known, budget) {
                Ok(unit) => units.push(unit),
                Err(Unread::Damaged) => {}
                Err(Unread::Spent) => return None,
            }
        }
        Some(Self { dwarf, units })
    }

    /// At most so many functions at an address, which counts from the begin of the code section: the innermost of those that
    /// were inlined there comes first.
    pub(crate) fn at(&self, address: u64, most: usize, budget: &Budget) -> Vec<Symbol> {
        for listed in &self.units {
            let code = listed.code.as_ref();
            if code.is_some_and(|code| !code.iter().any(|range| holds(range, address))) {
                continue;
            }
            let symbols = self.symbols(listed, address, most, budget).unwrap_or_default();
            if !symbols.is_empty() {
                return symbols;
            }
        }
        Vec::new()
    }

    fn symbols(
        &self,
        listed: &Listed<'a>,
        address: u64,
        most: usize,
        budget: &Budget,
    ) -> Result<Vec<Symbol>, Unread> {
        let unit = UnitRef::new(&self.dwarf, &listed.unit);
        let called = called(unit, address, budget)?;
        let mut place = if_read(line(unit, address, budget))?;
        let mut symbols = Vec::new();
        for call in called.iter().rev().take(most) {
            let function = if_read(self.name(unit, call.entry, budget))?;
            symbols.push(symbol(unit, function, place, budget)?);
            place = Some(call.from);
        }
        if called.is_empty() && place.is_some() {
            symbols.push(symbol(unit, None, place, budget)?);
        }
        Ok(symbols)
    }

    /// The name of an entry, or of the one that it refers to.
    fn name<'s>(
        &'s self,
        mut unit: UnitRef<'s, Bytes<'a>>,
        mut entry: UnitOffset,
        budget: &Budget,
    ) -> Result<Option<String>, Unread> {
        for _ in 0..MOST_REFERENCES {
            let mut entries = unit.entries_raw(Some(entry))?;
            let abbreviation = entries.read_abbreviation()?.ok_or(Unread::Damaged)?;
            let (mut linked, mut plain, mut next) = (None, None, None);
            for spec in abbreviation.attributes() {
                let attribute = match read(&mut entries, *spec, budget) {
                    Err(Unread::Damaged) => {
                        // Its end was looked for until that of the unit.
                        budget.read(unit.header.length_including_self().saturating_sub(entry.0))?;
                        return Err(Unread::Damaged);
                    }
                    other => other?,
                };
                match attribute.name() {
                    gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                        linked = Some(attribute.value());
                    }
                    gimli::DW_AT_name => plain = Some(attribute.value()),
                    gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                        next = Some(attribute.value());
                    }
                    _ => {}
                }
            }
            if let Some(name) = linked.or(plain) {
                return text(unit, name, budget).map(Some);
            }
            match next {
                Some(AttributeValue::UnitRef(there)) => entry = there,
                Some(AttributeValue::DebugInfoRef(there)) => (unit, entry) = self.entry(there)?,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The unit of an entry, and where it is in there.
    fn entry(&self, there: DebugInfoOffset) -> Result<(UnitRef<'_, Bytes<'a>>, UnitOffset), Unread> {
        let behind = self.units.partition_point(|listed| listed.begin <= there.0);
        let listed = behind.checked_sub(1).and_then(|at| self.units.get(at)).ok_or(Unread::Damaged)?;
        let entry = there.to_unit_offset(&listed.unit.header).ok_or(Unread::Damaged)?;
        Ok((UnitRef::new(&self.dwarf, &listed.unit), entry))
    }
}

/// What debug information, in custom sections of these names, tells of an address: for fuzzing.
#[doc(hidden)]
pub fn explain_address(sections: &[(&str, &[u8])], address: u64) -> String {
    let budget = Budget::default();
    let told = DebugInfo::of(sections, &budget).map(|known| known.at(address, usize::MAX, &budget));
    format!("{:?}", told.unwrap_or_default())
}

/// What cannot be read is not known, and all else is.
fn if_read<T>(read: Result<Option<T>, Unread>) -> Result<Option<T>, Unread> {
    match read {
        Err(Unread::Damaged) => Ok(None),
        other => other,
    }
}

fn holds(range: &Range, address: u64) -> bool {
    range.begin <= address && address < range.end
}

/// Abbreviations of the unit before: those of many units are often one table.
type Known = Option<(DebugAbbrevOffset, Arc<Abbreviations>)>;

fn listed<'a>(
    dwarf: &Dwarf<Bytes<'a>>,
    header: UnitHeader<Bytes<'a>>,
    known: &mut Known,
    budget: &Budget,
) -> Result<Listed<'a>, Unread> {
    budget.keep(UNIT)?;
    let begin = header.debug_info_offset().ok_or(Unread::Damaged)?.0;
    let table = header.debug_abbrev_offset();
    let same = known.as_ref().filter(|(place, _)| *place == table).map(|(_, read)| Arc::clone(read));
    let abbreviations = if let Some(same) = same {
        same
    } else {
        pay_for_abbreviations(dwarf, table, budget)?;
        let read = dwarf.abbreviations(&header)?;
        *known = Some((table, Arc::clone(&read)));
        read
    };

    let mut entries = header.entries_raw(&abbreviations, None)?;
    let root = entries.read_abbreviation()?.ok_or(Unread::Damaged)?;
    for spec in root.attributes() {
        let attribute = read(&mut entries, *spec, budget)?;
        // Paid for before the unit is made of it, which may fail behind what is dear.
        match (attribute.name(), attribute.value()) {
            (gimli::DW_AT_stmt_list, AttributeValue::DebugLineRef(place)) => {
                let tables = line_tables(dwarf, place)?;
                if tables > MOST_LINE_TABLES {
                    return Err(Unread::Damaged);
                }
                budget.read(tables * LINE_TABLE_BYTE)?;
            }
            (gimli::DW_AT_name | gimli::DW_AT_comp_dir, text) => pay_for_text(dwarf, &text, budget)?,
            _ => {}
        }
    }
    let unit = Unit::new_with_abbreviations(dwarf, header, abbreviations)?;
    if let Some(program) = &unit.line_program {
        let (files, directories) = (program.header().file_names(), program.header().include_directories());
        budget.keep(files.len() * FILE + directories.len() * DIRECTORY)?;
    }
    let code = code(UnitRef::new(dwarf, &unit), budget)?;
    Ok(Listed { begin, unit, code })
}

/// A text of a unit is looked for its end, which it may have a section later.
fn pay_for_text<'a>(
    dwarf: &Dwarf<Bytes<'a>>,
    text: &AttributeValue<Bytes<'a>>,
    budget: &Budget,
) -> Result<(), Unread> {
    let (texts, begin) = match text {
        // It has been read with its attribute.
        AttributeValue::String(_) => return Ok(()),
        AttributeValue::DebugStrRef(place) => (dwarf.debug_str.reader(), place.0),
        AttributeValue::DebugLineStrRef(place) => (dwarf.debug_line_str.reader(), place.0),
        // By way of another section: it is not known which one.
        _ => return budget.read(dwarf.debug_str.reader().slice().len()),
    };
    let from = texts.slice().get(begin..).ok_or(Unread::Damaged)?;
    let length = from.iter().take(MOST_TEXT).position(|byte| *byte == 0);
    budget.read(length.unwrap_or(MOST_TEXT))?;
    length.map(drop).ok_or(Unread::Damaged)
}

/// The table is read whole, and nothing tells its size but its end.
fn pay_for_abbreviations(
    dwarf: &Dwarf<Bytes<'_>>,
    table: DebugAbbrevOffset,
    budget: &Budget,
) -> Result<(), Unread> {
    let mut bytes = *dwarf.debug_abbrev.reader();
    bytes.skip(table.0)?;
    while !bytes.is_empty() && bytes.read_uleb128()? != 0 {
        budget.keep(ABBREVIATION)?;
        // Its tag, and whether entries of it have others in them.
        bytes.read_uleb128()?;
        bytes.read_u8()?;
        loop {
            let (name, form) = (bytes.read_uleb128()?, bytes.read_uleb128()?);
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                bytes.read_sleb128()?;
            }
            if (name, form) == (0, 0) {
                break;
            }
            budget.keep(ATTRIBUTE)?;
        }
    }
    Ok(())
}

/// Bytes of the tables of directories and files of a line program.
fn line_tables(dwarf: &Dwarf<Bytes<'_>>, program: DebugLineOffset) -> Result<usize, Unread> {
    let mut bytes = *dwarf.debug_line.reader();
    bytes.skip(program.0)?;
    let (_, format) = bytes.read_initial_length()?;
    if bytes.read_u16()? >= 5 {
        // The sizes of an address and of a segment.
        bytes.skip(2)?;
    }
    Ok(bytes.read_length(format)?)
}

fn code(unit: UnitRef<'_, Bytes<'_>>, budget: &Budget) -> Result<Option<Vec<Range>>, Unread> {
    let mut entries = unit.entries_raw(None)?;
    let root = entries.read_abbreviation()?.ok_or(Unread::Damaged)?;
    let mut declared = Declared::default();
    for spec in root.attributes() {
        declared.note(unit, &read(&mut entries, *spec, budget)?)?;
    }
    let mut ranges = Vec::new();
    let is_said = declared.each(unit, budget, |range| {
        ranges.push(range);
        budget.keep(size_of::<Range>())
    })?;
    Ok(is_said.then_some(ranges))
}

/// An attribute, which may be as large as its unit.
fn read<'a>(
    entries: &mut EntriesRaw<'_, Bytes<'a>>,
    spec: AttributeSpecification,
    budget: &Budget,
) -> Result<Attribute<Bytes<'a>>, Unread> {
    let begin = entries.next_offset().0;
    let attribute = entries.read_attribute(spec)?;
    budget.read(1 + entries.next_offset().0 - begin)?;
    Ok(attribute)
}

/// What an entry says of where its code is.
#[derive(Debug, Default)]
struct Declared {
    low: Option<u64>,
    high: Option<u64>,
    size: Option<u64>,
    list: Option<RangeListsOffset>,
}

impl Declared {
    fn note<'a>(
        &mut self,
        unit: UnitRef<'_, Bytes<'a>>,
        attribute: &Attribute<Bytes<'a>>,
    ) -> Result<(), Unread> {
        match (attribute.name(), attribute.value()) {
            (gimli::DW_AT_low_pc, value) => self.low = unit.attr_address(value)?,
            (gimli::DW_AT_high_pc, AttributeValue::Udata(size)) => self.size = Some(size),
            (gimli::DW_AT_high_pc, value) => self.high = unit.attr_address(value)?,
            (gimli::DW_AT_ranges, value) => self.list = unit.attr_ranges_offset(value)?,
            _ => {}
        }
        Ok(())
    }

    /// Each range of it. Answers whether anything was said at all.
    fn each(
        &self,
        unit: UnitRef<'_, Bytes<'_>>,
        budget: &Budget,
        mut take: impl FnMut(Range) -> Result<(), Unread>,
    ) -> Result<bool, Unread> {
        if let Some(list) = self.list {
            // Paid for before: what is no range in the list is passed over by its reader.
            let mut steps = unit.raw_ranges(list)?;
            while steps.next()?.is_some() {
                budget.read(size_of::<Range>())?;
            }
            let mut ranges = unit.ranges(list)?;
            while let Some(range) = ranges.next()? {
                take(range)?;
            }
            return Ok(true);
        }
        let Some(begin) = self.low else { return Ok(false) };
        let Some(end) = self.high.or_else(|| self.size.map(|size| begin.wrapping_add(size))) else {
            return Ok(false);
        };
        if begin < end {
            take(Range { begin, end })?;
        }
        Ok(true)
    }
}

/// The function at an address, and those that were inlined there: each in the one before.
fn called(unit: UnitRef<'_, Bytes<'_>>, address: u64, budget: &Budget) -> Result<Vec<Called>, Unread> {
    let mut found: Vec<Called> = Vec::new();
    let mut entries = unit.entries_raw(None)?;
    while !entries.is_empty() {
        budget.read(1)?;
        let (entry, depth) = (entries.next_offset(), entries.next_depth());
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        if found.first().is_some_and(|function| depth <= function.depth) {
            break;
        }
        let is_function = abbreviation.tag() == gimli::DW_TAG_subprogram;
        let is_inlined = abbreviation.tag() == gimli::DW_TAG_inlined_subroutine && !found.is_empty();
        let mut declared = Declared::default();
        let mut from = Place::default();
        for spec in abbreviation.attributes() {
            let attribute = read(&mut entries, *spec, budget)?;
            if !is_function && !is_inlined {
                continue;
            }
            declared.note(unit, &attribute)?;
            match (attribute.name(), attribute.value()) {
                // Before version 5, 0 is no file.
                (gimli::DW_AT_call_file, AttributeValue::FileIndex(file)) => {
                    from.file = (file > 0 || unit.header.version() >= 5).then_some(file);
                }
                (gimli::DW_AT_call_line, _) => from.line = attribute.udata_value().and_then(line_number),
                _ => {}
            }
        }
        let mut is_here = false;
        declared.each(unit, budget, |range| {
            is_here |= holds(&range, address);
            Ok(())
        })?;
        if !is_here {
            continue;
        }
        if is_function {
            found.clear();
        } else if found.last().is_none_or(|outer| depth <= outer.depth) {
            continue;
        }
        if found.len() > MOST_INLINED {
            return Err(Unread::Damaged);
        }
        found.push(Called { entry, depth, from });
    }
    Ok(found)
}

/// Compilers say 0 where there is no line.
fn line_number(line: u64) -> Option<u32> {
    u32::try_from(line).ok().filter(|line| *line > 0)
}

/// The line of an address. Code that was thrown away by a linker may be said to be anywhere, mostly at 0: of several that hold
/// the address, the one that begins last has it.
fn line(unit: UnitRef<'_, Bytes<'_>>, address: u64, budget: &Budget) -> Result<Option<Place>, Unread> {
    let Some(program) = &unit.line_program else { return Ok(None) };
    budget.read(program.header().header_length() + program.header().raw_program_buf().slice().len())?;
    let mut rows = program.clone().rows();
    let mut found: Option<(u64, Place)> = None;
    let mut begin = None;
    let mut last: Option<(u64, Place)> = None;
    while let Some((_, row)) = rows.next_row()? {
        let here = row.address();
        let start = *begin.get_or_insert(here);
        if let Some((since, place)) = last
            && since <= address
            && address < here
            && found.is_none_or(|(earlier, _)| earlier < start)
        {
            found = Some((start, place));
        }
        let line = row.line().and_then(|line| line_number(line.get()));
        last = Some((here, Place { file: Some(row.file_index()), line }));
        if row.end_sequence() {
            (begin, last) = (None, None);
        }
    }
    Ok(found.map(|(_, place)| place))
}

fn symbol(
    unit: UnitRef<'_, Bytes<'_>>,
    function: Option<String>,
    place: Option<Place>,
    budget: &Budget,
) -> Result<Symbol, Unread> {
    let place = place.unwrap_or_default();
    let file = match place.file {
        Some(file) => if_read(path(unit, file, budget))?,
        None => None,
    };
    Ok(Symbol { function, file, line: place.line })
}

/// The path of a file of a unit.
fn path(unit: UnitRef<'_, Bytes<'_>>, file: u64, budget: &Budget) -> Result<Option<String>, Unread> {
    let Some(program) = &unit.line_program else { return Ok(None) };
    let Some(file) = program.header().file(file) else { return Ok(None) };
    let mut path = match unit.comp_dir {
        Some(directory) => text(unit, AttributeValue::String(directory), budget)?,
        None => String::new(),
    };
    // The directory 0 is that of the compilation.
    if file.directory_index() != 0
        && let Some(directory) = file.directory(program.header())
    {
        join(&mut path, &text(unit, directory, budget)?);
    }
    join(&mut path, &text(unit, file.path_name(), budget)?);
    Ok(Some(path))
}

fn text<'a>(
    unit: UnitRef<'_, Bytes<'a>>,
    text: AttributeValue<Bytes<'a>>,
    budget: &Budget,
) -> Result<String, Unread> {
    let bytes = unit.attr_string(text)?.slice();
    budget.read(bytes.len())?;
    Ok(String::from_utf8_lossy(bytes.get(..MOST_TEXT).unwrap_or(bytes)).into_owned())
}

/// A path that may go on from another one, on whichever system it was written.
fn join(path: &mut String, next: &str) {
    let has_root = |path: &str, separator: char| {
        let drive = path.get(1..).and_then(|rest| rest.strip_prefix(':'));
        path.starts_with(separator) || drive.is_some_and(|rest| rest.starts_with(separator))
    };
    if has_root(next, '/') || has_root(next, '\\') {
        next.clone_into(path);
        return;
    }
    let separator = if has_root(path, '\\') { '\\' } else { '/' };
    if !path.is_empty() && !path.ends_with(separator) {
        path.push(separator);
    }
    path.push_str(next);
}

#[cfg(test)]
mod tests;
