//! Makes a broken history small enough to read.
//!
//! Delta debugging ("Simplifying and Isolating Failure-Inducing Input", Zeller and Hildebrandt 2002), with
//! one caution: leaving events out of a sound history breaks promises too (a dropped delivery is a hole).
//! So a smaller history counts only if it breaks the promise in the very same words. Those say what the
//! history shows and nothing that may follow from leaving something out.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Event, History, Promise, check};

/// Upper bound on how often a shrink checks a history; reached only by long ones that do not shrink well,
/// which then come back larger than need be.
pub const CHECKS_MAX: usize = 3_000;

/// A history, as short as found, that still shows the first violation of `promise`, in the same words.
///
/// It may show violations besides that are only due to what was left out. A history that keeps the promise
/// comes back as it is. Work: at most [`CHECKS_MAX`] checks.
#[must_use]
pub fn shrink(history: &History, promise: Promise) -> History {
    let Some(violation) = check(history).into_iter().find(|violation| violation.promise == promise)
    else {
        return history.clone();
    };
    let mut shrinking = Shrinking {
        events: history.events().to_vec(),
        promise,
        what: violation.what,
        checks_left: CHECKS_MAX,
    };
    shrinking.try_keep(history.events().iter().take(violation.at + 1).cloned().collect());
    loop {
        let before = shrinking.events.len();
        for part_of in [user_of, device_of, chat_of, tag_of, entry_of] {
            shrinking.drop_parts(part_of);
        }
        shrinking.drop_runs();
        if shrinking.events.len() == before || shrinking.checks_left == 0 {
            return History::from(shrinking.events);
        }
    }
}

struct Shrinking {
    events: Vec<Event>,
    promise: Promise,
    what: String,
    checks_left: usize,
}

impl Shrinking {
    /// Goes on with these events if they show the same.
    fn try_keep(&mut self, events: Vec<Event>) -> bool {
        if events.len() >= self.events.len() || self.checks_left == 0 {
            return false;
        }
        self.checks_left -= 1;
        let history = History::from(events);
        let same = check(&history)
            .iter()
            .any(|violation| violation.promise == self.promise && violation.what == self.what);
        if same {
            self.events = history.events().to_vec();
        }
        same
    }

    /// Leaves out all events of one user, device, … at a time, the largest part first.
    fn drop_parts(&mut self, part_of: fn(&Event) -> Option<String>) {
        let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
        for part in self.events.iter().filter_map(part_of) {
            *sizes.entry(part).or_default() += 1;
        }
        let mut parts: Vec<_> = sizes.into_iter().collect();
        parts.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        // Many small parts: halves of them first.
        let mut width = parts.len().div_ceil(2);
        while width > 0 {
            let mut kept = Vec::new();
            for some in parts.chunks(width) {
                let dropped: BTreeSet<&str> = some.iter().map(|(part, _)| part.as_str()).collect();
                let is_dropped = |event: &Event| {
                    part_of(event).is_some_and(|part| dropped.contains(part.as_str()))
                };
                let rest = self.events.iter().filter(|event| !is_dropped(event)).cloned().collect();
                if !self.try_keep(rest) {
                    kept.extend_from_slice(some);
                }
            }
            parts = kept;
            width /= 2;
        }
    }

    /// Leaves out runs of events, ever shorter, down to single ones.
    fn drop_runs(&mut self) {
        let mut width = self.events.len().div_ceil(2);
        while width > 0 {
            // From the end: what came of something goes before it.
            let mut end = self.events.len();
            while end > 0 {
                let start = end.saturating_sub(width);
                let (head, rest) = self.events.split_at(start);
                let tail = rest.get(end - start..).unwrap_or_default();
                let without = [head, tail].concat();
                self.try_keep(without);
                end = start;
            }
            width /= 2;
        }
    }
}

fn user_of(event: &Event) -> Option<String> {
    match event {
        Event::Member { user, .. }
        | Event::Added { user, .. }
        | Event::Removed { user, .. }
        | Event::Asked { user, .. }
        | Event::Probed { user, .. }
        | Event::Overheard { user, .. }
        | Event::Excused { user, .. } => Some(user.clone()),
        _ => owner_of(event).map(|(user, _)| user.into()),
    }
}

fn device_of(event: &Event) -> Option<String> {
    owner_of(event).map(|(user, device)| format!("{user}\n{device}"))
}

fn owner_of(event: &Event) -> Option<(&str, &str)> {
    match event {
        Event::Connected { user, device, .. }
        | Event::Subscribed { user, device, .. }
        | Event::Disconnected { user, device }
        | Event::SessionEnded { user, device }
        | Event::Send { user, device, .. }
        | Event::Acked { user, device, .. }
        | Event::Refused { user, device, .. }
        | Event::Received { user, device, .. }
        | Event::Looks { user, device }
        | Event::Presence { user, device, .. }
        | Event::History { user, device, .. }
        | Event::AckedBack { user, device, .. }
        | Event::ReadSaid { user, device, .. }
        | Event::ReadAcked { user, device, .. }
        | Event::Receipt { user, device, .. } => Some((user, device)),
        Event::Member { .. }
        | Event::Added { .. }
        | Event::Removed { .. }
        | Event::Asked { .. }
        | Event::Probed { .. }
        | Event::Overheard { .. }
        | Event::Answered { .. }
        | Event::Excused { .. }
        | Event::ServerCrashed
        | Event::ServerStarted
        | Event::Settled {} => None,
    }
}

fn chat_of(event: &Event) -> Option<String> {
    match event {
        Event::Member { chat, .. }
        | Event::Added { chat, .. }
        | Event::Removed { chat, .. }
        | Event::Answered { chat, .. }
        | Event::Excused { chat, .. }
        | Event::Send { chat, .. }
        | Event::Received { chat, .. }
        | Event::History { chat, .. }
        | Event::Probed { chat, .. }
        | Event::AckedBack { chat, .. }
        | Event::ReadSaid { chat, .. }
        | Event::ReadAcked { chat, .. }
        | Event::Receipt { chat, .. } => Some(chat.clone()),
        _ => None,
    }
}

fn tag_of(event: &Event) -> Option<String> {
    match event {
        Event::Excused { tag, .. }
        | Event::Send { tag, .. }
        | Event::Acked { tag, .. }
        | Event::Refused { tag, .. } => Some(tag.to_string()),
        _ => None,
    }
}

fn entry_of(event: &Event) -> Option<String> {
    match event {
        Event::Received { chat, seq, .. } | Event::AckedBack { chat, seq, .. } => {
            Some(format!("{chat}\n{seq}"))
        }
        _ => None,
    }
}
