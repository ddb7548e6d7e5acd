//! The chats that are in memory: a bounded set, chosen by use.

use std::collections::{HashMap, VecDeque};

use bluetick_protocol::ChatId;

use super::chat::{Chat, ChatNo};

/// Chats by number and name. Idle ones beyond the bound are dropped, first in, first out; one
/// that is not idle gets another turn.
pub(super) struct Residents {
    chats: HashMap<ChatNo, Chat>,
    names: HashMap<ChatId, ChatNo>,
    turn: VecDeque<ChatNo>,
    idle_max: usize,
    committed_batch: u64,
}

impl Residents {
    pub(super) fn new(idle_max: usize) -> Self {
        Self {
            chats: HashMap::new(),
            names: HashMap::new(),
            turn: VecDeque::new(),
            idle_max,
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
        self.chats.get(&no)
    }

    pub(super) fn get_mut(&mut self, no: ChatNo) -> Option<&mut Chat> {
        self.chats.get_mut(&no)
    }

    /// Adds a chat that is not there yet; one that is keeps its state, which is newer.
    pub(super) fn insert(&mut self, chat: Chat) {
        let no = chat.no;
        if !self.chats.contains_key(&no) {
            self.names.insert(chat.id.clone(), no);
            self.chats.insert(no, chat);
            self.turn.push_back(no);
        }
    }

    pub(super) fn committed(&mut self, batch: u64) {
        self.committed_batch = batch;
    }

    /// Brings the number of chats down to the bound, as far as there are idle ones. Looks at each
    /// chat at most once.
    pub(super) fn evict(&mut self) {
        let excess = self.chats.len().saturating_sub(self.idle_max);
        let mut looks = if excess == 0 { 0 } else { self.turn.len().min(excess * 2) };
        while looks > 0 && self.chats.len() > self.idle_max {
            looks -= 1;
            let Some(no) = self.turn.pop_front() else { return };
            let Some(chat) = self.chats.get(&no) else { continue };
            if chat.is_idle(self.committed_batch) {
                self.names.remove(&chat.id);
                self.chats.remove(&no);
            } else {
                self.turn.push_back(no);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.chats.clear();
        self.names.clear();
        self.turn.clear();
    }
}
