//! Runs: those that were, and those that are asked for.

use std::io::Write;
use std::path::Path;

use datanode_core::Timestamp;
use datanode_core::run::{LogLine, RunRecord, RunStatus};
use datanode_runtime::answers::{DebugRuns, DryRunDocument};
use datanode_runtime::{
    AtomicFile, BundleError, DryRunRequest, MatrixRun, Observer, Pruned, Replayed, RunOptions, RuntimeError,
    Scope, Stop,
};
use datanode_sandbox::Cell;
use datanode_store::RunFilter;
use serde_json::{Value, json};

use super::Place;
use crate::failure::{Failure, OrFail};
use crate::remote::{Begun, Call, Ended, Listeners, Server};

/// Which runs are listed.
#[derive(Debug, Default)]
pub(crate) struct WantedRuns {
    pub(crate) node: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) status: Option<RunStatus>,
    /// At most so many; None: all.
    pub(crate) limit: Option<u32>,
}

/// What became of a tree of nodes.
pub(crate) struct TreeRuns {
    pub(crate) runs: DebugRuns,
    /// It was told to end before each node had its turn.
    pub(crate) is_cut_short: bool,
}

impl Place {
    /// Runs, the newest first.
    pub(crate) async fn runs(&self, wanted: WantedRuns) -> anyhow::Result<Vec<RunRecord>> {
        let WantedRuns { node, table, status, limit } = wanted;
        match self {
            Self::Here(host) => {
                let node_uid = match node {
                    Some(node) => Some(host.store().node(&node).await.or_fail()?.uid),
                    None => None,
                };
                let table_uid = match table {
                    Some(table) => Some(host.store().table(&table).await.or_fail()?.uid),
                    None => None,
                };
                host.store()
                    .runs(&RunFilter { node_uid, table_uid, status, limit, ..RunFilter::default() })
                    .await
                    .or_fail()
            }
            Self::There(server) => {
                let call = Call::get(server.at(&["runs"]))
                    .maybe("node", node.as_deref())
                    .maybe("table", table.as_deref())
                    .maybe("status", status.map(RunStatus::as_str));
                let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
                server.first_items(call, most).await
            }
        }
    }

    /// A run by reference.
    pub(crate) async fn run(&self, reference: &str) -> anyhow::Result<RunRecord> {
        match self {
            Self::Here(host) => host.store().run(reference).await.or_fail(),
            Self::There(server) => server.get(&["runs", reference]).await,
        }
    }

    /// The log of a run, line by line, until the run has ended. Answers how many lines are not kept.
    pub(crate) async fn follow_log(
        &self,
        reference: &str,
        told: impl FnMut(&LogLine) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        match self {
            // A run that is under way has no record yet.
            Self::Here(host) => {
                let run = host.store().run(reference).await.or_fail()?;
                run.logs.iter().try_for_each(told)?;
                Ok(run.logs_dropped)
            }
            Self::There(server) => server.follow_log(reference, told).await,
        }
    }

    /// Run a node after everything that it depends on.
    pub(crate) async fn run_node(
        &self,
        node: &str,
        namespace: &str,
        options: &RunOptions,
    ) -> anyhow::Result<TreeRuns> {
        match self {
            Self::Here(host) => {
                let tree = host.run_node(node, namespace, options).await.or_fail()?;
                Ok(TreeRuns { is_cut_short: tree.is_cut_short, runs: tree.into() })
            }
            Self::There(server) => {
                let body = run_body(namespace, options, None);
                let begun = server.post(&["nodes", node, "runs"], &body).await?;
                let ended = watch::<Value>(server, &begun, options).await?;
                Ok(TreeRuns { runs: debug_runs(server, ended.result)?, is_cut_short: ended.is_cancelled })
            }
        }
    }

    /// Do everything that a run of one node does, but the commit.
    pub(crate) async fn dry_run(
        &self,
        node: &str,
        namespace: &str,
        options: &RunOptions,
        request: &DryRunRequest,
    ) -> anyhow::Result<DryRunDocument> {
        match self {
            Self::Here(host) => {
                let dry = host.dry_run(node, namespace, options, request).await;
                Ok(dry.map_err(|error: RuntimeError| Failure::of(&error))?.into())
            }
            Self::There(server) => {
                let body = run_body(namespace, options, Some(request));
                let begun = server.post(&["nodes", node, "runs"], &body).await?;
                Ok(watch(server, &begun, options).await?.result)
            }
        }
    }

    /// Make a failed run again.
    pub(crate) async fn retry_run(&self, run: &str, options: &RunOptions) -> anyhow::Result<TreeRuns> {
        match self {
            Self::Here(host) => {
                let tree = host.retry_run(run, options).await.or_fail()?;
                Ok(TreeRuns { is_cut_short: tree.is_cut_short, runs: tree.into() })
            }
            Self::There(server) => {
                let body = json!({ "options": options.options, "wait_seconds": options.wait.as_secs() });
                let begun = server.post(&["runs", run, "retry"], &body).await?;
                let ended = watch::<Value>(server, &begun, options).await?;
                Ok(TreeRuns { runs: debug_runs(server, ended.result)?, is_cut_short: ended.is_cancelled })
            }
        }
    }

    /// Execute a run again, and compare, unless it is told to stop.
    pub(crate) async fn replay(&self, run: &str, stop: &Stop) -> anyhow::Result<Replayed> {
        match self {
            Self::Here(host) => host.replay(run, stop).await.or_fail(),
            Self::There(server) => {
                let begun = server.post(&["runs", run, "replay"], &json!({})).await?;
                Ok(server.follow(&begun, Listeners::default(), stop).await?.result)
            }
        }
    }

    /// Execute a run again in each of these cells, unless it is told to stop; `done` is told of each.
    pub(crate) async fn run_in_cells(
        &self,
        run: &str,
        cells: &[Cell],
        stop: &Stop,
        mut done: impl FnMut() + Send + 'static,
    ) -> anyhow::Result<MatrixRun> {
        match self {
            Self::Here(host) => host.run_in_cells(run, cells, stop, done).await.or_fail(),
            Self::There(server) => {
                // Of the machine of the server: its processor is judged, not this one.
                let begun = server.post(&["runs", run, "determinism"], &json!({})).await?;
                let ended = server.follow(&begun, Listeners::default(), stop).await?;
                for _ in cells {
                    done();
                }
                Ok(ended.result)
            }
        }
    }

    /// Write all that a replay of a run needs into a file; answers how many bytes that are.
    pub(crate) async fn export_run(&self, run: &str, output: &Path) -> anyhow::Result<u64> {
        match self {
            Self::Here(host) => host.export_run(run, output).await.or_fail(),
            Self::There(server) => {
                let failed = |error: std::io::Error| {
                    Failure::of(&BundleError::Io {
                        doing: "written",
                        path: output.to_owned(),
                        problem: error,
                    })
                };
                let call = Call::get(server.at(&["runs", run, "bundle"]));
                let mut answer = server.send(call.with(hyper::header::ACCEPT, "*/*").long()).await?;
                let mut file = AtomicFile::begin(output).map_err(failed)?;
                let mut bytes = 0;
                while let Some(piece) = answer.piece().await? {
                    file.write_all(&piece).map_err(failed)?;
                    bytes += piece.len() as u64;
                }
                file.finish().map_err(failed)?;
                Ok(bytes)
            }
        }
    }

    /// Remove the journals that are older than the settings say, where it is time to. A server does so by itself.
    pub(crate) async fn prune_due(&self) -> anyhow::Result<()> {
        if let Self::Here(host) = self {
            host.prune_due_journals().await.or_fail()?;
        }
        Ok(())
    }

    /// Remove the journals of runs that started before a moment.
    pub(crate) async fn prune(&self, before: Timestamp, only_look: bool) -> anyhow::Result<Pruned> {
        match self {
            Self::Here(host) => host.prune_journals(before, only_look).await.or_fail(),
            Self::There(server) => {
                let body = json!({ "before": before, "dry_run": only_look });
                server.ask(Call::post(server.at(&["runs", "prune"])).json(&body)?.long()).await
            }
        }
    }
}

/// Follow a run, and have it ended when the command is.
pub(super) async fn watch<T: serde::de::DeserializeOwned>(
    server: &Server,
    begun: &Begun,
    options: &RunOptions,
) -> anyhow::Result<Ended<T>> {
    let observer: &dyn Observer = &*options.observer;
    server.follow(begun, Listeners { run: Some(observer), backfill: None }, &options.stop).await
}

/// How a node is run, for the server.
fn run_body(namespace: &str, options: &RunOptions, dry: Option<&DryRunRequest>) -> Value {
    let scope = match options.scope {
        Scope::Tree => "tree",
        Scope::NodeAlone => "node_alone",
        Scope::DependenciesAlone => "dependencies_alone",
    };
    json!({
        "hash_namespace": namespace, "scope": scope, "until": options.until, "force": options.force,
        "wait_seconds": options.wait.as_secs(), "options": options.options,
        "sample": dry.map(|dry| dry.sample).or(options.sample),
        "journal": options.journal, "dry_run": dry.is_some(),
        "statistics": dry.and_then(|dry| dry.statistics.clone()),
    })
}

/// The records of a tree: a list, or an object with what the node wrote beside it.
fn debug_runs(server: &Server, result: Value) -> anyhow::Result<DebugRuns> {
    let document = if result.is_array() { json!({ "runs": result, "frame": null }) } else { result };
    serde_json::from_value(document).map_err(|error| server.odd(&error.to_string()).into())
}
