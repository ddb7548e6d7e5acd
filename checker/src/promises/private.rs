//! Promise 6, *Private*: only members read, write and learn about a chat.
//!
//! - Entries and receipts come to members only, and receipts tell of members only. A late member does not
//!   get what was acknowledged to its sender before he was made a member.
//! - Where a membership changes, the entries that say so bound it: nothing before the one that adds a member
//!   comes to him, nothing behind the one that removes him, and what he sends has its place between them.
//!   Receipts tell of nothing behind the end of a membership that nothing follows.
//! - What one who is no member sends is not acknowledged (MQTT 5; 3.1.1 acknowledges what it refuses), and
//!   nobody gets it: neither under his name nor, by its body, under another's.
//! - What was sent by one whom the user had certainly blocked does not come to the user: the block was
//!   answered before it was sent, and no end of the block asked for before it was acknowledged or seen.
//! - A page of the log holds to the same.
//! - What is deleted is for nobody any more: a body, or that of an edit of it, does not come once its deletion
//!   was acknowledged. What left the server before that may still arrive, so only a device counts that has
//!   connected since, or has had an answer to what it sent since.
//! - What one tries who is no member has the same answer in every chat, be there one of that name or not, and
//!   at any time. He hears nothing.
//! - A message id that its author gave in another chat only does not turn up here.

use std::collections::BTreeMap;

use super::{Check, Moment, quote};
use crate::message::{Content, Message};
use crate::{Amends, Event, Past, Promise, Violation};

#[derive(Default)]
pub(super) struct Private<'h> {
    /// Where the deletion of an entry was first acknowledged, by chat and `seq`.
    deleted: BTreeMap<(&'h str, u64), usize>,
    /// The first answer to what somebody tried, by him and what it was.
    probed: BTreeMap<(&'h str, &'h str), &'h str>,
}

impl<'h> Check<'h> for Private<'h> {
    fn observe(&mut self, moment: Moment<'_, 'h>, event: &'h Event, found: &mut Vec<Violation>) {
        let mut broken = |what: String| found.push(moment.broken(Promise::Private, what));
        let is_member = |chat: &str, user: &str| moment.world.membership(chat, user).is_some();
        match event {
            Event::Received { user, device, chat, seq, from, .. } => {
                let Some(content) = Content::of(moment.at, event) else { return };
                if !is_member(chat, user) {
                    broken(format!("{user}/{device} got seq {seq} of {chat} and is no member"));
                } else if !moment.index.is_entitled(chat, user, *seq) {
                    let ended =
                        moment.index.spans(chat, user).and_then(|one| one.ended_before(*seq));
                    broken(match ended {
                        Some(end) => format!(
                            "{user}/{device} got seq {seq} of {chat}, his membership ended at {end}"
                        ),
                        None => format!(
                            "{user}/{device} got seq {seq} of {chat} from before he was a member"
                        ),
                    });
                } else if was_before(moment, chat, user, *seq) {
                    broken(format!(
                        "{user}/{device} got seq {seq} of {chat} from before he was a member"
                    ));
                }
                if moment.index.is_hidden(chat, user, *seq) {
                    broken(format!(
                        "{user}/{device} got seq {seq} of {chat}, having blocked {from}"
                    ));
                }
                if let Some(seq) = self.deleted_of(moment, event) {
                    broken(format!(
                        "{user}/{device} got {} of {chat}, seq {seq} having been deleted",
                        quote(content.body)
                    ));
                }
                if !is_member(chat, from) || !moment.index.is_entitled(chat, from, *seq) {
                    broken(format!(
                        "seq {seq} of {chat} is {} of {from}, who is no member",
                        quote(content.body)
                    ));
                } else if let Some(other) = intruder(moment, chat, &content) {
                    let sender = other.user;
                    broken(format!(
                        "seq {seq} of {chat} is message {} of {sender}, who is no member",
                        other.tag
                    ));
                } else if let Some(elsewhere) = stray(moment, chat, &content) {
                    broken(format!(
                        "seq {seq} of {chat} is message {} of {}",
                        elsewhere.tag, elsewhere.chat
                    ));
                }
            }
            Event::Probed { user, chat, probe, answer } => {
                let first = *self.probed.entry((user, probe)).or_insert(answer);
                if first != answer {
                    broken(format!(
                        "{user} tried {probe} in {chat} and was answered {}, elsewhere {}",
                        quote(Some(answer)),
                        quote(Some(first))
                    ));
                }
            }
            Event::Overheard { user, topic } => broken(format!("{user} was told {topic}")),
            Event::History { user, device, chat, entries } => {
                if !is_member(chat, user) {
                    broken(format!("{user}/{device} read in {chat} and is no member"));
                }
                for Past { seq, from, body, amends, .. } in entries {
                    if !moment.index.is_entitled(chat, user, *seq) {
                        broken(format!(
                            "{user}/{device} read seq {seq} of {chat} and was no member then"
                        ));
                    }
                    if moment.index.is_hidden(chat, user, *seq) {
                        broken(format!(
                            "{user}/{device} read seq {seq} of {chat}, having blocked {from}"
                        ));
                    }
                    let deleted = self.surely_deleted(moment, (user, device), chat, *seq, *amends);
                    if let Some(deleted) = deleted.filter(|_| body.is_some()) {
                        broken(format!(
                            "{user}/{device} read {} of {chat}, seq {deleted} having been deleted",
                            quote(body.as_deref())
                        ));
                    }
                }
            }
            Event::Receipt { user, device, chat, of, delivered, .. } => {
                let spans = moment.index.spans(chat, user);
                let ended = spans.and_then(|spans| spans.last()).filter(|end| end < delivered);
                if let Some(end) = ended.filter(|_| of != user) {
                    broken(format!(
                        "{user}/{device} was told of {of} at seq {delivered} of {chat}, his membership \
                         ended at {end}"
                    ));
                }
                if !is_member(chat, user) {
                    broken(format!("{user}/{device} was told of {of} in {chat} and is no member"));
                }
                if !is_member(chat, of) {
                    broken(format!("{user}/{device} was told of {of} in {chat}, who is no member"));
                }
            }
            Event::Acked { user, device, tag, seq, .. } => {
                let Some(message) = moment.index.tagged(*tag).map(|id| moment.index.message(id))
                else {
                    return;
                };
                let effective = message.acks.iter().any(|ack| ack.at == moment.at && ack.effective);
                let chat = message.chat;
                if let Some(Amends::Delete(seq)) = message.amends.filter(|_| effective) {
                    self.deleted.entry((chat, seq)).or_insert(moment.at);
                }
                let there = seq.is_none_or(|seq| moment.index.is_entitled(chat, user, seq));
                if effective && !(is_member(chat, user) && there) {
                    broken(format!(
                        "message {tag} of {user}/{device} in {chat} was acknowledged; he is no member"
                    ));
                }
            }
            _ => {}
        }
    }
}

impl Private<'_> {
    /// The deleted entry whose body, or that of an edit of it, has come though it was surely gone.
    fn deleted_of(&self, moment: Moment<'_, '_>, event: &Event) -> Option<u64> {
        let Event::Received { user, device, chat, seq, body: Some(_), amends, .. } = event else {
            return None;
        };
        self.surely_deleted(moment, (user, device), chat, *seq, *amends)
    }

    /// What is deleted of an entry, if it surely was before the device was sent what it reads now.
    fn surely_deleted(
        &self,
        moment: Moment<'_, '_>,
        (user, device): (&str, &str),
        chat: &str,
        seq: u64,
        amends: Option<Amends>,
    ) -> Option<u64> {
        let said = match amends {
            None => seq,
            Some(Amends::Edit(edited)) => edited,
            Some(Amends::Delete(_) | Amends::React(_)) => return None,
        };
        let deleted_at = *self.deleted.get(&(chat, said))?;
        let fresh_since = moment.world.device(user, device)?.fresh_since();
        (deleted_at < fresh_since).then_some(said)
    }
}

/// Whether the place was told to its sender before the user was made a member.
fn was_before(moment: Moment<'_, '_>, chat: &str, user: &str, seq: u64) -> bool {
    let Some(membership) = moment.world.membership(chat, user) else {
        return false;
    };
    let Some(message) = moment.index.message_at(chat, seq) else {
        return false;
    };
    let told = |told: Option<u64>| told.map_or(message.id.is_some(), |told| told == seq);
    message.acks.iter().any(|ack| ack.effective && ack.at < membership.at && told(ack.seq))
}

/// A message with this body that only people who are never members sent to the chat.
fn intruder<'a, 'h>(
    moment: Moment<'a, 'h>,
    chat: &str,
    content: &Content<'_>,
) -> Option<&'a Message<'h>> {
    let mut senders =
        moment.index.with_body(chat, content.body.filter(|body| !body.is_empty())?).peekable();
    let first = *senders.peek()?;
    senders.all(|message| !moment.index.is_ever_member(chat, message.user)).then_some(first)
}

/// The author's message with this id in another chat, if he gave the id nowhere in this one.
fn stray<'a, 'h>(
    moment: Moment<'a, 'h>,
    chat: &str,
    content: &Content<'_>,
) -> Option<&'a Message<'h>> {
    let messages = moment.index.with_id(content.id?);
    let mut own = messages.filter(|message| message.user == content.from).peekable();
    let first = *own.peek()?;
    own.all(|message| message.chat != chat).then_some(first)
}
