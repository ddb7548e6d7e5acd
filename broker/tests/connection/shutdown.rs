//! The end of the broker.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use bluetick_broker::{Broker, Limits};

use crate::host::{Anybody, dial};
use crate::wire::{closed_after, next, send};

#[tokio::test(start_paused = true)]
async fn all_are_told_and_none_is_waited_for_in_vain() {
    let broker = Anybody::broker();
    let started = Instant::now();
    // One on line, one that has not said who it is.
    let mut client = dial(&broker);
    client.write_all(b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00").await.expect("taken");
    let mut header = [0; 2];
    client.read_exact(&mut header).await.expect("CONNACK");
    let mut silent = dial(&broker);

    assert_eq!(broker.shutdown(Duration::from_secs(5)).await, 0, "all have ended");
    assert_eq!(started.elapsed(), Duration::ZERO, "as soon as the last one had");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("closed in order");
    let goodbye = rest.get(usize::from(header[1])..).expect("the CONNACK and more");
    assert_eq!((goodbye[0], goodbye[2]), (0xE0, 0x8B), "{goodbye:?}");
    assert_eq!(silent.read_to_end(&mut Vec::new()).await.expect("closed in order"), 0);

    // Who comes now is not served.
    let mut late = dial(&broker);
    assert_eq!(late.read_to_end(&mut Vec::new()).await.expect("closed in order"), 0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_take_its_goodbye_is_waited_for_until_the_grace_is_over() {
    let broker = Anybody::broker();
    let mut client = dial(&broker);
    client.write_all(b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00").await.expect("taken");
    client.read_exact(&mut [0; 2]).await.expect("CONNACK");
    // More answers than the wire holds, and none of them is read.
    client.write_all(&b"\xC0\x00".repeat(4096)).await.expect("taken");
    let started = Instant::now();
    assert_eq!(broker.shutdown(Duration::from_millis(500)).await, 1);
    assert_eq!(started.elapsed(), Duration::from_millis(500));
}

/// Clients of MQTT 5 are told where to go instead, also those that come now.
#[tokio::test(start_paused = true)]
async fn another_server_is_named() {
    let limits = Limits { server_reference: Some("there".to_owned()), ..Limits::default() };
    let broker = Broker::new(Anybody::default(), limits);
    let hello = b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00";
    let hello_tight = b"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x05\x27\x00\x00\x00\x1E\x00\x00";
    let (mut client, mut tight) = (dial(&broker), dial(&broker));
    send(&mut client, hello).await;
    send(&mut tight, hello_tight).await;
    next(&mut client).await;
    next(&mut tight).await;
    // It came before and says who it is now.
    let mut late = dial(&broker);
    broker.shutdown(Duration::from_secs(5)).await;
    let detail = b"the server ends the connection";
    let (first, body) = next(&mut client).await;
    assert_eq!((first, body[0]), (0xE0, 0x9C));
    assert!(body.windows(detail.len()).any(|part| part == detail));
    assert!(body.ends_with(b"\x1C\x00\x05there"), "{body:?}");
    assert_eq!(closed_after(&mut tight).await, b"\xE0\x0A\x9C\x08\x1C\x00\x05there");
    assert_eq!(closed_after(&mut late).await, b"");
}
