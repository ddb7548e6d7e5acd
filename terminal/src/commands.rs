//! `bluetick send`, `listen` and `history`: for scripts and for bots.

mod print;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use bluetick_client::{
    Chat, Client, Connection, Draft, ErrorKind, Event, Events, Page, Pending, Seq, UserId,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::account::Account;
use crate::text;

/// Bytes of a message from standard input, at most: more than any server takes.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// Messages of one request for history.
const PAGE: u16 = 100;

/// How long the server may take to hear the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// How far a message is to get before `send` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// It is on the server's disk.
    #[default]
    Sent,
    /// It is on a device of each of the others.
    Delivered,
    /// Each of the others has read it.
    Read,
}

/// What `send` is to do.
#[derive(Debug, Clone, Default)]
pub struct Send {
    /// A user or a chat; `None`: what earlier runs have left in the outbox is sent.
    pub to: Option<String>,
    /// What to say; `None`, or `-`: what standard input says.
    pub text: Option<String>,
    /// What it is; `None`: as the server sees it.
    pub content_type: Option<String>,
    /// The message that it answers.
    pub reply_to: Option<u64>,
    /// When the server forgets it.
    pub ttl: Option<Duration>,
    /// When to be content.
    pub until: Until,
    /// How long all may take.
    pub timeout: Duration,
    /// Print the message's place.
    pub verbose: bool,
}

/// What `listen` is to do.
#[derive(Debug, Clone, Default)]
pub struct Listen {
    /// One JSON object a line.
    pub json: bool,
    /// Of this user or chat alone.
    pub only: Option<String>,
    /// One's own messages too.
    pub own: bool,
    /// Receipts, presence, typing and the connection too.
    pub all: bool,
    /// Say that what is printed is read.
    pub read: bool,
    /// End after so many messages.
    pub count: Option<u64>,
}

/// What `history` is to do.
#[derive(Debug, Clone, Default)]
pub struct ReadHistory {
    /// A user or a chat.
    pub chat: String,
    /// How many entries, at most.
    pub limit: u64,
    /// Those before this place.
    pub before: Option<u64>,
    /// One JSON object a line.
    pub json: bool,
    /// How long an answer may take.
    pub timeout: Duration,
}

pub(crate) async fn send(account: &Account, send: Send) -> Result<(), Failure> {
    let place = account.place()?;
    let chat = send.to.as_deref().map(|name| account.chat(name)).transpose()?;
    let draft = match &chat {
        Some(_) => Some(draft(&send)?),
        None => None,
    };
    let give_up = tokio::time::Instant::now() + send.timeout;
    // One at a time: they share the outbox, and its order.
    let file = place.file("send.outbox");
    let device = place.device("send");
    let lock = tokio::task::spawn_blocking(move || place.lock("send.lock"));
    let lock = tokio::time::timeout_at(give_up, lock).await.map_err(|_| {
        Failure::Other("other `bluetick send`s of this account take all the time".to_owned())
    })?;
    let _lock = lock.map_err(Failure::other)??;
    let builder = account.builder()?.device(device).outbox(file);
    // It takes no message: one that it took would count as delivered.
    let builder = builder.messages(false).receipts(send.until != Until::Sent);
    let connected = builder.session_expiry(Duration::ZERO).connect().await;
    let (client, mut events) = connected.map_err(Failure::of)?;
    let result = match chat.zip(draft) {
        Some((chat, draft)) => {
            let chat = client.chat(&chat);
            send_one(&client, &mut events, &chat, draft, &send, give_up).await
        }
        None => flush(&client, &mut events, give_up).await,
    };
    let _heard = tokio::time::timeout(GOODBYE, client.close()).await;
    result
}

fn draft(send: &Send) -> Result<Draft, Failure> {
    let body = match send.text.as_deref() {
        Some(text) if text != "-" => text.as_bytes().to_vec(),
        _ => {
            let input = std::io::stdin();
            if input.is_terminal() {
                eprintln!("(end with Ctrl-D)");
            }
            let mut body = Vec::new();
            input.lock().take(BODY_BYTES_MAX + 1).read_to_end(&mut body)?;
            if body.len() as u64 > BODY_BYTES_MAX {
                return Err(Failure::Usage(format!("more than {BODY_BYTES_MAX} bytes to send")));
            }
            // What `echo` puts at the end is not meant.
            if body.last() == Some(&b'\n') && std::str::from_utf8(&body).is_ok() {
                body.pop();
            }
            body
        }
    };
    if body.is_empty() {
        return Err(Failure::Usage("there is nothing to send".to_owned()));
    }
    let mut draft = Draft::bytes(body);
    if let Some(content_type) = &send.content_type {
        draft = draft.content_type(content_type);
    }
    if let Some(seq) = send.reply_to {
        draft = draft.reply_to(Seq(seq));
    }
    if let Some(ttl) = send.ttl {
        draft = draft.ttl(ttl);
    }
    Ok(draft)
}

async fn send_one(
    client: &Client,
    events: &mut Events,
    chat: &Chat,
    draft: Draft,
    send: &Send,
    give_up: tokio::time::Instant,
) -> Result<(), Failure> {
    let mut pending = chat.send(draft).await.map_err(Failure::of)?;
    let sent = tokio::select! {
        sent = &mut pending => sent,
        state = never_online(events) => return refused(client, &pending, state).await,
        () = tokio::time::sleep_until(give_up) => return Err(queued(client)),
        () = ended_by_signal() => return Err(queued(client)),
    };
    let sent = sent.map_err(|error| match error.kind() {
        ErrorKind::Refused => Failure::Refused(text::clean_line(&error.to_string())),
        _ => Failure::of(error),
    })?;
    if send.verbose {
        writeln!(std::io::stdout(), "{}", sent.seq)?;
    }
    if send.until == Until::Sent {
        return Ok(());
    }
    tokio::select! {
        arrived = arrived(client.user(), events, chat, sent.seq, send.until) => arrived,
        () = tokio::time::sleep_until(give_up) => Err(unconfirmed(sent.seq)),
        () = ended_by_signal() => Err(unconfirmed(sent.seq)),
    }
}

fn queued(client: &Client) -> Failure {
    let why = client.last_loss().map(|why| format!(": {}", text::clean_line(&why)));
    Failure::Queued(format!(
        "not sent yet{}; it waits on this machine for the next `bluetick send`",
        why.unwrap_or_default()
    ))
}

fn unconfirmed(seq: Seq) -> Failure {
    Failure::Unconfirmed(format!("sent as {seq}; the others have not got that far in time"))
}

/// Waits for a state that does not get better by itself; says meanwhile what became of earlier messages.
async fn never_online(events: &mut Events) -> Connection {
    loop {
        match events.next().await {
            Some(Event::Connection(state)) if !state.recovers() => return state,
            Some(Event::NotSent { chat, error, .. }) => {
                let error = text::clean_line(&error.to_string());
                eprintln!("bluetick: an earlier message to {chat} was not sent: {error}");
            }
            Some(_) => {}
            None => return Connection::Closed,
        }
    }
}

/// The message is taken back, so that a later run does not send what this one has called refused.
async fn refused(client: &Client, pending: &Pending, state: Connection) -> Result<(), Failure> {
    match pending.cancel().await {
        Ok(true) => Err(Failure::Refused(state_in_words(client, state))),
        Ok(false) => Err(queued(client)),
        Err(error) => Err(Failure::of(error)),
    }
}

fn state_in_words(client: &Client, state: Connection) -> String {
    let why = client.last_loss().map(|why| text::clean_line(&why));
    match (state, why) {
        (Connection::TakenOver, _) => "another program is connected as this device".to_owned(),
        (Connection::CredentialsRefused, None) => {
            "the server does not take this user and password".to_owned()
        }
        (Connection::Rejected { code }, None) => {
            format!("the server refuses the connection (0x{code:02x})")
        }
        (_, Some(why)) => why,
        (state, None) => format!("{state:?}"),
    }
}

/// Waits until all others have a message, or have read it. Who they are, and how far, the server says; that
/// something has changed, receipts do.
async fn arrived(
    me: &UserId,
    events: &mut Events,
    chat: &Chat,
    seq: Seq,
    until: Until,
) -> Result<(), Failure> {
    loop {
        let info = chat.info().await.map_err(Failure::of)?;
        let mut others = info.members.iter().filter(|member| member.user != *me);
        let reached = others.all(|member| match until {
            Until::Read => member.read >= seq,
            _ => member.delivered >= seq,
        });
        if reached {
            return Ok(());
        }
        loop {
            match events.next().await {
                Some(Event::Receipt(receipt)) if receipt.chat == *chat.id() => break,
                Some(Event::ReceiptCount(count)) if count.chat == *chat.id() => break,
                // What was told meanwhile may have been missed.
                Some(Event::Connection(state)) if state.is_online() => break,
                Some(_) => {}
                None => return Err(Failure::Other("the connection was closed".to_owned())),
            }
        }
    }
}

/// Sends what earlier runs have left.
async fn flush(
    client: &Client,
    events: &mut Events,
    give_up: tokio::time::Instant,
) -> Result<(), Failure> {
    tokio::select! {
        () = client.flush() => Ok(()),
        state = never_online(events) => Err(Failure::Refused(state_in_words(client, state))),
        () = tokio::time::sleep_until(give_up) => Err(queued(client)),
        () = ended_by_signal() => Err(queued(client)),
    }
}

pub(crate) async fn listen(account: &Account, listen: &Listen) -> Result<(), Failure> {
    let place = account.place()?;
    let only = listen.only.as_deref().map(|name| account.chat(name)).transpose()?;
    // Said to be here before it is printed, a message would be lost with the pipe.
    let builder = account.builder()?.device(place.device("listen")).manual_acks(true);
    let builder = builder.receipts(listen.all).presence(listen.all).typing(listen.all);
    let (client, mut events) = builder.connect().await.map_err(Failure::of)?;
    let mut left = listen.count;
    let result = loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = ended_by_signal() => break Ok(()),
        };
        let Some(event) = event else { break Ok(()) };
        if let Event::Connection(state) = event {
            if !state.recovers() {
                break Err(Failure::Refused(state_in_words(&client, state)));
            }
            if let (false, Some(why)) = (listen.all || state.is_online(), client.last_loss()) {
                eprintln!("bluetick: no connection: {}; it is tried again", text::clean_line(&why));
            }
        }
        let message = event.message().cloned();
        let wanted = match &message {
            Some(message) => {
                only.as_ref().is_none_or(|only| *only == message.chat)
                    && (listen.own || message.from != *client.user())
            }
            None => listen.all,
        };
        if wanted {
            let line = if listen.json { print::json(&event) } else { print::line(&event) };
            if let Some(line) = line
                && let Err(error) = print::put(&line)
            {
                break Err(error);
            }
        }
        let Some(message) = message else { continue };
        events.ack(&message);
        if wanted && listen.read {
            let read = client.chat(&message.chat).read(message.seq).await;
            if let Err(error) = read {
                break Err(Failure::of(error));
            }
        }
        if wanted && let Some(left) = &mut left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                break Ok(());
            }
        }
    };
    let _heard = tokio::time::timeout(GOODBYE, client.close()).await;
    result
}

pub(crate) async fn history(account: &Account, history: &ReadHistory) -> Result<(), Failure> {
    let (place, chat) = (account.place()?, account.chat(&history.chat)?);
    // A device for this moment: several may run at a time.
    let device = place.device(&format!("history-{}", std::process::id()));
    let builder = account.builder()?.device(device).messages(false).receipts(false);
    let builder = builder.session_expiry(Duration::ZERO).request_timeout(history.timeout);
    let (client, _events) = builder.connect().await.map_err(Failure::of)?;
    let chat = client.chat(&chat);
    let result = tokio::select! {
        pages = pages(&chat, history) => pages,
        state = unable(&client) => Err(Failure::Refused(state_in_words(&client, state))),
        () = ended_by_signal() => Ok(()),
    };
    let _heard = tokio::time::timeout(GOODBYE, client.close()).await;
    result
}

/// Waits for a first state that does not get better by itself.
async fn unable(client: &Client) -> Connection {
    let state = client.settled().await;
    if state.recovers() {
        std::future::pending::<()>().await;
    }
    state
}

/// Reads back, page by page, and prints in order.
async fn pages(chat: &Chat, history: &ReadHistory) -> Result<(), Failure> {
    let mut page = history.before.map_or(Page::Newest, |seq| Page::Before(Seq(seq)));
    let mut left = history.limit;
    let mut pages = Vec::new();
    while left > 0 {
        let limit = u16::try_from(left).unwrap_or(PAGE).min(PAGE);
        let messages = chat.history(page, limit).await.map_err(Failure::of)?;
        let Some(first) = messages.first() else { break };
        page = Page::Before(first.seq);
        left = left.saturating_sub(messages.len() as u64);
        pages.push(messages);
    }
    for message in pages.into_iter().rev().flatten() {
        let event = Event::from(message);
        let line = if history.json { print::json(&event) } else { print::line(&event) };
        if let Some(line) = line {
            print::put(&line)?;
        }
    }
    Ok(())
}

/// Waits for SIGINT or SIGTERM; for ever if that cannot be waited for.
async fn ended_by_signal() {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
