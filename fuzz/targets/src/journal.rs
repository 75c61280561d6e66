//! Journals of runs, as text.

use datanode_core::digest::Digest;
use datanode_core::journal::{Held, JournalReader, Line, line};

/// Read a journal to its end.
///
/// Promises: a journal that is whole says the same when it is written and read again, and its digest is that of its bytes.
pub fn journal(data: &[u8]) {
    let Some(lines) = read(data, |digest| assert_eq!(digest, Digest::of(data))) else { return };
    let written: String = lines.iter().map(|each| line(each).unwrap()).collect();
    assert_eq!(read(written.as_bytes(), |_| ()).expect("what was read"), lines);
}

fn read(data: &[u8], digest: impl FnOnce(Digest)) -> Option<Vec<Line>> {
    let mut reader = JournalReader::new(data).ok()?;
    let _ = Held::progress(&reader.header().statistics);
    let mut lines = vec![Line::Run(Box::new(reader.header().clone()))];
    while let Some(entry) = reader.next_entry().ok()? {
        lines.push(Line::Call(entry));
    }
    digest(reader.digest());
    lines.push(Line::End(reader.end().expect("read to its end").clone()));
    Some(lines)
}
