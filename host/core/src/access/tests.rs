//! The rules as properties: whatever is held, asked for, and asked about.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::Timestamp;
use crate::diagnostic::Diagnostic;

const NAMESPACES: [&str; 2] = ["fx", "equity"];
const TABLES: [&str; 3] = ["t-1", "t-2", "t-3"];
const USERS: [&str; 2] = ["u-1", "u-2"];

fn user(uid: &str) -> UserRef {
    UserRef { uid: uid.to_owned(), id: 1, username: format!("user-of-{uid}") }
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        Just(Subject::Organisation),
        select(NAMESPACES.to_vec()).prop_map(|name| Subject::Namespace(name.to_owned())),
        select(TABLES.to_vec()).prop_map(|uid| Subject::Table(uid.to_owned())),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    select(Role::ALL.to_vec())
}

fn rights() -> impl Strategy<Value = Rights> {
    subsequence(Right::ALL.to_vec(), 0..=6).prop_map(|rights| Rights::of(&rights))
}

fn action() -> impl Strategy<Value = Action> {
    select(Action::ALL.to_vec())
}

prop_compose! {
    fn principal()(
        uid in select(USERS.to_vec()),
        rights in rights(),
        roles in prop::collection::vec((subject(), role()), 0..4),
    ) -> Principal {
        Principal { roles, ..Principal::new(user(uid), "0123456789abcdef", rights) }
    }
}

fn target() -> impl Strategy<Value = Target<'static>> {
    let namespace = || prop_oneof![Just(None), select(NAMESPACES.to_vec()).prop_map(Some)];
    let owner = prop_oneof![Just(None), select(USERS.to_vec()).prop_map(Some)];
    prop_oneof![
        Just(Target::Organisation),
        namespace().prop_map(Target::Namespace),
        (select(TABLES.to_vec()), namespace(), owner)
            .prop_map(|(uid, namespace, owner)| Target::table(uid, uid, namespace, owner)),
    ]
}

proptest! {
    /// More of anything never takes a thing away.
    #[test]
    fn one_more_role_or_right_forbids_nothing(
        principal in principal(), action in action(), target in target(),
        subject in subject(), role in role(), right in select(Right::ALL.to_vec()),
    ) {
        let before = allowed(&principal, action, &target).is_ok();
        let richer = principal.clone().with_role(subject, role);
        prop_assert!(!before || allowed(&richer, action, &target).is_ok());
        let wider = Principal { rights: principal.rights.and(right), ..principal };
        prop_assert!(!before || allowed(&wider, action, &target).is_ok());
    }

    #[test]
    fn a_higher_role_on_the_same_thing_allows_all_that_a_lower_one_does(
        rights in rights(), subject in subject(), one in role(), other in role(),
        action in action(), target in target(),
    ) {
        let holding = |role| Principal::new(user("u-1"), "t", rights).with_role(subject.clone(), role);
        let (low, high) = (one.min(other), one.max(other));
        prop_assert!(allowed(&holding(low), action, &target).is_err() || allowed(&holding(high), action, &target).is_ok());
    }

    #[test]
    fn nothing_goes_beyond_the_rights_of_the_token(
        principal in principal(), action in action(), target in target(),
    ) {
        let admin = principal.with_role(Subject::Organisation, Role::Admin);
        let right = action.need().right;
        let said = allowed(&admin, action, &target);
        // An admin of the organisation lacks nothing but rights.
        prop_assert_eq!(said.is_ok(), admin.rights.has(right));
        if let Err(denied) = said {
            prop_assert_eq!(denied.missing, Missing::Right(right));
        }
    }

    #[test]
    fn the_owner_of_a_table_is_its_admin_and_nothing_more(
        principal in principal(), action in action(), uid in select(TABLES.to_vec()),
    ) {
        let own = principal.user.as_ref().unwrap().uid.clone();
        let owned = Target::table(uid, uid, Some("fx"), Some(&own));
        let as_admin = principal.clone().with_role(Subject::Table(uid.to_owned()), Role::Admin);
        let not_owned = Target::table(uid, uid, Some("fx"), None);
        prop_assert_eq!(
            allowed(&principal, action, &owned).is_ok(),
            allowed(&as_admin, action, &not_owned).is_ok()
        );
    }

    #[test]
    fn without_roles_only_what_needs_none_is_allowed(
        rights in rights(), action in action(), target in target(),
    ) {
        let nobody = Principal::new(user("u-9"), "t", rights);
        let need = action.need();
        prop_assert_eq!(
            allowed(&nobody, action, &target).is_ok(),
            need.role.is_none() && rights.has(need.right)
        );
    }

    #[test]
    fn a_role_on_one_table_or_namespace_reaches_no_other(
        rights in rights(), role in role(), action in action(),
    ) {
        let principal = Principal::new(user("u-1"), "t", rights)
            .with_role(Subject::Table("t-1".to_owned()), role)
            .with_role(Subject::Namespace("fx".to_owned()), role);
        let elsewhere = Target::table("t-2", "t-2", Some("equity"), Some("u-2"));
        let need = action.need();
        prop_assert!(need.role.is_none() || allowed(&principal, action, &elsewhere).is_err());
        prop_assert!(need.role.is_none() || allowed(&principal, action, &Target::Namespace(None)).is_err());
        prop_assert!(need.role.is_none() || allowed(&principal, action, &Target::Organisation).is_err());
    }

    #[test]
    fn a_token_gives_no_right_on_that_it_does_not_have(
        principal in principal(), whose in select(USERS.to_vec()), rights in rights(),
    ) {
        if may_issue(&principal, &user(whose), rights).is_ok() {
            prop_assert!(rights.is_within(principal.rights));
            let is_own = principal.user.as_ref().unwrap().uid == whose;
            let is_admin = allowed(&principal, Action::ManagePeople, &Target::Organisation).is_ok();
            prop_assert!(is_own || is_admin);
        }
    }

    #[test]
    fn whoever_has_the_database_may_do_everything(action in action(), target in target(), rights in rights()) {
        prop_assert!(allowed(&Principal::local(), action, &target).is_ok());
        prop_assert!(may_issue(&Principal::local(), &user("u-1"), rights).is_ok());
    }

    #[test]
    fn rights_are_read_as_they_are_written(rights in rights()) {
        prop_assert_eq!(rights.to_string().parse::<Rights>().unwrap(), rights);
        let json = serde_json::to_string(&rights).unwrap();
        prop_assert_eq!(serde_json::from_str::<Rights>(&json).unwrap(), rights);
    }

    #[test]
    fn tokens_are_read_as_they_are_written_and_their_hashes_are_theirs_alone(
        id in any::<[u8; 8]>(), secret in any::<[u8; 32]>(), salt in any::<[u8; 16]>(), at in 0..32_usize,
    ) {
        let token = TokenText::new(id, secret);
        let read = TokenText::parse(&token.reveal()).unwrap();
        prop_assert_eq!(read.id(), token.id());
        let hash = token.hash(salt);
        prop_assert!(hash.is_of(&read) && TokenHash::from_text(&hash.to_text()).unwrap().is_of(&read));
        let mut other = secret;
        other[at] ^= 1;
        prop_assert!(!hash.is_of(&TokenText::new(id, other)));
        prop_assert!(!TokenHash::NOTHING.is_of(&token));
        let shown = format!("{token:?} {hash:?}");
        let text = token.reveal();
        let secret_text = text.rsplit('_').next().unwrap();
        prop_assert!(!shown.contains(secret_text) && !hash.to_text().contains(secret_text));
    }

    #[test]
    fn no_text_is_read_as_a_token_that_is_not_one(text in ".{0,120}") {
        if let Ok(token) = TokenText::parse(&text) {
            let read = token.reveal();
            prop_assert_eq!(read.as_str(), text.as_str());
        }
    }

    /// Over any stretch of time: never more than the bucket holds and what has flowed in since.
    #[test]
    fn a_bucket_lets_no_more_through_than_it_says(
        per_minute in 1..200_u32, pauses in prop::collection::vec(0..5_000_000_i64, 1..200),
    ) {
        let mut buckets = Buckets::default();
        let (mut now, begin, mut answered) = (1_000_000_i64, 1_000_000_i64, 0_i64);
        for pause in pauses {
            now += pause;
            let at = Timestamp::from_micros(now).unwrap();
            match buckets.take("t", per_minute, at) {
                Ok(()) => answered += 1,
                Err(refused) => {
                    prop_assert_eq!(refused.per_minute, per_minute);
                    // What is said of the wait is true, and not a microsecond too early.
                    let early = Timestamp::from_micros(now + refused.wait_us - 1).unwrap();
                    let right = Timestamp::from_micros(now + refused.wait_us).unwrap();
                    let mut waiting = buckets.clone();
                    prop_assert!(waiting.take("t", per_minute, early).is_err());
                    let mut waiting = buckets.clone();
                    prop_assert!(waiting.take("t", per_minute, right).is_ok());
                }
            }
            // One request costs the 60 s of a minute by the number of requests, rounded down.
            let cost = 60_000_000 / i64::from(per_minute);
            prop_assert!(answered <= i64::from(per_minute) + (now - begin) / cost);
        }
    }
}

#[test]
fn every_action_needs_a_right_that_some_token_can_have() {
    let needed: BTreeSet<_> = Action::ALL.iter().map(|action| action.need().right).collect();
    assert_eq!(needed, BTreeSet::from(Right::ALL));
    // What is uploaded runs for everybody, and where sources lead concerns everybody: these are rights apart.
    assert_ne!(Action::UploadComponent.need().right, Action::GrantSource.need().right);
}

#[test]
fn a_bucket_holds_a_minute_of_requests_and_no_token_takes_from_another() {
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    let mut buckets = Buckets::default();
    for _ in 0..60 {
        buckets.take("one", 60, at(0)).unwrap();
    }
    let refused = buckets.take("one", 60, at(0)).unwrap_err();
    assert_eq!((refused.wait_us, refused.retry_after_seconds()), (1_000_000, 1));
    assert!(buckets.take("two", 60, at(0)).is_ok());
    assert!(buckets.take("one", 60, at(999_999)).is_err());
    buckets.take("one", 60, at(1_000_000)).unwrap();
    // A clock that goes back takes a minute at most.
    assert!(buckets.take("one", 60, at(-3_600_000_000)).is_err());
    assert!(buckets.take("one", 60, at(-3_599_000_000)).is_ok());
    assert!(buckets.take("one", 60, at(-3_599_000_000)).is_err());
}

#[test]
fn buckets_that_are_full_again_are_forgotten() {
    let mut buckets = Buckets::default();
    for token in 0..5_000 {
        let now = Timestamp::from_micros(i64::from(token) * 1_000_000).unwrap();
        buckets.take(&token.to_string(), 60, now).unwrap();
    }
    // Each was full again after a second.
    assert!(buckets.len() <= 2_048, "{}", buckets.len());
}

#[test]
fn what_is_missing_is_said_with_who_can_give_it() {
    let ada = Principal::new(
        UserRef { uid: "u-1".into(), id: 1, username: "ada".into() },
        "t",
        Rights::of(&[Right::Read]),
    );
    let table = Target::table("t-1", "fx_rates", Some("fx"), None);
    let said = |principal: &Principal, action| {
        let denied = allowed(principal, action, &table).unwrap_err();
        (denied.code(), denied.to_string(), denied.next_step().unwrap())
    };
    let (code, message, next) = said(&ada, Action::ReadTable);
    assert_eq!(code, "access.role_missing");
    assert_eq!(message, "ada may not read table `fx_rates`: that needs the role viewer");
    assert_eq!(
        next,
        "ask an admin of the table or of the organisation for it: `datanode role grant viewer --user ada --table fx_rates`"
    );
    let (code, message, _) =
        said(&ada.clone().with_role(Subject::Organisation, Role::Admin), Action::EditTable);
    assert_eq!(code, "access.right_missing");
    assert_eq!(
        message,
        "ada may not change table `fx_rates` by this token: it does not have the right `write`"
    );
    let (_, message, next) = said(&ada, Action::ReadSources);
    assert_eq!(message, "ada may not look at the sources of the organisation: that needs the role viewer");
    assert_eq!(next, "ask an admin of the organisation for it: `datanode role grant viewer --user ada`");
}

#[test]
fn names_of_people_are_names() {
    for good in ["ada", "ada.lovelace", "nightly-job", "ada@example.com", "a"] {
        check_username(good).unwrap();
    }
    let uid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    for bad in ["", "Ada", "1ada", "ada lovelace", "local", "-x", "é", uid, &"a".repeat(101)] {
        assert!(check_username(bad).is_err(), "{bad}");
    }
    assert!(check_team_name("local").is_ok());
    for good in ["", "ada@example.com"] {
        check_email(good).unwrap();
    }
    for bad in ["ada", "@example.com", "ada@", "a@b@c", "a b@c.de", "a@b\n"] {
        assert!(check_email(bad).is_err(), "{bad}");
    }
    assert!(
        check_text("description", &"a".repeat(500)).is_ok() && check_text("description", "a\u{7}").is_err()
    );
    assert_eq!(check_text("description", &"a".repeat(501)).unwrap_err().code(), "access.invalid");
    assert!(check_per_minute(0).is_err() && check_per_minute(MAX_PER_MINUTE).is_ok());
    assert!(check_per_minute(MAX_PER_MINUTE + 1).is_err());
}
