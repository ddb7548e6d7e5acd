//! RocksDB on a disk that fails: its folder is taken away below it, which needs no special rights.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use bluetick_bridge::store::{Kv, KvBatch, RocksKv, RocksOptions, StoreError, Table};
use tempfile::TempDir;

use crate::kv_rules::{END, get, put, scan};
use crate::{open_rocks, small};

/// A database whose folder can be away for a while.
struct Disk {
    dir: TempDir,
    kv: RocksKv,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let kv = open_rocks(&dir.path().join("db"));
        Self { dir, kv }
    }

    fn paths(&self) -> [PathBuf; 2] {
        ["db", "away"].map(|name| self.dir.path().join(name))
    }

    /// From now on no file can be made; those that are open go on to work.
    fn fail(&self) {
        let [db, away] = self.paths();
        fs::rename(&db, away).expect("moved");
        fs::write(db, "in the way").expect("written");
    }

    fn mend(&self) {
        let [db, away] = self.paths();
        fs::remove_file(&db).expect("removed");
        fs::rename(away, db).expect("moved back");
    }

    /// Commits until one fails; tells how many did not.
    fn commit_until_failure(&self) -> u32 {
        // As many as several write buffers hold, if nothing fails.
        for number in 0..1000 {
            match self.kv.commit(&numbered(number)) {
                Ok(()) => {}
                Err(StoreError::Io(_)) => return number,
                Err(error) => panic!("{error:?}"),
            }
        }
        panic!("the disk does not fail");
    }

    /// Asserts that the batches below `whole` are there, and the one after them, whose commit
    /// failed, whole or not at all.
    fn assert_stored(&self, whole: u32) {
        let found = scan(&self.kv, Table::Log, b"", END);
        let count = u32::try_from(found.len()).expect("not that many");
        assert!(count == whole || count == whole + 1, "{count} of {whole}");
        for ((key, value), number) in found.iter().zip(0_u32..) {
            assert_eq!(*key, number.to_be_bytes());
            assert_eq!(value.len(), 5000);
            assert_eq!(get(&self.kv, Table::Ids, key), Some(Vec::new()));
        }
        assert_eq!(scan(&self.kv, Table::Ids, b"", END).len(), found.len());
    }
}

fn numbered(number: u32) -> KvBatch {
    let mut batch = KvBatch::default();
    batch.put(Table::Log, &number.to_be_bytes(), |out| out.resize(out.len() + 5000, 7));
    batch.put(Table::Ids, &number.to_be_bytes(), |_| ());
    batch
}

#[test]
fn a_failed_database_goes_on_when_the_disk_does() {
    let disk = Disk::new();
    put(&disk.kv, Table::State, &[(b"before", b"1")]);
    disk.fail();
    let whole = disk.commit_until_failure();
    for _ in 0..3 {
        disk.kv.commit(&numbered(5000)).expect_err("it goes on to fail");
        disk.kv.recover().expect_err("the cause is not gone");
    }
    disk.mend();
    disk.kv.recover().expect("the cause is gone");
    disk.assert_stored(whole);
    assert_eq!(get(&disk.kv, Table::State, b"before"), Some(b"1".to_vec()));
    for number in 0..100 {
        disk.kv.commit(&numbered(number)).expect("committed");
    }
    disk.assert_stored(100.max(whole));
}

#[test]
fn reads_go_on_while_commits_fail() {
    let disk = Disk::new();
    put(&disk.kv, Table::State, &[(b"before", b"1")]);
    disk.fail();
    let whole = disk.commit_until_failure();
    disk.assert_stored(whole);
    disk.kv.commit(&numbered(whole)).expect_err("it goes on to fail");
    disk.assert_stored(whole);
    assert_eq!(get(&disk.kv, Table::State, b"before"), Some(b"1".to_vec()));
}

/// The database cannot be closed while it is being read. The attempt that found it so must not
/// count as recovery.
#[test]
fn recovery_waits_for_readers() {
    let disk = Disk::new();
    put(&disk.kv, Table::State, &[(b"a", b"1")]);
    disk.fail();
    let whole = disk.commit_until_failure();
    disk.mend();
    let scanned = disk.kv.scan(Table::State, b"", END, &mut |_, _| {
        for _ in 0..2 {
            let refused = disk.kv.recover();
            assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
        }
        ControlFlow::Continue(())
    });
    scanned.expect("readable");
    disk.kv.recover().expect("nobody reads any more");
    disk.kv.commit(&numbered(whole)).expect("committed");
    disk.assert_stored(whole + 1);
}

/// With a write buffer that no disk has room for.
#[test]
fn without_room_a_commit_is_not_begun() {
    let dir = tempfile::tempdir().expect("a folder");
    put(&open_rocks(dir.path()), Table::State, &[(b"a", b"1")]);
    let options = RocksOptions { write_buffer_bytes: 1 << 50, ..small() };
    let kv = RocksKv::open(dir.path(), options).expect("the database opens");
    for _ in 0..2 {
        let refused = kv.commit(&numbered(1));
        assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
        let refused = kv.recover();
        assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
        assert_eq!(get(&kv, Table::State, b"a"), Some(b"1".to_vec()));
        assert!(scan(&kv, Table::Log, b"", END).is_empty());
    }
    drop(kv);
    let kv = open_rocks(dir.path());
    assert!(scan(&kv, Table::Log, b"", END).is_empty(), "it was not begun");
    kv.commit(&numbered(1)).expect("committed");
}
