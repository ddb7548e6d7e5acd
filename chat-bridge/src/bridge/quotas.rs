//! How much one user may ask of the server: messages, room in the store, groups, strangers.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bluetick_protocol::{ChatId, UserId};
use parking_lot::Mutex;

use crate::engine::{Millis, Quota};

/// How many seconds' worth of messages may come at once.
const BURST_S: u64 = 10;

/// What an operator may set; 0 of anything: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Messages and requests of a user per second, over all his chats; ten seconds' worth may come
    /// at once.
    pub user_messages_per_s: u32,
    /// Messages of a user per second in one chat; ten seconds' worth may come at once.
    pub chat_messages_per_s: u32,
    /// Bytes of all stored messages of a user: their bodies, and 100 for each.
    pub stored_bytes_max: u64,
    /// Groups that a user may be an owner of when he makes another one.
    pub groups_owned_max: u32,
    /// Direct chats that a user may begin per hour, or try to.
    pub strangers_per_hour: u32,
}

impl Quotas {
    /// No limits at all.
    pub const NONE: Self = Self {
        user_messages_per_s: 0,
        chat_messages_per_s: 0,
        stored_bytes_max: 0,
        groups_owned_max: 0,
        strangers_per_hour: 0,
    };
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            user_messages_per_s: 100,
            chat_messages_per_s: 50,
            stored_bytes_max: 10 << 30,
            groups_owned_max: 200,
            strangers_per_hour: 60,
        }
    }
}

/// How often each quota was reached.
#[derive(Debug, Default)]
pub struct QuotaStats {
    rate: AtomicU64,
    stored_bytes: AtomicU64,
    groups: AtomicU64,
    strangers: AtomicU64,
}

impl QuotaStats {
    /// Refusals since the start, by quota.
    #[must_use]
    pub fn reached(&self) -> [(&'static str, u64); 4] {
        [
            ("quota.messages_per_s", &self.rate),
            ("quota.stored_bytes_max", &self.stored_bytes),
            ("quota.groups_owned_max", &self.groups),
            ("quota.strangers_per_hour", &self.strangers),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    pub(super) fn count(&self, quota: Quota) {
        let counter = match quota {
            Quota::Rate => &self.rate,
            Quota::StoredBytes => &self.stored_bytes,
            Quota::Groups => &self.groups,
            Quota::Strangers => &self.strangers,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is said of a quota that is reached.
pub(super) fn explain(quota: Quota) -> &'static str {
    match quota {
        Quota::Rate => "too many messages or requests at once; send more slowly",
        Quota::StoredBytes => "the room for your messages is used up; delete some",
        Quota::Groups => "you own as many groups as one may; leave one or make another its owner",
        Quota::Strangers => "too many new chats in the last hour; try again later",
    }
}

/// What a user has used of his quotas.
#[derive(Default)]
pub(super) struct Usage {
    rates: Mutex<Rates>,
    stored_bytes: AtomicI64,
}

#[derive(Default)]
struct Rates {
    messages: Rate,
    strangers: Rate,
    /// Those in which he has sent something of late: of most there are none.
    chats: BTreeMap<ChatId, Rate>,
}

/// A rate, kept as the time at which all that came would have come had it come evenly: the generic
/// cell rate algorithm (ITU-T I.371, Annex A), a bucket in one number.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    even_us: u64,
}

impl Rate {
    /// Whether one more may come now, where one comes every `interval_us` and `burst` of them may
    /// come at once.
    fn has_room(self, interval_us: u64, burst: u64, now_us: u64) -> bool {
        self.even_us.saturating_add(interval_us) <= now_us + interval_us * burst
    }

    fn add(&mut self, interval_us: u64, now_us: u64) {
        self.even_us = self.even_us.max(now_us) + interval_us;
    }

    fn take(&mut self, per_s: u32, now_us: u64) -> bool {
        let Some(interval_us) = 1_000_000_u64.checked_div(per_s.into()) else { return true };
        let has_room = self.has_room(interval_us, u64::from(per_s) * BURST_S, now_us);
        if has_room {
            self.add(interval_us, now_us);
        }
        has_room
    }

    fn is_idle(self, now_us: u64) -> bool {
        self.even_us <= now_us
    }
}

impl Usage {
    pub(super) fn new(stored_bytes: i64) -> Self {
        Self { stored_bytes: AtomicI64::new(stored_bytes), ..Self::default() }
    }

    /// A message is to be stored: the quota that stands against it.
    pub(super) fn message(&self, chat: &ChatId, quotas: &Quotas, now: Millis) -> Option<Quota> {
        let now_us = now * 1000;
        let limited = quotas.user_messages_per_s > 0 || quotas.chat_messages_per_s > 0;
        if limited {
            let rates = &mut *self.rates.lock();
            if !rates.messages.take(quotas.user_messages_per_s, now_us) {
                return Some(Quota::Rate);
            }
            if quotas.chat_messages_per_s > 0 {
                let of_chat = match rates.chats.get_mut(chat) {
                    Some(rate) => rate,
                    None => rates.chats.entry(chat.clone()).or_default(),
                };
                if !of_chat.take(quotas.chat_messages_per_s, now_us) {
                    return Some(Quota::Rate);
                }
            }
        }
        let stored = u64::try_from(self.stored_bytes.load(Ordering::Relaxed)).unwrap_or(0);
        let full = quotas.stored_bytes_max > 0 && stored >= quotas.stored_bytes_max;
        full.then_some(Quota::StoredBytes)
    }

    /// A request has come, or a word that he is typing: whether it may.
    pub(super) fn request(&self, quotas: &Quotas, now: Millis) -> bool {
        let per_s = quotas.user_messages_per_s;
        per_s == 0 || self.rates.lock().messages.take(per_s, now * 1000)
    }

    /// Whether another direct chat may be begun.
    pub(super) fn may_begin(&self, quotas: &Quotas, now: Millis) -> bool {
        let Some(interval_us) = stranger_interval_us(quotas) else { return true };
        let burst = quotas.strangers_per_hour.into();
        self.rates.lock().strangers.has_room(interval_us, burst, now * 1000)
    }

    /// One was begun, or it turned out that there is nobody there.
    pub(super) fn begun(&self, quotas: &Quotas, now: Millis) {
        if let Some(interval_us) = stranger_interval_us(quotas) {
            self.rates.lock().strangers.add(interval_us, now * 1000);
        }
    }

    pub(super) fn stored(&self, bytes: i64) {
        self.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Forgets rates that are as good as unused; tells whether all are.
    pub(super) fn forget_idle(&self, now: Millis) -> bool {
        let rates = &mut *self.rates.lock();
        rates.chats.retain(|_, rate| !rate.is_idle(now * 1000));
        if rates.chats.is_empty() {
            rates.chats = BTreeMap::new();
        }
        let all = [rates.messages, rates.strangers];
        rates.chats.is_empty() && all.iter().all(|rate| rate.is_idle(now * 1000))
    }
}

fn stranger_interval_us(quotas: &Quotas) -> Option<u64> {
    3_600_000_000_u64.checked_div(quotas.strangers_per_hour.into())
}

/// What users' messages have come to take in the store, or no longer take, and that is not stored
/// with them yet.
#[derive(Default)]
pub(super) struct Unsaved(Mutex<HashMap<UserId, i64>>);

impl Unsaved {
    pub(super) fn add(&self, user: &UserId, bytes: i64) {
        let mut unsaved = self.0.lock();
        match unsaved.get_mut(user) {
            Some(had) => *had += bytes,
            None => {
                unsaved.insert(user.clone(), bytes);
            }
        }
    }

    pub(super) fn take(&self) -> HashMap<UserId, i64> {
        std::mem::take(&mut self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(name: &str) -> ChatId {
        ChatId::try_from(name).expect("a chat")
    }

    fn count(most: usize, mut take: impl FnMut() -> bool) -> usize {
        (0..most).take_while(|_| take()).count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let quotas = Quotas { chat_messages_per_s: 5, user_messages_per_s: 8, ..Quotas::NONE };
        let usage = Usage::default();
        let now = 1_764_000_000_000;
        let send = |to: &str, now| usage.message(&chat(to), &quotas, now).is_none();
        assert_eq!(count(1000, || send("a~b", now)), 50);
        // What is refused in one chat leaves others their share of the user's.
        assert_eq!(count(1000, || send("a~c", now)), 80 - 51);
        assert_eq!(count(1000, || send("a~b", now + 1000)), 5);
        assert!(!usage.forget_idle(now + 1000));
        assert!(usage.forget_idle(now + 20_000));
    }

    #[test]
    fn zero_is_no_limit() {
        let usage = Usage::new(i64::MAX);
        for _ in 0..10_000 {
            assert_eq!(usage.message(&chat("a~b"), &Quotas::NONE, 0), None);
            assert!(usage.request(&Quotas::NONE, 0) && usage.may_begin(&Quotas::NONE, 0));
            usage.begun(&Quotas::NONE, 0);
        }
    }

    #[test]
    fn strangers_by_the_hour() {
        let quotas = Quotas { strangers_per_hour: 3, ..Quotas::NONE };
        let usage = Usage::default();
        let begin = |now| {
            let may = usage.may_begin(&quotas, now);
            if may {
                usage.begun(&quotas, now);
            }
            may
        };
        let hour = 3_600_000;
        assert_eq!(count(10, || begin(5 * hour)), 3);
        assert_eq!(count(10, || begin(5 * hour + hour / 3)), 1);
        assert_eq!(count(10, || begin(9 * hour)), 3);
    }

    #[test]
    fn room_in_the_store_comes_back() {
        let quotas = Quotas { stored_bytes_max: 1000, ..Quotas::NONE };
        let usage = Usage::new(900);
        assert_eq!(usage.message(&chat("a~b"), &quotas, 0), None);
        usage.stored(100);
        assert_eq!(usage.message(&chat("a~b"), &quotas, 0), Some(Quota::StoredBytes));
        usage.stored(-1);
        assert_eq!(usage.message(&chat("a~b"), &quotas, 0), None);
    }
}
