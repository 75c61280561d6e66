//! Dependencies: what a node says it reads, checked against its config.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::Config;
use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::name::{self, NameError};

/// The key under which a node reads its own output table.
pub const SELF_KEY: &str = "self";
/// The longest chain of dependencies.
pub const MAX_GRAPH_DEPTH: usize = 64;

/// The most nodes of one graph.
pub const MAX_GRAPH_NODES: usize = 1_000;

/// What a dependency points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyTarget {
    /// Another node, found by its `update_hash` or created.
    Node {
        /// Name of its component.
        component: String,
        /// Its config, as JSON text.
        config: String,
        /// Identifier or uid of its output table.
        table: String,
    },
    /// A published table, read only: identifier or uid.
    Table(String),
}

impl DependencyTarget {
    /// The table that is read.
    pub fn table(&self) -> &str {
        match self {
            Self::Node { table, .. } | Self::Table(table) => table,
        }
    }
}

/// One dependency of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Key under which `frames.open` asks for it.
    pub key: String,
    /// What it points at.
    pub target: DependencyTarget,
}

/// Why dependencies are refused.
#[derive(Debug, Error)]
pub enum DependencyError {
    /// A bad key or component name.
    #[error("component `{component}`, dependencies: {source}")]
    Name {
        /// The component.
        component: String,
        /// What is wrong.
        source: NameError,
    },
    /// `self` is the output table.
    #[error("component `{component}`: the dependency key `self` is reserved for the output table")]
    Reserved {
        /// The component.
        component: String,
    },
    /// One key twice.
    #[error("component `{component}`: the dependency key `{key}` is used twice")]
    KeyTwice {
        /// The component.
        component: String,
        /// The key.
        key: String,
    },
    /// Too many.
    #[error("component `{component}` declares {count} dependencies where {limit} are allowed")]
    TooMany {
        /// The component.
        component: String,
        /// How many.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A config larger than any config may be.
    #[error(
        "component `{component}`, dependency `{key}`: its config has {bytes} bytes where {limit} are allowed"
    )]
    ConfigTooLarge {
        /// The component.
        component: String,
        /// The key.
        key: String,
        /// The size.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A table that no config field names.
    #[error(
        "component `{component}`, dependency `{key}`: table `{table}` is fixed in the component, so it would escape the hash"
    )]
    HardCodedTable {
        /// The component.
        component: String,
        /// The key.
        key: String,
        /// The table.
        table: String,
    },
    /// A node that depends on itself.
    #[error("the dependencies form a cycle: {}", .0.join(" → "))]
    Cycle(Vec<String>),
    /// More nodes than [`MAX_GRAPH_NODES`].
    #[error("the dependencies of one node come to more than {MAX_GRAPH_NODES} nodes")]
    TooManyNodes,
    /// Deeper than [`MAX_GRAPH_DEPTH`].
    #[error("the chain of dependencies is longer than {MAX_GRAPH_DEPTH} nodes; it begins {}", .0.join(" → "))]
    TooDeep(Vec<String>),
}

impl Diagnostic for DependencyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "dependency.name",
            Self::Reserved { .. } => "dependency.reserved_key",
            Self::KeyTwice { .. } => "dependency.key_twice",
            Self::TooMany { .. } => "dependency.too_many",
            Self::ConfigTooLarge { .. } => "dependency.config_too_large",
            Self::HardCodedTable { .. } => "dependency.hard_coded_table",
            Self::Cycle(_) => "dependency.cycle",
            Self::TooManyNodes => "dependency.too_many_nodes",
            Self::TooDeep(_) => "dependency.too_deep",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Refused
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::HardCodedTable { .. } => Some(
                "take the table from a config field that the schema marks with \"x-table-reference\": true"
                    .to_owned(),
            ),
            Self::TooMany { .. } => {
                Some("declare fewer, or raise `dependencies` under [limits] in datanode.toml".to_owned())
            }
            Self::ConfigTooLarge { .. } => {
                Some("make it smaller, or raise `config_bytes` under [limits] in datanode.toml".to_owned())
            }
            Self::Cycle(nodes) => {
                let component = nodes.first().and_then(|node| node.split(' ').next()).unwrap_or_default();
                Some(format!(
                    "choose tables so that no node reads what is computed from it; see the config's fields: datanode \
                     component show {component}"
                ))
            }
            Self::Name { .. } | Self::Reserved { .. } | Self::KeyTwice { .. } => Some(
                "rename it in the component's `dependencies`, raise its version, build it again, and: datanode \
                 component upload FILE"
                    .to_owned(),
            ),
            Self::TooManyNodes | Self::TooDeep(_) => Some(
                "let a node read a published table where the chain is long: `Dependency::table` in its \
                 `dependencies`"
                    .to_owned(),
            ),
        }
    }
}

/// How much one node may depend on: settings of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Dependencies of one node.
    pub dependencies: usize,
    /// Bytes of JSON of a dependency's config.
    pub config_bytes: usize,
}

/// Check the answer of a component's `dependencies` export against the config it was given.
pub fn check(
    component: &str,
    config: &Config,
    dependencies: &[Dependency],
    bounds: Bounds,
) -> Result<(), DependencyError> {
    let component = || component.to_owned();
    if dependencies.len() > bounds.dependencies {
        return Err(DependencyError::TooMany {
            component: component(),
            count: dependencies.len(),
            limit: bounds.dependencies,
        });
    }
    for (position, dependency) in dependencies.iter().enumerate() {
        let in_name = |source| DependencyError::Name { component: component(), source };
        let key = || dependency.key.clone();
        if dependency.key == SELF_KEY {
            return Err(DependencyError::Reserved { component: component() });
        }
        name::check_name("dependency key", &dependency.key).map_err(in_name)?;
        if dependencies[..position].iter().any(|earlier| earlier.key == dependency.key) {
            return Err(DependencyError::KeyTwice { component: component(), key: key() });
        }
        let table = dependency.target.table();
        if !config.tables.iter().any(|known| known == table) {
            return Err(DependencyError::HardCodedTable {
                component: component(),
                key: key(),
                table: table.to_owned(),
            });
        }
        if let DependencyTarget::Node { component: name, config: inner, .. } = &dependency.target {
            name::check_name("component name", name).map_err(in_name)?;
            if inner.len() > bounds.config_bytes {
                return Err(DependencyError::ConfigTooLarge {
                    component: component(),
                    key: key(),
                    bytes: inner.len(),
                    limit: bounds.config_bytes,
                });
            }
        }
    }
    Ok(())
}

/// Check that every table that a dependency's own config refers to comes from a table reference of the config that
/// declared it: the parent's hash covers all that is read on its behalf.
pub fn check_inherited_tables(
    component: &str,
    key: &str,
    parent: &Config,
    dependency: &Config,
) -> Result<(), DependencyError> {
    match dependency.tables.iter().find(|table| !parent.tables.contains(table)) {
        None => Ok(()),
        Some(table) => Err(DependencyError::HardCodedTable {
            component: component.to_owned(),
            key: key.to_owned(),
            table: table.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSchema;
    use serde_json::json;

    fn config(table: &str) -> Config {
        let schema = json!({"properties": {"rates": {"type": "string", "x-table-reference": true}}});
        let text = json!({ "rates": table }).to_string();
        ConfigSchema::parse(&schema)
            .unwrap()
            .resolve(&text, 4_096, |table| Some(format!("uid-{table}")))
            .unwrap()
    }

    const BOUNDS: Bounds = Bounds { dependencies: 3, config_bytes: 20 };

    fn on_table(key: &str, table: &str) -> Dependency {
        Dependency { key: key.into(), target: DependencyTarget::Table(table.into()) }
    }

    #[test]
    fn what_escapes_the_hash_is_refused() {
        assert!(check("c", &config("fx"), &[on_table("rates", "fx")], BOUNDS).is_ok());
        let hidden = check("c", &config("fx"), &[on_table("rates", "other")], BOUNDS).unwrap_err();
        assert_eq!(hidden.code(), "dependency.hard_coded_table");
        assert!(check_inherited_tables("c", "k", &config("fx"), &config("fx")).is_ok());
        let inherited = check_inherited_tables("c", "k", &config("fx"), &config("other")).unwrap_err();
        assert_eq!(inherited.code(), "dependency.hard_coded_table");
    }

    #[test]
    fn keys_are_unique_names_and_not_self() {
        let refused = |list: &[Dependency]| check("c", &config("fx"), list, BOUNDS).unwrap_err().code();
        assert_eq!(refused(&[on_table("self", "fx")]), "dependency.reserved_key");
        assert_eq!(refused(&[on_table("a", "fx"), on_table("a", "fx")]), "dependency.key_twice");
        assert_eq!(refused(&[on_table("A b", "fx")]), "dependency.name");
        let many: Vec<_> = ["a", "b", "c", "d"].iter().map(|key| on_table(key, "fx")).collect();
        assert_eq!(refused(&many), "dependency.too_many");
        assert!(check("c", &config("fx"), &many[..3], BOUNDS).is_ok());
    }

    #[test]
    fn configs_of_dependencies_have_a_greatest_size() {
        let on_node = |config: String| Dependency {
            key: "k".into(),
            target: DependencyTarget::Node { component: "c".into(), config, table: "fx".into() },
        };
        assert!(check("c", &config("fx"), &[on_node(" ".repeat(20))], BOUNDS).is_ok());
        let error = check("c", &config("fx"), &[on_node(" ".repeat(21))], BOUNDS).unwrap_err();
        assert_eq!(error.code(), "dependency.config_too_large");
        assert!(error.to_string().contains("21 bytes where 20 are allowed"), "{error}");
    }
}
