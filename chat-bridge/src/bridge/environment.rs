//! Time and chance, from outside: a server has the system's, a simulation its own.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// Where time and random numbers come from.
pub trait Environment: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// A number that is never given again, for all that one can tell.
    fn random(&self) -> u64;
}

/// The system's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now_ms(&self) -> u64 {
        // A clock before 1970 is a clock that is not set: time zero, and `at` still never falls.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self) -> u64 {
        Uuid::new_v4().as_u64_pair().1
    }
}
