//! The trie against the naive matcher, over random filters and topics.

use std::collections::{BTreeMap, BTreeSet};

use bluetick_broker::topic::{Trie, is_valid_filter, is_valid_name, matches};
use fastrand::Rng;

const LEVELS: &[&str] = &["", "a", "b", "c", "$x"];

fn random_topic(rng: &mut Rng) -> String {
    let levels = (0..rng.usize(1..6)).map(|_| *rng.choice(LEVELS).unwrap_or(&"a"));
    levels.collect::<Vec<_>>().join("/")
}

fn random_filter(rng: &mut Rng) -> String {
    let mut levels: Vec<&str> = (0..rng.usize(..5))
        .map(|_| if rng.u8(..3) == 0 { "+" } else { *rng.choice(LEVELS).unwrap_or(&"a") })
        .collect();
    if levels.is_empty() || rng.u8(..4) == 0 {
        levels.push("#");
    }
    levels.join("/")
}

/// MQTT 5: [MQTT-3.3.2-3], [MQTT-4.7.2-1].
/// MQTT 3.1.1: [MQTT-3.3.2-3], [MQTT-4.7.2-1].
#[test]
fn trie_and_matcher_agree_while_entries_come_and_go() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let mut trie = Trie::new();
        let mut model: BTreeMap<(String, u8), u32> = BTreeMap::new();
        for step in 0..3_000 {
            let filter = random_filter(&mut rng);
            if filter.is_empty() {
                continue;
            }
            assert!(is_valid_filter(&filter), "{filter:?}");
            let key = rng.u8(..30);
            // Grows, then shrinks.
            if rng.u32(..3_000) > step {
                let replaced = model.insert((filter.clone(), key), step);
                assert_eq!(trie.insert(&filter, key, step), replaced, "seed {seed}: {filter}");
            } else {
                let index = rng.usize(..model.len().max(1));
                let entry = model.keys().nth(index).cloned().unwrap_or((filter, key));
                let removed = model.remove(&entry);
                assert_eq!(trie.remove(&entry.0, &entry.1), removed, "seed {seed}: {entry:?}");
            }
            assert_eq!(trie.len(), model.len());
            assert_eq!(trie.is_empty(), model.is_empty());
            if step % 10 == 0 {
                agree(&trie, &model, &random_topic(&mut rng), seed);
            }
        }
        for ((filter, key), value) in model {
            assert_eq!(trie.remove(&filter, &key), Some(value), "seed {seed}: {filter}");
        }
        assert!(trie.is_empty());
        trie.for_each_match("a/b", |_, _| panic!("seed {seed}: an empty trie matches"));
    }
}

fn agree(trie: &Trie<u8, u32>, model: &BTreeMap<(String, u8), u32>, topic: &str, seed: u64) {
    if topic.is_empty() {
        return;
    }
    assert!(is_valid_name(topic), "{topic:?}");
    let mut found = Vec::new();
    trie.for_each_match(topic, |&key, &value| found.push((key, value)));
    let mut expected: Vec<(u8, u32)> = model
        .iter()
        .filter(|((filter, _), _)| matches(filter, topic))
        .map(|((_, key), &value)| (*key, value))
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "seed {seed}: {topic:?}");
}

/// The matcher itself against the definition: a filter matches the topics it spells out.
#[test]
fn matcher_against_all_short_topics() {
    let words = ["", "a", "$"];
    let mut topics = BTreeSet::new();
    for first in words {
        topics.insert(first.to_owned());
        for second in words {
            topics.insert(format!("{first}/{second}"));
            for third in words {
                topics.insert(format!("{first}/{second}/{third}"));
            }
        }
    }
    topics.remove("");
    let count = |filter: &str| topics.iter().filter(|topic| matches(filter, topic)).count();
    assert_eq!(topics.len(), 38);
    assert_eq!(count("#"), 38 - 13);
    assert_eq!(count("+/#"), 38 - 13);
    assert_eq!(count("$/#"), 13);
    assert_eq!(count("+"), 1);
    assert_eq!(count("+/+"), 6);
    assert_eq!(count("+/+/+"), 18);
    assert_eq!(count("a/+"), 3);
    assert_eq!(count("a/#"), 13);
    assert_eq!(count("/+/a"), 3);
    assert_eq!(count("/#"), 12);
    for topic in &topics {
        assert_eq!(count(topic), 1, "{topic}");
    }
}

/// Neither upper and lower case, nor two ways to write one letter, nor empty levels are the same.
/// MQTT 5: [MQTT-4.7.3-4].
/// MQTT 3.1.1: [MQTT-4.7.3-4].
#[test]
fn nothing_is_normalized() {
    for (filter, topic) in [
        ("caf\u{e9}", "cafe\u{301}"),
        ("A", "a"),
        ("a/", "a"),
        ("/a", "a"),
        ("a//b", "a/b"),
        ("\u{feff}a", "a"),
        ("a ", "a"),
    ] {
        let mut trie = Trie::new();
        trie.insert(filter, 0_u8, ());
        trie.for_each_match(topic, |_, ()| panic!("{filter:?} is not {topic:?}"));
        assert!(!matches(filter, topic) && matches(filter, filter) && matches(topic, topic));
    }
}
