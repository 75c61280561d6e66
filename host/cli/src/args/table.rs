//! `datanode table`, as data.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use datanode_core::Timestamp;
use datanode_core::query::Bound;
use datanode_core::query_text::{End, bound};

use crate::commands::delete_after::DeleteAfterArguments;
use crate::commands::give::GiveArguments;
use crate::commands::load::LoadArguments;
use crate::commands::repoint::RepointArguments;
use crate::commands::revision::RevisionCommand;
use crate::commands::table_diff::DiffArguments;
use crate::commands::table_metadata::{DescribeArguments, LabelArguments};
use crate::plot::MOST;

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Register tables from their contracts
    #[command(
        after_help = "Registering the same contract again changes nothing. Descriptions, labels and the cadence of a table\n\
        that is there are applied at once; any other difference is refused, with the ways on. Each file is registered\n\
        on its own, in the given order: a table comes after those that its foreign keys lead to.\n\n\
        Example:\n  datanode table register contracts/*.toml"
    )]
    Register {
        /// Contract files, TOML or JSON
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List all tables with their rows and time ranges
    List,
    /// Show one table: contract, progress, nodes that write it; or draw one of its columns
    #[command(
        after_help = "With --plot a column is drawn over time: a chart of one coordinate, a line for each of several.\n\n\
        Examples:\n  datanode table show fx_log_returns\n  \
        datanode table show fx_ecb_daily_rates --plot rate --where currency=USD --start 2020-01-01\n  \
        datanode table show fx_ecb_daily_rates --plot rate"
    )]
    Show {
        /// Identifier or uid
        table: String,
        /// Draw this column over time instead
        #[arg(long, value_name = "COLUMN")]
        plot: Option<String>,
        #[command(flatten)]
        arguments: PlotArguments,
    },
    /// Read rows, sorted by the index or primary key
    #[command(
        after_help = "All conditions hold together. Every format but `table` streams, whatever the number of rows. In a table a\n\
        null is `-`, in CSV an empty cell; the empty text is \"\" there.\n\n\
        Examples:\n  datanode table read fx_ecb_daily_rates --where currency=USD,JPY --start 2026-10-01\n  \
        datanode table read fx_ecb_daily_rates --start '>2020-01-01' --end '<2021-01-01' --coordinate currency=USD\n  \
        datanode table read fx_ecb_daily_rates --last\n  \
        datanode table read fx_ecb_daily_rates --columns rate --output rates.parquet"
    )]
    Read(ReadArguments),
    /// Digest all rows in the order of the index, to compare contents
    #[command(
        after_help = "Tables with the same columns and the same rows have the same digest, however the rows were written and\n\
        whatever database holds them.\n\n\
        Example:\n  datanode table digest fx_ecb_daily_rates"
    )]
    Digest {
        /// Identifier or uid
        table: String,
    },
    /// Ask one read-only SQL statement over this table
    #[command(
        after_help = "The statement is one SELECT, WITH or EXPLAIN that reads this table alone. Times are ISO 8601 text and compare\n\
        like moments. docs/reading.md says what else is understood.\n\n\
        Examples:\n  datanode table sql fx_ecb_daily_rates \"SELECT currency, count(*) FROM fx_ecb_daily_rates GROUP BY 1\"\n  \
        datanode table sql fx_ecb_daily_rates \"SELECT date_trunc('year', time_index) AS year, avg(rate) \\\n    \
        FROM fx_ecb_daily_rates WHERE currency = 'USD' AND time_index >= '2020-01-01' GROUP BY 1 ORDER BY 1\" --json"
    )]
    Sql(SqlArguments),
    /// Load the rows of a file into a reference table
    Load(LoadArguments),
    /// Delete the rows of a table from a moment on
    DeleteAfter(DeleteAfterArguments),
    /// Compare a contract with the table that is registered under its identifier
    Diff(DiffArguments),
    /// Let another table take an identifier over
    Repoint(RepointArguments),
    /// Say whose table it is
    Give(GiveArguments),
    /// Add and remove labels of a table
    Label(LabelArguments),
    /// Describe a table and its columns
    Describe(DescribeArguments),
    /// Make anew what searches know of a table
    #[command(
        after_help = "Searches see every change of the catalogue at once. This is for whoever doubts it: it reads what the\n\
        components document that write the table, and computes the vector of its text.\n\n\
        Example:\n  datanode table refresh-search-index fx_log_returns"
    )]
    RefreshSearchIndex {
        /// Identifier or uid
        table: String,
    },
    #[command(flatten)]
    Revision(RevisionCommand),
}

#[derive(Debug, Args)]
pub(crate) struct PlotArguments {
    /// Draw rows of these values of an identity dimension, which are alternatives; a value with a comma stands in double
    /// quotes
    #[arg(long = "where", value_name = "DIMENSION=VALUE,...", requires = "plot")]
    pub(crate) filters: Vec<String>,
    /// First moment, inclusive: RFC 3339 or a date
    #[arg(long, value_name = "TIME", requires = "plot")]
    pub(crate) start: Option<Timestamp>,
    /// Last moment, inclusive
    #[arg(long, value_name = "TIME", requires = "plot")]
    pub(crate) end: Option<Timestamp>,
    /// Characters that the drawing is wide, without its axis [default: what the terminal has]; with --json the number
    /// of buckets
    #[arg(long, value_name = "CHARACTERS", requires = "plot",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST)))]
    pub(crate) width: Option<u16>,
    /// Lines that a chart is high, without its axis
    #[arg(long, value_name = "LINES", requires = "plot", default_value_t = 12,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST)))]
    pub(crate) height: u16,
}

#[derive(Debug, Args)]
pub(crate) struct ReadArguments {
    /// Identifier or uid
    pub(crate) table: String,
    /// First moment, RFC 3339 or a date: inclusive, unless `>` stands before it
    #[arg(long, value_name = "TIME", value_parser = |text: &str| bound(text, End::Start))]
    pub(crate) start: Option<Bound>,
    /// Last moment: inclusive, unless `<` stands before it
    #[arg(long, value_name = "TIME", value_parser = |text: &str| bound(text, End::End))]
    pub(crate) end: Option<Bound>,
    /// Keep rows of these values of an identity dimension or primary key column; a value with a comma stands in double
    /// quotes
    #[arg(long = "where", value_name = "DIMENSION=VALUE,...")]
    pub(crate) filters: Vec<String>,
    /// Keep rows of this coordinate, or of a part of one; several are alternatives
    #[arg(long = "coordinate", value_name = "DIMENSION=VALUE,...")]
    pub(crate) coordinates: Vec<String>,
    /// Read each coordinate over a range of its own: a JSON array, whose form docs/reading.md shows; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) range_map: Option<PathBuf>,
    /// Only the last row of each coordinate, by the table's progress
    #[arg(long, conflicts_with_all = ["start", "end", "range_map"])]
    pub(crate) last: bool,
    /// Columns besides the index or primary key [default: all]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    pub(crate) columns: Option<Vec<String>>,
    /// At most so many rows; 0 for all [default: 20 in a table, else all]
    #[arg(long)]
    pub(crate) limit: Option<u64>,
    /// How rows are written [default: by the ending of --output, else table]; --json is the same as --format json
    #[arg(long, value_enum)]
    pub(crate) format: Option<RowFormat>,
    /// Write to a file, which is there whole or not at all
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns, at most 10,000 rows
    Table,
    /// Arrow IPC, a stream
    Arrow,
    /// Apache Parquet
    Parquet,
    /// RFC 4180, with a header line
    Csv,
    /// One JSON object per line
    Jsonl,
    /// One JSON array
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// Identifier or uid
    pub(crate) table: String,
    /// One SELECT over the table, by its identifier or physical name
    pub(crate) sql: String,
    /// The most rows of the answer; more are cut off
    #[arg(long, value_name = "ROWS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) max_rows: u32,
    /// How long the statement may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) timeout: u32,
}
