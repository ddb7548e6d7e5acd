//! What a client did or saw: one line of a history.

use serde::{Deserialize, Serialize};

/// One thing that a client did or saw, or that happened to the server.
///
/// When an event is recorded matters as much as what it says: what a client is about to do
/// ([`Send`](Event::Send), [`AckedBack`](Event::AckedBack), [`ReadSaid`](Event::ReadSaid), a
/// [`Member`](Event::Member) who joins) is recorded before the first byte is written, what it sees after
/// the packet was read. Then whatever the server knows of, the history knows of earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The user is a member of the chat: from its start if nothing was sent to the chat before, else from
    /// about now, recorded before the request that adds him is written.
    Member {
        /// Chat.
        chat: String,
        /// The new member.
        user: String,
    },
    /// An entry of the log was read that makes the user a member: his from this `seq` on. With this or
    /// [`Removed`](Event::Removed) about a user, the entries alone tell when he was a member, and a
    /// [`Member`](Event::Member) event says only that he was one from the first entry on. Each such entry
    /// has to be read by somebody; by how many, and when, makes no difference.
    Added {
        /// Chat.
        chat: String,
        /// The new member.
        user: String,
        /// Place of the entry.
        seq: u64,
    },
    /// An entry of the log was read that ends the user's membership: the last that he is entitled to.
    Removed {
        /// Chat.
        chat: String,
        /// The member who was removed or left.
        user: String,
        /// Place of the entry.
        seq: u64,
    },
    /// A request is about to be written, be it again.
    Asked {
        /// User.
        user: String,
        /// The history's own number for the request: a repeat has the same.
        request: u64,
        /// What he asks for.
        ask: Ask,
    },
    /// The answer to a request was read.
    Answered {
        /// Chat; empty where the request is about none.
        chat: String,
        /// As in [`Asked`](Event::Asked).
        request: u64,
        /// Whom it concerned, where it was to change who is a member; `None`: it was refused.
        users: Option<Vec<String>>,
    },
    /// The message need not reach this user: it expires, say. Declared before or
    /// after the message is sent; without it, `after` must not skip a message that was sent.
    Excused {
        /// Chat.
        chat: String,
        /// The member who may go without it.
        user: String,
        /// The logical message.
        tag: u64,
    },
    /// A successful CONNACK was read.
    Connected {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// The CONNACK's session present flag.
        session_present: bool,
        /// The session outlives this connection (clean session 0, or a session expiry interval above 0).
        persistent: bool,
    },
    /// A SUBACK that grants a subscription was read.
    Subscribed {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// All chats (`chats/+/…`) or one.
        chats: Scope,
        /// Granted QoS.
        qos: u8,
        /// A receipts subscription rather than messages.
        receipts: bool,
        /// MQTT 5's no local option.
        no_local: bool,
    },
    /// The device's connection ended, by whatever cause (a crash of the server included).
    Disconnected {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
    },
    /// The device's session expired, or is about to be discarded by a clean start: recorded before the
    /// CONNECT that discards it. A session that is not persistent ends by itself when disconnected.
    SessionEnded {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
    },
    /// One attempt to send is about to be written.
    Send {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// The sender's own number for the MQTT session it is sent in. Attempts of one tag in one session
        /// are MQTT's retransmissions of one packet (DUP, same packet id and content).
        session: u64,
        /// MQTT protocol level: 4 (3.1.1) or 5. Level 4 acknowledges what it refuses.
        version: u8,
        /// Chat.
        chat: String,
        /// Message id as the client gave it, if it did.
        id: Option<String>,
        /// Body; unique in the history, so that the message can be recognised.
        body: String,
        /// The earlier entry that it changes, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amends: Option<Amends>,
        /// The logical message: a retry has the same tag.
        tag: u64,
    },
    /// The server's PUBACK with success was read, completed by `me/acks` where it is subscribed.
    Acked {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// The logical message.
        tag: u64,
        /// Place in the chat, where told.
        seq: Option<u64>,
        /// Whether it was a repeat, where told.
        duplicate: Option<bool>,
    },
    /// The server refused: PUBACK with a reason code, or `me/errors`.
    Refused {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// The logical message.
        tag: u64,
        /// MQTT 5 reason code.
        code: u8,
    },
    /// An entry of a chat's log was read.
    Received {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// Chat.
        chat: String,
        /// Place in the chat.
        seq: u64,
        /// Message id; `None` where the dialect does not tell it.
        id: Option<String>,
        /// Author.
        from: String,
        /// Body; `None` where it came without (deleted, omitted).
        body: Option<String>,
        /// The earlier entry that it changes, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amends: Option<Amends>,
        /// It came without its body because that is deleted.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        deleted: bool,
        /// What the entry skips: those after this `seq` and before its own.
        after: Option<u64>,
        /// QoS of the delivery.
        qos: u8,
    },
    /// A page of a chat's log was read.
    History {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// Chat.
        chat: String,
        /// As they came.
        entries: Vec<Past>,
    },
    /// The device is about to write its PUBACK (QoS 2: PUBREC) of an entry.
    AckedBack {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// Chat.
        chat: String,
        /// Place in the chat.
        seq: u64,
    },
    /// The device is about to publish "I have read up to here".
    ///
    /// What he has read counts as delivered to him, so a `seq` far beyond the head blinds the checks of
    /// completeness to what he is sent later.
    ReadSaid {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// Chat.
        chat: String,
        /// Up to here; beyond the head it means the head.
        seq: u64,
    },
    /// The server's PUBACK of a [`ReadSaid`](Event::ReadSaid) was read.
    ReadAcked {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
        /// Chat.
        chat: String,
        /// As said.
        seq: u64,
    },
    /// A receipt was read.
    Receipt {
        /// The user who was told.
        user: String,
        /// MQTT client id.
        device: String,
        /// Chat.
        chat: String,
        /// The member it tells of.
        of: String,
        /// His delivered watermark.
        delivered: u64,
        /// His read watermark.
        read: u64,
    },
    /// The answer was read to something that one tried in a chat that he is no member of, or that is none.
    Probed {
        /// User.
        user: String,
        /// Chat, if there is one of that name.
        chat: String,
        /// What he tried, without the chat's name.
        probe: String,
        /// All that the answer says, but for the chat's name and numbers of the user's own.
        answer: String,
    },
    /// One read something that he is not to hear of, whatever it says.
    Overheard {
        /// User.
        user: String,
        /// Where it was published.
        topic: String,
    },
    /// A SUBACK that grants a subscription to the presence of all whom the user shares a chat with was read.
    Looks {
        /// User.
        user: String,
        /// MQTT client id.
        device: String,
    },
    /// It was read whether somebody is there.
    Presence {
        /// The user who was told.
        user: String,
        /// MQTT client id.
        device: String,
        /// Of whom.
        of: String,
        /// Whether he is there.
        online: bool,
        /// When he was there, Unix ms, where told.
        last_seen: Option<u64>,
    },
    /// The server was killed.
    ServerCrashed,
    /// The server runs (again).
    ServerStarted,
    /// Nothing more will come: every connected device has been idle long enough, or the simulation has
    /// run dry. Completeness is judged here; a history may settle more than once.
    Settled {},
}

/// What a user asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// That somebody becomes a member, or is one no longer; or what else changes a group.
    Members {
        /// Chat.
        chat: String,
        /// Who may become members by it.
        adds: Vec<String>,
        /// Whose membership may end by it.
        removes: Vec<String>,
    },
    /// To get nothing of the other one of this chat, or to get it again.
    Block {
        /// Chat.
        chat: String,
        /// Whether he blocks.
        blocks: bool,
    },
    /// Whether others are told what he has read, and he what they have.
    Reading {
        /// They are.
        told: bool,
    },
}

/// An entry in a page of a chat's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Place in the chat.
    pub seq: u64,
    /// Message id.
    pub id: String,
    /// Author.
    pub from: String,
    /// Body, as it is now; `None` where it came without.
    pub body: Option<String>,
    /// The earlier entry that it changes.
    pub amends: Option<Amends>,
}

/// What an entry does to an earlier one of its chat, by that one's `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amends {
    /// Its body is the new one.
    Edit(u64),
    /// That one's body is no more, nor are those of its edits.
    Delete(u64),
    /// Its body is a reaction, or empty to take it back.
    React(u64),
}

/// The chats that a subscription covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every chat of the user, also those that come later.
    All,
    /// One chat.
    Chat(String),
}

impl Scope {
    /// Whether the subscription covers this chat.
    #[must_use]
    pub fn covers(&self, chat: &str) -> bool {
        match self {
            Self::All => true,
            Self::Chat(one) => one == chat,
        }
    }
}
