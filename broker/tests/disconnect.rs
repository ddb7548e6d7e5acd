//! What a client asked before it says goodbye is done, even if it came in the same segment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bluetick_broker::host::{
    Access, Attempt, Delivery, DeliveryId, HostEvent, HostPublish, HostSession, Open, Room,
    SessionKey, Token,
};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::{FilterRequest, Reason};
use bluetick_broker::{Broker, Host, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Lets everybody in and owns no topic.
struct Anybody {
    clients: AtomicU64,
}

struct Nothing;

impl Host for Anybody {
    type Session = Nothing;

    fn authenticate(&self, _: Attempt, line: Line) {
        line.host(HostEvent::Authenticated(Ok("user".into())));
    }

    fn assign_client_id(&self) -> Arc<str> {
        self.clients.fetch_add(1, Ordering::Relaxed).to_string().into()
    }

    fn owns(&self, _: &str) -> bool {
        false
    }

    fn may(&self, _: &SessionKey, _: Access, _: &str) -> bool {
        true
    }

    fn open(&self, _: Open, line: Line) -> Nothing {
        line.host(HostEvent::Opened { epoch: 1, restored: None });
        Nothing
    }

    fn end(&self, _: &SessionKey, _: u64) {}
}

impl HostSession for Nothing {
    fn publish(&mut self, _: HostPublish) {}

    fn subscribe(&mut self, _: Token, _: &FilterRequest, _: Option<u32>, _: bool) {}

    fn unsubscribe(&mut self, _: Token, _: &str) {}

    fn pull(&mut self, _: Room) -> Vec<Delivery> {
        Vec::new()
    }

    fn acked(&mut self, _: &[DeliveryId]) {}

    fn fetch(&mut self, _: &[DeliveryId]) {}

    fn close(&mut self, _: bool) {}
}

fn dial(broker: &Broker<Anybody>) -> DuplexStream {
    let (client, server) = tokio::io::duplex(4096);
    broker.serve_stream(server, SocketAddr::from(([127, 0, 0, 1], 1)));
    client
}

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
    let broker = Broker::new(Anybody { clients: AtomicU64::new(0) }, Limits::default());
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

#[tokio::test]
async fn an_unsubscribe_before_a_disconnect_is_carried_out() {
    let broker = Broker::new(Anybody { clients: AtomicU64::new(0) }, Limits::default());
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
