//! The chats that are in memory: a bounded set, chosen by use.

use std::collections::{HashMap, VecDeque};

use bluetick_protocol::ChatId;

use super::chat::{Chat, ChatNo};
use crate::numbers::NumberMap;

/// How many chats that were only looked at stay in memory. Whoever connects looks at all his chats
/// once for each subscription: a few users' worth, as many as connect at a time. More would be of no
/// use to those who idle then, and must not push out chats in which something goes on.
const LOOKED_AT_MAX: usize = 128;

/// Chats by number and name. Idle ones beyond the bounds are dropped, first in, first out; one
/// that is not idle gets another turn.
pub(super) struct Residents {
    /// Boxed: a table is half empty after it has grown.
    chats: NumberMap<ChatNo, Box<Chat>>,
    names: HashMap<ChatId, ChatNo>,
    /// Read from the store and not written to since.
    looked_at: VecDeque<ChatNo>,
    /// Written to.
    active: VecDeque<ChatNo>,
    active_max: usize,
    committed_batch: u64,
}

impl Residents {
    pub(super) fn new(active_max: usize) -> Self {
        Self {
            chats: NumberMap::default(),
            names: HashMap::new(),
            looked_at: VecDeque::new(),
            active: VecDeque::new(),
            active_max,
            committed_batch: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.chats.len()
    }

    pub(super) fn find(&self, id: &ChatId) -> Option<ChatNo> {
        self.names.get(id).copied()
    }

    pub(super) fn get(&self, no: ChatNo) -> Option<&Chat> {
        self.chats.get(&no).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, no: ChatNo) -> Option<&mut Chat> {
        self.chats.get_mut(&no).map(Box::as_mut)
    }

    /// Adds a chat that is not there yet; one that is keeps its state, which is newer.
    pub(super) fn insert(&mut self, chat: Box<Chat>) {
        let no = chat.no;
        if !self.chats.contains_key(&no) {
            self.names.insert(chat.id.clone(), no);
            self.chats.insert(no, chat);
            self.looked_at.push_back(no);
        }
    }

    pub(super) fn committed(&mut self, batch: u64) {
        self.committed_batch = batch;
    }

    /// Brings the number of chats down to the bounds, as far as there are idle ones. Looks at each
    /// chat at most once.
    pub(super) fn evict(&mut self) {
        for _ in LOOKED_AT_MAX..self.looked_at.len() {
            let Some(no) = self.looked_at.pop_front() else { break };
            match self.chats.get(&no) {
                Some(chat) if chat.touched_in > 0 => self.active.push_back(no),
                Some(chat) if !chat.is_idle(self.committed_batch) => self.looked_at.push_back(no),
                _ => self.drop(no),
            }
        }
        for _ in self.active_max..self.active.len() {
            let Some(no) = self.active.pop_front() else { break };
            match self.chats.get(&no) {
                Some(chat) if !chat.is_idle(self.committed_batch) => self.active.push_back(no),
                _ => self.drop(no),
            }
        }
    }

    fn drop(&mut self, no: ChatNo) {
        if let Some(chat) = self.chats.remove(&no) {
            self.names.remove(&chat.id);
        }
    }

    pub(super) fn clear(&mut self) {
        self.chats.clear();
        self.names.clear();
        self.looked_at.clear();
        self.active.clear();
    }
}
