//! The parts of the server that a message goes through beside the broker, each by itself.

use std::sync::Arc;

use allocation_counter::measure;
use bluetick_bridge::bridge::message_ref;
use bluetick_bridge::store::{RocksKv, RocksOptions, Store};
use bluetick_protocol::MessageRef;

use super::steady::{P, Talk, user};

/// Messages that are counted.
const MESSAGES: usize = 1000;
/// Of a batch.
const WINDOW: usize = 100;

/// Sends [`MESSAGES`] through a part; gives its allocations.
type Count = fn() -> u64;

/// Allocations a message, at most.
const BUDGETS: &[(&str, Count, f64)] = &[
    ("engine: decided and shown, direct, 100 at once", || decide(Talk::direct(), WINDOW), 2.3),
    ("engine: decided and shown, direct, 1 at once", || decide(Talk::direct(), 1), 10.1),
    (
        "engine: decided and shown, group of 100, 100 at once",
        || decide(Talk::group(100), WINDOW),
        2.3,
    ),
    ("store: committed, 100 at once", || commit(WINDOW), 0.1),
    ("store: committed, 1 at once", || commit(1), 8.1),
    ("encode: JSON, into a buffer that has its size", json, 0.0),
    ("encode: compact, into a buffer that has its size", compact, 0.0),
];

#[test]
fn layers_stay_within_their_budgets() {
    let mut over = Vec::new();
    for (what, count, budget) in BUDGETS {
        let allocations = count() as f64 / MESSAGES as f64;
        println!("{what:60} {allocations:6.2} of {budget:.2} allocations");
        if allocations > *budget {
            over.push(format!("{what}: {allocations:.2} allocations, at most {budget:.2}"));
        }
    }
    assert!(over.is_empty(), "\n{}\n", over.join("\n"));
}

fn decide(mut talk: Talk, window: usize) -> u64 {
    let batches: Vec<_> = (0..MESSAGES / window).map(|_| talk.sends(window)).collect();
    allocations(|| batches.iter().for_each(|sends| drop(talk.decide(sends))))
}

fn commit(window: usize) -> u64 {
    let dir = tempfile::tempdir().expect("a folder");
    let kv = RocksKv::open(dir.path(), RocksOptions::default()).expect("a database");
    let (store, _) = Store::open(Arc::new(kv), 1).expect("a store");
    let mut talk = Talk::direct();
    let batches: Vec<_> = (0..MESSAGES / window)
        .map(|_| {
            let sends = talk.sends(window);
            talk.decide(&sends)
        })
        .collect();
    allocations(|| {
        for batch in &batches {
            store.commit([(P, batch)]).expect("stored");
        }
    })
}

fn json() -> u64 {
    encode(|message, out| message.write_json(out))
}

fn compact() -> u64 {
    let bob = user("bob");
    encode(|message, out| message.write_compact(&bob, out))
}

fn encode(write: impl Fn(&MessageRef<'_>, &mut Vec<u8>)) -> u64 {
    let mut talk = Talk::direct();
    let (entry, alice) = (talk.one(), user("alice"));
    let mut out = Vec::with_capacity(1024);
    allocations(|| {
        for _ in 0..MESSAGES {
            out.clear();
            write(&message_ref(&talk.chat, &alice, &entry), &mut out);
        }
    })
}

fn allocations(run: impl FnOnce()) -> u64 {
    measure(run).count_total
}
