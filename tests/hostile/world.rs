//! Servers with small limits, and clients by hand that do as they like.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Server, bluetick};

pub(crate) const QUOTA_EXCEEDED: u8 = 0x97;
pub(crate) const PACKET_TOO_LARGE: u8 = 0x95;
pub(crate) const KEEP_ALIVE_TIMEOUT: u8 = 0x8D;

pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const DISCONNECT: u8 = 0xE0;

/// A server for anybody with these limits, by their keys.
pub(crate) fn start(data_dir: &Path, limits: &[(&str, &str)]) -> Server {
    start_at(data_dir, "127.0.0.1:0", limits)
}

/// The same, listening for MQTT as said.
pub(crate) fn start_at(data_dir: &Path, mqtt: &str, limits: &[(&str, &str)]) -> Server {
    let mut command = bluetick();
    command.args(["serve", "--log", "error", "--dev", "--mqtt", mqtt, "--http", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(data_dir);
    for (key, value) in limits {
        command.env(format!("BLUETICK_LIMITS__{}", key.to_uppercase()), value);
    }
    Server::spawn(&mut command, 2)
}

/// A figure of `/metrics`.
pub(crate) fn figure(server: &Server, name: &str) -> u64 {
    let mut stream = server.connect_to("http");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse::<f64>().expect("a number") as u64
}

/// How often a limit was reached.
pub(crate) fn reached(server: &Server, limit: &str) -> u64 {
    figure(server, &format!("bluetick_limits_reached_total{{limit=\"{limit}\"}}"))
}

/// The server's memory, MiB.
pub(crate) fn resident_mib(server: &Server) -> u64 {
    figure(server, "process_resident_memory_bytes") >> 20
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a client says when it connects.
#[derive(Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) user: &'a str,
    pub(crate) id: &'a str,
    /// Seconds that the session outlives the connection; then it is not begun anew either.
    pub(crate) expiry_s: u32,
    /// More properties, as bytes.
    pub(crate) properties: &'a [u8],
}

impl<'a> Hello<'a> {
    pub(crate) fn of(user: &'a str) -> Self {
        Self { user, id: user, expiry_s: 0, properties: &[] }
    }

    /// CONNECT of MQTT 5, without keep-alive.
    pub(crate) fn packet(self) -> Vec<u8> {
        let mut body = b"\x00\x04MQTT\x05".to_vec();
        body.push(if self.expiry_s == 0 { 0x82 } else { 0x80 });
        body.extend([0, 0]);
        body.push(u8::try_from(5 + self.properties.len()).expect("few"));
        body.push(0x11);
        body.extend(self.expiry_s.to_be_bytes());
        body.extend(self.properties);
        put_text(&mut body, self.id);
        put_text(&mut body, self.user);
        packet(0x10, &body)
    }
}

/// A client.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    /// Connects and is let in.
    pub(crate) fn connect(server: &Server, hello: Hello<'_>) -> Self {
        let (client, reason) = Self::try_connect(server.connect(), hello);
        assert_eq!(reason, 0, "{} is let in", hello.user);
        client
    }

    /// Says hello over a connection; gives CONNACK's reason.
    pub(crate) fn try_connect(stream: TcpStream, hello: Hello<'_>) -> (Self, u8) {
        let mut client = Self(stream);
        client.send(&hello.packet());
        let (first, body) = client.next();
        assert_eq!(first, 0x20);
        (client, body[1])
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("sent");
    }

    /// The next packet: its first byte and what follows the length.
    pub(crate) fn next(&mut self) -> (u8, Vec<u8>) {
        let mut first = [0];
        self.0.read_exact(&mut first).expect("a packet");
        let (mut length, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a length");
            length |= usize::from(byte[0] & 0x7F) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("all of it");
        (first[0], body)
    }

    /// Subscribes at QoS 1; the codes that come back.
    pub(crate) fn subscribe(&mut self, filters: &[String]) -> Vec<u8> {
        self.send(&subscribe(filters));
        let (first, body) = self.next();
        assert_eq!(first, 0x90, "{:?}", body.first());
        let (length, bytes) = var_int(&body[2..]);
        body[2 + bytes + length..].to_vec()
    }

    /// Publishes at QoS 1; the reason that comes back.
    pub(crate) fn publish(&mut self, topic: &str, body: &[u8], retain: bool) -> u8 {
        self.send(&publish(topic, body, 1, retain));
        let (first, body) = self.next();
        assert_eq!(first, PUBACK, "{body:?}");
        body.get(2).copied().unwrap_or(0)
    }

    /// The next message, acknowledged: its topic and body.
    pub(crate) fn message(&mut self) -> (String, Vec<u8>) {
        let (first, packet) = self.next();
        assert_eq!(first >> 4, 3, "a message: {first:#04x} {packet:02x?}");
        let length = usize::from(u16::from_be_bytes([packet[0], packet[1]]));
        let topic = String::from_utf8(packet[2..2 + length].to_vec()).expect("text");
        let mut rest = &packet[2 + length..];
        if first & 6 != 0 {
            self.send(&[PUBACK, 2, rest[0], rest[1]]);
            rest = &rest[2..];
        }
        let (length, bytes) = var_int(rest);
        (topic, rest[bytes + length..].to_vec())
    }

    /// The server ends the connection, with this reason.
    pub(crate) fn is_ended(&mut self, reason: u8) {
        let (first, body) = self.next();
        assert_eq!((first, body.first()), (DISCONNECT, Some(&reason)));
        assert_eq!(self.0.read(&mut [0]).unwrap_or(0), 0, "and closes");
    }
}

/// Two who chat and must not notice anything.
pub(crate) struct Bystanders {
    alice: Client,
    bob: Client,
    said: u32,
}

impl Bystanders {
    pub(crate) fn connect(server: &Server) -> Self {
        let alice = Client::connect(server, Hello::of("alice"));
        let mut bob = Client::connect(server, Hello::of("bob"));
        let filters = ["chats/+/messages".to_owned(), "pub/talk".to_owned()];
        assert_eq!(bob.subscribe(&filters), [1, 1]);
        Self { alice, bob, said: 0 }
    }

    /// A message to a chat and one to a plain topic are acknowledged and arrive.
    pub(crate) fn talk(&mut self) {
        self.said += 1;
        let body = format!("word {}", self.said);
        assert_eq!(self.alice.publish("users/bob/send", body.as_bytes(), false), 0);
        let heard = String::from_utf8(self.bob.message().1).expect("text");
        assert!(heard.contains(&body), "{heard}");
        assert_eq!(self.alice.publish("pub/talk", body.as_bytes(), false), 0);
        assert_eq!(self.bob.message(), ("pub/talk".to_owned(), body.into_bytes()));
    }
}

/// A variable byte integer, and how many bytes it has.
fn var_int(bytes: &[u8]) -> (usize, usize) {
    let more = bytes.iter().take_while(|byte| **byte & 0x80 != 0).count();
    let digits = bytes[..=more].iter().rev();
    (digits.fold(0, |value, byte| value << 7 | usize::from(byte & 0x7F)), more + 1)
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
    out.extend(text.as_bytes());
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            out.push(low);
            break;
        }
        out.push(low | 0x80);
    }
    out.extend(body);
    out
}

pub(crate) fn subscribe(filters: &[String]) -> Vec<u8> {
    let mut body = vec![0, 1, 0];
    for filter in filters {
        put_text(&mut body, filter);
        body.push(1);
    }
    packet(0x82, &body)
}

pub(crate) fn publish(topic: &str, payload: &[u8], qos: u8, retain: bool) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, topic);
    if qos > 0 {
        body.extend([0, 1]);
    }
    body.push(0);
    body.extend(payload);
    packet(0x30 | qos << 1 | u8::from(retain), &body)
}
