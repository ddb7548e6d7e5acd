//! What was handed over and is not answered yet: in memory, and beside on disk.

mod disk;
mod entry;
mod queue;

pub(crate) use entry::{Entry, Head, Verb};
pub(crate) use queue::{Limits, Settled};

use std::path::PathBuf;
use std::sync::Arc;

use bluetick_protocol::{ChatId, MessageId, UserId};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::error::{Error, ErrorKind};
use crate::pending::{Pending, Sent};
use disk::Disk;
use queue::Queue;

/// What was handed over and is not answered yet. Shared by the handles and the connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
    disk: Option<Disk>,
}

/// What the thread of the disk sees of it.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to send.
    news: Notify,
    /// Something was answered.
    settled: Notify,
}

/// Room for an entry that is on its way into the queue. Given back if it does not get there.
struct Room {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Outbox {
    /// Opens the file, and takes up what waits there; without a path all is in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]; [`ErrorKind::Invalid`] if it is another user's, or in use.
    pub(crate) async fn open(
        path: Option<PathBuf>,
        user: UserId,
        limits: Limits,
    ) -> Result<Self, Error> {
        let queue = Mutex::new(Queue::new(limits));
        let shared = Arc::new(Shared { queue, news: Notify::new(), settled: Notify::new() });
        let Some(path) = path else { return Ok(Self { shared, disk: None }) };
        let opened = tokio::task::spawn_blocking({
            let shared = shared.clone();
            move || Disk::open(&path, &user, shared)
        });
        let disk = opened.await.map_err(|_| Error::closed())??;
        Ok(Self { shared, disk: Some(disk) })
    }

    /// Takes an entry; with a disk, it is there when this returns.
    ///
    /// # Cancel safety
    /// It is queued or not, never in between; no room is lost.
    pub(crate) async fn put(self: &Arc<Self>, entry: Entry) -> Result<Pending, Error> {
        let room = Room::take(&self.shared, entry.bytes())?;
        let (id, chat) = (entry.head.id, entry.head.chat.clone());
        let (answer, receiver) = oneshot::channel();
        let no = match &self.disk {
            None => room.push(entry, answer),
            Some(disk) => disk.put(room, entry, answer).await?,
        };
        Ok(Pending::new((no, id, chat), self.clone(), receiver))
    }

    /// Takes an entry back that has never gone out.
    pub(crate) async fn cancel(&self, no: u64) -> Result<bool, Error> {
        let cancelled = {
            let mut queue = self.shared.queue.lock();
            let error = || Error::new(ErrorKind::Cancelled, "it was cancelled");
            queue.is_untried(no) && queue.settle(no, Err(error())).is_ok()
        };
        if cancelled {
            self.shared.settled.notify_waiters();
            if let Some(disk) = &self.disk {
                disk.remove_for_certain(no).await?;
            }
        }
        Ok(cancelled)
    }

    /// The next to go out.
    pub(crate) fn take_next(&self) -> Option<(u64, Arc<Entry>)> {
        self.shared.queue.lock().take_next()
    }

    /// Which message it is.
    pub(crate) fn name_of(&self, no: u64) -> Option<(ChatId, MessageId)> {
        self.shared.queue.lock().name_of(no)
    }

    /// All that is not answered goes out once more.
    pub(crate) fn rewind(&self) {
        self.shared.queue.lock().rewind();
    }

    /// What became of an entry; gives it back if nobody waits to hear it.
    pub(crate) fn settle(&self, no: u64, result: Result<Sent, Error>) -> Option<Settled> {
        let settled = self.shared.queue.lock().settle(no, result).ok()?;
        if let Some(disk) = &self.disk {
            disk.remove(no);
        }
        self.shared.settled.notify_waiters();
        settled
    }

    /// Gives up what is overdue, and says what nobody waits to hear.
    pub(crate) fn expire(&self, now_ms: u64) -> Vec<Settled> {
        let overdue = self.shared.queue.lock().overdue(now_ms);
        let error = || Error::new(ErrorKind::Expired, "it could not be sent in time");
        overdue.into_iter().filter_map(|no| self.settle(no, Err(error()))).collect()
    }

    /// Resolves when there may be something to send.
    pub(crate) async fn news(&self) {
        self.shared.news.notified().await;
    }

    /// Resolves when nothing waits any more.
    pub(crate) async fn emptied(&self) {
        loop {
            let settled = self.shared.settled.notified();
            tokio::pin!(settled);
            // From here on nothing is missed.
            settled.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            settled.await;
        }
    }

    /// All that waits, oldest first.
    pub(crate) fn waiting(&self) -> Vec<Arc<Entry>> {
        self.shared.queue.lock().waiting()
    }

    /// How many wait, those included that are on their way to the disk.
    pub(crate) fn len(&self) -> usize {
        self.shared.queue.lock().len()
    }

    /// Takes nothing more; what waits stays on disk. The file is free when this returns.
    pub(crate) async fn close(&self) {
        self.shared.queue.lock().close();
        if let Some(disk) = &self.disk {
            disk.close().await;
        }
    }
}

impl Room {
    fn take(shared: &Arc<Shared>, bytes: usize) -> Result<Self, Error> {
        shared.queue.lock().reserve(bytes)?;
        Ok(Self { shared: shared.clone(), bytes })
    }

    /// Fills it.
    fn push(self, entry: Entry, answer: queue::Answer) -> u64 {
        let shared = self.shared.clone();
        let mut queue = shared.queue.lock();
        let no = queue.number();
        self.fill(&mut queue, no, entry, answer);
        no
    }

    /// Fills it with an entry that has a number.
    fn fill(mut self, queue: &mut Queue, no: u64, entry: Entry, answer: queue::Answer) {
        self.bytes = 0;
        queue.push(no, entry, answer);
        self.shared.news.notify_one();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.shared.queue.lock().release(self.bytes);
        }
    }
}
