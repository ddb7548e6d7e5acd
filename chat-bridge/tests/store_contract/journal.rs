//! The journal before RocksDB, on real databases: what a crash leaves, what is missing afterwards,
//! and a power cut in the midst of a write.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use bluetick_bridge::store::{Kv, KvBatch, RocksKv, RocksOptions, StoreError, Table};

use crate::kv_rules::{END, scan};
use crate::numbered::{checked_head, numbered};
use crate::process::{Process, copied, copy};
use crate::{open_rocks, small};

const SECTOR_BYTES: usize = 512;

fn commit(kv: &RocksKv, numbers: impl IntoIterator<Item = u64>, body_bytes: usize) {
    for number in numbers {
        kv.commit(&numbered(number, body_bytes)).expect("committed");
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
        let mut process = Process::open(dir.path());
        let mut head = 10;
        process.commit(1..=head, 300);
        for (bit, table) in Table::ALL.into_iter().enumerate() {
            if flushed & (1 << bit) != 0 {
                process.compact(table);
                process.commit(head + 1..=head + 3, 300);
                head += 3;
            }
        }
        process.kill();
        for _ in 0..2 {
            assert_eq!(checked_head(&open_rocks(dir.path())), head, "{flushed:b}");
        }
    }
}

#[test]
fn a_stop_in_order_leaves_nothing_to_replay() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut process = Process::open(dir.path());
    process.commit(1..=10, 300);
    let crashed = process.crashed(dir.path());
    process.close();
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
}

#[test]
fn a_batch_larger_than_the_journal_is_stored() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut process = Process::open(dir.path());
    for number in 1..=5 {
        process.commit(number..=number, if number % 2 == 0 { 600 << 10 } else { 100 });
        let left = process.crashed(dir.path());
        assert_eq!(checked_head(&open_rocks(left.path())), number);
    }
}

#[test]
fn a_lost_or_damaged_journal_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut process = Process::open(dir.path());
    // Files of 64 KiB; more than one, and not so many that RocksDB is to write them out.
    process.commit(1..=12, 8 << 10);
    process.kill();
    let files = journal_files(dir.path());
    assert_eq!(files.len(), 2, "{files:?}");

    let left = copied(dir.path());
    fs::remove_file(&journal_files(left.path())[0]).expect("removed");
    assert!(refused(left.path()).contains("missing or damaged"));

    for file in 0..2 {
        let left = copied(dir.path());
        let path = &journal_files(left.path())[file];
        let mut bytes = fs::read(path).expect("readable");
        bytes[SECTOR_BYTES + 100] ^= 1;
        fs::write(path, bytes).expect("written");
        assert!(refused(left.path()).contains("damaged"));
        // To refuse is to change nothing.
        assert!(refused(left.path()).contains("damaged"));
    }

    let left = copied(dir.path());
    fs::remove_dir_all(left.path().join("journal")).expect("removed");
    assert!(refused(left.path()).contains("journal is missing"));

    // RocksDB's files are gone, the journal is not.
    let left = copied(dir.path());
    for entry in fs::read_dir(left.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::remove_file(path).expect("removed");
        }
    }
    assert!(refused(left.path()).contains("RocksDB's files are not"));

    let other = tempfile::tempdir().expect("a folder");
    let mut process = Process::open(other.path());
    process.commit(1..=3, 10);
    process.kill();
    let left = copied(dir.path());
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
    let mut process = Process::open(dir.path());
    process.commit(1..=5, 700);
    process.compact(Table::Log);
    process.commit(6..=7, 700);
    let before = process.crashed(dir.path());
    process.commit(8..=8, 1200);
    let after = process.crashed(dir.path());
    let [path] = &journal_files(before.path())[..] else { panic!("one file") };
    let name = path.file_name().expect("a name");
    let old = fs::read(path).expect("readable");
    let new = fs::read(after.path().join("journal").join(name)).expect("readable");
    let sectors = old.chunks(SECTOR_BYTES).zip(new.chunks(SECTOR_BYTES)).enumerate();
    let changed: Vec<_> = sectors.filter(|(_, (old, new))| old != new).map(|(at, _)| at).collect();
    assert_eq!(changed.len(), 3, "the record has three sectors");
    for kept in 0_u32..1 << changed.len() {
        let left = copied(before.path());
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
