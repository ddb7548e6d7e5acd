//! What something has cost.

use std::fmt;
use std::ops::{AddAssign, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a run, or what they may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Of this process's own code: what RocksDB allocates for itself is not seen.
    pub(crate) allocations: u64,
    /// Keys that were looked up in RocksDB.
    pub(crate) gets: u64,
    /// Iterators over RocksDB.
    pub(crate) scans: u64,
    /// Synced writes to RocksDB.
    pub(crate) commits: u64,
    /// Records put and removed by them.
    pub(crate) records: u64,
    /// Reads of a socket that gave something.
    pub(crate) reads: u64,
    /// Writes to a socket.
    pub(crate) writes: u64,
}

impl Cost {
    /// Each count with its name, and the other's.
    pub(crate) fn beside(&self, other: &Self) -> [(&'static str, u64, u64); 7] {
        [
            ("allocations", self.allocations, other.allocations),
            ("gets", self.gets, other.gets),
            ("scans", self.scans, other.scans),
            ("commits", self.commits, other.commits),
            ("records", self.records, other.records),
            ("reads", self.reads, other.reads),
            ("writes", self.writes, other.writes),
        ]
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.allocations += other.allocations;
        self.gets += other.gets;
        self.scans += other.scans;
        self.commits += other.commits;
        self.records += other.records;
        self.reads += other.reads;
        self.writes += other.writes;
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            allocations: self.allocations - earlier.allocations,
            gets: self.gets - earlier.gets,
            scans: self.scans - earlier.scans,
            commits: self.commits - earlier.commits,
            records: self.records - earlier.records,
            reads: self.reads - earlier.reads,
            writes: self.writes - earlier.writes,
        }
    }
}

/// As a row.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count, _) in self.beside(self) {
            write!(f, "  {count} {name}")?;
        }
        Ok(())
    }
}

/// The counters of a server: all but the allocations, which are counted by thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) gets: AtomicU64,
    pub(crate) scans: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    fn now(&self) -> Cost {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Cost {
            allocations: 0,
            gets: read(&self.gets),
            scans: read(&self.scans),
            commits: read(&self.commits),
            records: read(&self.records),
            reads: read(&self.reads),
            writes: read(&self.writes),
        }
    }

    /// What `run` costs on this thread.
    pub(crate) fn cost_of(self: &Arc<Self>, run: impl FnOnce()) -> Cost {
        let before = self.now();
        let allocations = allocation_counter::measure(run).count_total;
        Cost { allocations, ..self.now() - before }
    }
}
