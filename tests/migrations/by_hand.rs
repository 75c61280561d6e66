//! What people do with the SQL of a revision themselves: they write it, run it, edit files of it or take them away.

use serde_json::Value;

use super::{
    New, RATES, columns, contract, current, edit, folder, of, seal, sql, untouched, with_rates, with_source,
    write,
};

pub(super) fn of_two_revisions_the_one_that_succeeds_stays(new: New) {
    let project = with_rates(new, "1999-03-01");
    let rows = untouched(&project);
    let first = write(&project, "add the source", &contract(&project, "c.toml", &with_source()));
    project.run(&["table", "upgrade", RATES]);
    let second = project.json(&["table", "revision", RATES, "-m", "by hand"]);
    edit(&second, sql(&project)[0], |sql| {
        sql + "UPDATE fx_ecb_daily_rates SET source = 'ECB';\nDELETE FROM fx_ecb_daily_rates WHERE absent = 1;\n"
    });
    seal(&project, &second);
    project.run(&["table", "downgrade", RATES, "base"]);
    let output = project.output(&["table", "upgrade", RATES, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done[0]["revision"], first["revision"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let absent = of(&project, "no such column: absent", "does not exist");
    assert!(said.contains("revision.statement_failed") && said.contains(absent), "{said}");
    assert_eq!(current(&project).as_deref(), first["revision"].as_str());
    edit(&second, sql(&project)[0], |sql| sql.replace("absent = 1", "rate < 0"));
    seal(&project, &second);
    project.run(&["table", "upgrade", RATES]);
    assert_eq!(untouched(&project), rows);
    assert_eq!(project.number("SELECT count(*) FROM fx_ecb_daily_rates WHERE source <> 'ECB'"), 0);
}

/// The SQL of a revision run by hand: `refresh --revision` checks and binds, and the chain goes on from there.
pub(super) fn a_revision_that_was_run_by_hand_is_bound(new: New) {
    let project = with_rates(new, "1999-02-01");
    let first = write(&project, "add the source", &contract(&project, "c.toml", &with_source()));
    let path = folder(&first);
    let refresh = ["table", "refresh", RATES, "--revision", path.to_str().unwrap()];
    let (code, message) = project.fails(&refresh);
    assert!(
        code == 3 && message.contains("error[table.not_bound]") && message.contains("column `source`"),
        "{message}"
    );
    project.execute(&std::fs::read_to_string(path.join(sql(&project)[0])).unwrap());
    project.run(&refresh);
    assert_eq!(current(&project).as_deref(), first["revision"].as_str());
    project.run(&["table", "downgrade", RATES, "base"]);
    assert_eq!((current(&project), columns(&project).len()), (None, 3));
}

/// The files of another database may be missing, edited or sealed at any time; its own a revision must have, and it is
/// completed by the command that the refusal names.
pub(super) fn a_database_reads_its_own_sql_alone(new: New) {
    let project = with_rates(new, "1999-02-01");
    let rows = untouched(&project);
    let revision = write(&project, "add the source", &contract(&project, "c.toml", &with_source()));
    assert_eq!(revision["left_out"], Value::Array(Vec::new()));
    let own = sql(&project);
    let [up, down] = own;
    let other = of(&project, "postgres.up.sql", "sqlite.up.sql");
    let written = std::fs::read_to_string(folder(&revision).join(up)).unwrap();
    for name in own {
        std::fs::remove_file(folder(&revision).join(name)).unwrap();
        edit(&revision, "revision.toml", |text| {
            text.split_inclusive('\n').filter(|line| !line.contains(name)).collect()
        });
    }
    let (code, message) = project.fails(&["table", "upgrade", RATES]);
    assert!(
        code == 3 && message.starts_with("error[revision.no_sql]: revision ") && message.contains(up),
        "{message}"
    );
    let next = message.lines().find_map(|line| line.split("datanode ").nth(1)).unwrap();
    project.run(&next.split(' ').collect::<Vec<_>>());
    assert_eq!(std::fs::read_to_string(folder(&revision).join(up)).unwrap(), written);
    let again = ["table", "revision", RATES, "--complete", revision["revision"].as_str().unwrap()];
    assert_eq!(project.fails(&again).0, 2);

    edit(&revision, other, |sql| sql + "-- for later\n");
    project.run(&["table", "upgrade", RATES]);
    assert_eq!(current(&project).as_deref(), revision["revision"].as_str());
    edit(&revision, other, |sql| sql + "-- and later\n");
    assert_eq!(current(&project).as_deref(), revision["revision"].as_str());
    edit(&revision, down, |sql| sql + "-- too late\n");
    let (_, message) = project.fails(&["table", "current", RATES]);
    assert!(message.contains("error[revision.changed]"), "{message}");
    project.run(&["table", "downgrade", RATES, "base"]);
    assert_eq!(untouched(&project), rows);
}
