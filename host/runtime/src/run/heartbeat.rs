//! What keeps a claim beside the work that needs it: a run's claim of its node, and of its window of a backfill.
//!
//! The heartbeat is a courtesy. The guard is what the commit checks: a run that was stopped for longer than its claim held,
//! and whose heartbeat has not noticed, is refused by it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use datanode_sandbox::Interrupt;
use datanode_store::StoreError;

use super::Stop;
use crate::RuntimeError;

/// Extends a claim three times in its duration, and ends the guest when the claim is lost, or nobody wants the outcome any
/// more.
pub(super) struct Heartbeat {
    /// Ends the guest.
    pub(super) interrupt: Interrupt,
    duration: Duration,
    stop: Stop,
    ended: Mutex<Option<RuntimeError>>,
}

impl Heartbeat {
    pub(super) fn new(duration: Duration, stop: &Stop) -> Self {
        Self { interrupt: Interrupt::default(), duration, stop: stop.clone(), ended: Mutex::default() }
    }

    /// Do the work of the run, and extend its claim beside it.
    ///
    /// Not a task of its own: that would have to be ended, and waited for, before the run is over. The work blocks no
    /// thread of the runtime, so the heartbeat has its turn whenever it is due.
    pub(super) async fn keep<T, E, F>(&self, extend: impl Fn() -> F, work: impl Future<Output = T>) -> T
    where
        F: Future<Output = Result<E, StoreError>>,
    {
        tokio::pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = self.beat(extend) => {}
        }
        work.await
    }

    /// Extend the claim until it is lost. A run that is told to stop keeps it to its end: a commit may be under way.
    async fn beat<E, F>(&self, extend: impl Fn() -> F)
    where
        F: Future<Output = Result<E, StoreError>>,
    {
        let stopped = self.stop.stopped();
        tokio::pin!(stopped);
        let mut is_told = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.duration / 3) => {}
                () = &mut stopped, if !is_told => {
                    is_told = true;
                    self.end(RuntimeError::Interrupted);
                    continue;
                }
            }
            // A database that does not answer says nothing about the claim: it is asked again, and the commit asks too.
            if let Err(error @ (StoreError::LeaseLost { .. } | StoreError::WindowLost { .. })) =
                extend().await
            {
                self.end(error.into());
                return;
            }
        }
    }

    fn end(&self, why: RuntimeError) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.interrupt.interrupt();
    }

    /// An error once the claim is lost, or the run is told to stop: why. It is told once.
    pub(super) fn check(&self) -> Result<(), RuntimeError> {
        match self.ended.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Long enough that no beat comes by itself.
    const LONG: Duration = Duration::from_hours(1);
    const SHORT: Duration = Duration::from_millis(3);

    fn lost() -> StoreError {
        StoreError::WindowLost { run_id: "r".to_owned(), window: 1, backfill: "b".to_owned() }
    }

    #[tokio::test]
    async fn a_claim_is_extended_until_the_work_is_done() {
        let heartbeat = Heartbeat::new(SHORT, &Stop::default());
        let beats = AtomicU32::new(0);
        let extend = || async {
            beats.fetch_add(1, Ordering::Relaxed);
            Ok::<_, StoreError>(())
        };
        let work = async {
            while beats.load(Ordering::Relaxed) < 3 {
                tokio::time::sleep(SHORT).await;
            }
            7
        };
        assert_eq!(heartbeat.keep(extend, work).await, 7);
        heartbeat.check().unwrap();
    }

    #[tokio::test]
    async fn a_lost_claim_ends_the_guest_and_a_silent_database_does_not() {
        let heartbeat = Heartbeat::new(SHORT, &Stop::default());
        let beats = AtomicU32::new(0);
        let extend = || async {
            match beats.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(StoreError::Damaged("no answer".to_owned())),
                _ => Err::<(), _>(lost()),
            }
        };
        let work = async {
            let mut answer = Ok(());
            while answer.is_ok() {
                tokio::time::sleep(SHORT).await;
                answer = heartbeat.check();
            }
            answer
        };
        let error = heartbeat.keep(extend, work).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Store(StoreError::WindowLost { .. })), "{error}");
        assert!(beats.load(Ordering::Relaxed) >= 3);
    }

    #[tokio::test]
    async fn a_run_that_is_told_to_stop_hears_why_and_keeps_its_claim() {
        let stop = Stop::default();
        let heartbeat = Heartbeat::new(LONG, &stop);
        stop.stop();
        let work = async {
            loop {
                tokio::time::sleep(SHORT).await;
                if let Err(why) = heartbeat.check() {
                    return why;
                }
            }
        };
        let why = heartbeat.keep(|| async { Ok::<_, StoreError>(()) }, work).await;
        assert!(matches!(why, RuntimeError::Interrupted), "{why}");
        heartbeat.check().unwrap();
    }
}
