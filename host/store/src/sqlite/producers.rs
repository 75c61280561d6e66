//! Producers and the processes that run them.

use std::time::Duration;

use async_trait::async_trait;
use datanode_core::Timestamp;
use datanode_core::dependency::DependencyTarget;
use datanode_core::producer::{PRODUCER, ProducerError};
use datanode_core::run::{RunError, RunRecord};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::stored::{count, failed, from_json, timestamp, to_json};
use super::{SqliteStore, lease, nodes, producer_updates as updates, tables};
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
fn by_uid(connection: &Connection, node_uid: &str) -> Result<Producer, StoreError> {
    let found: Option<(Option<String>, Option<String>, String)> = connection
        .query_row(
            "SELECT project_uid, scheduler_uid, facts FROM _producers WHERE node_uid = ?1",
            [node_uid],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
        .map_err(failed(READING))?;
    let (project_uid, scheduler_uid, facts) = found.ok_or_else(|| not_found(node_uid))?;
    Ok(Producer {
        node: nodes::by_reference(connection, node_uid)?,
        project_uid,
        scheduler_uid,
        facts: from_json(&format!("producer {node_uid}"), &facts)?,
        update: updates::of_node(connection, node_uid)?,
    })
}

fn ensure(connection: &Connection, new: &NewProducer) -> Result<Registered<Producer>, StoreError> {
    let Registered { value: node, created } = nodes::ensure_as_it_is(connection, new.node())?;
    if node.component != PRODUCER {
        let (node, component) = (node.update_hash, node.component);
        return Err(ProducerError::OfComponent { node, component }.into());
    }
    let facts = to_json(STORING, &ProducerFacts::default())?;
    connection
        .execute(
            "INSERT INTO _producers (node_uid, project_uid, facts) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![node.uid, new.project_uid, facts],
        )
        .map_err(failed(STORING))?;
    Ok(Registered { value: by_uid(connection, &node.uid)?, created })
}

fn list(connection: &Connection, filter: &ProducerFilter) -> Result<ProducerPage, StoreError> {
    let failed = failed(READING);
    let (mut conditions, mut values) = (vec!["TRUE"], Vec::new());
    if let Some(uids) = &filter.uids {
        conditions.push("p.node_uid IN (SELECT value FROM json_each(?))");
        values.push(Value::Text(to_json(READING, uids)?));
    }
    if let Some(hash) = &filter.update_hash {
        conditions.push("n.update_hash = ?");
        values.push(Value::Text(hash.clone()));
    }
    if let Some(tables) = &filter.table_uids {
        conditions.push("n.table_uid IN (SELECT value FROM json_each(?))");
        values.push(Value::Text(to_json(READING, tables)?));
    }
    let from =
        format!("FROM _producers p JOIN _nodes n ON n.uid = p.node_uid WHERE {}", conditions.join(" AND "));
    let all: i64 = connection
        .query_row(&format!("SELECT count(*) {from}"), params_from_iter(&values), |row| row.get(0))
        .map_err(&failed)?;
    values.extend([Value::Integer(filter.limit.into()), Value::Integer(filter.offset.into())]);
    let mut statement = connection
        .prepare(&format!("SELECT p.node_uid {from} ORDER BY n.created_at, n.uid LIMIT ? OFFSET ?"))
        .map_err(&failed)?;
    let uids =
        statement.query_map(params_from_iter(values), |row| row.get::<_, String>(0)).map_err(&failed)?;
    let uids = uids.collect::<Result<Vec<_>, _>>().map_err(&failed)?;
    let producers = uids.iter().map(|uid| by_uid(connection, uid)).collect::<Result<_, _>>()?;
    Ok(ProducerPage { producers, count: count(READING, all)? })
}

fn edit(connection: &Connection, node_uid: &str, edit: ProducerEdit) -> Result<Producer, StoreError> {
    let mut producer = by_uid(connection, node_uid)?;
    producer.facts = edit.applied(producer.facts);
    connection
        .execute(
            "UPDATE _producers SET facts = ?2 WHERE node_uid = ?1",
            params![node_uid, to_json(STORING, &producer.facts)?],
        )
        .map_err(failed(STORING))?;
    Ok(producer)
}

/// Note an edge; the node with it, unless it was there.
fn connect(connection: &Connection, edge: &ProducerEdge) -> Result<Option<Node>, StoreError> {
    let node = by_uid(connection, &edge.node_uid)?.node;
    let table = tables::by_uid(connection, &edge.table_uid)?;
    let writer = edge.writer_uid.as_deref().map(|uid| by_uid(connection, uid)).transpose()?;
    let writer = writer.map(|writer| writer.node);
    if let Some(writer) = &writer
        && leads_to(&nodes::all(connection)?, &writer.uid, &node.uid)
    {
        let (node, target) = (node.update_hash, writer.update_hash.clone());
        return Err(ProducerError::Cycle { node, target }.into());
    }
    let key = edge_key(&table.contract.identifier, writer.as_ref());
    let declared = to_json(STORING, &DependencyTarget::Table(table.contract.identifier.clone()))?;
    let added = connection
        .execute(
            "INSERT INTO _node_dependencies (node_uid, position, key, table_uid, provider_uid, declared) \
             SELECT ?1, coalesce(max(position) + 1, 0), ?2, ?3, ?4, ?5 FROM _node_dependencies WHERE node_uid = ?1 \
             ON CONFLICT DO NOTHING",
            params![node.uid, key, table.uid, edge.writer_uid, declared],
        )
        .map_err(failed(STORING))?;
    if added > 0 { nodes::by_reference(connection, &node.uid).map(Some) } else { Ok(None) }
}

/// Forget all edges; the node without them, unless there were none.
fn disconnect(connection: &Connection, node_uid: &str) -> Result<Option<Node>, StoreError> {
    by_uid(connection, node_uid)?;
    let gone = connection
        .execute("DELETE FROM _node_dependencies WHERE node_uid = ?1", [node_uid])
        .map_err(failed(STORING))?;
    if gone > 0 { nodes::by_reference(connection, node_uid).map(Some) } else { Ok(None) }
}

fn scheduler(connection: &Connection, uid: &str) -> Result<Scheduler, StoreError> {
    let failed = failed("reading a scheduler");
    let found: Option<(String, String, String, i64)> = connection
        .query_row(
            "SELECT name, made_by, state, seen_at FROM _producer_schedulers WHERE uid = ?1",
            [uid],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional()
        .map_err(&failed)?;
    let Some((name, made_by, state, seen_at)) = found else {
        return Err(StoreError::NotFound { kind: "scheduler", reference: uid.to_owned() });
    };
    let mut statement = connection
        .prepare_cached("SELECT node_uid FROM _producers WHERE scheduler_uid = ?1 ORDER BY node_uid")
        .map_err(&failed)?;
    let node_uids = statement.query_map([uid], |row| row.get(0)).map_err(&failed)?;
    let node_uids = node_uids.collect::<Result<Vec<_>, _>>().map_err(&failed)?;
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

fn assign(connection: &Connection, uid: &str, node_uids: &[String]) -> Result<(), StoreError> {
    for node_uid in node_uids {
        let changed = connection
            .execute("UPDATE _producers SET scheduler_uid = ?2 WHERE node_uid = ?1", [node_uid.as_str(), uid])
            .map_err(failed("assigning a scheduler"))?;
        if changed == 0 {
            return Err(not_found(node_uid));
        }
    }
    Ok(())
}

fn add_scheduler(connection: &Connection, new: &Scheduler) -> Result<(), StoreError> {
    const DOING: &str = "storing a scheduler";
    connection
        .execute(
            "INSERT INTO _producer_schedulers (uid, name, made_by, state, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![new.uid, new.name, new.made_by, to_json(DOING, &new.state)?, new.seen_at.micros()],
        )
        .map_err(failed(DOING))?;
    assign(connection, &new.uid, &new.node_uids)?;
    connection
        .execute(
            "DELETE FROM _producer_schedulers WHERE seen_at < ?1 AND uid NOT IN \
             (SELECT scheduler_uid FROM _producers WHERE scheduler_uid IS NOT NULL)",
            [new.seen_at.micros().saturating_sub(FORGOTTEN_MICROS)],
        )
        .map(|_| ())
        .map_err(failed(DOING))
}

fn beat(
    connection: &Connection,
    uid: &str,
    state: &SchedulerState,
    now: Timestamp,
    duration: Duration,
) -> Result<Scheduler, StoreError> {
    const DOING: &str = "storing a heartbeat";
    connection
        .execute(
            "UPDATE _producer_schedulers SET state = ?2, seen_at = ?3 WHERE uid = ?1",
            params![uid, to_json(DOING, state)?, now.micros()],
        )
        .map_err(failed(DOING))?;
    let extend = format!(
        "UPDATE _leases SET expires_at = {} + ?2 WHERE run_id IN \
         (SELECT run_id FROM _producer_updates WHERE scheduler_uid = ?1)",
        lease::NOW
    );
    connection.execute(&extend, params![uid, lease::micros(duration)]).map_err(failed(DOING))?;
    scheduler(connection, uid)
}

#[async_trait]
impl Producers for SqliteStore {
    async fn ensure_producer(&self, new: &NewProducer) -> Result<Registered<Producer>, StoreError> {
        let new = new.clone();
        let work = move |connection: &Connection| ensure(connection, &new);
        self.change(STORING, work, |producer| {
            let ensured = if producer.created { Ensured::Created } else { Ensured::Nothing };
            node_ensured(ensured, &producer.value.node)
        })
        .await
    }

    async fn producers(&self, filter: &ProducerFilter) -> Result<ProducerPage, StoreError> {
        let filter = filter.clone();
        self.read(READING, move |connection| list(connection, &filter)).await
    }

    async fn producer(&self, node_uid: &str) -> Result<Producer, StoreError> {
        let uid = node_uid.to_owned();
        self.read(READING, move |connection| by_uid(connection, &uid)).await
    }

    async fn edit_producer(&self, node_uid: &str, changes: &ProducerEdit) -> Result<Producer, StoreError> {
        let (uid, changes) = (node_uid.to_owned(), changes.clone());
        self.write(STORING, move |connection| edit(connection, &uid, changes)).await
    }

    async fn connect_producer(&self, edge: &ProducerEdge) -> Result<(), StoreError> {
        let edge = edge.clone();
        let work = move |connection: &Connection| connect(connection, &edge);
        self.change(STORING, work, |node| node_ensured(Ensured::Linked, node.as_ref()?)).await.map(|_| ())
    }

    async fn disconnect_producer(&self, node_uid: &str) -> Result<(), StoreError> {
        let uid = node_uid.to_owned();
        let work = move |connection: &Connection| disconnect(connection, &uid);
        self.change(STORING, work, |node| node_ensured(Ensured::Linked, node.as_ref()?)).await.map(|_| ())
    }

    async fn add_scheduler(&self, new: &Scheduler) -> Result<(), StoreError> {
        let new = new.clone();
        self.write("storing a scheduler", move |connection| add_scheduler(connection, &new)).await
    }

    async fn scheduler(&self, uid: &str) -> Result<Scheduler, StoreError> {
        let uid = uid.to_owned();
        self.read("reading a scheduler", move |connection| scheduler(connection, &uid)).await
    }

    async fn assign_scheduler(&self, uid: &str, node_uids: &[String]) -> Result<(), StoreError> {
        let (uid, node_uids) = (uid.to_owned(), node_uids.to_vec());
        self.write("assigning a scheduler", move |connection| {
            scheduler(connection, &uid)?;
            assign(connection, &uid, &node_uids)
        })
        .await
    }

    async fn beat_scheduler(
        &self,
        uid: &str,
        state: &SchedulerState,
        now: Timestamp,
        duration: Duration,
    ) -> Result<Scheduler, StoreError> {
        let (uid, state) = (uid.to_owned(), state.clone());
        self.write_until_power_is_lost("storing a heartbeat", move |connection| {
            beat(connection, &uid, &state, now, duration)
        })
        .await
    }

    async fn begin_update(&self, new: &NewUpdate) -> Result<BegunUpdate, StoreError> {
        let new = new.clone();
        // The refusal is part of the answer: that somebody waits for the node must be committed.
        self.write("beginning an update", move |connection| updates::begin(connection, &new)).await?
    }

    async fn stage_upload(&self, upload: &NewUpload) -> Result<bool, StoreError> {
        let upload = upload.clone();
        self.write("keeping an upload", move |connection| updates::stage(connection, &upload)).await
    }

    async fn staged_uploads(&self, run_id: &str) -> Result<Vec<StagedUpload>, StoreError> {
        let run_id = run_id.to_owned();
        self.read("reading uploads", move |connection| updates::staged(connection, &run_id)).await
    }

    async fn staged_rows(&self, run_id: &str, position: i64) -> Result<Vec<u8>, StoreError> {
        let run_id = run_id.to_owned();
        self.read("reading an upload", move |connection| updates::rows(connection, &run_id, position)).await
    }

    async fn fail_update(
        &self,
        update: &ProducerUpdate,
        error: &RunError,
        now: Timestamp,
    ) -> Result<RunRecord, StoreError> {
        let (update, error) = (update.clone(), error.clone());
        self.write("ending an update", move |connection| updates::fail(connection, &update, error, now)).await
    }

    async fn abandon_updates(&self, idle: Duration, now: Timestamp) -> Result<u64, StoreError> {
        self.write("ending updates", move |connection| updates::abandon(connection, idle, now)).await
    }
}
