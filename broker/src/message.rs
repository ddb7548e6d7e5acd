//! An application message on its way out: encoded once, shared by all who get it.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{self, PublishParts};
use crate::packet::PublishProperties;

/// A message as it goes out. The parts that are the same for every receiver are encoded when it
/// is made; a session adds packet id, QoS and flags.
#[derive(Debug, Clone)]
pub struct Message {
    topic: Arc<str>,
    properties: Bytes,
    payload: Bytes,
    /// Seconds of life left; counted down by whoever keeps it.
    expiry_s: Option<u32>,
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
        Self { topic, properties, payload, expiry_s, retain }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The body.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Seconds of life left.
    #[must_use]
    pub fn expiry_s(&self) -> Option<u32> {
        self.expiry_s
    }

    /// The publisher's retain flag.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.retain
    }

    /// The parts for the codec.
    #[must_use]
    pub fn parts(&self) -> PublishParts<'_> {
        PublishParts { topic: &self.topic, properties: &self.properties, payload: &self.payload }
    }
}
