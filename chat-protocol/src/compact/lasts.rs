//! What was last said on the topics of a connection: what differences are told from.

use super::difference::{LastMessage, LastReceipt};
use super::error::Error;
use super::message::Message;
use crate::names::{ChatId, UserId};
use crate::payload::Receipt;

/// Of so many chats the last message is remembered, and of so many users of a chat the last receipt.
/// Who writes differences and who reads them let go of the one that is longest ago, and so of the same.
pub const LASTS_MAX: usize = 64;

/// What was said last by key, at most [`LASTS_MAX`]: one more takes the place of the one that is longest ago.
#[derive(Debug, Clone)]
pub struct Recent<K, V> {
    /// The longest ago first.
    entries: Vec<(K, V)>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: PartialEq, V> Recent<K, V> {
    /// What was said last under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.iter().rev().find(|(had, _)| had == key).map(|(_, value)| value)
    }

    /// This was said now under a key. Gives what was said there before.
    pub fn put(&mut self, key: K, value: V) -> Option<V> {
        let had = self.entries.iter().rposition(|(had, _)| *had == key);
        let had = had.map(|at| self.entries.remove(at).1);
        if self.entries.len() == LASTS_MAX {
            self.entries.remove(0);
        }
        self.entries.push((key, value));
        had
    }

    /// All, in no order that means anything, to be changed in place.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }
}

/// Reads the payloads of `c/{chat}/m/d` and `c/{chat}/r/d` of one connection, each once, in the order they came.
#[derive(Debug, Clone, Default)]
pub struct Differences {
    messages: Recent<ChatId, LastMessage>,
    receipts: Recent<(ChatId, UserId), LastReceipt>,
}

impl Differences {
    /// A message on `c/{chat}/m/d`, for `reader`'s device.
    ///
    /// # Errors
    /// As [`Message::from_difference`].
    pub fn message(
        &mut self,
        chat: &ChatId,
        reader: &UserId,
        payload: &[u8],
    ) -> Result<Message, Error> {
        let last = self.messages.get(chat).copied();
        let message = Message::from_difference(chat, reader, last, payload)?;
        self.messages.put(chat.clone(), LastMessage::new(message.seq, message.at_ms));
        Ok(message)
    }

    /// A receipt on `c/{chat}/r/d`, for `reader`'s device.
    ///
    /// # Errors
    /// As [`Receipt::from_difference`]; what a large group has in its place is for
    /// [`ReceiptCount::from_compact`](crate::ReceiptCount::from_compact).
    pub fn receipt(
        &mut self,
        chat: &ChatId,
        reader: &UserId,
        payload: &[u8],
    ) -> Result<Receipt, Error> {
        let last = |user: &UserId| self.receipts.get(&(chat.clone(), user.clone())).copied();
        let receipt = Receipt::from_difference(chat, reader, last, payload)?;
        self.receipts.put((chat.clone(), receipt.user.clone()), LastReceipt::of(&receipt));
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_longest_ago_is_let_go() {
        let mut recent = Recent::default();
        for key in 0..LASTS_MAX {
            assert_eq!(recent.put(key, key), None);
        }
        // The first one is said again, so that the second is the oldest.
        assert_eq!(recent.put(0, 100), Some(0));
        assert_eq!(recent.put(LASTS_MAX, 7), None);
        assert_eq!((recent.get(&0), recent.get(&1)), (Some(&100), None));
        assert_eq!((recent.get(&2), recent.get(&LASTS_MAX)), (Some(&2), Some(&7)));
        assert_eq!(recent.values_mut().count(), LASTS_MAX);
    }
}
