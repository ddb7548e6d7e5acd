//! Wills (MQTT 5 §3.1.2.5, §3.1.3.2.2): when they are published and when not.

use std::time::Duration;

use bluetick_broker::Broker;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::host::{Anybody, dial};

/// A CONNECT of MQTT 5 with session expiry, a will to `topic` and its delay, in seconds.
fn connect(id: &str, clean: bool, expiry_s: u32, topic: &str, delay_s: u32) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05".to_vec();
    body.push(0x04 | u8::from(clean) << 1);
    body.extend_from_slice(&[0, 0, 5, 0x11]);
    body.extend_from_slice(&expiry_s.to_be_bytes());
    text(&mut body, id);
    body.extend_from_slice(&[5, 0x18]);
    body.extend_from_slice(&delay_s.to_be_bytes());
    text(&mut body, topic);
    text(&mut body, "gone");
    let length = u8::try_from(body.len()).expect("short");
    [&[0x10, length][..], &body].concat()
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).expect("short").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

async fn online(broker: &Broker<Anybody>, connect: &[u8]) -> DuplexStream {
    let mut client = dial(broker);
    client.write_all(connect).await.expect("taken");
    let mut header = [0; 2];
    client.read_exact(&mut header).await.expect("CONNACK");
    let mut body = vec![0; usize::from(header[1])];
    client.read_exact(&mut body).await.expect("all of it");
    assert_eq!((header[0], body[1]), (0x20, 0), "let in");
    client
}

/// Somebody who is subscribed to everything that is plain.
async fn listener(broker: &Broker<Anybody>) -> DuplexStream {
    let mut client = dial(broker);
    client.write_all(b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00").await.expect("taken");
    client.write_all(b"\x82\x06\x00\x01\x00\x01#\x00").await.expect("taken");
    client.read_exact(&mut [0; 4 + 5]).await.expect("CONNACK and SUBACK");
    client
}

async fn next(listener: &mut DuplexStream) -> String {
    let mut header = [0; 2];
    listener.read_exact(&mut header).await.expect("a PUBLISH");
    let mut body = vec![0; usize::from(header[1])];
    listener.read_exact(&mut body).await.expect("all of it");
    let topic = 2 + usize::from(body[1]);
    String::from_utf8(body[2..topic].to_vec()).expect("a topic")
}

const DISCONNECT: &[u8] = b"\xE0\x00";

/// MQTT 5: [MQTT-3.1.2-7], [MQTT-3.1.2-8], [MQTT-3.1.2-10], [MQTT-3.14.4-3].
#[tokio::test(start_paused = true)]
async fn a_will_is_for_connections_that_are_lost() {
    let broker = Anybody::broker();
    let mut listener = listener(&broker).await;
    let mut polite = online(&broker, &connect("a", true, 0, "polite", 0)).await;
    polite.write_all(DISCONNECT).await.expect("taken");
    polite.read_to_end(&mut Vec::new()).await.expect("closed");
    // MQTT 5 §3.14.2.1: 0x04 is a goodbye with the will.
    let mut asked = online(&broker, &connect("b", true, 0, "asked", 0)).await;
    asked.write_all(b"\xE0\x01\x04").await.expect("taken");
    assert_eq!(next(&mut listener).await, "asked");
    drop(online(&broker, &connect("c", true, 0, "lost", 0)).await);
    assert_eq!(next(&mut listener).await, "lost");
    let _first = online(&broker, &connect("d", true, 0, "taken over", 0)).await;
    let _second = online(&broker, &connect("d", true, 0, "of the second", 0)).await;
    assert_eq!(next(&mut listener).await, "taken over");
}

#[tokio::test(start_paused = true)]
async fn a_will_to_the_host_is_the_hosts() {
    let host = Anybody::default();
    let wills = host.wills.clone();
    let broker = Broker::new(host, bluetick_broker::Limits::default());
    let mut listener = listener(&broker).await;
    drop(online(&broker, &connect("a", true, 0, "host/send", 0)).await);
    // Comes after it.
    drop(online(&broker, &connect("b", true, 0, "plain", 0)).await);
    assert_eq!(next(&mut listener).await, "plain");
    let will = ("a".to_owned(), "host/send".to_owned(), b"gone".to_vec());
    assert_eq!(*wills.lock().expect("no panic"), [will]);
}

/// MQTT 5: [MQTT-3.1.2-8], [MQTT-3.1.3-9].
#[tokio::test(start_paused = true)]
async fn a_delayed_will_waits_for_the_session_to_come_back() {
    let broker = Anybody::broker();
    let expiry = tokio::spawn({
        let broker = broker.clone();
        async move { broker.expire_sessions().await }
    });
    let mut listener = listener(&broker).await;
    let back = connect("a", false, 100, "came back", 10);
    drop(online(&broker, &back).await);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut client = online(&broker, &back).await;
    client.write_all(DISCONNECT).await.expect("taken");
    client.read_to_end(&mut Vec::new()).await.expect("closed");
    let started = tokio::time::Instant::now();
    drop(online(&broker, &connect("b", false, 100, "stayed away", 20)).await);
    assert_eq!(next(&mut listener).await, "stayed away");
    let waited = started.elapsed().as_secs();
    assert!((20..=21).contains(&waited), "{waited} s");
    // The end of the session is the latest time for it.
    drop(online(&broker, &connect("c", false, 3, "expired", 1000)).await);
    assert_eq!(next(&mut listener).await, "expired");
    drop(online(&broker, &connect("d", false, 100, "started anew", 50)).await);
    let _anew = online(&broker, &connect("d", true, 100, "of the new one", 0)).await;
    assert_eq!(next(&mut listener).await, "started anew");
    broker.shutdown(Duration::from_secs(1)).await;
    expiry.await.expect("no panic");
}

/// MQTT 5: [MQTT-3.1.2-15].
/// MQTT 3.1.1: [MQTT-3.1.2-17].
#[tokio::test]
async fn a_will_that_is_to_be_retained_is() {
    let broker = Anybody::broker();
    let mut listener = listener(&broker).await;
    let mut retained = connect("a", true, 0, "t", 0);
    retained[9] |= 0x20;
    drop(online(&broker, &retained).await);
    assert_eq!(next(&mut listener).await, "t");
    let mut late = dial(&broker);
    late.write_all(b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00").await.expect("taken");
    late.write_all(b"\x82\x06\x00\x01\x00\x01t\x00").await.expect("taken");
    let mut heard = [0; 4 + 5 + 2];
    late.read_exact(&mut heard).await.expect("CONNACK, SUBACK and the message");
    assert_eq!(heard[9], 0x31, "a retained PUBLISH at QoS 0");
}

/// A client says goodbye and is back before the server has read that.
#[tokio::test(start_paused = true)]
async fn a_goodbye_counts_that_is_read_only_when_the_client_is_back() {
    let broker = Anybody::broker();
    let mut listener = listener(&broker).await;
    let mut first = online(&broker, &connect("a", true, 0, "of the first", 0)).await;
    // Nothing of the broker runs before both have their bytes, and then the new connection first.
    let mut second = dial(&broker);
    tokio::task::yield_now().await;
    let again = connect("a", true, 0, "of the second", 0);
    second.write_all(&again).await.expect("taken");
    first.write_all(&[b"\x30\x05\x00\x01t\x00b", DISCONNECT].concat()).await.expect("taken");
    assert_eq!(next(&mut listener).await, "t", "what came before the goodbye");
    first.read_to_end(&mut Vec::new()).await.expect("closed");
    drop(second);
    assert_eq!(next(&mut listener).await, "of the second", "no will of the first");
}
