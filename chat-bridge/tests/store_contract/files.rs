//! What only a database in files has: a lock.

use std::fs;

use bluetick_bridge::store::{RocksKv, StoreError, Table};

use crate::kv_rules::{END, put, scan};
use crate::{open_rocks, small};

#[test]
fn one_at_a_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = open_rocks(dir.path());
    put(&first, Table::State, &[(b"a", b"1")]);
    let second = RocksKv::open(dir.path(), small()).err();
    assert!(matches!(second, Some(StoreError::Locked(_))), "{second:?}");
    // The first does not notice.
    put(&first, Table::State, &[(b"b", b"2")]);
    drop(first);
    let second = open_rocks(dir.path());
    assert_eq!(scan(&second, Table::State, b"", END).len(), 2);
}

#[test]
fn only_a_lock_is_called_a_lock() {
    let dir = tempfile::tempdir().expect("a folder");
    // An operator may well call his folder that, and the error names it.
    let path = dir.path().join("blocks");
    fs::create_dir_all(path.join("LOCK")).expect("a folder where a file should be");
    let failed = RocksKv::open(&path, small()).err();
    assert!(matches!(failed, Some(StoreError::Io(_))), "{failed:?}");
}
