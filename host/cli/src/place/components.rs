//! Components: what there is, and what becomes of it.

use std::path::Path;

use datanode_core::component::ComponentClass;
use datanode_core::digest::Digest;
use datanode_runtime::{Upload, Uploaded};
use datanode_store::StoredComponent;
use semver::Version;

use super::Place;
use crate::failure::{Failure, OrFail};
use crate::remote::Call;
use crate::usage;

/// A component file on its way into the catalogue.
pub(crate) struct ComponentFile<'f> {
    pub(crate) file: &'f Path,
    /// Take a release that gives nodes another identity.
    pub(crate) accept_new_identity: bool,
    /// Admit components of this class.
    pub(crate) admits: ComponentClass,
    /// Take these bytes and no others.
    pub(crate) expected: Option<Digest>,
    /// The content of the file with its signature.
    pub(crate) signature: Option<Vec<u8>>,
}

impl Place {
    /// All components, by name and version.
    pub(crate) async fn components(&self) -> anyhow::Result<Vec<StoredComponent>> {
        match self {
            Self::Here(host) => host.store().components().await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["components"]))).await,
        }
    }

    /// The given release, or the one that runs.
    pub(crate) async fn component(
        &self,
        name: &str,
        version: Option<&Version>,
    ) -> anyhow::Result<StoredComponent> {
        match self {
            Self::Here(host) => host.store().component(name, version).await.or_fail(),
            Self::There(server) => match version {
                Some(version) => server.get(&["components", name, &version.to_string()]).await,
                None => server.get(&["components", name]).await,
            },
        }
    }

    /// Let a release be chosen for runs, or not any more.
    pub(crate) async fn enable_component(
        &self,
        name: &str,
        version: Option<&Version>,
        enabled: bool,
    ) -> anyhow::Result<StoredComponent> {
        match self {
            Self::Here(host) => host.store().enable_component(name, version, enabled).await.or_fail(),
            Self::There(server) => {
                let version = version_or_only(version);
                let verb = if enabled { "enable" } else { "disable" };
                server.ask(Call::post(server.at(&["components", name, &version, verb]))).await
            }
        }
    }

    /// Remove a release.
    pub(crate) async fn remove_component(
        &self,
        name: &str,
        version: Option<&Version>,
        force: bool,
    ) -> anyhow::Result<StoredComponent> {
        match self {
            Self::Here(host) => host.remove_component(name, version, force).await.or_fail(),
            Self::There(server) => {
                let version = version_or_only(version);
                let call = Call::delete(server.at(&["components", name, &version]));
                server.ask(if force { call.query("force", "true") } else { call }).await
            }
        }
    }

    /// Have a component checked, and kept when it is admitted.
    pub(crate) async fn upload(&self, upload: &ComponentFile<'_>) -> anyhow::Result<Uploaded> {
        let label = upload.file.display().to_string();
        match self {
            Self::Here(host) => {
                let bytes = std::fs::read(upload.file).map_err(|error| usage(format!("{label}: {error}")))?;
                let host = host.clone().admitting(upload.admits);
                let handed = Upload {
                    label,
                    bytes,
                    accept_new_identity: upload.accept_new_identity,
                    expected: upload.expected,
                    signature: upload.signature.clone(),
                    uploaded_by: user(),
                };
                let uploaded = host.upload(handed).await;
                Ok(uploaded.map_err(|error| Failure::of(&error).of_file(upload.file))?)
            }
            Self::There(server) => {
                server.upload(upload).await.map_err(|error| match error.downcast::<Failure>() {
                    Ok(failure) => failure.of_file(upload.file).into(),
                    Err(error) => error,
                })
            }
        }
    }
}

/// Who works on this machine.
fn user() -> Option<String> {
    let name = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    name.map(|name| name.chars().take(100).collect())
}

/// The segment of a release: `-` is the only one that there is.
fn version_or_only(version: Option<&Version>) -> String {
    version.map_or_else(|| "-".to_owned(), ToString::to_string)
}
