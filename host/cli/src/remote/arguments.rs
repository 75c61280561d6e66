//! `--url` and what goes with it.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

use super::address::ServerUrl;
use super::client::Server;
use super::token::Token;
use crate::failure::Failure;
use crate::home::DatabaseUrl;
use crate::usage;

/// Id of the argument that names a server.
pub(crate) const URL: &str = "server_url";
/// The variable in its place.
const URL_VARIABLE: &str = "DATANODE_URL";

/// How a server is asked. Its address is [`with_url`]'s.
#[derive(Debug, Args)]
pub(crate) struct RemoteArguments {
    /// File that holds the token for the server, and nothing else
    #[arg(
        id = "server_token_file",
        long = "token-file",
        global = true,
        value_name = "FILE",
        env = "DATANODE_TOKEN_FILE"
    )]
    token_file: Option<PathBuf>,
    /// Token for the server. Others on this machine can read arguments: a token belongs into the variable, or into a file
    #[arg(
        id = "server_token",
        long = "token",
        global = true,
        value_name = "TOKEN",
        env = "DATANODE_TOKEN",
        hide_env_values = true
    )]
    token: Option<Token>,
    /// Certificate authorities to trust in the place of the machine's, for the server alone (PEM)
    #[arg(long, global = true, value_name = "FILE", env = "DATANODE_SERVER_CA")]
    server_ca: Option<PathBuf>,
    /// Send the token to an http:// address of another machine all the same, where everybody on the way can read it
    #[arg(id = "insecure_server", long = "insecure", global = true)]
    insecure: bool,
    #[arg(skip)]
    given: Given,
}

/// What was said, and where: the command line counts before the environment.
#[derive(Debug, Default)]
struct Given {
    /// What is wrong with it is told without the address, which may hold a password: clap would repeat it.
    url: Option<Result<ServerUrl, String>>,
    url_is_explicit: bool,
    home: Option<ValueSource>,
    database: Option<ValueSource>,
    token: Option<ValueSource>,
    token_file: Option<ValueSource>,
}

/// The command line with `--url` on every command that has none of its own: `source add` has, and there it stands before
/// the noun. (An argument that clap passes down itself would take the place of that one.)
pub(crate) fn with_url(command: Command) -> Command {
    let has_its_own = command.get_arguments().any(|argument| argument.get_long() == Some("url"));
    let command = if has_its_own { command } else { command.arg(argument()) };
    command.mut_subcommands(with_url)
}

fn argument() -> Arg {
    Arg::new(URL)
        .long("url")
        .value_name("URL")
        .env(URL_VARIABLE)
        .help("Ask this server in the place of a database of this machine: https://HOST[:PORT], as `datanode serve` names it")
}

impl RemoteArguments {
    /// Look where things were said.
    pub(crate) fn note(&mut self, matches: &ArgMatches) {
        let source = |id: &str| matches.value_source(id);
        self.given = Given {
            home: source("home"),
            database: source("database"),
            token: source("server_token"),
            token_file: source("server_token_file"),
            ..Given::default()
        };
        let mut level = Some(matches);
        while let Some(matches) = level {
            if let Ok(Some(url)) = matches.try_get_one::<String>(URL) {
                let is_explicit = matches.value_source(URL) == Some(ValueSource::CommandLine);
                if is_explicit || !self.given.url_is_explicit {
                    self.given.url = Some(url.parse());
                    self.given.url_is_explicit = is_explicit;
                }
            }
            level = matches.subcommand().map(|(_, below)| below);
        }
    }

    /// The server that is to be asked; None: a database of this machine is meant.
    pub(crate) fn server(&self, database: Option<&DatabaseUrl>) -> anyhow::Result<Option<Server>> {
        let Some(url) = self.url(database.is_some())? else {
            if self.given.token == Some(ValueSource::CommandLine)
                || self.given.token_file == Some(ValueSource::CommandLine)
            {
                return Err(Failure::usage("a token is for a server, and none is named")
                    .with_next_step("name it: --url URL, or DATANODE_URL")
                    .into());
            }
            return Ok(None);
        };
        let token = self.token()?;
        if token.is_some() && url.is_readable_on_the_way() && !self.insecure {
            return Err(Failure::refused(format!(
                "the token would go to {} in the clear: everybody on the way could read it, and act with it",
                url.text()
            ))
            .with_code("remote.insecure")
            .with_next_step("ask the server by https://, or say that it is meant: --insecure")
            .into());
        }
        Server::new(url.clone(), token, self.server_ca.as_deref()).map(Some)
    }

    /// Whether this very command names a server, rather than the environment.
    pub(crate) fn is_explicit(&self) -> bool {
        self.given.url_is_explicit
    }

    /// The address that counts. Of an address and a data directory or database the one counts that is on the command line.
    fn url(&self, has_database: bool) -> anyhow::Result<Option<&ServerUrl>> {
        let Some(url) = &self.given.url else { return Ok(None) };
        let said = |source: Option<ValueSource>| match source {
            Some(ValueSource::CommandLine) => Some(true),
            Some(ValueSource::EnvVariable) => Some(false),
            _ => None,
        };
        let home = said(self.given.home).map(|explicit| ("--home", "DATANODE_HOME", explicit));
        let database = said(self.given.database).filter(|_| has_database);
        let database = database.map(|explicit| ("--database", "DATANODE_DATABASE_URL", explicit));
        let mut here = home.into_iter().chain(database).collect::<Vec<_>>();
        // What is said on the command line first.
        here.sort_by_key(|(_, _, explicit)| !explicit);
        let server = || match url {
            Ok(url) => Ok(Some(url)),
            Err(problem) => Err(Failure::usage(format!("the address of the server: {problem}"))
                .with_next_step("write it as `datanode serve` names it: https://HOST[:PORT]")
                .into()),
        };
        match here.first() {
            None => server(),
            Some((_, _, false)) if self.given.url_is_explicit => server(),
            Some((_, _, true)) if !self.given.url_is_explicit => Ok(None),
            Some((option, variable, explicit)) => {
                let (server, here) = if *explicit { ("--url", *option) } else { (URL_VARIABLE, *variable) };
                Err(Failure::usage(format!(
                    "{server} and {here} are both given: is a server meant, or a database of this machine?"
                ))
                .with_next_step("give one of them")
                .into())
            }
        }
    }

    fn token(&self) -> anyhow::Result<Option<Token>> {
        let is_explicit = |source| source == Some(ValueSource::CommandLine);
        let (file, token) = (is_explicit(self.given.token_file), is_explicit(self.given.token));
        if file && token {
            return Err(usage("--token-file and --token are both given: give one of them"));
        }
        // The one on the command line, where the other is of the environment.
        let file_counts = file || !token;
        match &self.token_file {
            Some(file) if file_counts => Token::of_file(file).map(Some),
            _ => Ok(self.token.clone()),
        }
    }
}
