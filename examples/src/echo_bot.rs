//! Answers every message with its own text. What it has to say survives it: kill it, start it again.
//! Usage: `echo_bot [URL [USER [OUTBOX]]]`, with a server started by `make run`.

use bluetick_client::{Client, Draft, Error, Event};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut words = std::env::args().skip(1);
    let mut word = |default: &str| words.next().unwrap_or_else(|| default.to_owned());
    let client = Client::builder(word("mqtt://127.0.0.1")).user(word("echo")).device("bot");
    let (client, mut events) = client.outbox(word("echo.outbox")).connect().await?;

    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) if message.from != *client.user() => {
                let text = message.text().unwrap_or("I read nothing but text");
                let answer = Draft::text(format!("echo: {text}")).reply_to(message.seq);
                let chat = client.chat(&message.chat);
                let _queued = chat.send(answer).await?;
                chat.read(message.seq).await?;
            }
            Event::NotSent { error, .. } => eprintln!("not sent: {error}"),
            Event::Connection(state) => eprintln!("{state:?}"),
            _ => {}
        }
    }
    Ok(())
}
