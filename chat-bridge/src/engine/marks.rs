//! What members say beside messages: how far they got, and whom that concerns; that they type.

use bluetick_protocol::Seq;

use super::batch::{Batch, Effect, Facts, Need};
use super::chat::{Chat, Member};
use super::command::{Advance, Outcome, Read, Refused, Typing};
use super::{Engine, Millis};

impl Engine {
    pub(super) fn decide_read(
        &mut self,
        read: &Read,
        facts: &Facts,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let Some(no) = self.find(&read.chat, facts)? else {
            return Ok(Outcome::Refused(Refused::NotAMember));
        };
        let batch_no = self.batch_no;
        let Some(chat) = self.chats.get_mut(no) else { return Err(Need::ChatNo(no)) };
        let Some(index) = chat.member_index(&read.user) else {
            return Ok(Outcome::Refused(Refused::NotAMember));
        };
        let Some(member) = chat.member(index).filter(|member| member.is_active()) else {
            return Ok(Outcome::Refused(Refused::NotAMember));
        };
        let seq = read.seq.min(chat.head);
        if seq <= member.marks.read {
            return Ok(Outcome::Read);
        }
        let rise = Rise {
            delivered: seq.max(member.marks.delivered),
            read: Some(seq),
            read_told: Some(seq).filter(|_| read.told),
        };
        raise(chat, index, rise, now, batch_no, batch);
        self.touch(no, batch);
        Ok(Outcome::Read)
    }

    pub(super) fn decide_typing(
        &self,
        typing: &Typing,
        facts: &Facts,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let Some(no) = self.find(&typing.chat, facts)? else {
            return Ok(Outcome::Refused(Refused::NotAMember));
        };
        let chat = self.chats.get(no).ok_or(Need::ChatNo(no))?;
        let Some(member) = chat.active_index(&typing.user) else {
            return Ok(Outcome::Refused(Refused::NotAMember));
        };
        if !chat.is_blocked(member) {
            batch.effects.push(Effect::Typing { chat: no, member, typing: typing.typing });
        }
        Ok(Outcome::Typing { typing: typing.typing })
    }

    pub(super) fn decide_advance(
        &mut self,
        advance: &Advance,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let no = advance.chat;
        let batch_no = self.batch_no;
        let Some(chat) = self.chats.get_mut(no) else { return Err(Need::ChatNo(no)) };
        let head = chat.head;
        let Some(member) = chat.member_mut(advance.member) else {
            return Ok(Outcome::Refused(Refused::NotAMember));
        };
        let mut changed = false;
        if let Some((device, epoch)) = &advance.session {
            let cursor = member.cursor_or_insert(device, *epoch);
            let seq = advance.seq.map(|seq| seq.min(head));
            if seq > cursor.seq {
                cursor.seq = seq;
                changed = true;
            }
            if advance.receipts > cursor.receipts {
                cursor.receipts = advance.receipts;
                changed = true;
            }
        }
        if let Some(version) = advance.receipts.filter(|told| *told > member.receipts_told) {
            member.receipts_told = version;
            changed = true;
        }
        if changed {
            chat.mark_dirty(advance.member);
        }
        let delivered = chat.member(advance.member).map(|member| member.marks.delivered);
        if let Some(seq) = advance.delivered.map(|seq| seq.min(head))
            && delivered.is_some_and(|delivered| seq > delivered)
        {
            let rise = Rise { delivered: seq, read: None, read_told: None };
            raise(chat, advance.member, rise, now, batch_no, batch);
            changed = true;
        }
        if changed {
            self.touch(no, batch);
        }
        Ok(Outcome::Advanced)
    }
}

/// How far a member's watermarks rise.
#[derive(Clone, Copy)]
struct Rise {
    delivered: Seq,
    read: Option<Seq>,
    /// `read` for others to know.
    read_told: Option<Seq>,
}

/// Raises a member's watermarks (none falls) and notes which authors that is news to.
fn raise(chat: &mut Chat, index: u32, rise: Rise, now: Millis, batch_no: u64, batch: &mut Batch) {
    let Some(before) = chat.member(index).map(|member| member.marks) else { return };
    let delivered = rise.delivered.max(before.delivered);
    let read_told = rise.read_told.unwrap_or(Seq::ZERO).max(before.read_told);
    chat.version += 1;
    let version = chat.version;
    if let Some(member) = chat.member_mut(index) {
        let marks = &mut member.marks;
        if let Some(read) = rise.read {
            marks.read = read;
            marks.read_version = version;
        }
        if delivered > before.delivered {
            marks.delivered = delivered;
            marks.delivered_version = version;
        }
        marks.read_told = read_told;
        if (delivered, read_told) != (before.delivered, before.read_told) {
            marks.at_ms = now.max(marks.at_ms);
            marks.version = version;
        }
    }
    chat.mark_moved(index, batch_no, batch);
    // He who blocks tells the other nothing.
    if chat.member(index).is_some_and(|member| member.blocks.is_some()) {
        return;
    }
    let delivered_to = authors_between(chat, index, before.delivered, delivered);
    let read_from = if read_told > before.read_told { before.read_told } else { read_told };
    let read_by = authors_between(chat, index, read_from, read_told);
    for author in delivered_to.iter().chain(read_by.iter().filter(|at| !delivered_to.contains(at)))
    {
        if let Some(member) = chat.member_mut(*author) {
            member.marks.news = version;
            if delivered_to.contains(author) {
                member.marks.delivered_news = version;
            }
        }
        chat.mark_moved(*author, batch_no, batch);
    }
}

/// The authors, other than `index`, of messages in (`from`, `to`].
///
/// Exact while those entries are in memory, which they are as long as members keep up. Beyond,
/// an author counts if his newest message is above `from`: he may then be told a watermark that
/// covers nothing new of his, never be left without one that does.
fn authors_between(chat: &Chat, index: u32, from: Seq, to: Seq) -> Vec<u32> {
    let mut authors = Vec::new();
    let mut seq = from.next();
    while seq <= to {
        let Some(entry) = chat.tail_entry(seq) else { break };
        if entry.author != index && !authors.contains(&entry.author) {
            authors.push(entry.author);
        }
        seq = seq.next();
    }
    if seq <= to {
        let is_author = |member: &Member| member.last_sent > from;
        for (at, member) in chat.members.iter().enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            if at != index && is_author(member) && !authors.contains(&at) {
                authors.push(at);
            }
        }
    }
    authors
}
