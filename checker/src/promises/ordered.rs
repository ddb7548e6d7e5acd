//! Promise 3, *Ordered*: `seq` is 1, 2, 3 … and every member gets the entries in that order.
//!
//! - A place holds the same entry for everybody, in every redelivery (what a dialect or a deletion leaves
//!   out is not compared).
//! - Within one connection `seq` only rises: MQTT redelivers on reconnecting only (MQTT 5.0 §4.4).
//! - A complete subscription (QoS 1 or 2): in one session, what is above the highest `seq` so far is the
//!   next one, or carries `after` with exactly the highest one so far. Below it is redelivery, after a lost
//!   connection or a crash of the server; it may leave out what was acknowledged, and starts over anywhere.
//! - `after` is true: none of the skipped entries is a message that the history shows was sent, or says who
//!   came or went, unless the user was no member there, is excused from it, or sent it from this device with "no local". Before a late member's first
//!   entry everything may be skipped.
//! - A new session starts at the latest at the first entry that is not delivered to the user. What was
//!   delivered is known by an upper bound (acknowledgements are recorded before they are written), so a
//!   start beyond it is a fault whatever was lost on the wire.
//! - A page of the log has entries that rise, each the one that devices got at its place, or with the body of
//!   one of its author's edits; and between its first and its last one leaves out nothing that its reader is
//!   due.
//! - A live tail (QoS 0) may start and skip anywhere. So may entries that come before the SUBACK.

use super::{Check, Moment, quote};
use crate::device::{Cursor, Reception};
use crate::message::Content;
use crate::{Amends, Event, Past, Promise, Violation};

pub(super) struct Ordered;

impl<'h> Check<'h> for Ordered {
    fn observe(&mut self, moment: Moment<'_, 'h>, event: &'h Event, found: &mut Vec<Violation>) {
        if let Event::History { user, device, chat, entries } = event {
            let what = page_fault(moment, user, chat, entries);
            found.extend(what.map(|what| {
                let what = format!("{user}/{device} read in {chat}: {what}");
                moment.broken(Promise::Ordered, what)
            }));
        }
        let Event::Received { user, device, chat, seq, after, .. } = event else {
            return;
        };
        let Some(content) = Content::of(moment.at, event) else { return };
        let entry = Arrival { user, device, chat, seq: *seq, after: *after };
        let what =
            entry.content_fault(moment, &content).into_iter().chain(entry.order_fault(moment));
        found.extend(what.map(|what| {
            moment.broken(Promise::Ordered, format!("{user}/{device} in {chat}: {what}"))
        }));
    }
}

fn page_fault(moment: Moment<'_, '_>, user: &str, chat: &str, entries: &[Past]) -> Option<String> {
    let index = moment.index;
    for pair in entries.windows(2) {
        let [first, next] = pair else { continue };
        if next.seq <= first.seq {
            return Some(format!("seq {} behind seq {}", next.seq, first.seq));
        }
        let mut skipped = index.entries_in(chat, first.seq + 1, next.seq - 1);
        let due = skipped.find(|(seq, entry)| {
            let message = entry.message.map(|id| index.message(id));
            let is_due = match message {
                Some(message) => !index.is_excused(message, user),
                None => index.is_change(chat, *seq),
            };
            is_due && entry.known_at < moment.at && index.is_entitled(chat, user, *seq)
        });
        if let Some((seq, _)) = due {
            return Some(format!("seq {} behind seq {} without seq {seq}", next.seq, first.seq));
        }
    }
    entries.iter().find_map(|entry| {
        let content = Content {
            at: moment.at,
            from: &entry.from,
            id: Some(&entry.id),
            body: None,
            amends: entry.amends,
        };
        let seen = index.entry(chat, entry.seq)?.seen?;
        let body = entry.body.as_deref();
        let is_edited = || {
            let mut edits = index.with_body(chat, body.unwrap_or_default());
            edits
                .any(|edit| edit.user == entry.from && edit.amends == Some(Amends::Edit(entry.seq)))
        };
        let same_body = body.is_none() || seen.body.is_none() || body == seen.body || is_edited();
        if seen.agrees(&content) && same_body {
            return None;
        }
        let (body, other) = (quote(body), quote(seen.body));
        Some(format!(
            "seq {} is {body} of {}, but was {other} of {}",
            entry.seq, entry.from, seen.from
        ))
    })
}

struct Arrival<'h> {
    user: &'h str,
    device: &'h str,
    chat: &'h str,
    seq: u64,
    after: Option<u64>,
}

impl<'h> Arrival<'h> {
    fn content_fault(&self, moment: Moment<'_, 'h>, content: &Content<'h>) -> Option<String> {
        if self.seq == 0 {
            return Some("seq 0 came; the first is 1".into());
        }
        let first = moment.index.entry(self.chat, self.seq)?.seen?;
        if first.at >= moment.at || first.agrees(content) {
            return None;
        }
        let (body, other) = (quote(content.body), quote(first.body));
        Some(format!(
            "seq {} is {body} of {}, but was {other} of {}",
            self.seq, content.from, first.from
        ))
    }

    fn order_fault(&self, moment: Moment<'_, 'h>) -> Option<String> {
        let seq = self.seq;
        if let Some(after) = self.after.filter(|after| *after >= seq) {
            return Some(format!("seq {seq} came after {after}"));
        }
        let device = moment.world.device(self.user, self.device)?;
        let reception = device.reception(self.chat);
        let unset = Cursor::default();
        let cursor = device.cursor(self.chat).unwrap_or(&unset);
        if reception == Reception::Unknown {
            return None;
        }
        if let Some(last) = cursor.last.filter(|last| seq <= *last) {
            return Some(format!("seq {seq} came behind seq {last} in one connection"));
        }
        if reception == Reception::Tail {
            return None;
        }
        match (cursor.high, self.after) {
            (Some(high), _) if seq <= high => return None,
            (Some(high), None) if seq > high.saturating_add(1) => {
                return Some(format!("seq {seq} came behind seq {high}, unexplained"));
            }
            // What is sent again passes over what has expired since, though it came then.
            (Some(high), Some(after)) if after > high => {
                return Some(format!("seq {seq} came behind seq {high}, with after {after}"));
            }
            (Some(_), _) => {}
            (None, _) => {
                let start = self.after.map_or(seq, |after| after.saturating_add(1));
                let start_max = moment.world.start_max(moment.index, self.chat, self.user);
                if start_max.is_some_and(|start_max| start > start_max) {
                    return Some(format!(
                        "the session started at seq {start}, beyond what had been delivered"
                    ));
                }
            }
        }
        self.skipped_fault(moment, cursor.high.is_none())
    }

    /// A message that `after` passes over though the device was due it.
    fn skipped_fault(&self, moment: Moment<'_, 'h>, starts: bool) -> Option<String> {
        let after = self.after?;
        let device = moment.world.device(self.user, self.device)?;
        let delivery = moment.world.delivery(self.chat, self.user)?;
        let mut skipped =
            moment.index.entries_in(self.chat, after.saturating_add(1), self.seq.saturating_sub(1));
        let due = skipped.find(|(seq, entry)| {
            let message = entry.message.map(|id| moment.index.message(id));
            // Who comes and goes is due to every member, and never expires.
            if message.is_none() && !moment.index.is_change(self.chat, *seq) {
                return false;
            }
            let excused = message.is_some_and(|message| {
                moment.index.is_excused(message, self.user)
                    || device.skips_own(self.user, self.device, message)
            });
            let entitled = moment.index.is_entitled(self.chat, self.user, *seq);
            let before_membership = delivery.base.is_none_or(|base| *seq <= base);
            let delivered = starts && delivery.covered.contains(*seq);
            entitled && !before_membership && !delivered && !excused
        });
        due.map(|(seq, _)| format!("seq {} with after {after} passes over seq {seq}", self.seq))
    }
}
