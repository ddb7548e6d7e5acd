//! The store of the simulation: in memory, and with the mistakes that a store can have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bluetick_bridge::engine::{Batch, Chat, ChatNo, Info, PartitionNo, Watermarks, Write};
use bluetick_bridge::store::{Fault, Kv, KvBatch, MemoryKv, Store, StoreError, Table, Visit};
use bluetick_protocol::Seq;
use parking_lot::Mutex;

use super::sabotage::Sabotage;

/// Every so many commits the one that forgets to sync does so.
const COMMITS_PER_SYNC: usize = 32;

/// One commit in so many fails where that goes unsaid.
const COMMITS_PER_FAILURE: u64 = 64;

/// A store in memory that may not keep what it says it keeps.
pub(crate) struct FaultyKv {
    inner: Arc<MemoryKv>,
    sabotage: Option<Sabotage>,
    /// What undoes the commits that are not synced, in the order they were made.
    unsynced: Mutex<Vec<KvBatch>>,
    commits: AtomicU64,
}

impl FaultyKv {
    pub(crate) fn new(sabotage: Option<Sabotage>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::default(),
            sabotage,
            unsynced: Mutex::default(),
            commits: AtomicU64::new(0),
        })
    }

    /// Makes the next commit fail.
    pub(crate) fn inject(&self, fault: Fault) {
        self.inner.inject(fault);
    }

    /// The machine goes down, and with it what was not synced.
    pub(crate) fn crash(&self) {
        for undo in self.unsynced.lock().drain(..).rev() {
            // A fault that was meant for a commit may be left over.
            while self.inner.commit(&undo).is_err() {
                self.inner.recover().expect("memory works again");
            }
        }
    }

    fn forget_answers(&self) -> Result<(), StoreError> {
        let (store, partitions) = Store::open(self.inner.clone(), 1)?;
        for no in (0..partitions).map(PartitionNo) {
            let mut batch = Batch::default();
            for (key, _) in store.answers(no, None, usize::MAX)? {
                batch.writes.push(Write::Answer { key, answer: None });
            }
            store.commit([(no, &batch)])?;
        }
        Ok(())
    }

    fn undo(&self, batch: &KvBatch) -> Result<KvBatch, StoreError> {
        let mut undo = KvBatch::default();
        for (table, key, _) in batch.iter() {
            match self.inner.get(table, key)? {
                Some(value) => undo.put(table, key, |out| out.extend(value)),
                None => undo.delete(table, key),
            }
        }
        Ok(undo)
    }

    /// Changes all stored chats behind the engine's back, which goes by what it has in memory
    /// until the next restart.
    fn rewrite_chats(&self, change: impl Fn(&mut Chat)) -> Result<(), StoreError> {
        let (store, partitions) = Store::open(self.inner.clone(), 1)?;
        for no in (0..partitions).map(PartitionNo) {
            let mut batch = Batch::default();
            for chat_no in store.chats(no, None)? {
                if let Some(mut chat) = store.chat(no, chat_no)? {
                    change(&mut chat);
                    batch.writes.push(stored(chat_no, chat));
                }
            }
            store.commit([(no, &batch)])?;
        }
        Ok(())
    }
}

fn stored(no: ChatNo, chat: Chat) -> Write {
    Write::Chat {
        no,
        id: chat.id,
        head: chat.head,
        version: chat.version,
        last_at_ms: chat.last_at_ms,
        member_count: u32::try_from(chat.members.len()).expect("few members"),
        has_info: chat.info != Info::default(),
        members: chat.members,
    }
}

fn without_ids(batch: &KvBatch) -> KvBatch {
    let mut rest = KvBatch::default();
    for (table, key, value) in batch.iter().filter(|(table, ..)| *table != Table::Ids) {
        match value {
            Some(value) => rest.put(table, key, |out| out.extend(value)),
            None => rest.delete(table, key),
        }
    }
    rest
}

impl Kv for FaultyKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.inner.scan(table, from, to, each)
    }

    fn commit(&self, batch: &KvBatch) -> Result<(), StoreError> {
        match self.sabotage {
            Some(Sabotage::AcknowledgesBeforeSync) => {
                let mut unsynced = self.unsynced.lock();
                if unsynced.len() >= COMMITS_PER_SYNC {
                    unsynced.clear();
                }
                unsynced.push(self.undo(batch)?);
                self.inner.commit(batch)
            }
            Some(Sabotage::SwallowsFailedCommits) => {
                let commits = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
                if commits.is_multiple_of(COMMITS_PER_FAILURE) {
                    return Ok(());
                }
                self.inner.commit(batch)
            }
            Some(Sabotage::ForgetsIds) => self.inner.commit(&without_ids(batch)),
            Some(Sabotage::ForgetsAnswers) => {
                self.inner.commit(batch)?;
                self.forget_answers()
            }
            Some(Sabotage::ForgetsBlocks) => {
                self.inner.commit(batch)?;
                self.rewrite_chats(|chat| {
                    for member in &mut chat.members {
                        member.blocks = None;
                    }
                })
            }
            Some(Sabotage::ForgetsRemovals) => {
                self.inner.commit(batch)?;
                self.rewrite_chats(|chat| {
                    for member in &mut chat.members {
                        member.until = None;
                    }
                })
            }
            Some(Sabotage::ForgetsAbsences) => {
                self.inner.commit(batch)?;
                self.rewrite_chats(|chat| {
                    for member in &mut chat.members {
                        if let Some((first, _)) = member.past.first() {
                            member.since = *first;
                        }
                        member.past.clear();
                    }
                })
            }
            Some(Sabotage::JoinsAtHead) => {
                self.inner.commit(batch)?;
                self.rewrite_chats(|chat| {
                    let joined = chat.members.iter_mut().filter(|member| member.since > Seq(1));
                    for member in joined.filter(|member| member.cursors.is_empty()) {
                        member.marks.delivered = chat.head;
                    }
                })
            }
            Some(Sabotage::StoresCursorsAhead) => {
                self.inner.commit(batch)?;
                self.rewrite_chats(|chat| {
                    let cursors = chat.members.iter_mut().flat_map(|member| &mut member.cursors);
                    for cursor in cursors.filter(|cursor| cursor.seq.is_some()) {
                        cursor.seq = Some(chat.head);
                    }
                })
            }
            Some(Sabotage::KeepsWatermarksInMemory) => {
                self.inner.commit(batch)?;
                self.rewrite_chats(|chat| {
                    for member in &mut chat.members {
                        member.marks = Watermarks::default();
                    }
                })
            }
            _ => self.inner.commit(batch),
        }
    }

    fn drop_overwritten(&self, ranges: &[(Table, Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        self.inner.drop_overwritten(ranges)
    }

    fn recover(&self) -> Result<(), StoreError> {
        self.inner.recover()
    }
}
