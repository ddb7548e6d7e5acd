//! What only a database in files has: a lock, and a cache of them.

use std::fs;
use std::ops::ControlFlow;

use bluetick_bridge::store::{Kv, RocksKv, StoreError, Table};

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

#[test]
fn what_is_read_once_takes_no_cache() {
    let dir = tempfile::tempdir().expect("a folder");
    let kv = open_rocks(dir.path());
    let keys: Vec<_> = (0..100_u32).map(u32::to_be_bytes).collect();
    let value = [7; 1000];
    for key in &keys {
        put(&kv, Table::State, &[(key, &value)]);
    }
    kv.compact(Table::State).expect("written");
    // Opened anew, so that nothing is left of writing them.
    drop(kv);
    let kv = open_rocks(dir.path());
    let cache_bytes = || kv.figures().expect("readable").expect("it has some").cache_bytes;
    // Index and filter stay in any case.
    kv.get_once(Table::State, &keys[0]).expect("readable").expect("there");
    let before = cache_bytes();
    for key in &keys {
        kv.get_once(Table::State, key).expect("readable").expect("there");
    }
    let each = &mut |_: &[u8], _: &[u8]| ControlFlow::Continue(());
    kv.scan_once(Table::State, b"", END, each).expect("readable");
    assert_eq!(cache_bytes(), before);
    for key in &keys {
        kv.get(Table::State, key).expect("readable").expect("there");
    }
    assert!(cache_bytes() >= before + 100 * 1000, "{}", cache_bytes());
}
