//! Journals on a disk that cuts, flips and forgets.

use std::fs;
use std::path::PathBuf;

use fastrand::Rng;
use tempfile::TempDir;

use super::segment::SECTOR_BYTES;
use super::{Journal, SEGMENTS, Survey, segment};
use crate::store::kv::{KvBatch, StoreError, Table};

const ID: u64 = 0xFEED_F00D_1234_5678;

/// A file has its label and room for seven records of a sector.
const SEGMENT_BYTES: usize = 8 * SECTOR_BYTES as usize;
const BYTES_MAX: usize = SEGMENTS * SEGMENT_BYTES;

struct Disk {
    dir: TempDir,
    journal: Journal,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let journal = Journal::create(&dir.path().join("journal"), ID, 0, BYTES_MAX);
        Self { journal: journal.expect("made"), dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    fn append(&mut self, count: u64) {
        for _ in 0..count {
            let batch = numbered(self.journal.last() + 1);
            assert!(self.journal.has_room(&batch));
            self.journal.append(&batch).expect("appended");
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = segment::files(&self.path()).expect("a folder");
        files.sort();
        files.into_iter().map(|(_, path)| path).collect()
    }

    /// The numbers that are replayed; each record has to be what was written.
    fn replayed(&self, flushed: u64) -> Result<Vec<u64>, StoreError> {
        let survey = Survey::read(&self.path(), ID, flushed)?;
        let mut numbers = Vec::new();
        survey.replay(|writes| {
            let (_, key, _) = writes.first().expect("a write");
            let number = u64::from_be_bytes((*key).try_into().expect("a number"));
            assert!(writes.iter().copied().eq(numbered(number).iter()), "record {number}");
            numbers.push(number);
            Ok(())
        })?;
        assert_eq!(survey.records(), numbers.len() as u64);
        Ok(numbers)
    }

    fn assert_damaged(&self, flushed: u64) {
        let read = self.replayed(flushed);
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
    }
}

/// Batch `number`, made of nothing but that: of one to three sectors.
fn numbered(number: u64) -> KvBatch {
    let mut random = Rng::with_seed(number);
    let mut batch = KvBatch::default();
    batch.put(Table::Log, &number.to_be_bytes(), |out| {
        out.extend((0..random.usize(..1200)).map(|_| random.u8(..)));
    });
    batch.delete(Table::State, &(number / 2).to_be_bytes());
    batch
}

fn upto(first: u64, last: u64) -> Vec<u64> {
    (first..=last).collect()
}

#[test]
fn what_was_appended_is_replayed() {
    let mut disk = Disk::new();
    assert!(disk.replayed(0).expect("empty").is_empty());
    for last in 1..8 {
        disk.append(1);
        for flushed in 0..=last {
            assert_eq!(disk.replayed(flushed).expect("whole"), upto(flushed + 1, last));
        }
        let survey = Survey::read(&disk.path(), ID, 0).expect("whole");
        assert_eq!(survey.end(), last);
        survey.secure().expect("written again");
        assert_eq!(disk.replayed(0).expect("as it was"), upto(1, last));
    }
}

/// A changed byte is the end of the journal if it is in the last record, told if it is in one that
/// RocksDB does not have, and without consequence elsewhere.
#[test]
fn a_changed_byte_is_a_torn_end_or_told() {
    let mut disk = Disk::new();
    let flushed = 2;
    disk.append(9);
    let (mut told, mut torn, mut harmless) = (0, 0, 0);
    for path in disk.files() {
        let whole = fs::read(&path).expect("readable");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, &changed).expect("written");
            match disk.replayed(flushed) {
                Ok(numbers) if numbers == upto(flushed + 1, 9) => harmless += 1,
                Ok(numbers) if numbers == upto(flushed + 1, 8) => torn += 1,
                Ok(numbers) => panic!("byte {at} of {}: {numbers:?}", path.display()),
                Err(StoreError::Corrupt(_)) => told += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        fs::write(&path, &whole).expect("written");
    }
    let bytes = |first, last| {
        (first..=last).map(|it| super::record::record_bytes(&numbered(it)) as usize).sum::<usize>()
    };
    // A number that has become greater says of records that are not there.
    assert!(torn <= bytes(9, 9) && torn + 8 >= bytes(9, 9), "{torn}");
    // Damage to what RocksDB has hides what comes after it in the same file.
    assert!(told >= bytes(3, 8) && told <= bytes(1, 8) + 8, "{told}");
    assert!(harmless > 0);
}

/// A file that was cut ends the journal earlier if it is the last one; else there is a hole.
#[test]
fn a_cut_file_ends_the_journal_or_is_told() {
    let mut disk = Disk::new();
    disk.append(9);
    let files = disk.files();
    assert!(files.len() > 1);
    let mut ends = vec![0; 10];
    for (file, path) in files.iter().enumerate() {
        let whole = fs::read(path).expect("readable");
        for bytes in 0..whole.len() {
            fs::write(path, &whole[..bytes]).expect("written");
            match disk.replayed(0) {
                Ok(numbers) => {
                    assert_eq!(numbers, upto(1, numbers.len() as u64));
                    ends[numbers.len()] += 1;
                    assert!(file + 1 == files.len() || numbers.len() == 9, "{bytes} of {path:?}");
                }
                Err(StoreError::Corrupt(_)) => assert!(file + 1 < files.len()),
                Err(error) => panic!("{error:?}"),
            }
        }
        fs::write(path, &whole).expect("written");
    }
    assert!(ends[8] > 0 && ends[9] > 0, "{ends:?}");
}

/// A power cut while the last record is being written: each of its sectors is the old one or the
/// new one. The records before it are whole, and it is there whole or not at all.
#[test]
fn a_power_cut_tears_the_last_record_alone() {
    for rounds in [0, 40] {
        let mut disk = Disk::new();
        // In files that were never written, and in those that were.
        for _ in 0..rounds {
            disk.append(1);
            let last = disk.journal.last();
            disk.journal.handle_flushed(last).expect("freed");
        }
        let flushed = disk.journal.last();
        disk.append(2);
        for _ in 0..9 {
            let last = disk.journal.last();
            let before: Vec<_> = disk.files().into_iter().map(read).collect();
            disk.append(1);
            let after: Vec<_> = disk.files().into_iter().map(read).collect();
            let mut changed = Vec::new();
            for (path, bytes) in &after {
                let had = before.iter().find(|(had, _)| had == path).map(|(_, bytes)| &**bytes);
                let sectors = bytes.chunks(SECTOR_BYTES as usize).zip((0_usize..).step_by(512));
                for (sector, at) in sectors {
                    if had.and_then(|had| had.get(at..at + 512)) != Some(sector) {
                        changed.push((path, at));
                    }
                }
            }
            // A new file: its label, all of its zeros.
            let changed_count = changed.len().min(8);
            for kept in 0_u32..1 << changed_count {
                for (path, bytes) in &after {
                    let had = before.iter().find(|(had, _)| had == path);
                    let mut torn = bytes.clone();
                    for (bit, (_, at)) in changed.iter().enumerate().filter(|(_, it)| it.0 == path)
                    {
                        if bit < changed_count && kept & (1 << bit) == 0 {
                            let old = had.and_then(|(_, had)| had.get(*at..at + 512));
                            torn[*at..at + 512].copy_from_slice(old.unwrap_or(&[0; 512]));
                        }
                    }
                    fs::write(path, torn).expect("written");
                }
                let numbers = disk.replayed(flushed).expect("a torn end is none of damage");
                let whole = numbers == upto(flushed + 1, last + 1);
                assert!(whole || numbers == upto(flushed + 1, last), "{numbers:?}");
                if kept + 1 == 1 << changed_count {
                    assert!(whole, "nothing was torn");
                }
            }
            for (path, bytes) in &after {
                fs::write(path, bytes).expect("written");
            }
            if disk.journal.full.len() + 2 > SEGMENTS {
                break;
            }
        }
    }
}

fn read(path: PathBuf) -> (PathBuf, Vec<u8>) {
    let bytes = fs::read(&path).expect("readable");
    (path, bytes)
}

#[test]
fn files_are_written_again() {
    let mut disk = Disk::new();
    let mut random = Rng::with_seed(3);
    let mut flushed = 0;
    for _ in 0..400 {
        while disk.journal.has_room(&numbered(disk.journal.last() + 1)) && random.u8(..) > 5 {
            disk.append(1);
        }
        assert_eq!(disk.replayed(flushed).expect("whole"), upto(flushed + 1, disk.journal.last()));
        assert!(disk.files().len() <= SEGMENTS);
        if disk.journal.is_due() {
            flushed = random.u64(flushed..=disk.journal.last());
            disk.journal.handle_flushed(flushed).expect("freed");
        }
        if !disk.journal.has_room(&numbered(disk.journal.last() + 1)) {
            flushed = disk.journal.last();
            disk.journal.handle_flushed(flushed).expect("freed");
            assert!(disk.journal.has_room(&numbered(flushed + 1)));
        }
    }
    assert!(disk.journal.written_bytes() > 10 * BYTES_MAX as u64);
    let to_make = disk.journal.to_make_bytes();
    assert_eq!(to_make, 0, "all files are there, and whole");
}

#[test]
fn a_lost_file_is_told() {
    let mut disk = Disk::new();
    while disk.journal.full.len() < 3 {
        disk.append(1);
    }
    let files = disk.files();
    for path in &files[..3] {
        let (_, bytes) = read(path.clone());
        fs::remove_file(path).expect("removed");
        disk.assert_damaged(0);
        fs::write(path, bytes).expect("written");
    }
    let last_of_first = disk.journal.full[0].last;
    fs::remove_file(&files[0]).expect("removed");
    let rest = disk.replayed(last_of_first).expect("RocksDB has the others");
    assert_eq!(rest, upto(last_of_first + 1, disk.journal.last()));
    fs::remove_dir_all(disk.path()).expect("removed");
    disk.assert_damaged(disk.journal.last());
}

#[test]
fn a_file_of_another_journal_is_told() {
    let disk = Disk::new();
    let other = Journal::create(&disk.path(), ID + 1, 0, BYTES_MAX).expect("made");
    disk.assert_damaged(0);
    assert!(Journal::is_unused(&disk.path()).expect("readable"), "there is nothing in either");
    other.remove_others().expect("removed");
    assert_eq!(disk.files().len(), 1);
}

/// What a client has sent is in the journal, at places that it may well know.
#[test]
fn bytes_of_a_client_are_no_record() {
    let mut disk = Disk::new();
    let mut forged = Vec::new();
    super::record::encode_head(ID + 1, 900, &numbered(900), &mut forged).expect("small");
    let mut batch = KvBatch::default();
    batch.put(Table::Log, &1_u64.to_be_bytes(), |out| {
        for at in 0..1200 {
            out.push(forged[at % forged.len()]);
        }
    });
    disk.journal.append(&batch).expect("appended");
    // Torn, so that its bytes are looked through.
    let path = &disk.files()[0];
    let (_, mut bytes) = read(path.clone());
    bytes[512 + 30] ^= 1;
    fs::write(path, bytes).expect("written");
    assert!(disk.replayed(0).expect("a torn end").is_empty());
}

#[test]
fn a_large_batch_has_a_file_of_its_own() {
    let mut disk = Disk::new();
    let mut batch = KvBatch::default();
    batch.put(Table::Log, b"large", |out| out.resize(out.len() + 3 * SEGMENT_BYTES, 7));
    // First of all, and after others.
    for others in [0, 2] {
        disk.append(others);
        let flushed = disk.journal.last();
        assert!(disk.journal.has_room(&batch));
        disk.journal.append(&batch).expect("appended");
        let survey = Survey::read(&disk.path(), ID, flushed).expect("whole");
        let mut seen = 0;
        survey
            .replay(|writes| {
                seen += 1;
                assert!(writes.iter().copied().eq(batch.iter()));
                Ok(())
            })
            .expect("replayed");
        assert_eq!(seen, 1);
        disk.append(1);
        let last = disk.journal.last();
        disk.journal.handle_flushed(last).expect("freed");
    }
    let largest = disk.files().iter().map(|path| fs::metadata(path).expect("there").len()).max();
    assert_eq!(largest, Some(SEGMENT_BYTES as u64), "the large ones are gone");
}

#[test]
fn what_is_erased_leaves_the_disk() {
    let mut disk = Disk::new();
    while disk.journal.full.len() < 2 {
        disk.append(1);
    }
    let last = disk.journal.last();
    disk.journal.handle_flushed(last).expect("freed");
    disk.append(3);
    let last = disk.journal.last();
    disk.journal.begin_erasure().expect("begun");
    disk.append(1);
    assert_eq!(disk.replayed(last - 3).expect("still there"), upto(last - 2, last + 1));
    disk.journal.handle_flushed(last).expect("freed");
    for path in disk.files() {
        let (_, bytes) = read(path);
        for number in 1..=last {
            let batch = numbered(number);
            let body = batch.payload();
            assert!(body.len() < 100 || !bytes.windows(body.len()).any(|bytes| bytes == body));
        }
    }
    assert_eq!(disk.replayed(last).expect("whole"), [last + 1]);
}
