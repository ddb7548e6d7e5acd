//! The store on RocksDB: one database, a column family per table, and a journal before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily,
    ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType, IteratorMode, Options,
    ReadOptions,
};

use super::database::Database;
use super::figures::{self, StoreFigures};
use super::flusher::Flusher;
use super::kv::{Kv, KvBatch, StoreError, Table, Visit};

/// Room that a commit must leave on the disk, beside what the journal will still take: to flush
/// write buffers, and as much again for RocksDB's housekeeping.
const ROOM_IN_WRITE_BUFFERS: usize = 3;

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
    /// The journal. When half of it is full, what it is for is written to files; the start after a
    /// crash reads all of it.
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
    /// `None` only after a failed database could not be opened again.
    opened: RwLock<Option<Opened>>,
}

struct Opened {
    database: Arc<Database>,
    /// `None` only after a failure, while somebody still reads.
    flusher: Option<Flusher>,
}

impl RocksKv {
    /// Opens or makes the database in the folder `path`. After a crash, what its journal has is
    /// replayed: about a second for 64 MiB.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it open, [`StoreError::Corrupt`] if records
    /// that were acknowledged are not there any more, else [`StoreError::Io`].
    pub fn open(path: &Path, options: RocksOptions) -> Result<Self, StoreError> {
        let opened = RwLock::new(Some(open(path, &options)?));
        Ok(Self { path: path.to_owned(), options, opened })
    }

    /// Sorts a whole table into its last level: nothing overwritten or removed is left in it, and
    /// all of it is compressed. Blocks, for long where there is much.
    ///
    /// # Errors
    /// The disk or the database says no; what was there is there.
    pub fn compact(&self, table: Table) -> Result<(), StoreError> {
        let database = self.database()?;
        let db = database.db();
        let family = family(db, table)?;
        db.flush_cf(family).map_err(|error| store_error(&error))?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        // A compaction that failed says so nowhere else.
        match figures::read(db)?.background_errors {
            0 => Ok(()),
            _ => Err(StoreError::Io("RocksDB could not write a file".to_owned())),
        }
    }

    /// Refuses a commit that would leave less room on the disk than what is in memory takes when
    /// it is flushed. RocksDB itself must not meet a full disk: the distribution's is built with
    /// its assertions, and a failed append to one of its files was seen to end the process.
    fn check_room(&self, database: Option<&Database>, bytes: usize) -> Result<(), StoreError> {
        let free_bytes = self.free_bytes()?;
        let needed_bytes = self.reserve_bytes(database) + bytes as u64;
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

    fn reserve_bytes(&self, database: Option<&Database>) -> u64 {
        let journal_bytes = database.map_or(0, Database::to_make_bytes);
        (ROOM_IN_WRITE_BUFFERS * self.options.write_buffer_bytes) as u64 + journal_bytes
    }

    fn get_with(
        &self,
        options: &ReadOptions,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let database = self.database()?;
        let db = database.db();
        db.get_cf_opt(family(db, table)?, key, options).map_err(|error| store_error(&error))
    }

    fn scan_with(
        &self,
        mut options: ReadOptions,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let database = self.database()?;
        let db = database.db();
        options.set_iterate_upper_bound(to.to_vec());
        let start = IteratorMode::From(from, rocksdb::Direction::Forward);
        for item in db.iterator_cf_opt(family(db, table)?, options, start) {
            let (key, value) = item.map_err(|error| store_error(&error))?;
            if each(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let opened = self.opened.read();
        let database = opened.as_ref().map(|opened| opened.database.clone());
        database.ok_or_else(|| StoreError::Io("the database could not be opened again".to_owned()))
    }
}

impl Drop for RocksKv {
    /// Leaves nothing for the next start to replay.
    fn drop(&mut self) {
        let Some(Opened { database, flusher }) = self.opened.get_mut().take() else { return };
        drop(flusher);
        if database.check().is_ok()
            && let Err(error) = database.flush()
        {
            tracing::warn!(%error, "the next start replays the journal");
        }
    }
}

impl Kv for RocksKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get_with(&ReadOptions::default(), table, key)
    }

    fn get_once(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get_with(&once(), table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.scan_with(ReadOptions::default(), table, from, to, each)
    }

    fn scan_once(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.scan_with(once(), table, from, to, each)
    }

    fn commit(&self, batch: &KvBatch) -> Result<(), StoreError> {
        let database = self.database()?;
        database.check()?;
        self.check_room(Some(&database), batch.bytes())?;
        database.commit(batch)
    }

    fn drop_overwritten(&self, ranges: &[(Table, Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        let database = self.database()?;
        let db = database.db();
        database.erase_journal()?;
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        for (table, from, to) in ranges {
            let family = family(db, *table)?;
            // The first moves what is new down to what is old; others in the same files find
            // nothing left to do.
            db.compact_range_cf_opt(family, Some(from), Some(to), &options);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        let database = self.database()?;
        database.check()?;
        self.check_room(Some(&database), 0)
    }

    fn figures(&self) -> Result<Option<StoreFigures>, StoreError> {
        let database = self.database()?;
        Ok(Some(StoreFigures {
            disk_free_bytes: self.free_bytes()?,
            disk_reserve_bytes: self.reserve_bytes(Some(&database)),
            written: figures::written(database.opened_with(), database.journal_bytes()),
            ..figures::read(database.db())?
        }))
    }

    /// Opening the database again replays the journal and writes what that held into new files, so
    /// that nothing rests on a page that a failed sync may have lost.
    fn recover(&self) -> Result<(), StoreError> {
        let mut slot = self.opened.write();
        let database = slot.as_ref().map(|opened| &*opened.database);
        self.check_room(database, 0)?;
        if database.is_some_and(|database| database.check().is_ok()) {
            // It was only the room that was missing: the database never saw a failure.
            return Ok(());
        }
        if let Some(Opened { database, flusher }) = slot.take() {
            drop(flusher);
            if let Err(database) = Arc::try_unwrap(database) {
                *slot = Some(Opened { database, flusher: None });
                return Err(StoreError::Io("the database is still being read".to_owned()));
            }
        }
        *slot = Some(open(&self.path, &self.options)?);
        Ok(())
    }
}

fn open(path: &Path, settings: &RocksOptions) -> Result<Opened, StoreError> {
    let cache =
        Cache::new_lru_cache(settings.block_cache_bytes).map_err(|error| store_error(&error))?;
    let families = Table::ALL.map(|table| {
        ColumnFamilyDescriptor::new(table.name(), table_options(table, settings, &cache))
    });
    let options = database_options();
    let db =
        DB::open_cf_descriptors(&options, path, families).map_err(|error| store_error(&error))?;
    let database = Arc::new(Database::open(path, db, options, settings.log_bytes)?);
    let flusher = Flusher::start(database.clone());
    let flusher = flusher.map(Some).map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(Opened { database, flusher })
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // There is one writer at a time.
    options.set_allow_concurrent_memtable_write(false);
    options.set_keep_log_file_num(4);
    options.set_max_background_jobs(2);
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
        Table::Ids => blocks.set_bloom_filter(10.0, false),
        Table::State | Table::Plain => {
            blocks.set_bloom_filter(10.0, false);
            // What is in a file is mostly not in memory as well, and the skip list is slow to say so.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(MEMORY_FILTER_RATIO);
        }
        // Read by range: larger blocks compress better.
        Table::Log => blocks.set_block_size(16 << 10),
    }
    options.set_block_based_table_factory(&blocks);
    options
}

/// The blocks that are read are not kept.
fn once() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
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
