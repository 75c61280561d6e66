//! People, tokens and roles, and the audit log, on both databases.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{self, Place, at, new_node, on_both_databases};
use datanode_core::access::{
    Action, Actor, Principal, Right, Rights, Role, Subject, Target, UserRef, allowed,
};
use datanode_core::component::ComponentClass;
use datanode_core::contract::{Contract, MetadataEdit};
use datanode_core::digest::Digest;
use datanode_core::node_settings::SettingChange;
use datanode_core::provenance::Provenance;
use datanode_core::{Diagnostic, ErrorClass, Timestamp};
use datanode_store::{
    AuditEntry, AuditFilter, DeleteAfter, DeleteScope, Member, NewAudit, NewComponent, NewNode, NewTeam,
    NewToken, NewUser, RoleFilter, SecretPlace, ShareLevel, SourceKind, Store, StoreError, Table, User,
};
use serde_json::json;

const DAY: i64 = 86_400_000_000;

/// A moment that is days after the first of these tests.
fn day(days: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + days * DAY).unwrap()
}

fn contract(identifier: &str) -> Contract {
    support::contract(identifier, &[])
}

async fn user(store: &dyn Store, name: &str) -> User {
    let new = NewUser { username: name.to_owned(), ..NewUser::default() };
    store.create_user(&new, day(0)).await.unwrap()
}

fn new_token(user: &str, rights: &[Right]) -> NewToken {
    NewToken { user: user.to_owned(), rights: Rights::of(rights), ..NewToken::default() }
}

async fn log(store: &dyn Store) -> Vec<AuditEntry> {
    let mut entries = store.audit_log(&AuditFilter::default()).await.unwrap().entries;
    entries.reverse();
    entries
}

fn actions(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.action.as_str()).collect()
}

/// The text of the secret part of a token.
fn secret(text: &str) -> String {
    text.rsplit('_').next().unwrap().to_owned()
}

async fn users_and_teams_are_known_by_name_uid_and_number(place: Place) {
    let store = &*place.store;
    let new = NewUser {
        username: "ada".to_owned(),
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        email: "ada@example.com".to_owned(),
        phone: "+44 1".to_owned(),
    };
    let ada = store.create_user(&new, day(1)).await.unwrap();
    assert_eq!((ada.username.as_str(), ada.email.as_str(), ada.enabled), ("ada", "ada@example.com", true));
    assert_eq!(ada.created_at, day(1));
    let grace = user(store, "grace").await;
    assert!(grace.id > ada.id && ada.id > 0, "{} {}", ada.id, grace.id);
    for reference in ["ada", &ada.uid, &ada.id.to_string()] {
        assert_eq!(store.user(reference).await.unwrap(), ada, "{reference}");
    }
    assert_eq!(store.users().await.unwrap(), [ada.clone(), grace.clone()]);
    for unknown in ["nobody", "-1", "99999999999999999999", "", "AdA", "1.0"] {
        assert_eq!(store.user(unknown).await.unwrap_err().code(), "access.user_not_found", "{unknown}");
    }
    let taken = store.create_user(&new, day(2)).await.unwrap_err();
    assert_eq!((taken.code(), taken.class()), ("access.name_taken", ErrorClass::Refused));
    let bad = NewUser { username: "No Name".to_owned(), ..NewUser::default() };
    assert_eq!(store.create_user(&bad, day(2)).await.unwrap_err().code(), "access.invalid");

    let new = NewTeam { name: "desk".to_owned(), description: "FX".to_owned() };
    let desk = store.create_team(&new, day(1)).await.unwrap();
    assert_eq!((desk.name.as_str(), desk.member_count), ("desk", 0));
    assert_eq!(store.create_team(&new, day(1)).await.unwrap_err().code(), "access.name_taken");
    assert_eq!(store.add_team_member("desk", "grace", day(2)).await.unwrap().member_count, 1);
    assert_eq!(store.add_team_member(&desk.uid, &grace.uid, day(2)).await.unwrap().member_count, 1);
    assert_eq!(store.add_team_member(&desk.id.to_string(), "ada", day(2)).await.unwrap().member_count, 2);
    assert_eq!(store.team_members("desk").await.unwrap(), [ada, grace]);
    assert_eq!(store.remove_team_member("desk", "ada").await.unwrap().member_count, 1);
    let again = store.remove_team_member("desk", "ada").await.unwrap_err();
    assert_eq!((again.code(), again.class()), ("access.team_not_found", ErrorClass::Usage));
    assert_eq!(
        store.add_team_member("desk", "nobody", day(2)).await.unwrap_err().code(),
        "access.user_not_found"
    );
    assert_eq!(store.team("crew").await.unwrap_err().code(), "access.team_not_found");
    assert_eq!(store.teams().await.unwrap().len(), 1);
}

async fn a_token_is_shown_once_and_kept_as_a_hash(place: Place) {
    let store = &*place.store;
    user(store, "ada").await;
    let new = NewToken {
        name: "notebooks".to_owned(),
        expires_at: Some(day(90)),
        per_minute: Some(60),
        ..new_token("ada", &[Right::Read, Right::Run])
    };
    let created = store.create_token(&new, day(0)).await.unwrap();
    let text = created.text.reveal();
    assert!(
        text.starts_with(&format!("dn_{}_", created.token.id)) && text.len() == 3 + 16 + 1 + 64,
        "{}",
        text.len()
    );
    let principal = store.authenticate(&text, day(1)).await.unwrap();
    assert_eq!(principal.user.as_ref().unwrap().username, "ada");
    assert_eq!(principal.token.as_deref(), Some(created.token.id.as_str()));
    assert_eq!((principal.rights, principal.per_minute), (Rights::of(&[Right::Read, Right::Run]), Some(60)));
    assert!(principal.roles.is_empty());

    // Nowhere in the database, in any form of Debug, or in the log.
    let secret = secret(&text);
    let everything =
        format!("{:?} {:?} {created:?} {new:?} {principal:?}", place.contents(), log(store).await);
    assert!(everything.contains(&created.token.id) && !everything.contains(&secret));

    // Two tokens of one user have nothing in common.
    let other = store.create_token(&new, day(0)).await.unwrap();
    assert_ne!(other.token.id, created.token.id);
    let swapped = format!("dn_{}_{secret}", other.token.id);
    assert_eq!(store.authenticate(&swapped, day(1)).await.unwrap_err().code(), "access.token_refused");
}

async fn whatever_is_wrong_with_a_token_the_refusal_is_the_same(place: Place) {
    let store = &*place.store;
    user(store, "ada").await;
    user(store, "grace").await;
    let make = async |new: NewToken| store.create_token(&new, day(0)).await.unwrap();
    let good = make(new_token("ada", &[Right::Read])).await;
    let expiring = make(NewToken { expires_at: Some(day(3)), ..new_token("ada", &[Right::Read]) }).await;
    let revoked = make(new_token("ada", &[Right::Read])).await;
    let of_disabled = make(new_token("grace", &[Right::Read])).await;
    let accepted = async |text: &str, now| store.authenticate(text, now).await;
    for token in [&good, &expiring, &revoked, &of_disabled] {
        accepted(&token.text.reveal(), day(1)).await.unwrap();
    }
    let first = store.revoke_token(&revoked.token.id, day(2)).await.unwrap();
    assert_eq!(first.revoked_at, Some(day(2)));
    let again = store.revoke_token(&revoked.token.id, day(3)).await.unwrap();
    assert_eq!(again.revoked_at, Some(day(2)), "the first time counts");
    assert!(!store.enable_user("grace", false).await.unwrap().enabled);

    let text = good.text.reveal().to_string();
    let mut wrong = text.clone().into_bytes();
    let last = wrong.len() - 1;
    wrong[last] = if wrong[last] == b'0' { b'1' } else { b'0' };
    let refused = [
        accepted(&expiring.text.reveal(), day(3)).await,
        accepted(&revoked.text.reveal(), day(1)).await,
        accepted(&of_disabled.text.reveal(), day(1)).await,
        accepted(&String::from_utf8(wrong).unwrap(), day(1)).await,
        accepted(&format!("dn_0000000000000000_{}", secret(&text)), day(1)).await,
        accepted(&text.to_uppercase(), day(1)).await,
        accepted(&text[..text.len() - 1], day(1)).await,
        accepted(&format!("{text}0"), day(1)).await,
        accepted(&format!(" {text}"), day(1)).await,
        accepted("", day(1)).await,
        accepted("dn__", day(1)).await,
        accepted("dn_' OR 1=1 --_x", day(1)).await,
    ];
    let say = |error: StoreError| (error.code(), error.class(), error.to_string(), error.next_step());
    let said: Vec<_> = refused.into_iter().map(|answer| say(answer.unwrap_err())).collect();
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    assert_eq!(said[0].0, "access.token_refused");
    accepted(&text, day(1000)).await.unwrap();

    // Enabled again, her tokens count again; none is made for whoever is disabled.
    let refused = store.create_token(&new_token("grace", &[Right::Read]), day(1)).await.unwrap_err();
    assert_eq!(refused.code(), "access.user_disabled");
    store.enable_user("grace", true).await.unwrap();
    accepted(&of_disabled.text.reveal(), day(1)).await.unwrap();
    let useless = store.create_token(&new_token("ada", &[]), day(1)).await.unwrap_err();
    assert_eq!((useless.code(), useless.class()), ("access.invalid", ErrorClass::Usage));
}

async fn whether_there_is_a_token_counts_those_that_are_accepted(place: Place) {
    let store = &*place.store;
    assert!(!store.has_tokens(day(0)).await.unwrap());
    user(store, "ada").await;
    let new = NewToken { expires_at: Some(day(3)), ..new_token("ada", &[Right::Read]) };
    let token = store.create_token(&new, day(0)).await.unwrap().token;
    assert!(store.has_tokens(day(2)).await.unwrap() && !store.has_tokens(day(3)).await.unwrap());
    store.enable_user("ada", false).await.unwrap();
    assert!(!store.has_tokens(day(2)).await.unwrap());
    store.enable_user("ada", true).await.unwrap();
    store.revoke_token(&token.id, day(1)).await.unwrap();
    assert!(!store.has_tokens(day(2)).await.unwrap());
    assert_eq!(store.tokens(Some("ada")).await.unwrap().len(), 1, "what has ended stays known");
    assert_eq!(store.token("0000").await.unwrap_err().code(), "access.token_not_found");
}

/// To the hour, and without anybody waiting for it.
async fn the_last_use_of_a_token_is_noted(place: Place) {
    let store = &*place.store;
    user(store, "ada").await;
    let created = store.create_token(&new_token("ada", &[Right::Read]), day(0)).await.unwrap();
    let text = created.text.reveal();
    let noted = async |wanted: Timestamp| {
        for _ in 0..500 {
            if store.token(&created.token.id).await.unwrap().last_used_at == Some(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", store.token(&created.token.id).await.unwrap());
    };
    store.authenticate(&text, day(1)).await.unwrap();
    noted(day(1)).await;
    let soon = Timestamp::from_micros(day(1).micros() + 1_800_000_000).unwrap();
    store.authenticate(&text, soon).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    noted(day(1)).await;
    store.authenticate(&text, day(2)).await.unwrap();
    noted(day(2)).await;
}

async fn fx(store: &dyn Store) -> Table {
    store.register_table(&contract("fx_rates"), at(1)).await.unwrap().value
}

fn target(table: &Table) -> Target<'_> {
    Target::table(
        &table.uid,
        &table.contract.identifier,
        table.contract.namespace.as_deref(),
        table.owner.as_deref(),
    )
}

async fn roles_reach_a_user_by_itself_and_by_its_teams(place: Place) {
    let store = &*place.store;
    let table = fx(store).await;
    let (ada, grace) = (user(store, "ada").await, user(store, "grace").await);
    let desk =
        store.create_team(&NewTeam { name: "desk".to_owned(), ..NewTeam::default() }, day(0)).await.unwrap();
    store.add_team_member("desk", "ada", day(0)).await.unwrap();
    let text = store.create_token(&new_token("ada", &Right::ALL), day(0)).await.unwrap().text;
    let principal = async || store.authenticate(&text.reveal(), day(1)).await.unwrap();
    let may = async |action| allowed(&principal().await, action, &target(&table)).is_ok();
    assert!(!may(Action::ReadTable).await);

    let team = Member::Team(desk.uid.clone());
    let on_table = Subject::Table(table.uid.clone());
    assert!(store.grant_role(&on_table, &team, Role::Viewer, day(1)).await.unwrap());
    assert!(
        !store.grant_role(&on_table, &team, Role::Viewer, day(2)).await.unwrap(),
        "again changes nothing"
    );
    assert!(may(Action::ReadTable).await && !may(Action::EditTable).await);
    let own = Member::User(ada.uid.clone());
    store.grant_role(&Subject::Organisation, &own, Role::Editor, day(1)).await.unwrap();
    assert!(may(Action::EditTable).await && !may(Action::ReshapeTable).await);
    let in_fx = Subject::Namespace("fx".to_owned());
    store.grant_role(&in_fx, &own, Role::Admin, day(1)).await.unwrap();

    let listed = store.roles(&RoleFilter::default()).await.unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|held| (held.subject.kind(), held.member_name.as_str(), held.role, held.table.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("organisation", "ada", Role::Editor, None),
            ("namespace", "ada", Role::Admin, None),
            ("table", "desk", Role::Viewer, Some("fx_rates")),
        ]
    );
    let only = RoleFilter { subject: Some(in_fx.clone()), member: Some(own.clone()) };
    assert_eq!(store.roles(&only).await.unwrap(), [listed[1].clone()]);

    // Out of the team, out of its roles.
    store.revoke_role(&Subject::Organisation, &own, None).await.unwrap();
    store.remove_team_member("desk", "ada").await.unwrap();
    assert!(!may(Action::ReadTable).await);
    assert_eq!(store.revoke_role(&on_table, &team, Some(Role::Viewer)).await.unwrap(), [Role::Viewer]);
    for (subject, member, role) in [
        (&on_table, &team, None),
        (&in_fx, &own, Some(Role::Viewer)),
        (&in_fx, &Member::User(grace.uid.clone()), None),
    ] {
        let error = store.revoke_role(subject, member, role).await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("access.role_not_held", ErrorClass::Usage));
    }
    // Nothing is given on what is not there, or to nobody.
    let nowhere = Subject::Table("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".to_owned());
    let error = store.grant_role(&nowhere, &own, Role::Viewer, day(1)).await.unwrap_err();
    assert_eq!(error.code(), "store.table_not_found");
    let nobody = Member::User("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".to_owned());
    let error = store.grant_role(&in_fx, &nobody, Role::Viewer, day(1)).await.unwrap_err();
    assert_eq!(error.code(), "access.user_not_found");
    let unnamed = Subject::Namespace("No Namespace".to_owned());
    assert!(store.grant_role(&unnamed, &own, Role::Viewer, day(1)).await.is_err());
}

async fn a_table_belongs_to_whom_registers_it_by_a_token(place: Place) {
    let ada = user(&*place.store, "ada").await;
    assert_eq!(fx(&*place.store).await.owner, None, "who has the database registers for nobody");
    let actor = Actor { user: Some(ada.reference()), token: Some("t".to_owned()), request_id: None };
    let acting = place.store.acting(actor);
    let table = acting.register_table(&contract("fx_returns"), at(2)).await.unwrap().value;
    assert_eq!(table.owner.as_deref(), Some(ada.uid.as_str()));
    for store in [&place.store, &acting] {
        assert_eq!(store.table("fx_returns").await.unwrap(), table);
        let mut snapshot = store.snapshot().await.unwrap();
        assert_eq!(snapshot.table(&table.uid).await.unwrap(), table);
    }
    // Whoever registers it again takes nothing over.
    let again = acting.register_table(&contract("fx_rates"), at(3)).await.unwrap();
    assert_eq!((again.created, again.value.owner), (false, None));
    let principal = Principal::new(ada.reference(), "t", Rights::all());
    assert!(allowed(&principal, Action::ShareTable, &target(&table)).is_ok());

    user(&*place.store, "grace").await;
    acting.set_table_owner(&table.uid, Some("grace")).await.unwrap();
    let given = place.store.table(&table.uid).await.unwrap();
    assert!(allowed(&principal, Action::ReadTable, &target(&given)).is_err());
    acting.set_table_owner(&table.uid, None).await.unwrap();
    acting.set_table_owner(&table.uid, None).await.unwrap();
    assert_eq!(place.store.table(&table.uid).await.unwrap().owner, None);
    let owned: Vec<_> =
        log(&*place.store).await.into_iter().filter(|entry| entry.action == "table.own").collect();
    assert_eq!(owned.len(), 2, "what changed nothing is not written down");
    assert_eq!(acting.set_table_owner("nowhere", None).await.unwrap_err().code(), "store.table_not_found");
}

/// What the compatible API asks for.
async fn a_table_is_shared_to_see_and_to_edit(place: Place) {
    let store = &*place.store;
    let (ada, grace) = (user(store, "ada").await, user(store, "grace").await);
    let desk =
        store.create_team(&NewTeam { name: "desk".to_owned(), ..NewTeam::default() }, day(0)).await.unwrap();
    let actor = Actor { user: Some(ada.reference()), token: None, request_id: None };
    let table = store.acting(actor).register_table(&contract("fx_rates"), at(1)).await.unwrap().value;
    let uid = table.uid.as_str();
    let (to_grace, to_desk) = (Member::User(grace.uid.clone()), Member::Team(desk.uid.clone()));
    let names = async |level| {
        let sharing = store.table_sharing(uid, level).await.unwrap();
        let users: Vec<_> = sharing.users.into_iter().map(|user| user.username).collect();
        (users, sharing.teams.into_iter().map(|team| team.name).collect::<Vec<_>>())
    };
    assert_eq!(names(ShareLevel::View).await, (vec!["ada".to_owned()], vec![]), "its owner");

    let shared = store.share_table(uid, &to_grace, ShareLevel::View, day(1)).await.unwrap();
    assert_eq!(shared, store.share_table(uid, &to_grace, ShareLevel::View, day(2)).await.unwrap());
    assert!(shared.object_id >= 0 && shared.users.len() == 2);
    store.share_table(uid, &to_desk, ShareLevel::Edit, day(1)).await.unwrap();
    assert_eq!(
        names(ShareLevel::View).await,
        (vec!["ada".to_owned(), "grace".to_owned()], vec!["desk".to_owned()])
    );
    assert_eq!(names(ShareLevel::Edit).await, (vec!["ada".to_owned()], vec!["desk".to_owned()]));

    // Who may not edit any longer may still see it, if it was shared so; who may not see it may do nothing with it.
    store.share_table(uid, &to_grace, ShareLevel::Edit, day(1)).await.unwrap();
    store.unshare_table(uid, &to_grace, ShareLevel::Edit).await.unwrap();
    assert_eq!(names(ShareLevel::View).await.0, ["ada", "grace"]);
    store.unshare_table(uid, &to_desk, ShareLevel::View).await.unwrap();
    assert_eq!(names(ShareLevel::Edit).await, (vec!["ada".to_owned()], vec![]));
    assert_eq!(names(ShareLevel::View).await, (vec!["ada".to_owned(), "grace".to_owned()], vec![]));
    let before = log(store).await.len();
    store.unshare_table(uid, &to_desk, ShareLevel::View).await.unwrap();
    assert_eq!(log(store).await.len(), before, "what changed nothing is not written down");
    for error in [
        store.table_sharing("nowhere", ShareLevel::View).await.unwrap_err(),
        store.share_table("nowhere", &to_grace, ShareLevel::View, day(1)).await.unwrap_err(),
        store.unshare_table("nowhere", &to_grace, ShareLevel::View).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "store.table_not_found");
    }
}

fn component(version: &str) -> NewComponent {
    let bytes = format!("\0asm {version}").into_bytes();
    let manifest = serde_json::from_value(json!({
        "name": "fx",
        "version": version,
        "description": "What the data mean.",
        "config_schema": { "type": "object" },
        "default_offset_start": null,
        "sources": [],
        "index": ["time_index"],
        "columns": [],
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

/// Once for what is done, and not for what is there already.
async fn every_change_of_the_catalogue_is_written_down_by_whom_it_was_done(place: Place) {
    let ada = user(&*place.store, "ada").await;
    let actor = Actor {
        user: Some(ada.reference()),
        token: Some("3f6c2a9e5b714d08".to_owned()),
        request_id: Some("r-1".to_owned()),
    };
    let store = place.store.acting(actor.clone());
    assert_eq!((store.actor(), place.store.actor()), (&actor, &Actor::local()));

    let table = fx(&*store).await;
    fx(&*store).await;
    let labels = MetadataEdit { add_labels: vec!["tutorial".to_owned()], ..MetadataEdit::default() };
    store.edit_table("fx_rates", &labels).await.unwrap();
    store.edit_table("fx_rates", &labels).await.unwrap();
    store.repoint("fx_rates_daily", "fx_rates", None).await.unwrap();
    store.repoint("fx_rates_daily", "fx_rates_daily", None).await.unwrap();
    for _ in 0..2 {
        store.add_component(component("1.0.0")).await.unwrap();
        store.enable_component("fx", None, false).await.unwrap();
    }
    store.enable_component("fx", None, true).await.unwrap();
    let source = || SourceKind::File { path: "/data".into() };
    for _ in 0..2 {
        store.add_source("s", source(), at(1)).await.unwrap();
        store.grant_source("s", "fx", at(1)).await.unwrap();
        store.replace_source("s", SourceKind::File { path: "/other".into() }).await.unwrap();
        store.replace_source("s", source()).await.unwrap();
    }
    store.revoke_source("s", "fx").await.unwrap();
    store.remove_source("s").await.unwrap();
    let sealed = SecretPlace::Sealed { key: "k".into(), nonce: "n".into(), sealed: "c2VhbGVk".into() };
    store.set_secret("token", &sealed, at(1)).await.unwrap();
    store.remove_secret("token").await.unwrap();
    let node = new_node(&table, "fx_0123");
    let uid = store.ensure_node(node.clone()).await.unwrap().value.uid;
    store.ensure_node(node.clone()).await.unwrap();
    let pin = Some(Digest::of(b"\0asm 1.0.0"));
    for _ in 0..2 {
        store.ensure_node(NewNode { pinned_digest: pin, ..node.clone() }).await.unwrap();
    }
    store.unpin_node(&uid).await.unwrap();
    store.unpin_node(&uid).await.unwrap();
    for _ in 0..2 {
        store.set_node(&uid, &[SettingChange::Retries(Some(3))]).await.unwrap();
    }
    // Nothing was there to go.
    let tail = DeleteAfter { table_uid: table.uid.clone(), after: at(1), scope: DeleteScope::All };
    store.delete_after(&tail).await.unwrap();
    store
        .audit(&NewAudit::new("run.order", "node", Some(&uid), "fx_0123").with(json!({ "force": true })))
        .await
        .unwrap();

    let entries = log(&*place.store).await;
    assert_eq!(
        actions(&entries),
        [
            "user.create",
            "table.register",
            "table.describe",
            "table.repoint",
            "component.upload",
            "component.disable",
            "component.enable",
            "source.add",
            "source.grant",
            "source.change",
            "source.change",
            "source.change",
            "source.change",
            "source.revoke",
            "source.remove",
            "secret.set",
            "secret.remove",
            "node.create",
            "node.pin",
            "node.unpin",
            "node.set",
            "run.order",
        ]
    );
    assert_eq!((entries[0].actor.as_str(), &entries[0].user_uid, &entries[0].token), ("local", &None, &None));
    for entry in &entries[1..] {
        assert_eq!(
            (entry.actor.as_str(), entry.user_uid.as_deref()),
            ("ada", Some(ada.uid.as_str())),
            "{entry:?}"
        );
        assert_eq!(
            (entry.token.as_deref(), entry.request_id.as_deref()),
            (Some("3f6c2a9e5b714d08"), Some("r-1"))
        );
    }
    let registered = &entries[1];
    assert_eq!((registered.subject_kind.as_str(), registered.subject.as_str()), ("table", "fx_rates"));
    assert_eq!(registered.subject_uid.as_deref(), Some(table.uid.as_str()));
    assert_eq!(entries[3].detail["before"], "fx_rates");
    assert_eq!(entries[21].detail, json!({ "force": true }));
    // By the clock of the database, whatever the caller says of its own.
    assert!(entries.iter().all(|entry| (entry.at.micros() - place.now()).abs() < 600_000_000));
    assert!(entries.is_sorted_by_key(|entry| entry.id));
    assert!(!format!("{entries:?}").contains("c2VhbGVk"), "no secret");
}

async fn the_audit_log_is_read_by_pages_and_filters(place: Place) {
    let store = &place.store;
    let ada = user(&**store, "ada").await;
    let acting =
        store.acting(Actor { user: Some(ada.reference()), token: Some("t-1".to_owned()), request_id: None });
    for number in 0..10 {
        let entry = NewAudit::new("run.order", "node", Some(&format!("n-{number}")), "fx_0123");
        acting.audit(&entry).await.unwrap();
        store.audit(&NewAudit::new("runs.other", "node", None, "fx_0124")).await.unwrap();
    }
    let ask = async |filter: AuditFilter| store.audit_log(&filter).await.unwrap();
    let count = async |filter: AuditFilter| ask(filter).await.entries.len();
    let filter = AuditFilter::default;
    assert_eq!(count(filter()).await, 21);
    for (actor, found) in [("ada", 10), (ada.uid.as_str(), 10), ("t-1", 10), ("local", 11), ("nobody", 0)] {
        assert_eq!(count(AuditFilter { actor: Some(actor.to_owned()), ..filter() }).await, found, "{actor}");
    }
    for (action, found) in [
        ("run.order", 10),
        ("run", 10),
        ("runs", 10),
        ("user", 1),
        ("run.", 0),
        ("order", 0),
        ("%", 0),
        ("", 0),
    ] {
        assert_eq!(
            count(AuditFilter { action: Some(action.to_owned()), ..filter() }).await,
            found,
            "{action}"
        );
    }
    for (subject, found) in [("fx_0123", 10), ("n-3", 1), ("node", 20), ("ada", 1), (ada.uid.as_str(), 1)] {
        assert_eq!(
            count(AuditFilter { subject: Some(subject.to_owned()), ..filter() }).await,
            found,
            "{subject}"
        );
    }
    let together = AuditFilter { actor: Some("ada".to_owned()), subject: Some("n-3".to_owned()), ..filter() };
    assert_eq!(count(together).await, 1);
    let later = Timestamp::from_micros(place.now() + 3_600_000_000).unwrap();
    assert_eq!(count(AuditFilter { since: Some(later), ..filter() }).await, 0);
    let earlier = Timestamp::from_micros(place.now() - 3_600_000_000).unwrap();
    assert_eq!(count(AuditFilter { since: Some(earlier), ..filter() }).await, 21);

    // Pages meet without a gap, and the last one says so.
    let all = ask(filter()).await;
    assert_eq!(all.next, None);
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = ask(AuditFilter { before, limit: Some(7), ..filter() }).await;
        assert!(page.entries.len() == 7 && paged.len() < 21);
        paged.extend(page.entries);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(paged, all.entries);
    assert_eq!(ask(AuditFilter { limit: Some(0), ..filter() }).await.entries.len(), 0);
}

/// Whoever has the database, too: it refuses.
async fn nobody_changes_or_removes_an_entry(place: Place) {
    user(&*place.store, "ada").await;
    let before = log(&*place.store).await;
    let id = before[0].id;
    let mut attacks = vec![
        "UPDATE _audit_log SET actor = 'nobody'".to_owned(),
        format!("UPDATE _audit_log SET detail = '{{}}' WHERE id = {id}"),
        "DELETE FROM _audit_log".to_owned(),
        format!("DELETE FROM _audit_log WHERE id = {id}"),
    ];
    if place.is_on_server() {
        attacks.push("TRUNCATE _audit_log".to_owned());
    } else {
        attacks.push(format!(
            "INSERT OR REPLACE INTO _audit_log (id, at, actor, action, subject_kind, subject, detail) \
             VALUES ({id}, 0, 'x', 'x', 'x', 'x', '{{}}')"
        ));
    }
    for attack in attacks {
        let error = place.try_execute(&attack).unwrap_err();
        assert!(error.contains("append-only"), "{attack}: {error}");
    }
    assert_eq!(log(&*place.store).await, before);
}

/// A change whose entry cannot be written does not happen, and neither does an entry without its change.
async fn a_change_and_its_entry_happen_together_or_not_at_all(place: Place) {
    let store = &*place.store;
    let table = fx(store).await;
    user(store, "ada").await;
    let before = (log(store).await, place.contents());
    place.execute(if place.is_on_server() {
        "ALTER TABLE _audit_log ADD CONSTRAINT full_log CHECK (id < 0) NOT VALID"
    } else {
        "CREATE TRIGGER full_log BEFORE INSERT ON _audit_log BEGIN SELECT RAISE(ABORT, 'full_log'); END"
    });
    let labels = MetadataEdit { add_labels: vec!["x".to_owned()], ..MetadataEdit::default() };
    let member = Member::User(store.user("ada").await.unwrap().uid);
    let organisation = Subject::Organisation;
    let failures = [
        store.register_table(&contract("fx_returns"), at(2)).await.map(drop),
        store.edit_table("fx_rates", &labels).await.map(drop),
        store.repoint("fx_rates_daily", "fx_rates", None).await.map(drop),
        store.add_component(component("1.0.0")).await.map(drop),
        store.add_source("s", SourceKind::File { path: "/data".into() }, at(1)).await.map(drop),
        store.set_secret("s", &SecretPlace::Env { variable: "A".to_owned() }, at(1)).await,
        store.ensure_node(new_node(&table, "fx_0123")).await.map(drop),
        store.create_user(&NewUser { username: "grace".into(), ..NewUser::default() }, at(1)).await.map(drop),
        store.create_team(&NewTeam { name: "desk".into(), ..NewTeam::default() }, at(1)).await.map(drop),
        store.create_token(&new_token("ada", &[Right::Read]), at(1)).await.map(drop),
        store.grant_role(&organisation, &member, Role::Viewer, at(1)).await.map(drop),
        store.set_table_owner(&table.uid, Some("ada")).await,
        store.enable_user("ada", false).await.map(drop),
    ];
    for failure in failures {
        let error = failure.unwrap_err();
        assert!(error.code() == "store.database" && error.to_string().contains("full_log"), "{error}");
    }
    place.execute(if place.is_on_server() {
        "ALTER TABLE _audit_log DROP CONSTRAINT full_log"
    } else {
        "DROP TRIGGER full_log"
    });
    assert_eq!(log(store).await, before.0);
    let left: Vec<_> = place.contents().into_iter().filter(|(name, _)| !name.contains("_seq")).collect();
    let was: Vec<_> = before.1.into_iter().filter(|(name, _)| !name.contains("_seq")).collect();
    assert_eq!(left, was);
    // The other way round: what is refused writes nothing down.
    assert!(store.repoint("fx_rates_daily", "nowhere", None).await.is_err());
    assert!(
        store.create_user(&NewUser { username: "ada".into(), ..NewUser::default() }, at(1)).await.is_err()
    );
    assert_eq!(log(store).await, before.0);
    // And then all goes on.
    store.register_table(&contract("fx_returns"), at(2)).await.unwrap();
}

async fn many_at_once_are_all_written_down(place: Place) {
    let other = place.database().open().await.unwrap();
    let ada = user(&*place.store, "ada").await;
    let mut working = Vec::new();
    for number in 0..16 {
        let store = if number % 2 == 0 { Arc::clone(&place.store) } else { Arc::clone(&other) };
        let user = UserRef { id: number, ..ada.reference() };
        let store =
            store.acting(Actor { user: Some(user), token: Some(format!("t-{number}")), request_id: None });
        working.push(tokio::spawn(async move {
            let name = format!("table_{number}");
            store.register_table(&contract(&name), at(1)).await.unwrap();
            let created = store.create_token(&new_token("ada", &[Right::Read]), day(0)).await.unwrap();
            store.authenticate(&created.text.reveal(), day(1)).await.unwrap();
            store.revoke_token(&created.token.id, day(2)).await.unwrap();
            let same = NewUser { username: "grace".to_owned(), ..NewUser::default() };
            store.create_user(&same, day(0)).await.map(|_| ()).map_err(|error| error.code())
        }));
    }
    let mut created = 0;
    for working in working {
        match working.await.unwrap() {
            Ok(()) => created += 1,
            Err(code) => assert_eq!(code, "access.name_taken"),
        }
    }
    assert_eq!(created, 1, "one name, one user");
    let entries = log(&*place.store).await;
    assert_eq!(entries.len(), 1 + 16 * 3 + 1);
    for number in 0..16 {
        let token = format!("t-{number}");
        let of = entries
            .iter()
            .filter(|entry| entry.token.as_deref() == Some(&token) && entry.action != "user.create");
        assert_eq!(
            of.map(|entry| entry.action.as_str()).collect::<Vec<_>>(),
            ["table.register", "token.create", "token.revoke"]
        );
    }
}

on_both_databases!(
    users_and_teams_are_known_by_name_uid_and_number,
    a_token_is_shown_once_and_kept_as_a_hash,
    whatever_is_wrong_with_a_token_the_refusal_is_the_same,
    whether_there_is_a_token_counts_those_that_are_accepted,
    the_last_use_of_a_token_is_noted,
    roles_reach_a_user_by_itself_and_by_its_teams,
    a_table_belongs_to_whom_registers_it_by_a_token,
    a_table_is_shared_to_see_and_to_edit,
    every_change_of_the_catalogue_is_written_down_by_whom_it_was_done,
    the_audit_log_is_read_by_pages_and_filters,
    nobody_changes_or_removes_an_entry,
    a_change_and_its_entry_happen_together_or_not_at_all,
    many_at_once_are_all_written_down,
);
