//! The names of all metrics, with what they are; docs/operations.md says what to make of them.
//!
//! Names follow Prometheus's conventions: base units, `_total` for what only rises. No label is
//! ever a user, a topic or anything else that clients choose.

use prometheus_client::metrics::MetricType;

/// A metric.
pub(super) struct Metric {
    /// As it is served.
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) help: &'static str,
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricType::Gauge, help }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricType::Counter, help }
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricType::Histogram, help }
}

/// The labels that there are.
pub(super) mod label {
    pub(in super::super) const COMMIT: &str = "commit";
    pub(in super::super) const DIRECTION: &str = "direction";
    pub(in super::super) const LIMIT: &str = "limit";
    pub(in super::super) const STATE: &str = "state";
    pub(in super::super) const TABLE: &str = "table";
    pub(in super::super) const TYPE: &str = "type";
    pub(in super::super) const VERSION: &str = "version";
}

pub(super) const BUILD: Metric = Metric {
    name: "bluetick_build_info",
    kind: MetricType::Info,
    help: "Always 1; the labels say what runs.",
};

pub(super) const CONNECTIONS: Metric = gauge("bluetick_connections", "Open connections of MQTT.");
pub(super) const SESSIONS: Metric =
    gauge("bluetick_sessions", "MQTT sessions in memory, by whether a client is connected.");
pub(super) const USERS_ONLINE: Metric =
    gauge("bluetick_users_online", "Users with a connected device.");
pub(super) const PACKETS: Metric =
    counter("bluetick_packets_total", "MQTT packets, by direction and type.");
pub(super) const BYTES: Metric =
    counter("bluetick_bytes_total", "Bytes of MQTT, without TLS and WebSocket, by direction.");
pub(super) const PUBACK_SECONDS: Metric = histogram(
    "bluetick_puback_seconds",
    "From the PUBLISH of a message to a chat being read to its PUBACK (PUBREC) being written.",
);
pub(super) const PUBLISHES_INFLIGHT: Metric =
    gauge("bluetick_publishes_inflight", "Publishes that wait for the server's acknowledgement.");
pub(super) const DELIVERIES_INFLIGHT: Metric = gauge(
    "bluetick_deliveries_inflight",
    "Deliveries that wait for the acknowledgement of connected clients.",
);
pub(super) const PLAIN_QUEUED: Metric = gauge(
    "bluetick_plain_messages_queued",
    "Messages of plain topics queued for connected clients.",
);
pub(super) const LIMITS_REACHED: Metric = counter(
    "bluetick_limits_reached_total",
    "What was refused, closed or dropped because of a limit or quota, by which.",
);
pub(super) const WILLS: Metric = counter("bluetick_wills_total", "Wills published.");

pub(super) const CHATS: Metric = gauge("bluetick_chats", "Chats that were ever begun.");
pub(super) const CHATS_RESIDENT: Metric = gauge("bluetick_chats_resident", "Chats in memory.");
pub(super) const MESSAGES: Metric = counter("bluetick_messages_total", "Messages stored.");
pub(super) const AMENDMENTS: Metric =
    counter("bluetick_amendments_total", "Edits, deletions and reactions stored.");
pub(super) const EVENTS: Metric =
    counter("bluetick_events_total", "Events of groups stored: who joined, left, was renamed.");
pub(super) const RECEIPTS: Metric =
    counter("bluetick_receipts_total", "Receipts stored: a member has, or has read, more.");

pub(super) const COMMANDS_WAITING: Metric =
    gauge("bluetick_commands_waiting", "Commands that wait for the writer to decide them.");
pub(super) const READS_WAITING: Metric =
    gauge("bluetick_reads_waiting", "Reads from the store that wait for a thread.");
pub(super) const COMMIT_SECONDS: Metric =
    histogram("bluetick_commit_seconds", "Time of a commit, nearly all of it the disk's sync.");
pub(super) const COMMIT_RECORDS: Metric =
    histogram("bluetick_commit_records", "Records written by one commit.");
pub(super) const COMMIT_BYTES: Metric =
    counter("bluetick_commit_bytes_total", "Bytes of keys and values written by commits.");
pub(super) const COMMIT_FAILURES: Metric =
    counter("bluetick_commit_failures_total", "Commits that failed.");
pub(super) const STORE_FAILING: Metric =
    gauge("bluetick_store_failing", "1 while the store takes no writes.");
pub(super) const DISK_FREE: Metric =
    gauge("bluetick_disk_free_bytes", "Room on the disk of the data directory.");
pub(super) const DISK_RESERVE: Metric =
    gauge("bluetick_disk_reserve_bytes", "With less room than this the store takes no writes.");

pub(super) const ROCKSDB_RECORDS: Metric =
    gauge("bluetick_rocksdb_records", "Records by table, RocksDB's estimate.");
pub(super) const ROCKSDB_FILE_BYTES: Metric =
    gauge("bluetick_rocksdb_file_bytes", "Size of a table's files.");
pub(super) const ROCKSDB_WRITE_BUFFER_BYTES: Metric =
    gauge("bluetick_rocksdb_write_buffer_bytes", "A table's writes not yet in a file of it.");
pub(super) const ROCKSDB_FULL_WRITE_BUFFERS: Metric =
    gauge("bluetick_rocksdb_full_write_buffers", "Write buffers that wait to become a file.");
pub(super) const ROCKSDB_LEVEL0_FILES: Metric =
    gauge("bluetick_rocksdb_level0_files", "A table's files that are not sorted in yet.");
pub(super) const ROCKSDB_PENDING_COMPACTION_BYTES: Metric = gauge(
    "bluetick_rocksdb_pending_compaction_bytes",
    "Bytes that compaction is behind with, RocksDB's estimate.",
);
pub(super) const ROCKSDB_READER_BYTES: Metric =
    gauge("bluetick_rocksdb_reader_bytes", "Memory for a table's open files, beside the cache.");
pub(super) const ROCKSDB_CACHE_BYTES: Metric =
    gauge("bluetick_rocksdb_cache_bytes", "Memory of the block cache in use.");
pub(super) const ROCKSDB_CACHE_PINNED_BYTES: Metric =
    gauge("bluetick_rocksdb_cache_pinned_bytes", "The part of it that cannot be dropped.");
pub(super) const ROCKSDB_BACKGROUND_JOBS: Metric =
    gauge("bluetick_rocksdb_background_jobs", "Flushes and compactions under way.");
pub(super) const ROCKSDB_BACKGROUND_ERRORS: Metric = gauge(
    "bluetick_rocksdb_background_errors",
    "Flushes and compactions that have failed since the database was opened.",
);
pub(super) const ROCKSDB_DELAYED_WRITE_RATE: Metric = gauge(
    "bluetick_rocksdb_delayed_write_bytes_per_second",
    "To what rate RocksDB holds writes back; 0 if it does not.",
);
pub(super) const ROCKSDB_WRITES_STOPPED: Metric =
    gauge("bluetick_rocksdb_writes_stopped", "1 while RocksDB lets writes wait for compaction.");

pub(super) const ROCKSDB_BATCH_BYTES: Metric = counter(
    "bluetick_rocksdb_batch_bytes_total",
    "Bytes of batches given to RocksDB since the database was opened.",
);
pub(super) const JOURNAL_BYTES: Metric = counter(
    "bluetick_journal_bytes_total",
    "Bytes of records appended to the journal since the database was opened.",
);
pub(super) const ROCKSDB_FLUSH_BYTES: Metric = counter(
    "bluetick_rocksdb_flush_bytes_total",
    "Bytes of write buffers that became files since the database was opened.",
);
pub(super) const ROCKSDB_COMPACTION_BYTES: Metric = counter(
    "bluetick_rocksdb_compaction_bytes_total",
    "Bytes that compaction wrote since the database was opened.",
);
pub(super) const ROCKSDB_STALL_MICROSECONDS: Metric = counter(
    "bluetick_rocksdb_stall_microseconds_total",
    "Time that writes were held back for compaction since the database was opened.",
);

pub(super) const PROCESS_CPU: Metric =
    counter("process_cpu_seconds_total", "CPU time of the process, user and system.");
pub(super) const PROCESS_RESIDENT: Metric =
    gauge("process_resident_memory_bytes", "Resident memory.");
pub(super) const PROCESS_VIRTUAL: Metric = gauge("process_virtual_memory_bytes", "Virtual memory.");
pub(super) const PROCESS_FDS: Metric = gauge("process_open_fds", "Open file descriptors.");
pub(super) const PROCESS_FDS_MAX: Metric = gauge("process_max_fds", "How many there may be.");
pub(super) const PROCESS_THREADS: Metric = gauge("process_threads", "Threads.");
pub(super) const PROCESS_START: Metric =
    gauge("process_start_time_seconds", "When the process was started, since the Unix epoch.");
