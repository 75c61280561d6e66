//! Backfills: how they stand, and who works on them.

use datanode_core::backfill::Control;
use datanode_runtime::answers::{BackfillDetail, BackfillDocument};
use datanode_runtime::{BackfillOrder, BackfillWork};
use serde::Deserialize;
use serde_json::json;

use super::Place;
use crate::backfill_progress::Shows;
use crate::failure::OrFail;
use crate::remote::{Begun, Call, Listeners};

/// A backfill that was begun.
pub(crate) struct BegunHere {
    pub(crate) backfill: BackfillDocument,
    /// Things a person should look at.
    pub(crate) warnings: Vec<String>,
    /// Work that the server has begun with it.
    pub(crate) execution: Option<Begun>,
}

/// The same as a server answers it.
#[derive(Deserialize)]
struct BegunThere {
    #[serde(flatten)]
    execution: Begun,
    backfill: BackfillDocument,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Place {
    /// Backfills, the newest first; of one node, where it is named.
    pub(crate) async fn backfills(&self, node: Option<&str>) -> anyhow::Result<Vec<BackfillDocument>> {
        match self {
            Self::Here(host) => host.backfill_documents(node).await.or_fail(),
            Self::There(server) => {
                server.items(Call::get(server.at(&["backfills"])).maybe("node", node)).await
            }
        }
    }

    /// A backfill with its windows.
    pub(crate) async fn backfill(&self, reference: &str) -> anyhow::Result<BackfillDetail> {
        match self {
            Self::Here(host) => host.backfill_detail(reference).await.or_fail(),
            Self::There(server) => server.get(&["backfills", reference]).await,
        }
    }

    /// Begin no further window, for now or for good.
    pub(crate) async fn control_backfill(
        &self,
        reference: &str,
        control: Control,
    ) -> anyhow::Result<BackfillDocument> {
        match self {
            Self::Here(host) => {
                let found = host.store().backfill(reference).await.or_fail()?;
                let backfill = host.store().control_backfill(&found.uid, control).await.or_fail()?;
                Ok(BackfillDocument::from(&backfill))
            }
            Self::There(server) => {
                let verb = match control {
                    Control::Go => "resume",
                    Control::Pause => "pause",
                    Control::Cancel => "cancel",
                };
                server.ask(Call::post(server.at(&["backfills", reference, verb]))).await
            }
        }
    }

    /// Cut a range of the past into windows. Where a server is asked, it begins to work on them at once.
    pub(crate) async fn begin_backfill(
        &self,
        node: &str,
        order: BackfillOrder,
        step: Option<&str>,
        work: &BackfillWork,
    ) -> anyhow::Result<BegunHere> {
        match self {
            Self::Here(host) => {
                let begun = host.begin_backfill(node, order).await.or_fail()?;
                let backfill = BackfillDocument::from(&begun.backfill);
                Ok(BegunHere { backfill, warnings: begun.warnings, execution: None })
            }
            Self::There(server) => {
                let body = json!({
                    "from": order.from, "to": order.to, "step": step, "mode": order.mode,
                    "concurrency": order.concurrency, "keep_going": order.keep_going, "options": order.options,
                    "hash_namespace": order.hash_namespace, "journal": work.journal,
                });
                let begun: BegunThere = server.post(&["nodes", node, "backfills"], &body).await?;
                let BegunThere { execution, backfill, warnings } = begun;
                Ok(BegunHere { backfill, warnings, execution: Some(execution) })
            }
        }
    }

    /// Let a backfill be worked on again; answers its id.
    pub(crate) async fn resume_backfill(&self, reference: &str) -> anyhow::Result<String> {
        match self {
            Self::Here(host) => {
                let found = host.store().backfill(reference).await.or_fail()?;
                host.store().control_backfill(&found.uid, Control::Go).await.or_fail()?;
                Ok(found.uid)
            }
            // The server does so when it begins to work on it.
            Self::There(_) => Ok(self.backfill(reference).await?.backfill.backfill_id),
        }
    }

    /// Work on a backfill until no window is left that could be; answers its id.
    pub(crate) async fn work_on_backfill(
        &self,
        reference: &str,
        begun: Option<Begun>,
        work: &BackfillWork,
        shows: &dyn Shows,
    ) -> anyhow::Result<BackfillDocument> {
        match self {
            Self::Here(host) => {
                let backfill = host.work_on_backfill(reference, work).await.or_fail()?;
                Ok(BackfillDocument::from(&backfill))
            }
            Self::There(server) => {
                let begun = if let Some(begun) = begun {
                    begun
                } else {
                    let body = json!({
                        "concurrency": work.concurrency, "options": work.options, "journal": work.journal,
                    });
                    server.post(&["backfills", reference, "resume"], &body).await?
                };
                let listeners = Listeners { run: Some(&*work.observer), backfill: Some(shows) };
                Ok(server.follow(&begun, listeners, &work.stop).await?.result)
            }
        }
    }
}
