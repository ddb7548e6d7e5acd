//! What a client's Maximum Packet Size does to packets that are no messages, and what is told in words.

use crate::host::{Anybody, dial};
use crate::wire::{V5, closed_after, next, packet, send, subscribe};

/// A CONNECT of MQTT 5 with these properties and without a client id.
fn connect(properties: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05\x02\x00\x00".to_vec();
    body.push(u8::try_from(properties.len()).expect("short"));
    body.extend(properties);
    body.extend(b"\x00\x00");
    packet(0x10, &body)
}

fn takes(bytes: u32) -> Vec<u8> {
    [&[0x27], &bytes.to_be_bytes()[..]].concat()
}

fn with_response_information(bytes: u32) -> Vec<u8> {
    [takes(bytes), b"\x19\x01".to_vec()].concat()
}

/// MQTT 5: [MQTT-3.1.2-24], [MQTT-3.2.2-19].
#[tokio::test]
async fn a_connack_is_no_larger_than_the_client_takes() {
    let broker = Anybody::broker();
    let (mut all, mut without) = (dial(&broker), dial(&broker));
    send(&mut all, &connect(&with_response_information(1000))).await;
    let (_, full) = next(&mut all).await;
    assert!(full.windows(11).any(|part| part == b"me/replies/"), "{full:?}");
    send(&mut without, &connect(b"")).await;
    let (_, needed) = next(&mut without).await;
    let needed_bytes = u32::try_from(needed.len() + 2).expect("short");

    // What is only good to know is left out.
    let mut tight = dial(&broker);
    send(&mut tight, &connect(&with_response_information(needed_bytes))).await;
    let (first, body) = next(&mut tight).await;
    assert_eq!((first, body.len()), (0x20, needed.len()));
    assert_eq!(&body[..2], b"\x00\x00", "let in");

    // What it must know is not: it is told so if that fits, and nobody is let in.
    let mut refused = dial(&broker);
    send(&mut refused, &connect(&takes(needed_bytes - 1))).await;
    assert_eq!(closed_after(&mut refused).await, b"\x20\x03\x00\x95\x00");
    let mut silent = dial(&broker);
    send(&mut silent, &connect(&takes(4))).await;
    assert_eq!(closed_after(&mut silent).await, b"");
    assert_eq!(broker.sessions(), (3, 0));
}

/// MQTT 5: [MQTT-3.1.2-24].
#[tokio::test]
async fn more_filters_than_can_be_answered_are_none() {
    let broker = Anybody::broker();
    for unsubscribe in [false, true] {
        let mut client = dial(&broker);
        send(&mut client, &connect(&takes(30))).await;
        next(&mut client).await;
        let filters: Vec<_> = (0..25).map(|_| ("t", 0)).collect();
        send(&mut client, &subscribe(V5, &filters)).await;
        assert_eq!(next(&mut client).await.1.len(), 28, "just fits");
        let filters: Vec<_> = (0..26).map(|_| ("u", 0)).collect();
        let mut request = subscribe(V5, &filters);
        if unsubscribe {
            let topics = b"\x00\x01u".repeat(26);
            request = packet(0xA2, &[&b"\x00\x09\x00"[..], &topics].concat());
        }
        send(&mut client, &request).await;
        assert_eq!(closed_after(&mut client).await, b"\xE0\x01\x95");
    }
}

/// MQTT 5: [MQTT-3.9.2-1], [MQTT-3.1.2-29].
#[tokio::test]
async fn why_a_filter_is_refused_is_told_where_it_fits_and_is_wanted() {
    let broker = Anybody::broker();
    broker.host().deny("secret/#");
    let no_problem_information = b"\x17\x00";
    for (properties, told) in
        [(&b""[..], true), (no_problem_information, false), (&takes(28), false)]
    {
        let mut client = dial(&broker);
        send(&mut client, &connect(properties)).await;
        next(&mut client).await;
        send(&mut client, &subscribe(V5, &[("open", 0), ("secret/#", 1), ("a#", 1)])).await;
        let (_, body) = next(&mut client).await;
        let text = "secret/#: not allowed";
        let expected = match told {
            false => b"\x00\x09\x00".to_vec(),
            true => {
                let length = u8::try_from(text.len()).expect("short");
                [&[0, 9, length + 3, 0x1F, 0, length], text.as_bytes()].concat()
            }
        };
        assert_eq!(body, [&expected[..], b"\x00\x87\x8F"].concat());
    }
}

/// MQTT 5: [MQTT-3.4.2-2], [MQTT-3.1.2-29].
#[tokio::test]
async fn why_a_publish_is_refused_is_told_where_it_fits_and_is_wanted() {
    let broker = Anybody::broker();
    broker.host().deny("secret");
    for (properties, told) in [(&b""[..], true), (b"\x17\x00", false), (&takes(28), false)] {
        let mut client = dial(&broker);
        send(&mut client, &connect(properties)).await;
        next(&mut client).await;
        send(&mut client, b"\x32\x0B\x00\x06secret\x00\x07\x00").await;
        let (first, body) = next(&mut client).await;
        assert_eq!((first, &body[..3]), (0x40, &b"\x00\x07\x87"[..]));
        assert_eq!(body.len() > 3, told);
    }
}
