//! An application message on its way out: encoded once, shared by all who get it.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{self, PublishParts};
use crate::packet::PublishProperties;
use crate::session::MonotonicMs;

/// What a message takes in memory beside its topic, properties and body, bytes.
const OVERHEAD_BYTES: usize = 128;

/// A message as it goes out. The parts that are the same for every receiver are encoded when it
/// is made; a session adds packet id, QoS and flags.
#[derive(Debug, Clone)]
pub struct Message {
    topic: Arc<str>,
    properties: Bytes,
    payload: Bytes,
    /// Seconds of life left; counted down by whoever keeps it.
    expiry_s: Option<u32>,
    /// When its life ends, for one that is counted down here.
    expires_at: Option<MonotonicMs>,
    /// The publisher's retain flag, for those who want it as published.
    retain: bool,
}

impl Message {
    /// A message with these properties.
    #[must_use]
    pub fn new(
        topic: Arc<str>,
        payload: Bytes,
        properties: &PublishProperties,
        retain: bool,
    ) -> Self {
        let expiry_s = properties.message_expiry_s;
        let properties = codec::encode_publish_properties(properties);
        Self { topic, properties, payload, expiry_s, expires_at: None, retain }
    }

    /// A message whose properties are encoded, with the time when its life ends.
    pub(crate) fn kept(
        topic: Arc<str>,
        payload: Bytes,
        properties: Bytes,
        retain: bool,
        expires_at: Option<MonotonicMs>,
    ) -> Self {
        Self { topic, properties, payload, expiry_s: None, expires_at, retain }
    }

    /// Has its life counted from `now` on.
    #[must_use]
    pub fn counted_from(mut self, now: MonotonicMs) -> Self {
        self.expires_at = self.expiry_s.map(|seconds| now + u64::from(seconds) * 1000);
        self
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The same, to keep.
    pub(crate) fn shared_topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The body.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// MQTT 5's properties, encoded; not the expiry.
    pub(crate) fn properties(&self) -> &Bytes {
        &self.properties
    }

    /// Seconds of life that it was given.
    #[must_use]
    pub fn expiry_s(&self) -> Option<u32> {
        self.expiry_s
    }

    /// Seconds of life left at `now`, of a begun one the whole; 0 if it is over.
    pub(crate) fn left_s(&self, now: MonotonicMs) -> Option<u32> {
        match self.expires_at {
            Some(at) => {
                Some(u32::try_from(at.saturating_sub(now).div_ceil(1000)).unwrap_or(u32::MAX))
            }
            None => self.expiry_s,
        }
    }

    /// When its life ends, if that is counted here.
    pub(crate) fn expires_at(&self) -> Option<MonotonicMs> {
        self.expires_at
    }

    /// Whether its life is over.
    pub(crate) fn is_over(&self, now: MonotonicMs) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The publisher's retain flag.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.retain
    }

    /// What it takes in memory, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.properties.len() + self.payload.len() + OVERHEAD_BYTES
    }

    /// The parts for the codec.
    #[must_use]
    pub fn parts(&self) -> PublishParts<'_> {
        PublishParts { topic: &self.topic, properties: &self.properties, payload: &self.payload }
    }
}
