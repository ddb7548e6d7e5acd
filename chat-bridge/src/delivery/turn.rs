//! One chat's turn when a device pulls: what it is given next, and what is not for it.

use std::collections::VecDeque;

use bluetick_protocol::{ChatKind, ReceiptCount, Seq};

use super::flow::Flow;
use super::{Attach, DeviceKey, Given, Options, Pulled, ReadJob};
use crate::engine::{Advance, Chat, Entry, Member, Millis};

/// One chat's turn in a pull.
pub(super) struct Turn<'a> {
    pub(super) chat: &'a Chat,
    pub(super) flow: &'a mut Flow,
    pub(super) attach: &'a Attach,
    pub(super) wants: Wants,
    pub(super) key: DeviceKey,
    pub(super) room: usize,
    pub(super) pulled: &'a mut Pulled,
}

impl Turn<'_> {
    pub(super) fn give_receipts(&mut self, options: Options) {
        let Options { qos, form, .. } = options;
        let (no, index) = (self.chat.no, self.flow.member);
        let mut last = None;
        while self.room > 0 {
            let Some(next) = next_receipt(self.chat, self.flow, self.wants) else { break };
            let chat = self.chat.id.clone();
            let (version, given) = match next {
                Next::Of(version, at) => {
                    let Some(member) = self.chat.member(at) else { break };
                    let marks = member.shown(at == index, self.wants.reads);
                    let of = member.user.clone();
                    (version, Given::Receipt { no, chat, of, marks, version, qos, form })
                }
                Next::Count(version) => {
                    let count = count(self.chat, index, self.wants.reads);
                    (version, Given::Count { no, count, version, qos, form })
                }
            };
            self.flow.receipts_owed |=
                !self.wants.counts && has_news(self.chat, self.flow, self.wants);
            self.flow.give_receipt(version, qos > 0);
            last = Some(version);
            self.pulled.given.push(given);
            self.room -= 1;
        }
        self.flow.receipts_owed &= next_receipt(self.chat, self.flow, self.wants).is_some();
        // At QoS 0 what was sent counts as told, under the same rule as what is acknowledged.
        if qos == 0 && last.is_some() && !self.flow.receipts_owed {
            self.pulled.told.push(Advance {
                chat: no,
                member: index,
                session: self.attach.session.clone(),
                seq: None,
                delivered: None,
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
                form: options.form,
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
        let receipts = receipts && next_receipt(self.chat, self.flow, self.wants).is_some();
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

/// What receipts a device wants of a chat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wants {
    /// Its user may know what others have read.
    reads: bool,
    /// The chat is so large that only counts are told.
    counts: bool,
}

impl Wants {
    pub(super) fn new(attach: &Attach, chat: &Chat, receipts_members_max: usize) -> Self {
        let large = chat.active_members() > receipts_members_max;
        Self { reads: attach.reads, counts: large && chat.id.kind() == ChatKind::Group }
    }
}

/// Whether there is news for the flow's member beyond what he was given.
pub(super) fn has_news(chat: &Chat, flow: &Flow, wants: Wants) -> bool {
    chat.member(flow.member).is_some_and(|me| news(me, wants) > flow.receipts_given)
}

/// The version of the newest news for a member.
fn news(me: &Member, wants: Wants) -> u64 {
    if wants.reads { me.visible.news } else { me.visible.delivered_news }
}

/// The receipt that is next, by its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Next {
    /// Of a member, by his place.
    Of(u64, u32),
    /// Of all of a large group.
    Count(u64),
}

impl Next {
    fn version(&self) -> u64 {
        match self {
            Self::Of(version, _) | Self::Count(version) => *version,
        }
    }
}

/// The next receipt for a flow's member.
///
/// Another's watermarks count if there is news for this member that he was not given; his own if
/// it is his `read` that has changed, so that all his devices know.
pub(super) fn next_receipt(chat: &Chat, flow: &Flow, wants: Wants) -> Option<Next> {
    let (index, told) = (flow.member, flow.receipts_given);
    // Who is no longer a member learns nothing more; who will be one again, nothing yet.
    let me = chat.member(index).filter(|me| me.is_active() && me.since <= chat.committed)?;
    let own = Some(me.visible.read_version).filter(|version| *version > told);
    let own = own.map(|version| Next::Of(version, index));
    if wants.counts {
        // The count is the one of the moment: one for all the news there is.
        let sent = Seq::ZERO < me.last_sent && me.last_sent <= chat.committed;
        let count = sent && has_news(chat, flow, wants);
        let count = count.then(|| Next::Count(news(me, wants)));
        return own.into_iter().chain(count).min_by_key(Next::version);
    }
    if !flow.receipts_owed && !has_news(chat, flow, wants) {
        return own;
    }
    let others = chat.members.iter().enumerate().filter_map(|(at, member)| {
        let at = u32::try_from(at).ok()?;
        let marks = member.told();
        let version = if wants.reads { marks.version } else { marks.delivered_version };
        (at != index && version > told).then_some(Next::Of(version, at))
    });
    others.chain(own).min_by_key(Next::version)
}

/// How many members have the newest message of the one at `index`.
fn count(chat: &Chat, index: u32, reads: bool) -> ReceiptCount {
    let seq = chat.member(index).map_or(Seq::ZERO, |me| me.last_sent);
    let (mut delivered_by, mut read_by) = (0, 0);
    for (member, at) in chat.members.iter().zip(0..) {
        if at != index && member.is_active() && member.may_read(seq) {
            let marks = member.shown(false, reads);
            delivered_by += u64::from(marks.delivered >= seq);
            read_by += u64::from(marks.read >= seq);
        }
    }
    ReceiptCount { chat: chat.id.clone(), seq, delivered_by, read_by }
}
