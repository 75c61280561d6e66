//! Foreign keys.

use datanode_core::contract::OnDelete;
use sqlx::PgConnection;

use super::tables;
use crate::{Referrer, StoreError};

pub(super) async fn referrers(connection: &mut PgConnection, uid: &str) -> Result<Vec<Referrer>, StoreError> {
    let mut found = Vec::new();
    for table in tables::all(connection).await? {
        let keys = table.contract.foreign_keys.iter().filter(|key| key.references.table == uid);
        found.extend(keys.map(|key| Referrer {
            table_uid: table.uid.clone(),
            table: table.contract.identifier.clone(),
            foreign_key: key.clone(),
        }));
    }
    Ok(found)
}

pub(super) async fn changed_by_deletion(
    connection: &mut PgConnection,
    uid: &str,
) -> Result<Vec<String>, StoreError> {
    let mut changed: Vec<String> = Vec::new();
    let mut open = vec![uid.to_owned()];
    while let Some(target) = open.pop() {
        for referrer in referrers(connection, &target).await? {
            if referrer.foreign_key.on_delete == OnDelete::Restrict || changed.contains(&referrer.table_uid) {
                continue;
            }
            if referrer.foreign_key.on_delete == OnDelete::Cascade {
                open.push(referrer.table_uid.clone());
            }
            changed.push(referrer.table_uid);
        }
    }
    Ok(changed)
}
