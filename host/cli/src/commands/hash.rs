//! `datanode node hash`

use std::io::Write;

use datanode_runtime::{Identity, IdentityRequest};

use crate::args::HashArguments;
use crate::place::Place;
use crate::print::{self, Printer};

pub(crate) async fn show(arguments: HashArguments, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let explain = arguments.explain;
    let identity = identity(arguments, place).await?;
    if explain && !printer.json {
        // Byte for byte what is hashed: no line end. A reader that went away is no error.
        let _ = std::io::stdout().write_all(identity.hashed_document.as_bytes());
        return Ok(());
    }
    printer.show(&identity, || {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        print::facts(&[
            ("update hash", identity.update_hash.clone()),
            ("sha256", identity.sha256.to_string()),
            (
                "component",
                format!(
                    "{} {}",
                    identity.component,
                    identity.version.as_deref().unwrap_or("(no release is enabled)")
                ),
            ),
            ("hash namespace", or_dash(&identity.hash_namespace)),
            ("document", identity.hashed_document.clone()),
            (
                "metadata digest",
                identity
                    .metadata_digest
                    .map_or("- (needs an output table and an enabled release)".to_owned(), |digest| {
                        digest.to_string()
                    }),
            ),
        ]);
    })
}

async fn identity(arguments: HashArguments, place: &Place) -> anyhow::Result<Identity> {
    let HashArguments { node, component, config, table, hash_namespace, .. } = arguments;
    let Some(component) = component else {
        let node = place.node(&node.unwrap_or_default()).await?;
        if !hash_namespace.is_explicit() {
            // A node has its hash, whatever is ambient.
            return place.identity_of(&node).await;
        }
        let request = IdentityRequest {
            component: node.component,
            config: node.config.to_string(),
            hash_namespace: hash_namespace.resolve()?,
            table: Some(node.table_uid),
        };
        return place.identify(request).await;
    };
    let hash_namespace = hash_namespace.resolve()?;
    let config = super::node::config(config.as_deref().unwrap_or("{}"))?;
    place.identify(IdentityRequest { component, config, hash_namespace, table }).await
}
