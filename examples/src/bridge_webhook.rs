//! Carries every message that a user gets to an HTTP server, at least once: a message is acknowledged when
//! that server has said 2xx, and comes again until then, also after a crash.
//! Usage: `bridge_webhook URL USER WEBHOOK`, such as `mqtt://127.0.0.1 archive https://example.org/hook`.

use std::time::Duration;

use bluetick_client::{Client, Event, Message};
use serde_json::json;

/// How long the HTTP server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before a POST is tried again, at first and at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, user, webhook] = words.as_slice() else {
        return Err("usage: bridge_webhook URL USER WEBHOOK".into());
    };
    let builder = Client::builder(url).user(user).device("webhook").manual_acks(true);
    // One at a time: what waits, waits with the chat server.
    let (_client, mut events) = builder.unacked_max(1).connect().await?;
    while let Some(event) = events.next().await {
        if let Event::Message(message) = &event {
            deliver(webhook, message).await;
        }
        if let Some(entry) = event.message() {
            events.ack(entry);
        }
    }
    Ok(())
}

/// Posts until it is taken, or refused for good.
async fn deliver(webhook: &str, message: &Message) {
    let (mut wait, longest) = WAITS;
    loop {
        let (webhook, body) = (webhook.to_owned(), describe(message));
        // The other side can tell a repeat by this.
        let key = format!("{}:{}", message.chat, message.seq);
        let posted = tokio::task::spawn_blocking(move || post(&webhook, &key, &body)).await;
        match posted {
            Ok(Ok(())) => return println!("{}:{} delivered", message.chat, message.seq),
            Ok(Err(ureq::Error::StatusCode(code))) if (400..500).contains(&code) && code != 429 => {
                return eprintln!("{}:{} refused: {code}", message.chat, message.seq);
            }
            Ok(Err(error)) => eprintln!("{error}; again in {wait:?}"),
            Err(error) => eprintln!("{error}; again in {wait:?}"),
        }
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(longest);
    }
}

fn post(webhook: &str, key: &str, body: &str) -> Result<(), ureq::Error> {
    let request = ureq::post(webhook).config().timeout_global(Some(TIMEOUT)).build();
    let request = request.header("Content-Type", "application/json");
    request.header("Idempotency-Key", key).send(body).map(drop)
}

fn describe(message: &Message) -> String {
    json!({
        "chat": message.chat.as_str(),
        "seq": message.seq.0,
        "from": message.from.as_str(),
        "at": message.at_ms,
        "type": message.content_type,
        "text": message.text(),
    })
    .to_string()
}
