//! The password, which may change while the client lives.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The password. Clones share it.
#[derive(Clone)]
pub(crate) struct Password {
    text: Arc<Mutex<String>>,
    changed: Arc<Notify>,
}

impl Password {
    pub(crate) fn new(text: String) -> Self {
        Self { text: Arc::new(Mutex::new(text)), changed: Arc::new(Notify::new()) }
    }

    pub(crate) fn set(&self, text: String) {
        *self.text.lock() = text;
        self.changed.notify_one();
    }

    pub(crate) fn get(&self) -> String {
        self.text.lock().clone()
    }

    /// Resolves once it was set anew.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Shows nothing of it.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
