//! Packets: decoded, and written into a buffer that has its size.

use std::hint::black_box;

use criterion::Criterion;

use super::{VERSIONS, steady};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for (version, name) in VERSIONS {
        let mut puback = Vec::new();
        steady::put_puback(&mut puback, version, 7);
        for (what, of, bytes) in [
            ("decode CONNECT", None, steady::connect(version)),
            ("decode SUBSCRIBE", Some(version), steady::subscribe(version)),
            ("decode PUBLISH 100 B", Some(version), steady::publish(version)),
            ("decode PUBACK", Some(version), puback),
        ] {
            group.bench_function(format!("{what}, {name}"), |bencher| {
                bencher.iter(|| steady::decode(of, black_box(&bytes)));
            });
        }
        let mut out = Vec::with_capacity(1024);
        group.bench_function(format!("encode PUBLISH 100 B, {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                steady::put_publish(&mut out, version, black_box(7));
            });
        });
        group.bench_function(format!("encode PUBACK, {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                steady::put_puback(&mut out, version, black_box(7));
            });
        });
    }
    group.finish();
}
