//! What broke: a promise, where, and the values.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The promises of docs/protocol.md, by their number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// What was acknowledged is stored and has its place.
    Sent = 1,
    /// One message id makes one message.
    Once,
    /// Every member gets the messages in order, without holes.
    Ordered,
    /// What was not delivered waits until it is.
    Kept,
    /// Receipts are true, rise only, and reach the author.
    Receipts,
    /// Only members read, write and learn about a chat.
    Private,
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The promise.
    pub promise: Promise,
    /// Index of the event that shows it (for what is missing: of [`Settled`](crate::Event::Settled)).
    pub at: usize,
    /// One sentence with the values. It says nothing that events beside the point would change:
    /// [`shrink`](crate::shrink()) recognises the violation by it.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "promise {} ({:?}) broke at event {}: {}",
            self.promise as u8, self.promise, self.at, self.what
        )
    }
}
