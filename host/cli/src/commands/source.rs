//! `datanode source`

use std::process::ExitCode;

use datanode_runtime::Host;
use datanode_store::SourceKind;

use crate::args::SourceCommand;
use crate::failure::OrFail;
use crate::print::{self, Heading, Printer};
use crate::say;
use crate::usage;

pub(crate) async fn run(command: SourceCommand, host: &Host, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        SourceCommand::Add { name, path, grant } => {
            // All names first: what is refused leaves nothing behind.
            for component in &grant {
                datanode_core::name::check_name("component name", component)
                    .map_err(|error| usage(error.to_string()))?;
            }
            let added = host.add_file_source(&name, &path).await.or_fail()?;
            for component in &grant {
                host.grant_source(&name, component).await.or_fail()?;
            }
            let source = host.store().source(&name).await.or_fail()?;
            printer.show(&source, || {
                let SourceKind::File { path } = &source.kind;
                let verb = if added.created { "added" } else { "already there:" };
                print::done(&format!("{verb} source `{name}` → {}", path.display()));
                say!("  granted to: {}", granted(&source.granted_to));
            })?;
        }
        SourceCommand::List => {
            let sources = host.store().sources().await.or_fail()?;
            printer.show(&sources, || {
                let rows = sources.iter().map(|source| {
                    let SourceKind::File { path } = &source.kind;
                    vec![
                        source.name.clone(),
                        "file".to_owned(),
                        path.display().to_string(),
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
                    "no sources yet; add one: datanode source add NAME --path DIRECTORY",
                );
            })?;
        }
        SourceCommand::Grant { name, component } => {
            host.grant_source(&name, &component).await.or_fail()?;
            let source = host.store().source(&name).await.or_fail()?;
            printer.show(&source, || print::done(&format!("`{component}` may read source `{name}`")))?;
        }
        SourceCommand::Revoke { name, component } => {
            host.store().revoke_source(&name, &component).await.or_fail()?;
            let source = host.store().source(&name).await.or_fail()?;
            printer.show(&source, || {
                print::done(&format!("`{component}` may not read source `{name}` any more"));
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn granted(components: &[String]) -> String {
    if components.is_empty() { "nobody yet".to_owned() } else { components.join(", ") }
}
