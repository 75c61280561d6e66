//! Revisions of tables. Their folders are files of this machine, wherever the table is: a server is sent what they hold,
//! and what it writes is written here.

use std::path::Path;

use datanode_core::contract::Contract;
use datanode_runtime::{HistoryEntry, Standing, Step, Steps, WrittenRevision};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Place;
use super::revision_folders::{Files, is_plain, read_all, read_folder, write_all};
use crate::failure::{Failure, OrFail};
use crate::remote::{Call, Server, failure_of};

/// The steps that were made, and why there are no more of them.
pub(crate) struct StepsMade {
    pub(crate) done: Vec<Step>,
    pub(crate) failed: Option<Failure>,
}

impl From<Steps> for StepsMade {
    fn from(steps: Steps) -> Self {
        Self { done: steps.done, failed: steps.failed.map(|error| Failure::of(&error)) }
    }
}

/// The same as a server answers it.
#[derive(Deserialize)]
struct StepsThere {
    done: Vec<Step>,
    error: Option<Value>,
}

/// A revision that a server has written.
#[derive(Deserialize)]
struct WrittenThere {
    revision: Option<WrittenRevision>,
    #[serde(default)]
    files: Files,
}

impl Place {
    /// Write a revision that leads to another contract, or that is for SQL that a person writes.
    pub(crate) async fn write_revision(
        &self,
        table: &str,
        message: &str,
        contract: Option<Contract>,
        directory: &Path,
    ) -> anyhow::Result<Option<WrittenRevision>> {
        match self {
            Self::Here(host) => host.write_revision(table, message, contract, directory).await.or_fail(),
            Self::There(server) => {
                let more = json!({ "message": message, "contract": contract });
                self.written(server, table, "write", directory, more).await
            }
        }
    }

    /// Take edits of a revision over.
    pub(crate) async fn seal_revision(
        &self,
        table: &str,
        revision: &str,
        directory: &Path,
    ) -> anyhow::Result<WrittenRevision> {
        match self {
            Self::Here(host) => host.seal_revision(table, revision, directory).await.or_fail(),
            Self::There(server) => {
                let more = json!({ "revision": revision });
                let written = self.written(server, table, "seal", directory, more).await?;
                written.ok_or_else(|| server.odd("no revision").into())
            }
        }
    }

    /// Write the SQL of the database in use into a revision.
    pub(crate) async fn complete_revision(
        &self,
        table: &str,
        revision: &str,
        directory: &Path,
    ) -> anyhow::Result<WrittenRevision> {
        match self {
            Self::Here(host) => host.complete_revision(table, revision, directory).await.or_fail(),
            Self::There(server) => {
                let more = json!({ "revision": revision });
                let written = self.written(server, table, "complete", directory, more).await?;
                written.ok_or_else(|| server.odd("no revision").into())
            }
        }
    }

    /// Apply revisions; `done` hears of each.
    pub(crate) async fn upgrade_table(
        &self,
        table: &str,
        target: &str,
        directory: &Path,
        done: impl Fn(&Step),
    ) -> anyhow::Result<StepsMade> {
        match self {
            Self::Here(host) => {
                Ok(host.upgrade_table(table, target, directory, done).await.or_fail()?.into())
            }
            Self::There(_) => self.steps(table, "upgrade", target, directory, done).await,
        }
    }

    /// Take revisions back; `done` hears of each.
    pub(crate) async fn downgrade_table(
        &self,
        table: &str,
        target: &str,
        directory: &Path,
        done: impl Fn(&Step),
    ) -> anyhow::Result<StepsMade> {
        match self {
            Self::Here(host) => {
                Ok(host.downgrade_table(table, target, directory, done).await.or_fail()?.into())
            }
            Self::There(_) => self.steps(table, "downgrade", target, directory, done).await,
        }
    }

    /// Where a table stands.
    pub(crate) async fn table_standing(&self, table: &str, directory: &Path) -> anyhow::Result<Standing> {
        match self {
            Self::Here(host) => host.table_standing(table, directory).await.or_fail(),
            Self::There(server) => self.asked(server, table, "current", directory, json!({})).await,
        }
    }

    /// The revisions of a table, applied and written.
    pub(crate) async fn table_history(
        &self,
        table: &str,
        directory: &Path,
    ) -> anyhow::Result<Vec<HistoryEntry>> {
        match self {
            Self::Here(host) => host.table_history(table, directory).await.or_fail(),
            Self::There(server) => {
                #[derive(Deserialize)]
                struct History {
                    items: Vec<HistoryEntry>,
                }
                let history: History = self.asked(server, table, "history", directory, json!({})).await?;
                Ok(history.items)
            }
        }
    }

    /// Bind the catalogue to a table on which the SQL of a revision was run by hand.
    pub(crate) async fn refresh_to_revision(
        &self,
        table: &str,
        folder: &Path,
        directory: &Path,
    ) -> anyhow::Result<Step> {
        match self {
            Self::Here(host) => host.refresh_to_revision(table, folder, directory).await.or_fail(),
            Self::There(server) => {
                let mut files = Files::new();
                read_folder(folder, "revision", &mut files)?;
                let more = json!({ "folder": folder, "folder_files": files });
                self.asked(server, table, "refresh", directory, more).await
            }
        }
    }

    /// Bind a contract to a table that was changed by hand.
    pub(crate) async fn refresh_to_contract(&self, table: &str, contract: Contract) -> anyhow::Result<Step> {
        match self {
            Self::Here(host) => host.refresh_to_contract(table, contract).await.or_fail(),
            Self::There(server) => {
                let body = json!({ "contract": contract });
                server.post(&["tables", table, "revisions", "refresh"], &body).await
            }
        }
    }

    async fn steps(
        &self,
        table: &str,
        verb: &str,
        target: &str,
        directory: &Path,
        done: impl Fn(&Step),
    ) -> anyhow::Result<StepsMade> {
        let server = self.server()?;
        let steps: StepsThere =
            self.asked(server, table, verb, directory, json!({ "target": target })).await?;
        steps.done.iter().for_each(done);
        let failed = match steps.error {
            Some(error) => Some(failure_of(error).ok_or_else(|| server.odd("a failure without a code"))?),
            None => None,
        };
        Ok(StepsMade { done: steps.done, failed })
    }

    /// Ask something of a table and the folders of its revisions.
    async fn asked<T: DeserializeOwned>(
        &self,
        server: &Server,
        table: &str,
        verb: &str,
        directory: &Path,
        more: Value,
    ) -> anyhow::Result<T> {
        let identifier = self.table(table).await?.contract.identifier;
        let mut body = Map::new();
        body.insert("directory".to_owned(), json!(directory));
        body.insert("files".to_owned(), json!(read_all(&directory.join(identifier))?));
        if let Value::Object(more) = more {
            body.extend(more);
        }
        let call = Call::post(server.at(&["tables", table, "revisions", verb])).json(&body)?;
        server.ask(call.long()).await
    }

    /// Have files written, here.
    async fn written(
        &self,
        server: &Server,
        table: &str,
        verb: &str,
        directory: &Path,
        more: Value,
    ) -> anyhow::Result<Option<WrittenRevision>> {
        let written: WrittenThere = self.asked(server, table, verb, directory, more).await?;
        if let Some(revision) = &written.revision {
            // The name of a directory of this machine: nothing that leads out of it.
            if !is_plain(&revision.table) {
                return Err(server.odd("an odd identifier").into());
            }
            write_all(server, &directory.join(&revision.table), &written.files)?;
        }
        Ok(written.revision)
    }
}
