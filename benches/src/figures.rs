//! What one run measured: figures by name, in the order in which they are printed.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::measure::stats::Latency;

/// The figures of one run. A name ends in its unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figures(IndexMap<String, f64>);

impl Figures {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more; a name that is there already gets the new value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.0.insert(name.into(), value);
        self
    }

    /// With the percentiles of some times, each name beginning with `what`.
    ///
    /// # Errors
    /// [`Error::Wrong`] if there are none: a workload that measured nothing has failed.
    pub fn with_latency(
        self,
        what: &str,
        times: impl IntoIterator<Item = std::time::Duration>,
    ) -> Result<Self, Error> {
        let latency = Latency::of(times)
            .ok_or_else(|| Error::Wrong(format!("{what}: nothing was measured")))?;
        Ok(self
            .with(format!("{what} p50 us"), latency.p50_us)
            .with(format!("{what} p99 us"), latency.p99_us)
            .with(format!("{what} max us"), latency.max_us)
            .with(format!("{what} count"), latency.count as f64))
    }

    /// As [`Figures::with_latency`], with all percentiles that are known.
    ///
    /// # Errors
    /// As [`Figures::with_latency`].
    pub fn with_percentiles(
        self,
        what: &str,
        times: impl IntoIterator<Item = std::time::Duration>,
    ) -> Result<Self, Error> {
        let latency = Latency::of(times)
            .ok_or_else(|| Error::Wrong(format!("{what}: nothing was measured")))?;
        Ok(self
            .with(format!("{what} p50 us"), latency.p50_us)
            .with(format!("{what} p90 us"), latency.p90_us)
            .with(format!("{what} p99 us"), latency.p99_us)
            .with(format!("{what} p99.9 us"), latency.p999_us)
            .with(format!("{what} max us"), latency.max_us))
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
