//! The PROXY header: whose address counts, and what is none.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::support::{Server, read_to_end};
use crate::world::{Authority, CONNECT, TlsClient, log_in, start_logged, until};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The header of a client at this address.
fn header(source: Ipv4Addr) -> Vec<u8> {
    let mut bytes = [SIGNATURE, b"\x21\x11\0\x0C"].concat();
    bytes.extend(source.octets());
    bytes.extend(b"\x7F\0\0\x01\x10\0\x07\x5B");
    bytes
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

#[test]
fn the_address_of_the_header_is_told_also_below_tls() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let pair = authority.issue("server", "server", &["localhost"]);
    let flags = ["--dev", "--mqtt", "127.0.0.1:0+proxy", "--mqtts", "127.0.0.1:0+proxy"];
    let (server, log) = start_logged(dir.path(), &[&flags[..], &pair.flags()].concat(), &[]);
    let mut stream = server.connect();
    stream.write_all(&header(CLIENT)).expect("sent");
    log_in(&mut stream);
    drop(stream);
    log.wait_for(&["192.0.2.1:4096"]);
    let mut stream = server.connect_to("mqtts");
    stream.write_all(&header(OTHER)).expect("sent");
    let client = TlsClient::trusting(&authority);
    log_in(&mut client.connect(stream, "localhost").expect("TLS"));
    log.wait_for(&["192.0.2.2:4096"]);
    // A health check speaks for itself.
    let mut stream = server.connect();
    stream.write_all(&[SIGNATURE, b"\x20\0\0\0"].concat()).expect("sent");
    log_in(&mut stream);
}

/// A connection of somebody at this address who tries a wrong password.
fn guess(server: &Server, source: Ipv4Addr) -> TcpStream {
    let wrong = b"\x10\x17\x00\x04MQTT\x04\xC2\x00\x00\x00\x01m\x00\x05alice\x00\x01x";
    let mut stream = server.connect();
    stream.write_all(&[&header(source)[..], wrong].concat()).expect("sent");
    stream
}

#[test]
fn wrong_passwords_slow_down_the_address_of_the_header() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = ["--mqtt", "127.0.0.1:0+proxy"];
    let server = Server::start_with(dir.path(), &flags);
    // 3.1.1: 3 is "server unavailable" (too many wait), 4 a wrong password.
    let crowd: Vec<_> = (0..16).map(|_| guess(&server, CLIENT)).collect();
    until("the throttle to have enough of him", || {
        crowd.iter().any(|stream| {
            stream.set_nonblocking(true).expect("set");
            let mut connack = [0; 4];
            matches!(stream.peek(&mut connack), Ok(4)) && connack[3] == 3
        })
    });
    let mut connack = [0; 4];
    guess(&server, OTHER).read_exact(&mut connack).expect("a CONNACK");
    assert_eq!(connack[3], 4, "another one is asked meanwhile");
}

#[test]
fn only_who_expects_a_header_takes_one_and_only_version_2() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = ["--dev", "--mqtt", "127.0.0.1:0"];
    let server = Server::start_with(&dir.path().join("a"), &flags);
    let mut stream = server.connect();
    stream.write_all(&[&header(CLIENT), CONNECT].concat()).expect("sent");
    assert_eq!(read_to_end(&mut stream), b"", "not asked for");

    let flags = ["--dev", "--mqtt", "127.0.0.1:0+proxy"];
    let mut server = Server::start_with(&dir.path().join("b"), &flags);
    let too_long = [SIGNATURE, b"\x21\x11\xFF\xFF"].concat();
    let unknown = [SIGNATURE, b"\x22\x11\0\x0C"].concat();
    for (name, bytes) in [
        ("no header", CONNECT),
        ("version 1", b"PROXY TCP4 192.0.2.1 127.0.0.1 4096 1883\r\n"),
        ("a header of 65535 bytes", &too_long),
        ("an unassigned command", &unknown),
    ] {
        let mut stream = server.connect();
        stream.write_all(bytes).expect("sent");
        assert_eq!(read_to_end(&mut stream), b"", "{name}");
        assert!(server.is_alive(), "{name}");
    }
}
