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
        let delivered = seq.max(member.marks.delivered);
        raise(chat, index, delivered, Some(seq), now, batch_no, batch);
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
        batch.effects.push(Effect::Typing { chat: no, member, typing: typing.typing });
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
        if let Some(seq) = advance.seq.map(|seq| seq.min(head))
            && delivered.is_some_and(|delivered| seq > delivered)
        {
            raise(chat, advance.member, seq, None, now, batch_no, batch);
            changed = true;
        }
        if changed {
            self.touch(no, batch);
        }
        Ok(Outcome::Advanced)
    }
}

/// Raises a member's watermarks (neither falls) and notes which authors that is news to.
fn raise(
    chat: &mut Chat,
    index: u32,
    delivered: Seq,
    read: Option<Seq>,
    now: Millis,
    batch_no: u64,
    batch: &mut Batch,
) {
    let Some(before) = chat.member(index).map(|member| member.marks) else { return };
    let covered_from = match read {
        Some(_) => before.read.min(before.delivered),
        None => before.delivered,
    };
    let covered_to = delivered.max(read.unwrap_or(Seq::ZERO));
    chat.version += 1;
    let version = chat.version;
    if let Some(member) = chat.member_mut(index) {
        let marks = &mut member.marks;
        marks.delivered = delivered.max(marks.delivered);
        marks.at_ms = now.max(marks.at_ms);
        marks.version = version;
        if let Some(read) = read {
            marks.read = read;
            marks.read_version = version;
        }
    }
    chat.mark_moved(index, batch_no, batch);
    for author in authors_between(chat, index, covered_from, covered_to) {
        if let Some(member) = chat.member_mut(author) {
            member.marks.news = version;
        }
        chat.mark_moved(author, batch_no, batch);
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
