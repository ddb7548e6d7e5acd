//! A small Rust client for bluetick.
//!
//! [`Client::connect`] gives a handle and a stream of [`Events`]. A [`Client::send`] resolves when
//! the message is on the server's stable storage and has its place in the chat: with its own id,
//! so that sending it again can never double it. The connection is kept up by itself; what is
//! under way goes out again after it was lost.

mod connection;
mod error;

pub use bluetick_protocol::{ChatId, Message, MessageId, NameError, Receipt, Seq, UserId};
pub use connection::{Client, Event, Events, Options};
pub use error::{Error, ErrorKind};
