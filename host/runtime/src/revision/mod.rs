//! Revisions of tables: folders on one side, a catalogue and a database on the other.
//!
//! The rules are in [`datanode_core::revision`], the transactions in the store. Here folders are read and written, and
//! each step is put to the store.

mod folder;

use std::path::{Path, PathBuf};

use datanode_core::Timestamp;
use datanode_core::contract::Contract;
use datanode_core::revision::statement::{MAX_STATEMENTS, left_to_edit, split};
use datanode_core::revision::{self, Dialect, MAX_MESSAGE_BYTES, RevisionError, RevisionFile, chain, plan};
use datanode_store::{
    AppliedRevision, ApplyRevision, BindContract, MovedTable, NodeFilter, RevertRevision, SqlText,
    StoreError, Table,
};
use serde::{Deserialize, Serialize};

use crate::{Host, RuntimeError, clock};
use folder::{Folder, NewFolder};

/// How a table without a revision is called.
const BASE: &str = "base";

/// A revision that was written or sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WrittenRevision {
    /// Its id.
    pub revision: String,
    /// The one that it follows.
    pub parent: Option<String>,
    /// Identifier of the table.
    pub table: String,
    /// What it is for.
    pub message: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What it does.
    pub operations: Vec<String>,
    /// What is lost on the way there.
    pub loses: Vec<String>,
    /// What is lost on the way back.
    pub loses_on_downgrade: Vec<String>,
    /// What a person has yet to write, each with its file and line: first for the database in use.
    pub to_edit: Vec<String>,
    /// Kinds of database for which no SQL was written, and why.
    pub left_out: Vec<String>,
}

/// A step of a table, there or back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// Identifier of the table.
    pub table: String,
    /// Where it went.
    pub direction: Direction,
    /// The revision that was applied or taken back; None for a contract that was bound without one.
    pub revision: Option<String>,
    /// What it is for.
    pub message: Option<String>,
    /// Where the table stands now; None: as it was registered.
    pub current: Option<String>,
    /// Rows before.
    pub rows_before: u64,
    /// Rows after.
    pub rows_after: u64,
    /// What an operator should know: nodes that no longer fit, a way back that is not written.
    pub warnings: Vec<String>,
}

/// Which way a step led.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A revision was applied.
    Upgrade,
    /// A revision was taken back.
    Downgrade,
    /// The catalogue was bound to what was there.
    Refresh,
}

/// The steps that were made, and why there are no more of them.
#[derive(Debug)]
pub struct Steps {
    /// In their order. Each is in the database for good.
    pub done: Vec<Step>,
    /// What the next one failed of; None when all were made.
    pub failed: Option<RuntimeError>,
}

/// Where a table stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Standing {
    /// Identifier of the table.
    pub table: String,
    /// Its uid.
    pub uid: String,
    /// The revision; None: as it was registered.
    pub current: Option<String>,
    /// The last revision that is written.
    pub head: Option<String>,
    /// Revisions that are written and not applied.
    pub pending: u64,
    /// Where the table in the database differs from its contract.
    pub drift: Vec<String>,
}

/// One revision of a table's history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Its id.
    pub revision: String,
    /// The one before.
    pub parent: Option<String>,
    /// What it is for.
    pub message: String,
    /// What it does.
    pub operations: Vec<String>,
    /// Whether the table stands here.
    pub current: bool,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
    /// Rows after it, when it was applied.
    pub rows_after: Option<u64>,
    /// Its folder, where there is one.
    pub folder: Option<PathBuf>,
}

/// A table, the revisions that it has, and those that are written.
struct Revised<'d> {
    directory: &'d Path,
    dialect: Dialect,
    table: Table,
    applied: Vec<AppliedRevision>,
    chain: Vec<Folder>,
}

impl Revised<'_> {
    fn identifier(&self) -> &str {
        &self.table.contract.identifier
    }

    fn current(&self) -> Option<&str> {
        self.applied.last().map(|revision| revision.revision.as_str())
    }

    fn head(&self) -> Option<&str> {
        self.chain.last().map(|folder| folder.file.revision.as_str())
    }

    fn ids(&self) -> Vec<String> {
        self.chain.iter().map(|folder| folder.file.revision.clone()).collect()
    }

    /// What is applied is the beginning of the chain, and lies there as it was applied.
    fn check(&self) -> Result<(), RevisionError> {
        for (at, applied) in self.applied.iter().enumerate() {
            let table = || self.identifier().to_owned();
            let revision = || applied.revision.clone();
            let Some(folder) = self.chain.get(at).filter(|folder| folder.file.revision == applied.revision)
            else {
                let directory = self.directory.join(self.identifier()).display().to_string();
                return Err(RevisionError::Missing { table: table(), revision: revision(), directory });
            };
            let place = folder.path.display().to_string();
            match folder.sealed(self.dialect) {
                Ok(_) if folder.file.digest(self.dialect) == applied.digest => {}
                Err(other) if !matches!(other, RevisionError::Unsealed { .. }) => return Err(other),
                _ => return Err(RevisionError::Changed { table: table(), revision: revision(), place }),
            }
        }
        Ok(())
    }
}

impl Host {
    async fn revised<'d>(&self, reference: &str, directory: &'d Path) -> Result<Revised<'d>, RuntimeError> {
        let table = self.store.table(reference).await?;
        let applied = self.store.applied_revisions(&table.uid).await?;
        let chain = folder::chain(directory, &table.contract.identifier)?;
        Ok(Revised { directory, dialect: self.store.dialect(), table, applied, chain })
    }

    /// Write a revision that leads from the contract of a table to another; None when they mean the same. Without a
    /// contract it is for SQL that a person writes.
    pub async fn write_revision(
        &self,
        reference: &str,
        message: &str,
        contract: Option<Contract>,
        directory: &Path,
    ) -> Result<Option<WrittenRevision>, RuntimeError> {
        let revised = self.revised(reference, directory).await?;
        if message.trim().is_empty() || message.len() > MAX_MESSAGE_BYTES {
            return Err(RevisionError::Message { table: revised.identifier().to_owned() }.into());
        }
        revised.check()?;
        if revised.current() != revised.head() {
            let say = |revision: Option<&str>| revision.unwrap_or(BASE).to_owned();
            return Err(RevisionError::NotAtHead {
                table: revised.identifier().to_owned(),
                current: say(revised.current()),
                head: say(revised.head()),
            }
            .into());
        }
        let uid = &revised.table.uid;
        if let Some(contract) = &contract
            && contract.identifier != revised.identifier()
        {
            return Err(RevisionError::OtherTable {
                table: revised.identifier().to_owned(),
                found: contract.identifier.clone(),
            }
            .into());
        }
        let by_hand = contract.is_none();
        let before = self.store.resolve_contract(uid, revised.table.contract.clone()).await?;
        let after = self.store.resolve_contract(uid, contract.unwrap_or_else(|| before.clone())).await?;
        let operations = plan::operations(&before, &after)?;
        if operations.is_empty() && !by_hand {
            return Ok(None);
        }
        let scripts = self.store.write_scripts(uid, after.clone()).await?;
        let file = RevisionFile {
            revision: revision::id(revised.head(), message, &after),
            parent: revised.head().map(str::to_owned),
            table: revised.identifier().to_owned(),
            uid: uid.clone(),
            message: message.to_owned(),
            operations: plan::lines(&operations),
            loses: plan::losses(&before, &after),
            loses_on_downgrade: plan::losses(&after, &before),
            files: std::collections::BTreeMap::new(),
        };
        let new = NewFolder { file, before: &before, after: &after, sql: &scripts.written };
        let written = folder::write(directory, revised.chain.len() + 1, new)?;
        let left_out =
            scripts.left_out.iter().map(|(dialect, problem)| format!("{dialect}: {problem}")).collect();
        Ok(Some(WrittenRevision { left_out, ..describe(&written, revised.dialect)? }))
    }

    /// Write the SQL of the database in use into the next revision, which has been written without.
    pub async fn complete_revision(
        &self,
        reference: &str,
        revision: &str,
        directory: &Path,
    ) -> Result<WrittenRevision, RuntimeError> {
        let mut revised = self.revised(reference, directory).await?;
        revised.check()?;
        let (dialect, uid) = (revised.dialect, revised.table.uid.clone());
        let next = revised.applied.len();
        let at = chain::resolve(revised.identifier(), &revised.ids(), next, revision)?;
        let not_found = RevisionError::NotFound {
            table: revised.identifier().to_owned(),
            reference: revision.to_owned(),
            known: revised.ids(),
        };
        let folder = at.checked_sub(1).and_then(|at| revised.chain.get_mut(at)).ok_or(not_found)?;
        let bad = |problem: &str| RevisionError::Folder {
            place: folder.path.display().to_string(),
            problem: problem.to_owned(),
        };
        if folder.has_sql(dialect) {
            return Err(bad("it has the SQL of this database already").into());
        }
        if at != next + 1 {
            return Err(
                bad("its SQL follows from where the table is then: apply those before it first").into()
            );
        }
        let (_, after) = folder.contracts()?;
        let after = self.store.resolve_contract(&uid, after).await?;
        let scripts = self.store.write_scripts(&uid, after).await?;
        if let Some(script) = scripts.of(dialect) {
            folder.add(script)?;
        }
        Ok(describe(folder, dialect)?)
    }

    /// Take the edits of a revision over: its digests become those of its files.
    pub async fn seal_revision(
        &self,
        reference: &str,
        revision: &str,
        directory: &Path,
    ) -> Result<WrittenRevision, RuntimeError> {
        let mut revised = self.revised(reference, directory).await?;
        let dialect = revised.dialect;
        let at = chain::resolve(revised.identifier(), &revised.ids(), revised.applied.len(), revision)?;
        let not_found = RevisionError::NotFound {
            table: revised.identifier().to_owned(),
            reference: revision.to_owned(),
            known: revised.ids(),
        };
        let folder = at.checked_sub(1).and_then(|at| revised.chain.get_mut(at)).ok_or(not_found)?;
        if revised.applied.iter().any(|applied| applied.revision == folder.file.revision) {
            return Err(RevisionError::Applied {
                table: folder.file.table.clone(),
                revision: folder.file.revision.clone(),
            }
            .into());
        }
        let (before, after) = folder.contracts()?;
        for (name, text) in folder.all_sql(dialect)? {
            if let Some(first) = split(&text).get(MAX_STATEMENTS) {
                return Err(RevisionError::StatementRefused {
                    file: folder.place(name),
                    line: first.line,
                    problem: format!("more than {MAX_STATEMENTS} statements"),
                }
                .into());
            }
        }
        folder.file.operations = plan::lines(&plan::operations(&before, &after)?);
        folder.file.loses = plan::losses(&before, &after);
        folder.file.loses_on_downgrade = plan::losses(&after, &before);
        folder.seal()?;
        Ok(describe(folder, dialect)?)
    }

    /// Apply revisions up to a target, each in a transaction of its own. `done` hears of each.
    pub async fn upgrade_table(
        &self,
        reference: &str,
        target: &str,
        directory: &Path,
        done: impl Fn(&Step),
    ) -> Result<Steps, RuntimeError> {
        let revised = self.revised(reference, directory).await?;
        revised.check()?;
        let (at, to) = reach(&revised, target, true)?;
        let mut steps = Steps { done: Vec::new(), failed: None };
        if at == to {
            self.refuse_drift(&revised).await?;
        }
        for folder in &revised.chain[at..to] {
            match self.apply(&revised.table.uid, folder, true).await {
                Ok(step) => {
                    done(&step);
                    steps.done.push(step);
                }
                Err(error) => {
                    steps.failed = Some(error);
                    break;
                }
            }
        }
        Ok(steps)
    }

    /// Each step compares the table with its contract before and after. Where there is none to make, the answer that the
    /// table is there already must be as true.
    async fn refuse_drift(&self, revised: &Revised<'_>) -> Result<(), RuntimeError> {
        let differences = self.store.table_drift(&revised.table.uid).await?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(RevisionError::Drifted { table: revised.identifier().to_owned(), differences }.into())
    }

    async fn apply(&self, uid: &str, folder: &Folder, run: bool) -> Result<Step, RuntimeError> {
        let dialect = self.store.dialect();
        let sealed = folder.sealed(dialect)?;
        let apply = ApplyRevision {
            table_uid: uid.to_owned(),
            revision: folder.file.revision.clone(),
            parent: folder.file.parent.clone(),
            message: folder.file.message.clone(),
            digest: folder.file.digest(dialect),
            before: sealed.before,
            after: sealed.after,
            up: SqlText { file: folder.place(dialect.up_file()), text: sealed.up },
            down: sealed.down,
            run,
            now: clock::now(),
        };
        let down_line = left_to_edit(&apply.down);
        let file = &folder.file;
        let applied = self.store.apply_revision(apply).await;
        let moved = if run { applied.map_err(of_step(&file.table, &file.revision, false)) } else { applied }?;
        let direction = if run { Direction::Upgrade } else { Direction::Refresh };
        let mut step = self.step(direction, moved, Some(&folder.file)).await;
        step.warnings.extend(down_line.map(|line| {
            format!(
                "this revision cannot be undone: {}, line {line} has `EDIT_THIS`",
                folder.place(dialect.down_file())
            )
        }));
        Ok(step)
    }

    /// Take revisions back down to a target, each in a transaction of its own. `done` hears of each.
    pub async fn downgrade_table(
        &self,
        reference: &str,
        target: &str,
        directory: &Path,
        done: impl Fn(&Step),
    ) -> Result<Steps, RuntimeError> {
        let revised = self.revised(reference, directory).await?;
        let (at, to) = reach(&revised, target, false)?;
        let mut steps = Steps { done: Vec::new(), failed: None };
        if at == to {
            self.refuse_drift(&revised).await?;
        }
        for applied in revised.applied[to..at].iter().rev() {
            let revert =
                RevertRevision { table_uid: revised.table.uid.clone(), revision: applied.revision.clone() };
            let reverted = self.store.revert_revision(revert).await;
            match reverted.map_err(of_step(revised.identifier(), &applied.revision, true)) {
                Ok(moved) => {
                    let mut step = self.step(Direction::Downgrade, moved, None).await;
                    step.revision = Some(applied.revision.clone());
                    step.message = Some(applied.message.clone());
                    done(&step);
                    steps.done.push(step);
                }
                Err(error) => {
                    steps.failed = Some(error.into());
                    break;
                }
            }
        }
        Ok(steps)
    }

    /// Bind the catalogue to a table on which a person has run the SQL of the next revision by hand.
    pub async fn refresh_to_revision(
        &self,
        reference: &str,
        folder: &Path,
        directory: &Path,
    ) -> Result<Step, RuntimeError> {
        let revised = self.revised(reference, directory).await?;
        revised.check()?;
        let folder = Folder::open(folder)?;
        if folder.file.table != revised.identifier() {
            return Err(RevisionError::OtherTable {
                table: revised.identifier().to_owned(),
                found: folder.file.table,
            }
            .into());
        }
        self.apply(&revised.table.uid, &folder, false).await
    }

    /// Bind a contract to a table that a person has changed by hand.
    pub async fn refresh_to_contract(
        &self,
        reference: &str,
        contract: Contract,
    ) -> Result<Step, RuntimeError> {
        let table = self.store.table(reference).await?;
        let bind = BindContract { table_uid: table.uid, contract };
        let moved = self.store.bind_contract(bind).await?;
        Ok(self.step(Direction::Refresh, moved, None).await)
    }

    /// Where a table stands.
    pub async fn table_standing(&self, reference: &str, directory: &Path) -> Result<Standing, RuntimeError> {
        let revised = self.revised(reference, directory).await?;
        revised.check()?;
        let drift = self.store.table_drift(&revised.table.uid).await?;
        Ok(Standing {
            table: revised.identifier().to_owned(),
            uid: revised.table.uid.clone(),
            current: revised.current().map(str::to_owned),
            head: revised.head().map(str::to_owned),
            pending: (revised.chain.len() - revised.applied.len()) as u64,
            drift,
        })
    }

    /// The revisions of a table, those that are applied and those that are written.
    pub async fn table_history(
        &self,
        reference: &str,
        directory: &Path,
    ) -> Result<Vec<HistoryEntry>, RuntimeError> {
        let revised = self.revised(reference, directory).await?;
        let current = revised.current();
        let folder_of = |id: &str| revised.chain.iter().find(|folder| folder.file.revision == id);
        let applied = revised.applied.iter().map(|applied| {
            let folder = folder_of(&applied.revision);
            HistoryEntry {
                revision: applied.revision.clone(),
                parent: applied.parent.clone(),
                message: applied.message.clone(),
                operations: folder.map(|folder| folder.file.operations.clone()).unwrap_or_default(),
                current: current == Some(applied.revision.as_str()),
                applied_at: Some(applied.applied_at),
                rows_after: Some(applied.rows_after),
                folder: folder.map(|folder| folder.path.clone()),
            }
        });
        let is_applied = |id: &str| revised.applied.iter().any(|applied| applied.revision == id);
        let written =
            revised.chain.iter().filter(|folder| !is_applied(&folder.file.revision)).map(|folder| {
                HistoryEntry {
                    revision: folder.file.revision.clone(),
                    parent: folder.file.parent.clone(),
                    message: folder.file.message.clone(),
                    operations: folder.file.operations.clone(),
                    current: false,
                    applied_at: None,
                    rows_after: None,
                    folder: Some(folder.path.clone()),
                }
            });
        Ok(applied.chain(written).collect())
    }

    async fn step(&self, direction: Direction, moved: MovedTable, file: Option<&RevisionFile>) -> Step {
        Step {
            table: moved.table.contract.identifier.clone(),
            direction,
            revision: file.map(|file| file.revision.clone()),
            message: file.map(|file| file.message.clone()),
            current: moved.revision,
            rows_before: moved.rows_before,
            rows_after: moved.rows_after,
            warnings: self.nodes_that_do_not_fit(&moved.table).await,
        }
    }

    /// The nodes that write a table and whose component declares an output that is not the table's any more. The step
    /// is made by then: what cannot be looked up is no reason to call it failed.
    async fn nodes_that_do_not_fit(&self, table: &Table) -> Vec<String> {
        let mut warnings = Vec::new();
        for node in self.store.some_nodes(&NodeFilter::writing(&table.uid)).await.unwrap_or_default() {
            let Ok(release) = self.release(&node.component, node.pinned_digest.as_ref()).await else {
                continue;
            };
            let problems = release.manifest.output_mismatches(&table.contract);
            warnings.extend(problems.into_iter().map(|problem| {
                format!("node {} ({}) does not fit any more: {problem}", node.update_hash, node.component)
            }));
        }
        warnings
    }
}

/// Says of what the store refused which step it was.
fn of_step(table: &str, revision: &str, back: bool) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Revision(error) => error.of_step(table, revision, back).into(),
        other => other,
    }
}

/// How many revisions are applied, and how many should be.
fn reach(revised: &Revised<'_>, target: &str, forward: bool) -> Result<(usize, usize), RevisionError> {
    let at = revised.applied.len();
    // The way back is in the catalogue: it needs no folder.
    let applied = || revised.applied.iter().map(|applied| applied.revision.clone()).collect();
    let ids = if forward { revised.ids() } else { applied() };
    let to = match chain::resolve(revised.identifier(), &ids, at, target) {
        // A revision that is written and not applied is known, but not behind.
        Err(RevisionError::NotFound { .. }) if !forward => {
            chain::resolve(revised.identifier(), &revised.ids(), at, target)?
        }
        answer => answer?,
    };
    if (forward && to < at) || (!forward && to > at) {
        let say = |at: usize| {
            let folder = at.checked_sub(1).and_then(|at| revised.chain.get(at));
            folder.map_or(BASE.to_owned(), |folder| folder.file.revision.clone())
        };
        return Err(RevisionError::Direction {
            table: revised.identifier().to_owned(),
            current: revised.current().unwrap_or(BASE).to_owned(),
            target: say(to),
            back: forward,
        });
    }
    Ok((at, to))
}

fn describe(folder: &Folder, here: Dialect) -> Result<WrittenRevision, RevisionError> {
    let to_edit = folder
        .all_sql(here)?
        .into_iter()
        .filter_map(|(name, text)| {
            left_to_edit(&text).map(|line| format!("{}, line {line}", folder.place(name)))
        })
        .collect();
    let RevisionFile { revision, parent, table, message, operations, loses, loses_on_downgrade, .. } =
        folder.file.clone();
    Ok(WrittenRevision {
        revision,
        parent,
        table,
        message,
        folder: folder.path.clone(),
        operations,
        loses,
        loses_on_downgrade,
        to_edit,
        left_out: Vec::new(),
    })
}
