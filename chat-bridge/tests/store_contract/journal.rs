//! The journal before RocksDB, on real databases: what a crash leaves, what is missing afterwards,
//! and a power cut in the midst of a write.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use bluetick_bridge::store::{Kv, KvBatch, RocksKv, RocksOptions, StoreError, Table};
use tempfile::TempDir;

use crate::kv_rules::{END, get, scan};
use crate::{open_rocks, small};

const SECTOR_BYTES: usize = 512;

/// A record of each table; that of `state` is overwritten by each batch, and tells the last one.
fn numbered(number: u64, body_bytes: usize) -> KvBatch {
    let mut batch = KvBatch::default();
    let key = number.to_be_bytes();
    batch.put(Table::Log, &key, |out| out.resize(out.len() + body_bytes, number as u8));
    batch.put(Table::Ids, &key, |_| ());
    batch.delete(Table::Plain, &(number - 1).to_be_bytes());
    batch.put(Table::Plain, &key, |_| ());
    batch.put(Table::State, b"head", |out| out.extend_from_slice(&key));
    batch
}

/// The last batch; asserts that what is there is what all up to it make.
fn checked_head(kv: &dyn Kv) -> u64 {
    let head = get(kv, Table::State, b"head");
    let head = head.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().expect("eight bytes")));
    let keys = |table| scan(kv, table, b"", END).into_iter().map(|(key, _)| key);
    for table in [Table::Log, Table::Ids] {
        assert!(keys(table).eq((1..=head).map(|it| it.to_be_bytes().to_vec())), "{table:?}");
    }
    let last = (head > 0).then(|| head.to_be_bytes().to_vec());
    assert!(keys(Table::Plain).eq(last));
    head
}

fn commit(kv: &RocksKv, numbers: impl IntoIterator<Item = u64>, body_bytes: usize) {
    for number in numbers {
        kv.commit(&numbered(number, body_bytes)).expect("committed");
    }
}

/// What a crash would leave now: a copy of the folder of a database that is open and still.
fn crashed(from: &Path) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    copy(from, dir.path());
    dir
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir_all(&target).expect("made");
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("copied");
        }
    }
}

fn journal_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("journal")).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn refused(dir: &Path) -> &'static str {
    match RocksKv::open(dir, small()) {
        Err(StoreError::Corrupt(why)) => why,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it opens"),
    }
}

/// Any of the tables may be in files, up to anywhere, when the crash comes.
#[test]
fn tables_that_are_in_files_and_those_that_are_not_meet_again() {
    for flushed in 0..1_u32 << Table::ALL.len() {
        let dir = tempfile::tempdir().expect("a folder");
        let kv = open_rocks(dir.path());
        commit(&kv, 1..=10, 300);
        for (bit, table) in Table::ALL.into_iter().enumerate() {
            if flushed & (1 << bit) != 0 {
                kv.compact(table).expect("written");
                let head = checked_head(&kv);
                commit(&kv, head + 1..=head + 3, 300);
            }
        }
        let head = checked_head(&kv);
        let left = crashed(dir.path());
        for _ in 0..2 {
            let kv = open_rocks(left.path());
            assert_eq!(checked_head(&kv), head, "{flushed:b}");
        }
    }
}

#[test]
fn a_stop_in_order_leaves_nothing_to_replay() {
    let dir = tempfile::tempdir().expect("a folder");
    let kv = open_rocks(dir.path());
    commit(&kv, 1..=10, 300);
    let crashed = crashed(dir.path());
    drop(kv);
    // A journal that is damaged from end to end is not missed.
    for path in journal_files(dir.path()) {
        let bytes = fs::metadata(&path).expect("there").len();
        fs::write(path, vec![0; bytes as usize]).expect("written");
    }
    assert_eq!(checked_head(&open_rocks(dir.path())), 10);
    // After a crash it is.
    for path in journal_files(crashed.path()) {
        let bytes = fs::metadata(&path).expect("there").len();
        fs::write(path, vec![0; bytes as usize]).expect("written");
    }
    assert_eq!(checked_head(&open_rocks(crashed.path())), 0);
}

/// More than the journal holds, by two at a time: who finds it full waits for RocksDB.
#[test]
fn commits_wait_for_room_in_the_journal() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = RocksOptions { log_bytes: 16 << 10, ..small() };
    let kv = RocksKv::open(dir.path(), options).expect("the database opens");
    thread::scope(|scope| {
        for writer in 0..2_u64 {
            let kv = &kv;
            scope.spawn(move || {
                for number in 0..200_u64 {
                    let mut batch = KvBatch::default();
                    let key = (writer * 1000 + number).to_be_bytes();
                    batch.put(Table::Log, &key, |out| out.resize(out.len() + 3000, 7));
                    kv.commit(&batch).expect("committed");
                }
            });
        }
    });
    assert_eq!(scan(&kv, Table::Log, b"", END).len(), 400);
    let journal_bytes: u64 =
        journal_files(dir.path()).iter().map(|path| fs::metadata(path).expect("there").len()).sum();
    assert!(journal_bytes <= 16 << 10, "{journal_bytes}");
    let left = crashed(dir.path());
    assert_eq!(scan(&open_rocks(left.path()), Table::Log, b"", END).len(), 400);
}

#[test]
fn a_batch_larger_than_the_journal_is_stored() {
    let dir = tempfile::tempdir().expect("a folder");
    let kv = open_rocks(dir.path());
    for number in 1..=5 {
        commit(&kv, [number], if number % 2 == 0 { 600 << 10 } else { 100 });
        let left = crashed(dir.path());
        assert_eq!(checked_head(&open_rocks(left.path())), number);
    }
}

#[test]
fn a_lost_or_damaged_journal_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let kv = open_rocks(dir.path());
    // Files of 64 KiB; more than one, and not so many that RocksDB is to write them out.
    commit(&kv, 1..=12, 8 << 10);
    let files = journal_files(dir.path());
    assert_eq!(files.len(), 2, "{files:?}");

    let left = crashed(dir.path());
    fs::remove_file(&journal_files(left.path())[0]).expect("removed");
    assert!(refused(left.path()).contains("missing or damaged"));

    for file in 0..2 {
        let left = crashed(dir.path());
        let path = &journal_files(left.path())[file];
        let mut bytes = fs::read(path).expect("readable");
        bytes[SECTOR_BYTES + 100] ^= 1;
        fs::write(path, bytes).expect("written");
        assert!(refused(left.path()).contains("damaged"));
        // To refuse is to change nothing.
        assert!(refused(left.path()).contains("damaged"));
    }

    let left = crashed(dir.path());
    fs::remove_dir_all(left.path().join("journal")).expect("removed");
    assert!(refused(left.path()).contains("journal is missing"));

    // RocksDB's files are gone, the journal is not.
    let left = crashed(dir.path());
    for entry in fs::read_dir(left.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::remove_file(path).expect("removed");
        }
    }
    assert!(refused(left.path()).contains("RocksDB's files are not"));

    let other = tempfile::tempdir().expect("a folder");
    let other_kv = open_rocks(other.path());
    commit(&other_kv, 1..=3, 10);
    let left = crashed(dir.path());
    for path in journal_files(left.path()) {
        fs::remove_file(path).expect("removed");
    }
    copy(&other.path().join("journal"), &left.path().join("journal"));
    assert!(refused(left.path()).contains("another database"));
}

/// The sectors of the last record reach the disk in any combination: what was acknowledged before
/// is there, and the last batch whole or not at all.
#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let kv = open_rocks(dir.path());
    commit(&kv, 1..=5, 700);
    kv.compact(Table::Log).expect("written");
    commit(&kv, 6..=7, 700);
    let before = crashed(dir.path());
    commit(&kv, [8], 1200);
    let after = crashed(dir.path());
    let [path] = &journal_files(before.path())[..] else { panic!("one file") };
    let name = path.file_name().expect("a name");
    let old = fs::read(path).expect("readable");
    let new = fs::read(after.path().join("journal").join(name)).expect("readable");
    let sectors = old.chunks(SECTOR_BYTES).zip(new.chunks(SECTOR_BYTES)).enumerate();
    let changed: Vec<_> = sectors.filter(|(_, (old, new))| old != new).map(|(at, _)| at).collect();
    assert_eq!(changed.len(), 3, "the record has three sectors");
    for kept in 0_u32..1 << changed.len() {
        let left = crashed(before.path());
        let mut torn = old.clone();
        for (_, sector) in changed.iter().enumerate().filter(|(bit, _)| kept & (1 << bit) != 0) {
            let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
            torn[range.clone()].copy_from_slice(&new[range]);
        }
        fs::write(left.path().join("journal").join(name), torn).expect("written");
        let head = if kept + 1 == 1 << changed.len() { 8 } else { 7 };
        let kv = open_rocks(left.path());
        assert_eq!(checked_head(&kv), head, "{kept:b}");
        commit(&kv, head + 1..=head + 2, 700);
        drop(kv);
        assert_eq!(checked_head(&open_rocks(left.path())), head + 2, "{kept:b}");
    }
}
