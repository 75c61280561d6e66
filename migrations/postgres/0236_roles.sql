-- Who may do what with what. The subject is a namespace, the uid of a table, or nothing.
CREATE TABLE IF NOT EXISTS datanode.roles (
    subject_kind text   COLLATE "C" NOT NULL CHECK (subject_kind IN ('organisation', 'namespace', 'table')),
    subject      text   COLLATE "C" NOT NULL,
    member_kind  text   COLLATE "C" NOT NULL CHECK (member_kind IN ('user', 'team')),
    member_uid   text   COLLATE "C" NOT NULL,
    role         text   COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'editor', 'admin')),
    granted_at   bigint NOT NULL,
    PRIMARY KEY (subject_kind, subject, member_kind, member_uid, role)
);
