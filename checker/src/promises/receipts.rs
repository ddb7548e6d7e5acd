//! Promise 5, *Truthful receipts*: true, rising, and told to the author.
//!
//! - True: `delivered` up to n needs an acknowledgement by one of that member's devices, or his word that
//!   he has read, for n or more, written before; `read` needs his word. Both are recorded before they are
//!   written, so what has no such event before it cannot be true. `delivered` may pass over the member's
//!   own messages from a device with "no local". `read` never exceeds `delivered`.
//! - Rising: what one device is told of one member in one chat never falls, across reconnects and crashes.
//! - Told: when everything has settled, a connected device of an author that is subscribed to receipts at
//!   QoS 1 or 2 knows of his latest message that a member's watermark covers. Only what surely reached the
//!   server counts: an acknowledgement on a connection that still stands, with nothing before it
//!   unacknowledged, and a read that was acknowledged (beyond the head it means the head: what was known
//!   before it was said). What another session of the author may have been told before this device
//!   subscribed need not be told again, so then any of his devices will do.
//!
//! A member is told as long as he is one, of what the other got as a member. What the other cannot have got
//! because it came before he first joined counts as delivered and read.
//!
//! Of one who has certainly blocked the other nothing is told that he did since; and since he may have told
//! nothing, nobody is owed it. What is read while its reader certainly has receipts off is not told to others,
//! and nothing that others have read to him.
//!
//! Chats above the size where receipts are only counted have no such receipts: leave them out.

use std::collections::BTreeMap;

use super::{Check, Moment};
use crate::device::Reception;
use crate::requests::Switch;
use crate::spans::Spans;
use crate::{Event, Promise, Violation};

type Member<'h> = (&'h str, &'h str);

#[derive(Default)]
pub(super) struct Receipts<'h> {
    /// By (chat, user).
    delivered: BTreeMap<Member<'h>, Evidence>,
    read: BTreeMap<Member<'h>, Evidence>,
    read_acked: BTreeMap<Member<'h>, u64>,
    /// All that those said who ever have receipts off: (event, `seq`), by (chat, user).
    hidden: BTreeMap<Member<'h>, Vec<(usize, u64)>>,
    /// The head known when a read was said, by what was said.
    said: BTreeMap<(&'h str, &'h str, &'h str, u64), u64>,
    told: BTreeMap<Pair<'h>, Told>,
}

/// What a device is told about: a member of a chat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair<'h> {
    user: &'h str,
    chat: &'h str,
    of: &'h str,
    device: &'h str,
}

#[derive(Clone, Copy, Default)]
struct Told {
    delivered: u64,
    read: u64,
}

/// The highest `seq` that a watermark can have, by event: pairs (event, `seq`), both rising.
#[derive(Default)]
struct Evidence(Vec<(usize, u64)>);

impl Evidence {
    fn max(&self) -> u64 {
        self.0.last().map_or(0, |(_, seq)| *seq)
    }

    fn add(&mut self, at: usize, seq: u64) {
        if seq > self.max() {
            self.0.push((at, seq));
        }
    }

    /// The maximum before the event.
    fn max_before(&self, at: usize) -> u64 {
        let before = self.0.partition_point(|(event, _)| *event < at).checked_sub(1);
        before.and_then(|last| self.0.get(last)).map_or(0, |(_, seq)| *seq)
    }

    /// The first event that may have raised the watermark to `seq`.
    fn reached(&self, seq: u64) -> Option<usize> {
        self.0.get(self.0.partition_point(|(_, max)| *max < seq)).map(|(at, _)| *at)
    }
}

impl<'h> Check<'h> for Receipts<'h> {
    fn observe(&mut self, moment: Moment<'_, 'h>, event: &'h Event, found: &mut Vec<Violation>) {
        match event {
            Event::AckedBack { user, chat, seq, .. } => {
                self.delivered.entry((chat, user)).or_default().add(moment.at, *seq);
            }
            Event::ReadSaid { user, device, chat, seq } => {
                self.delivered.entry((chat, user)).or_default().add(moment.at, *seq);
                self.read.entry((chat, user)).or_default().add(moment.at, *seq);
                if moment.index.requests.is_ever_on(user, Switch::HidesReading) {
                    self.hidden.entry((chat, user)).or_default().push((moment.at, *seq));
                }
                self.said.entry((user, device, chat, *seq)).or_insert(moment.world.head(chat));
            }
            Event::ReadAcked { user, device, chat, seq } => {
                let head =
                    self.said.get(&(user.as_str(), device.as_str(), chat.as_str(), *seq)).copied();
                let sure = self.read_acked.entry((chat, user)).or_default();
                *sure = head.map_or(0, |head| head.min(*seq)).max(*sure);
            }
            Event::Receipt { user, device, chat, of, delivered, read } => {
                let pair = Pair { user, chat, of, device };
                self.told(moment, pair, Told { delivered: *delivered, read: *read }, found);
            }
            Event::Settled {} => self.settled(moment, found),
            _ => {}
        }
    }
}

impl<'h> Receipts<'h> {
    fn told(
        &mut self,
        moment: Moment<'_, 'h>,
        pair: Pair<'h>,
        told: Told,
        found: &mut Vec<Violation>,
    ) {
        let Pair { user, chat, of, device } = pair;
        let mut broken = |what: String| {
            let whose = format!("{user}/{device} in {chat} of {of}");
            found.push(moment.broken(Promise::Receipts, format!("{whose}: {what}")));
        };
        let Told { delivered, read } = told;
        let requests = &moment.index.requests;
        // What he did before his block was answered may count.
        let block = requests.on_since(of, Switch::Block { chat }, moment.at);
        let until = block.filter(|_| user != of).unwrap_or(moment.at);
        if delivered > self.delivered_max(moment, chat, of, until) && until < moment.at {
            broken(format!("told delivered {delivered}, having been blocked before"));
        } else if delivered > self.delivered_max(moment, chat, of, moment.at) {
            broken(format!("told delivered {delivered}, not acknowledged by any device"));
        }
        let said = self.read.get(&(chat, of)).map_or(0, |said| said.max_before(until));
        let mut said = said.max(before_first(moment, chat, of));
        if user != of
            && let Some(all) = self.hidden.get(&(chat, of))
        {
            let off = |at| requests.is_on(of, Switch::HidesReading, at, moment.at) == Some(true);
            let told = all.iter().filter(|(at, _)| !off(*at)).map(|(_, seq)| *seq).max();
            said = said.min(told.unwrap_or(0).max(before_first(moment, chat, of)));
        }
        let fresh_since =
            moment.world.device(user, device).map_or(0, |device| device.fresh_since());
        let off = requests.is_on(user, Switch::HidesReading, fresh_since, moment.at) == Some(true);
        if off && user != of && read > 0 {
            broken(format!("told read {read}, having receipts off"));
        }
        if read > said {
            broken(format!("told read {read}, which was not said"));
        }
        if read > delivered {
            broken(format!("told read {read} beyond delivered {delivered}"));
        }
        let before = self.told.entry(pair).or_default();
        if delivered < before.delivered {
            broken(format!("told delivered {delivered} after {}", before.delivered));
        }
        let ever_off = requests.is_ever_on(user, Switch::HidesReading);
        if read < before.read && !ever_off {
            broken(format!("told read {read} after {}", before.read));
        }
        before.delivered = delivered.max(before.delivered);
        before.read = read.max(before.read);
    }

    /// The highest `delivered` of the user that can be true, by what he did before event `until`.
    fn delivered_max(
        &self,
        moment: Moment<'_, 'h>,
        chat: &'h str,
        user: &'h str,
        until: usize,
    ) -> u64 {
        let evidence = self.delivered.get(&(chat, user));
        let max = evidence.map_or(0, |evidence| evidence.max_before(until));
        let mut max = max.max(before_first(moment, chat, user));
        let skipped = |seq: u64| {
            let message = moment.index.message_at(chat, seq);
            message.is_some_and(|message| moment.world.user_skips_own(user, message))
        };
        while skipped(max.saturating_add(1)) {
            max += 1;
        }
        max
    }

    fn settled(&self, moment: Moment<'_, 'h>, found: &mut Vec<Violation>) {
        for (chat, of, _) in moment.world.members() {
            let requests = &moment.index.requests;
            if requests.is_ever_on(of, Switch::Block { chat }) {
                continue;
            }
            // Over 3.1.1 the word of one who is no member any more is acknowledged and not taken.
            let sure = moment.index.spans(chat, of).is_none();
            let read = self.read_acked.get(&(chat, of)).filter(|_| sure).copied().unwrap_or(0);
            let delivered = surely_delivered(moment, chat, of).max(read);
            for (user, device, state) in moment.world.connected() {
                let is_open = moment.index.spans(chat, user).is_none_or(Spans::is_open);
                let member = moment.world.membership(chat, user).is_some() && is_open;
                let (Some(since), true) = (state.receipts_since(chat), user != of && member) else {
                    continue;
                };
                let pair = Pair { user, chat, of, device };
                let sides = [
                    (
                        "delivered",
                        delivered,
                        &self.delivered,
                        (|told| told.delivered) as fn(&Told) -> u64,
                    ),
                    ("read", read, &self.read, |told| told.read),
                ];
                let hides = |user| requests.is_ever_on(user, Switch::HidesReading);
                for (side, sure, evidence, told) in sides {
                    if side == "read" && (hides(user) || hides(of)) {
                        continue;
                    }
                    let Some(latest) = latest_message(moment, pair, sure) else {
                        continue;
                    };
                    let reached =
                        evidence.get(&(chat, of)).and_then(|evidence| evidence.reached(latest));
                    let alone = reached.is_some_and(|reached| reached > since);
                    if self.known(pair, alone, told) < latest {
                        let whose = format!("{user}/{device} in {chat} of {of}");
                        let what =
                            format!("{whose}: not told that his message seq {latest} is {side}");
                        found.push(moment.broken(Promise::Receipts, what));
                    }
                }
            }
        }
    }

    /// What was told to the device, or to any device of its user.
    fn known(&self, pair: Pair<'h>, alone: bool, side: fn(&Told) -> u64) -> u64 {
        if alone {
            return self.told.get(&pair).map_or(0, side);
        }
        let same = |other: &Pair<'h>| {
            (other.user, other.chat, other.of) == (pair.user, pair.chat, pair.of)
        };
        let from = Pair { device: "", ..pair };
        self.told
            .range(from..)
            .take_while(|(other, _)| same(other))
            .map(|(_, told)| side(told))
            .max()
            .unwrap_or(0)
    }
}

/// What came before a member's first membership counts as delivered and read: it was not for him.
fn before_first(moment: Moment<'_, '_>, chat: &str, user: &str) -> u64 {
    moment.index.spans(chat, user).map_or(0, Spans::before)
}

/// The user's delivered watermark, by a lower bound.
fn surely_delivered(moment: Moment<'_, '_>, chat: &str, user: &str) -> u64 {
    let devices = moment.world.connected().filter(|(owner, ..)| *owner == user);
    let complete = devices.filter(|(_, _, device)| device.reception(chat) == Reception::Complete);
    let cursors = complete.filter_map(|(_, _, device)| device.cursor(chat));
    let in_order = cursors.filter_map(|cursor| {
        let unacked = cursor.unacked.first().copied().unwrap_or(u64::MAX);
        cursor.acked.range(..unacked).next_back().copied()
    });
    in_order.max().unwrap_or(0)
}

/// The author's latest message that the member got with this watermark: since his log starts, and not one
/// that he is excused from.
fn latest_message(moment: Moment<'_, '_>, pair: Pair<'_>, watermark: u64) -> Option<u64> {
    let Pair { user: author, chat, of, .. } = pair;
    let base = moment.world.delivery(chat, of)?.base?;
    let entries = moment.index.entries_in(chat, base.saturating_add(1), watermark);
    let known = entries.filter(|(_, entry)| entry.known_at < moment.at);
    let own = known.filter(|(_, entry)| {
        let message = entry.message.map(|id| moment.index.message(id));
        message
            .is_some_and(|message| message.user == author && !moment.index.is_excused(message, of))
    });
    let own = own.filter(|(seq, _)| moment.index.is_entitled(chat, of, *seq));
    own.map(|(seq, _)| seq).last()
}
