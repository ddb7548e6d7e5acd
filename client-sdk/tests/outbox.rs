//! The outbox without any server: bounds, order, expiry, cancelling, and the file.

use std::path::Path;
use std::time::Duration;

use bluetick_client::{
    Advice, Builder, Chat, Client, Connection, Draft, ErrorKind, Event, Events, UserId,
};

/// Nobody listens there.
const NOWHERE: &str = "mqtt://127.0.0.1:1";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn builder() -> Builder {
    Client::builder(NOWHERE).user("alice").device("phone")
}

fn on_disk(path: &Path) -> Builder {
    builder().outbox(path)
}

async fn connect(builder: Builder) -> (Client, Events, Chat) {
    let (client, events) = builder.connect().await.expect("a client");
    let chat = client.chat_with(&UserId::try_from("bob").expect("a name"));
    (client, events, chat)
}

fn bodies(client: &Client) -> Vec<String> {
    let text = |body: Vec<u8>| String::from_utf8(body).expect("text");
    client.queued().into_iter().map(|queued| text(queued.body)).collect()
}

#[tokio::test]
async fn what_is_queued_is_there_for_the_next_program_in_its_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("outbox");
    let (client, _events, chat) = connect(on_disk(&path)).await;
    let first = chat.send("first").await.expect("queued");
    let _second = chat.send(Draft::text("second").mention(client.user().clone())).await;
    let _third = chat.react(bluetick_client::Seq(7), "👍").await.expect("queued");
    client.close().await;
    assert_eq!(first.await.expect_err("not sent").kind(), ErrorKind::Closed);
    assert_eq!(client.connection(), Connection::Closed);
    let refused = chat.send("too late").await.expect_err("closed");
    assert_eq!((refused.kind(), refused.advice()), (ErrorKind::Closed, Advice::GiveUp));

    let (client, _events, chat) = connect(on_disk(&path)).await;
    assert_eq!(bodies(&client), ["first", "second", "👍"]);
    let is_message: Vec<_> = client.queued().iter().map(|it| it.is_message).collect();
    assert_eq!(is_message, [true, true, false]);
    let _fourth = chat.send("fourth").await.expect("queued");
    assert_eq!(bodies(&client), ["first", "second", "👍", "fourth"]);
}

#[tokio::test]
async fn a_file_has_one_program_and_one_user() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("outbox");
    let (client, _events, _chat) = connect(on_disk(&path)).await;
    let error = on_disk(&path).connect().await.expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    client.close().await;
    let error = on_disk(&path).user("bob").connect().await.expect_err("another's");
    assert!(error.to_string().contains("alice"), "{error}");
    std::fs::write(&path, "something else").expect("written");
    let error = on_disk(&path).connect().await.expect_err("no outbox");
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    let error = on_disk(&dir.path().join("no/folder")).connect().await.expect_err("no folder");
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
}

#[tokio::test]
async fn is_bounded_and_says_so() {
    let (client, _events, chat) = connect(builder().outbox_max(2, 10_000)).await;
    let _held = [chat.send("a").await.expect("room"), chat.send("b").await.expect("room")];
    let full = chat.send("c").await.expect_err("two are enough");
    assert_eq!((full.kind(), full.advice()), (ErrorKind::OutboxFull, Advice::Retry));
    assert_eq!(client.queued_len(), 2);
    let (_client, _events, chat) = connect(builder().outbox_max(9, 1000)).await;
    let full = chat.send(vec![0; 1000]).await.expect_err("too many bytes");
    assert_eq!(full.kind(), ErrorKind::OutboxFull);
    // No room is lost by what was not taken.
    let _held = chat.send(vec![0; 500]).await.expect("room");
}

#[tokio::test]
async fn what_never_went_out_can_be_taken_back_and_is_given_up_in_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("outbox");
    let (client, mut events, chat) = connect(on_disk(&path)).await;
    let cancelled = chat.send("cancelled").await.expect("queued");
    let hasty = Draft::text("hasty").give_up_after(Duration::ZERO);
    let awaited = chat.send(hasty.clone()).await.expect("queued");
    let unheard = chat.send(hasty).await.expect("queued");
    let id = unheard.id();
    drop(unheard);
    let _kept = chat.send("kept").await.expect("queued");
    assert_eq!(cancelled.cancel().await, Ok(true));
    assert_eq!(cancelled.cancel().await, Ok(false));
    assert_eq!(cancelled.await.expect_err("cancelled").kind(), ErrorKind::Cancelled);
    let expired = tokio::time::timeout(PATIENCE, awaited).await.expect("in time");
    assert_eq!(expired.expect_err("expired").kind(), ErrorKind::Expired);
    let told = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Event::NotSent { id, error, .. } = events.next().await.expect("it lives") {
                return (id, error.kind());
            }
        }
    });
    assert_eq!(told.await.expect("in time"), (id, ErrorKind::Expired));
    client.close().await;
    let (client, _events, _chat) = connect(on_disk(&path)).await;
    assert_eq!(bodies(&client), ["kept"]);
}

#[tokio::test]
async fn many_tasks_hand_over_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("outbox");
    let (client, _events, chat) = connect(on_disk(&path)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..20 {
        let chat = chat.clone();
        tasks.spawn(async move {
            for count in 0..20 {
                let _queued = chat.send(format!("{task:02} {count:02}")).await.expect("queued");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    let before = bodies(&client);
    client.close().await;
    let (client, _events, _chat) = connect(on_disk(&path)).await;
    let mut after = bodies(&client);
    assert_eq!(after, before, "the same order on disk");
    // Each task's own are in the order of its calls: to sort by task keeps it.
    after.sort_by(|a, b| a[..2].cmp(&b[..2]));
    assert!(after.len() == 400 && after.is_sorted());
}

#[tokio::test]
async fn what_cannot_be_right_is_said_at_once() {
    let (_client, _events, chat) = connect(builder()).await;
    let long = "x".repeat(200);
    for draft in [
        Draft::text("x").content_type(long),
        Draft::text("x").reply_to(bluetick_client::Seq::ZERO),
        Draft::text("x").ttl(Duration::from_millis(10)),
    ] {
        assert_eq!(chat.send(draft).await.expect_err("invalid").kind(), ErrorKind::Invalid);
    }
    for builder in [
        Client::builder("http://localhost").user("alice").device("phone"),
        Client::builder(NOWHERE).user("Alice").device("phone"),
        Client::builder(NOWHERE).user("alice"),
    ] {
        let error = builder.connect().await.expect_err("invalid");
        assert_eq!((error.kind(), error.advice()), (ErrorKind::Invalid, Advice::Fix), "{error}");
    }
}
