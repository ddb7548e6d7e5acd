//! Chat for a Rust program, over bluetick: messages that are neither lost nor doubled, with the ticks that
//! people know.
//!
//! # Ten lines
//!
//! ```no_run
//! use bluetick_client::{Client, Event};
//!
//! # async fn run() -> Result<(), bluetick_client::Error> {
//! let (client, mut events) = Client::builder("mqtt://127.0.0.1")
//!     .user("bob").device("bob-phone").outbox("bob.outbox").connect().await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event && message.from != *client.user() {
//!         let text = format!("you said: {}", message.text().unwrap_or("something"));
//!         let _queued = client.chat(&message.chat).send(text).await?;
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Sending: queued is not sent
//!
//! [`Chat::send`] returns when the message is *queued*: in the outbox, and on disk if the outbox is a file
//! ([`Builder::outbox`]). From then on it is the SDK's affair. It goes out, in order, as soon as there is a
//! connection, again and again under the same id until the server has said that it has it, be it by another
//! run of the program; the server takes an id once. What `send` gives is a [`Pending`], and awaiting that
//! gives [`Sent`]: it is on the server's disk, and has its place (`seq`) in the chat. That is one tick.
//!
//! ```no_run
//! # async fn run(chat: bluetick_client::Chat) -> Result<(), bluetick_client::Error> {
//! let pending = chat.send("hi").await?; // queued
//! let sent = pending.await?;            // sent
//! println!("stored as {}", sent.seq);
//! # Ok(()) }
//! ```
//!
//! | what may happen | what becomes of it |
//! |---|---|
//! | the server is down, the network is gone | it waits, and goes out later |
//! | the program is killed | with an outbox on disk it goes out at the next start: [`Event::Sent`] |
//! | the answer is lost | it goes out again; the answer is the first one's ([`Sent::duplicate`]) |
//! | the outbox is full | [`ErrorKind::OutboxFull`]: nothing was queued |
//! | the server refuses it | [`ErrorKind::Refused`], by the [`Pending`] or, if that is gone, [`Event::NotSent`] |
//! | the server says: too much at once | it waits a while, and goes out again |
//! | it waits for longer than [`Draft::give_up_after`] | [`ErrorKind::Expired`], if it has never gone out |
//! | [`Pending::cancel`] | true, if it has never gone out |
//!
//! # Receiving: taken is delivered
//!
//! [`Events::next`] gives what happens, in the order of each chat, each once. A message that is taken is
//! acknowledged, and its author sees the second tick; with [`Builder::manual_acks`] it is
//! [`Events::ack`] that says so, after the program has stored it, say. What is not taken stays with the
//! server, but for [`Builder::unacked_max`] messages: a slow program needs no more memory for that.
//! [`Chat::read`] is the third tick, in blue.
//!
//! One caution: a program that is killed after it has taken a message, and before the server has heard of
//! it, gets that message again at its next start, with the same `seq`. A program that stores messages
//! stores `seq` with them, and passes over what it has.
//!
//! A hole in the order of a chat (the session had expired, say, and another device has got what was in
//! between) is closed from the history before anything later is given out ([`Message::repaired`]).
//!
//! # The connection
//!
//! It is made, kept up and made again by itself: at first at once, then after waits that double up to
//! 30 s, spread by chance. [`Client::connection`] and [`Event::Connection`] tell how it is. Three states
//! wait for somebody to do something ([`Connection::recovers`]): `TakenOver`, `CredentialsRefused` and
//! `Rejected`. If all handles and the events are dropped, the connection ends; [`Client::close`] ends it
//! in order.
//!
//! # Errors
//!
//! [`Error::kind`] says what went wrong and [`Error::advice`] what to do: retry, fix, or give up.
//!
//! # Features and versions
//!
//! `tls` (mqtts://, wss://; rustls with ring) and `websocket` (ws://, wss://), both on by default; without
//! them only mqtt:// is left. No type of the MQTT library is part of this API. What is marked
//! `non_exhaustive` may grow in a minor version. The file of the outbox is read by later versions.

mod builder;
mod chat;
mod client;
mod connection;
mod credentials;
mod draft;
mod error;
mod event;
mod inbox;
mod message;
mod outbox;
mod pending;
mod request;
#[cfg(feature = "tls")]
mod tls;

pub use bluetick_protocol::rpc::{
    ChatInfo, ChatList, ChatSummary, DeviceInfo, LastSeen, MemberInfo, Page, Profile,
};
pub use bluetick_protocol::{
    ChatId, ChatKind, Event as GroupEvent, MessageId, NameError, Presence, Receipt, ReceiptCount,
    Role, Seq, Typing, UserId,
};
pub use builder::{Builder, Dialect};
pub use chat::{Chat, GroupUpdate};
pub use client::{Client, Queued};
pub use draft::Draft;
pub use error::{Advice, Error, ErrorKind};
pub use event::{Connection, Event};
pub use inbox::Events;
pub use message::Message;
pub use pending::{Pending, Sent};

/// The guide's blocks of Rust are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sdk.md")]
struct Guide;
