//! Two users, one message, three ticks. Usage: `hello [URL]`, with a server started by `make run`.

use std::error::Error;

use bluetick_client::{Client, Event, UserId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "mqtt://127.0.0.1".to_owned());
    let connect = |name| Client::builder(&url).user(name).device("hello").connect();
    let (alice, mut to_alice) = connect("alice").await?;
    let (bob, mut to_bob) = connect("bob").await?;

    let sent = alice.chat_with(bob.user()).send("hello, bob").await?.await?;
    println!("alice: \u{2713} stored with seq {}", sent.seq);
    while let Some(event) = to_bob.next().await {
        if let Event::Message(message) = event
            && message.id == Some(sent.id)
        {
            println!("bob got: {}", message.text().unwrap_or_default());
            bob.chat(&message.chat).read(message.seq).await?;
            break;
        }
    }
    while let Some(event) = to_alice.next().await {
        let Event::Receipt(receipt) = event else { continue };
        if receipt.read >= sent.seq && is(&receipt.user, "bob") {
            println!("alice: \u{2713}\u{2713} read by bob");
            break;
        } else if receipt.delivered >= sent.seq && is(&receipt.user, "bob") {
            println!("alice: \u{2713}\u{2713} delivered to bob");
        }
    }
    alice.close().await;
    bob.close().await;
    Ok(())
}

fn is(user: &UserId, name: &str) -> bool {
    user.as_str() == name
}
