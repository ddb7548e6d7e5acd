//! When to try again.

use std::time::{Duration, Instant, SystemTime};

/// A connection that stood for this long was a good one: the next loss begins anew.
const GOOD: Duration = Duration::from_secs(5);

/// How much further the wall clock may have come than the monotonic one before we take it that the machine
/// slept, and the connection with it.
const JUMP: Duration = Duration::from_secs(20);

/// Doubling waits, each by chance between half and the whole of it, so that a thousand devices that lost
/// their server do not come back in the same moment.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    tries: u32,
    since: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, tries: 0, since: None }
    }

    /// A connection stands.
    pub(super) fn succeed(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// It is lost, or was not to be had: how long to wait. `chance` is between 0 and 1.
    pub(super) fn fail(&mut self, now: Instant, chance: f64) -> Duration {
        if self.since.take().is_some_and(|since| now.saturating_duration_since(since) >= GOOD) {
            self.tries = 0;
        }
        let factor = 1_u32 << self.tries.min(16);
        self.tries += 1;
        let whole = self.min.saturating_mul(factor).min(self.max);
        whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// Somebody asks for it, or has reason to think that it will do now.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
        self.since = None;
    }
}

/// Notices that the machine has slept, or that its clock was put forward.
#[derive(Debug)]
pub(super) struct Clocks {
    wall: SystemTime,
    monotonic: Instant,
}

impl Clocks {
    pub(super) fn new(wall: SystemTime, monotonic: Instant) -> Self {
        Self { wall, monotonic }
    }

    /// Whether the wall clock has jumped ahead since it was last asked. Back is no sign of anything: waits
    /// are by the monotonic clock.
    pub(super) fn jumped(&mut self, wall: SystemTime, monotonic: Instant) -> bool {
        let walled = wall.duration_since(self.wall).unwrap_or_default();
        let passed = monotonic.saturating_duration_since(self.monotonic);
        *self = Self::new(wall, monotonic);
        walled > passed + JUMP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn doubles_up_to_a_bound_and_is_spread() {
        let (mut backoff, now) = (Backoff::new(MIN, MAX), Instant::now());
        let waits: Vec<_> = (0..40).map(|_| backoff.fail(now, 1.0)).collect();
        assert_eq!(waits[..3], [MIN, 2 * MIN, 4 * MIN]);
        assert_eq!(waits[39], MAX);
        assert_eq!(backoff.fail(now, 0.0), MAX / 2);
        backoff.reset();
        assert_eq!(backoff.fail(now, 0.0), MIN / 2);
    }

    #[test]
    fn only_a_connection_that_stood_begins_anew() {
        let (mut backoff, start) = (Backoff::new(MIN, MAX), Instant::now());
        backoff.fail(start, 1.0);
        backoff.succeed(start);
        assert_eq!(backoff.fail(start + GOOD / 2, 1.0), 2 * MIN);
        backoff.succeed(start + GOOD);
        assert_eq!(backoff.fail(start + 2 * GOOD, 1.0), MIN);
    }

    #[test]
    fn a_sleep_is_noticed_and_a_clock_put_back_is_not() {
        let (wall, monotonic) = (SystemTime::now(), Instant::now());
        let (mut clocks, second) = (Clocks::new(wall, monotonic), Duration::from_secs(1));
        assert!(!clocks.jumped(wall + second, monotonic + second));
        assert!(clocks.jumped(wall + 3600 * second, monotonic + 2 * second));
        assert!(!clocks.jumped(wall, monotonic + 3 * second));
        assert!(!clocks.jumped(wall + second, monotonic + 4 * second));
    }
}
