//! The thread that has RocksDB write out what is in the journal, so that no commit has to.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::database::Database;

/// Ends when it is dropped.
pub(super) struct Flusher {
    database: Arc<Database>,
    /// `None` once it was joined.
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(database: Arc<Database>) -> io::Result<Self> {
        let its = database.clone();
        let thread = thread::Builder::new()
            .name("flusher".to_owned())
            .spawn(move || its.run_flusher())
            .map(Some)?;
        Ok(Self { database, thread })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.database.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that flushes the store has panicked");
        }
    }
}
