//! What is decided about a state of the catalogue is done to that state, or not at all; and what is asked for at once is done
//! at once.

use crate::support::{Place, at, contract, new_node, on_both_databases, table};
use datanode_core::access::{Actor, Right, Rights, Role, Subject};
use datanode_core::component::ComponentClass;
use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::digest::Digest;
use datanode_core::node_settings::SettingChange;
use datanode_core::provenance::Provenance;
use datanode_core::{Diagnostic, ErrorClass};
use datanode_store::{
    AuditFilter, ListedTable, Listing, Member, NewComponent, NewNode, NewRegistration, NewTeam, NewToken,
    NewUser, NodeChange, Registration, RegistrationEdit, RemoveTable, RoleFilter, SourceKind, Store,
    StoreError, Table, TableEdit,
};

#[track_caller]
fn changed<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    let error = outcome.unwrap_err();
    assert_eq!((error.code(), error.class()), ("store.changed", ErrorClass::Infrastructure), "{error}");
}

fn labels(label: &str) -> MetadataEdit {
    MetadataEdit { add_labels: vec![label.to_owned()], ..MetadataEdit::default() }
}

async fn actions(store: &dyn Store) -> Vec<String> {
    let entries = store.audit_log(&AuditFilter::default()).await.unwrap().entries;
    entries.into_iter().rev().map(|entry| entry.action).collect()
}

async fn a_table_that_was_seen_otherwise_is_left_alone(place: Place) {
    let store = &*place.store;
    let seen = table(store, &contract("t", &[])).await;
    let edit = |label: &str, seen: &Table| TableEdit {
        metadata: labels(label),
        seen: Some(seen.clone()),
        ..TableEdit::default()
    };
    store.edit_table("t", &labels("theirs")).await.unwrap();
    changed(store.change_table(&seen.uid, &edit("mine", &seen)).await);
    let now = store.table("t").await.unwrap();
    assert_eq!(now.contract.labels, ["theirs"]);
    // Rows come and go: they are not what was decided about.
    let moved = Table { epoch: now.epoch + 7, ..now.clone() };
    store.change_table(&seen.uid, &edit("mine", &moved)).await.unwrap();
    // Whose it is plays a part, too.
    let now = store.table("t").await.unwrap();
    store.create_user(&NewUser { username: "ada".to_owned(), ..NewUser::default() }, at(1)).await.unwrap();
    store.set_table_owner(&seen.uid, Some("ada")).await.unwrap();
    changed(store.change_table(&seen.uid, &edit("more", &now)).await);
    assert_eq!(store.table("t").await.unwrap().contract.labels, ["theirs", "mine"]);
}

async fn a_source_or_node_that_was_seen_otherwise_is_left_alone(place: Place) {
    let store = &*place.store;
    let to = |path: &str| SourceKind::File { path: path.into() };
    let seen = store.add_source("s", to("/one"), at(1)).await.unwrap().value;
    store.grant_source("s", "fx", at(1)).await.unwrap();
    changed(store.change_source(&seen, to("/two")).await);
    let now = store.source("s").await.unwrap();
    assert_eq!((&now.kind, now.granted_to.len()), (&to("/one"), 1));
    assert_eq!(store.change_source(&now, to("/two")).await.unwrap().kind, to("/two"));

    let table = table(store, &contract("t", &[])).await;
    let seen = store.ensure_node(new_node(&table, "c_01")).await.unwrap().value;
    let set = |retries: u32, unpin: bool| NodeChange {
        settings: vec![SettingChange::Retries(Some(retries))],
        unpin,
        seen: Some(seen.clone()),
    };
    assert!(store.change_node(&seen.uid, &set(3, true)).await.unwrap().changed);
    changed(store.change_node(&seen.uid, &set(4, true)).await);
    assert_eq!(store.node(&seen.uid).await.unwrap().settings.retries, Some(3));
}

fn component() -> NewComponent {
    let bytes = b"\0asm".to_vec();
    let manifest = serde_json::from_value(serde_json::json!({
        "name": "c", "version": "1.0.0", "description": "", "config_schema": {}, "default_offset_start": null,
        "sources": [], "index": [], "columns": [],
    }));
    NewComponent {
        manifest: manifest.unwrap(),
        imports: Vec::new(),
        class: ComponentClass::Pure,
        digest: Digest::of(&bytes),
        bytes,
        uploaded_at: at(1),
        provenance: Provenance::default(),
    }
}

/// A pin that goes and settings that change are one change with two entries.
async fn a_node_is_changed_as_a_whole(place: Place) {
    let store = &*place.store;
    let table = table(store, &contract("t", &[])).await;
    let component = component();
    let pinned = NewNode { pinned_digest: Some(component.digest), ..new_node(&table, "c_01") };
    store.add_component(component).await.unwrap();
    let node = store.ensure_node(pinned).await.unwrap().value;
    let before = actions(store).await.len();
    let change =
        NodeChange { settings: vec![SettingChange::Retries(Some(3))], unpin: true, seen: Some(node.clone()) };
    let set = store.change_node(&node.uid, &change).await.unwrap();
    assert!(set.changed && set.node.pinned_digest.is_none());
    assert_eq!(actions(store).await[before..], ["node.unpin", "node.set"]);
    // Once more changes nothing, and says so.
    let again = NodeChange { seen: None, ..change };
    assert!(!store.change_node(&node.uid, &again).await.unwrap().changed);
    assert_eq!(actions(store).await.len(), before + 2);
}

async fn listed(store: &dyn Store, identifier: &str) -> Option<ListedTable> {
    store.listed_tables(&Listing::Identifier(identifier.to_owned())).await.unwrap().pop()
}

fn registration(contract: Contract, judged: Option<ListedTable>) -> NewRegistration {
    NewRegistration { contract, registration: Registration::default(), judged }
}

async fn only_what_was_judged_is_registered(place: Place) {
    let store = &*place.store;
    let new = contract("t", &[]);
    let held = store.register_as_judged(&new, None, at(1)).await.unwrap().value;
    // Who may make a table may not change one that somebody else has made meanwhile.
    changed(store.register_as_judged(&new, None, at(2)).await);
    store.register_as_judged(&new, Some(&held), at(2)).await.unwrap();
    // Nor one that has taken the identifier over.
    let other = table(store, &contract("other", &[])).await;
    store.repoint("t", "other", Some("former")).await.unwrap();
    changed(store.register_as_judged(&new, Some(&held), at(3)).await);
    changed(store.repoint_as_judged("t", "former", Some("older"), &held, Some(&other)).await);
    let (former, now) = (store.table("former").await.unwrap(), store.table("t").await.unwrap());
    changed(store.repoint_as_judged("t", "former", Some("older"), &former, None).await);
    let back = store.repoint_as_judged("t", "former", Some("older"), &former, Some(&now)).await.unwrap();
    assert_eq!((back.table.uid, back.former.unwrap().uid), (held.uid, other.uid));
}

async fn clients_register_only_what_was_judged(place: Place) {
    let store = &*place.store;
    let new = contract("t", &[]);
    let made = store.register_all(&[registration(new.clone(), None)], at(1)).await.unwrap();
    changed(store.register_all(&[registration(new.clone(), None)], at(2)).await);
    let judged = listed(store, "t").await;
    // One that is refused takes all of them with it.
    let another = contract("another", &[]);
    let both = [registration(another.clone(), None), registration(new.clone(), None)];
    changed(store.register_all(&both, at(2)).await);
    assert!(listed(store, "another").await.is_none());
    // The same twice in one call: what the first of them has made is nobody else's.
    let twice = [
        registration(another.clone(), None),
        registration(another, None),
        registration(new.clone(), judged.clone()),
    ];
    assert_eq!(store.register_all(&twice, at(2)).await.unwrap().len(), 3);
    // What it depends on who may change it: whose it is, its namespace, its protection.
    let protect = RegistrationEdit { protected: Some(true), ..RegistrationEdit::default() };
    let edit = TableEdit { registration: protect, ..TableEdit::default() };
    store.change_table(&made[0].value.uid, &edit).await.unwrap();
    changed(store.register_all(&[registration(new, judged)], at(3)).await);
}

async fn tables_that_nobody_has_judged_do_not_go_with_another(place: Place) {
    let store = &*place.store;
    let reference = |name: &str, leads_to: &str| {
        Contract::from_toml(&format!(
            "identifier = \"{name}\"\nkind = \"reference\"\nprimary_key = [\"id\"]\ncolumns = [{{ name = \"id\", \
             type = \"string\" }}]\n[[foreign_keys]]\ncolumns = [\"id\"]\nreferences = {{ table = \"{leads_to}\", \
             columns = [\"id\"] }}\non_delete = \"restrict\"\n"
        ))
        .unwrap()
    };
    let first = table(store, &reference("a", "a")).await;
    let second = table(store, &reference("b", "a")).await;
    let mut remove = RemoveTable {
        table_uid: first.uid.clone(),
        with_referrers: true,
        protected: false,
        may_go: Some(vec![second.uid.clone()]),
    };
    let third = table(store, &reference("c", "b")).await;
    changed(store.remove_table(&remove).await);
    assert_eq!(store.tables().await.unwrap().len(), 3);
    remove.may_go = Some(vec![second.uid, third.uid]);
    assert_eq!(store.remove_table(&remove).await.unwrap().len(), 3);
}

/// What clients say of a table, what people read of it, its cadence: all of it, with its entries, or nothing.
async fn a_table_is_changed_as_a_whole(place: Place) {
    let store = &*place.store;
    let held = table(store, &contract("t", &[])).await;
    let mut edit = TableEdit {
        registration: RegistrationEdit { identifier: Some("renamed".to_owned()), protected: Some(true) },
        metadata: MetadataEdit { description: Some("New.".to_owned()), ..labels(&"x".repeat(64)) },
        cadence: Some("1d".parse().ok()),
        ..TableEdit::default()
    };
    let before = place.contents();
    let error = store.change_table(&held.uid, &edit).await.unwrap_err();
    assert_eq!(error.code(), "contract.label");
    assert_eq!(settled(place.contents()), settled(before));
    edit.metadata.add_labels = vec!["good".to_owned()];
    edit.lose_labels = vec!["absent".to_owned()];
    let entries = actions(store).await.len();
    let changed = store.change_table(&held.uid, &edit).await.unwrap().value;
    assert_eq!(changed.contract.identifier, "renamed");
    assert_eq!(
        (changed.contract.labels, changed.contract.cadence),
        (vec!["good".to_owned()], "1d".parse().ok())
    );
    assert!(listed(store, "renamed").await.unwrap().registration.protected);
    assert_eq!(actions(store).await[entries..], ["table.repoint", "table.registration", "table.describe"]);
    let lose = TableEdit { lose_labels: vec!["good".to_owned()], ..TableEdit::default() };
    assert_eq!(store.change_table(&held.uid, &lose).await.unwrap().value.contract.labels, [""; 0]);
    // A reference table has no cadence, however it is asked for.
    let plain = Contract::from_toml(
        "identifier = \"plain\"\nkind = \"reference\"\nprimary_key = [\"id\"]\ncolumns = [{ name = \"id\", type = \"string\" }]",
    );
    let plain = table(store, &plain.unwrap()).await;
    let cadence = TableEdit { cadence: Some("1d".parse().ok()), ..TableEdit::default() };
    assert_eq!(store.change_table(&plain.uid, &cadence).await.unwrap_err().code(), "contract.rule");
}

/// Sequences count on when what they were asked for is rolled back.
fn settled(contents: std::collections::BTreeMap<String, Vec<String>>) -> Vec<(String, Vec<String>)> {
    contents.into_iter().filter(|(name, _)| !name.contains("_seq")).collect()
}

async fn people_are_changed_as_a_whole(place: Place) {
    let store = &*place.store;
    let new = |name: &str| NewUser { username: name.to_owned(), ..NewUser::default() };
    let ada = store.create_user_with(&new("ada"), Some(Role::Editor), at(1)).await.unwrap();
    let held = RoleFilter { subject: None, member: Some(Member::User(ada.uid)) };
    let held = store.roles(&held).await.unwrap();
    assert_eq!((held[0].role, &held[0].subject), (Role::Editor, &Subject::Organisation));
    assert_eq!(actions(store).await, ["user.create", "role.grant"]);
    store.create_user(&new("grace"), at(1)).await.unwrap();
    store.create_team(&NewTeam { name: "desk".to_owned(), ..NewTeam::default() }, at(1)).await.unwrap();
    let before = actions(store).await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let unknown = store.add_team_members("desk", &names(&["ada", "nobody"]), at(2)).await.unwrap_err();
    assert_eq!(unknown.code(), "access.user_not_found");
    assert_eq!(store.team("desk").await.unwrap().member_count, 0);
    assert_eq!(actions(store).await, before);
    let team = store.add_team_members("desk", &names(&["ada", "grace", "ada"]), at(2)).await.unwrap();
    assert_eq!(team.member_count, 2);
    let absent = store.remove_team_members("desk", &names(&["ada", "ada"])).await.unwrap_err();
    assert_eq!(absent.code(), "access.team_not_found");
    assert_eq!(store.remove_team_members("desk", &names(&["ada", "grace"])).await.unwrap().member_count, 0);
    assert_eq!(actions(store).await[before.len()..], ["team.add", "team.add", "team.remove", "team.remove"]);
}

/// A request that had begun before its token was revoked leaves no other one behind.
async fn a_token_that_has_ended_makes_no_other(place: Place) {
    let store = &*place.store;
    let ada = NewUser { username: "ada".to_owned(), ..NewUser::default() };
    let ada = store.create_user(&ada, at(1)).await.unwrap();
    let new = NewToken { user: "ada".to_owned(), rights: Rights::of(&[Right::Read]), ..NewToken::default() };
    let by = async |expires: i64| {
        let token =
            store.create_token(&NewToken { expires_at: Some(at(expires)), ..new.clone() }, at(1)).await;
        let token = token.unwrap().token;
        let actor = Actor { user: Some(ada.reference()), token: Some(token.id.clone()), request_id: None };
        (store.acting(actor), token)
    };
    let (acting, token) = by(100).await;
    acting.create_token(&new, at(2)).await.unwrap();
    store.revoke_token(&token.id, at(3)).await.unwrap();
    let refused = acting.create_token(&new, at(4)).await.unwrap_err();
    assert_eq!(refused.code(), "access.token_refused");
    let (expired, _) = by(5).await;
    assert_eq!(expired.create_token(&new, at(6)).await.unwrap_err().code(), "access.token_refused");
    assert_eq!(store.tokens(None).await.unwrap().len(), 3);
}

on_both_databases!(
    a_table_that_was_seen_otherwise_is_left_alone,
    a_source_or_node_that_was_seen_otherwise_is_left_alone,
    a_node_is_changed_as_a_whole,
    only_what_was_judged_is_registered,
    clients_register_only_what_was_judged,
    tables_that_nobody_has_judged_do_not_go_with_another,
    a_table_is_changed_as_a_whole,
    people_are_changed_as_a_whole,
    a_token_that_has_ended_makes_no_other,
);
