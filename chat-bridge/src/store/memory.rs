//! The store in memory: for tests and simulation. A commit is atomic here as it is on RocksDB;
//! faults are injected at its edges.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::kv::{Kv, KvBatch, StoreError, Table, Visit};

/// What goes wrong with the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and has changed nothing.
    FailBefore,
    /// It fails and has changed everything: the caller cannot know.
    FailAfter,
}

/// A key-value store in memory.
#[derive(Debug, Default)]
pub struct MemoryKv {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
    fault: Option<Fault>,
    /// A commit has failed and [`Kv::recover`] has not been called.
    failed: bool,
    /// Nor would it help to call it.
    broken: bool,
}

impl MemoryKv {
    /// Makes the next commit fail.
    pub fn inject(&self, fault: Fault) {
        self.inner.lock().fault = Some(fault);
    }

    /// Makes the next commit fail, changing nothing, and all after it until it is mended.
    pub fn break_down(&self) {
        let inner = &mut *self.inner.lock();
        (inner.fault, inner.broken) = (Some(Fault::FailBefore), true);
    }

    /// What made it break down is gone.
    pub fn mend(&self) {
        self.inner.lock().broken = false;
    }

    /// Everything, for comparison.
    #[must_use]
    pub fn dump(&self) -> BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.inner.lock().tables.clone()
    }
}

impl Kv for MemoryKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.inner.lock().tables.get(&table).and_then(|table| table.get(key).cloned()))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let inner = self.inner.lock();
        let Some(table) = inner.tables.get(&table).filter(|_| from < to) else { return Ok(()) };
        for (key, value) in table.range(from.to_vec()..to.to_vec()) {
            if each(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: &KvBatch) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        let failure = || StoreError::Io("injected".to_owned());
        if inner.failed {
            return Err(failure());
        }
        let fault = inner.fault.take();
        inner.failed = fault.is_some();
        if fault == Some(Fault::FailBefore) {
            return Err(failure());
        }
        for (table, key, value) in batch.iter() {
            let table = inner.tables.entry(table).or_default();
            match value {
                Some(value) => {
                    table.insert(key.to_vec(), value.to_vec());
                }
                None => {
                    table.remove(key);
                }
            }
        }
        if fault.is_some() { Err(failure()) } else { Ok(()) }
    }

    fn drop_overwritten(&self, _: &[(Table, Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        Ok(())
    }

    fn recover(&self) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        if inner.broken {
            return Err(StoreError::Io("broken".to_owned()));
        }
        inner.failed = false;
        Ok(())
    }
}
