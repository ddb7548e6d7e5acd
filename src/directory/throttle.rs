//! How long who tries a password has to wait for his turn.
//!
//! The turns of one user at one address are spaced, the wider the more of his tries were wrong, so
//! that guessing is slow and nobody else waits for it. A try that is not decided yet counts as
//! wrong: many at once gain nothing. Time comes in as an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use bluetick_protocol::UserId;

/// Tries in a row that cost no wait: people mistype, and their devices come at the same time.
const FREE: u32 = 4;

/// The space after the first try beyond [`FREE`]; each further one doubles it, up to [`SPACE_MAX`].
const SPACE: Duration = Duration::from_millis(250);

/// 15 guesses a minute, and well below the 10 s in which a client has to be let in: whoever shares
/// a guesser's address and name still gets his turn.
const SPACE_MAX: Duration = Duration::from_secs(4);

/// After this long without a wrong try, all is forgotten.
const FORGET: Duration = Duration::from_secs(300);

/// Pairs that are remembered. Beyond, one without a try under way is forgotten; a guesser who
/// wants that for his pair has to spend ten thousand tries on others.
const PAIRS_MAX: usize = 10_000;

/// Tries of one network that wait or are checked. One more is refused as "busy": without it, one
/// network's tries would stand before everybody's in the queue for the two checks.
const WAITING_PER_NETWORK_MAX: u32 = 64;

/// The same for all networks: bounds the memory, a packet each.
const WAITING_MAX: u32 = 1024;

/// Where somebody comes from: an IPv4 address, or the /64 that one subscriber has of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let mask = u128::MAX << 64;
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        })
    }
}

/// Who tries: a user's name, `None` for all that are not one, and from where.
pub(super) type Pair = (Option<UserId>, Network);

/// The tries of all.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    pairs: HashMap<Pair, Tries>,
    waiting: HashMap<Network, u32>,
    waiting_all: u32,
}

#[derive(Debug)]
struct Tries {
    wrong: u32,
    undecided: u32,
    next_turn: Instant,
    last: Instant,
}

/// Too many wait already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy;

impl Throttle {
    /// Takes the pair's next turn, and says how far off it is: at most [`SPACE_MAX`]. To be
    /// followed by [`Throttle::decided`].
    ///
    /// # Errors
    /// [`Busy`], and nothing is to follow.
    pub(super) fn begin(&mut self, pair: &Pair, now: Instant) -> Result<Duration, Busy> {
        let waiting = self.waiting.get(&pair.1).copied().unwrap_or_default();
        if waiting >= WAITING_PER_NETWORK_MAX || self.waiting_all >= WAITING_MAX {
            return Err(Busy);
        }
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(pair) {
            self.make_room(now);
        }
        let tries = self.pairs.entry(pair.clone()).or_insert_with(|| Tries::new(now));
        if tries.is_stale(now) {
            *tries = Tries::new(now);
        }
        let turn = tries.next_turn.max(now);
        if turn - now > SPACE_MAX {
            return Err(Busy);
        }
        tries.undecided += 1;
        tries.next_turn = turn + space(tries.wrong + tries.undecided);
        *self.waiting.entry(pair.1).or_default() += 1;
        self.waiting_all += 1;
        Ok(turn - now)
    }

    /// The try was right or wrong, or the password was not looked at (`None`).
    pub(super) fn decided(&mut self, pair: &Pair, right: Option<bool>, now: Instant) {
        self.waiting_all = self.waiting_all.saturating_sub(1);
        if let Some(waiting) = self.waiting.get_mut(&pair.1) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                self.waiting.remove(&pair.1);
            }
        }
        let Some(tries) = self.pairs.get_mut(pair) else { return };
        tries.undecided = tries.undecided.saturating_sub(1);
        match right {
            Some(true) => {
                tries.wrong = 0;
                tries.next_turn = now;
            }
            Some(false) => {
                tries.wrong = tries.wrong.saturating_add(1);
                tries.last = now;
            }
            None => {}
        }
        if tries.wrong == 0 && tries.undecided == 0 {
            self.pairs.remove(pair);
        }
    }

    /// Forgets what is stale, or else any pair without a try under way.
    fn make_room(&mut self, now: Instant) {
        self.pairs.retain(|_, tries| !tries.is_stale(now));
        if self.pairs.len() >= PAIRS_MAX {
            let idle = self.pairs.iter().find(|(_, tries)| tries.undecided == 0);
            if let Some(pair) = idle.map(|(pair, _)| pair.clone()) {
                self.pairs.remove(&pair);
            }
        }
    }
}

impl Tries {
    fn new(now: Instant) -> Self {
        Self { wrong: 0, undecided: 0, next_turn: now, last: now }
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.undecided == 0 && now.saturating_duration_since(self.last) > FORGET
    }
}

/// The space after so many tries without a right one.
fn space(tries: u32) -> Duration {
    match tries.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(beyond) => SPACE.saturating_mul(1 << beyond.min(10)).min(SPACE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(user: &str, address: &str) -> Pair {
        (UserId::try_from(user).ok(), Network::from(address.parse::<IpAddr>().expect("an address")))
    }

    fn wrong(throttle: &mut Throttle, pair: &Pair, now: Instant) -> Result<Duration, Busy> {
        let wait = throttle.begin(pair, now)?;
        throttle.decided(pair, Some(false), now + wait);
        Ok(wait)
    }

    #[test]
    fn wrong_tries_are_spaced_ever_wider() {
        let (mut throttle, alice) = (Throttle::default(), pair("alice", "192.0.2.1"));
        let mut now = Instant::now();
        let mut waits_ms = Vec::new();
        for _ in 0..11 {
            let wait = wrong(&mut throttle, &alice, now).expect("a turn");
            waits_ms.push(wait.as_millis());
            now += wait;
        }
        assert_eq!(waits_ms, [0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
        let later = now + FORGET + Duration::from_secs(5);
        assert_eq!(wrong(&mut throttle, &alice, later), Ok(Duration::ZERO), "forgotten");
    }

    #[test]
    fn tries_at_the_same_time_gain_nothing() {
        let (mut throttle, alice) = (Throttle::default(), pair("alice", "192.0.2.1"));
        let now = Instant::now();
        let waits: Vec<_> = (0..50).map_while(|_| throttle.begin(&alice, now).ok()).collect();
        let waits_ms: Vec<_> = waits.iter().map(Duration::as_millis).collect();
        assert_eq!(waits_ms, [0, 0, 0, 0, 250, 750, 1750, 3750]);
        assert_eq!(throttle.begin(&alice, now), Err(Busy));
    }

    #[test]
    fn others_do_not_wait() {
        let (mut throttle, alice) = (Throttle::default(), pair("alice", "192.0.2.1"));
        let now = Instant::now();
        while throttle.begin(&alice, now).is_ok() {}
        for other in [pair("alice", "192.0.2.2"), pair("bob", "192.0.2.1"), pair("?", "192.0.2.1")]
        {
            assert_eq!(throttle.begin(&other, now), Ok(Duration::ZERO));
        }
    }

    #[test]
    fn the_right_one_clears_the_slate() {
        let (mut throttle, alice) = (Throttle::default(), pair("alice", "192.0.2.1"));
        let now = Instant::now();
        for _ in 0..6 {
            wrong(&mut throttle, &alice, now).expect("a turn");
        }
        let wait = throttle.begin(&alice, now).expect("a turn");
        throttle.decided(&alice, Some(true), now + wait);
        assert_eq!(throttle.begin(&alice, now + wait), Ok(Duration::ZERO));
    }

    #[test]
    fn one_network_cannot_fill_the_queue() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let user = |n: u32| pair(&format!("u{n}"), "2001:db8::1");
        for n in 0..WAITING_PER_NETWORK_MAX {
            throttle.begin(&user(n), now).expect("a turn");
        }
        assert_eq!(throttle.begin(&pair("alice", "2001:db8::2"), now), Err(Busy), "the same /64");
        assert!(throttle.begin(&pair("alice", "2001:db8:0:1::1"), now).is_ok());
        throttle.decided(&user(0), None, now);
        assert!(throttle.begin(&pair("alice", "2001:db8::2"), now).is_ok());
    }

    #[test]
    fn all_that_grows_is_bounded() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..PAIRS_MAX + 10 {
            wrong(&mut throttle, &pair(&format!("u{n}"), "192.0.2.1"), now).expect("a turn");
        }
        assert_eq!(throttle.pairs.len(), PAIRS_MAX);
        assert!(throttle.waiting.is_empty() && throttle.waiting_all == 0);
        let mapped = pair("alice", "::ffff:192.0.2.1");
        assert_eq!(mapped, pair("alice", "192.0.2.1"));
    }
}
