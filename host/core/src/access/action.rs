//! What can be asked for, and what each needs.

use super::{Right, Role};

/// Something that somebody wants to do, as far as rights tell it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Look at what is no table's: components, versions, who one is oneself. Lists of tables, nodes and runs are
    /// another thing: they hold what [`Action::ReadTable`] allows.
    Browse,
    /// Look at a table: its contract, its rows, SQL over it, its progress, its nodes, runs, and who may see it.
    ReadTable,
    /// Register a table in a namespace.
    RegisterTable,
    /// Change a table and its rows: labels, descriptions, cadence, loads, deleted tails, its place in the search index,
    /// rows of the producer protocol.
    EditTable,
    /// Change what a table means to others: move its identifier, apply revisions, bind another contract, remove it.
    ReshapeTable,
    /// Say who may see and change a table.
    ShareTable,
    /// Create, set and run what writes a table: runs, backfills, their end.
    RunNode,
    /// Compute a recorded run again. It writes nothing.
    ReplayRun,
    /// Upload and judge components, enable and disable releases.
    UploadComponent,
    /// Remove releases.
    RemoveComponent,
    /// Add, change and remove sources, grants and secrets.
    GrantSource,
    /// Look at sources and at who may read them, and at the names of secrets.
    ReadSources,
    /// Look at users and teams, which somebody needs who shares a table.
    ReadPeople,
    /// Have tokens of one's own: list, create within one's own rights, revoke.
    OwnTokens,
    /// Users, teams, roles beyond a table, and tokens of others.
    ManagePeople,
    /// Look at the audit log.
    ReadAudit,
}

/// What an action needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The right of the token.
    pub right: Right,
    /// The role on what it is about; None: any user has it.
    pub role: Option<Role>,
    /// Whether only a role on the organisation will do, whatever it is about.
    pub is_of_organisation: bool,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Browse,
        Self::ReadTable,
        Self::RegisterTable,
        Self::EditTable,
        Self::ReshapeTable,
        Self::ShareTable,
        Self::RunNode,
        Self::ReplayRun,
        Self::UploadComponent,
        Self::RemoveComponent,
        Self::GrantSource,
        Self::ReadSources,
        Self::ReadPeople,
        Self::OwnTokens,
        Self::ManagePeople,
        Self::ReadAudit,
    ];

    /// What it needs. This table is the whole of the policy; `docs/people.md` has it for people.
    pub fn need(self) -> Need {
        let of_table = |right, role| Need { right, role: Some(role), is_of_organisation: false };
        let of_all = |right, role| Need { right, role: Some(role), is_of_organisation: true };
        let of_nothing = |right| Need { right, role: None, is_of_organisation: false };
        match self {
            Self::Browse => of_nothing(Right::Read),
            Self::ReadTable => of_table(Right::Read, Role::Viewer),
            Self::RegisterTable | Self::EditTable => of_table(Right::Write, Role::Editor),
            Self::ReshapeTable => of_table(Right::Write, Role::Admin),
            Self::ShareTable => of_table(Right::Manage, Role::Admin),
            Self::RunNode => of_table(Right::Run, Role::Editor),
            Self::ReplayRun => of_table(Right::Run, Role::Viewer),
            // A release runs for everybody, whatever table it was meant for.
            Self::UploadComponent => of_all(Right::Upload, Role::Editor),
            Self::RemoveComponent => of_all(Right::Upload, Role::Admin),
            Self::GrantSource => of_all(Right::Grant, Role::Admin),
            Self::ReadSources => of_all(Right::Read, Role::Viewer),
            Self::ReadPeople | Self::OwnTokens => of_nothing(Right::Manage),
            Self::ManagePeople | Self::ReadAudit => of_all(Right::Manage, Role::Admin),
        }
    }

    /// What one does, for messages: "to … needs".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Browse => "look at",
            Self::ReadTable => "read",
            Self::RegisterTable => "register a table in",
            Self::EditTable => "change",
            Self::ReshapeTable => "reshape",
            Self::ShareTable => "share",
            Self::RunNode => "run nodes that write",
            Self::ReplayRun => "replay runs of",
            Self::UploadComponent => "upload components to",
            Self::RemoveComponent => "remove components from",
            Self::GrantSource => "change sources, grants and secrets of",
            Self::ReadSources => "look at the sources of",
            Self::ReadPeople => "look at the people of",
            Self::OwnTokens => "have tokens of one's own in",
            Self::ManagePeople => "manage the people of",
            Self::ReadAudit => "read the audit log of",
        }
    }
}
