//! The checklist.

use datanode_core::component::ComponentClass;
use datanode_runtime::{CheckRequest, CheckSubject, Checked, RunOptions};
use serde_json::json;

use super::Place;
use super::runs::watch;
use crate::failure::OrFail;
use crate::remote::{Begun, Call};

impl Place {
    /// Judge a component or a node.
    pub(crate) async fn check(
        &self,
        request: CheckRequest,
        admits: ComponentClass,
        options: &RunOptions,
    ) -> anyhow::Result<Checked> {
        let server = match self {
            Self::Here(host) => {
                return host.clone().admitting(admits).check(request, options).await.or_fail();
            }
            Self::There(server) => server,
        };
        let CheckRequest { subject, until } = request;
        let url = server.at(&["components", "check"]);
        let call = match subject {
            CheckSubject::Node(node) => {
                Call::post(url).json(&json!({ "subject": node.uid, "until": until }))?
            }
            CheckSubject::Component { name, config, contract } => Call::post(url).json(&json!({
                "subject": name, "config_text": config, "contract": contract, "until": until,
            }))?,
            CheckSubject::File { label, bytes, config, contract } => {
                let contract = contract.map(|contract| serde_json::to_string(&contract)).transpose()?;
                Call::post(url)
                    .query("label", &label)
                    .query("config", &config)
                    .maybe("contract", contract.as_deref())
                    .maybe("until", until.map(|until| until.to_string()).as_deref())
                    .bytes("application/wasm", bytes.into())
            }
        };
        let call =
            if admits == ComponentClass::Stubbed { call.query("allow_stubbed_wasi", "true") } else { call };
        let begun: Begun = server.ask(call.long()).await?;
        Ok(watch(server, &begun, options).await?.result)
    }
}
