//! Tables: what they are, and what becomes of them.

use std::path::Path;

use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::sql::{SqlAnswer, SqlLimits};
use datanode_runtime::answers::{
    DeletedTail, DifferenceDocument, ListedTable, ScopeDocument, TableDetail, TableDigest, TableStatistics,
    VerifiedTable,
};
use datanode_runtime::{FileFormat, Host};
use datanode_store::{DeleteAfter, Loaded, RegisteredTable, Repointed, Table};
use serde_json::json;

use super::Place;
use crate::failure::OrFail;
use crate::progress::RowCounter;
use crate::remote::Call;

impl Place {
    /// All tables, by identifier.
    pub(crate) async fn tables(&self) -> anyhow::Result<Vec<ListedTable>> {
        match self {
            Self::Here(host) => host.listed_tables().await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["tables"]))).await,
        }
    }

    /// A table by identifier or uid.
    pub(crate) async fn table(&self, reference: &str) -> anyhow::Result<Table> {
        match self {
            Self::Here(host) => host.store().table(reference).await.or_fail(),
            Self::There(_) => Ok(self.table_detail(reference).await?.listed.table),
        }
    }

    /// Everything that is shown of one table.
    pub(crate) async fn table_detail(&self, reference: &str) -> anyhow::Result<TableDetail> {
        match self {
            Self::Here(host) => host.table_detail(reference).await.or_fail(),
            Self::There(server) => server.get(&["tables", reference]).await,
        }
    }

    /// Register a table, or take over new metadata for one that is there.
    pub(crate) async fn register_table(&self, contract: &Contract) -> anyhow::Result<RegisteredTable> {
        match self {
            Self::Here(host) => host.register_table(contract).await.or_fail(),
            Self::There(server) => server.post(&["tables"], contract).await,
        }
    }

    /// What registering a contract would change.
    pub(crate) async fn difference(&self, contract: &Contract) -> anyhow::Result<DifferenceDocument> {
        match self {
            Self::Here(host) => host.contract_difference(contract).await.or_fail(),
            Self::There(server) => server.post(&["tables", "diff"], contract).await,
        }
    }

    /// Change what people read of a table.
    pub(crate) async fn edit_table(
        &self,
        reference: &str,
        edit: &MetadataEdit,
    ) -> anyhow::Result<RegisteredTable> {
        match self {
            Self::Here(host) => host.store().edit_table(reference, edit).await.or_fail(),
            Self::There(server) => {
                let call = Call::patch(server.at(&["tables", reference])).json(edit)?;
                server.ask(call).await
            }
        }
    }

    /// Let a table take an identifier over.
    pub(crate) async fn repoint(
        &self,
        identifier: &str,
        to: &str,
        rename_old: Option<&str>,
    ) -> anyhow::Result<Repointed> {
        match self {
            Self::Here(host) => host.store().repoint(identifier, to, rename_old).await.or_fail(),
            Self::There(server) => {
                let body = json!({ "to": to, "rename_old": rename_old });
                server.post(&["tables", identifier, "repoint"], &body).await
            }
        }
    }

    /// The progress of a table.
    pub(crate) async fn statistics(&self, reference: &str) -> anyhow::Result<TableStatistics> {
        match self {
            Self::Here(host) => host.table_statistics(reference).await.or_fail(),
            Self::There(server) => server.get(&["tables", reference, "statistics"]).await,
        }
    }

    /// Count the rows of a table anew.
    pub(crate) async fn verified(&self, reference: &str) -> anyhow::Result<VerifiedTable> {
        match self {
            Self::Here(host) => host.verified_table(reference).await.or_fail(),
            Self::There(server) => {
                let url = server.at(&["tables", reference, "statistics", "verify"]);
                server.ask(Call::post(url).long()).await
            }
        }
    }

    /// The digest of a table's rows.
    pub(crate) async fn digest(&self, reference: &str) -> anyhow::Result<TableDigest> {
        let counter = RowCounter::start("digesting rows", 0);
        match self {
            Self::Here(host) => {
                let table = self.table(reference).await?;
                host.table_digest(&table.uid, &|rows| counter.set(rows)).await.or_fail()
            }
            Self::There(server) => {
                server.ask(Call::get(server.at(&["tables", reference, "digest"])).long()).await
            }
        }
    }

    /// Ask one read-only statement.
    pub(crate) async fn sql(
        &self,
        reference: &str,
        sql: &str,
        limits: &SqlLimits,
    ) -> anyhow::Result<SqlAnswer> {
        match self {
            Self::Here(host) => {
                let table = host.store().table(reference).await.or_fail()?;
                let store = host.store().read_only_sql().or_fail()?;
                store.run_sql(&table, sql, limits).await.or_fail()
            }
            Self::There(server) => {
                let body = json!({
                    "sql": sql, "max_rows": limits.max_rows, "timeout_seconds": limits.timeout.as_secs(),
                });
                let call = Call::post(server.at(&["tables", reference, "query"])).json(&body)?;
                server.ask(call.long()).await
            }
        }
    }

    /// Count the rows that a tail delete would take.
    pub(crate) async fn count_tail(&self, delete: &DeleteAfter) -> anyhow::Result<DeletedTail> {
        match self {
            Self::Here(host) => host.count_tail(delete).await.or_fail(),
            Self::There(_) => self.tail(delete, true).await,
        }
    }

    /// Delete a tail.
    pub(crate) async fn delete_tail(&self, delete: &DeleteAfter) -> anyhow::Result<DeletedTail> {
        match self {
            Self::Here(host) => host.delete_tail(delete).await.or_fail(),
            Self::There(_) => self.tail(delete, false).await,
        }
    }

    async fn tail(&self, delete: &DeleteAfter, dry_run: bool) -> anyhow::Result<DeletedTail> {
        let server = self.server()?;
        let scope = ScopeDocument::from(&delete.scope);
        let body = json!({ "after": delete.after, "scope": scope, "dry_run": dry_run });
        let call = Call::post(server.at(&["tables", &delete.table_uid, "delete-after"])).json(&body)?;
        server.ask(call.long()).await
    }

    /// Store the rows of a file in a reference table.
    pub(crate) async fn load_table(
        &self,
        reference: &str,
        file: &Path,
        format: Option<FileFormat>,
        replace: bool,
    ) -> anyhow::Result<Loaded> {
        match self {
            Self::Here(host) => load_here(host, reference, file, format, replace).await,
            Self::There(server) => server.load(reference, file, format, replace).await,
        }
    }
}

async fn load_here(
    host: &Host,
    reference: &str,
    file: &Path,
    format: Option<FileFormat>,
    replace: bool,
) -> anyhow::Result<Loaded> {
    host.load_table(reference, file, format, replace).await.or_fail()
}
