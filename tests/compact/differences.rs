//! Differences on the real server: what they cost, and that they lean on nothing that the client may not have.

use bluetick_protocol::compact::{self, Differences};
use bluetick_protocol::{ChatId, Receipt, Seq, UserId};

use crate::BODY;
use crate::client::Client;
use crate::support::Server;

const SEND: &str = "chats/alice~bob/send";
const READ: &str = "c/alice~bob/d";

/// One end of the chat of alice and bob.
struct End {
    client: Client,
    user: UserId,
    chat: ChatId,
    heard: Differences,
}

impl End {
    fn new(client: Client, user: &str) -> Self {
        let chat = ChatId::try_from("alice~bob").expect("a chat");
        let user = UserId::try_from(user).expect("a user");
        Self { client, user, chat, heard: Differences::default() }
    }

    fn connect(server: &Server, user: &str) -> Self {
        Self::new(Client::connect(server, user), user)
    }

    fn read_message(&mut self, payload: &[u8]) -> compact::Message {
        self.heard.message(&self.chat, &self.user, payload).expect("a message")
    }

    /// Takes the next message, acknowledges it, and tells whether it was a map.
    fn message(&mut self) -> (bool, compact::Message) {
        let (topic, payload) = self.client.delivery();
        assert_eq!(topic, "c/alice~bob/m/d");
        (is_map(&payload), self.read_message(&payload))
    }

    fn receipt(&mut self) -> (bool, Receipt) {
        let (topic, payload) = self.client.delivery();
        assert_eq!(topic, "c/alice~bob/r/d");
        let receipt = self.heard.receipt(&self.chat, &self.user, &payload).expect("a receipt");
        (is_map(&payload), receipt)
    }
}

fn is_map(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first >> 5 == 5)
}

#[test]
fn a_message_costs_114_bytes_wherever_in_the_chat() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (mut a, mut b) = (End::connect(&server, "alice"), End::connect(&server, "bob"));
    a.client.subscribe("c/+/r/d");
    b.client.subscribe("c/+/m/d");
    // Over 24 an integer takes a byte more; the bench goes further.
    for seq in 1..=30 {
        (a.client.bytes, b.client.bytes) = (0, 0);
        a.client.publish(SEND, BODY.as_bytes());
        let (as_map, message) = b.message();
        assert_eq!((message.seq, message.after), (Seq(seq), None));
        assert_eq!(message.body.as_deref(), Some(BODY.as_bytes()));
        let (_, delivered) = a.receipt();
        b.client.publish(READ, b"");
        let (_, read) = a.receipt();
        assert_eq!((delivered.delivered.0, delivered.read.0), (seq, seq - 1));
        assert_eq!((read.delivered.0, read.read.0), (seq, seq));
        assert_eq!(as_map, seq == 1);
        if seq > 1 {
            assert_eq!(a.client.bytes + b.client.bytes, 114, "at {seq}");
        }
    }
}

#[test]
fn an_empty_read_is_what_was_acknowledged_before_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (mut a, mut b) = (End::connect(&server, "alice"), End::connect(&server, "bob"));
    a.client.subscribe("c/+/r/d");
    b.client.subscribe("c/+/m/d");
    b.client.publish_refused(0x32, READ, b"", 0x99);
    for _ in 0..2 {
        a.client.publish(SEND, BODY.as_bytes());
    }
    let [first, second] = [b.client.unacknowledged(), b.client.unacknowledged()];
    b.client.publish_refused(0x32, READ, b"", 0x99);
    // All on their way before the server answers.
    b.client.acknowledge(&first);
    b.client.write_publish(0x32, READ, b"");
    b.client.acknowledge(&second);
    assert_eq!(b.client.receive(), (0x40, vec![0, 9]));
    let told = std::iter::repeat_with(|| a.receipt().1).find(|receipt| receipt.delivered == Seq(2));
    assert_eq!(told.expect("one that says so").read, Seq(1));
    b.client.publish(READ, b"");
    assert_eq!(a.receipt().1.read, Seq(2));
    // What is sent again is of an earlier connection; and another device has acknowledged nothing.
    b.client.publish_refused(0x3A, READ, b"", 0x99);
    let mut other = Client::resume(&server, "bob", "bob-2").0;
    other.subscribe("c/+/m");
    other.publish_refused(0x32, READ, b"", 0x99);
    other.write_publish(0x32, READ, &[2]);
    assert_eq!(other.receive(), (0x40, vec![0, 9]));
    // Nor is it a number on the other dialect's topic.
    let mut body = Vec::new();
    crate::put_text(&mut body, "chats/alice~bob/read");
    body.extend_from_slice(b"\0\x07\0");
    other.send(0x32, &body);
    assert_eq!(other.receive(), (0x40, vec![0, 7, 0x99]));
}

/// What an earlier connection was told means nothing in the next one.
#[test]
fn a_new_connection_begins_with_maps() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut a = End::connect(&server, "alice");
    let (client, present) = Client::resume(&server, "bob", "bob-1");
    assert!(!present);
    let mut b = End::new(client, "bob");
    b.client.subscribe("c/+/m/d");
    for as_map in [true, false] {
        a.client.publish(SEND, BODY.as_bytes());
        assert_eq!(b.message().0, as_map);
    }
    a.client.publish(SEND, BODY.as_bytes());
    assert!(!is_map(&b.client.unacknowledged().payload));
    drop(b);
    let (client, present) = Client::resume(&server, "bob", "bob-1");
    assert!(present);
    b = End::new(client, "bob");
    let again = b.client.unacknowledged();
    assert!(again.again && is_map(&again.payload));
    let message = b.read_message(&again.payload);
    assert_eq!(again.topic, "c/alice~bob/m/d");
    assert_eq!((message.seq, message.body.as_deref()), (Seq(3), Some(BODY.as_bytes())));
    b.client.publish_refused(0x32, READ, b"", 0x99);
    b.client.acknowledge(&again);
    // It was acknowledged, in this connection.
    b.client.publish(READ, b"");
    for (seq, as_map) in [(4, true), (5, false)] {
        a.client.publish(SEND, BODY.as_bytes());
        let (was_map, message) = b.message();
        assert_eq!((was_map, message.seq), (as_map, Seq(seq)));
    }
}

/// A device that has subscribed in several forms gets a message once; and what it got in others is
/// no context.
#[test]
fn several_forms_at_once_deliver_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (mut a, mut b) = (End::connect(&server, "alice"), End::connect(&server, "bob"));
    for filter in ["c/+/m/d", "c/+/m", "chats/+/messages"] {
        b.client.subscribe(filter);
    }
    a.client.publish(SEND, b"one");
    assert_eq!(b.client.delivery().0, "chats/alice~bob/messages");
    b.client.unsubscribe("chats/+/messages");
    a.client.publish(SEND, b"two");
    assert_eq!(b.client.delivery().0, "c/alice~bob/m");
    b.client.unsubscribe("c/+/m");
    for (seq, as_map) in [(3, true), (4, false)] {
        a.client.publish(SEND, b"as differences");
        let (was_map, message) = b.message();
        assert_eq!((was_map, message.seq), (as_map, Seq(seq)));
    }
    b.client.subscribe("chats/alice~bob/messages");
    a.client.publish(SEND, b"five");
    assert_eq!(b.client.delivery().0, "chats/alice~bob/messages");
    b.client.unsubscribe("chats/alice~bob/messages");
    for (seq, as_map) in [(6, true), (7, false)] {
        a.client.publish(SEND, b"as differences");
        let (was_map, message) = b.message();
        assert_eq!((was_map, message.seq, message.after), (as_map, Seq(seq), None));
    }
}

#[test]
fn who_takes_turns_is_told_a_step() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (mut a, mut b) = (End::connect(&server, "alice"), End::connect(&server, "bob"));
    // 4: no local.
    b.client.subscribe_with("c/+/m/d", 1 | 4);
    a.client.publish(SEND, b"one");
    assert_eq!(b.message().1.seq, Seq(1));
    for seq in [3, 5] {
        b.client.publish(SEND, b"bob's");
        a.client.publish(SEND, b"alice's");
        let (as_map, message) = b.message();
        assert!(!as_map);
        assert_eq!((message.seq, message.after), (Seq(seq), Some(Seq(seq - 2))));
    }
}

/// A device with small packets, which some messages do not fit even without a body.
#[test]
fn what_does_not_fit_is_no_context() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut a = End::connect(&server, "alice");
    let mut b = End::new(Client::connect_small(&server, "bob", 70), "bob");
    b.client.subscribe("c/+/m/d");
    a.client.publish(SEND, b"one");
    assert_eq!(b.message().1.seq, Seq(1));
    let long = "l".repeat(90);
    a.client.publish(SEND, long.as_bytes());
    let (as_map, message) = b.message();
    assert_eq!((as_map, message.omitted_bytes, message.body), (false, Some(90), None));
    a.client.publish(SEND, b"three");
    let (as_map, message) = b.message();
    assert_eq!((as_map, message.seq), (false, Seq(3)));
}

/// At QoS 0 a client may miss some: each says all.
#[test]
fn at_qos_0_all_are_maps() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (mut a, mut b) = (End::connect(&server, "alice"), End::connect(&server, "bob"));
    a.client.publish(SEND, b"there has to be a chat");
    b.client.subscribe_with("c/alice~bob/m/d", 0);
    for seq in 2..4 {
        a.client.publish(SEND, b"live");
        let (first, body) = b.client.receive();
        assert_eq!(first, 0x30);
        // Behind the topic, if it is told, and an alias.
        let payload = &body[2 + usize::from(body[1]) + 4..];
        assert!(payload.starts_with(&[0xA3, 0, seq]), "{body:x?}");
    }
    b.client.publish_refused(0x32, READ, b"", 0x99);
}
