-- Who has changed what in the catalogue. An entry is written in the transaction of its change, and stays.
CREATE TABLE IF NOT EXISTS datanode.audit_log (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           bigint NOT NULL,
    -- The user's name then, or `local`.
    actor        text   COLLATE "C" NOT NULL,
    user_uid     text   COLLATE "C",
    token        text   COLLATE "C",
    action       text   COLLATE "C" NOT NULL,
    subject_kind text   COLLATE "C" NOT NULL,
    subject_uid  text   COLLATE "C",
    subject      text   COLLATE "C" NOT NULL,
    -- A JSON object.
    detail       text   NOT NULL,
    request_id   text   COLLATE "C"
);
