//! The chat engine: what a command does to a partition's chats, decided without I/O or a clock.
//!
//! [`Engine::decide`] takes a command and the time, changes the state in memory and adds what is
//! to be stored and told to a [`Batch`]. Nothing of it may be shown to anybody before the batch
//! is on stable storage: the driver commits first and calls [`Engine::handle_committed`] then.
//! When a commit fails, the state in memory is ahead of the store and is thrown away whole
//! ([`Engine::reset`]); the next command loads it anew.
//!
//! State that is not in memory is asked for: `decide` returns a [`Need`] and has then changed
//! nothing; the driver reads it from the store, hands it over ([`Facts`], [`Engine::supply_chat`])
//! and calls again.

mod amend;
mod batch;
mod chat;
mod command;
mod entry;
mod expire;
mod group;
mod marks;
mod preferences;
mod residents;
mod send;
mod subscribe;
mod user;

pub use batch::{Batch, Effect, Facts, Need, SubscriptionStart, Write};
pub use chat::{Chat, ChatNo, Cursor, Info, MEMBERS_PER_PAGE, Member, NAMED_PER_INDEX, Watermarks};
pub use command::{
    Advance, Answer, Change, ChangeChat, ChangeUser, Command, CreateChat, DeviceId, Outcome,
    Prefer, Preference, Quota, Read, Refused, RequestKey, SavedSession, SavedSubscription, Send,
    SessionKey, Subscribe, SubscriptionKind, Typing, Unsubscribe,
};
pub use entry::{Amendments, Amends, ContentType, Derived, Entry, MESSAGE_BYTES};
pub use user::{Seen, User, UserChange};

use std::collections::HashMap;
use std::sync::Arc;

use bluetick_protocol::{ChatId, MessageId, Seq, UserId};

use batch::NewId;
use residents::Residents;

/// Milliseconds since the Unix epoch; always an argument, never read from a clock in here.
pub type Millis = u64;

/// The number of a partition: which part of the chats an engine is responsible for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct PartitionNo(pub u16);

/// What of a partition is not part of any chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// How many chats were made; the next one's number, unless its name makes one.
    pub next_chat: u64,
    /// Logical time: rises with every membership and every new subscription, so that the two can
    /// be ordered ("was this chat joined after that device subscribed?").
    pub tick: u64,
}

/// One partition's chats.
pub struct Engine {
    partition: PartitionNo,
    counters: Counters,
    chats: Residents,
    /// Ids that are decided and not yet committed: the store cannot know them.
    uncommitted_ids: HashMap<(ChatNo, u32, MessageId), Seq>,
    /// Entries erased by batches not yet committed: the store and readers still have the body.
    uncommitted_erased: HashMap<(ChatNo, Seq), (u64, Arc<Entry>)>,
    /// What was done to messages by batches not yet committed.
    uncommitted_amendments: HashMap<(ChatNo, Seq), (u64, Amendments)>,
    /// Answers to requests, likewise.
    uncommitted_answers: HashMap<RequestKey, Answer>,
    /// Users changed by batches not yet committed.
    uncommitted_users: HashMap<UserId, (u64, User)>,
    /// What their messages take, likewise.
    uncommitted_stored: HashMap<UserId, (u64, i64)>,
    /// Chats made by batches not yet committed (batch, chat): the store cannot know them.
    uncommitted_chats: Vec<(u64, ChatNo)>,
    /// The batch that is being decided; rises by one with every [`Engine::close_batch`].
    batch_no: u64,
}

impl Engine {
    /// An engine for `partition` with the counters last stored. At most about
    /// `resident_chats_max` chats stay in memory while nothing goes on in them.
    #[must_use]
    pub fn new(partition: PartitionNo, counters: Counters, resident_chats_max: usize) -> Self {
        Self {
            partition,
            counters,
            chats: Residents::new(resident_chats_max),
            uncommitted_ids: HashMap::new(),
            uncommitted_erased: HashMap::new(),
            uncommitted_amendments: HashMap::new(),
            uncommitted_answers: HashMap::new(),
            uncommitted_users: HashMap::new(),
            uncommitted_stored: HashMap::new(),
            uncommitted_chats: Vec::new(),
            batch_no: 1,
        }
    }

    /// Which partition this is.
    #[must_use]
    pub fn partition(&self) -> PartitionNo {
        self.partition
    }

    /// Decides one command.
    ///
    /// # Errors
    /// [`Need`]: something has to be read from the store first; nothing has been changed.
    pub fn decide(
        &mut self,
        command: &Command,
        facts: &Facts,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        match command {
            Command::Send(send) => self.decide_send(send, facts, now, batch),
            Command::Read(read) => self.decide_read(read, facts, now, batch),
            Command::Typing(typing) => self.decide_typing(typing, facts, batch),
            Command::Advance(advance) => self.decide_advance(advance, now, batch),
            Command::Subscribe(subscribe) => self.decide_subscribe(subscribe, facts, batch),
            Command::Unsubscribe(unsubscribe) => self.decide_unsubscribe(unsubscribe, facts, batch),
            Command::CreateChat(create) => self.decide_create(create, facts, now, batch),
            Command::ChangeChat(change) => self.decide_change(change, facts, now, batch),
            Command::Prefer(prefer) => self.decide_prefer(prefer, facts, now, batch),
            Command::ChangeUser(change) => self.decide_change_user(change, facts, now, batch),
            Command::ForgetDevice { key, epoch } => {
                self.decide_forget_device(key, *epoch, facts, batch)
            }
            Command::Expire { chat, seqs } => self.decide_expire(*chat, seqs, facts, now, batch),
            Command::Stored { user, bytes } => self.decide_stored(user, *bytes, facts, batch),
            Command::Seen { user, seen } => {
                batch.push(Write::Seen { user: user.clone(), seen: *seen });
                Ok(Outcome::Saved)
            }
            Command::Alive { at_ms } => {
                batch.push(Write::Alive { at_ms: *at_ms });
                Ok(Outcome::Saved)
            }
            Command::ForgetAnswer(key) => {
                batch.push(Write::Answer { key: key.clone(), answer: None });
                Ok(Outcome::Saved)
            }
            Command::SaveSession { key, session } => {
                batch.push(Write::Session { key: key.clone(), session: Some(session.clone()) });
                Ok(Outcome::Saved)
            }
            Command::DropSession { key } => {
                batch.push(Write::Session { key: key.clone(), session: None });
                Ok(Outcome::Saved)
            }
        }
    }

    /// Ends the batch: the state of every chat it touched is added to it, once per chat.
    pub fn close_batch(&mut self, batch: &mut Batch) {
        batch.number = self.batch_no;
        let touched = std::mem::take(&mut batch.touched);
        for no in &touched {
            let Some(chat) = self.chats.get_mut(*no) else { continue };
            chat.write_into(batch);
        }
        batch.touched = touched;
        for (chat, (first, last)) in std::mem::take(&mut batch.grown) {
            batch.effects.push(Effect::Grown { chat, first, last });
        }
        for (chat, member) in std::mem::take(&mut batch.moved) {
            let found = self.chats.get(chat).and_then(|chat| chat.member(member));
            if let Some(marks) = found.map(|member| member.marks) {
                batch.effects.push(Effect::Marks { chat, member, marks });
            }
        }
        if batch.counters_changed {
            batch.push(Write::Counters(self.counters));
        }
        self.batch_no += 1;
    }

    /// The batch is on stable storage: what it decided becomes visible to [`Chat`]'s readers.
    pub fn handle_committed(&mut self, batch: &Batch) {
        for effect in &batch.effects {
            match effect {
                Effect::Grown { chat, last, .. } => {
                    if let Some(chat) = self.chats.get_mut(*chat) {
                        chat.committed = *last;
                    }
                }
                Effect::Typing { .. } | Effect::Members { .. } => {}
                Effect::Marks { chat, member, marks } => {
                    if let Some(member) = self
                        .chats
                        .get_mut(*chat)
                        .and_then(|chat| chat.show_version(marks.newest_version(), *member))
                    {
                        member.visible = *marks;
                    }
                }
            }
        }
        for NewId { chat, author, id, seq, in_order } in &batch.ids {
            self.uncommitted_ids.remove(&(*chat, *author, *id));
            if *in_order
                && let Some(member) =
                    self.chats.get_mut(*chat).and_then(|chat| chat.member_mut(*author))
            {
                member.committed_named = *seq;
            }
        }
        for (no, entry) in &batch.erased {
            if let Some(chat) = self.chats.get_mut(*no) {
                chat.replace_tail(entry);
            }
        }
        self.uncommitted_erased.retain(|_, (made_in, _)| *made_in > batch.number);
        self.uncommitted_amendments.retain(|_, (made_in, _)| *made_in > batch.number);
        for request in &batch.requests {
            self.uncommitted_answers.remove(request);
        }
        self.uncommitted_users.retain(|_, (made_in, _)| *made_in > batch.number);
        self.uncommitted_stored.retain(|_, (made_in, _)| *made_in > batch.number);
        self.uncommitted_chats.retain(|(made_in, _)| *made_in > batch.number);
        self.chats.committed(batch.number);
        self.chats.evict();
    }

    /// Forgets everything that is in memory: the state to go on from is `counters` and the store.
    pub fn reset(&mut self, counters: Counters) {
        self.counters = counters;
        self.chats.clear();
        self.uncommitted_ids.clear();
        self.uncommitted_erased.clear();
        self.uncommitted_amendments.clear();
        self.uncommitted_answers.clear();
        self.uncommitted_users.clear();
        self.uncommitted_stored.clear();
        self.uncommitted_chats.clear();
    }

    /// Drops chats that need not be in memory. To be called between commands: a batch may look at
    /// very many.
    pub fn evict(&mut self) {
        self.chats.evict();
    }

    /// Takes a chat that was read from the store, as [`Need::Chat`] or [`Need::ChatNo`] asked.
    pub fn supply_chat(&mut self, chat: Box<Chat>) {
        self.chats.insert(chat);
    }

    /// A chat that is in memory.
    #[must_use]
    pub fn chat(&self, no: ChatNo) -> Option<&Chat> {
        self.chats.get(no)
    }

    /// A chat that is in memory, for its reader-side bookkeeping.
    pub fn chat_mut(&mut self, no: ChatNo) -> Option<&mut Chat> {
        self.chats.get_mut(no)
    }

    /// How many chats are in memory.
    #[must_use]
    pub fn resident_chats(&self) -> usize {
        self.chats.len()
    }

    /// How many chats were ever made.
    #[must_use]
    pub fn chats_made(&self) -> u64 {
        self.counters.next_chat
    }

    /// Finds a chat by name that has begun; see [`Chat::has_begun`].
    fn find(&self, id: &ChatId, facts: &Facts) -> Result<Option<ChatNo>, Need> {
        let found = self.find_any(id, facts)?;
        Ok(found.filter(|no| self.chats.get(*no).is_some_and(Chat::has_begun)))
    }

    /// Finds a chat by name, in memory or by way of `facts`; `Ok(None)`: there is none.
    fn find_any(&self, id: &ChatId, facts: &Facts) -> Result<Option<ChatNo>, Need> {
        match self.chats.find(id) {
            Some(no) => Ok(Some(no)),
            None if facts.absent.contains(id) => Ok(None),
            None => Err(Need::Chat(id.clone())),
        }
    }

    /// The entry `seq` of a chat, from memory or by way of `facts`.
    fn entry(&self, no: ChatNo, seq: Seq, facts: &Facts) -> Result<Option<Arc<Entry>>, Need> {
        if let Some((_, entry)) = self.uncommitted_erased.get(&(no, seq)) {
            return Ok(Some(entry.clone()));
        }
        if let Some(entry) = self.chats.get(no).and_then(|chat| chat.tail_entry(seq)) {
            return Ok(Some(entry.clone()));
        }
        facts.entries.get(&(no, seq)).cloned().ok_or(Need::Entry(no, seq))
    }

    fn touch(&mut self, no: ChatNo, batch: &mut Batch) {
        if let Some(chat) = self.chats.get_mut(no)
            && chat.touched_in != self.batch_no
        {
            chat.touched_in = self.batch_no;
            batch.touched.push(no);
        }
    }

    fn next_tick(&mut self, batch: &mut Batch) -> u64 {
        self.counters.tick += 1;
        batch.counters_changed = true;
        self.counters.tick
    }
}
