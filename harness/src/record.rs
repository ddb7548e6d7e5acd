//! The history that all devices write.

use std::collections::BTreeSet;
use std::sync::Arc;

use bluetick_checker::{Event, History};
use parking_lot::Mutex;

/// A shared history. Cheap to clone.
#[derive(Clone, Default)]
pub struct Record {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    history: History,
    next_tag: u64,
    /// Changes of membership that are written down.
    changes: BTreeSet<(String, String, u64, bool)>,
}

impl Record {
    /// Writes an event down.
    pub fn push(&self, event: Event) {
        self.inner.lock().history.push(event);
    }

    /// Writes down what an entry says of a membership: whether the user joins there or goes. All who
    /// read the entry say so, and once is enough.
    pub fn membership(&self, chat: &str, user: &str, seq: u64, joins: bool) {
        let (chat, user) = (chat.to_owned(), user.to_owned());
        let mut inner = self.inner.lock();
        if inner.changes.insert((chat.clone(), user.clone(), seq, joins)) {
            inner.history.push(match joins {
                true => Event::Added { chat, user, seq },
                false => Event::Removed { chat, user, seq },
            });
        }
    }

    /// A number for a new message.
    #[must_use]
    pub fn tag(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.next_tag += 1;
        inner.next_tag
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().history.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the history.
    pub fn read<T>(&self, read: impl FnOnce(&History) -> T) -> T {
        read(&self.inner.lock().history)
    }
}
