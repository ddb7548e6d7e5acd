//! Batches made of nothing but their numbers, and what a store must be that has taken some.

use bluetick_bridge::store::{Kv, KvBatch, Table};
use fastrand::Rng;

use crate::kv_rules::{END, get, scan};

const HEAD: &[u8] = b"head";

/// A log entry with a body of so many bytes; an id that tells how many; two records of state, one
/// that is overwritten and one that moves; and a plain record that moves.
pub(crate) fn numbered(number: u64, body_bytes: usize) -> KvBatch {
    let mut batch = KvBatch::default();
    let key = number.to_be_bytes();
    batch.put(Table::Log, &key, |out| out.extend_from_slice(&body(number, body_bytes)));
    batch.delete(Table::State, &mark(number - 1));
    batch.put(Table::State, &mark(number), |_| ());
    batch.put(Table::Ids, &key, |out| out.extend_from_slice(&body_bytes.to_be_bytes()));
    batch.delete(Table::Plain, &(number - 1).to_be_bytes());
    batch.put(Table::Plain, &key, |_| ());
    batch.put(Table::State, HEAD, |out| out.extend_from_slice(&key));
    batch
}

fn body(number: u64, bytes: usize) -> Vec<u8> {
    let mut random = Rng::with_seed(number);
    (0..bytes).map(|_| random.u8(..)).collect()
}

fn mark(number: u64) -> Vec<u8> {
    [b"mark", &number.to_be_bytes()[..]].concat()
}

/// The last batch; asserts that the store is what the batches up to it make, and nothing else.
pub(crate) fn checked_head(kv: &dyn Kv) -> u64 {
    let head = get(kv, Table::State, HEAD);
    let head = head.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().expect("eight bytes")));
    let all = |table| scan(kv, table, b"", END);
    let numbers = || (1..=head).map(|number| number.to_be_bytes().to_vec());
    let (log, ids) = (all(Table::Log), all(Table::Ids));
    for (table, records) in [("log", &log), ("ids", &ids)] {
        let keys = records.iter().map(|(key, _)| key.clone());
        assert!(keys.eq(numbers()), "{head}: a hole or half a batch in {table}");
    }
    for (number, ((_, value), (_, bytes))) in (1..).zip(log.into_iter().zip(ids)) {
        let bytes = usize::from_be_bytes(bytes.try_into().expect("a length"));
        assert!(value == body(number, bytes), "{head}: the body of {number}");
    }
    let mut state = vec![(HEAD.to_vec(), head.to_be_bytes().to_vec()), (mark(head), Vec::new())];
    if head == 0 {
        state.clear();
    }
    assert_eq!(all(Table::State), state, "{head}: the state differs");
    let plain = (head > 0).then(|| (head.to_be_bytes().to_vec(), Vec::new()));
    assert!(all(Table::Plain).into_iter().eq(plain), "{head}: the plain record differs");
    head
}
