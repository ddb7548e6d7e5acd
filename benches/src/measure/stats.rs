//! Medians and percentiles.

use std::time::Duration;

use serde::Serialize;

/// The middle and the ends of a few runs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of some values; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get((values.len() - 1) / 2)?;
        Some(Spread { median: (lower + upper) / 2.0, min, max })
    }
}

/// A distribution of times, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: usize,
    /// The median.
    pub p50_us: f64,
    /// Nine of ten are no longer.
    pub p90_us: f64,
    /// 99 of 100 are no longer.
    pub p99_us: f64,
    /// 999 of 1,000 are no longer.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Latency {
    /// Of some times (nearest rank); `None` of none.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Option<Latency> {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort();
        let count = times.len();
        let rank = |permille: usize| {
            let at = (count * permille).div_ceil(1000).max(1) - 1;
            times.get(at).map(|time| time.as_secs_f64() * 1e6)
        };
        Some(Latency {
            count,
            p50_us: rank(500)?,
            p90_us: rank(900)?,
            p99_us: rank(990)?,
            p999_us: rank(999)?,
            max_us: rank(1000)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_none() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).unwrap().median, 2.0);
        let even = Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((even.median, even.min, even.max), (2.5, 1.0, 4.0));
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let latency = Latency::of((1..=200).rev().map(Duration::from_micros)).unwrap();
        let got = [latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us];
        for (got, expected) in got.into_iter().zip([100.0, 180.0, 198.0, 200.0, 200.0]) {
            assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
        }
        assert!(Latency::of([]).is_none());
    }
}
