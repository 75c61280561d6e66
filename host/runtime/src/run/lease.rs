//! The lease of a run: claimed before the run reads anything, kept by a heartbeat, given up with its outcome.
//!
//! The heartbeat is a courtesy, the epoch is the guard: a run that was stopped for longer than its lease held, and whose
//! heartbeat has not noticed, is refused by the commit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datanode_sandbox::Interrupt;
use datanode_store::{ClaimLease, Lease, Store, StoreError};
use tokio::runtime::Handle;

use crate::Host;

/// Between two attempts to claim a node that another run holds.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a run waits in any case for the commit of a window of a backfill, which holds the node for no longer.
const FOR_A_BACKFILL: Duration = Duration::from_mins(1);

/// How leases are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// How long a lease holds without a heartbeat, which comes three times in it. As long others wait for a node whose run
    /// was killed.
    pub duration: Duration,
    /// Who holds them, for messages.
    pub holder: String,
}

impl Default for LeaseSettings {
    /// Half a minute, for this process of this host.
    fn default() -> Self {
        let holder = format!("{}, process {}", host_name(), std::process::id());
        Self { duration: Duration::from_secs(30), holder }
    }
}

/// What this machine is called. Only people read it: where the system keeps it elsewhere, the environment may know.
fn host_name() -> String {
    let system = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = system.or_else(|| std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok());
    let named = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "this host".to_owned())
}

/// A lease that is given up when it is dropped, unless the outcome of the run has done so.
pub(super) struct HeldLease {
    pub(super) lease: Lease,
    /// Ends the guest when the lease is lost.
    pub(super) interrupt: Interrupt,
    duration: Duration,
    lost: Mutex<Option<StoreError>>,
    store: Arc<dyn Store>,
    recorded: bool,
}

impl HeldLease {
    /// Do the work of the run, and keep the lease beside it.
    ///
    /// Not a task of its own: that would have to be ended, and waited for, before the run is over. The work blocks no
    /// thread of the runtime, so the heartbeat has its turn whenever it is due.
    pub(super) async fn keep<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = self.beat() => {}
        }
        work.await
    }

    /// Extend the lease three times in its duration, until it is lost.
    async fn beat(&self) {
        loop {
            tokio::time::sleep(self.duration / 3).await;
            // A database that does not answer says nothing about the lease: it is asked again, and the commit asks too.
            if let Err(error @ StoreError::LeaseLost { .. }) =
                self.store.extend_lease(&self.lease, self.duration).await
            {
                *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                self.interrupt.interrupt();
                return;
            }
        }
    }

    /// Why it is lost, once the heartbeat has learned that it is.
    pub(super) fn take_lost(&self) -> Option<StoreError> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The outcome of the run is stored, and with it the lease was given up.
    pub(super) fn recorded(mut self) {
        self.recorded = true;
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        // Where nothing can be told to the database any more, the lease expires by itself.
        if let (false, Ok(runtime)) = (self.recorded, Handle::try_current()) {
            let (store, lease) = (Arc::clone(&self.store), self.lease.clone());
            runtime.spawn(async move { store.release_lease(&lease).await });
        }
    }
}

impl Host {
    /// Claim a node for a run, waiting at most so long for another run to end.
    pub(super) async fn claim(
        &self,
        node_uid: &str,
        run_id: &str,
        wait: Duration,
    ) -> Result<HeldLease, StoreError> {
        let LeaseSettings { duration, holder } = self.leases.clone();
        let (node_uid, run_id) = (node_uid.to_owned(), run_id.to_owned());
        let claim = ClaimLease { node_uid, holder, run_id, duration };
        let begin = Instant::now();
        let lease = loop {
            match self.store.claim_lease(&claim).await {
                Err(StoreError::LeaseHeld { gives_way, .. })
                    if begin.elapsed() < if gives_way { wait.max(FOR_A_BACKFILL) } else { wait } =>
                {
                    let left = wait.saturating_sub(begin.elapsed());
                    tokio::time::sleep(if gives_way { PATIENCE } else { PATIENCE.min(left) }).await;
                }
                answer => break answer?,
            }
        };
        Ok(HeldLease {
            lease,
            interrupt: Interrupt::default(),
            duration,
            lost: Mutex::default(),
            store: Arc::clone(&self.store),
            recorded: false,
        })
    }
}
