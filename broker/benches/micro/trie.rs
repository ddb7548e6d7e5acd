//! Subscriptions: one topic against many filters, and one filter more and less.

use std::hint::black_box;

use bluetick_broker::topic::Trie;
use criterion::Criterion;

/// One in so many has a wildcard.
const WILDCARD_ONE_IN: usize = 10;

/// The filters of a fleet: each device its own, some with a wildcard.
fn filled(filters: usize) -> Trie<usize, ()> {
    let mut trie = Trie::new();
    for at in 0..filters {
        let (site, device) = (at / 100, at % 100);
        let filter = match at % WILDCARD_ONE_IN {
            0 => format!("sites/{site}/+/{device}/#"),
            _ => format!("sites/{site}/devices/{device}/state"),
        };
        trie.insert(&filter, at, ());
    }
    assert_eq!(trie.len(), filters);
    trie
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trie");
    for filters in [1_000, 100_000] {
        let mut trie = filled(filters);
        // One filter of each kind is for the topic.
        trie.insert("sites/3/devices/+/state", filters, ());
        group.bench_function(format!("match among {filters}"), |bencher| {
            bencher.iter(|| {
                let mut matches = 0;
                trie.for_each_match(black_box("sites/3/devices/17/state"), |_, ()| matches += 1);
                assert_eq!(matches, 2);
            });
        });
        group.bench_function(format!("insert and remove among {filters}"), |bencher| {
            bencher.iter(|| {
                let filter = black_box("sites/3/devices/17/new/#");
                trie.insert(filter, 0, ());
                assert!(trie.remove(filter, &0).is_some());
            });
        });
    }
    group.finish();
}
