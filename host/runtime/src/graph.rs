//! The graph: a node with everything it depends on, resolved through the components themselves.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use datanode_core::config::{Config, ConfigSchema};
use datanode_core::contract::TableKind;
use datanode_core::dependency::{self, DependencyError, DependencyTarget, MAX_GRAPH_DEPTH, MAX_GRAPH_NODES};
use datanode_core::digest::Digest;
use datanode_core::hash;
use datanode_core::producer::{PRODUCER, ProducerError};
use datanode_sandbox::Component;
use datanode_store::{
    NewNode, Node, NodeDependency, NodeFilter, Planning, Registered, StoreError, StoredComponent, Table,
};
use serde::Serialize;
use tracing::{Instrument as _, info_span};

use crate::error::create_command;
use crate::identify::unknown_tables;
use crate::{Host, RuntimeError, clock, moved};

/// A node as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRequest {
    /// Component name.
    pub component: String,
    /// A release pinned by its bytes.
    pub pinned_digest: Option<Digest>,
    /// Config as JSON text.
    pub config: String,
    /// Identifier or uid of the output table.
    pub table: String,
    /// Hash namespace, empty for none; inherited by all dependencies.
    pub hash_namespace: String,
}

/// A node that is in the catalogue, with all that a run of it needs.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedNode {
    /// The node.
    pub node: Node,
    /// Whether it was created now.
    pub created: bool,
    /// Its output table.
    pub table: Table,
    /// The release that runs.
    pub release: StoredComponent,
    /// The config as the guest gets it.
    pub guest_config: String,
    /// How long compiling or loading the component took, in microseconds.
    pub load_us: u64,
    /// Its config, resolved.
    #[serde(skip)]
    pub config: Config,
}

/// Which tables a tree is about, before any of it is created or run: whoever asks for it may not be allowed all of them.
#[derive(Debug, Clone, Default)]
pub struct TreeTables {
    /// Those that nodes of the tree write: each once, the one of the node asked for last.
    pub written: Vec<Table>,
    /// Uids of published tables that are read.
    pub read: Vec<String>,
}

/// (`update_hash`, table uid): what makes a node.
type NodeKey = (String, String);

/// A node of the tree before anything is written: a tree that is refused anywhere leaves no trace.
struct Draft {
    new: NewNode,
    /// For each dependency, the place of the node that writes it.
    writers: Vec<Option<usize>>,
    table: Table,
    release: StoredComponent,
    guest_config: String,
    load_us: u64,
    config: Config,
}

/// What planning knows of the catalogue: what it was told at its beginning, and what it has asked for since. A catalogue may
/// have ten thousand tables, of which a tree names a few.
#[derive(Default)]
struct Known {
    tables: Vec<Table>,
    /// References that were asked for, whether there is a table or not.
    asked: HashSet<String>,
    /// Nodes, of tables of which all writers are known.
    nodes: Vec<Node>,
    /// Uids of these tables.
    written: HashSet<String>,
    /// The release of the node that the tree is of.
    release: Option<StoredComponent>,
}

impl Known {
    /// What a run begins with.
    fn of(Planning { node: _, release, tables, nodes }: Planning) -> Self {
        let uids: HashSet<String> = tables.iter().map(|table| table.uid.clone()).collect();
        Self { tables, asked: uids.clone(), nodes, written: uids, release: Some(release) }
    }
}

/// Resolves one tree; every node in it once.
struct Planner<'h> {
    host: &'h Host,
    known: Known,
    /// Identifier → uid, of the references of a node that is in the catalogue: it stays with the tables that they meant
    /// when it was created. All that its dependencies read or write comes from these references.
    bound: HashMap<String, String>,
    drafts: Vec<Draft>,
    /// (`update_hash`, table uid) → place in `drafts`.
    places: HashMap<NodeKey, usize>,
    /// The nodes on the way from the root to here: key, and name as shown in errors.
    path: Vec<(NodeKey, String)>,
}

impl Host {
    /// Resolve a node and everything it depends on, creating what is not in the catalogue yet. The answer is in run
    /// order: dependencies first, the node itself last.
    pub async fn plan(&self, request: NodeRequest) -> Result<Vec<PlannedNode>, RuntimeError> {
        self.plan_expecting(request, None, Known::default()).await
    }

    /// Which tables the tree of a node is about. With `node`, which is in the catalogue, it is that of its next run; nothing
    /// is created.
    pub async fn tables_of_tree(
        &self,
        request: NodeRequest,
        node: Option<&Node>,
    ) -> Result<TreeTables, RuntimeError> {
        let request = node.map_or(request.clone(), |node| request_of(node, &request.hash_namespace));
        let (_, drafts) = self.draft(request, node, Known::default()).await?;
        let mut found = TreeTables::default();
        for draft in drafts {
            for (edge, writer) in draft.new.dependencies.iter().zip(&draft.writers) {
                if writer.is_none() && !found.read.contains(&edge.table_uid) {
                    found.read.push(edge.table_uid.clone());
                }
            }
            found.written.retain(|table| table.uid != draft.table.uid);
            found.written.push(draft.table);
        }
        Ok(found)
    }

    /// Resolve a node that is in the catalogue, under the releases that are there now; with a hash namespace (not the
    /// empty one), the node of the same component, config and table under it, which is created where it is not there.
    /// A release that computes another identity from the node's config is refused.
    pub async fn plan_node(
        &self,
        node: &Node,
        hash_namespace: &str,
    ) -> Result<Vec<PlannedNode>, RuntimeError> {
        self.plan_expecting(request_of(node, hash_namespace), Some(node), Known::default()).await
    }

    /// The same by reference, in one question to the store.
    pub(crate) async fn plan_reference(
        &self,
        reference: &str,
        hash_namespace: &str,
    ) -> Result<Vec<PlannedNode>, RuntimeError> {
        let planning = match self.store.planning(reference).await {
            Err(StoreError::NotFound { kind: "component", reference: component })
                if component == PRODUCER =>
            {
                return Err(runs_elsewhere(&self.store.node(reference).await?));
            }
            planning => planning?,
        };
        let node = planning.node.clone();
        self.plan_expecting(request_of(&node, hash_namespace), Some(&node), Known::of(planning)).await
    }

    /// The same for the node alone, when nothing may be written: it must be there already.
    pub(crate) async fn plan_as_stored(
        &self,
        node: &Node,
        hash_namespace: &str,
    ) -> Result<PlannedNode, RuntimeError> {
        let request = request_of(node, hash_namespace);
        let (nodes, mut drafts) = self.draft(request.clone(), Some(node), Known::default()).await?;
        let Some(Draft { new, table, release, guest_config, load_us, config, .. }) = drafts.pop() else {
            return Err(RuntimeError::Panicked("a node was being resolved"));
        };
        let same = |node: &Node| node.update_hash == new.update_hash && node.table_uid == new.table_uid;
        let Some(node) = nodes.into_iter().find(same) else {
            return Err(RuntimeError::NotCreated {
                update_hash: new.update_hash,
                component: new.component,
                table: table.contract.identifier,
                config: request.config,
                hash_namespace: new.hash_namespace,
            });
        };
        // What the release that runs now reads.
        let node = Node { dependencies: new.dependencies, ..node };
        Ok(PlannedNode { node, created: false, table, release, guest_config, load_us, config })
    }

    /// How much a node of this host may depend on.
    pub(crate) fn bounds(&self) -> dependency::Bounds {
        let limits = self.sandbox.limits();
        let size = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX);
        dependency::Bounds {
            dependencies: size(limits.dependencies),
            config_bytes: size(limits.config_bytes),
        }
    }

    /// Resolve a tree without writing anything: the nodes that are in the catalogue and write its tables, and the tree.
    async fn draft(
        &self,
        request: NodeRequest,
        expected: Option<&Node>,
        known: Known,
    ) -> Result<(Vec<Node>, Vec<Draft>), RuntimeError> {
        let mut planner = Planner {
            host: self,
            known,
            bound: expected.map(moved::bound).unwrap_or_default(),
            drafts: Vec::new(),
            places: HashMap::new(),
            path: Vec::new(),
        };
        // What the node is bound to, in one question.
        let bound: Vec<String> = planner.bound.values().cloned().collect();
        planner.ask_for_tables(bound).await?;
        planner.visit(request, expected).await?;
        Ok((planner.known.nodes, planner.drafts))
    }

    async fn plan_expecting(
        &self,
        request: NodeRequest,
        expected: Option<&Node>,
        known: Known,
    ) -> Result<Vec<PlannedNode>, RuntimeError> {
        let drafted = self.draft(request, expected, known).instrument(info_span!("plan"));
        let (nodes, drafts) = drafted.await?;
        let mut planned: Vec<PlannedNode> = Vec::with_capacity(drafts.len());
        for Draft { mut new, writers, table, release, guest_config, load_us, config } in drafts {
            for (edge, writer) in new.dependencies.iter_mut().zip(writers) {
                edge.node_uid = writer.map(|place| planned[place].node.uid.clone());
            }
            // A node that is there as it is wanted waits for no other writer.
            let Registered { value: node, created } = match nodes.iter().find(|node| is_same(node, &new)) {
                Some(node) => Registered { value: node.clone(), created: false },
                None => self.store.ensure_node(new).await?,
            };
            planned.push(PlannedNode { node, created, table, release, guest_config, load_us, config });
        }
        Ok(planned)
    }
}

/// A node as it would be asked for under a hash namespace; the empty one changes nothing.
fn request_of(node: &Node, hash_namespace: &str) -> NodeRequest {
    let hash_namespace = if hash_namespace.is_empty() { &node.hash_namespace } else { hash_namespace };
    NodeRequest {
        component: node.component.clone(),
        pinned_digest: node.pinned_digest,
        config: node.config.to_string(),
        table: node.table_uid.clone(),
        hash_namespace: hash_namespace.to_owned(),
    }
}

/// Whether storing the new node would leave the known one as it is.
fn is_same(known: &Node, new: &NewNode) -> bool {
    known.update_hash == new.update_hash
        && known.table_uid == new.table_uid
        && known.dependencies == new.dependencies
        && (new.pinned_digest.is_none() || new.pinned_digest == known.pinned_digest)
}

/// The refusal of a node whose code is not here.
fn runs_elsewhere(node: &Node) -> RuntimeError {
    StoreError::from(ProducerError::RunsElsewhere { node: node.update_hash.clone() }).into()
}

impl Planner<'_> {
    fn pin_of(&self, update_hash: &str, table_uid: &str) -> Option<Digest> {
        let same = |node: &&Node| node.update_hash == update_hash && node.table_uid == table_uid;
        self.known.nodes.iter().find(same)?.pinned_digest
    }

    /// What a reference stands for: of one that the node is bound to, the uid.
    fn meant<'r>(&'r self, reference: &'r str) -> &'r str {
        self.bound.get(reference).map_or(reference, String::as_str)
    }

    /// A table that was asked for.
    fn table(&self, reference: &str) -> Option<&Table> {
        let reference = self.meant(reference);
        self.known
            .tables
            .iter()
            .find(|table| table.uid == reference || table.contract.identifier == reference)
    }

    /// Ask for those tables that were not asked for before.
    async fn ask_for_tables(&mut self, references: Vec<String>) -> Result<(), StoreError> {
        let meant = references.iter().map(|reference| self.meant(reference).to_owned());
        let new: Vec<String> = meant.filter(|reference| !self.known.asked.contains(reference)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for table in self.host.seen_tables_called(&new).await? {
            if !self.known.tables.iter().any(|known| known.uid == table.uid) {
                self.known.tables.push(table);
            }
        }
        self.known.asked.extend(new);
        Ok(())
    }

    /// Ask for the tables that a config names.
    async fn ask_for_tables_of(&mut self, schema: &ConfigSchema, config: &str) -> Result<(), StoreError> {
        let max_bytes = self.host.bounds().config_bytes;
        loop {
            let is_known = |table: &str| self.known.asked.contains(self.meant(table));
            let uid = |table: &str| self.table(table).map(|table| table.uid.clone());
            let unknown = unknown_tables(schema, config, max_bytes, is_known, uid);
            if unknown.is_empty() {
                return Ok(());
            }
            self.ask_for_tables(unknown).await?;
        }
    }

    /// Ask for the nodes that write a table, unless that was done before.
    async fn ask_for_writers(&mut self, table_uid: &str) -> Result<(), StoreError> {
        if self.known.written.insert(table_uid.to_owned()) {
            self.known.nodes.extend(self.host.store.some_nodes(&NodeFilter::writing(table_uid)).await?);
        }
        Ok(())
    }

    /// Resolve one node after its dependencies; answers its place in `drafts`. The config of `expected` must still have
    /// the identity that it was created with.
    async fn visit(&mut self, request: NodeRequest, expected: Option<&Node>) -> Result<usize, RuntimeError> {
        if let Some(node) = expected.filter(|node| node.component == PRODUCER) {
            return Err(runs_elsewhere(node));
        }
        // The first visit is that of the node that the tree is of.
        let release = match self.known.release.take() {
            Some(release) => release,
            None => self.host.release(&request.component, request.pinned_digest.as_ref()).await?,
        };
        let component = release.manifest.name.clone();
        if component != request.component {
            return Err(RuntimeError::PinOfAnother { asked: request.component, found: component });
        }
        let in_config = |source| RuntimeError::Config { component: component.clone(), source };
        let schema = release.manifest.schema_of_configs().map_err(in_config)?;
        self.ask_for_tables_of(&schema, &request.config).await?;
        let config = schema
            .resolve(&request.config, self.host.bounds().config_bytes, |table| {
                self.table(table).map(|table| table.uid.clone())
            })
            .map_err(in_config)?;
        self.ask_for_tables(vec![request.table.clone()]).await?;
        let table = match self.table(&request.table) {
            Some(table) => table.clone(),
            // Asked for again so that the error names what is missing and how to see what there is.
            None => self.host.seen_table(&request.table).await?,
        };
        if table.contract.kind != TableKind::TimeIndexed {
            return Err(RuntimeError::OutputIsReference { table: table.contract.identifier });
        }
        let update_hash = hash::update_hash(&component, &config, &request.hash_namespace);
        if let Some(expected) = expected {
            // Under the node's own namespace, which may not be the one that is asked for.
            let now = hash::update_hash(&component, &config, &expected.hash_namespace);
            if now != expected.update_hash {
                let config = moved::config_today(expected, &self.known.tables);
                let identifier = &table.contract.identifier;
                let create = create_command(&component, identifier, &config, &expected.hash_namespace);
                return Err(RuntimeError::IdentityChanged {
                    update_hash: expected.update_hash.clone(),
                    component,
                    version: release.manifest.version.to_string(),
                    now,
                    create,
                });
            }
        }
        let problems = release.manifest.output_mismatches(&table.contract);
        if !problems.is_empty() {
            return Err(RuntimeError::OutputMismatch {
                component,
                table: table.contract.identifier,
                problems,
            });
        }

        self.ask_for_writers(&table.uid).await?;
        // A node that was pinned keeps its release, also where another node depends on it.
        let pin = self.pin_of(&update_hash, &table.uid);
        if request.pinned_digest.is_none() && pin.is_some_and(|digest| digest != release.digest) {
            let pinned = NodeRequest { pinned_digest: pin, ..request };
            return Box::pin(self.visit(pinned, expected)).await;
        }

        let key = (update_hash.clone(), table.uid.clone());
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        let shown = format!("{component} (writes {}, {update_hash})", table.contract.identifier);
        self.refuse_cycle(&key, &shown)?;
        self.path.push((key.clone(), shown));
        let guest_config = hash::canonical_json(&schema.guest_document(&config));
        let loading = Instant::now();
        let loaded = self.host.prepare(&release).await?;
        let load_us = u64::try_from(loading.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (dependencies, writers) =
            self.dependencies(&request, &release, loaded, &config, &guest_config).await?;
        self.path.pop();

        let new = NewNode {
            update_hash,
            component,
            pinned_digest: request.pinned_digest,
            config: config.value.clone(),
            hashed_document: hash::canonical_document(
                &release.manifest.name,
                &config,
                &request.hash_namespace,
            ),
            hash_namespace: request.hash_namespace,
            table_uid: table.uid.clone(),
            dependencies,
            created_at: clock::now(),
        };
        self.drafts.push(Draft { new, writers, table, release, guest_config, load_us, config });
        self.places.insert(key, self.drafts.len() - 1);
        Ok(self.drafts.len() - 1)
    }

    /// The edges of a node, and for each the place of the node that writes its table.
    async fn dependencies(
        &mut self,
        request: &NodeRequest,
        release: &StoredComponent,
        component: Component,
        config: &Config,
        guest_config: &str,
    ) -> Result<(Vec<NodeDependency>, Vec<Option<usize>>), RuntimeError> {
        let declared = self.host.declared(release.digest, component, guest_config).await?;
        let name = &release.manifest.name;
        dependency::check(name, config, &declared, self.host.bounds())?;
        let (mut edges, mut writers) = (Vec::new(), Vec::new());
        for declared in declared {
            let (table_uid, writer) = match &declared.target {
                DependencyTarget::Table(table) => {
                    self.ask_for_tables(vec![table.clone()]).await?;
                    let known = self.table(table).map(|table| table.uid.clone());
                    // Asked for again so that the error names what is missing and how to see what there is.
                    let uid = match known {
                        Some(uid) => uid,
                        None => self.host.seen_table(table).await?.uid,
                    };
                    (uid, None)
                }
                DependencyTarget::Node { component, config: inner, table } => {
                    let inner = NodeRequest {
                        component: component.clone(),
                        pinned_digest: None,
                        config: inner.clone(),
                        table: table.clone(),
                        hash_namespace: request.hash_namespace.clone(),
                    };
                    let place = Box::pin(self.visit(inner, None)).await?;
                    let draft = &self.drafts[place];
                    dependency::check_inherited_tables(name, &declared.key, config, &draft.config)?;
                    (draft.table.uid.clone(), Some(place))
                }
            };
            edges.push(NodeDependency {
                key: declared.key,
                table_uid,
                node_uid: None,
                declared: declared.target,
            });
            writers.push(writer);
        }
        Ok((edges, writers))
    }

    fn refuse_cycle(&self, key: &NodeKey, shown: &str) -> Result<(), DependencyError> {
        let names =
            |path: &[(NodeKey, String)]| path.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
        if let Some(start) = self.path.iter().position(|(earlier, _)| earlier == key) {
            let mut cycle = names(&self.path[start..]);
            cycle.push(shown.to_owned());
            return Err(DependencyError::Cycle(cycle));
        }
        if self.drafts.len() + self.path.len() >= MAX_GRAPH_NODES {
            return Err(DependencyError::TooManyNodes);
        }
        if self.path.len() >= MAX_GRAPH_DEPTH {
            return Err(DependencyError::TooDeep(names(&self.path[..3])));
        }
        Ok(())
    }
}
