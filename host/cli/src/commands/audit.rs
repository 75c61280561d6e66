//! `datanode audit`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use datanode_core::Timestamp;
use datanode_store::{AuditEntry, AuditFilter};

use crate::place::Place;
use crate::print::{self, Heading, Printer};
use crate::say;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List who has changed what, newest first
    List(ListArguments),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Every change of the catalogue writes an entry in its own transaction: what was done (table.register, node.create,\n\
    token.revoke, …), to what, by whom, and when by the clock of the database. The database refuses to change or remove\n\
    one. Runs have records of their own (datanode run list); secrets and rows are in no entry. Whoever works on the\n\
    database itself, without a server, is `local`.\n\n\
    Examples:\n  datanode audit list\n  \
    datanode audit list --since 2026-01-01 --actor ada --action table\n  \
    datanode audit list --subject fx_log_returns --limit 0 --json"
)]
pub(crate) struct ListArguments {
    /// At this moment or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// By this user (username or uid), by this token (id), or by `local`
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// This action (table.register), or all of one kind (table)
    #[arg(long)]
    action: Option<String>,
    /// Of this thing: what it was called, its uid or digest, or its kind (token)
    #[arg(long, value_name = "WHAT")]
    subject: Option<String>,
    /// Before the entry of this number: the next page
    #[arg(long, value_name = "N")]
    before: Option<i64>,
    /// At most so many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

pub(crate) async fn run(command: AuditCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    let AuditCommand::List(ListArguments { since, actor, action, subject, before, limit }) = command;
    let limit = (limit > 0).then_some(limit);
    let filter = AuditFilter { since, actor, action, subject, before, limit };
    let page = place.audit_log(&filter).await?;
    printer.show(&page, || {
        list(&page.entries);
        if let Some(next) = page.next {
            say!("\nmore: --before {next}, or --limit 0 for all");
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list(entries: &[AuditEntry]) {
    let rows = entries.iter().map(|entry| {
        let by = match &entry.token {
            Some(token) => format!("{} ({token})", entry.actor),
            None => entry.actor.clone(),
        };
        vec![
            entry.id.to_string(),
            entry.at.to_string(),
            by,
            entry.action.clone(),
            print::first_line(&entry.subject, 50),
            detail(entry),
        ]
    });
    let headings = [
        Heading::Number("number"),
        Heading::Text("when"),
        Heading::Text("by"),
        Heading::Text("action"),
        Heading::Text("of"),
        Heading::Text("detail"),
    ];
    print::table(&headings, rows.collect(), "no such entries");
}

/// The detail on one line: what is none is left out.
fn detail(entry: &AuditEntry) -> String {
    let Some(fields) = entry.detail.as_object() else { return entry.detail.to_string() };
    let said = fields.iter().filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    let words = said.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    });
    print::first_line(&words.collect::<Vec<_>>().join(" "), 90)
}
