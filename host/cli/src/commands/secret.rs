//! `datanode secret`

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use datanode_runtime::{ListedSecret, NewSecret, SecretError, SecretValue};

use crate::failure::Failure;
use crate::place::Place;
use crate::print::{self, Heading, Printer};
use crate::usage;

/// More than a value can have: what is longer is refused, not cut.
const MOST_BYTES: u64 = 8_192;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret, or set it anew; its value is read from standard input
    #[command(
        after_help = "Sources name it as {secret:NAME} in what the host adds to their requests. A value is 8 to 4096 visible ASCII\n\
        characters; a line break at its end is cut off. It is kept in the database, sealed by the key in secret.key of the\n\
        data directory, or in DATANODE_SECRET_KEY (64 hexadecimal digits), which is in no backup. Nothing shows it again.\n\n\
        Examples:\n  pass show prices | datanode secret set prices_token\n  \
        datanode secret set prices_token --env PRICES_TOKEN\n  \
        datanode secret set prices_token --file /run/secrets/prices"
    )]
    Set {
        /// Name
        name: String,
        /// Read the value from this variable, whenever a run needs it; it is not kept
        #[arg(long, value_name = "VARIABLE", conflicts_with = "file")]
        env: Option<String>,
        /// Read the value from this file, whenever a run needs it; it is not kept
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List all secrets, without their values
    List,
    /// Remove a secret that no source uses
    Remove {
        /// Name
        name: String,
    },
}

pub(crate) async fn run(
    command: SecretCommand,
    catalogue: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    match command {
        SecretCommand::Set { name, env, file } => {
            let secret = match (env, file) {
                (Some(variable), _) => {
                    if variable.is_empty() || variable.contains(['=', '\0']) {
                        return Err(usage("that is no name of a variable"));
                    }
                    NewSecret::Env(variable)
                }
                (None, Some(file)) => NewSecret::File(absolute(&file)?),
                (None, None) => NewSecret::Value(value(&name)?),
            };
            let secret = catalogue.set_secret(&name, secret).await?;
            printer.show(&secret, || {
                print::done(&format!("set secret `{name}` ({})", place(&secret)));
            })?;
        }
        SecretCommand::List => {
            let secrets = catalogue.secrets().await?;
            printer.show(&secrets, || {
                let rows = secrets.iter().map(|secret| {
                    let users = if secret.used_by.is_empty() {
                        "nobody".to_owned()
                    } else {
                        secret.used_by.join(", ")
                    };
                    vec![secret.name.clone(), place(secret), users, secret.set_at.short()]
                });
                let headings = [
                    Heading::Text("name"),
                    Heading::Text("value"),
                    Heading::Text("used by"),
                    Heading::Text("set"),
                ];
                print::table(&headings, rows.collect(), "no secrets yet; set one: datanode secret set NAME");
            })?;
        }
        SecretCommand::Remove { name } => {
            catalogue.remove_secret(&name).await?;
            printer.show(&serde_json::json!({ "removed": name }), || {
                print::done(&format!("removed secret `{name}`"));
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn place(secret: &ListedSecret) -> String {
    match (&secret.place, secret.kind.as_str()) {
        (Some(place), "env") => format!("in variable {place}"),
        (Some(place), _) => format!("in file {place}"),
        (None, _) => "sealed in the database".to_owned(),
    }
}

fn absolute(file: &std::path::Path) -> anyhow::Result<String> {
    let file = std::path::absolute(file)?;
    let text = file.to_str().ok_or_else(|| usage("the path of the file is not UTF-8"))?;
    Ok(text.to_owned())
}

fn value(name: &str) -> anyhow::Result<SecretValue> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::usage(
            "the value of a secret is read from standard input, and would be seen in a terminal",
        )
        .with_next_step(format!(
            "pipe it: pass show NAME | datanode secret set {name}, or name where it is: --env, --file"
        ))
        .into());
    }
    let mut bytes = Vec::new();
    stdin.lock().take(MOST_BYTES).read_to_end(&mut bytes)?;
    let unfit = |problem| Failure::of(&SecretError::Unfit { name: name.to_owned(), problem });
    let text = std::str::from_utf8(&bytes).map_err(|_| unfit("it is no text"))?;
    Ok(SecretValue::new(text).map_err(unfit)?)
}
