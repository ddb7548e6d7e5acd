//! Two users, one message, three ticks. Usage: `hello [HOST [PORT]]`, with a server started by
//! `make run`.

use std::error::Error;

use bluetick_client::{Client, Event, Options, Seq, UserId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let host = words.next().unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = words.next().map_or(Ok(1883), |port| port.parse())?;
    let connect = |name: &str| -> Result<_, Box<dyn Error>> {
        Ok(Client::connect(Options {
            host: host.clone(),
            port,
            user: UserId::try_from(name)?,
            device: format!("{name}-hello"),
            password: String::new(),
        }))
    };
    let (alice, mut alice_events) = connect("alice")?;
    let (bob, mut bob_events) = connect("bob")?;

    let sent = alice.send_to(&UserId::try_from("bob")?, b"hello, bob").await?;
    println!("alice: \u{2713} stored with seq {}", sent.seq);

    let message = loop {
        if let Some(Event::Message(message)) = bob_events.next().await
            && message.seq == sent.seq
        {
            break message;
        }
    };
    println!("bob got: {}", String::from_utf8_lossy(&message.body()?.unwrap_or_default()));
    bob.read(&message.chat, message.seq).await?;

    let mut told = Seq::ZERO;
    loop {
        match alice_events.next().await {
            Some(Event::Receipt(receipt)) if receipt.read >= sent.seq => {
                println!("alice: \u{2713}\u{2713} read by {}", receipt.user);
                return Ok(());
            }
            Some(Event::Receipt(receipt)) if receipt.delivered >= sent.seq && told < sent.seq => {
                told = receipt.delivered;
                println!("alice: \u{2713}\u{2713} delivered to {}", receipt.user);
            }
            Some(_) => {}
            None => return Err("the client has ended".into()),
        }
    }
}
