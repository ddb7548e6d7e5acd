//! How often a packet, a match or a message in a session may allocate, as a test: a count of this build,
//! whatever the machine's speed. What a whole message may cost is in `chat-bridge/tests/budgets/`.

mod steady;

use std::hint::black_box;

use allocation_counter::measure;
use bluetick_broker::packet::Version;
use bluetick_broker::topic::Trie;
use steady::Online;

/// How often each is done.
const TIMES: u64 = 1000;

/// Does something [`TIMES`] times; gives its allocations.
type Count = fn() -> u64;

/// Allocations of one, at most.
const BUDGETS: &[(&str, Count, f64)] = &[
    // Box, topic, payload.
    (
        "decode PUBLISH 100 B, 3.1.1",
        || decode(Some(Version::V4), &steady::publish(Version::V4)),
        3.0,
    ),
    ("decode PUBLISH 100 B, 5", || decode(Some(Version::V5), &steady::publish(Version::V5)), 3.0),
    ("decode PUBACK", || decode(Some(Version::V4), &puback()), 0.0),
    ("encode PUBLISH 100 B", || encode(|out| steady::put_publish(out, Version::V5, 7)), 0.0),
    ("encode PUBACK", || encode(|out| steady::put_puback(out, Version::V5, 7)), 0.0),
    ("decode CONNECT, 5", || decode(None, &steady::connect(Version::V5)), 8.0),
    ("decode SUBSCRIBE, 5", || decode(Some(Version::V5), &steady::subscribe(Version::V5)), 10.0),
    ("match a topic that goes one way", || match_topic("sites/17/+"), 0.0),
    ("match a topic that goes two ways", || match_topic("sites/+/state"), 1.0),
    ("session: PUBLISH in, PUBACK out", publish, 1.0),
    ("session: PUBLISH out, PUBACK in", deliver, 3.0),
];

#[test]
fn allocations_stay_within_their_budgets() {
    let mut over = Vec::new();
    for (what, count, budget) in BUDGETS {
        let allocations = count() as f64 / TIMES as f64;
        println!("{what:40} {allocations:6.2} of {budget:.2}");
        if allocations > *budget {
            over.push(format!("{what}: {allocations:.2} allocations, at most {budget:.2}"));
        }
    }
    assert!(over.is_empty(), "\n{}\n", over.join("\n"));
}

fn puback() -> Vec<u8> {
    let mut out = Vec::new();
    steady::put_puback(&mut out, Version::V4, 7);
    out
}

fn decode(version: Option<Version>, bytes: &[u8]) -> u64 {
    repeated(|| drop(black_box(steady::decode(version, bytes))))
}

fn encode(put: impl Fn(&mut Vec<u8>)) -> u64 {
    let mut out = Vec::with_capacity(1024);
    repeated(|| {
        out.clear();
        put(&mut out);
    })
}

/// Matches a topic of a site that has a filter of its own against one with a wildcard, too.
fn match_topic(filter: &str) -> u64 {
    let mut trie = Trie::new();
    for at in 0..1000 {
        trie.insert(&format!("sites/{at}/mode"), at, ());
    }
    trie.insert(filter, 1000, ());
    repeated(|| {
        let mut matches = 0;
        trie.for_each_match("sites/17/state", |_, ()| matches += 1);
        assert_eq!(matches, 1);
    })
}

fn publish() -> u64 {
    let mut online = Online::new(Version::V4);
    let packet = steady::decode(Some(Version::V4), &steady::publish(Version::V4));
    let mut packets: Vec<_> = (0..=TIMES).map(|_| packet.clone()).collect();
    repeated(|| online.publish(packets.pop().expect("as many as times")))
}

fn deliver() -> u64 {
    let mut online = Online::new(Version::V4);
    repeated(|| online.deliver())
}

/// Allocations of [`TIMES`] times, after a first one that may make room for all others.
fn repeated(mut once: impl FnMut()) -> u64 {
    once();
    measure(|| (0..TIMES).for_each(|_| once())).count_total
}
