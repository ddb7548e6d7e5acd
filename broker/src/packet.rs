//! MQTT control packets as the session sees them: one set of types for 3.1.1 and 5.
//!
//! What only version 5 has is `Option`al or empty and simply absent in 3.1.1. The bytes are
//! the business of [`crate::codec`].

use std::sync::Arc;

use bytes::Bytes;

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1 (protocol level 4).
    V4,
    /// MQTT 5.0 (protocol level 5).
    V5,
}

/// Quality of service; the discriminant is the number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// At most once: no acknowledgement.
    AtMostOnce = 0,
    /// At least once: PUBACK.
    AtLeastOnce = 1,
    /// Exactly once: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level a number on the wire stands for; `None` for 3 and above.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A reason code of MQTT 5 (§2.4). Kept as the number: a code this server does not know, sent by
/// a client, is still only a number to pass on or log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub u8);

/// The reason codes this server sends or looks for; names and numbers as in MQTT 5 §2.4.
#[allow(missing_docs)] // each is the specification's own name
impl Reason {
    pub const SUCCESS: Self = Self(0x00);
    pub const DISCONNECT_WITH_WILL: Self = Self(0x04);
    pub const NO_MATCHING_SUBSCRIBERS: Self = Self(0x10);
    pub const NO_SUBSCRIPTION_EXISTED: Self = Self(0x11);
    pub const UNSPECIFIED: Self = Self(0x80);
    pub const MALFORMED_PACKET: Self = Self(0x81);
    pub const PROTOCOL_ERROR: Self = Self(0x82);
    pub const IMPLEMENTATION_SPECIFIC: Self = Self(0x83);
    pub const UNSUPPORTED_VERSION: Self = Self(0x84);
    pub const CLIENT_ID_NOT_VALID: Self = Self(0x85);
    pub const BAD_USER_NAME_OR_PASSWORD: Self = Self(0x86);
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    pub const SERVER_UNAVAILABLE: Self = Self(0x88);
    pub const SERVER_BUSY: Self = Self(0x89);
    pub const SERVER_SHUTTING_DOWN: Self = Self(0x8B);
    pub const BAD_AUTHENTICATION_METHOD: Self = Self(0x8C);
    pub const KEEP_ALIVE_TIMEOUT: Self = Self(0x8D);
    pub const SESSION_TAKEN_OVER: Self = Self(0x8E);
    pub const TOPIC_FILTER_INVALID: Self = Self(0x8F);
    pub const TOPIC_NAME_INVALID: Self = Self(0x90);
    pub const PACKET_ID_IN_USE: Self = Self(0x91);
    pub const PACKET_ID_NOT_FOUND: Self = Self(0x92);
    pub const RECEIVE_MAXIMUM_EXCEEDED: Self = Self(0x93);
    pub const TOPIC_ALIAS_INVALID: Self = Self(0x94);
    pub const PACKET_TOO_LARGE: Self = Self(0x95);
    pub const QUOTA_EXCEEDED: Self = Self(0x97);
    pub const ADMINISTRATIVE_ACTION: Self = Self(0x98);
    pub const PAYLOAD_FORMAT_INVALID: Self = Self(0x99);
    pub const RETAIN_NOT_SUPPORTED: Self = Self(0x9A);
    pub const QOS_NOT_SUPPORTED: Self = Self(0x9B);
    pub const USE_ANOTHER_SERVER: Self = Self(0x9C);
    pub const SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: Self = Self(0x9E);
    pub const CONNECTION_RATE_EXCEEDED: Self = Self(0x9F);
    pub const SUBSCRIPTION_IDS_NOT_SUPPORTED: Self = Self(0xA1);
    pub const WILDCARDS_NOT_SUPPORTED: Self = Self(0xA2);

    /// Whether the code says that something failed (0x80 and above).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }
}

/// A user property of MQTT 5: name and value, order and repetition are kept.
pub type UserProperty = (String, String);

/// A packet that a client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// The first packet of a connection.
    Connect(Box<Connect>),
    /// An application message.
    Publish(Box<Publish>),
    /// Acknowledges a QoS 1 PUBLISH.
    PubAck(Ack),
    /// First answer to a QoS 2 PUBLISH.
    PubRec(Ack),
    /// Second step of QoS 2.
    PubRel(Ack),
    /// Last step of QoS 2.
    PubComp(Ack),
    /// Asks for subscriptions.
    Subscribe(Box<Subscribe>),
    /// Gives subscriptions back.
    Unsubscribe(Box<Unsubscribe>),
    /// Keep-alive.
    PingReq,
    /// The client says goodbye.
    Disconnect(Disconnect),
    /// Enhanced authentication (MQTT 5 only), which this server does not offer.
    Auth,
}

/// CONNECT (MQTT 5 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Which protocol the rest of the connection speaks.
    pub version: Version,
    /// Clean start (5) or clean session (3.1.1).
    pub clean_start: bool,
    /// Seconds; 0 switches keep-alive off.
    pub keep_alive_s: u16,
    /// Empty asks the server to assign one.
    pub client_id: String,
    /// `None` where the flag was not set; present but empty is `Some("")`.
    pub user_name: Option<String>,
    /// `None` where the flag was not set. Any bytes.
    pub password: Option<Bytes>,
    /// The will, if any.
    pub will: Option<Box<Will>>,
    /// MQTT 5; 0 where absent. 3.1.1 has none: the session derives it from `clean_start`.
    pub session_expiry_s: Option<u32>,
    /// MQTT 5; never 0 (the codec refuses it).
    pub receive_maximum: Option<u16>,
    /// MQTT 5, bytes; never 0 (the codec refuses it).
    pub max_packet_bytes: Option<u32>,
    /// MQTT 5; absent is 0.
    pub topic_alias_maximum: u16,
    /// MQTT 5; absent is false.
    pub request_response_info: bool,
    /// MQTT 5; absent is true.
    pub request_problem_info: bool,
    /// MQTT 5.
    pub user_properties: Vec<UserProperty>,
    /// MQTT 5; present asks for enhanced authentication.
    pub authentication_method: Option<String>,
}

/// The will of a CONNECT (MQTT 5 §3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where to publish; a valid topic name.
    pub topic: String,
    /// The message.
    pub payload: Bytes,
    /// Its quality of service.
    pub qos: QoS,
    /// Whether to retain it.
    pub retain: bool,
    /// Seconds to wait after the connection is lost; MQTT 5, absent is 0.
    pub delay_s: u32,
    /// What a PUBLISH would carry.
    pub properties: PublishProperties,
}

/// PUBLISH from a client (MQTT 5 §3.3). The topic has been checked: valid UTF-8 without NUL and
/// without wildcards; it is empty only where a topic alias stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The client says that it may have sent this before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// Ask to retain.
    pub retain: bool,
    /// Topic name.
    pub topic: Arc<str>,
    /// 0 at QoS 0, else never 0.
    pub packet_id: u16,
    /// MQTT 5; never 0.
    pub topic_alias: Option<u16>,
    /// The other properties of MQTT 5.
    pub properties: PublishProperties,
    /// The body.
    pub payload: Bytes,
}

/// The properties of a PUBLISH that travel with the message from publisher to subscriber.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishProperties {
    /// 1 says that the payload is UTF-8.
    pub payload_format_utf8: bool,
    /// Seconds of life.
    pub message_expiry_s: Option<u32>,
    /// MIME type or any other description.
    pub content_type: Option<String>,
    /// Where to answer.
    pub response_topic: Option<String>,
    /// What to answer with.
    pub correlation_data: Option<Bytes>,
    /// In order.
    pub user_properties: Vec<UserProperty>,
}

impl PublishProperties {
    /// Whether none is set: encoded as a single zero byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.payload_format_utf8
            && self.message_expiry_s.is_none()
            && self.content_type.is_none()
            && self.response_topic.is_none()
            && self.correlation_data.is_none()
            && self.user_properties.is_empty()
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP from a client: what the server needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Never 0.
    pub packet_id: u16,
    /// [`Reason::SUCCESS`] where absent, always in 3.1.1.
    pub reason: Reason,
}

/// SUBSCRIBE (MQTT 5 §3.8); never without filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Never 0.
    pub packet_id: u16,
    /// MQTT 5; 1 to 268,435,455.
    pub subscription_id: Option<u32>,
    /// In the client's order; the answer has a code for each.
    pub filters: Vec<FilterRequest>,
}

/// One filter of a SUBSCRIBE with its options. The filter is valid UTF-8 without NUL and not
/// empty; whether it is well formed as a filter is for the session to answer (0x8F).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterRequest {
    /// The topic filter.
    pub filter: Arc<str>,
    /// The highest QoS wanted.
    pub qos: QoS,
    /// MQTT 5: not what this connection published itself.
    pub no_local: bool,
    /// MQTT 5: keep the publisher's retain flag.
    pub retain_as_published: bool,
    /// MQTT 5: 0, 1 or 2 (§3.8.3.1).
    pub retain_handling: u8,
}

/// UNSUBSCRIBE (MQTT 5 §3.10); never without filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Never 0.
    pub packet_id: u16,
    /// In the client's order.
    pub filters: Vec<Arc<str>>,
}

/// DISCONNECT from a client (MQTT 5 §3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect {
    /// [`Reason::SUCCESS`] where absent, always in 3.1.1.
    pub reason: Reason,
    /// MQTT 5: the session expiry from now on.
    pub session_expiry_s: Option<u32>,
}

/// What an acknowledgement of the server tells beyond its reason code; MQTT 5 only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AckProperties {
    /// For a person who debugs.
    pub reason_string: Option<String>,
    /// For the program.
    pub user_properties: Vec<UserProperty>,
}

impl AckProperties {
    /// Tells a person why.
    #[must_use]
    pub fn because(why: impl Into<String>) -> Box<Self> {
        Box::new(Self { reason_string: Some(why.into()), user_properties: Vec::new() })
    }
}

/// CONNACK (MQTT 5 §3.2). In 3.1.1 only `session_present` and `reason` are sent, the reason as
/// the nearest return code (§3.2.2.3 of 3.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnAck {
    /// The server has state of an earlier connection of this session.
    pub session_present: bool,
    /// Success, or why not.
    pub reason: ConnAckReason,
    /// Sent where it differs from what the client asked for.
    pub session_expiry_s: Option<u32>,
    /// How many unacknowledged QoS 1 and 2 publishes the server takes.
    pub receive_maximum: Option<u16>,
    /// The largest packet the server takes, bytes.
    pub max_packet_bytes: Option<u32>,
    /// Where the client sent an empty one.
    pub assigned_client_id: Option<String>,
    /// Topic aliases the server takes.
    pub topic_alias_maximum: u16,
    /// False is sent, true is the default of the specification.
    pub retain_available: bool,
    /// False is sent, true is the default of the specification.
    pub shared_subscriptions_available: bool,
    /// Overrides the client's keep-alive.
    pub server_keep_alive_s: Option<u16>,
    /// What response topics start with, for a client that asked.
    pub response_information: Option<String>,
    /// Where to go instead.
    pub server_reference: Option<String>,
    /// For a person who debugs.
    pub reason_string: Option<String>,
}

/// The reason of a CONNACK; [`Reason::SUCCESS`] by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnAckReason(pub Reason);

impl Default for ConnAckReason {
    fn default() -> Self {
        Self(Reason::SUCCESS)
    }
}
