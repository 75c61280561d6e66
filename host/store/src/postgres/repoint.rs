//! Moving an identifier from one table to another. Everything in the catalogue refers to tables by uid: nothing else
//! changes.

use datanode_core::access::Actor;
use sqlx::PgConnection;

use super::stored::{failed, to_json};
use super::{audit, tables};
use crate::catalogue::audit as entries;
use crate::catalogue::tables::{check_identifier, choose_another, held, name_the_former, not_found, renamed};
use crate::{Repointed, StoreError, Table};

const DOING: &str = "moving an identifier";

/// Let a table take an identifier over; the table that holds it is called `former` from then on. It is written down that
/// this actor has done so.
pub(super) async fn repoint(
    connection: &mut PgConnection,
    actor: &Actor,
    identifier: &str,
    reference: &str,
    former: Option<&str>,
) -> Result<Repointed, StoreError> {
    let repointed = moved(connection, identifier, reference, former).await?;
    if let Some(entry) = entries::table_repointed(&repointed) {
        audit::record(connection, actor, &entry).await?;
    }
    Ok(repointed)
}

async fn moved(
    connection: &mut PgConnection,
    identifier: &str,
    reference: &str,
    former: Option<&str>,
) -> Result<Repointed, StoreError> {
    check_identifier(identifier)?;
    let table = tables::by_reference(connection, reference).await?;
    let before = table.contract.identifier.clone();
    if before == identifier {
        return Ok(Repointed { table, before, former: None });
    }
    let holder = tables::holding(connection, identifier).await?;
    let (Some(holder), Some(former)) = (&holder, former) else {
        return match (holder, former) {
            (Some(holder), _) => Err(held(&holder, name_the_former(identifier, reference))),
            (None, Some(_)) => Err(not_found(identifier)),
            (None, None) => {
                let table = rename(connection, table, identifier).await?;
                Ok(Repointed { table, before, former: None })
            }
        };
    };
    check_identifier(former)?;
    if let Some(other) = tables::holding(connection, former).await?.filter(|other| other.uid != table.uid) {
        let proposal = tables::propose(connection, former, Some("old")).await?;
        return Err(held(&other, choose_another(identifier, reference, &proposal)));
    }
    // Out of the way while the two trade: no identifier looks like a uid.
    sqlx::query("UPDATE datanode.tables SET identifier = uid WHERE uid = $1")
        .bind(&holder.uid)
        .execute(&mut *connection)
        .await
        .map_err(failed(DOING))?;
    let table = rename(connection, table, identifier).await?;
    let former = rename(connection, holder.clone(), former).await?;
    Ok(Repointed { table, before, former: Some(former) })
}

async fn rename(connection: &mut PgConnection, table: Table, identifier: &str) -> Result<Table, StoreError> {
    let contract = renamed(table.contract, identifier);
    sqlx::query("UPDATE datanode.tables SET identifier = $2, contract = $3 WHERE uid = $1")
        .bind(&table.uid)
        .bind(identifier)
        .bind(to_json(DOING, &contract)?)
        .execute(connection)
        .await
        .map_err(failed(DOING))?;
    Ok(Table { contract, ..table })
}
