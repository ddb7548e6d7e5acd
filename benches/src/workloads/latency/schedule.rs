//! When messages are due.

use std::time::Duration;

/// Moments since the start, rising; the same each time for the same rate.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    /// The mean of the times between them.
    mean_s: f64,
    end_s: f64,
    next_s: f64,
    state: u64,
}

impl Schedule {
    /// `rate` a second in the mean, for so long.
    pub(super) fn new(rate: u32, time: Duration) -> Self {
        let mean_s = 1.0 / f64::from(rate);
        Self { mean_s, end_s: time.as_secs_f64(), next_s: 0.0, state: 0x9E37_79B9_7F4A_7C15 }
    }

    /// Leaves out those before `time`.
    pub(super) fn skip_until(&mut self, time: Duration) {
        while self.next_s < time.as_secs_f64().min(self.end_s) {
            self.advance();
        }
    }

    fn advance(&mut self) {
        // Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (SplitMix64), 2014.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // Above 0 and below 1.
        let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        self.next_s -= self.mean_s * uniform.ln();
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.next_s >= self.end_s {
            return None;
        }
        let due = Duration::from_secs_f64(self.next_s);
        self.advance();
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_asked_for_rising_and_always_the_same() {
        let schedule = || Schedule::new(10_000, Duration::from_secs(2));
        let times: Vec<_> = schedule().collect();
        assert!((19_000..21_000).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted() && times.last().unwrap() < &Duration::from_secs(2));
        assert!(schedule().eq(times.iter().copied()));
        // Exponential: the share of gaps above the mean is 1/e.
        let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] > Duration::from_micros(100));
        let share = gaps.count() as f64 / times.len() as f64;
        assert!((0.34..0.40).contains(&share), "{share}");
        let mut skipped = schedule();
        skipped.skip_until(Duration::from_secs(1));
        let (next, half) = (skipped.next().unwrap(), Duration::from_secs(1));
        assert_eq!(Some(&next), times.iter().find(|&&time| time >= half));
        skipped.skip_until(Duration::from_secs(9));
        assert_eq!(skipped.next(), None);
    }
}
