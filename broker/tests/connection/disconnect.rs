//! What a client asked before it says goodbye is done, even if it came in the same segment.

use bluetick_broker::Broker;
use bluetick_broker::packet::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::host::{Anybody, dial};

/// Sends `bytes` and reads until the server closes.
async fn farewell(broker: &Broker<Anybody>, bytes: &[u8]) {
    let mut client = dial(broker);
    client.write_all(bytes).await.expect("taken");
    client.read_to_end(&mut Vec::new()).await.expect("closed in order");
}

const CONNECT: &[u8] = b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
const DISCONNECT: &[u8] = b"\xE0\x00";

#[tokio::test]
async fn a_publish_before_a_disconnect_arrives() {
    let broker = Anybody::broker();
    let mut listener = dial(&broker);
    let subscribe = b"\x82\x06\x00\x01\x00\x01t\x00";
    listener.write_all(&[CONNECT, subscribe].concat()).await.expect("taken");
    let mut answers = [0; 4 + 5];
    listener.read_exact(&mut answers).await.expect("CONNACK and SUBACK");
    assert_eq!(&answers, b"\x20\x02\x00\x00\x90\x03\x00\x01\x00");

    // At QoS 0 nothing tells the client to wait, and small clients send all at once.
    farewell(&broker, &[CONNECT, b"\x30\x05\x00\x01tab", DISCONNECT].concat()).await;
    // Is there to be read where the first one is lost.
    let mut other = dial(&broker);
    other.write_all(&[CONNECT, b"\x30\x05\x00\x01tcd"].concat()).await.expect("taken");
    let mut publish = [0; 7];
    listener.read_exact(&mut publish).await.expect("a PUBLISH");
    assert_eq!(&publish, b"\x30\x05\x00\x01tab");
}

/// MQTT 5: [MQTT-3.10.4-2].
/// MQTT 3.1.1: [MQTT-3.10.4-2].
#[tokio::test]
async fn an_unsubscribe_before_a_disconnect_is_carried_out() {
    let broker = Anybody::broker();
    // A session that is kept: nothing but the UNSUBSCRIBE ends the subscription.
    let connect = b"\x10\x0D\x00\x04MQTT\x04\x00\x00\x00\x00\x01s";
    let subscribe = b"\x82\x06\x00\x01\x00\x01t\x01";
    let unsubscribe = b"\xA2\x05\x00\x02\x00\x01t";
    farewell(&broker, &[&connect[..], subscribe, DISCONNECT].concat()).await;
    assert_eq!(receivers(&broker).await, Reason::SUCCESS);
    farewell(&broker, &[&connect[..], unsubscribe, DISCONNECT].concat()).await;
    assert_eq!(receivers(&broker).await, Reason::NO_MATCHING_SUBSCRIBERS);
}

/// What a PUBLISH to the topic is answered: whether anybody is subscribed.
async fn receivers(broker: &Broker<Anybody>) -> Reason {
    let mut client = dial(broker);
    let connect = b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00";
    client.write_all(connect).await.expect("taken");
    let mut header = [0; 2];
    client.read_exact(&mut header).await.expect("CONNACK");
    client.read_exact(&mut vec![0; usize::from(header[1])]).await.expect("all of it");
    client.write_all(b"\x32\x06\x00\x01t\x00\x01\x00").await.expect("taken");
    client.read_exact(&mut header).await.expect("PUBACK");
    let mut body = vec![0; usize::from(header[1])];
    client.read_exact(&mut body).await.expect("all of it");
    body.get(2).map_or(Reason::SUCCESS, |reason| Reason(*reason))
}
