//! Where chats live: the layout of keys and records over a small key-value interface.
//!
//! [`Store`] knows what a batch means in keys and records (`keys.rs`, `records.rs`) and reads state
//! back; [`Kv`] is what it stands on: RocksDB ([`RocksKv`]) or memory ([`MemoryKv`]). The table of
//! all records is docs/storage.md.

mod apply;
mod database;
mod figures;
mod flusher;
mod journal;
mod keys;
mod kv;
mod memory;
mod plain;
mod records;
mod rocks;
mod supply;

pub use figures::{StoreFigures, TableFigures, WrittenFigures};
pub use kv::{Kv, KvBatch, StoreError, Table, Visit};
pub use memory::{Fault, MemoryKv};
pub use plain::{PlainStore, PlainWriter};
pub use records::SCHEMA_VERSION;
pub use rocks::{RocksKv, RocksOptions};
pub use supply::Supplied;

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use bluetick_protocol::{ChatId, MessageId, Seq, UserId};

use crate::engine::{
    Amendments, Answer, Batch, Chat, ChatNo, Counters, Entry, Member, NAMED_PER_INDEX, PartitionNo,
    RequestKey, SavedSession, Seen, SessionKey, User,
};

/// How many chats a page of [`Store::chats`] holds at most.
const CHATS_PER_SCAN: usize = 1024;

/// About what a record takes, bytes: a message is one of the log with its body, one of its id, and a
/// part of its chat's.
const RECORD_BYTES: usize = 160;

/// The store of all partitions.
#[derive(Clone)]
pub struct Store {
    kv: Arc<dyn Kv>,
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
            kv_batch.reserve(batch.writes.len(), RECORD_BYTES);
            for write in &batch.writes {
                apply::write(partition, write, &mut kv_batch);
            }
        }
        let stats = CommitStats { writes: kv_batch.len(), bytes: kv_batch.bytes() };
        self.kv.commit(&kv_batch)?;
        Ok(stats)
    }

    /// Has the bodies of entries that were erased in these ranges of chats leave the disk. Blocks,
    /// maybe for long.
    ///
    /// # Errors
    /// As [`Kv::drop_overwritten`].
    pub fn drop_erased(
        &self,
        erased: impl IntoIterator<Item = (PartitionNo, ChatNo, Seq, Seq)>,
    ) -> Result<(), StoreError> {
        let range = |(partition, chat, first, last): (_, _, _, Seq)| {
            let (from, to) =
                (keys::entry(partition, chat, first), keys::entry(partition, chat, last.next()));
            (Table::Log, from.to_vec(), to.to_vec())
        };
        let ranges: Vec<_> = erased.into_iter().map(range).collect();
        if ranges.is_empty() { Ok(()) } else { self.kv.drop_overwritten(&ranges) }
    }

    /// Tries to get a store that refused a commit to work again.
    ///
    /// # Errors
    /// It does not yet; try again later.
    pub fn recover(&self) -> Result<(), StoreError> {
        self.kv.recover()
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
        match self.find_chat(partition, id)? {
            Found::Chat(chat) => Ok(Some(*chat)),
            Found::Absent { .. } => Ok(None),
        }
    }

    fn find_chat(&self, partition: PartitionNo, id: &ChatId) -> Result<Found, StoreError> {
        let made = ChatNo::of_direct(id);
        if let Some(no) = made {
            match self.chat(partition, no)? {
                Some(chat) if chat.id == *id => return Ok(Found::Chat(Box::new(chat))),
                None => return Ok(Found::Absent { taken: false }),
                Some(_other) => {}
            }
        }
        let Some(bytes) = self.kv.get(Table::State, &keys::chat_name(partition, id))? else {
            return Ok(Found::Absent { taken: made.is_some() });
        };
        let found = self.chat(partition, records::decode_chat_no(&bytes)?)?;
        Ok(found.map_or(Found::Absent { taken: made.is_some() }, |it| Found::Chat(Box::new(it))))
    }

    /// The chat with this number, with all its members.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn chat(&self, partition: PartitionNo, no: ChatNo) -> Result<Option<Chat>, StoreError> {
        self.read_chat(partition, no, |key| self.kv.get(Table::State, key))
    }

    fn read_chat(
        &self,
        partition: PartitionNo,
        no: ChatNo,
        get: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Option<Chat>, StoreError> {
        let Some(bytes) = get(&keys::chat(partition, no))? else {
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
        let each = |key: &[u8], _: &[u8]| {
            numbers.push(keys::trailing_chat_no(key)?);
            Ok(ControlFlow::Continue(()))
        };
        visit(each, |visit| self.kv.scan_once(Table::State, &from, &to, visit))?;
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

    /// The entries of a chat from `from` to `to`, rising, without their bodies.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn entry_heads(
        &self,
        partition: PartitionNo,
        chat: ChatNo,
        from: Seq,
        to: Seq,
    ) -> Result<Vec<Entry>, StoreError> {
        let (start, end) =
            (keys::entry(partition, chat, from), keys::entry(partition, chat, to.next()));
        self.page(Table::Log, &start, &end, usize::MAX, |key, value| {
            records::decode_entry_head(keys::trailing_seq(key)?, value)
        })
    }

    /// Where the message with this id of the author at `author` is. `newest_named`: his message with
    /// the greatest id of those that came in order, zero if there is none; `None`: this one is not
    /// among those.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn find_id(
        &self,
        partition: PartitionNo,
        chat: ChatNo,
        author: u32,
        id: MessageId,
        newest_named: Option<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        let key = keys::id(partition, chat, author, false, id);
        if let Some(bytes) = self.kv.get(Table::Ids, &key)? {
            return records::decode_id(&bytes).map(Some);
        }
        let Some(newest_named) = newest_named.filter(|_| id.is_v7()) else { return Ok(None) };
        // The first of those with a record that is not below it, or the newest: down from there.
        let (from, to) = keys::ids_in_order(partition, chat, author, id);
        let at_or_above = self.page(Table::Ids, &from, &to, 1, |_, seq| records::decode_id(seq))?;
        let mut seq = at_or_above.first().copied().unwrap_or(newest_named);
        for _ in 0..=NAMED_PER_INDEX {
            if seq == Seq::ZERO {
                return Ok(None);
            }
            let bytes = self.kv.get(Table::Log, &keys::entry(partition, chat, seq))?;
            let bytes = bytes.ok_or(StoreError::Corrupt("a message that has an id is missing"))?;
            let entry = records::decode_entry_head(seq, &bytes)?;
            match entry.id.cmp(&id) {
                Ordering::Equal => return Ok(Some(seq)),
                Ordering::Less => return Ok(None),
                Ordering::Greater => seq = entry.previous_named,
            }
        }
        Err(StoreError::Corrupt("ids that came in order have too few records"))
    }

    /// What is kept of a user.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn user(&self, partition: PartitionNo, id: &UserId) -> Result<User, StoreError> {
        let bytes = self.kv.get_once(Table::State, &keys::user(partition, id))?;
        bytes.map_or(Ok(User::default()), |bytes| records::decode_user(&bytes))
    }

    /// What a user's messages take in the store, bytes.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn stored(&self, partition: PartitionNo, user: &UserId) -> Result<i64, StoreError> {
        let bytes = self.kv.get_once(Table::State, &keys::stored(partition, user))?;
        bytes.map_or(Ok(0), |bytes| records::decode_stored(&bytes))
    }

    /// When a user was last seen; `None`: never.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn seen(&self, partition: PartitionNo, user: &UserId) -> Result<Option<Seen>, StoreError> {
        let bytes = self.kv.get_once(Table::State, &keys::seen(partition, user))?;
        bytes.map(|bytes| records::decode_seen(&bytes)).transpose()
    }

    /// Up to `max` of those of a partition who were ever seen, in key order, after `after`.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn all_seen(
        &self,
        partition: PartitionNo,
        after: Option<&UserId>,
        max: usize,
    ) -> Result<Vec<(UserId, Seen)>, StoreError> {
        let (from, to) = keys::all_seen(partition);
        let from = after.map_or(from, |after| just_after(keys::seen(partition, after)));
        self.page(Table::State, &from, &to, max, |key, value| {
            Ok((keys::seen_user(key)?, records::decode_seen(value)?))
        })
    }

    /// When the server was last known to be alive.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn alive(&self, partition: PartitionNo) -> Result<Option<u64>, StoreError> {
        let bytes = self.kv.get(Table::State, &keys::alive(partition))?;
        bytes.map(|bytes| records::decode_time(&bytes)).transpose()
    }

    /// Up to `max` messages of a partition whose time was over at `now` and that are not erased
    /// yet, the oldest first.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn expired(
        &self,
        partition: PartitionNo,
        now: u64,
        max: usize,
    ) -> Result<Vec<(ChatNo, Seq)>, StoreError> {
        let (from, to) = keys::expired(partition, now);
        self.page(Table::State, &from, &to, max, |key, _| keys::expiring_place(key))
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
        let bytes = self.kv.get_once(Table::State, &keys::session(partition, key))?;
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
        let (from, to) = keys::sessions(partition);
        let from = after.map_or(from, |after| just_after(keys::session(partition, after)));
        self.page(Table::State, &from, &to, max, |key, value| {
            Ok((keys::session_key(key)?, records::decode_session(value)?))
        })
    }

    /// The persistent sessions of a user, by device.
    ///
    /// # Errors
    /// As [`Store::supply`].
    pub fn sessions_of(
        &self,
        partition: PartitionNo,
        user: &UserId,
    ) -> Result<Vec<(SessionKey, SavedSession)>, StoreError> {
        let (from, to) = keys::sessions_of(partition, user);
        self.page(Table::State, &from, &to, usize::MAX, |key, value| {
            Ok((keys::session_key(key)?, records::decode_session(value)?))
        })
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
        self.page(Table::State, &start, &end, usize::MAX, |key, value| {
            Ok((keys::trailing_seq(key)?, records::decode_amendments(value)?))
        })
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
        let (from, to) = keys::answers(partition);
        let from = after.map_or(from, |after| just_after(keys::answer(partition, after)));
        self.page(Table::State, &from, &to, max, |key, value| {
            Ok((keys::answer_key(key)?, records::decode_answer(value)?))
        })
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
        let (from, to) = keys::chats(partition);
        let from = after.map_or(from, |after| just_after(keys::chat(partition, after)));
        self.page(Table::State, &from, &to, CHATS_PER_SCAN, |key, _| keys::trailing_chat_no(key))
    }

    /// Up to `max` of the records of a range, read by `each`.
    fn page<T>(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        max: usize,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut page = Vec::new();
        self.scan(table, from, to, |key, value| {
            page.push(each(key, value)?);
            let full = page.len() >= max;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(page)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        visit(each, |visit| self.kv.scan(table, from, to, visit))
    }
}

/// Has `scan` show records to `each`, which may fail.
fn visit(
    mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    scan: impl FnOnce(&mut Visit<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut failed = None;
    scan(&mut |key, value| {
        each(key, value).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failed.map_or(Ok(()), Err)
}

/// What there is under a chat's name.
enum Found {
    Chat(Box<Chat>),
    /// Nothing; `taken`: another chat has the number that its name makes.
    Absent {
        taken: bool,
    },
}

/// What a commit wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Records put or removed.
    pub writes: usize,
    /// Their keys and values, bytes.
    pub bytes: usize,
}

/// The key right after this one.
fn just_after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
