//! The outbox's file: a table of records, by number, in redb.
//!
//! A thread of its own writes them, as a commit waits for the disk: whatever was handed over meanwhile goes
//! into the next commit. What is handed over is synced. What is answered is removed without a sync: if the
//! removal is lost in a crash, the message goes out once more, and the server knows its id.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bluetick_protocol::UserId;
use parking_lot::Mutex;
use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use super::entry::Entry;
use super::queue::Answer;
use super::{Room, Shared};
use crate::error::Error;

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");

/// Whose it is, in [`ABOUT`].
const USER: &str = "user";

/// What may wait for the thread; a further one waits for room.
const OPS_MAX: usize = 64;

/// What may go into one commit.
const BATCH_MAX: usize = 256;

/// Bytes of the file that are kept in memory.
const CACHE_BYTES: usize = 1 << 20;

/// The handle of the thread that writes.
#[derive(Debug)]
pub(super) struct Disk {
    ops: Mutex<Option<mpsc::Sender<Op>>>,
    /// To be removed with the next commit. Bounded by what the outbox holds.
    removed: Arc<Mutex<Vec<u64>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Op {
    Put(Box<Put>),
    /// There is something to remove.
    Remove,
    /// The same, to be synced.
    RemoveForCertain(oneshot::Sender<Result<(), Error>>),
}

struct Put {
    room: Room,
    entry: Entry,
    answer: Answer,
    queued: oneshot::Sender<Result<u64, Error>>,
}

impl Disk {
    /// Opens or makes the file and puts what it has into the queue. Blocks.
    pub(super) fn open(path: &Path, user: &UserId, shared: Arc<Shared>) -> Result<Self, Error> {
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => {
                Error::invalid("the outbox's file is in use: each device needs one of its own")
            }
            error => Error::storage(&error),
        })?;
        claim(&database, user)?;
        sync_folder(path).map_err(|error| Error::storage(&error))?;
        for (no, entry) in read_all(&database)? {
            shared.queue.lock().inherit(no, entry);
        }
        let (sender, receiver) = mpsc::channel(OPS_MAX);
        let removed = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer { database, shared, removed: removed.clone() };
        let thread = std::thread::Builder::new().name("outbox".to_owned());
        let thread = thread.spawn(move || writer.run(receiver));
        let thread = thread.map_err(|error| Error::storage(&error))?;
        Ok(Self { ops: Mutex::new(Some(sender)), removed, thread: Mutex::new(Some(thread)) })
    }

    /// Writes an entry, and fills its room with it; gives its number once it is synced.
    pub(super) async fn put(&self, room: Room, entry: Entry, answer: Answer) -> Result<u64, Error> {
        let (queued, receiver) = oneshot::channel();
        let put = Op::Put(Box::new(Put { room, entry, answer, queued }));
        self.sender()?.send(put).await.map_err(|_| Error::closed())?;
        receiver.await.unwrap_or_else(|_| Err(Error::closed()))
    }

    /// Removes an entry, sooner or later.
    pub(super) fn remove(&self, no: u64) {
        self.removed.lock().push(no);
        if let Some(ops) = &*self.ops.lock() {
            // If there is no room, the thread is about to look anyway.
            let _told = ops.try_send(Op::Remove);
        }
    }

    /// Removes an entry; it is synced when this returns.
    pub(super) async fn remove_for_certain(&self, no: u64) -> Result<(), Error> {
        let (done, receiver) = oneshot::channel();
        self.removed.lock().push(no);
        let op = Op::RemoveForCertain(done);
        self.sender()?.send(op).await.map_err(|_| Error::closed())?;
        receiver.await.unwrap_or_else(|_| Err(Error::closed()))
    }

    /// Ends the thread; the file is closed when this returns.
    pub(super) async fn close(&self) {
        drop(self.ops.lock().take());
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(|| thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the outbox's thread has panicked");
            }
        }
    }

    fn sender(&self) -> Result<mpsc::Sender<Op>, Error> {
        self.ops.lock().clone().ok_or_else(Error::closed)
    }
}

/// The file is this user's from now on, or was already.
fn claim(database: &Database, user: &UserId) -> Result<(), Error> {
    let storage = |error: redb::Error| Error::storage(&error);
    let write = database.begin_write().map_err(|error| storage(error.into()))?;
    {
        let mut about = write.open_table(ABOUT).map_err(|error| storage(error.into()))?;
        let owner = about.get(USER).map_err(|error| storage(error.into()))?;
        let owner = owner.map(|owner| owner.value().to_owned());
        match owner {
            Some(owner) if owner == user.as_str() => {}
            Some(owner) => {
                let text = format!("the outbox's file is of {owner}: {user} needs another one");
                return Err(Error::invalid(text));
            }
            None => {
                about.insert(USER, user.as_str()).map_err(|error| storage(error.into()))?;
            }
        }
        write.open_table(ENTRIES).map_err(|error| storage(error.into()))?;
    }
    write.commit().map_err(|error| storage(error.into()))
}

/// All entries, oldest first.
fn read_all(database: &Database) -> Result<Vec<(u64, Entry)>, Error> {
    let read = || -> Result<Vec<(u64, Option<Entry>)>, redb::Error> {
        let read = database.begin_read()?;
        let table = read.open_table(ENTRIES)?;
        let mut entries = Vec::new();
        for record in table.iter()? {
            let (no, record) = record?;
            entries.push((no.value(), Entry::decode(record.value())));
        }
        Ok(entries)
    };
    let entries = read().map_err(|error| Error::storage(&error))?;
    let whole = |(no, entry): (u64, Option<Entry>)| {
        let text = format!("entry {no} is of a later version of this program, or damaged");
        entry.map(|entry| (no, entry)).ok_or_else(|| Error::storage(&text))
    };
    entries.into_iter().map(whole).collect()
}

/// A new file's name is on the disk only when its folder is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Elsewhere a folder is no file.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

struct Writer {
    database: Database,
    shared: Arc<Shared>,
    removed: Arc<Mutex<Vec<u64>>>,
}

impl Writer {
    fn run(self, mut ops: mpsc::Receiver<Op>) {
        let mut batch = Vec::new();
        while let Some(op) = ops.blocking_recv() {
            batch.push(op);
            while batch.len() < BATCH_MAX
                && let Ok(op) = ops.try_recv()
            {
                batch.push(op);
            }
            self.handle(batch.drain(..));
        }
        if let Err(error) = self.commit(&[], Durability::Immediate) {
            tracing::warn!(%error, "what was answered stays in the outbox's file, and goes out again");
        }
    }

    fn handle(&self, batch: impl Iterator<Item = Op>) {
        let (mut puts, mut certain) = (Vec::new(), Vec::new());
        for op in batch {
            match op {
                Op::Put(put) => puts.push((self.shared.queue.lock().number(), *put)),
                Op::RemoveForCertain(done) => certain.push(done),
                Op::Remove => {}
            }
        }
        let durability = match puts.is_empty() && certain.is_empty() {
            true => Durability::None,
            false => Durability::Immediate,
        };
        let committed = self.commit(&puts, durability);
        if let Err(error) = &committed {
            tracing::error!(%error, "the outbox's file cannot be written");
        }
        for (no, Put { room, entry, answer, queued }) in puts {
            // Whoever queued it may have stopped waiting: it is queued all the same.
            let _heard = queued.send(match &committed {
                Ok(()) => {
                    room.fill(&mut self.shared.queue.lock(), no, entry, answer);
                    Ok(no)
                }
                Err(error) => Err(error.clone()),
            });
        }
        for done in certain {
            let _heard = done.send(committed.clone());
        }
    }

    fn commit(&self, puts: &[(u64, Put)], durability: Durability) -> Result<(), Error> {
        let removed = std::mem::take(&mut *self.removed.lock());
        let written = self.write(puts, &removed, durability);
        if written.is_err() {
            self.removed.lock().extend(removed);
        }
        written.map_err(|error| Error::storage(&error))
    }

    fn write(
        &self,
        puts: &[(u64, Put)],
        removed: &[u64],
        durability: Durability,
    ) -> Result<(), redb::Error> {
        let mut write = self.database.begin_write()?;
        write.set_durability(durability)?;
        {
            let mut table = write.open_table(ENTRIES)?;
            for (no, put) in puts {
                table.insert(no, put.entry.encode().as_slice())?;
            }
            for no in removed {
                table.remove(no)?;
            }
        }
        write.commit()?;
        Ok(())
    }
}

impl std::fmt::Debug for Put {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Put").field("id", &self.entry.head.id).finish_non_exhaustive()
    }
}
