//! What a device is like, and what it needs around it.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::requests::Wish;

/// What a device is like.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose.
    pub user: String,
    /// MQTT client id.
    pub device: String,
    /// 4 (3.1.1) or 5.
    pub version: u8,
    /// Its session outlives its connection.
    pub persistent: bool,
    /// Subscribes to all messages at this QoS.
    pub messages: Option<u8>,
    /// Subscribes to all receipts.
    pub receipts: bool,
    /// Gets both as differences (docs/compact.md).
    pub differences: bool,
    /// Does not want its own messages (MQTT 5).
    pub no_local: bool,
    /// Sends to these chats.
    pub sends_to: Vec<String>,
    /// Gives its messages ids.
    pub ids: bool,
    /// Says now and then what it has read.
    pub reads: bool,
}

/// What a device does beside sending, receiving and reading.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// Edits, deletes and reacts to messages that it has got.
    pub amends: bool,
    /// Sends now and then, to direct chats, what does not last (MQTT 5).
    pub passes: bool,
    /// Subscribes to who is there.
    pub looks: bool,
    /// Goes for good when all others settle.
    pub leaves: bool,
    /// Asks for this now and then.
    pub wishes: Vec<Wish>,
}

/// How a device behaves in time.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one action to the next, at most.
    pub step: Duration,
    /// One action in so many loses the connection; 0: never.
    pub cut_one_in: u32,
}

/// What all devices are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Sending, reading, losing connections.
    Busy,
    /// No new messages and no more cuts: everything under way comes to its end.
    Settling,
    /// Over.
    Done,
}

/// How a device gets a connection.
pub trait Dial {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Connects; an error is tried again.
    fn dial(&self) -> impl Future<Output = std::io::Result<Self::Stream>>;
}
