//! Producers: nodes whose rows come from programs elsewhere, their updates, and the uploads that wait for a commit.
//!
//! A producer is a node like any other, with a lease, a ledger, records of runs and dependencies; what is kept here is
//! what only it has. Of its updates one is kept, the latest: all earlier ones have a record among the runs.

use std::time::Duration;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::digest::Digest;
use datanode_core::producer::PRODUCER;
use datanode_core::run::{RunError, RunRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Lease, NewNode, Node, Registered, StoreError};

/// What people and the producer's own program keep of a producer. None of it means anything to this host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerFacts {
    /// Tags.
    pub tags: Vec<String>,
    /// Labels.
    pub labels: Vec<String>,
    /// Text for people.
    pub description: Option<String>,
    /// Whether all edges of its dependencies are there.
    pub dependencies_linked: bool,
    /// Whether everybody may see it, as its program says. Rights follow from the table alone.
    pub open_for_everyone: bool,
    /// When its program wants to run, as it writes it.
    pub update_schedule: Option<String>,
    /// Among the nodes of one tree, the smaller the earlier.
    pub update_priority: i64,
    /// Its own word for how it stands.
    pub status: Option<String>,
}

/// What is changed of these; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerEdit {
    /// See [`ProducerFacts`].
    pub tags: Option<Vec<String>>,
    /// Tags beside those that are there.
    pub more_tags: Vec<String>,
    /// See [`ProducerFacts`].
    pub labels: Option<Vec<String>>,
    /// See [`ProducerFacts`].
    pub description: Option<Option<String>>,
    /// See [`ProducerFacts`].
    pub dependencies_linked: Option<bool>,
    /// See [`ProducerFacts`].
    pub open_for_everyone: Option<bool>,
    /// See [`ProducerFacts`].
    pub update_schedule: Option<Option<String>>,
    /// See [`ProducerFacts`].
    pub update_priority: Option<i64>,
    /// See [`ProducerFacts`].
    pub status: Option<String>,
}

impl ProducerEdit {
    /// The facts as they are then.
    pub(crate) fn applied(self, facts: ProducerFacts) -> ProducerFacts {
        let mut tags = self.tags.unwrap_or(facts.tags);
        for tag in self.more_tags {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        ProducerFacts {
            tags,
            labels: self.labels.unwrap_or(facts.labels),
            description: self.description.unwrap_or(facts.description),
            dependencies_linked: self.dependencies_linked.unwrap_or(facts.dependencies_linked),
            open_for_everyone: self.open_for_everyone.unwrap_or(facts.open_for_everyone),
            update_schedule: self.update_schedule.unwrap_or(facts.update_schedule),
            update_priority: self.update_priority.unwrap_or(facts.update_priority),
            status: self.status.or(facts.status),
        }
    }
}

/// A producer as it is created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewProducer {
    /// Identity of the update process, as the producer's program computed it.
    pub update_hash: String,
    /// What that program calls its build configuration.
    pub config: Value,
    /// Uid of the output table.
    pub table_uid: String,
    /// The project that it says it belongs to.
    pub project_uid: Option<String>,
    /// When.
    pub now: Timestamp,
}

impl NewProducer {
    /// The node.
    pub(crate) fn node(&self) -> NewNode {
        NewNode {
            update_hash: self.update_hash.clone(),
            component: PRODUCER.to_owned(),
            pinned_digest: None,
            config: self.config.clone(),
            // What the hash was made of is known to the producer's program alone.
            hashed_document: self.config.to_string(),
            hash_namespace: String::new(),
            table_uid: self.table_uid.clone(),
            dependencies: Vec::new(),
            created_at: self.now,
        }
    }
}

/// A producer of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Producer {
    /// Its node.
    pub node: Node,
    /// The project that it says it belongs to.
    pub project_uid: Option<String>,
    /// The process that runs it, as far as it has said so.
    pub scheduler_uid: Option<String>,
    /// What else is kept of it.
    pub facts: ProducerFacts,
    /// Its latest update.
    pub update: Option<ProducerUpdate>,
}

/// Which producers to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerFilter {
    /// One of these nodes.
    pub uids: Option<Vec<String>>,
    /// With this update hash.
    pub update_hash: Option<String>,
    /// Writing one of these tables.
    pub table_uids: Option<Vec<String>>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// A page of producers, the earliest created first.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerPage {
    /// Those of the page.
    pub producers: Vec<Producer>,
    /// How many there are on all pages.
    pub count: u64,
}

/// An edge from a producer to what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEdge {
    /// Uid of the producer's node.
    pub node_uid: String,
    /// Uid of the table that it reads.
    pub table_uid: String,
    /// Uid of the producer that writes it and is run before this one; None: a published table.
    pub writer_uid: Option<String>,
}

/// A process that runs producers, as it announces itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduler {
    /// UUID: of one announcement.
    pub uid: String,
    /// What it calls itself.
    pub name: String,
    /// Who announced it.
    pub made_by: String,
    /// What it says of itself.
    pub state: SchedulerState,
    /// When it was heard of last, by the host's clock.
    pub seen_at: Timestamp,
    /// Uids of the nodes that it runs.
    pub node_uids: Vec<String>,
}

/// What such a process says of itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SchedulerState {
    /// It runs.
    pub is_running: bool,
    /// Its process.
    pub process_id: Option<i64>,
    /// A person runs it.
    pub is_debugging: bool,
    /// It does not begin updates for now.
    pub is_halted: bool,
    /// Its machine.
    pub host: Option<String>,
    /// Where it listens.
    pub api_address: Option<String>,
    /// See `api_address`.
    pub api_port: Option<i64>,
    /// By its own clock.
    pub heart_beat: Option<Timestamp>,
    /// Uids of the nodes that it is going to run, with those that they need.
    pub active_tree: Vec<String>,
}

/// An update as it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct NewUpdate {
    /// Uid of the node.
    pub node_uid: String,
    /// The process that runs it.
    pub scheduler_uid: String,
    /// Who sends it.
    pub sent_by: String,
    /// Who holds the lease, for messages.
    pub holder: String,
    /// How long the lease holds without a heartbeat.
    pub duration: Duration,
    /// The record of the run, as it stays when nothing ever comes.
    pub record: RunRecord,
}

/// The latest update of a producer.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerUpdate {
    /// The run that it is.
    pub run_id: String,
    /// Uid of the node.
    pub node_uid: String,
    /// The process that began it.
    pub scheduler_uid: String,
    /// Who began it.
    pub sent_by: String,
    /// The record as it began.
    pub record: RunRecord,
    /// Uploads that wait.
    pub uploads: u64,
    /// The lease, as long as nobody else has claimed the node and the update has not ended.
    pub lease: Option<Lease>,
    /// How it ended.
    pub outcome: Option<RunRecord>,
}

impl ProducerUpdate {
    /// Whether rows of it may come.
    pub fn is_open(&self) -> bool {
        self.outcome.is_none() && self.lease.is_some()
    }
}

/// The answer to a producer that begins an update.
#[derive(Debug, Clone, PartialEq)]
pub struct BegunUpdate {
    /// The update.
    pub update: ProducerUpdate,
    /// It had been begun by the same process, which asks again, and nothing had come since.
    pub repeated: bool,
}

/// Rows on their way to be kept aside: checked, as messages of Arrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// The run.
    pub run_id: String,
    /// Uid of its node.
    pub node_uid: String,
    /// SHA-256 of what was sent: the same again is kept once.
    pub digest: Digest,
    /// Rows.
    pub rows: u64,
    /// The rows.
    pub bytes: Vec<u8>,
    /// Bytes that may wait for one commit.
    pub most_bytes: u64,
    /// How long the lease holds from now on.
    pub duration: Duration,
}

/// Rows that wait, without the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedUpload {
    /// In the order of their coming, from 1.
    pub position: i64,
    /// SHA-256 of what was sent.
    pub digest: Digest,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Producers, the processes that run them, and their updates.
#[async_trait]
pub trait Producers {
    /// Find the producer of the same (`update_hash`, output table) or create it. A node that a component computes is
    /// refused.
    async fn ensure_producer(&self, new: &NewProducer) -> Result<Registered<Producer>, StoreError>;

    /// Producers.
    async fn producers(&self, filter: &ProducerFilter) -> Result<ProducerPage, StoreError>;

    /// A producer by the uid of its node.
    async fn producer(&self, node_uid: &str) -> Result<Producer, StoreError>;

    /// Change what is kept of a producer.
    async fn edit_producer(&self, node_uid: &str, edit: &ProducerEdit) -> Result<Producer, StoreError>;

    /// Note that a producer reads something. Again changes nothing; what would lead back to it is refused.
    async fn connect_producer(&self, edge: &ProducerEdge) -> Result<(), StoreError>;

    /// Forget what a producer reads.
    async fn disconnect_producer(&self, node_uid: &str) -> Result<(), StoreError>;

    /// Note a process, and that it runs these nodes. Processes that have not been heard of for long, and run nothing, are
    /// forgotten.
    async fn add_scheduler(&self, new: &Scheduler) -> Result<(), StoreError>;

    /// A process by its uid.
    async fn scheduler(&self, uid: &str) -> Result<Scheduler, StoreError>;

    /// Let a process run these nodes too, instead of any other.
    async fn assign_scheduler(&self, uid: &str, node_uids: &[String]) -> Result<(), StoreError>;

    /// A process was heard of: note what it says, and let the leases of its updates hold for `duration` from now on.
    async fn beat_scheduler(
        &self,
        uid: &str,
        state: &SchedulerState,
        now: Timestamp,
        duration: Duration,
    ) -> Result<Scheduler, StoreError>;

    /// Begin an update: claim the node. An update of the same process to which nothing has come is answered again; one to
    /// which something has come is ended before, and so is one whose lease has ended. Refused with
    /// [`StoreError::LeaseHeld`] while another process holds the node.
    async fn begin_update(&self, new: &NewUpdate) -> Result<BegunUpdate, StoreError>;

    /// Keep rows of an update aside, and let its lease hold on. False: these were there. Refused when the update is not
    /// open any more.
    async fn stage_upload(&self, upload: &NewUpload) -> Result<bool, StoreError>;

    /// What waits for the commit of a run.
    async fn staged_uploads(&self, run_id: &str) -> Result<Vec<StagedUpload>, StoreError>;

    /// The rows of one of these.
    async fn staged_rows(&self, run_id: &str, position: i64) -> Result<Vec<u8>, StoreError>;

    /// End an update that stores nothing, and forget its uploads. The first outcome of a run stands, and is the answer.
    /// One that stores something is ended, and its uploads are forgotten, by [`Store::commit_run`](crate::Store::commit_run):
    /// of all uploads that had been answered by then, or it is refused.
    async fn fail_update(
        &self,
        update: &ProducerUpdate,
        error: &RunError,
        now: Timestamp,
    ) -> Result<RunRecord, StoreError>;

    /// End the updates whose lease ended so long ago; how many there were.
    async fn abandon_updates(&self, idle: Duration, now: Timestamp) -> Result<u64, StoreError>;
}

/// The key of an edge: what people see in the graph.
pub(crate) fn edge_key(table: &str, writer: Option<&Node>) -> String {
    match writer {
        Some(writer) => writer.update_hash.clone(),
        None => table.to_owned(),
    }
}

/// Whether one of these nodes, followed along what it reads, leads to another.
pub(crate) fn leads_to(nodes: &[Node], from: &str, to: &str) -> bool {
    let (mut open, mut seen) = (vec![from.to_owned()], std::collections::HashSet::new());
    while let Some(uid) = open.pop() {
        if uid == to {
            return true;
        }
        if seen.insert(uid.clone()) {
            let node = nodes.iter().find(|node| node.uid == uid);
            open.extend(
                node.iter().flat_map(|node| &node.dependencies).filter_map(|edge| edge.node_uid.clone()),
            );
        }
    }
    false
}

/// The record of an update that has stored nothing of so many uploads.
pub(crate) fn failed_record(
    update: &ProducerUpdate,
    uploads: u64,
    error: RunError,
    now: Timestamp,
) -> RunRecord {
    let mut record = update.record.clone();
    record.status = datanode_core::run::RunStatus::Failed;
    record.finished_at = now.max(record.started_at);
    record.error = Some(error);
    if let Some(producer) = &mut record.producer {
        producer.uploads = uploads;
    }
    record
}
