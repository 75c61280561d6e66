//! `datanode user`

use std::process::ExitCode;

use clap::Subcommand;
use datanode_core::access::Role;
use datanode_runtime::answers::UserDetail;
use datanode_store::{NewUser, User};

use super::{role, token};
use crate::place::Place;
use crate::print::{self, Heading, Printer};
use crate::say;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Create a user
    #[command(
        after_help = "A user is a person or a program. Without a role it sees nothing that belongs to others: see\n\
        datanode role grant, or give it a role on the whole organisation here. Users have no passwords: they come\n\
        by tokens (datanode token create). They are never removed, for the audit log speaks of them.\n\n\
        A username begins with a letter, and has lower-case letters, digits and `._-@+`.\n\n\
        Examples:\n  datanode user create ada --role admin --first-name Ada --email ada@example.com\n  \
        datanode user create nightly"
    )]
    Create {
        /// Username
        username: String,
        /// Its role on the whole organisation: viewer, editor or admin
        #[arg(long)]
        role: Option<Role>,
        /// First name
        #[arg(long, value_name = "NAME", default_value = "")]
        first_name: String,
        /// Last name
        #[arg(long, value_name = "NAME", default_value = "")]
        last_name: String,
        /// Address of mail
        #[arg(long, default_value = "")]
        email: String,
        /// Telephone number
        #[arg(long, value_name = "NUMBER", default_value = "")]
        phone: String,
    },
    /// List all users
    List,
    /// Show one user: teams, roles, tokens
    #[command(after_help = "Example:\n  datanode user show ada")]
    Show {
        /// Username, uid or number
        user: String,
    },
    /// Refuse all tokens of a user until it is enabled again
    #[command(
        after_help = "Its roles, tables and tokens stay as they are.\n\nExample:\n  datanode user disable ada"
    )]
    Disable {
        /// Username, uid or number
        user: String,
    },
    /// Accept the tokens of a user again
    Enable {
        /// Username, uid or number
        user: String,
    },
}

pub(crate) async fn run(command: UserCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        UserCommand::Create { username, role, first_name, last_name, email, phone } => {
            let new = NewUser { username, first_name, last_name, email, phone };
            let created = place.create_user(&new, role).await?;
            printer.show(&created, || {
                let name = &created.user.username;
                print::done(&format!("created user `{name}`"));
                if role.is_none() {
                    say!("  it has no role yet: datanode role grant viewer --user {name}");
                }
                say!("  let it in: datanode token create --user {name}");
            })?;
        }
        UserCommand::List => {
            let users = place.users().await?;
            printer.show(&users, || {
                list(&users, "no users yet; create one: datanode user create NAME --role admin");
            })?;
        }
        UserCommand::Show { user } => {
            let user = place.user(&user).await?;
            printer.show(&user, || show(&user))?;
        }
        UserCommand::Disable { user } => {
            let user = place.enable_user(&user, false).await?;
            printer.show(&user, || {
                print::done(&format!("disabled user `{}`: its tokens are refused", user.user.username));
            })?;
        }
        UserCommand::Enable { user } => {
            let user = place.enable_user(&user, true).await?;
            printer.show(&user, || print::done(&format!("enabled user `{}`", user.user.username)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Users as a table.
pub(super) fn list(users: &[User], when_empty: &str) {
    let rows = users.iter().map(|user| {
        vec![
            user.username.clone(),
            user.id.to_string(),
            name(user),
            user.email.clone(),
            if user.enabled { "enabled" } else { "disabled" }.to_owned(),
            user.created_at.short(),
        ]
    });
    let headings = [
        Heading::Text("user"),
        Heading::Number("number"),
        Heading::Text("name"),
        Heading::Text("email"),
        Heading::Text("state"),
        Heading::Text("created"),
    ];
    print::table(&headings, rows.collect(), when_empty);
}

fn name(user: &User) -> String {
    format!("{} {}", user.first_name, user.last_name).trim().to_owned()
}

fn show(detail: &UserDetail) {
    let UserDetail { user, teams, roles, tokens } = detail;
    let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    print::facts(&[
        ("user", user.username.clone()),
        ("uid", user.uid.clone()),
        ("number", user.id.to_string()),
        ("name", none(name(user))),
        ("email", none(user.email.clone())),
        ("phone", none(user.phone.clone())),
        ("state", if user.enabled { "enabled" } else { "disabled: its tokens are refused" }.to_owned()),
        ("created", user.created_at.short()),
        ("teams", none(teams.join(", "))),
    ]);
    say!("");
    role::list(roles, "no roles: it sees what is its own");
    say!("");
    token::list(tokens);
}
