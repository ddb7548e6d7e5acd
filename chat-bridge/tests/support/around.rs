//! What a server without threads of its own has around it.

use std::sync::atomic::{AtomicU64, Ordering};

use bluetick_bridge::Directory;
use bluetick_bridge::bridge::Environment;
use bluetick_broker::host::{self, Attempt};
use bluetick_broker::packet::Reason;
use bluetick_protocol::UserId;

/// A clock that is put forward by hand.
pub(crate) struct Clock(pub(crate) AtomicU64);

impl Default for Clock {
    fn default() -> Self {
        Self(AtomicU64::new(1_764_000_000_000))
    }
}

impl Environment for Clock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Whoever says who he is is let in.
pub(crate) struct Everybody;

impl Directory for Everybody {
    fn authenticate(&self, attempt: Attempt, done: Box<dyn FnOnce(Result<UserId, Reason>) + Send>) {
        let user = UserId::try_from(attempt.user_name.unwrap_or_default().as_str());
        done(user.map_err(|_| Reason::BAD_USER_NAME_OR_PASSWORD));
    }

    fn exists(&self, _: &UserId) -> bool {
        true
    }

    fn may(&self, _: &host::SessionKey, _: host::Access, _: &str) -> bool {
        true
    }
}
