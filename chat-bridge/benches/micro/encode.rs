//! An entry as a member's device gets it, in both dialects.

use std::hint::black_box;

use bluetick_bridge::bridge::message_ref;
use criterion::Criterion;

use super::steady::{Talk, user};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let mut talk = Talk::direct();
    let entry = talk.one();
    let (alice, bob) = (user("alice"), user("bob"));
    let mut out = Vec::with_capacity(1024);
    group.bench_function("entry of 100 B, JSON", |bencher| {
        bencher.iter(|| {
            out.clear();
            message_ref(&talk.chat, &alice, black_box(&entry)).write_json(&mut out);
        });
    });
    group.bench_function("entry of 100 B, compact", |bencher| {
        bencher.iter(|| {
            out.clear();
            message_ref(&talk.chat, &alice, black_box(&entry)).write_compact(&bob, &mut out);
        });
    });
    group.finish();
}
