//! One chat's turn when a device pulls: what it is given next, and what is not for it.

use std::collections::VecDeque;

use bluetick_protocol::Seq;

use super::flow::Flow;
use super::{Attach, DeviceKey, Given, Options, Pulled, ReadJob};
use crate::engine::{Advance, Chat, Entry, Member, Millis};

/// One chat's turn in a pull.
pub(super) struct Turn<'a> {
    pub(super) chat: &'a Chat,
    pub(super) flow: &'a mut Flow,
    pub(super) attach: &'a Attach,
    pub(super) key: DeviceKey,
    pub(super) room: usize,
    pub(super) pulled: &'a mut Pulled,
}

impl Turn<'_> {
    pub(super) fn give_receipts(&mut self, options: Options) {
        let mut last = None;
        while self.room > 0 {
            let reads = self.attach.reads;
            let Some((version, index)) = next_receipt(self.chat, self.flow, reads) else { break };
            let Some(member) = self.chat.member(index) else { break };
            self.flow.receipts_owed |= has_news(self.chat, self.flow, reads);
            self.flow.give_receipt(version, options.qos > 0);
            last = Some(version);
            self.pulled.given.push(Given::Receipt {
                no: self.chat.no,
                chat: self.chat.id.clone(),
                of: member.user.clone(),
                marks: member.shown(index == self.flow.member, reads),
                version,
                qos: options.qos,
                compact: options.compact,
            });
            self.room -= 1;
        }
        self.flow.receipts_owed &= next_receipt(self.chat, self.flow, self.attach.reads).is_some();
        // At QoS 0 what was sent counts as told, under the same rule as what is acknowledged.
        if options.qos == 0 && last.is_some() && !self.flow.receipts_owed {
            self.pulled.told.push(Advance {
                chat: self.chat.no,
                member: self.flow.member,
                session: self.attach.session.clone(),
                seq: None,
                receipts: last,
            });
        }
    }

    /// Gives entries; tells how many bytes of bodies.
    pub(super) fn give_messages(&mut self, options: Options, now: Millis) -> usize {
        let mut bytes = 0;
        let Some(member) = self.chat.member(self.flow.member) else { return 0 };
        let last = member.until.map_or(self.chat.committed, |until| until.min(self.chat.committed));
        while self.room > 0 && self.flow.next <= last {
            let next = self.flow.next;
            while self.flow.fetched.front().is_some_and(|entry| entry.seq < next) {
                self.flow.fetched.pop_front();
            }
            let entry = match self.chat.tail_entry(next) {
                Some(entry) => entry.clone(),
                None => match self.flow.fetched.front() {
                    Some(entry) if entry.seq == next => entry.clone(),
                    Some(later) => {
                        // Erased: nothing is left of what was before it.
                        self.flow.next = later.seq;
                        continue;
                    }
                    None => {
                        self.read_on(next, last);
                        break;
                    }
                },
            };
            let without = options.no_local.then_some(self.attach.origin);
            if !is_for(&entry, self.flow.member, member, without, now) {
                self.flow.next = next.next();
                continue;
            }
            let Some(author) = self.chat.member(entry.author) else { break };
            let before = self.flow.given;
            let after = (before.next() != entry.seq).then_some(before);
            self.flow.give(entry.seq, options.qos > 0);
            bytes += entry.body.len();
            self.room -= 1;
            self.pulled.given.push(Given::Message {
                no: self.chat.no,
                chat: self.chat.id.clone(),
                from: author.user.clone(),
                entry,
                after,
                qos: options.qos,
                compact: options.compact,
            });
        }
        if self.flow.fetched.is_empty() {
            self.flow.fetched = VecDeque::new();
        }
        bytes
    }

    fn read_on(&mut self, from: Seq, to: Seq) {
        if !self.flow.reading {
            self.flow.reading = true;
            self.pulled.reads.push(ReadJob { device: self.key, chat: self.chat.no, from, to });
        }
    }

    pub(super) fn has_more(&self, messages: bool, receipts: bool) -> bool {
        let member = self.chat.member(self.flow.member);
        let until = member.and_then(|member| member.until).unwrap_or(self.chat.committed);
        let messages = messages && self.flow.next <= until.min(self.chat.committed);
        let receipts = receipts && next_receipt(self.chat, self.flow, self.attach.reads).is_some();
        (messages && !self.flow.reading) || receipts
    }
}

/// Whether an entry is for a member's device: he is entitled to it and had not blocked its author,
/// its time is not over, and the device did not send it itself (`without` is its origin if it does
/// not want those).
pub(crate) fn is_for(
    entry: &Entry,
    index: u32,
    member: &Member,
    without: Option<u32>,
    now: Millis,
) -> bool {
    let own = entry.author == index;
    let unwanted = if own { without == Some(entry.origin) } else { entry.hidden };
    !unwanted && !entry.is_expired(now) && member.may_read(entry.seq)
}

/// Whether there is news for the flow's member beyond what he was given.
fn has_news(chat: &Chat, flow: &Flow, reads: bool) -> bool {
    chat.member(flow.member).is_some_and(|me| {
        let news = if reads { me.visible.news } else { me.visible.delivered_news };
        news > flow.receipts_given
    })
}

/// The next receipt for a flow's member: its version and whose it is.
///
/// Another's watermarks count if there is news for this member that he was not given; his own if
/// it is his `read` that has changed, so that all his devices know.
pub(super) fn next_receipt(chat: &Chat, flow: &Flow, reads: bool) -> Option<(u64, u32)> {
    let (index, told) = (flow.member, flow.receipts_given);
    // Who is no longer a member learns nothing more; who will be one again, nothing yet.
    let me = chat.member(index).filter(|me| me.is_active() && me.since <= chat.committed)?;
    let own = Some(me.visible.read_version).filter(|version| *version > told);
    let own = own.map(|version| (version, index));
    if !flow.receipts_owed && !has_news(chat, flow, reads) {
        return own;
    }
    let others = chat.members.iter().enumerate().filter_map(|(at, member)| {
        let at = u32::try_from(at).ok()?;
        let marks = member.told();
        let version = if reads { marks.version } else { marks.delivered_version };
        (at != index && version > told).then_some((version, at))
    });
    others.chain(own).min()
}
