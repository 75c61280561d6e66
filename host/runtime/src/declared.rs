//! What components have declared to depend on, asked once per component and config.
//!
//! A call of `dependencies` sees its config and can do nothing but log: its answer is a function of the component's bytes
//! and the config, which the sandbox checks by asking twice. So a process that runs the same node again need not ask
//! again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use datanode_core::dependency::Dependency;
use datanode_core::digest::Digest;
use datanode_sandbox::Component;

use crate::{Host, RuntimeError};

/// How many answers are kept. They are small, and all are forgotten when there are more.
const MOST: usize = 1_024;

/// Answers by component and config, as the guest was given it.
#[derive(Debug, Default)]
pub(crate) struct Declared(Mutex<HashMap<(Digest, String), Vec<Dependency>>>);

impl Declared {
    fn get(&self, asked: &(Digest, String)) -> Option<Vec<Dependency>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(asked).cloned()
    }

    fn keep(&self, asked: (Digest, String), answer: Vec<Dependency>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(asked, answer);
    }
}

impl Host {
    /// What a component declares for a config.
    pub(crate) async fn declared(
        &self,
        digest: Digest,
        component: Component,
        guest_config: &str,
    ) -> Result<Vec<Dependency>, RuntimeError> {
        let asked = (digest, guest_config.to_owned());
        if let Some(answer) = self.declared.get(&asked) {
            return Ok(answer);
        }
        let (sandbox, text) = (self.sandbox.clone(), guest_config.to_owned());
        let answer = tokio::task::spawn_blocking(move || sandbox.dependencies(&component, &text))
            .await
            .map_err(|_| RuntimeError::Panicked("asking a component for its dependencies"))??;
        self.declared.keep(asked, answer.clone());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: usize) -> (Digest, String) {
        (Digest::of(b"a component"), number.to_string())
    }

    #[test]
    fn answers_are_those_of_one_component_and_one_config_and_bounded() {
        let declared = Declared::default();
        for number in 0..MOST {
            declared.keep(asked(number), Vec::new());
        }
        assert!((0..MOST).all(|number| declared.get(&asked(number)).is_some()));
        assert!(declared.get(&(Digest::of(b"another"), "0".to_owned())).is_none());
        declared.keep(asked(MOST), Vec::new());
        assert!(declared.get(&asked(0)).is_none());
        assert!(declared.get(&asked(MOST)).is_some());
    }
}
