//! What can go wrong, by what to do about it.

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What to do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server refuses it; the same again will be refused as well.
    Refused,
    /// The client was shut down: whether it was done is unknown. The same message id may be sent
    /// again without harm.
    Closed,
}

impl Error {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Refused, message: message.into() }
    }

    pub(crate) fn closed() -> Self {
        Self { kind: ErrorKind::Closed, message: "the client was shut down".to_owned() }
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
