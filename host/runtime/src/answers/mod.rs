//! What people and programs are told, as documents: those that `datanode … --json` prints, and a server answers.
//!
//! A command that asks a server shows what the server answered, by the same lines that show what this process has found
//! itself. So each document is made in one place, here, is written and read by the same type, and holds all that is shown.

mod backfills;
mod difference;
mod frames;
mod graph;
mod nodes;
mod people;
mod tables;
mod tail_delete;

pub use backfills::{BackfillDetail, BackfillDocument};
pub use difference::{ChangeEntry, DifferenceDocument};
pub use frames::{DebugRuns, DryRunDocument, FrameDocument, RowExample, StoredDocument};
pub use graph::{GraphEdge, GraphNode, LastRun, NodeGraph, PublishedTable};
pub use nodes::{CreatedNode, HeldNode, NodeDetail, WindowDocument};
pub use people::{IssuedToken, RoleChange, RoleRequest, TeamDetail, TokenDocument, UserDetail};
pub use tables::{
    CoordinateDifference, HeldCoordinate, ListedTable, ReferredBy, TableDetail, TableDigest, TableStatistics,
    VerifiedTable,
};
pub use tail_delete::{DeletedTail, ReopenedNode, ScopeDocument, TailStatistics, tail_query};
