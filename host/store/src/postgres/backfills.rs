//! Backfills: one row each, and one per window.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use datanode_core::backfill::Control;
use datanode_core::run::RunRecord;
use datanode_core::window::Window;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::reference::starting_with;
use super::store::told;
use super::stored::{failed, to_json};
use super::{PostgresStore, backfill_windows as windows, commit, lease, nodes, write};
use crate::catalogue::audit as entries;
use crate::catalogue::backfill::{RawBackfill, RawSum, RawWindow, backfill, refuse_over, window};
use crate::catalogue::reference::ambiguous;
use crate::fault::{self, Step};
use crate::{
    Backfill, BackfillWindow, Backfills, ClaimLease, ClaimWindow, ClaimedWindow, CommitOutcome, CommitRun,
    CommitWindow, HeldWindow, Lease, NewBackfill, RunJournal, StoreError, WindowError,
};

const READING: &str = "reading backfills";
const STORING: &str = "storing a backfill";
const CLAIMING: &str = "claiming a window of a backfill";

/// Backfills of a condition on `$1`, newest first.
async fn select(
    connection: &mut PgConnection,
    condition: &'static str,
    value: Option<&str>,
) -> Result<Vec<Backfill>, StoreError> {
    let sql = format!(
        "SELECT b.uid, b.node_uid, n.update_hash, b.table_uid, t.identifier, \
         b.request, b.control, b.is_ordered, coalesce(b.worked_until > datanode.now_micros(), false) AS is_worked_on, \
         b.created_at FROM datanode.backfills b JOIN datanode.nodes n ON n.uid = b.node_uid \
         JOIN datanode.tables t ON t.uid = b.table_uid WHERE {condition} ORDER BY b.uid DESC"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(value)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed(READING))?;
    let rows = rows.iter().map(raw).collect::<Result<Vec<_>, _>>().map_err(failed(READING))?;
    let uids: Vec<String> = rows.iter().map(|raw| raw.uid.clone()).collect();
    let mut sums = sums(connection, &uids).await?;
    rows.into_iter()
        .map(|raw| {
            let sums = sums.remove(&raw.uid).unwrap_or_default();
            backfill(raw, sums)
        })
        .collect()
}

fn raw(row: &sqlx::postgres::PgRow) -> Result<RawBackfill, sqlx::Error> {
    Ok(RawBackfill {
        uid: row.try_get(0)?,
        node_uid: row.try_get(1)?,
        update_hash: row.try_get(2)?,
        table_uid: row.try_get(3)?,
        table: row.try_get(4)?,
        request: row.try_get(5)?,
        control: row.try_get(6)?,
        is_ordered: row.try_get(7)?,
        is_worked_on: row.try_get(8)?,
        created_at: row.try_get(9)?,
    })
}

/// A sum of windows, beside the uid of the backfill.
type RawSumOf = (String, String, i64, i64, i64, i64, i64);

/// What has become of the windows of backfills, by the uid of each.
async fn sums(
    connection: &mut PgConnection,
    uids: &[String],
) -> Result<HashMap<String, Vec<RawSum>>, StoreError> {
    let rows: Vec<RawSumOf> = sqlx::query_as(
        "SELECT backfill_uid, status, count(*), sum(rows_inserted)::bigint, sum(rows_updated)::bigint, \
         sum(rows_unchanged)::bigint, coalesce(sum(finished_at - started_at), 0)::bigint \
         FROM datanode.backfill_windows WHERE backfill_uid = ANY($1) GROUP BY backfill_uid, status",
    )
    .bind(uids)
    .fetch_all(connection)
    .await
    .map_err(failed(READING))?;
    let mut sums: HashMap<String, Vec<RawSum>> = HashMap::new();
    for (uid, status, windows, inserted, updated, unchanged, micros) in rows {
        sums.entry(uid).or_default().push((status, windows, inserted, updated, unchanged, micros));
    }
    Ok(sums)
}

async fn by_uid(connection: &mut PgConnection, uid: &str) -> Result<Backfill, StoreError> {
    let found = select(connection, "b.uid = $1", Some(uid)).await?.pop();
    found.ok_or_else(|| StoreError::NotFound { kind: "backfill", reference: uid.to_owned() })
}

async fn by_reference(connection: &mut PgConnection, reference: &str) -> Result<Backfill, StoreError> {
    if let Some(found) = select(connection, "b.uid = $1", Some(reference)).await?.pop() {
        return Ok(found);
    }
    let mut uids = starting_with(
        connection,
        "SELECT uid FROM datanode.backfills WHERE uid >= $1 AND uid < $2 ORDER BY uid LIMIT $3",
        reference,
    )
    .await?;
    if uids.len() > 1 {
        return Err(ambiguous("backfill", reference, uids));
    }
    by_uid(connection, &uids.pop().unwrap_or_else(|| reference.to_owned())).await
}

async fn add(connection: &mut PgConnection, new: &NewBackfill) -> Result<Backfill, StoreError> {
    let node = nodes::by_reference(connection, &new.node_uid).await?;
    sqlx::query(
        "INSERT INTO datanode.backfills (uid, node_uid, table_uid, request, control, is_ordered, raised, created_at) \
         VALUES ($1, $2, $3, $4, 'go', false, 0, $5)",
    )
    .bind(&new.uid)
    .bind(&node.uid)
    .bind(&node.table_uid)
    .bind(to_json(STORING, &new.request)?)
    .bind(new.created_at.micros())
    .execute(&mut *connection)
    .await
    .map_err(failed(STORING))?;
    let first = |window: &Window| window.start.unwrap_or(new.request.from).micros();
    sqlx::query(
        "INSERT INTO datanode.backfill_windows (backfill_uid, position, first, last, status, attempts) \
         SELECT $1, position, first, last, 'pending', 0 \
         FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS _windows (first, last, position)",
    )
    .bind(&new.uid)
    .bind(new.windows.iter().map(first).collect::<Vec<_>>())
    .bind(new.windows.iter().map(|window| window.end.micros()).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await
    .map_err(failed(STORING))?;
    by_uid(connection, &new.uid).await
}

async fn list_windows(connection: &mut PgConnection, uid: &str) -> Result<Vec<BackfillWindow>, StoreError> {
    let failed = failed(READING);
    let rows = sqlx::query(
        "SELECT position, first, last, status, attempts, run_id, started_at, finished_at, rows_inserted, \
         rows_updated, rows_unchanged, error_code, error_message \
         FROM datanode.backfill_windows WHERE backfill_uid = $1 ORDER BY position",
    )
    .bind(uid)
    .fetch_all(connection)
    .await
    .map_err(&failed)?;
    let raw = |row: &sqlx::postgres::PgRow| {
        let code: Option<String> = row.try_get(11)?;
        Ok(RawWindow {
            position: row.try_get(0)?,
            first: row.try_get(1)?,
            last: row.try_get(2)?,
            status: row.try_get(3)?,
            attempts: row.try_get(4)?,
            run_id: row.try_get(5)?,
            started_at: row.try_get(6)?,
            finished_at: row.try_get(7)?,
            rows: [row.try_get(8)?, row.try_get(9)?, row.try_get(10)?],
            error: code.zip(row.try_get(12)?),
        })
    };
    rows.iter().map(|row| window(uid, raw(row).map_err(&failed)?)).collect()
}

async fn control(connection: &mut PgConnection, uid: &str, control: Control) -> Result<Backfill, StoreError> {
    refuse_over(&by_uid(connection, uid).await?, control)?;
    if control == Control::Go {
        sqlx::query(
            "UPDATE datanode.backfill_windows SET status = 'pending', error_code = NULL, error_message = NULL \
             WHERE backfill_uid = $1 AND status = 'failed'",
        )
        .bind(uid)
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
    }
    sqlx::query("UPDATE datanode.backfills SET control = $2 WHERE uid = $1")
        .bind(uid)
        .bind(control.as_str())
        .execute(&mut *connection)
        .await
        .map_err(failed(STORING))?;
    by_uid(connection, uid).await
}

async fn leave(connection: &mut PgConnection, uid: &str) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE datanode.backfills SET worked_until = NULL WHERE uid = $1 AND NOT EXISTS \
         (SELECT FROM datanode.backfill_windows \
         WHERE backfill_uid = $1 AND status = 'running' AND expires_at > datanode.now_micros())",
    )
    .bind(uid)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(STORING))
}

/// Change something in a transaction that is begun by `$begin`. Where the work fails, or its future is dropped, it is
/// rolled back.
macro_rules! change {
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
impl Backfills for PostgresStore {
    async fn add_backfill(&self, new: &NewBackfill) -> Result<Backfill, StoreError> {
        told!(self, begin_catalogue, STORING, |connection| add(connection, new), |backfill| {
            entries::backfill_ordered(backfill)
        })
    }

    async fn backfills(&self, node_uid: Option<&str>) -> Result<Vec<Backfill>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        select(&mut transaction, "$1::text IS NULL OR b.node_uid = $1", node_uid).await
    }

    async fn backfill(&self, reference: &str) -> Result<Backfill, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        by_reference(&mut transaction, reference).await
    }

    async fn backfill_windows(&self, uid: &str) -> Result<Vec<BackfillWindow>, StoreError> {
        let mut transaction = self.pools.begin_read().await?;
        list_windows(&mut transaction, uid).await
    }

    async fn control_backfill(&self, uid: &str, said: Control) -> Result<Backfill, StoreError> {
        told!(self, begin, STORING, |connection| control(connection, uid, said), |backfill| {
            entries::backfill_controlled(said, backfill)
        })
    }

    async fn claim_window(&self, asked: &ClaimWindow) -> Result<ClaimedWindow, StoreError> {
        let claimed: Result<_, StoreError> =
            change!(self, begin_window, CLAIMING, |connection| windows::claim(connection, asked));
        if matches!(claimed, Ok(ClaimedWindow::Window(_))) {
            fault::reached(Step::WindowClaimed);
        }
        claimed
    }

    async fn extend_window(&self, held: &HeldWindow, duration: Duration) -> Result<(), StoreError> {
        windows::extend(&mut *self.pools.leases().await?, held, duration).await
    }

    async fn pass_window(&self, held: &HeldWindow, run_id: &str) -> Result<HeldWindow, StoreError> {
        change!(self, begin_window, CLAIMING, |connection| windows::pass(connection, held, run_id))
    }

    async fn fail_window(
        &self,
        held: &HeldWindow,
        error: &WindowError,
        record: &RunRecord,
        journal: Option<&RunJournal>,
    ) -> Result<RunRecord, StoreError> {
        change!(self, begin, STORING, |connection| windows::fail(connection, held, error, record, journal))
    }

    async fn release_window(&self, held: &HeldWindow) -> Result<(), StoreError> {
        change!(self, begin, STORING, |connection| windows::release(connection, held))
    }

    async fn order_windows(&self, held: &HeldWindow) -> Result<(), StoreError> {
        change!(self, begin, STORING, |connection| windows::order(connection, held))
    }

    async fn leave_backfill(&self, uid: &str) -> Result<(), StoreError> {
        leave(&mut *self.pools.leases().await?, uid).await
    }

    async fn claim_for_window(&self, asked: &ClaimLease) -> Result<Lease, StoreError> {
        let lease = lease::claim_node(&self.pools, asked, true).await?;
        fault::reached(Step::LeaseClaimed);
        Ok(lease)
    }

    async fn commit_window(
        &self,
        commit: CommitRun,
        window: &CommitWindow,
    ) -> Result<CommitOutcome, StoreError> {
        let window = window.clone();
        let outcome = write::write(&self.pools.connections, "committing a run", |connection, caller| {
            Box::pin(async move { commit::commit(connection, commit, Some(&window), caller).await })
        })
        .await?;
        fault::reached(Step::Committed);
        Ok(outcome)
    }
}
