//! Sessions over connections that follow each other at once: nothing of an ended one comes back,
//! and what the client said last of how long it lives is what counts.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;
use support::{Server, bluetick, err, out, run};

/// A CONNECT of `device` that is to be known by its session; `expiry_s` makes it one of MQTT 5.
fn connect(server: &Server, clean: bool, expiry_s: Option<u32>) -> (TcpStream, bool) {
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([if expiry_s.is_some() { 5 } else { 4 }, 0x80 | u8::from(clean) << 1, 0, 0]);
    if let Some(expiry_s) = expiry_s {
        body.extend([5, 0x11]);
        body.extend(expiry_s.to_be_bytes());
    }
    body.extend(b"\x00\x06device\x00\x05alice");
    let mut stream = server.connect();
    stream.write_all(&packet(0x10, &body)).expect("sent");
    let answer = read(&mut stream);
    assert_eq!(answer[3], 0, "let in");
    (stream, answer[2] == 1)
}

fn subscribe(stream: &mut TcpStream, mqtt5: bool) {
    let mut body = vec![0, 1];
    body.extend(mqtt5.then_some(0));
    body.extend(b"\x00\x01t\x01");
    stream.write_all(&packet(0x82, &body)).expect("sent");
    assert_eq!(read(stream).last(), Some(&1), "granted");
}

/// DISCONNECT of MQTT 5 with another session expiry; until the server has closed.
fn disconnect(mut stream: TcpStream, expiry_s: u32) {
    let mut body = vec![0, 5, 0x11];
    body.extend(expiry_s.to_be_bytes());
    stream.write_all(&packet(0xE0, &body)).expect("sent");
    stream.read_to_end(&mut Vec::new()).expect("closed");
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).expect("short");
    [&[first, length], body].concat()
}

fn read(stream: &mut TcpStream) -> Vec<u8> {
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet).expect("a packet");
    packet.resize(2 + usize::from(packet[1]), 0);
    stream.read_exact(&mut packet[2..]).expect("all of it");
    packet
}

/// Its end was not in the store yet when the next connection looked there.
#[test]
fn a_session_that_a_clean_one_has_ended_never_comes_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    for _ in 0..10 {
        let (mut stream, present) = connect(&server, false, None);
        assert!(!present, "a clean session was in between");
        subscribe(&mut stream, false);
        drop(stream);
        let (mut stream, present) = connect(&server, true, None);
        assert!(!present, "it is clean");
        subscribe(&mut stream, false);
        drop(stream);
    }
}

#[test]
fn the_expiry_of_disconnect_is_the_one_that_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    for (expiry_s, then_present) in [(0, false), (4000, true)] {
        let (stream, _) = connect(&server, true, Some(7));
        disconnect(stream, expiry_s);
        let (stream, present) = connect(&server, false, Some(7));
        assert_eq!(present, then_present, "DISCONNECT said {expiry_s} s");
        disconnect(stream, 4000);
    }
    assert_eq!(server.terminate(), Some(0));
    let data_dir = dir.path().to_str().expect("UTF-8");
    let asked = ["inspect", "device", "alice", "device", "--json", "--data-dir", data_dir];
    let inspected = run(bluetick().args(asked));
    assert!(inspected.status.success(), "{}", err(&inspected));
    let first = out(&inspected).lines().next().unwrap_or_default().to_owned();
    let device: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(device["expiry_s"], 4000, "{device}");
}

/// MQTT 5 §3.1.2.11.2: a session that is resumed with an expiry of 0 ends with that connection.
#[test]
fn a_session_that_was_resumed_for_the_last_time_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (mut stream, _) = connect(&server, true, Some(4000));
    subscribe(&mut stream, true);
    disconnect(stream, 4000);
    let (stream, present) = connect(&server, false, Some(0));
    assert!(present);
    disconnect(stream, 0);
    assert!(!connect(&server, false, Some(0)).1, "its last connection is over");
}

/// Its acknowledgement was not read yet when the next connection took the session over.
#[test]
fn what_was_acknowledged_before_a_goodbye_does_not_come_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (mut stream, _) = connect(&server, false, None);
    subscribe(&mut stream, false);
    for _ in 0..300 {
        stream.write_all(&packet(0x32, b"\x00\x01t\x00\x01x")).expect("sent");
        let both = [read(&mut stream), read(&mut stream)];
        let publish = both.iter().find(|packet| packet[0] == 0x32).expect("the message");
        let last_words = [&packet(0x40, &publish[5..7]), &b"\xE0\x00"[..]].concat();
        stream.write_all(&last_words).expect("sent");
        (stream, _) = connect(&server, false, None);
        stream.write_all(b"\xC0\x00").expect("sent");
        assert_eq!(read(&mut stream)[0], 0xD0, "nothing but the answer to PINGREQ");
    }
}
