//! Schemas of configs, which come from components, and configs.

use datanode_core::config::ConfigSchema;
use serde_json::Value;

/// As under `[limits]`.
const MAX_CONFIG_BYTES: usize = 256 << 10;

/// Compile a schema, and complete and check a config by it: the two are divided by a zero byte.
///
/// Promises: what is accepted is accepted again as it was completed, and means the same; no table is known that the config
/// does not name.
pub fn config(data: &[u8]) {
    let (schema, config) = crate::halves(data);
    let Ok(schema) = serde_json::from_slice::<Value>(schema) else { return };
    let Ok(schema) = ConfigSchema::parse(&schema) else { return };
    let config = String::from_utf8_lossy(config);
    let uid = |table: &str| Some(format!("uid of {table}"));
    let Ok(resolved) = schema.resolve(&config, MAX_CONFIG_BYTES, uid) else { return };
    schema.guest_document(&resolved);
    let again = schema.resolve(&resolved.value.to_string(), usize::MAX, uid).expect("what was accepted");
    assert_eq!(again.value, resolved.value);
    assert_eq!(again.hashed, resolved.hashed);
}
