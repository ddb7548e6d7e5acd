//! Statements of the specification that are about whole connections, and sessions over several.

use std::time::Duration;

use bluetick_broker::Broker;
use tokio::io::{AsyncReadExt, DuplexStream};

use crate::host::{Anybody, dial};
use crate::wire::{CLEAN, V4, V5, next, packet, publish, send, subscribe, text};

const DISCONNECT: &[u8] = b"\xE0\x00";

/// A CONNECT; what follows the client id is `more`. In MQTT 5 the session is kept for 100 s
/// unless it is clean.
fn connect(version: u8, flags: u8, id: &str, more: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([version, flags, 0, 0]);
    match (version, flags & CLEAN) {
        (V4, _) => {}
        (_, 0) => body.extend(b"\x05\x11\x00\x00\x00\x64"),
        _ => body.push(0),
    }
    text(&mut body, id);
    body.extend(more);
    packet(0x10, &body)
}

/// A client that was let in, and whether its session was there.
async fn online(broker: &Broker<Anybody>, connect: &[u8]) -> (DuplexStream, bool) {
    let mut client = dial(broker);
    send(&mut client, connect).await;
    let (first, body) = next(&mut client).await;
    assert_eq!((first, body[1]), (0x20, 0), "let in");
    (client, body[0] == 1)
}

async fn goodbye(mut client: DuplexStream) {
    send(&mut client, DISCONNECT).await;
    client.read_to_end(&mut Vec::new()).await.expect("closed");
}

/// A client that is subscribed.
async fn subscribed(broker: &Broker<Anybody>, version: u8, filters: &[(&str, u8)]) -> DuplexStream {
    let (mut client, _) = online(broker, &connect(version, CLEAN, "listener", b"")).await;
    send(&mut client, &subscribe(version, filters)).await;
    assert_eq!(next(&mut client).await.0, 0x90);
    client
}

/// Everything that is sent to a connection whose first bytes are these, until it is closed.
async fn answer(broker: &Broker<Anybody>, bytes: &[u8]) -> Vec<u8> {
    let mut client = dial(broker);
    send(&mut client, bytes).await;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("closed");
    answer
}

/// Nothing but a CONNACK that refuses.
fn refused(answer: &[u8], code: u8) {
    assert_eq!(answer.get(..1), Some(&[0x20][..]), "{answer:02x?}");
    assert_eq!(answer.get(2..4), Some(&[0, code][..]), "{answer:02x?}");
    assert_eq!(answer.len(), usize::from(answer[1]) + 2, "{answer:02x?}");
}

/// MQTT 5: [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-3.1.2-6], [MQTT-3.1.3-2], [MQTT-3.1.4-4],
/// MQTT 5: [MQTT-3.1.4-5], [MQTT-3.2.2-2], [MQTT-3.2.2-3].
/// MQTT 3.1.1: [MQTT-3.1.2-4], [MQTT-3.1.2-6], [MQTT-3.1.3-2], [MQTT-3.1.4-3], [MQTT-3.1.4-4],
/// MQTT 3.1.1: [MQTT-3.2.2-1], [MQTT-3.2.2-2], [MQTT-3.2.2-3].
#[tokio::test]
async fn a_session_is_that_of_its_client_id() {
    for version in [V4, V5] {
        let broker = Anybody::broker();
        let (client, present) = online(&broker, &connect(version, 0, "a", b"")).await;
        assert!(!present, "it is new");
        goodbye(client).await;
        let (other, present) = online(&broker, &connect(version, 0, "b", b"")).await;
        assert!(!present, "another id is another session");
        goodbye(other).await;
        let (client, present) = online(&broker, &connect(version, 0, "a", b"")).await;
        assert!(present);
        goodbye(client).await;
        let (client, present) = online(&broker, &connect(version, CLEAN, "a", b"")).await;
        assert!(!present, "a clean start ends it");
        goodbye(client).await;
        let (_, present) = online(&broker, &connect(version, 0, "a", b"")).await;
        assert!(!present, "and the clean one has ended with its connection");
    }
}

/// MQTT 5: [MQTT-3.1.3-5].
/// MQTT 3.1.1: [MQTT-3.1.3-5].
#[tokio::test]
async fn client_ids_of_23_letters_and_digits_are_taken() {
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let broker = Anybody::broker();
    for version in [V4, V5] {
        for id in [&all[..1], &all[..23], &all[23..46], &all[39..]] {
            goodbye(online(&broker, &connect(version, CLEAN, id, b"")).await.0).await;
        }
    }
}

/// MQTT 5: [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16].
/// MQTT 3.1.1: [MQTT-3.1.3-6], [MQTT-3.1.3-8].
#[tokio::test]
async fn an_empty_client_id_becomes_one_that_nobody_has() {
    let broker = Anybody::broker();
    let mut ids = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = dial(&broker);
        send(&mut client, &connect(V5, 0, "", b"")).await;
        let (_, body) = next(&mut client).await;
        // The host numbers its clients: one digit.
        let at = body.windows(3).position(|bytes| bytes == [0x12, 0, 1]).expect("an assigned id");
        ids.push(char::from(body[at + 3]).to_string());
        clients.push(client);
    }
    assert_ne!(ids[0], ids[1]);
    // It is the session's id from then on.
    goodbye(clients.remove(0)).await;
    let (client, present) = online(&broker, &connect(V5, 0, &ids[0], b"")).await;
    assert!(present);
    goodbye(client).await;
    // 3.1.1 cannot be told; it is let in all the same, if it keeps no session.
    goodbye(online(&broker, &connect(V4, CLEAN, "", b"")).await.0).await;
    assert_eq!(answer(&broker, &connect(V4, 0, "", b"")).await, b"\x20\x02\x00\x02");
}

/// MQTT 5: [MQTT-3.1.3-8].
/// MQTT 3.1.1: [MQTT-3.1.3-9].
#[tokio::test]
async fn a_client_id_that_is_refused_is_told_so_and_closed() {
    let broker = Anybody::broker();
    for (version, code) in [(V4, 2), (V5, 0x85)] {
        let mut long = connect(version, CLEAN, "", b"");
        // The id is the end of the packet.
        long.truncate(long.len() - 2);
        text(&mut long, &"a".repeat(257));
        let length = long.len() - 2;
        long.splice(1..2, [(length & 0x7F) as u8 | 0x80, (length >> 7) as u8]);
        refused(&answer(&broker, &long).await, code);
    }
}

/// MQTT 5: [MQTT-3.1.4-3], [MQTT-3.14.4-2].
/// MQTT 3.1.1: [MQTT-3.1.4-2].
#[tokio::test]
async fn a_second_connection_takes_the_session_and_the_first_is_closed() {
    let broker = Anybody::broker();
    for (version, told) in [(V4, &b""[..]), (V5, b"\x8E")] {
        let (mut first, _) = online(&broker, &connect(version, 0, "a", b"")).await;
        let (second, _) = online(&broker, &connect(version, 0, "a", b"")).await;
        let mut rest = Vec::new();
        first.read_to_end(&mut rest).await.expect("closed");
        assert_eq!(rest.get(2..).unwrap_or_default().get(..1).unwrap_or_default(), told);
        assert!(told.is_empty() == rest.is_empty() && rest.first().is_none_or(|it| *it == 0xE0));
        goodbye(second).await;
    }
}

/// MQTT 5: [MQTT-3.1.4-2], [MQTT-3.1.4-6], [MQTT-3.2.2-7], [MQTT-3.14.0-1], [MQTT-4.12.0-1],
/// MQTT 5: [MQTT-4.13.2-1].
/// MQTT 3.1.1: [MQTT-3.1.4-5], [MQTT-3.2.2-5].
#[tokio::test]
async fn what_follows_a_refused_connect_is_not_looked_at() {
    let broker = Anybody::broker();
    let mut listener = subscribed(&broker, V4, &[("t", 0)]).await;
    for (connect, code) in [
        (connect(V4, 0, "", b""), 2),
        // Enhanced authentication, which is not offered.
        (packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x00\x04\x15\x00\x01m\x00\x01a"), 0x8C),
    ] {
        let version = connect[8];
        let bytes = [connect, publish(version, 0x30, 0, "t", b"")].concat();
        refused(&answer(&broker, &bytes).await, code);
    }
    let (mut other, _) = online(&broker, &connect(V4, CLEAN, "b", b"")).await;
    send(&mut other, &publish(V4, 0x30, 0, "t", b"")).await;
    assert_eq!(next(&mut listener).await.0, 0x30);
    send(&mut listener, b"\xC0\x00").await;
    assert_eq!(next(&mut listener).await.0, 0xD0, "the one PUBLISH was all");
}

/// MQTT 5: [MQTT-3.1.0-1], [MQTT-3.1.2-3], [MQTT-3.1.4-1], [MQTT-3.2.0-1], [MQTT-3.14.0-1].
/// MQTT 3.1.1: [MQTT-3.1.0-1], [MQTT-3.1.2-3], [MQTT-3.1.4-1], [MQTT-3.2.2-6].
#[tokio::test]
async fn before_it_is_let_in_a_client_is_told_by_connack_alone() {
    let broker = Anybody::broker();
    // The reserved flag, a wrong packet, no packet at all.
    let malformed = connect(V5, CLEAN | 1, "a", b"");
    refused(&answer(&broker, &malformed).await, 0x81);
    assert_eq!(answer(&broker, &connect(V4, CLEAN | 1, "a", b"")).await, b"");
    assert_eq!(answer(&broker, b"\xC0\x00").await, b"");
    assert_eq!(answer(&broker, b"\xFF\xFF").await, b"");
}

/// MQTT 5: [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18],
/// MQTT 5: [MQTT-3.3.2-20].
#[tokio::test]
async fn what_a_publisher_says_of_a_message_reaches_the_subscriber_unaltered() {
    let broker = Anybody::broker();
    let mut listener = subscribed(&broker, V5, &[("t", 0)]).await;
    let (mut publisher, _) = online(&broker, &connect(V5, CLEAN, "b", b"")).await;
    // Payload format, content type, response topic, correlation data, user properties.
    let properties = b"\x01\x01\x03\x00\x01c\x08\x00\x02r/\x09\x00\x03\x00\xFF\x01\
                       \x26\x00\x01b\x00\x012\x26\x00\x01a\x00\x011\x26\x00\x01b\x00\x010";
    send(&mut publisher, &publish(V5, 0x30, 0, "t", properties)).await;
    let (first, body) = next(&mut listener).await;
    assert_eq!(first, 0x30);
    assert_eq!(body, publish(V5, 0x30, 0, "t", properties)[2..]);
}

/// MQTT 5: [MQTT-3.3.1-3].
/// MQTT 3.1.1: [MQTT-3.3.1-3].
#[tokio::test]
async fn the_dup_of_a_publisher_is_not_passed_on() {
    for version in [V4, V5] {
        let broker = Anybody::broker();
        let mut listener = subscribed(&broker, version, &[("t", 1)]).await;
        let (mut publisher, _) = online(&broker, &connect(version, CLEAN, "b", b"")).await;
        send(&mut publisher, &publish(version, 0x3A, 1, "t", b"")).await;
        assert_eq!(next(&mut listener).await.0, 0x32);
    }
}

/// MQTT 5: [MQTT-3.8.4-8].
/// MQTT 3.1.1: [MQTT-3.8.4-6].
#[tokio::test]
async fn a_message_arrives_at_the_lower_qos_of_the_two() {
    for version in [V4, V5] {
        for granted in 0..=2 {
            let broker = Anybody::broker();
            let mut listener = subscribed(&broker, version, &[("t", granted)]).await;
            let (mut publisher, _) = online(&broker, &connect(version, CLEAN, "b", b"")).await;
            for qos in 0..=2 {
                send(&mut publisher, &publish(version, 0x30 | qos << 1, 1, "t", b"")).await;
                assert_eq!(next(&mut listener).await.0, 0x30 | qos.min(granted) << 1);
                if qos > 0 {
                    assert_eq!(next(&mut publisher).await.0 & 0xF0, 0x30 + (qos << 4));
                }
            }
        }
    }
}

/// MQTT 5: [MQTT-4.5.0-1].
/// MQTT 3.1.1: [MQTT-3.1.2-5], [MQTT-4.5.0-1].
#[tokio::test]
async fn what_comes_while_a_client_is_away_waits_for_it() {
    for version in [V4, V5] {
        let broker = Anybody::broker();
        let (mut client, _) = online(&broker, &connect(version, 0, "a", b"")).await;
        send(&mut client, &subscribe(version, &[("t", 2)])).await;
        next(&mut client).await;
        goodbye(client).await;
        let (mut publisher, _) = online(&broker, &connect(version, CLEAN, "b", b"")).await;
        for (qos, id) in [(1, 1), (2, 2)] {
            send(&mut publisher, &publish(version, 0x30 | qos << 1, id, "t", b"")).await;
            next(&mut publisher).await;
        }
        let (mut client, present) = online(&broker, &connect(version, 0, "a", b"")).await;
        assert!(present);
        assert_eq!(next(&mut client).await.0, 0x32);
        assert_eq!(next(&mut client).await.0, 0x34);
    }
}

/// MQTT 5: [MQTT-3.1.2-23], [MQTT-4.1.0-1], [MQTT-4.1.0-2].
#[tokio::test(start_paused = true)]
async fn a_session_lasts_as_long_as_its_expiry_says() {
    let broker = Anybody::broker();
    let expiry = tokio::spawn({
        let broker = broker.clone();
        async move { broker.expire_sessions().await }
    });
    // It lasts while its connection does, however long that is.
    let (client, _) = online(&broker, &connect(V5, 0, "a", b"")).await;
    tokio::time::sleep(Duration::from_secs(1000)).await;
    goodbye(client).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    let (client, present) = online(&broker, &connect(V5, 0, "a", b"")).await;
    assert!(present);
    goodbye(client).await;
    tokio::time::sleep(Duration::from_secs(110)).await;
    let (_, present) = online(&broker, &connect(V5, 0, "a", b"")).await;
    assert!(!present, "it has expired");
    broker.shutdown(Duration::from_secs(1)).await;
    expiry.await.expect("no panic");
}

/// MQTT 5: [MQTT-3.1.2-14], [MQTT-3.1.3-10].
/// MQTT 3.1.1: [MQTT-3.1.2-8], [MQTT-3.1.2-12], [MQTT-3.1.2-16].
#[tokio::test]
async fn a_will_is_published_as_it_was_left() {
    let broker = Anybody::broker();
    let mut listener = subscribed(&broker, V5, &[("w", 0)]).await;
    // Who leaves none has none published.
    drop(online(&broker, &connect(V5, CLEAN, "a", b"")).await);
    let properties = b"\x26\x00\x01b\x00\x012\x26\x00\x01a\x00\x011\x26\x00\x01b\x00\x010";
    let mut will = vec![u8::try_from(properties.len()).expect("short")];
    will.extend(properties);
    text(&mut will, "w");
    text(&mut will, "x");
    drop(online(&broker, &connect(V5, CLEAN | 0x04, "b", &will)).await);
    let (first, body) = next(&mut listener).await;
    assert_eq!(first, 0x30, "not retained");
    assert_eq!(body, publish(V5, 0x30, 0, "w", properties)[2..]);
    let mut will = Vec::new();
    text(&mut will, "w");
    text(&mut will, "x");
    drop(online(&broker, &connect(V4, CLEAN | 0x04, "c", &will)).await);
    assert_eq!(next(&mut listener).await, (0x30, b"\x00\x01w\x00x".to_vec()));
}
