//! The lease of a run: claimed before the run reads anything, kept by a heartbeat, given up with its outcome.
//!
//! The guard is its epoch, which the commit compares.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datanode_store::{ClaimLease, Lease, Store, StoreError};
use tokio::runtime::Handle;

use super::heartbeat::Heartbeat;
use super::{RunOptions, Stop};
use crate::{Host, RuntimeError};

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
    pub(super) heartbeat: Heartbeat,
    duration: Duration,
    store: Arc<dyn Store>,
    recorded: bool,
}

impl HeldLease {
    /// Do the work of the run, and keep the lease beside it.
    pub(super) async fn keep<T>(&self, work: impl Future<Output = T>) -> T {
        self.heartbeat.keep(|| self.store.extend_lease(&self.lease, self.duration), work).await
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
    /// Claim a node for a run, waiting for another run to end as long as the options say, or until they say that nobody
    /// wants it any more.
    pub(super) async fn claim(
        &self,
        node_uid: &str,
        run_id: &str,
        options: &RunOptions,
    ) -> Result<HeldLease, RuntimeError> {
        let LeaseSettings { duration, holder } = self.leases.clone();
        let (node_uid, run_id) = (node_uid.to_owned(), run_id.to_owned());
        let claim = ClaimLease { node_uid, holder, run_id, duration };
        let (begin, wait) = (Instant::now(), options.wait);
        let lease = loop {
            match self.store.claim_lease(&claim).await {
                Err(StoreError::LeaseHeld { gives_way, .. })
                    if begin.elapsed() < if gives_way { wait.max(FOR_A_BACKFILL) } else { wait } =>
                {
                    let left = wait.saturating_sub(begin.elapsed());
                    pause(if gives_way { PATIENCE } else { PATIENCE.min(left) }, &options.stop).await?;
                }
                answer => break answer?,
            }
        };
        let heartbeat = Heartbeat::new(duration, &options.stop);
        Ok(HeldLease { lease, heartbeat, duration, store: Arc::clone(&self.store), recorded: false })
    }
}

/// Wait for a while. An error as soon as nobody wants what comes behind it.
pub(super) async fn pause(duration: Duration, stop: &Stop) -> Result<(), RuntimeError> {
    tokio::select! {
        () = tokio::time::sleep(duration) => Ok(()),
        () = stop.stopped() => Err(RuntimeError::Interrupted),
    }
}
