//! Why a request is not answered with what it asks for.

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::{CORRELATION_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::payload::printable;

/// Why a request is not answered with what it asks for. As an answer:
/// `{"error":{"code":153,"message":"…"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// The MQTT 5 reason code.
    pub code: u8,
    /// What would have been right.
    pub message: String,
}

impl RpcError {
    /// Not allowed, or there is no such chat or user: one code, so that nobody can probe.
    pub const NOT_AUTHORIZED: u8 = 0x87;
    /// There is no such method.
    pub const UNKNOWN_METHOD: u8 = 0x90;
    /// The request is too large.
    pub const TOO_LARGE: u8 = 0x95;
    /// Too many, or too much.
    pub const QUOTA_EXCEEDED: u8 = 0x97;
    /// Malformed JSON, an argument that is none, is missing, of another kind or out of bounds.
    pub const ARGUMENTS: u8 = 0x99;

    /// With any code. A message may quote the peer: it is cut, and its control characters escaped.
    #[must_use]
    pub fn new(code: u8, message: &str) -> Self {
        Self { code, message: printable(message) }
    }

    /// The answer's bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Answer::<()>::Error(self.clone()).to_json()
    }

    pub(super) fn unknown_method() -> Self {
        let message = "there is no such method; docs/protocol.md lists them all";
        Self::new(Self::UNKNOWN_METHOD, message)
    }

    pub(super) fn too_large() -> Self {
        let message = format!("a request has at most {REQUEST_BYTES_MAX} bytes");
        Self::new(Self::TOO_LARGE, &message)
    }

    pub(super) fn arguments(message: &str) -> Self {
        Self::new(Self::ARGUMENTS, message)
    }
}

/// Whether MQTT 5 correlation data can stand for a request: 1 to [`CORRELATION_BYTES_MAX`] bytes
/// of any kind. It is kept with the first answer, so it must be short.
///
/// # Errors
/// [`RpcError`], code 0x99.
pub fn check_correlation(data: &[u8]) -> Result<(), RpcError> {
    if (1..=CORRELATION_BYTES_MAX).contains(&data.len()) {
        Ok(())
    } else {
        let message = format!("correlation data has 1 to {CORRELATION_BYTES_MAX} bytes");
        Err(RpcError::arguments(&message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_the_contract_shows_it() {
        let error = RpcError::new(153, "'title' is missing");
        assert_eq!(error.to_json(), br#"{"error":{"code":153,"message":"'title' is missing"}}"#);
        assert_eq!(error.to_string(), "'title' is missing");
    }

    #[test]
    fn a_quoted_peer_is_cut_and_cannot_break_a_line() {
        let error = RpcError::new(0x99, &"ключ\0\n".repeat(10_000));
        assert!(error.message.len() < 300 && !error.message.contains(char::is_control));
    }

    #[test]
    fn correlation_data_is_short_and_there() {
        for good in [&b"\0"[..], &[0xff; CORRELATION_BYTES_MAX]] {
            assert_eq!(check_correlation(good), Ok(()));
        }
        for bad in [&b""[..], &[1; CORRELATION_BYTES_MAX + 1]] {
            let error = check_correlation(bad).expect_err("out of bounds");
            assert_eq!((error.code, error.message.contains("1 to 64")), (0x99, true));
        }
    }
}
