//! What can go wrong with revisions.

use thiserror::Error;

use super::{Dialect, MAX_MESSAGE_BYTES};
use crate::diagnostic::{Diagnostic, ErrorClass};

/// Why a revision is refused or failed. Nothing of a revision that failed is left in the database.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RevisionError {
    /// The contract is that of another table.
    #[error("the contract is that of table `{found}`, not of `{table}`")]
    OtherTable {
        /// Identifier of the table asked for.
        table: String,
        /// Identifier in the contract or the revision.
        found: String,
    },
    /// A change that no revision makes.
    #[error("table `{table}`: no revision can change this: {change}")]
    Unsupported {
        /// Identifier.
        table: String,
        /// The change.
        change: String,
    },
    /// Other tables refer to the key that would change.
    #[error("table `{table}`: its key cannot be changed while foreign keys lead to it: {}", .by.join(", "))]
    Referenced {
        /// Identifier.
        table: String,
        /// Identifiers of the tables that refer to it.
        by: Vec<String>,
    },
    /// A revision is written after the last one, and that is not applied.
    #[error(
        "table `{table}` is at {current}, and its last revision is {head}: a new one would not begin where the table is"
    )]
    NotAtHead {
        /// Identifier.
        table: String,
        /// Where it is.
        current: String,
        /// The end of the chain.
        head: String,
    },
    /// What it is for, said in nothing or in too much.
    #[error(
        "table `{table}`: the message of a revision cannot be blank, nor longer than {MAX_MESSAGE_BYTES} bytes"
    )]
    Message {
        /// Identifier of the table.
        table: String,
    },
    /// A file or folder cannot be used.
    #[error("{place}: {problem}")]
    Folder {
        /// The file or folder.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// The folders are no chain.
    #[error("the revisions of table `{table}` in {directory} are no chain:\n{}", .problems.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    Chain {
        /// Identifier.
        table: String,
        /// Their directory.
        directory: String,
        /// What is wrong.
        problems: Vec<String>,
    },
    /// No such revision.
    #[error("table `{table}` has no revision `{reference}`; it has {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    NotFound {
        /// Identifier.
        table: String,
        /// As it was asked for.
        reference: String,
        /// The revisions that there are.
        known: Vec<String>,
    },
    /// A reference that several revisions answer to.
    #[error("`{reference}` means several revisions of table `{table}`: {}", .candidates.join(", "))]
    Ambiguous {
        /// Identifier.
        table: String,
        /// As it was asked for.
        reference: String,
        /// The revisions.
        candidates: Vec<String>,
    },
    /// An upgrade that would go back, or a downgrade that would go on.
    #[error("table `{table}` is at {current}; {target} is {}", if *.back { "before that" } else { "after that" })]
    Direction {
        /// Identifier.
        table: String,
        /// Where it is.
        current: String,
        /// Where it should go.
        target: String,
        /// Whether the target lies before.
        back: bool,
    },
    /// A file is not what it was when the revision was written or sealed.
    #[error("{file} was edited after revision {revision} was written")]
    Unsealed {
        /// Identifier of the table.
        table: String,
        /// Revision.
        revision: String,
        /// The file.
        file: String,
    },
    /// An applied revision is not what was applied.
    #[error("revision {revision} of table `{table}` is applied, and {place} is not what was applied")]
    Changed {
        /// Identifier.
        table: String,
        /// Revision.
        revision: String,
        /// Its folder.
        place: String,
    },
    /// An applied revision is sealed once and for all.
    #[error("revision {revision} of table `{table}` is applied: it can no longer change")]
    Applied {
        /// Identifier.
        table: String,
        /// Revision.
        revision: String,
    },
    /// The catalogue knows revisions that have no folder.
    #[error("table `{table}` is at revision {revision}, which {directory} does not hold")]
    Missing {
        /// Identifier.
        table: String,
        /// Revision.
        revision: String,
        /// Where it was looked for.
        directory: String,
    },
    /// A revision without SQL for the database that it is applied to.
    #[error("revision {revision} of table `{table}` has no SQL for {dialect}: {file} is not part of it")]
    NoSql {
        /// Identifier.
        table: String,
        /// Revision.
        revision: String,
        /// The database.
        dialect: Dialect,
        /// The file.
        file: String,
    },
    /// Somebody reads or writes the table, and goes on for longer than others can be kept waiting.
    #[error("table `{table}` is in use: a run or another reader holds it")]
    Busy {
        /// Identifier.
        table: String,
    },
    /// What is done takes longer than others can be kept waiting.
    #[error("{what}: not done within the {seconds} s that a revision has, for others wait meanwhile")]
    TooLong {
        /// File and line of the statement, or what the host was doing.
        what: String,
        /// The time that there was, in seconds.
        seconds: u64,
    },
    /// A table that moved on after a run had begun, which would read it as it is now.
    #[error("table `{table}` was moved to another contract after this began to read")]
    MovedWhileRead {
        /// Identifier.
        table: String,
    },
    /// A place is left that only a person can fill.
    #[error("{file}, line {line}: a value is left to be written in the place of `EDIT_THIS`")]
    Unedited {
        /// Identifier of the table.
        table: String,
        /// Revision.
        revision: String,
        /// File.
        file: String,
        /// Line.
        line: usize,
    },
    /// A statement, or a file of them, that a revision may not hold.
    #[error("{file}, line {line}: refused: {problem}")]
    StatementRefused {
        /// File.
        file: String,
        /// Line.
        line: usize,
        /// Why.
        problem: String,
    },
    /// A statement failed.
    #[error("{file}, line {line}: {problem}")]
    StatementFailed {
        /// File.
        file: String,
        /// Line.
        line: usize,
        /// What the database said.
        problem: String,
    },
    /// Rows that the new key cannot tell apart.
    #[error("{file}, line {line}: several rows of table `{table}` have the same key ({})", .key.join(", "))]
    Duplicates {
        /// Identifier.
        table: String,
        /// Columns of the new key.
        key: Vec<String>,
        /// File.
        file: String,
        /// Line.
        line: usize,
    },
    /// The catalogue's contract is not the one that the revision begins at.
    #[error("revision {revision} of table `{table}` begins at another contract than the catalogue holds:\n{}", .differences.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    Stale {
        /// Identifier.
        table: String,
        /// Revision.
        revision: String,
        /// What differs.
        differences: Vec<String>,
    },
    /// Somebody else moved the table in the meantime.
    #[error("table `{table}` is at {found} now, not at {expected}")]
    Moved {
        /// Identifier.
        table: String,
        /// Where it was.
        expected: String,
        /// Where it is.
        found: String,
    },
    /// The table in the database is not what the catalogue's contract says.
    #[error("table `{table}` is not what the catalogue says:\n{}", .differences.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    Drifted {
        /// Identifier.
        table: String,
        /// What differs.
        differences: Vec<String>,
    },
    /// The SQL did not lead to the contract.
    #[error("{file} of revision {revision} does not lead to {contract}:\n{}", .differences.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    NotReached {
        /// Identifier of the table.
        table: String,
        /// Revision.
        revision: String,
        /// The file with the SQL.
        file: String,
        /// The contract.
        contract: &'static str,
        /// What differs.
        differences: Vec<String>,
    },
    /// The table in the database is not what a contract says that should be bound to it.
    #[error("table `{table}` is not what this contract says, so it was not bound:\n{}", .differences.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    NotBound {
        /// Identifier.
        table: String,
        /// What differs.
        differences: Vec<String>,
    },
    /// Values that their column cannot hold.
    #[error(
        "table `{table}`: {rows} values of column `{column}` are no {data_type}; the first row of them: {first}"
    )]
    Values {
        /// Identifier.
        table: String,
        /// Column.
        column: String,
        /// Its type.
        data_type: String,
        /// How many.
        rows: u64,
        /// The key of one.
        first: String,
    },
    /// Rows whose foreign keys lead nowhere.
    #[error("{rows} rows of table `{table}` have a foreign key that leads to no row of `{target}`")]
    ForeignKey {
        /// Physical name of the table with the key.
        table: String,
        /// Physical name of the table that it leads to.
        target: String,
        /// How many.
        rows: u64,
    },
    /// The way back is not written.
    #[error(
        "revision {revision} of table `{table}` cannot be undone: its {file} was applied with `EDIT_THIS` in line {line}"
    )]
    Irreversible {
        /// Identifier.
        table: String,
        /// Revision.
        revision: String,
        /// The file.
        file: &'static str,
        /// Line.
        line: usize,
    },
    /// A revision that was not applied, or not taken back. What leads on depends on which of the two it was.
    #[error("{fault}")]
    Step {
        /// Identifier of the table.
        table: String,
        /// Revision.
        revision: String,
        /// Whether it was to be taken back.
        back: bool,
        /// Why not.
        fault: Box<RevisionError>,
    },
}

impl RevisionError {
    /// The same of the step at which it happened.
    #[must_use]
    pub fn of_step(self, table: &str, revision: &str, back: bool) -> Self {
        let (table, revision) = (table.to_owned(), revision.to_owned());
        Self::Step { table, revision, back, fault: Box::new(self) }
    }

    /// What is to be done to the SQL of a step, where that is what is wrong.
    fn mend(&self) -> Option<&'static str> {
        Some(match self {
            Self::StatementRefused { .. } | Self::StatementFailed { .. } | Self::Values { .. } => {
                "mend the SQL"
            }
            Self::Duplicates { .. } => "let the SQL say which of them stays",
            Self::NotReached { .. } => "mend the SQL or the contract",
            Self::ForeignKey { .. } => "load the rows that are referred to, or mend the SQL",
            _ => return None,
        })
    }
}

impl Diagnostic for RevisionError {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherTable { .. } => "revision.other_table",
            Self::Unsupported { .. } => "revision.unsupported",
            Self::Referenced { .. } => "revision.referenced",
            Self::NotAtHead { .. } => "revision.not_at_head",
            Self::Message { .. } => "revision.message",
            Self::Folder { .. } => "revision.folder",
            Self::Chain { .. } => "revision.chain",
            Self::NotFound { .. } => "revision.not_found",
            Self::Ambiguous { .. } => "revision.ambiguous",
            Self::Direction { .. } => "revision.direction",
            Self::Unsealed { .. } => "revision.unsealed",
            Self::Changed { .. } => "revision.changed",
            Self::Applied { .. } => "revision.applied",
            Self::Missing { .. } => "revision.missing",
            Self::NoSql { .. } => "revision.no_sql",
            Self::Busy { .. } => "revision.busy",
            Self::TooLong { .. } => "revision.too_long",
            Self::MovedWhileRead { .. } => "revision.moved_while_read",
            Self::Unedited { .. } => "revision.unedited",
            Self::StatementRefused { .. } => "revision.statement_refused",
            Self::StatementFailed { .. } => "revision.statement_failed",
            Self::Duplicates { .. } => "revision.duplicates",
            Self::Stale { .. } => "revision.stale",
            Self::Moved { .. } => "revision.moved",
            Self::Drifted { .. } => "table.drifted",
            Self::NotReached { .. } => "revision.not_reached",
            Self::NotBound { .. } => "table.not_bound",
            Self::Values { .. } => "revision.values",
            Self::ForeignKey { .. } => "revision.foreign_key",
            Self::Irreversible { .. } => "revision.irreversible",
            Self::Step { fault, .. } => fault.code(),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Step { fault, .. } => fault.class(),
            Self::OtherTable { .. }
            | Self::Message { .. }
            | Self::Folder { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::Direction { .. } => ErrorClass::Usage,
            Self::Moved { .. } | Self::Busy { .. } | Self::TooLong { .. } | Self::MovedWhileRead { .. } => {
                ErrorClass::Infrastructure
            }
            Self::StatementFailed { .. } => ErrorClass::Failed,
            _ => ErrorClass::Refused,
        }
    }

    fn next_step(&self) -> Option<String> {
        if let Some(mend) = self.mend() {
            return Some(format!("nothing was changed; {mend}, seal the revision, and upgrade again"));
        }
        Some(match self {
            Self::Step { table, revision, back, fault } => match fault.mend() {
                None => return fault.next_step(),
                Some(_) if *back && matches!(**fault, Self::ForeignKey { .. }) => format!(
                    "nothing was changed; load the rows that are referred to, then once more: datanode table downgrade \
                     {table} -1"
                ),
                // What was applied keeps its way back as it was then.
                Some(_) if *back => format!(
                    "nothing was changed; write a revision that leads on from here: datanode table revision {table} --message …"
                ),
                Some(mend) => format!(
                    "nothing was changed; {mend}, then: datanode table revision {table} --seal {revision}\n  \
                     and once more: datanode table upgrade {table}"
                ),
            },
            Self::OtherTable { found, .. } => format!("name that table: datanode table revision {found} …"),
            Self::Unsupported { .. } => {
                "register a table under a new identifier, and let its nodes write there".to_owned()
            }
            Self::Referenced { by, .. } => format!(
                "take the foreign keys out first: datanode table revision {} --message … --autogenerate FILE",
                by.first().map_or("TABLE", String::as_str)
            ),
            Self::NotAtHead { table, .. } => format!("apply what is written: datanode table upgrade {table}"),
            Self::Message { table, .. } => {
                format!("say what it is for: datanode table revision {table} --message …")
            }
            Self::Folder { .. } => "mend or remove it".to_owned(),
            Self::Chain { .. } => {
                "let each revision.toml name the one before as its `parent`, or remove the folders that are of no use"
                    .to_owned()
            }
            Self::NotFound { table, .. } | Self::Ambiguous { table, .. } => {
                format!("see what there is: datanode table history {table}")
            }
            Self::Direction { table, target, back, .. } => {
                let verb = if *back { "downgrade" } else { "upgrade" };
                format!("datanode table {verb} {table} {target}")
            }
            Self::Unsealed { table, revision, .. } => {
                format!("read it again, then seal it: datanode table revision {table} --seal {revision}")
            }
            Self::Changed { table, .. } => format!(
                "put the folder back as it was; a change is a revision of its own: datanode table revision {table} --message …"
            ),
            Self::Applied { table, .. } => {
                format!("write a revision of its own: datanode table revision {table} --message …")
            }
            Self::Missing { .. } => {
                "put its folder back (it belongs under version control), or name the directory with --dir".to_owned()
            }
            Self::NoSql { table, revision, .. } => {
                format!("have it written, and read it: datanode table revision {table} --complete {revision}")
            }
            Self::Busy { .. } => "nothing was changed; try again when its runs have ended: datanode run leases".to_owned(),
            Self::TooLong { .. } => {
                "nothing was changed; let the SQL do less at once, or give it longer: `revision_seconds` under [database] in \
                 datanode.toml"
                    .to_owned()
            }
            Self::MovedWhileRead { .. } => "run it again".to_owned(),
            Self::Unedited { table, revision, .. } => {
                format!("write it there, then: datanode table revision {table} --seal {revision}")
            }
            Self::Stale { table, .. } => format!(
                "remove the revision's folder and write it again from the contract that is held: datanode table revision \
                 {table} --message … --autogenerate FILE"
            ),
            Self::Moved { table, .. } => format!("see where it is, and try again: datanode table current {table}"),
            Self::Drifted { table, .. } => format!(
                "undo what was done to it by hand, or bind its contract to what is there: datanode table refresh {table} --contract FILE"
            ),
            Self::NotBound { table, .. } => format!(
                "mend the contract, or the table, then: datanode table refresh {table} --contract FILE"
            ),
            Self::StatementRefused { .. }
            | Self::StatementFailed { .. }
            | Self::Values { .. }
            | Self::Duplicates { .. }
            | Self::NotReached { .. }
            | Self::ForeignKey { .. } => return None,
            Self::Irreversible { table, .. } => {
                format!("write a revision that leads on: datanode table revision {table} --message …")
            }
        })
    }
}
