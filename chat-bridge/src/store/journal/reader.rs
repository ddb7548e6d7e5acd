//! What a journal holds, read at the start.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::record::{HEADER_BYTES, Header, Write};
use super::segment::{self, SECTOR_BYTES, read_label, to_sectors};
use crate::store::kv::StoreError;

/// What is read at a time where no record is to be expected.
const CHUNK_BYTES: usize = 1 << 20;

/// Records of a file, side by side, with rising numbers.
struct Run {
    file: File,
    first: u64,
    last: u64,
    /// Where the last one begins, and what it takes.
    last_at: u64,
    last_bytes: u64,
}

/// The records that RocksDB may not have.
pub(in crate::store) struct Survey {
    id: u64,
    /// RocksDB has all up to this one.
    flushed: u64,
    /// The last one.
    end: u64,
    /// In order; together they hold what comes after `flushed`.
    runs: Vec<Run>,
}

impl Survey {
    /// Reads all files of the journal, and sees that all is there that RocksDB does not have.
    ///
    /// The last record may be torn: a power cut came between its first sector and its last one, so
    /// that it was never acknowledged. Nothing else may be: each record was synced before the next
    /// one was begun, so that whatever comes after an invalid one says that it was valid once.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: a record is damaged or missing that was acknowledged.
    pub(in crate::store) fn read(dir: &Path, id: u64, flushed: u64) -> Result<Self, StoreError> {
        let files = segment::files(dir).map_err(io_error)?;
        if files.is_empty() {
            return Err(StoreError::Corrupt(
                "its journal is missing (the folder `journal` beside RocksDB's files)",
            ));
        }
        let mut runs = Vec::new();
        let mut strays = Vec::new();
        for (_, path) in files {
            read_file(&path, id, &mut runs, &mut strays)?;
        }
        runs.sort_unstable_by_key(|run| run.first);
        let end = runs.iter().map(|run| run.last).fold(flushed, u64::max);
        runs.retain(|run| run.last > flushed);
        let mut next = flushed + 1;
        for run in &runs {
            if run.first > next {
                return Err(StoreError::Corrupt("records of the journal are missing or damaged"));
            }
            next = run.last + 1;
        }
        for stray in strays {
            // Of the record after the end, torn as it is, the beginning may have been written.
            if stray.number > end + 1 || (stray.number == end + 1 && stray.is_whole) {
                return Err(StoreError::Corrupt("a record in the midst of the journal is damaged"));
            }
        }
        Ok(Self { id, flushed, end, runs })
    }

    /// The number of the last record.
    pub(in crate::store) fn end(&self) -> u64 {
        self.end
    }

    /// How many records RocksDB may not have.
    pub(in crate::store) fn records(&self) -> u64 {
        self.end - self.flushed
    }

    /// Has the last record on stable storage. It may have been read from the system's cache alone,
    /// after a sync that failed or was never made; if RocksDB had it and a power cut took it from
    /// here, what RocksDB has of it would meet older records that are replayed. Written again,
    /// its pages are dirty again, also if a failed sync has forgotten them.
    ///
    /// # Errors
    /// The disk says no.
    pub(in crate::store) fn secure(&self) -> Result<(), StoreError> {
        let Some(run) = self.runs.last() else { return Ok(()) };
        let mut record = Vec::new();
        read_into(&run.file, run.last_at, run.last_bytes, &mut record)
            .and_then(|()| run.file.write_all_at(&record, run.last_at))
            .and_then(|()| run.file.sync_all())
            .map_err(io_error)
    }

    /// Gives the writes of each record that RocksDB may not have to `each`, in order.
    ///
    /// # Errors
    /// Those of `each`, and what is not any more what it was when it was [read](Self::read).
    pub(in crate::store) fn replay(
        &self,
        mut each: impl FnMut(&[Write<'_>]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut rest = Vec::new();
        let mut next = self.flushed + 1;
        for run in &self.runs {
            let mut at = SECTOR_BYTES;
            for _ in run.first..=run.last {
                let changed = StoreError::Corrupt("the journal changes while it is read");
                let header = read_record(&run.file, at, self.id, &mut rest).map_err(io_error)?;
                let header = header.ok_or(changed)?;
                if header.number == next {
                    each(&header.writes(&rest)?)?;
                    next += 1;
                }
                at = after(at, &header);
            }
        }
        Ok(())
    }
}

/// A header where no record is to be expected.
struct Stray {
    number: u64,
    is_whole: bool,
}

/// Adds the run at the file's start, if there is one, and the greatest number behind it.
fn read_file(
    path: &PathBuf,
    id: u64,
    runs: &mut Vec<Run>,
    strays: &mut Vec<Stray>,
) -> Result<(), StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(io_error)?;
    if read_label(&file).map_err(io_error)?.is_some_and(|found| found != id) {
        return Err(StoreError::Corrupt("a file of its journal is of another database"));
    }
    let mut rest = Vec::new();
    let (mut at, mut run) = (SECTOR_BYTES, None::<(u64, u64, u64, u64)>);
    while let Some(header) = read_record(&file, at, id, &mut rest).map_err(io_error)? {
        let first = match run {
            Some((_, last, ..)) if header.number != last.wrapping_add(1) => break,
            Some((first, ..)) => first,
            None => header.number,
        };
        run = Some((first, header.number, at, HEADER_BYTES as u64 + header.length));
        at = after(at, &header);
    }
    if let Some((stray_at, number)) = greatest_header(&file, at, id).map_err(io_error)? {
        let is_whole = read_record(&file, stray_at, id, &mut rest).map_err(io_error)?.is_some();
        strays.push(Stray { number, is_whole });
    }
    if let Some((first, last, last_at, last_bytes)) = run {
        runs.push(Run { file, first, last, last_at, last_bytes });
    }
    Ok(())
}

/// The header with the greatest number from `at` on: what is left of an earlier round through the
/// file has smaller ones than its run.
fn greatest_header(file: &File, from: u64, id: u64) -> io::Result<Option<(u64, u64)>> {
    let end = file.metadata()?.len();
    let (mut at, mut greatest, mut chunk) = (from, None::<(u64, u64)>, Vec::new());
    while at < end {
        let bytes = (end - at).min(CHUNK_BYTES as u64);
        read_into(file, at, bytes, &mut chunk)?;
        for (sector, place) in
            chunk.chunks(SECTOR_BYTES as usize).zip((at..).step_by(SECTOR_BYTES as usize))
        {
            let header = sector.first_chunk().and_then(|bytes| Header::decode(*bytes, id));
            let number = header.map(|header| header.number);
            if let Some(number) =
                number.filter(|number| greatest.is_none_or(|(_, it)| *number > it))
            {
                greatest = Some((place, number));
            }
        }
        at += bytes;
    }
    Ok(greatest)
}

/// The record that begins here, what follows its header in `rest`; `None`: there is none, or not
/// all of it.
fn read_record(file: &File, at: u64, id: u64, rest: &mut Vec<u8>) -> io::Result<Option<Header>> {
    let left = file.metadata()?.len().saturating_sub(at);
    let mut bytes = [0; HEADER_BYTES];
    let Some(left) = left.checked_sub(HEADER_BYTES as u64) else { return Ok(None) };
    file.read_exact_at(&mut bytes, at)?;
    let header = Header::decode(bytes, id).filter(|header| header.length <= left);
    let Some(header) = header else { return Ok(None) };
    read_into(file, at + HEADER_BYTES as u64, header.length, rest)?;
    Ok(header.fits(rest).then_some(header))
}

fn read_into(file: &File, at: u64, bytes: u64, into: &mut Vec<u8>) -> io::Result<()> {
    into.resize(usize::try_from(bytes).map_err(io::Error::other)?, 0);
    file.read_exact_at(into, at)
}

fn after(at: u64, header: &Header) -> u64 {
    to_sectors(at + HEADER_BYTES as u64 + header.length)
}

fn io_error(error: io::Error) -> StoreError {
    StoreError::Io(format!("the journal cannot be read: {error}"))
}
