//! Leases: who may write a node, judged by the clock of the database.

use std::time::Duration;

use async_trait::async_trait;
use datanode_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// What a run asks for before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimLease {
    /// Uid of the node.
    pub node_uid: String,
    /// Who asks, for messages: host name and process.
    pub holder: String,
    /// The run.
    pub run_id: String,
    /// How long the lease holds without a heartbeat.
    pub duration: Duration,
}

/// The right of one run to commit to one node. Its epoch only grows: each claim of a node raises it, and the commit
/// asks whether it is still this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Uid of the node.
    pub node_uid: String,
    /// Grows with each claim of this node; 1 is the first.
    pub epoch: i64,
    /// Who holds it, for messages.
    pub holder: String,
    /// The run that holds it.
    pub run_id: String,
    /// When others may claim the node, by the clock of the database.
    pub expires_at: Timestamp,
}

/// One writer per node. A lease that has expired may be claimed by anybody; until somebody does, its holder may go on.
#[async_trait]
pub trait Leases {
    /// Claim a node. Refused with [`StoreError::LeaseHeld`] while another run's lease has not expired, and on a server while
    /// another run is in the midst of its commit.
    async fn claim_lease(&self, claim: &ClaimLease) -> Result<Lease, StoreError>;

    /// Let a lease hold for `duration` from now on. Refused with [`StoreError::LeaseLost`] when the node has been
    /// claimed since. [`StoreError::Busy`] says nothing about the lease: its row was not to be had, which a commit has to its end.
    async fn extend_lease(&self, lease: &Lease, duration: Duration) -> Result<Lease, StoreError>;

    /// Give a lease up; one that is lost or given up already is left as it is.
    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError>;

    /// The leases that have not expired.
    async fn leases(&self) -> Result<Vec<Lease>, StoreError>;
}
