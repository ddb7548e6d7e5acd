//! RocksDB and the journal before it, open.
//!
//! A commit is appended to the journal and synced, then put into RocksDB, which writes no log: both
//! under one lock, so that RocksDB's order is the journal's. RocksDB remembers up to which record
//! all tables are in its files ([`Progress`]); a start replays what comes after.
//!
//! Tables go to files independently, when their write buffers are full, and so after a crash some
//! are further than others, and further than RocksDB remembers. That needs no care. Records put and
//! remove, nothing else, and a replay goes to the last record before anybody reads: a key that one
//! of the replayed records writes ends as the last of them leaves it, whatever it was before, and
//! one that none of them writes has not changed since. What RocksDB has comes never after the last
//! record: a record is durable before RocksDB hears of it, and secured before it is replayed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use rocksdb::{DB, Options, WriteBatch, WriteOptions};
use uuid::Uuid;

use super::journal::{Journal, Survey, Write};
use super::kv::{KvBatch, StoreError, Table};
use super::rocks::{family, store_error};

/// Where the journal is, in RocksDB's folder: both are one, and are copied as one.
const JOURNAL: &str = "journal";

/// A replay tells where it is each time it has put so many bytes.
const TOLD_EACH_BYTES: u64 = 256 << 20;

/// RocksDB and its journal.
pub(super) struct Database {
    db: DB,
    /// What RocksDB counts, it counts here.
    opened_with: Options,
    id: u64,
    journal: Mutex<Journal>,
    /// The flusher has something to do: the journal is half full, or it is to end.
    due: Condvar,
    /// There is room in the journal, or there will be none.
    freed: Condvar,
    /// One flush of all tables at a time.
    flushing: Mutex<()>,
    /// A write has failed: nothing is taken any more, until the database is opened again.
    broken: AtomicBool,
    stopping: AtomicBool,
    to_make_bytes: AtomicU64,
    journal_bytes: AtomicU64,
}

impl Database {
    /// Takes an open RocksDB, whose lock guards the journal too, and replays what it lacks.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: the journal is missing, damaged, or another's. [`StoreError::Io`].
    pub(super) fn open(
        path: &Path,
        db: DB,
        opened_with: Options,
        journal_bytes_max: usize,
    ) -> Result<Self, StoreError> {
        let dir = path.join(JOURNAL);
        let progress = match Progress::read(&db)? {
            Some(progress) => replay(&db, &dir, progress)?,
            None if db.latest_sequence_number() > 0 => {
                return Err(StoreError::Corrupt(
                    "it has no journal: a version of the program without one wrote it",
                ));
            }
            None if !Journal::is_unused(&dir)? => {
                return Err(StoreError::Corrupt("its journal is there, RocksDB's files are not"));
            }
            None => Progress { id: Uuid::new_v4().as_u64_pair().0, flushed: 0 },
        };
        let Progress { id, flushed } = progress;
        // The journal first: RocksDB says of no journal that is not there.
        let journal = Journal::create(&dir, id, flushed, journal_bytes_max)?;
        progress.write(&db)?;
        journal.remove_others()?;
        Ok(Self {
            db,
            opened_with,
            id,
            to_make_bytes: journal.to_make_bytes().into(),
            journal_bytes: 0.into(),
            journal: Mutex::new(journal),
            due: Condvar::new(),
            freed: Condvar::new(),
            flushing: Mutex::new(()),
            broken: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        })
    }

    pub(super) fn db(&self) -> &DB {
        &self.db
    }

    pub(super) fn opened_with(&self) -> &Options {
        &self.opened_with
    }

    /// What the journal will still take of the disk.
    pub(super) fn to_make_bytes(&self) -> u64 {
        self.to_make_bytes.load(Ordering::Relaxed)
    }

    /// What was appended to the journal since it was opened.
    pub(super) fn journal_bytes(&self) -> u64 {
        self.journal_bytes.load(Ordering::Relaxed)
    }

    /// Refuses after a failure.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.broken.load(Ordering::Acquire) {
            true => Err(StoreError::Io("a write has failed".to_owned())),
            false => Ok(()),
        }
    }

    /// Stores a batch; waits for RocksDB where the journal is full.
    ///
    /// # Errors
    /// Whether it was stored is unknown, and nothing more is taken.
    pub(super) fn commit(&self, batch: &KvBatch) -> Result<(), StoreError> {
        let mut journal = self.journal.lock();
        self.check()?;
        while !journal.has_room(batch) {
            self.freed.wait(&mut journal);
            self.check()?;
        }
        let done = journal.append(batch).and_then(|()| apply(&self.db, batch.in_key_order()));
        self.to_make_bytes.store(journal.to_make_bytes(), Ordering::Relaxed);
        self.journal_bytes.store(journal.written_bytes(), Ordering::Relaxed);
        if journal.is_due() {
            self.due.notify_one();
        }
        // Still under the lock: no record may come after one that failed.
        done.inspect_err(|_| self.break_off())
    }

    /// Has RocksDB write all tables into files, so that the journal up to here is not needed.
    ///
    /// # Errors
    /// The disk says no, and nothing more is taken.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let _turn = self.flushing.lock();
        let flushed = {
            let journal = self.journal.lock();
            // With a record that RocksDB does not have, its number would say too much.
            self.check()?;
            journal.last()
        };
        flush_tables(&self.db)
            .and_then(|()| Progress { id: self.id, flushed }.write(&self.db))
            .and_then(|()| {
                let mut journal = self.journal.lock();
                let freed = journal.handle_flushed(flushed);
                self.freed.notify_all();
                freed
            })
            .inspect_err(|_| {
                // Who is about to wait has to see it, or be waked.
                let _journal = self.journal.lock();
                self.break_off();
            })
    }

    /// Has everything that the journal holds now leave the disk.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub(super) fn erase_journal(&self) -> Result<(), StoreError> {
        let begun = {
            let mut journal = self.journal.lock();
            self.check()?;
            journal.begin_erasure().inspect_err(|_| self.break_off())
        };
        begun.and_then(|()| self.flush())
    }

    /// Flushes whenever the journal is half full; returns when it is told to [stop](Self::stop).
    pub(super) fn run_flusher(&self) {
        loop {
            let mut journal = self.journal.lock();
            while !self.stopping.load(Ordering::Acquire) {
                let is_broken = self.broken.load(Ordering::Acquire);
                if journal.is_due() && !is_broken {
                    break;
                }
                self.due.wait(&mut journal);
            }
            drop(journal);
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = self.flush() {
                tracing::warn!(%error, "RocksDB could not write what is in the journal");
            }
        }
    }

    /// Ends [`Self::run_flusher`].
    pub(super) fn stop(&self) {
        let _journal = self.journal.lock();
        self.stopping.store(true, Ordering::Release);
        self.due.notify_all();
    }

    /// With the journal locked.
    fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
        self.freed.notify_all();
    }
}

/// Puts what RocksDB lacks, and writes it into files, so that nothing rests on a page that a failed
/// sync may have lost.
fn replay(db: &DB, dir: &Path, progress: Progress) -> Result<Progress, StoreError> {
    let survey = Survey::read(dir, progress.id, progress.flushed)?;
    if survey.records() == 0 {
        return Ok(progress);
    }
    let records = survey.records();
    tracing::info!(records, "replaying the journal");
    survey.secure()?;
    let (mut done, mut bytes, mut told_bytes) = (0_u64, 0, 0);
    survey.replay(|writes| {
        apply(db, writes.iter().copied())?;
        done += 1;
        bytes += writes.iter().map(|(_, key, value)| bytes_of(key, *value)).sum::<u64>();
        if bytes - told_bytes >= TOLD_EACH_BYTES {
            told_bytes = bytes;
            tracing::info!(done, records, bytes, "replaying the journal");
        }
        Ok(())
    })?;
    flush_tables(db)?;
    Ok(Progress { flushed: survey.end(), ..progress })
}

fn bytes_of(key: &[u8], value: Option<&[u8]>) -> u64 {
    (key.len() + value.map_or(0, <[u8]>::len)) as u64
}

/// Puts the writes of a batch into RocksDB's memory, all or none. They are in the journal.
fn apply<'a>(db: &DB, writes: impl Iterator<Item = Write<'a>>) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    let [state, log, ids, plain] = Table::ALL.map(|table| family(db, table));
    let (state, log, ids, plain) = (state?, log?, ids?, plain?);
    for (table, key, value) in writes {
        let family = match table {
            Table::State => state,
            Table::Log => log,
            Table::Ids => ids,
            Table::Plain => plain,
        };
        match value {
            Some(value) => batch.put_cf(family, key, value),
            None => batch.delete_cf(family, key),
        }
    }
    db.write_opt(batch, &without_log()).map_err(|error| store_error(&error))
}

fn flush_tables(db: &DB) -> Result<(), StoreError> {
    for table in Table::ALL {
        db.flush_cf(family(db, table)?).map_err(|error| store_error(&error))?;
    }
    Ok(())
}

fn without_log() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

/// What RocksDB remembers of its journal, in a column family that is no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// The journal's.
    id: u64,
    /// All tables are in files up to this record.
    flushed: u64,
}

impl Progress {
    const KEY: &[u8] = b"journal";
    const VERSION: u8 = 1;

    fn read(db: &DB) -> Result<Option<Self>, StoreError> {
        let bytes = db.get(Self::KEY).map_err(|error| store_error(&error))?;
        bytes.map(|bytes| Self::decode(&bytes)).transpose()
    }

    /// Returns when it is in a file. Not before what it says is.
    fn write(self, db: &DB) -> Result<(), StoreError> {
        db.put_opt(Self::KEY, self.encode(), &without_log())
            .and_then(|()| db.flush())
            .map_err(|error| store_error(&error))
    }

    fn encode(self) -> [u8; 17] {
        let mut bytes = [Self::VERSION; 17];
        bytes[1..9].copy_from_slice(&self.id.to_be_bytes());
        bytes[9..].copy_from_slice(&self.flushed.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let (version, rest) = bytes.split_first()?;
            let (id, rest) = rest.split_first_chunk()?;
            let flushed = rest.try_into().ok()?;
            let (id, flushed) = (u64::from_be_bytes(*id), u64::from_be_bytes(flushed));
            (*version == Self::VERSION).then_some(Self { id, flushed })
        };
        read().ok_or(StoreError::Corrupt("what RocksDB knows of its journal makes no sense"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rocks::{RocksKv, RocksOptions};
    use super::*;

    #[test]
    fn data_of_a_version_without_a_journal_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let db = DB::open_cf(&options, dir.path(), Table::ALL.map(Table::name)).expect("opened");
        db.put_cf(family(&db, Table::State).expect("a table"), b"a", b"1").expect("written");
        drop(db);
        let refused = RocksKv::open(dir.path(), RocksOptions::default()).err();
        let why = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(why.contains("a version of the program without one"), "{why}");
    }

    #[test]
    fn progress_comes_back_or_is_refused() {
        let progress = Progress { id: u64::MAX - 5, flushed: 1 << 40 };
        let bytes = progress.encode();
        assert_eq!(Progress::decode(&bytes).expect("as encoded"), progress);
        for count in 0..bytes.len() {
            assert!(Progress::decode(&bytes[..count]).is_err(), "{count} bytes");
        }
        assert!(Progress::decode(&[&bytes[..], &[0]].concat()).is_err(), "a byte more");
        assert!(Progress::decode(&[&[2], &bytes[1..]].concat()).is_err(), "another version");
    }
}
