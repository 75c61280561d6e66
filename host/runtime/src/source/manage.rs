//! Sources as operators make and change them.

use std::path::Path;
use std::sync::Arc;

use datanode_core::component::Manifest;
use datanode_core::name::check_name;
use datanode_core::source::{HttpRules, RuleError};
use datanode_store::{Registered, Source, SourceKind, StoreError};
use tokio::runtime::Handle;

use super::{HttpDoor, Sources};
use crate::{Host, RuntimeError, clock};

/// How often a source is looked at again that others have changed meanwhile.
const CHANGED_AGAIN: u32 = 3;

impl Host {
    /// Add a source that leads to a directory, or to one file. The same again changes nothing; another one under the name of
    /// one that is there is refused, unless it is to `replace` it.
    pub async fn add_file_source(
        &self,
        name: &str,
        path: &Path,
        replace: bool,
    ) -> Result<Registered<Source>, RuntimeError> {
        check_name("source name", name)?;
        let problem = |problem: String| RuntimeError::SourcePath {
            name: name.to_owned(),
            path: path.display().to_string(),
            problem,
        };
        let path = path.canonicalize().map_err(|error| problem(error.to_string()))?;
        let kind = if path.is_dir() {
            SourceKind::File { path }
        } else if path.is_file() {
            SourceKind::OneFile { path }
        } else {
            return Err(problem("neither a directory nor a file".to_owned()));
        };
        self.put_source(name, kind, replace).await
    }

    /// Add a source that is asked by HTTP; see [`Host::add_file_source`].
    pub async fn add_http_source(
        &self,
        name: &str,
        rules: HttpRules,
        replace: bool,
    ) -> Result<Registered<Source>, RuntimeError> {
        check_name("source name", name)?;
        rules.check()?;
        self.put_source(name, SourceKind::Http(Box::new(rules)), replace).await
    }

    async fn put_source(
        &self,
        name: &str,
        kind: SourceKind,
        replace: bool,
    ) -> Result<Registered<Source>, RuntimeError> {
        match self.store.add_source(name, kind.clone(), clock::now()).await {
            Err(StoreError::SourceTaken { .. }) if replace => {
                let value = self.store.replace_source(name, kind).await?;
                Ok(Registered { value, created: false })
            }
            added => Ok(added?),
        }
    }

    /// Change the rules of an HTTP source; its grants stay. Where others change it meanwhile, theirs are changed.
    pub async fn change_source(
        &self,
        name: &str,
        change: impl Fn(&mut HttpRules) + Send + Sync,
    ) -> Result<Source, RuntimeError> {
        let mut again = 0;
        loop {
            let seen = self.store.source(name).await?;
            match self.change_seen_source(&seen, &change).await {
                Err(RuntimeError::Store(StoreError::Changed { .. })) if again < CHANGED_AGAIN => again += 1,
                changed => return changed,
            }
        }
    }

    /// The same of a source as it was seen: refused where it is another by then ([`StoreError::Changed`]).
    pub async fn change_seen_source(
        &self,
        seen: &Source,
        change: impl FnOnce(&mut HttpRules) + Send,
    ) -> Result<Source, RuntimeError> {
        let SourceKind::Http(rules) = &seen.kind else {
            return Err(RuleError::Directory { name: seen.name.clone() }.into());
        };
        let mut rules = rules.clone();
        change(&mut rules);
        rules.check()?;
        Ok(self.store.change_source(seen, SourceKind::Http(rules)).await?)
    }

    /// What the runs of a component may ask.
    pub(crate) async fn sources_of(
        &self,
        manifest: &Manifest,
        known: Vec<Source>,
    ) -> Result<Sources, RuntimeError> {
        let is_asked = |source: &&Source| {
            matches!(source.kind, SourceKind::Http(_))
                && source.granted_to.contains(&manifest.name)
                && manifest.sources.iter().any(|declared| declared.name == source.name)
        };
        let asked: Vec<&Source> = known.iter().filter(is_asked).collect();
        let http = if asked.is_empty() {
            None
        } else {
            Some(HttpDoor {
                outside: Arc::clone(&self.outside),
                store: Arc::clone(&self.store),
                runtime: Handle::current(),
                secrets: self.resolve_secrets(&asked).await?,
                spool: self.spill.directory.clone(),
                host_call_ms: self.sandbox.limits().host_call_ms,
            })
        };
        let sources = Sources::new(&manifest.name, &manifest.sources, known);
        Ok(match http {
            Some(http) => sources.with_http(http),
            None => sources,
        })
    }
}
