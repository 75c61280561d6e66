//! Errors as a person or a script reads them.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use datanode_core::diagnostic::shell_word;
use datanode_core::guest_failure::GuestFailure;
use datanode_core::run::LogLine;
use datanode_core::{Diagnostic, ErrorClass};
use serde_json::json;

use crate::print::{visible, visible_lines};

/// Any error of the libraries, reduced to what is shown.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) class: ErrorClass,
    pub(crate) message: String,
    pub(crate) next_step: Option<String>,
    pub(crate) guest: Option<Box<GuestFailure>>,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: "cli.usage".to_owned(),
            class: ErrorClass::Usage,
            message: message.into(),
            next_step: None,
            guest: None,
        }
    }

    /// Understood, and refused.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { class: ErrorClass::Refused, ..Self::usage(message) }
    }

    pub(crate) fn of(error: &impl Diagnostic) -> Self {
        Self {
            code: error.code().to_owned(),
            class: error.class(),
            message: error.to_string(),
            next_step: error.next_step(),
            guest: error.guest().cloned().map(Box::new),
        }
    }

    /// Whether it is of what was asked, and not of the way to the answer.
    pub(crate) fn is_of_question(&self) -> bool {
        !self.code.starts_with("remote.")
    }

    /// Name the place, such as a file.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Write the file where the next step has `FILE`: the commands that it proposes are to be run as they stand.
    pub(crate) fn of_file(mut self, file: &Path) -> Self {
        let file = shell_word(&file.display().to_string());
        self.next_step = self.next_step.map(|step| step.replace("FILE", &file));
        self
    }

    /// A failure of the machine that a user can mend: a directory, a disk.
    pub(crate) fn machine(message: impl Into<String>) -> Self {
        Self {
            code: "cli.machine".to_owned(),
            class: ErrorClass::Infrastructure,
            message: message.into(),
            next_step: None,
            guest: None,
        }
    }

    pub(crate) fn with_code(mut self, code: &str) -> Self {
        code.clone_into(&mut self.code);
        self
    }

    pub(crate) fn with_next_step(mut self, step: impl Into<String>) -> Self {
        self.next_step = Some(step.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Turns errors with codes into failures; `?` alone would lose the code.
pub(crate) trait OrFail<T> {
    /// The value, or the failure.
    fn or_fail(self) -> anyhow::Result<T>;
}

impl<T, E: Diagnostic> OrFail<T> for Result<T, E> {
    fn or_fail(self) -> anyhow::Result<T> {
        self.map_err(|error| Failure::of(&error).into())
    }
}

/// Of several failures the one that the exit code tells: the machine's first, then what was refused.
pub(crate) fn worst(classes: impl IntoIterator<Item = ErrorClass>) -> Option<ErrorClass> {
    let ranked = [ErrorClass::Infrastructure, ErrorClass::Refused, ErrorClass::Usage, ErrorClass::Failed];
    classes.into_iter().min_by_key(|class| ranked.iter().position(|ranked| ranked == class))
}

/// Failures of some of several things that were asked for at once. They are told when all was tried.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<anyhow::Error>);

impl Failures {
    /// Keep a failure for later.
    pub(crate) fn note<T>(&mut self, outcome: anyhow::Result<T>) -> Option<T> {
        outcome.map_err(|error| self.0.push(error)).ok()
    }

    /// Tell them and answer the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        for error in &self.0 {
            report(error, json);
        }
        let class = |error: &anyhow::Error| {
            error.downcast_ref::<Failure>().map_or(ErrorClass::Failed, |failure| failure.class)
        };
        worst(self.0.iter().map(class)).map_or(ExitCode::SUCCESS, crate::exit_code)
    }
}

/// Print an error to standard error and answer the exit code.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let other;
    let failure = if let Some(failure) = error.downcast_ref::<Failure>() {
        failure
    } else {
        other = Failure {
            code: "cli.failed".to_owned(),
            class: ErrorClass::Failed,
            message: format!("{error:#}"),
            next_step: None,
            guest: None,
        };
        &other
    };
    if json {
        let mut document = json!({"error": {
            "code": failure.code, "class": failure.class.as_str(), "message": failure.message, "next_step": failure.next_step,
        }});
        if let Some(guest) = &failure.guest {
            document["error"]["guest"] = json!(guest);
        }
        eprintln!("{document}");
    } else {
        print(&failure.code, &failure.message, failure.next_step.as_deref(), failure.guest.as_deref());
    }
    crate::exit_code(failure.class)
}

/// Print an error for people. Only the host's own lines begin at the margin: what a guest wrote can imitate none.
pub(crate) fn print(code: &str, message: &str, next_step: Option<&str>, guest: Option<&GuestFailure>) {
    let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
    let cyan = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
    anstream::eprintln!("{red}error[{code}]{red:#}: {}", indented(message));
    if let Some(guest) = guest {
        for frame in &guest.stack {
            anstream::eprintln!("    at {}", visible(&frame.to_string()));
        }
        for line in &guest.log_tail {
            anstream::eprintln!("{cyan}log:{cyan:#}  {}", log_line(line));
        }
    }
    if let Some(step) = next_step {
        anstream::eprintln!("{cyan}next:{cyan:#} {}", indented(step));
    }
}

/// A log line of a guest, safe to show.
pub(crate) fn log_line(line: &LogLine) -> String {
    let mut text = format!("{:<5} {}", line.level, line.message);
    for (name, value) in &line.fields {
        text += &format!("  {name}={value}");
    }
    visible(&text)
}

/// Safe to show, with all lines but the first away from the margin.
fn indented(text: &str) -> String {
    let text = visible_lines(text);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| {
        let margin = if line.starts_with(' ') { "" } else { "  " };
        format!("{text}\n{margin}{line}")
    })
}
