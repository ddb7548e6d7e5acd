//! Storing a message: membership, idempotency, order.

use std::cmp::Ordering;
use std::sync::Arc;

use bluetick_protocol::{ChatId, ChatKind, Event, MessageId, Role, Seq, UserId};
use uuid::{Builder, Uuid, Variant};

use super::batch::{Batch, Effect, Facts, Need, NewId, Write};
use super::chat::{Chat, ChatNo, Member, Named};
use super::command::{Outcome, Quota, Refused, Send};
use super::entry::{Amends, Derived, Entry};
use super::{Engine, Millis};

/// How many of an author's newest messages are looked through for a retransmission. A client
/// can only retransmit what the server had not acknowledged to it, at most the receive maximum of
/// one session; the rest is room for his other devices.
const RETRANSMISSION_LOOKBACK: usize = 512;

/// How many of an author's newest messages are looked through in memory for one that has an id already:
/// whoever makes ids out of order mostly does so within a millisecond.
const NEWEST_LOOKBACK: usize = 32;

/// Whether an id is among those of an author's messages that came in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Among {
    Found(Seq),
    No,
    /// It may be further down.
    Unknown,
}

impl Engine {
    pub(super) fn decide_send(
        &mut self,
        send: &Send,
        facts: &Facts,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let refused = Ok(Outcome::Refused(Refused::NotAMember));
        let found = match send.amends {
            None => self.find_any(&send.chat, facts)?,
            // There is nothing to be changed in a chat that does not exist.
            Some(_) => self.find(&send.chat, facts)?,
        };
        let begins = found.is_none_or(|no| !self.chats.get(no).is_some_and(Chat::has_begun));
        // Whether there is somebody to begin with or not: the same answer.
        let is_one_of = |(a, b): (UserId, UserId)| a == send.from || b == send.from;
        if begins && !send.may_begin && send.chat.direct_members().is_some_and(is_one_of) {
            return Ok(Outcome::OverQuota(Quota::Strangers));
        }
        let (no, author) = match found {
            Some(no) => {
                let chat = self.chats.get(no).ok_or(Need::ChatNo(no))?;
                let Some(author) = chat.active_index(&send.from) else { return refused };
                let role = chat.member(author).map(|member| member.role);
                let says = matches!(send.amends, None | Some(Amends::Edit(_)));
                if says && chat.info.admins_only && role == Some(Role::Member) {
                    return Ok(Outcome::Refused(Refused::AdminsOnly));
                }
                (no, author)
            }
            None if send.amends.is_some() => return refused,
            None => match send.chat.direct_members() {
                Some((a, b)) if send.peer_exists && (a == send.from || b == send.from) => {
                    if let Some(quota) = send.over {
                        return Ok(Outcome::OverQuota(quota));
                    }
                    let no = self.create(&send.chat, &[a, b], facts, batch);
                    let author = self.chats.get(no).and_then(|chat| chat.member_index(&send.from));
                    let Some(author) = author else { return refused };
                    (no, author)
                }
                _ => return refused,
            },
        };
        if let Some((seq, entry)) = self.stored_before(send, no, author, facts)? {
            return Ok(Outcome::Sent { id: entry.id, seq, at_ms: entry.at_ms, duplicate: true });
        }
        if let Some(quota) = send.over.filter(|_| !matches!(send.amends, Some(Amends::Delete(_)))) {
            return Ok(Outcome::OverQuota(quota));
        }
        let Some(amends) = send.amends else {
            return Ok(self.append(send, no, author, None, now, batch));
        };
        let amending = match self.amending(send, amends, no, author, facts, now)? {
            Ok(amending) => amending,
            Err(refused) => return Ok(Outcome::Refused(refused)),
        };
        let outcome = self.append(send, no, author, amending.expires_at_ms, now, batch);
        if let Outcome::Sent { seq, .. } = outcome {
            self.amend(amending, no, author, seq, send.body.is_empty(), batch);
        }
        Ok(outcome)
    }

    /// Finds the message if an earlier attempt has stored it.
    fn stored_before(
        &self,
        send: &Send,
        no: ChatNo,
        author: u32,
        facts: &Facts,
    ) -> Result<Option<(Seq, Arc<Entry>)>, Need> {
        let Some(member) = self.chats.get(no).and_then(|chat| chat.member(author)) else {
            return Ok(None);
        };
        if let Some(id) = send.id {
            // Exact, not a guess: an id above the greatest one ever used was never used.
            if id.is_v7() && member.newest_id.is_none_or(|newest| id > newest) {
                return Ok(None);
            }
            let seq = match self.uncommitted_ids.get(&(no, author, id)) {
                Some(seq) => Some(*seq),
                None => match seq_of_server_id(id) {
                    Some(seq) => self
                        .entry_up_to_head(no, seq, facts)?
                        .filter(|entry| entry.id == id && entry.author == author)
                        .map(|_| seq),
                    None => None,
                },
            };
            let seq = match seq {
                Some(seq) => Some(seq),
                None => match self.among_newest(no, member, id) {
                    Among::Found(seq) => Some(seq),
                    missed => *facts.ids.get(&(no, author, id)).ok_or(Need::Id {
                        chat: no,
                        author,
                        id,
                        newest_named: (missed == Among::Unknown).then_some(member.committed_named),
                    })?,
                },
            };
            let Some(seq) = seq else { return Ok(None) };
            return Ok(self.entry(no, seq, facts)?.map(|entry| (seq, entry)));
        }
        if send.dup && send.fingerprint.is_some() {
            let mut seq = member.last_sent;
            for _ in 0..RETRANSMISSION_LOOKBACK {
                if seq == Seq::ZERO {
                    break;
                }
                let Some(entry) = self.entry(no, seq, facts)? else { break };
                if entry.fingerprint == send.fingerprint {
                    return Ok(Some((seq, entry)));
                }
                seq = entry.previous;
            }
        }
        Ok(None)
    }

    /// Looks for an id among a member's newest messages, as far as they are in memory.
    fn among_newest(&self, no: ChatNo, member: &Member, id: MessageId) -> Among {
        let Some(chat) = self.chats.get(no).filter(|_| id.is_v7()) else { return Among::No };
        let mut seq = member.newest_named;
        for _ in 0..NEWEST_LOOKBACK {
            if seq == Seq::ZERO {
                return Among::No;
            }
            let Some(entry) = chat.tail_entry(seq) else { return Among::Unknown };
            match entry.id.cmp(&id) {
                Ordering::Equal => return Among::Found(seq),
                Ordering::Less => return Among::No,
                Ordering::Greater => seq = entry.previous_named,
            }
        }
        Among::Unknown
    }

    fn entry_up_to_head(
        &self,
        no: ChatNo,
        seq: Seq,
        facts: &Facts,
    ) -> Result<Option<Arc<Entry>>, Need> {
        match self.chats.get(no) {
            Some(chat) if seq > Seq::ZERO && seq <= chat.head => self.entry(no, seq, facts),
            _ => Ok(None),
        }
    }

    fn append(
        &mut self,
        send: &Send,
        no: ChatNo,
        author: u32,
        expires_at_ms: Option<Millis>,
        now: Millis,
        batch: &mut Batch,
    ) -> Outcome {
        self.touch(no, batch);
        let Some(chat) = self.chats.get_mut(no) else {
            return Outcome::Refused(Refused::NotAMember);
        };
        let seq = chat.head.next();
        let at_ms = now.max(chat.last_at_ms);
        let id = send.id.unwrap_or_else(|| server_id(at_ms, author, seq));
        let (mut previous, mut named) = (Seq::ZERO, Named::Alone);
        if let Some(member) = chat.member_mut(author) {
            previous = std::mem::replace(&mut member.last_sent, seq);
            if send.id.is_some() {
                named = member.name(id, seq);
            }
        }
        let (previous_named, in_order, recorded) = match named {
            Named::InOrder { previous, indexed } => (previous, true, indexed),
            Named::Alone => (Seq::ZERO, false, true),
        };
        chat.mark_dirty(author);
        // The shorter of two lifetimes counts.
        let ttl_s = send.ttl_s.into_iter().chain(Some(chat.info.ttl_s).filter(|ttl_s| *ttl_s > 0));
        let own_end = ttl_s.min().map(|ttl_s| at_ms + Millis::from(ttl_s) * 1000);
        let hidden = chat.is_blocked(author);
        let entry = Arc::new(Entry {
            seq,
            id,
            author,
            previous,
            previous_named,
            at_ms,
            content_type: send.content_type.clone(),
            body: send.body.clone(),
            reply_to: send.reply_to,
            mentions: send.mentions.clone(),
            expires_at_ms: own_end.into_iter().chain(expires_at_ms).min(),
            fingerprint: send.fingerprint.filter(|_| send.id.is_none()),
            event: None,
            amends: send.amends,
            deleted: false,
            hidden,
            origin: send.origin,
            derived: Derived::default(),
        });
        append_entry(chat, entry, batch);
        if send.id.is_some() {
            if recorded {
                batch.push(Write::Id { id, chat: no, author, in_order, seq });
            }
            batch.ids.push(NewId { chat: no, author, id, seq, in_order });
            self.uncommitted_ids.insert((no, author, id), seq);
        }
        Outcome::Sent { id, seq, at_ms, duplicate: false }
    }

    /// Makes a chat of `users` (the first is the owner of a group), each once.
    pub(super) fn create(
        &mut self,
        id: &ChatId,
        users: &[UserId],
        facts: &Facts,
        batch: &mut Batch,
    ) -> ChatNo {
        // What is not committed yet is in memory, so that one of the two knows.
        let is_free = |no: &ChatNo| !facts.taken.contains(id) && self.chats.get(*no).is_none();
        let no = ChatNo::of_direct(id).filter(is_free).unwrap_or_else(|| {
            let no = ChatNo(self.counters.next_chat);
            batch.push(Write::ChatName { id: id.clone(), no });
            no
        });
        self.counters.next_chat += 1;
        let tick = self.next_tick(batch);
        let mut chat = Chat::new(no, id.clone(), Seq::ZERO, 0, 0);
        let group = id.kind() == ChatKind::Group;
        for user in users {
            if chat.member_index(user).is_none() {
                let role =
                    if group && chat.members.is_empty() { Role::Owner } else { Role::Member };
                chat.members.push(Member::new(user.clone(), role, Seq(1), tick));
                let at = u32::try_from(chat.members.len() - 1).unwrap_or(u32::MAX);
                chat.mark_dirty(at);
                batch.push(Write::ChatOfUser { user: user.clone(), no });
            }
        }
        chat.count_members();
        self.chats.insert(Box::new(chat));
        self.uncommitted_chats.push((self.batch_no, no));
        self.touch(no, batch);
        no
    }
}

pub(super) fn append_entry(chat: &mut Chat, entry: Arc<Entry>, batch: &mut Batch) {
    let (no, seq) = (chat.no, entry.seq);
    let begins = seq == Seq(1);
    let joins_or_leaves =
        matches!(entry.event, Some(Event::Added { .. } | Event::Removed { .. } | Event::Left));
    if begins || joins_or_leaves {
        batch.effects.push(Effect::Members { chat: no });
    }
    batch.note_stored(no, &entry, 1);
    batch.push(Write::Entry { chat: no, entry: entry.clone() });
    chat.append(entry);
    batch.grown.entry(no).or_insert((seq, seq)).1 = seq;
}

/// The id of a message whose sender gave none: a version 8 UUID that holds time, author and place,
/// so that a later send under this id is recognised without an index of its own.
fn server_id(at_ms: Millis, author: u32, seq: Seq) -> MessageId {
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&(author as u16 & 0x0FFF).to_be_bytes());
    bytes[8..].copy_from_slice(&(seq.0 & (u64::MAX >> 2)).to_be_bytes());
    let uuid = Builder::from_custom_bytes(bytes).into_uuid();
    MessageId::from_uuid(uuid).expect("a version 8 UUID is not nil")
}

/// The place in the chat that an id made by [`server_id`] names.
fn seq_of_server_id(id: MessageId) -> Option<Seq> {
    let uuid: Uuid = id.as_uuid();
    if uuid.get_version_num() != 8 || uuid.get_variant() != Variant::RFC4122 {
        return None;
    }
    let low = <[u8; 8]>::try_from(&id.as_bytes()[8..]).ok()?;
    Some(Seq(u64::from_be_bytes(low) & (u64::MAX >> 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_id_names_its_place() {
        for seq in [1, 2, 77, 1 << 40] {
            let id = server_id(1_764_000_000_000, 3, Seq(seq));
            assert_eq!(seq_of_server_id(id), Some(Seq(seq)));
            assert!(!id.is_v7());
        }
    }
}
