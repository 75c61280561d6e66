use std::num::NonZeroU32;

use super::*;

fn executions() -> Executions {
    let one = NonZeroU32::MIN;
    let settings = ServerSettings { executions: one, executions_waiting: one, ..ServerSettings::default() };
    Executions::new(&settings, Metrics::default())
}

fn about() -> About {
    About {
        kind: Kind::Run,
        table_uid: None,
        others: Vec::new(),
        reads: Vec::new(),
        sources: false,
        table: None,
        subject: "daily".to_owned(),
        by: "ada".to_owned(),
    }
}

/// Wait until an execution stands so.
async fn until(execution: &Execution, is_so: impl Fn(State) -> bool) {
    let mut changes = execution.changes();
    while !is_so(execution.state()) {
        changes.changed().await.unwrap();
    }
}

fn refusal(executions: &Executions) -> Option<String> {
    executions.reserve().err().map(|problem| problem.code.into_owned())
}

#[tokio::test]
async fn a_place_is_one_executions_and_is_given_back() {
    let executions = executions();
    let place = executions.reserve().ok().unwrap();
    assert_eq!(refusal(&executions).as_deref(), Some("server.busy"), "it is taken before anything waits");
    drop(place);
    let place = executions.reserve().ok().unwrap();
    let first = place.begin(about(), |this| async move {
        this.stop.stopped().await;
        Ok(Value::Null)
    });
    until(&first, |state| state == State::Running).await;
    // One that waits has the place that it had before.
    let second = executions.reserve().ok().unwrap().begin(about(), |_| async { Ok(json!(2)) });
    assert_eq!((second.state(), refusal(&executions).as_deref()), (State::Waiting, Some("server.busy")));
    first.stop.stop();
    until(&second, State::is_over).await;
    assert_eq!((second.state(), refusal(&executions)), (State::Done, None));
}

/// Whoever had a place when the server began to end is not refused, and nothing is begun.
#[tokio::test]
async fn what_comes_when_the_server_ends_is_cancelled_before_its_turn() {
    let executions = executions();
    let place = executions.reserve().ok().unwrap();
    assert_eq!(executions.end_all(Duration::from_secs(5)).await, 0);
    let late = place.begin(about(), |_| async { Err(Problem::bug("it had a turn")) });
    until(&late, State::is_over).await;
    assert_eq!(late.state(), State::Cancelled);
    assert_eq!(refusal(&executions).as_deref(), Some("server.not_ready"));
}

/// A watcher that looks at any moment whatever: once it is told that there will be no more, it has been told the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_hears_that_there_is_no_more_before_the_end() {
    let executions = executions();
    for _ in 0..500 {
        let watched = executions.reserve().ok().unwrap().begin(about(), |_| async { Ok(json!([1])) });
        let watching = tokio::task::spawn_blocking(move || {
            let mut told = Vec::new();
            loop {
                let (events, more) = watched.events_after(told.len() as u64);
                let is_all = events.is_empty() && !more;
                told.extend(events.into_iter().map(|event| event.name));
                if is_all {
                    return told;
                }
            }
        });
        assert_eq!(watching.await.unwrap(), [END]);
    }
}
