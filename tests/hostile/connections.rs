//! Connections that nobody is let in by: slow ones, many, reset ones, and lengths that are lies.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::Duration;

use socket2::SockRef;

use crate::support::{Server, bluetick, read_to_end};
use crate::world::{
    Bystanders, Client, Hello, PACKET_TOO_LARGE, QUOTA_EXCEEDED, figure, reached, resident_mib,
    start, start_at, until,
};

/// Slowloris.
#[test]
fn who_says_hello_by_the_byte_is_closed_in_time() {
    const SLOW: usize = 200;
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("connect_timeout_s", "2")]);
    let mut others = Bystanders::connect(&server);
    let hello = Hello::of("mallory").packet();
    let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| server.connect()).collect();
    for byte in &hello[..4] {
        slow.iter_mut().for_each(|stream| stream.write_all(&[*byte]).expect("sent"));
        others.talk();
    }
    slow.iter_mut().for_each(|stream| assert_eq!(read_to_end(stream), b""));
    assert_eq!(reached(&server, "connect_timeouts"), SLOW as u64);
    others.talk();
}

#[test]
fn a_flood_of_one_address_is_refused_and_of_all_together_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = [("connecting_per_address_max", "10"), ("connecting_max", "25")];
    let server = start_at(dir.path(), "127.0.0.1:0+proxy", &limits);
    // Whoever is let in does not count.
    let mut inside: Vec<_> = (0..30)
        .map(|number| {
            let user = format!("u{number}");
            let (client, reason) = Client::try_connect(from(&server, 99), Hello::of(&user));
            assert_eq!(reason, 0);
            client
        })
        .collect();
    let mut silent = Vec::new();
    for address in 1..=3 {
        silent.extend((0..10).map(|_| from(&server, address)));
    }
    until("five too many of all", || reached(&server, "connections_refused") == 5);
    let mut refused = from(&server, 4);
    assert_eq!(read_to_end(&mut refused), b"");
    inside.iter_mut().for_each(|client| {
        client.send(b"\xC0\x00");
        assert_eq!(client.next().0, 0xD0);
    });
    // They leave, and others come in.
    drop(silent);
    until("room", || figure(&server, "bluetick_connections") == 30);
    let more: Vec<_> = (0..12).map(|_| from(&server, 5)).collect();
    until("two too many of an address", || reached(&server, "connections_refused") == 8);
    drop(more);
}

/// A connection whose balancer says that it comes from 192.0.2.`last`.
fn from(server: &Server, last: u8) -> TcpStream {
    let mut stream = server.connect();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02".to_vec();
    header.extend([last, 127, 0, 0, 1, 0x04, 0, 0x07, 0x5B]);
    stream.write_all(&header).expect("sent");
    stream
}

#[test]
fn a_storm_of_resets_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[]);
    let mut others = Bystanders::connect(&server);
    let before = figure(&server, "process_open_fds");
    let hello = Hello::of("mallory").packet();
    let mut memory = 0;
    for round in 0..10 {
        for number in 0..200 {
            let mut stream = server.connect();
            // In the middle of it, after it, or before.
            let sent = [0, 3, hello.len()][number % 3];
            stream.write_all(&hello[..sent]).expect("sent");
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("set");
        }
        others.talk();
        if round == 2 {
            memory = resident_mib(&server);
        }
    }
    until("all to be gone", || figure(&server, "bluetick_connections") == 2);
    until("their files to be closed", || figure(&server, "process_open_fds") <= before + 2);
    assert_eq!(figure(&server, "bluetick_sessions{state=\"online\"}"), 2);
    let after = resident_mib(&server);
    assert!(after <= memory + 16, "{memory} MiB, then {after}");
}

/// Nobody says goodbye when a machine or a line is gone: TCP has to find out. The timer 02 of a
/// connection in `/proc/net/tcp` is its keep-alive (proc_net_tcp in Linux's documentation).
#[cfg(target_os = "linux")]
#[test]
fn the_system_asks_whether_a_silent_client_is_there() {
    let dir = tempfile::tempdir().expect("a folder");
    for (limits, timer) in [(&[][..], "02:"), (&[("tcp_keep_alive_s", "0")][..], "00:")] {
        let server = start(dir.path(), limits);
        let mut client = Client::connect(&server, Hello::of("mallory"));
        client.send(b"\xC0\x00");
        assert_eq!(client.next().0, 0xD0);
        let port = |stream: &TcpStream| stream.local_addr().expect("an address").port();
        let (here, there) = (server.address().port(), port(&client.0));
        until(timer, || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("a table");
            let mut fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let line = fields.find(|fields| {
                fields[1].ends_with(&format!(":{here:04X}"))
                    && fields[2].ends_with(&format!(":{there:04X}"))
            });
            line.is_some_and(|line| line[5].starts_with(timer))
        });
        assert_eq!(server.terminate(), Some(0));
    }
}

/// A client that has closed its half, and one that sends nothing any more but is there.
#[test]
fn half_a_connection_is_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[]);
    let clients: Vec<_> =
        (0..20).map(|number| Client::connect(&server, Hello::of(&format!("u{number}")))).collect();
    clients.iter().for_each(|client| client.0.shutdown(Shutdown::Write).expect("shut"));
    until("the end of all", || figure(&server, "bluetick_connections") == 0);
}

#[test]
fn what_is_announced_is_not_set_aside() {
    const MANY: usize = 200;
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[]);
    let mut others = Bystanders::connect(&server);
    let before = resident_mib(&server);
    // 256 MB, as a CONNECT: by somebody whose version nobody knows, and by one of MQTT 5.
    assert_eq!(read_to_end(&mut sent(&server, b"\x10\xFF\xFF\xFF\x7F")), b"");
    let mut known = Client(sent(&server, b"\x10\xFF\xFF\xFF\x7F\x00\x04MQTT\x05\x02"));
    let (first, body) = known.next();
    assert_eq!((first, body[1]), (0x20, PACKET_TOO_LARGE));
    // And as a PUBLISH, by one who is let in.
    let mut inside = Client::connect(&server, Hello::of("mallory"));
    inside.send(b"\x30\xFF\xFF\xFF\x7F\x00\x05pub/x");
    inside.is_ended(PACKET_TOO_LARGE);
    // A length that is taken, of which next to nothing comes.
    let allowed = b"\x30\xF0\xFF\x3F\x00\x05pub/x";
    let waiting: Vec<_> = (0..MANY)
        .map(|number| {
            let mut client = Client::connect(&server, Hello::of(&format!("m{number}")));
            client.send(allowed);
            client
        })
        .collect();
    others.talk();
    let after = resident_mib(&server);
    assert!(after <= before + 64, "{MANY} MiB announced: {before} MiB, then {after}");
    drop(waiting);
    assert_eq!(reached(&server, "protocol_errors"), 3);
}

fn sent(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(bytes).expect("sent");
    stream
}

#[test]
fn one_user_is_not_a_crowd() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("sessions_per_user_max", "3")]);
    let hello = |id| Hello { id, expiry_s: 1000, ..Hello::of("mallory") };
    let connect = |id| Client::try_connect(server.connect(), hello(id));
    let mut inside: Vec<_> = ["a", "b", "c"].map(connect).into();
    assert!(inside.iter().all(|(_, reason)| *reason == 0));
    assert_eq!(connect("d").1, QUOTA_EXCEEDED);
    // Off line it is a session as well, and may come back; so may one take another's place.
    inside.truncate(2);
    until("one to be off line", || figure(&server, "bluetick_sessions{state=\"offline\"}") == 1);
    assert_eq!(connect("d").1, QUOTA_EXCEEDED);
    assert_eq!([connect("c").1, connect("a").1], [0, 0]);
    let mut old = server.connect();
    old.write_all(b"\x10\x16\x00\x04MQTT\x04\x82\x00\x00\x00\x01z\x00\x07mallory").expect("sent");
    assert_eq!(read_to_end(&mut old), b"\x20\x02\x00\x03", "MQTT 3.1.1: unavailable");
    assert_eq!(reached(&server, "sessions_refused"), 3);
    let mut others = Bystanders::connect(&server);
    others.talk();
    // One that has ended makes room.
    let clean = Hello { id: "a", ..Hello::of("mallory") };
    drop(Client::connect(&server, clean));
    until("room", || connect("d").1 == 0);
}

/// Some files are left for the store, however many come.
#[test]
fn without_files_for_clients_the_store_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -n 200; exec \"$@\"", "bash"]).arg(bluetick().get_program());
    command.args(["serve", "--log", "error", "--dev", "--mqtt", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.path()).args(["--http", "127.0.0.1:0"]);
    let server = Server::spawn(&mut command, 2);
    let mut others = Bystanders::connect(&server);
    let mut crowd: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    until("those who have no place", || reached(&server, "connections_refused") == 300 - 98);
    assert_eq!(figure(&server, "bluetick_connections"), 100);
    assert_eq!(figure(&server, "bluetick_store_failing"), 0);
    others.talk();
    let last = crowd.last_mut().expect("one");
    assert_eq!(last.read(&mut [0]).unwrap_or(0), 0, "closed at once");
}
