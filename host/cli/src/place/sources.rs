//! Sources and secrets: what components may ask of the world, and what sources prove themselves with.

use std::path::Path;

use datanode_core::source::{HttpRules, RuleError};
use datanode_runtime::{ListedSecret, NewSecret};
use datanode_store::{Registered, Source, SourceKind};
use hyper::header::{ETAG, IF_MATCH};
use serde_json::{Value, json};

use super::Place;
use crate::failure::{Failure, OrFail};
use crate::remote::Call;

/// How often a source is looked at again that others have changed meanwhile.
const CHANGED_AGAIN: u32 = 3;

/// Whether a server has refused a change because the thing is not any more what it was when it was looked at.
fn is_of_another_state(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.code == "server.precondition")
}

/// Where a new source leads.
pub(crate) enum NewSource<'s> {
    /// A directory: of this machine, or of the server's where one is asked.
    Directory(&'s Path),
    /// A place that is asked by HTTP.
    Http(Box<HttpRules>),
}

impl Place {
    /// All sources, by name.
    pub(crate) async fn sources(&self) -> anyhow::Result<Vec<Source>> {
        match self {
            Self::Here(host) => host.store().sources().await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["sources"]))).await,
        }
    }

    /// A source by name.
    pub(crate) async fn source(&self, name: &str) -> anyhow::Result<Source> {
        match self {
            Self::Here(host) => host.store().source(name).await.or_fail(),
            Self::There(server) => server.get(&["sources", name]).await,
        }
    }

    /// Add a source, or let one that is there lead elsewhere.
    pub(crate) async fn add_source(
        &self,
        name: &str,
        source: NewSource<'_>,
        replace: bool,
    ) -> anyhow::Result<Registered<Source>> {
        match self {
            Self::Here(host) => match source {
                NewSource::Directory(path) => host.add_file_source(name, path, replace).await.or_fail(),
                NewSource::Http(rules) => host.add_http_source(name, *rules, replace).await.or_fail(),
            },
            Self::There(server) => {
                let mut body = json!({ "name": name, "replace": replace });
                match source {
                    // It is one of the server, which has another current directory.
                    NewSource::Directory(path) if path.is_relative() => {
                        let problem = "a directory of the server is meant, so that its whole path is needed";
                        return Err(Failure::usage(format!("{}: {problem}", path.display()))
                            .with_next_step(
                                "write the path from the root on, as it is on the machine of the server",
                            )
                            .into());
                    }
                    NewSource::Directory(path) => body["path"] = json!(path),
                    NewSource::Http(rules) => body["http"] = json!(rules),
                }
                server.post(&["sources"], &body).await
            }
        }
    }

    /// Change the rules of an HTTP source. Where others change it meanwhile, theirs are changed.
    pub(crate) async fn change_source(
        &self,
        name: &str,
        change: impl Fn(&mut HttpRules) + Send + Sync,
    ) -> anyhow::Result<Source> {
        let server = match self {
            Self::Here(host) => return host.change_source(name, change).await.or_fail(),
            Self::There(server) => server,
        };
        let at = || server.at(&["sources", name]);
        let mut again = 0;
        loop {
            let shown = server.send(Call::get(at())).await?;
            let tag = shown.header(&ETAG).map(ToOwned::to_owned);
            let tag = tag.ok_or_else(|| server.odd("a source without an ETag"))?;
            let SourceKind::Http(mut rules) = shown.json::<Source>().await?.kind else {
                return Err(Failure::of(&RuleError::Directory { name: name.to_owned() }).into());
            };
            // The rules as they are now, changed by the same function that changes them in this process.
            change(&mut rules);
            match server.ask(Call::put(at()).with(IF_MATCH, &tag).json(&rules)?).await {
                Err(error) if again < CHANGED_AGAIN && is_of_another_state(&error) => again += 1,
                changed => return changed,
            }
        }
    }

    /// Remove a source and its grants.
    pub(crate) async fn remove_source(&self, name: &str) -> anyhow::Result<Source> {
        match self {
            Self::Here(host) => host.store().remove_source(name).await.or_fail(),
            Self::There(server) => server.ask(Call::delete(server.at(&["sources", name]))).await,
        }
    }

    /// Let a component read a source.
    pub(crate) async fn grant_source(&self, name: &str, component: &str) -> anyhow::Result<Source> {
        match self {
            Self::Here(host) => {
                host.grant_source(name, component).await.or_fail()?;
                host.store().source(name).await.or_fail()
            }
            Self::There(server) => {
                server.ask(Call::post(server.at(&["sources", name, "grants", component]))).await
            }
        }
    }

    /// Take a grant back.
    pub(crate) async fn revoke_source(&self, name: &str, component: &str) -> anyhow::Result<Source> {
        match self {
            Self::Here(host) => {
                host.store().revoke_source(name, component).await.or_fail()?;
                host.store().source(name).await.or_fail()
            }
            Self::There(server) => {
                server.ask(Call::delete(server.at(&["sources", name, "grants", component]))).await
            }
        }
    }

    /// All secrets, by name, without their values.
    pub(crate) async fn secrets(&self) -> anyhow::Result<Vec<ListedSecret>> {
        match self {
            Self::Here(host) => host.secrets().await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["secrets"]))).await,
        }
    }

    /// Set a secret. A variable or a file is one of the machine that runs nodes.
    pub(crate) async fn set_secret(&self, name: &str, secret: NewSecret) -> anyhow::Result<ListedSecret> {
        match self {
            Self::Here(host) => host.set_secret(name, secret).await.or_fail(),
            Self::There(server) => {
                let mut body = json!({ "name": name });
                match &secret {
                    NewSecret::Value(value) => body["value"] = Value::from(value.reveal()),
                    NewSecret::Env(variable) => body["env"] = json!(variable),
                    NewSecret::File(path) => body["file"] = json!(path),
                }
                server.post(&["secrets"], &body).await
            }
        }
    }

    /// Remove a secret that no source uses.
    pub(crate) async fn remove_secret(&self, name: &str) -> anyhow::Result<()> {
        match self {
            Self::Here(host) => host.remove_secret(name).await.or_fail(),
            Self::There(server) => server.send(Call::delete(server.at(&["secrets", name]))).await.map(drop),
        }
    }
}
