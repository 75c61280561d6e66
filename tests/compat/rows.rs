//! Rows as they are read, deleted and asked for by SQL.

use datanode_tests::Project;
use serde_json::{Value, json};

use crate::http::Request;
use crate::place::{DYNAMIC, META, Place, RATES};

pub(crate) fn rows_are_read_in_pages_without_a_gap(project: Project) {
    // More than one answer holds.
    let place = Place::new(project, "2007-12-31");
    let counted = place.project.json(&["stats", "show", RATES])["rows"].as_u64().unwrap();
    assert!(counted > 50_000, "{counted}");
    let rows = place.read(&place.rates, &json!({"start_date": null, "end_date": null, "great_or_equal": true, "less_or_equal": true, "columns": null, "offset": 0}));
    assert_eq!(rows.len() as u64, counted);
    let key = |row: &Value| {
        (row["time_index"].as_str().unwrap().to_owned(), row["currency"].as_str().unwrap().to_owned())
    };
    assert!(
        rows.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])),
        "in the order of the index, each once"
    );
    // One form of moments, over all pages.
    assert!(
        rows.iter()
            .all(|row| row["time_index"].as_str().unwrap().len() == "1999-01-04T00:00:00.000000Z".len())
    );
    // Columns, and the index in every row. None are all.
    let narrow = json!({"columns": ["rate"], "start_date": 915_408_000.0, "end_date": 915_408_000.0});
    let day = place.read(&place.rates, &narrow);
    assert!(!day.is_empty() && day.iter().all(|row| row.as_object().unwrap().len() == 3));
    // Ends, and seconds with a fraction.
    let at = |body: Value| place.read(&place.rates, &body).len();
    assert_eq!(at(json!({"start_date": 915_408_000, "end_date": 915_408_000, "great_or_equal": false})), 0);
    assert_eq!(at(json!({"start_date": 915_408_000, "end_date": 915_408_000, "less_or_equal": false})), 0);
    assert_eq!(
        at(
            json!({"start_date": 915_407_999.5, "end_date": 915_408_000.25, "great_or_equal": null, "less_or_equal": null})
        ),
        day.len()
    );
    assert_eq!(at(json!({"start_date": "1999-01-04", "end_date": "1999-01-04T00:00:00+00:00"})), day.len());
    // Scopes hold together; entries of one are alternatives.
    let of = |filters: Value| at(json!({"dimension_filters": filters, "end_date": "1999-01-05"}));
    assert_eq!(
        (of(json!({"currency": ["USD", "JPY"]})), of(json!({"currency": []})), of(json!({}))),
        (4, 0, 2 * day.len())
    );
    let coordinates =
        json!({"index_coordinates": [{"currency": "USD"}, {"currency": "XXX"}], "end_date": "1999-01-05"});
    assert_eq!(at(coordinates), 2);
    let both =
        json!({"dimension_filters": {"currency": ["USD"]}, "index_coordinates": [{"currency": "JPY"}]});
    assert_eq!(at(both), 0);
    let map = json!({"dimension_range_map": [
        {"coordinate": {"currency": "USD"}, "start_date_operand": ">", "start_date": 915_408_000, "end_date": "1999-01-06", "end_date_operand": "<="},
        {"coordinate": {"currency": "JPY"}, "start_date": null, "end_date": 915_408_000},
    ]});
    assert_eq!(at(map), 3);
    assert_eq!(at(json!({"dimension_range_map": [], "end_date": "1999-01-04"})), day.len());
    // Small pages meet, too, and a place of one question is none of another.
    let path = place.of_rates("get_data_between_dates_from_remote/");
    let small = json!({"dimension_filters": {"currency": ["USD"]}, "limit": 7});
    let page = place.answer(200, "POST", &path, &small);
    let mut other = json!({"dimension_filters": {"currency": ["JPY"]}, "limit": 7});
    other["offset"] = page["next_offset"].clone();
    place.refused(400, "POST", &path, &other);
    let mut small = small;
    small["end_date"] = json!("1999-03-01");
    let whole = place
        .read(&place.rates, &json!({"dimension_filters": {"currency": ["USD"]}, "end_date": "1999-03-01"}));
    assert_eq!(place.read(&place.rates, &small), whole);
    for wrong in [
        json!({"columns": ["price"]}),
        json!({"columns": "rate"}),
        json!({"start_date": "soon"}),
        json!({"start_date": 1e300}),
        json!({"offset": 50}),
        json!({"offset": "x"}),
        json!({"limit": 0}),
        json!({"great_or_equal": "yes"}),
        json!({"dimension_filters": {"rate": [1]}}),
        json!({"dimension_filters": ["currency"]}),
        json!({"dimension_range_map": [{"coordinate": {}}]}),
        json!({"dimension_range_map": [{"coordinate": {"currency": "USD"}}, {"coordinate": {"currency": "USD"}}]}),
        json!({"colour": "red"}),
    ] {
        place.refused(400, "POST", &path, &wrong);
    }
    // By the name of the table, with the table.
    let by_name = format!("{DYNAMIC}/get_data_between_dates_from_node_identifier/");
    let body = json!({"node_identifier": RATES, "start_date": 915_408_000, "end_date": 915_408_000, "great_or_equal": null, "less_or_equal": null});
    let found = place.answer(200, "POST", &by_name, &body);
    assert_eq!(found["results"].as_array().unwrap().len(), day.len());
    assert_eq!(found["storage_node"]["uid"], place.rates);
    place.refused(404, "POST", &by_name, &json!({"node_identifier": "nothing"}));
    place.refused(400, "POST", &by_name, &json!({}));
    // What it holds.
    let stats = place.get(&place.of_rates("get-stats/"));
    assert_eq!(stats["multi_index_stats"]["index_min"]["USD"], "1999-01-04T00:00:00.000000Z");
    assert_eq!(stats["multi_index_stats"]["_GLOBAL_"]["max"], stats["last_time_index_value"]);
    let empty = place.get(&format!("{DYNAMIC}/?identifier=fx_log_returns"))["results"][0]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let stats = place.get(&format!("{DYNAMIC}/{empty}/get-stats/"));
    assert_eq!(stats["multi_index_stats"], Value::Null);
    assert_eq!(place.read(&empty, &json!({})), Vec::<Value>::new());
}

pub(crate) fn rows_of_every_type_are_read_from_a_plain_table(project: Project) {
    let place = Place::new(project, "1999-01-05");
    let path = format!("{META}/{}/get_data_between_dates_from_remote/", place.assets);
    let read = place.answer(200, "POST", &path, &json!({"limit": 2}));
    let next = place.answer(200, "POST", &path, &json!({"limit": 2, "offset": read["next_offset"]}));
    let rows =
        [read["results"].as_array().unwrap().clone(), next["results"].as_array().unwrap().clone()].concat();
    insta::allow_duplicates! {
        insta::assert_json_snapshot!("plain_rows", rows);
    }
    assert_eq!(next["next_offset"], Value::Null);
    let some = place.answer(200, "POST", &path, &json!({"dimension_filters": {"id": ["-3", 2]}}));
    assert_eq!(some["results"].as_array().unwrap().len(), 2);
    // It has no time.
    place.refused(400, "POST", &path, &json!({"start_date": 0}));
    place.refused(400, "GET", &format!("{META}/{}/get-stats/", place.assets), &Value::Null);
    place.refused(400, "POST", &format!("{META}/{}/get_last_observation/", place.assets), &json!({}));
    place.refused(
        400,
        "POST",
        &format!("{META}/{}/delete_after_date/", place.assets),
        &json!({"after_date": "2020-01-01"}),
    );
}

pub(crate) fn the_last_row_of_each_coordinate_is_read(project: Project) {
    let place = Place::new(project, "1999-01-31");
    let path = place.of_rates("get_last_observation/");
    let all = place.answer(200, "POST", &path, &json!({}));
    let all = all.as_array().unwrap();
    assert!(all.len() > 20 && all.iter().all(|row| row["time_index"].as_str() > Some("1999-01-2")));
    let some = |body: Value| place.answer(200, "POST", &path, &body).as_array().unwrap().len();
    assert_eq!(some(json!({"dimension_filters": {"currency": ["USD", "JPY", "XXX"]}})), 2);
    assert_eq!(some(json!({"dimension_filters": {"currency": ["XXX"]}})), 0);
    assert_eq!(some(json!({"index_coordinates": [{"currency": "USD"}]})), 1);
    let map = |start: &str| json!({"dimension_range_map": [{"coordinate": {"currency": "USD"}, "start_date": start}]});
    assert_eq!((some(map("1999-01-04")), some(map("1999-02-01"))), (1, 0));
    let ended =
        json!({"dimension_range_map": [{"coordinate": {"currency": "USD"}, "end_date": "1999-01-10"}]});
    place.refused(400, "POST", &path, &ended);
    place.refused(400, "POST", &path, &json!({"columns": ["rate"]}));
}

pub(crate) fn tails_are_deleted_in_every_scope(project: Project) {
    let place = Place::new(project, "1999-02-28");
    let path = place.of_rates("delete_after_date/");
    let rows = || place.project.json(&["stats", "show", RATES])["rows"].as_u64().unwrap();
    let before = rows();
    let delete = |body: Value| {
        let answer = place.answer(200, "POST", &path, &body);
        assert_eq!(
            answer["stats"]["multi_index_stats"]["_GLOBAL_"].is_object(),
            !answer["table_empty"].as_bool().unwrap()
        );
        answer["deleted_count"].as_u64().unwrap()
    };
    let usd = json!({"after_date": "1999-02-25T00:00:00+00:00", "dimension_filters": {"currency": ["USD"]}});
    assert_eq!(delete(usd.clone()), 2);
    // The client repeats what it gets no answer to: nothing more goes.
    assert_eq!(delete(usd), 0);
    let coordinates =
        json!({"after_date": "1999-02-25", "index_coordinates": [{"currency": "JPY"}, {"currency": "USD"}]});
    assert_eq!(delete(coordinates), 2);
    let both = json!({"after_date": "1999-02-25", "dimension_filters": {"currency": ["GBP", "DKK"]}, "index_coordinates": [{"currency": "GBP"}]});
    assert_eq!(delete(both), 2);
    let map = json!({"after_date": "1999-02-24T00:00:00", "dimension_range_map": [
        {"coordinate": {"currency": "DKK"}, "start_date": 919_900_800, "start_date_operand": ">="},
        {"coordinate": {"currency": "SEK"}, "start_date": 919_900_800, "start_date_operand": ">"},
        {"coordinate": {"currency": "CHF"}, "start_date": null},
    ]});
    // The 25th and 26th, the 26th, and all from the 24th on.
    assert_eq!(delete(map), 2 + 1 + 3);
    let nothing = json!({"after_date": "1999-01-01", "dimension_filters": {"currency": ["USD"]}, "index_coordinates": [{"currency": "JPY"}]});
    assert_eq!(delete(nothing), 0);
    assert_eq!(rows(), before - 12);
    for wrong in [
        json!({}),
        json!({"after_date": null}),
        json!({"after_date": "1999-01-01", "dimension_filters": {}}),
        json!({"after_date": "1999-01-01", "dimension_filters": {"currency": []}}),
        json!({"after_date": "1999-01-01", "index_coordinates": []}),
        json!({"after_date": "1999-01-01", "index_coordinates": [{}]}),
        json!({"after_date": "1999-01-01", "dimension_range_map": []}),
        json!({"after_date": "1999-01-01", "end_date": "1999-01-02"}),
        json!({"after_date": "1999-01-01", "dimension_filters": {"rate": [1]}}),
        json!({"after_date": "soon"}),
    ] {
        place.refused(400, "POST", &path, &wrong);
    }
    assert_eq!(rows(), before - 12, "what is refused deletes nothing");
    // All rows of a scope, then of the table.
    assert!(delete(json!({"after_date": null, "dimension_filters": {"currency": ["USD"]}})) > 30);
    assert!(delete(json!({"after_date": "1900-01-01"})) > 500);
    assert_eq!(rows(), 0);
    place.project.run(&["stats", "verify", RATES]);
}

pub(crate) fn sql_is_answered_in_an_envelope(project: Project) {
    let place = Place::new(project, "1999-01-10");
    let path = place.of_rates("run_query/");
    let ask = |content_type: Option<&str>, sql: &str| {
        let mut request = Request::new("POST", &path).body(sql);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        let answer = place.send(&request);
        (answer.status, answer.json())
    };
    let count = "SELECT count(*) AS n, '漢😀' AS said FROM public.fx_ecb_daily_rates WHERE currency = 'USD'";
    for (content_type, sql) in [
        (Some("text/plain"), count.to_owned()),
        (None, count.to_owned()),
        (Some("application/json"), json!(count).to_string()),
        (Some("text/plain"), json!(count).to_string()),
        (Some("application/json"), format!("  {count}\n")),
    ] {
        let (status, answer) = ask(content_type, &sql);
        assert_eq!((status, &answer["ok"], &answer["error"]), (200, &json!(true), &Value::Null), "{answer}");
        assert_eq!(answer["results"], json!([{"n": 5, "said": "漢😀"}]));
        assert_eq!((&answer["meta_table_uid"], &answer["row_count"]), (&json!(place.rates), &json!(1)));
    }
    let longer = "a".repeat(300_000);
    for (sql, status, kind) in [
        ("SELEC 1", 400, "syntax_error"),
        ("", 400, "syntax_error"),
        ("SELECT price FROM fx_ecb_daily_rates", 400, "unknown_column"),
        ("SELECT * FROM fx_log_returns", 400, "unknown_table"),
        ("DELETE FROM fx_ecb_daily_rates", 403, "forbidden_statement"),
        ("SELECT 1; DROP TABLE fx_ecb_daily_rates", 403, "forbidden_statement"),
        ("COPY fx_ecb_daily_rates TO '/tmp/x'", 403, "forbidden_statement"),
        (&format!("SELECT '{longer}'"), 403, "forbidden_statement"),
    ] {
        let (found, answer) = ask(Some("text/plain"), sql);
        assert_eq!(
            (found, &answer["ok"], &answer["error"]["kind"]),
            (status, &json!(false), &json!(kind)),
            "{sql}: {answer}"
        );
        assert_eq!((&answer["retryable"], &answer["error"]["retryable"]), (&json!(false), &json!(false)));
    }
    let bytes = place.send(&Request::new("POST", &path).body(vec![0xff, 0xfe]));
    assert_eq!((bytes.status, bytes.json()["ok"].clone()), (400, json!(false)));
    // Plain tables, under their root.
    let answer = place.send(
        &Request::new("POST", &format!("{META}/{}/run_query/", place.assets))
            .body("\"SELECT count(*) AS n FROM assets\""),
    );
    assert_eq!(answer.json()["results"], json!([{"n": 3}]), "{}", answer.text);
    place.refused(404, "POST", &format!("{DYNAMIC}/{}/run_query/", uuid::Uuid::nil()), &Value::Null);
}
