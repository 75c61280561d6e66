//! Ends what is under way, when the person who began it, or the machine, says so.

use std::fmt;

use datanode_sandbox::Interrupt;
use tokio::sync::watch;

/// Says that what is under way is to end. Clones are one and the same, and it cannot be taken back.
///
/// A run that computes is ended, recorded as failed (`run.interrupted`), and gives up its node; one that is being
/// committed is committed. A window of a backfill is given back, as one that nobody has begun. A dry run says the same of
/// itself, and a replay or a check has no answer. Nothing further is begun.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.is_stopped()).finish()
    }
}

impl Stop {
    /// End what is under way.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was said.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends once it is said.
    pub async fn stopped(&self) {
        let mut receiver = self.0.subscribe();
        // The sender is borrowed, so it does not go away.
        let _ = receiver.wait_for(|said| *said).await;
    }

    /// Do work that calls a guest, which is ended once this is said; the work itself is done to its end.
    pub(crate) async fn ends<T>(&self, guest: &Interrupt, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = self.stopped() => guest.interrupt(),
        }
        work.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_clones_hear_it_before_and_after() {
        let stop = Stop::default();
        let early = stop.clone();
        let waits = tokio::spawn(async move { early.stopped().await });
        assert!(!stop.is_stopped());
        stop.stop();
        waits.await.unwrap();
        stop.clone().stopped().await;
        assert!(stop.is_stopped() && format!("{stop:?}").contains("true"));
    }

    #[tokio::test]
    async fn a_guest_is_ended_and_the_work_around_it_is_not() {
        let (stop, guest) = (Stop::default(), Interrupt::default());
        let work = async {
            stop.stop();
            while !guest.is_interrupted() {
                tokio::task::yield_now().await;
            }
            7
        };
        assert_eq!(stop.ends(&guest, work).await, 7);
    }
}
