//! WebSocket: paho, every framing of packets, and what ends a connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::support::{Server, err, out, read_to_end, run};
use crate::world::{Authority, CONNACK, CONNECT, PINGREQ, PINGRESP, text};

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn start(dir: &Path) -> Server {
    Server::start_with(dir, &["--dev", "--mqtt", "127.0.0.1:0", "--ws", "127.0.0.1:0"])
}

/// Sends a request and gives the head of the answer.
fn request(server: &Server, more: &str) -> (TcpStream, String) {
    let mut stream = server.connect_to("ws");
    stream.write_all(format!("{REQUEST}{more}\r\n").as_bytes()).expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).expect("text").to_lowercase())
}

/// A WebSocket for MQTT.
fn connect(server: &Server) -> TcpStream {
    let (stream, head) = request(server, "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n");
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-protocol: mqtt\r\n"), "{head}");
    // RFC 6455 §1.3 has this very key.
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    stream
}

fn frame(is_final: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(u8::from(is_final) << 7) | opcode];
    match u16::try_from(payload.len()).expect("short") {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The server's next frame: what kind, and what is in it.
fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a frame");
    assert_eq!(head[0] & 0x80, 0x80, "not fragmented");
    assert!(head[1] < 126, "short and not masked");
    let mut payload = vec![0; usize::from(head[1])];
    stream.read_exact(&mut payload).expect("its payload");
    (head[0] & 0x0F, payload)
}

fn send(stream: &mut TcpStream, frames: &[Vec<u8>]) {
    stream.write_all(&frames.concat()).expect("sent");
}

/// Bytes of MQTT, however they are framed.
fn read_mqtt(stream: &mut TcpStream, expected: &[u8]) {
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let (opcode, payload) = read_frame(stream);
        assert_eq!(opcode, BINARY);
        got.extend(payload);
    }
    assert_eq!(got, expected);
}

/// MQTT 5: [MQTT-6.0.0-2], [MQTT-6.0.0-4].
/// MQTT 3.1.1: [MQTT-6.0.0-2], [MQTT-6.0.0-4].
#[test]
fn packets_and_frames_begin_and_end_where_they_like() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let mut stream = connect(&server);
    // Several packets in one frame.
    send(&mut stream, &[frame(true, BINARY, &[CONNECT, PINGREQ, PINGREQ].concat())]);
    read_mqtt(&mut stream, &[CONNACK, PINGRESP, PINGRESP].concat());
    // One packet over several frames, an empty one and a ping between them.
    send(&mut stream, &[frame(true, BINARY, &PINGREQ[..1]), frame(true, BINARY, b"")]);
    send(&mut stream, &[frame(true, PING, b"hello")]);
    assert_eq!(read_frame(&mut stream), (PONG, b"hello".to_vec()));
    send(&mut stream, &[frame(true, PONG, b"unasked"), frame(true, BINARY, &PINGREQ[1..])]);
    read_mqtt(&mut stream, PINGRESP);
    // One over the fragments of a message, with a ping between those.
    send(
        &mut stream,
        &[
            frame(false, BINARY, &PINGREQ[..1]),
            frame(true, PING, b""),
            frame(false, CONTINUATION, b""),
            frame(true, CONTINUATION, &PINGREQ[1..]),
        ],
    );
    assert_eq!(read_frame(&mut stream), (PONG, Vec::new()));
    read_mqtt(&mut stream, PINGRESP);
    // Byte by byte on the wire.
    for byte in frame(true, BINARY, PINGREQ) {
        stream.write_all(&[byte]).expect("sent");
    }
    read_mqtt(&mut stream, PINGRESP);
    // A closing frame is answered by one, and that is the end.
    send(&mut stream, &[frame(true, CLOSE, &1000_u16.to_be_bytes())]);
    assert_eq!(read_frame(&mut stream), (CLOSE, 1000_u16.to_be_bytes().to_vec()));
    assert_eq!(read_to_end(&mut stream), b"");
}

#[test]
fn a_frame_may_come_with_the_request() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    let mut stream = server.connect_to("ws");
    let request = format!("{REQUEST}Sec-WebSocket-Protocol: mqtt\r\n\r\n");
    stream.write_all(&[request.as_bytes(), &frame(true, BINARY, CONNECT)].concat()).expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(CONNACK) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
}

/// MQTT 5: [MQTT-6.0.0-1].
/// MQTT 3.1.1: [MQTT-6.0.0-1].
#[test]
fn what_rfc_6455_and_mqtt_forbid_ends_the_connection_with_its_code() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = start(dir.path());
    let unmasked = [[0x82, 2].as_slice(), PINGREQ].concat();
    // Announced, never sent: nothing of it has to be kept.
    let oversized = b"\x82\xFF\0\0\0\0\x7F\xFF\xFF\xFF\x01\x02\x03\x04".to_vec();
    let endless = frame(false, BINARY, &[0xC0; 60_000]);
    let more = frame(false, CONTINUATION, &[0xC0; 60_000]);
    let endless = [endless, more.repeat(20)].concat();
    for logged_in in [false, true] {
        for (name, bytes, code) in [
            ("a text frame", frame(true, TEXT, b"hello"), 1003),
            ("text that is none", frame(true, TEXT, b"\xFF"), 1007),
            ("an unmasked frame", unmasked.clone(), 1002),
            ("a reserved opcode", frame(true, 3, b""), 1002),
            ("a reserved bit", frame(true, 0x40 | BINARY, b""), 1002),
            ("a fragmented ping", frame(false, PING, b""), 1002),
            ("a continuation of nothing", frame(true, CONTINUATION, b""), 1002),
            ("an oversized frame", oversized.clone(), 1009),
            ("fragments without end", endless.clone(), 1009),
        ] {
            let mut stream = connect(&server);
            if logged_in {
                send(&mut stream, &[frame(true, BINARY, CONNECT)]);
                read_mqtt(&mut stream, CONNACK);
            }
            // The server may close in the middle of it.
            let _cut = stream.write_all(&bytes);
            let (opcode, payload) = read_frame(&mut stream);
            assert_eq!(
                (opcode, payload.get(..2)),
                (CLOSE, Some(&u16::to_be_bytes(code)[..])),
                "{name}"
            );
            assert_eq!(read_to_end(&mut stream), b"", "{name}");
            assert!(server.is_alive(), "{name}");
        }
    }
}

#[test]
fn what_cannot_become_a_websocket_is_told_what_to_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path());
    for protocol in ["", "Sec-WebSocket-Protocol: wamp, MQTT\r\n"] {
        let (mut stream, head) = request(&server, protocol);
        assert!(head.starts_with("http/1.1 400 "), "{head}");
        let body = String::from_utf8(read_to_end(&mut stream)).expect("text");
        assert!(body.contains("Sec-WebSocket-Protocol: mqtt"), "{body}");
    }
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000));
    for (name, sent, status) in [
        ("a page", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("a form", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("an old version", "GET / HTTP/1.0\r\n\r\n", "400"),
        ("garbage", "\x01\x02\x03 garbage\r\n\r\n", "400"),
        ("MQTT", "\x10\x14\0\x04MQTT", "400"),
        ("too long", &long, "431"),
    ] {
        let mut stream = server.connect_to("ws");
        stream.write_all(sent.as_bytes()).expect("sent");
        let answer = String::from_utf8(read_to_end(&mut stream)).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
        assert!(answer.contains("This is MQTT over WebSocket"), "{name}: {answer}");
    }
}

#[test]
fn paho_converses_over_both_with_messages_of_many_frames() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let pair = authority.issue("server", "server", &["localhost"]);
    let flags = ["--dev", "--ws", "127.0.0.1:0", "--wss", "127.0.0.1:0"];
    let flags = [&flags[..], &pair.flags()].concat();
    let server = Server::start_with(&dir.path().join("data"), &flags);
    let python = std::env::var("BLUETICK_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("BLUETICK_TEST_PYTHON names no Python with paho-mqtt; run `make test`")
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/paho/websocket.py");
    for (kind, authority) in [("ws", ""), ("wss", text(&authority.file))] {
        let port = server.listener(kind).port().to_string();
        let output = run(Command::new(&python).arg(&script).args([&port, authority]));
        assert!(output.status.success(), "{kind}: {}{}", out(&output), err(&output));
        assert_eq!(out(&output).lines().last(), Some("all came"), "{}", out(&output));
    }
}
