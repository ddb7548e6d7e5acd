//! What can go wrong in a bench, and the deadline that every wait has.

use std::io;
use std::time::{Duration, Instant};

/// A failed bench: nothing here is retried, the run ends and says why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A server could not be started, or ended.
    #[error("{server}: {what}")]
    Server {
        /// Which one.
        server: &'static str,
        /// What happened, with the last lines it printed.
        what: String,
    },
    /// A server did what it must not: a malformed packet, a refusal, a lost or doubled message.
    #[error("wrong answer: {0}")]
    Wrong(String),
    /// A wait was over its deadline.
    #[error("{what}: over its deadline of {limit_s:.0} s, missing: {missing}")]
    Late {
        /// The workload and server.
        what: String,
        /// The deadline in seconds.
        limit_s: f64,
        /// What had not come.
        missing: String,
    },
    /// The rest of the errors, with what was running.
    #[error("{what}")]
    During {
        /// The workload and server, or what the server printed last.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<Error>,
    },
    /// A figure could not be read from `/proc`, or a setting does not fit the machine.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        text
    }

    /// For `map_err`: the error with what was running.
    pub fn during(what: impl Into<String>) -> impl FnOnce(Error) -> Error {
        let what = what.into();
        move |source| Error::During { what, source: Box::new(source) }
    }

    /// For `map_err`: an I/O error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::Io { doing, source }
    }
}

/// The end of one wait.
#[derive(Debug, Clone)]
pub struct Deadline {
    what: String,
    limit: Duration,
    end: Instant,
}

impl Deadline {
    /// A wait that starts now; `what` names the workload and server in the error.
    pub fn new(what: impl Into<String>, limit: Duration) -> Self {
        Self { what: what.into(), limit, end: Instant::now() + limit }
    }

    /// The time left, at least a millisecond (a zero read timeout would mean none).
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Fails if the deadline is over; `missing` says what has not come.
    ///
    /// # Errors
    /// [`Error::Late`].
    pub fn check(&self, missing: impl FnOnce() -> String) -> Result<(), Error> {
        if Instant::now() < self.end {
            return Ok(());
        }
        Err(self.late(missing()))
    }

    /// The error of this deadline.
    pub fn late(&self, missing: String) -> Error {
        Error::Late { what: self.what.clone(), limit_s: self.limit.as_secs_f64(), missing }
    }
}
