//! The fields of a run's record: what a replay compares, one altered value of each; and what the record alone knows.

/// A field of a run's record, what is written there, and what the report must name.
pub(super) type Field = (&'static str, &'static str, &'static str);

/// Of the returns, which read frames.
pub(super) const FIELDS: [Field; 44] = [
    ("/node_uid", r#""x""#, "`node_uid` of the record"),
    ("/update_hash", r#""x""#, "the identity of the node"),
    ("/table_uid", r#""x""#, "`table_uid` of the record"),
    ("/table", r#""x""#, "`table` of the record"),
    ("/kind", r#""backfill""#, "whether it was of a backfill"),
    ("/kind", r#""other""#, "`kind` of the record"),
    ("/status", r#""failed""#, "the outcome"),
    ("/started_at", r#""2020-01-01T00:00:00.000000Z""#, "`started_at` of the record"),
    ("/window/end", r#""2020-01-01T00:00:00.000000Z""#, "the window"),
    ("/retry_of", r#""x""#, "`retry_of` of the record"),
    ("/lookback", r#""1d""#, "`lookback` of the record"),
    ("/component", r#""x""#, "the component"),
    ("/component_version", r#""9.9.9""#, "`component_version` of the record"),
    ("/component_class", r#""stubbed""#, "`component_class` of the record"),
    ("/config/max_gap_days", "9", "the config"),
    ("/hash_namespace", r#""x""#, "`hash_namespace` of the record"),
    ("/options", r#"{"x": 1}"#, "the runtime options"),
    ("/statistics/rows", "1", "the statistics"),
    ("/inputs", "[]", "the number of the frames that were read, host call "),
    ("/inputs/0/key", r#""x""#, "`key` of the frames that were read, host call "),
    ("/inputs/0/table_uid", r#""x""#, "`table_uid` of the frames that were read, host call "),
    ("/inputs/0/table", r#""x""#, "`table` of the frames that were read, host call "),
    ("/inputs/0/rows", "1000001", "`rows` of the frames that were read, host call "),
    ("/inputs/0/bytes", "1", "`bytes` of the frames that were read, host call "),
    (
        "/inputs/0/min_time",
        r#""1900-01-01T00:00:00.000000Z""#,
        "`min_time` of the frames that were read, host call ",
    ),
    (
        "/inputs/0/max_time",
        r#""1900-01-01T00:00:00.000000Z""#,
        "`max_time` of the frames that were read, host call ",
    ),
    (
        "/fetches",
        r#"[{"source":"s","method":"GET","path":"p","status":200,"bytes":0,
        "digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]"#,
        "the number of what was fetched",
    ),
    ("/rows_emitted", "1", "the rows that were emitted"),
    ("/bytes_emitted", "1", "the bytes that were emitted"),
    ("/output_digest", "null", "the digest of the output"),
    ("/fuel", "1", "the fuel"),
    ("/peak_memory", "1", "the memory of the guest"),
    ("/limits/fuel", "1", "the limits"),
    ("/host/engine", r#""x""#, "the versions of the host"),
    ("/host/datanode", r#""x""#, "the versions of the host"),
    ("/error", r#"{"code": "x", "class": "failed", "message": "x"}"#, "the outcome"),
    ("/logs", r#"[{"level": "info", "message": "x"}]"#, "the log"),
    ("/logs_dropped", "1", "the log lines that were dropped"),
    ("/journal/calls", "1", "the host calls of the journal"),
    ("/journal/content_bytes", "1", "the bytes that it was given"),
    (
        "/journal/sha256",
        r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#,
        "the digest of the journal",
    ),
    ("/component_digest", r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#, ""),
    ("/journal/mode", r#""digest""#, ""),
    ("/run_id", r#""x""#, ""),
];

/// What the record alone knows, as `docs/replay.md` says.
pub(super) const OF_THE_RECORD_ALONE: [&str; 9] = [
    "finished_at",
    "durations",
    "rows_dropped",
    "rows_inserted",
    "rows_updated",
    "rows_unchanged",
    "coverage",
    "warnings",
    "violations",
];

/// Of the rates, which fetch.
pub(super) const FETCHED: [Field; 6] = [
    ("/fetches/0/source", r#""x""#, "`source` of what was fetched, host call "),
    ("/fetches/0/method", r#""PUT""#, "`method` of what was fetched, host call "),
    ("/fetches/0/path", r#""x""#, "`path` of what was fetched, host call "),
    ("/fetches/0/status", "201", "`status` of what was fetched, host call "),
    ("/fetches/0/bytes", "1", "`bytes` of what was fetched, host call "),
    (
        "/fetches/0/digest",
        r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#,
        "`digest` of what was fetched, host call ",
    ),
];
