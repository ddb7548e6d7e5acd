//! What a store tells of itself, and RocksDB's properties that it is made of.

use std::ffi::CStr;

use rocksdb::{DB, Options, properties};

use super::Store;
use super::kv::{StoreError, Table};
use super::rocks::{family, store_error};

/// What a store tells of itself at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Room on the disk, bytes.
    pub disk_free_bytes: u64,
    /// With less room than this, bytes, it takes no writes.
    pub disk_reserve_bytes: u64,
    /// By table.
    pub tables: Vec<TableFigures>,
    /// Blocks kept in memory, bytes.
    pub cache_bytes: u64,
    /// Those of them that cannot be dropped, bytes.
    pub cache_pinned_bytes: u64,
    /// Flushes and compactions under way.
    pub background_jobs: u64,
    /// Flushes and compactions that have failed since it was opened.
    pub background_errors: u64,
    /// To how many bytes a second writes are held back; 0: they are not.
    pub delayed_write_bytes_per_s: u64,
    /// Writes wait for compactions.
    pub writes_stopped: bool,
    /// What was written since it was opened.
    pub written: WrittenFigures,
}

/// What a store has written, in bytes: all but `batch_bytes` go to the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WrittenFigures {
    /// Batches, as the store was given them.
    pub batch_bytes: u64,
    /// The journal: all records of it, without the zeros that make its files.
    pub log_bytes: u64,
    /// Write buffers that became files.
    pub flush_bytes: u64,
    /// Files that compaction made of others.
    pub compaction_bytes: u64,
    /// Microseconds that writes were held back because compaction is behind.
    pub stall_us: u64,
}

/// What is told of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFigures {
    /// Which.
    pub table: Table,
    /// Records, by estimate.
    pub records: u64,
    /// Its files, bytes.
    pub file_bytes: u64,
    /// Writes that are in memory and the journal only, bytes.
    pub write_buffer_bytes: u64,
    /// Full write buffers that wait to be written to a file.
    pub full_write_buffers: u64,
    /// Files that are not sorted into the others yet.
    pub level0_files: u64,
    /// Bytes that compaction has to write again, by estimate.
    pub pending_compaction_bytes: u64,
    /// Memory of open files beside the cache, bytes.
    pub reader_bytes: u64,
}

impl Store {
    /// Whether a commit would be taken now, as far as one can tell without making one. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check(&self) -> Result<(), StoreError> {
        self.kv.check()
    }

    /// What the store tells of itself; `None`: nothing. May block on the disk.
    ///
    /// # Errors
    /// It cannot be asked at the moment.
    pub fn figures(&self) -> Result<Option<StoreFigures>, StoreError> {
        self.kv.figures()
    }
}

/// Reads RocksDB's properties. Each is a look under its mutex.
pub(super) fn read(db: &DB) -> Result<StoreFigures, StoreError> {
    let tables = Table::ALL.map(|table| table_figures(db, table));
    // All tables share the cache: any of them tells of it.
    let of_all = |name| value(db, Table::State, name);
    Ok(StoreFigures {
        tables: tables.into_iter().collect::<Result<_, _>>()?,
        cache_bytes: of_all(properties::BLOCK_CACHE_USAGE)?,
        cache_pinned_bytes: of_all(properties::BLOCK_CACHE_PINNED_USAGE)?,
        background_jobs: of_all(properties::NUM_RUNNING_FLUSHES)?
            + of_all(properties::NUM_RUNNING_COMPACTIONS)?,
        background_errors: of_all(properties::BACKGROUND_ERRORS)?,
        delayed_write_bytes_per_s: of_all(properties::ACTUAL_DELAYED_WRITE_RATE)?,
        writes_stopped: of_all(properties::IS_WRITE_STOPPED)? > 0,
        ..StoreFigures::default()
    })
}

/// Reads what RocksDB counts of its writes since it was opened, beside the journal's.
pub(super) fn written(options: &Options, journal_bytes: u64) -> WrittenFigures {
    let text = options.get_statistics().unwrap_or_default();
    // Lines such as `rocksdb.bytes.written COUNT : 1234`. A counter that there is not is zero.
    let count = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" COUNT : "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    };
    WrittenFigures {
        batch_bytes: count("rocksdb.bytes.written"),
        log_bytes: journal_bytes,
        flush_bytes: count("rocksdb.flush.write.bytes"),
        compaction_bytes: count("rocksdb.compact.write.bytes"),
        stall_us: count("rocksdb.stall.micros"),
    }
}

fn table_figures(db: &DB, table: Table) -> Result<TableFigures, StoreError> {
    let of = |name| value(db, table, name);
    let level0 = properties::num_files_at_level(0);
    let level0_files = db
        .property_value_cf(family(db, table)?, &*level0)
        .map_err(|error| store_error(&error))?
        .and_then(|text| text.parse().ok());
    Ok(TableFigures {
        table,
        records: of(properties::ESTIMATE_NUM_KEYS)?,
        file_bytes: of(properties::LIVE_SST_FILES_SIZE)?,
        write_buffer_bytes: of(properties::CUR_SIZE_ALL_MEM_TABLES)?,
        full_write_buffers: of(properties::NUM_IMMUTABLE_MEM_TABLE)?,
        level0_files: level0_files.ok_or_else(|| missing(&level0))?,
        pending_compaction_bytes: of(properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
        reader_bytes: of(properties::ESTIMATE_TABLE_READERS_MEM)?,
    })
}

fn value(db: &DB, table: Table, name: &CStr) -> Result<u64, StoreError> {
    db.property_int_value_cf(family(db, table)?, name)
        .map_err(|error| store_error(&error))?
        .ok_or_else(|| missing(name))
}

fn missing(name: &CStr) -> StoreError {
    StoreError::Io(format!("this RocksDB has no {}", name.to_string_lossy()))
}
