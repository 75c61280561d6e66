//! What is written down of each change: one function for both databases, so that they say the same.
//!
//! A change that changed nothing writes nothing. Details are what a reader needs to understand the entry years later, and
//! never a secret or rows.
#![allow(clippy::unnecessary_wraps)] // each answers what a change is asked for: an entry, or none

use datanode_core::access::{Actor, Role, Subject};
use datanode_core::backfill::Control;
use datanode_core::difference::Change;
use datanode_core::digest::Digest;
use serde_json::{Value, json};

use super::stored::{from_json, timestamp, to_json};
use crate::{
    AuditEntry, AuditPage, Backfill, DeleteAfter, DeleteScope, Deleted, Loaded, Member, MovedTable, NewAudit,
    Node, NodeSet, RegisteredTable, Repointed, SecretPlace, SourceKind, StoreError, StoredComponent, Table,
    Team, Token, User,
};

/// How much of a change of metadata is written down: descriptions may be long, and the entry is not their archive.
const CHANGE_CHARS: usize = 300;

/// Id, moment, actor, uid of the user, token, action, kind, uid and name of the subject, detail, request.
pub(crate) type RawAudit = (
    i64,
    i64,
    String,
    Option<String>,
    Option<String>,
    String,
    String,
    Option<String>,
    String,
    String,
    Option<String>,
);

pub(crate) fn entry(raw: RawAudit) -> Result<AuditEntry, StoreError> {
    let (id, at, actor, user_uid, token, action, subject_kind, subject_uid, subject, detail, request_id) =
        raw;
    let place = format!("entry {id} of the audit log");
    Ok(AuditEntry {
        id,
        at: timestamp(&place, at)?,
        actor,
        user_uid,
        token,
        action,
        subject_kind,
        subject_uid,
        subject,
        detail: from_json(&place, &detail)?,
        request_id,
    })
}

/// What a row of the log holds beside its moment: of the actor and of the entry.
pub(crate) struct Row<'a> {
    pub(crate) actor: &'a str,
    pub(crate) user_uid: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) detail: String,
}

pub(crate) fn row<'a>(actor: &'a Actor, entry: &NewAudit) -> Result<Row<'a>, StoreError> {
    Ok(Row {
        actor: actor.name(),
        user_uid: actor.user.as_ref().map(|user| user.uid.as_str()),
        token: actor.token.as_deref(),
        request_id: actor.request_id.as_deref(),
        detail: to_json("writing the audit log", &entry.detail)?,
    })
}

/// The first and last action of a filter's `action`: the word itself, and all whose first words these are. `/` is the
/// character after the dot.
pub(crate) fn actions(filter: &str) -> (String, String, String) {
    (filter.to_owned(), format!("{filter}."), format!("{filter}/"))
}

fn of_table(action: &str, table: &Table, detail: Value) -> NewAudit {
    NewAudit::new(action, "table", Some(&table.uid), &table.contract.identifier).with(detail)
}

fn of_component(action: &str, component: &StoredComponent) -> NewAudit {
    let name = format!("{}@{}", component.manifest.name, component.manifest.version);
    NewAudit::new(action, "component", Some(&component.digest.to_string()), &name)
}

fn of_node(action: &str, node: &Node, detail: Value) -> NewAudit {
    NewAudit::new(action, "node", Some(&node.uid), &node.update_hash).with(detail)
}

/// What adding a component did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    New,
    Signed,
    Nothing,
}

pub(crate) fn component_added(added: Added, component: &StoredComponent) -> Option<NewAudit> {
    let detail = json!({ "class": component.class.as_str(), "size": component.size });
    match added {
        Added::New => Some(of_component("component.upload", component).with(detail)),
        Added::Signed => Some(of_component("component.sign", component)),
        Added::Nothing => None,
    }
}

pub(crate) fn component_enabled(changed: bool, component: &StoredComponent) -> Option<NewAudit> {
    let action = if component.enabled { "component.enable" } else { "component.disable" };
    changed.then(|| of_component(action, component))
}

pub(crate) fn component_removed(component: &StoredComponent, recorded: bool) -> Option<NewAudit> {
    let detail = json!({ "with_recorded_runs": recorded });
    Some(of_component("component.remove", component).with(detail))
}

pub(crate) fn table_registered(registered: &RegisteredTable) -> Option<NewAudit> {
    let table = &registered.value;
    if registered.created {
        return Some(of_table("table.register", table, json!({ "namespace": table.contract.namespace })));
    }
    table_described(registered)
}

pub(crate) fn table_described(registered: &RegisteredTable) -> Option<NewAudit> {
    if registered.changes.is_empty() {
        return None;
    }
    let cut = |change: &Change| change.to_string().chars().take(CHANGE_CHARS).collect::<String>();
    let changes: Vec<_> = registered.changes.iter().map(cut).collect();
    Some(of_table("table.describe", &registered.value, json!({ "changes": changes })))
}

pub(crate) fn table_repointed(repointed: &Repointed) -> Option<NewAudit> {
    let Repointed { table, before, former } = repointed;
    if table.contract.identifier == *before {
        return None;
    }
    let former = former.as_ref();
    let detail = json!({
        "before": before,
        "former_uid": former.map(|table| &table.uid),
        "former_is_now": former.map(|table| &table.contract.identifier),
    });
    Some(of_table("table.repoint", table, detail))
}

pub(crate) fn table_loaded(loaded: &Loaded, replace: bool) -> Option<NewAudit> {
    let Loaded { table, inserted, updated, deleted, .. } = loaded;
    let detail = json!({ "inserted": inserted, "updated": updated, "deleted": deleted, "replace": replace });
    (inserted + updated + deleted > 0).then(|| of_table("table.load", table, detail))
}

pub(crate) fn tail_deleted(delete: &DeleteAfter, deleted: &Deleted) -> Option<NewAudit> {
    let scope = match delete.scope {
        DeleteScope::All => "all",
        DeleteScope::DimensionFilters(_) => "dimension_filters",
        DeleteScope::IndexCoordinates(_) => "index_coordinates",
    };
    let detail = json!({ "after": delete.after, "scope": scope, "rows": deleted.rows });
    (deleted.rows > 0 || !deleted.reopened.is_empty())
        .then(|| of_table("table.delete_after", &deleted.table, detail))
}

/// `table.upgrade`, `table.downgrade`, `table.bind`. `revision` is the one that was applied or taken back.
pub(crate) fn table_moved(
    action: &'static str,
    moved: &MovedTable,
    revision: Option<&str>,
) -> Option<NewAudit> {
    let detail = json!({
        "revision": revision,
        "stands_at": moved.revision,
        "rows_before": moved.rows_before,
        "rows_after": moved.rows_after,
    });
    Some(of_table(action, &moved.table, detail))
}

fn of_source(action: &str, name: &str) -> NewAudit {
    NewAudit::new(action, "source", None, name)
}

/// Where a source leads is no secret: its rules name secrets, and do not hold them.
pub(crate) fn source_set(
    action: &'static str,
    changed: bool,
    name: &str,
    kind: &SourceKind,
) -> Option<NewAudit> {
    changed.then(|| of_source(action, name).with(json!({ "leads_to": kind.to_string() })))
}

pub(crate) fn source_removed(name: &str) -> Option<NewAudit> {
    Some(of_source("source.remove", name))
}

pub(crate) fn source_granted(
    action: &'static str,
    changed: bool,
    source: &str,
    component: &str,
) -> Option<NewAudit> {
    changed.then(|| of_source(action, source).with(json!({ "component": component })))
}

/// Never the value, nor where it is.
pub(crate) fn secret_set(name: &str, place: &SecretPlace) -> Option<NewAudit> {
    let kind = match place {
        SecretPlace::Env { .. } => "env",
        SecretPlace::File { .. } => "file",
        SecretPlace::Sealed { .. } => "sealed",
    };
    Some(NewAudit::new("secret.set", "secret", None, name).with(json!({ "place": kind })))
}

pub(crate) fn secret_removed(name: &str) -> Option<NewAudit> {
    Some(NewAudit::new("secret.remove", "secret", None, name))
}

/// What finding or creating a node did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ensured {
    Created,
    Pinned,
    /// It reads other things now.
    Linked,
    Nothing,
}

pub(crate) fn node_ensured(ensured: Ensured, node: &Node) -> Option<NewAudit> {
    let pin = node.pinned_digest.as_ref().map(Digest::to_string);
    match ensured {
        Ensured::Created => {
            let detail = json!({ "component": node.component, "table": node.table, "pinned_digest": pin });
            Some(of_node("node.create", node, detail))
        }
        Ensured::Pinned => Some(of_node("node.pin", node, json!({ "pinned_digest": pin }))),
        Ensured::Linked => {
            let reads: Vec<_> = node.dependencies.iter().map(|dependency| &dependency.key).collect();
            Some(of_node("node.link", node, json!({ "dependencies": reads })))
        }
        Ensured::Nothing => None,
    }
}

pub(crate) fn node_unpinned(changed: bool, node: &Node) -> Option<NewAudit> {
    changed.then(|| of_node("node.unpin", node, json!({})))
}

pub(crate) fn node_set(set: &NodeSet) -> Option<NewAudit> {
    set.changed.then(|| of_node("node.set", &set.node, json!({ "settings": set.node.settings })))
}

fn of_backfill(action: &str, backfill: &Backfill, detail: Value) -> NewAudit {
    NewAudit::new(action, "backfill", Some(&backfill.uid), &backfill.table).with(detail)
}

pub(crate) fn backfill_ordered(backfill: &Backfill) -> Option<NewAudit> {
    let request = &backfill.request;
    let detail = json!({
        "node": backfill.update_hash,
        "from": request.from,
        "to": request.to,
        "windows": backfill.windows.total(),
    });
    Some(of_backfill("backfill.order", backfill, detail))
}

pub(crate) fn backfill_controlled(control: Control, backfill: &Backfill) -> Option<NewAudit> {
    let action = match control {
        Control::Go => "backfill.resume",
        Control::Pause => "backfill.pause",
        Control::Cancel => "backfill.cancel",
    };
    Some(of_backfill(action, backfill, json!({ "node": backfill.update_hash })))
}

pub(crate) fn journals_removed(journals: u64) -> Option<NewAudit> {
    let entry = NewAudit::new("journal.remove", "journal", None, "journals");
    (journals > 0).then(|| entry.with(json!({ "journals": journals })))
}

pub(crate) fn of_user(action: &'static str, user: &User) -> NewAudit {
    NewAudit::new(action, "user", Some(&user.uid), &user.username)
}

pub(crate) fn user_enabled(changed: bool, user: &User) -> Option<NewAudit> {
    changed.then(|| of_user(if user.enabled { "user.enable" } else { "user.disable" }, user))
}

pub(crate) fn team_created(team: &Team) -> Option<NewAudit> {
    Some(NewAudit::new("team.create", "team", Some(&team.uid), &team.name))
}

/// `team.add`, `team.remove`.
pub(crate) fn member_changed(
    action: &'static str,
    changed: bool,
    team: &Team,
    user: &User,
) -> Option<NewAudit> {
    let entry = NewAudit::new(action, "team", Some(&team.uid), &team.name);
    changed.then(|| entry.with(json!({ "user": user.username, "user_uid": user.uid })))
}

/// `role.grant`, `role.revoke`: entries of what the role is held on. `name` is what people call that.
pub(crate) fn role_changed(
    action: &'static str,
    subject: &Subject,
    name: &str,
    member: (&Member, &str),
    roles: &[Role],
) -> Option<NewAudit> {
    let uid = match subject {
        Subject::Table(uid) => Some(uid.as_str()),
        Subject::Organisation | Subject::Namespace(_) => None,
    };
    let detail = json!({
        "roles": roles,
        "member": { "kind": member.0.kind(), "uid": member.0.uid(), "name": member.1 },
    });
    (!roles.is_empty()).then(|| NewAudit::new(action, subject.kind(), uid, name).with(detail))
}

pub(crate) fn table_owned(changed: bool, table: &Table, owner: Option<&User>) -> Option<NewAudit> {
    let detail = json!({ "owner": owner.map(|user| &user.username), "before": table.owner });
    changed.then(|| of_table("table.own", table, detail))
}

pub(crate) fn token_created(token: &Token) -> Option<NewAudit> {
    let detail = json!({
        "user": token.user.username,
        "rights": token.rights,
        "expires_at": token.expires_at,
        "per_minute": token.per_minute,
        "name": token.name,
    });
    Some(NewAudit::new("token.create", "token", Some(&token.id), &token.user.username).with(detail))
}

pub(crate) fn token_revoked(changed: bool, token: &Token) -> Option<NewAudit> {
    let entry = NewAudit::new("token.revoke", "token", Some(&token.id), &token.user.username);
    changed.then(|| entry.with(json!({ "name": token.name })))
}

/// A page of entries, of which one more than `limit` was asked for.
pub(crate) fn page(mut entries: Vec<AuditEntry>, limit: Option<u32>) -> AuditPage {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(|last| last.id);
    AuditPage { entries, next }
}
