//! `datanode data-node`: the verbs of the existing client, spelled as it spells them. Each is another command.

use clap::Subcommand;

use super::delete_after::DeleteAfterArguments;
use super::search::SearchArguments;
use crate::args::{Command, SqlArguments, TableCommand};

#[derive(Debug, Subcommand)]
pub(crate) enum DataNodeCommand {
    /// List all tables: `datanode table list`
    List,
    /// Find tables: `datanode search`
    Search(SearchArguments),
    /// Ask one read-only statement: `datanode table sql`
    #[command(alias = "run_query")]
    RunQuery(SqlArguments),
    /// Make anew what searches know of a table: `datanode table refresh-search-index`
    #[command(alias = "refresh_search_index")]
    RefreshSearchIndex {
        /// Identifier or uid
        table: String,
    },
    /// Delete the rows of a table from a moment on: `datanode table delete-after`
    #[command(aliases = ["delete_after", "delete_after_date"])]
    DeleteAfter(DeleteAfterArguments),
}

impl DataNodeCommand {
    /// The command that it is.
    pub(crate) fn native(self) -> Command {
        Command::Table(match self {
            Self::Search(arguments) => return Command::Search(arguments),
            Self::List => TableCommand::List,
            Self::RunQuery(arguments) => TableCommand::Sql(arguments),
            Self::RefreshSearchIndex { table } => TableCommand::RefreshSearchIndex { table },
            Self::DeleteAfter(arguments) => TableCommand::DeleteAfter(arguments),
        })
    }
}
