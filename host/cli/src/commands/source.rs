//! `datanode source`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use datanode_core::source::HttpRules;
use datanode_store::{Source, SourceKind};

use super::http_source::HttpOptions;
use crate::args::SourceCommand;
use crate::place::{NewSource, Place};
use crate::print::{self, Heading, Printer, count};
use crate::say;
use crate::usage;

#[derive(Debug, Args)]
#[command(
    after_help = "The same again changes nothing, but adds the grants; another place under the same name is refused, unless\n\
    --replace says that it is meant. Everything that is not allowed is refused, and the refusal says what would allow it.\n\
    A component never sees a secret, nor sets a header that the host adds.\n\n\
    Examples:\n  datanode source add ecb --path examples/fx/data --grant ecb_daily_fx_rates\n  \
    datanode source add prices --url https://api.example.com/v1/ --allow-path 'series/**' \\\n    \
    --header 'Authorization=Bearer {secret:prices_token}' --per-minute 60 --grant daily_close"
)]
pub(crate) struct AddArguments {
    /// Name that components declare
    name: String,
    /// Directory, or one file
    #[arg(long, value_name = "PATH", required_unless_present = "url", conflicts_with = "url")]
    path: Option<PathBuf>,
    /// Place that is asked by HTTP: what components ask for lies below it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Component that may read it; may be given several times
    #[arg(long, value_name = "COMPONENT")]
    grant: Vec<String>,
    /// Let a source that is there lead elsewhere, or by these rules alone; its grants stay
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    http: HttpOptions,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Lists get longer; a header or parameter of the same name, and numbers, take the place of what was there. To\n\
    allow less, write all rules anew: datanode source add NAME --url URL … --replace\n\n\
    Examples:\n  datanode source allow prices --allow-path 'calendar/*' --method POST\n  \
    datanode source allow prices --redirect-to https://cdn.example.com/files/ --max-bytes 1000000000"
)]
pub(crate) struct AllowArguments {
    /// Source
    name: String,
    #[command(flatten)]
    http: HttpOptions,
}

pub(crate) async fn run(command: SourceCommand, place: &Place, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        SourceCommand::Add(arguments) => add(arguments, place, printer).await?,
        SourceCommand::Allow(AllowArguments { name, http }) => {
            if http.is_empty() {
                return Err(usage("say what is to be allowed; see --help"));
            }
            let source = place.change_source(&name, http.change()?).await?;
            printer.show(&source, || {
                print::done(&format!("changed source `{name}`"));
                show(&source);
            })?;
        }
        SourceCommand::Show { name } => {
            let source = place.source(&name).await?;
            printer.show(&source, || show(&source))?;
        }
        SourceCommand::Remove { name } => {
            let source = place.remove_source(&name).await?;
            printer.show(&source, || print::done(&format!("removed source `{name}` and its grants")))?;
        }
        SourceCommand::List => {
            let sources = place.sources().await?;
            printer.show(&sources, || {
                let rows = sources.iter().map(|source| {
                    vec![
                        source.name.clone(),
                        kind(source).to_owned(),
                        leads_to(source),
                        granted(&source.granted_to),
                    ]
                });
                let headings = [
                    Heading::Text("name"),
                    Heading::Text("kind"),
                    Heading::Text("leads to"),
                    Heading::Text("granted to"),
                ];
                print::table(
                    &headings,
                    rows.collect(),
                    "no sources yet; add one: datanode source add NAME --path PATH, or --url URL",
                );
            })?;
        }
        SourceCommand::Grant { name, component } => {
            let source = place.grant_source(&name, &component).await?;
            printer.show(&source, || print::done(&format!("`{component}` may read source `{name}`")))?;
        }
        SourceCommand::Revoke { name, component } => {
            let source = place.revoke_source(&name, &component).await?;
            printer.show(&source, || {
                print::done(&format!("`{component}` may not read source `{name}` any more"));
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(arguments: AddArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let AddArguments { name, path, url, grant, replace, http } = arguments;
    // All names first: what is refused leaves nothing behind.
    for component in &grant {
        datanode_core::name::check_name("component name", component)
            .map_err(|error| usage(error.to_string()))?;
    }
    let new = match (&path, url) {
        (_, Some(url)) => NewSource::Http(Box::new(http.rules(&url)?)),
        (Some(path), None) if http.is_empty() => NewSource::Directory(path),
        _ => return Err(usage("files have no such rules: options of HTTP sources go with --url")),
    };
    let added = place.add_source(&name, new, replace).await?;
    let mut source = added.value;
    for component in &grant {
        source = place.grant_source(&name, component).await?;
    }
    printer.show(&source, || {
        let verb = match (added.created, replace) {
            (true, _) => "added",
            (false, true) => "replaced",
            (false, false) => "already there:",
        };
        print::done(&format!("{verb} source `{name}` → {}", leads_to(&source)));
        say!("  granted to: {}", granted(&source.granted_to));
    })
}

fn kind(source: &Source) -> &'static str {
    match source.kind {
        SourceKind::File { .. } => "file",
        SourceKind::OneFile { .. } => "one_file",
        SourceKind::Http(_) => "http",
    }
}

fn leads_to(source: &Source) -> String {
    match &source.kind {
        SourceKind::File { path } | SourceKind::OneFile { path } => path.display().to_string(),
        SourceKind::Http(rules) => rules.base_url.to_string(),
    }
}

fn show(source: &Source) {
    let mut facts = vec![
        ("name", source.name.clone()),
        ("kind", kind(source).to_owned()),
        ("leads to", leads_to(source)),
        ("granted to", granted(&source.granted_to)),
        ("created", source.created_at.to_string()),
    ];
    if let SourceKind::Http(rules) = &source.kind {
        facts.extend(rules_as_facts(rules));
    }
    print::facts(&facts);
}

fn rules_as_facts(rules: &HttpRules) -> Vec<(&'static str, String)> {
    fn lines<T: ToString>(list: &[T]) -> String {
        if list.is_empty() {
            return "none".to_owned();
        }
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
    let injected = |list: &[datanode_core::source::Injected]| {
        lines(&list.iter().map(|one| format!("{}={}", one.name, one.value)).collect::<Vec<_>>())
    };
    let authorities =
        rules.ca_file.as_ref().map_or("the machine's".to_owned(), |file| file.display().to_string());
    let limits = &rules.limits;
    vec![
        ("methods", rules.methods.join(", ")),
        ("paths", lines(&rules.paths)),
        ("headers of the host", injected(&rules.headers)),
        ("parameters of the host", injected(&rules.query)),
        ("further request headers", lines(&rules.request_headers)),
        ("further answer headers", lines(&rules.response_headers)),
        ("redirects to", lines(&rules.redirect_to)),
        ("networks", lines(&rules.networks)),
        ("authorities", authorities),
        ("body", format!("at most {} bytes", count(limits.max_bytes))),
        (
            "fetch",
            format!(
                "at most {} ms, {} redirects, {} retries",
                count(limits.timeout_ms),
                limits.max_redirects,
                limits.retries
            ),
        ),
        (
            "requests a minute",
            limits.per_minute.map_or("as many as come".to_owned(), |most| count(most.into())),
        ),
    ]
}

fn granted(components: &[String]) -> String {
    if components.is_empty() { "nobody yet".to_owned() } else { components.join(", ") }
}
