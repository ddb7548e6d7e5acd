//! What a partition can be asked to do, and what it answers. All of it is data: a function call
//! today, a request over a network tomorrow.

use std::sync::Arc;

use bluetick_protocol::{ChatId, MessageId, Role, Seq, UserId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Amends, ChatNo, ContentType, Info, Millis, Seen, SubscriptionStart, User, UserChange};

/// A device's name: the MQTT client id. It belongs to one user.
pub type DeviceId = Arc<str>;

/// A device of a user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
}

/// A command to one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Store a message.
    Send(Box<Send>),
    /// A member has read up to a place.
    Read(Read),
    /// A member is typing, or no longer.
    Typing(Typing),
    /// A device has acknowledged up to a place.
    Advance(Advance),
    /// A device subscribes to chats of its user.
    Subscribe(Subscribe),
    /// A device gives a subscription back.
    Unsubscribe(Unsubscribe),
    /// Make a chat of named members.
    CreateChat(CreateChat),
    /// Change who is in a chat, or what is said of it.
    ChangeChat(Box<ChangeChat>),
    /// Set something for oneself in a chat.
    Prefer(Prefer),
    /// Change what is kept of a user.
    ChangeUser(Box<ChangeUser>),
    /// The cursors of a device that will not come back are forgotten.
    ForgetDevice {
        /// Whose.
        key: SessionKey,
        /// Only those of this session of it; `None`: of any.
        epoch: Option<u64>,
    },
    /// A user has come or gone.
    Seen {
        /// Who.
        user: UserId,
        /// When.
        seen: Seen,
    },
    /// The server is alive: who is on line is seen.
    Alive {
        /// When.
        at_ms: Millis,
    },
    /// What a user's messages take in the store has changed.
    Stored {
        /// Whose.
        user: UserId,
        /// By how much, bytes.
        bytes: i64,
    },
    /// Messages of a chat whose time is over are erased.
    Expire {
        /// Which chat.
        chat: ChatNo,
        /// Which messages.
        seqs: Vec<Seq>,
    },
    /// The answer to a request is old enough to be forgotten.
    ForgetAnswer(RequestKey),
    /// Store what has to outlive the server of a persistent session.
    SaveSession {
        /// Whose.
        key: SessionKey,
        /// What.
        session: SavedSession,
    },
    /// A persistent session has ended.
    DropSession {
        /// Whose.
        key: SessionKey,
    },
}

/// Store a message in a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Send {
    /// The author.
    pub from: UserId,
    /// Where to; a direct chat is made by its first message.
    pub chat: ChatId,
    /// The other user of a direct chat is known to exist.
    pub peer_exists: bool,
    /// The author may begin another direct chat.
    pub may_begin: bool,
    /// A quota of his that stands against it, unless it is stored already.
    pub over: Option<Quota>,
    /// The sender's idempotency key.
    pub id: Option<MessageId>,
    /// Set where there is no id: a hash of session, packet id and content. A publish that is
    /// marked as a retransmission (`dup`) and finds its fingerprint among the author's newest
    /// messages is the same message.
    pub fingerprint: Option<u64>,
    /// MQTT's DUP flag.
    pub dup: bool,
    /// A hash of the device ([`super::Entry::origin`]).
    pub origin: u32,
    /// The body.
    pub body: Bytes,
    /// What it is.
    pub content_type: ContentType,
    /// Which entry it answers.
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    pub mentions: Vec<UserId>,
    /// Seconds of life.
    pub ttl_s: Option<u32>,
    /// Which earlier entry it changes, and how.
    pub amends: Option<Amends>,
    /// How long after it was sent a message can be edited.
    pub edit_window_ms: u64,
}

/// A member says that he has read up to `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Who.
    pub user: UserId,
    /// Where.
    pub chat: ChatId,
    /// Up to here, inclusive; beyond the head it means the head.
    pub seq: Seq,
    /// Others may know.
    pub told: bool,
}

/// A member says that he is typing, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// Who.
    pub user: UserId,
    /// Where.
    pub chat: ChatId,
    /// Whether he is.
    pub typing: bool,
}

/// A device has acknowledged all it was given up to a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// Which chat; it is in memory as long as something given from it is not acknowledged.
    pub chat: ChatNo,
    /// The member's place in it.
    pub member: u32,
    /// The session, where it keeps a cursor of its own.
    pub session: Option<(DeviceId, u64)>,
    /// Messages up to here are done with, if any are.
    pub seq: Option<Seq>,
    /// The last of them that was acknowledged, and not withdrawn because its time was over.
    pub delivered: Option<Seq>,
    /// Receipts up to this version, if any were acknowledged.
    pub receipts: Option<u64>,
}

/// What a subscription is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SubscriptionKind {
    /// `chats/…/messages`
    Messages,
    /// `chats/…/receipts`
    Receipts,
}

/// A device subscribes: to one chat, or to all its user is or will be a member of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Who.
    pub user: UserId,
    /// The session, where it keeps cursors that outlive its connection.
    pub session: Option<(DeviceId, u64)>,
    /// For what.
    pub kind: SubscriptionKind,
    /// `None`: all chats.
    pub chat: Option<ChatId>,
    /// At QoS 0: a live tail, no cursor.
    pub live: bool,
    /// The session had this subscription before (it is back after a disconnect): its tick.
    pub resumed: Option<u64>,
}

/// A persistent session gives a subscription back: its cursors for that end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// Who.
    pub user: UserId,
    /// The session.
    pub session: (DeviceId, u64),
    /// For what.
    pub kind: SubscriptionKind,
    /// `None`: all chats.
    pub chat: Option<ChatId>,
}

/// Make a group of named members (a direct chat makes itself).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateChat {
    /// Its name, made by the caller: identity comes in from outside.
    pub chat: ChatId,
    /// The id of its first entry.
    pub id: MessageId,
    /// Its owner.
    pub owner: UserId,
    /// The others.
    pub members: Vec<UserId>,
    /// What is said of it.
    pub info: Info,
    /// How many members it may have.
    pub members_max: u32,
    /// A quota of its owner that stands against it, unless it is there already.
    pub over: Option<Quota>,
}

/// Change who is in a chat, or what is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeChat {
    /// The request, by which a repeat is known.
    pub request: RequestKey,
    /// Where. Who asks is in the request.
    pub chat: ChatId,
    /// The id of the entry that tells the members.
    pub id: MessageId,
    /// What.
    pub change: Change,
    /// How many members a group may have.
    pub members_max: u32,
}

/// A change of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// These join.
    Add(Vec<UserId>),
    /// These have to leave.
    Remove(Vec<UserId>),
    /// Who asks leaves.
    Leave,
    /// A member gets another role.
    SetRole(UserId, Role),
    /// Something else is said of the group; `None` stays as it is, empty text takes it away.
    Update {
        /// Its title.
        title: Option<String>,
        /// Its description.
        description: Option<String>,
        /// Its picture.
        picture: Option<String>,
        /// Whether only owners and admins may send.
        admins_only: Option<bool>,
    },
    /// Messages live so many seconds from now on; 0: for ever.
    SetTtl(u32),
}

/// Set something for oneself in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefer {
    /// The request, by which a repeat is known.
    pub request: RequestKey,
    /// Where. Who asks is in the request.
    pub chat: ChatId,
    /// The other user of a direct chat is known to exist.
    pub peer_exists: bool,
    /// What.
    pub preference: Preference,
}

/// What a member sets for himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preference {
    /// No notifications before then; `None`: as usual.
    Mute(Option<Millis>),
    /// Nothing more from the other one of a direct chat, or again.
    Block(bool),
}

/// Change what is kept of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeUser {
    /// The request, by which a repeat is known. The user is in it.
    pub request: RequestKey,
    /// What.
    pub change: UserChange,
}

/// Names a request of a user, so that a repeat is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestKey {
    /// Whose.
    pub user: UserId,
    /// A hash of what he names it by.
    pub hash: u128,
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// When.
    pub at_ms: u64,
    /// What: the users whom it concerned, or why not.
    pub result: Result<Vec<UserId>, Refused>,
}

impl Answer {
    /// The outcome of a command that had this answer.
    #[must_use]
    pub(super) fn outcome(&self) -> Outcome {
        self.result.clone().map_or_else(Outcome::Refused, Outcome::Changed)
    }
}

/// What has to outlive the server of a persistent session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSession {
    /// Tells this session from earlier and later ones of the same device.
    pub epoch: u64,
    /// Seconds it lives without a connection; `u32::MAX`: for ever.
    pub expiry_s: u32,
    /// When its last connection ended; `None` while it is connected.
    pub disconnected_at_ms: Option<u64>,
    /// When its client was last heard of: at its last packet, if the connection was lost.
    pub last_seen_ms: u64,
    /// What its client says that it is.
    pub client: String,
    /// Its subscriptions to the host's topics.
    pub subscriptions: Vec<SavedSubscription>,
}

/// One subscription of a persistent session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSubscription {
    /// As the client wrote it.
    pub filter: Arc<str>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// MQTT 5's option.
    pub no_local: bool,
    /// MQTT 5's identifier.
    pub id: Option<u32>,
    /// The tick of each partition when it was made, by partition number.
    pub ticks: Vec<u64>,
}

/// What became of a command; true only once its batch is committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The message is stored, now or before.
    Sent {
        /// Its id.
        id: MessageId,
        /// Its place.
        seq: Seq,
        /// When it was stored.
        at_ms: u64,
        /// It was stored before, by an earlier attempt.
        duplicate: bool,
    },
    /// The watermark stands at or above what was said.
    Read,
    /// Those who look are told.
    Typing {
        /// Whether he is.
        typing: bool,
    },
    /// The cursor stands.
    Advanced,
    /// Where the subscription starts.
    Subscribed {
        /// The partition's tick; to be kept with a persistent session.
        tick: u64,
        /// Each chat with its start.
        chats: Vec<SubscriptionStart>,
    },
    /// The subscription has ended.
    Unsubscribed,
    /// The chat exists.
    Created {
        /// Its number.
        chat: ChatNo,
    },
    /// The chat is changed, now or by the first attempt: the users whom it concerned.
    Changed(Vec<UserId>),
    /// What a member has set for himself is so now, or was by the first attempt.
    Preferred {
        /// It was, and may have been set otherwise since.
        repeated: bool,
    },
    /// The user is like this now, or was already by the first attempt.
    UserChanged {
        /// What is kept of him.
        user: Box<User>,
        /// The request was answered before, and nothing changed now.
        repeated: bool,
    },
    /// The record is stored or gone.
    Saved,
    /// Not done.
    Refused(Refused),
    /// Not done for now: a quota is reached. No answer that a repeat gets.
    OverQuota(Quota),
}

/// What a user may not ask without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quota {
    /// Messages at a time.
    Rate,
    /// Bytes in the store.
    StoredBytes,
    /// Groups.
    Groups,
    /// Chats with those he has none with.
    Strangers,
}

/// Why a command was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// Not a member, or no such chat or user: the same answer, so that nobody can probe.
    NotAMember,
    /// The chat exists already.
    Exists,
    /// Only an owner or admin may do this.
    AdminsOnly,
    /// Only an owner may do this.
    OwnersOnly,
    /// Nobody may do this to an owner.
    Owner,
    /// A group always has an owner, and this is the last one.
    LastOwner,
    /// There would be more members than a group may have.
    TooManyMembers,
    /// A direct chat has its two members for ever.
    Direct,
    /// The message was edited as often as it can be.
    TooManyEdits,
    /// There is no reaction to take back.
    NoReaction,
    /// The user has no such device.
    NoDevice,
}
