//! Names, topics and payloads of the bluetick chat protocol: what both ends of the wire must
//! agree on. The contract in words is docs/protocol.md.

mod names;
mod payload;
mod topics;

pub use names::{ChatId, ChatKind, MessageId, NameError, Seq, USER_CHARS_MAX, UserId};
pub use payload::{
    CONTENT_TYPE_BYTES_MAX, Event, MENTIONS_MAX, Message, MessageRef, PayloadError, Receipt,
    Refusal, SendAck, SendJson, TTL_S_MAX, default_content_type, parse_read,
};
pub use topics::{
    ACKS_TOPIC, ALL_MESSAGES_FILTER, ALL_RECEIPTS_FILTER, ERRORS_TOPIC, Filter, PublishTopic,
    Scope, Target, TopicError, is_reserved, messages_topic, read_topic, receipts_topic, send_topic,
};
