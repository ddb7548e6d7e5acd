//! Batches of messages stored: in RocksDB each with a sync of the disk that the build's folder is on.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bluetick_bridge::store::{MemoryKv, RocksKv, RocksOptions, Store};
use criterion::{BatchSize, Criterion, Throughput};

use super::steady::{P, Talk};

/// Messages of a batch.
const BATCHES: [usize; 3] = [1, 64, 512];

/// Batches that the store in memory is given in turn: it keeps all that it is given.
const IN_TURN: usize = 32;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    // A sync takes as long as the disk pleases: more samples would not make it steadier.
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for messages in BATCHES {
        group.throughput(Throughput::Elements(messages as u64));
        group.bench_function(format!("commit {messages}, RocksDB, synced"), |bencher| {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
            let kv = RocksKv::open(dir.path(), RocksOptions::default()).expect("a database");
            let (store, _) = Store::open(Arc::new(kv), 1).expect("a store");
            let mut talk = Talk::direct();
            let next = || {
                let sends = talk.sends(messages);
                talk.decide(&sends)
            };
            let commit = |batch| store.commit([(P, &batch)]).expect("stored");
            bencher.iter_batched(next, commit, BatchSize::SmallInput);
        });
        group.bench_function(format!("commit {messages}, memory"), |bencher| {
            let (store, _) = Store::open(Arc::new(MemoryKv::default()), 1).expect("a store");
            let mut talk = Talk::direct();
            let batches: Vec<_> = (0..IN_TURN)
                .map(|_| {
                    let sends = talk.sends(messages);
                    talk.decide(&sends)
                })
                .collect();
            let mut turn = batches.iter().cycle();
            bencher.iter(|| {
                let batch = turn.next().expect("it never ends");
                black_box(store.commit([(P, batch)]).expect("stored"))
            });
        });
    }
    group.finish();
}
