//! Secrets, and sources that change: what is kept, and what stays.

use crate::support::{Place, at, on_both_databases};
use datanode_core::Diagnostic;
use datanode_core::source::{BaseUrl, HttpRules};
use datanode_store::{SecretPlace, SourceKind};

fn http(url: &str) -> SourceKind {
    SourceKind::Http(Box::new(HttpRules::new(BaseUrl::parse(url).unwrap())))
}

async fn secrets_are_set_anew_listed_and_removed(place: Place) {
    let store = &place.store;
    let sealed = |text: &str| SecretPlace::Sealed {
        key: "k".to_owned(),
        nonce: "n".to_owned(),
        sealed: text.to_owned(),
    };
    store.set_secret("b", &sealed("one"), at(1)).await.unwrap();
    store.set_secret("a", &SecretPlace::Env { variable: "A".to_owned() }, at(2)).await.unwrap();
    store.set_secret("b", &sealed("two"), at(3)).await.unwrap();
    let listed = store.secrets().await.unwrap();
    let names: Vec<_> = listed.iter().map(|secret| (secret.name.as_str(), secret.set_at)).collect();
    assert_eq!(names, [("a", at(2)), ("b", at(3))]);
    assert_eq!(listed[1].place, sealed("two"));
    store.remove_secret("a").await.unwrap();
    let error = store.remove_secret("a").await.unwrap_err();
    assert_eq!(error.code(), "store.secret_not_found");
    assert!(error.next_step().unwrap().contains("datanode secret list"));
    assert_eq!(store.secrets().await.unwrap().len(), 1);
}

async fn a_source_that_leads_elsewhere_keeps_its_grants(place: Place) {
    let store = &place.store;
    store.add_source("s", http("https://one.example/"), at(1)).await.unwrap();
    store.grant_source("s", "fx", at(2)).await.unwrap();
    let error = store.add_source("s", http("https://two.example/"), at(3)).await.unwrap_err();
    assert!(error.code() == "source.taken" && error.to_string().contains("https://one.example/"), "{error}");
    let changed = store.replace_source("s", http("https://two.example/")).await.unwrap();
    assert_eq!((changed.granted_to.as_slice(), changed.created_at), (&["fx".to_owned()][..], at(1)));
    assert_eq!(store.source("s").await.unwrap(), changed);
    assert_eq!(store.remove_source("s").await.unwrap(), changed);
    for error in [
        store.remove_source("s").await.unwrap_err(),
        store.replace_source("s", http("https://two.example/")).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "store.source_not_found");
    }
    // Its grants went with it.
    let again = store.add_source("s", http("https://one.example/"), at(4)).await.unwrap();
    assert!(again.created && store.source("s").await.unwrap().granted_to.is_empty());
}

on_both_databases!(secrets_are_set_anew_listed_and_removed, a_source_that_leads_elsewhere_keeps_its_grants,);
