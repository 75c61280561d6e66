//! Which release of a component is meant, and which ones nothing needs any more.

use datanode_core::digest::Digest;
use datanode_core::provenance::Provenance;
use semver::Version;

use super::stored::from_json;
use crate::{NewComponent, Node, StoreError, StoredComponent};

pub(crate) fn not_found(reference: String) -> StoreError {
    StoreError::NotFound { kind: "component", reference }
}

/// A release that is not there.
pub(crate) fn no_release(name: &str, version: &Version) -> StoreError {
    not_found(format!("{name} {version}"))
}

/// By name and version.
pub(crate) fn sorted(mut components: Vec<StoredComponent>) -> Vec<StoredComponent> {
    components.sort_by(|a, b| {
        (&a.manifest.name, &a.manifest.version).cmp(&(&b.manifest.name, &b.manifest.version))
    });
    components
}

/// The highest enabled one of the releases of a component.
pub(crate) fn highest_enabled(
    name: &str,
    mut releases: Vec<StoredComponent>,
) -> Result<StoredComponent, StoreError> {
    releases.sort_by(|a, b| b.manifest.version.cmp(&a.manifest.version));
    let highest = releases.first().map(|highest| highest.manifest.version.to_string());
    releases.into_iter().find(|release| release.enabled).ok_or_else(|| match highest {
        Some(version) => StoreError::ComponentDisabled { name: name.to_owned(), version },
        None => not_found(name.to_owned()),
    })
}

/// The only one of the releases of a component.
pub(crate) fn only(name: &str, releases: Vec<StoredComponent>) -> Result<StoredComponent, StoreError> {
    let mut found = sorted(releases);
    if found.len() > 1 {
        return Err(StoreError::Ambiguous {
            kind: "component",
            reference: name.to_owned(),
            candidates: found.iter().map(|other| format!("{name}@{}", other.manifest.version)).collect(),
        });
    }
    found.pop().ok_or_else(|| not_found(name.to_owned()))
}

/// The bytes as they were read, once their digest is right: compiled code is trusted because these bytes were.
pub(crate) fn checked(bytes: Option<Vec<u8>>, digest: &Digest) -> Result<Vec<u8>, StoreError> {
    let bytes = bytes.ok_or_else(|| not_found(digest.to_string()))?;
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(StoreError::Damaged(format!("the bytes of component {digest} have the digest {found}")));
    }
    Ok(bytes)
}

/// Where a release comes from; nothing is known of one that was uploaded before it was kept.
pub(crate) fn provenance(place: &str, stored: Option<&str>) -> Result<Provenance, StoreError> {
    stored.map_or_else(|| Ok(Provenance::default()), |text| from_json(place, text))
}

/// What becomes of a release that is handed over.
pub(crate) enum Addition {
    /// It is there.
    Known(StoredComponent),
    /// It is there, and is signed now.
    Signed(StoredComponent),
    /// It is new.
    New(StoredComponent),
}

/// Decide it, by what the catalogue has under the same name and version, and under the same digest.
pub(crate) fn addition(
    component: &NewComponent,
    release: Option<StoredComponent>,
    same_bytes: Option<&StoredComponent>,
) -> Result<Addition, StoreError> {
    let found = Digest::of(&component.bytes);
    if found != component.digest {
        return Err(StoreError::Damaged(format!(
            "a component was handed over as {} but its bytes have the digest {found}",
            component.digest
        )));
    }
    let (name, version) = (&component.manifest.name, &component.manifest.version);
    if let Some(known) = release {
        if known.digest == component.digest {
            let signed = &component.provenance.signed;
            if signed.is_some() && *signed != known.provenance.signed {
                let provenance = Provenance { signed: signed.clone(), ..known.provenance.clone() };
                return Ok(Addition::Signed(StoredComponent { provenance, ..known }));
            }
            return Ok(Addition::Known(known));
        }
        return Err(StoreError::VersionTaken {
            name: name.clone(),
            version: version.to_string(),
            digest: known.digest.to_string(),
        });
    }
    if let Some(known) = same_bytes {
        // Name and version are part of the bytes, so this cannot be while hosts read them as they were written.
        return Err(StoreError::Damaged(format!(
            "component {} is in the catalogue as {} {} and now calls itself {name} {version}",
            component.digest, known.manifest.name, known.manifest.version
        )));
    }
    Ok(Addition::New(StoredComponent {
        manifest: component.manifest.clone(),
        imports: component.imports.clone(),
        class: component.class,
        digest: component.digest,
        size: component.bytes.len() as u64,
        enabled: true,
        uploaded_at: component.uploaded_at,
        provenance: component.provenance.clone(),
    }))
}

/// Refuse to remove a release that something needs: `releases` are those of its component, `nodes` all nodes, `runs` how
/// many were computed by it, and `recorded` allows those to be given up.
pub(crate) fn may_go(
    release: &StoredComponent,
    releases: &[StoredComponent],
    nodes: &[Node],
    runs: u64,
    recorded: bool,
) -> Result<(), StoreError> {
    let name = &release.manifest.name;
    let chosen = match highest_enabled(name, releases.to_vec()) {
        Ok(chosen) => chosen.digest == release.digest,
        // Disabled means: not now. Without its last release a component is gone, and its nodes could never run again.
        Err(_) => releases.len() == 1,
    };
    let runs_it = |node: &&Node| match &node.pinned_digest {
        Some(pinned) => *pinned == release.digest,
        None => chosen && node.component == *name,
    };
    let users = nodes.iter().filter(runs_it).map(|node| {
        let how = if node.pinned_digest.is_some() { ", pinned" } else { "" };
        format!("{} → {}{how}", node.update_hash, node.table)
    });
    let users: Vec<String> = users.collect();
    let (name, version) = (name.clone(), release.manifest.version.to_string());
    if !users.is_empty() {
        return Err(StoreError::ComponentInUse { name, version, enabled: release.enabled, nodes: users });
    }
    if runs > 0 && !recorded {
        return Err(StoreError::ComponentRecorded { name, version, runs });
    }
    Ok(())
}
