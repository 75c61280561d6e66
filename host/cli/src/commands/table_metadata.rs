//! `datanode table label` and `datanode table describe`: what people read of a table, changed without a file.

use clap::Args;
use datanode_core::contract::MetadataEdit;

use crate::failure::Failure;
use crate::place::Place;
use crate::print::{self, Printer};
use crate::say;

#[derive(Debug, Args)]
#[command(
    after_help = "Labels group and discover; they change no behaviour. The contract's file is not changed: write it there too,\n\
    or registering it again takes the change back.\n\n\
    Examples:\n  datanode table label fx_log_returns --add fx --add returns\n  \
    datanode table label fx_log_returns --remove draft\n  datanode table label fx_log_returns --set fx,returns"
)]
pub(crate) struct LabelArguments {
    /// Identifier or uid
    table: String,
    /// Label to add; may be given several times
    #[arg(long, value_name = "LABEL")]
    add: Vec<String>,
    /// Label to take away; one that is not there is refused
    #[arg(long, value_name = "LABEL")]
    remove: Vec<String>,
    /// These labels instead of those that there are; none: --set ''
    #[arg(long, value_delimiter = ',', value_name = "LABEL,...")]
    set: Option<Vec<String>>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The contract's file is not changed: write it there too, or registering it again takes the change back.\n\n\
    Examples:\n  datanode table describe fx_log_returns --description \"Daily log returns, one row per day and currency.\"\n  \
    datanode table describe fx_log_returns --column log_return=\"ln of the rate over the one before\""
)]
pub(crate) struct DescribeArguments {
    /// Identifier or uid
    table: String,
    /// Intention, row grain and analytical use
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What the values of a column mean, with their unit; may be given several times
    #[arg(long, value_name = "NAME=TEXT")]
    column: Vec<String>,
    /// A column's short name for people; may be given several times
    #[arg(long, value_name = "NAME=TEXT")]
    column_label: Vec<String>,
}

pub(crate) async fn label(arguments: LabelArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let LabelArguments { table, add, remove, set } = arguments;
    let set_labels = set.map(|labels| labels.into_iter().filter(|label| !label.is_empty()).collect());
    let edit = MetadataEdit { set_labels, add_labels: add, remove_labels: remove, ..MetadataEdit::default() };
    if edit == MetadataEdit::default() {
        let step = format!("see the labels that there are: datanode table show {table}");
        return Err(Failure::usage("nothing to change: give --add, --remove or --set")
            .with_next_step(step)
            .into());
    }
    apply(&table, &edit, place, printer).await
}

pub(crate) async fn describe(
    arguments: DescribeArguments,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<()> {
    let DescribeArguments { table, description, column, column_label } = arguments;
    let edit = MetadataEdit {
        description,
        column_descriptions: pairs(&table, &column)?,
        column_labels: pairs(&table, &column_label)?,
        ..MetadataEdit::default()
    };
    if edit == MetadataEdit::default() {
        let step = format!("see the descriptions that there are: datanode table show {table}");
        let failure = Failure::usage("nothing to change: give --description, --column or --column-label");
        return Err(failure.with_next_step(step).into());
    }
    apply(&table, &edit, place, printer).await
}

fn pairs(table: &str, texts: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let pair = |text: &String| {
        let (name, text) = text.split_once('=').ok_or_else(|| {
            let step = format!(
                "name a column and its text, as in price=Euro; see the columns: datanode table show {table}"
            );
            Failure::usage(format!("`{text}` is not NAME=TEXT")).with_next_step(step)
        })?;
        Ok((name.to_owned(), text.to_owned()))
    };
    texts.iter().map(pair).collect()
}

async fn apply(table: &str, edit: &MetadataEdit, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let changed = place.edit_table(table, edit).await?;
    printer.show(&changed, || {
        let identifier = &changed.value.contract.identifier;
        if changed.changes.is_empty() {
            print::done(&format!("table {identifier} has that already"));
            return;
        }
        print::done(&format!("changed the metadata of table {identifier}"));
        for change in &changed.changes {
            say!("  {}", print::visible(&change.to_string()));
        }
    })
}
