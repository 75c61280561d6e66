//! Run a node natively, against tables and files that a test gives.
//!
//! The stub answers queries as the host does (ranges, range maps, filters, coordinates, columns), cuts frames into
//! many small batches, hides what is not declared, and refuses rows that the host would refuse. What a test sees has
//! gone through the same encoding as in a run.
//!
//! ```
//! use datanode_sdk::prelude::*;
//! use datanode_sdk::testing::{Harness, Table};
//!
//! struct Copy;
//!
//! impl DataNode for Copy {
//!     type Config = NoConfig;
//!     const NAME: &str = "copy";
//!     const VERSION: &str = "0.1.0";
//!     const DESCRIPTION: &str = "The file, as a table.";
//!
//!     fn sources() -> Vec<Source> {
//!         vec![Source::required("numbers", "numbers.txt: a date and a number per line")]
//!     }
//!
//!     fn output() -> Output {
//!         Output::new(["time_index"])
//!             .column("time_index", DataType::TimestampTz, "Day.")
//!             .column("number", DataType::Float64, "Number.")
//!     }
//!
//!     fn update(_: &NoConfig, context: &mut Context) -> Result<(), NodeError> {
//!         let text = context.fetch(Request::get("numbers", "numbers.txt"))?.ok()?.text()?;
//!         let (mut times, mut numbers) = (Vec::new(), Vec::new());
//!         for line in text.lines() {
//!             let (day, number) = line.split_once(' ').ok_or_else(|| NodeError::new("source.parse", line))?;
//!             let time = day.parse()?;
//!             if context.is_missing(time, &[]) {
//!                 times.push(time);
//!                 numbers.push(number.parse::<f64>().kind("source.parse")?);
//!             }
//!         }
//!         info!("read", rows = times.len());
//!         context.emit(&FrameBuilder::new().timestamps("time_index", times).floats("number", numbers).build()?)
//!     }
//! }
//!
//! let harness = Harness::<Copy>::new()
//!     .file("numbers", "numbers.txt", "2020-01-01 1\n2020-01-02 2\n")
//!     .window(None, "2020-01-02");
//! let first = harness.clone().run().ok();
//! assert_eq!(first.rows(), 2);
//! assert_eq!(first.logs[0].message, "read");
//!
//! // A second run over what the first one stored has nothing to do.
//! let second = harness.output(Table::new(["time_index"], first.batches)).run().ok();
//! assert_eq!(second.rows(), 0);
//! ```

mod complete;
mod harness;
mod identity;
mod stub;
mod table;

use std::cell::RefCell;

#[doc(hidden)]
pub use harness::update_on;
pub use harness::{Harness, Run};
pub use identity::HASH_NAMESPACE_VARIABLE;
pub use stub::Read;
pub use table::Table;

use crate::log::Level;

/// A line that a node logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The message.
    pub message: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

thread_local! {
    /// Lines of the run on this thread; None outside of one.
    static LINES: RefCell<Option<Vec<LogLine>>> = const { RefCell::new(None) };
}

pub(crate) fn record_log(level: Level, message: &str, fields: Vec<(String, String)>) {
    LINES.with_borrow_mut(|lines| {
        if let Some(lines) = lines {
            lines.push(LogLine { level, message: message.to_owned(), fields });
        }
    });
}

fn recording<T>(body: impl FnOnce() -> T) -> (T, Vec<LogLine>) {
    LINES.with_borrow_mut(|lines| *lines = Some(Vec::new()));
    let result = body();
    (result, LINES.with_borrow_mut(Option::take).unwrap_or_default())
}
