//! The compact dialect on the real server, byte by byte: what one message sent, delivered and read
//! costs on the wire, in each form and both directions.

mod client;
mod differences;
#[path = "../support/mod.rs"]
mod support;

use bluetick_protocol::compact::{self, SendRef};
use bluetick_protocol::{ChatId, Receipt, Seq, UserId};
use client::{Client, put_text};
use support::Server;

/// What a conversation says in one dialect: topics, a message, how far one has read.
struct Dialect {
    name: &'static str,
    send: String,
    read: String,
    message: fn(&str) -> Vec<u8>,
    read_up_to: fn(u64) -> Vec<u8>,
}

const BODY: &str = "see you at the gate!";

#[test]
fn a_message_costs_few_bytes_and_both_dialects_say_the_same() {
    let [alice, bob] = ["alice", "bob"].map(|name| UserId::try_from(name).expect("a user"));
    let chat = ChatId::direct(&alice, &bob);
    let dialects = [
        Dialect {
            name: "compact",
            send: compact::send_topic(&chat),
            read: compact::read_topic(&chat),
            message: |text| SendRef::text(text).to_compact(),
            read_up_to: |seq| compact::read_payload(Seq(seq)),
        },
        Dialect {
            name: "json",
            send: format!("chats/{chat}/send"),
            read: format!("chats/{chat}/read"),
            message: |text| text.as_bytes().to_vec(),
            read_up_to: |seq| seq.to_string().into_bytes(),
        },
    ];
    let mut costs = Vec::new();
    for dialect in &dialects {
        let dir = tempfile::tempdir().expect("a folder");
        let server = Server::start(dir.path());
        let (mut a, mut b) = (Client::connect(&server, "alice"), Client::connect(&server, "bob"));
        let compact = dialect.name == "compact";
        a.subscribe(if compact { "c/+/r" } else { "chats/+/receipts" });
        b.subscribe(if compact { "c/+/m" } else { "chats/+/messages" });
        // The first one sets the aliases.
        for seq in 1..=2 {
            (a.bytes, b.bytes) = (0, 0);
            a.publish(&dialect.send, &(dialect.message)(BODY));
            let (topic, message) = b.delivery();
            let (_, delivered) = a.delivery();
            b.publish(&dialect.read, &(dialect.read_up_to)(seq));
            let (_, read) = a.delivery();
            if compact {
                assert_eq!(topic, "c/alice~bob/m");
                let got = compact::Message::from_compact(&chat, &bob, &message).expect("CBOR");
                let body = got.body.as_deref();
                assert_eq!((got.seq, body, got.id), (Seq(seq), Some(BODY.as_bytes()), None));
                let marks = [delivered, read].map(|payload| {
                    let receipt = Receipt::from_compact(&chat, &alice, &payload).expect("CBOR");
                    (receipt.user, receipt.delivered.0, receipt.read.0)
                });
                assert_eq!(marks, [(bob.clone(), seq, seq - 1), (bob.clone(), seq, seq)]);
            } else {
                let got = bluetick_protocol::Message::from_json(&message).expect("JSON");
                assert_eq!((got.seq, got.body()), (Seq(seq), Ok(Some(BODY.as_bytes().to_vec()))));
            }
        }
        costs.push(a.bytes + b.bytes);
        println!(
            "{}: a message of {} characters sent, delivered and read: {} bytes",
            dialect.name,
            BODY.len(),
            a.bytes + b.bytes
        );
    }
    assert!(costs[0] <= 160 && costs[0] * 2 < costs[1], "{costs:?}");
}

/// A device that has subscribed in both dialects gets a message once, in JSON; when it gives that
/// up, in the other.
#[test]
fn both_dialects_at_once_deliver_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut sender = Client::connect(&server, "alice");
    let mut both = Client::connect(&server, "bob");
    both.subscribe("c/+/m");
    both.subscribe("chats/+/messages");
    for text in ["one", "two"] {
        sender.publish("users/bob/send", text.as_bytes());
        assert_eq!(both.delivery().0, "chats/alice~bob/messages");
    }
    both.unsubscribe("chats/+/messages");
    sender.publish("users/bob/send", b"three");
    assert_eq!(both.delivery().0, "c/alice~bob/m");
    // What is no CBOR of a send is refused.
    let mut body = Vec::new();
    put_text(&mut body, "c/alice~bob/s");
    body.extend_from_slice(b"\0\x07\0\xFF");
    sender.send(0x32, &body);
    assert_eq!(sender.receive(), (0x40, vec![0, 7, 0x99]));
}
