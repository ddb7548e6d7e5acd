//! Retained topics without end.

use crate::world::{Bystanders, Client, Hello, QUOTA_EXCEEDED, publish, reached, start};

#[test]
fn one_retained_topic_too_many_is_refused_and_those_there_are_come_in_turns() {
    const MAX: usize = 3000;
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("retained_messages_max", "3000")]);
    let mut others = Bystanders::connect(&server);
    let mut loud = Client::connect(&server, Hello::of("loud"));
    // At QoS 0 nobody is told, and all before it is there when the next one is acknowledged.
    for number in 0..MAX + 100 {
        loud.send(&publish(&format!("pub/r/{number}"), b"x", 0, true));
    }
    assert_eq!(loud.publish("pub/r/more", b"x", true), QUOTA_EXCEEDED);
    assert_eq!(reached(&server, "retained_refused"), 101);
    assert_eq!(loud.publish("pub/r/7", b"y", true), 0x10, "in place of another");
    // A filter that looks at all and finds none holds up nobody, nor does one who takes his time.
    let mut looker = Client::connect(&server, Hello::of("looker"));
    looker.subscribe(&["pub/+/none".into()]);
    looker.send(&crate::world::subscribe(&["pub/r/#".into()]));
    others.talk();
    assert_eq!(looker.next().0, 0x90);
    let mut heard: Vec<_> = (0..MAX)
        .map(|number| {
            if number % 1000 == 0 {
                others.talk();
            }
            looker.message().0
        })
        .collect();
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), MAX);
    assert_eq!(reached(&server, "plain_dropped"), 0);
}

#[test]
fn bytes_count_as_topics_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("retained_bytes_max", "100000")]);
    let mut loud = Client::connect(&server, Hello::of("loud"));
    assert_eq!(loud.publish("pub/a", &[b'x'; 60_000], true), 0x10);
    assert_eq!(loud.publish("pub/b", &[b'x'; 60_000], true), QUOTA_EXCEEDED);
    assert_eq!(loud.publish("pub/a", b"", true), 0x10);
    assert_eq!(loud.publish("pub/b", &[b'x'; 60_000], true), 0x10);
    assert_eq!(reached(&server, "retained_refused"), 1);
}
