//! What was decided, as data: the writes of one atomic commit, and what becomes visible after it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bluetick_protocol::{ChatId, MessageId, Seq, UserId};
use serde::{Deserialize, Serialize};

use super::chat::{ChatNo, Info, Member, Watermarks};
use super::command::{Answer, RequestKey, SavedSession, SessionKey};
use super::entry::{Amendments, Entry};
use super::user::{Seen, User};
use super::{Counters, Millis};

/// The decisions of one partition that are committed together.
///
/// Applying the writes depends on nothing but themselves: replayed into an empty store, all
/// batches of a run give the same store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Rises by one from batch to batch of a partition's engine.
    pub number: u64,
    /// In the order decided.
    pub writes: Vec<Write>,
    /// What becomes visible once the writes are on stable storage.
    #[serde(skip)]
    pub effects: Vec<Effect>,
    #[serde(skip)]
    pub(super) ids: Vec<NewId>,
    #[serde(skip)]
    pub(super) requests: Vec<RequestKey>,
    /// Entries that were deleted, as they are now.
    #[serde(skip)]
    pub erased: Vec<(ChatNo, Arc<Entry>)>,
    #[serde(skip)]
    pub(super) touched: Vec<ChatNo>,
    #[serde(skip)]
    pub(super) grown: BTreeMap<ChatNo, (Seq, Seq)>,
    #[serde(skip)]
    pub(super) moved: Vec<(ChatNo, u32)>,
    /// By how much what members' messages take in the store has changed, bytes.
    #[serde(skip)]
    pub(super) stored: BTreeMap<(ChatNo, u32), i64>,
    #[serde(skip)]
    pub(super) counters_changed: bool,
}

/// An id that a batch brings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewId {
    pub(super) chat: ChatNo,
    pub(super) author: u32,
    pub(super) id: MessageId,
    pub(super) seq: Seq,
    pub(super) in_order: bool,
}

impl Batch {
    /// Whether there is anything to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.touched.is_empty() && !self.counters_changed
    }

    /// By how much what members' messages take in the store has changed: chat, member's place,
    /// bytes.
    pub fn stored(&self) -> impl Iterator<Item = (ChatNo, u32, i64)> {
        self.stored.iter().map(|((chat, member), bytes)| (*chat, *member, *bytes))
    }

    pub(super) fn note_stored(&mut self, chat: ChatNo, entry: &Entry, sign: i64) {
        *self.stored.entry((chat, entry.author)).or_default() += entry.stored_bytes() * sign;
    }

    pub(super) fn push(&mut self, write: Write) {
        self.writes.push(write);
    }
}

/// One change of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Write {
    /// A new entry of a chat's log.
    Entry {
        /// Whose log.
        chat: ChatNo,
        /// The entry.
        entry: Arc<Entry>,
    },
    /// What is left of an entry that is deleted, in its place.
    Erase {
        /// Whose log.
        chat: ChatNo,
        /// What is left.
        entry: Arc<Entry>,
    },
    /// What later entries have done to a message.
    Amendments {
        /// In which chat.
        chat: ChatNo,
        /// Which message.
        seq: Seq,
        /// What.
        amendments: Amendments,
    },
    /// Where the message with a sender's id is.
    Id {
        /// The key, together with chat and author.
        id: MessageId,
        /// In which chat.
        chat: ChatNo,
        /// By whom.
        author: u32,
        /// Whether its id came in their order, and others are found from there.
        in_order: bool,
        /// Its place.
        seq: Seq,
    },
    /// The number of a chat's name, where it is not made of it: see [`ChatNo::of_direct`].
    ChatName {
        /// The name.
        id: ChatId,
        /// The number.
        no: ChatNo,
    },
    /// A user is a member of a chat (or was: history stays his).
    ChatOfUser {
        /// Who.
        user: UserId,
        /// Where.
        no: ChatNo,
    },
    /// A chat's head and its first members.
    Chat {
        /// Its number.
        no: ChatNo,
        /// Its name.
        id: ChatId,
        /// Its newest entry.
        head: Seq,
        /// Its receipt version.
        version: u64,
        /// The time of its newest entry.
        last_at_ms: u64,
        /// How many members there are on all pages.
        member_count: u32,
        /// There is a record of [`Write::ChatInfo`].
        has_info: bool,
        /// Page 0.
        members: Vec<Member>,
    },
    /// What is said of a chat.
    ChatInfo {
        /// Of which.
        no: ChatNo,
        /// What.
        info: Info,
    },
    /// The answer to a request, so that a repeat changes nothing. `None` removes it.
    Answer {
        /// Of whom, to which.
        key: RequestKey,
        /// When and what.
        answer: Option<Answer>,
    },
    /// Further members of a group.
    MemberPage {
        /// Of which chat.
        no: ChatNo,
        /// 1 and up.
        page: u32,
        /// At most [`super::MEMBERS_PER_PAGE`].
        members: Vec<Member>,
    },
    /// What is kept of a user.
    User {
        /// Who.
        id: UserId,
        /// What.
        user: User,
    },
    /// What a user's messages take in the store.
    Stored {
        /// Whose.
        user: UserId,
        /// How much, bytes.
        bytes: i64,
    },
    /// When a user was last seen.
    Seen {
        /// Who.
        user: UserId,
        /// When.
        seen: Seen,
    },
    /// The server was alive.
    Alive {
        /// When, milliseconds since the Unix epoch.
        at_ms: Millis,
    },
    /// A persistent session; `None` removes it.
    Session {
        /// Whose.
        key: SessionKey,
        /// What outlives the server.
        session: Option<SavedSession>,
    },
    /// The partition's counters.
    Counters(Counters),
}

/// What becomes visible with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A chat has new entries, `first` to `last`.
    Grown {
        /// Which.
        chat: ChatNo,
        /// The first new one.
        first: Seq,
        /// The last new one.
        last: Seq,
    },
    /// A member is typing, or no longer. Of the moment: nothing of it is stored.
    Typing {
        /// Where.
        chat: ChatNo,
        /// Who, by his place.
        member: u32,
        /// Whether he is.
        typing: bool,
    },
    /// Somebody has joined or left a chat, or a direct chat has begun.
    Members {
        /// Which.
        chat: ChatNo,
    },
    /// A member's watermarks stand at `marks`.
    Marks {
        /// Where.
        chat: ChatNo,
        /// Whose.
        member: u32,
        /// Where they stand.
        marks: Watermarks,
    },
}

/// Where a subscription starts in one chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionStart {
    /// Which chat.
    pub chat: ChatNo,
    /// The member's place in it.
    pub member: u32,
    /// Acknowledged up to here (messages), or the head for a live tail.
    pub seq: Seq,
    /// Told up to this version (receipts).
    pub receipts: u64,
}

/// What has to be read from the store before a command can be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// The chat of this name: [`super::Engine::supply_chat`], or [`Facts::absent`].
    Chat(ChatId),
    /// The chat with this number: [`super::Engine::supply_chat`].
    ChatNo(ChatNo),
    /// The numbers of all chats of a user: [`Facts::chats_of_user`].
    ChatsOfUser(UserId),
    /// Where the message with this id of this author is: [`Facts::ids`].
    Id {
        /// In which chat.
        chat: ChatNo,
        /// By whom, by his place.
        author: u32,
        /// Which.
        id: MessageId,
        /// His message with the greatest id that is stored, zero if there is none; `None`: it is known
        /// that this one is not among those that came in order.
        newest_named: Option<Seq>,
    },
    /// An entry: [`Facts::entries`].
    Entry(ChatNo, Seq),
    /// What was done to a message: [`Facts::amendments`].
    Amendments(ChatNo, Seq),
    /// The answer to a request: [`Facts::answers`].
    Answer(RequestKey),
    /// What is kept of a user: [`Facts::users`].
    User(UserId),
    /// What a user's messages take in the store: [`Facts::stored`].
    Stored(UserId),
}

/// What was read from the store for one command; void after it.
#[derive(Debug, Default)]
pub struct Facts {
    /// Names of chats that do not exist.
    pub absent: HashSet<ChatId>,
    /// Those of them whose number ([`ChatNo::of_direct`]) another chat has.
    pub taken: HashSet<ChatId>,
    /// The chats of the user whom the command is about, rising.
    pub chats_of_user: Option<Vec<ChatNo>>,
    /// Places of ids; `None`: never used.
    pub ids: HashMap<(ChatNo, u32, MessageId), Option<Seq>>,
    /// Entries; `None`: not there (erased).
    pub entries: HashMap<(ChatNo, Seq), Option<Arc<Entry>>>,
    /// What was done to messages; `None`: nothing.
    pub amendments: HashMap<(ChatNo, Seq), Option<Amendments>>,
    /// Answers; `None`: never asked.
    pub answers: HashMap<RequestKey, Option<Answer>>,
    /// What is kept of users.
    pub users: HashMap<UserId, User>,
    /// What their messages take in the store, bytes.
    pub stored: HashMap<UserId, i64>,
}

impl Facts {
    /// Whether nothing was needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.absent.is_empty()
            && self.taken.is_empty()
            && self.chats_of_user.is_none()
            && self.ids.is_empty()
            && self.entries.is_empty()
            && self.answers.is_empty()
            && self.amendments.is_empty()
            && self.users.is_empty()
            && self.stored.is_empty()
    }
}
