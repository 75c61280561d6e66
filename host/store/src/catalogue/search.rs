//! Which release of which component is behind the rows of a table, for whoever searches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datanode_core::digest::Digest;
use datanode_core::search::from_bytes;

use super::components::highest_enabled;
use super::stored::damaged;
use crate::{
    PublishedNames, Registration, SearchedTable, StoreError, StoredComponent, StoredVector, Table,
    TableWriter,
};

/// Who writes a table: its uid, the component, and the release that the node is pinned to.
pub(crate) type RawWriter = (String, String, Option<String>);
/// A row of entries: uid, digest of the text, vector.
pub(crate) type RawVector = (String, String, Vec<u8>);

/// Tables with their writers. Of a component that has no release to run, nothing is known, and nothing is said.
pub(crate) fn searched(
    tables: Vec<Table>,
    mut registrations: HashMap<String, Registration>,
    nodes: Vec<RawWriter>,
    components: Vec<StoredComponent>,
    docs: HashMap<String, String>,
) -> Result<Vec<SearchedTable>, StoreError> {
    let docs: HashMap<String, Arc<str>> =
        docs.into_iter().map(|(digest, docs)| (digest, docs.into())).collect();
    let descriptions: HashMap<Digest, Arc<str>> = components
        .iter()
        .map(|component| (component.digest, component.manifest.description.as_str().into()))
        .collect();
    let mut releases = BTreeMap::<String, Vec<StoredComponent>>::new();
    for component in components {
        releases.entry(component.manifest.name.clone()).or_default().push(component);
    }
    let mut writers = HashMap::<String, BTreeSet<(String, Option<Digest>)>>::new();
    for (table_uid, component, pinned) in nodes {
        let place = format!("nodes of table {table_uid}");
        let pinned = pinned.map(|digest| digest.parse::<Digest>().map_err(damaged(&place))).transpose()?;
        writers.entry(table_uid).or_default().insert((component, pinned));
    }
    // The highest release of each component is looked for once, and not for each of its nodes.
    let highest: HashMap<&String, Option<StoredComponent>> = releases
        .iter()
        .map(|(name, releases)| (name, highest_enabled(name, releases.clone()).ok()))
        .collect();
    let release = |(name, pinned): &(String, Option<Digest>)| match pinned {
        Some(digest) => releases.get(name)?.iter().find(|release| release.digest == *digest),
        None => highest.get(name)?.as_ref(),
    };
    let tables = tables.into_iter().map(|table| {
        let mut of_table: Vec<TableWriter> = Vec::new();
        for release in writers.get(&table.uid).into_iter().flatten().filter_map(release) {
            let digest = release.digest;
            if of_table.iter().all(|known| known.digest != digest) {
                let description = descriptions.get(&digest).cloned().unwrap_or_default();
                let docs = docs.get(&digest.to_string()).cloned();
                let component = release.manifest.name.clone();
                of_table.push(TableWriter { component, digest, description, docs });
            }
        }
        let Registration { identifier, namespace, schema, .. } =
            registrations.remove(&table.uid).unwrap_or_default();
        SearchedTable {
            table: Arc::new(table),
            published: Arc::new(PublishedNames { identifier, namespace, schema }),
            writers: of_table.into(),
        }
    });
    Ok(tables.collect())
}

/// A vector as it was kept.
pub(crate) fn vector((table_uid, text_digest, vector): RawVector) -> Result<StoredVector, StoreError> {
    let place = format!("search entry of table {table_uid}");
    let vector = from_bytes(&vector).ok_or_else(|| damaged(&place)("its vector is none"))?;
    Ok(StoredVector {
        text_digest: text_digest.parse().map_err(damaged::<String>(&place))?,
        table_uid,
        vector,
    })
}
