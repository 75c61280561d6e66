//! `datanode team`

use std::process::ExitCode;

use clap::Subcommand;
use datanode_runtime::answers::TeamDetail;
use datanode_store::NewTeam;

use super::{role, user};
use crate::place::Place;
use crate::print::{self, Heading, Printer};
use crate::say;

#[derive(Debug, Subcommand)]
pub(crate) enum TeamCommand {
    /// Create a team, with users in it
    #[command(after_help = "Roles that a team holds are those of each of its users.\n\n\
        Examples:\n  datanode team create desk --description 'FX desk' --user ada --user grace\n  \
        datanode role grant editor --team desk --namespace fx")]
    Create {
        /// Name
        name: String,
        /// What it is
        #[arg(long, default_value = "")]
        description: String,
        /// User that is in it; may be given several times
        #[arg(long = "user", value_name = "USER")]
        users: Vec<String>,
    },
    /// List all teams
    List,
    /// Show one team: users and roles
    Show {
        /// Name, uid or number
        team: String,
    },
    /// Take users into a team
    #[command(after_help = "Again changes nothing.\n\nExample:\n  datanode team add desk ada grace")]
    Add {
        /// Name, uid or number
        team: String,
        /// Username, uid or number
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
    },
    /// Take users out of a team
    #[command(after_help = "Example:\n  datanode team remove desk ada")]
    Remove {
        /// Name, uid or number
        team: String,
        /// Username, uid or number
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
    },
}

pub(crate) async fn run(command: TeamCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        TeamCommand::Create { name, description, users } => {
            // All of them first: what is refused leaves no team behind.
            for user in &users {
                place.user(user).await?;
            }
            let mut team = place.create_team(&NewTeam { name, description }).await?;
            if !users.is_empty() {
                team = place.add_team_members(&team.team.name, &users).await?;
            }
            printer.show(&team, || {
                let name = &team.team.name;
                print::done(&format!("created team `{name}` ({} users)", team.team.member_count));
                say!("  it has no role yet: datanode role grant viewer --team {name}");
            })?;
        }
        TeamCommand::List => {
            let teams = place.teams().await?;
            printer.show(&teams, || {
                let rows = teams.iter().map(|team| {
                    vec![
                        team.name.clone(),
                        team.id.to_string(),
                        team.member_count.to_string(),
                        print::first_line(&team.description, 60),
                        team.created_at.short(),
                    ]
                });
                let headings = [
                    Heading::Text("team"),
                    Heading::Number("number"),
                    Heading::Number("users"),
                    Heading::Text("description"),
                    Heading::Text("created"),
                ];
                print::table(
                    &headings,
                    rows.collect(),
                    "no teams yet; create one: datanode team create NAME",
                );
            })?;
        }
        TeamCommand::Show { team } => {
            let team = place.team(&team).await?;
            printer.show(&team, || show(&team))?;
        }
        TeamCommand::Add { team, users } => {
            let team = place.add_team_members(&team, &users).await?;
            printer.show(&team, || done(&team))?;
        }
        TeamCommand::Remove { team, users } => {
            let team = place.remove_team_members(&team, &users).await?;
            printer.show(&team, || done(&team))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn done(detail: &TeamDetail) {
    let names: Vec<_> = detail.members.iter().map(|user| user.username.as_str()).collect();
    let who = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    print::done(&format!("in team `{}` is now: {who}", detail.team.name));
}

fn show(detail: &TeamDetail) {
    let TeamDetail { team, members, roles } = detail;
    print::facts(&[
        ("team", team.name.clone()),
        ("uid", team.uid.clone()),
        ("number", team.id.to_string()),
        (
            "description",
            if team.description.is_empty() { "none".to_owned() } else { team.description.clone() },
        ),
        ("created", team.created_at.short()),
    ]);
    say!("");
    let empty = format!("nobody is in it; take somebody in: datanode team add {} USER", team.name);
    user::list(members, &empty);
    say!("");
    role::list(roles, "no roles");
}
