//! A client that is its bytes.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{Server, asyncapi};

/// A client of MQTT 5 that counts its bytes and uses topic aliases for all that it publishes.
pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) bytes: usize,
    aliases: Vec<String>,
    /// The topics that the server has numbered.
    numbered: Vec<String>,
}

impl Client {
    /// A clean start, under the user's name.
    pub(crate) fn connect(server: &Server, user: &str) -> Self {
        Self::connect_as(server, user, user, &[]).0
    }

    /// A session that outlives its connection; whether it was there.
    pub(crate) fn resume(server: &Server, user: &str, client_id: &str) -> (Self, bool) {
        // MQTT 5's session expiry interval, seconds.
        Self::connect_as(server, user, client_id, &[0x11, 0, 0, 1, 0])
    }

    /// One that takes small packets only.
    pub(crate) fn connect_small(server: &Server, user: &str, max_packet_bytes: u8) -> Self {
        Self::connect_as(server, user, user, &[0x27, 0, 0, 0, max_packet_bytes]).0
    }

    fn connect_as(server: &Server, user: &str, client_id: &str, more: &[u8]) -> (Self, bool) {
        let stream = server.connect();
        let mut client = Self { stream, bytes: 0, aliases: Vec::new(), numbered: Vec::new() };
        let clean = if more.first() == Some(&0x11) { 0 } else { 2 };
        let mut body = b"\0\x04MQTT\x05".to_vec();
        body.extend_from_slice(&[0x80 | clean, 0, 0]);
        // 10 aliases, and no problem information: bare PUBACKs.
        let properties = [&[0x22, 0, 10, 0x17, 0], more].concat();
        body.push(u8::try_from(properties.len()).expect("few"));
        body.extend_from_slice(&properties);
        for text in [client_id, user] {
            put_text(&mut body, text);
        }
        client.send(0x10, &body);
        let (first, body) = client.receive();
        assert_eq!((first, body[1]), (0x20, 0));
        (client, body[0] == 1)
    }

    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.subscribe_with(filter, 1);
    }

    /// With these options: the QoS, and 4 for *no local*.
    pub(crate) fn subscribe_with(&mut self, filter: &str, options: u8) {
        let mut body = b"\0\x01\0".to_vec();
        put_text(&mut body, filter);
        body.push(options);
        self.send(0x82, &body);
        assert_eq!(self.receive(), (0x90, vec![0, 1, 0, options & 3]), "{filter}");
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        let mut body = b"\0\x02\0".to_vec();
        put_text(&mut body, filter);
        self.send(0xA2, &body);
        assert_eq!(self.receive(), (0xB0, b"\0\x02\0\0".to_vec()));
    }

    pub(crate) fn send(&mut self, first: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).ok().filter(|length| *length < 128);
        let packet = [&[first, length.expect("a short packet")][..], body].concat();
        self.stream.write_all(&packet).expect("sent");
        self.bytes += packet.len();
    }

    pub(crate) fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        self.stream.read_exact(&mut header).expect("a packet");
        let mut length = usize::from(header[1] & 0x7F);
        self.bytes += 2;
        if header[1] > 0x7F {
            let mut more = [0; 1];
            self.stream.read_exact(&mut more).expect("its length");
            length |= usize::from(more[0]) << 7;
            self.bytes += 1;
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("all of it");
        self.bytes += length;
        (header[0], body)
    }

    /// Publishes at QoS 1, under an alias, and takes the PUBACK, which says nothing more.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.write_publish(0x32, topic, payload);
        assert_eq!(self.receive(), (0x40, vec![0, 9]), "a bare PUBACK");
    }

    /// The same, and the server has to say with this reason that it does not do it.
    pub(crate) fn publish_refused(&mut self, first: u8, topic: &str, payload: &[u8], reason: u8) {
        self.write_publish(first, topic, payload);
        assert_eq!(self.receive(), (0x40, vec![0, 9, reason]), "{topic} {payload:x?}");
    }

    /// Publishes under an alias; the PUBACK, of packet 9, is still to come.
    pub(crate) fn write_publish(&mut self, first: u8, topic: &str, payload: &[u8]) {
        asyncapi::said(topic, payload);
        let mut body = Vec::new();
        let known = self.aliases.iter().position(|had| had == topic);
        if known.is_none() {
            self.aliases.push(topic.to_owned());
        }
        put_text(&mut body, if known.is_some() { "" } else { topic });
        let alias = u8::try_from(known.unwrap_or(self.aliases.len() - 1) + 1).expect("few");
        body.extend_from_slice(&[0, 9, 3, 0x23, 0, alias]);
        body.extend_from_slice(payload);
        self.send(first, &body);
    }

    /// Takes a PUBLISH at QoS 1 and acknowledges it; gives topic and payload.
    pub(crate) fn delivery(&mut self) -> (String, Vec<u8>) {
        let delivery = self.unacknowledged();
        assert!(!delivery.again);
        self.acknowledge(&delivery);
        (delivery.topic, delivery.payload)
    }

    /// Takes a PUBLISH at QoS 1.
    pub(crate) fn unacknowledged(&mut self) -> Delivery {
        let (first, body) = self.receive();
        assert_eq!(first & !8, 0x32, "{body:?}");
        let topic_bytes = usize::from(body[1]);
        let (topic, rest) = body[2..].split_at(topic_bytes);
        let (id, rest) = rest.split_at(2);
        let (properties, payload) = rest[1..].split_at(usize::from(rest[0]));
        let mut topic = String::from_utf8(topic.to_vec()).expect("a topic");
        // What is sent again has none.
        if let [0x23, 0, number] = properties {
            let at = usize::from(*number) - 1;
            if topic.is_empty() {
                topic.clone_from(&self.numbered[at]);
            } else {
                assert_eq!(at, self.numbered.len());
                self.numbered.push(topic.clone());
            }
        }
        asyncapi::heard(&topic, payload);
        Delivery { again: first & 8 != 0, id: id.to_vec(), topic, payload: payload.to_vec() }
    }

    pub(crate) fn acknowledge(&mut self, delivery: &Delivery) {
        self.send(0x40, &delivery.id);
    }
}

/// A PUBLISH from the server.
pub(crate) struct Delivery {
    /// It may have come before (DUP).
    pub(crate) again: bool,
    id: Vec<u8>,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).expect("short").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
