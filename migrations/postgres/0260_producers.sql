-- Producers: what only nodes have that programs elsewhere compute. The node, its lease, its runs and its dependencies are
-- where those of all nodes are.
CREATE TABLE IF NOT EXISTS datanode.producers (
    node_uid      text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES datanode.nodes (uid),
    project_uid   text,
    -- The process that runs it, as far as it has said so.
    scheduler_uid text COLLATE "C",
    facts         text NOT NULL
);
