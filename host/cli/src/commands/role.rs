//! `datanode role`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use datanode_core::access::{Role, Subject};
use datanode_runtime::answers::{RoleChange, RoleRequest};
use datanode_store::HeldRole;

use crate::place::Place;
use crate::print::{self, Heading, Printer};

#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Give a user or a team a role
    #[command(
        after_help = "A role on the organisation reaches everything, one on a namespace its tables, one on a table that table.\n  \
        viewer  sees: contract, rows, SQL, runs\n  \
        editor  changes: registers tables in the namespace, labels, loads, deletes tails, runs nodes;\n          \
        on the organisation: uploads components\n  \
        admin   says who else may, moves identifiers, revises; on the organisation: sources, people, audit log\n\n\
        Each may do all that the one before may. Whoever registers a table by a token owns it, and is its admin. Roles add\n\
        up: what one of them allows is allowed. A token may be used for its rights alone, whatever the role.\n\n\
        Examples:\n  datanode role grant admin --user ada\n  \
        datanode role grant editor --team desk --namespace fx\n  \
        datanode role grant viewer --user grace --table fx_log_returns"
    )]
    Grant {
        /// viewer, editor or admin
        role: Role,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        on: On,
    },
    /// Take roles back
    #[command(
        after_help = "Without --role all that are held on exactly this are taken; those on something larger stay.\n\n\
        Examples:\n  datanode role revoke --user grace --table fx_log_returns\n  \
        datanode role revoke --team desk --namespace fx --role editor"
    )]
    Revoke {
        /// Only this one
        #[arg(long)]
        role: Option<Role>,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        on: On,
    },
    /// List roles
    #[command(after_help = "Owners of tables are not among them: `datanode table show` names them.\n\n\
        Examples:\n  datanode role list\n  datanode role list --user ada\n  datanode role list --table fx_log_returns --json")]
    List {
        /// Only this role
        #[arg(long)]
        role: Option<Role>,
        /// Of this user
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Of this team
        #[arg(long, value_name = "TEAM", conflicts_with = "user")]
        team: Option<String>,
        #[command(flatten)]
        on: On,
    },
}

/// Who holds a role.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// User: username, uid or number
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Team: name, uid or number
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
}

/// What it is held on.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct On {
    /// On the tables of this namespace [default: the organisation]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// On this table: identifier or uid
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
}

fn request(role: Option<Role>, whose: Whose, on: On) -> RoleRequest {
    RoleRequest { role, user: whose.user, team: whose.team, namespace: on.namespace, table: on.table }
}

pub(crate) async fn run(command: RoleCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        RoleCommand::Grant { role, whose, on } => {
            let change = place.grant_role(&request(Some(role), whose, on)).await?;
            printer.show(&change, || {
                let (who, on) = (&change.member_name, named(&change.subject, change.table.as_deref()));
                if change.roles.is_empty() {
                    print::done(&format!("`{who}` is {role} of {on} already"));
                } else {
                    print::done(&format!("`{who}` is {role} of {on}"));
                }
            })?;
        }
        RoleCommand::Revoke { role, whose, on } => {
            let change = place.revoke_role(&request(role, whose, on)).await?;
            printer.show(&change, || {
                let (who, on) = (&change.member_name, named(&change.subject, change.table.as_deref()));
                print::done(&format!("`{who}` is not {} of {on} any more", words(&change)));
            })?;
        }
        RoleCommand::List { role, user, team, on } => {
            let roles = place.held_roles(&request(role, Whose { user, team }, on)).await?;
            printer.show(&roles, || {
                list(&roles, "no such roles; give one: datanode role grant viewer --user NAME");
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn words(change: &RoleChange) -> String {
    change.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

/// A subject as people know it.
fn named(subject: &Subject, table: Option<&str>) -> String {
    match (subject, table) {
        (Subject::Table(_), Some(identifier)) => format!("table `{identifier}`"),
        (subject, _) => subject.to_string(),
    }
}

/// Roles as a table.
pub(super) fn list(roles: &[HeldRole], when_empty: &str) {
    let rows = roles.iter().map(|held| {
        vec![
            held.member_name.clone(),
            held.member.kind().to_owned(),
            held.role.to_string(),
            held.subject.kind().to_owned(),
            held.table.clone().unwrap_or_else(|| held.subject.name().to_owned()),
            held.granted_at.short(),
        ]
    });
    let headings = ["who", "is a", "role", "on", "name", "since"].map(Heading::Text);
    print::table(&headings, rows.collect(), when_empty);
}
