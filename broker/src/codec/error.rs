//! Why bytes are not a packet.

use std::borrow::Cow;

use crate::packet::{Reason, Version};

/// What a client sent is not MQTT; the connection ends.
///
/// What to tell the client depends on where it happened: in answer to a CONNECT a CONNACK with
/// `reason`, later a DISCONNECT with it; 3.1.1 has no DISCONNECT from the server, and its CONNACK
/// has few codes ([`super::write_connack`] knows them).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} (reason 0x{:02x})", reason.0)]
pub struct DecodeError {
    /// The reason code of MQTT 5 (§2.4, §4.13).
    pub reason: Reason,
    /// What is wrong, lower case, short enough for a reason string.
    pub detail: Cow<'static, str>,
    /// The version that the client speaks; `None` where it has not said so, or one that this
    /// server does not know.
    pub version: Option<Version>,
}

impl DecodeError {
    pub(super) fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), version: None }
    }

    /// The packet cannot be parsed.
    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::MALFORMED_PACKET, detail)
    }

    /// The packet can be parsed, and says what it must not say.
    pub(super) fn protocol(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::PROTOCOL_ERROR, detail)
    }

    /// The guard let pass what rumqttd refuses.
    pub(super) fn refused(error: &rumqttd::protocol::Error) -> Self {
        Self::malformed(format!("refused by the decoder: {error}"))
    }

    /// Sets the version unless it is known already.
    pub(super) fn in_version(mut self, version: Option<Version>) -> Self {
        self.version = self.version.or(version);
        self
    }
}
