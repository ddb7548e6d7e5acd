//! The journal: what is committed is appended here and synced, and then put into RocksDB, which
//! writes no log of its own.
//!
//! A batch is data in the order of all batches, and RocksDB the state beside it that says how far
//! it is. The files are overwritten from their start once RocksDB has in files what they hold: a
//! file whose size does not change is synced with one write of its data and none of its inode.
//!
//! This knows files and records; that RocksDB follows is seen to by `database.rs`.

mod reader;
mod record;
mod segment;
#[cfg(test)]
mod tests;

pub(super) use reader::Survey;
pub(super) use record::Write;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use self::segment::{SECTOR_BYTES, Segment, sync_dir};
use super::kv::{KvBatch, StoreError};

/// Files that a journal has at most, a batch that is larger than any of them aside.
const SEGMENTS: usize = 4;

/// With so many full ones RocksDB is to write out what they are for: what comes meanwhile has the
/// others.
const FULL_SEGMENTS_DUE: usize = SEGMENTS / 2;

/// The journal of an open database.
pub(super) struct Journal {
    dir: PathBuf,
    /// In each record and file; see `record.rs`.
    id: u64,
    segment_bytes: u64,
    /// Of the last record.
    last: u64,
    current: Segment,
    /// Those written before it that are needed, the oldest first.
    full: VecDeque<Segment>,
    /// Those that are not.
    free: Vec<Segment>,
    next_file_no: u64,
    /// What stands before a batch's bytes; kept, so that a commit takes no memory for it.
    head: Vec<u8>,
    written_bytes: u64,
}

impl Journal {
    /// Goes on after record `last`, in a new file. Files that were there are not looked at.
    ///
    /// # Errors
    /// The disk says no.
    pub(super) fn create(
        dir: &Path,
        id: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Self, StoreError> {
        let create = || {
            fs::create_dir_all(dir)?;
            dir.parent().map_or(Ok(()), sync_dir)?;
            let greatest = segment::files(dir)?.into_iter().map(|(no, _)| no).max();
            let file_no = greatest.map_or(1, |no| no.saturating_add(1));
            let segment_bytes = (bytes_max / SEGMENTS) as u64 / SECTOR_BYTES * SECTOR_BYTES;
            let segment_bytes = segment_bytes.max(2 * SECTOR_BYTES);
            let current = Segment::create(dir, file_no, id, segment_bytes - SECTOR_BYTES)?;
            io::Result::Ok((file_no, segment_bytes, current))
        };
        let (file_no, segment_bytes, current) = create().map_err(io_error)?;
        Ok(Self {
            dir: dir.to_owned(),
            id,
            segment_bytes,
            last,
            current,
            full: VecDeque::new(),
            free: Vec::new(),
            next_file_no: file_no + 1,
            head: Vec::new(),
            written_bytes: 0,
        })
    }

    /// Whether nothing was ever appended to the files in a folder, if there are any: what a start
    /// leaves that was cut short before the database knew of its journal.
    ///
    /// # Errors
    /// The disk says no.
    pub(super) fn is_unused(dir: &Path) -> Result<bool, StoreError> {
        let is_unused = || {
            for (_, path) in segment::files(dir)? {
                if fs::metadata(path)?.len() > SECTOR_BYTES {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        is_unused().map_err(io_error)
    }

    /// Removes all files but those of its own: what they held is in RocksDB's. They are not used
    /// again, so that what was erased is gone after a restart.
    ///
    /// # Errors
    /// The disk says no.
    pub(super) fn remove_others(&self) -> Result<(), StoreError> {
        let remove = || {
            for (_, path) in segment::files(&self.dir)? {
                if path != self.current.path {
                    fs::remove_file(path)?;
                }
            }
            sync_dir(&self.dir)
        };
        remove().map_err(io_error)
    }

    /// Whether there is room for a batch. If not, RocksDB has to write out what is here first.
    pub(super) fn has_room(&self, batch: &KvBatch) -> bool {
        // A full one, the current one that becomes full, and one for the batch.
        self.current.fits(record::record_bytes(batch)) || self.full.len() + 2 <= SEGMENTS
    }

    /// Appends a batch that there is [room](Self::has_room) for. It is on stable storage when this
    /// returns.
    ///
    /// # Errors
    /// The disk says no. Whether it is there is unknown, and nothing more may be appended.
    pub(super) fn append(&mut self, batch: &KvBatch) -> Result<(), StoreError> {
        let bytes = record::record_bytes(batch);
        if !self.current.fits(bytes) {
            self.begin_segment(bytes)?;
        }
        let number = self.last + 1;
        record::encode_head(self.id, number, batch, &mut self.head)?;
        self.current.append(number, &self.head, batch.payload()).map_err(io_error)?;
        self.last = number;
        self.written_bytes += bytes;
        Ok(())
    }

    /// The number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Bytes of records that were appended.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// What it will still take of the disk.
    pub(super) fn to_make_bytes(&self) -> u64 {
        let made = self.full.iter().chain(&self.free).chain([&self.current]);
        let (count, to_make) = made
            .fold((0, 0), |(count, bytes), segment| (count + 1, bytes + segment.to_make_bytes()));
        to_make + SEGMENTS.saturating_sub(count) as u64 * self.segment_bytes
    }

    /// Whether RocksDB should write out what is here.
    pub(super) fn is_due(&self) -> bool {
        self.full.len() >= FULL_SEGMENTS_DUE
    }

    /// RocksDB has all records up to this one in files, and says so in one: they are not needed.
    ///
    /// # Errors
    /// The disk says no.
    pub(super) fn handle_flushed(&mut self, number: u64) -> Result<(), StoreError> {
        let mut removed = false;
        while let Some(mut segment) = self.full.pop_front_if(|segment| segment.last <= number) {
            if segment.erase || segment.bytes() != self.segment_bytes {
                fs::remove_file(&segment.path).map_err(io_error)?;
                removed = true;
            } else {
                segment.restart();
                self.free.push(segment);
            }
        }
        if removed { sync_dir(&self.dir).map_err(io_error) } else { Ok(()) }
    }

    /// Has everything that is here now leave the disk: what is not needed any more at once, the
    /// rest when it is not.
    ///
    /// # Errors
    /// The disk says no.
    pub(super) fn begin_erasure(&mut self) -> Result<(), StoreError> {
        for segment in self.free.drain(..) {
            fs::remove_file(segment.path).map_err(io_error)?;
        }
        if self.current.last > 0 {
            self.begin_segment(0)?;
        }
        self.full.iter_mut().for_each(|segment| segment.erase = true);
        Ok(())
    }

    /// Puts a free or new file, for a record of at least so many bytes, in the place of the
    /// current one.
    fn begin_segment(&mut self, record_bytes: u64) -> Result<(), StoreError> {
        let usual_bytes = self.segment_bytes - SECTOR_BYTES;
        let free = if record_bytes <= usual_bytes { self.free.pop() } else { None };
        let next = match free {
            Some(segment) => segment,
            None => {
                let bytes = record_bytes.max(usual_bytes);
                let no = self.next_file_no;
                self.next_file_no += 1;
                Segment::create(&self.dir, no, self.id, bytes).map_err(io_error)?
            }
        };
        let current = std::mem::replace(&mut self.current, next);
        if current.last > 0 {
            self.full.push_back(current);
        } else {
            // It has no record: a large one came first.
            self.free.push(current);
        }
        Ok(())
    }
}

fn io_error(error: io::Error) -> StoreError {
    StoreError::Io(format!("the journal: {error}"))
}
