//! A file of the journal: written from its start to its end, and then maybe again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

/// What a disk writes whole or not at all. Records begin at multiples of it, so that none shares a
/// sector with the one before, which is acknowledged when this one is being written.
pub(super) const SECTOR_BYTES: u64 = 512;

/// Room that is made at a time. A file whose size and blocks are there needs no inode written when
/// it is synced; all of it at once would be 16 MiB of zeros for the first message of a new server.
const STEP_BYTES: u64 = 1 << 20;

/// The first sector of a file: these bytes, the journal's id, and their XXH3-64.
const MAGIC: [u8; 8] = *b"tickjnl1";
const LABEL_BYTES: usize = 24;

/// How a file of the journal is called: with its number.
const SUFFIX: &str = "journal";

/// A file that records are appended to.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Of its last record; 0: it has none.
    pub(super) last: u64,
    /// Once RocksDB has what is in it, it is removed and not written again: it holds what is to
    /// leave the disk.
    pub(super) erase: bool,
    file: File,
    bytes: u64,
    /// Up to here the file is made: its blocks are there.
    made_bytes: u64,
    next_at: u64,
}

impl Segment {
    /// Makes a file for so many bytes of records. It is there, durably, when this returns.
    pub(super) fn create(dir: &Path, file_no: u64, id: u64, record_bytes: u64) -> io::Result<Self> {
        let path = dir.join(format!("{file_no:06}.{SUFFIX}"));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let mut label = [0; SECTOR_BYTES as usize];
        label[..LABEL_BYTES].copy_from_slice(&encode_label(id));
        file.write_all_at(&label, 0)?;
        file.sync_all()?;
        sync_dir(dir)?;
        Ok(Self {
            path,
            last: 0,
            erase: false,
            file,
            bytes: to_sectors(SECTOR_BYTES + record_bytes),
            made_bytes: SECTOR_BYTES,
            next_at: SECTOR_BYTES,
        })
    }

    /// Whether it has room for a record of so many bytes.
    pub(super) fn fits(&self, record_bytes: u64) -> bool {
        self.next_at + record_bytes <= self.bytes
    }

    /// What of it is not made yet.
    pub(super) fn to_make_bytes(&self) -> u64 {
        self.bytes - self.made_bytes
    }

    /// The room that it has, used or not.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a record that [fits](Self::fits); it is on stable storage when this returns.
    pub(super) fn append(&mut self, number: u64, head: &[u8], payload: &[u8]) -> io::Result<()> {
        let end = self.next_at + (head.len() + payload.len()) as u64;
        self.write(head, payload)?;
        if end > self.made_bytes {
            let made_bytes = end.next_multiple_of(STEP_BYTES).min(self.bytes);
            fill(&self.file, end, made_bytes)?;
            self.made_bytes = made_bytes;
        }
        self.file.sync_data()?;
        self.next_at = to_sectors(end);
        self.last = number;
        Ok(())
    }

    /// From now on it is written from its start. What it holds must not be needed any more.
    pub(super) fn restart(&mut self) {
        (self.next_at, self.last) = (SECTOR_BYTES, 0);
    }

    /// Both in one call, mostly.
    fn write(&self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        let pieces = [IoSlice::new(head), IoSlice::new(payload)];
        let written = match rustix::io::pwritev(&self.file, &pieces, self.next_at) {
            Ok(written) => written,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let (head_left, payload_left) = (
            head.get(written..).unwrap_or_default(),
            payload.get(written.saturating_sub(head.len())..).unwrap_or_default(),
        );
        if !head_left.is_empty() {
            self.file.write_all_at(head_left, self.next_at + written as u64)?;
        }
        let payload_at = (head.len() + payload.len() - payload_left.len()) as u64;
        self.file.write_all_at(payload_left, self.next_at + payload_at)
    }
}

fn fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < to {
        let count = (to - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..count as usize], at)?;
        at += count;
    }
    Ok(())
}

/// The least multiple of a sector that has room for so many bytes.
pub(super) fn to_sectors(bytes: u64) -> u64 {
    bytes.next_multiple_of(SECTOR_BYTES)
}

/// The files of a journal with their numbers, in no order; none if there is no folder.
pub(super) fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_suffix(SUFFIX).and_then(|name| name.strip_suffix('.'));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push((number, path));
        }
    }
    Ok(found)
}

/// Makes what was done in a folder (a file made or removed) durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn encode_label(id: u64) -> [u8; LABEL_BYTES] {
    let mut label = [0; LABEL_BYTES];
    label[..8].copy_from_slice(&MAGIC);
    label[8..16].copy_from_slice(&id.to_be_bytes());
    let sum = xxh3_64(&label[..16]);
    label[16..].copy_from_slice(&sum.to_be_bytes());
    label
}

/// Whose journal a file is of. `None`: it does not say; maybe its making was cut short.
pub(super) fn read_label(file: &File) -> io::Result<Option<u64>> {
    let mut label = [0; LABEL_BYTES];
    match file.read_exact_at(&mut label, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let id = label[8..16].first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    Ok(id.filter(|id| encode_label(*id) == label))
}
