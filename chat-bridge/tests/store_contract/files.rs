//! What only a database in files has: a lock, and being read while it is in use.

use std::fs;
use std::sync::Arc;

use bluetick_bridge::engine::{Counters, Write};
use bluetick_bridge::store::{Kv, KvBatch, RocksKv, RocksOptions, Store, StoreError, Table};

use crate::kv_rules::{END, get, put, scan};
use crate::sample::{P, commit};
use crate::{open_rocks, small};

fn one_put() -> KvBatch {
    let mut batch = KvBatch::default();
    batch.put(Table::State, b"a", |out| out.push(2));
    batch
}

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
    for failed in [RocksKv::open(&path, small()), RocksKv::open_read_only(&path)] {
        let failed = failed.err();
        assert!(matches!(failed, Some(StoreError::Io(_))), "{failed:?}");
    }
}

#[test]
fn read_only_needs_a_database_and_makes_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("missing");
    let failed = RocksKv::open_read_only(&path).err();
    assert!(matches!(failed, Some(StoreError::Io(_))), "{failed:?}");
    assert!(!path.join("CURRENT").exists());
}

#[test]
fn read_only_sees_what_was_committed_when_it_was_opened() {
    let dir = tempfile::tempdir().expect("a folder");
    // Large buffers: beside a server that is writing files there are no promises.
    let open = || RocksKv::open(dir.path(), RocksOptions::default()).expect("the database opens");
    let put_one = |kv: &RocksKv, n: u8| put(kv, Table::Log, &[(&[n], &[n; 10_000])]);
    let server = open();
    (0..25).for_each(|n| put_one(&server, n));
    drop(server);
    // Opening has moved those to a file; these are in the log only.
    let server = open();
    (25..50).for_each(|n| put_one(&server, n));
    let reader = RocksKv::open_read_only(dir.path()).expect("it opens beside the server");
    put(&server, Table::Log, &[(b"later", b"")]);
    let found = scan(&reader, Table::Log, b"", END);
    assert_eq!(found.len(), 50);
    assert!(found.iter().zip(0_u8..).all(|((k, v), n)| *k == [n] && *v == [n; 10_000]));
    assert_eq!(get(&reader, Table::Log, b"later"), None);
    drop(server);
    // The reader holds no lock.
    let server = open();
    assert_eq!(get(&server, Table::Log, b"later"), Some(Vec::new()));
    assert_eq!(get(&reader, Table::Log, &[7]), Some(vec![7; 10_000]));
}

#[test]
fn read_only_stays_so() {
    let dir = tempfile::tempdir().expect("a folder");
    put(&open_rocks(dir.path()), Table::State, &[(b"a", b"1")]);
    let reader = RocksKv::open_read_only(dir.path()).expect("it opens");
    for _ in 0..2 {
        let refused = reader.commit(&one_put());
        assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
        assert_eq!(get(&reader, Table::State, b"a"), Some(b"1".to_vec()));
        // What fails for good must not be made writable by what is meant for accidents.
        reader.recover().expect_err("there is no way out of it");
    }
    let server = open_rocks(dir.path());
    assert_eq!(scan(&server, Table::State, b"", END), [(b"a".to_vec(), b"1".to_vec())]);
}

#[test]
fn a_store_can_be_read_read_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let counters = Counters { next_chat: 5, tick: 6 };
    {
        let (store, _) = Store::open(Arc::new(open_rocks(dir.path())), 4).expect("a store");
        commit(&store, [Write::Counters(counters)]);
    }
    let reader = Arc::new(RocksKv::open_read_only(dir.path()).expect("it opens"));
    let (store, partitions) = Store::open(reader, 9).expect("a store");
    assert_eq!((partitions, store.counters(P).expect("readable")), (4, counters));
}

#[test]
fn the_database_tells_about_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let kv = open_rocks(dir.path());
    put(&kv, Table::Ids, &[(b"a", b"1"), (b"b", b"2")]);
    let keys = |table| kv.property(table, "rocksdb.estimate-num-keys");
    assert_eq!(keys(Table::Ids).as_deref(), Some("2"));
    assert_eq!(keys(Table::Log).as_deref(), Some("0"));
    assert_eq!(kv.property(Table::Ids, "no such thing"), None);
}
