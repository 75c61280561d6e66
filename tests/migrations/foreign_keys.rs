//! Foreign keys of tables that move: those that lead to one, and those that come and go by its revisions.

use datanode_tests::root;
use serde_json::Value;

use super::{New, RATES, contract, contract_text, current, follow, of, untouched, with_rates, write};

/// A table that foreign keys of another lead to is rebuilt without them noticing; its key stays what it is.
pub(super) fn a_table_that_others_refer_to_keeps_its_key(new: New) {
    let project = with_rates(new, "1999-02-01");
    let rows = untouched(&project);
    let notes = "identifier = \"rate_notes\"\nindex = [\"time_index\", \"currency\"]\ncolumns = [\n\
        { name = \"time_index\", type = \"timestamp_tz\" },\n{ name = \"currency\", type = \"string\" },\n\
        { name = \"note\", type = \"string\" },\n]\n[[foreign_keys]]\ncolumns = [\"time_index\", \"currency\"]\n\
        references = { table = \"fx_ecb_daily_rates\", columns = [\"time_index\", \"currency\"] }\n";
    project.run(&["table", "register", &contract(&project, "notes.toml", notes)]);
    project.execute(
        "INSERT INTO rate_notes SELECT time_index, currency, 'seen' FROM fx_ecb_daily_rates LIMIT 5",
    );
    let renamed = contract_text()
        .replace("\"time_index\", \"currency\"]", "\"time_index\", \"iso\"]")
        .replace("name = \"currency\"", "name = \"iso\"\nid = 2");
    let renamed = contract(&project, "r.toml", &renamed);
    let (code, message) = project.fails(&["table", "revision", RATES, "-m", "a", "--autogenerate", &renamed]);
    assert_eq!(code, 3);
    let said = "error[revision.referenced]: table `fx_ecb_daily_rates`: its key cannot be changed while foreign keys lead to it: rate_notes\n\
                next: take the foreign keys out first: datanode table revision rate_notes --message … --autogenerate FILE\n";
    assert_eq!(message, said);
    let text = contract_text()
        .replace("type = \"float64\"\nnullable = false", "type = \"float64\"\nnullable = true");
    assert_ne!(text, contract_text());
    write(&project, "rates may be missing", &contract(&project, "c.toml", &text));
    project.run(&["table", "upgrade", RATES]);
    assert_eq!(untouched(&project), rows);
    for table in [RATES, "rate_notes"] {
        assert_eq!(project.json(&["table", "current", table])["drift"], Value::Array(Vec::new()), "{table}");
    }
    assert_eq!(project.number("SELECT count(*) FROM rate_notes"), 5);
}

/// Foreign keys come and go by revisions: to a reference table, and to one that nodes write. A row that would lead nowhere
/// refuses the step, and nothing of it stays.
pub(super) fn foreign_keys_are_added_refused_and_taken_back_by_revisions(new: New) {
    let project = with_rates(new, "1999-02-01");
    let rows = untouched(&project);
    let example = |path: &str| root().join("examples/fx").join(path).to_str().unwrap().to_owned();
    project.run(&["table", "register", &example("contracts/currencies.toml")]);
    let all = std::fs::read_to_string(example("reference/currencies.csv")).unwrap();
    let load = |text: &str| {
        std::fs::write(project.path().join("currencies.csv"), text).unwrap();
        project.output(&["table", "load", "currencies", "currencies.csv", "--replace"]).status.code()
    };
    assert_eq!(load(&all), Some(0));

    // To a reference table whose rows fit.
    let key = "\n[[foreign_keys]]\ncolumns = [\"currency\"]\n\
               references = { table = \"currencies\", columns = [\"currency\"] }\n";
    let with_key = contract(&project, "key.toml", &(contract_text() + key));
    let added = write(&project, "known currencies", &with_key);
    assert!(added["operations"][0].as_str().unwrap().contains("foreign key"), "{added}");
    project.run(&["table", "upgrade", RATES]);
    assert_eq!(
        (current(&project).as_deref(), untouched(&project)),
        (added["revision"].as_str(), rows.clone())
    );
    let lacking: String =
        all.lines().filter(|line| !line.starts_with("USD")).map(|line| line.to_owned() + "\n").collect();
    assert_eq!(load(&lacking), Some(3), "the key holds in the database");

    // Taken back, it holds no more; and where a row leads nowhere it does not come back.
    project.run(&["table", "downgrade", RATES, "base"]);
    assert_eq!((current(&project), untouched(&project)), (None, rows.clone()));
    assert_eq!(load(&lacking), Some(0));
    let (code, message) = project.fails(&["table", "upgrade", RATES]);
    assert_eq!(code, 3);
    let settled = message.replace(added["revision"].as_str().unwrap(), "REVISION");
    insta::allow_duplicates! { insta::assert_snapshot!(settled, @r"
    error[revision.foreign_key]: 21 rows of table `fx_ecb_daily_rates` have a foreign key that leads to no row of `currencies`
    next: nothing was changed; load the rows that are referred to, or mend the SQL, then: datanode table revision fx_ecb_daily_rates --seal REVISION
      and once more: datanode table upgrade fx_ecb_daily_rates
    "); }
    assert_eq!((current(&project), untouched(&project)), (None, rows.clone()));
    assert_eq!(load(&all), Some(0));
    follow(&project, &message, 2);

    // A revision that takes it out, and the way back puts it there again.
    write(&project, "any currency", &contract(&project, "bare.toml", &contract_text()));
    project.run(&["table", "upgrade", RATES]);
    assert_eq!(load(&lacking), Some(0));
    let (code, message) = project.fails(&["table", "downgrade", RATES, "-1"]);
    assert!(code == 3 && message.starts_with("error[revision.foreign_key]"), "{message}");
    assert_eq!(load(&all), Some(0));
    // Rows are what was wrong, and not the SQL that was kept.
    follow(&project, &message, 1);
    assert_eq!(
        (current(&project).as_deref(), untouched(&project)),
        (added["revision"].as_str(), rows.clone())
    );
    assert_eq!(load(&lacking), Some(3));

    // To a table that nodes write.
    let notes = "identifier = \"rate_notes\"\nindex = [\"time_index\", \"currency\"]\ncolumns = [\n\
        { name = \"time_index\", type = \"timestamp_tz\" },\n{ name = \"currency\", type = \"string\" },\n\
        { name = \"note\", type = \"string\" },\n]\n";
    let key = "[[foreign_keys]]\ncolumns = [\"time_index\", \"currency\"]\n\
               references = { table = \"fx_ecb_daily_rates\", columns = [\"time_index\", \"currency\"] }\n";
    project.run(&["table", "register", &contract(&project, "notes.toml", notes)]);
    project.execute(
        "INSERT INTO rate_notes SELECT time_index, currency, 'seen' FROM fx_ecb_daily_rates LIMIT 5",
    );
    let with_key = contract(&project, "notes_key.toml", &format!("{notes}{key}"));
    let notes_of_rates =
        ["table", "revision", "rate_notes", "-m", "notes of rates", "--autogenerate", &with_key];
    let noted = project.json(&notes_of_rates);
    project.run(&["table", "upgrade", "rate_notes"]);
    let shown = project.run(&["table", "show", "rate_notes"]);
    assert!(shown.contains("(time_index, currency) → fx_ecb_daily_rates"), "{shown}");
    project.run(&["table", "downgrade", "rate_notes", "base"]);
    let moment = of(&project, "0", "'1970-01-01'");
    project.execute(&format!("INSERT INTO rate_notes VALUES ({moment}, 'USD', 'of no rate')"));
    let (code, message) = project.fails(&["table", "upgrade", "rate_notes"]);
    assert_eq!(code, 3);
    let settled = message.replace(noted["revision"].as_str().unwrap(), "REVISION");
    insta::allow_duplicates! { insta::assert_snapshot!(settled, @r"
    error[revision.foreign_key]: 1 rows of table `rate_notes` have a foreign key that leads to no row of `fx_ecb_daily_rates`
    next: nothing was changed; load the rows that are referred to, or mend the SQL, then: datanode table revision rate_notes --seal REVISION
      and once more: datanode table upgrade rate_notes
    "); }
    project.execute("DELETE FROM rate_notes WHERE note = 'of no rate'");
    follow(&project, &message, 2);
    assert_eq!(project.number("SELECT count(*) FROM rate_notes"), 5);
}
