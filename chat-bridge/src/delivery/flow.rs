//! Where one attached device is in one chat.

use std::collections::VecDeque;
use std::sync::Arc;

use bluetick_protocol::Seq;

use crate::engine::Entry;

/// A device's place in a chat, while there is something for it or something it has not
/// acknowledged. Without one, it has all that is committed.
#[derive(Debug)]
pub(super) struct Flow {
    /// The member's place in the chat.
    pub(super) member: u32,
    /// The next entry to look at.
    pub(super) next: Seq,
    /// The last entry it was given, or where it started.
    pub(super) given: Seq,
    /// All it was given up to here is acknowledged.
    pub(super) acked: Seq,
    unacked: Window<Seq>,
    /// Entries read from the store for it, in order, the first being `next` or later.
    pub(super) fetched: VecDeque<Arc<Entry>>,
    /// Receipts it was given, up to this version.
    pub(super) receipts_given: u64,
    receipts_unacked: Window<u64>,
    /// There was news and not all that is newer than what it was given has been given yet. What
    /// was news to it may have moved on to a later version since, so all of it is owed.
    pub(super) receipts_owed: bool,
    /// It is in the device's queue of chats that have something.
    pub(super) queued: bool,
    /// A read from the store is under way.
    pub(super) reading: bool,
}

impl Flow {
    pub(super) fn new(member: u32, seq: Seq, receipts: u64) -> Self {
        Self {
            member,
            next: seq.next(),
            given: seq,
            acked: seq,
            unacked: Window::default(),
            fetched: VecDeque::new(),
            receipts_given: receipts,
            receipts_unacked: Window::default(),
            receipts_owed: false,
            queued: false,
            reading: false,
        }
    }

    /// Entries up to here were given before, in an earlier connection, and `seq` is one of those
    /// that are not acknowledged.
    pub(super) fn was_given(&mut self, seq: Seq) {
        if seq > self.given {
            self.give(seq, true);
        }
    }

    /// The entry `seq` goes out; all before it that did not are not for this device.
    pub(super) fn give(&mut self, seq: Seq, needs_ack: bool) {
        self.given = seq;
        self.next = seq.next();
        if needs_ack {
            self.unacked.push(seq);
        } else {
            self.acked = seq;
        }
    }

    pub(super) fn give_receipt(&mut self, version: u64, needs_ack: bool) {
        self.receipts_given = version;
        if needs_ack {
            self.receipts_unacked.push(version);
        }
    }

    /// An entry is acknowledged: how far all are now, if that has changed.
    pub(super) fn ack(&mut self, seq: Seq) -> Option<Run<Seq>> {
        let run = self.unacked.ack(seq)?;
        self.acked = run.last;
        Some(run)
    }

    /// An entry will be acknowledged without having been sent again.
    pub(super) fn withdraw(&mut self, seq: Seq) {
        self.unacked.withdraw(seq);
    }

    /// A receipt is acknowledged: the version up to which all are now, if that has changed.
    ///
    /// With other members (`many`) a version only counts once nothing is owed or under way: the
    /// watermark that was news may be one of those still to come, under a later version. One other
    /// is enough: the member's own `read` may be what was acknowledged.
    pub(super) fn ack_receipt(&mut self, version: u64, many: bool) -> Option<u64> {
        let acked = self.receipts_unacked.ack(version)?.last;
        let complete = !self.receipts_owed && self.receipts_unacked.is_empty();
        (complete || !many).then_some(acked)
    }

    /// Whether it can be forgotten: the device has all up to `head`, committed or not (`None`: it
    /// is not subscribed to messages). A trailing entry that is not for the device keeps it, so
    /// that the hole before the next one can be explained.
    pub(super) fn is_done(&self, head: Option<Seq>) -> bool {
        let caught_up = head.is_none_or(|head| self.given == head && self.acked == head);
        let all_acked = self.unacked.is_empty() && self.receipts_unacked.is_empty();
        caught_up && all_acked && !self.queued && !self.reading
    }
}

/// What was given and not acknowledged, in order. Acknowledgements may come out of order; only
/// an unbroken run from the front counts.
#[derive(Debug)]
struct Window<T> {
    open: VecDeque<Open<T>>,
}

#[derive(Debug)]
struct Open<T> {
    item: T,
    acked: bool,
    withdrawn: bool,
}

/// What has become an unbroken run of acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<T> {
    /// Its last one.
    pub(super) last: T,
    /// Its last one that was not withdrawn.
    pub(super) last_acked: Option<T>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { open: VecDeque::new() }
    }
}

impl<T: Copy + PartialEq> Window<T> {
    fn push(&mut self, item: T) {
        self.open.push_back(Open { item, acked: false, withdrawn: false });
    }

    fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn find(&mut self, item: T) -> Option<&mut Open<T>> {
        self.open.iter_mut().find(|open| open.item == item)
    }

    fn withdraw(&mut self, item: T) {
        if let Some(open) = self.find(item).filter(|open| !open.acked) {
            open.withdrawn = true;
        }
    }

    fn ack(&mut self, item: T) -> Option<Run<T>> {
        self.find(item)?.acked = true;
        let mut run: Option<Run<T>> = None;
        while let Some(Open { item, withdrawn, .. }) = self.open.pop_front_if(|open| open.acked) {
            let before = run.and_then(|run| run.last_acked);
            run = Some(Run { last: item, last_acked: if withdrawn { before } else { Some(item) } });
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unbroken_run_advances() {
        let mut flow = Flow::new(0, Seq(4), 0);
        for seq in [5, 6, 8] {
            flow.give(Seq(seq), true);
        }
        let run = |seq| Some(Run { last: Seq(seq), last_acked: Some(Seq(seq)) });
        assert_eq!(flow.ack(Seq(6)), None);
        assert_eq!(flow.ack(Seq(5)), run(6));
        assert_eq!(flow.ack(Seq(5)), None, "a second acknowledgement changes nothing");
        assert!(!flow.is_done(Some(Seq(8))));
        assert_eq!(flow.ack(Seq(8)), run(8));
        assert!(flow.is_done(Some(Seq(8))));
        assert!(!flow.is_done(Some(Seq(9))));
    }

    #[test]
    fn what_is_withdrawn_is_done_with_and_not_delivered() {
        let mut flow = Flow::new(0, Seq(4), 0);
        for seq in 5..=9 {
            flow.give(Seq(seq), true);
        }
        for seq in [5, 7, 8, 9] {
            flow.withdraw(Seq(seq));
        }
        assert_eq!(flow.ack(Seq(5)), Some(Run { last: Seq(5), last_acked: None }));
        assert_eq!(flow.ack(Seq(7)), None);
        let run = Run { last: Seq(7), last_acked: Some(Seq(6)) };
        assert_eq!(flow.ack(Seq(6)), Some(run));
        for seq in [8, 9] {
            assert_eq!(flow.ack(Seq(seq)), Some(Run { last: Seq(seq), last_acked: None }));
        }
        assert!(flow.is_done(Some(Seq(9))));
    }
}
