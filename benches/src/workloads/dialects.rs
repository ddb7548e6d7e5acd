//! `dialects`: the bytes of one message on the wire, sent, delivered and read, in each dialect.
//!
//! MQTT 5 whatever `--mqtt5` says, everything at QoS 1: topic aliases both ways, which two exchanges before have
//! set, and bare PUBACKs. Counted is every byte of MQTT on both connections, in both directions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::feed::feed;
use crate::generator::fleet::Fleet;
use crate::generator::quiet::wait_until_quiet;
use crate::generator::wire::{put_frame, put_puback, put_str};
use crate::peers::server::Server;
use crate::peers::{client, send_topic};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long a chat may take to be filled up to the next place, and to be counted there.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// Places in the chat at which a message is counted: it grows with the digits.
const SEQS: [u32; 3] = [7, 1_000, 100_000];
/// Exchanges before the one that is counted: they set the aliases of all topics.
const WARM_UP: u64 = 2;
/// Packets of an exchange: five PUBLISHes and their PUBACKs, each counted on one side.
const PACKETS: u32 = 10;
/// The message: 20 characters, as in docs/compact.md.
const BODY: &str = "see you at the gate!";
/// Aliases that a client takes, and more than it sets.
const ALIASES: u16 = 10;
/// Some id: each is as long as any other.
const ID: Id = [0x01, 0x93, 0xA5, 0xF0, 0x1C, 0x2B, 0x7D, 0x3E, 0x8F, 0x4A, 0, 0, 0, 0, 0, 0];

/// The bytes of a UUID.
type Id = [u8; 16];

/// Places in the chat at which a message is counted are below this or at it.
const SEQ_MAX: Count = Count { full: 100_000, tiny: 40 };

/// Bytes on the wire of one message.
pub(crate) struct Dialects;

impl Workload for Dialects {
    fn name(&self) -> &'static str {
        "dialects"
    }

    fn about(&self) -> &'static str {
        "MQTT's bytes of a message of 20 characters sent, delivered and read, by its place in the chat"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        Case::sizes(SEQS.into_iter().filter(|&seq| seq <= settings.count(SEQ_MAX)))
    }

    /// It is the same each time.
    fn runs(&self, _settings: &Settings) -> u16 {
        1
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, u64::from(case.size), settings).map_err(|error| server.explain(error))
    }
}

fn drive(server: &Server, seq: u64, settings: &Settings) -> Result<Figures, Error> {
    fill(server, settings, seq - WARM_UP - 1)?;
    let mut figures = Figures::new();
    for (number, case) in CASES.iter().enumerate() {
        let deadline = Deadline::new(format!("dialects, {} at {seq}", case.name), STEP_LIMIT);
        let id = if case.with_id { " with id" } else { "" };
        let bytes = count(server, case, number, seq, &deadline)?;
        figures = figures.with(format!("{}{id} bytes", case.name), bytes as f64);
    }
    Ok(figures)
}

/// The members of the chat of case `number`; as long as the names in docs/compact.md.
fn members(number: usize) -> (String, String) {
    (format!("alic{number}"), format!("bo{number}"))
}

/// Adds `messages` to the chat of every case, all delivered.
fn fill(server: &Server, settings: &Settings, messages: u64) -> Result<(), Error> {
    let what = "dialects, filling the chats";
    let deadline = Deadline::new(what, STEP_LIMIT);
    let (mut clients, mut topics) = (Vec::new(), Vec::new());
    for number in 0..CASES.len() {
        let (alice, bob) = members(number);
        topics.push(send_topic(&bob, !settings.no_id));
        clients.push(client(alice, vec!["me/errors".into()]));
    }
    for number in 0..CASES.len() {
        clients.push(client(members(number).1, vec!["chats/+/messages".into()]));
    }
    let senders = CASES.len();
    let mut fleet =
        Fleet::connect(server.address(), settings.version(), &clients, WINDOW, &deadline)?;
    let deliveries = messages * senders as u64;
    feed(&mut fleet, senders, settings, &deadline, deliveries, |conn, index, out| {
        out.extend_from_slice(&topics[conn]);
        index < messages
    })?;
    fleet.close()?;
    wait_until_quiet(server.process(), None, what)?;
    Ok(())
}

/// Exchanges messages up to place `seq`; the bytes of the last one.
fn count(
    server: &Server,
    case: &Dialect,
    number: usize,
    seq: u64,
    deadline: &Deadline,
) -> Result<u64, Error> {
    let (alice, bob) = members(number);
    let chat = format!("{alice}~{bob}");
    let mut alice = Counter::connect(server, &alice, deadline)?;
    let mut bob = Counter::connect(server, &bob, deadline)?;
    alice.subscribe(case.receipts)?;
    bob.subscribe(case.messages)?;
    let [send, read] = [case.send, case.read].map(|topic| topic.replace("{chat}", &chat));
    for at in seq - WARM_UP..=seq {
        (alice.bytes, alice.packets, bob.bytes, bob.packets) = (0, 0, 0, 0);
        let mut id = ID;
        id[8..].copy_from_slice(&(at | 0x8000_0000_0000_0000).to_be_bytes());
        let id = case.with_id.then_some(&id);
        alice.publish(&send, &(case.properties)(id), &(case.message)(id))?;
        let message = bob.delivery()?;
        if !contains(&message, BODY.as_bytes()) || !(case.says_seq)(&message, at) {
            return Err(Error::Wrong(format!("{message:02x?} in place of message {at}")));
        }
        // What was delivered before may be told first, to a device that has never been there.
        while !(case.says_delivered)(&alice.delivery()?, at) {}
        bob.publish(&read, &[], &(case.read_up_to)(at))?;
        while !(case.says_read)(&alice.delivery()?, at) {}
    }
    // Alice's: one sent, two receipts, their acknowledgements. Bob's: one received, one sent.
    if alice.packets + bob.packets != PACKETS {
        return Err(Error::Wrong(format!(
            "{} packets of {PACKETS} at {seq}",
            alice.packets + bob.packets
        )));
    }
    Ok(alice.bytes + bob.bytes)
}

/// How one says things in a dialect.
struct Dialect {
    name: &'static str,
    with_id: bool,
    send: &'static str,
    read: &'static str,
    messages: &'static str,
    receipts: &'static str,
    /// The properties of a message with or without an id.
    properties: fn(Option<&Id>) -> Vec<u8>,
    /// Its payload.
    message: fn(Option<&Id>) -> Vec<u8>,
    read_up_to: fn(u64) -> Vec<u8>,
    says_seq: fn(&[u8], u64) -> bool,
    says_delivered: fn(&[u8], u64) -> bool,
    says_read: fn(&[u8], u64) -> bool,
}

const JSON: Dialect = Dialect {
    name: "json",
    with_id: false,
    send: "chats/{chat}/send",
    read: "chats/{chat}/read",
    messages: "chats/+/messages",
    receipts: "chats/+/receipts",
    properties: |id| {
        let mut properties = Vec::new();
        // The shortest of the ways to give an id: in the topic it would undo the alias.
        if let Some(id) = id {
            properties.push(0x26);
            put_str(&mut properties, b"id");
            put_str(&mut properties, uuid::Uuid::from_bytes(*id).to_string().as_bytes());
        }
        properties
    },
    message: |_| BODY.into(),
    read_up_to: |seq| seq.to_string().into_bytes(),
    says_seq: |payload, seq| contains(payload, format!("\"seq\":{seq},").as_bytes()),
    says_delivered: |payload, seq| contains(payload, format!("\"delivered\":{seq},").as_bytes()),
    says_read: |payload, seq| contains(payload, format!("\"read\":{seq},").as_bytes()),
};

// The keys are those of docs/compact.md.
const COMPACT: Dialect = Dialect {
    name: "compact",
    with_id: false,
    send: "c/{chat}/s",
    read: "c/{chat}/d",
    messages: "c/+/m",
    receipts: "c/+/r",
    properties: |_| Vec::new(),
    message: |id| {
        let mut text = cbor_head(3, BODY.len() as u64);
        text.extend_from_slice(BODY.as_bytes());
        match id {
            None => text,
            Some(id) => [&[0xA2, 2][..], &text, &[5, 0x50], id].concat(),
        }
    },
    read_up_to: |seq| cbor_head(0, seq),
    says_seq: |payload, seq| contains(payload, &[&[0][..], &cbor_head(0, seq), &[1]].concat()),
    says_delivered: |payload, seq| contains(payload, &[&[0x11][..], &cbor_head(0, seq)].concat()),
    // Of two keys, so that nothing is unread.
    says_read: |payload, seq| {
        payload.first() == Some(&0xA2)
            && payload.ends_with(&[&[0x11][..], &cbor_head(0, seq)].concat())
    },
};

/// As differences to what came before in the connection: the first exchange sets what they are told from.
const DIFFERENCES: Dialect = Dialect {
    name: "differences",
    send: "chats/{chat}/send",
    message: |_| BODY.into(),
    messages: "c/+/m/d",
    receipts: "c/+/r/d",
    // Up to what was acknowledged.
    read_up_to: |_| Vec::new(),
    // The place is told by there being no step.
    says_seq: |payload, seq| match integer(payload) {
        Some((_, body)) => body == (COMPACT.message)(None),
        None => (COMPACT.says_seq)(payload, seq),
    },
    // One further, or as far as delivered.
    says_delivered: |payload, seq| match integer(payload) {
        Some((major, rest)) => major == 0 && rest.is_empty(),
        None => (COMPACT.says_delivered)(payload, seq),
    },
    says_read: |payload, seq| match integer(payload) {
        Some((major, rest)) => major == 1 && rest.is_empty(),
        None => (COMPACT.says_read)(payload, seq),
    },
    ..COMPACT
};

const CASES: [Dialect; 6] = [
    JSON,
    Dialect { with_id: true, ..JSON },
    COMPACT,
    Dialect { with_id: true, ..COMPACT },
    DIFFERENCES,
    // A map to the topic of maps: no other way to give an id is shorter.
    Dialect { with_id: true, send: COMPACT.send, message: COMPACT.message, ..DIFFERENCES },
];

/// The major type of the CBOR integer that a payload begins with, and what follows it.
fn integer(payload: &[u8]) -> Option<(u8, &[u8])> {
    let first = *payload.first()?;
    let width = match first & 0x1F {
        0..=23 => 0,
        info @ 24..=27 => 1 << (info - 24),
        _ => return None,
    };
    let major = first >> 5;
    (major < 2).then_some((major, payload.get(1 + width..)?))
}

/// The head of a CBOR item: major type and number, in the shortest form. Source: RFC 8949, section 3.
fn cbor_head(major: u8, number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let (info, from) = match number {
        0..=23 => return vec![major << 5 | bytes[7]],
        24..=0xFF => (24, 7),
        0x100..=0xFFFF => (25, 6),
        0x1_0000..=0xFFFF_FFFF => (26, 4),
        _ => (27, 0),
    };
    [&[major << 5 | info][..], &bytes[from..]].concat()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A client of MQTT 5 that counts, and uses topic aliases for all that it publishes.
struct Counter {
    stream: TcpStream,
    bytes: u64,
    packets: u32,
    aliases: Vec<String>,
    deadline: Deadline,
}

impl Counter {
    fn connect(server: &Server, user: &str, deadline: &Deadline) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&server.address(), deadline.left())
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(deadline.left()))?;
                Ok(stream)
            })
            .map_err(Error::io("open a connection"))?;
        let aliases = Vec::new();
        let mut counter =
            Self { stream, bytes: 0, packets: 0, aliases, deadline: deadline.clone() };
        // Clean start, a user name, no keep-alive.
        let mut body = b"\0\x04MQTT\x05\x82\0\0".to_vec();
        // Topic aliases, and no problem information: bare PUBACKs.
        body.extend_from_slice(&[5, 0x22]);
        body.extend_from_slice(&ALIASES.to_be_bytes());
        body.extend_from_slice(&[0x17, 0]);
        put_str(&mut body, format!("{user}-counter").as_bytes());
        put_str(&mut body, user.as_bytes());
        counter.send(0x10, &body)?;
        match counter.receive("CONNACK")? {
            (0x20, body) if body.get(1) == Some(&0) => Ok(counter),
            other => Err(Error::Wrong(format!("{other:02x?} in place of CONNACK"))),
        }
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Error> {
        let mut body = b"\0\x01\0".to_vec();
        put_str(&mut body, filter.as_bytes());
        body.push(1);
        self.send(0x82, &body)?;
        loop {
            match self.receive("SUBACK")? {
                (0x90, body) if body.ends_with(&[1]) => return Ok(()),
                // MQTT lets the server begin to deliver first.
                (0x32, body) => drop(self.acknowledge(&body)?),
                other => return Err(Error::Wrong(format!("{other:02x?} in place of SUBACK"))),
            }
        }
    }

    /// Publishes under an alias and takes the PUBACK, which says nothing more. What comes before it is
    /// acknowledged, and counted.
    fn publish(&mut self, topic: &str, properties: &[u8], payload: &[u8]) -> Result<(), Error> {
        const PACKET_ID: [u8; 2] = [0, 9];
        let known = self.aliases.iter().position(|had| had == topic);
        if known.is_none() {
            self.aliases.push(topic.to_owned());
        }
        let alias = known.unwrap_or(self.aliases.len() - 1) as u16 + 1;
        let mut body = Vec::new();
        put_str(&mut body, if known.is_some() { b"" } else { topic.as_bytes() });
        body.extend_from_slice(&PACKET_ID);
        body.push(3 + u8::try_from(properties.len()).expect("one id at most"));
        body.push(0x23);
        body.extend_from_slice(&alias.to_be_bytes());
        body.extend_from_slice(properties);
        body.extend_from_slice(payload);
        self.send(0x32, &body)?;
        loop {
            match self.receive("a PUBACK")? {
                (0x40, body) if body == PACKET_ID => return Ok(()),
                (0x32, body) => drop(self.acknowledge(&body)?),
                other => return Err(Error::Wrong(format!("{other:02x?} in place of a PUBACK"))),
            }
        }
    }

    /// Takes a PUBLISH at QoS 1 and acknowledges it; gives its payload.
    fn delivery(&mut self) -> Result<Vec<u8>, Error> {
        match self.receive("a delivery")? {
            (0x32, body) => self.acknowledge(&body),
            other => Err(Error::Wrong(format!("{other:02x?} in place of a delivery"))),
        }
    }

    /// Acknowledges the PUBLISH with this body; gives its payload.
    fn acknowledge(&mut self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let parts = || {
            let (topic_bytes, rest) = body.split_first_chunk::<2>()?;
            let rest = rest.get(usize::from(u16::from_be_bytes(*topic_bytes))..)?;
            let (packet_id, rest) = rest.split_first_chunk::<2>()?;
            // Shorter than 128 bytes, as an alias is all that there is.
            let (properties_bytes, rest) = rest.split_first()?;
            Some((u16::from_be_bytes(*packet_id), rest.get(usize::from(*properties_bytes)..)?))
        };
        let (packet_id, payload) =
            parts().ok_or_else(|| Error::Wrong(format!("malformed PUBLISH {body:02x?}")))?;
        let mut packet = Vec::new();
        put_puback(&mut packet, packet_id);
        self.write(&packet)?;
        Ok(payload.to_vec())
    }

    fn send(&mut self, first: u8, body: &[u8]) -> Result<(), Error> {
        let mut packet = Vec::new();
        put_frame(&mut packet, first, body);
        self.write(&packet)
    }

    fn write(&mut self, packet: &[u8]) -> Result<(), Error> {
        self.stream.write_all(packet).map_err(Error::io("send"))?;
        self.bytes += packet.len() as u64;
        self.packets += 1;
        Ok(())
    }

    /// The first byte and the body of the next packet.
    fn receive(&mut self, missing: &str) -> Result<(u8, Vec<u8>), Error> {
        self.deadline.check(|| missing.to_owned())?;
        let [first] = self.read(missing)?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let [byte] = self.read(missing)?;
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            match byte & 0x80 {
                0 => break,
                _ if shift > 14 => return Err(Error::Wrong("a packet above 2 MiB".into())),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.read_into(&mut body, missing)?;
        self.packets += 1;
        Ok((first, body))
    }

    fn read<const N: usize>(&mut self, missing: &str) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.read_into(&mut bytes, missing)?;
        Ok(bytes)
    }

    fn read_into(&mut self, bytes: &mut [u8], missing: &str) -> Result<(), Error> {
        self.stream.read_exact(bytes).map_err(Error::io(format!("wait for {missing}")))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_the_shortest_form() {
        // RFC 8949, appendix A.
        let expected: [(u64, &[u8]); 6] = [
            (23, &[0x17]),
            (24, &[0x18, 24]),
            (100, &[0x18, 0x64]),
            (1000, &[0x19, 0x03, 0xE8]),
            (1_000_000, &[0x1A, 0, 0x0F, 0x42, 0x40]),
            (1_000_000_000_000, &[0x1B, 0, 0, 0, 0xE8, 0xD4, 0xA5, 0x10, 0]),
        ];
        for (number, bytes) in expected {
            assert_eq!(cbor_head(0, number), bytes);
        }
        assert_eq!(cbor_head(3, 20), [0x74]);
    }

    #[test]
    fn differences_of_docs_compact_md() {
        let message = [&[0x18, 30, 0x74][..], BODY.as_bytes()].concat();
        assert!((DIFFERENCES.says_seq)(&message, 8) && !(DIFFERENCES.says_seq)(&message[..9], 8));
        let (delivered, read) = ([0x18, 25], [0x25]);
        assert!(
            (DIFFERENCES.says_delivered)(&delivered, 8) && !(DIFFERENCES.says_read)(&delivered, 8)
        );
        assert!((DIFFERENCES.says_read)(&read, 8) && !(DIFFERENCES.says_delivered)(&read, 8));
        assert!(!(DIFFERENCES.says_delivered)(&[0x18, 25, 3, 1], 8));
        assert_eq!(integer(b"\xa2\x01"), None);
    }

    #[test]
    fn receipts_of_docs_compact_md() {
        let at = [1, 0x1B, 0, 0, 1, 0x9A, 0xB6, 0x97, 0xE8, 0];
        let delivered = [&[0xA3][..], &at, &[0x11, 7, 0x12, 1]].concat();
        let read = [&[0xA2][..], &at, &[0x11, 7]].concat();
        assert!((COMPACT.says_delivered)(&delivered, 7) && !(COMPACT.says_read)(&delivered, 7));
        assert!((COMPACT.says_read)(&read, 7) && !(COMPACT.says_read)(&read, 8));
    }
}
