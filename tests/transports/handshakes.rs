//! Handshakes that stall, and too many of anything.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use crate::support::{Server, bluetick, read_to_end};
use crate::world::{Authority, CONNECT, TlsClient, log_in, start_logged, text};

const PORTS: &[&str] = &[
    "--dev",
    "--mqtt",
    "127.0.0.1:0+proxy",
    "--mqtts",
    "127.0.0.1:0",
    "--ws",
    "127.0.0.1:0",
    "--wss",
    "127.0.0.1:0",
];

#[test]
fn whoever_stalls_is_closed_when_the_time_is_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(dir.path(), "authority");
    let pair = authority.issue("server", "server", &["localhost"]);
    let settings = [("BLUETICK_LIMITS__CONNECT_TIMEOUT_S", "1")];
    let flags = [PORTS, &pair.flags()].concat();
    let (mut server, log) = start_logged(dir.path(), &flags, &settings);
    for (kind, sent) in [
        ("mqtt", b"".as_slice()),
        ("mqtt", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0"),
        ("mqtts", b""),
        ("mqtts", b"\x16\x03\x01\x00\xC8\x01"),
        ("ws", b""),
        ("ws", b"GET /mqtt HTTP/1.1\r\nHost: a\r\n"),
        ("wss", b"\x16"),
    ] {
        let mut stream = server.connect_to(kind);
        stream.write_all(sent).expect("sent");
        assert_eq!(read_to_end(&mut stream), b"", "{kind} {sent:?}");
    }
    log.wait_for(&["the handshake took too long"]);
    // TLS is done, a CONNECT does not follow: the same time counts.
    let client = TlsClient::trusting(&authority);
    let mut silent = client.connect(server.connect_to("mqtts"), "localhost").expect("TLS");
    assert_eq!(std::io::Read::read(&mut silent, &mut [0; 1]).unwrap_or(0), 0);
    assert!(server.is_alive());
}

#[test]
fn one_handshake_too_many_is_closed_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = [("BLUETICK_LIMITS__HANDSHAKES_MAX", "2")];
    let flags = ["--dev", "--mqtt", "127.0.0.1:0", "--ws", "127.0.0.1:0"];
    let (server, log) = start_logged(dir.path(), &flags, &settings);
    let stalled: Vec<_> = (0..2).map(|_| server.connect_to("ws")).collect();
    assert_eq!(read_to_end(&mut server.connect_to("ws")), b"");
    log.wait_for(&["too many handshakes"]);
    // Plain TCP has none, and goes on.
    log_in(&mut server.connect());
    drop(stalled);
    // There is room again, once the server has seen it.
    crate::world::until("room for a handshake", || {
        let mut stream = server.connect_to("ws");
        stream.write_all(b"garbage\r\n\r\n").is_ok()
            && read_to_end(&mut stream).starts_with(b"HTTP/1.1 400")
    });
}

#[test]
fn a_server_without_files_left_accepts_again_when_there_are_some() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -n 80; exec \"$@\"", "bash"]).arg(bluetick().get_program());
    command.args(["serve", "--dev", "--mqtt", "127.0.0.1:0", "--data-dir", text(dir.path())]);
    let mut server = Server::spawn(&mut command, 1);
    let crowd: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    drop(crowd);
    crate::world::until("a place for one more", || {
        let mut late = server.connect();
        let mut answer = [0; 4];
        late.write_all(CONNECT).is_ok()
            && std::io::Read::read_exact(&mut late, &mut answer).is_ok()
            && answer == crate::world::CONNACK
    });
    assert!(server.is_alive());
}
