//! The compact dialect on the real server, byte by byte: what one message sent, delivered and read
//! costs on the wire, in both dialects and both directions.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use bluetick_protocol::compact::{self, SendRef};
use bluetick_protocol::{ChatId, Receipt, Seq, UserId};
use support::{Server, asyncapi};

/// A client of MQTT 5 that counts its bytes and uses topic aliases for all that it publishes.
struct Client {
    stream: TcpStream,
    bytes: usize,
    aliases: Vec<String>,
    /// The topics that the server has numbered.
    numbered: Vec<String>,
}

impl Client {
    fn connect(server: &Server, user: &str) -> Self {
        let stream = server.connect();
        let mut client = Self { stream, bytes: 0, aliases: Vec::new(), numbered: Vec::new() };
        // Clean start; 10 aliases, and no problem information: bare PUBACKs.
        let mut body = b"\0\x04MQTT\x05\x82\0\0\x05\x22\0\x0A\x17\0".to_vec();
        for text in [user, user] {
            put_text(&mut body, text);
        }
        client.send(0x10, &body);
        let (first, _) = client.receive();
        assert_eq!(first, 0x20);
        client
    }

    fn subscribe(&mut self, filter: &str) {
        let mut body = b"\0\x01\0".to_vec();
        put_text(&mut body, filter);
        body.push(1);
        self.send(0x82, &body);
        assert_eq!(self.receive(), (0x90, b"\0\x01\0\x01".to_vec()), "{filter}");
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).ok().filter(|length| *length < 128);
        let packet = [&[first, length.expect("a short packet")][..], body].concat();
        self.stream.write_all(&packet).expect("sent");
        self.bytes += packet.len();
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
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
    fn publish(&mut self, topic: &str, payload: &[u8]) {
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
        self.send(0x32, &body);
        assert_eq!(self.receive(), (0x40, vec![0, 9]), "a bare PUBACK");
    }

    /// Takes a PUBLISH at QoS 1 and acknowledges it; gives topic and payload.
    fn delivery(&mut self) -> (String, Vec<u8>) {
        let (first, body) = self.receive();
        assert_eq!(first, 0x32, "{body:?}");
        let topic_bytes = usize::from(body[1]);
        let (topic, rest) = body[2..].split_at(topic_bytes);
        let (id, rest) = rest.split_at(2);
        let (properties, payload) = rest[1..].split_at(usize::from(rest[0]));
        assert_eq!((properties.len(), properties[0]), (3, 0x23), "an alias");
        let number = usize::from(properties[2]) - 1;
        if topic_bytes > 0 {
            assert_eq!(number, self.numbered.len());
            self.numbered.push(String::from_utf8(topic.to_vec()).expect("a topic"));
        }
        self.send(0x40, id);
        asyncapi::heard(&self.numbered[number], payload);
        (self.numbered[number].clone(), payload.to_vec())
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).expect("short").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// What a conversation says in one dialect: topics, a message, how far one has read.
struct Dialect {
    name: &'static str,
    send: String,
    read: String,
    message: fn(&str) -> Vec<u8>,
    read_up_to: fn(u64) -> Vec<u8>,
}

const BODY: &str = "see you at the gate!";

#[test]
fn a_message_costs_few_bytes_and_both_dialects_say_the_same() {
    let [alice, bob] = ["alice", "bob"].map(|name| UserId::try_from(name).expect("a user"));
    let chat = ChatId::direct(&alice, &bob);
    let dialects = [
        Dialect {
            name: "compact",
            send: compact::send_topic(&chat),
            read: compact::read_topic(&chat),
            message: |text| SendRef::text(text).to_compact(),
            read_up_to: |seq| compact::read_payload(Seq(seq)),
        },
        Dialect {
            name: "json",
            send: format!("chats/{chat}/send"),
            read: format!("chats/{chat}/read"),
            message: |text| text.as_bytes().to_vec(),
            read_up_to: |seq| seq.to_string().into_bytes(),
        },
    ];
    let mut costs = Vec::new();
    for dialect in &dialects {
        let dir = tempfile::tempdir().expect("a folder");
        let server = Server::start(dir.path());
        let (mut a, mut b) = (Client::connect(&server, "alice"), Client::connect(&server, "bob"));
        let compact = dialect.name == "compact";
        a.subscribe(if compact { "c/+/r" } else { "chats/+/receipts" });
        b.subscribe(if compact { "c/+/m" } else { "chats/+/messages" });
        // The first one sets the aliases.
        for seq in 1..=2 {
            (a.bytes, b.bytes) = (0, 0);
            a.publish(&dialect.send, &(dialect.message)(BODY));
            let (topic, message) = b.delivery();
            let (_, delivered) = a.delivery();
            b.publish(&dialect.read, &(dialect.read_up_to)(seq));
            let (_, read) = a.delivery();
            if compact {
                assert_eq!(topic, "c/alice~bob/m");
                let got = compact::Message::from_compact(&chat, &bob, &message).expect("CBOR");
                let body = got.body.as_deref();
                assert_eq!((got.seq, body, got.id), (Seq(seq), Some(BODY.as_bytes()), None));
                let marks = [delivered, read].map(|payload| {
                    let receipt = Receipt::from_compact(&chat, &alice, &payload).expect("CBOR");
                    (receipt.user, receipt.delivered.0, receipt.read.0)
                });
                assert_eq!(marks, [(bob.clone(), seq, seq - 1), (bob.clone(), seq, seq)]);
            } else {
                let got = bluetick_protocol::Message::from_json(&message).expect("JSON");
                assert_eq!((got.seq, got.body()), (Seq(seq), Ok(Some(BODY.as_bytes().to_vec()))));
            }
        }
        costs.push(a.bytes + b.bytes);
        println!(
            "{}: a message of {} characters sent, delivered and read: {} bytes",
            dialect.name,
            BODY.len(),
            a.bytes + b.bytes
        );
    }
    assert!(costs[0] <= 160 && costs[0] * 2 < costs[1], "{costs:?}");
}

/// A device that has subscribed in both dialects gets a message once, in JSON; when it gives that
/// up, in the other.
#[test]
fn both_dialects_at_once_deliver_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut sender = Client::connect(&server, "alice");
    let mut both = Client::connect(&server, "bob");
    both.subscribe("c/+/m");
    both.subscribe("chats/+/messages");
    for text in ["one", "two"] {
        sender.publish("users/bob/send", text.as_bytes());
        assert_eq!(both.delivery().0, "chats/alice~bob/messages");
    }
    let mut body = b"\0\x02\0".to_vec();
    put_text(&mut body, "chats/+/messages");
    both.send(0xA2, &body);
    assert_eq!(both.receive(), (0xB0, b"\0\x02\0\0".to_vec()));
    sender.publish("users/bob/send", b"three");
    assert_eq!(both.delivery().0, "c/alice~bob/m");
    // What is no CBOR of a send is refused.
    let mut body = Vec::new();
    put_text(&mut body, "c/alice~bob/s");
    body.extend_from_slice(b"\0\x07\0\xFF");
    sender.send(0x32, &body);
    assert_eq!(sender.receive(), (0x40, vec![0, 7, 0x99]));
}
