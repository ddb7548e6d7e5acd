//! What a command needs to be decided, read.

use std::sync::Arc;

use super::keys;
use super::kv::{StoreError, Table};
use super::records;
use super::{Found, Store};
use crate::engine::{Chat, Facts, Need, PartitionNo};

/// What was read for a [`Need`].
#[derive(Debug)]
pub enum Supplied {
    /// The chat, as stored.
    Chat(Box<Chat>),
    /// Noted in the [`Facts`].
    Noted,
}

impl Store {
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
            Need::Chat(id) => match self.find_chat(partition, &id)? {
                Found::Chat(chat) => return Ok(Supplied::Chat(chat)),
                Found::Absent { taken } => {
                    if taken {
                        facts.taken.insert(id.clone());
                    }
                    facts.absent.insert(id);
                }
            },
            Need::ChatNo(no) => {
                // One of all that its user has, mostly: who connects looks at each of them once.
                let chat =
                    self.read_chat(partition, no, |key| self.kv.get_once(Table::State, key))?;
                let chat =
                    chat.ok_or(StoreError::Corrupt("a chat that is referred to is missing"))?;
                return Ok(Supplied::Chat(Box::new(chat)));
            }
            Need::ChatsOfUser(user) => {
                facts.chats_of_user = Some(self.chats_of_user(partition, &user)?);
            }
            Need::Id { chat, author, id, newest_named } => {
                let seq = self.find_id(partition, chat, author, id, newest_named)?;
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
            Need::User(id) => {
                let user = self.user(partition, &id)?;
                facts.users.insert(id, user);
            }
            Need::Stored(user) => {
                let bytes = self.stored(partition, &user)?;
                facts.stored.insert(user, bytes);
            }
            Need::Entry(chat, seq) => {
                let bytes = self.kv.get(Table::Log, &keys::entry(partition, chat, seq))?;
                let entry = bytes.map(|bytes| records::decode_entry(seq, &bytes)).transpose()?;
                facts.entries.insert((chat, seq), entry.map(Arc::new));
            }
        }
        Ok(Supplied::Noted)
    }
}
