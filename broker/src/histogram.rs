//! A histogram that costs two relaxed additions per value and takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of durations in nanoseconds: 100 µs, what the fastest disks take to sync, to 10 s,
/// where clients give up.
const DURATIONS_NS: &[u64] = &[
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Upper bounds of sizes, in pieces.
const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

/// How often values have come up, by size.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One per bound, and one for what is beyond the last.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Upper bounds, inclusive, with how many values are up to it and above the one before.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there are, those beyond the last bound among them.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Histogram {
    /// One of durations, in nanoseconds.
    #[must_use]
    pub fn durations() -> Self {
        Self::new(DURATIONS_NS)
    }

    /// One of sizes, in pieces.
    #[must_use]
    pub fn sizes() -> Self {
        Self::new(SIZES)
    }

    fn new(bounds: &'static [u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum: AtomicU64::new(0) }
    }

    /// Adds a value.
    pub fn record(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Adds a duration.
    pub fn record_duration(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What it holds. Values that are added meanwhile may be in the sum and not yet counted.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        HistogramSnapshot {
            count: counts.iter().sum(),
            buckets: self.bounds.iter().copied().zip(counts).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_inclusive_and_what_is_beyond_all_counts() {
        let sizes = Histogram::sizes();
        for value in [0, 1, 2, 3, 4096, 4097, 1_000_000] {
            sizes.record(value);
        }
        let HistogramSnapshot { buckets, count, sum } = sizes.snapshot();
        assert_eq!(buckets[..3], [(1, 2), (2, 1), (4, 1)]);
        assert_eq!(buckets.last(), Some(&(4096, 1)));
        assert_eq!((count, sum), (7, 1_008_199));
    }

    #[test]
    fn durations_are_in_nanoseconds() {
        let durations = Histogram::durations();
        durations.record_duration(Duration::from_micros(100));
        durations.record_duration(Duration::from_secs(3600));
        let snapshot = durations.snapshot();
        assert_eq!(snapshot.buckets[0], (100_000, 1));
        assert_eq!((snapshot.count, snapshot.sum), (2, 3_600_000_100_000));
    }
}
