//! Nodes: what they are, and how they stand.

use datanode_core::node_settings::SettingChange;
use datanode_runtime::answers::{CreatedNode, HeldNode, NodeDetail, NodeGraph, WindowDocument};
use datanode_runtime::{Identity, IdentityRequest, NodeRequest};
use datanode_store::{Node, NodeSet};
use serde_json::json;

use super::Place;
use crate::failure::OrFail;
use crate::remote::Call;

impl Place {
    /// All nodes, by output table and identity.
    pub(crate) async fn nodes(&self) -> anyhow::Result<Vec<Node>> {
        match self {
            Self::Here(host) => host.store().nodes().await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["nodes"]))).await,
        }
    }

    /// A node by reference.
    pub(crate) async fn node(&self, reference: &str) -> anyhow::Result<Node> {
        match self {
            Self::Here(host) => host.store().node(reference).await.or_fail(),
            Self::There(_) => Ok(self.node_detail(reference).await?.node),
        }
    }

    /// Everything that is shown of one node.
    pub(crate) async fn node_detail(&self, reference: &str) -> anyhow::Result<NodeDetail> {
        match self {
            Self::Here(host) => host.node_detail(reference).await.or_fail(),
            Self::There(server) => server.get(&["nodes", reference]).await,
        }
    }

    /// Create a node and everything that it depends on.
    pub(crate) async fn create_node(&self, request: NodeRequest) -> anyhow::Result<Vec<CreatedNode>> {
        match self {
            Self::Here(host) => host.create_node(request).await.or_fail(),
            Self::There(server) => {
                let NodeRequest { component, pinned_digest, config, table, hash_namespace } = request;
                let body = json!({
                    "component": component, "pin": pinned_digest, "config_text": config, "table": table,
                    "hash_namespace": hash_namespace,
                });
                server.ask(Call::post(server.at(&["nodes"])).json(&body)?.long()).await
            }
        }
    }

    /// The identity of a node as it was created.
    pub(crate) async fn identity_of(&self, node: &Node) -> anyhow::Result<Identity> {
        match self {
            Self::Here(host) => host.identity_of(node).await.or_fail(),
            Self::There(server) => {
                let call = Call::post(server.at(&["nodes", "hash"])).json(&json!({ "node": node.uid }))?;
                server.ask(call.long()).await
            }
        }
    }

    /// The identity that a config has or would have.
    pub(crate) async fn identify(&self, request: IdentityRequest) -> anyhow::Result<Identity> {
        match self {
            Self::Here(host) => host.identify(request).await.or_fail(),
            Self::There(server) => {
                let IdentityRequest { component, config, hash_namespace, table } = request;
                let body = json!({
                    "component": component, "config_text": config, "hash_namespace": hash_namespace, "table": table,
                });
                server.ask(Call::post(server.at(&["nodes", "hash"])).json(&body)?.long()).await
            }
        }
    }

    /// What reads what.
    pub(crate) async fn graph(&self, reference: Option<&str>) -> anyhow::Result<NodeGraph> {
        match self {
            Self::Here(host) => host.node_graph(reference).await.or_fail(),
            Self::There(server) => match reference {
                Some(reference) => server.get(&["nodes", reference, "graph"]).await,
                None => server.get(&["graph"]).await,
            },
        }
    }

    /// What a node has done, found empty or failed at.
    pub(crate) async fn windows(&self, reference: &str) -> anyhow::Result<Vec<WindowDocument>> {
        match self {
            Self::Here(host) => host.windows_of_node(reference).await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["nodes", reference, "windows"]))).await,
        }
    }

    /// Change settings of a node, which are words such as `lookback=7d`.
    pub(crate) async fn set_node(&self, reference: &str, settings: &[String]) -> anyhow::Result<NodeSet> {
        let changes = settings.iter().map(|text| SettingChange::parse(text));
        let changes = changes.collect::<Result<Vec<_>, _>>().or_fail()?;
        match self {
            Self::Here(host) => {
                let node = host.store().node(reference).await.or_fail()?;
                host.store().set_node(&node.uid, &changes).await.or_fail()
            }
            Self::There(server) => {
                let body = json!({ "settings": settings });
                server.ask(Call::patch(server.at(&["nodes", reference])).json(&body)?).await
            }
        }
    }

    /// Take the pin of a node back.
    pub(crate) async fn unpin_node(&self, reference: &str) -> anyhow::Result<Node> {
        match self {
            Self::Here(host) => host.store().unpin_node(reference).await.or_fail(),
            Self::There(server) => {
                let call = Call::patch(server.at(&["nodes", reference])).json(&json!({ "pin": null }))?;
                Ok(server.ask::<NodeSet>(call).await?.node)
            }
        }
    }

    /// Who holds which node.
    pub(crate) async fn held_nodes(&self) -> anyhow::Result<Vec<HeldNode>> {
        match self {
            Self::Here(host) => host.held_nodes().await.or_fail(),
            Self::There(server) => server.items(Call::get(server.at(&["leases"]))).await,
        }
    }
}
