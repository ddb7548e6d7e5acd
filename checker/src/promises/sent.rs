//! Promise 1, *Sent*: an acknowledged message is stored and has its place in the chat.
//!
//! Three things follow that clients can see:
//! - a place is told once: two messages are never told the same `seq`;
//! - at a place that was told stands that message, with a body that was sent under it (the first one
//!   stored stands; which attempt that was, nobody can know);
//! - by the time everything has settled somebody has got it. If nobody has though a device was due it, the
//!   message is lost, and the loss is named here rather than under *Kept*. A device is due it that is
//!   connected and subscribed at QoS 1 or 2, of a user who was a member before it was sent: what no device
//!   of a user has got was not delivered to him, so wherever his device started, it was before that.
//!
//! Not due it is who is excused, who sent it from that device with "no local", and who said that he has
//! read so far (which counts as delivered).

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Moment, quote};
use crate::device::{Device, Reception};
use crate::message::{Content, Message, MessageId};
use crate::{Event, Promise, Violation};

#[derive(Default)]
pub(super) struct Sent<'h> {
    told: BTreeMap<(&'h str, u64), MessageId>,
    lost: BTreeSet<(MessageId, Option<u64>)>,
}

impl<'h> Check<'h> for Sent<'h> {
    fn observe(&mut self, moment: Moment<'_, 'h>, event: &'h Event, found: &mut Vec<Violation>) {
        match event {
            Event::Acked { tag, seq: Some(seq), .. } => self.acked(moment, *tag, *seq, found),
            Event::Received { user, device, chat, seq, from, .. } => {
                let Some(content) = Content::of(moment.at, event) else { return };
                let Some(message) = self.expected(moment, chat, *seq, &content) else {
                    return;
                };
                if !message.agrees(&content) {
                    let whose = describe(message);
                    let body = quote(content.body);
                    let what = format!(
                        "{whose} stands at seq {seq}, but {user}/{device} got {body} of {from} there"
                    );
                    found.push(moment.broken(Promise::Sent, what));
                }
            }
            Event::Settled {} => self.settled(moment, found),
            _ => {}
        }
    }
}

impl<'h> Sent<'h> {
    fn acked(&mut self, moment: Moment<'_, 'h>, tag: u64, seq: u64, found: &mut Vec<Violation>) {
        let Some(id) = moment.index.tagged(tag) else {
            return;
        };
        let message = moment.index.message(id);
        if !message.acks.iter().any(|ack| ack.at == moment.at && ack.effective) {
            return;
        }
        let first = *self.told.entry((message.chat, seq)).or_insert(id);
        if first != id {
            let (one, two) = (describe(moment.index.message(first)), describe(message));
            found.push(
                moment.broken(Promise::Sent, format!("{one} and {two} were both told seq {seq}")),
            );
            return;
        }
        let seen = moment.index.entry(message.chat, seq).and_then(|entry| entry.seen);
        if let Some(seen) = seen.filter(|seen| seen.at < moment.at && !message.agrees(seen)) {
            let whose = describe(message);
            let body = quote(seen.body);
            let what =
                format!("{whose} was told seq {seq}, but there stands {body} of {}", seen.from);
            found.push(moment.broken(Promise::Sent, what));
        }
    }

    /// The message that must be the content: the one told this place, or the one with its id.
    fn expected<'a>(
        &self,
        moment: Moment<'a, 'h>,
        chat: &'h str,
        seq: u64,
        content: &Content<'h>,
    ) -> Option<&'a Message<'h>> {
        if let Some(told) = self.told.get(&(chat, seq)) {
            return Some(moment.index.message(*told));
        }
        let recognised = content.id.and_then(|_| moment.index.recognise(chat, content).ok());
        recognised.map(|id| moment.index.message(id))
    }

    fn settled(&mut self, moment: Moment<'_, 'h>, found: &mut Vec<Violation>) {
        for (id, message) in moment.index.messages.iter().enumerate() {
            for ack in message.acks.iter().filter(|ack| ack.effective && ack.at < moment.at) {
                if is_seen(moment, message, ack.seq) {
                    continue;
                }
                let Some((user, device)) = witness(moment, message, ack.seq) else {
                    continue;
                };
                if self.lost.insert((id, ack.seq)) {
                    let place = ack.seq.map_or(String::new(), |seq| format!(" at seq {seq}"));
                    let whose = describe(message);
                    let what = format!(
                        "{whose} was acknowledged{place} and never seen, though {user}/{device} was due it"
                    );
                    found.push(moment.broken(Promise::Sent, what));
                }
            }
        }
    }
}

fn is_seen(moment: Moment<'_, '_>, message: &Message<'_>, told: Option<u64>) -> bool {
    match told {
        // What else stands there has been reported as such.
        Some(seq) => {
            let entry = moment.index.entry(message.chat, seq);
            entry.and_then(|entry| entry.seen).is_some_and(|seen| seen.at < moment.at)
        }
        None => moment.index.is_seen(message, moment.at),
    }
}

/// A device that was due the message.
fn witness<'h>(
    moment: Moment<'_, 'h>,
    message: &Message<'h>,
    told: Option<u64>,
) -> Option<(&'h str, &'h str)> {
    let mut devices = moment.world.connected();
    let found = devices.find(|(user, name, device)| {
        is_due(moment, message, told, (user, name, device)) == Some(true)
    });
    found.map(|(user, name, _)| (user, name))
}

fn is_due(
    moment: Moment<'_, '_>,
    message: &Message<'_>,
    told: Option<u64>,
    (user, name, device): (&str, &str, &Device<'_>),
) -> Option<bool> {
    let (index, world, chat) = (moment.index, moment.world, message.chat);
    if device.reception(chat) != Reception::Complete || device.skips_own(user, name, message) {
        return Some(false);
    }
    let membership = world.membership(chat, user)?;
    let delivery = world.delivery(chat, user)?;
    // Where it stands may become known only later in the history, or from another device.
    let place = told.or(message.seqs.first().copied());
    let since_start = if let Some(spans) = index.spans(chat, user) {
        spans.contains(place?)
    } else if membership.late {
        // A late member's log starts somewhere after his `Member` event: only a place tells.
        delivery.base? < place?
    } else {
        membership.at < message.first_at()
    };
    // The device that sent it may have passed over it, and so delivered it to its user.
    let since_cursor =
        !world.user_skips_own(user, message) || device.cursor(chat)?.owed_from()? <= place?;
    let read = delivery.read_said;
    let not_read = match place {
        Some(seq) => seq > read,
        // It is above what he has read if all that he has read is known to be something else.
        None => index.entries_in(chat, 1, read).count() as u64 == read,
    };
    Some(since_start && since_cursor && not_read && !index.is_excused(message, user))
}

fn describe(message: &Message<'_>) -> String {
    format!("message {} of {} in {}", message.tag, message.user, message.chat)
}
