//! Messages decided: membership, idempotency, place in the log, and what others may see of it then.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};

use super::steady::Talk;

/// Messages of a batch.
const BATCHES: [usize; 2] = [1, 64];

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    let talks: [(_, fn() -> Talk); 2] =
        [("direct", Talk::direct), ("group of 100", || Talk::group(100))];
    for (name, talk) in talks {
        for messages in BATCHES {
            group.throughput(Throughput::Elements(messages as u64));
            group.bench_function(format!("decide {messages}, {name}"), |bencher| {
                let mut talk = talk();
                bencher.iter_custom(|times| {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        let sends = talk.sends(messages);
                        let started = Instant::now();
                        let batch = talk.decide(&sends);
                        took += started.elapsed();
                        drop(black_box(batch));
                    }
                    took
                });
            });
        }
    }
    group.finish();
}
