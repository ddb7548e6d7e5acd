//! Edits, deletions and reactions: entries that change what an earlier one says.

use std::sync::Arc;

use bluetick_protocol::{ChatKind, Role, Seq};

use super::batch::{Batch, Facts, Need, Write};
use super::chat::ChatNo;
use super::command::{Refused, Send};
use super::entry::{Amendments, Amends, Entry};
use super::{Engine, Millis};

/// How often a message can be edited: a deletion has to erase them all.
const EDITS_MAX: usize = 100;

/// What an amendment changes, found out before anything is changed.
pub(super) struct Amending {
    amends: Amends,
    amendments: Amendments,
    /// What a deletion erases: the message and its edits.
    erased: Vec<Arc<Entry>>,
    /// When the message's time is over: so is that of what is said of it.
    pub(super) expires_at_ms: Option<Millis>,
}

impl Engine {
    /// Checks what a send wants to change; `Ok(Err)`: it may not.
    pub(super) fn amending(
        &self,
        send: &Send,
        amends: Amends,
        no: ChatNo,
        author: u32,
        facts: &Facts,
        now: Millis,
    ) -> Result<Result<Amending, Refused>, Need> {
        // What is not there, not for him or no message has the same answer.
        let unknown = Ok(Err(Refused::NotAMember));
        let Some(chat) = self.chats.get(no) else { return unknown };
        let Some(member) = chat.member(author) else { return unknown };
        let target = amends.target();
        if target == Seq::ZERO || target > chat.head || !member.may_read(target) {
            return unknown;
        }
        let Some(entry) = self.entry(no, target, facts)? else { return unknown };
        let hidden = entry.hidden && entry.author != author;
        if !entry.is_message() || entry.deleted || hidden || entry.is_expired(now) {
            return unknown;
        }
        let mut amendments = self.amendments(no, target, facts)?;
        let mut erased = Vec::new();
        match amends {
            Amends::Edit(_) => {
                let in_time = now <= entry.at_ms.saturating_add(send.edit_window_ms);
                if entry.author != author || !in_time {
                    return unknown;
                }
                if amendments.edits.len() >= EDITS_MAX {
                    return Ok(Err(Refused::TooManyEdits));
                }
            }
            Amends::Delete(_) => {
                let admin = chat.id.kind() == ChatKind::Group && member.role != Role::Member;
                if entry.author != author && !admin {
                    return unknown;
                }
                for seq in std::mem::take(&mut amendments.edits) {
                    erased.extend(self.entry(no, seq, facts)?);
                }
                amendments.reactions.clear();
                erased.push(entry.clone());
            }
            Amends::React(_) => {
                let has = amendments.reactions.iter().any(|(of, _)| *of == author);
                if send.body.is_empty() && !has {
                    return Ok(Err(Refused::NoReaction));
                }
            }
        }
        let expires_at_ms = entry.expires_at_ms;
        Ok(Ok(Amending { amends, amendments, erased, expires_at_ms }))
    }

    /// The entry that amends has got its place `seq`: changes what it changes.
    pub(super) fn amend(
        &mut self,
        amending: Amending,
        no: ChatNo,
        author: u32,
        seq: Seq,
        takes_back: bool,
        batch: &mut Batch,
    ) {
        let Amending { amends, mut amendments, erased, .. } = amending;
        match amends {
            Amends::Edit(_) => amendments.edits.push(seq),
            Amends::Delete(_) => {}
            Amends::React(_) => {
                amendments.reactions.retain(|(of, _)| *of != author);
                if !takes_back {
                    amendments.reactions.push((author, seq));
                }
            }
        }
        for entry in erased {
            self.erase(no, &entry, batch);
        }
        let target = amends.target();
        self.uncommitted_amendments.insert((no, target), (self.batch_no, amendments.clone()));
        batch.push(Write::Amendments { chat: no, seq: target, amendments });
    }

    fn amendments(&self, no: ChatNo, seq: Seq, facts: &Facts) -> Result<Amendments, Need> {
        if let Some((_, amendments)) = self.uncommitted_amendments.get(&(no, seq)) {
            return Ok(amendments.clone());
        }
        let stored = facts.amendments.get(&(no, seq)).ok_or(Need::Amendments(no, seq))?;
        Ok(stored.clone().unwrap_or_default())
    }
}
