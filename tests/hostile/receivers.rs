//! Clients that do not read, or read by the byte, or never acknowledge.

use std::net::TcpStream;

use socket2::{Domain, Socket, Type};

use crate::support::{PATIENCE, Server};
use crate::world::{
    Bystanders, Client, Hello, KEEP_ALIVE_TIMEOUT, figure, reached, resident_mib, start, until,
};

static MESSAGE: [u8; 60_000] = [b'x'; 60_000];

/// A client whose window is as small as can be.
fn narrow(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(1).expect("set");
    socket.connect(&server.address().into()).expect("connected");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

/// Eighteen megabytes for each of twenty who do not read: what is prepared for them is a megabyte
/// each, and the rest is dropped beyond what may be queued. Then they are sent away.
#[test]
fn who_never_reads_is_given_little_and_then_up() {
    const DEAF: usize = 20;
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("stall_timeout_s", "4")]);
    let mut others = Bystanders::connect(&server);
    let before = resident_mib(&server);
    let deaf: Vec<_> = (0..DEAF)
        .map(|number| {
            let user = format!("deaf{number}");
            let (mut client, _) = Client::try_connect(narrow(&server), Hello::of(&user));
            client.subscribe(&["pub/loud".into()]);
            client
        })
        .collect();
    let mut loud = Client::connect(&server, Hello::of("loud"));
    let mut highest = 0;
    for _ in 0..300 {
        loud.publish("pub/loud", &MESSAGE, false);
    }
    for _ in 0..10 {
        others.talk();
        highest = highest.max(resident_mib(&server));
    }
    // A megabyte and a message each, and what is queued, which they share.
    assert!(highest < before + DEAF as u64 * 2 + 40, "{before} MiB, then {highest}");
    assert!(reached(&server, "plain_dropped") > 0);
    until("the end of them", || reached(&server, "stalled") == DEAF as u64);
    until("their place", || figure(&server, "bluetick_connections") == 3);
    others.talk();
    drop(deaf);
}

/// What is on its way and not acknowledged is held as well.
#[test]
fn who_never_acknowledges_is_given_as_much_as_may_be_queued() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("queued_bytes_max", "1000000")]);
    let mut mute = Client::connect(&server, Hello::of("mute"));
    mute.subscribe(&["pub/loud".into()]);
    let mut loud = Client::connect(&server, Hello::of("loud"));
    for _ in 0..40 {
        loud.publish("pub/loud", &MESSAGE, false);
    }
    assert_eq!(reached(&server, "plain_dropped"), 40 - 16, "of 60 KB each");
    for _ in 0..16 {
        assert_eq!(mute.next().0 >> 4, 3);
    }
    // An acknowledgement makes room for one more.
    mute.send(b"\x40\x02\x00\x01\xC0\x00");
    assert_eq!(mute.next().0, 0xD0);
    loud.publish("pub/loud", &MESSAGE, false);
    assert_eq!(mute.next().0 >> 4, 3);
    assert_eq!(reached(&server, "plain_dropped"), 40 - 16);
}

/// Whatever those who do not read have, there is something left for the others.
#[test]
fn the_queues_of_some_do_not_use_up_those_of_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("queued_total_bytes_max", "4000000")]);
    let mut others = Bystanders::connect(&server);
    let filter = ["pub/loud".to_owned()];
    for number in 0..20 {
        let user = format!("away{number}");
        let hello = Hello { expiry_s: 1000, ..Hello::of(&user) };
        Client::connect(&server, hello).subscribe(&filter);
    }
    until("all to be away", || figure(&server, "bluetick_sessions{state=\"offline\"}") == 20);
    let mut loud = Client::connect(&server, Hello::of("loud"));
    for _ in 0..20 {
        loud.publish("pub/loud", &MESSAGE, false);
    }
    // And what fits in the gaps.
    for _ in 0..100 {
        loud.publish("pub/loud", b"x", false);
    }
    assert!(reached(&server, "plain_dropped") > 300, "20 × 20, of which 66 fit");
    let before = reached(&server, "plain_dropped");
    others.talk();
    assert_eq!(reached(&server, "plain_dropped"), before);
}

/// Slowloris by those who are let in.
#[test]
fn a_packet_has_to_come_to_its_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[("stall_timeout_s", "1")]);
    let mut others = Bystanders::connect(&server);
    let mut slow = Client::connect(&server, Hello::of("slow"));
    // Whole ones are no matter, nor is silence.
    slow.send(b"\xC0\x00\x30\x20");
    assert_eq!(slow.next().0, 0xD0);
    slow.is_ended(KEEP_ALIVE_TIMEOUT);
    assert_eq!(reached(&server, "stalled"), 1);
    others.talk();
}

/// One message at a time, small ones only, through a window of a few hundred bytes.
#[test]
fn tiny_windows_are_served_in_their_measure() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = start(dir.path(), &[]);
    let mut others = Bystanders::connect(&server);
    // Receive Maximum 1, Maximum Packet Size 100.
    let properties = b"\x21\x00\x01\x27\x00\x00\x00\x64";
    let hello = Hello { properties, ..Hello::of("tiny") };
    let (mut tiny, reason) = Client::try_connect(narrow(&server), hello);
    assert_eq!(reason, 0);
    tiny.subscribe(&["chats/+/messages".into(), "pub/t".into()]);
    let mut loud = Client::connect(&server, Hello::of("loud"));
    for number in 0..50 {
        let body = if number % 2 == 0 { format!("{number}") } else { "x".repeat(5000) };
        loud.publish("pub/t", body.as_bytes(), false);
        others.talk();
    }
    for number in (0..50).step_by(2) {
        assert_eq!(tiny.message(), ("pub/t".into(), number.to_string().into_bytes()));
    }
    assert_eq!(reached(&server, "plain_dropped"), 0);
}
