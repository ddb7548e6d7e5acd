//! What a failed commit leaves behind, with the faults of [`MemoryKv`].

use std::sync::Arc;

use bluetick_bridge::engine::{Counters, Write};
use bluetick_bridge::store::{Fault, Kv, KvBatch, MemoryKv, Store, StoreError, Table};

use crate::kv_rules::{END, get, put, scan};
use crate::sample::{P, batch};

fn write(kv: &MemoryKv, value: &[u8]) -> Result<(), StoreError> {
    let mut batch = KvBatch::default();
    batch.delete(Table::Log, b"old");
    batch.put(Table::State, b"a", |out| out.extend_from_slice(value));
    batch.put(Table::Log, b"b", |out| out.extend_from_slice(value));
    kv.commit(&batch)
}

#[test]
fn a_failed_commit_is_whole_or_not_at_all() {
    for (fault, after) in [(Fault::FailBefore, b"1"), (Fault::FailAfter, b"2")] {
        let kv = MemoryKv::default();
        write(&kv, b"1").expect("committed");
        if fault == Fault::FailBefore {
            put(&kv, Table::Log, &[(b"old", b"")]);
        }
        let before = kv.dump();
        kv.inject(fault);
        let failed = write(&kv, b"2");
        assert!(matches!(failed, Err(StoreError::Io(_))), "{failed:?}");
        assert_eq!(kv.dump() == before, fault == Fault::FailBefore);
        for table in [Table::State, Table::Log] {
            let key: &[u8] = if table == Table::State { b"a" } else { b"b" };
            assert_eq!(get(&kv, table, key), Some(after.to_vec()));
        }
        assert_eq!(get(&kv, Table::Log, b"old").is_some(), fault == Fault::FailBefore);
    }
}

#[test]
fn commits_fail_until_recovery_and_reads_go_on() {
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        let kv = MemoryKv::default();
        write(&kv, b"1").expect("committed");
        kv.inject(fault);
        write(&kv, b"2").expect_err("it fails");
        let then = kv.dump();
        for _ in 0..3 {
            write(&kv, b"3").expect_err("and goes on to fail");
            kv.commit(&KvBatch::default()).expect_err("even where there is nothing to write");
            assert!(kv.dump() == then, "and changes nothing any more");
            assert!(get(&kv, Table::State, b"a").is_some());
            assert_eq!(scan(&kv, Table::Log, b"", END).len(), 1);
        }
        kv.recover().expect("the cause is gone");
        assert!(kv.dump() == then, "recovery changes nothing either");
        write(&kv, b"4").expect("committed");
        assert_eq!(get(&kv, Table::State, b"a"), Some(b"4".to_vec()));
        // One fault is one failure.
        write(&kv, b"5").expect("committed");
    }
}

#[test]
fn a_store_goes_on_after_recovery() {
    for (fault, after) in [(Fault::FailBefore, 1), (Fault::FailAfter, 2)] {
        let kv = Arc::new(MemoryKv::default());
        let (store, _) = Store::open(kv.clone(), 4).expect("a store");
        let commit = |next_chat| {
            store.commit([(P, &batch([Write::Counters(Counters { next_chat, tick: 0 })]))])
        };
        let counters = || store.counters(P).expect("readable").next_chat;
        commit(1).expect("committed");
        kv.inject(fault);
        commit(2).expect_err("it fails");
        assert_eq!(counters(), after);
        commit(3).expect_err("it goes on to fail");
        assert_eq!(counters(), after);
        store.recover().expect("the cause is gone");
        commit(4).expect("committed");
        assert_eq!(counters(), 4);
    }
}

#[test]
fn a_store_that_cannot_be_made_can_be_made_later() {
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        let kv = Arc::new(MemoryKv::default());
        kv.inject(fault);
        let failed = Store::open(kv.clone(), 4).err();
        assert!(matches!(failed, Some(StoreError::Io(_))), "{failed:?}");
        kv.recover().expect("the cause is gone");
        let (_, partitions) = Store::open(kv, 6).expect("a store");
        // Whether the first attempt was stored is unknown, and both are right.
        assert_eq!(partitions, if fault == Fault::FailBefore { 6 } else { 4 });
    }
}
