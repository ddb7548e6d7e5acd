//! What can go wrong, by what to do about it.

use bluetick_protocol::NameError;
use bluetick_protocol::rpc::RpcError;

/// Why an operation was not done. [`Error::kind`] says what to do about it; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    code: Option<u8>,
    message: String,
}

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server refuses it, and will refuse the same again: not a member, not allowed, too large.
    Refused,
    /// The server takes no more for the moment: a rate or a quota. (A message that is refused so stays
    /// in the outbox and is sent again by itself; requests are not.)
    Quota,
    /// What was given cannot be right: a URL, a name, a body without bytes. Nothing was done.
    Invalid,
    /// The outbox holds as much as it may. Nothing was queued.
    OutboxFull,
    /// The outbox's file cannot be opened, read or written. Nothing was queued.
    Storage,
    /// No answer came in time. Whether it was done is unknown; to do it again does no harm.
    Timeout,
    /// It was not sent by the time that its sender had given.
    Expired,
    /// It was cancelled before it was sent.
    Cancelled,
    /// The client was closed, or its runtime ended. What is in an outbox on disk is sent by the next one.
    Closed,
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Advice {
    /// The same again, later, can succeed.
    Retry,
    /// The same again will fail: change what was asked for.
    Fix,
    /// It is over; there is nothing to repair.
    GiveUp,
}

impl ErrorKind {
    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> Advice {
        match self {
            Self::Quota | Self::OutboxFull | Self::Timeout => Advice::Retry,
            Self::Refused | Self::Invalid | Self::Storage => Advice::Fix,
            Self::Expired | Self::Cancelled | Self::Closed => Advice::GiveUp,
        }
    }
}

impl Error {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it: short for `error.kind().advice()`.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        self.kind.advice()
    }

    /// The MQTT reason code, where it is the server that refuses: 0x87 not a member or no such chat or
    /// user, 0x90 malformed name, 0x83 too large a body, 0x95 too large a packet, 0x97 quota, 0x99 malformed payload or argument.
    #[must_use]
    pub const fn code(&self) -> Option<u8> {
        self.code
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn storage(error: &impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Storage, format!("the outbox's file: {error}"))
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the client was closed")
    }

    /// What the server says by a reason code, and perhaps in words.
    pub(crate) fn refused(code: u8, message: Option<String>) -> Self {
        let kind = match code {
            RpcError::QUOTA_EXCEEDED => ErrorKind::Quota,
            _ => ErrorKind::Refused,
        };
        let message = message.unwrap_or_else(|| refusal(code).to_owned());
        Self { kind, code: Some(code), message }
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<RpcError> for Error {
    fn from(error: RpcError) -> Self {
        Self::refused(error.code, Some(error.message))
    }
}

/// For servers, and acknowledgements, that give no reason string.
fn refusal(code: u8) -> &'static str {
    match code {
        RpcError::NOT_AUTHORIZED => "not a member, or there is no such chat or user",
        RpcError::UNKNOWN_METHOD => "the server does not know this topic",
        0x83 | RpcError::TOO_LARGE => "the message is larger than the server takes",
        RpcError::QUOTA_EXCEEDED => "too many messages or requests at once; send more slowly",
        RpcError::ARGUMENTS => "the payload is not what its topic says",
        _ => "the server refuses it",
    }
}
