//! The small key-value interface that the store stands on.

use std::ops::ControlFlow;
use std::ops::Range;

use super::figures::StoreFigures;

/// Which of the tables; each has its own shape of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Small records that are overwritten often: chats, members, cursors, sessions.
    State,
    /// The logs: written once, read forward.
    Log,
    /// Ids of messages: written once, hardly ever read.
    Ids,
    /// Plain topics: retained messages, and queues that come and go.
    Plain,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::State, Self::Log, Self::Ids, Self::Plain];

    /// Its name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Log => "log",
            Self::Ids => "ids",
            Self::Plain => "plain",
        }
    }
}

/// Looks at a key and its value, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A key-value store with atomic, synced commits and ordered scans. Calls may block on the disk.
pub trait Kv: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// The store cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// As [`Kv::get`], of what is not asked for again soon: nothing is kept of it in a cache, where
    /// what is asked for more often would have to make room.
    ///
    /// # Errors
    /// The store cannot be read.
    fn get_once(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(table, key)
    }

    /// Calls `each` with the keys in [`from`, `to`), rising, until it breaks.
    ///
    /// # Errors
    /// The store cannot be read.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError>;

    /// As [`Kv::scan`], of what is not asked for again soon; see [`Kv::get_once`].
    ///
    /// # Errors
    /// The store cannot be read.
    fn scan_once(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.scan(table, from, to, each)
    }

    /// Applies all writes or none, and returns once they are on stable storage.
    ///
    /// # Errors
    /// Whether they were applied is unknown; further commits fail until [`Kv::recover`].
    fn commit(&self, batch: &KvBatch) -> Result<(), StoreError>;

    /// Has what was overwritten or removed in these ranges leave the disk: until then a database
    /// keeps it beside what is new. Blocks, maybe for long.
    ///
    /// # Errors
    /// The disk or the database says no; what was overwritten may still be there.
    fn drop_overwritten(&self, ranges: &[(Table, Vec<u8>, Vec<u8>)]) -> Result<(), StoreError>;

    /// Whether a commit would be taken now, as far as one can tell without making one.
    ///
    /// # Errors
    /// Why it would not.
    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What it tells of itself; `None`: nothing.
    ///
    /// # Errors
    /// It cannot be asked at the moment.
    fn figures(&self) -> Result<Option<StoreFigures>, StoreError> {
        Ok(None)
    }

    /// Gets a store whose commit failed to work again, if the cause is gone.
    ///
    /// # Errors
    /// The cause is not gone.
    fn recover(&self) -> Result<(), StoreError>;
}

/// Why the store cannot do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk or the database says no.
    #[error("{0}")]
    Io(String),
    /// Another process has the database open.
    #[error("{0}")]
    Locked(String),
    /// The data was written by another version of the program.
    #[error(
        "the data has schema version {found}, this program reads version {known}: \
         use a program of the version that wrote it, or another data directory"
    )]
    Schema {
        /// In the data.
        found: u32,
        /// In this program.
        known: u32,
    },
    /// A record is not what it should be.
    #[error("the data is damaged: {0}")]
    Corrupt(&'static str),
}

/// Puts and deletes of one commit, in order; all bytes in one buffer.
#[derive(Debug, Default)]
pub struct KvBatch {
    bytes: Vec<u8>,
    ops: Vec<Op>,
}

#[derive(Debug)]
struct Op {
    table: Table,
    key: Range<usize>,
    value: Option<Range<usize>>,
}

impl KvBatch {
    /// Makes room for so many more writes of about so many bytes each.
    pub fn reserve(&mut self, writes: usize, bytes_each: usize) {
        self.ops.reserve(writes);
        self.bytes.reserve(writes.saturating_mul(bytes_each));
    }

    /// Puts a record whose value `encode` appends to the buffer it is given.
    pub fn put(&mut self, table: Table, key: &[u8], encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        encode(&mut self.bytes);
        let value = Some(middle..self.bytes.len());
        self.ops.push(Op { table, key: start..middle, value });
    }

    /// Removes a record.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.ops.push(Op { table, key: start..self.bytes.len(), value: None });
    }

    /// The writes in order: table, key, and the value or `None` for a removal.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.ops.iter().map(|op| self.write(op))
    }

    /// The writes in the order of their keys, those of one key in the order they were made: a table
    /// in memory finds the place of each near that of the one before.
    pub fn in_key_order(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        let mut ops: Vec<&Op> = self.ops.iter().collect();
        let key = |op: &Op| (op.table, &self.bytes[op.key.clone()]);
        ops.sort_by(|a, b| key(a).cmp(&key(b)));
        ops.into_iter().map(|op| self.write(op))
    }

    fn write(&self, op: &Op) -> (Table, &[u8], Option<&[u8]>) {
        let value = op.value.clone().map(|range| &self.bytes[range]);
        (op.table, &self.bytes[op.key.clone()], value)
    }

    /// The bytes of all keys and values, in the order of the writes.
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes
    }

    /// How many writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The size of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}
