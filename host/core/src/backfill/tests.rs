use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn request(from: &str, to: &str, step: Option<&str>) -> BackfillRequest {
    BackfillRequest {
        from: at(from),
        to: at(to),
        step: step.map(|step| step.parse().unwrap()),
        mode: BackfillMode::Overwrite,
        concurrency: 1,
        keep_going: false,
        options: BTreeMap::new(),
    }
}

fn bounds() -> RangeBounds<'static> {
    RangeBounds { table: "t", end: at("2026-11-21"), offset_start: None, latest: None, cadence: None }
}

fn texts(windows: &[Window]) -> Vec<String> {
    windows.iter().map(|window| format!("{} {}", window.start.unwrap().short(), window.end.short())).collect()
}

#[test]
fn a_range_is_cut_by_its_step() {
    let windows = |from, to, step| texts(&request(from, to, step).windows(&bounds()).unwrap());
    assert_eq!(windows("2020-01-01", "2020-03-31", None), ["2020-01-01 2020-03-31"]);
    assert_eq!(
        windows("2020-01-31", "2020-04-15", Some("1mo")),
        [
            "2020-01-31 2020-02-28T23:59:59.999999Z",
            "2020-02-29 2020-03-30T23:59:59.999999Z",
            "2020-03-31 2020-04-15",
        ],
        "months are counted from the first moment, so that none is lost to a short February"
    );
    assert_eq!(windows("2020-01-01", "2020-01-01", Some("1d")), ["2020-01-01 2020-01-01"]);
    assert_eq!(
        windows("2020-01-01", "2020-01-02", Some("1d")),
        ["2020-01-01 2020-01-01T23:59:59.999999Z", "2020-01-02 2020-01-02"]
    );
    let all = request("0001-01-01", "2020-01-01", Some("1s")).windows(&bounds()).unwrap_err();
    assert_eq!((all.code(), all.class()), ("backfill.step", ErrorClass::Refused));
}

#[test]
fn what_cannot_be_a_backfill_is_refused() {
    let ahead = RangeBounds { latest: Some(at("2020-01-10")), cadence: "1d".parse().ok(), ..bounds() };
    let started = RangeBounds { offset_start: Some(at("2020-01-01")), ..bounds() };
    let mut said = String::new();
    for (from, to, bounds) in [
        ("2020-02-01", "2020-01-01", bounds()),
        ("2020-01-01", "2026-11-22", bounds()),
        ("2019-12-31", "2020-02-01", started),
        ("2020-01-12", "2020-02-01", ahead),
    ] {
        let error = request(from, to, Some("1d")).windows(&bounds).unwrap_err();
        said += &format!("error[{}]: {error}\nnext: {}\n\n", error.code(), error.next_step().unwrap());
    }
    for (step, cadence) in
        [("", None), ("0", None), ("3 days", None), ("-1", None), ("30", None), ("99999999", Some("7d"))]
    {
        let cadence = cadence.map(|cadence: &str| cadence.parse().unwrap());
        let error = step.parse::<Step>().and_then(|step| step.of_table("t", cadence)).unwrap_err();
        said += &format!("error[{}]: {error}\nnext: {}\n\n", error.code(), error.next_step().unwrap());
    }
    let error = request("2020-01-01", "2026-11-21", Some("1m")).windows(&bounds()).unwrap_err();
    said += &format!("error[{}]: {error}\nnext: {}\n", error.code(), error.next_step().unwrap());
    insta::assert_snapshot!(said);
    // Next to its end, a table goes on.
    assert!(request("2020-01-11", "2020-02-01", None).windows(&ahead).is_ok());
    assert!(request("2020-01-01", "2026-11-21", None).windows(&started).is_ok());
}

#[test]
fn a_step_may_be_a_number_of_periods() {
    let step = |text: &str, cadence: &str| {
        text.parse::<Step>().unwrap().of_table("t", Some(cadence.parse().unwrap())).unwrap().to_string()
    };
    assert_eq!(step("30", "1d"), "30d");
    assert_eq!(step("4", "2mo"), "8mo");
    assert_eq!(step("1w", "1d"), "1w");
}

#[test]
fn how_a_backfill_stands_follows_its_windows() {
    let counts = |pending, running, done, failed| WindowCounts { pending, running, done, empty: 1, failed };
    let of = BackfillState::of;
    assert_eq!(of(Control::Go, &counts(3, 1, 2, 0), true), BackfillState::Running);
    assert_eq!(of(Control::Go, &counts(3, 1, 2, 0), false), BackfillState::Interrupted);
    assert_eq!(of(Control::Go, &counts(3, 0, 2, 1), false), BackfillState::Failed);
    assert_eq!(of(Control::Go, &counts(3, 1, 2, 1), true), BackfillState::Running);
    assert_eq!(of(Control::Pause, &counts(3, 1, 2, 1), true), BackfillState::Paused);
    assert_eq!(of(Control::Cancel, &counts(3, 1, 2, 1), true), BackfillState::Cancelled);
    for control in Control::ALL {
        assert_eq!(of(control, &counts(0, 0, 2, 0), false), BackfillState::Done);
        assert_eq!(Control::from_name(control.as_str()), Some(control));
    }
    for status in WindowStatus::ALL {
        assert_eq!(WindowStatus::from_name(status.as_str()), Some(status));
    }
}

#[test]
fn the_time_left_is_that_of_the_windows_left() {
    let counts = WindowCounts { pending: 7, running: 1, done: 3, empty: 1, failed: 0 };
    assert_eq!(time_left_us(&counts, 4_000_000, 1), Some(8_000_000));
    assert_eq!(time_left_us(&counts, 4_000_000, 4), Some(2_000_000));
    assert_eq!(time_left_us(&counts, 4_000_000, 100), Some(1_000_000));
    assert_eq!(time_left_us(&WindowCounts { pending: 7, ..WindowCounts::default() }, 0, 1), None);
    assert_eq!(time_left_us(&WindowCounts { done: 2, ..WindowCounts::default() }, 10, 1), Some(0));
}

proptest! {
    /// Each moment of the range is in one window, whatever the step.
    #[test]
    fn windows_leave_no_moment_out_and_take_none_twice(
        from in -2_000_000_000_000_000_i64..2_000_000_000_000_000,
        length in 0_i64..400_000_000_000_000,
        step in prop::sample::select(vec!["7h", "1d", "9d", "1w", "1mo", "5mo", "1q", "1y"]),
    ) {
        let (from, to) = (Timestamp::from_micros(from).unwrap(), Timestamp::from_micros(from + length).unwrap());
        let request = BackfillRequest { from, to, ..request("2020-01-01", "2020-01-01", Some(step)) };
        let bounds = RangeBounds { end: at("9999-01-01"), ..bounds() };
        let windows = request.windows(&bounds).unwrap();
        prop_assert_eq!(windows[0].start, Some(from));
        prop_assert_eq!(windows.last().unwrap().end, to);
        for pair in windows.windows(2) {
            prop_assert_eq!(pair[0].end.micros() + 1, pair[1].start.unwrap().micros());
        }
        prop_assert!(windows.iter().all(|window| !window.is_empty()));
    }
}
