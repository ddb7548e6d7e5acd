//! Reads from the store, away from the threads that serve connections: the disk may block.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::delivery::ReadJob;
use crate::engine::PartitionNo;
use crate::partition::Worker;
use crate::writer::{Pipeline, WriterSignal};

/// How many threads read.
const READERS: usize = 2;

/// Something to be done where blocking is allowed.
pub type Job = Box<dyn FnOnce() + Send>;

/// Takes what may block.
pub trait Reads: Send + Sync + 'static {
    /// Does the job soon, elsewhere.
    fn run(&self, job: Job);
}

/// The queue of jobs. It is bounded by those who ask: a connection waits for the answers of its
/// window of publishes, and a device has one read under way per chat it is behind in.
#[derive(Default)]
struct Queue {
    jobs: Mutex<(VecDeque<Task>, bool)>,
    changed: Condvar,
}

enum Task {
    Job(Job),
    Read(PartitionNo, ReadJob),
}

/// Threads that read from the store. Also what wakes a partition's workers.
pub struct ReadPool {
    queue: Arc<Queue>,
    writer: Arc<WriterSignal>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ReadPool {
    /// A pool without threads yet: partitions need it before there is a pipeline to read with.
    #[must_use]
    pub fn new(writer: Arc<WriterSignal>) -> Arc<Self> {
        Arc::new(Self { queue: Arc::default(), writer, threads: Mutex::default() })
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(&self, pipeline: &Arc<Pipeline>) -> std::io::Result<()> {
        for at in 0..READERS {
            let (queue, pipeline) = (self.queue.clone(), pipeline.clone());
            let thread = std::thread::Builder::new().name(format!("reader-{at}"));
            self.threads.lock().push(thread.spawn(move || {
                while let Some(task) = queue.next() {
                    task.run(&pipeline);
                }
            })?);
        }
        Ok(())
    }

    /// How many jobs wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.jobs.lock().0.len()
    }

    /// Ends the threads once the jobs at hand are done.
    pub fn stop(&self) {
        self.queue.jobs.lock().1 = true;
        self.queue.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader has panicked");
            }
        }
    }
}

impl Reads for ReadPool {
    fn run(&self, job: Job) {
        self.queue.push(Task::Job(job));
    }
}

impl Worker for ReadPool {
    fn submitted(&self, urgent: bool) {
        self.writer.submitted(urgent);
    }

    fn read(&self, partition: PartitionNo, job: ReadJob) {
        self.queue.push(Task::Read(partition, job));
    }
}

impl Queue {
    fn push(&self, task: Task) {
        self.jobs.lock().0.push_back(task);
        self.changed.notify_one();
    }

    fn next(&self) -> Option<Task> {
        let mut jobs = self.jobs.lock();
        loop {
            match jobs.0.pop_front() {
                Some(task) => return Some(task),
                None if jobs.1 => return None,
                None => self.changed.wait(&mut jobs),
            }
        }
    }

    fn try_next(&self) -> Option<Task> {
        self.jobs.lock().0.pop_front()
    }
}

impl Task {
    fn run(self, pipeline: &Pipeline) {
        match self {
            Self::Job(job) => job(),
            Self::Read(no, job) => {
                let Some(partition) = pipeline.partition(no) else { return };
                if let Err(error) = partition.run_read(&job, pipeline.store()) {
                    tracing::error!(%error, "the store cannot be read");
                }
            }
        }
    }
}

/// Keeps the jobs until they are asked for, one by one: for a simulation, which has no threads.
#[derive(Default)]
pub struct InlineReads {
    queue: Queue,
}

impl InlineReads {
    /// Does the oldest job; `false`: there was none.
    pub fn step(&self, pipeline: &Pipeline) -> bool {
        match self.queue.try_next() {
            Some(task) => {
                task.run(pipeline);
                true
            }
            None => false,
        }
    }
}

impl Reads for InlineReads {
    fn run(&self, job: Job) {
        self.queue.push(Task::Job(job));
    }
}

impl Worker for InlineReads {
    fn submitted(&self, _urgent: bool) {}

    fn read(&self, partition: PartitionNo, job: ReadJob) {
        self.queue.push(Task::Read(partition, job));
    }
}
