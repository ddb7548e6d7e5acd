//! A message through a session, without its codec and its host: in to its PUBACK, and out to the
//! client's.

use criterion::{BatchSize, Criterion};

use super::VERSIONS;
use super::steady::{self, Online};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    for (version, name) in VERSIONS {
        let mut online = Online::new(version);
        let packet = steady::decode(Some(version), &steady::publish(version));
        group.bench_function(format!("PUBLISH in, PUBACK out, {name}"), |bencher| {
            let packet = || packet.clone();
            bencher.iter_batched(packet, |packet| online.publish(packet), BatchSize::SmallInput);
        });
        group.bench_function(format!("PUBLISH out, PUBACK in, {name}"), |bencher| {
            bencher.iter(|| online.deliver());
        });
    }
    group.finish();
}
