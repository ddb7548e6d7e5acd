//! Where chats live: the layout of keys and records over a small key-value interface.
//!
//! [`Store`] knows what a batch means in keys and records (`keys.rs`, `records.rs`) and reads state
//! back; [`Kv`] is what it stands on: RocksDB ([`RocksKv`]) or memory ([`MemoryKv`]). The table of
//! all records is docs/storage.md.

mod keys;
mod kv;
mod memory;
mod records;
mod rocks;

pub use kv::{Kv, KvBatch, StoreError, Table, Visit};
pub use memory::{Fault, MemoryKv};
pub use records::SCHEMA_VERSION;
pub use rocks::{RocksKv, RocksOptions};

use std::ops::ControlFlow;
use std::sync::Arc;

use bluetick_protocol::{ChatId, MessageId, Seq, UserId};

use crate::engine::{
    Amendments, Answer, Batch, Chat, ChatNo, Counters, Entry, Facts, Member, Need, PartitionNo,
    RequestKey, SavedSession, SessionKey, Write,
};

/// How many chats a page of [`Store::chats`] holds at most.
const CHATS_PER_SCAN: usize = 1024;

/// The store of all partitions.
#[derive(Clone)]
pub struct Store {
    kv: Arc<dyn Kv>,
}

/// What was read for a [`Need`].
#[derive(Debug)]
pub enum Supplied {
    /// The chat, as stored.
    Chat(Box<Chat>),
    /// Noted in the [`Facts`].
    Noted,
}

impl Store {
    /// Opens what `kv` holds; an empty one is made for `partitions` partitions.
    ///
    /// # Errors
    /// [`StoreError::Schema`] where the data was written by a newer version.
    pub fn open(kv: Arc<dyn Kv>, partitions: u16) -> Result<(Self, u16), StoreError> {
        let key = keys::schema();
        let partitions = match kv.get(Table::State, &key)? {
            Some(bytes) => {
                let (version, partitions) = records::decode_schema(&bytes)?;
                if version != SCHEMA_VERSION {
                    return Err(StoreError::Schema { found: version, known: SCHEMA_VERSION });
                }
                partitions
            }
            None => {
                let mut batch = KvBatch::default();
                batch.put(Table::State, &key, |out| records::encode_schema(partitions, out));
                kv.commit(&batch)?;
                partitions
            }
        };
        Ok((Self { kv }, partitions))
    }

    /// Writes the batches, in order, as one atomic and synced unit.
    ///
    /// # Errors
    /// Whether they were written is then unknown until [`Store::recover`] has succeeded and the
    /// state has been read again.
    pub fn commit<'a>(
        &self,
        batches: impl IntoIterator<Item = (PartitionNo, &'a Batch)>,
    ) -> Result<CommitStats, StoreError> {
        let mut kv_batch = KvBatch::default();
        for (partition, batch) in batches {
            for write in &batch.writes {
                apply(partition, write, &mut kv_batch);
            }
        }
        let stats = CommitStats { writes: kv_batch.len(), bytes: kv_batch.bytes() };
        self.kv.commit(&kv_batch)?;
        Ok(stats)
    }

    /// Tries to get a store that refused a commit to work again.
    ///
    /// # Errors
    /// It does not yet; try again later.
    pub fn recover(&self) -> Result<(), StoreError> {
        self.kv.recover()
    }

    /// Reads what a command needs.
    ///
    /// # Errors
    /// The store cannot be read, or holds what this version does not understand.
    pub fn supply(
        &self,
        partition: PartitionNo,
        need: Need,
        facts: &mut Facts,
    ) -> Result<Supplied, StoreError> {
        match need {
            Need::Chat(id) => match self.chat_by_name(partition, &id)? {
                Some(chat) => return Ok(Supplied::Chat(Box::new(chat))),
                None => {
                    facts.absent.insert(id);
                }
            },
            Need::ChatNo(no) => {
                let chat = self.chat(partition, no)?;
                let chat =
                    chat.ok_or(StoreError::Corrupt("a chat that is referred to is missing"))?;
                return Ok(Supplied::Chat(Box::new(chat)));
            }
            Need::ChatsOfUser(user) => {
                facts.chats_of_user = Some(self.chats_of_user(partition, &user)?);
            }
            Need::Id(chat, author, id) => {
                let seq = self.find_id(partition, chat, author, id)?;
                facts.ids.insert((chat, author, id), seq);
            }
            Need::Amendments(chat, seq) => {
                let found = self.amendments(partition, chat, seq, seq)?;
                let found = found.into_iter().next().map(|(_, amendments)| amendments);
                facts.amendments.insert((chat, seq), found);
            }
            Need::Answer(key) => {
                let answer = self.answer(partition, &key)?;
                facts.answers.insert(key, answer);
            }
            Need::Entry(chat, seq) => {
                let bytes = self.kv.get(Table::Log, &keys::entry(partition, chat, seq))?;
                let entry = bytes.map(|bytes| records::decode_entry(seq, &bytes)).transpose()?;
                facts.entries.insert((chat, seq), entry.map(Arc::new));
            }
        }
        Ok(Supplied::Noted)
    }

    /// A partition's counters; zero for a new one.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn counters(&self, partition: PartitionNo) -> Result<Counters, StoreError> {
        let bytes = self.kv.get(Table::State, &keys::counters(partition))?;
        bytes.map_or(Ok(Counters::default()), |bytes| records::decode_counters(&bytes))
    }

    /// The chat with this name.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn chat_by_name(
        &self,
        partition: PartitionNo,
        id: &ChatId,
    ) -> Result<Option<Chat>, StoreError> {
        let Some(bytes) = self.kv.get(Table::State, &keys::chat_name(partition, id))? else {
            return Ok(None);
        };
        self.chat(partition, records::decode_chat_no(&bytes)?)
    }

    /// The chat with this number, with all its members.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn chat(&self, partition: PartitionNo, no: ChatNo) -> Result<Option<Chat>, StoreError> {
        let Some(bytes) = self.kv.get(Table::State, &keys::chat(partition, no))? else {
            return Ok(None);
        };
        let (mut chat, member_count, has_info) = records::decode_chat(no, &bytes)?;
        if has_info {
            let info = self.kv.get(Table::State, &keys::chat_info(partition, no))?;
            let info = info.ok_or(StoreError::Corrupt("what is said of a chat is missing"))?;
            chat.info = records::decode_info(&info)?;
        }
        let (from, to) = keys::member_pages(partition, no);
        if chat.members.len() < member_count as usize {
            let mut members: Vec<Member> = Vec::new();
            self.scan(Table::State, &from, &to, |_, value| {
                members.extend(records::decode_members(value)?);
                Ok(ControlFlow::Continue(()))
            })?;
            chat.extend_members(members);
        }
        Ok(Some(chat))
    }

    /// The numbers of a user's chats in a partition, rising.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn chats_of_user(
        &self,
        partition: PartitionNo,
        user: &UserId,
    ) -> Result<Vec<ChatNo>, StoreError> {
        let (from, to) = keys::chats_of_user(partition, user);
        let mut numbers = Vec::new();
        self.scan(Table::State, &from, &to, |key, _| {
            numbers.push(keys::trailing_chat_no(key)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(numbers)
    }

    /// Entries of a chat from `from` on, rising, up to `entries_max` of them or until their bodies
    /// exceed `bytes_max` (at least one, if there is one).
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn entries(
        &self,
        partition: PartitionNo,
        chat: ChatNo,
        from: Seq,
        to: Seq,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Entry>>, StoreError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let (start, end) =
            (keys::entry(partition, chat, from), keys::entry(partition, chat, to.next()));
        self.scan(Table::Log, &start, &end, |key, value| {
            let entry = records::decode_entry(keys::trailing_seq(key)?, value)?;
            bytes += entry.body.len();
            entries.push(Arc::new(entry));
            let full = entries.len() >= entries_max || bytes > bytes_max;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(entries)
    }

    /// Where the message with this id of the author at `author` is.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn find_id(
        &self,
        partition: PartitionNo,
        chat: ChatNo,
        author: u32,
        id: MessageId,
    ) -> Result<Option<Seq>, StoreError> {
        let bytes = self.kv.get(Table::Ids, &keys::id(partition, id, chat, author))?;
        bytes.map(|bytes| records::decode_id(&bytes)).transpose()
    }

    /// A persistent session.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn session(
        &self,
        partition: PartitionNo,
        key: &SessionKey,
    ) -> Result<Option<SavedSession>, StoreError> {
        let bytes = self.kv.get(Table::State, &keys::session(partition, key))?;
        bytes.map(|bytes| records::decode_session(&bytes)).transpose()
    }

    /// Up to `max` persistent sessions of a partition, in key order, after `after`.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn sessions(
        &self,
        partition: PartitionNo,
        after: Option<&SessionKey>,
        max: usize,
    ) -> Result<Vec<(SessionKey, SavedSession)>, StoreError> {
        let (mut from, to) = keys::sessions(partition);
        if let Some(after) = after {
            from = keys::session(partition, after);
            from.push(0);
        }
        let mut sessions = Vec::new();
        self.scan(Table::State, &from, &to, |key, value| {
            sessions.push((keys::session_key(key)?, records::decode_session(value)?));
            let full = sessions.len() >= max;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(sessions)
    }

    /// What was done to messages of a chat from `from` to `to`, rising.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn amendments(
        &self,
        partition: PartitionNo,
        chat: ChatNo,
        from: Seq,
        to: Seq,
    ) -> Result<Vec<(Seq, Amendments)>, StoreError> {
        let (start, end) =
            (keys::amendments(partition, chat, from), keys::amendments(partition, chat, to.next()));
        let mut found = Vec::new();
        self.scan(Table::State, &start, &end, |key, value| {
            found.push((keys::trailing_seq(key)?, records::decode_amendments(value)?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// What a request was answered.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn answer(
        &self,
        partition: PartitionNo,
        key: &RequestKey,
    ) -> Result<Option<Answer>, StoreError> {
        let bytes = self.kv.get(Table::State, &keys::answer(partition, key))?;
        bytes.map(|bytes| records::decode_answer(&bytes)).transpose()
    }

    /// Up to `max` answers of a partition, in key order, after `after`.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn answers(
        &self,
        partition: PartitionNo,
        after: Option<&RequestKey>,
        max: usize,
    ) -> Result<Vec<(RequestKey, Answer)>, StoreError> {
        let (mut from, to) = keys::answers(partition);
        if let Some(after) = after {
            from = keys::answer(partition, after);
            from.push(0);
        }
        let mut answers = Vec::new();
        self.scan(Table::State, &from, &to, |key, value| {
            answers.push((keys::answer_key(key)?, records::decode_answer(value)?));
            let full = answers.len() >= max;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(answers)
    }

    /// The numbers of a page of a partition's chats after `after`, rising; empty at the end.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn chats(
        &self,
        partition: PartitionNo,
        after: Option<ChatNo>,
    ) -> Result<Vec<ChatNo>, StoreError> {
        let (mut from, to) = keys::chats(partition);
        if let Some(after) = after {
            from = keys::chat(partition, after);
            from.push(0);
        }
        let mut numbers = Vec::new();
        self.scan(Table::State, &from, &to, |key, _| {
            numbers.push(keys::trailing_chat_no(key)?);
            let full = numbers.len() >= CHATS_PER_SCAN;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(numbers)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        self.kv.scan(table, from, to, &mut |key, value| match each(key, value) {
            Ok(flow) => flow,
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }
}

/// What a commit wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Records put or removed.
    pub writes: usize,
    /// Their keys and values, bytes.
    pub bytes: usize,
}

fn apply(partition: PartitionNo, write: &Write, batch: &mut KvBatch) {
    match write {
        Write::Entry { chat, entry } | Write::Erase { chat, entry } => {
            let key = keys::entry(partition, *chat, entry.seq);
            batch.put(Table::Log, &key, |out| records::encode_entry(entry, out));
        }
        Write::Amendments { chat, seq, amendments } => {
            let key = keys::amendments(partition, *chat, *seq);
            batch.put(Table::State, &key, |out| records::encode_amendments(amendments, out));
        }
        Write::Id { id, chat, author, seq } => {
            let key = keys::id(partition, *id, *chat, *author);
            batch.put(Table::Ids, &key, |out| records::encode_id(*seq, out));
        }
        Write::ChatName { id, no } => {
            let key = keys::chat_name(partition, id);
            batch.put(Table::State, &key, |out| records::encode_chat_no(*no, out));
        }
        Write::ChatOfUser { user, no } => {
            batch.put(Table::State, &keys::chat_of_user(partition, user, *no), |_| ());
        }
        Write::Chat { no, id, head, version, last_at_ms, member_count, has_info, members } => {
            let fields = records::ChatFields {
                id,
                head: *head,
                version: *version,
                last_at_ms: *last_at_ms,
                member_count: *member_count,
                has_info: *has_info,
                members,
            };
            batch.put(Table::State, &keys::chat(partition, *no), |out| {
                records::encode_chat(&fields, out);
            });
        }
        Write::ChatInfo { no, info } => {
            batch.put(Table::State, &keys::chat_info(partition, *no), |out| {
                records::encode_info(info, out);
            });
        }
        Write::Answer { key, answer } => {
            let key = keys::answer(partition, key);
            match answer {
                Some(answer) => {
                    batch.put(Table::State, &key, |out| records::encode_answer(answer, out));
                }
                None => batch.delete(Table::State, &key),
            }
        }
        Write::MemberPage { no, page, members } => {
            let key = keys::member_page(partition, *no, *page);
            batch.put(Table::State, &key, |out| records::encode_members(members, out));
        }
        Write::Session { key, session } => {
            let key = keys::session(partition, key);
            match session {
                Some(session) => {
                    batch.put(Table::State, &key, |out| records::encode_session(session, out));
                }
                None => batch.delete(Table::State, &key),
            }
        }
        Write::Counters(counters) => {
            let key = keys::counters(partition);
            batch.put(Table::State, &key, |out| records::encode_counters(counters, out));
        }
    }
}
