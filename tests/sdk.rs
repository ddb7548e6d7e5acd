//! The client crate against a real server.

mod support;

use bluetick_client::{Client, ErrorKind, Event, Events, Message, Options, Receipt, UserId};
use support::{PATIENCE, Server};

fn connect(server: &Server, name: &str) -> (Client, Events) {
    Client::connect(Options {
        host: server.address().ip().to_string(),
        port: server.address().port(),
        user: UserId::try_from(name).expect("a name"),
        device: format!("{name}-sdk"),
        password: String::new(),
    })
}

async fn message(events: &mut Events) -> Message {
    loop {
        if let Event::Message(message) = next(events).await {
            return *message;
        }
    }
}

async fn receipt(events: &mut Events) -> Receipt {
    loop {
        if let Event::Receipt(receipt) = next(events).await {
            return receipt;
        }
    }
}

async fn next(events: &mut Events) -> Event {
    let event = tokio::time::timeout(PATIENCE, events.next()).await;
    event.expect("something happens").expect("the client lives")
}

#[tokio::test]
async fn three_ticks() {
    tokio::time::timeout(PATIENCE, conversation()).await.expect("the conversation ends");
}

async fn conversation() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (alice, mut alice_events) = connect(&server, "alice");
    let (bob, mut bob_events) = connect(&server, "bob");
    let sent = alice.send_to(&UserId::try_from("bob").expect("a name"), b"hello").await;
    let sent = sent.expect("one tick");
    assert!(!sent.duplicate);
    let again = alice.send(&sent.chat, sent.id, b"hello").await.expect("acknowledged again");
    assert_eq!((again.seq, again.duplicate), (sent.seq, true));
    let got = message(&mut bob_events).await;
    assert_eq!((got.seq, got.body().expect("text")), (sent.seq, Some(b"hello".to_vec())));
    assert!(receipt(&mut alice_events).await.delivered >= sent.seq);
    bob.read(&got.chat, got.seq).await.expect("queued");
    while receipt(&mut alice_events).await.read < sent.seq {}
    let other = bluetick_client::ChatId::try_from("carol~dave").expect("a chat");
    let refused = alice.send(&other, sent.id, b"x").await.expect_err("not a member");
    assert_eq!(refused.kind(), ErrorKind::Refused);
}
