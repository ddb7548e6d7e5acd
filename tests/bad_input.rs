//! What a peer may send: every packet malformed in many ways, over a socket. The server stays up,
//! closes with the specification's reason code, and other clients notice nothing.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use fastrand::Rng;
use support::{Server, err, out, read_to_end, run};

const CONNECT_V4: &[u8] = b"\x10\x14\x00\x04MQTT\x04\x82\x00\x00\x00\x01m\x00\x05mally";
const CONNECT_V5: &[u8] = b"\x10\x15\x00\x04MQTT\x05\x82\x00\x00\x00\x00\x01m\x00\x05mally";

/// A connection that was let in.
fn connected(server: &Server, connect: &[u8]) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(connect).expect("sent");
    let mut header = [0; 2];
    stream.read_exact(&mut header).expect("a CONNACK");
    assert_eq!(header[0], 0x20);
    let mut rest = vec![0; usize::from(header[1])];
    stream.read_exact(&mut rest).expect("the rest");
    assert_eq!(rest[1], 0, "let in");
    stream
}

/// What follows a packet of a connected client of MQTT 5: the reason of the DISCONNECT.
fn reason_after(server: &Server, packet: &[u8]) -> Option<u8> {
    let mut stream = connected(server, CONNECT_V5);
    stream.write_all(packet).expect("sent");
    let bytes = read_to_end(&mut stream);
    // Answers to what was valid before may stand in front of it.
    let at = bytes.windows(2).position(|pair| pair[0] == 0xE0 && pair[1] > 0)?;
    bytes.get(at + 2).copied()
}

/// MQTT 5: [MQTT-3.14.2-1], [MQTT-3.14.4-2], [MQTT-4.13.1-1], [MQTT-4.13.2-1].
#[test]
fn malformed_packets_get_the_specifications_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    let cases: &[(&str, &[u8], u8)] = &[
        ("a second CONNECT", CONNECT_V5, 0x82),
        ("a packet of type 0", b"\x00\x00", 0x81),
        ("a server's CONNACK", b"\x20\x03\x00\x00\x00", 0x82),
        ("a server's SUBACK", b"\x90\x04\x00\x01\x00\x00", 0x82),
        ("a server's PINGRESP", b"\xD0\x00", 0x82),
        ("a length of five bytes", b"\x30\xFF\xFF\xFF\xFF\x01", 0x81),
        ("a packet that is announced too large", b"\x30\xFF\xFF\xFF\x7F", 0x95),
        ("PUBLISH at QoS 3", b"\x36\x06\x00\x01a\x00\x01\x00", 0x81),
        ("PUBLISH with DUP at QoS 0", b"\x38\x04\x00\x01a\x00", 0x81),
        ("PUBLISH with packet id 0", b"\x32\x06\x00\x01a\x00\x00\x00", 0x82),
        ("PUBLISH to a wildcard", b"\x30\x04\x00\x01#\x00", 0x90),
        ("PUBLISH to nothing", b"\x30\x03\x00\x00\x00", 0x82),
        ("PUBLISH with a NUL in its topic", b"\x30\x04\x00\x01\x00\x00", 0x81),
        ("PUBLISH whose topic is not UTF-8", b"\x30\x04\x00\x01\xFF\x00", 0x81),
        ("PUBLISH with an alias too high", b"\x30\x07\x00\x01a\x03\x23\xFF\xFF", 0x94),
        ("PUBLISH with an alias never set", b"\x30\x06\x00\x00\x03\x23\x00\x05", 0x82),
        ("PUBLISH with a property twice", b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00", 0x82),
        ("PUBLISH with an unknown property", b"\x30\x06\x00\x01a\x02\x7F\x00", 0x81),
        ("SUBSCRIBE without filters", b"\x82\x03\x00\x01\x00", 0x82),
        ("SUBSCRIBE with wrong flags", b"\x80\x07\x00\x01\x00\x00\x01a\x00", 0x81),
        ("SUBSCRIBE with reserved bits", b"\x82\x07\x00\x01\x00\x00\x01a\xC0", 0x81),
        ("UNSUBSCRIBE without filters", b"\xA2\x03\x00\x01\x00", 0x82),
        ("PUBREL with wrong flags", b"\x60\x02\x00\x01", 0x81),
        ("PUBACK of one byte", b"\x40\x01\x00", 0x81),
        ("PINGREQ with a body", b"\xC0\x01\x00", 0x81),
        ("AUTH without a method", b"\xF0\x00", 0x82),
        ("a DISCONNECT that is cut short", b"\xE0\x01\x04", 0x04),
    ];
    for (name, packet, expected) in cases {
        if *name == "a DISCONNECT that is cut short" {
            // A reason without properties is allowed: the client said goodbye, nothing follows.
            assert_eq!(reason_after(&server, packet), None, "{name}");
        } else {
            assert_eq!(reason_after(&server, packet), Some(*expected), "{name}");
        }
        assert!(server.is_alive(), "{name}");
    }
}

/// MQTT 5: [MQTT-3.1.0-1], [MQTT-3.1.2-1], [MQTT-3.1.2-2], [MQTT-3.1.4-2], [MQTT-3.2.2-7],
/// MQTT 5: [MQTT-4.12.0-1].
/// MQTT 3.1.1: [MQTT-3.1.0-1], [MQTT-3.1.2-2], [MQTT-3.1.3-8], [MQTT-3.1.4-1], [MQTT-3.2.2-5].
#[test]
fn what_is_no_connect_is_closed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    let cases: &[(&str, &[u8], &[u8])] = &[
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n", b""),
        ("PUBLISH first", b"\x30\x04\x00\x01ax", b""),
        ("MQTT 3.1", b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01a", b"\x20\x02\x00\x01"),
        ("protocol level 6", b"\x10\x0D\x00\x04MQTT\x06\x02\x00\x00\x00\x01a", b"\x20\x02\x00\x01"),
        ("no user name", b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01a", b"\x20\x02\x00\x04"),
        (
            "no id, no clean session",
            b"\x10\x13\x00\x04MQTT\x04\x80\x00\x00\x00\x00\x00\x05mally",
            b"\x20\x02\x00\x02",
        ),
        ("reserved flag", b"\x10\x0D\x00\x04MQTT\x04\x03\x00\x00\x00\x01a", b""),
    ];
    for (name, packet, expected) in cases {
        let mut stream = server.connect();
        stream.write_all(packet).expect("sent");
        assert_eq!(read_to_end(&mut stream), *expected, "{name}");
    }
    let mut stream = server.connect();
    let method = b"\x10\x18\x00\x04MQTT\x05\x02\x00\x00\x0B\x15\x00\x08SCRAM-XX\x00\x01a";
    let mut method = method.to_vec();
    method[1] = u8::try_from(method.len() - 2).expect("short");
    stream.write_all(&method).expect("sent");
    let answer = read_to_end(&mut stream);
    assert_eq!(answer.get(3), Some(&0x8C), "enhanced authentication: {answer:02x?}");
    assert!(server.is_alive());
}

#[test]
fn more_than_the_receive_maximum_is_too_much_for_mqtt_5_and_slow_for_3_1_1() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = ["--dev", "--mqtt", "127.0.0.1:0"];
    let server = Server::start_with(dir.path(), &flags);
    // QoS 2 without PUBREL keeps each open; the default maximum is 100.
    let publish = |v5: bool, id: u16| {
        let mut packet = vec![0x34, if v5 { 7 } else { 6 }, 0, 1, b'a'];
        packet.extend(id.to_be_bytes());
        if v5 {
            packet.push(0);
        }
        packet.push(b'x');
        packet
    };
    let flood: Vec<u8> = (1..=101).flat_map(|id| publish(true, id)).collect();
    assert_eq!(reason_after(&server, &flood), Some(0x93));
    let mut stream = connected(&server, CONNECT_V4);
    let flood: Vec<u8> = (1..=150).flat_map(|id| publish(false, id)).collect();
    stream.write_all(&flood).expect("sent");
    let mut answers = vec![0; 4 * 100];
    stream.read_exact(&mut answers).expect("a hundred PUBRECs");
    assert!(answers.chunks(4).all(|answer| answer[0] == 0x50));
}

#[test]
fn random_mutations_disturb_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    let mut random = Rng::with_seed(42);
    let valid: &[&[u8]] = &[
        CONNECT_V4,
        CONNECT_V5,
        b"\x32\x12\x00\x0Eusers/bob/send\x00\x07",
        b"\x33\x15\x00\x0Eusers/bob/send\x00\x07\x00hi",
        b"\x82\x16\x00\x01\x00\x00\x10chats/+/messages\x01",
        b"\x82\x15\x00\x01\x00\x10chats/+/messages\x01",
        b"\xA2\x15\x00\x02\x00\x00\x10chats/+/messages",
        b"\x40\x02\x00\x01",
        b"\x62\x02\x00\x01",
        b"\x50\x02\x00\x01",
        b"\xC0\x00",
        b"\xE0\x00",
    ];
    for round in 0..600 {
        let connect = if random.bool() { CONNECT_V4 } else { CONNECT_V5 };
        let mut bytes = connect.to_vec();
        for _ in 0..random.usize(1..6) {
            let mut packet = valid[random.usize(..valid.len())].to_vec();
            for _ in 0..random.usize(..4) {
                let at = random.usize(..packet.len());
                packet[at] = random.u8(..);
            }
            bytes.extend(packet);
        }
        let mut stream = server.connect();
        // The server may close in the middle of it.
        if stream.write_all(&bytes).is_ok() {
            let _closed = stream.shutdown(std::net::Shutdown::Write);
            read_to_end(&mut stream);
        }
        assert!(server.is_alive(), "round {round}: {bytes:02x?}");
    }
    // Others converse as if nothing had been.
    assert!(server.publish("alice", "users/carol/send", "still here", &[]).status.success());
    let mut command = server.mosquitto("mosquitto_sub", "carol", "c");
    let output =
        run(command.args(["-q", "1", "-t", "chats/alice~carol/messages", "-C", "1", "-W", "25"]));
    assert!(out(&output).contains("still here"), "{}{}", out(&output), err(&output));
    assert_eq!(server.terminate(), Some(0));
}
