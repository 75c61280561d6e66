//! `datanode table sql`

use std::process::ExitCode;
use std::time::Duration;

use datanode_core::sql::{SqlAnswer, SqlLimits};
use serde_json::Value;

use crate::args::SqlArguments;
use crate::failure::Failure;
use crate::place::Place;
use crate::print::{self, Printer, count};
use crate::say;

pub(crate) async fn run(
    arguments: SqlArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let limits = SqlLimits {
        max_rows: usize::try_from(arguments.max_rows).unwrap_or(usize::MAX),
        timeout: Duration::from_secs(arguments.timeout.into()),
        ..SqlLimits::default()
    };
    let answer = place.sql(&arguments.table, &arguments.sql, &limits).await?;
    if printer.json {
        printer.show(&answer, || {})?;
    } else if let Some(error) = &answer.error {
        return Err(Failure {
            code: error.kind.code().to_owned(),
            class: error.kind.class(),
            message: error.message.clone(),
            next_step: Some(error.kind.next_step().to_owned()),
            guest: None,
        }
        .into());
    } else {
        show(&answer);
    }
    Ok(answer.error.map_or(ExitCode::SUCCESS, |error| ExitCode::from(error.kind.class().exit_code())))
}

fn show(answer: &SqlAnswer) {
    let cell = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let rows =
        answer.results.iter().map(|row| answer.columns.iter().map(|name| cell(row.get(name))).collect());
    // A column is one of numbers when all that it has are.
    let numeric = answer.columns.iter().map(|name| {
        let values = answer.results.iter().filter_map(|row| row.get(name));
        values.clone().any(Value::is_number)
            && values.clone().all(|value| value.is_number() || value.is_null())
    });
    print::rows(&answer.columns, &numeric.collect::<Vec<_>>(), rows.collect());
    if answer.truncated {
        say!("… there are more rows than {}; --max-rows shows more", count(answer.max_rows as u64));
    }
}
