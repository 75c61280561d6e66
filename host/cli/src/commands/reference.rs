//! `datanode reference`: docs/reference/cli.md, from the same definitions that `--help` is made of.

use std::fmt::Write;
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Arg, Command, ValueEnum};

use crate::args::Arguments;
use crate::say;

const INTRODUCTION: &str = "\
# Commands

This page is made by `cargo xtask docs` from the definitions that `--help` is made of. What `--json` prints is described
in [JSON](json.md).

## Everywhere

Results go to standard output; errors, warnings and progress to standard error. Colours are used on a terminal only,
and not when `NO_COLOR` is set; `CLICOLOR` and `CLICOLOR_FORCE` are respected too.

A *moment* (`TIME`) is RFC 3339 with an offset, such as `2020-12-31T00:00:00Z`, or a date, which means its midnight UTC.

A *table* is named by its identifier or uid. A *node* is named by its `update_hash` or the beginning of it (at least 4
characters), by the table that it alone writes (or alone without a hash namespace), or by its uid. A *run* is named by
its id or the beginning of it (at least 4 characters). What is ambiguous is refused, with the candidates.
";

/// A page that is made of what the program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReferencePage {
    /// The command line
    Commands,
    /// Routes of a server
    Api,
    /// The same as a document for programs
    Openapi,
    /// Metrics of a server
    Metrics,
}

pub(crate) fn run(which: ReferencePage) -> ExitCode {
    say!("{}", text(which).trim_end());
    ExitCode::SUCCESS
}

fn text(which: ReferencePage) -> String {
    match which {
        ReferencePage::Commands => page(),
        ReferencePage::Api => datanode_server::pages::api(),
        ReferencePage::Openapi => format!("{:#}", datanode_server::openapi()),
        ReferencePage::Metrics => datanode_server::pages::metrics(),
    }
}

fn page() -> String {
    let mut root = Arguments::definition();
    root.build();
    let mut page = INTRODUCTION.to_owned();
    arguments(&root, true, &mut page);
    after(&root, &mut page);
    for command in shown(&root) {
        section(command, 2, &mut page);
    }
    page
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// A command and those below it. (A `String` takes everything that is written to it.)
fn section(command: &Command, depth: usize, page: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let _ = write!(page, "\n{} `{name}`\n", "#".repeat(depth));
    let about = command.get_long_about().or(command.get_about());
    if let Some(about) = about {
        let _ = write!(page, "\n{about}.\n");
    }
    if shown(command).next().is_none() {
        let usage = command.clone().render_usage().to_string();
        let _ = write!(page, "\n```text\n{}\n```\n", usage.trim_start_matches("Usage: "));
        arguments(command, false, page);
    }
    after(command, page);
    for below in shown(command) {
        section(below, depth + 1, page);
    }
}

fn arguments(command: &Command, global: bool, page: &mut String) {
    let own = |arg: &&Arg| is_everywhere(arg) == global && !arg.is_hide_set() && !is_automatic(arg);
    let mut arguments = command.get_arguments().filter(own).peekable();
    if arguments.peek().is_none() {
        return;
    }
    page.push_str("\n| argument | is | default |\n| --- | --- | --- |\n");
    for arg in arguments {
        let _ = writeln!(page, "| {} | {} | {} |", spelled(arg), meaning(arg), default(arg));
    }
}

/// Whether every command has it, or all but one.
fn is_everywhere(arg: &Arg) -> bool {
    arg.is_global_set() || arg.get_id() == crate::remote::URL
}

fn is_automatic(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

/// `--until TIME`, or `FILE…` for one that has a place instead of a name.
fn spelled(arg: &Arg) -> String {
    let takes_value = arg.get_action().takes_values();
    let names = arg.get_value_names().unwrap_or_default();
    let value = names.iter().map(clap::builder::Str::as_str).collect::<Vec<_>>().join(" ");
    let text = match (arg.get_long(), arg.get_short()) {
        (Some(long), short) => {
            let short = short.map_or(String::new(), |short| format!("-{short}, "));
            let value = if takes_value { format!(" {value}") } else { String::new() };
            format!("{short}--{long}{value}")
        }
        (None, _) => value,
    };
    let many = matches!(arg.get_action(), clap::ArgAction::Append) && arg.get_value_delimiter().is_none();
    cell(&format!("`{text}`{}", if many { " …" } else { "" }))
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    // A default that clap does not know is told in the help's last words.
    let help = help.split(" [default: ").next().unwrap_or_default().to_owned();
    let values = arg.get_possible_values();
    let value = |value: &PossibleValue| {
        let name = format!("`{}`", value.get_name());
        value.get_help().map_or(name.clone(), |help| format!("{name} ({help})"))
    };
    let listed = !values.is_empty() && arg.get_action().takes_values();
    let values = values.iter().filter(|value| !value.is_hide_set()).map(value).collect::<Vec<_>>().join(", ");
    cell(&if listed { format!("{help}: {values}") } else { help })
}

fn default(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let told =
        help.split_once(" [default: ").map(|(_, told)| told.split(']').next().unwrap_or(told).to_owned());
    let values = arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy()));
    let mut default =
        if arg.get_action().takes_values() { values.collect::<Vec<_>>().join(", ") } else { String::new() };
    if let Some(told) = told {
        default = told;
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(
            default,
            "{}`${}`",
            if default.is_empty() { "" } else { "; before it " },
            variable.to_string_lossy()
        );
    }
    if default.is_empty() && arg.is_required_set() { "required".to_owned() } else { cell(&default) }
}

/// What stands below a command's arguments in its help: text as text, indented lines as they are.
fn after(command: &Command, page: &mut String) {
    let Some(after) = command.get_after_long_help().or(command.get_after_help()) else { return };
    let mut in_block = false;
    page.push('\n');
    for line in after.to_string().lines() {
        if line.starts_with("  ") != in_block && !line.is_empty() {
            in_block = !in_block;
            page.push_str(if in_block { "\n```sh\n" } else { "```\n\n" });
        }
        let _ = writeln!(page, "{}", if in_block { line.strip_prefix("  ").unwrap_or(line) } else { line });
    }
    if in_block {
        page.push_str("```\n");
    }
}

/// Text of one cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_the_command_line_are_sound() {
        Arguments::definition().debug_assert();
    }

    #[test]
    fn the_pages_of_the_documentation_are_these() {
        for (kept, made, file) in [
            (include_str!("../../../../docs/reference/cli.md"), text(ReferencePage::Commands), "cli.md"),
            (include_str!("../../../../docs/reference/api.md"), text(ReferencePage::Api), "api.md"),
            (
                include_str!("../../../../docs/reference/openapi.json"),
                text(ReferencePage::Openapi),
                "openapi.json",
            ),
            (
                include_str!("../../../../docs/reference/metrics.md"),
                text(ReferencePage::Metrics),
                "metrics.md",
            ),
        ] {
            assert!(
                kept.trim_end() == made.trim_end(),
                "docs/reference/{file} is not current: cargo xtask docs"
            );
        }
    }
}
