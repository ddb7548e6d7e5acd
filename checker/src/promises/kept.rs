//! Promise 4, *Kept*: what was not delivered to any device of a member waits until it is.
//!
//! Judged when everything has settled, for members with a device that is connected and subscribed at QoS 1
//! or 2, from where their log starts up to the head (the highest `seq` that anybody was told or got):
//! - The user: every entry was acknowledged back by one of his devices, or was received by one that is
//!   connected now. An entry that a device received and did not acknowledge before it went away is not
//!   delivered, so it must have come again.
//! - The device: it has received everything since its start: the first `seq` it got, and at the latest the
//!   first one not delivered to its user when it subscribed. A persistent session that its device never
//!   ended is one, even if the server forgot it.
//!
//! Where a membership changes, the entries that say so tell what a member is entitled to: all from the one
//! that adds him to the one that removes him, both included, wherever his devices were meanwhile.
//!
//! An entry comes as deleted only where somebody asked for that before, and was not refused.
//!
//! Nothing is missing that `after` explained (whether truly, is checked under *Ordered*), that the user is
//! excused from, or that came from a device with "no local". What the user said he has read counts as
//! delivered to him. A message that was acknowledged and that nobody at all has got is named under *Sent*.

use std::collections::BTreeSet;

use super::{Check, Moment};
use crate::device::Reception;
use crate::message::{Entry, Message};
use crate::ranges::Ranges;
use crate::{Amends, Event, Promise, Violation};

#[derive(Default)]
pub(super) struct Kept {
    reported: BTreeSet<String>,
}

impl<'h> Check<'h> for Kept {
    fn observe(&mut self, moment: Moment<'_, 'h>, event: &'h Event, found: &mut Vec<Violation>) {
        if let Event::Received { user, device, chat, seq, amends, deleted: true, .. } = event {
            found.extend(self.erased(moment, (user, device), chat, *seq, *amends));
        }
        if !matches!(event, Event::Settled {}) {
            return;
        }
        for (chat, user, _) in moment.world.members() {
            let whose = Whose { chat, user };
            let missing = whose.missing_at_user(moment);
            let at_user = missing.map(|seq| format!("seq {seq} of {chat} never reached {user}"));
            let at_devices =
                whose.missing_at_devices(moment).filter(|(_, seq)| Some(*seq) != missing);
            let at_devices = at_devices
                .map(|(device, seq)| format!("seq {seq} of {chat} never reached {user}/{device}"));
            for what in at_user.into_iter().chain(at_devices) {
                if self.reported.insert(what.clone()) {
                    found.push(moment.broken(Promise::Kept, what));
                }
            }
        }
    }
}

impl Kept {
    /// The body is gone, and nobody has deleted it. An edit goes with what it edits.
    fn erased(
        &mut self,
        moment: Moment<'_, '_>,
        (user, device): (&str, &str),
        chat: &str,
        seq: u64,
        amends: Option<Amends>,
    ) -> Option<Violation> {
        let edited = match amends {
            Some(Amends::Edit(edited)) => Some(edited),
            _ => None,
        };
        let mut both = [Some(seq), edited].into_iter().flatten();
        if both.any(|seq| moment.index.may_be_deleted(chat, seq, moment.at)) {
            return None;
        }
        let what = format!("{user}/{device} got seq {seq} of {chat} as deleted, which nobody did");
        self.reported.insert(what.clone()).then(|| moment.broken(Promise::Kept, what))
    }
}

struct Whose<'h> {
    chat: &'h str,
    user: &'h str,
}

impl<'h> Whose<'h> {
    fn missing_at_user(&self, moment: Moment<'_, 'h>) -> Option<u64> {
        let world = moment.world;
        let mut complete = self.complete_devices(moment).peekable();
        complete.peek()?;
        let delivery = world.delivery(self.chat, self.user)?;
        let mut got = delivery.covered.clone();
        complete
            .filter_map(|(_, device)| device.cursor(self.chat))
            .for_each(|cursor| got.extend(&cursor.received));
        let may_miss = |message: &Message<'_>| world.user_skips_own(self.user, message);
        self.first_missing(moment, &got, delivery.base?.saturating_add(1), may_miss)
    }

    fn missing_at_devices(&self, moment: Moment<'_, 'h>) -> impl Iterator<Item = (&'h str, u64)> {
        self.complete_devices(moment).filter_map(move |(name, device)| {
            let cursor = device.cursor(self.chat)?;
            let start = cursor.owed_from()?;
            let may_miss = |message: &Message<'_>| device.skips_own(self.user, name, message);
            let seq = self.first_missing(moment, &cursor.received, start.max(1), may_miss)?;
            Some((name, seq))
        })
    }

    fn complete_devices<'a>(
        &self,
        moment: Moment<'a, 'h>,
    ) -> impl Iterator<Item = (&'h str, &'a crate::device::Device<'h>)> {
        let (chat, user) = (self.chat, self.user);
        let devices = moment.world.connected().filter(move |(owner, ..)| *owner == user);
        let complete =
            devices.filter(move |(_, _, device)| device.reception(chat) == Reception::Complete);
        complete.map(|(_, name, device)| (name, device))
    }

    /// The first entry up to the head that is not in `got` and that nothing excuses.
    ///
    /// Messages that the user is excused from and whose place nobody knows may be any of those that nobody
    /// knows of. So the search looks at no more unknown places than there are such messages, and one.
    fn first_missing(
        &self,
        moment: Moment<'_, 'h>,
        got: &Ranges,
        start: u64,
        may_miss: impl Fn(&Message<'_>) -> bool,
    ) -> Option<u64> {
        let index = moment.index;
        let mut unknown_left = index.excused_without_place(self.chat, self.user);
        got.missing(start, moment.world.head(self.chat)).find(|seq| {
            if !index.is_entitled(self.chat, self.user, *seq) {
                return false;
            }
            let Some(entry) = index.entry(self.chat, *seq) else {
                let spent = unknown_left == 0;
                unknown_left = unknown_left.saturating_sub(1);
                return spent;
            };
            let Some(message) = entry.message.map(|id| index.message(id)) else {
                return true;
            };
            let excused = index.is_excused(message, self.user) || may_miss(message);
            !excused && !lost(moment, entry, message)
        })
    }
}

/// Whether the entry was acknowledged to its sender and seen by nobody: *Sent* names that.
fn lost(moment: Moment<'_, '_>, entry: &Entry<'_>, message: &Message<'_>) -> bool {
    let acknowledged = message.acks.iter().any(|ack| ack.effective && ack.at < moment.at);
    acknowledged && entry.seen.is_none_or(|seen| seen.at >= moment.at)
}
