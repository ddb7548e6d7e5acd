//! What happens.

use std::time::Duration;

use bluetick_protocol::{
    ChatId, Event as GroupEvent, MessageId, Presence, Receipt, ReceiptCount, Seq, Typing,
};

use crate::error::Error;
use crate::message::{Change, Message};
use crate::pending::Sent;

/// What happens, in the order in which it happened.
///
/// Messages and what changes them come in the order of their chat, each once ([`Message::seq`] rises).
/// What belongs to a chat's log carries its [`Message`], with author, place and time: see
/// [`Event::message`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody said something; one's own messages come too, from all of one's devices.
    Message(Message),
    /// The body of `of` is now that of `by`.
    Edited {
        /// The message that was edited.
        of: Seq,
        /// The edit.
        by: Message,
    },
    /// `of` has no body any more.
    Deleted {
        /// The message that was deleted.
        of: Seq,
        /// The deletion.
        by: Message,
    },
    /// Somebody reacted: the body of `by` is an emoji, or empty to take it back. One per user and
    /// message; a new one takes the place of the old.
    Reaction {
        /// The message reacted to.
        to: Seq,
        /// The reaction.
        by: Message,
    },
    /// Members came or went, or what the group is was changed.
    Membership {
        /// What happened.
        what: GroupEvent,
        /// Who did it, and when.
        by: Message,
    },
    /// A member got further: all up to `delivered` is on a device of his, all up to `read` was read.
    Receipt(Receipt),
    /// In a large group: how many have one's newest message.
    ReceiptCount(ReceiptCount),
    /// Somebody came or went; with [`Builder::presence`](crate::Builder::presence).
    Presence(Presence),
    /// Somebody types, or no longer; with [`Builder::typing`](crate::Builder::typing).
    Typing(Typing),
    /// How the connection is.
    Connection(Connection),
    /// A message that waited in the outbox when the program was started has been sent.
    Sent(Sent),
    /// A message is not sent and will not be, and nobody waits for its [`Pending`](crate::Pending).
    NotSent {
        /// Its chat.
        chat: ChatId,
        /// Its id.
        id: MessageId,
        /// Why.
        error: Error,
    },
    /// Entries after `after` and before `before` were not delivered, and the history has them not
    /// either. With a server that keeps its promises this does not happen.
    Missed {
        /// In which chat.
        chat: ChatId,
        /// The last that is there.
        after: Seq,
        /// The next that is there.
        before: Seq,
    },
}

/// How the connection is. [`Client::connection`](crate::Client::connection) has the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connection {
    /// It is being tried.
    Connecting,
    /// It stands.
    Online {
        /// Whether the server still had this device's session: if not, what other devices have got
        /// meanwhile does not come by itself. What this program had seen before is completed from history.
        session_present: bool,
    },
    /// It is lost, or could not be made, and is tried again by itself.
    Offline {
        /// After this time.
        retry_in: Duration,
    },
    /// Another program has connected as this device (0x8E), or the device was removed (0x98). Not tried
    /// again before [`Client::reconnect`](crate::Client::reconnect): two programs would throw each other
    /// out for ever.
    TakenOver,
    /// The server does not take user and password, or no longer (0x86, 0x87). Not tried again before
    /// [`Client::set_password`](crate::Client::set_password).
    CredentialsRefused,
    /// The server refuses this device for good, with this reason code. Not tried again before
    /// [`Client::reconnect`](crate::Client::reconnect).
    Rejected {
        /// The CONNACK's.
        code: u8,
    },
    /// The client was closed.
    Closed,
}

impl Connection {
    /// Whether it stands.
    #[must_use]
    pub const fn is_online(self) -> bool {
        matches!(self, Self::Online { .. })
    }

    /// Whether it comes by itself, sooner or later; if not, somebody has to do something.
    #[must_use]
    pub const fn recovers(self) -> bool {
        matches!(self, Self::Connecting | Self::Online { .. } | Self::Offline { .. })
    }
}

impl Event {
    /// The entry of a chat's log that it tells of.
    #[must_use]
    pub const fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message)
            | Self::Edited { by: message, .. }
            | Self::Deleted { by: message, .. }
            | Self::Reaction { by: message, .. }
            | Self::Membership { by: message, .. } => Some(message),
            _ => None,
        }
    }
}

impl From<Message> for Event {
    fn from(message: Message) -> Self {
        match &message.change {
            Change::None => Self::Message(message),
            Change::Edit(of) => Self::Edited { of: *of, by: message },
            Change::Delete(of) => Self::Deleted { of: *of, by: message },
            Change::React(to) => Self::Reaction { to: *to, by: message },
            Change::Group(what) => Self::Membership { what: what.clone(), by: message },
        }
    }
}
