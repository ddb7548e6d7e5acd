//! The store on RocksDB: one database, a column family per table.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily,
    ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType, IteratorMode, MemtableFactory,
    Options, ReadOptions, SliceTransform, WriteBatch, WriteOptions,
};

use super::figures::{self, StoreFigures};
use super::kv::{Kv, KvBatch, StoreError, Table, Visit};

/// Room that a commit must leave on the disk: to flush a write buffer, for the new log that RocksDB
/// then sets room aside for, and as much again for its housekeeping.
const ROOM_IN_WRITE_BUFFERS: usize = 3;

/// Bytes of the write buffer per bucket of the hash table of ids: about what an id takes, so that
/// a full buffer has one id in each. A bucket is a pointer, which counts against the buffer.
const WRITE_BUFFER_PER_ID_BUCKET: usize = 128;

/// No more than these: they are there from the start, also where the buffer is never filled. A
/// bucket with many ids is made a skip list by RocksDB.
const ID_BUCKETS_MAX: usize = 1 << 20;

/// Bytes of a piece of an index or filter: as RocksDB's documentation has it.
const METADATA_BLOCK_BYTES: usize = 4096;

/// The part of a write buffer that is a bloom filter of its keys. At 1/32, and about 150 bytes a
/// record, there are 40 bits for each.
const MEMORY_FILTER_RATIO: f64 = 1.0 / 32.0;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct RocksOptions {
    /// Memory for writes of one table before they go to a file.
    pub write_buffer_bytes: usize,
    /// Memory for blocks that were read.
    pub block_cache_bytes: usize,
    /// The log that is synced: beyond, what it is for is written to files. The start after a crash
    /// reads all of it.
    pub log_bytes: usize,
}

impl Default for RocksOptions {
    fn default() -> Self {
        // 64 MiB: 256 MiB was measured slower (processor caches), see ARCHITECTURE.md.
        Self { write_buffer_bytes: 64 << 20, block_cache_bytes: 64 << 20, log_bytes: 64 << 20 }
    }
}

/// A RocksDB database.
pub struct RocksKv {
    path: PathBuf,
    options: RocksOptions,
    /// `None` only while a failed database is being opened again.
    db: RwLock<Option<Arc<DB>>>,
    /// What the database counts, it counts here.
    opened_with: RwLock<Options>,
    /// A write has failed: the database refuses more until it is opened again.
    broken: AtomicBool,
}

impl RocksKv {
    /// Opens or makes the database in the folder `path`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it open, else [`StoreError::Io`].
    pub fn open(path: &Path, options: RocksOptions) -> Result<Self, StoreError> {
        let opened_with = database_options(&options);
        let db = open(path, &options, &opened_with)?;
        Ok(Self {
            path: path.to_owned(),
            options,
            db: RwLock::new(Some(Arc::new(db))),
            opened_with: RwLock::new(opened_with),
            broken: AtomicBool::new(false),
        })
    }

    /// Sorts a whole table into its last level: nothing overwritten or removed is left in it, and
    /// all of it is compressed. Blocks, for long where there is much.
    ///
    /// # Errors
    /// The disk or the database says no; what was there is there.
    pub fn compact(&self, table: Table) -> Result<(), StoreError> {
        let db = self.db()?;
        let family = family(&db, table)?;
        db.flush_cf(family).map_err(|error| store_error(&error))?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        // A compaction that failed says so nowhere else.
        match figures::read(&db)?.background_errors {
            0 => Ok(()),
            _ => Err(StoreError::Io("RocksDB could not write a file".to_owned())),
        }
    }

    /// Refuses a commit that would leave less room on the disk than what is in memory takes when
    /// it is flushed. RocksDB itself must not meet a full disk: the distribution's is built with
    /// its assertions, and a failed append to its log was seen to end the process.
    fn check_room(&self, bytes: usize) -> Result<(), StoreError> {
        let free_bytes = self.free_bytes()?;
        let needed_bytes = self.reserve_bytes() + bytes as u64;
        if free_bytes < needed_bytes {
            let (free, needed) = (free_bytes >> 20, needed_bytes >> 20);
            return Err(StoreError::Io(format!(
                "{free} MiB are free on the disk, {needed} MiB are needed"
            )));
        }
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        let disk =
            rustix::fs::statvfs(&self.path).map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn reserve_bytes(&self) -> u64 {
        (ROOM_IN_WRITE_BUFFERS * self.options.write_buffer_bytes) as u64
    }

    fn db(&self) -> Result<Arc<DB>, StoreError> {
        let db = self.db.read();
        db.clone().ok_or_else(|| StoreError::Io("the database is being opened again".to_owned()))
    }
}

impl Kv for RocksKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let db = self.db()?;
        db.get_cf(family(&db, table)?, key).map_err(|error| store_error(&error))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let db = self.db()?;
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to.to_vec());
        // Also where the table is hashed by a prefix of its keys.
        options.set_total_order_seek(true);
        let start = IteratorMode::From(from, rocksdb::Direction::Forward);
        for item in db.iterator_cf_opt(family(&db, table)?, options, start) {
            let (key, value) = item.map_err(|error| store_error(&error))?;
            if each(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: &KvBatch) -> Result<(), StoreError> {
        self.check_room(batch.bytes())?;
        let db = self.db()?;
        let mut writes = WriteBatch::default();
        let [state, log, ids, plain] = Table::ALL.map(|table| family(&db, table));
        let (state, log, ids, plain) = (state?, log?, ids?, plain?);
        for (table, key, value) in batch.iter() {
            let family = match table {
                Table::State => state,
                Table::Log => log,
                Table::Ids => ids,
                Table::Plain => plain,
            };
            match value {
                Some(value) => writes.put_cf(family, key, value),
                None => writes.delete_cf(family, key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        db.write_opt(writes, &options).map_err(|error| {
            self.broken.store(true, Ordering::Release);
            store_error(&error)
        })
    }

    fn drop_overwritten(&self, ranges: &[(Table, Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        let db = self.db()?;
        // The log goes once all tables are written out that it is for.
        for table in Table::ALL {
            db.flush_cf(family(&db, table)?).map_err(|error| store_error(&error))?;
        }
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        for (table, from, to) in ranges {
            let family = family(&db, *table)?;
            // The first moves what is new down to what is old; others in the same files find
            // nothing left to do.
            db.compact_range_cf_opt(family, Some(from), Some(to), &options);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Acquire) {
            return Err(StoreError::Io("a write has failed".to_owned()));
        }
        self.check_room(0)
    }

    fn figures(&self) -> Result<Option<StoreFigures>, StoreError> {
        let db = self.db()?;
        Ok(Some(StoreFigures {
            disk_free_bytes: self.free_bytes()?,
            disk_reserve_bytes: self.reserve_bytes(),
            written: figures::written(&self.opened_with.read()),
            ..figures::read(&db)?
        }))
    }

    /// RocksDB refuses writes after a failed one. Opening the database again replays its log
    /// and writes what that held into new files, so that nothing rests on a page that the
    /// failed sync may have lost.
    fn recover(&self) -> Result<(), StoreError> {
        self.check_room(0)?;
        if !self.broken.load(Ordering::Acquire) {
            // It was only the room that was missing: the database never saw a failure.
            return Ok(());
        }
        let mut slot = self.db.write();
        if let Some(db) = slot.take()
            && let Err(db) = Arc::try_unwrap(db)
        {
            *slot = Some(db);
            return Err(StoreError::Io("the database is still being read".to_owned()));
        }
        let opened_with = database_options(&self.options);
        *slot = Some(Arc::new(open(&self.path, &self.options, &opened_with)?));
        *self.opened_with.write() = opened_with;
        self.broken.store(false, Ordering::Release);
        Ok(())
    }
}

fn open(path: &Path, settings: &RocksOptions, opened_with: &Options) -> Result<DB, StoreError> {
    let cache =
        Cache::new_lru_cache(settings.block_cache_bytes).map_err(|error| store_error(&error))?;
    let families = Table::ALL.map(|table| {
        ColumnFamilyDescriptor::new(table.name(), table_options(table, settings, &cache))
    });
    DB::open_cf_descriptors(opened_with, path, families).map_err(|error| store_error(&error))
}

fn database_options(settings: &RocksOptions) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // There is one writer at a time, and the hash table of ids takes no others.
    options.set_allow_concurrent_memtable_write(false);
    options.set_keep_log_file_num(4);
    options.set_max_background_jobs(2);
    // Tables fill at different rates; without a bound, the slowest keeps old logs on the disk, and
    // the start after a crash reads them all, at about 60 MiB a second.
    options.set_max_total_wal_size(settings.log_bytes as u64);
    // A power cut may leave a torn record at the end of the log: that batch was not synced, was
    // not acknowledged, and ends the replay. Anything else wrong with the log is damage.
    options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::TolerateCorruptedTailRecords);
    // Large writes go out as they come, not in one burst at the end of a file.
    options.set_bytes_per_sync(1 << 20);
    // Counters by processor: what a batch adds to them was not to be measured.
    options.enable_statistics();
    options
}

fn table_options(table: Table, settings: &RocksOptions, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_format_version(5);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In pieces: the cache is divided into shards of a few MiB, and a whole filter of a large file
    // fits none of them, so that each look-up read it anew.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(METADATA_BLOCK_BYTES);
    blocks.set_pin_top_level_index_and_filter(true);
    let mut options = Options::default();
    options.set_write_buffer_size(settings.write_buffer_bytes);
    options.set_level_compaction_dynamic_level_bytes(true);
    // New files are read soon or never: only the last level is worth compressing.
    options.set_compression_per_level(&[
        DBCompressionType::None,
        DBCompressionType::None,
        DBCompressionType::Lz4,
    ]);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    match table {
        // Point look-ups, many of them for what is not there.
        Table::State | Table::Plain => {
            blocks.set_bloom_filter(10.0, false);
            // What is in a file is mostly not in memory as well, and the skip list is slow to say so.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(MEMORY_FILTER_RATIO);
        }
        // Point look-ups only, and every message puts one: a hash table, where the skip list took
        // 2 of the 13 us of a message.
        Table::Ids => {
            blocks.set_bloom_filter(10.0, false);
            // The whole key is hashed, and not twice for the filter.
            options.set_prefix_extractor(SliceTransform::create_noop());
            blocks.set_whole_key_filtering(false);
            options.set_memtable_factory(MemtableFactory::HashLinkList {
                bucket_count: (settings.write_buffer_bytes / WRITE_BUFFER_PER_ID_BUCKET)
                    .clamp(1, ID_BUCKETS_MAX),
            });
        }
        // Read by range: larger blocks compress better.
        Table::Log => blocks.set_block_size(16 << 10),
    }
    options.set_block_based_table_factory(&blocks);
    options
}

pub(super) fn family(db: &DB, table: Table) -> Result<&ColumnFamily, StoreError> {
    db.cf_handle(table.name()).ok_or(StoreError::Corrupt("a table is missing"))
}

pub(super) fn store_error(error: &rocksdb::Error) -> StoreError {
    let text = error.to_string();
    // RocksDB has no kind of error for it. Not any "lock" will do: the text ends with a path.
    let begins_of_locked = ["IO error: lock hold by", "IO error: While lock file"];
    if begins_of_locked.iter().any(|begin| text.starts_with(begin)) {
        StoreError::Locked(text)
    } else {
        StoreError::Io(text)
    }
}
