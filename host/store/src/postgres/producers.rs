//! Producers and the processes that run them.

use std::time::Duration;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::dependency::DependencyTarget;
use datanode_core::producer::{PRODUCER, ProducerError};
use datanode_core::run::{RunError, RunRecord};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::store::told;
use super::stored::{count, failed, from_json, timestamp, to_json};
use super::{PostgresStore, lease, nodes, producer_updates as updates, tables};
use crate::catalogue::audit::{Ensured, node_ensured};
use crate::producer::{edge_key, leads_to};
use crate::{
    BegunUpdate, NewProducer, NewUpdate, NewUpload, Node, Producer, ProducerEdge, ProducerEdit,
    ProducerFacts, ProducerFilter, ProducerPage, ProducerUpdate, Producers, Registered, Scheduler,
    SchedulerState, StagedUpload, StoreError,
};

const READING: &str = "reading producers";
const STORING: &str = "storing a producer";
/// A process that was not heard of for so long, and runs nothing, is forgotten: a week.
const FORGOTTEN_MICROS: i64 = 7 * 86_400 * 1_000_000;

pub(super) fn not_found(node_uid: &str) -> StoreError {
    StoreError::NotFound { kind: "node", reference: node_uid.to_owned() }
}

/// By the uid of its node.
async fn by_uid(connection: &mut PgConnection, node_uid: &str) -> Result<Producer, StoreError> {
    let found: Option<(Option<String>, Option<String>, String)> = sqlx::query_as(
        "SELECT project_uid, scheduler_uid, facts FROM datanode.producers WHERE node_uid = $1",
    )
    .bind(node_uid)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed(READING))?;
    let (project_uid, scheduler_uid, facts) = found.ok_or_else(|| not_found(node_uid))?;
    Ok(Producer {
        node: nodes::by_reference(connection, node_uid).await?,
        project_uid,
        scheduler_uid,
        facts: from_json(&format!("producer {node_uid}"), &facts)?,
        update: updates::of_node(connection, node_uid).await?,
    })
}

async fn ensure(
    connection: &mut PgConnection,
    new: &NewProducer,
) -> Result<Registered<Producer>, StoreError> {
    let Registered { value: node, created } = nodes::ensure_as_it_is(connection, new.node()).await?;
    if node.component != PRODUCER {
        let (node, component) = (node.update_hash, node.component);
        return Err(ProducerError::OfComponent { node, component }.into());
    }
    sqlx::query(
        "INSERT INTO datanode.producers (node_uid, project_uid, facts) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(&node.uid)
    .bind(&new.project_uid)
    .bind(to_json(STORING, &ProducerFacts::default())?)
    .execute(&mut *connection)
    .await
    .map_err(failed(STORING))?;
    Ok(Registered { value: by_uid(connection, &node.uid).await?, created })
}

/// The conditions of a filter, behind `FROM`.
fn from(query: &mut QueryBuilder<Postgres>, filter: &ProducerFilter) {
    query.push(" FROM datanode.producers p JOIN datanode.nodes n ON n.uid = p.node_uid WHERE true");
    if let Some(uids) = &filter.uids {
        query.push(" AND p.node_uid = ANY (").push_bind(uids.clone()).push(")");
    }
    if let Some(hash) = &filter.update_hash {
        query.push(" AND n.update_hash = ").push_bind(hash.clone());
    }
    if let Some(tables) = &filter.table_uids {
        query.push(" AND n.table_uid = ANY (").push_bind(tables.clone()).push(")");
    }
}

async fn list(connection: &mut PgConnection, filter: &ProducerFilter) -> Result<ProducerPage, StoreError> {
    let mut all = QueryBuilder::<Postgres>::new("SELECT count(*)");
    from(&mut all, filter);
    let all: i64 = all.build_query_scalar().fetch_one(&mut *connection).await.map_err(failed(READING))?;
    let mut page = QueryBuilder::<Postgres>::new("SELECT p.node_uid");
    from(&mut page, filter);
    page.push(" ORDER BY n.created_at, n.uid LIMIT ").push_bind(i64::from(filter.limit));
    page.push(" OFFSET ").push_bind(i64::from(filter.offset));
    let uids: Vec<String> =
        page.build_query_scalar().fetch_all(&mut *connection).await.map_err(failed(READING))?;
    let mut producers = Vec::with_capacity(uids.len());
    for uid in uids {
        producers.push(by_uid(connection, &uid).await?);
    }
    Ok(ProducerPage { producers, count: count(READING, all)? })
}

async fn edit(
    connection: &mut PgConnection,
    node_uid: &str,
    edit: ProducerEdit,
) -> Result<Producer, StoreError> {
    let mut producer = by_uid(connection, node_uid).await?;
    producer.facts = edit.applied(producer.facts);
    sqlx::query("UPDATE datanode.producers SET facts = $2 WHERE node_uid = $1")
        .bind(node_uid)
        .bind(to_json(STORING, &producer.facts)?)
        .execute(connection)
        .await
        .map_err(failed(STORING))?;
    Ok(producer)
}

/// Note an edge; the node with it, unless it was there.
async fn connect(connection: &mut PgConnection, edge: &ProducerEdge) -> Result<Option<Node>, StoreError> {
    let node = by_uid(connection, &edge.node_uid).await?.node;
    let table = tables::by_uid(connection, &edge.table_uid).await?;
    let writer = match &edge.writer_uid {
        Some(uid) => Some(by_uid(connection, uid).await?.node),
        None => None,
    };
    if let Some(writer) = &writer
        && leads_to(&nodes::all(connection).await?, &writer.uid, &node.uid)
    {
        let (node, target) = (node.update_hash, writer.update_hash.clone());
        return Err(ProducerError::Cycle { node, target }.into());
    }
    let key = edge_key(&table.contract.identifier, writer.as_ref());
    let declared = DependencyTarget::Table(table.contract.identifier.clone());
    let added = sqlx::query(
        "INSERT INTO datanode.node_dependencies (node_uid, position, key, table_uid, provider_uid, declared) \
         SELECT $1, coalesce(max(position) + 1, 0), $2, $3, $4, $5 FROM datanode.node_dependencies WHERE node_uid = $1 \
         ON CONFLICT DO NOTHING",
    )
    .bind(&node.uid)
    .bind(key)
    .bind(&table.uid)
    .bind(&edge.writer_uid)
    .bind(to_json(STORING, &declared)?)
    .execute(&mut *connection)
    .await
    .map_err(failed(STORING))?;
    if added.rows_affected() == 0 {
        return Ok(None);
    }
    nodes::by_reference(connection, &node.uid).await.map(Some)
}

/// Forget all edges; the node without them, unless there were none.
async fn disconnect(connection: &mut PgConnection, node_uid: &str) -> Result<Option<Node>, StoreError> {
    by_uid(connection, node_uid).await?;
    let gone = sqlx::query("DELETE FROM datanode.node_dependencies WHERE node_uid = $1")
        .bind(node_uid)
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
    if gone.rows_affected() == 0 {
        return Ok(None);
    }
    nodes::by_reference(connection, node_uid).await.map(Some)
}

async fn scheduler(connection: &mut PgConnection, uid: &str) -> Result<Scheduler, StoreError> {
    const DOING: &str = "reading a scheduler";
    let found: Option<(String, String, String, i64)> = sqlx::query_as(
        "SELECT name, made_by, state, seen_at FROM datanode.producer_schedulers WHERE uid = $1",
    )
    .bind(uid)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    let Some((name, made_by, state, seen_at)) = found else {
        return Err(StoreError::NotFound { kind: "scheduler", reference: uid.to_owned() });
    };
    let node_uids: Vec<String> = sqlx::query_scalar(
        "SELECT node_uid FROM datanode.producers WHERE scheduler_uid = $1 ORDER BY node_uid",
    )
    .bind(uid)
    .fetch_all(connection)
    .await
    .map_err(failed(DOING))?;
    let place = format!("scheduler {uid}");
    Ok(Scheduler {
        uid: uid.to_owned(),
        name,
        made_by,
        state: from_json(&place, &state)?,
        seen_at: timestamp(&place, seen_at)?,
        node_uids,
    })
}

async fn assign(connection: &mut PgConnection, uid: &str, node_uids: &[String]) -> Result<(), StoreError> {
    for node_uid in node_uids {
        let done = sqlx::query("UPDATE datanode.producers SET scheduler_uid = $2 WHERE node_uid = $1")
            .bind(node_uid)
            .bind(uid)
            .execute(&mut *connection)
            .await
            .map_err(failed("assigning a scheduler"))?;
        if done.rows_affected() == 0 {
            return Err(not_found(node_uid));
        }
    }
    Ok(())
}

async fn assign_known(
    connection: &mut PgConnection,
    uid: &str,
    node_uids: &[String],
) -> Result<(), StoreError> {
    scheduler(connection, uid).await?;
    assign(connection, uid, node_uids).await
}

async fn add_scheduler(connection: &mut PgConnection, new: &Scheduler) -> Result<(), StoreError> {
    const DOING: &str = "storing a scheduler";
    sqlx::query(
        "INSERT INTO datanode.producer_schedulers (uid, name, made_by, state, seen_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&new.uid)
    .bind(&new.name)
    .bind(&new.made_by)
    .bind(to_json(DOING, &new.state)?)
    .bind(new.seen_at.micros())
    .execute(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    assign(connection, &new.uid, &new.node_uids).await?;
    sqlx::query(
        "DELETE FROM datanode.producer_schedulers WHERE seen_at < $1 AND uid NOT IN \
         (SELECT scheduler_uid FROM datanode.producers WHERE scheduler_uid IS NOT NULL)",
    )
    .bind(new.seen_at.micros().saturating_sub(FORGOTTEN_MICROS))
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(DOING))
}

async fn beat(
    connection: &mut PgConnection,
    uid: &str,
    state: &SchedulerState,
    now: Timestamp,
    duration: Duration,
) -> Result<Scheduler, StoreError> {
    const DOING: &str = "storing a heartbeat";
    sqlx::query("UPDATE datanode.producer_schedulers SET state = $2, seen_at = $3 WHERE uid = $1")
        .bind(uid)
        .bind(to_json(DOING, state)?)
        .bind(now.micros())
        .execute(&mut *connection)
        .await
        .map_err(failed(DOING))?;
    sqlx::query(
        "UPDATE datanode.leases SET expires_at = datanode.now_micros() + $2 WHERE run_id IN \
         (SELECT run_id FROM datanode.producer_updates WHERE scheduler_uid = $1)",
    )
    .bind(uid)
    .bind(lease::micros(duration))
    .execute(&mut *connection)
    .await
    .map_err(failed(DOING))?;
    scheduler(connection, uid).await
}

/// Look something up in a transaction that sees one state of the database.
macro_rules! read {
    ($store:expr, |$connection:ident| $work:expr) => {{
        let mut transaction = $store.pools.begin_read().await?;
        let $connection = &mut *transaction;
        $work.await
    }};
}

/// Change something in a transaction that is begun by `$begin`.
macro_rules! write {
    ($store:expr, $begin:ident, $doing:expr, |$connection:ident| $work:expr) => {{
        let mut transaction = $store.pools.$begin().await?;
        let answer = {
            let $connection = &mut *transaction;
            $work.await?
        };
        transaction.commit().await.map_err(failed($doing))?;
        Ok(answer)
    }};
}

#[async_trait]
impl Producers for PostgresStore {
    async fn ensure_producer(&self, new: &NewProducer) -> Result<Registered<Producer>, StoreError> {
        told!(self, begin_catalogue, STORING, |connection| ensure(connection, new), |producer| {
            let ensured = if producer.created { Ensured::Created } else { Ensured::Nothing };
            node_ensured(ensured, &producer.value.node)
        })
    }

    async fn producers(&self, filter: &ProducerFilter) -> Result<ProducerPage, StoreError> {
        read!(self, |connection| list(connection, filter))
    }

    async fn producer(&self, node_uid: &str) -> Result<Producer, StoreError> {
        read!(self, |connection| by_uid(connection, node_uid))
    }

    async fn edit_producer(&self, node_uid: &str, changes: &ProducerEdit) -> Result<Producer, StoreError> {
        write!(self, begin_catalogue, STORING, |connection| edit(connection, node_uid, changes.clone()))
    }

    async fn connect_producer(&self, edge: &ProducerEdge) -> Result<(), StoreError> {
        let linked: Result<_, StoreError> =
            told!(self, begin_catalogue, STORING, |connection| connect(connection, edge), |node| node
                .as_ref()
                .and_then(|node| node_ensured(Ensured::Linked, node)));
        linked.map(|_| ())
    }

    async fn disconnect_producer(&self, node_uid: &str) -> Result<(), StoreError> {
        let linked: Result<_, StoreError> =
            told!(self, begin_catalogue, STORING, |connection| disconnect(connection, node_uid), |node| node
                .as_ref()
                .and_then(|node| node_ensured(Ensured::Linked, node)));
        linked.map(|_| ())
    }

    async fn add_scheduler(&self, new: &Scheduler) -> Result<(), StoreError> {
        write!(self, begin_catalogue, "storing a scheduler", |connection| add_scheduler(connection, new))
    }

    async fn scheduler(&self, uid: &str) -> Result<Scheduler, StoreError> {
        read!(self, |connection| scheduler(connection, uid))
    }

    async fn assign_scheduler(&self, uid: &str, node_uids: &[String]) -> Result<(), StoreError> {
        write!(self, begin_catalogue, "assigning a scheduler", |connection| assign_known(
            connection, uid, node_uids
        ))
    }

    async fn beat_scheduler(
        &self,
        uid: &str,
        state: &SchedulerState,
        now: Timestamp,
        duration: Duration,
    ) -> Result<Scheduler, StoreError> {
        // Not behind commits: a heartbeat that waits for them comes too late.
        beat(&mut *self.pools.leases().await?, uid, state, now, duration).await
    }

    async fn begin_update(&self, new: &NewUpdate) -> Result<BegunUpdate, StoreError> {
        // The refusal is part of the answer: that somebody waits for the node must be committed.
        let begun: Result<_, StoreError> =
            write!(self, begin, "beginning an update", |connection| updates::begin(connection, new));
        begun?
    }

    async fn stage_upload(&self, upload: &NewUpload) -> Result<bool, StoreError> {
        write!(self, begin, "keeping an upload", |connection| updates::stage(connection, upload))
    }

    async fn staged_uploads(&self, run_id: &str) -> Result<Vec<StagedUpload>, StoreError> {
        read!(self, |connection| updates::staged(connection, run_id))
    }

    async fn staged_rows(&self, run_id: &str, position: i64) -> Result<Vec<u8>, StoreError> {
        read!(self, |connection| updates::rows(connection, run_id, position))
    }

    async fn fail_update(
        &self,
        update: &ProducerUpdate,
        error: &RunError,
        now: Timestamp,
    ) -> Result<RunRecord, StoreError> {
        write!(self, begin, "ending an update", |connection| updates::fail(
            connection,
            update,
            error.clone(),
            now
        ))
    }

    async fn abandon_updates(&self, idle: Duration, now: Timestamp) -> Result<u64, StoreError> {
        write!(self, begin, "ending updates", |connection| updates::abandon(connection, idle, now))
    }
}
