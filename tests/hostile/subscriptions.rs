//! Subscriptions by the thousand, and topics by the level.

use std::time::Instant;

use crate::support::PATIENCE;
use crate::world::{Bystanders, Client, Hello, QUOTA_EXCEEDED, reached, start, subscribe};

const TOPIC_FILTER_INVALID: u8 = 0x8F;
const TOPIC_NAME_INVALID: u8 = 0x90;

fn filters(of: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("pub/{of}/{number}")).collect()
}

#[test]
fn one_subscription_too_many_is_refused_and_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = [("subscriptions_max", "100"), ("subscriptions_total_max", "252")];
    let server = start(dir.path(), &limits);
    // One of the 252 is his.
    let mut others = Bystanders::connect(&server);
    let mut mallory = Client::connect(&server, Hello::of("mallory"));
    let codes = mallory.subscribe(&filters("m", 0..150));
    assert_eq!((codes[..100].to_vec(), codes[100..].to_vec()), (vec![1; 100], vec![0x97; 50]));
    assert_eq!(reached(&server, "subscriptions_refused"), 50);
    let mut second = Client::connect(&server, Hello::of("second"));
    assert_eq!(second.subscribe(&filters("s", 0..100)), [1; 100]);
    let mut third = Client::connect(&server, Hello::of("third"));
    let codes = third.subscribe(&filters("t", 0..60));
    assert_eq!(codes.iter().filter(|code| **code == QUOTA_EXCEEDED).count(), 9, "{codes:?}");
    assert_eq!(reached(&server, "subscriptions_refused"), 59);
    // What there is can be renewed, those of chats are no matter, and one that ends makes room.
    assert_eq!(third.subscribe(&filters("t", 0..1)), [1]);
    assert_eq!(third.subscribe(&["chats/+/messages".into()]), [1]);
    drop(second);
    let started = Instant::now();
    while third.subscribe(&filters("t", 70..71)) != [1] {
        assert!(started.elapsed() < PATIENCE, "no room");
    }
    others.talk();
}

#[test]
fn shares_count_as_well() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("subscriptions_total_max", "4")]);
    let share = ["$share/g/pub/jobs".to_owned()];
    let mut codes = Vec::new();
    let mut members = Vec::new();
    for number in 0..5 {
        let mut member = Client::connect(&server, Hello::of(&format!("m{number}")));
        codes.extend(member.subscribe(&share));
        members.push(member);
    }
    assert_eq!(codes, [1, 1, 1, QUOTA_EXCEEDED, QUOTA_EXCEEDED], "the share is one, a member each");
    assert_eq!(members[0].subscribe(&share), [1], "renewed");
}

#[test]
fn one_packet_is_not_a_hundred_thousand_questions() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[]);
    let mut others = Bystanders::connect(&server);
    for unsubscribe in [false, true] {
        let mut mallory = Client::connect(&server, Hello::of("mallory"));
        assert_eq!(mallory.subscribe(&filters("m", 0..1000)), [1; 1000]);
        let mut body = vec![0, 1, 0];
        for _ in 0..100_000 {
            body.extend(b"\x00\x01x");
            body.extend((!unsubscribe).then_some(0));
        }
        mallory.send(&crate::world::packet(if unsubscribe { 0xA2 } else { 0x82 }, &body));
        mallory.is_ended(QUOTA_EXCEEDED);
    }
    others.talk();
}

#[test]
fn deep_topics_are_refused_at_each_door() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[]);
    let mut others = Bystanders::connect(&server);
    let mut mallory = Client::connect(&server, Hello::of("mallory"));
    let deep = ["a/".repeat(32), "/".repeat(65_535), "a/".repeat(32_767)];
    for topic in &deep {
        assert_eq!(mallory.publish(topic, b"x", false), TOPIC_NAME_INVALID);
        assert_eq!(mallory.publish(topic, b"x", true), TOPIC_NAME_INVALID);
    }
    let wild = ["+/".repeat(32), "+/".repeat(32_767) + "#", "$share/g/".to_owned() + &deep[0]];
    for filter in deep.iter().chain(&wild) {
        let codes = mallory.subscribe(std::slice::from_ref(filter));
        assert_eq!(codes, [TOPIC_FILTER_INVALID], "{} bytes", filter.len());
    }
    // As a will, which would be published when nobody can be told.
    let mut body = b"\x00\x04MQTT\x05\x86\x00\x00\x00\x00\x01w\x00".to_vec();
    crate::world::put_text(&mut body, &deep[1][..60_000]);
    body.extend(b"\x00\x01x\x00\x01w");
    let mut will = Client(server.connect());
    will.send(&crate::world::packet(0x10, &body));
    assert_eq!(will.next().1[1], TOPIC_NAME_INVALID);
    others.talk();
}

/// All that a session may have, as deep as they may be, and all of them match.
#[test]
fn a_thousand_deep_filters_match_a_topic_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[]);
    let mut others = Bystanders::connect(&server);
    let mut mallory = Client::connect(&server, Hello::of("mallory"));
    let filter = |number: usize| {
        let level = |at: usize| if number >> (at % 10) & 1 == 1 { "+" } else { "a" };
        (0..32).map(level).collect::<Vec<_>>().join("/")
    };
    let all: Vec<_> = (0..1000).map(filter).collect();
    assert_eq!(mallory.subscribe(&all), [1; 1000]);
    let topic = ["a"; 32].join("/");
    let mut loud = Client::connect(&server, Hello::of("loud"));
    for _ in 0..20 {
        assert_eq!(loud.publish(&topic, b"x", false), 0);
        others.talk();
    }
    for _ in 0..20 {
        assert_eq!(mallory.message(), (topic.clone(), b"x".to_vec()));
    }
    mallory.send(&subscribe(&["pub/end".into()]));
    assert_eq!(mallory.next().0, 0x90, "and no more of them");
}
