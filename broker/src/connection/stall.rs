//! Clients that stop half way: in the middle of a packet, or without taking what they are sent.
//!
//! Keep-alive does not see them all: a client may ask for none, and one that takes nothing may
//! well send. Both hold memory meanwhile.

use crate::packet::Reason;
use crate::session::{Close, MonotonicMs};

/// Since when a client owes something.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// The rest of a packet.
    packet: Since,
    /// That it takes what is there for it, or some of it.
    taking: Since,
}

/// A time, or none: all bits set, which no clock reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Since(MonotonicMs);

impl Since {
    const NEVER: Self = Self(MonotonicMs::MAX);

    /// The earlier of what it is and now.
    fn begin(&mut self, now: MonotonicMs) {
        *self = Self(now).min(*self);
    }
}

impl Default for Since {
    fn default() -> Self {
        Self::NEVER
    }
}

impl Stall {
    /// What was read is dealt with: `partial`, the beginning of a packet is left; `whole`, there
    /// were others before it.
    pub(super) fn heard(&mut self, partial: bool, whole: bool, now: MonotonicMs) {
        if whole || !partial {
            self.packet = Since::NEVER;
        }
        if partial {
            self.packet.begin(now);
        }
    }

    /// Something was written, perhaps: `left`, there is more; `some`, the client has made room.
    pub(super) fn sent(&mut self, left: bool, some: bool, now: MonotonicMs) {
        if some || !left {
            self.taking = Since::NEVER;
        }
        if left {
            self.taking.begin(now);
        }
    }

    /// When it is enough, if anything is owed.
    pub(super) fn due(&self, timeout_ms: u64) -> Option<MonotonicMs> {
        let since = self.packet.min(self.taking);
        (timeout_ms > 0 && since != Since::NEVER).then(|| since.0.saturating_add(timeout_ms))
    }

    /// Why the connection is to be closed, if it is enough.
    pub(super) fn over(&self, timeout_ms: u64, now: MonotonicMs) -> Option<Close> {
        self.due(timeout_ms).filter(|due| *due <= now)?;
        let detail = "a packet did not come to its end, or what was sent was not taken";
        Some(Close::because(Reason::KEEP_ALIVE_TIMEOUT, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_its_time_and_the_next_one_its_own() {
        let mut stall = Stall::default();
        assert_eq!(stall.due(100), None);
        stall.heard(true, false, 1);
        stall.heard(true, false, 50);
        assert_eq!(stall.due(100), Some(101), "more of it is not the end of it");
        stall.heard(true, true, 60);
        assert_eq!(stall.due(100), Some(160));
        assert!(stall.over(100, 159).is_none() && stall.over(100, 160).is_some());
        stall.heard(false, true, 70);
        assert_eq!(stall.due(100), None);
    }

    #[test]
    fn a_client_that_takes_a_little_takes() {
        let mut stall = Stall::default();
        stall.sent(true, true, 1);
        stall.sent(true, false, 50);
        assert_eq!(stall.due(100), Some(101));
        stall.sent(true, true, 60);
        assert_eq!(stall.due(100), Some(160));
        stall.heard(true, false, 10);
        assert_eq!(stall.due(100), Some(110), "whichever is first");
        assert_eq!(stall.due(0), None, "0: never");
        stall.sent(false, true, 70);
        stall.heard(false, true, 70);
        assert_eq!(stall.due(100), None);
    }
}
