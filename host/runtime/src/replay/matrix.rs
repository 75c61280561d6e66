//! The determinism matrix: a recorded run, executed again in every way in which this machine can execute it.
//!
//! A replay shows that a run does the same again in the way in which nodes run. The matrix shows that the way does not
//! matter: the same journal answers the guest in each [`Cell`], and each must ask for the same, emit the same bytes and
//! use the same fuel as the run that was recorded. So a row does not depend on the machine that computed it.

use datanode_core::component::ComponentClass;
use datanode_core::digest::Digest;
use datanode_core::run::RunRecord;
use datanode_sandbox::{Cell, Sandbox};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Difference, Ends, Executed, Material, Verdict, execute, until};
use crate::{Host, RuntimeError, Stop};

/// How many times as much stack a guest has as in its run: frames of code that is not optimised, and those of the
/// interpreter, are larger.
const STACK: u64 = 8;

/// A recorded run in all cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixRun {
    /// The run.
    pub run_id: String,
    /// Identifier of its output table at the time.
    pub table: String,
    /// Component name.
    pub component: String,
    /// Component release.
    pub component_version: Version,
    /// What the component imports.
    pub component_class: ComponentClass,
    /// Digest of what the run emitted; null when it emitted nothing.
    pub recorded: Option<Digest>,
    /// The cells; none where the run cannot be executed again at all.
    pub cells: Vec<CellResult>,
    /// Whether all cells that this machine has did what was recorded, and used the same fuel; null where the run cannot
    /// be executed again at all.
    pub equal: Option<bool>,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// What became of it in one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellResult {
    /// The cell.
    pub cell: Cell,
    /// What was found.
    #[serde(flatten)]
    pub verdict: CellVerdict,
    /// Digest of what was emitted there, as far as it came; null when nothing was.
    pub output_digest: Option<Digest>,
    /// Host calls that were compared.
    pub calls: u64,
    /// Fuel that was used there.
    pub fuel: u64,
}

/// What was found in one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum CellVerdict {
    /// What was recorded, to the byte.
    Equal,
    /// The first thing that differs.
    Different(Difference),
    /// This machine has no such cell.
    NotHere {
        /// Why.
        why: String,
    },
    /// It was not executed to its end, for a reason of this machine.
    NotFinished {
        /// Why.
        why: String,
    },
}

impl Host {
    /// Execute a run of the catalogue again in each of these cells, unless it is told to stop; `done` is told of each.
    pub async fn run_in_cells(
        &self,
        reference: &str,
        cells: &[Cell],
        stop: &Stop,
        mut done: impl FnMut() + Send + 'static,
    ) -> Result<MatrixRun, RuntimeError> {
        let material = self.material(self.store.run(reference).await?).await?;
        let guest = material.interrupt.clone();
        let (sandbox, cells) = (self.sandbox.clone(), cells.to_vec());
        let work = tokio::task::spawn_blocking(move || run(&sandbox, &material, &cells, &mut done));
        until(stop, &guest, work).await
    }
}

/// One run in all cells.
pub(super) fn run(
    sandbox: &Sandbox,
    material: &Material,
    cells: &[Cell],
    done: &mut dyn FnMut(),
) -> Result<MatrixRun, RuntimeError> {
    let mut results: Vec<CellResult> = Vec::with_capacity(cells.len());
    for cell in cells {
        if material.interrupt.is_interrupted() {
            return Err(RuntimeError::Interrupted);
        }
        match in_cell(sandbox, material, *cell) {
            Ok(result) => results.push(result),
            Err(Ends::Error(error)) => return Err(*error),
            Err(Ends::Verdict(verdict)) => match *verdict {
                Verdict::CannotReplay { missing, .. } => {
                    return Ok(answer(&material.record, Vec::new(), Some(missing)));
                }
                // What is kept of the run is damaged: so it is in every cell.
                Verdict::Different(difference) => {
                    results.push(result(*cell, CellVerdict::Different(difference)));
                }
                Verdict::Identical => {}
            },
        }
        done();
    }
    compare_fuel(&mut results);
    Ok(answer(&material.record, results, None))
}

fn in_cell(sandbox: &Sandbox, material: &Material, cell: Cell) -> Result<CellResult, Ends> {
    if let Some(why) = cell.missing() {
        return Ok(result(cell, CellVerdict::NotHere { why: why.to_owned() }));
    }
    let sandbox = match sandbox.moved_to(cell) {
        Ok(sandbox) => sandbox,
        Err(error) => return Ok(result(cell, CellVerdict::NotHere { why: error.to_string() })),
    };
    match execute(&sandbox, material, STACK) {
        Ok(Executed { verdict, calls, output_digest, fuel }) => Ok(CellResult {
            cell,
            verdict: match verdict {
                Verdict::Identical => CellVerdict::Equal,
                Verdict::Different(difference) => CellVerdict::Different(difference),
                Verdict::CannotReplay { missing, next_step } => {
                    return Err(Ends::Verdict(Box::new(Verdict::CannotReplay { missing, next_step })));
                }
            },
            output_digest,
            calls,
            fuel,
        }),
        Err(Ends::Error(error)) => Ok(result(cell, CellVerdict::NotFinished { why: error.to_string() })),
        Err(verdict) => Err(verdict),
    }
}

fn result(cell: Cell, verdict: CellVerdict) -> CellResult {
    CellResult { cell, verdict, output_digest: None, calls: 0, fuel: 0 }
}

/// What was recorded by another version of the engine says nothing about fuel, but the cells are of one version.
fn compare_fuel(results: &mut [CellResult]) {
    let equal = |result: &&CellResult| result.verdict == CellVerdict::Equal;
    let Some((cell, fuel)) = results.iter().find(equal).map(|first| (first.cell, first.fuel)) else { return };
    for result in
        results.iter_mut().filter(|result| result.verdict == CellVerdict::Equal && result.fuel != fuel)
    {
        result.verdict = CellVerdict::Different(Difference {
            what: format!("the fuel (beside {})", cell.name()),
            call: None,
            recorded: fuel.to_string(),
            replayed: result.fuel.to_string(),
        });
    }
}

fn answer(record: &RunRecord, cells: Vec<CellResult>, missing: Option<String>) -> MatrixRun {
    let is_well =
        |cell: &CellResult| matches!(cell.verdict, CellVerdict::Equal | CellVerdict::NotHere { .. });
    let any = cells.iter().any(|cell| cell.verdict == CellVerdict::Equal);
    MatrixRun {
        run_id: record.run_id.clone(),
        table: record.table.clone(),
        component: record.component.clone(),
        component_version: record.component_version.clone(),
        component_class: record.component_class,
        recorded: record.output_digest,
        equal: missing.is_none().then(|| any && cells.iter().all(is_well)),
        cells,
        missing,
    }
}
