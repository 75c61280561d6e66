//! Components on their way into the catalogue.

use datanode_core::digest::Digest;
use datanode_core::provenance::Provenance;
use datanode_sandbox::imports::{self, Admitted};
use datanode_sandbox::{docs, producers};
use datanode_store::{NewComponent, Registered, StoredComponent};
use serde::{Deserialize, Serialize};

use crate::signature::SignatureError;
use crate::{Host, RuntimeError, clock};

/// A component that is handed over.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    /// What it is called in errors until its name is known: its file, say. It is kept as its origin.
    pub label: String,
    /// The `.wasm` file.
    pub bytes: Vec<u8>,
    /// Take a release that gives nodes another identity.
    pub accept_new_identity: bool,
    /// Take these bytes and no others.
    pub expected: Option<Digest>,
    /// The file with its signature.
    pub signature: Option<Vec<u8>>,
    /// Who hands it over.
    pub uploaded_by: Option<String>,
}

/// Answer to an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Uploaded {
    /// The component as the catalogue has it.
    pub component: StoredComponent,
    /// False when the same bytes were there already.
    pub created: bool,
}

impl Host {
    /// Admit a component: verify whose it is, judge its imports from the bytes, compile it, ask it twice what it is, and
    /// only then keep it. A release that would give nodes another identity is refused unless that is accepted.
    pub async fn upload(&self, upload: Upload) -> Result<Uploaded, RuntimeError> {
        let Upload { label, bytes, accept_new_identity, expected, signature, uploaded_by } = upload;
        let digest = Digest::of(&bytes);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            let (expected, found) = (expected.to_string(), digest.to_string());
            return Err(SignatureError::OtherBytes { expected, found }.into());
        }
        let signed = self.trusted.judge(&label, &digest, signature.as_deref())?;
        let (sandbox, name, most) = (self.sandbox.clone(), label.clone(), self.admits);
        let (bytes, admitted, manifest) = tokio::task::spawn_blocking(move || {
            let admitted = imports::check(&bytes, most)?;
            let component = sandbox.prepare(&name, &bytes, most)?;
            let manifest = sandbox.manifest(&component)?;
            Ok::<_, RuntimeError>((bytes, admitted, manifest))
        })
        .await
        .map_err(|_| RuntimeError::Panicked("checking a component"))??;
        if !accept_new_identity {
            self.refuse_new_identity(&manifest).await?;
        }
        let (built, docs) = (producers(&bytes), docs(&bytes));
        let provenance = Provenance {
            file: Some(label.chars().take(1_000).collect()),
            uploaded_by,
            signed,
            contract: Some(imports::NODE_EXPORT.replace("/node@", "@")),
            languages: built.languages,
            tools: built.tools,
        };
        let Admitted { imports, class } = admitted;
        let new =
            NewComponent { manifest, imports, class, digest, bytes, uploaded_at: clock::now(), provenance };
        let Registered { value, created } = self.store.add_component(new).await?;
        // For searches alone; where this is not reached, they look into the bytes themselves.
        self.store.put_component_docs(&value.digest, &docs).await?;
        Ok(Uploaded { component: value, created })
    }
}
