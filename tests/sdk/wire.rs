//! What a message costs on the wire: the figures of docs/compact.md, which the bench measures with packets
//! made by hand.

use std::time::Instant;

use bluetick_client::{Dialect, Event, Seq};

use crate::peer::{Peer, builder, soon};
use crate::proxy::{Fate, Proxy};
use crate::support::{PATIENCE, Server};

/// Its place in the chat: aliases are known by then.
const SEQ: u64 = 7;

#[tokio::test]
async fn a_message_costs_what_the_document_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut proxies = Vec::new();
    for _ in 0..2 {
        proxies.push(Proxy::start(Some(server.address()), |_| Fate::Pass).await);
    }
    let of = |at: usize, name| {
        let address = proxies[at].address();
        builder(address, name).dialect(Dialect::Compact).bare_acks(true).own_messages(false)
    };
    let mut alice = Peer::build(of(0, "alice")).await;
    let mut bob = Peer::build(of(1, "bob").receipts(false)).await;
    alice.online().await;
    bob.online().await;
    let chat = alice.with("bob");
    for seq in 1..=SEQ {
        if seq == SEQ {
            // What the messages before it still cost has to be over.
            quiet(&proxies).await;
            let _before: u64 = proxies.iter().map(Proxy::take_bytes).sum();
        }
        let pending = chat.send("see you at the gate!").await.expect("queued");
        let sent = soon("sent", pending).await.expect("sent");
        assert_eq!((sent.seq, sent.at_ms, sent.duplicate), (Seq::ZERO, 0, false));
        assert_eq!(bob.message().await.seq, Seq(seq));
        let receipt = |read| {
            move |event| match event {
                Event::Receipt(it) if it.delivered == Seq(seq) && (it.read == Seq(seq)) == read => {
                    Some(())
                }
                _ => None,
            }
        };
        alice.find("two ticks", receipt(false)).await;
        soon("read", bob.client.chat(chat.id()).read(Seq(seq))).await.expect("heard");
        alice.find("blue ticks", receipt(true)).await;
    }
    quiet(&proxies).await;
    let bytes: u64 = proxies.iter().map(Proxy::take_bytes).sum();
    assert_eq!(bytes, 175, "as docs/compact.md has it for seq 7, with a message id");
}

/// Waits until nothing has passed for a while.
async fn quiet(proxies: &[Proxy]) {
    let started = Instant::now();
    let passed = || proxies.iter().map(Proxy::bytes).sum::<u64>();
    let mut before = passed();
    loop {
        assert!(started.elapsed() < PATIENCE, "never quiet");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        if before == passed() {
            return;
        }
        before = passed();
    }
}
