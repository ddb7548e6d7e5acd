//! Group commit: many decisions, one synced write, then the answers.
//!
//! Two threads run a relay. One decides whatever is submitted into a batch, as long as the other
//! is busy syncing the batch before; when the disk is free it commits what it has, and the other
//! decides the next. So a lone message is committed at once, by the thread that decided it and
//! without a timer, and under load a batch is what came in during one sync. Only what nobody waits
//! for lingers a moment for a message to ride along with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bluetick_broker::Histogram;
use parking_lot::{Condvar, Mutex};

use crate::bridge::partition_of;
use crate::engine::{Batch, Effect, PartitionNo, Write};
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

/// What the writer counts since the start, of commits that succeeded unless it says otherwise.
#[derive(Debug)]
pub struct WriterStats {
    /// How long the store took for each commit, its sync included; those that failed too.
    pub commits: Histogram,
    /// How many records each wrote.
    pub records: Histogram,
    /// Their bytes, keys and values.
    pub bytes: AtomicU64,
    /// Commits that failed.
    pub failures: AtomicU64,
    /// Messages stored.
    pub messages: AtomicU64,
    /// Edits, deletions and reactions stored.
    pub amendments: AtomicU64,
    /// Events of groups stored.
    pub events: AtomicU64,
    /// Watermarks of members that have risen: what they have, or what they have read.
    pub receipts: AtomicU64,
    /// Whether the store takes no writes at the moment.
    pub failing: AtomicBool,
}

impl Default for WriterStats {
    fn default() -> Self {
        Self {
            commits: Histogram::durations(),
            records: Histogram::sizes(),
            bytes: AtomicU64::default(),
            failures: AtomicU64::default(),
            messages: AtomicU64::default(),
            amendments: AtomicU64::default(),
            events: AtomicU64::default(),
            receipts: AtomicU64::default(),
            failing: AtomicBool::default(),
        }
    }
}

impl WriterStats {
    /// Counts what is stored.
    fn count(&self, batch: &Batch) {
        let (mut messages, mut amendments, mut events) = (0, 0, 0);
        for write in &batch.writes {
            if let Write::Entry { entry, .. } = write {
                match (&entry.event, &entry.amends) {
                    (Some(_), _) => events += 1,
                    (None, Some(_)) => amendments += 1,
                    (None, None) => messages += 1,
                }
            }
        }
        let marks = batch.effects.iter().filter(|effect| matches!(effect, Effect::Marks { .. }));
        for (counter, n) in [
            (&self.messages, messages),
            (&self.amendments, amendments),
            (&self.events, events),
            (&self.receipts, marks.count() as u64),
        ] {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        }
    }
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
        self.decide_in(batches, |_| true)
    }

    /// The same in these partitions only, as if nothing had come in the others before this writer
    /// had passed them.
    pub fn decide_in(
        &self,
        batches: &mut Batches,
        mut chosen: impl FnMut(PartitionNo) -> bool,
    ) -> bool {
        for (partition, decided) in self.partitions.iter().zip(&mut batches.0) {
            if chosen(partition.no()) {
                partition.decide(&self.store, decided);
            }
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
        let result = self.store.commit(written.iter().copied());
        self.stats.commits.record_duration(started.elapsed());
        match result {
            Ok(stats) => {
                for (_, batch) in written {
                    self.stats.count(batch);
                }
                self.stats.records.record(stats.writes as u64);
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
    /// For the writer that decides: there is work, or the disk is free.
    work: Condvar,
    /// For the writer that has nothing to do: there is work and nobody decides.
    turn: Condvar,
    /// What was submitted since the writer that decides last looked: `URGENT`, `LAZY`. While it is
    /// set, nobody has to be woken again.
    pending: AtomicU8,
}

/// Somebody waits for a command.
const URGENT: u8 = 1;
/// Nobody does.
const LAZY: u8 = 2;

#[derive(Default)]
struct State {
    /// A writer decides, or waits for something to decide.
    deciding: bool,
    /// It has decided something and waits for the disk.
    decided: bool,
    /// It will look again by itself within [`LINGER`].
    watching: bool,
    /// A writer commits.
    committing: bool,
    failed: bool,
    stopping: bool,
    ended: bool,
}

impl WriterSignal {
    /// A command was submitted; `urgent`: somebody waits for its outcome.
    pub fn submitted(&self, urgent: bool) {
        let bit = if urgent { URGENT } else { LAZY };
        if self.pending.fetch_or(bit, Ordering::AcqRel) & (bit | URGENT) != 0 {
            return;
        }
        // Under the lock, so that a writer that is about to wait has either seen it or waits.
        let state = self.state.lock();
        if !urgent && (state.watching || state.committing) {
            // Who watches, or has committed, looks.
            return;
        }
        if state.deciding {
            self.work.notify_one();
        } else {
            self.turn.notify_one();
        }
    }

    fn look(&self) {
        self.pending.store(0, Ordering::Release);
    }

    fn pending(&self) -> u8 {
        self.pending.load(Ordering::Acquire)
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
        let threads = (0..WRITERS)
            .map(|at| {
                let relay = Relay { pipeline: pipeline.clone(), signal: signal.clone() };
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
        self.signal.state.lock().stopping = true;
        self.signal.work.notify_all();
        self.signal.turn.notify_all();
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
}

impl Relay {
    fn run(&self) {
        let mut has_turn = false;
        while has_turn || self.wait_for_turn() {
            let Some(batches) = self.gather() else { return };
            // The other one may decide the next batch while this one syncs.
            has_turn = self.commit(batches);
        }
    }

    /// Waits until nobody decides; `false`: to end.
    fn wait_for_turn(&self) -> bool {
        let mut state = self.signal.state.lock();
        while state.deciding && !state.ended {
            self.signal.turn.wait(&mut state);
        }
        state.deciding = true;
        !state.ended
    }

    /// Decides until the disk is free; gives the closed batch and the turn away, or gives `None`
    /// to end.
    fn gather(&self) -> Option<Batches> {
        let signal = &*self.signal;
        let mut batches = self.pipeline.begin();
        let mut lingering: Option<Instant> = None;
        let mut timed_out = false;
        loop {
            signal.look();
            let some = self.pipeline.decide(&mut batches);
            let mut state = signal.state.lock();
            if state.failed && !state.committing {
                drop(state);
                self.pipeline.failed(batches);
                if self.outlast_failure() {
                    batches = self.pipeline.begin();
                    lingering = None;
                    continue;
                }
                return self.end();
            }
            let lingered = lingering.get_or_insert_with(Instant::now).elapsed();
            let due = batches.is_urgent() || lingered >= LINGER || state.stopping;
            if !some {
                lingering = None;
            }
            if some && due && !state.committing {
                state.committing = true;
                state.deciding = false;
                if signal.pending() & URGENT != 0 {
                    signal.turn.notify_one();
                }
                drop(state);
                self.pipeline.close(&mut batches);
                return Some(batches);
            }
            if state.stopping && !some && !state.committing && !self.pipeline.has_work() {
                drop(state);
                return self.end();
            }
            if signal.pending() != 0 {
                continue;
            }
            state.decided = some && due;
            // What nobody waits for mostly follows a message that somebody waited for: watching a
            // moment for it saves waking up for it.
            state.watching = !state.decided && (some || !timed_out);
            if state.watching {
                let rest = LINGER.saturating_sub(if some { lingered } else { Duration::ZERO });
                timed_out = signal.work.wait_for(&mut state, rest).timed_out();
            } else {
                signal.work.wait(&mut state);
                timed_out = false;
            }
            state.watching = false;
            state.decided = false;
        }
    }

    fn end(&self) -> Option<Batches> {
        let mut state = self.signal.state.lock();
        state.ended = true;
        self.signal.turn.notify_all();
        None
    }

    /// Commits; tells whether the turn to decide is this writer's now.
    fn commit(&self, batches: Batches) -> bool {
        match self.pipeline.commit(&batches) {
            Ok(()) => {
                let replies = self.pipeline.committed(batches);
                let has_turn = self.disk_is_free(false);
                for replies in replies {
                    replies.tell();
                }
                has_turn
            }
            Err(error) => {
                tracing::error!(%error, "the store takes no writes; clients are sent away until it does");
                self.pipeline.stats().failing.store(true, Ordering::Release);
                self.pipeline.failed(batches);
                self.disk_is_free(true)
            }
        }
    }

    /// The disk is for who has decided meanwhile, and if nobody decides, it is this writer's turn
    /// again: a lone message needs no other.
    fn disk_is_free(&self, failed: bool) -> bool {
        let mut state = self.signal.state.lock();
        state.committing = false;
        state.failed |= failed;
        if !state.deciding {
            state.deciding = true;
            return true;
        }
        if state.decided || state.failed || state.stopping || self.signal.pending() != 0 {
            self.signal.work.notify_one();
        }
        false
    }

    /// Refuses what needs the store until it works again. Holds the turn to decide: what the
    /// other writer could decide would stand on what was not stored. `false`: to end.
    fn outlast_failure(&self) -> bool {
        if let Err(error) = self.pipeline.reset() {
            tracing::error!(%error, "the store cannot be read either");
        }
        let mut tried = Instant::now();
        loop {
            self.signal.look();
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
            if self.signal.pending() == 0 {
                let rest = RETRY.saturating_sub(tried.elapsed());
                self.signal.work.wait_for(&mut state, rest);
            }
        }
    }
}
