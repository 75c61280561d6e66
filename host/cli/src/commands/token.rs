//! `datanode token`

use std::process::ExitCode;

use clap::Subcommand;
use datanode_core::Timestamp;
use datanode_core::access::Rights;
use datanode_core::cadence::Cadence;
use datanode_runtime::answers::TokenDocument;
use datanode_store::NewToken;

use crate::place::Place;
use crate::print::{self, Heading, Printer};
use crate::{say, usage};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token of a user, and show it once
    #[command(
        after_help = "A right is what a token may be used for at most; whoever uses it needs the role as well (datanode role grant).\n  \
        read    the catalogue, rows, SQL, searches, records of runs\n  \
        write   register, label, describe, load and revise tables, delete tails; rows of the producer protocol\n  \
        run     create and run nodes, backfills, replays\n  \
        upload  components\n  \
        grant   sources, grants and secrets\n  \
        manage  users, teams, roles, tokens; the audit log\n\n\
        Give a token to one program, with the rights that it needs and an end. The text is shown here and never again: the\n\
        database keeps a salted hash of it. Programs find it in DATANODE_TOKEN (this command) or MAINSEQUENCE_ACCESS_TOKEN\n\
        (the Python client).\n\n\
        Examples:\n  datanode token create --user ada --name notebooks\n  \
        datanode token create --user nightly --right read,write,run --expires 90d --per-minute 600\n  \
        datanode token create --user ada --right read --expires never --json"
    )]
    Create {
        /// Whose: username, uid or number
        #[arg(long, value_name = "USER")]
        user: String,
        /// What it may be used for, with commas between: read, write, run, upload, grant, manage
        #[arg(long = "right", value_name = "RIGHTS", default_value = "read")]
        rights: Vec<Rights>,
        /// When it ends: so long from now (12h, 90d, 1y), a time, or `never`
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = Expiry::parse)]
        expires: Expiry,
        /// How many requests in a minute it is good for [default: as the server is set]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        per_minute: Option<u32>,
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
    },
    /// List tokens, newest first
    #[command(after_help = "Nothing shows the text of a token again. `last used` is kept to the hour.\n\n\
        Examples:\n  datanode token list\n  datanode token list --user ada --json")]
    List {
        /// Of this user
        #[arg(long, value_name = "USER")]
        user: Option<String>,
    },
    /// End a token, now and for good
    #[command(after_help = "Again changes nothing. All tokens of a user are refused while it is disabled:\n\
        datanode user disable NAME.\n\n\
        Example:\n  datanode token revoke 3f6c2a9e5b714d08")]
    Revoke {
        /// Id: `datanode token list` shows it, and it stands in the token behind `dn_`
        token: String,
    },
}

/// When a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Never.
    Never,
    /// So long from now.
    After(Cadence),
    /// Then.
    At(Timestamp),
}

impl Expiry {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(duration) = text.parse::<Cadence>() {
            return Ok(Self::After(duration));
        }
        text.parse().map(Self::At).map_err(|_| {
            format!("`{text}` is neither a time (2027-01-31) nor so long from now (90d), nor `never`")
        })
    }

    /// The moment, from now.
    fn moment(self, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
        let end = match self {
            Self::Never => return Ok(None),
            Self::After(duration) => duration.after(now, 1),
            Self::At(moment) => Some(moment),
        };
        match end {
            Some(end) if end > now => Ok(Some(end)),
            _ => Err(usage("a token that has ended already is good for nothing: choose a later --expires")),
        }
    }
}

pub(crate) async fn run(command: TokenCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Create { user, rights, expires, per_minute, name } => {
            let rights = rights.into_iter().flat_map(Rights::iter).fold(Rights::default(), Rights::and);
            let expires_at = expires.moment(datanode_runtime::now())?;
            let new = NewToken { user, name, rights, expires_at, per_minute };
            let issued = place.create_token(&new).await?;
            printer.show(&issued, || {
                // The text first and alone on its line, so that it is copied as a whole.
                say!("{}\n", issued.token);
                print::facts(&facts(&issued.about));
                say!("");
                print::done("created the token; it is not shown again. Use it so:");
                say!("  export DATANODE_TOKEN={}", issued.token);
            })?;
        }
        TokenCommand::List { user } => {
            let tokens = place.tokens(user.as_deref()).await?;
            printer.show(&tokens, || list(&tokens))?;
        }
        TokenCommand::Revoke { token } => {
            let revoked = place.revoke_token(&token).await?;
            printer.show(&revoked, || {
                print::done(&format!(
                    "revoked token {} of {}",
                    revoked.token.id, revoked.token.user.username
                ));
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn facts(document: &TokenDocument) -> Vec<(&'static str, String)> {
    let token = &document.token;
    vec![
        ("id", token.id.clone()),
        ("user", token.user.username.clone()),
        ("name", if token.name.is_empty() { "none".to_owned() } else { token.name.clone() }),
        ("rights", token.rights.to_string()),
        ("ends", moment(token.expires_at, "never")),
        (
            "requests a minute",
            token.per_minute.map_or("as the server is set".to_owned(), |most| most.to_string()),
        ),
    ]
}

fn moment(moment: Option<Timestamp>, none: &str) -> String {
    moment.map_or_else(|| none.to_owned(), Timestamp::short)
}

/// Tokens as a table.
pub(super) fn list(tokens: &[TokenDocument]) {
    let rows = tokens.iter().map(|document| {
        let token = &document.token;
        vec![
            token.id.clone(),
            token.user.username.clone(),
            token.name.clone(),
            token.rights.to_string(),
            document.state.clone(),
            moment(token.expires_at, "never"),
            moment(token.last_used_at, "never"),
        ]
    });
    let headings = ["id", "user", "name", "rights", "state", "ends", "last used"].map(Heading::Text);
    print::table(&headings, rows.collect(), "no tokens yet; create one: datanode token create --user NAME");
}
