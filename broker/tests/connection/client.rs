//! A client by hand.

use std::fmt;

use bluetick_broker::Broker;
use tokio::io::DuplexStream;

use crate::host::{Anybody, dial};
use crate::wire::{CLEAN, V5, next, packet, send, subscribe, text};

pub(crate) struct Client {
    pub(crate) stream: DuplexStream,
    version: u8,
}

impl Client {
    /// Connects with MQTT 5 and a session that lives on for 1000 s.
    pub(crate) async fn connect(broker: &Broker<Anybody>, id: &str) -> Self {
        Self::connect_for(broker, id, 1000).await
    }

    pub(crate) async fn connect_for(broker: &Broker<Anybody>, id: &str, expiry_s: u32) -> Self {
        let properties = [&b"\x05\x11"[..], &expiry_s.to_be_bytes()].concat();
        Self::connect_with(broker, V5, 0, id, &properties).await
    }

    /// Connects with either version and a session that ends with the connection.
    pub(crate) async fn connect_as(broker: &Broker<Anybody>, version: u8, id: &str) -> Self {
        let properties: &[u8] = if version == V5 { &[0] } else { &[] };
        Self::connect_with(broker, version, CLEAN, id, properties).await
    }

    /// `properties` with their length.
    async fn connect_with(
        broker: &Broker<Anybody>,
        version: u8,
        flags: u8,
        id: &str,
        properties: &[u8],
    ) -> Self {
        let mut client = Self { stream: dial(broker), version };
        let mut body = b"\x00\x04MQTT".to_vec();
        body.extend([version, flags, 0, 0]);
        body.extend(properties);
        text(&mut body, id);
        client.send(&packet(0x10, &body)).await;
        assert_eq!(client.next().await[0], 0x20);
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        send(&mut self.stream, bytes).await;
    }

    /// The next packet: first byte and body.
    pub(crate) async fn next(&mut self) -> Vec<u8> {
        let (first, body) = next(&mut self.stream).await;
        [&[first], &body[..]].concat()
    }

    /// The next packet, which is a message.
    pub(crate) async fn hear(&mut self) -> Heard {
        let packet = self.next().await;
        self.read(&packet)
    }

    /// A packet, which is a message.
    pub(crate) fn read(&self, packet: &[u8]) -> Heard {
        Heard::read(packet, self.version).unwrap_or_else(|| panic!("no message: {packet:?}"))
    }

    /// Nothing but the answer to a PINGREQ is on its way.
    pub(crate) async fn is_silent(&mut self) {
        self.send(b"\xC0\x00").await;
        assert_eq!(self.next().await, b"\xD0");
    }

    /// Subscribes and returns the code.
    pub(crate) async fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        let request = subscribe(self.version, &[(filter, options)]);
        self.send(&request).await;
        // Properties may be before it.
        self.next().await.last().copied().expect("a code")
    }

    /// At QoS 1 or 2 with this packet id, at QoS 0 with 0.
    pub(crate) async fn publish(&mut self, first: u8, topic: &str, packet_id: u8, body: &str) {
        self.publish_with(first, topic, packet_id, b"", body).await;
    }

    pub(crate) async fn publish_with(
        &mut self,
        first: u8,
        topic: &str,
        packet_id: u8,
        properties: &[u8],
        body: &str,
    ) {
        let mut all = Vec::new();
        text(&mut all, topic);
        if packet_id != 0 {
            all.extend([0, packet_id]);
        }
        if self.version == V5 {
            all.push(u8::try_from(properties.len()).expect("short"));
            all.extend(properties);
        }
        all.extend(body.as_bytes());
        self.send(&packet(first, &all)).await;
    }

    /// Leaves without a word, and waits until the broker has noticed.
    pub(crate) async fn lose(self, broker: &Broker<Anybody>) {
        let before = broker.sessions().0;
        drop(self);
        fewer_online(broker, before).await;
    }

    /// Says goodbye, and waits until the broker has noticed.
    pub(crate) async fn leave(self, broker: &Broker<Anybody>) {
        self.leave_with(broker, b"\xE0\x00").await;
    }

    /// Ends its session, and waits until the broker has noticed.
    pub(crate) async fn end(self, broker: &Broker<Anybody>) {
        // DISCONNECT with an expiry of 0.
        self.leave_with(broker, b"\xE0\x07\x00\x05\x11\x00\x00\x00\x00").await;
    }

    async fn leave_with(mut self, broker: &Broker<Anybody>, disconnect: &[u8]) {
        let before = broker.sessions().0;
        self.send(disconnect).await;
        fewer_online(broker, before).await;
    }
}

async fn fewer_online(broker: &Broker<Anybody>, before: usize) {
    while broker.sessions().0 == before {
        tokio::task::yield_now().await;
    }
}

/// A message as it came.
pub(crate) struct Heard {
    first: u8,
    topic: String,
    pub(crate) packet_id: [u8; 2],
    /// Seconds that it has left.
    expiry_s: Option<u32>,
    body: String,
}

impl Heard {
    fn read(packet: &[u8], version: u8) -> Option<Self> {
        let (&first, rest) = packet.split_first().filter(|(first, _)| **first >> 4 == 3)?;
        let (topic, mut rest) = rest.get(2..)?.split_at_checked(usize::from(rest[1]))?;
        let mut packet_id = [0; 2];
        if first & 6 != 0 {
            packet_id = rest.get(..2)?.try_into().ok()?;
            rest = rest.get(2..)?;
        }
        let mut expiry_s = None;
        if version == V5 {
            let (properties, body) = rest.get(1..)?.split_at_checked(usize::from(rest[0]))?;
            if let [0x02, seconds @ ..] = properties {
                expiry_s = Some(u32::from_be_bytes(seconds.try_into().ok()?));
            }
            rest = body;
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Self { first, topic: text(topic)?, packet_id, expiry_s, body: text(rest)? })
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "q{}", self.first >> 1 & 3)?;
        if self.first & 8 != 0 {
            f.write_str(" dup")?;
        }
        if self.first & 1 != 0 {
            f.write_str(" retain")?;
        }
        if let Some(expiry_s) = self.expiry_s {
            write!(f, " {expiry_s}s")?;
        }
        write!(f, " {}={}", self.topic, self.body)
    }
}

/// The letters and digits at the end of a packet.
pub(crate) fn body(publish: &[u8]) -> String {
    let text = publish.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric());
    let text: Vec<u8> = text.copied().collect();
    text.iter().rev().map(|byte| char::from(*byte)).collect()
}
