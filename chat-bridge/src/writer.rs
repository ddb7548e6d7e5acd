//! Group commit: many decisions, one synced write, then the answers.
//!
//! Two threads run a relay. One decides whatever is submitted into a batch, as long as the other
//! is busy syncing the batch before; when the disk is free it commits what it has, and the other
//! decides the next. So a lone message is committed at once, by the thread that decided it and
//! without a timer, and under load a batch is what came in during one sync. Only what nobody waits
//! for lingers a moment for a message to ride along with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::bridge::partition_of;
use crate::engine::PartitionNo;
use crate::partition::{Decided, Partition, Replies};
use crate::store::{Store, StoreError};

/// How long to wait before a store that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How long what nobody waits for, such as the note that a device has acknowledged, may wait for
/// company. A sync of its own would be in the way of the next message, which is on its heels.
const LINGER: Duration = Duration::from_millis(1);

/// How many writers run the relay: one decides, one syncs.
const WRITERS: usize = 2;

/// Decides and commits for a set of partitions over one store: the steps, without threads.
pub struct Pipeline {
    partitions: Vec<Arc<Partition>>,
    store: Store,
    stats: WriterStats,
}

/// What the writer counts since the start.
#[derive(Debug, Default)]
pub struct WriterStats {
    /// Commits.
    pub commits: AtomicU64,
    /// Records written by them.
    pub writes: AtomicU64,
    /// Their bytes, keys and values.
    pub bytes: AtomicU64,
    /// Commits that failed.
    pub failures: AtomicU64,
    /// Nanoseconds spent in the store's commit.
    pub commit_ns: AtomicU64,
    /// Whether the store takes no writes at the moment.
    pub failing: AtomicBool,
}

/// A batch of all partitions on its way.
pub struct Batches(Vec<Decided>);

impl Batches {
    /// Whether somebody waits for it.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.0.iter().any(Decided::is_urgent)
    }
}

impl Pipeline {
    /// A pipeline for all partitions of a store.
    #[must_use]
    pub fn new(partitions: Vec<Arc<Partition>>, store: Store) -> Self {
        Self { partitions, store, stats: WriterStats::default() }
    }

    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> &WriterStats {
        &self.stats
    }

    /// An empty batch.
    #[must_use]
    pub fn begin(&self) -> Batches {
        Batches(self.partitions.iter().map(|_| Decided::default()).collect())
    }

    /// Decides all commands that wait; tells whether there is something to commit or to answer.
    pub fn decide(&self, batches: &mut Batches) -> bool {
        for (partition, decided) in self.partitions.iter().zip(&mut batches.0) {
            partition.decide(&self.store, decided);
        }
        batches.0.iter().any(|decided| !decided.is_empty())
    }

    /// Whether commands wait.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.partitions.iter().any(|partition| partition.has_work())
    }

    /// Ends the batch.
    pub fn close(&self, batches: &mut Batches) {
        for (partition, decided) in self.partitions.iter().zip(&mut batches.0) {
            if !decided.is_empty() {
                partition.close_batch(decided);
            }
        }
    }

    /// Writes the batch, synced.
    ///
    /// # Errors
    /// See [`Store::commit`].
    pub fn commit(&self, batches: &Batches) -> Result<(), StoreError> {
        let written = self.partitions.iter().zip(&batches.0);
        let written = written.filter(|(_, decided)| !decided.batch.writes.is_empty());
        let written: Vec<_> =
            written.map(|(partition, decided)| (partition.no(), &decided.batch)).collect();
        if written.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let result = self.store.commit(written);
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.stats.commit_ns.fetch_add(took, Ordering::Relaxed);
        match result {
            Ok(stats) => {
                self.stats.commits.fetch_add(1, Ordering::Relaxed);
                self.stats.writes.fetch_add(stats.writes as u64, Ordering::Relaxed);
                self.stats.bytes.fetch_add(stats.bytes as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.stats.failures.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// The batch is on stable storage: shows it. The answers are given by the caller, outside of
    /// whatever orders the commits.
    #[must_use]
    pub fn committed(&self, batches: Batches) -> Vec<Replies> {
        let decided = self.partitions.iter().zip(batches.0);
        let decided = decided.filter(|(_, decided)| !decided.is_empty());
        decided.map(|(partition, decided)| partition.handle_committed(decided)).collect()
    }

    /// The batch was not committed: tells all who wait.
    pub fn failed(&self, batches: Batches) {
        for (partition, decided) in self.partitions.iter().zip(batches.0) {
            partition.handle_failed(decided);
        }
    }

    /// Goes back to what the store has: after a failure, and again when it works.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn reset(&self) -> Result<(), StoreError> {
        for partition in &self.partitions {
            partition.reset(self.store.counters(partition.no())?);
        }
        Ok(())
    }

    /// While the store takes no writes: answers what needs none, refuses the rest.
    pub fn decide_without_store(&self) {
        for partition in &self.partitions {
            match self.store.counters(partition.no()) {
                Ok(counters) => partition.decide_without_store(&self.store, counters),
                Err(_) => partition.refuse_all(),
            }
        }
    }

    /// Tries to get the store to work again.
    ///
    /// # Errors
    /// It does not yet.
    pub fn recover(&self) -> Result<(), StoreError> {
        self.store.recover()?;
        self.reset()
    }

    /// All partitions, by number.
    #[must_use]
    pub fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    /// The partition that a name belongs to.
    ///
    /// # Panics
    /// If the pipeline was made without partitions.
    #[must_use]
    pub fn partition_of(&self, name: &str) -> &Arc<Partition> {
        &self.partitions[usize::from(partition_of(name, self.partitions.len()).0)]
    }

    /// The partition with this number.
    #[must_use]
    pub fn partition(&self, no: PartitionNo) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::from(no.0))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// Wakes the writers.
#[derive(Default)]
pub struct WriterSignal {
    state: Mutex<State>,
    changed: Condvar,
    /// Set while nobody has to be woken for a new command.
    work: AtomicBool,
}

#[derive(Default)]
struct State {
    committing: bool,
    failed: bool,
    stopping: bool,
}

impl WriterSignal {
    /// A command was submitted.
    pub fn submitted(&self) {
        if !self.work.swap(true, Ordering::AcqRel) {
            // Under the lock, so that a writer that is about to wait has either seen it or waits.
            let _state = self.state.lock();
            self.changed.notify_one();
        }
    }
}

/// The writer threads.
pub struct Writer {
    pipeline: Arc<Pipeline>,
    signal: Arc<WriterSignal>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    /// Starts the writers.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(pipeline: Arc<Pipeline>, signal: Arc<WriterSignal>) -> std::io::Result<Self> {
        let decide = Arc::new(Mutex::new(()));
        let threads = (0..WRITERS)
            .map(|at| {
                let relay = Relay {
                    pipeline: pipeline.clone(),
                    signal: signal.clone(),
                    decide: decide.clone(),
                };
                std::thread::Builder::new().name(format!("writer-{at}")).spawn(move || relay.run())
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { pipeline, signal, threads })
    }

    /// What the writers count.
    #[must_use]
    pub fn stats(&self) -> &WriterStats {
        self.pipeline.stats()
    }

    /// Commits what is submitted, then ends. Blocks until it has.
    pub fn stop(self) {
        {
            let mut state = self.signal.state.lock();
            state.stopping = true;
            self.signal.changed.notify_all();
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a writer has panicked");
            }
        }
    }
}

struct Relay {
    pipeline: Arc<Pipeline>,
    signal: Arc<WriterSignal>,
    /// Who holds it decides.
    decide: Arc<Mutex<()>>,
}

impl Relay {
    fn run(&self) {
        loop {
            let turn = self.decide.lock();
            let Some(batches) = self.gather() else { return };
            // The other one may decide the next batch while this one syncs.
            drop(turn);
            self.commit(batches);
        }
    }

    /// Decides until the disk is free; gives the closed batch, or `None` to end.
    fn gather(&self) -> Option<Batches> {
        let mut batches = self.pipeline.begin();
        let mut lingering: Option<Instant> = None;
        loop {
            self.signal.work.store(false, Ordering::Release);
            let some = self.pipeline.decide(&mut batches);
            let mut state = self.signal.state.lock();
            if state.failed && !state.committing {
                drop(state);
                self.pipeline.failed(batches);
                if self.outlast_failure() {
                    batches = self.pipeline.begin();
                    lingering = None;
                    continue;
                }
                return None;
            }
            let lingered = lingering.get_or_insert_with(Instant::now).elapsed();
            let due = batches.is_urgent() || lingered >= LINGER || state.stopping;
            if !some {
                lingering = None;
            }
            if some && due && !state.committing {
                state.committing = true;
                drop(state);
                self.pipeline.close(&mut batches);
                return Some(batches);
            }
            if state.stopping && !some && !state.committing && !self.pipeline.has_work() {
                return None;
            }
            if self.signal.work.load(Ordering::Acquire) {
                continue;
            }
            if some && !due && !state.committing {
                self.signal.changed.wait_for(&mut state, LINGER.saturating_sub(lingered));
            } else {
                self.signal.changed.wait(&mut state);
            }
        }
    }

    fn commit(&self, batches: Batches) {
        match self.pipeline.commit(&batches) {
            Ok(()) => {
                let replies = self.pipeline.committed(batches);
                self.disk_is_free(false);
                for replies in replies {
                    replies.tell();
                }
            }
            Err(error) => {
                tracing::error!(%error, "the store takes no writes; clients are sent away until it does");
                self.pipeline.stats().failing.store(true, Ordering::Release);
                self.pipeline.failed(batches);
                self.disk_is_free(true);
            }
        }
    }

    fn disk_is_free(&self, failed: bool) {
        let mut state = self.signal.state.lock();
        state.committing = false;
        state.failed |= failed;
        self.signal.changed.notify_all();
    }

    /// Refuses what needs the store until it works again. Holds the turn to decide: what the
    /// other writer could decide would stand on what was not stored. `false`: to end.
    fn outlast_failure(&self) -> bool {
        if let Err(error) = self.pipeline.reset() {
            tracing::error!(%error, "the store cannot be read either");
        }
        let mut tried = Instant::now();
        loop {
            self.signal.work.store(false, Ordering::Release);
            self.pipeline.decide_without_store();
            if tried.elapsed() >= RETRY {
                tried = Instant::now();
                match self.pipeline.recover() {
                    Ok(()) => {
                        tracing::info!("the store takes writes again");
                        self.pipeline.stats().failing.store(false, Ordering::Release);
                        self.signal.state.lock().failed = false;
                        return true;
                    }
                    Err(error) => tracing::debug!(%error, "the store does not work yet"),
                }
            }
            let mut state = self.signal.state.lock();
            if state.stopping {
                return false;
            }
            if !self.signal.work.load(Ordering::Acquire) {
                let rest = RETRY.saturating_sub(tried.elapsed());
                self.signal.changed.wait_for(&mut state, rest);
            }
        }
    }
}
