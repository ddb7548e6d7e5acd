//! What every [`Kv`] promises.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bluetick_bridge::store::{Kv, KvBatch, Table};
use fastrand::Rng;

use crate::Subject;

/// Greater than every key of these tests.
pub(crate) const END: &[u8] = &[0xFF; 16];

pub(crate) fn put(kv: &dyn Kv, table: Table, records: &[(&[u8], &[u8])]) {
    let mut batch = KvBatch::default();
    for (key, value) in records {
        batch.put(table, key, |out| out.extend_from_slice(value));
    }
    kv.commit(&batch).expect("committed");
}

pub(crate) fn get(kv: &dyn Kv, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    kv.get(table, key).expect("readable")
}

/// What a scan shows, up to `max` records.
pub(crate) fn scan_some(
    kv: &dyn Kv,
    table: Table,
    from: &[u8],
    to: &[u8],
    max: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let scanned = kv.scan(table, from, to, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() >= max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    scanned.expect("readable");
    found
}

pub(crate) fn scan(kv: &dyn Kv, table: Table, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    scan_some(kv, table, from, to, usize::MAX)
}

fn scan_keys(kv: &dyn Kv, from: &[u8], to: &[u8]) -> Vec<Vec<u8>> {
    scan(kv, Table::State, from, to).into_iter().map(|(key, _)| key).collect()
}

pub(crate) fn what_is_not_there_is_none(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    for table in Table::ALL {
        assert_eq!(get(kv, table, b"a"), None);
        assert!(scan(kv, table, b"", END).is_empty());
    }
    put(kv, Table::State, &[(b"ab", b"1")]);
    for other in [&b""[..], b"a", b"ab\0", b"abc", b"b"] {
        assert_eq!(get(kv, Table::State, other), None, "{other:?} is not ab");
    }
}

pub(crate) fn what_is_read_once_is_the_same(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    put(kv, Table::State, &[(b"a", b"1"), (b"b", b""), (b"c", b"3")]);
    put(kv, Table::Log, &[(b"b", b"2")]);
    for table in Table::ALL {
        for key in [&b"a"[..], b"b", b"c", b"d"] {
            assert_eq!(kv.get_once(table, key).expect("readable"), get(kv, table, key));
        }
        for (from, to, max) in [(&b""[..], END, 9), (b"a", b"c", 9), (b"b", b"b", 9), (b"", END, 2)]
        {
            let mut found = Vec::new();
            let scanned = kv.scan_once(table, from, to, &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                if found.len() >= max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            scanned.expect("readable");
            assert_eq!(found, scan_some(kv, table, from, to, max));
        }
    }
}

pub(crate) fn writes_of_a_batch_apply_in_order(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    put(kv, Table::State, &[(b"old", b"0"), (b"gone", b"0")]);
    let mut batch = KvBatch::default();
    let mut write = |key: &[u8], value: Option<&[u8]>| match value {
        Some(value) => batch.put(Table::State, key, |out| out.extend_from_slice(value)),
        None => batch.delete(Table::State, key),
    };
    write(b"again", Some(b"1"));
    write(b"again", Some(b"2"));
    write(b"back", Some(b"1"));
    write(b"back", None);
    write(b"back", Some(b"2"));
    write(b"fleeting", Some(b"1"));
    write(b"fleeting", None);
    write(b"old", None);
    write(b"old", Some(b"1"));
    write(b"gone", None);
    write(b"never", None);
    kv.commit(&batch).expect("committed");
    let expected: [(&[u8], &[u8]); 3] = [(b"again", b"2"), (b"back", b"2"), (b"old", b"1")];
    let expected = expected.map(|(key, value)| (key.to_vec(), value.to_vec()));
    assert_eq!(scan(kv, Table::State, b"", END), expected);
    for (key, value) in expected {
        assert_eq!(get(kv, Table::State, &key), Some(value));
    }
    for key in [&b"fleeting"[..], b"gone", b"never"] {
        assert_eq!(get(kv, Table::State, key), None);
    }
}

pub(crate) fn a_batch_spans_tables(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    put(kv, Table::Ids, &[(b"a", b"0")]);
    let mut batch = KvBatch::default();
    batch.put(Table::State, b"a", |out| out.push(1));
    batch.delete(Table::Ids, b"a");
    batch.put(Table::Log, b"a", |out| out.push(2));
    kv.commit(&batch).expect("committed");
    let found = Table::ALL.map(|table| get(kv, table, b"a"));
    assert_eq!(found, [Some(vec![1]), Some(vec![2]), None, None]);
}

pub(crate) fn an_empty_batch_changes_nothing(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    put(kv, Table::Log, &[(b"a", b"1")]);
    kv.commit(&KvBatch::default()).expect("committed");
    assert_eq!(scan(kv, Table::Log, b"", END), [(b"a".to_vec(), b"1".to_vec())]);
}

pub(crate) fn tables_are_name_spaces(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    for (table, value) in Table::ALL.into_iter().zip([b"0", b"1", b"2", b"3"]) {
        put(kv, table, &[(b"same", value)]);
    }
    let found = Table::ALL.map(|table| get(kv, table, b"same"));
    assert_eq!(found, [b"0", b"1", b"2", b"3"].map(|value| Some(value.to_vec())));
    let mut batch = KvBatch::default();
    batch.delete(Table::Log, b"same");
    kv.commit(&batch).expect("committed");
    let sizes = Table::ALL.map(|table| scan(kv, table, b"", END).len());
    assert_eq!(sizes, [1, 0, 1, 1]);
}

pub(crate) fn a_scan_is_half_open_and_rising(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    // Not in order, and in several commits: the order is the store's.
    for key in [b"d", b"b", b"e", b"a", b"c"] {
        put(kv, Table::State, &[(key, b"")]);
    }
    let scan = |from: &[u8], to: &[u8]| scan_keys(kv, from, to).concat();
    assert_eq!(scan(b"", END), b"abcde");
    assert_eq!(scan(b"b", b"d"), b"bc", "with the first, without the last");
    assert_eq!(scan(b"b", b"d\0"), b"bcd");
    assert_eq!(scan(b"b\0", b"d"), b"c");
    assert_eq!(scan(b"a", b"b"), b"a");
    assert_eq!(scan(b"", b"a"), b"");
    assert_eq!(scan(b"e", END), b"e");
}

pub(crate) fn a_scan_ends_when_told(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    for key in [b"a", b"b", b"c", b"d"] {
        put(kv, Table::Log, &[(key, b"")]);
    }
    for max in 1..=5 {
        let keys: Vec<_> =
            scan_some(kv, Table::Log, b"", END, max).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys.concat(), b"abcd"[..max.min(4)]);
    }
}

pub(crate) fn an_empty_range_has_nothing(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    put(kv, Table::State, &[(b"b", b""), (b"d", b"")]);
    let ranges: [(&[u8], &[u8]); 7] = [
        (b"b", b"b"),
        (b"d", b"b"),
        (b"e", b"a"),
        (b"b\0", b"d"),
        (b"", b""),
        (b"d\0", END),
        (END, b""),
    ];
    for (from, to) in ranges {
        assert!(scan(kv, Table::State, from, to).is_empty(), "{from:?} {to:?}");
    }
    assert!(scan(kv, Table::Ids, b"", END).is_empty(), "a table that nothing was written to");
}

pub(crate) fn keys_and_values_are_any_bytes(subject: &mut dyn Subject) {
    // In byte order: shorter ones first where they are the start of longer ones.
    let keys: [&[u8]; 14] = [
        &[],
        &[0],
        &[0, 0],
        &[0, 0xFF],
        &[1],
        &[0x7F],
        &[0x7F, 0xFF, 0xFF],
        &[0x80],
        &[0xFE, 0xFF],
        &[0xFF],
        &[0xFF, 0],
        &[0xFF, 0, 0],
        &[0xFF, 0xFF],
        &[0xFF; 15],
    ];
    let values: [&[u8]; 4] = [&[], &[0], &[0xFF, 0, 0xFF], b"\r\n"];
    let expected: Vec<_> =
        keys.iter().zip(values.iter().cycle()).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
    {
        let kv = &*subject.kv();
        for (key, value) in expected.iter().rev() {
            put(kv, Table::Ids, &[(key, value)]);
        }
    }
    for _ in 0..2 {
        {
            let kv = &*subject.kv();
            assert_eq!(scan(kv, Table::Ids, b"", END), expected);
            for (key, value) in &expected {
                assert_eq!(get(kv, Table::Ids, key).as_ref(), Some(value), "{key:?}");
            }
            for (from, pair) in keys.iter().enumerate() {
                for (to, end) in keys.iter().enumerate().skip(from) {
                    assert_eq!(scan(kv, Table::Ids, pair, end), expected[from..to]);
                }
            }
        }
        subject.reopen();
    }
}

pub(crate) fn large_values_come_back(subject: &mut dyn Subject) {
    let mut random = Rng::with_seed(1);
    let mut value = |bytes: usize| (0..bytes).map(|_| random.u8(..)).collect::<Vec<u8>>();
    let values = [1 << 20, (1 << 20) + 1, 64 << 10, 1, 0].map(&mut value);
    {
        let kv = &*subject.kv();
        let mut batch = KvBatch::default();
        for (key, value) in (0_u8..).zip(&values) {
            batch.put(Table::Log, &[key], |out| out.extend_from_slice(value));
        }
        kv.commit(&batch).expect("committed");
        // Overwritten by a small one: nothing of the large one stays.
        put(kv, Table::State, &[(b"shrinks", &values[0])]);
        put(kv, Table::State, &[(b"shrinks", b"x")]);
    }
    for _ in 0..2 {
        {
            let kv = &*subject.kv();
            for (key, value) in (0_u8..).zip(&values) {
                assert!(get(kv, Table::Log, &[key]).as_ref() == Some(value), "value {key}");
            }
            let scanned = scan(kv, Table::Log, b"", END);
            assert!(scanned.iter().map(|(_, value)| value).eq(&values));
            assert_eq!(get(kv, Table::State, b"shrinks"), Some(b"x".to_vec()));
        }
        subject.reopen();
    }
}

pub(crate) fn many_keys_stay_in_order(subject: &mut dyn Subject) {
    let mut random = Rng::with_seed(2);
    let mut numbers: Vec<u32> = (0..20_000).collect();
    random.shuffle(&mut numbers);
    let mut expected = BTreeMap::new();
    for numbers in numbers.chunks(1000) {
        let mut batch = KvBatch::default();
        for number in numbers {
            let (key, value) = (number.to_be_bytes(), format!("value {number}").into_bytes());
            batch.put(Table::State, &key, |out| out.extend_from_slice(&value));
            expected.insert(key.to_vec(), value);
        }
        // Some of what is there goes again.
        for number in numbers.iter().filter(|number| **number % 7 == 0) {
            batch.delete(Table::State, &number.to_be_bytes());
            expected.remove(&number.to_be_bytes()[..]);
        }
        subject.kv().commit(&batch).expect("committed");
    }
    for _ in 0..2 {
        let kv = subject.kv();
        assert!(scan(&*kv, Table::State, b"", END).into_iter().eq(expected.clone()));
        for _ in 0..100 {
            let (from, to) = (random.u32(..20_001).to_be_bytes(), random.u32(..20_001));
            let (from, to) = (from.to_vec(), to.to_be_bytes().to_vec());
            let found = scan(&*kv, Table::State, &from, &to);
            let range = from.clone()..to.clone().max(from);
            let between = expected.range(range).map(|(k, v)| (k.clone(), v.clone()));
            assert!(found.into_iter().eq(between));
        }
        drop(kv);
        subject.reopen();
    }
}

pub(crate) fn what_is_committed_outlives_the_process(subject: &mut dyn Subject) {
    for round in 0_u8..4 {
        {
            let kv = &*subject.kv();
            let found = scan(kv, Table::State, b"", END);
            let expected: Vec<_> =
                (0..round).flat_map(|n| [(vec![n, 0], vec![n]), (vec![n, 1], vec![])]).collect();
            assert_eq!(found, expected);
            put(kv, Table::State, &[(&[round, 0], &[0xFF]), (&[round, 2], &[])]);
            let mut batch = KvBatch::default();
            batch.put(Table::State, &[round, 0], |out| out.push(round));
            batch.put(Table::State, &[round, 1], |_| ());
            batch.delete(Table::State, &[round, 2]);
            kv.commit(&batch).expect("committed");
        }
        subject.reopen();
    }
}

/// Sets its flag when dropped, also by a panic: threads that wait for it never wait for ever.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// How many different batches a reader has to see before it has seen enough.
const BATCHES_SEEN: usize = 40;

pub(crate) fn readers_never_see_half_a_batch(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    let commit = |number: u64| {
        let mut batch = KvBatch::default();
        let value = number.to_be_bytes();
        // The first and last keys stay, those between come and go with the number.
        batch.put(Table::State, b"a", |out| out.extend_from_slice(&value));
        batch.delete(Table::State, &[b"k", &number.wrapping_sub(1).to_be_bytes()[..]].concat());
        batch.put(Table::State, &[b"k", &value[..]].concat(), |out| {
            out.extend_from_slice(&[7; 500]);
        });
        batch.put(Table::Log, b"a", |out| out.extend_from_slice(&value));
        batch.put(Table::State, b"z", |out| out.extend_from_slice(&value));
        kv.commit(&batch).expect("committed");
    };
    let number = |bytes: Option<Vec<u8>>| {
        u64::from_be_bytes(bytes.expect("it is there").try_into().expect("eight bytes"))
    };
    commit(0);
    let over = AtomicBool::new(false);
    // A scan is one moment: the same number at both ends, and its own key between them.
    let scans = || {
        let mut seen = Vec::new();
        while seen.len() < BATCHES_SEEN && !over.load(Ordering::Acquire) {
            let found = scan(kv, Table::State, b"", END);
            let [(_, first), (between, _), (_, last)] = &found[..] else { panic!("{found:?}") };
            assert_eq!((first, &between[1..]), (last, &first[..]), "half a batch");
            let now = number(Some(first.clone()));
            assert!(seen.last().is_none_or(|then| *then <= now), "time went back");
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
        seen.len()
    };
    // Two reads are two moments: the second is never earlier, whatever the tables.
    let gets = || {
        let mut seen = Vec::new();
        while seen.len() < BATCHES_SEEN && !over.load(Ordering::Acquire) {
            let first = number(get(kv, Table::State, b"z"));
            let second = number(get(kv, Table::Log, b"a"));
            let third = number(get(kv, Table::State, b"a"));
            assert!(first <= second && second <= third, "{first} {second} {third}");
            if seen.last() != Some(&first) {
                seen.push(first);
            }
        }
        seen.len()
    };
    thread::scope(|scope| {
        let _finish = Finish(&over);
        let readers = [scope.spawn(scans), scope.spawn(scans), scope.spawn(gets)];
        let mut next = 1;
        while !readers.iter().all(thread::ScopedJoinHandle::is_finished) {
            commit(next);
            next += 1;
        }
        for reader in readers {
            assert_eq!(reader.join().expect("a reader is content"), BATCHES_SEEN);
        }
    });
}

pub(crate) fn recovery_without_a_failure_changes_nothing(subject: &mut dyn Subject) {
    let kv = &*subject.kv();
    put(kv, Table::State, &[(b"a", b"1")]);
    kv.recover().expect("there is nothing to recover from");
    assert_eq!(get(kv, Table::State, b"a"), Some(b"1".to_vec()));
    put(kv, Table::State, &[(b"a", b"2")]);
    assert_eq!(get(kv, Table::State, b"a"), Some(b"2".to_vec()));
}
